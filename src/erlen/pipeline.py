"""One request from its match to its end: the shortest handler for each rule, made at freeze."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol, TypeAlias, cast

from .binding import Binding, InOwner, OnLoop, Step, hop
from .concurrency import Relay, drive, is_async, wait_for
from .context import Context
from .deadlines import in_time, thread_in_time
from .errors import SetupError
from .exceptions import HTTPException
from .flow import Flow, FlowApp, blueprint_of
from .registry import Inline, Rule
from .requests import Request
from .responses import RawHeaders, Response
from .results import Foreign, Plain
from .signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)
from .streams import tells_departure
from .typing import Hook
from .websockets import WebSocket, is_departure

__all__ = ["Handler", "PipelineApp", "Pipelines"]

Handler: TypeAlias = Callable[[Context[Any]], Awaitable[None]]


class PipelineApp(FlowApp, Protocol):
    """What the pipelines need of the app above them."""

    def allowed_methods(self, context: Context[Any]) -> list[str]: ...
    @property
    def converts_itself(self) -> bool: ...


class Pipelines:
    """The handlers of one app. Flows are shared by the rules of a blueprint."""

    def __init__(self, app: PipelineApp) -> None:
        # Only until the freeze is over: the app holds the handlers, not they the app.
        self._app = app
        self._flows: dict[tuple[str, type[Any], str], Flow] = {}

    def flow(self, endpoint: str | None, bind: Binding, kind: str = "request") -> Flow:
        """Return the steps around the views that live where *endpoint* does."""
        blueprint = blueprint_of(endpoint)
        key = (blueprint, type(bind), kind)
        if key not in self._flows:
            scope = f"{blueprint}." if blueprint else None
            self._flows[key] = Flow(self._app, scope, bind, kind)
        return self._flows[key]

    def compile_rule(self, rule: Rule, *, options_twin: bool = False) -> Handler:
        """Return the shortest handler that serves *rule*.

        :raises SetupError: if its endpoint has no view.
        """
        if options_twin:
            return self._ours(rule.endpoint, _answer_options)
        view = self._app.registry.views.get(rule.endpoint)
        if view is None:
            raise SetupError(
                f"The rule {rule.rule!r} leads to the endpoint {rule.endpoint!r}, which has no"
                f" view. Name one: @app.endpoint({rule.endpoint!r})."
            )
        if rule.websocket:
            return _websocket(self.flow(rule.endpoint, OnLoop(), "websocket"), _with_params(view))
        flow = self.flow(rule.endpoint, OnLoop())
        if rule.options.get("inline"):
            return _served(flow, _with_params(Inline(view)))
        seconds: float | None = rule.options.get("timeout")
        if not is_async(view) or (flow.takes_thread and getattr(view, "is_brief", False)):
            prefetch = not rule.options.get("stream_body")
            step = _with_params(view, InOwner())
            full = self._owned(rule.endpoint, step, prefetch=prefetch, seconds=seconds)
            if is_async(view) or flow.surrounds or seconds is not None:
                return full
            return self._brief(rule.endpoint, view, full)
        if seconds is not None:
            return _served(flow, in_time(flow, _with_params(view), seconds))
        if inspect.iscoroutinefunction(view) and not flow.surrounds:
            return _bare(flow, self._app, view, rule, _served(flow, _with_params(view)))
        return _served(flow, _with_params(view))

    def miss(self, *, websocket: bool = False) -> Handler:
        """Return the handler of what no rule matches: hooks, then the kept error."""
        if websocket:
            return _websocket(self.flow(None, OnLoop(), "websocket"), _raise_error)
        return self._ours(None, _raise_error)

    def around(self, view: Step, *, hooks: bool = True, websocket: bool = False) -> Handler:
        """Return a handler for a foreign route: the app's own steps around *view*."""
        flow = self.flow(None, OnLoop(), "websocket" if websocket else "request")
        serve = _websocket if websocket else _served
        return serve(flow, view, before=flow.before if hooks else ())

    def _ours(self, endpoint: str | None, view: Step) -> Handler:
        """Return the handler of a view of ours, which waits for nothing.

        Where there are ``def`` steps around it, it runs with them in one thread: what a hook
        opened there can be closed by a teardown, as sqlite3 wants it.
        """
        flow = self.flow(endpoint, OnLoop())
        if flow.takes_thread:
            return self._owned(endpoint, view, prefetch=False)
        return _served(flow, view)

    def _owned(
        self,
        endpoint: str | None,
        view: Step,
        *,
        prefetch: bool,
        seconds: float | None = None,
    ) -> Handler:
        hooks = self._app.registry.hooks_of("before_request", endpoint)
        return _owned(
            self.flow(endpoint, OnLoop()),
            self.flow(endpoint, InOwner()),
            view,
            ahead=_leading_async(hooks),
            prefetch=prefetch,
            seconds=seconds,
        )

    def _brief(self, endpoint: str, view: Callable[..., Any], full: Handler) -> Handler:
        """Return the handler of a ``def`` view that nothing surrounds."""
        plain = {} if self._app.converts_itself else self._app.results.plain()
        loop_flow, flow = self.flow(endpoint, OnLoop()), self.flow(endpoint, InOwner())
        return _brief(loop_flow, flow, view, plain, full)


