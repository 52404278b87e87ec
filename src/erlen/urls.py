"""From an endpoint to a URL, as seen from where the request is. Functions of an app."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, quote

from .config import Config
from .context import Context
from .errors import ContextError, place_of
from .registry import Registry, scopes_of
from .routing import BuiltURL, Router
from .rules import BuildError, query_string
from .typing import View

__all__ = ["URL", "URLApp", "ask_for_another", "inject_defaults", "url_for", "url_to"]

_NO_HOST = (
    "The external URL of {what!r} cannot be built outside of a request without 'SERVER_NAME'"
    " configured. Set it, and 'APPLICATION_ROOT' and 'PREFERRED_URL_SCHEME' as needed."
)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SAFE_IN_ANCHOR = "%!#$&()*+,/:;=?@~"


class URL(str):
    """A URL of the app: a ``str`` that knows where it can be asked.

    Its methods return further URLs: ``url_to(show, 3).query(page=2).anchor("notes")``.
    """

    __slots__ = ("_origin",)
    _origin: tuple[str, str] | None

    def __new__(cls, url: str, origin: tuple[str, str] | None = None) -> URL:
        """Make a URL of text; *origin* is the scheme and the host that it is at."""
        made = super().__new__(cls, url)
        made._origin = origin
        return made

    def query(self, values: Mapping[str, object] | None = None, /, **more: object) -> URL:
        """Return this URL with *values* and keywords in its query.

        A name that the query has already is replaced. A list repeats its name; ``None`` takes
        the name out.
        """
        given = {**(values or {}), **more}
        rest, mark, anchor = self.partition("#")
        path, _, query = rest.partition("?")
        kept = [pair for pair in parse_qsl(query, True) if pair[0] not in given]
        parts = [text for text in (query_string(kept), query_string(given.items())) if text]
        asked = f"{path}?{'&'.join(parts)}" if parts else path
        return URL(f"{asked}{mark}{anchor}", self._origin)

    def anchor(self, name: str | None) -> URL:
        """Return this URL with *name* behind the ``#``; ``None`` takes it away."""
        url = self.partition("#")[0]
        if name is not None:
            url = f"{url}#{quote(name, safe=_SAFE_IN_ANCHOR)}"
        return URL(url, self._origin)

    def external(self, *, scheme: str | None = None) -> URL:
        """Return this URL with scheme and host, for mails and other places elsewhere.

        They are those of the request in which it was built, else ``PREFERRED_URL_SCHEME``
        and ``SERVER_NAME``. *scheme* replaces the one.

        :raises ContextError: if no host is known.
        """
        if self._origin is None:
            raise ContextError(_NO_HOST.format(what=str(self)))
        known, host = self._origin
        path = str(self) if self.startswith("/") else self.partition(host)[2]
        return URL(f"{scheme or known}://{host}{path}", (scheme or known, host))


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
    name = endpoint if isinstance(endpoint, str) else _endpoint_of(app, context, endpoint)
    if name.startswith("."):
        name = _relative(name, context)
    if _external is None:
        _external = _scheme is not None or (not connected and bool(app.config["SERVER_NAME"]))
    if not _external and _scheme is not None:
        raise ValueError("When specifying '_scheme', '_external' must be True.")
    app.inject_url_defaults(name, values)
    host = _host_here(context)
    try:
        built = _build(app, context, name, values, method=_method)
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
    return f"{path}#{quote(_anchor, safe=_SAFE_IN_ANCHOR)}" if _anchor else path


def url_to(
    app: URLApp,
    context: Context[Any] | None,
    view: View,
    args: tuple[Any, ...],
    values: Mapping[str, Any],
) -> URL:
    """Return the URL of *view* called with *args* and *values*; see ``helpers.url_to``."""
    name = _endpoint_of(app, context, view)
    given = {**_by_name(app, name, view, args, values), **values}
    app.inject_url_defaults(name, given)
    try:
        built = _build(app, context, name, given)
    except BuildError as error:
        return URL(app.handle_url_build_error(error, name, given))
    here = _host_here(context)
    host = built.host or here or app.config["SERVER_NAME"]
    origin = (_scheme_of(app, context, built.websocket), host) if host else None
    url = URL(_root_path(app, context) + built.path, origin)
    return url if built.host in (None, here) else url.external()


def _build(
    app: URLApp,
    context: Context[Any] | None,
    name: str,
    values: Mapping[str, Any],
    *,
    method: str | None = None,
) -> BuiltURL:
    router = cast(Router, app.router)
    own = context.scope.get("method", "GET") if context is not None else "GET"
    host = _host_here(context)
    return router.build(name, values, method=method, default_method=own, host=host)


def _host_here(context: Context[Any] | None) -> str | None:
    if context is None or context.kind == "app":
        return None
    return context.any_connection.host


def _by_name(
    app: URLApp, name: str, view: View, args: tuple[Any, ...], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return *args* by the names of the parameters that they are for."""
    if not args:
        return {}
    parameters = inspect.signature(view).parameters.values()
    names = [one.name for one in parameters if one.kind in _BY_POSITION]
    if hasattr(view, "__wrapped__"):
        # A decorator may add arguments of its own; what the caller gives is for the URL.
        taken = cast(Router, app.router).names_of(name)
        names = [one for one in names if one in taken]
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names):
        raise TypeError(
            f"{place_of(view)} takes {len(names)} values of its URL by position, not {len(args)}."
        )
    if twice := given.keys() & values.keys():
        raise TypeError(f"{place_of(view)} got two values for {min(twice)!r}.")
    return given


def _endpoint_of(app: URLApp, context: Context[Any] | None, view: View) -> str:
    """Return the endpoint of *view*; of several, one in the blueprint of the request."""
    names = [name for name, known in app.registry.views.items() if known == view]
    if not names:
        error = BuildError(getattr(view, "__qualname__", repr(view)), {}, None, [])
        error.add_note(
            f"{place_of(view)} is no view of this app. Pass what the decorator @app.route"
            " returned, or the name of the endpoint."
        )
        raise error
    if len(names) > 1 and context is not None and context.kind != "app":
        here = context.any_connection.blueprint or ""
        names.sort(key=lambda name: name.rpartition(".")[0] != here)
    return names[0]


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
        raise ContextError(_NO_HOST.format(what=endpoint))
    return cast(str, name)
