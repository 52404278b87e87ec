"""From an app and its settings to something that runs until it is stopped."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ..app import App
from ..errors import SetupTypeError
from ..typing import ASGIApp
from .addresses import ListenError, close, listen, urls_of
from .certificates import certified
from .ending import end_soon
from .output import banner, say, where
from .protocols import loop_name, parser_name
from .reloading import CHANGED, Lineage, Supervisor, watch
from .settings import Settings
from .watching import Watcher, files_of, shown

if TYPE_CHECKING:
    from .serving import Server

__all__ = ["Target", "ignoring_calls_of_run", "run", "start"]

# What Flask's app.run() takes and we call something else, or nothing.
_FLASK_NAMES = {
    "use_reloader": "reload",
    "use_debugger": "debug",
}
_FLASK_NEEDLESS = {"threaded", "processes", "passthrough_errors", "use_evalex", "load_dotenv"}

_commands: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be served, before it is there."""

    name: str
    load: Callable[[], ASGIApp]
    """Makes the app; raises what is wrong with it."""
    factory: str | None = None
    """Import string of a function that makes the app in a process of its own."""
    folders: Collection[str] = ()
    """Where the code of the app is, to be watched."""
    extra_files: Collection[str] = ()
    forget: Collection[str] = ()
    """Environment variables that a fresh start finds out for itself."""


@contextmanager
def ignoring_calls_of_run() -> Generator[None]:
    """Let ``app.run()`` do nothing: a command loads the app and does what it would do."""
    _commands.append("erlen")
    try:
        yield
    finally:
        _commands.pop()


def run(app: App, host: str | None = None, port: int | None = None, **options: Any) -> None:
    """Serve *app*; see :meth:`erlen.Erlen.run`.

    *host* and *port* default to those of ``SERVER_NAME``, then to 127.0.0.1 and 5000; port 0
    takes any free one. *ssl_context* serves https: the files of certificate and key as a pair,
    an ``ssl.SSLContext``, or ``"adhoc"`` for a certificate of this run. *debug* switches debug
    mode, *reload* starts anew when the code changes (in debug mode unless it says otherwise).
    The other options are those of :class:`Settings`, and what is none of them goes to
    ``uvicorn.Config``.

    :raises SetupError: if options do not go together.
    :raises SystemExit: if the address cannot be served on.
    """
    if _commands:
        say(
            " * Ignoring a call of app.run(), which would never return: the command"
            f" {_commands[0]!r} loads this app.\n"
            "   Put the call under 'if __name__ == \"__main__\":'.",
            fg="red",
        )
        return
    _refuse_running_loop()
    settings = _settings_of(app, host, port, options)
    code = start(Target(name=app.name, load=lambda: app), settings)
    if code:
        raise SystemExit(code)


def start(target: Target, settings: Settings) -> int:
    """Serve *target* until it is stopped, and return the exit code of this process."""
    try:
        with certified(settings) as settings:
            return _start(target, settings)
    except ListenError as error:
        say(f"Error: {error}", fg="red")
        return 1
    except KeyboardInterrupt:
        return 130


def _start(target: Target, settings: Settings) -> int:
    lineage = Lineage.of_this_process()
    if lineage is not None:
        return _serve_as_child(target, settings, lineage)
    if settings.reload:
        return _supervise(target, settings)
    if settings.workers > 1:
        return _serve_with_workers(target, settings)
    return _serve_here(target, settings)


def _serve_here(target: Target, settings: Settings) -> int:
    app = target.load()
    sockets = listen(settings)
    banner(target.name, settings)
    try:
        _serve(app, settings, sockets)
    finally:
        close(sockets, settings)
    return 0


def _serve_with_workers(target: Target, settings: Settings) -> int:
    if target.factory is None:
        raise SetupTypeError(
            "Each worker imports the app for itself, so its place has to be known by name. Run"
            f" them from the command line: erlen --app ... run --workers {settings.workers}"
        )
    from .serving import serve_with_workers

    sockets = listen(settings)
    banner(target.name, settings)
    where(urls_of(sockets, settings), [f"{settings.workers} workers", *_parts(settings)])
    try:
        return serve_with_workers(target.factory, settings, sockets)
    finally:
        close(sockets, settings)