# -- views as steps ------------------------------------------------------------------------


def _with_params(view: Callable[..., Any], bind: Binding | None = None) -> Step:
    call = (bind or OnLoop()).step(view)

    async def with_params(context: Context[Any]) -> Any:
        return await call(**(context.params or {}))

    return with_params


async def _raise_error(context: Context[Any]) -> Any:
    raise cast(HTTPException, context.error)


async def _answer_options(context: Context[Any]) -> Response:
    response = context.app.make_response("")
    response.headers["allow"] = ", ".join(context.app.allowed_methods(context))
    return cast(Response, response)


def _leading_async(hooks: Sequence[Hook]) -> int:
    """Count the before hooks that run on the loop ahead of the first ``def`` step.

    They can refuse a request before its body is read and before it takes a thread.
    """
    count = 0
    for hook in hooks:
        if not (is_async(hook) or isinstance(hook, Inline)):
            break
        count += 1
    return count


# -- pipelines on the loop -----------------------------------------------------------------


def _served(flow: Flow, view: Step, *, before: Sequence[Step] | None = None) -> Handler:
    """Compile the pipeline of a view that runs on the loop."""
    hooks = flow.before if before is None else before

    async def served(context: Context[Any]) -> None:
        failure: BaseException | None = None
        try:
            response: Any = await flow.answer(context, view, hooks)
            await flow.send(context, response)
        except BaseException as error:
            failure = error
            raise
        finally:
            if "erlen.keep" not in context.scope and not flow.nothing_to_tear_down(context):
                await flow.teardown(context, failure)

    return served


def _bare(
    flow: Flow,
    app: PipelineApp,
    view: Callable[..., Awaitable[Any]],
    rule: Rule,
    full: Handler,
) -> Handler:
    """Compile the pipeline of an ``async def`` view that nothing surrounds.

    PERF: it does for a plain GET what ``_served`` does, in a few Python calls instead of a
    dozen (tests/architecture/test_call_budget.py). Whatever is unusual goes the long way.
    """
    convert = None if app.converts_itself else app.results.convert
    plain = {} if app.converts_itself else app.results.plain()

    async def bare(context: Context[Any]) -> None:
        if (
            request_started.receivers
            or request_finished.receivers
            or request_tearing_down.receivers
            or appcontext_pushed.receivers
            or appcontext_popped.receivers
            or appcontext_tearing_down.receivers
            or "erlen.keep" in context.scope
        ):
            return await full(context)
        failure: BaseException | None = None
        response: Response | None = None
        headers: RawHeaders = []
        body = b""
        try:
            try:
                context.stage = "view"
                value: Any = await view(**context.params)
                context.stage = None
                lay_out = plain.get(value.__class__)
                if lay_out is not None and not context.untidy:
                    headers, body = lay_out(value)
                else:
                    made = (convert or context.app.make_response)(value)
                    if made.stream is not None and not made.head_first:
                        context.stage = "first piece"
                        await made.prime()
                        context.stage = None
                    response = await flow.finish(context, made) if context.untidy else made
            except Exception as error:
                response = await flow.rescue(context, error)
            if response is None:
                scope = context.scope
                scope["erlen.sent"] = "http.response.start"
                if scope["method"] == "HEAD":
                    body = b""
                send = context.send
                try:
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": body})
                except OSError:
                    if not tells_departure(scope):
                        raise
            else:
                await flow.send(context, response)
        except BaseException as error:
            failure = error
            raise
        finally:
            if context.untidy or failure is not None:
                if not flow.nothing_to_tear_down(context):
                    await flow.teardown(context, failure)
            elif context.connection is not None:
                context.connection.close()
        return None

    return bare


# -- pipelines in a thread -----------------------------------------------------------------


