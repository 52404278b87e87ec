"""The command ``erlen``, and commands of apps. Knows apps from outside; serves through server."""

from __future__ import annotations

import sys

import click

from ..debugger import traceback_text
from .commands import AppGroup, ScriptInfo, pass_script_info, with_appcontext
from .discovery import NoAppException
from .environment import load_dotenv
from .groups import ErlenGroup

__all__ = [
    "AppGroup",
    "ErlenGroup",
    "NoAppException",
    "ScriptInfo",
    "cli",
    "load_dotenv",
    "main",
    "pass_script_info",
    "with_appcontext",
]

cli = ErlenGroup(
    name="erlen",
    help=(
        "Serve and inspect Erlen apps.\n\n"
        "The app is found in --app, in the environment variable ERLEN_APP, or in a file"
        " wsgi.py, app.py or asgi.py of the current directory. Its own commands are listed"
        " here too."
    ),
)
"""The group of all commands."""


def main() -> None:
    """Run the command line; the entry point ``erlen``.

    Of an error the traceback is printed from the app's own code on, and the exit code is 1.
    """
    try:
        cli.main()
    except Exception as error:
        click.echo(traceback_text(error), err=True, nl=False)
        sys.exit(1)
