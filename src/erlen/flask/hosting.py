"""Puts a Flask app into its place, and joins what both apps have. Knows no view of either."""

from __future__ import annotations

import functools
import io
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote

from ..concurrency import wait_for
from ..context import Context
from ..errors import SetupError, SetupValueError
from ..framework import Erlen
from ..proxies import current
from ..rules import BuildError
from ..signals import got_request_exception
from ..wsgi.environ import environ_of
from .loops import OwnLoop
from .sessions import CONTEXT, share_config, share_sessions

__all__ = ["FlaskApp", "Hosted", "host", "hosted_of"]

EXTENSION = "erlen"
"""Where a hosted Flask app keeps that it is: ``flask_app.extensions["erlen"]``."""


class FlaskApp(Protocol):
    """What is asked of a ``flask.Flask``: that is one."""

    config: Any
    extensions: dict[str, Any]
    session_interface: Any
    url_build_error_handlers: Any

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def static_folder(self) -> str | None:
        """The folder of its static files."""
        ...

    @property
    def static_url_path(self) -> str | None:
        """The path below which they are."""
        ...

    def __call__(self, environ: Any, start_response: Any, /) -> Any:
        """Serve a request, as WSGI wants it."""
        ...


def host(
    app: Erlen,
    flask_app: FlaskApp,
    at: str = "/",
    async_views: str = "serving",
    *,
    name: str = "flask",
) -> None:
    """Serve a Flask app, as it is, by *app*: below the path *at*, or behind all of its rules.

    At ``"/"`` the Flask app gets every request that no rule and no mount of *app* serves. Both
    have one session, with the cookie and the keys of the Flask app, whose configuration is asked
    for them; a Flask app without a ``SECRET_KEY`` gets that of *app*.

    The ``async def`` views of the Flask app run on the serving loop while their thread waits.
    With ``async_views="own"`` they share another loop, in a thread of its own: for views that
    block, on a synchronous database for example.

    ``url_for("flask:endpoint")`` builds URLs of the Flask app, with another *name* under that;
    a plain endpoint is looked for there too if *app* has none of that name. In the Flask app
    ``url_for`` finds the endpoints of *app* in the same way, and as ``"erlen:endpoint"``.

    :raises SetupError: if the app serves already, there is a fallback already, the secret keys of
        both differ, or both serve another static folder at the same path.
    """
    if async_views not in ("serving", "own"):
        raise SetupValueError(f"async_views is 'serving' or 'own', not {async_views!r}.")
    app.check_setup("erlen.flask.host")
    known = flask_app.extensions.get(EXTENSION)
    if known is not None:
        raise SetupValueError(f"{flask_app!r} is hosted already: {known!r}.")
    prefix = at.rstrip("/")
    _refuse_other_static_folder(app, flask_app, prefix)
    share_config(app, flask_app)
    own = OwnLoop() if async_views == "own" else None
    hosted = Hosted(app, flask_app, prefix, name, own)
    if prefix:
        app.mount_wsgi(prefix, hosted)
    else:
        app.fallback_wsgi(hosted)
    hosted.connect(app)
    flask_app.extensions[EXTENSION] = hosted


def hosted_of(flask_app: FlaskApp) -> Hosted:
    """Return how *flask_app* is hosted.

    :raises SetupError: if it is not.
    """
    hosted = flask_app.extensions.get(EXTENSION)
    if hosted is None:
        raise SetupError(
            f"{flask_app!r} is not hosted, so nothing can run inside of it. Call"
            " erlen.flask.host(app, flask_app) where the app is put together."
        )
    return cast(Hosted, hosted)


def _refuse_other_static_folder(app: Erlen, flask_app: FlaskApp, prefix: str) -> None:
    """Refuse a static folder of *app* that would hide that of the Flask app."""
    ours, theirs = app.static_folder, flask_app.static_folder
    if ours is None or theirs is None or prefix or not Path(theirs).is_dir():
        return
    if app.static_url_path == flask_app.static_url_path and Path(ours) != Path(theirs):
        raise SetupValueError(
            f"Both apps have static files at {app.static_url_path}: those in {ours} would hide"
            f" those in {theirs}. Give one of them another place: Erlen(...,"
            " static_folder=None), or static_url_path='/files'."
        )


_NOTHING: dict[str, Any] = {}


