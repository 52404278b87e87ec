"""The steps around a view, in Flask's order. Does not know where they run; see ``binding``."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, cast

from starlette.requests import ClientDisconnect as StarletteClientDisconnect

from .binding import Binding, OnLoop, Step
from .concurrency import is_async
from .context import Context
from .errorhandlers import ErrorHandlers, HandledApp, naming_the_view
from .errors import place_of
from .exceptions import (
    ClientDisconnected,
    InternalServerError,
)
from .foreign import Passage
from .pool import WorkerPool
from .registry import Inline
from .requests import Request
from .responses import STATUSES, Response, wrong_status
from .results import Foreign, Results, WrongResult
from .sending import send_stream
from .signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    got_request_exception,
    got_websocket_exception,
    request_finished,
    request_started,
    request_tearing_down,
    websocket_finished,
    websocket_started,
    websocket_tearing_down,
)
from .typing import Hook, Message

__all__ = ["Flow", "FlowApp"]


class FlowApp(HandledApp, Protocol):
    """What the steps need of the app above them."""

    results: Results
    testing: bool
    teardown_appcontext_funcs: list[Hook]

    @property
    def converts_itself(self) -> bool: ...
    @property
    def worker_pool(self) -> WorkerPool: ...
    def make_response(self, *args: Any) -> Response: ...
    def log_exception(self, error: BaseException, context: Context[Any]) -> None: ...
    def log_problem(self, message: str, error: BaseException) -> None: ...


_SIGNALS = {
    "request": (request_started, request_finished, request_tearing_down, got_request_exception),
    "websocket": (
        websocket_started,
        websocket_finished,
        websocket_tearing_down,
        got_websocket_exception,
    ),
}


class Flow:
    """The steps around the views of one blueprint, bound to where they run.

    The app is read here once and reached through the context later: a flow that held it
    would keep it alive.
    """

    def __init__(self, app: FlowApp, endpoint: str | None, bind: Binding, kind: str) -> None:
        registry = app.registry
        self.bind = bind
        self.kind = kind
        self.preprocessors = registry.hooks_of("url_value_preprocessor", endpoint)
        self.before = _grouped(registry.hooks_of(f"before_{kind}", endpoint), bind)
        self.after = [
            (bind.step(hook), hook) for hook in registry.hooks_outwards(f"after_{kind}", endpoint)
        ]
        self.teardowns = [
            bind.step(hook) for hook in registry.hooks_outwards(f"teardown_{kind}", endpoint)
        ]
        self.app_teardowns = [bind.step(hook) for hook in reversed(app.teardown_appcontext_funcs)]
        self.error_handlers = ErrorHandlers(app, endpoint, bind)
        self.opens_session = not app.session_interface.never_waits
        self.convert = None if app.converts_itself else app.results.convert
        self.starts = bool(self.preprocessors) or self.opens_session
        """Whether something runs before the before hooks, signals aside."""
        self.tears = bool(self.teardowns or self.app_teardowns)
        """Whether something runs at the end, signals aside."""
        self.started, self.finished, self.tearing_down, self.got_exception = _SIGNALS[kind]
        self.takes_thread = any(
            not (isinstance(hook, Inline) or is_async(hook))
            for hook in (
                *registry.hooks_of(f"before_{kind}", endpoint),
                *registry.hooks_of(f"after_{kind}", endpoint),
                *registry.hooks_of(f"teardown_{kind}", endpoint),
                *app.teardown_appcontext_funcs,
            )
        )
        """Whether one of the steps is ``def``."""

    @property
    def surrounds(self) -> bool:
        """Whether anything at all is registered around the views."""
        return bool(
            self.preprocessors
            or self.before
            or self.after
            or self.teardowns
            or self.app_teardowns
            or self.opens_session
        )

    async def answer(
        self,
        context: Context[Any],
        view: Step | None,
        before: Sequence[Step],
        *,
        first: bool = True,
    ) -> Response | None:
        """Run the request to its response.

        *before* are the hooks to run, *first* says that none ran yet. Without a *view* this
        is only the beginning: ``None`` means that nothing has answered so far.
        """
        try:
            try:
                if first and (self.starts or self.started.receivers or appcontext_pushed.receivers):
                    await self.begin(context)
                for step in before:
                    value = await step()
                    if value is not None:
                        break
                else:
                    if view is None:
                        return None
                    context.stage = "view"
                    value = await view(context)
                response = (self.convert or context.app.make_response)(value)
                if response.stream is not None and not response.head_first:
                    context.stage = "first piece"
                    await self.bind.prime(response)
                context.stage = None
            except Exception as error:
                context.stage = None
                response = await self.recover(context, error)
                if error is context.error:
                    error.__traceback__ = None  # it knows this frame, which knows the context
            return await self.finish(context, response)
        except Exception as error:
            return await self.fail(context, error)

    async def begin(self, context: Context[Any]) -> None:
        """Run what comes before the before hooks."""
        if appcontext_pushed.receivers:
            await self.bind.announce(appcontext_pushed, context.app)
        if self.opens_session and context.wants_session:
            await self.bind.open_session(context)
        if self.started.receivers:
            await self.bind.announce(self.started, context.app)
        for preprocessor in self.preprocessors:
            preprocessor(context.endpoint, context.params if context.error is None else None)

    def to_response(self, context: Context[Any], value: Any) -> Response:
        """Convert what a view returned; the error for a wrong value names the view."""
        try:
            response: Response = (self.convert or context.app.make_response)(value)
        except WrongResult as error:
            raise naming_the_view(context, error) from None
        return response

    async def finish(self, context: Context[Any], response: Response) -> Response:
        """Run what comes after the view, save the session, announce the response.

        A response that is not sent after all is closed.
        """
        early: Sequence[tuple[Step, Hook]] = ()
        if context.untidy:
            context.end_watch()
            early = [(self.bind.step(hook), hook) for hook in context.after or ()]
        if isinstance(response, Foreign):
            return response  # its head is not known yet: send_foreign will see to it
        try:
            for step, hook in early:
                changed = await step(response)
                if changed is not response:
                    response = await self.replaced(context, response, changed, hook)
            for step, hook in self.after:
                changed = await step(response)
                if changed is not response:
                    response = await self.replaced(context, response, changed, hook)
            if context.untidy or self.finished.receivers:
                await self.conclude(context, response)
        except BaseException:
            await self.discard(context, response)
            raise
        return response

    async def conclude(self, context: Context[Any], response: Response) -> None:
        """Save the session, if anything looked at it, and announce the response."""
        if context.opened is not None and not context.is_copy:
            interface = context.app.session_interface
            if not interface.is_null_session(context.opened):
                await self.bind.save_session(context, response)
        if self.finished.receivers:
            await self.bind.announce(self.finished, context.app, response=response)

    async def replaced(
        self, context: Context[Any], response: Response, changed: Any, hook: Callable[..., Any]
    ) -> Response:
        """Take what *hook* put in the place of *response*, and may have made from it."""
        taken = self._checked(context, changed, hook)
        if isinstance(taken, Foreign):
            taken.put_by = place_of(hook)
        if taken is not response and taken.stream is None:
            await self.discard(context, response)
        return taken

    async def discard(self, context: Context[Any], response: Response | None) -> None:
        """Close a response that is not sent after all."""
        if response is not None and response.waits_for_its_end:
            try:
                await self.bind.discard(response)
            except Exception as error:
                context.app.log_problem("A response that is not sent could not be closed", error)

    def _checked(self, context: Context[Any], response: Any, hook: Callable[..., Any]) -> Response:
        if isinstance(response, Response):
            return response
        if response is None:
            raise TypeError(
                f"The after_{self.kind} function {place_of(hook)} returned None. It has to return"
                " the response."
            )
        return cast(Response, context.app.make_response(response))

    # -- errors ----------------------------------------------------------------------------

    async def rescue(self, context: Context[Any], error: Exception) -> Response:
        """Answer an error of a view all the way to the finished response."""
        context.stage = None
        taken: Any = None
        try:
            handler, taken = self.error_handlers.handler_of(context, error)
            if handler is None:
                response = self.error_handlers.page_of(context, taken)
            else:
                response = self.to_response(context, await handler(taken))
            if (
                self.after
                or context.untidy
                or response.stream is not None
                or self.finished.receivers
            ):
                response = await self.finish(context, response)
            return response
        except Exception as second:
            return await self.fail(context, second)
        finally:
            # They may be raised through here, and would keep this frame and themselves.
            del error, taken

    async def recover(self, context: Context[Any], error: Exception) -> Response:
        """Turn an error of a hook or a view into a response, or raise it again."""
        taken: Any = None
        try:
            handler, taken = self.error_handlers.handler_of(context, error)
            if handler is None:
                return self.error_handlers.page_of(context, taken)
            return self.to_response(context, await handler(taken))
        finally:
            del error, taken

    async def fail(self, context: Context[Any], error: Exception) -> Response:
        """Answer an error that nothing handled: log it and send a 500.

        Where errors propagate (testing, debug, ``PROPAGATE_EXCEPTIONS``) it is raised again.
        """
        app = context.app
        context.unhandled = error
        context.untidy = True
        if isinstance(error, TypeError) and _awaited_a_value(error):
            error.add_note(_PLAIN_CALLS)
        if self.got_exception.receivers:
            await self.bind.announce(self.got_exception, app, exception=error)
        propagate = app.config["PROPAGATE_EXCEPTIONS"]
        if propagate or (propagate is None and (app.testing or app.debug)):
            raise error
        app.log_exception(error, context)
        wrapped = InternalServerError(original_exception=error)
        try:
            handler = self.error_handlers.handler_for(context, wrapped, 500)
            if handler is None:
                response = self.error_handlers.error_response(context, wrapped)
            else:
                response = self.to_response(context, await handler(wrapped))
        except Exception as second:
            app.log_problem("The answer to an error failed itself", second)
            return wrapped.get_response()
        try:
            return await self.finish(context, response)
        except Exception as second:
            app.log_problem("What comes after the answer to an error failed", second)
            # What has been closed cannot be sent.
            return wrapped.get_response() if response.waits_for_its_end else response

    # -- the end ---------------------------------------------------------------------------

    def send(self, context: Context[Any], response: Response) -> Awaitable[None]:
        """Send *response*; a stream is watched for a client that leaves.

        :raises ValueError: if its ``status_code`` was set to what no server sends.
        """
        scope = context.scope
        if isinstance(response, Foreign):
            return self.send_foreign(context, response)
        if response.status_code not in STATUSES:
            raise wrong_status(response.status_code)
        if response.stream is not None and response.streams_to(scope):
            if type(response).__call__ is Response.__call__:
                return send_stream(context, response, scope, context.send)
            return self._send_itself(context, response)
        scope["erlen.sent"] = "http.response.start"
        return response(scope, context.receive, context.send)

    async def _send_itself(self, context: Context[Any], response: Response) -> None:
        """Send a stream of a class that has ideas of its own how."""
        receive = context.receive
        if context.kind == "http":
            receive = partial(_until_left, context, response)
        context.scope["erlen.sent"] = "http.response.start"
        try:
            await response(context.scope, receive, context.send)
        except ClientDisconnected:
            return  # a stream that reads its request: nobody is there to hear the rest
        finally:
            context.stage = None

    async def send_foreign(self, context: Context[Any], foreign: Foreign) -> None:
        """Let somebody else's ASGI app answer.

        The after hooks and the session get a response with its status and headers at the
        moment when it sends them; an error before that is an ordinary error.
        """
        passage = Passage(self, context, foreign)
        receive = context.receive
        if isinstance(context.connection, Request):
            receive = context.connection.replay
        context.stage = "body"
        try:
            await foreign.app(context.scope, receive, passage.send)
        except CancelledError:
            if not passage.was_closed:
                raise
        except Exception as error:
            context.stage = None
            if passage.later is not None:
                context.app.log_problem("An app failed whose response is not sent", error)
            elif not passage.begun:
                await self.send(context, await self.rescue(context, error))
            elif not isinstance(error, StarletteClientDisconnect):
                raise
        finally:
            context.stage = None
            await passage.end()
        if passage.later is not None:
            await self._send_later(context, passage.later)
        elif passage.head is not None and passage.head.background is not None:
            await passage.head.background()

    async def _send_later(self, context: Context[Any], response: Response) -> None:
        """Send the stream that a hook has put in the place of another app's response."""
        try:
            if not response.head_first:
                await self.bind.prime(response)
        except Exception as error:
            response = await self.fail(context, error)
        await self.send(context, response)

    async def end(self, context: Context[Any], error: BaseException | None) -> None:
        """Tear *context* down, or note only that it is, if no step has to run for that."""
        if not self.nothing_to_tear_down(context):
            await self.teardown(context, error)

    async def teardown(self, context: Context[Any], error: BaseException | None) -> None:
        """Run every teardown step, once in the life of *context*, even if some fail.

        Their errors are logged and never cost the response. What is no ``Exception``, above
        all a cancel in the middle, is raised when all of them have run.
        """
        if context.torn_down or (context.is_copy and not context.exits):
            return
        # Admitted: what has begun is torn down, however many requests wait for a thread.
        context.torn_down = context.admitted = True
        context.stage = None
        context.end_watch()
        error = error if error is not None else context.unhandled
        raised = error if error is not None else context.raised
        context.unhandled = context.raised = None  # their tracebacks know the context
        fatal: BaseException | None = None
        leaving = self._left(context, raised)
        for step in leaving if context.is_copy else self._last_steps(context, error, leaving):
            try:
                await step()
            except Exception as failure:
                context.app.log_problem("A teardown function failed", failure)
            except BaseException as failure:
                fatal = fatal or failure
        if fatal is not None:
            raise fatal

    def nothing_to_tear_down(self, context: Context[Any]) -> bool:
        """Note that the context is torn down, if no step has to run for that."""
        if (
            self.teardowns
            or self.app_teardowns
            or context.exits
            or context.watcher
            or self.tearing_down.receivers
            or appcontext_tearing_down.receivers
            or appcontext_popped.receivers
        ):
            return False
        context.torn_down = True
        context.stage = context.unhandled = context.raised = None
        if isinstance(context.connection, Request):
            context.connection.close()
        return True

    def _left(self, context: Context[Any], error: BaseException | None) -> Iterator[Step]:
        for leave in reversed(context.exits or ()):
            yield partial(self.bind.step(leave), *_exit_arguments(error))

    def _last_steps(
        self, context: Context[Any], error: BaseException | None, leaving: Iterator[Step]
    ) -> Iterator[Step]:
        app = context.app
        connected = context.kind != "app"
        if connected:
            for step in self.teardowns:
                yield partial(step, error)
        yield from leaving
        if connected and self.tearing_down.receivers:
            yield partial(self.bind.announce, self.tearing_down, app, exc=error)
        if isinstance(context.connection, Request):
            context.connection.close()
        for step in self.app_teardowns:
            yield partial(step, error)
        if appcontext_tearing_down.receivers:
            yield partial(self.bind.announce, appcontext_tearing_down, app, exc=error)
        if connected and appcontext_popped.receivers:
            yield partial(self.bind.announce, appcontext_popped, app)


