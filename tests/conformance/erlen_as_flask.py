"""Erlen under Flask's names, so that Flask's own tests can be run against it.

A pytest plugin: ``-p erlen_as_flask``, loaded ahead of Flask's ``conftest.py``. It knows names
and spelling, the documented switches, and one translation: ``app.run()`` ends in
``werkzeug.serving.run_simple``, which the tests replace. Whatever needs behaviour belongs into
Erlen, or stands in ``expected_failures.toml`` with a reason.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from types import ModuleType
from typing import Any

import erlen
import erlen.globals as here
from erlen import converters, exceptions, headers, helpers, http, proxies, routing, rules
from erlen.config import Config
from erlen.context import MISSING_APP, AppGlobals, Context
from erlen.errors import ContextError
from erlen.json.provider import DefaultJSONProvider


class Switched(DefaultJSONProvider):
    """JSON with Flask's order of keys and dates; see docs/coming-from-flask.md."""

    sort_keys = True
    dates = "http"


class PrefixedConfig(Config):
    """The configuration; what comes from the environment begins with FLASK_."""

    def from_prefixed_env(self, prefix: str = "FLASK", **options: Any) -> bool:
        return super().from_prefixed_env(prefix, **options)


class Globals(AppGlobals):
    """The namespace behind ``g``, with Flask's name in its repr."""

    def __repr__(self) -> str:
        return super().__repr__().replace("erlen.g", "flask.g")


class Flask(erlen.Erlen):
    """An Erlen app whose test client is synchronous without a ``with``."""

    json_provider_class = Switched
    config_class = PrefixedConfig
    app_ctx_globals_class = Globals
    test_client = erlen.Erlen.sync_test_client

    def __init_subclass__(cls, **options: Any) -> None:
        theirs = vars(cls).get("log_exception")
        if theirs is not None:
            cls.log_exception = lambda self, error, context: theirs(  # type: ignore[method-assign]
                self, (type(error), error, error.__traceback__)
            )
        super().__init_subclass__(**options)

    def run(self, host: Any = None, port: Any = None, debug: Any = None, **options: Any) -> None:
        if "use_reloader" in options:
            options["reload"] = options.pop("use_reloader")
        options.pop("use_debugger", None)
        super().run(host, port, debug=debug, **options)


def run_simple(host: str, port: int, app: Any, **options: Any) -> None:
    raise AssertionError("Flask's tests replace this: nothing is to be served.")


def start(target: Any, settings: Any) -> int:
    """Hand what would be served to ``run_simple``, as it is when this is called."""
    sys.modules["werkzeug.serving"].run_simple(  # type: ignore[attr-defined]
        settings.host,
        settings.port,
        target.load(),
        use_reloader=settings.reload,
        use_debugger=settings.debug,
        threaded=True,
    )
    return 0


def request_context_here() -> Context[Any]:
    context = here.context_here()
    if context.kind == "app":
        raise ContextError("There is no request here.")
    return context


def absent(name: str) -> Any:
    """Return a class that stands where Flask has something that Erlen does not have."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"Erlen has no {name}.")

    return type(name, (), {"__init__": refuse})


def locate_app(module: str, name: str | None, raise_if_not_found: bool = True) -> Any:
    try:
        return discovery.Location(module, sys.path[0], name and name.strip()).load()
    except discovery.NoModule:
        if raise_if_not_found:
            raise
        return None


def module(name: str, *sources: Any, **names: Any) -> ModuleType:
    """Make the module *name*, with the public names of *sources* and *names* beside them."""
    made = ModuleType(name)
    made.__path__ = []
    for source in sources:
        for public in source.__all__:
            setattr(made, public, getattr(source, public))
    vars(made).update(names)
    sys.modules[name] = made
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, made)
    return made


# One of Flask's fixtures takes out of sys.modules what was imported during a test: so that
# no module of Erlen is there twice, all of them are imported now.
for found in pkgutil.walk_packages(erlen.__path__, "erlen."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)

from erlen import (  # noqa: E402  # noqa: E402
    cli,
    json,
    logs,
    requests,
    responses,
    sessions,
    signals,
    templating,
    testing,
    views,
)
from erlen.cli import discovery, environment, run  # noqa: E402
from erlen.json import tag  # noqa: E402
from erlen.server import running  # noqa: E402
from erlen.testing import client  # noqa: E402

running.start = start
environment.PREFIX = "FLASK"

json._default = Switched()
Context._session = Context.untouched_session  # type: ignore[attr-defined]

app_ctx = proxies.Proxy("app_ctx", functools.partial(here.context_here, MISSING_APP))
request_ctx = proxies.Proxy("request_ctx", request_context_here)

module("flask", erlen, signals, Flask=Flask)
module("flask.app", Flask=Flask)
module("flask.blueprints", Blueprint=erlen.Blueprint)
module(
    "flask.cli",
    cli,
    FlaskGroup=cli.ErlenGroup,
    find_best_app=functools.partial(discovery._best_of, any_asgi=False),
    get_version=absent("get_version"),
    locate_app=locate_app,
    prepare_import=lambda path: discovery.locate(path).put_on_path(),
    run_command=run.run_command,
)
module("flask.config", Config=PrefixedConfig, ConfigAttribute=erlen.config.ConfigAttribute)
module("flask.ctx", AppContext=Context, RequestContext=Context)
module("flask.debughelpers", DebugFilesKeyError=exceptions.FileNotSent)
module(
    "flask.globals",
    here,
    app_ctx=app_ctx,
    request_ctx=request_ctx,
    _cv_app=proxies.current,
    _cv_request=proxies.current,
)
module("flask.helpers", helpers, get_debug_flag=environment.debug_flag)
module("flask.json", json, jsonify=erlen.jsonify)
module("flask.json.provider", json.provider)
module("flask.json.tag", tag)
module(
    "flask.logging",
    logs,
    has_level_handler=logs._has_handler,
)
module("flask.sessions", sessions)
module("flask.signals", signals)
module(
    "flask.templating",
    templating,
    templating.environment,
    templating.loading,
    render_template=erlen.render_template,
)
module(
    "flask.testing",
    FlaskClient=client.TestClient,
    FlaskCliRunner=testing.CliRunner,
    EnvironBuilder=absent("EnvironBuilder"),
)
module("flask.typing")
module("flask.views", views)
module("flask.wrappers", Request=requests.Request, Response=responses.Response)

module("werkzeug")
module("werkzeug.exceptions", exceptions)
module("werkzeug.http", http, headers)
module(
    "werkzeug.routing",
    BaseConverter=converters.BaseConverter,
    BuildError=rules.BuildError,
    RequestRedirect=exceptions.RequestRedirect,
    Rule=routing.Rule,
    Submount=routing.Submount,
)
module("werkzeug.security", erlen.security)
module("werkzeug.serving", run_simple=run_simple)
