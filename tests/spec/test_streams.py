"""Streams: the context stays to the last byte, and a client that leaves ends them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from erlen import Erlen, g, request
from tests.waiting import until


class Exchange:
    """One request spoken message by message, as a server does it."""

    def __init__(self, app, path="/", *, method="GET", headers=(), version="2.3"):
        self.app = app
        self.sent = []
        self.arrived = asyncio.Event()
        self.inbox = asyncio.Queue()
        self.gone = False
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": version},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"x"), *headers],
            "scheme": "http",
            "root_path": "",
        }

    def __enter__(self):
        self.task = asyncio.create_task(self.app(self.scope, self.inbox.get, self.send))
        if not self.scope["headers"][1:]:
            self.deliver(b"")
        return self

    def __exit__(self, *_):
        self.task.cancel()

    async def send(self, message):
        self.sent.append(message)
        self.arrived.set()
        await asyncio.sleep(0)
        if self.gone and self.scope["asgi"]["spec_version"] == "2.4":
            raise OSError("gone")

    def deliver(self, body, *, more=False):
        self.inbox.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self):
        self.gone = True
        self.inbox.put_nowait({"type": "http.disconnect"})

    async def has_sent(self, count):
        while len(self.sent) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 5)

    async def over(self):
        await asyncio.wait_for(asyncio.shield(self.task), 5)


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_an_async_stream_is_closed_when_its_client_leaves(version, caplog):
    app = Erlen("leaves")
    closed = []

    @app.get("/")
    async def endless():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.001)
        finally:
            closed.append(request.path)

    app.teardown_request(lambda error: closed.append(type(error).__name__))

    with Exchange(app, version=version) as exchange:
        await exchange.has_sent(3)
        exchange.leave()
        await exchange.over()

    assert closed == ["/", "NoneType"]
    assert caplog.text == ""


async def test_a_def_stream_is_closed_in_its_thread_when_its_client_leaves():
    app = Erlen("leaves")
    closed = []

    @app.get("/")
    def endless():
        here = threading.get_ident()
        try:
            while True:
                yield "x"
        finally:
            closed.append(threading.get_ident() == here)

    app.teardown_request(lambda error: closed.append("teardown"))

    with Exchange(app) as exchange:
        await exchange.has_sent(3)
        exchange.leave()
        await exchange.over()

    assert closed == [True, "teardown"]


async def test_a_stream_that_is_cancelled_from_outside_stays_cancelled():
    app = Erlen("cancelled")
    closed = []

    @app.get("/")
    async def endless():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.001)
        finally:
            closed.append("closed")

    with Exchange(app) as exchange:
        await exchange.has_sent(3)
        exchange.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange.over()

    assert closed == ["closed"]


async def test_the_head_waits_for_the_first_piece():
    app = Erlen("head")
    go = asyncio.Event()

    @app.get("/")
    async def slow():
        await go.wait()
        yield "x"

    with Exchange(app) as exchange:
        await asyncio.sleep(0.02)
        assert exchange.sent == []
        go.set()
        await exchange.over()

    assert [message["type"] for message in exchange.sent] == [
        "http.response.start",
        "http.response.body",
        "http.response.body",
    ]


async def test_an_error_in_the_middle_of_a_stream_reaches_the_server():
    app = Erlen("broken")

    @app.get("/")
    async def breaks():
        yield "x"
        raise LookupError("in the middle")

    with Exchange(app) as exchange:
        with pytest.raises(LookupError, match="in the middle"):
            await exchange.over()

    assert exchange.sent[-1]["more_body"] is True


async def test_the_context_and_g_last_as_long_as_the_stream():
    app = Erlen("context")

    @app.get("/")
    async def stream():
        g.pieces = ["a", "b"]

        async def pieces():
            for piece in g.pieces:
                yield piece

        return pieces()

    with Exchange(app) as exchange:
        await exchange.over()

    assert b"".join(message.get("body", b"") for message in exchange.sent) == b"ab"


async def test_a_request_body_can_be_read_while_it_arrives():
    app = Erlen("body")
    seen = []

    @app.post("/")
    async def upload():
        async for chunk in request.stream:
            seen.append(chunk)
        return str(len(seen))

    with Exchange(app, method="POST", headers=[(b"content-length", b"4")]) as exchange:
        exchange.deliver(b"ab", more=True)
        await until(lambda: seen == [b"ab"])
        exchange.deliver(b"cd")
        await exchange.over()

    assert exchange.sent[1]["body"] == b"2"


async def test_a_stream_that_echoes_its_request_keeps_every_chunk():
    app = Erlen("echo")

    @app.post("/")
    async def echo():
        async for chunk in request.stream:
            yield chunk

    with Exchange(app, method="POST", headers=[(b"content-length", b"4")]) as exchange:
        for number in range(4):
            exchange.deliver(str(number).encode(), more=number < 3)
            await exchange.has_sent(number + 2)
        await exchange.over()

    assert b"".join(message.get("body", b"") for message in exchange.sent) == b"0123"


async def test_a_body_that_was_iterated_can_still_be_awaited_as_a_whole():
    app = Erlen("body")

    @app.post("/")
    async def upload():
        whole = await request.body
        return whole + await request.get_data()

    with Exchange(app, method="POST", headers=[(b"content-length", b"2")]) as exchange:
        exchange.deliver(b"ab")
        await exchange.over()

    assert exchange.sent[1]["body"] == b"abab"


async def test_a_slow_reader_holds_no_thread_of_a_buffered_def_view():
    app = Erlen("slow reader")
    app.config["SYNC_WORKERS"] = 1
    torn = []
    app.teardown_request(lambda error: torn.append("torn"))

    @app.get("/")
    def show():
        return "x" * 1000

    reading = asyncio.Event()

    async def slow_send(message):
        await reading.wait()

    slow = Exchange(app)
    slow.send = slow_send
    with slow, Exchange(app) as fast:
        await fast.over()
        assert torn == ["torn", "torn"]
        reading.set()
        await slow.over()


async def test_a_slow_reader_holds_back_a_def_generator_and_no_other_view():
    app = Erlen("slow reader")
    app.config["SYNC_WORKERS"] = 2
    made, torn = [], []
    app.teardown_request(lambda error: torn.append(request.path))

    @app.get("/")
    def show():
        return "x"

    @app.get("/numbers")
    def numbers():
        for number in range(1000):
            made.append(number)
            yield f"{number} "

    reading = asyncio.Event()

    async def slow_send(message):
        if message["type"] == "http.response.body":
            await reading.wait()

    slow = Exchange(app, path="/numbers")
    slow.send = slow_send
    with slow, Exchange(app) as fast:
        await until(lambda: len(made) > 8)
        await fast.over()
        assert len(made) < 20
        assert torn == ["/"]
        reading.set()
        await slow.over()
    assert torn == ["/", "/numbers"]
    assert len(made) == 1000


async def test_a_stream_that_never_waits_is_not_watched():
    app, asked, sent = Erlen(__name__), [], []

    @app.get("/")
    async def index():
        async def pieces():
            for _ in range(3):
                yield b"x"

        return pieces()

    async def receive():
        asked.append("receive")
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(Exchange(app).scope, receive, send)
    await asyncio.sleep(0)

    assert b"".join(message.get("body", b"") for message in sent) == b"xxx"
    assert sent[-1].get("more_body") is not True
    assert asked == []