def _owned(
    loop_flow: Flow,
    flow: Flow,
    view: Step,
    *,
    ahead: int,
    prefetch: bool,
    seconds: float | None,
) -> Handler:
    """Compile the pipeline of a ``def`` view: one thread runs all of its ``def`` steps.

    The first *ahead* before hooks run on the loop, and so does everything else if one of
    them answers.
    """

    async def owned(context: Context[Any]) -> None:
        failure: BaseException | None = None
        try:
            response = None
            if ahead:
                response = await loop_flow.answer(context, None, loop_flow.before[:ahead])
            if response is None:
                if prefetch:
                    await _prefetch(context)
                thread = _InThread(context, flow, view, flow.before[ahead:], first=ahead == 0)
                answering = thread.answer(loop_flow, thread.run)
                if seconds is None:
                    response = await answering
                else:
                    response = await thread_in_time(loop_flow, context, answering, seconds)
            if response is not None:
                await loop_flow.send(context, response)
        except BaseException as error:
            failure = error
            raise
        finally:
            over = context.torn_down or context.forsaken
            if not over and "erlen.keep" not in context.scope:
                # It must not wait for a thread: what waits for one is dropped by a cancel.
                context.admitted = True
                await hop(context, lambda: drive(flow.teardown(context, failure)))

    return owned


def _brief(
    loop_flow: Flow,
    flow: Flow,
    view: Callable[..., Any],
    plain: Mapping[type[Any], Callable[[Any], Plain]],
    full: Handler,
) -> Handler:
    """Compile the pipeline of a ``def`` view that nothing surrounds.

    PERF: for a plain answer it does in the thread what ``_owned`` does, without driving the
    steps that are not there (bench/pool.py). Whatever is unusual goes the long way: ahead of
    the view to *full*, and from the outcome of the view on with the steps of ``_InThread``.
    """

    async def brief(context: Context[Any]) -> None:
        if (
            request_started.receivers
            or request_finished.receivers
            or appcontext_pushed.receivers
            or "erlen.keep" in context.scope
            or not _BODIES.isdisjoint([name for name, _ in context.scope["headers"]])
        ):
            return await full(context)
        failure: BaseException | None = None
        thread = _InThread(context, flow, _Outcome(), ())
        try:
            answer = await thread.answer(loop_flow, partial(thread.run_brief, view, plain))
            if answer.__class__ is tuple:
                await _send_plain(context, *answer)
            else:
                await loop_flow.send(context, answer)
        except BaseException as error:
            failure = error
            raise
        finally:
            if not (context.torn_down or context.forsaken):
                await hop(context, lambda: drive(flow.teardown(context, failure)))
        return None

    return brief


_BODIES = frozenset({b"content-length", b"transfer-encoding"})
"""What announces a body."""


