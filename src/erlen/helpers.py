"""The functions that views call. Each is a plain call in both colours, unless it has to wait."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, NoReturn, ParamSpec, TypeVar, cast, overload

from . import templating, urls
from .concurrency import Pending, wait_for
from .context import MISSING_APP
from .errors import ContextError
from .exceptions import abort as default_abort
from .files import send_file as file_response
from .files import send_from_directory as directory_response
from .globals import context_here
from .proxies import current
from .responses import Response
from .responses import redirect as default_redirect
from .typing import View
from .urls import URL

__all__ = [
    "abort",
    "after_this_request",
    "copy_current_app_context",
    "copy_current_request_context",
    "copy_current_websocket_context",
    "enter",
    "flash",
    "get_flashed_messages",
    "get_template_attribute",
    "jsonify",
    "make_response",
    "redirect",
    "render_template",
    "render_template_async",
    "render_template_string",
    "render_template_string_async",
    "send_file",
    "send_from_directory",
    "stream_template",
    "stream_template_string",
    "stream_with_context",
    "url_for",
    "url_to",
]

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def abort(code: int | Response, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise the HTTP exception for *code*, or send a response as it is.

    The arguments go to the exception: ``abort(404, "no such note")``. Further keywords become
    members of a problem document.

    :raises LookupError: if there is no exception for the code.
    """
    context = current.get()
    if context is not None:
        context.app.aborter(code, *args, **kwargs)
    default_abort(code, *args, **kwargs)


def redirect(location: str, code: int = 302, Response: type[Response] | None = None) -> Response:
    """Return a response that sends the client to *location*.

    Its host is written in ASCII, and the rest of *location* percent-encoded where it has to be.

    :raises ValueError: if *code* is no redirect, or *location* is a script.
    """
    context = current.get()
    if context is not None and Response is None:
        response: Any = context.app.redirect(location, code)
        return response  # type: ignore[no-any-return]
    return default_redirect(location, code, *((Response,) if Response is not None else ()))


def url_for(
    endpoint: str | View,
    /,
    *,
    _anchor: str | None = None,
    _method: str | None = None,
    _scheme: str | None = None,
    _external: bool | None = None,
    **values: Any,
) -> str:
    """Return the URL of *endpoint*: its name, or the view itself.

    A name that begins with a dot is in the blueprint of the current request. Values that the
    rule does not take become the query. *_external* makes it absolute, which is also what
    *_scheme* means; *_method* chooses between rules of one endpoint.

    :raises BuildError: if no rule fits.
    :raises ContextError: outside of an app context.
    """
    app = context_here(MISSING_APP).app
    built: str = app.url_for(
        endpoint,
        _anchor=_anchor,
        _method=_method,
        _scheme=_scheme,
        _external=_external,
        **values,
    )
    return built


