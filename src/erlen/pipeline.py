"""One request from its match to its end: the shortest handler for each rule, made at freeze."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from types import AsyncGeneratorType
from typing import Any, Protocol, cast

from .binding import Binding, InOwner, OnLoop, Step
from .concurrency import is_async
from .context import Context
from .deadlines import in_time
from .errors import SetupError
from .exceptions import HTTPException
from .flow import Flow, FlowApp
from .registry import Inline, Rule, blueprint_of
from .responses import BODILY, STATUSES, Response, wrong_status
from .results import Foreign, Plain, Results
from .sending import encode, send_stream, tells_departure
from .signals import appcontext_pushed
from .threads import Handler, brief, leading_async, owned
from .websockets import WebSocket, is_departure

__all__ = ["Pipeline", "PipelineApp", "Pipelines", "Straight"]


class PipelineApp(FlowApp, Protocol):
    """What the pipelines need of the app above them."""

    def allowed_methods(self, context: Context[Any]) -> list[str]: ...
    @property
    def converts_itself(self) -> bool: ...


class Pipeline:
    """The handlers of a rule, of which the entry takes one for each request."""

    __slots__ = ("full", "usual")

    def __init__(self, full: Handler, usual: Handler | None = None) -> None:
        self.full = full
        """Serves any request."""
        self.usual = usual or full
        """Serves one whose context nobody keeps and whose signals nobody hears."""


class Straight(Pipeline):
    """The handlers of an ``async def`` view with before and after hooks at most.

    PERF: the entry does the usual itself, which is a coroutine less for each request: it calls
    hooks and view, lays out what that returned and sends it. It leaves the rest to this.
    """

    __slots__ = (
        *("after", "before", "finished", "flow", "plain", "response", "rest", "takes_text"),
        "view",
    )

    def __init__(
        self,
        full: Handler,
        view: Callable[..., Awaitable[Any]],
        plain: Mapping[type[Any], Callable[[Any], Plain]],
        results: Results,
        flow: Flow,
        rest: Callable[..., Coroutine[Any, Any, None]],
        finished: Callable[..., Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(full)
        self.before = tuple(flow.before)
        self.view = view
        self.plain = plain
        """What lays out the values of each type that need no Response."""
        self.takes_text = str in plain
        """Whether a text, laid out as usual, is one of them."""
        self.response = results.response
        """Makes a response of what was laid out, for somebody who looks at it."""
        self.after = tuple(flow.after)
        """Each hook bound, and as it was registered."""
        self.flow = flow
        self.rest = rest
        """Serves a context from what its view, or a hook before it, returned or raised."""
        self.finished = finished
        """Serves a context from what its after hooks returned, or one of them raised."""


class Pipelines:
    """Compiles those of one app. Flows are shared by the rules of a blueprint."""

    def __init__(self, app: PipelineApp) -> None:
        # Only until the freeze is over: the app holds the pipelines, not they the app.
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

    def compile_rule(self, rule: Rule, *, options_twin: bool = False) -> Pipeline:
        """Return the shortest handlers that serve *rule*.

        :raises SetupError: if its endpoint has no view.
        """
        if options_twin:
            return Pipeline(self._ours(rule.endpoint, _answer_options))
        view = self._app.registry.views.get(rule.endpoint)
        if view is None:
            raise SetupError(
                f"The rule {rule.rule!r} leads to the endpoint {rule.endpoint!r}, which has no"
                f" view. Name one: @app.endpoint({rule.endpoint!r})."
            )
        if rule.websocket:
            flow = self.flow(rule.endpoint, OnLoop(), "websocket")
            return Pipeline(_websocket(flow, _with_params(view)))
        flow = self.flow(rule.endpoint, OnLoop())
        if rule.options.get("inline"):
            return Pipeline(_served(flow, _with_params(Inline(view))))
        seconds: float | None = rule.options.get("timeout")
        if not is_async(view) or (flow.takes_thread and getattr(view, "is_brief", False)):
            prefetch = not rule.options.get("stream_body")
            step = _with_params(view, InOwner())
            full = self._owned(rule.endpoint, step, prefetch=prefetch, seconds=seconds)
            if is_async(view) or flow.surrounds or seconds is not None:
                return Pipeline(full)
            return Pipeline(full, self._brief(rule.endpoint, view, full))
        if seconds is not None:
            return Pipeline(_served(flow, in_time(flow, _with_params(view), seconds)))
        full = _served(flow, _with_params(view))
        if not inspect.iscoroutinefunction(view) or flow.starts or flow.tears:
            return Pipeline(full)
        return _straight(flow, self._app, view, full)

    def miss(self, *, websocket: bool = False) -> Pipeline:
        """Return the handlers of what no rule matches: hooks, then the kept error."""
        if websocket:
            return Pipeline(_websocket(self.flow(None, OnLoop(), "websocket"), _raise_error))
        full = self._ours(None, _raise_error)
        flow = self.flow(None, OnLoop())
        return Pipeline(full) if flow.surrounds else Pipeline(full, _missed(flow, full))

    def around(self, view: Step, *, hooks: bool = True, websocket: bool = False) -> Pipeline:
        """Return the handlers of a foreign route: the app's own steps around *view*."""
        flow = self.flow(None, OnLoop(), "websocket" if websocket else "request")
        serve = _websocket if websocket else _served
        return Pipeline(serve(flow, view, before=flow.before if hooks else ()))

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
        return owned(
            self.flow(endpoint, OnLoop()),
            self.flow(endpoint, InOwner()),
            view,
            ahead=leading_async(hooks),
            prefetch=prefetch,
            seconds=seconds,
        )

    def _brief(self, endpoint: str, view: Callable[..., Any], full: Handler) -> Handler:
        """Return the handler of a ``def`` view that nothing surrounds."""
        plain = {} if self._app.converts_itself else self._app.results.plain()
        loop_flow, flow = self.flow(endpoint, OnLoop()), self.flow(endpoint, InOwner())
        return brief(loop_flow, flow, view, plain, full)


