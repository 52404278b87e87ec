"""From an endpoint to a URL, as seen from where the request is. Functions of an app."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast
from urllib.parse import quote

from .config import Config
from .context import Context
from .errors import ContextError
from .registry import Registry, scopes_of
from .routing import Router
from .rules import BuildError
from .typing import View

__all__ = ["URLApp", "ask_for_another", "inject_defaults", "url_for"]


class URLApp(Protocol):
    """What building URLs needs of the app."""

    config: Config
    registry: Registry
    router: Any

    def inject_url_defaults(self, endpoint: str, values: dict[str, Any]) -> None: ...
    def handle_url_build_error(
        self, error: BuildError, endpoint: str, values: dict[str, Any]
    ) -> str: ...


def url_for(
    app: URLApp,
    context: Context[Any] | None,
    endpoint: str | View,
    /,
    *,
    _anchor: str | None = None,
    _method: str | None = None,
    _scheme: str | None = None,
    _external: bool | None = None,
    **values: Any,
) -> str:
    """Return the URL of *endpoint*, an endpoint name or a view; see ``helpers.url_for``."""
    connected = context is not None and context.kind != "app"
    name = endpoint if isinstance(endpoint, str) else _endpoint_of(app, endpoint)
    if name.startswith("."):
        name = _relative(name, context)
    if _external is None:
        _external = _scheme is not None or (not connected and bool(app.config["SERVER_NAME"]))
    if not _external and _scheme is not None:
        raise ValueError("When specifying '_scheme', '_external' must be True.")
    app.inject_url_defaults(name, values)
    host = context.any_connection.host if connected and context is not None else None
    router = cast(Router, app.router)
    try:
        own_method = context.scope.get("method", "GET") if context is not None else "GET"
        built = router.build(name, values, method=_method, default_method=own_method, host=host)
    except BuildError as error:
        special = {"_anchor": _anchor, "_method": _method, "_scheme": _scheme}
        return app.handle_url_build_error(
            error, name, {**values, **special, "_external": _external}
        )
    path = _root_path(app, context) + built.path
    if _external or built.host not in (None, host):
        scheme = _scheme if _scheme is not None else _scheme_of(app, context, built.websocket)
        prefix = f"{scheme}://" if scheme else "//"
        path = f"{prefix}{built.host or host or _server_name(app, name)}{path}"
    return f"{path}#{quote(_anchor, safe='%!#$&()*+,/:;=?@~')}" if _anchor else path


def _endpoint_of(app: URLApp, view: View) -> str:
    for name, known in app.registry.views.items():
        if known is view:
            return name
    raise BuildError(getattr(view, "__qualname__", repr(view)), {}, None, [])


def _relative(name: str, context: Context[Any] | None) -> str:
    """Return ``.name`` as a name in the blueprint of the current request."""
    if context is None or context.kind == "app":
        raise ContextError(f"The relative endpoint {name!r} means nothing outside of a request.")
    blueprint = context.any_connection.blueprint
    return f"{blueprint}{name}" if blueprint else name[1:]


def inject_defaults(app: URLApp, endpoint: str, values: dict[str, Any]) -> None:
    """Add what the ``url_defaults`` hooks say to *values*: app first, innermost blueprint last."""
    table = app.registry.hooks["url_defaults"]
    for scope in scopes_of(endpoint):
        for hook in table.get(scope, ()):
            hook(endpoint, values)


def ask_for_another(
    handlers: Iterable[Callable[..., Any]],
    error: BuildError,
    endpoint: str,
    values: dict[str, Any],
) -> str:
    """Ask *handlers* for another URL; the last error is raised if none has one."""
    last: BuildError = error
    for handler in handlers:
        try:
            found = handler(error, endpoint, values)
        except BuildError as other:
            last = other
        else:
            if found is not None:
                return cast(str, found)
    if last is error:
        raise error
    raise last from error


def _root_path(app: URLApp, context: Context[Any] | None) -> str:
    if context is not None and context.kind != "app":
        root = context.scope.get("app_root_path", context.scope.get("root_path", ""))
    else:
        root = app.config["APPLICATION_ROOT"]
    return quote(root.rstrip("/"), safe="/!$&'()*+,:;=@~%")


def _scheme_of(app: URLApp, context: Context[Any] | None, websocket: bool) -> str:
    if context is not None and context.kind != "app":
        secure = context.any_connection.is_secure
    else:
        secure = app.config["PREFERRED_URL_SCHEME"] == "https"
        if not websocket:
            return cast(str, app.config["PREFERRED_URL_SCHEME"])
    if websocket:
        return "wss" if secure else "ws"
    return "https" if secure else "http"


def _server_name(app: URLApp, endpoint: str) -> str:
    name = app.config["SERVER_NAME"]
    if not name:
        raise ContextError(
            f"The external URL of {endpoint!r} cannot be built outside of a request without"
            " 'SERVER_NAME' configured. Set it, and 'APPLICATION_ROOT' and 'PREFERRED_URL_SCHEME'"
            " as needed."
        )
    return cast(str, name)
