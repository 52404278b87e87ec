"""Where the server comes in: from a scope to the pipeline of its rule, and the last resort.

These are functions of a scope and not methods, because the middleware stack keeps what it is
given: a bound method there would keep the app alive for ever.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable
from contextlib import suppress
from threading import get_ident
from typing import Any, NamedTuple, cast

from starlette.applications import Starlette
from starlette.exceptions import WebSocketException
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as StarletteRoute
from starlette.routing import WebSocketRoute as StarletteWebSocketRoute
from starlette.websockets import WebSocketDisconnect as StarletteWebSocketDisconnect

from .concurrency import running_loop
from .context import Context, context_of
from .exceptions import (
    Forbidden,
    HTTPException,
    MethodNotAllowed,
    ServiceUnavailable,
    error_response,
)
from .forwarding import forward
from .hosts import HOST_NAMES, same_origin
from .lifespan import run_lifespan
from .logs import printable
from .matching import SOCKET, Key
from .pipeline import Pipeline, Pipelines, Straight
from .proxies import current
from .responses import BODILY, SHORT, SHORT_LENGTHS, content_length
from .results import HTML, Foreign
from .sending import tells_departure
from .signals import heard, somebody_listens
from .timeouts import Within, current_task
from .typing import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Others", "entrance", "guard", "serve", "unguarded"]

# PERF: a method that is looked up in what another module gave is made anew for each call.
get_current, set_current, reset_current = current.get, current.set, current.reset

_STARLETTE = Starlette.__call__
"""What instruments of Starlette put their own in the place of."""

_NO_ASYNCIO = (
    "Erlen runs on asyncio, and there is no event loop of asyncio here. Choose a server, or a"
    " worker of your server, that runs asyncio or uvloop."
)

_NO_METHODS: dict[Any, Any] = {}

_LAST_WORDS = 0.2
"""Seconds that a client has to take the end of a response when the server stops."""


class Others(NamedTuple):
    """The pipelines of what no rule of ours serves."""

    miss: Pipeline
    miss_websocket: Pipeline
    route: Pipeline
    route_websocket: Pipeline
    mount: Pipeline
    mount_websocket: Pipeline

    @classmethod
    def compiled(cls, pipelines: Pipelines) -> Others:
        """Compile them."""
        return cls(
            pipelines.miss(),
            pipelines.miss(websocket=True),
            pipelines.around(_answer_foreign),
            pipelines.around(_converse_foreign, websocket=True),
            pipelines.around(_answer_foreign, hooks=False),
            pipelines.around(_converse_foreign, hooks=False, websocket=True),
        )

    def pipeline_of(self, route: BaseRoute | None, kind: str) -> Pipeline:
        """Return what serves a foreign *route*, or nothing at all."""
        if kind == "websocket":
            if route is None:
                return self.miss_websocket
            single = isinstance(route, StarletteWebSocketRoute)
            return self.route_websocket if single else self.mount_websocket
        if route is None:
            return self.miss
        return self.route if isinstance(route, StarletteRoute) else self.mount


async def serve(
    app: Any,
    scope: Scope,
    receive: Receive,
    send: Send,
    inside: bool = False,
    guarded: bool = True,
) -> None:
    """Serve one scope: this is what calling *app* does, and what its middleware has *inside*.

    Where it is *guarded*, it answers what even the pipeline could not; else :func:`guard` does,
    around the middleware.

    PERF: Starlette's own call, which leads to the middleware, is one more coroutine for each
    request. It is left out where there is none, unless somebody put an instrument in its place.
    No argument has to be named: Python would look its default up by its name for each call.
    """
    if not inside:
        if app.middleware_stack is not entrance or Starlette.__call__ is not _STARLETTE:
            return await Starlette.__call__(app, scope, receive, send)
        scope["app"] = app
    try:
        kind = scope["type"]
        if kind == "http":
            key = scope["method"]
        elif kind == "websocket":
            key = SOCKET
        else:
            return await _serve_other(app, kind, scope, receive, send)
        if not app.frozen:
            app.begin()
        # PERF: the loop that ran last runs now if this is its thread and it has a task. To ask
        # which one runs is to ask the system for the process, up to Python 3.11.
        flights, thread = app.in_flight, get_ident()
        task = current_task(flights.loop) if thread == flights.thread else None
        if task is None:
            flights = _flights_here(app)
            if not flights.admit():
                return await _refuse(app, scope, receive, send)
            task = current_task(flights.loop)
        context = _matched(app, kind, key, scope, receive, send, thread)
        context.task = task
        if flights.latest is not None:  # it waits for something
            flights.active.add(flights.latest)
        flights.latest = context
        keep = scope.get("erlen.keep")
        outer = get_current()
        token = set_current(context)
        try:
            pipeline = context.pipeline
            if keep is not None or (heard and somebody_listens()):
                await pipeline.full(context)
            elif pipeline.__class__ is not Straight:
                await pipeline.usual(context)
            else:  # PERF: what Straight is for
                rest: Any
                headers: Any
                body: Any
                rest = headers = body = value = response = None
                status = 200
                try:
                    if pipeline.before:
                        for step in pipeline.before:
                            value = await step()
                            if value is not None:
                                break
                    if value is None:
                        context.stage = "view"
                        view, params = pipeline.view, context.params
                        value = await (view(**params) if params else view())
                    if value.__class__ is str and pipeline.takes_text:
                        # PERF: without looking for what lays it out, and calling that.
                        body = value.encode()
                        size = len(body)
                        length = SHORT_LENGTHS[size] if size < SHORT else content_length(size)
                        headers = [HTML, length]
                    elif (lay_out := pipeline.plain.get(value.__class__)) is None:
                        rest = pipeline.rest(context, value)
                    else:
                        headers, body = lay_out(value)
                    if context.untidy and rest is None:
                        rest = pipeline.rest(context, response=pipeline.response(headers, body))
                    elif pipeline.after and rest is None:
                        context.stage = None
                        made = response = pipeline.response(headers, body)
                        for step, hook in pipeline.after:
                            changed = await step(response)
                            if changed is not response:
                                replaced = pipeline.flow.replaced
                                response = await replaced(context, response, changed, hook)
                        status, headers = response.status_code, response.raw_headers
                        body = response.body
                        if (
                            context.untidy
                            or response is not made
                            or response.stream is not None
                            or response.background is not None
                            or response.callbacks is not None
                            or (status != 200 and status not in BODILY)
                        ):
                            rest = pipeline.finished(context, response)
                except BaseException as error:
                    if response is None:
                        rest = pipeline.rest(context, None, error)
                    else:
                        rest = pipeline.finished(context, response, error)
                if rest is not None:  # awaited here, where no error is handled
                    await rest
                else:
                    context.stage = None
                    if key == "HEAD":
                        body = b""
                    try:
                        await send(
                            {"type": "http.response.start", "status": status, "headers": headers}
                        )
                        await send({"type": "http.response.body", "body": body})
                    except BaseException as error:
                        scope["erlen.sent"] = "http.response.start"
                        if not (isinstance(error, OSError) and tells_departure(scope)):
                            await pipeline.flow.end(context, error)
                            raise
                    if context.untidy or context.connection is not None:
                        scope["erlen.sent"] = "http.response.start"
                        if context.untidy:
                            await pipeline.flow.end(context, None)
                        else:
                            context.connection.close()
        except CancelledError:
            if not context.was_ended:
                raise
            if context.is_drained:
                await _say_goodbye(context)
        finally:
            if keep is not None:
                flights.settle(context)
                keep(context)
            elif flights.latest is context:
                flights.latest, context.closed = None, True
            elif flights.settle(context):
                context.closed = True
            try:
                reset_current(token)
            except ValueError:  # what ends this has other variables than what began it
                outer = context if get_current() is context else None
            if outer is not None and outer.closed:
                set_current(None)
    except Exception as unhandled:
        if not (guarded and await _answered(app, unhandled, scope, receive, send)):
            raise
    return None


def _matched(
    app: Any,
    kind: str,
    key: Key,
    scope: Scope,
    receive: Receive,
    send: Send,
    thread: int,
) -> Context[Any]:
    """Return the context of *scope*, with the pipeline of what its path and its host lead to."""
    headers: Any
    try:
        headers, root_path = scope["headers"], scope["root_path"]
    except KeyError:  # which a server may leave out
        headers = root_path = None
    if root_path or headers.__class__ is not list or app.hops is not None:
        headers, root_path = _prepare(app, scope)
    router = app.router
    route: Any
    params: dict[str, Any]
    index = router.routes.arranged
    if index is None or root_path:
        route, params, failure = router.resolve(scope)
    else:  # PERF: without a call for a static path, as most are: 0.1 us (bench plaintext)
        path = scope["path"]
        known = index.static.get(path, _NO_METHODS).get(key)
        if known is not None:
            route, defaults = known
            params, failure = defaults.copy(), None
        else:
            route, params, failure = router.search(index, scope, path, key)
    error: HTTPException | None = None
    host: bytes | None = None
    good_hosts = app.good_hosts
    for name, value in headers:
        if name in HOST_NAMES:
            # PERF: most requests have one, and one that was looked at before.
            if host is not None or value not in good_hosts:
                host = None
                break
            host = value
    if host is None:
        error = app.look_at_host(headers, scope.get("server"))
    if key is SOCKET and error is None:
        error = _look_at_origin(app, scope)
    if error is not None:
        route, params, failure = None, {}, error
    scope["router"] = router
    pipeline: Pipeline
    if route is None:
        pipeline = app.others.pipeline_of(None, kind)
        if isinstance(failure, MethodNotAllowed):
            _name_missed(scope, failure)
    else:
        try:
            pipeline = route.pipeline
            scope["endpoint"] = route.endpoint
            scope["path_params"] = params
        except AttributeError:
            pipeline = app.others.pipeline_of(route, kind)
        scope["route"] = route
    context: Context[Any] = Context()
    context.app = app
    context.scope = scope
    context.kind = kind
    context.receive = receive
    context.send = send
    context.route = route
    context.pipeline = pipeline
    context.params = params
    context.error = failure
    context.connection = None
    context.closed = context.inline = context.untidy = False
    context.loop_thread = thread
    return context


async def entrance(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one scope of the app that it names, which may be one that is mounted."""
    await serve(scope["app"], scope, receive, send, inside=True)


