"""``erlen run``: options in, a server out."""

from __future__ import annotations

import os
import ssl
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ..debugger import traceback_text
from ..errors import SetupError
from ..server import Settings, Target, ignoring_calls_of_run, start
from ..server.output import say
from ..server.settings import ADHOC, LOG_LEVELS
from ..typing import ASGIApp
from .commands import ScriptInfo, pass_script_info
from .environment import debug_flag, loaded_files, loaded_names, variable
from .groups import set_debug

if TYPE_CHECKING:
    PathsType = click.ParamType[list[str]]
else:
    PathsType = click.ParamType

__all__ = ["make_app", "run_command"]

_FAILED_TO_START = 3
"""Exit code of a worker that would fail in the same way each time."""


class _Paths(PathsType):
    """Several paths in one value, separated as in PATH: a list of them."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Split *value*."""
        parts = value.split(os.pathsep) if isinstance(value, str) else value
        return [part for part in parts if part]


class _Certificate(click.Path):
    """A file, ``adhoc``, or the import name of an ``ssl.SSLContext``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, ``"adhoc"`` or the context."""
        if value == ADHOC or os.path.exists(value):
            return value if value == ADHOC else super().convert(value, param, ctx)
        found = _imported(value)
        if found is None:
            self.fail(
                f"File {value!r} does not exist, and no ssl.SSLContext could be imported by that"
                " name.",
                param,
                ctx,
            )
        return found


def _imported(name: str) -> Any:
    """Return the context at ``module:name``, or ``None`` if there is none."""
    path, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        module: Any = import_module(path)
        found = getattr(module, attribute) if attribute else module
    except (ImportError, AttributeError, ValueError):
        return None
    finally:
        sys.path.remove(os.getcwd())
    return found if isinstance(found, ssl.SSLContext) else None


def _go_together(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Refuse a private key that does not go with the certificate, and one that is missing."""
    cert = context.params.get("cert")
    try:
        Settings(cert=cert, key=value)
    except SetupError as error:
        raise click.BadParameter(str(error), ctx=context, param=parameter) from None
    return value


_PATHS = _Paths()
_FILE = click.Path(exists=True, dir_okay=False)
_SEVERAL = f"several are separated by {os.pathsep!r}"


@click.command("run", short_help="Serve the app.")
@click.option(
    "-h",
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to serve on; 0.0.0.0 is every address of this machine.",
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="The port to serve on; 0 takes a free one.",
)
@click.option(
    "--debug/--no-debug",
    default=None,
    expose_value=False,
    is_eager=True,
    callback=set_debug,
    help="Set debug mode.",
)
@click.option(
    "--reload/--no-reload",
    default=None,
    help="Start anew when the code changes. Comes with --debug.",
)
@click.option(
    "--extra-files", type=_PATHS, default=(), help=f"More files to start anew for; {_SEVERAL}."
)
@click.option(
    "--exclude-patterns",
    type=_PATHS,
    default=(),
    help=f"Patterns of files not to start anew for; {_SEVERAL}.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="The number of processes that serve.",
)
@click.option(
    "--cert",
    type=_Certificate(dir_okay=False),
    is_eager=True,
    help="Serve https: the file of a certificate; 'adhoc' for one that is made now, to develop"
    " with; or the import name of an ssl.SSLContext.",
)
@click.option(
    "--key",
    type=_FILE,
    callback=_go_together,
    help="The file of its private key, if that is another one.",
)
@click.option("--root-path", default="", help="The path below which a proxy shows the app.")
@click.option("--uds", type=click.Path(), help="Serve on this Unix socket and not on a port.")
@click.option(
    "--fd", type=click.IntRange(0), help="Serve on the socket that is open under this number."
)
@click.option(
    "--log-level", type=click.Choice(LOG_LEVELS), help="How much the server says of itself."
)
@click.option(
    "--access-log/--no-access-log",
    default=True,
    show_default=True,
    help="Write a line for each request.",
)
@click.option(
    "--graceful-timeout",
    type=click.FloatRange(0),
    help="Seconds that open requests have to end when the server stops.  [default:"
    " SHUTDOWN_GRACE of the app]",
)
@click.option(
    "--head-timeout",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds that a connection may wait for the head of a request.",
)
@click.option(
    "--max-head-size",
    type=click.IntRange(1024),
    default=64 * 1024,
    show_default=True,
    help="Bytes of the first line and the headers of a request.",
)
@pass_script_info
def run_command(info: ScriptInfo, /, reload: bool | None, **options: Any) -> None:
    """Serve the app with uvicorn.

    With --debug, errors are shown in the browser and the server starts anew when the code
    changes: for development. Without it this is the server for production.
    """
    debug = debug_flag()
    several = {name: tuple(options.pop(name)) for name in ("extra_files", "exclude_patterns")}
    options |= several
    try:
        settings = Settings(debug=debug, reload=debug if reload is None else reload, **options)
    except SetupError as error:
        raise click.UsageError(str(error)) from None
    if info.app_import_path is not None:
        # Workers are processes of their own and find the app there.
        os.environ[variable("APP")] = info.app_import_path
    code = start(_target(info), settings)
    if code:
        sys.exit(code)


def _target(info: ScriptInfo) -> Target:
    if info.create_app is not None:
        return Target(name=info.create_app.__module__, load=info.load_asgi)
    location = info.location
    return Target(
        name=location.module,
        load=info.load_asgi,
        factory=f"{__name__}:make_app",
        folders=(location.folder,),
        extra_files=tuple(loaded_files),
        forget=tuple(loaded_names),
    )


def make_app() -> ASGIApp:
    """Load the app in a worker process.

    :raises SystemExit: if that fails, so that the parent does not try again for ever.
    """
    try:
        with ignoring_calls_of_run():
            return ScriptInfo().load_asgi()
    except click.ClickException as error:
        say(f"Error: {error.format_message()}", fg="red")
    except Exception as error:
        say(traceback_text(error), nl=False)
    sys.exit(_FAILED_TO_START)
