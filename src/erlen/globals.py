"""The names that mean the current request, app, session and so on, typed for ``async def``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import json
from .app import App
from .context import MISSING_APP, MISSING_REQUEST, AppGlobals, Context
from .errors import ContextError
from .proxies import Proxy, proxy_of
from .proxies import current as _current
from .requests import Request
from .sessions import SecureCookieSession, SessionMixin
from .websockets import WebSocket

__all__ = [
    "current",
    "current_app",
    "current_request",
    "current_websocket",
    "g",
    "has_app_context",
    "has_request_context",
    "has_websocket_context",
    "request",
    "session",
    "websocket",
]

AppT = TypeVar("AppT", bound=App)


def context_here(message: str = MISSING_REQUEST) -> Context[Any]:
    """Return the open context.

    :raises ContextError: if there is none.
    """
    context: Context[Any] | None = _current.get()
    if context is None:
        raise ContextError(message)
    return context


def current_request() -> Request:
    """Return the request itself, for code that keeps it or compares it."""
    return context_here().request


def current_websocket() -> WebSocket:
    """Return the websocket itself; any task of the loop may use it."""
    return context_here().websocket


def _session() -> Any:
    # PERF: every look at the session comes through here.
    return (_current.get() or context_here()).session


def _app() -> Any:
    return context_here(MISSING_APP).app


def _g() -> Any:
    return context_here(MISSING_APP).g


def current(kind: type[AppT]) -> AppT:
    """Return the app itself, as the subclass *kind* that it is.

    :raises TypeError: if it is of another class.
    """
    app = _app()
    if not isinstance(app, kind):
        raise TypeError(f"The current app is {app!r}, which is no {kind.__name__}.")
    return app


def has_request_context() -> bool:
    """Say whether there is a request here."""
    context: Context[Any] | None = _current.get()
    return context is not None and context.has_request


def has_websocket_context() -> bool:
    """Say whether there is a websocket here."""
    context: Context[Any] | None = _current.get()
    return context is not None and context.kind == "websocket" and not context.closed


def has_app_context() -> bool:
    """Say whether ``current_app`` and ``g`` can be used here."""
    context: Context[Any] | None = _current.get()
    return context is not None and not context.closed


def _json_provider() -> json.JSONProvider | None:
    context: Context[Any] | None = _current.get()
    return context.app.json if context is not None else None


# erlen.json.dumps writes as the current app does; the module itself knows no app.
json.use_provider(_json_provider)

if TYPE_CHECKING:

    class Session(dict[str, Any], SessionMixin):
        """A session as views see it: a dict with ``permanent``, ``new`` and ``modified``."""


# What is a proxy at run time is typed as what it stands for: this is the only cast.
request: Request = cast(Any, proxy_of(Request, "request")("request", current_request))
websocket: WebSocket = cast(
    Any, proxy_of(WebSocket, "conversation")("websocket", current_websocket)
)
session: Session = cast(Any, proxy_of(SecureCookieSession, "session")("session", _session))
current_app: App = cast(Any, Proxy("current_app", _app))
g: AppGlobals = cast(Any, Proxy("g", _g))