# -- views as steps ------------------------------------------------------------------------


def _with_params(view: Callable[..., Any], bind: Binding | None = None) -> Step:
    call = (bind or OnLoop()).step(view)

    def with_params(context: Context[Any]) -> Awaitable[Any]:
        return call(**(context.params or {}))

    return with_params


async def _raise_error(context: Context[Any]) -> Any:
    raise cast(HTTPException, context.error)


async def _answer_options(context: Context[Any]) -> Response:
    response = context.app.make_response("")
    response.headers["allow"] = ", ".join(context.app.allowed_methods(context))
    return cast(Response, response)


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
            failure = None  # it knows this frame, and the two would stay

    return served


def _straight(
    flow: Flow, app: PipelineApp, view: Callable[..., Awaitable[Any]], full: Handler
) -> Straight:
    """Compile the pipeline of an ``async def`` view with before and after hooks at most."""
    results, convert = app.results, flow.convert
    plain = {} if convert is None else results.plain()
    rest, finished = _rest(flow, results.response_class), _finished(flow)
    return Straight(full, view, plain, results, flow, rest, finished)


def _rest(flow: Flow, kind: type[Response]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Compile what serves a context from what its view, or a hook before it, returned or raised.

    It is given the value, the error, or the response that was made of the value already.

    PERF: in a few Python calls where ``_served`` takes a dozen
    (tests/architecture/test_call_budget.py). Whatever is unusual goes the long way.
    """
    after, convert = bool(flow.after), flow.convert
    sent_here = kind if kind.__call__ is Response.__call__ else None

    async def rest(
        context: Context[Any],
        value: Any = None,
        raised: BaseException | None = None,
        response: Any = None,
    ) -> None:
        scope, send = context.scope, context.send
        failure: BaseException | None = None
        early: Any = None
        try:
            try:
                try:
                    if raised is not None:
                        error, raised = raised, None  # it knows the frames that know it
                        raise error
                    if response is None:
                        response = (convert or context.app.make_response)(value)
                    if response.stream is not None and not response.head_first:
                        context.stage = "first piece"
                        pieces = response.stream
                        if (
                            after
                            or response.__class__ is not sent_here
                            or pieces.__class__ is not AsyncGeneratorType
                        ):
                            await response.prime()
                        else:  # PERF: as prime() does, without a coroutine and an object more
                            async for piece in pieces:
                                if early := encode(piece):
                                    break
                            if context.untidy:  # somebody looks at the response
                                response.chunks().early, early = early, None
                    context.stage = None
                except Exception as error:
                    context.stage = None
                    if response is not None:
                        await flow.discard(context, response)
                    response = await flow.recover(context, error)
                if after or context.untidy:
                    response = await flow.finish(context, response)
            except Exception as error:
                await flow.discard(context, response)
                response = await flow.fail(context, error)
            if early and response.streams_to(scope):
                return await send_stream(context, response, scope, send, early)
            status, headers, body = response.status_code, response.raw_headers, response.body
            if (
                response.__class__ is not sent_here
                or response.stream is not None
                or response.background is not None
                or response.callbacks is not None
                or (status != 200 and status not in BODILY)
            ):
                return await flow.send(context, response)
            scope["erlen.sent"] = start = "http.response.start"
            if scope["method"] == "HEAD":
                body = b""
            try:
                await send({"type": start, "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            except OSError:
                if not tells_departure(scope):
                    raise
        except BaseException as error:
            failure = error
            if "erlen.sent" not in scope:
                await flow.discard(context, response)
            raise
        finally:
            if context.untidy or failure is not None:
                if not flow.nothing_to_tear_down(context):
                    await flow.teardown(context, failure)
            elif context.connection is not None:
                context.connection.close()
            failure = None  # it knows this frame, and the two would stay
        return None

    return rest


def _finished(flow: Flow) -> Callable[..., Coroutine[Any, Any, None]]:
    """Compile what serves a context from what its after hooks returned, or one of them raised."""

    async def finished(
        context: Context[Any], response: Response, raised: BaseException | None = None
    ) -> None:
        failure: BaseException | None = None
        try:
            try:
                if raised is not None:
                    error, raised = raised, None  # it knows the frames that know it
                    raise error
                if context.untidy:
                    await flow.conclude(context, response)
            except Exception as error:
                await flow.discard(context, response)
                response = await flow.fail(context, error)
            await flow.send(context, response)
        except BaseException as error:
            failure = error
            if "erlen.sent" not in context.scope:
                await flow.discard(context, response)
            raise
        finally:
            await flow.end(context, failure)
            failure = None  # it knows this frame, and the two would stay

    return finished


def _missed(flow: Flow, full: Handler) -> Handler:
    """Compile the pipeline of what no rule matches, where nothing surrounds the views.

    PERF: the error that is kept is answered without being raised.
    """

    async def missed(context: Context[Any]) -> None:
        if context.error is None:
            return await full(context)
        failure: BaseException | None = None
        try:
            await flow.send(context, await flow.rescue(context, context.error))
        except BaseException as error:
            failure = error
            raise
        finally:
            if context.untidy or failure is not None:
                await flow.end(context, failure)
            elif context.connection is not None:
                context.connection.close()
            failure = None  # it knows this frame, and the two would stay
        return None

    return missed


# -- websockets ----------------------------------------------------------------------------


def _websocket(flow: Flow, view: Step, *, before: Sequence[Step] | None = None) -> Handler:
    """Compile the pipeline of a websocket."""
    hooks = flow.before if before is None else before

    async def connected(context: Context[Any]) -> None:
        failure: BaseException | None = None
        websocket: WebSocket = context.websocket
        context.conversation = websocket
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
            context.conversation = None
            if "erlen.keep" not in context.scope:
                await flow.teardown(context, failure)
            failure = None  # it knows this frame, and the two would stay

    return connected


async def _converse(flow: Flow, view: Step, before: Sequence[Step], context: Context[Any]) -> None:
    websocket: WebSocket = context.websocket
    response: Response | None = None
    try:
        try:
            if flow.starts or flow.started.receivers or appcontext_pushed.receivers:
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
    if response is not None and response.status_code not in STATUSES:
        raise wrong_status(response.status_code)
    if response is not None and context.opened is not None:
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
