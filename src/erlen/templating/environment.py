"""How templates are compiled: Jinja, with what an app and its blueprints registered."""

from __future__ import annotations

import functools
import logging
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any, Protocol, cast

import jinja2
from jinja2 import BaseLoader, Template, TemplatesNotFound, pass_context
from jinja2.runtime import Context as Variables
from jinja2.runtime import new_context
from jinja2.utils import LRUCache

from ..concurrency import is_async
from ..config import Config
from ..connections import Connection
from ..context import MISSING_APP, MISSING_REQUEST, Context
from ..errors import ContextError, SetupValueError
from ..json import JSONProvider
from ..proxies import Proxy, current
from ..registry import Registry
from .calls import plainly, wait
from .flashes import get_flashed_messages
from .loading import DispatchingLoader, TemplateOwner

__all__ = [
    "Environment",
    "TemplateApp",
    "loader_of",
    "make_environment",
    "reloads_templates",
    "select_autoescape",
]

_STRINGS = 100
"""Templates from strings that are kept compiled."""
_NOWHERE = object()
_CALLABLES = (FunctionType, MethodType, functools.partial)


class TemplateApp(TemplateOwner, Protocol):
    """What templates need of the app above."""

    registry: Registry
    config: Config
    json: JSONProvider

    @property
    def debug(self) -> bool:
        """Whether changed templates are compiled again, unless the configuration says."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """Where searches are explained."""
        ...

    @property
    def jinja_env(self) -> Environment:
        """What :func:`make_environment` returned, once and for all."""
        ...

    @property
    def jinja_options(self) -> Mapping[str, Any]:
        """Options of Jinja."""
        ...

    @property
    def blueprints(self) -> Mapping[str, TemplateOwner]:
        """The blueprints by name, in the order of their registration."""
        ...

    def url_for(self, endpoint: Any, **values: Any) -> str:
        """Return the URL of *endpoint*."""
        ...

    def update_template_context(self, context: dict[str, Any]) -> None:
        """Call the function of that name with the current context; may be overridden."""
        ...


class _Template(Template):
    """A template that gathers the names it starts with quickly."""

    def new_context(
        self,
        vars: dict[str, Any] | None = None,
        shared: bool = False,
        locals: Mapping[str, Any] | None = None,
    ) -> Variables:
        """Return the variables of one render."""
        layers = self.globals
        if shared or locals or not isinstance(layers, ChainMap):
            return super().new_context(vars, shared, locals)
        # PERF: Jinja copies the ChainMap name by name, which takes 11 of the 18 us of a small
        # page; layer by layer it takes 1 us (bench/templating.py).
        names: dict[str, Any] = {}
        for layer in reversed(layers.maps):
            names.update(layer)
        together = {**names, **(vars or {})}
        return new_context(self.environment, self.name, self.blocks, together, True, names)


class Environment(jinja2.Environment):
    """Jinja's environment as an app wants it; subclass it to change what templates can do.

    Autoescaping, the loader and the reloading of changed templates are the app's unless
    *options* say otherwise. It does not keep the app alive.

    :raises SetupValueError: for ``enable_async``, which :attr:`waiting` has anyway.
    """

    template_class = _Template

    def __init__(self, app: TemplateApp, **options: Any) -> None:
        if options.pop("enable_async", False):
            raise SetupValueError(
                "jinja_options has enable_async=True, which makes every template slower. Leave"
                " it out: 'await render_template_async(...)' compiles for await on its own."
            )
        options.setdefault("autoescape", select_autoescape)
        options.setdefault("auto_reload", reloads_templates(app))
        options.setdefault("loader", loader_of(app))
        super().__init__(**options)
        self.policies["json.dumps_function"] = _json_of(app)
        # WHY: Jinja sorts keys here, but how JSON is written is for app.json to say.
        self.policies["json.dumps_kwargs"] = {}
        self.filters = _Functions("filter", self.filters)
        self.tests = _Functions("test", self.tests)
        self.globals = _Functions("global", self.globals)
        self._strings = LRUCache(_STRINGS)
        self._twin: Environment | None = None

    @property
    def waiting(self) -> Environment:
        """The twin of this environment whose templates can await."""
        if self.is_async:
            return self
        if self._twin is None:
            self._twin = self.overlay(enable_async=True)
            self._twin.context_class = _WaitingVariables
        self._twin.loader = self.loader
        self._twin.auto_reload = self.auto_reload
        return self._twin

    def overlay(self, *args: Any, **options: Any) -> Environment:
        """Return an environment that shares the functions of this one; see Jinja."""
        twin = super().overlay(*args, **options)
        twin._strings = LRUCache(_STRINGS)
        twin._twin = None
        return twin

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return what ``obj.attribute`` is in a template: an attribute, else an item; see Jinja."""
        # PERF: Jinja catches an AttributeError before it looks into a dict, which is most of what
        # a table of dicts costs; with a default, none is made (bench/templating.py).
        found = getattr(obj, attribute, _NOWHERE)
        if found is not _NOWHERE:
            return found
        try:
            return obj[attribute]
        except (TypeError, LookupError, AttributeError):
            return self.undefined(obj=obj, name=attribute)

    def of_string(self, source: str) -> Template:
        """Return the template that *source* is; the last hundred are kept compiled."""
        # PERF: compiling three lines takes 900 us, as long as rendering them a hundred times.
        template: Template | None = self._strings.get(source)
        if template is None:
            template = self._strings[source] = self.from_string(source)
        return template

    def select_template(
        self, names: Any, parent: str | None = None, globals: Any = None
    ) -> Template:
        """Return the first template of *names* that exists."""
        try:
            return super().select_template(names, parent, globals)
        except TemplatesNotFound as error:
            if not error.templates or not isinstance(self.loader, DispatchingLoader):
                raise
            message = f"{error.message}. {self.loader.searched}"
            raise TemplatesNotFound(cast(Any, error.templates), message) from None


