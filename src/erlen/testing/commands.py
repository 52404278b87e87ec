"""Commands of an app, run in a test without a terminal."""

from __future__ import annotations

from typing import Any

import click.testing

from ..app import App

__all__ = ["CliRunner"]


class CliRunner(click.testing.CliRunner):
    """Runs commands of *app*: ``app.test_cli_runner().invoke(args=["init-db"])``.

    *options* are those of :class:`click.testing.CliRunner`.
    """

    def __init__(self, app: App, **options: Any) -> None:
        super().__init__(**options)
        self.app = app

    # Not the signature of click, which insists on a command; Flask's.
    def invoke(  # type: ignore[override]
        self, cli: Any = None, args: Any = None, **options: Any
    ) -> click.testing.Result:
        """Run *args* of *cli*, which is ``app.cli`` unless it is given, and say what it did.

        Commands find this app as ``current_app``, unless *options* bring another *obj*.
        """
        options.setdefault("obj", _Found(self.app))
        return super().invoke(self.app.cli if cli is None else cli, args, **options)  # type: ignore[attr-defined]


class _Found:
    """What a command asks for its app, where the command line would look for one."""

    def __init__(self, app: App) -> None:
        self._app = app

    def load_app(self) -> App:
        """Return the app of the runner."""
        return self._app