async def unguarded(scope: Scope, receive: Receive, send: Send) -> None:
    """Do what :func:`entrance` does inside the user's middleware, with a guard around that."""
    await serve(scope["app"], scope, receive, send, inside=True, guarded=False)


def _prepare(app: Any, scope: Scope) -> tuple[list[tuple[bytes, bytes]], str]:
    """Make of an unusual *scope* a usual one; return its headers and its root path."""
    if app.hops is not None:
        forward(scope, app.hops)
    root_path: str = scope.get("root_path", "")
    if "app_root_path" in scope:
        # Somebody mounted this app; what is mounted here in turn builds its URLs from here.
        scope["app_root_path"] = root_path
    if type(scope.get("headers")) is not list:
        # Any iterable will do, and it is read again.
        scope["headers"] = list(scope.get("headers") or ())
    return cast("list[tuple[bytes, bytes]]", scope["headers"]), root_path


async def _serve_other(app: Any, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the lifespan; nothing else is known besides requests and websockets."""
    if kind != "lifespan":
        raise RuntimeError(f"The ASGI server asks for {kind!r}, which is not served here.")
    if running_loop() is None:
        raise RuntimeError(_NO_ASYNCIO)
    await run_lifespan(app, scope, receive, send)


def _flights_here(app: Any) -> Any:
    """Return what *app* serves on the loop that runs."""
    if running_loop() is None:
        raise RuntimeError(_NO_ASYNCIO)
    return app.in_flight_here()


async def _refuse(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without the app, which is about to end: a 503, or 1012 for a websocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1012, "reason": ""})
        return
    headers = {name.lower(): value for name, value in scope.get("headers") or ()}
    texts = [headers.get(name, b"").decode("latin-1") for name in (b"accept", b"content-type")]
    error = ServiceUnavailable("The server stops. Please try again in a moment.", retry_after=1)
    scope["erlen.sent"] = "http.response.start"
    response = error_response(error, app.errors, *texts)
    if scope.get("http_version", "1.1").startswith("1"):
        response.headers["connection"] = "close"
    await response(scope, receive, send)


async def _say_goodbye(context: Context[Any]) -> None:
    """End the response of a request that was ended because the server stops.

    A stream that could go on for ever is complete wherever it ends. Another body is not, and
    its connection has to be closed by the server.
    """
    goodbye: Awaitable[None] | None = None
    if context.kind == "http" and "erlen.sent" not in context.scope:
        goodbye = _refuse(context.app, context.scope, context.receive, context.send)
    elif getattr(context.sending, "is_endless", False):
        goodbye = context.send({"type": "http.response.body", "body": b"", "more_body": False})
    if goodbye is not None:
        with suppress(TimeoutError, OSError, CancelledError):
            await Within(goodbye, _LAST_WORDS)


def _name_missed(scope: Scope, failure: MethodNotAllowed) -> None:
    """Put the route that does not take the method into *scope*."""
    missed: BaseRoute | None = getattr(failure, "route", None)
    if missed is not None:
        scope["route"] = missed
        scope.update(missed.matches(scope)[1])


def _look_at_origin(app: Any, scope: Scope) -> HTTPException | None:
    """Return the 403 for a websocket that a page of somebody else opens."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    if b"origin" not in headers:
        return None
    origin = headers[b"origin"].decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    allowed = app.config["WEBSOCKET_ORIGINS"] or ()
    scheme = scope.get("scheme", "ws")
    if same_origin(origin, scheme=scheme, host=host, allowed=allowed, debug=app.debug):
        return None
    app.logger.warning(
        "Refused a websocket: its Origin %s is not the host %s://%s. To allow it, add it to"
        " WEBSOCKET_ORIGINS; if only http and https differ, a proxy speaks TLS for this app: set"
        " TRUSTED_PROXIES.",
        printable(origin),
        "https" if scheme in ("https", "wss") else "http",
        printable(host),
    )
    return Forbidden("Websockets of this page are not allowed here.")


def guard(stack: ASGIApp) -> ASGIApp:
    """Answer what even the pipeline could not, around the user's middleware."""
    stack = _noting_what_is_sent(stack)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        app = scope["app"]
        try:
            await stack(scope, receive, send)
        except Exception as error:
            if not await _answered(app, error, scope, receive, send):
                raise

    return guarded


async def _answered(app: Any, error: Exception, scope: Scope, receive: Receive, send: Send) -> bool:
    """Log *error* and answer it, unless it is to be raised again."""
    propagate = app.testing or app.config["PROPAGATE_EXCEPTIONS"]
    if propagate is None:  # FLASK: debug mode raises; here browsers see it, and tests catch it
        propagate = app.debug and "erlen.tested" in scope
    sent: str | None = scope.get("erlen.sent")
    served = scope["type"] == "websocket" or (scope["type"] == "http" and sent is None)
    if propagate or not served:
        return False
    context: Context[Any] = context_of(app, scope)
    outer = current.get()
    current.set(context)
    try:
        app.log_exception(error, context)
    finally:
        current.set(outer)
    if scope["type"] == "http":
        await app.render_failure(error, scope)(scope, receive, send)
    elif sent in (None, "websocket.accept", "websocket.send"):
        with suppress(OSError):
            await send({"type": "websocket.close", "code": 1011, "reason": ""})
    return True


def _noting_what_is_sent(stack: ASGIApp) -> ASGIApp:
    """Note it in the scope that comes in: middleware may answer, or hand on a copy of it."""

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        async def noting_send(message: Message) -> None:
            if message["type"] not in _INFORMATIONAL:
                scope["erlen.sent"] = message["type"]
            await send(message)

        await stack(scope, receive, noting_send)

    return noting


_INFORMATIONAL = frozenset({"http.response.push", "http.response.early_hint"})
"""What may be sent before a response."""


async def _answer_foreign(context: Context[Any]) -> Foreign:
    """Let a route that is not ours answer, in our context and with our session."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await _hand_over(context, receive, _with_session_of(scope, send))

    return Foreign(answer)


async def _converse_foreign(context: Context[Any]) -> None:
    """Let a route that is not ours converse; its errors are those of a view of ours."""
    websocket = context.websocket
    try:
        await _hand_over(context, websocket.receive_message, websocket.send_message)
    except StarletteWebSocketDisconnect:
        websocket.closed = True
    except WebSocketException as error:
        await websocket.close(error.code, error.reason)


async def _hand_over(context: Context[Any], receive: Receive, send: Send) -> None:
    """Let the foreign route of *context* serve its scope."""
    route, scope = cast(BaseRoute, context.route), context.scope
    scope["session"] = context.untouched_session
    keep = scope.pop("erlen.keep", None)
    if not isinstance(route, (StarletteRoute, StarletteWebSocketRoute)):
        # WHY: an app that is mounted writes its own app, root_path and route into the scope,
        # where instruments look for them. Our hooks go on seeing the request as it came.
        context.any_connection.scope = dict(scope)
    scope.update(cast("dict[str, Any]", context.params))
    if isinstance(route, Mount) and "state" in scope:
        # WHY: not instead of ours, which is the copy of this request alone; what middleware
        # left there is for the mounted app too.
        scope["state"].update(scope["state"].get("erlen.mounts", {}).get(id(route), {}))
    try:
        await route.handle(scope, receive, send)
    finally:
        if keep is not None:
            scope["erlen.keep"] = keep


def _with_session_of(scope: Scope, send: Send) -> Send:
    """Return *send* so that who is around this app finds its own session in *scope*."""
    if "session" not in scope:
        return send
    theirs = scope["session"]

    async def send_with_session(message: Message) -> None:
        ours, scope["session"] = scope["session"], theirs
        try:
            await send(message)
        finally:
            scope["session"] = ours

    return send_with_session
