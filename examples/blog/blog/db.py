"""One connection to SQLite per request, opened when it is first asked for."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click
from erlen import Erlen, current_app, g


def init_app(app: Erlen) -> None:
    """Close the connection of each request, and add the command ``init-db``."""
    app.teardown_appcontext(close_db)

    @app.cli.command("init-db")
    def init_db_command() -> None:
        """Delete all posts and authors and make new tables."""
        init_db()
        click.echo(f"Made new tables in {current_app.config['DATABASE']}.")


def get_db() -> sqlite3.Connection:
    """Return the connection of this request."""
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["DATABASE"])
        g.db.row_factory = sqlite3.Row
    return g.db


def close_db(error: BaseException | None = None) -> None:
    """Close the connection, if one was opened."""
    db = g.pop("db", None)
    if db is not None:
        db.close()


def init_db() -> None:
    """Make the tables; what was in them is gone."""
    Path(current_app.config["DATABASE"]).parent.mkdir(parents=True, exist_ok=True)
    with current_app.open_resource("schema.sql", "r") as schema:
        get_db().executescript(schema.read())
