"""Who answers an error: the app's handler for it, or its own page. Knows no other step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urljoin

from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect as StarletteClientDisconnect

from .binding import Binding, Step
from .config import Config
from .context import Context, ContextApp
from .errors import SetupAssertionError, place_of
from .exceptions import (
    BadRequest,
    BadRequestKeyError,
    ClientDisconnected,
    HTTPException,
    RequestRedirect,
    default_exceptions,
    error_response,
)
from .logs import printable
from .matching import split_host, subdomain_of
from .proxies import current
from .registry import Registry, blueprint_of
from .responses import Response
from .results import WrongResult

__all__ = ["ErrorHandlers", "HandledApp", "naming_the_view"]


class HandledApp(ContextApp, Protocol):
    """What this needs of the app above."""

    config: Config
    registry: Registry
    debug: bool
    errors: str
    exception_handlers: Any
    subdomain_matching: bool


_MOST_KINDS = 1000
"""Of how many kinds of errors the handler is remembered; an app has a few."""
_UNKNOWN: Any = object()


class ErrorHandlers:
    """What answers the errors of one blueprint, bound to where its steps run."""

    def __init__(self, app: HandledApp, endpoint: str | None, bind: Binding) -> None:
        registry = app.registry
        self.endpoint = endpoint
        self.bind = bind
        self.shown = registry.options.get(blueprint_of(endpoint), {}).get("errors") or app.errors
        """Whether errors are pages, problem documents, or what the client prefers."""
        self.has_prefixes = bool(registry.prefixes)
        self.shows_keys = app.debug or bool(app.config["TRAP_BAD_REQUEST_ERRORS"])
        """Whether the error for a missing key says which."""
        self.trapped = _trapped_by(app)
        self._known: dict[tuple[type[Any], int | None, str | None], Any] = {}

    def handler_of(self, context: Context[Any], error: Exception) -> tuple[Step | None, Any]:
        """Find what answers *error*; return it with the error that it takes.

        An HTTP error that has no handler answers itself; another one is raised again.
        """
        if context.exits:
            context.raised = error  # handled or not, it left the view
        if isinstance(error, StarletteClientDisconnect):
            error = ClientDisconnected("The client left before its request was complete.")
        elif isinstance(error, WrongResult):
            error = naming_the_view(context, error)
        elif self.shows_keys and isinstance(error, BadRequestKeyError):
            error.show_exception = True
        if isinstance(error, StarletteHTTPException) and not (self.trapped and self._traps(error)):
            return self._handler_of_http(context, error)
        handler = self.handler_for(context, error, None)
        if handler is None:
            try:
                raise error
            finally:
                del error
        return handler, error

    def _traps(self, error: StarletteHTTPException) -> bool:
        """Say whether an HTTP error is to surface as the programming error that it may be."""
        return isinstance(error, self.trapped) and not isinstance(error, RequestRedirect)

    def _handler_of_http(
        self, context: Context[Any], error: StarletteHTTPException
    ) -> tuple[Step | None, Any]:
        """Find the handler of an HTTP error; return it, if any, with the error that it takes.

        Of a class that somebody derived from Starlette's, a handler is more special than one
        of a code, and gets the error itself. Others get one of ours.
        """
        if not isinstance(error, HTTPException):
            handler = self.handler_for(context, error, None)
            if handler is not None:
                return handler, error
        own = error if isinstance(error, HTTPException) else _own(error)
        if own.code is None or isinstance(own, RequestRedirect):
            return None, own
        if own.code == 413:
            path = printable(context.any_connection.path)
            context.app.logger.warning("Refused a body of %s: %s", path, own.description)
        return self.handler_for(context, own, own.code), own

    def page_of(self, context: Context[Any], error: HTTPException) -> Response:
        """Answer an HTTP error that has no handler."""
        if isinstance(error, RequestRedirect):
            _lose_no_form(context, error)
            return error.get_response()
        return error.get_response() if error.code is None else self.error_response(context, error)

    def handler_for(self, context: Context[Any], error: Exception, code: int | None) -> Step | None:
        """Find the handler of *error*: ours by scope, then one of Starlette's table."""
        endpoint = self.endpoint
        if self.has_prefixes and context.route is None:
            owner = _scope_below(context, "owns_prefix")
            endpoint = endpoint if owner is None else f"{owner}."
        key = (error.__class__, code, endpoint)
        handler: Step | None = self._known.get(key, _UNKNOWN)
        if handler is _UNKNOWN:
            found = context.app.registry.error_handler_for(self._kinds(*key[:2]), code, endpoint)
            handler = None if found is None else self.bind.step(found)
            if len(self._known) < _MOST_KINDS:
                self._known[key] = handler
        if handler is None and context.app.exception_handlers:
            return self._foreign_handler(context.app.exception_handlers, error, code)
        return handler

    def _kinds(self, kind: type[Exception], code: int | None) -> Sequence[type[Any]]:
        """Return the classes to look for, the most derived first."""
        kinds = kind.__mro__
        if code is None and StarletteHTTPException in kinds and not issubclass(kind, self.trapped):
            return kinds[: kinds.index(StarletteHTTPException)]
        return kinds

    def _foreign_handler(
        self, table: Mapping[Any, Any], error: Exception, code: int | None
    ) -> Step | None:
        foreign = table.get(code) if code is not None else None
        if foreign is None:
            kinds = self._kinds(error.__class__, code)
            foreign = next((table[kind] for kind in kinds if kind in table), None)
        if foreign is None:
            return None
        step = self.bind.step(foreign)

        def call_foreign(error: Exception) -> Any:
            return step(current.get().any_connection.starlette, error)

        return call_foreign

    def error_response(self, context: Context[Any], error: HTTPException) -> Response:
        """Return the page or the problem document of *error*, as the client prefers."""
        shown = self.shown
        if context.rule is None and (scope := _scope_below(context, "errors")) is not None:
            shown = context.app.registry.options[scope]["errors"]
        headers = context.any_connection.headers
        return error_response(error, shown, headers.get("accept"), headers.get("content-type"))