class _Outcome:
    """What a view has returned or raised already, as a step."""

    __slots__ = ("error", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

    async def __call__(self, context: Context[Any]) -> Any:
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        value, self.value = self.value, None
        return wait_for(_awaited, value) if isawaitable(value) else value


async def _send_plain(context: Context[Any], headers: RawHeaders, body: bytes) -> None:
    """Send a 200 that no step has to see."""
    scope, send = context.scope, context.send
    scope["erlen.sent"] = "http.response.start"
    if scope["method"] == "HEAD":
        body = b""
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        if not tells_departure(scope):
            raise


async def _prefetch(context: Context[Any]) -> None:
    """Read the body before the view takes a thread; an error waits for the first access."""
    request: Request = context.request
    if request.has_body:
        try:
            await request.prefetch()
        except HTTPException:
            return


class _InThread:
    """The ``def`` part of one pipeline, which one thread runs up to the response.

    A buffered response, or a file, comes back when its teardown is done. A ``def`` generator
    comes back at once as a relay, while the thread goes on to fill it. Another async stream
    comes back before the teardown, which is a second hop.
    """

    __slots__ = ("before", "begun", "context", "first", "flow", "response", "view")

    def __init__(
        self,
        context: Context[Any],
        flow: Flow,
        view: Step,
        before: Sequence[Step],
        *,
        first: bool = True,
    ) -> None:
        self.context = context
        self.flow = flow
        self.view = view
        self.before = before
        self.first = first
        self.begun = False
        self.response: Response | None = None

    async def answer(self, loop_flow: Flow, run: Callable[[Callable[[Any], bool]], Any]) -> Any:
        """Let a thread *run* this, and return what it hands over; on the loop."""
        try:
            return await hop(self.context, run, early=True)
        except HTTPException as error:
            if self.begun:
                raise
            # 503: no thread was free, so not one def step has run.
            return await loop_flow.rescue(self.context, error)
        except BaseException:
            if self.response is not None and not self.context.forsaken:
                await self.response.aclose()
            raise

    def run_brief(
        self,
        view: Callable[..., Any],
        plain: Mapping[type[Any], Callable[[Any], Plain]],
        hand: Callable[[Any], bool],
    ) -> Response | Plain | None:
        """Call *view*; lay out its answer, or do all that it takes to make one."""
        self.begun = True
        context, outcome = self.context, cast(_Outcome, self.view)
        context.stage = "view"
        try:
            value = view(**cast("dict[str, Any]", context.params))
            lay_out = plain.get(value.__class__)
            if lay_out is not None and not context.untidy and not context.forsaken:
                answer = lay_out(value)
                if not self.flow.nothing_to_tear_down(context):
                    drive(self.flow.teardown(context, None))
                context.closed = context.closed or context.forsaken
                return answer
            outcome.value = value
        except BaseException as error:
            outcome.error = error
        return drive(self.steps(hand))

    def run(self, hand: Callable[[Any], bool]) -> Response | None:
        """Run all steps."""
        self.begun = True
        return drive(self.steps(hand))

    async def steps(self, hand: Callable[[Any], bool]) -> Response | None:
        """Run the steps and the teardown; none of them suspends here."""
        context, flow = self.context, self.flow
        failure: BaseException | None = None
        relay: Relay | None = None
        response: Response | None = None
        try:
            response = await flow.answer(context, self.view, self.before, first=self.first)
            self.response = response
            stream = cast(Response, response).stream
            own = not isinstance(response, Foreign) and stream is not None
            if own and not isinstance(stream, AsyncIterable):
                relay = Relay(cast(Any, context.loop), lent=context.scope.get("erlen.owner"))
                cast(Response, response).stream = relay
                if not hand(response):
                    relay.stop()
                relay.pump(cast("Iterable[Any]", stream))
        except BaseException as error:
            failure = error
            raise
        finally:
            waits = relay is None and response is not None and _runs_code(response)
            try:
                if context.forsaken and relay is None and response is not None:
                    await flow.bind.discard(response)
                if (not waits and "erlen.keep" not in context.scope) or context.forsaken:
                    await flow.teardown(context, failure)
            finally:
                if relay is not None:
                    relay.finish()
                context.closed = context.closed or context.forsaken
        return response


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def _runs_code(response: Response) -> bool:
    """Say whether code of the app runs while *response* is sent."""
    stream = response.stream
    return stream is not None and not getattr(stream, "from_path", False)


# -- websockets ----------------------------------------------------------------------------


def _websocket(flow: Flow, view: Step, *, before: Sequence[Step] | None = None) -> Handler:
    """Compile the pipeline of a websocket."""
    hooks = flow.before if before is None else before

    async def connected(context: Context[Any]) -> None:
        failure: BaseException | None = None
        websocket: WebSocket = context.websocket
        try:
            await _converse(flow, view, hooks, context)
        except BaseException as error:
            failure = error
            context.stage = None
            if not websocket.closed:
                await websocket.close(1012 if context.is_drained else 1011)
            context.scope["erlen.sent"] = "websocket.close"
            raise
        finally:
            if "erlen.keep" not in context.scope:
                await flow.teardown(context, failure)

    return connected


async def _converse(flow: Flow, view: Step, before: Sequence[Step], context: Context[Any]) -> None:
    websocket: WebSocket = context.websocket
    response: Response | None = None
    try:
        try:
            if flow.begins():
                await flow.begin(context)
            for step in before:
                value = await step()
                if value is not None:
                    break
            else:
                context.stage = "view"
                value = await view(context)
                context.stage = None
            if value is not None:
                response = flow.to_response(context, value)
        except Exception as error:
            context.stage = None
            response = None if is_departure(error) else await flow.recover(context, error)
        response = await _finish_websocket(flow, context, response)
    except Exception as error:
        response = None if is_departure(error) else await flow.fail(context, error)
    if websocket.accepted:
        await websocket.close(_close_code(response))
    elif response is not None and not websocket.closed:
        await _deny(context, websocket, response)
    else:
        await websocket.close()


async def _finish_websocket(
    flow: Flow, context: Context[Any], response: Response | None
) -> Response | None:
    for step, _ in flow.after:
        value = await step(response)
        if value is not None:
            response = flow.to_response(context, value)
    if response is not None and context.session_opened:
        return await _finish_denial(flow, context, response)
    return response


async def _finish_denial(flow: Flow, context: Context[Any], response: Response) -> Response:
    interface = context.app.session_interface
    if not interface.is_null_session(context.opened):
        await flow.bind.save_session(context, response)
    return response


def _close_code(response: Response | None) -> int:
    """Return how an open websocket ends (RFC 6455, 7.4.1) after what its view did."""
    if response is None:
        return 1000
    return 1011 if response.status_code >= 500 else 1008


async def _deny(context: Context[Any], websocket: WebSocket, response: Response) -> None:
    """Refuse a websocket with a response, where the server can send one; else with a 403."""
    if "websocket.http.response" in (context.scope.get("extensions") or {}):
        websocket.closed = True
        answer = response.app if isinstance(response, Foreign) else response
        await answer(context.scope, context.receive, context.send)
    else:
        await websocket.close()