def url_to(view: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> URL:
    """Return the URL at which *view* would be called with these arguments.

    A type checker looks at them as at a call. ``url_to(show, 3).query(page=2)`` adds a query,
    ``.anchor("notes")`` a fragment, ``.external()`` scheme and host. Arguments that the rule
    does not take become the query. It is a path, unless the rule is on another host.

    :raises BuildError: if *view* is no view of this app, or no rule fits.
    :raises TypeError: if there are more positional arguments than the view takes.
    :raises ContextError: outside of an app context.
    """
    context = context_here(MISSING_APP)
    return urls.url_to(context.app, context, view, args, kwargs)


def make_response(*args: Any) -> Response:
    """Return the response that a view would lead to that returned *args*.

    Without arguments it is empty. What an ``async def`` view returned, called by a ``def``
    decorator, is waited for in a worker thread. On the loop it cannot be, and the response is
    not there yet: it may be returned, and to change it is a ``TypeError`` that says how.
    """
    context = context_here(MISSING_APP)
    app = context.app
    value: Any = args[0] if len(args) == 1 else args or ""
    if hasattr(value, "__await__"):

        async def later() -> Response:
            response: Response = app.make_response(await value)
            return response

        return cast(Response, Unawaited(value, later)) if context.on_its_loop else wait_for(later)
    response: Response = app.make_response(value)
    return response


class Unawaited(Pending[Response]):
    """The response of a view that nobody has awaited: it can be returned, and that is all."""

    __slots__ = ("_value",)

    _advice = (
        "was given what an async def view returned, and nobody has awaited that: there is no"
        " response yet. A decorator for views of both colours changes it in @after_this_request;"
        " one for async def views is async def itself: response = make_response(await view(...))"
    )

    def __init__(self, value: Any, start: Callable[[], Coroutine[Any, Any, Response]]) -> None:
        super().__init__("make_response(...)", start)
        self._value = value

    def __getattr__(self, name: str) -> NoReturn:
        if inspect.iscoroutine(self._value) and not name.startswith("__"):
            self._value.close()  # it is refused here and now, not warned of later
        super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self.__getattr__(name)
        super().__setattr__(name, value)


def jsonify(*args: Any, **kwargs: Any) -> Response:
    """Return a JSON response: of one value, of several as a list, of keywords as an object.

    :raises TypeError: for values and keywords at once.
    """
    app = context_here(MISSING_APP).app
    provider = app.json
    if provider.answers:
        return cast(Response, provider.response(*args, **kwargs))
    response: Response = app.response_class(
        provider.render(*args, **kwargs), content_type=provider.mimetype
    )
    return response


def after_this_request(function: F) -> F:
    """Run *function*, of either colour, with the response of this request; it returns one."""
    context = context_here()
    if not context.has_request:
        raise ContextError("'after_this_request' can only be used when a request is served.")
    context.add_after(function)
    return function


@overload
def enter(manager: AbstractAsyncContextManager[T]) -> Awaitable[T]: ...
@overload
def enter(manager: AbstractContextManager[T]) -> T: ...
def enter(manager: Any) -> Any:
    """Enter *manager* for the rest of this context; like ``request.enter``, without a request.

    For ``with app.app_context():``, commands, background tasks. See
    :meth:`Request.enter <erlen.Request.enter>`.

    :raises ContextError: outside of an app context.
    """
    return context_here(MISSING_APP).enter(manager)


# -- files ---------------------------------------------------------------------------------


def send_file(path_or_file: Any, **options: Any) -> Response:
    """Return a file as a response: ranges, conditional requests and caching included.

    A relative path is below the folder of the app. ``mimetype``, ``as_attachment``,
    ``download_name``, ``conditional``, ``etag``, ``last_modified`` and ``max_age`` (seconds)
    are as in Flask.

    :raises FileNotFoundError: if there is no such file.
    """
    return file_response(path_or_file, **_file_options(options))


def send_from_directory(directory: Any, path: str, **options: Any) -> Response:
    """Return a file below *directory* as a response; *path* may come from the client.

    :raises NotFound: 404, for everything that is no regular file inside of it.
    """
    return directory_response(directory, path, **_file_options(options))


def _file_options(options: dict[str, Any]) -> dict[str, Any]:
    context = context_here(MISSING_APP)
    app = context.app
    if options.get("max_age") is None:
        options["max_age"] = app.get_send_file_max_age
    return {
        "root": app.root_path,
        "conditions": context.request if context.has_request else None,
        "response_class": app.response_class,
        "use_x_sendfile": app.config["USE_X_SENDFILE"],
        **options,
    }


# -- templates -----------------------------------------------------------------------------


def render_template(template_name_or_list: Any, **values: Any) -> str:
    """Return a rendered template; of a list, the first that exists.

    :raises TemplateNotFound: if none does.
    """
    return templating.render(context_here(MISSING_APP), template_name_or_list, values)


def render_template_string(source: str, **values: Any) -> str:
    """Return the rendered template that *source* is."""
    return templating.render_string(context_here(MISSING_APP), source, values)


async def render_template_async(template_name_or_list: Any, **values: Any) -> str:
    """Return a rendered template whose functions and filters may be ``async def``."""
    return await templating.render_async(context_here(MISSING_APP), template_name_or_list, values)


async def render_template_string_async(source: str, **values: Any) -> str:
    """Return the rendered template that *source* is; what it calls may be ``async def``."""
    return await templating.render_string_async(context_here(MISSING_APP), source, values)


def stream_template(
    template_name_or_list: Any, **values: Any
) -> AsyncIterator[str] | Iterator[str]:
    """Return a template as a stream to return from a view, rendered while it is sent."""
    return templating.stream(context_here(MISSING_APP), template_name_or_list, values)


def stream_template_string(source: str, **values: Any) -> AsyncIterator[str] | Iterator[str]:
    """Return the template that *source* is as a stream to return from a view."""
    return templating.stream_string(context_here(MISSING_APP), source, values)


def get_template_attribute(template_name: str, attribute: str) -> Any:
    """Return a macro or variable that a template exports."""
    env = context_here(MISSING_APP).app.jinja_env
    return getattr(env.get_template(template_name).module, attribute)


def flash(message: Any, category: str = "message") -> None:
    """Keep *message* in the session for the next page that shows messages."""
    templating.flash(context_here(), message, category)


def get_flashed_messages(
    with_categories: bool = False, category_filter: Iterable[str] = ()
) -> list[Any]:
    """Return the messages that were flashed, and forget them; repeatable in one request."""
    return templating.get_flashed_messages(context_here(), with_categories, category_filter)


# -- contexts ------------------------------------------------------------------------------


def stream_with_context(generator_or_function: Any) -> Any:
    """Return what it is given: a stream keeps its context anyway (Flask's name)."""
    return generator_or_function


def copy_current_request_context(function: F) -> F:
    """Let *function*, of either colour, run later with this request.

    It sees the same request and session with a fresh ``g``. What it changes in the session
    before the request has its response is saved.

    :raises ContextError: where there is no request.
    """
    context = context_here()
    if not context.has_request:
        raise ContextError("'copy_current_request_context' can only be used within a request.")
    return _within(function, lambda: context.copy())


def copy_current_websocket_context(function: F) -> F:
    """Let *function*, of either colour, run later with this websocket."""
    context = context_here()
    return _within(function, lambda: context.copy())


def copy_current_app_context(function: F) -> F:
    """Let *function*, of either colour, run later with this app."""
    app = context_here(MISSING_APP).app
    return _within(function, lambda: app.app_context())


def _within(function: F, make: Callable[[], Any]) -> F:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def within(*args: Any, **kwargs: Any) -> Any:
            async with make():
                return await _call(function, args, kwargs)

        return within  # type: ignore[return-value]

    @functools.wraps(function)
    def within_sync(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return within_sync  # type: ignore[return-value]


def _call(
    function: Callable[..., Coroutine[Any, Any, Any]], args: Any, kwargs: Any
) -> Awaitable[Any]:
    return function(*args, **kwargs)
