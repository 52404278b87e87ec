"""A Flask app inside an Erlen app, over uvicorn: as it is, with all that it does itself."""

from __future__ import annotations

import asyncio
import io
import os
import threading

import flask
import httpx

import erlen
from tests.ecosystem.serving import address_of, client_of


def old_app():
    app = flask.Flask("old")
    app.secret_key = "k" * 32

    @app.get("/")
    def index():
        return {"here": flask.url_for("index"), "outside": flask.url_for("index", _external=True)}

    @app.post("/login")
    def login():
        flask.session["user"] = flask.request.form["user"]
        flask.flash("Welcome")
        return flask.redirect(flask.url_for("whoami"), 303)

    @app.get("/whoami")
    def whoami():
        return f"{flask.session['user']} {flask.get_flashed_messages()}"

    @app.post("/upload")
    def upload():
        return {name: len(file.read()) for name, file in flask.request.files.items()}

    @app.get("/stream")
    def stream():
        def pieces():
            flask.g.count = flask.g.get("count", 0) + 1
            for _ in range(50):
                yield f"{flask.g.count}" * 4_000

        return flask.stream_with_context(pieces())

    @app.get("/file")
    def file():
        return flask.send_file(io.BytesIO(b"0123456789"), download_name="digits.txt")

    @app.get("/fail")
    def fail():
        raise LookupError("broken")

    return app


def around(flask_app):
    app = erlen.Erlen("new", static_folder=None)
    app.mount_wsgi("/old", flask_app)

    @app.get("/new")
    async def new():
        return "new"

    return app


async def test_urls_have_the_prefix_and_the_host():
    async with client_of(around(old_app())) as client:
        page = (await client.get("/old/")).json()

    assert page == {"here": "/old/", "outside": "http://testserver/old/"}


async def test_sessions_flashes_and_redirects_are_its_own():
    async with client_of(around(old_app()), follow_redirects=True) as client:
        page = await client.post("/old/login", data={"user": "ada"})

    assert page.text == "ada ['Welcome']"
    assert page.url.path == "/old/whoami"


async def test_a_large_upload_arrives_over_a_socket():
    body = os.urandom(3_000_000)

    async with address_of(around(old_app())) as address, httpx.AsyncClient() as client:
        response = await client.post(
            f"http://{address}/old/upload", files={"a": body, "b": b"small"}
        )

    assert response.json() == {"a": 3_000_000, "b": 5}


async def test_a_stream_leaves_nothing_to_the_next_request_of_its_connection():
    async with address_of(around(old_app())) as address, httpx.AsyncClient() as client:
        pages = [(await client.get(f"http://{address}/old/stream")).text for _ in range(3)]

    assert pages == ["1" * 200_000] * 3


async def test_a_client_that_leaves_a_stream_ends_its_generator():
    old, closed = old_app(), threading.Event()

    @old.get("/endless")
    def endless():
        def pieces():
            try:
                while True:
                    yield "x" * 1000
            finally:
                closed.set()

        return pieces()

    async with address_of(around(old)) as address, httpx.AsyncClient() as client:
        async with client.stream("GET", f"http://{address}/old/endless") as response:
            await anext(response.aiter_bytes())
        assert await asyncio.to_thread(closed.wait, 20)


async def test_files_and_their_ranges_are_sent():
    async with client_of(around(old_app())) as client:
        whole = await client.get("/old/file")
        part = await client.get("/old/file", headers={"Range": "bytes=2-4"})

    assert whole.text == "0123456789"
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert (part.status_code, part.text) == (206, "234")


async def test_its_errors_are_its_own_pages():
    async with client_of(around(old_app())) as client:
        failed = await client.get("/old/fail")
        missing = await client.get("/old/missing")
        wrong = await client.post("/old/")

    assert (failed.status_code, missing.status_code, wrong.status_code) == (500, 404, 405)
    assert "GET" in wrong.headers["allow"]


async def test_its_requests_run_at_once_and_hold_up_nobody():
    old, barrier = old_app(), threading.Barrier(10)

    @old.get("/meet")
    def meet():
        barrier.wait(20)
        return "met"

    async with client_of(around(old)) as client:
        waiting = [asyncio.create_task(client.get("/old/meet")) for _ in range(9)]
        assert (await client.get("/new")).text == "new"
        last = await client.get("/old/meet")
        pages = [page.text for page in await asyncio.gather(*waiting)]

    assert [*pages, last.text] == ["met"] * 10


async def test_routes_move_over_one_at_a_time():
    app = erlen.Erlen("moving", static_folder=None)
    app.fallback_wsgi(old_app())

    @app.get("/whoami")
    async def whoami():
        return "moved"

    async with client_of(app) as client:
        pages = [(await client.get(path)).text for path in ("/whoami", "/file")]
        login = await client.post("/login", data={"user": "ada"})

    assert pages == ["moved", "0123456789"]
    assert login.headers["location"] == "/whoami"