class Hosted:
    """One Flask app in its place: what :class:`erlen.wsgi.WSGIMount` calls."""

    def __init__(
        self, app: Erlen, flask_app: Any, prefix: str, name: str, own: OwnLoop | None
    ) -> None:
        # The app around has this among its routes.
        self._app = weakref.ref(app)
        self.flask_app = flask_app
        self.prefix = prefix
        self.name = name
        self.own = own

    def connect(self, app: Erlen) -> None:
        """Give each of the two what it needs of the other."""
        self.flask_app.async_to_sync = self.async_to_sync
        self.flask_app.url_build_error_handlers.append(self.url_of_ours)
        app.url_build_error_handlers.append(self.url_of_theirs)
        got_request_exception.connect(self.add_hint, app)
        if self.own is not None:
            app.after_serving(self.own.stop)
        share_sessions(app, self)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Serve a request; in its thread."""
        context = environ[CONTEXT] = current.get()
        for key, value in context.scope.get("wsgi.environ", _NOTHING).items():
            # What the server, or a test client, says beyond the request: REMOTE_USER, for one.
            if key not in environ and not key.startswith(("HTTP_", "CONTENT_")):
                environ[key] = value
        return self.flask_app(environ, start_response)

    def serves(self, context: Context[Any]) -> bool:
        """Say whether the request of *context* is one of the Flask app's."""
        mount: Any = getattr(context.route, "app", None)
        return getattr(mount, "app", None) is self

    # -- async def views -------------------------------------------------------------------

    def async_to_sync(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return *function* for ``def`` code; the Flask app calls this for its async views."""

        @functools.wraps(function)
        def bridged(*args: Any, **kwargs: Any) -> Any:
            if self.own is not None:
                return self.own.wait_for(function, *args, **kwargs)
            return wait_for(function, *args, **kwargs)

        return bridged

    # -- URLs ------------------------------------------------------------------------------

    def url_of_theirs(self, error: BuildError, endpoint: str, values: Any) -> str | None:
        """Return the URL of an endpoint that *app* does not know, if the Flask app does."""
        endpoint = endpoint.removeprefix(f"{self.name}:")
        values = dict(values)
        special = {key: values.pop(f"_{key}", None) for key in ("anchor", "method", "scheme")}
        external = bool(values.pop("_external", None))
        self.flask_app.inject_url_defaults(endpoint, values)
        try:
            url: str = self.adapter(current.get()).build(
                endpoint,
                values,
                method=special["method"],
                url_scheme=special["scheme"],
                force_external=external,
            )
        except LookupError as theirs:  # werkzeug's BuildError is one
            error.add_note(f"The Flask app {self.flask_app.name!r} has none either: {theirs}")
            return None
        anchor = special["anchor"]
        return f"{url}#{quote(anchor)}" if anchor else url

    def url_of_ours(self, error: Any, endpoint: str, values: Any) -> str | None:
        """Return the URL of an endpoint that the Flask app does not know, if *app* does."""
        app = self._app()
        if app is None:
            return None
        try:
            return app.url_for(endpoint.removeprefix("erlen:"), **values)
        except BuildError:
            return None

    def adapter(self, context: Context[Any] | None) -> Any:
        """Return what builds URLs of the Flask app, as seen from the request of *context*."""
        if context is None or context.kind == "app":
            config = self.flask_app.config
            root = f"{config['APPLICATION_ROOT'].rstrip('/')}{self.prefix}/"
            scheme = config["PREFERRED_URL_SCHEME"]
            server = config["SERVER_NAME"] or "localhost"
            return self.flask_app.url_map.bind(server, script_name=root, url_scheme=scheme)
        adapters: dict[Any, Any] = vars(context).setdefault("flask_url_adapters", {})
        if self not in adapters:
            environ = self.environ(context, f"{root_of(context)}{self.prefix}")
            request = self.flask_app.request_class(environ)
            adapters[self] = self.flask_app.create_url_adapter(request)
        return adapters[self]

    def environ(self, context: Context[Any], root: str) -> dict[str, Any]:
        """Return the environ of the request of *context*, as of an app at *root*."""
        scope = {**context.scope, "root_path": root}
        if context.kind == "websocket":
            scope.update(method="GET", scheme=scope["scheme"].replace("ws", "http", 1))
        return {**environ_of(scope), CONTEXT: context}

    # -- the context of the Flask app around our views -------------------------------------

    def request_context(self, context: Context[Any], body: Any) -> Any:
        """Return a request context of the Flask app for the request of *context*."""
        environ = self.environ(context, root_of(context))
        environ["wsgi.input"] = body
        environ["wsgi.errors"] = io.StringIO()
        made = self.flask_app.request_context(environ)
        # So that it builds URLs as if it had been asked for one of its own.
        made.url_adapter = self.adapter(context)
        return made

    def add_hint(self, sender: Any, exception: BaseException, **_: Any) -> None:
        """Say what to do about the Flask app's context being missed in a view of ours."""
        context = current.get()
        if is_outside(exception) and not (context is not None and self.serves(context)):
            exception.add_note(
                f"This view is not one of the Flask app {self.flask_app.name!r}, so Flask knows"
                " nothing of its request. Put @erlen.flask.inside(flask_app) directly below"
                " the route."
            )

    def __repr__(self) -> str:
        return f"<Flask app {self.flask_app.name!r} at {self.prefix or '/'!r}>"


def root_of(context: Context[Any]) -> str:
    """Return the path that the app around is mounted at."""
    scope = context.scope
    return str(scope.get("app_root_path", scope.get("root_path", ""))).rstrip("/")


def is_outside(error: BaseException) -> bool:
    """Say whether *error* comes of Flask's names being used where it serves nothing."""
    if isinstance(error, RuntimeError):
        return str(error).startswith("Working outside of ")
    if not isinstance(error, AttributeError) or error.obj is not None:
        return False
    # current_user of Flask-Login stands for None then.
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    names, known = trace.tb_frame.f_code.co_names, trace.tb_frame.f_globals
    return any(type(known.get(name)).__module__ == "werkzeug.local" for name in names)
