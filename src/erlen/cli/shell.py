"""``erlen shell``: a Python prompt inside of the app, which knows ``await``."""

from __future__ import annotations

import ast
import asyncio
import code
import inspect
import os
import platform
import sys
import types
from contextlib import AsyncExitStack
from contextvars import Context, copy_context
from typing import Any

import click

from ..app import App
from ..debugger import traceback_text
from .commands import ScriptInfo, pass_script_info

__all__ = ["Console", "shell_command"]


@click.command("shell", short_help="Open a Python prompt in the app.")
@click.option("--lifespan", is_flag=True, help="Start the app up before, and shut it down after.")
@pass_script_info
def shell_command(info: ScriptInfo, /, lifespan: bool) -> None:
    """Open a Python prompt inside of an app context.

    Its names are app, g and what the app's shell_context_processor functions add. At the
    prompt await works: await db.fetch("select 1")
    """
    app = info.load_app()
    banner = (
        f"Python {platform.python_version()} on {sys.platform}\n"
        f"App: {app.name}{' [debug]' if app.debug else ''}\n"
        "Names: app, g"
    )
    with asyncio.Runner() as runner:
        variables = copy_context()
        stack = AsyncExitStack()
        runner.run(_enter(app, stack, lifespan), context=variables)
        try:
            names = variables.run(_names, app)
            more = sorted(names.keys() - {"app", "g"})
            console = Console(names, runner, variables)
            _set_up_readline(console.locals)
            variables.run(_run_startup_file, console.locals)
            console.interact(", ".join((banner, *more)), exitmsg="")
        finally:
            runner.run(stack.aclose(), context=variables)


async def _enter(app: App, stack: AsyncExitStack, lifespan: bool) -> None:
    if lifespan:
        await stack.enter_async_context(app.serving())
    else:
        await stack.enter_async_context(app.app_context())


def _names(app: App) -> dict[str, Any]:
    from ..globals import g

    names: dict[str, Any] = {"app": app, "g": g}
    for processor in app.shell_context_processors:
        names.update(processor())
    return names


class Console(code.InteractiveConsole):
    """A prompt whose statements share the variables of one context, and may await."""

    def __init__(self, names: dict[str, Any], runner: asyncio.Runner, variables: Context) -> None:
        super().__init__({"__name__": "__console__", "__doc__": None, **names})
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._runner = runner
        self._variables = variables

    def runcode(self, code: types.CodeType) -> None:
        """Run a statement; what it raises is printed."""
        statement = types.FunctionType(code, self.locals)
        try:
            result = self._variables.run(statement)
            if inspect.iscoroutine(result):
                self._runner.run(result, context=self._variables)
        except SystemExit:
            raise
        except KeyboardInterrupt:
            self.write("KeyboardInterrupt\n")
        except BaseException as error:
            # pdb.pm() looks there.
            sys.last_type, sys.last_value = type(error), error
            sys.last_traceback = error.__traceback__
            self.write(traceback_text(error))


def _set_up_readline(names: dict[str, Any]) -> None:
    """Complete names and keep a history, where Python was built with readline."""
    hook = getattr(sys, "__interactivehook__", None)
    if hook is None:
        return
    try:
        import readline
        from rlcompleter import Completer
    except ImportError:
        return
    readline.set_completer(Completer(names).complete)
    hook()


def _run_startup_file(names: dict[str, Any]) -> None:
    startup = os.environ.get("PYTHONSTARTUP")
    if startup and os.path.isfile(startup):
        with open(startup, "rb") as file:
            exec(compile(file.read(), startup, "exec"), names)