def make_environment(
    app: TemplateApp,
    *,
    kind: type[Environment] = Environment,
    globals: Mapping[str, Any] | None = None,
    **options: Any,
) -> Environment:
    """Return the environment of *app*, with everything that is registered for templates.

    What is registered later counts as well. *globals* come on top of ``url_for``,
    ``get_flashed_messages``, ``config``, ``request``, ``session`` and ``g``; *options* of Jinja
    come on top of ``app.jinja_options``.
    """
    environment = kind(app, **{**app.jinja_options, **options})
    environment.globals.update(_globals_of(app))
    environment.globals.update(globals or {})
    registered = app.registry.template
    for name in ("filters", "tests", "globals"):
        registered[name] = _Registered(getattr(environment, name), registered[name])
    return environment


def select_autoescape(filename: str | None) -> bool:
    """Say whether what a template prints is escaped: in HTML, XML, SVG and in strings."""
    if filename is None:
        return True
    return filename.lower().endswith((".html", ".htm", ".xml", ".xhtml", ".svg"))


def reloads_templates(app: TemplateApp) -> bool:
    """Say whether templates that changed are compiled again."""
    wanted = app.config["TEMPLATES_AUTO_RELOAD"]
    return app.debug if wanted is None else bool(wanted)


# -- what holds the app weakly -------------------------------------------------------------


def _alive(app: weakref.ref[TemplateApp]) -> TemplateApp:
    alive = app()
    if alive is None:
        raise ContextError("The app of this template is gone. Keep it while templates render.")
    return alive


def _json_of(app: TemplateApp) -> Callable[..., str]:
    own = weakref.ref(app)

    def dumps(value: Any, **options: Any) -> str:
        return _alive(own).json.dumps(value, **options)

    return dumps


