from __future__ import annotations

import sqlite3

import pytest

from blog import create_app
from blog.db import get_db


def test_init_db_makes_empty_tables(app):
    result = app.test_cli_runner().invoke(args=["init-db"])

    assert "Made new tables" in result.output
    with app.app_context():
        assert get_db().execute("SELECT count(*) FROM post").fetchone()[0] == 0


def test_a_request_has_one_connection_and_closes_it(app):
    with app.app_context():
        db = get_db()
        assert get_db() is db

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")


def test_only_a_test_config_makes_it_a_test():
    assert not create_app().testing
    assert create_app({"TESTING": True}).testing


async def test_static_files_and_missing_pages_know_who_is_there(client, log_in):
    await log_in("Ada")

    style = await client.get("/static/style.css")
    missing = await client.get("/missing")

    assert style.mimetype == "text/css"
    assert missing.status_code == 404
