"""A part of an app, written before there is one. Knows registrations only."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from .decorators import hook_decorator, template_decorator
from .elsewhere import BLUEPRINT, lacks, refuse_overrides
from .errors import SetupAssertionError, SetupTypeError, SetupValueError
from .registrar import Registrar, setupmethod
from .registry import HOOK_KINDS, Prefix, Registry, Rule, prefixed
from .rules import compile_pattern
from .typing import ErrorHandler, View

__all__ = ["Blueprint", "BlueprintApp", "Registration", "include"]

F = TypeVar("F", bound=Callable[..., Any])


class BlueprintApp(Protocol):
    """What registering a blueprint needs of the app."""

    registry: Registry
    blueprints: dict[str, Any]

    @property
    def url_map(self) -> Any: ...
    def add_rule(self, rule: Rule) -> None: ...
    def take_app_wide(self, blueprint: Any, options: Mapping[str, Any]) -> None: ...


class Registration(NamedTuple):
    """A blueprint on its way into an app; what ``record`` functions are called with."""

    app: Any
    blueprint: Any
    full_name: str
    """The dotted name under which it is registered."""
    url_prefix: str | None
    subdomain: str | None
    url_defaults: Mapping[str, Any]
    options: Mapping[str, Any]
    first_registration: bool

    @property
    def name(self) -> str:
        """The last part of :attr:`full_name`: its own name, or the one that it was given here."""
        return self.full_name.rpartition(".")[2]

    @property
    def name_prefix(self) -> str:
        """The full name of the blueprint that it is nested in; ``""`` if it is in none."""
        return self.full_name.rpartition(".")[0]

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: View | None = None, **options: Any
    ) -> None:
        """Add a rule to the app, under the prefix and the name of the blueprint."""
        scratch = Blueprint("scratch", self.blueprint.import_name)
        scratch.add_url_rule(rule, endpoint, view_func, **options)
        self.app.registry.include(scratch.registry, name=self.full_name, place=self.place)

    def place(self, rule: Rule) -> None:
        """Give *rule* its place in the app."""
        subdomain = rule.subdomain if rule.subdomain is not None else self.subdomain
        moved = prefixed(
            rule,
            self.url_prefix,
            endpoint=f"{self.full_name}.{rule.endpoint}",
            subdomain=subdomain,
            defaults={**self.url_defaults, **rule.defaults},
        )
        if not moved.rule.startswith("/"):
            raise SetupValueError(
                f"A URL rule begins with a slash: {moved.rule!r} of the blueprint"
                f" {self.full_name!r}."
            )
        self.app.add_rule(moved)


@lacks(BLUEPRINT)
class Blueprint(Registrar):
    """A group of views with a name, usually a URL prefix, and its own hooks and handlers.

    *name* comes before the endpoints of its views: ``url_for("shop.cart")``. *errors* says how
    HTTP errors of its views look: ``"html"``, ``"problem"`` or ``"auto"``; ``None`` leaves
    that to the app. *owns_prefix* makes its error handlers answer also for URLs below its prefix
    that no rule serves (404), or not with this method (405); of several blueprints the one with
    the longest prefix. Its hooks do not run for those.

    :raises SetupValueError: if *name* is empty or has a dot.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_overrides(cls, BLUEPRINT)

    def __init__(
        self,
        name: str,
        import_name: str,
        static_folder: str | Path | None = None,
        static_url_path: str | None = None,
        template_folder: str | Path | None = None,
        url_prefix: str | None = None,
        subdomain: str | None = None,
        url_defaults: Mapping[str, Any] | None = None,
        root_path: str | None = None,
        *,
        errors: str | None = None,
        owns_prefix: bool = False,
    ) -> None:
        if not name:
            raise SetupValueError("'name' may not be empty. Give the blueprint a name.")
        if "." in name:
            raise SetupValueError(f"'name' may not contain a dot '.' character: {name!r}.")
        super().__init__(
            import_name,
            static_folder=static_folder,
            static_url_path=static_url_path,
            template_folder=template_folder,
            root_path=root_path,
        )
        self.name = name
        self.url_prefix = url_prefix
        self.subdomain = subdomain
        self.url_values_defaults = dict(url_defaults or {})
        self.app_registry = Registry()
        self.app_hooks: list[tuple[str, Callable[..., Any]]] = []
        self.deferred_functions: list[Callable[[Registration], Any]] = []
        self.children: list[tuple[Blueprint, dict[str, Any]]] = []
        self.registered_on: str | None = None
        said = {"errors": errors, "owns_prefix": owns_prefix}
        self.registry.options[""] = {key: value for key, value in said.items() if value}
        self.add_static_rule()

    def check_setup(self, name: str) -> None:
        """Refuse what would not reach the app this blueprint was already copied into."""
        if self.registered_on is not None:
            raise SetupAssertionError(
                f"The setup method '{name}' can no longer be called on the blueprint"
                f" {self.name!r}. It has already been registered on {self.registered_on!r}, and"
                " what is registered now would not reach it. Call it before"
                " register_blueprint()."
            )

    def needs_slash(self, rule: str) -> bool:
        """Say no: the prefix may bring the slash. ``include`` looks at the whole path."""
        return False

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Return how many seconds caches may keep a static file; ``None`` asks each time."""
        from .proxies import current

        context = current.get()
        if context is None:
            return None
        found: int | None = context.app.get_send_file_max_age(filename)
        return found

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: View | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Serve *rule*, below the prefix, with *view_func*.

        :raises SetupValueError: if the endpoint has a dot, which separates blueprints.
        """
        if endpoint and "." in endpoint:
            raise SetupValueError(f"'endpoint' may not contain a dot '.' character: {endpoint!r}.")
        if view_func is not None and "." in getattr(view_func, "__name__", ""):
            raise SetupValueError("'view_func' name may not contain a dot '.' character.")
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)

    # -- nesting and late registration -----------------------------------------------------

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: Any) -> None:
        """Put *blueprint* inside this one; options replace those it was made with.

        :raises SetupValueError: if it is this one.
        """
        refuse_non_blueprint(blueprint)
        if blueprint is self:
            raise SetupValueError("Cannot register a blueprint on itself")
        self.children.append((blueprint, options))

    @setupmethod
    def record(self, function: Callable[[Registration], Any]) -> None:
        """Call *function* whenever this blueprint is registered on an app."""
        self.deferred_functions.append(function)

    @setupmethod
    def record_once(self, function: Callable[[Registration], Any]) -> None:
        """Call *function* when this blueprint is first registered on an app."""

        @functools.wraps(function)
        def once(registration: Registration) -> None:
            if registration.first_registration:
                function(registration)

        self.record(once)

    # -- hooks for the whole app -----------------------------------------------------------

    before_app_request = hook_decorator("before_request", "app_registry")
    """Like ``before_request``, for every view of the app."""
    after_app_request = hook_decorator("after_request", "app_registry")
    """Like ``after_request``, for every view of the app."""
    teardown_app_request = hook_decorator("teardown_request", "app_registry")
    """Like ``teardown_request``, for every view of the app."""
    before_app_websocket = hook_decorator("before_websocket", "app_registry")
    """Like ``before_websocket``, for every websocket of the app."""
    after_app_websocket = hook_decorator("after_websocket", "app_registry")
    """Like ``after_websocket``, for every websocket of the app."""
    teardown_app_websocket = hook_decorator("teardown_websocket", "app_registry")
    """Like ``teardown_websocket``, for every websocket of the app."""
    app_url_value_preprocessor = hook_decorator("url_value_preprocessor", "app_registry")
    """Like ``url_value_preprocessor``, for every view of the app."""
    app_url_defaults = hook_decorator("url_defaults", "app_registry")
    """Like ``url_defaults``, for every URL of the app."""
    app_context_processor = hook_decorator("context_processor", "app_registry")
    """Like ``context_processor``, for every template of the app."""
    app_template_filter = template_decorator("filters", "app_registry")
    """Make the decorated function a template filter of the whole app."""
    app_template_test = template_decorator("tests", "app_registry")
    """Make the decorated function a template test of the whole app."""
    app_template_global = template_decorator("globals", "app_registry")
    """Make the decorated function a template global of the whole app."""

    def add_app_template_filter(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Make *f* a template filter of the whole app."""
        self.app_template_filter(name)(f)

    def add_app_template_test(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Make *f* a template test of the whole app."""
        self.app_template_test(name)(f)

    def add_app_template_global(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Make *f* a template global of the whole app."""
        self.app_template_global(name)(f)

    def app_errorhandler(self, code_or_exception: type[Exception] | int) -> Callable[[F], F]:
        """Like ``errorhandler``, for every view of the app."""
        from .registrar import error_key

        self.check_setup("app_errorhandler")

        def register(handler: F) -> F:
            kind, code = error_key(code_or_exception)
            handlers: dict[type[Exception], ErrorHandler] = self.app_registry.error_handlers[""][
                code
            ]
            handlers[kind] = handler
            return handler

        return register

    def _serving_hook(self, kind: str, function: F) -> F:
        self.check_setup(f"{kind}_app_serving")
        self.app_hooks.append((kind, function))
        return function

    def before_app_serving(self, function: F) -> F:
        """Run *function* before the app serves its first request."""
        return self._serving_hook("before", function)

    def after_app_serving(self, function: F) -> F:
        """Run *function* after the app has served its last request."""
        return self._serving_hook("after", function)

    def while_app_serving(self, function: F) -> F:
        """Run the generator *function* around serving."""
        return self._serving_hook("while", function)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def refuse_non_blueprint(thing: Any) -> None:
    """Refuse what is no blueprint.

    :raises SetupTypeError: naming it.
    """
    if not isinstance(thing, Blueprint):
        raise SetupTypeError(f"register_blueprint takes a Blueprint, not {thing!r}.")


def include(
    app: BlueprintApp,
    blueprint: Blueprint,
    options: Mapping[str, Any],
    *,
    parent: Registration | None = None,
) -> None:
    """Copy *blueprint*, and what is inside it, into *app*.

    :raises SetupValueError: if its name is taken.
    """
    own_name = options.get("name", blueprint.name)
    name = f"{parent.full_name}.{own_name}" if parent is not None else own_name
    taken = app.blueprints.get(name)
    if taken is not None:
        who = "this" if taken is blueprint else "a different"
        raise SetupValueError(
            f"The name {name!r} is already registered for {who} blueprint"
            f"{'' if taken is blueprint else f' {taken!r}'}. Use 'name=' to provide a unique name."
        )
    first = all(known is not blueprint for known in app.blueprints.values())
    prefix, subdomain = _placed(blueprint, options, parent)
    registration = Registration(
        app=app,
        blueprint=blueprint,
        full_name=name,
        url_prefix=prefix,
        subdomain=subdomain,
        url_defaults={**blueprint.url_values_defaults, **options.get("url_defaults", {})},
        options=options,
        first_registration=first,
    )
    app.blueprints[name] = blueprint
    if blueprint.registry.options.get(""):
        _take_prefix(app, registration)
    app.registry.include(blueprint.registry, name=name, place=registration.place)
    if first:
        _include_app_wide(app, blueprint, options)
    blueprint.registered_on = getattr(app, "name", "an app")
    for function in blueprint.deferred_functions:
        function(registration)
    for child, its_options in blueprint.children:
        include(app, child, its_options, parent=registration)


def _take_prefix(app: BlueprintApp, registration: Registration) -> None:
    """Note where the options of a blueprint count for URLs that no rule serves."""
    prefix = registration.url_prefix
    if not prefix:
        if registration.blueprint.registry.options[""].get("owns_prefix"):
            raise SetupValueError(
                f"The blueprint {registration.full_name!r} has owns_prefix=True and no url_prefix:"
                " it would own every URL. Give it a prefix, or use app_errorhandler."
            )
        return
    converters = app.url_map.converters
    pattern = compile_pattern(f"/{prefix.strip('/')}", converters)
    subdomain = registration.subdomain or app.url_map.default_subdomain
    texts = sum(segment.text is not None for segment in pattern.segments)
    app.registry.prefixes.append(
        Prefix(
            registration.full_name,
            re.compile(f"{pattern.regex.pattern.removesuffix(_END).rstrip('/')}(?:/|{_END})"),
            compile_pattern(subdomain, converters, host=True).regex,
            (len(pattern.segments), texts),
        )
    )


_END = r"\Z"


def _placed(
    blueprint: Blueprint, options: Mapping[str, Any], parent: Registration | None
) -> tuple[str | None, str | None]:
    """Return the whole URL prefix and subdomain of a blueprint."""
    prefix = options.get("url_prefix")
    if prefix is None:
        prefix = blueprint.url_prefix
    subdomain = options.get("subdomain", blueprint.subdomain)
    if parent is not None:
        if parent.url_prefix is not None and prefix is not None:
            prefix = f"{parent.url_prefix.rstrip('/')}/{prefix.lstrip('/')}"
        elif prefix is None:
            prefix = parent.url_prefix
        if parent.subdomain is not None:
            subdomain = f"{subdomain}.{parent.subdomain}" if subdomain else parent.subdomain
    return prefix, subdomain


def _include_app_wide(app: BlueprintApp, blueprint: Blueprint, options: Mapping[str, Any]) -> None:
    """Copy what a blueprint registered for the whole app."""
    shared = blueprint.app_registry
    for kind in HOOK_KINDS:
        app.registry.hooks[kind][""].extend(shared.hooks[kind][""])
    for code, handlers in shared.error_handlers[""].items():
        app.registry.error_handlers[""][code].update(handlers)
    app.take_app_wide(blueprint, options)