def loader_of(app: TemplateApp) -> DispatchingLoader:
    """Return the loader of the templates of *app*, then of its blueprints."""
    own = weakref.ref(app)

    def owners() -> Iterator[tuple[str, BaseLoader]]:
        app = _alive(own)
        if app.jinja_loader is not None:
            yield f"application {app.import_name!r}", app.jinja_loader
        for name, blueprint in app.blueprints.items():
            if blueprint.jinja_loader is not None:
                yield f"blueprint {name!r} ({blueprint.import_name})", blueprint.jinja_loader

    def log() -> logging.Logger | None:
        app = _alive(own)
        return app.logger if app.config["EXPLAIN_TEMPLATE_LOADING"] else None

    return DispatchingLoader(owners, log=log)


def _globals_of(app: TemplateApp) -> dict[str, Any]:
    own = weakref.ref(app)

    def url_for(endpoint: Any, **values: Any) -> str:
        return _alive(own).url_for(endpoint, **values)

    def flashed(with_categories: bool = False, category_filter: Iterable[str] = ()) -> list[Any]:
        return get_flashed_messages(_here(), with_categories, category_filter)

    return {
        "url_for": url_for,
        "get_flashed_messages": flashed,
        "config": app.config,
        "request": Proxy("request", lambda: _here().request),
        "session": Proxy("session", lambda: _here().session),
        "g": Proxy("g", lambda: _here(MISSING_APP).g),
    }


def _here(message: str = MISSING_REQUEST) -> Context[Any]:
    context = current.get()
    if context is None:
        raise ContextError(message)
    return cast("Context[Any]", context)


# -- functions of both colours -------------------------------------------------------------


class _Functions(dict[str, Any]):
    """Filters, tests or globals; ``async def`` ones are made to fit both environments."""

    def __init__(self, kind: str, functions: Mapping[str, Any]) -> None:
        super().__init__(functions)
        self._kind = kind

    def __setitem__(self, name: str, function: Any) -> None:
        super().__setitem__(name, _bridged(self._kind, function))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take functions by their names, as a dict does."""
        for name, function in dict(*args, **kwargs).items():
            self[name] = function

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return what has this *name*, which is *default* if nothing had it."""
        if name not in self:
            self[name] = default
        return self[name]


class _Registered(dict[str, Any]):
    """What was registered for templates; what is added reaches the environment as well."""

    def __init__(self, table: dict[str, Any], functions: Mapping[str, Any]) -> None:
        super().__init__()
        self._table = table
        self.update(functions)

    def __setitem__(self, name: str, function: Any) -> None:
        super().__setitem__(name, function)
        self._table[name] = function

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take functions by their names, as a dict does."""
        for name, function in dict(*args, **kwargs).items():
            self[name] = function


def _bridged(kind: str, function: Any) -> Any:
    """Return *function*; if it is ``async def``, a plain render waits for it in a thread."""
    # WHY: by type, as a proxy would answer for an object that may not be there yet.
    call: Any = function if type(function) in _CALLABLES else cast(Any, type(function)).__call__
    if not is_async(call):
        return function
    takes_argument = hasattr(function, "jinja_pass_arg")

    @functools.wraps(function)
    def bridged(first: Any, *args: Any, **kwargs: Any) -> Any:
        environment: jinja2.Environment = getattr(first, "environment", first)
        arguments = (first, *args) if takes_argument else args

        def start() -> Any:
            return function(*arguments, **kwargs)

        return start() if environment.is_async else wait(f"template {kind}", function, start)

    # Without it, Jinja would call it for constants when it compiles.
    vars(bridged)["jinja_async_variant"] = True
    return bridged if takes_argument else pass_context(bridged)


class _WaitingVariables(Variables):
    """The variables of a template that can await, and with which it calls functions."""

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call *function* for the template; ``def`` ones see what was read of the request."""
        if isinstance(getattr(function, "__self__", None), Connection):
            return super().call(function, *args, **kwargs)
        call = functools.partial(super().call, function, *args, **kwargs)
        return plainly(current.get(), call)