def naming_the_view(context: Context[Any], error: WrongResult) -> TypeError:
    """Return the error for a wrong result with the view that returned it."""
    view = context.app.registry.views.get(context.endpoint)
    name = f"view {place_of(view)}" if view is not None else "hook or handler"
    return TypeError(f"The {name} did not return a valid response. {error}")


def _scope_below(context: Context[Any], option: str) -> str | None:
    """Return the blueprint that says *option* for a URL that no rule serves."""
    app = context.app
    if not app.registry.prefixes:
        return None
    connection = context.any_connection
    label = None
    if app.subdomain_matching:
        label = subdomain_of(split_host(connection.host)[0], app.config["SERVER_NAME"])
        if label is None:
            return None
    scope: str | None = app.registry.scope_below(connection.path, label, option)
    return scope


def _trapped_by(app: HandledApp) -> tuple[type[Exception], ...]:
    """Return the HTTP errors that are to surface as the programming errors that they may be."""
    if app.config["TRAP_HTTP_EXCEPTIONS"]:
        return (StarletteHTTPException,)
    trap = app.config["TRAP_BAD_REQUEST_ERRORS"]
    if trap is None:
        return (BadRequestKeyError,) if app.debug else ()
    return (BadRequest,) if trap else ()


def _lose_no_form(context: Context[Any], error: RequestRedirect) -> None:
    """Refuse, in debug mode, a redirect after which a browser sends its form no more."""
    if not context.app.debug or error.code in (307, 308) or context.kind != "http":
        return
    request = context.request
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        raise SetupAssertionError(
            f"{request.method} {request.url!r} is redirected to the canonical URL"
            f" {urljoin(request.url, error.new_url)!r} with a {error.code}, and browsers drop the"
            " body of a form then. Send the form to the canonical URL, or leave the code of"
            " RequestRedirect at 308. Only debug mode says this."
        )


def _own(error: StarletteHTTPException) -> HTTPException:
    """Return an HTTP error of Starlette's as the one of ours with that code."""
    own = default_exceptions.get(error.status_code, HTTPException)(error.detail or None)
    own.code = error.status_code
    own.extra_headers += list((error.headers or {}).items())
    own.__cause__ = error
    return own
