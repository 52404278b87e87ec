"""The end of a server: new work is refused, what runs gets its time, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from erlen import Erlen, EventStream, g, request, websocket
from erlen.signals import request_tearing_down
from tests.exchanges import Conversation, Exchange
from tests.waiting import until

GRACE = 0.05
JSON = [(b"accept", b"application/json")]


class App(Erlen):
    """An app that notes what happens to it, and gives little grace."""

    def __init__(self, name: str = "drain") -> None:
        super().__init__(name)
        self.log: list[str] = []
        self.config["SHUTDOWN_GRACE"] = GRACE
        self.before_request(self.note_before)
        self.after_serving(lambda: self.log.append("down"))

    async def note_before(self) -> None:
        self.log.append("before")

    async def wait(self) -> None:
        """Wait for ever, as a long poll does."""
        self.log.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("ended")


# -- new work ------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [[], JSON], ids=["html", "json"])
async def test_new_requests_are_refused_without_the_app(headers):
    app = App()
    app.get("/")(app.wait)

    async with app.serving():
        app.begin_drain()
        exchange = await Exchange(app, headers=headers).run()

    exchange.check()
    assert (exchange.status, app.log) == (503, ["down"])
    assert exchange.headers[b"connection"] == b"close"
    assert exchange.headers[b"retry-after"] == b"1"
    if headers:
        assert json.loads(exchange.body)["status"] == 503
    else:
        assert exchange.body.startswith(b"<!doctype html>")


async def test_a_request_without_headers_is_refused_like_any_other():
    app = App()

    async with app.serving():
        app.begin_drain()
        exchange = Exchange(app)
        del exchange.scope["headers"]
        await exchange.run()

    assert (exchange.status, exchange.error) == (503, None)


async def test_http_2_has_no_header_for_its_connection():
    app = App()

    async with app.serving():
        app.begin_drain()
        exchange = await Exchange(app, http_version="2").run()

    assert exchange.status == 503
    assert b"connection" not in exchange.headers


async def test_new_websockets_are_refused():
    app = App()

    @app.websocket("/")
    async def view() -> None:
        app.log.append("view")

    async with app.serving():
        app.begin_drain()
        talk = await Conversation(app).run()

    talk.check()
    assert (talk.code, app.log) == (1012, ["down"])


async def test_an_app_may_serve_again_after_it_was_drained():
    app = App()
    app.get("/")(lambda: "fine")

    async with app.serving():
        app.begin_drain()
        assert (await Exchange(app).run()).status == 503
    async with app.serving():
        assert (await Exchange(app).run()).status == 200
    assert (await Exchange(app).run()).status == 200
    await app.close_worker_pool()


# -- what is served ------------------------------------------------------------------------


async def drained(app: App, exchange: Any) -> Any:
    """Begin to serve *exchange*, stop the app and return when both are over."""
    async with app.serving():
        exchange.begin()
        await until(lambda: "begun" in app.log)
        app.begin_drain()
    await exchange.over()
    assert (exchange.wrongs, exchange.left_behind) == ([], None)
    return exchange


async def test_what_ends_in_time_is_as_ever():
    app = App()
    app.config["SHUTDOWN_GRACE"] = 10

    @app.get("/")
    async def view() -> str:
        app.log.append("begun")
        await asyncio.sleep(0.05)
        return "fine"

    exchange = await drained(app, Exchange(app))

    assert (exchange.status, exchange.body) == (200, b"fine")
    assert app.log == ["before", "begun", "down"]


async def test_nobody_waits_when_nothing_is_served():
    app = App()
    app.config["SHUTDOWN_GRACE"] = 1000

    async with asyncio.timeout(10):
        async with app.serving():
            app.begin_drain()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_long_poll_is_answered_and_cleaned_up(method, caplog):
    app = App()
    app.route("/", methods=["GET", "POST"])(app.wait)
    app.teardown_request(lambda error: app.log.append(type(error).__name__))
    app.after_request(lambda response: app.log.append("after") or response)

    exchange = await drained(app, Exchange(app, method=method))

    assert exchange.status == 503
    assert exchange.headers[b"connection"] == b"close"
    assert app.log == ["before", "begun", "ended", "CancelledError", "down"]
    assert (exchange.error, caplog.text) == (None, "")
    assert exchange.task.cancelling() == 0


async def test_a_request_whose_body_does_not_come_is_answered():
    app = App()

    @app.post("/")
    async def view() -> bytes:
        app.log.append("begun")
        return await request.get_data()

    exchange = Exchange(app, method="POST", body=[b"a", b"b"])
    exchange.script.pop()
    await drained(app, exchange)

    assert exchange.status == 503


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_stream_is_closed_and_not_taken_for_a_whole_one(colour, caplog):
    app = App()

    async def pieces() -> Any:
        try:
            while True:
                yield "piece"
                app.log.append("begun")
                await asyncio.sleep(0.01)
        finally:
            app.log.append("ended")

    def def_pieces() -> Any:
        try:
            while True:
                yield "piece"
                app.log.append("begun")
        finally:
            app.log.append("ended")

    app.get("/")(pieces if colour == "async" else def_pieces)

    exchange = await drained(app, Exchange(app))

    assert (exchange.status, exchange.complete) == (200, False)
    assert app.log[-2:] == ["ended", "down"]
    assert (exchange.error, caplog.text) == (None, "")


async def test_a_stream_of_events_ends_as_if_it_were_over():
    app = App()

    async def events() -> Any:
        yield "one"
        await app.wait()

    @app.get("/")
    async def view() -> Any:
        return EventStream(events())

    exchange = await drained(app, Exchange(app))

    assert (exchange.complete, exchange.body) == (True, b"data: one\n\n")
    assert app.log[-2:] == ["ended", "down"]


@pytest.mark.parametrize("where", ["a view", "a mount"])
async def test_a_foreign_stream_is_closed(where):
    app = App()

    async def pieces() -> Any:
        yield "piece"
        await app.wait()

    async def foreign(request: Any = None) -> Any:
        return StreamingResponse(pieces())

    if where == "a view":
        app.get("/")(foreign)
    else:
        app.mount("/", Starlette(routes=[Route("/", foreign)]))

    exchange = await drained(app, Exchange(app))

    assert (exchange.status, exchange.error) == (200, None)
    assert app.log[-2:] == ["ended", "down"]


async def test_an_app_in_an_app_ends_its_own_long_polls():
    inner, outer = App("inner"), App("outer")
    inner.get("/")(outer.wait)
    outer.mount("/inner", inner)

    exchange = await drained(outer, Exchange(outer, "/inner/"))

    assert exchange.status == 503
    assert exchange.task.cancelling() == 0
    assert (inner.log, outer.log) == (["before", "down"], ["begun", "ended", "down"])


async def test_a_websocket_is_closed_with_1012(caplog):
    app = App()
    app.teardown_websocket(lambda error: app.log.append("torn down"))

    @app.websocket("/")
    async def view() -> None:
        await websocket.accept()
        await app.wait()

    talk = await drained(app, Conversation(app))

    assert (talk.code, talk.error, caplog.text) == (1012, None, "")
    assert app.log == ["begun", "ended", "torn down", "down"]


async def test_a_def_view_is_answered_and_its_thread_goes_on():
    app = App()
    go = threading.Event()

    @app.get("/")
    def view() -> str:
        g.path = request.path
        app.log.append("begun")
        go.wait(10)
        app.log.append(request.path)
        return "late"

    @app.teardown_request
    def teardown(error: Any) -> None:
        app.log.append(f"torn down {g.path}")

    @app.after_serving
    def release() -> None:
        go.set()

    exchange = await drained(app, Exchange(app))

    assert (exchange.status, exchange.error) == (503, None)
    assert app.log == ["before", "begun", "/", "torn down /", "down"] or app.log == [
        *["before", "begun", "down", "/", "torn down /"]
    ]


async def test_a_def_view_that_waits_for_the_loop_is_told():
    app = App()

    @app.get("/")
    def view() -> str:
        app.ensure_sync(app.wait)()
        return "never"

    exchange = await drained(app, Exchange(app))

    assert exchange.status == 503
    assert "ended" in app.log


async def test_what_hangs_in_a_hook_is_cancelled_in_the_end():
    app = App()

    @app.before_request
    async def hang() -> None:
        await app.wait()

    app.get("/")(app.wait)

    exchange = await drained(app, Exchange(app))

    assert (exchange.status, app.log) == (503, ["before", "begun", "ended", "down"])


async def test_what_takes_no_notice_is_told_of_and_not_waited_for(caplog):
    app = App()
    go = asyncio.Event()

    @app.get("/")
    async def view() -> str:
        app.log.append("begun")
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                app.log.append("ignored")
        return "at last"

    exchange = Exchange(app)
    async with app.serving():
        exchange.begin()
        await until(lambda: "begun" in app.log)
    assert "1 requests were still running when the app was shut down" in caplog.text
    go.set()
    await exchange.over()

    assert exchange.body == b"at last"
    assert exchange.task.cancelling() == 0


async def test_background_work_and_shutdown_come_last():
    app = App()

    async def work() -> None:
        try:
            await asyncio.sleep(0.2)
        finally:
            app.log.append("work is done")

    @app.get("/")
    async def view() -> None:
        app.add_background_task(work)
        await app.wait()

    await drained(app, Exchange(app))

    assert app.log == ["before", "begun", "ended", "work is done", "down"]


async def test_everything_is_torn_down_once():
    app = App()
    torn: list[str] = []

    @app.get("/")
    async def view() -> None:
        await app.wait()

    def note(sender: Any, exc: Any) -> None:
        torn.append(type(exc).__name__)

    with request_tearing_down.connected_to(note, app):
        await drained(app, Exchange(app))

    assert torn == ["CancelledError"]


def test_the_grace_is_shorter_in_debug_mode():
    app = Erlen("grace")

    assert app.shutdown_grace == 3.0
    app.debug = True
    assert app.shutdown_grace == 0.5
    app.config["SHUTDOWN_GRACE"] = 7
    assert app.shutdown_grace == 7.0
