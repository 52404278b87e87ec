"""What a def hook opens in its thread can be closed there: sqlite3 in g, as in Flask's tutorial."""

from __future__ import annotations

import asyncio
import threading

import pytest

from erlen import Erlen, abort, g, send_file

TOGETHER = 4


@pytest.fixture
def app(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "small.css").write_text("body {}")
    (tmp_path / "static" / "large.bin").write_bytes(b"x" * 600_000)
    app = Erlen("bound", root_path=str(tmp_path))
    everybody = threading.Barrier(TOGETHER)
    app.extensions["moved"] = []

    @app.before_request
    def open_it():
        # Each request waits here for the others, so that each has a thread of its own.
        everybody.wait(10)
        g.opened_in = threading.get_ident()

    @app.teardown_appcontext
    def close_it(error):
        app.extensions["moved"].append(g.opened_in != threading.get_ident())

    @app.get("/view")
    def view():
        return "view"

    @app.get("/file")
    def file():
        return send_file("static/large.bin")

    @app.get("/gone")
    def gone():
        abort(410)

    return app


ANSWERS = {
    "a def view": ("GET", "/view", 200),
    "a def view that sends a large file": ("GET", "/file", 200),
    "a def view that aborts": ("GET", "/gone", 410),
    "a static file": ("GET", "/static/small.css", 200),
    "a large static file": ("GET", "/static/large.bin", 200),
    "a static file that is missing": ("GET", "/static/missing.css", 404),
    "a page that is missing": ("GET", "/missing", 404),
    "a method that is not allowed": ("POST", "/view", 405),
    "automatic OPTIONS": ("OPTIONS", "/view", 200),
}


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS.values(), ids=ANSWERS)
async def test_a_request_is_torn_down_in_the_thread_of_its_hooks(app, method, path, status):
    client = app.test_client()
    requests = [client.open(path, method=method) for _ in range(TOGETHER)]

    responses = await asyncio.gather(*requests)

    assert {response.status_code for response in responses} == {status}
    assert app.extensions["moved"] == [False] * TOGETHER


async def test_a_def_handler_of_a_missing_page_runs_in_that_thread_too(app):
    @app.errorhandler(404)
    def missing(error):
        return {"moved": g.opened_in != threading.get_ident()}, 404

    client = app.test_client()
    requests = [client.get("/missing") for _ in range(TOGETHER)]

    responses = await asyncio.gather(*requests)

    assert [response.get_json() for response in responses] == [{"moved": False}] * TOGETHER


async def test_async_def_hooks_and_a_static_file_take_no_thread_for_long(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.css").write_text("body {}")
    app = Erlen("bound", root_path=str(tmp_path))
    here = []

    @app.before_request
    async def look():
        here.append(threading.get_ident())

    response = await app.test_client().get("/static/a.css")

    assert response.text == "body {}"
    assert here == [threading.get_ident()]