async def _until_left(context: Context[Any], response: Response) -> Message:
    """Wait until the client leaves a stream that waits itself.

    A stream asks this when its head is out: from now on it may be ended.
    """
    context.stage, context.sending = "body", response
    return await context.request.until_disconnect()


_PLAIN_CALLS = (
    "render_template, url_for, redirect, jsonify, make_response, flash, send_file and abort are"
    " plain calls in both colours: drop the await."
)


def _awaited_a_value(error: TypeError) -> bool:
    text = str(error)
    return "can't be used in 'await' expression" in text or "can't be awaited" in text


def _exit_arguments(error: BaseException | None) -> tuple[Any, Any, Any]:
    if error is None:
        return None, None, None
    return type(error), error, error.__traceback__


def _grouped(hooks: Sequence[Hook], bind: Binding) -> list[Step]:
    """Bind *hooks*; on the loop, neighbours that are ``def`` share one hop."""
    steps: list[Step] = []
    group: list[Hook] = []
    for hook in hooks:
        if isinstance(bind, OnLoop) and not isinstance(hook, Inline) and not is_async(hook):
            group.append(hook)
            continue
        if group:
            steps.append(bind.step(_first_of(group)))
            group = []
        steps.append(bind.step(hook))
    if group:
        steps.append(bind.step(_first_of(group)))
    return steps


def _first_of(hooks: Sequence[Hook]) -> Hook:
    if len(hooks) == 1:
        return hooks[0]

    def first() -> Any:
        for hook in hooks:
            value = hook()
            if value is not None:
                return value
        return None

    return first
