"""The app as people import it: the core with its attachments within reach.

What is imported inside of functions here would slow down every start and is used by few.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import blueprints
from .app import App
from .context import Context
from .errors import SetupValueError
from .responses import Response
from .typing import Scope

if TYPE_CHECKING:
    from .cli import AppGroup
    from .testing import CliRunner, SyncTestClient, TestClient
    from .wsgi import WSGIApp

__all__ = ["Blueprint", "Erlen"]


class Erlen(App):
    """An app: ``app = Erlen(__name__)``.

    *import_name* is the name of the module or package that it is in; templates, static files
    and relative paths are found from there. The other arguments are Flask's, and *errors*
    (how HTTP errors look: ``"auto"``, ``"html"``, ``"problem"``), and *middleware*,
    *exception_handlers* and *lifespan* as in Starlette.
    """

    test_client_class: type[TestClient] | None = None
    test_cli_runner_class: type[CliRunner] | None = None

    def run(self, host: str | None = None, port: int | None = None, **options: Any) -> None:
        """Serve this app with uvicorn; for development, and for scripts.

        *host* and *port* default to ``SERVER_NAME``, then to 127.0.0.1 and 5000. Options go to
        :func:`erlen.server.run`. Inside of ``erlen run`` this does nothing.
        """
        from .server import run

        run(self, host=host, port=port, **options)

    @cached_property
    def wsgi_app(self) -> WSGIApp:
        """What WSGI servers call: ``application = app.wsgi_app`` in the module they are given.

        It may be replaced, to put WSGI middleware around it.
        """
        from .wsgi import Gateway

        return Gateway(self)

    def mount_wsgi(self, prefix: str, wsgi_app: WSGIApp, name: str | None = None) -> None:
        """Serve a WSGI app, such as one of Flask or Django, below the path *prefix*.

        It runs in the worker threads of this app and finds *prefix* in ``SCRIPT_NAME``, so that
        the URLs it builds are right. Rules of this app come first. With *name*,
        ``url_path_for(name, path=...)`` builds URLs into it.

        :raises SetupError: if *prefix* has no slash in front, or the app serves already.
        """
        from .wsgi import WSGIRoute

        self.check_setup("mount_wsgi")
        self.routes.append(WSGIRoute(prefix, wsgi_app, name))

    def fallback_wsgi(self, wsgi_app: WSGIApp) -> None:
        """Serve by a WSGI app whatever no rule and no mount of this app serves.

        A rule serves the methods it has: a ``POST`` to a path with a rule for ``GET`` alone goes
        to the WSGI app. So do all errors for unknown paths and methods.

        :raises SetupError: if there is a fallback, or the app serves already.
        """
        from .wsgi import WSGIRoute

        self.check_setup("fallback_wsgi")
        known = next((one for one in self.routes if getattr(one, "is_fallback", False)), None)
        if known is not None:
            raise SetupValueError(f"There is a fallback already: {known!r}. An app has one.")
        self.routes.append(WSGIRoute("", wsgi_app, is_fallback=True))

    def test_client(self, use_cookies: bool = True, **options: Any) -> TestClient:
        """Return a client: ``async with`` makes it asynchronous, ``with`` synchronous.

        :raises ImportError: without the extra ``erlen[test]``.
        """
        from .testing import TestClient

        kind = self.test_client_class or TestClient
        return kind(self, use_cookies=use_cookies, **options)

    def sync_test_client(self, use_cookies: bool = True, **options: Any) -> SyncTestClient:
        """Return a synchronous client that needs no ``with``."""
        from .testing import SyncTestClient

        return SyncTestClient(self, use_cookies=use_cookies, **options)

    def test_cli_runner(self, **options: Any) -> CliRunner:
        """Return a runner for the commands of this app."""
        from .testing import CliRunner

        kind = self.test_cli_runner_class or CliRunner
        return kind(self, **options)

    def test_request_context(self, *args: Any, **kwargs: Any) -> Context[Any]:
        """Return the context of a request that nobody sent, for ``with`` and ``async with``.

        The arguments are those of the test client: path, ``method``, ``query_string``,
        ``headers``, ``data``, ``json``...
        """
        from .testing import build_scope

        return self.request_context(build_scope(self, *args, **kwargs))

    @property
    def cli(self) -> AppGroup:
        """The group of commands of this app: ``@app.cli.command()``."""
        from .cli import AppGroup

        group = self.__dict__.get("_cli")
        if group is None:
            group = self.__dict__["_cli"] = AppGroup(self.name)
        return group

    @contextmanager
    def sync_serving(self) -> Generator[dict[str, Any]]:
        """Run start-up and shutdown around a block of ``def`` code, on a loop of its own."""
        from .testing import running_loop

        with running_loop() as run:
            manager = self.serving()
            state = run(manager.__aenter__())
            try:
                yield state
            except BaseException as error:
                run(manager.__aexit__(type(error), error, error.__traceback__))
                raise
            run(manager.__aexit__(None, None, None))

    def render_failure(self, error: Exception, scope: Scope) -> Response:
        """Return the page for an error that nothing handled; in debug mode the traceback."""
        if not self.debug:
            return super().render_failure(error, scope)
        from .debugger import traceback_page

        return traceback_page(error, scope)

    def take_app_wide(self, blueprint: blueprints.Blueprint, options: Mapping[str, Any]) -> None:
        """Take what *blueprint* registered for the whole app, its commands too."""
        super().take_app_wide(blueprint, options)
        commands = blueprint.__dict__.get("_cli")
        if commands is None or not commands.commands:
            return
        group = options.get("cli_group", getattr(blueprint, "cli_group", _UNSET))
        if group is None:
            self.cli.commands.update(commands.commands)
        else:
            commands.name = blueprint.name if group is _UNSET else group
            self.cli.add_command(commands)


class _Unset:
    """Nothing was said about the group of commands."""


_UNSET: Any = _Unset()


class Blueprint(blueprints.Blueprint):
    """A group of views with a name, a URL prefix, hooks, handlers and commands of its own.

    *cli_group* names the group of its commands: the name of the blueprint unless it is given,
    ``None`` puts them beside those of the app.
    """

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
        cli_group: str | None = _UNSET,
        *,
        errors: str | None = None,
        owns_prefix: bool = False,
    ) -> None:
        self.cli_group = cli_group
        super().__init__(
            name,
            import_name,
            static_folder,
            static_url_path,
            template_folder,
            url_prefix,
            subdomain,
            url_defaults,
            root_path,
            errors=errors,
            owns_prefix=owns_prefix,
        )

    @property
    def cli(self) -> AppGroup:
        """The group of commands of this blueprint: ``@shop.cli.command()``."""
        from .cli import AppGroup

        group = self.__dict__.get("_cli")
        if group is None:
            group = self.__dict__["_cli"] = AppGroup(self.name)
        return group
