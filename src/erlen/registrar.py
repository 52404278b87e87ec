"""Every decorator of an app and of a blueprint. Writes data down; runs nothing."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from .concurrency import Pending, is_async, on_loop
from .decorators import hook_decorator
from .errors import SetupTypeError, SetupValueError, calling_place, place_of
from .exceptions import HTTPException, default_exceptions
from .files import serve_static, static_response
from .packages import root_path_of
from .proxies import current
from .registry import Registry, Rule, methods_of
from .responses import Response
from .typing import ErrorHandler, View

if TYPE_CHECKING:
    from jinja2 import BaseLoader

__all__ = ["Registrar", "setupmethod"]

F = TypeVar("F", bound=Callable[..., Any])

_URL_KEYWORDS = frozenset(
    {
        "alias",
        "build_only",
        "defaults",
        "host",
        "merge_slashes",
        "redirect_to",
        "strict_slashes",
        "subdomain",
        "websocket",
    }
)
_VIEW_KEYWORDS = frozenset(
    {
        "body_timeout",
        "cancel_on_disconnect",
        "inline",
        "max_content_length",
        "session",
        "stream_body",
        "timeout",
    }
)


def setupmethod(method: F) -> F:
    """Refuse *method* once the app has begun to serve: it would change nothing any more."""

    @functools.wraps(method)
    def checked(self: Registrar, /, *args: Any, **kwargs: Any) -> Any:
        self.check_setup(method.__name__)
        return method(self, *args, **kwargs)

    return cast(F, checked)


class Registrar:
    """What an app and a blueprint have in common: they take registrations.

    *import_name* is the name of the module, usually ``__name__``; the folders are relative to
    where that lies, or to *root_path*.
    """

    def __init__(
        self,
        import_name: str,
        *,
        static_folder: str | Path | None = None,
        static_url_path: str | None = None,
        template_folder: str | Path | None = None,
        root_path: str | None = None,
    ) -> None:
        self.import_name = import_name
        self.root_path = root_path if root_path is not None else root_path_of(import_name)
        self.template_folder = str(template_folder) if template_folder is not None else None
        self.registry = Registry()
        self._static_folder = (
            str(static_folder).rstrip("/\\") if static_folder is not None else None
        )
        self._static_url_path = static_url_path

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Return how many seconds caches may keep a file; ``None`` asks each time."""
        raise NotImplementedError

    def check_setup(self, name: str) -> None:
        """Raise a :class:`~erlen.errors.SetupError` if nothing may be registered any more."""
        raise NotImplementedError

    # -- rules -----------------------------------------------------------------------------

    def route(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve *rule* with the decorated view.

        ``methods`` (GET unless given), ``endpoint`` (the name of the function unless given),
        ``defaults``, ``strict_slashes``, ``merge_slashes``, ``subdomain``, ``host``, ``alias``,
        ``redirect_to``, ``build_only`` and ``provide_automatic_options`` are Flask's. ``inline``
        runs a ``def`` view on the event loop, because it never blocks; ``stream_body`` does not
        read the body ahead of a ``def`` view; ``max_content_length`` (bytes) and
        ``body_timeout`` (seconds) replace the limits of the app, ``None`` lifts them;
        ``session=False`` does not open the session ahead. ``timeout`` are the seconds in which
        the response has to begin, else the view is cancelled and the client gets a 503; a
        ``def`` view cannot be cancelled and goes on for nobody. ``cancel_on_disconnect`` says
        whether the view is cancelled when its client has left, else ``CANCEL_ON_DISCONNECT``
        does.

        :raises SetupTypeError: if there is no rule: ``@app.route`` without parentheses.
        """
        _refuse_bare_decorator(rule)

        def register(view: F) -> F:
            endpoint = options.pop("endpoint", None)
            self.add_url_rule(rule, endpoint, view, **options)
            return view

        return register

    def _method_route(self, method: str, rule: str, options: dict[str, Any]) -> Callable[[F], F]:
        if "methods" in options:
            raise SetupTypeError(
                f"{method.lower()}({rule!r}) takes no 'methods'. Use route() for several."
            )
        return self.route(rule, methods=[method], **options)

    def get(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve GET, and HEAD, of *rule* with the decorated view; see :meth:`route`."""
        return self._method_route("GET", rule, options)

    def post(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve POST of *rule* with the decorated view; see :meth:`route`."""
        return self._method_route("POST", rule, options)

    def put(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve PUT of *rule* with the decorated view; see :meth:`route`."""
        return self._method_route("PUT", rule, options)

    def patch(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve PATCH of *rule* with the decorated view; see :meth:`route`."""
        return self._method_route("PATCH", rule, options)

    def delete(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve DELETE of *rule* with the decorated view; see :meth:`route`."""
        return self._method_route("DELETE", rule, options)

    def websocket(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve websockets at *rule* with the decorated ``async def`` view.

        The keywords are those of :meth:`route`, as far as they are not about bodies.
        ``timeout`` is about silence: so many seconds a ``receive`` of the view waits for a
        message, then the websocket is closed with 3008. Without it, it waits for ever.
        """
        return self.route(rule, websocket=True, **options)

    def add_websocket(
        self, rule: str, endpoint: str | None = None, view_func: View | None = None, **options: Any
    ) -> None:
        """Serve websockets at *rule* with *view_func* (Quart's name)."""
        self.add_url_rule(rule, endpoint, view_func, websocket=True, **options)

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: View | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Serve *rule* with *view_func*; without one the endpoint gets its view later.

        :raises SetupError: if the rule is wrong, or the endpoint names another view already.
        """
        endpoint = _endpoint_of(rule, endpoint, view_func)
        methods = _methods_of(rule, options.pop("methods", None), view_func)
        unknown = options.keys() - _URL_KEYWORDS - _VIEW_KEYWORDS
        if unknown:
            others = {"endpoint", "methods", "provide_automatic_options"}
            known = ", ".join(sorted(_URL_KEYWORDS | _VIEW_KEYWORDS | others))
            raise SetupTypeError(
                f"route({rule!r}) got an unknown keyword {min(unknown)!r}. Known are {known}."
            )
        if not rule.startswith("/") and self.needs_slash(rule):
            raise SetupValueError(
                f"A URL rule begins with a slash: {rule!r}. Write {'/' + rule!r}."
            )
        if options.get("websocket"):
            _refuse_def_websocket(rule, view_func)
            methods = None
        _refuse_wrong_timeout(rule, options)
        automatic = _automatic_options(provide_automatic_options, methods, view_func)
        view_options = {key: options.pop(key) for key in tuple(options) if key in _VIEW_KEYWORDS}
        if view_func is not None:
            self.registry.refuse_other_view(endpoint, view_func, rule)
        options["defaults"] = dict(options.get("defaults") or {})
        self.add_rule(
            Rule(
                rule=rule,
                endpoint=endpoint,
                view=view_func,
                methods=methods_of(methods),
                automatic_options=automatic is not False and methods is not None,
                options={**view_options, "automatic": automatic},
                place=calling_place(),
                **options,
            )
        )
        if view_func is not None:  # only now: a rule that was refused leaves nothing behind
            self.registry.views[endpoint] = view_func

    def needs_slash(self, rule: str) -> bool:
        """Say whether *rule* is the whole path, and so begins with a slash."""
        return True

    def add_rule(self, rule: Rule) -> None:
        """Take *rule* down."""
        self.registry.rules.append(rule)

    @setupmethod
    def endpoint(self, endpoint: str) -> Callable[[F], F]:
        """Name the decorated view, for rules that were added without one."""

        def register(view: F) -> F:
            self.registry.views[endpoint] = view
            return view

        return register

    # -- hooks -----------------------------------------------------------------------------

    before_request = hook_decorator("before_request")
    """Run a hook before each view here; what it returns, unless ``None``, is the answer."""
    after_request = hook_decorator("after_request")
    """Run a hook with each response of the views here; it returns the response."""
    teardown_request = hook_decorator("teardown_request")
    """Run a hook at the end of each request with the unhandled exception, or ``None``."""
    before_websocket = hook_decorator("before_websocket")
    """Run a hook before each websocket view; what it returns refuses the websocket."""
    after_websocket = hook_decorator("after_websocket")
    """Run a hook after each websocket view, with its response or ``None``."""
    teardown_websocket = hook_decorator("teardown_websocket")
    """Run a hook at the end of each websocket with the exception, or ``None``."""
    url_value_preprocessor = hook_decorator("url_value_preprocessor")
    """Run ``hook(endpoint, values)`` ahead of the before hooks; it may change *values*."""
    url_defaults = hook_decorator("url_defaults")
    """Run ``hook(endpoint, values)`` when a URL is built here; it may add to *values*."""
    context_processor = hook_decorator("context_processor")
    """Add what a hook returns, a dict, to the variables of templates rendered here."""

    # -- errors ----------------------------------------------------------------------------

    def errorhandler(self, code_or_exception: type[Exception] | int) -> Callable[[F], F]:
        """Answer errors of a class, or of a status code, with the decorated function."""
        error_key(code_or_exception)  # now: without parentheses this is the function itself

        def register(handler: F) -> F:
            self.register_error_handler(code_or_exception, handler)
            return handler

        return register

    @setupmethod
    def register_error_handler(
        self, code_or_exception: type[Exception] | int, f: ErrorHandler
    ) -> None:
        """Answer errors of a class, or of a status code, with *f*.

        :raises SetupTypeError: for an instance instead of a class.
        :raises SetupValueError: for a class that is no exception, or an unknown code.
        """
        kind, code = error_key(code_or_exception)
        self.registry.error_handlers[""][code][kind] = f

    # -- files -----------------------------------------------------------------------------

    @property
    def static_folder(self) -> str | None:
        """The folder of static files as an absolute path; ``None`` if there is none."""
        if self._static_folder is None:
            return None
        return os.path.join(self.root_path, self._static_folder)

    @static_folder.setter
    def static_folder(self, value: str | Path | None) -> None:
        self._static_folder = str(value).rstrip("/\\") if value is not None else None

    @cached_property
    def jinja_loader(self) -> BaseLoader | None:
        """What finds the templates here; set another one to keep them elsewhere than on disk."""
        if self.template_folder is None:
            return None
        from jinja2 import FileSystemLoader

        return FileSystemLoader(Path(self.root_path) / self.template_folder)

    @property
    def has_static_folder(self) -> bool:
        """Whether there are static files."""
        return self._static_folder is not None

    @property
    def static_url_path(self) -> str | None:
        """The URL prefix of static files; the name of the folder unless it was given."""
        if self._static_url_path is not None:
            return self._static_url_path.rstrip("/")
        if self._static_folder is None:
            return None
        name = Path(self._static_folder).name
        return f"/{name}".rstrip("/")

    def add_static_rule(self, **options: Any) -> None:
        """Serve the static folder, if there is one."""
        if self.has_static_folder:
            self.add_url_rule(
                f"{self.static_url_path}/<path:filename>", "static", static_view(self), **options
            )

    def send_static_file(self, filename: str) -> Awaitable[Response]:
        """Return a file of the static folder as a response; awaited in ``async def`` code."""
        folder = self.static_folder
        if folder is None:
            raise RuntimeError(f"{self!r} has no static folder. Pass static_folder=.")
        context = current.get()
        find = functools.partial(
            serve_static if on_loop() else static_response,
            folder,
            filename,
            root=self.root_path,
            conditions=context.request,
            max_age=self.get_send_file_max_age(filename),
            response_class=context.app.response_class,
            use_x_sendfile=context.app.config["USE_X_SENDFILE"],
        )
        if not on_loop():
            return cast("Awaitable[Response]", find())
        pending = Pending("send_static_file()", cast("Callable[[], Awaitable[Response]]", find))
        return cast("Awaitable[Response]", pending)

    def open_resource(
        self, resource: str, mode: str = "rb", encoding: str | None = "utf-8"
    ) -> IO[Any]:
        """Open a file below :attr:`root_path` for reading.

        :raises ValueError: for a mode other than ``"r"``, ``"rt"`` and ``"rb"``.
        """
        if mode not in {"r", "rt", "rb"}:
            raise ValueError(f"Resources can only be opened for reading. The mode was {mode!r}.")
        path = Path(self.root_path) / resource
        return open(path, mode, encoding=None if mode == "rb" else encoding)


def static_view(registrar: Registrar) -> View:
    """Return the view of a static folder; it does not keep its owner alive."""
    owner = weakref.ref(registrar)

    async def static(filename: str) -> Response:
        response: Any = cast(Registrar, owner()).send_static_file(filename)
        if hasattr(response, "__await__"):
            response = await response
        await response.prime()
        return cast(Response, response)

    # Where def hooks run around it, it joins them in their thread; see the pipeline.
    cast(Any, static).is_brief = True
    return static


def error_key(code_or_exception: type[Exception] | int) -> tuple[type[Exception], int | None]:
    """Return the class and the status code under which a handler is kept."""
    if isinstance(code_or_exception, int):
        kind = default_exceptions.get(code_or_exception)
        if kind is None:
            raise SetupValueError(
                f"{code_or_exception!r} is not a recognized HTTP error code. Use a subclass of"
                " HTTPException with that code instead."
            )
        return kind, code_or_exception
    if isinstance(code_or_exception, Exception):
        raise SetupTypeError(
            f"{code_or_exception!r} is an instance, not a class. Handlers can only be registered"
            " for exception classes or HTTP error codes."
        )
    thing: Any = code_or_exception
    if not (isinstance(thing, type) and issubclass(thing, Exception)):
        name: Any = getattr(code_or_exception, "__name__", code_or_exception)
        raise SetupValueError(
            f"{name!r} is not a subclass of Exception. Handlers can only be registered for"
            " exception classes or HTTP error codes."
        )
    if issubclass(code_or_exception, HTTPException):
        return code_or_exception, code_or_exception.code
    return code_or_exception, None


def _refuse_bare_decorator(rule: Any) -> None:
    if callable(rule):
        raise SetupTypeError(
            f"The view {place_of(rule)} is decorated without a rule. Write it in parentheses:"
            " @app.get('/path')."
        )


def _endpoint_of(rule: str, endpoint: str | None, view: View | None) -> str:
    if endpoint is not None:
        return endpoint
    if view is None:
        raise SetupTypeError(f"The rule {rule!r} needs a view or an endpoint.")
    name: str | None = getattr(view, "__name__", None)
    if name is None:
        raise SetupTypeError(
            f"{view!r} has no __name__ that could be its endpoint. Pass endpoint= for {rule!r}."
        )
    return name


def _methods_of(rule: str, methods: Any, view: View | None) -> Iterable[str] | None:
    if methods is None:
        methods = getattr(view, "methods", None) or ("GET",)
    if isinstance(methods, str):
        raise SetupTypeError(
            f"Allowed methods must be a list of strings, for example:"
            f' @app.route({rule!r}, methods=["POST"]). It was {methods!r}.'
        )
    required = getattr(view, "required_methods", ())
    return [*methods, *required]


def _automatic_options(
    asked: bool | None, methods: Iterable[str] | None, view: View | None
) -> bool | None:
    """Say whether the framework answers OPTIONS; ``None`` leaves it to the configuration."""
    if asked is None:
        asked = getattr(view, "provide_automatic_options", None)
    if asked is None and "OPTIONS" in {method.upper() for method in methods or ()}:
        return False
    return asked


def _refuse_wrong_timeout(rule: str, options: dict[str, Any]) -> None:
    seconds = options.get("timeout")
    if seconds is not None and options.get("inline"):
        raise SetupTypeError(
            f"The view of {rule!r} is marked inline=True, so nothing can stop it, and it has a"
            f" timeout of {seconds!r} seconds. Leave one of the two out."
        )
    if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
        raise SetupValueError(
            f"The timeout of {rule!r} is a number of seconds greater than 0, or None to wait for"
            f" ever, not {seconds!r}."
        )


def _refuse_def_websocket(rule: str, view: View | None) -> None:
    if view is not None and not is_async(view):
        raise SetupTypeError(
            f"The websocket view {place_of(view)} of {rule!r} is def. A websocket waits for"
            " messages all the time, and a def view would hold a thread while it does. Write"
            " async def, and run_sync(f) for what blocks."
        )
