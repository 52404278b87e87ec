"""Where the server comes in: from a scope to the handler of its rule, and the last resort.

These are functions of a scope and not methods, because the middleware stack keeps what it is
given: a bound method there would keep the app alive for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as StarletteRoute

from .context import Context
from .exceptions import Forbidden, HTTPException
from .forwarding import forward
from .hosts import same_origin
from .lifespan import run_lifespan
from .logs import printable
from .pipeline import Handler, Pipelines
from .proxies import current
from .results import Foreign
from .typing import ASGIApp, Receive, Scope, Send

__all__ = ["Others", "guard", "serve"]


@dataclass(frozen=True, slots=True)
class Others:
    """The handlers of what no rule of ours serves."""

    miss: Handler
    miss_websocket: Handler
    route: Handler
    mount: Handler

    @classmethod
    def compiled(cls, pipelines: Pipelines) -> Others:
        """Compile them."""
        return cls(
            pipelines.miss(),
            pipelines.miss(websocket=True),
            pipelines.around(_answer_foreign),
            pipelines.around(_answer_foreign, hooks=False),
        )

    def handler_of(self, route: BaseRoute | None, kind: str) -> Handler:
        """Return what serves a foreign *route*, or nothing at all."""
        if kind == "websocket":
            return self.miss_websocket if route is None else _foreign_websocket
        if route is None:
            return self.miss
        return self.route if isinstance(route, StarletteRoute) else self.mount


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one scope of the app that it names."""
    app = scope["app"]
    kind = scope["type"]
    if kind == "lifespan":
        await run_lifespan(scope, receive, send, app.serving(), app.log_problem)
        return
    if kind not in ("http", "websocket"):
        raise RuntimeError(f"The ASGI server asks for {kind!r}, which is not served here.")
    if not app.frozen:
        app.begin()
    if app.hops is not None:
        forward(scope, app.hops)
    error = app.look_at_host(scope)
    route, params, failure = app.router.resolve(scope)
    if kind == "websocket" and error is None:
        error = _look_at_origin(app, scope)
    if error is not None:
        route, params, failure = None, {}, error
    context: Context[Any] = Context(app, scope, receive, send, route, params, failure)
    scope["router"] = app.router
    handler: Handler
    try:
        handler = route.handler
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        scope["path_params"] = params
    except AttributeError:
        handler = app.others.handler_of(route, kind)
        scope["route"] = route if route is not None else getattr(failure, "route", None)
    # A server may run one request in the variables of another, so the variable is set here
    # whatever it holds, and never reset by its token.
    outer = current.get()
    current.set(context)
    try:
        await handler(context)
    finally:
        if "erlen.keep" in scope:
            scope["erlen.keep"](context)
        else:
            context.closed = True
        current.set(None if outer is None or outer.closed else outer)


def _look_at_origin(app: Any, scope: Scope) -> HTTPException | None:
    """Return the 403 for a websocket that a page of somebody else opens."""
    headers = {name: value for name, value in scope["headers"] if name in (b"origin", b"host")}
    if b"origin" not in headers:
        return None
    origin = headers[b"origin"].decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    allowed = app.config["WEBSOCKET_ORIGINS"] or ()
    scheme = scope.get("scheme", "ws")
    if same_origin(origin, scheme=scheme, host=host, allowed=allowed, debug=app.debug):
        return None
    app.logger.warning(
        "Refused a websocket: its Origin %s is not the host %s. To allow it, add it to"
        " WEBSOCKET_ORIGINS.",
        printable(origin),
        printable(host),
    )
    return Forbidden("Websockets of this page are not allowed here.")


def guard(stack: ASGIApp) -> ASGIApp:
    """Answer what even the pipeline could not, around the user's middleware."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await stack(scope, receive, send)
        except Exception as error:
            app = scope["app"]
            propagate = app.testing or app.config["PROPAGATE_EXCEPTIONS"]
            served = scope["type"] in ("http", "websocket")
            if propagate or not served or "erlen.sending" in scope:
                raise
            app.log_exception(error, Context(app, scope))
            if scope["type"] == "http":
                await app.render_failure(error, scope)(scope, receive, send)

    return guarded


async def _answer_foreign(context: Context[Any]) -> Foreign:
    """Let a route that is not ours answer, in our context and with our session."""
    route = cast(BaseRoute, context.route)
    child = cast("dict[str, Any]", context.params)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = context.untouched_session
        _enter(route, scope, child)
        await route.handle(scope, receive, send)

    return Foreign(answer)


def _enter(route: BaseRoute, scope: Scope, child: dict[str, Any]) -> None:
    """Make *scope* the one of the foreign route, with the state of its own lifespan."""
    scope.update(child)
    if isinstance(route, Mount) and "state" in scope:
        mounts = scope["state"].get("erlen.mounts", {})
        scope["state"] = mounts.get(id(route), scope["state"])


async def _foreign_websocket(context: Context[Any]) -> None:
    route = cast(BaseRoute, context.route)
    scope = context.scope
    scope["session"] = context.untouched_session
    _enter(route, scope, cast("dict[str, Any]", context.params))
    await route.handle(scope, context.receive, context.send)
