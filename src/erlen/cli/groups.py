"""The command line of an app and its options. Knows click; serves nothing."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import click

from ..app import App
from ..debugger import traceback_text
from ..proxies import current
from ..server import ignoring_calls_of_run
from . import environment
from .commands import AppGroup, ScriptInfo, info_of, wants_context
from .discovery import ImportFailed, NoAppException, NothingSaid
from .environment import dotenv_wanted, load_dotenv, variable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ErlenGroup", "set_debug"]

# Loaded when they are called: what one of them needs, the others do not wait for.
_COMMANDS = {
    "routes": "routes:routes_command",
    "run": "run:run_command",
    "shell": "shell:shell_command",
}
_PLUGINS = "erlen.commands"
_FAILED = "The app failed to load, so its commands are missing."
_ENVIRONMENT_READ = "erlen.environment"


class ErlenGroup(AppGroup):
    """The command line of an app: options that say where it is, and its commands.

    Make one to give an app a command of its own: *create_app* makes the app then. Commands of
    other packages come in through the entry point group ``erlen.commands``.
    """

    def __init__(
        self,
        add_default_commands: bool = True,
        create_app: Callable[[], App] | None = None,
        add_version_option: bool = True,
        load_dotenv: bool = True,
        set_debug_flag: bool = True,
        **extra: Any,
    ) -> None:
        params: list[click.Parameter] = [*(extra.pop("params", None) or ()), _env_file_option()]
        if create_app is None:
            params.append(_app_option())
        params.append(_debug_option())
        if add_version_option:
            params.append(_version_option())
        extra.setdefault("context_settings", {}).setdefault(
            "auto_envvar_prefix", environment.PREFIX
        )
        super().__init__(params=params, **extra)
        self.create_app = create_app
        self.load_dotenv = load_dotenv
        self.set_debug_flag = set_debug_flag
        self.add_default_commands = add_default_commands

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Bring along what knows the app, unless somebody else did."""
        if "obj" not in extra and "obj" not in self.context_settings:
            extra["obj"] = ScriptInfo(
                create_app=self.create_app, set_debug_flag=self.set_debug_flag
            )
        return super().make_context(info_name, args, parent=parent, **extra)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; ``app.run()`` in a module that it loads does nothing."""
        with ignoring_calls_of_run():
            return super().main(*args, **kwargs)

    def read_environment(self, ctx: click.Context, path: str | None = None) -> None:
        """Set the variables of *path* and of the default files; once."""
        if not ctx.meta.get(_ENVIRONMENT_READ):
            ctx.meta[_ENVIRONMENT_READ] = True
            load_dotenv(path, load_defaults=dotenv_wanted(self.load_dotenv))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands: built in, of plugins, of the app."""
        names = {*super().list_commands(ctx), *_plugins()}
        if self.add_default_commands:
            names.update(_COMMANDS)
        app = self._app_or_complaint(ctx, listing=True)
        if app is not None:
            names.update(app.cli.list_commands(ctx))
        return sorted(names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name; those of the app are found last."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            return command
        if self.add_default_commands and cmd_name in _COMMANDS:
            return _built_in(cmd_name)
        plugin = _plugins().get(cmd_name)
        if plugin is not None:
            return cast(click.Command, plugin.load())
        app = self._app_or_complaint(ctx)
        if app is None:
            return None
        command = cast("click.Command | None", app.cli.get_command(ctx, cmd_name))
        here = current.get()
        entered = here is not None and here.app is app
        if command is not None and wants_context(command) and not entered:
            # Callbacks of options may need it, before the command runs.
            ctx.with_resource(app.app_context())
        return command

    def _app_or_complaint(self, ctx: click.Context, *, listing: bool = False) -> Any:
        """Return the app; where there is none, say so: help and other commands work on.

        Whoever asks what commands there are need not have an app yet.
        """
        # Help is printed while the options are read; the files were not looked at by then.
        self.read_environment(ctx)
        try:
            return info_of(ctx).load_app()
        except NothingSaid as error:
            if listing:
                return None
            problem = error.format_message()
        except ImportFailed as error:
            problem = f"{_FAILED}\n\n{error.message}"
        except NoAppException as error:
            problem = error.format_message()
        except Exception as error:
            text = traceback_text(error)
            problem = f"{_FAILED}\n\n{text}"
        click.secho(f"Error: {problem.rstrip()}\n", err=True, fg="red")
        return None


def _built_in(name: str) -> click.Command:
    module, _, attribute = _COMMANDS[name].partition(":")
    found: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
    return found


def _plugins() -> dict[str, EntryPoint]:
    # PERF: 20 ms, and most commands need no plugin to be found.
    from importlib import metadata

    return {entry.name: entry for entry in metadata.entry_points(group=_PLUGINS)}


# -- options -----------------------------------------------------------------------------------


def _env_file_option() -> click.Option:
    def read(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None and find_spec("dotenv") is None:
            raise click.BadParameter(
                "python-dotenv is needed to read it: pip install python-dotenv",
                ctx=context,
                param=parameter,
            )
        cast(ErlenGroup, context.command).read_environment(context, value)

    return click.Option(
        ["-e", "--env-file"],
        type=click.Path(exists=True, dir_okay=False),
        help="Set environment variables from this file, before those of .env and .erlenenv.",
        is_eager=True,
        expose_value=False,
        callback=read,
    )


def _app_option() -> click.Option:
    def keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value:
            context.ensure_object(ScriptInfo).app_import_path = value

    return click.Option(
        ["-A", "--app"],
        metavar="IMPORT",
        help="The app or factory to load: 'module', 'module:name', 'module:factory(\"x\")', or a"
        " path in place of the module.",
        is_eager=True,
        expose_value=False,
        callback=keep,
    )


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug/--no-debug"],
        default=None,
        help="Set debug mode.",
        is_eager=True,
        expose_value=False,
        callback=set_debug,
    )


def set_debug(context: click.Context, parameter: click.Parameter, value: bool | None) -> None:
    """Hand the option ``--debug`` on to whatever is loaded later."""
    if value is not None:
        os.environ[variable("DEBUG")] = "1" if value else "0"


def _version_option() -> click.Option:
    def show(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if not value or context.resilient_parsing:
            return
        from importlib import metadata

        click.echo(f"Python {platform.python_version()}")
        for name in ("erlen", "starlette", "uvicorn"):
            click.echo(f"{name.title()} {metadata.version(name)}")
        context.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        help="Show the versions of Erlen and what it runs on.",
    )
