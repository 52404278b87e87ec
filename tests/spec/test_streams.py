"""Streams: the context stays to the last byte, and a client that leaves ends them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext

import pytest

from erlen import Erlen, Response, after_this_request, g, request, session
from erlen.proxies import current
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


@pytest.mark.parametrize("hooked", [False, True])
async def test_an_error_in_the_middle_of_a_stream_reaches_the_server(hooked):
    app, handled = Erlen("broken"), []
    app.errorhandler(LookupError)(lambda error: handled.append(error) or "handled")

    @app.get("/")
    async def breaks():
        async def pieces():
            yield "x"
            raise LookupError("in the middle")

        return pieces()

    if hooked:
        app.after_request(same)

    with Exchange(app) as exchange:
        with pytest.raises(LookupError, match="in the middle"):
            await exchange.over()

    assert exchange.sent[-1]["more_body"] is True
    assert handled == []


async def same(response):
    return response


async def two_pieces(log):
    try:
        yield "x"
        yield "y"
    finally:
        log.append("closed")


@pytest.mark.parametrize("piece", [1, 2, 3, 4])
async def test_a_server_that_does_not_say_so_by_an_error_has_its_error_back(piece):
    app, log = Erlen("broken"), []

    @app.get("/")
    async def view():
        return two_pieces(log)

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        log.append(message["type"])
        if len(log) - log.count("closed") == piece:
            raise OSError("disk full")

    for version, raises in (("2.3", True), ("2.4", False)):
        log.clear()
        with pytest.raises(OSError, match="disk full") if raises else nullcontext():
            await app(Exchange(app, version=version).scope, receive, send)
        assert log.count("closed") == 1


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
    assert not app.in_flight.streams
    await asyncio.sleep(0)

    assert b"".join(message.get("body", b"") for message in sent) == b"xxx"
    assert sent[-1].get("more_body") is not True
    assert asked == []


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_error_ahead_of_the_first_piece_has_its_handler(hooked, status, method):
    app, log = Erlen("fails"), []

    @app.get("/")
    async def fails():
        async def pieces():
            raise LookupError("no")
            yield "x"

        response = app.make_response((pieces(), status))
        response.call_on_close(lambda: log.append("closed"))
        return response

    @app.errorhandler(LookupError)
    async def handle(error):
        log.append("handled")
        return "handled", 418

    if hooked:
        app.after_request(lambda response: log.append(response.status_code) or response)

    with Exchange(app, method=method) as exchange:
        await exchange.over()

    body = b"handled" if method == "GET" else b""
    assert [exchange.sent[0]["status"], exchange.sent[1]["body"]] == [418, body]
    assert len(exchange.sent) == 2
    assert log == ["closed", "handled", *([418] if hooked else [])]
    await app.close_worker_pool()


@pytest.mark.parametrize("around", ["", "after", "this", "teardown"])
@pytest.mark.parametrize("leaves", [False, True])
async def test_what_follows_a_stream_follows_it_whoever_ended_it(around, leaves):
    app, log = Erlen("follows"), []

    @app.get("/")
    async def view():
        async def pieces():
            try:
                yield "x"
                log.append("goes on")
                while leaves:
                    await asyncio.sleep(0.001)
                    yield "y"
            finally:
                log.append("generator")

        async def background():
            log.append(f"background {asyncio.current_task().cancelling()}")
            assert current.get().watcher is None

        response = app.make_response(pieces())
        response.call_on_close(lambda: log.append("closed"))
        response.background = background
        if around == "this":
            after_this_request(after)
        return response

    async def after(response):
        log.append("after")
        return response

    async def teardown(error):
        log.append(f"teardown {error}")

    if around == "after":
        app.after_request(after)
    if around == "teardown":
        app.teardown_request(teardown)

    with Exchange(app) as exchange:
        await exchange.has_sent(2)
        if leaves:
            exchange.leave()
        await exchange.over()
        assert exchange.task.cancelling() == 0

    first = ["after"] if around in ("after", "this") else []
    last = ["teardown None"] if around == "teardown" else []
    assert log == [*first, "goes on", "generator", "closed", "background 0", *last]


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_stream_that_has_no_place_is_closed(hooked, method, status):
    app, log = Erlen("no place"), []

    @app.get("/")
    async def view():
        return two_pieces(log), status

    if hooked:
        app.after_request(same)

    with Exchange(app, method=method) as exchange:
        await exchange.over()

    assert [message.get("body") for message in exchange.sent] == [None, b""]
    assert exchange.sent[0]["status"] == status
    assert log == ["closed"]


async def test_a_response_may_have_its_own_way_to_be_sent():
    app, log = Erlen("own"), []

    class Loud(Response):
        async def __call__(self, scope, receive, send):
            async def loud(message):
                await send({**message, "body": message.get("body", b"").upper()})

            await super().__call__(scope, receive, loud)
            log.append(scope["path"])

    @app.get("/")
    async def view():
        async def endless():
            try:
                while True:
                    yield "x"
                    await asyncio.sleep(0.001)
            finally:
                log.append("closed")

        return Loud(endless())

    with Exchange(app) as exchange:
        await exchange.has_sent(3)
        exchange.leave()
        await exchange.over()

    assert {message["body"] for message in exchange.sent} == {b"", b"X"}
    assert log == ["closed", "/"]


async def test_a_stream_that_reads_its_request_ends_with_its_client(caplog):
    app, log = Erlen("reads"), []

    @app.post("/")
    async def echo():
        try:
            yield "begun"
            async for chunk in request.stream:
                yield chunk
        except Exception as error:
            log.append(type(error).__name__)
            raise

    length = (b"content-length", b"9")
    with Exchange(app, method="POST", headers=[length]) as exchange:
        exchange.deliver(b"one", more=True)
        await exchange.has_sent(3)
        exchange.leave()
        await exchange.over()

    assert [message.get("body") for message in exchange.sent[1:]] == [b"begun", b"one"]
    assert log in (["ClientDisconnected"], [])
    assert caplog.text == ""


async def test_a_client_that_leaves_a_stream_does_not_hide_a_cancel_from_outside():
    app, stopping = Erlen("both"), asyncio.Event()

    @app.get("/")
    async def view():
        try:
            yield "x"
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await asyncio.Event().wait()

    with Exchange(app) as exchange:
        await exchange.has_sent(2)
        exchange.leave()
        await asyncio.wait_for(stopping.wait(), 5)
        exchange.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange.over()


def test_a_client_that_leaves_a_stream_is_noticed_on_every_loop_that_serves():
    app, log = Erlen("loops"), []

    @app.get("/")
    async def endless():
        await asyncio.sleep(0.05)
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.001)
        finally:
            log.append("closed")

    async def serve(between=lambda: None):
        with Exchange(app) as exchange:
            await asyncio.sleep(0)
            between()
            await exchange.has_sent(3)
            exchange.leave()
            await exchange.over()

    async def serve_twice():
        await serve()
        await serve()

    def on_another_loop():
        thread = threading.Thread(target=asyncio.run, args=[serve_twice()])
        thread.start()
        thread.join()

    asyncio.run(serve(on_another_loop))

    assert log == ["closed"] * 3


async def test_a_stream_that_a_hook_puts_in_has_no_second_turn_of_the_hooks():
    app, log = Erlen("puts in"), []
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.get("/")
    async def view():
        return "replaced"

    @app.after_request
    async def put_in(response):
        async def pieces():
            raise LookupError("no")
            yield "x"

        log.append("hook")
        return app.make_response(pieces())

    with Exchange(app) as exchange:
        await exchange.over()

    assert exchange.sent[0]["status"] == 500
    assert log == ["hook"]


@pytest.mark.parametrize("hooked", [False, True])
async def test_what_a_stream_does_ahead_of_its_first_piece_is_in_the_head(hooked):
    app = Erlen("ahead")
    app.secret_key = "tea"

    @app.get("/")
    async def view():
        async def pieces():
            session["tea"] = "green"

            @after_this_request
            async def note(response):
                response.headers["x-first"] = (await anext(response.chunks())).decode()
                return response

            yield ""
            yield "x"
            yield "y"

        return pieces()

    if hooked:
        app.after_request(same)

    with Exchange(app) as exchange:
        await exchange.over()

    head = dict(exchange.sent[0]["headers"])
    assert head[b"x-first"] == b"x"
    assert b"session=" in head[b"set-cookie"]
    assert [message["body"] for message in exchange.sent[1:]] == [b"y", b""]


@pytest.mark.parametrize("first", ["", 1])
async def test_an_error_ahead_of_the_first_piece_may_be_answered_by_a_stream(first):
    app = Erlen("streams")

    @app.get("/")
    async def view():
        async def pieces():
            yield first
            raise LookupError

        return pieces()

    @app.errorhandler(Exception)
    async def handle(error):
        return iter(["an", "", "swer"])

    with Exchange(app) as exchange:
        await exchange.over()

    assert b"".join(message.get("body", b"") for message in exchange.sent) == b"answer"
    await app.close_worker_pool()


async def test_an_empty_stream_is_an_empty_body():
    app = Erlen("empty")

    @app.get("/")
    async def view():
        async def pieces():
            for piece in []:
                yield piece

        return pieces()

    with Exchange(app) as exchange:
        await exchange.over()

    assert [message.get("body") for message in exchange.sent] == [None, b""]
