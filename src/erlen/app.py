"""The app itself: it collects, freezes and serves. What people import has more furniture."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, WebSocketRoute

from .binding import InOwner, OnLoop
from .blueprints import Blueprint, include, refuse_non_blueprint
from .concurrency import drive, ensure_sync
from .config import DEFAULTS, Config, ConfigAttribute
from .connections import Limits
from .context import AppGlobals, Context, context_of, receive_nothing
from .decorators import template_decorator
from .elsewhere import APP, APP_CALLS, QUART, lacks, refuse_other_calls, refuse_overrides
from .entry import Others, entrance, guard, serve, unguarded
from .errors import SetupAssertionError, SetupValueError
from .exceptions import Aborter, BadHost, HTTPException, InternalServerError
from .forwarding import Hops
from .hosts import HOST_NAMES, host_is_trusted, host_is_valid, host_of
from .inflight import InFlight
from .json import DefaultJSONProvider, JSONProvider
from .lifespan import Serving, Tasks, serving
from .logs import logger_named, printable
from .packages import instance_path_of
from .pipeline import Pipelines
from .pool import WorkerPool
from .proxies import current
from .registrar import Registrar, setupmethod
from .registry import Rule
from .requests import Request
from .responses import Response, redirect
from .results import Results
from .routing import Router, RuleRoute, WebSocketRuleRoute
from .rules import BuildError
from .sessions import SecureCookieSessionInterface, SessionInterface
from .signatures import check_view, contradictions
from .static import StaticRoute
from .templating import update_template_context
from .typing import ASGIApp, Hook, ResponseReturnValue, Scope
from .urls import ask_for_another, inject_defaults, url_for
from .websockets import WebSocket

if TYPE_CHECKING:
    from jinja2 import BaseLoader

    from .templating.environment import Environment

__all__ = ["App"]

F = TypeVar("F", bound=Callable[..., Any])


@lacks({**APP, **QUART})
class App(Registrar, Starlette):
    """An ASGI app with Flask's decorators; see :class:`erlen.Erlen` for all of it."""

    router: Router
    request_class: type[Request] = Request
    websocket_class: type[WebSocket] = WebSocket
    response_class: type[Response] = Response
    json_provider_class: type[JSONProvider] = DefaultJSONProvider
    config_class: type[Config] = Config
    app_ctx_globals_class: type[Any] = AppGlobals
    aborter_class: type[Aborter] = Aborter
    jinja_environment: type[Environment] | None = None
    """A subclass of ``erlen.templating.environment.Environment``; ``None``: that itself."""
    jinja_options: ClassVar[dict[str, Any]] = {}
    default_config: Mapping[str, Any] = DEFAULTS
    session_interface: SessionInterface = SecureCookieSessionInterface()
    """Opens and saves sessions; replace it on a subclass or on the app."""

    testing = ConfigAttribute[bool]("TESTING")
    secret_key = ConfigAttribute[str | bytes | None]("SECRET_KEY")
    permanent_session_lifetime = ConfigAttribute[timedelta](
        "PERMANENT_SESSION_LIFETIME",
        get_converter=lambda value: (
            value if isinstance(value, timedelta) else timedelta(seconds=value)
        ),
    )

    def __init__(
        self,
        import_name: str,
        static_url_path: str | None = None,
        static_folder: str | Path | None = "static",
        static_host: str | None = None,
        host_matching: bool = False,
        subdomain_matching: bool = False,
        template_folder: str | Path | None = "templates",
        instance_path: str | None = None,
        instance_relative_config: bool = False,
        root_path: str | None = None,
        *,
        errors: str = "auto",
        middleware: Sequence[Middleware] | None = None,
        exception_handlers: Mapping[Any, Any] | None = None,
        lifespan: Callable[..., Any] | None = None,
    ) -> None:
        Registrar.__init__(
            self,
            import_name,
            static_folder=static_folder,
            static_url_path=static_url_path,
            template_folder=template_folder,
            root_path=root_path,
        )
        self.errors = _checked_errors(errors)
        if instance_path is None:
            instance_path = self.auto_find_instance_path()
        self.instance_path = _checked_instance_path(instance_path)
        self.config = self.make_config(instance_relative_config)
        self._collect()
        Starlette.__init__(
            self, debug=self.debug, middleware=middleware, exception_handlers=exception_handlers
        )
        self.router = Router()
        self.router.host_matching = host_matching
        self.router.subdomain_matching = subdomain_matching
        self.router.server_name = self.config["SERVER_NAME"]
        self.serving_hooks = Serving(lifespan)
        self.config.on_change = _weakly(self, App.thaw)
        if bool(static_host) != host_matching and self.has_static_folder:
            raise SetupAssertionError(
                "Invalid static_host/host_matching combination: with host_matching=True the"
                " static files need a static_host=, and without it they cannot have one."
            )
        self.add_static_rule(**({"host": static_host} if static_host else {}))

    def _collect(self) -> None:
        """Make the tables that registrations fill."""
        self.aborter = self.make_aborter()
        self.results = Results(self.response_class, self.json_provider_class(cast(Any, self)))
        self.blueprints: dict[str, Blueprint] = {}
        self.extensions: dict[str, Any] = {}
        self.teardown_appcontext_funcs: list[Hook] = []
        self.shell_context_processors: list[Callable[[], dict[str, Any]]] = []
        self.url_build_error_handlers: list[Callable[..., Any]] = []
        self.tasks = Tasks(cast(Any, self))
        self.in_flight = InFlight()
        self._in_flight: dict[Any, InFlight] = {}
        self._pools: weakref.WeakKeyDictionary[Any, WorkerPool] = weakref.WeakKeyDictionary()
        self._last_pool: WorkerPool | None = None
        self._logger: logging.Logger | None = None
        self._jinja_env: Environment | None = None
        self.frozen = False
        self._served = False
        self.good_hosts: set[bytes] = set()
        """Hosts that requests came for and that are fine, up to a thousand."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_overrides(cls, APP)
        refuse_other_calls(cls, APP_CALLS)

    # -- what subclasses replace -----------------------------------------------------------

    def make_config(self, instance_relative: bool = False) -> Config:
        """Return the configuration; relative files lie in the root or the instance folder."""
        root = self.instance_path if instance_relative else self.root_path
        defaults = dict(self.default_config)
        if defaults.get("DEBUG") is None:
            value = os.environ.get("ERLEN_DEBUG", "")
            defaults["DEBUG"] = bool(value) and value.lower() not in {"0", "false", "no"}
        return self.config_class(root, defaults)

    def make_aborter(self) -> Aborter:
        """Return what ``abort`` calls."""
        return self.aborter_class()

    def make_response(self, value: ResponseReturnValue) -> Response:
        """Return the response for what a view returned.

        :raises TypeError: if it is nothing that a view may return.
        """
        return self.results.convert(value)

    @property
    def converts_itself(self) -> bool:
        """Whether a subclass replaced :meth:`make_response`."""
        return type(self).make_response is not App.make_response

    def log_exception(self, error: BaseException, context: Context[Any]) -> None:
        """Log an exception that nothing handled."""
        scope = context.scope
        path = printable(scope.get("path", ""))
        method = scope.get("method", scope.get("type", "")).upper()
        self.logger.error("Exception on %s [%s]", path, method, exc_info=error)

    def log_problem(self, message: str, error: BaseException) -> None:
        """Log an error that cost nobody a response."""
        self.logger.error(message, exc_info=error)

    def redirect(self, location: str, code: int = 302) -> Response:
        """Return a response that sends the client to *location*."""
        return redirect(location, code, self.response_class)

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Return how many seconds caches may keep a file; ``None`` asks each time."""
        value = self.config["SEND_FILE_MAX_AGE_DEFAULT"]
        return int(value.total_seconds()) if isinstance(value, timedelta) else value

    def render_failure(self, error: Exception, scope: Scope) -> Response:
        """Return the page for an error that nothing could handle; the last resort."""
        return InternalServerError(original_exception=error).get_response()

    # -- attributes ------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The import name; for a script that is run, the name of its file."""
        if self.import_name != "__main__":
            return self.import_name
        file = getattr(sys.modules["__main__"], "__file__", None)
        return Path(file).stem if file else "__main__"

    @property
    def debug(self) -> bool:
        """Whether errors are shown and templates reloaded: ``config["DEBUG"]``."""
        return bool(self.config["DEBUG"])

    @debug.setter
    def debug(self, value: bool) -> None:
        self.config["DEBUG"] = value

    @property
    def json(self) -> JSONProvider:
        """How JSON is written and read; assign another provider to change that."""
        return self.results.json

    @json.setter
    def json(self, provider: JSONProvider) -> None:
        self.results.json = provider
        self.frozen = False  # a provider may answer itself

    @property
    def logger(self) -> logging.Logger:
        """The logger named like the app."""
        if self._logger is None:
            self._logger = logger_named(self.name, debug=self.debug)
        return self._logger

    @property
    def jinja_env(self) -> Environment:
        """The Jinja environment, made on first use."""
        if self._jinja_env is None:
            self._jinja_env = self.create_jinja_environment()
        return self._jinja_env

    def create_jinja_environment(self) -> Environment:
        """Return the environment that templates are compiled in."""
        options: dict[str, Any] = {}
        if "loader" not in self.jinja_options:
            options["loader"] = self.create_global_jinja_loader()
        if "autoescape" not in self.jinja_options:
            options["autoescape"] = _weakly(self, type(self).select_jinja_autoescape)
        # WHY: Jinja takes a quarter of the time of `import erlen`, and an API never asks for it.
        from .templating.environment import Environment, make_environment

        kind = self.jinja_environment or Environment
        return make_environment(cast(Any, self), kind=kind, **options)

    def create_global_jinja_loader(self) -> BaseLoader:
        """Return what finds templates: in the folder of the app, then in those of blueprints."""
        from .templating.environment import loader_of

        return loader_of(cast(Any, self))

    def select_jinja_autoescape(self, filename: str | None) -> bool:
        """Say whether what the template *filename* prints is escaped; ``None`` is a string."""
        from .templating.environment import select_autoescape

        return select_autoescape(filename)

    def update_template_context(self, context: dict[str, Any]) -> None:
        """Add what the context processors return to the variables of a template."""
        update_template_context(current.get(), context)

    @property
    def url_map(self) -> Router:
        """The router: ``url_map.converters``, ``url_map.iter_rules()``."""
        return self.router

    @property
    def subdomain_matching(self) -> bool:
        """Whether rules are matched by the subdomain below ``SERVER_NAME``, too."""
        return self.router.subdomain_matching

    @subdomain_matching.setter
    def subdomain_matching(self, value: bool) -> None:
        self.router.subdomain_matching = value

    @property
    def view_functions(self) -> dict[str, Any]:
        """The views by endpoint."""
        return self.registry.views

    @property
    def worker_pool(self) -> WorkerPool:
        """The threads of ``def`` code, one pool for each loop that serves the app."""
        loop = asyncio.get_running_loop()
        pool = self._last_pool
        if pool is None or pool.loop is not loop:
            pool = self._last_pool = self._pool_of(loop)
        return pool

    def _pool_of(self, loop: asyncio.AbstractEventLoop) -> WorkerPool:
        pool = self._pools.get(loop)
        if pool is None:
            # At once, because other threads may add and forget theirs meanwhile.
            known = [reference() for reference in self._pools.keyrefs()]
            for closed in [loop for loop in known if loop is not None and loop.is_closed()]:
                self._pools.pop(closed, None)
            config = self.config
            pool = WorkerPool(size=config["SYNC_WORKERS"], queue=config["SYNC_QUEUE"])
            self._pools[loop] = pool
        return pool

    def in_flight_here(self) -> InFlight:
        """Return what is being served on this loop, which is where the next request may be."""
        loop = asyncio.get_running_loop()
        here = self._in_flight.get(loop)
        if here is None:
            # In a copy, because other threads may add and forget theirs meanwhile.
            for closed in [loop for loop in list(self._in_flight) if loop.is_closed()]:
                self._in_flight.pop(closed, None)
            here = self._in_flight[loop] = InFlight(loop)
        self.in_flight = here
        return here

    @property
    def shutdown_grace(self) -> float:
        """Seconds that open requests have to end by themselves when the server stops."""
        grace = self.config["SHUTDOWN_GRACE"]
        if grace is None:
            return 0.5 if self.debug else 3.0
        return float(grace)

    def begin_drain(self) -> None:
        """Refuse new work, and end what is served when ``SHUTDOWN_GRACE`` is over.

        Called by itself when the process gets SIGINT or SIGTERM, and when the lifespan ends.
        Call it, on the event loop, where a server is told to stop in another way.
        """
        self.in_flight_here().begin_drain(self.shutdown_grace)

    async def close_worker_pool(self) -> None:
        """Let the threads of this loop end; a call that does not end is told of in the log."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        self._last_pool = None
        if pool is None:
            return
        timeout = self.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"]
        if stuck := await pool.close(timeout):
            self.logger.warning(
                "%d def calls were still running %s seconds after the shutdown began"
                " (BACKGROUND_TASK_SHUTDOWN_TIMEOUT). Nobody waits for them any more.",
                stuck,
                timeout,
            )

    def ensure_sync(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make *function* callable from ``def`` code, whatever its colour."""
        return ensure_sync(function)

    def open_instance_resource(
        self, resource: str, mode: str = "rb", encoding: str | None = "utf-8"
    ) -> IO[Any]:
        """Open a file of the instance folder."""
        path = Path(self.instance_path) / resource
        return open(path, mode, encoding=None if "b" in mode else encoding)

    def auto_find_instance_path(self) -> str:
        """Return the instance folder that would be used if none was given."""
        return instance_path_of(self.import_name, self.root_path)

    # -- registration ----------------------------------------------------------------------

    def check_setup(self, name: str) -> None:
        """Refuse registrations after the first request: they would not reach every request."""
        if self._served:
            raise SetupAssertionError(
                f"The setup method '{name}' can no longer be called on the application"
                f" {self.name!r}. It has already handled its first request, any changes will not"
                " be applied consistently. Make sure that everything is imported and registered"
                " before the app serves."
            )
        self.frozen = False

    def add_rule(self, rule: Rule) -> None:
        """Take *rule* down and put its route into the router."""
        automatic = rule.options.get("automatic")
        if automatic is None and not self.config["PROVIDE_AUTOMATIC_OPTIONS"]:
            rule = replace(rule, automatic_options=False)
        if rule.automatic_options and rule.methods is not None:
            rule = replace(rule, methods=rule.methods | {"OPTIONS"})
        self.registry.rules.append(rule)
        self.url_map.add(rule)
        self.frozen = False

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: Any) -> None:
        """Put *blueprint* into this app.

        *options* replace what it was made with: ``url_prefix``, ``subdomain``, ``name``,
        ``url_defaults``.

        :raises SetupValueError: if the name is taken.
        """
        refuse_non_blueprint(blueprint)
        include(self, blueprint, options)
        self.frozen = False

    def take_app_wide(self, blueprint: Blueprint, options: Mapping[str, Any]) -> None:
        """Take what *blueprint* registered for the whole app."""
        for kind, functions in blueprint.app_registry.template.items():
            self.registry.template[kind].update(functions)
        for kind, function in blueprint.app_hooks:
            self.serving_hooks.add(kind, function)

    def iter_blueprints(self) -> Iterable[Blueprint]:
        """Return the blueprints in the order of their registration."""
        return self.blueprints.values()

    @setupmethod
    def teardown_appcontext(self, function: F) -> F:
        """Run *function* at the end of every context, after ``teardown_request``."""
        self.teardown_appcontext_funcs.append(function)
        return function

    @setupmethod
    def shell_context_processor(self, function: F) -> F:
        """Add what *function* returns, a dict, to the names in ``erlen shell``."""
        self.shell_context_processors.append(function)
        return function

    @setupmethod
    def before_serving(self, function: F) -> F:
        """Run *function* before the first request."""
        self.serving_hooks.add("before", function)
        return function

    @setupmethod
    def after_serving(self, function: F) -> F:
        """Run *function* after the last request."""
        self.serving_hooks.add("after", function)
        return function

    @setupmethod
    def while_serving(self, function: F) -> F:
        """Run the generator *function* around serving: to its yield before, the rest after."""
        self.serving_hooks.add("while", function)
        return function

    template_filter = template_decorator("filters")
    """Make the decorated function a filter in templates, under a name given or its own."""
    template_test = template_decorator("tests")
    """Make the decorated function a test in templates, under a name given or its own."""
    template_global = template_decorator("globals")
    """Make the decorated function a global of templates, under a name given or its own."""

    def add_template_filter(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Make *f* a filter in templates."""
        self.template_filter(name)(f)

    def add_template_test(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Make *f* a test in templates."""
        self.template_test(name)(f)

    def add_template_global(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Make *f* a global of templates."""
        self.template_global(name)(f)

    def static(
        self, url_path: str, folder: str | Path, *, fallback: str | None = None, max_age: Any = None
    ) -> None:
        """Serve the files of *folder* below *url_path*, behind every rule of the app.

        *fallback* is a file for pages that do not exist, for a single-page front end that has
        routes of its own: only a browser that asks for HTML gets it, and no missing asset.
        *max_age* in seconds lets caches keep the files.
        """
        self.check_setup("static")
        directory = Path(self.root_path) / folder
        self.routes.append(StaticRoute(url_path, directory, fallback=fallback, max_age=max_age))

    # -- Starlette's registrations ---------------------------------------------------------

    def mount(self, path: str, app: ASGIApp, name: str | None = None) -> None:
        """Serve another ASGI app below *path*; its lifespan runs with this one."""
        self.routes.append(Mount(path, app=app, name=name))

    def add_websocket_route(
        self, path: str, route: Callable[..., Any], name: str | None = None
    ) -> None:
        """Serve websockets at *path* as Starlette does: *route* gets Starlette's websocket."""
        self.routes.append(WebSocketRoute(path, endpoint=route, name=name))

    # -- contexts --------------------------------------------------------------------------

    def app_context(self) -> Context[Any]:
        """Return a context without a request, for ``with`` and ``async with``."""
        return context_of(cast(Any, self))

    def request_context(self, scope: Scope) -> Context[Any]:
        """Return the context of a request that is not served, made from an ASGI scope."""
        scope.setdefault("app", self)
        return context_of(cast(Any, self), scope, scope.pop("erlen.receive", receive_nothing))

    def make_request(self, context: Context[Any]) -> Request:
        """Return the request of *context*."""
        rule = getattr(context.route, "url_rule", None)
        error = context.error
        request = self.request_class(
            context.scope,
            context.receive,
            self._limits or self.limits,
            rule,
            context.params if error is None else None,
            error,
        )
        options: Mapping[str, Any] | None = rule and rule.options
        if not options:
            return request
        if "stream_body" in options:
            request.stream_body = bool(options["stream_body"])
        if "max_content_length" in options:
            request.max_content_length = options["max_content_length"]
        if "body_timeout" in options:
            request.body_timeout = options["body_timeout"]
        return request

    def make_websocket(self, context: Context[Any]) -> WebSocket:
        """Return the websocket of *context*."""
        rule = context.rule
        websocket = self.websocket_class(
            context.scope,
            context.receive,
            context.send,
            limits=self.limits,
            url_rule=rule,
            view_args=context.params if context.error is None else None,
            routing_exception=context.error,
        )
        if rule is not None:
            websocket.timeout = rule.options.get("timeout")
        return websocket

    @property
    def limits(self) -> Limits:
        """What clients may send, as the configuration says."""
        if self._limits is None:
            config = self.config
            self._limits = Limits(
                max_content_length=config["MAX_CONTENT_LENGTH"],
                body_timeout=config["BODY_TIMEOUT"],
                body_min_rate=config["BODY_MIN_RATE"],
                max_form_memory_size=config["MAX_FORM_MEMORY_SIZE"],
                max_form_parts=config["MAX_FORM_PARTS"],
                max_query_items=config["MAX_QUERY_ITEMS"],
                max_cookies=config["MAX_COOKIES"],
                debug=self.debug,
                json=self.json,
            )
        return self._limits

    _limits: Limits | None = None

    def match(self, context: Context[Any]) -> None:
        """Find the rule of a context that is entered by hand."""
        scope = context.scope
        error = self.look_at_host(scope["headers"], scope.get("server"))
        route, params, failure = self.url_map.resolve(scope)
        context.route, context.params = route, params
        context.error = error or failure
        connection = context.connection
        if connection is not None:  # somebody looked at it before the context was entered
            connection.url_rule, connection.routing_exception = context.rule, context.error
            connection.view_args = params if context.error is None else None

    def allowed_methods(self, context: Context[Any]) -> list[str]:
        """Return the methods that are served at the URL of *context*, sorted."""
        return self.url_map.allowed_methods(context.scope)

    def teardown_here(self, context: Context[Any], error: BaseException | None) -> None:
        """Tear down a context that was entered with ``with``."""
        drive(self._flow_of(context, InOwner()).teardown(context, error))

    async def teardown(self, context: Context[Any], error: BaseException | None) -> None:
        """Tear down a context that was entered with ``async with``."""
        await self._flow_of(context, OnLoop()).teardown(context, error)

    def _flow_of(self, context: Context[Any], bind: Any) -> Any:
        # WHY: without a freeze. A context of its own may be left while the app is put together.
        kind = "websocket" if context.kind == "websocket" else "request"
        return Pipelines(cast(Any, self)).flow(context.endpoint, bind, kind)

    def url_for(self, endpoint: Any, /, **values: Any) -> str:
        """Return the URL of *endpoint*; see :func:`erlen.url_for`."""
        context = current.get()
        if context is not None and context.app is not self:
            context = None
        return url_for(cast(Any, self), context, endpoint, **values)

    def inject_url_defaults(self, endpoint: str, values: dict[str, Any]) -> None:
        """Add what the ``url_defaults`` hooks say to the *values* of a URL."""
        inject_defaults(cast(Any, self), endpoint, values)

    def handle_url_build_error(
        self, error: BuildError, endpoint: str, values: dict[str, Any]
    ) -> str:
        """Return the URL that one of ``url_build_error_handlers`` has instead.

        :raises BuildError: if none has one.
        """
        return ask_for_another(self.url_build_error_handlers, error, endpoint, values)

    # -- freezing --------------------------------------------------------------------------

    def thaw(self, key: str) -> None:
        """Compile anew before the next request, because the configuration changed."""
        self.frozen = False
        self._limits = None
        self.good_hosts.clear()
        self.json.forget()
        if key == "SERVER_NAME":
            self.router.server_name = self.config["SERVER_NAME"]
        if self._jinja_env is not None:
            from .templating.environment import reloads_templates

            self._jinja_env.auto_reload = reloads_templates(cast(Any, self))

    def freeze(self) -> None:
        """Compile the pipeline of every rule; done by itself before the first request.

        :raises SetupError: if something does not fit together.
        """
        if self.frozen:
            return
        pipelines = Pipelines(cast(Any, self))
        for route in self.routes:
            if isinstance(route, (RuleRoute, WebSocketRuleRoute)):
                rule = route.url_rule
                if rule.build_only or rule.alias or rule.redirect_to is not None:
                    continue
                if rule.endpoint not in self.registry.views and self.router.is_covered(route):
                    continue  # FLASK: it builds URLs, as the tutorial's "/" of the app does
                self._check_view(route)
                route.pipeline = pipelines.compile_rule(rule)
                twin = getattr(route, "options_twin", None)
                if twin is not None:
                    twin.pipeline = pipelines.compile_rule(rule, options_twin=True)
        self.others = Others.compiled(pipelines)
        self.hops = Hops.of(self.config["TRUSTED_PROXIES"])
        self.frozen = True

    def _check_view(self, route: RuleRoute | WebSocketRuleRoute) -> None:
        view = self.registry.views.get(route.name)
        if view is None or self._served:
            return
        check_view(route, view, self.registry)
        for sentence in contradictions(route, view) if self.debug else ():
            self.logger.warning(sentence)

    def begin(self) -> None:
        """Freeze for a request; from here on nothing may be registered."""
        self.freeze()
        self._served = True

    # -- serving ---------------------------------------------------------------------------

    if not TYPE_CHECKING:  # pragma: no branch
        # WHY: a checker takes a function from elsewhere for no method.
        __call__ = serve

    def build_middleware_stack(self) -> ASGIApp:
        """Put our error page around the user's middleware, and that around our one entry."""
        if not self.user_middleware:
            return entrance
        stack: ASGIApp = unguarded
        for cls, args, kwargs in reversed(self.user_middleware):
            stack = cls(stack, *args, **kwargs)
        return guard(stack)

    def look_at_host(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        server: tuple[str, int | None] | None = None,
    ) -> HTTPException | None:
        """Return the 400 for a Host header that is malformed, doubled or not ours.

        Where there is none, URLs are built with the address of the *server*, so that has to
        be ours; a server without an address is nobody's.
        """
        host: bytes | None = None
        for name, value in headers:
            if name in HOST_NAMES:
                if host is not None:
                    return BadHost("The request has more than one Host header.")
                host = value
        if host in self.good_hosts:
            return None
        if host is None:
            return self._look_at_server(server)
        text = host.decode("latin-1")
        if not host_is_valid(text):
            return BadHost(f"The Host header is no host: {printable(text)!r}.")
        trusted = self.config["TRUSTED_HOSTS"]
        if trusted and not host_is_trusted(text, trusted):
            return BadHost(f"The host {text!r} is not served here.")
        if len(self.good_hosts) < 1000:
            self.good_hosts.add(host)
        return None

    def _look_at_server(self, server: tuple[str, int | None] | None) -> HTTPException | None:
        trusted = self.config["TRUSTED_HOSTS"]
        if not trusted:
            return None
        host = host_of(server)
        if host and host_is_trusted(host, trusted):
            return None
        return BadHost("The request has no Host header.")

    def serving(self) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Run start-up and shutdown around a block, without a server.

        For scripts, workers, migrations and tests: ``async with app.serving(): ...``.
        """
        return serving(cast(Any, self))

    def add_background_task(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run *function*, of either colour, on its own; the response does not wait for it.

        It has an app context and no request. Shutdown waits for it up to
        ``BACKGROUND_TASK_SHUTDOWN_TIMEOUT`` seconds.
        """
        self.tasks.add(function, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _weakly(app: App, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return *method* of *app* as a function that does not keep the app alive."""
    reference = weakref.ref(app)
    return lambda *args: method(reference(), *args)


def _checked_errors(errors: str) -> str:
    if errors not in ("auto", "html", "problem"):
        raise SetupValueError(f"errors= is 'auto', 'html' or 'problem', not {errors!r}.")
    return errors


def _checked_instance_path(path: str) -> str:
    if not os.path.isabs(path):
        raise SetupValueError(
            "If an instance path is provided it must be absolute. A relative path was given"
            f" instead: {path!r}."
        )
    return path