def _serve(
    app: ASGIApp,
    settings: Settings,
    sockets: list[socket.socket],
    *,
    again: bool = False,
    take: Callable[[Server], None] | None = None,
) -> None:
    from .serving import serve

    urls = urls_of(sockets, settings)
    serve(
        app,
        settings,
        sockets,
        ready=lambda: where(urls, _parts(settings), again=again),
        take=take,
    )


def _parts(settings: Settings) -> list[str]:
    parser = parser_name() if "http" not in settings.uvicorn else "custom parser"
    loop = settings.uvicorn.get("loop", "auto")
    return [parser, loop_name() if loop == "auto" else str(loop)]


# -- with reload -------------------------------------------------------------------------------


def _supervise(target: Target, settings: Settings) -> int:
    sockets = listen(settings)
    banner(target.name, settings)
    try:
        return Supervisor(sockets, _watcher(target, settings), forget=target.forget).run()
    finally:
        close(sockets, settings)


def _serve_as_child(target: Target, settings: Settings, lineage: Lineage) -> int:
    changes: list[str | None] = []
    servers: list[Server] = []
    timers: list[threading.Timer] = []

    def changed(file: str | None) -> None:
        if file is not None:
            say(f" * Detected change in {shown(file)!r}, reloading")
        changes.append(file)
        timers.append(end_soon(CHANGED, settings.patience + 4))
        for server in servers:
            server.should_exit = True

    def take(server: Server) -> None:
        servers.append(server)
        server.should_exit = bool(changes)

    watcher = _watcher(target, settings)
    watching = watch(watcher, lineage, changed)
    again = lineage.generation > 0
    try:
        app = _load(target, settings, watcher, again)
        _serve(app, settings, lineage.sockets, again=again, take=take)
    finally:
        watching.set()
        for timer in timers:
            timer.cancel()
        for sock in lineage.sockets:
            sock.close()
    return CHANGED if changes else 0


def _load(target: Target, settings: Settings, watcher: Watcher, again: bool) -> ASGIApp:
    """Return the app, or in debug mode what shows why there is none."""
    from ..debugger import traceback_text
    from .failing import Broken, Forgiving

    try:
        return Forgiving(target.load()) if settings.debug else target.load()
    except Exception as error:
        # What was typed may be wrong, or else the app, which is the cause then.
        cause = error.__cause__ if isinstance(error, click.UsageError) else error
        if not settings.debug or (cause is None and not again):
            raise
        cause = cause or error
        watcher.add(files_of(cause))
        say(traceback_text(cause), nl=False)
        say(" * The app failed to load; the browser shows why, too. Mend it and save the file.")
        return Broken(cause)


def _watcher(target: Target, settings: Settings) -> Watcher:
    return Watcher(
        {os.getcwd(), *target.folders},
        extra_files=(*settings.extra_files, *target.extra_files),
        exclude_patterns=settings.exclude_patterns,
    )


# -- app.run() ---------------------------------------------------------------------------------


def _settings_of(app: App, host: str | None, port: int | None, options: dict[str, Any]) -> Settings:
    for name in options:
        if name in _FLASK_NAMES:
            raise SetupTypeError(f"app.run() takes {_FLASK_NAMES[name]}= and not {name}=.")
    for name in _FLASK_NEEDLESS:
        options.pop(name, None)
    if (tls := options.pop("ssl_context", None)) is not None:
        options["cert"], options["key"] = tls if isinstance(tls, tuple) else (tls, None)
    if (debug := options.pop("debug", None)) is not None:
        app.debug = bool(debug)
    server_name = urlsplit(f"//{app.config['SERVER_NAME'] or ''}")
    own = {name for name in Settings.__dataclass_fields__ if name != "uvicorn"}
    mine = {name: options.pop(name) for name in own & options.keys()}
    mine.setdefault("reload", app.debug)
    for several in ("extra_files", "exclude_patterns"):
        mine[several] = tuple(mine.get(several) or ())
    if port is None:
        port = 5000 if server_name.port is None else server_name.port
    return Settings(
        host=host or server_name.hostname or "127.0.0.1",
        port=int(port),
        debug=app.debug,
        uvicorn=options,
        **mine,
    )


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "app.run() starts an event loop, and one is running here already. In async def code:"
        " await uvicorn.Server(uvicorn.Config(app)).serve()"
    )
