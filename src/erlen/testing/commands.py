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

    def invoke(  # type: ignore[override]
        self, cli: Any = None, args: Any = None, **options: Any
    ) -> click.testing.Result:
        """Run *args* of *cli*, which is ``app.cli`` unless it is given, and return what it did.

        Commands find the app as they do on the command line.
        """
        if cli is None:
            cli = getattr(self.app, "cli")  # noqa: B009
        return super().invoke(cli, args, **options)
