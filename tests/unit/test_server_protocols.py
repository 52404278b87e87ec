"""The protocols of the server: a contract that uvicorn's classes keep as well, then our limits."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
import sys
import traceback
import weakref
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from erlen.server import Settings, protocols
from erlen.server.protocols import with_h11, with_httptools
from erlen.server.protocols.heads import head_of
from erlen.server.protocols.joining import OneWrite
from erlen.server.serving import Config, make_config
from tests.waiting import until

PAIRS = {
    "httptools": (HttpToolsProtocol, with_httptools.HttpProtocol),
    "h11": (H11Protocol, with_h11.HttpProtocol),
}
OURS = [pytest.param(pair[1], id=name) for name, pair in PAIRS.items()]
ALL = [each for pair in PAIRS.values() for each in pair]
WEBSOCKETS = [WebSocketsSansIOProtocol, protocols.connect_websocket]
PATIENCE = 20


class Recorded:
    """A transport that writes down what is written at once."""

    def __init__(self, transport, writes):
        self._transport = transport
        self._writes = writes

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, data):
        if data:
            self._writes.append(bytes(data))
        self._transport.write(data)


@asynccontextmanager
async def served(
    kind,
    app,
    *,
    head_timeout=None,
    max_head_size=64 * 1024,
    keep_alive=5,
    writes=None,
    state=None,
    default_headers=(),
    access_log=False,
    ws=protocols.connect_websocket,
    **options,
):
    """Serve *app* with protocols of this *kind*; gives the port."""
    state = state or ServerState()
    state.default_headers = list(default_headers)

    class Recording(kind):
        def connection_made(self, transport):
            super().connection_made(Recorded(transport, [] if writes is None else writes))
            self.access_log = access_log

    config = Config(
        app,
        grace=None,
        patience=1.0,
        lifespan="off",
        http=kind,
        ws=ws,
        log_config=None,
        timeout_keep_alive=keep_alive,
        **options,
    )
    config.head_timeout, config.max_head_size = head_timeout, max_head_size
    # Without what answers signals: they are pytest's here.
    uvicorn.Config.load(config)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Recording(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def answer_of(port, *pieces):
    """Send *pieces*, each on its own, and return everything that comes until the end."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        answer = bytearray()
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                answer += data
        writer.close()
        return bytes(answer)


async def read_late(port, sent, progress):
    """Send *sent*, and read only when *progress* rests: how far it was then, and bytes read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(sock=client, limit=4096)
        writer.write(sent)
        before = 0
        while not progress() or progress() != before:
            before = progress()
            await asyncio.sleep(0.1)
        size = 0
        while data := await reader.read(1_000_000):
            size += len(data)
        writer.close()
    return before, size


def request(start="GET / HTTP/1.1", *headers, body=b"", last=True):
    lines = [start, "host: example.org", *headers, *(["connection: close"] if last else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


# -- the contract: what is answered is what uvicorn answers -----------------------------------


def responding(*bodies, status=200, headers=(), wait=False):
    """Make an app that answers with these pieces."""
    raw = [(name.encode(), value.encode()) for name, value in headers]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": raw})
        for number, body in enumerate(bodies, 1):
            if wait:
                await asyncio.sleep(0.01)
            more = number < len(bodies)
            await send({"type": "http.response.body", "body": body, "more_body": more})

    return app


def sized(*bodies, **options):
    length = str(sum(map(len, bodies)))
    return responding(*bodies, headers=[("content-length", length)], **options)


async def reading(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await sized(b"read " + body)(scope, receive, send)


async def failing(scope, receive, send):
    raise ValueError("on purpose")


def failing_after(app):
    async def fail(scope, receive, send):
        with suppress(RuntimeError):
            await app(scope, receive, send)
        raise ValueError("on purpose")

    return fail


async def nothing(scope, receive, send):
    return None


POST = request("POST / HTTP/1.1", "content-length: 4", body=b"abcd")
EXPECT = request("POST / HTTP/1.1", "content-length: 4", "expect: 100-continue", body=b"abcd")
EXCHANGES = {
    "a plain answer": (sized(b"hello"), request()),
    "HEAD": (sized(b"hello"), request("HEAD / HTTP/1.1")),
    "HEAD without a length": (responding(b"hello"), request("HEAD / HTTP/1.1")),
    "204": (responding(b"", status=204), request()),
    "304": (responding(b"", status=304, headers=[("etag", '"a"')]), request()),
    "an empty body": (sized(b""), request()),
    "no length": (responding(b"hello"), request()),
    "pieces": (responding(b"a", b"b", b"c"), request()),
    "pieces with pauses": (responding(b"a", b"b", b"c", wait=True), request()),
    "an empty first piece": (responding(b"", b"b", b"c"), request()),
    "pieces of a known length": (sized(b"a", b"b", b"c", wait=True), request()),
    "a large body": (sized(b"x" * 300_000), request()),
    "large pieces": (responding(b"x" * 300_000, b"y" * 300_000), request()),
    "HTTP/1.0": (sized(b"hello"), request("GET / HTTP/1.0", last=False)),
    "HTTP/1.0 that would go on": (
        sized(b"hello"),
        request("GET / HTTP/1.0", "connection: keep-alive", last=False),
    ),
    "the app closes": (responding(b"", headers=[("connection", "close")]), request(last=False)),
    "an unread body": (sized(b"hello"), POST),
    "a read body": (reading, POST),
    "100-continue": (reading, EXPECT),
    "100-continue that is not read": (sized(b"no"), EXPECT),
    "two requests at once": (sized(b"hello"), request(last=False) + request()),
    "two with pauses": (responding(b"a", b"b", wait=True), request(last=False) + request()),
    "two HEAD": (sized(b"a"), request("HEAD / HTTP/1.1", last=False) + request("HEAD / HTTP/1.1")),
    "an error": (failing, request()),
    "an error after the head": (failing_after(responding()), request()),
    "an error after a piece": (failing_after(responding(b"a", b"b")), request()),
    "too short": (failing_after(responding(b"a", headers=[("content-length", "5")])), request()),
    "too long": (failing_after(responding(b"abc", headers=[("content-length", "1")])), request()),
    "no answer": (nothing, request()),
    "only a head": (responding(), request()),
    "no HTTP": (nothing, b"hello\r\n\r\n"),
    "an upgrade to what is not there": (
        sized(b"hello"),
        request("GET / HTTP/1.1", "upgrade: h2c"),
    ),
}


@pytest.mark.parametrize("parser", PAIRS)
@pytest.mark.parametrize("name", EXCHANGES)
async def test_an_answer_is_uvicorns_byte_for_byte(parser, name):
    app, sent = EXCHANGES[name]
    answers = []

    for kind in PAIRS[parser]:
        async with served(kind, app) as port:
            answers.append(await answer_of(port, sent))

    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 ")


def answering(*messages):
    """Make an app that sends *messages*, each a type and the rest; reads where there is none."""

    async def app(scope, receive, send):
        for message in messages:
            if message is None:
                await receive()
            else:
                kind, rest = message
                await send({"type": f"http.response.{kind}", **rest})

    return app


FIVE = (b"content-length", b"5")
HEAD = ("start", {"status": 200, "headers": [(b"x-tea", b"green"), FIVE]})
HELLO = ("body", {"body": b"hello"})


def headed(*headers, status=200, body=b"hello"):
    """Make an app that answers with these raw headers."""
    start = {"status": status, "headers": list(headers)}
    return answering(("start", start), ("body", {"body": body}))


START = ("start", {"status": 200, "headers": []})


def streamed(*pieces, status=200, headers=()):
    """Make an app that answers with these pieces, and then an empty one."""
    start = {"status": status, "headers": list(headers)}
    going_on = [("body", {"body": piece, "more_body": True}) for piece in pieces]
    return answering(("start", start), *going_on, ("body", {}))


async def once(scope, receive, send):
    """Answer with headers that can be read once."""
    headers = iter([(b"x-tea", b"green")])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


KEPT = {
    "a plain answer": answering(HEAD, HELLO),
    "names in upper case": headed((b"X-Tea", b"green"), FIVE),
    "a length in upper case": headed((b"Content-Length", b"5")),
    "two lengths, the first of which is right": headed(FIVE, (b"content-length", b"7")),
    "two lengths, the last of which is right": headed((b"content-length", b"7"), FIVE),
    "a length with a sign": headed((b"content-length", b"+5")),
    "a length in words": headed((b"content-length", b"five")),
    "an empty length": headed((b"content-length", b"")),
    "no length": headed((b"x-tea", b"green")),
    "a name that is none": headed((b"x tea", b"green"), FIVE),
    "a value of two lines": headed((b"x-tea", b"green\r\nx-milk: no"), FIVE),
    "a name that is text": headed(("x-tea", b"green"), FIVE),
    "a value that is text": headed((b"x-tea", "green"), FIVE),
    "a value that can change": headed((b"x-tea", bytearray(b"green")), FIVE),
    "a pair in a list": headed([b"x-tea", b"green"], FIVE),
    "a pair of three": headed((b"x-tea", b"green", b"black"), FIVE),
    "the app closes": headed((b"connection", b"close"), FIVE),
    "the app goes on": headed((b"connection", b"keep-alive"), FIVE),
    "the app says that it comes in chunks": headed((b"transfer-encoding", b"chunked")),
    "chunks with a length": headed((b"transfer-encoding", b"chunked"), FIVE),
    "201": headed(FIVE, status=201),
    "304 with a length": headed(FIVE, status=304, body=b""),
    "a status that nobody knows": headed(FIVE, status=299),
    "a status out of range": headed(FIVE, status=1000),
    "no status": answering(("start", {"headers": [FIVE]}), HELLO),
    "no headers": answering(("start", {"status": 200}), HELLO),
    "headers in a tuple": answering(("start", {"status": 200, "headers": (FIVE,)}), HELLO),
    "headers that can be read once": once,
    "no body": answering(HEAD, ("body", {})),
    "a body that is None": answering(HEAD, ("body", {"body": None})),
    "an empty body": headed((b"content-length", b"0"), body=b""),
    "pieces of a known length": answering(
        HEAD, ("body", {"body": b"he", "more_body": True}), ("body", {"body": b"llo"})
    ),
    "an empty last piece": answering(
        HEAD, ("body", {"body": b"hello", "more_body": True}), ("body", {"body": b""})
    ),
    "a stream": streamed(b"he", b"llo"),
    "a stream with a piece that is empty": streamed(b"he", b"", b"llo"),
    "a stream of other bytes": streamed(bytearray(b"he"), memoryview(b"llo")),
    "a stream with a piece that is text": streamed(b"he", "llo"),
    "a stream with a piece that is None": streamed(b"he", None),
    "a stream of many lines": streamed(b"0123456789" * 10, b"\r\n"),
    "a stream whose end says something": answering(
        START, ("body", {"body": b"he", "more_body": True}), ("body", {"body": b"llo"})
    ),
    "a stream that goes on when it is over": answering(
        START, ("body", {"more_body": False}), ("body", {"body": b"hello", "more_body": True})
    ),
    "a stream where there is nothing to send": streamed(b"hello", status=204),
    "a stream in pieces of its own": streamed(
        b"2\r\nhe\r\n", headers=[(b"transfer-encoding", b"chunked")]
    ),
    "too short": headed(FIVE, body=b"hell"),
    "too long": headed(FIVE, body=b"hello!"),
    "two heads": answering(HEAD, HEAD),
    "a body first": answering(HELLO),
    "two bodies": answering(HEAD, HELLO, HELLO),
    "a body and one that is empty": answering(HEAD, HELLO, ("body", {})),
    "a body that is empty, twice": answering(
        ("start", {"status": 200, "headers": [(b"content-length", b"0")]}), *[("body", {})] * 2
    ),
    "an unknown message": answering(HEAD, ("mystery", {"body": b"hello"})),
    "an unknown message that has headers": answering(("mystery", HEAD[1]), HELLO),
    "the body of the request, when the answer has begun": answering(HEAD, None, HELLO),
}
"""What apps send on a connection that goes on, which is where usual answers take fewer steps."""

USUAL = [(b"server", b"tea")]


def logged(caplog):
    """What the access log was told of each answer; of a client its address and not its port."""
    records = [record for record in caplog.records if record.name == "uvicorn.access"]
    return [(each.msg, each.args[0].split(":")[0], *each.args[1:]) for each in records]


async def answers_to(app, *pieces, default_headers=USUAL, access_log=False):
    """What uvicorn's protocol answers, and what ours does."""
    answers = []
    options = {"default_headers": default_headers, "access_log": access_log}
    for kind in PAIRS["httptools"]:
        async with served(kind, app, **options) as port:
            answers.append(await answer_of(port, *pieces))
    return answers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", KEPT)
async def test_an_answer_on_a_connection_that_goes_on_is_uvicorns(name, method):
    sent = request(f"{method} / HTTP/1.1", last=False)

    theirs, ours = await answers_to(KEPT[name], sent, sent, request())

    assert ours == theirs
    assert ours.count(b"HTTP/1.1 ") in (0, 1, 3)


@pytest.mark.parametrize("name", KEPT)
async def test_what_is_logged_of_an_answer_is_what_uvicorn_logs(name, caplog):
    caplog.set_level(logging.INFO, "uvicorn.access")
    sent = request("GET /a%20b?c=d HTTP/1.1", last=False)

    theirs, ours = await answers_to(KEPT[name], sent, request(), access_log=True)

    lines = logged(caplog)
    assert ours == theirs
    assert lines[len(lines) // 2 :] == lines[: len(lines) // 2]
    assert len(lines) in (0, 2, 4)


async def test_a_client_that_waits_to_send_is_answered_as_by_uvicorn():
    app = KEPT["the body of the request, when the answer has begun"]
    headers = ["content-length: 4", "expect: 100-continue"]
    expecting = request("POST / HTTP/1.1", *headers, body=b"abcd", last=False)

    theirs, ours = await answers_to(app, expecting, request())

    assert ours == theirs


@pytest.mark.parametrize(
    "header",
    [
        *[(b"Server", b"tea"), FIVE, (b"content-length", b"7")],
        *[(b"connection", b"close"), (b"x tea", b"green")],
    ],
)
async def test_a_header_of_the_server_says_as_much_as_with_uvicorn(header):
    sent = request(last=False)

    theirs, ours = await answers_to(KEPT["a plain answer"], sent, sent, default_headers=[header])

    assert ours == theirs


@pytest.mark.parametrize("kind", PAIRS["httptools"])
async def test_who_waits_for_a_message_hears_that_the_answer_is_over(kind):
    heard = []

    async def app(scope, receive, send):
        async def listen():
            heard.extend([(await receive())["type"], (await receive())["type"]])

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0.01)
        await KEPT["a plain answer"](scope, receive, send)
        await asyncio.wait_for(listener, PATIENCE / 4)

    async with served(kind, app) as port:
        await answer_of(port, request(last=False), request())

    assert heard == ["http.request", "http.disconnect"] * 2


@pytest.mark.parametrize("kind", PAIRS["httptools"])
async def test_who_does_not_read_answers_gets_no_more_of_them(kind):
    count, size = 50, 1_000_000
    begun = 0

    async def app(scope, receive, send):
        nonlocal begun
        begun += 1
        await sized(b"x" * size)(scope, receive, send)

    async with served(kind, app) as port:
        sent = request(last=False) * count + request()
        begun_before_reading, got = await read_late(port, sent, lambda: begun)

    assert begun_before_reading < count
    assert got > (count + 1) * size


@pytest.mark.parametrize("kind", PAIRS["httptools"])
async def test_an_answer_that_comes_when_the_client_has_left_is_not_counted(kind):
    state, answered = ServerState(), asyncio.Event()

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        await KEPT["a plain answer"](scope, receive, send)
        answered.set()

    async with served(kind, app, state=state) as port, asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(last=False))
        await until(lambda: state.tasks)
        writer.close()
        await answered.wait()

    assert state.total_requests == 0


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("count", [1, 2, 5])
async def test_a_request_hears_that_its_client_left_with_others_behind_it(count, kind):
    state, heard = ServerState(), []

    async def app(scope, receive, send):
        await send(dict(START[1], type="http.response.start"))
        while not heard or heard[-1] != "http.disconnect":
            heard.append((await receive())["type"])

    async with served(kind, app, state=state) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(last=False) * count)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await until(lambda: "http.disconnect" in heard)
        await until(lambda: not state.tasks)

    assert heard == ["http.request", "http.disconnect"]


async def test_only_so_many_requests_wait_on_one_connection():
    state, go_on = ServerState(), asyncio.Event()
    ours = with_httptools.HttpProtocol

    async with served(ours, slowly(go_on, starts=False), state=state) as port:
        asking = asyncio.create_task(answer_of(port, request(last=False) * 1000))
        await until(lambda: state.tasks)
        [connection] = state.connections
        waiting = len(connection.pipeline)
        go_on.set()
        answer = await asking

    assert waiting == 100
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 OK") == 101
    assert answer.count(b"\r\nconnection: close\r\n") == 1
    assert answer.endswith(b"onetwo")


@pytest.mark.parametrize("access_log", [False, True])
async def test_a_usual_answer_needs_no_step_of_uvicorns(access_log, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "uvicorn.access")

    async def refuse(self, message):
        raise RuntimeError("uvicorn's own send was called")

    ours = with_httptools.HttpProtocol
    async with served(ours, KEPT["a plain answer"], access_log=access_log) as port:
        monkeypatch.setattr(RequestResponseCycle, "send", refuse)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(last=False))
        async with asyncio.timeout(PATIENCE):
            answer = await reader.readuntil(b"hello")
        writer.close()

    assert answer == b"HTTP/1.1 200 OK\r\nx-tea: green\r\ncontent-length: 5\r\n\r\nhello"
    assert len(logged(caplog)) == access_log


class Life:
    """Ends with what it is an attribute of: bytes take no weak reference."""


class Value(bytes):
    """A value of a header, of which one sees whether it lives."""

    def __init__(self, _):
        self.life = Life()


def lives_when_sent(name, *values):
    """Send an answer with each of these *values*; what lives as long as they do."""
    lives = []
    for value in map(Value, values):
        lives.append(weakref.ref(value.life))
        head, _ = head_of(200, USUAL, [(name, value), FIVE])
        assert b"\r\n%b: %b\r\n" % (name.lower(), value) in head
    del value
    return [life() for life in lives]


@pytest.mark.parametrize(
    ("name", "size", "stays"),
    [
        *[(b"x-usual", 10, True), (b"x-usual", 1000, True)],
        *[(b"x-usual", 2000, False), (b"set-cookie", 10, False), (b"Set-Cookie", 10, False)],
    ],
)
def test_a_cookie_or_a_long_value_does_not_stay_in_memory(name, size, stays):
    (life,) = lives_when_sent(name, b"x" * size)

    assert (life is not None) is stays


def test_values_that_are_others_each_time_do_not_fill_the_memory():
    lives = lives_when_sent(b"x-request-id", *[b"%d" % number for number in range(3000)])

    assert sum(life is not None for life in lives) <= 512


async def test_what_a_stream_goes_on_with_needs_no_step_of_uvicorns(monkeypatch):
    theirs, by_uvicorn = RequestResponseCycle.send, []

    async def noted(self, message):
        by_uvicorn.append(message.get("body"))
        await theirs(self, message)

    monkeypatch.setattr(RequestResponseCycle, "send", noted)
    async with served(with_httptools.HttpProtocol, KEPT["a stream"]) as port:
        answer = await answer_of(port, request())

    assert answer.endswith(b"\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
    assert by_uvicorn == [None, None]  # its head and its end


async def telling(scope, receive, send):
    """Answer with what the server says of the request."""
    names = ["method", "path", "raw_path", "root_path", "query_string", "http_version", "headers"]
    await sized(repr([(name, scope[name]) for name in names]).encode())(scope, receive, send)


@pytest.mark.parametrize("parser", PAIRS)
@pytest.mark.parametrize("root_path", ["", "/shop"])
@pytest.mark.parametrize(
    "start",
    [
        *["GET /a%20b%2Fc%C3%A9?d=%20e HTTP/1.1", "GET /a?b?c#d HTTP/1.1", "GET /? HTTP/1.1"],
        *["GET http://example.org/a?b HTTP/1.1", "OPTIONS * HTTP/1.1", "DELETE //a//b HTTP/1.1"],
        *["GET /a%FF%zz HTTP/1.1", "GET /caf\u00e9 HTTP/1.1", "GET ?a HTTP/1.1"],
        *["CONNECT example.org:443 HTTP/1.1", "GET / HTTP/1.0", "get / HTTP/1.1", "GET /"],
    ],
)
async def test_a_request_is_told_as_by_uvicorn(parser, start, root_path):
    answers = []

    for kind in PAIRS[parser]:
        async with served(kind, telling, root_path=root_path) as port:
            answers.append(await answer_of(port, request(start), request()))

    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("parser", PAIRS)
@pytest.mark.parametrize(("limit", "status"), [(1, 503), (2, 200)])
async def test_more_than_the_server_may_serve_is_refused_as_by_uvicorn(
    parser, limit, status, caplog
):
    answers, warnings = [], []

    for kind in PAIRS[parser]:
        async with served(kind, sized(b"hello"), limit_concurrency=limit) as port:
            answers.append(await answer_of(port, request()))
        warnings.append(caplog.messages)
        caplog.clear()

    assert (answers[0], warnings[0]) == (answers[1], warnings[1])
    assert answers[0].startswith(b"HTTP/1.1 %d " % status)
    assert warnings[0] == (["Exceeded concurrency limit."] if status == 503 else [])


@pytest.mark.parametrize("kind", ALL)
async def test_nothing_more_is_read_while_a_request_waits_for_the_one_before(kind):
    state, go_on = ServerState(), asyncio.Event()

    async def app(scope, receive, send):
        await go_on.wait()
        await sized(b"hello")(scope, receive, send)

    async with served(kind, app, state=state) as port, asyncio.timeout(PATIENCE):
        asking = asyncio.create_task(answer_of(port, request(last=False) + request()))
        await until(lambda: state.tasks)
        [connection] = state.connections
        assert connection.flow.read_paused
        go_on.set()
        answer = await asking

    assert answer.count(b"hello") == 2


@pytest.mark.parametrize("kind", ALL)
async def test_more_is_read_when_requests_that_waited_are_answered(kind):
    async def app(scope, receive, send):
        await asyncio.sleep(0.01)
        await sized(b"a")(scope, receive, send)

    async with served(kind, app) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(last=False) * 2)
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\na")
        writer.write(request())
        assert (await reader.read()).endswith(b"\r\n\r\na")
        writer.close()


@pytest.mark.parametrize("parser", PAIRS)
async def test_the_access_log_is_uvicorns(parser, caplog):
    caplog.set_level(logging.INFO, "uvicorn.access")
    lines = []

    for kind in PAIRS[parser]:
        async with served(kind, sized(b"a"), access_log=True) as port:
            await answer_of(port, request("GET /a?b=c HTTP/1.1", last=False) + request())
        lines.append(logged(caplog))
        caplog.clear()

    assert lines[0] == lines[1]
    assert [line[1:] for line in lines[0]] == [
        ("127.0.0.1", "GET", "/a?b=c", "1.1", 200),
        ("127.0.0.1", "GET", "/", "1.1", 200),
    ]


@pytest.mark.parametrize("kind", ALL)
async def test_a_slow_reader_holds_the_app_back(kind):
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for sent in range(1, 25):
            body = {"type": "http.response.body", "body": b"x" * 500_000, "more_body": sent < 24}
            await send(body)

    async with served(kind, app) as port:
        sent_before_reading, got = await read_late(port, request(), lambda: sent)

    assert sent_before_reading < 24
    assert got > 12_000_000


# -- one write ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("a plain answer", 1),
        ("HEAD", 1),
        ("204", 1),
        ("304", 1),
        ("an empty body", 1),
        ("a large body", 1),
        ("two requests at once", 2),
        ("100-continue", 2),
        ("an error after the head", 1),
    ],
)
async def test_a_response_is_written_at_once(kind, name, count):
    app, sent = EXCHANGES[name]
    writes = []

    async with served(kind, app, writes=writes) as port:
        await answer_of(port, sent)

    assert len(writes) == count, writes


async def test_each_piece_of_a_stream_is_written_when_it_is_there():
    writes = []
    app = responding(b"a", b"b", b"c", wait=True)

    async with served(with_httptools.HttpProtocol, app, writes=writes) as port:
        await answer_of(port, request())

    # The head does not wait for a piece that takes its time.
    assert [write.count(b"HTTP/1.1 200") for write in writes] == [1, 0, 0, 0]
    assert b"".join(writes[1:]) == b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"


async def test_the_head_of_a_stream_is_joined_with_a_piece_that_is_there():
    writes = []

    async with served(with_httptools.HttpProtocol, responding(b"a", b""), writes=writes) as port:
        await answer_of(port, request())

    assert writes[0].endswith(b"\r\n\r\n1\r\na\r\n")


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("empty_piece", [True, False])
async def test_a_head_arrives_before_a_piece_that_is_not_there(kind, empty_piece):
    arrived = asyncio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if empty_piece:
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        await arrived.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async with served(kind, app) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request())
        head = await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        rest = await reader.read()
        writer.close()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"late" in rest


@pytest.mark.parametrize("kind", OURS)
async def test_the_heads_of_several_connections_wait_for_no_piece_that_is_not_there(kind):
    arrived, everybody = asyncio.Event(), asyncio.Barrier(3)

    async def app(scope, receive, send):
        await everybody.wait()  # so that all heads are written in one turn of the loop
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await arrived.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async with served(kind, app) as port, asyncio.timeout(PATIENCE):
        links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in links:
            writer.write(request())
        heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in links]
        arrived.set()
        rests = [await reader.read() for reader, _ in links]
        for _, writer in links:
            writer.close()

    assert all(head.startswith(b"HTTP/1.1 200 OK\r\n") for head in heads)
    assert all(b"late" in rest for rest in rests)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_head_goes_out_beside_one_whose_client_has_left(name):
    loops = pytest.importorskip(name)

    async def head_of_who_stays():
        async def pair():
            ours, theirs = socket.socketpair()
            _, writer = await asyncio.open_connection(sock=ours)
            reader, client = await asyncio.open_connection(sock=theirs)
            return OneWrite(writer.transport, asyncio.get_running_loop()), writer, reader, client

        left, stays = await pair(), await pair()
        left[1].close()
        await left[1].wait_closed()
        left[0].begin(b"first")
        stays[0].begin(b"second")
        try:
            async with asyncio.timeout(PATIENCE / 4):
                return await stays[2].readexactly(6)
        finally:
            for writer in (stays[1], stays[3], left[3]):
                writer.close()

    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        assert runner.run(head_of_who_stays()) == b"second"


# -- the order of answers ----------------------------------------------------------------------


def slowly(go_on, *, starts):
    """Return an app that answers when it may *go_on*; *starts* its answer at once."""

    async def app(scope, receive, send):
        pieces = [b"one", b"two"] if starts else [b"onetwo"]
        head = dict(START[1], headers=[(b"content-length", b"6")], type="http.response.start")
        if starts:
            await send(head)
            await send({"type": "http.response.body", "body": pieces.pop(0), "more_body": True})
        await go_on.wait()
        if not starts:
            await send(head)
        await send({"type": "http.response.body", "body": pieces.pop()})

    return app


NO_REQUEST = b"\x00tea\r\n\r\n"


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("what", ["no request", "a websocket"])
async def test_what_cannot_be_answered_yet_does_not_come_into_answers(
    what, count, together, starts, kind
):
    state, go_on = ServerState(), asyncio.Event()
    behind = {"no request": NO_REQUEST, "a websocket": HANDSHAKE}[what]

    app = slowly(go_on, starts=starts)
    async with served(kind, app, state=state) as port:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            asked = request(last=False) * count
            writer.write(asked + behind if together else asked)
            await until(lambda: state.tasks)
            if not together:
                writer.write(behind)
            await asyncio.sleep(0.05)
            go_on.set()
            answer = await reader.readuntil(b"onetwo")
            for _ in range(count - 1):
                answer += await reader.readuntil(b"onetwo")
            assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 OK") == count
            if kind is with_httptools.HttpProtocol:
                assert await reader.read() == b""
            writer.close()


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("waiting", [0, 1, 2])
async def test_a_body_with_a_fault_ends_what_came_before_it_first(waiting, starts):
    state, go_on = ServerState(), asyncio.Event()
    faulty = request("POST / HTTP/1.1", "transfer-encoding: chunked", body=b"tea\r\n", last=False)

    app = slowly(go_on, starts=starts)
    async with served(with_httptools.HttpProtocol, app, state=state) as port:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if waiting:
                writer.write(request(last=False) * waiting + faulty)
            else:
                writer.write(faulty.removesuffix(b"tea\r\n"))
                await asyncio.sleep(0.05)
                writer.write(b"tea\r\n")
            await asyncio.sleep(0.05)
            go_on.set()
            answer = await reader.read()
            writer.close()

    assert answer.count(b"HTTP/1.1 200 OK") == waiting + (not waiting and starts)
    assert answer.count(b"onetwo") == waiting
    assert answer.count(b"HTTP/1.1 400") == (not waiting and not starts)


# -- upgrades that are refused -----------------------------------------------------------------


def noting(seen):
    """Return an app that reads every request and notes what it asks, and for which upgrade."""

    async def app(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        upgrade = dict(scope["headers"]).get(b"upgrade", b"")
        seen.append((scope["method"], scope["path"], upgrade, body))
        await sized(b"hello")(scope, receive, send)

    return app


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: example.org\r\n\r\n"
BEHIND = {
    "a length": (f"content-length: {len(SMUGGLED)}", SMUGGLED, SMUGGLED),
    "chunks": (
        "transfer-encoding: chunked",
        b"%x\r\n%b\r\n1\r\n!\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        SMUGGLED + b"!",
    ),
    "no body": ("x-tea: green", b"", b""),
}
TOKENS = {"h2c": protocols.connect_websocket, "tea": protocols.connect_websocket}
TOKENS["websocket"] = "none"


def pieces_of(way, head, body, after):
    """Cut what a client sends."""
    whole = head + body + after
    return {
        "at once": [whole],
        "the body apart": [head, body + after],
        "all apart": [head, body, after],
        "byte by byte": [whole[at : at + 1] for at in range(len(whole))],
    }[way]


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("way", ["at once", "the body apart", "all apart", "byte by byte"])
@pytest.mark.parametrize("framing", BEHIND)
@pytest.mark.parametrize("token", TOKENS)
async def test_a_body_behind_an_upgrade_that_is_refused_is_read(token, framing, way, kind):
    header, sent, body = BEHIND[framing]
    upgrade = ["connection: upgrade, keep-alive", f"upgrade: {token}"]
    head = request("POST /upgrade HTTP/1.1", *upgrade, header, last=False)
    seen = []

    async with served(kind, noting(seen), ws=TOKENS[token]) as port:
        pieces = pieces_of(way, head, sent, request("GET /after HTTP/1.1"))
        answer = await answer_of(port, *pieces)

    asked = ("POST", "/upgrade", token.encode(), body)
    assert seen == [asked, ("GET", "/after", b"", b"")]
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.endswith(b"hello")


@pytest.mark.parametrize("kind", OURS)
async def test_requests_behind_one_another_may_all_ask_for_what_is_refused(kind):
    upgrade = ["connection: upgrade", "upgrade: h2c"]
    asking = request("POST / HTTP/1.1", *upgrade, "content-length: 3", body=b"tea", last=False)
    seen = []

    async with served(kind, noting(seen)) as port:
        answer = await answer_of(port, asking * 20 + request())

    assert seen == [("POST", "/", b"h2c", b"tea")] * 20 + [("GET", "/", b"", b"")]
    assert answer.count(b"HTTP/1.1 200 OK") == 21


@pytest.mark.parametrize("kind", OURS)
async def test_who_asks_for_what_is_refused_may_wait_to_send_a_body(kind):
    asked = ["connection: upgrade", "upgrade: h2c", "expect: 100-continue", "content-length: 3"]
    seen = []

    async with served(kind, noting(seen)) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST / HTTP/1.1", *asked, last=False))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"tea" + request())
        answer = await reader.read()
        writer.close()

    assert seen == [("POST", "/", b"h2c", b"tea"), ("GET", "/", b"", b"")]
    assert answer.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("kind", OURS)
async def test_a_body_behind_a_refused_upgrade_that_has_no_end_is_a_bad_request(kind):
    asked = ["connection: upgrade", "upgrade: h2c", "transfer-encoding: gzip"]
    seen = []

    async with served(kind, noting(seen)) as port:
        answer = await answer_of(port, request("POST / HTTP/1.1", *asked, last=False) + SMUGGLED)

    assert answer.startswith(b"HTTP/1.1 ")
    assert b"hello" not in answer
    assert ("GET", "/smuggled", b"", b"") not in seen


@pytest.mark.parametrize("pieces", [1, 2])
async def test_nothing_is_read_behind_a_connect(pieces):
    head = request("CONNECT /tea HTTP/1.1", "content-length: 3", last=False)
    sent = [head + SMUGGLED] if pieces == 1 else [head, SMUGGLED]
    seen = []

    async with served(with_httptools.HttpProtocol, noting(seen)) as port:
        answer = await answer_of(port, *sent)

    assert seen == [("CONNECT", "/tea", b"", b"")]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer


async def test_a_head_behind_an_upgrade_that_is_refused_has_a_size():
    asking = request("GET / HTTP/1.1", "connection: upgrade", "upgrade: h2c", last=False)

    async with served(with_httptools.HttpProtocol, sized(b"hello"), max_head_size=2048) as port:
        answer = await answer_of(port, asking + b"GET /", *[b"x" * 100] * 30)

    assert answer.count(b"HTTP/1.1 200") <= 1


# -- websockets --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OURS)
async def test_a_connection_becomes_a_websocket(kind):
    async def echo(scope, receive, send):
        if scope["type"] == "http":
            return await sized(b"hello")(scope, receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"]})

    async with served(kind, echo, head_timeout=PATIENCE) as port, asyncio.timeout(PATIENCE):
        async with connect(f"ws://127.0.0.1:{port}/") as websocket:
            await websocket.send("hello")
            assert await websocket.recv() == "hello"


def handshake(*headers, start="GET / HTTP/1.1", body=b""):
    return request(
        start,
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
        body=body,
        last=False,
    )


HANDSHAKE = handshake()


def frame(opcode, payload=b"", *, fin=True):
    """Make a frame of a client, with a mask that changes nothing (RFC 6455, 5.2)."""
    return bytes([fin << 7 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
BYE = frame(CLOSE, b"\x03\xe8bye")
HEARD = {
    "a text": frame(TEXT, "grüner Tee".encode()) + BYE,
    "bytes": frame(BINARY, b"\x00\xff") + BYE,
    "an empty text": frame(TEXT) + BYE,
    "many at once": frame(TEXT, b"one") + frame(BINARY, b"two") + frame(TEXT, b"three") + BYE,
    "a text in pieces": frame(TEXT, b"gre", fin=False) + frame(0, b"en") + BYE,
    "bytes in pieces": frame(BINARY, b"gre", fin=False) + frame(0, b"en") + BYE,
    "a ping between pieces": frame(TEXT, b"gre", fin=False) + frame(PING) + frame(0, b"en") + BYE,
    "a ping between texts": frame(TEXT, b"one") + frame(PING, b"?") + frame(TEXT, b"two") + BYE,
    "a pong that nobody asked for": frame(PONG, b"!") + frame(TEXT, b"one") + BYE,
    "a text that is none": frame(TEXT, b"\xff"),
    "an opcode that is none": frame(TEXT, b"one") + frame(5) + BYE,
    "no mask": frame(TEXT, b"one") + b"\x81\x02hi",
    "a piece of nothing": frame(0, b"en") + BYE,
    "an end without a word": frame(CLOSE),
}


async def after_handshake(port, sent):
    """Ask for a websocket, send *sent* when there is an answer, and return all that comes.

    Its date is left out: two servers may be asked in two seconds.
    """
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        answer = b""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await writer.drain()
            while data := await reader.read(65536):
                answer += data
        writer.close()
        return re.sub(rb"\r\nDate: [^\r]*", b"", answer, count=1)


async def heard_by(ws, sent):
    """What an app hears of what a client has sent, and what that client gets."""
    heard = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while not heard or heard[-1]["type"] != "websocket.disconnect":
            heard.append(await receive())
            with suppress(OSError, RuntimeError):
                await send({"type": "websocket.send", "text": repr(heard[-1])})

    async with served(with_httptools.HttpProtocol, app, ws=ws) as port:
        answer = await after_handshake(port, sent)
        await until(lambda: heard and heard[-1]["type"] == "websocket.disconnect")
    return answer, heard


@pytest.mark.parametrize("sent", HEARD.values(), ids=HEARD)
async def test_what_a_websocket_hears_is_what_it_hears_from_uvicorn(sent):
    theirs = await heard_by(WebSocketsSansIOProtocol, sent)
    ours = await heard_by(protocols.connect_websocket, sent)

    assert ours == theirs
    assert len(ours[1]) >= 1


NO_TEXT = {
    "whole": frame(TEXT, b"\xff"),
    "in pieces": frame(TEXT, b"\xff", fin=False) + frame(0, b"\xff"),
    "twice": frame(TEXT, b"\xff") * 2,
}


@pytest.mark.parametrize("sent", NO_TEXT.values(), ids=NO_TEXT)
async def test_a_text_that_is_none_is_no_error_of_the_server(sent, caplog):
    answer, heard = await heard_by(protocols.connect_websocket, sent)

    assert answer.endswith(b"\r\n\r\n\x88\x02\x03\xef")
    assert heard[-1] == {"type": "websocket.disconnect", "code": 1007, "reason": ""}
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_text_that_is_none_may_be_the_last_word_of_a_peer(caplog):
    answer, heard = await heard_by(protocols.connect_websocket, frame(TEXT, b"\xff") + BYE)

    assert answer.endswith(b"\r\n\r\n\x88\x05\x03\xe8bye")
    assert [message["type"] for message in heard] == ["websocket.disconnect"]
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def say(**message):
    return {"type": "websocket.send", **message}


OVER = {"type": "websocket.close", "code": 1001, "reason": "over"}
SAID = {
    "a text": [say(text="grüner Tee")],
    "bytes": [say(bytes=b"\x00\xff")],
    "bytes that can change": [say(bytes=bytearray(b"ab")), say(bytes=memoryview(b"cd"))],
    "a long text": [say(text="tea " * 20_000)],
    "an empty text": [say(text="")],
    "no bytes at all, and a text": [say(bytes=b""), say(bytes=b"", text="text")],
    "both": [say(text="text", bytes=b"bytes")],
    "neither": [say(), say(text=None, bytes=None)],
    "a text that is none": [say(text=b"bytes")],
    "bytes that are none": [say(bytes="text")],
    "a text that cannot be encoded": [say(text="\udcff"), say(text="but this")],
    "no type": [{"text": "hello"}],
    "an unknown type": [{"type": "websocket.shout", "text": "hello"}],
    "a second handshake": [{"type": "websocket.accept"}, say(text="hello")],
    "an end, and more": [OVER, say(text="hello"), OVER],
    "a response when it is open": [{"type": "websocket.http.response.start", "status": 200}],
}


async def said_by(ws, messages, *, accepts=True, leaves=False):
    """What a client gets of what an app sends, and what the app is told of that."""
    told = []

    async def app(scope, receive, send):
        await receive()
        if accepts:
            await send({"type": "websocket.accept"})
        if leaves:
            await receive()
        for message in messages:
            try:
                await send(message)
            except Exception as error:
                told.append((type(error), str(error)))
        told.append("all")

    async with served(with_httptools.HttpProtocol, app, ws=ws) as port:
        answer = await after_handshake(port, frame(CLOSE))
        await until(lambda: "all" in told)
    return answer, told


@pytest.mark.parametrize("how", [{}, {"accepts": False}, {"leaves": True}])
@pytest.mark.parametrize("messages", SAID.values(), ids=SAID)
async def test_what_a_websocket_says_is_what_it_says_by_uvicorn(messages, how):
    theirs = await said_by(WebSocketsSansIOProtocol, messages, **how)
    ours = await said_by(protocols.connect_websocket, messages, **how)

    assert ours == theirs


async def test_a_message_on_an_open_websocket_needs_no_step_of_uvicorns(monkeypatch):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        monkeypatch.setattr(WebSocketsSansIOProtocol, "send", None)
        monkeypatch.setattr(WebSocketsSansIOProtocol, "handle_events", None)
        heard = [await receive(), await receive()]
        await send(say(text=heard[0]["text"]))
        await send(say(bytes=heard[1]["bytes"]))

    sent = frame(TEXT, b"one") + frame(BINARY, b"two")
    async with served(with_httptools.HttpProtocol, app) as port:
        answer = await after_handshake(port, sent)

    assert answer.endswith(b"\r\n\r\n\x81\x03one\x82\x03two")


@asynccontextmanager
async def talking(ws, talk):
    """Serve an app that accepts and goes on with *talk*; gives a client after the handshake."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await talk(receive, send)

    async with served(with_httptools.HttpProtocol, app, ws=ws) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
        writer.close()


@pytest.mark.parametrize("ws", WEBSOCKETS)
async def test_messages_wait_with_their_sender_while_the_app_does_not_receive(ws):
    awake = asyncio.Event()
    heard = 0

    async def talk(receive, send):
        nonlocal heard
        await receive()  # it is waited for, as each of those that follow one another
        await send(say(text="now"))
        await awake.wait()
        while (await receive())["type"] == "websocket.receive":
            heard += 1

    async with talking(ws, talk) as (reader, writer):
        writer.write(frame(TEXT, b"one"))
        await reader.readexactly(5)
        messages, offered = frame(BINARY, bytes(100)) * 5_000, 0
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while offered < 50:
                    writer.write(messages)
                    offered += 1
                    await writer.drain()
        assert offered < 50
        awake.set()
        await until(lambda: heard == offered * 5_000, PATIENCE)


@pytest.mark.parametrize("ws", WEBSOCKETS)
async def test_several_who_receive_get_a_message_each(ws):
    heard = []

    async def talk(receive, send):
        both = [asyncio.create_task(receive()) for _ in range(2)]
        await send(say(text="now"))
        heard.extend(await asyncio.gather(*both))

    async with talking(ws, talk) as (reader, writer):
        await reader.readexactly(5)
        writer.write(frame(TEXT, b"one"))
        await asyncio.sleep(0.01)
        writer.write(frame(TEXT, b"two"))
        await until(lambda: heard)

    assert [message["text"] for message in heard] == ["one", "two"]


@pytest.mark.parametrize("ws", WEBSOCKETS)
@pytest.mark.parametrize("when", ["before a message comes", "when it was woken for one"])
async def test_who_gives_up_to_receive_takes_no_message_along(when, ws):
    heard, leaving = [], []

    def cancelling(**options):
        protocol = ws(**options)

        def data_received(data):
            type(protocol).data_received(protocol, data)
            while leaving:
                leaving.pop().cancel()

        protocol.data_received = data_received
        return protocol

    async def talk(receive, send):
        first, second = [asyncio.create_task(receive()) for _ in range(2)]
        await asyncio.sleep(0)
        if when == "before a message comes":
            first.cancel()
        else:
            leaving.append(first)
        await send(say(text="now"))
        heard.append(await second)
        assert first.cancelled()

    async with talking(cancelling, talk) as (reader, writer):
        await reader.readexactly(5)
        writer.write(frame(TEXT, b"one"))
        await until(lambda: heard)

    assert [message["text"] for message in heard] == ["one"]


@pytest.mark.parametrize("ws", WEBSOCKETS)
async def test_what_comes_after_the_app_has_closed_does_not_delay_the_end(ws):
    over, heard = asyncio.Event(), []

    async def talk(receive, send):
        await send(OVER)
        await over.wait()
        heard.append(await receive())

    async with talking(ws, talk) as (reader, writer):
        await reader.readexactly(8)  # the end, as the app has it
        writer.write(frame(TEXT, b"late"))
        await asyncio.sleep(0.05)  # the server comes to it
        writer.write(frame(TEXT, b"later") + frame(CLOSE, b"\x03\xe9"))
        async with asyncio.timeout(5):  # uvicorn waits for 10
            assert await reader.read() == b""
        over.set()
        await until(lambda: heard)

    assert heard == [{"type": "websocket.disconnect", "code": 1001, "reason": "over"}]


async def test_a_websocket_keeps_nothing_of_those_who_gave_up_to_receive():
    kept, protocol = [], None

    def remembered(**options):
        nonlocal protocol
        protocol = protocols.connect_websocket(**options)
        return protocol

    async def talk(receive, send):
        for _ in range(3):
            with suppress(TimeoutError):
                await asyncio.wait_for(receive(), 0.001)
        kept.append(list(protocol.arrived.waiting))

    async with talking(remembered, talk):
        await until(lambda: kept)

    assert kept == [[]]


async def test_reading_goes_on_where_the_app_waits_for_each_message():
    stops = 0

    def watched(**options):
        protocol = protocols.connect_websocket(**options)
        made = protocol.connection_made

        def connection_made(transport):
            def pause_reading():
                nonlocal stops
                stops += 1
                transport.pause_reading()

            made(transport)
            protocol.transport = Recorded(transport, [])
            protocol.transport.pause_reading = pause_reading

        protocol.connection_made = connection_made
        return protocol

    async def talk(receive, send):
        while (message := await receive())["type"] == "websocket.receive":
            await send(say(text=message["text"]))

    async with talking(watched, talk) as (reader, writer):
        for _ in range(5):
            writer.write(frame(TEXT, b"one"))
            await reader.readexactly(5)
        assert stops == 0
        writer.write(frame(TEXT, b"one") * 3)
        await reader.readexactly(15)

    assert stops == 1


@pytest.mark.parametrize("ws", WEBSOCKETS)
async def test_a_websocket_that_does_not_read_holds_the_app_back(ws):
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(400):
            await send(say(bytes=bytes(65_536)))
            sent += 1

    async with served(with_httptools.HttpProtocol, app, ws=ws) as port:
        before, size = await read_late(port, HANDSHAKE, lambda: sent)

    assert before < 400
    assert sent == 400
    assert size > 400 * 65_536


def keeping(kept):
    """Make the factory of a protocol that is added to *kept*."""

    def make(**options):
        kept.append(protocols.connect_websocket(**options))
        return kept[-1]

    return make


async def send_until_it_waits(writer, data, *, most):
    """Send *data* again and again, and return how many bytes were taken at all."""
    writer.transport.set_write_buffer_limits(high=0)
    taken = 0
    with suppress(TimeoutError):
        while taken < most:
            writer.write(data)
            taken += len(data)
            async with asyncio.timeout(1):
                await writer.drain()
    return taken


@pytest.mark.parametrize("receives", [False, True], ids=["pings", "pings among messages"])
async def test_pings_wait_with_a_peer_that_does_not_read(receives):
    kept, heard = [], []

    async def talk(receive, send):
        while not heard or heard[-1]["type"] == "websocket.receive":
            heard.append(await receive())

    piece = frame(PING, bytes(100)) * 200
    piece += frame(TEXT, b"a") * receives
    async with talking(keeping(kept), talk) as (reader, writer):
        reader._transport.pause_reading()
        taken = await send_until_it_waits(writer, piece, most=100_000_000)
        assert taken < 100_000_000
        assert kept[0].transport.get_write_buffer_size() < 5_000_000

        reader._transport.resume_reading()
        pongs = 0
        while pongs < taken // len(piece) * 200:
            pongs += (await reader.readexactly(102)).startswith(b"\x8a\x64")
        writer.write(frame(TEXT, b"last") + BYE)
        await until(lambda: heard and heard[-1]["type"] == "websocket.disconnect", PATIENCE)

    assert [message.get("text") for message in heard][-2:] == ["last", None]


@pytest.mark.parametrize("piece", [b"", b"a"], ids=["empty pieces", "tiny pieces"])
@pytest.mark.parametrize("kind", [TEXT, BINARY], ids=["text", "bytes"])
async def test_a_message_in_pieces_takes_no_more_memory_than_it_says(kind, piece):
    kept, heard = [], []

    async def talk(receive, send):
        heard.append(await receive())

    async with talking(keeping(kept), talk) as (_, writer):
        writer.write(frame(kind, b"begin ", fin=False) + frame(0, piece, fin=False) * 50_000)
        writer.write(frame(0, b" middle ", fin=False))
        await until(lambda: b" middle " in (kept[0].frames or [b""])[-1], PATIENCE)
        assert len(kept[0].frames) == 1
        writer.write(frame(0, b"end"))
        await until(lambda: heard)

    whole = b"begin " + piece * 50_000 + b" middle end"
    said = {"text": whole.decode()} if kind == TEXT else {"bytes": whole}
    assert heard == [{"type": "websocket.receive", **said}]
    assert kept[0].frames == []


async def test_a_peer_that_reads_again_is_read_when_the_app_receives():
    kept, awake, heard = [], asyncio.Event(), []

    async def talk(receive, send):
        await awake.wait()
        while not heard or heard[-1]["type"] == "websocket.receive":
            heard.append(await receive())

    async with talking(keeping(kept), talk) as (_, writer):
        protocol = kept[0]
        protocol.pause_writing()
        writer.write(frame(PING, b"?") + frame(TEXT, b"one"))
        await until(lambda: protocol.pongs_wait and protocol.arrived)
        protocol.resume_writing()
        assert protocol.read_paused
        awake.set()
        writer.write(frame(TEXT, b"two") + BYE)
        await until(lambda: len(heard) == 3, PATIENCE)

    assert [message.get("text") for message in heard] == ["one", "two", None]


async def deny(send, *, complete=True):
    raw = [(b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": raw})
    if complete:
        await send({"type": "websocket.http.response.body", "body": b"who?"})


async def test_a_response_instead_of_a_handshake_is_no_error(caplog):
    async def app(scope, receive, send):
        await deny(send)

    async with served(with_httptools.HttpProtocol, app) as port, asyncio.timeout(PATIENCE):
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{port}/", proxy=None)

    assert (caught.value.response.status_code, caught.value.response.body) == (401, b"who?")
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_half_a_response_instead_of_a_handshake_is_an_error(caplog):
    async def app(scope, receive, send):
        await deny(send, complete=False)

    async with served(with_httptools.HttpProtocol, app) as port, asyncio.timeout(PATIENCE):
        with pytest.raises(Exception, match="did not receive a valid HTTP response"):
            await connect(f"ws://127.0.0.1:{port}/", proxy=None)

    assert "ASGI callable returned without completing handshake." in caplog.messages


# -- handshakes that are none ------------------------------------------------------------------


REFUSED = {
    "a body": (handshake("content-length: 5", body=b"hello"), 400),
    "chunks": (handshake("transfer-encoding: chunked", body=b"0\r\n\r\n"), 400),
    "many headers": (handshake(*["a: b"] * 130), 431),
    "a long header": (handshake("a: " + "b" * 9000), 431),
    "a long url": (handshake(start=f"GET /?{'a' * 9000} HTTP/1.1"), 414),
}


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("kind", OURS)
async def test_a_handshake_that_is_refused_is_answered(kind, sent, status, caplog):
    async with served(kind, nothing) as port:
        answer = await answer_of(port, sent)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close" in head.lower()
    assert b"\r\ncontent-length: %d" % len(body) in head.lower()
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def before_it_is_accepted(sent, talk, *, instead=None):
    """What a client gets that sends *sent* while the app has not accepted, but goes on to *talk*.

    *instead* is called with the protocol when that came, in the same turn of the loop.
    """
    begun, over = asyncio.Event(), asyncio.Event()

    def stopping(**options):
        protocol = protocols.connect_websocket(**options)

        def data_received(data):
            type(protocol).data_received(protocol, data)
            if instead is not None and begun.is_set():
                instead(protocol)

        protocol.data_received = data_received
        return protocol

    async def app(scope, receive, send):
        await receive()
        begun.set()
        try:
            await talk(receive, send)
        finally:
            over.set()

    async with served(with_httptools.HttpProtocol, app, ws=stopping) as port:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HANDSHAKE)
            await begun.wait()
            writer.write(sent)
            answer = await reader.read()
            await over.wait()
            writer.close()
    return answer


@pytest.mark.parametrize(
    "sent",
    [frame(5), frame(CLOSE), frame(TEXT, b"\xff")],
    ids=["no frame", "an end", "a text that is none"],
)
async def test_who_does_not_wait_for_the_handshake_gets_a_400(sent, caplog):
    heard = []

    async def talk(receive, send):
        heard.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.accept"})

    answer = await before_it_is_accepted(sent, talk)

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert heard == [{"type": "websocket.disconnect", "code": 1006}]
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_nothing_comes_before_the_answer_to_a_handshake():
    async def talk(receive, send):
        assert (await receive())["text"] == "early"
        await send({"type": "websocket.accept"})

    answer = await before_it_is_accepted(frame(PING) + frame(TEXT, b"early"), talk)

    assert answer.startswith(b"HTTP/1.1 101 ")


async def test_an_app_that_fails_for_who_did_not_wait_fails_as_ever(caplog):
    async def talk(receive, send):
        await receive()
        raise ValueError("on purpose")

    assert (await before_it_is_accepted(frame(CLOSE), talk)).count(b"HTTP/1.1 ") == 1
    assert "Exception in ASGI application\n" in caplog.messages


@pytest.mark.parametrize("sent", [frame(CLOSE), frame(5), frame(TEXT, b"early")])
async def test_a_server_may_stop_whatever_came_before_the_handshake_is_answered(sent, caplog):
    async def talk(receive, send):
        while (await receive())["type"] != "websocket.disconnect":
            pass

    await before_it_is_accepted(sent, talk, instead=lambda protocol: protocol.shutdown())

    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_server_may_stop_while_a_handshake_is_refused(caplog):
    def stopping(**options):
        protocol = protocols.connect_websocket(**options)

        def data_received(data):
            type(protocol).data_received(protocol, data)
            protocol.shutdown()

        protocol.data_received = data_received
        return protocol

    async with served(with_httptools.HttpProtocol, nothing, ws=stopping) as port:
        answer = await answer_of(port, REFUSED["a body"][0])

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_server_may_stop_while_a_peer_closes():
    done = []

    def stopping(**options):
        protocol = protocols.connect_websocket(**options)

        def data_received(data):
            type(protocol).data_received(protocol, data)
            if protocol.handshake_complete:
                protocol.shutdown()
                done.append("shut down")

        protocol.data_received = data_received
        return protocol

    async def talk(receive, send):
        await receive()

    async with talking(stopping, talk) as (reader, writer):
        writer.write(BYE)
        assert await reader.read() == b"\x88\x05\x03\xe8bye"

    assert done == ["shut down"]


@asynccontextmanager
async def connected(kind, app, **options):
    """Serve *app*; gives what asks it on one connection, and where to read that."""
    async with served(kind, app, **options) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def ask(body):
            writer.write(request(last=False))
            await reader.readuntil(b"\r\n\r\n" + body)

        yield ask, reader
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("kind", ALL)
async def test_an_idle_connection_is_closed_some_time_after_its_last_answer(kind):
    loop = asyncio.get_running_loop()
    async with connected(kind, sized(b"a"), keep_alive=1.0) as (ask, reader):
        for pause in (0.6, 0.6, 0):
            await ask(b"a")
            answered = loop.time()
            await asyncio.sleep(pause)
        assert await reader.read() == b""
        assert loop.time() - answered > 0.95


@pytest.mark.parametrize("kind", ALL)
async def test_a_connection_is_not_idle_while_it_is_answered(kind):
    async def app(scope, receive, send):
        await asyncio.sleep(1.2)
        await sized(b"slow")(scope, receive, send)

    async with connected(kind, app, keep_alive=0.8) as (ask, reader):
        for _ in range(2):
            await ask(b"slow")
        assert await reader.read() == b""


def setting_a_variable(seen):
    """Return an app that sets a variable for each request, and notes the value weakly."""
    asked = ContextVar("asked")

    class Kept: ...

    async def app(scope, receive, send):
        kept = Kept()
        seen.append(weakref.ref(kept))
        asked.set(kept)
        await sized(b"a")(scope, receive, send)

    return app


@pytest.mark.parametrize("kind", OURS)
async def test_a_connection_keeps_nothing_of_its_first_request(kind):
    seen = []
    async with connected(kind, setting_a_variable(seen), keep_alive=1.0) as (ask, _):
        for _ in range(40):
            await ask(b"a")
            await asyncio.sleep(0.05)
            gc.collect()
            if seen[0]() is None:
                break
        assert seen[0]() is None


async def test_an_idle_connection_keeps_nothing_that_its_last_request_set():
    seen, kind = [], with_httptools.HttpProtocol
    options = {"keep_alive": 60, "reset_contextvars": True}
    async with connected(kind, setting_a_variable(seen), **options) as (ask, _):
        await ask(b"a")
        await until(lambda: seen[0]() is None)


@pytest.mark.parametrize("kind", ALL)
async def test_requests_are_counted_and_a_connection_that_is_closed_is_forgotten(kind):
    state = ServerState()

    def is_gone():
        gc.collect()
        return connection() is None

    async with served(kind, sized(b"a"), keep_alive=60, state=state) as port:
        await answer_of(port, request(last=False), request())
        assert state.total_requests == 2

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(last=False))
        await reader.readuntil(b"\r\n\r\na")
        connection = weakref.ref(*state.connections)
        writer.close()
        await until(is_gone)


@pytest.mark.parametrize("kind", ALL)
async def test_who_waits_for_a_body_hears_of_each_piece_once(kind):
    heard = []

    async def app(scope, receive, send):
        while not heard or heard[-1]["more_body"]:
            heard.append(await receive())
        await sized(b"a")(scope, receive, send)

    async with served(kind, app) as port, asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST / HTTP/1.1", "content-length: 3"))
        for count, piece in enumerate((b"x", b"y", b"z")):
            await asyncio.sleep(0.05)
            writer.write(piece)
            await until(lambda count=count: len(heard) > count)
        writer.close()
    assert [message["body"] for message in heard] == [b"x", b"y", b"z"]


@pytest.mark.parametrize("kind", ALL)
async def test_all_who_wait_for_a_body_hear_of_it(kind):
    async def app(scope, receive, send):
        heard = await asyncio.gather(receive(), receive())
        await sized(b"".join(message["body"] for message in heard))(scope, receive, send)

    async with served(kind, app) as port:
        late = request("POST / HTTP/1.1", "content-length: 3"), b"", b"xyz"
        assert (await answer_of(port, *late)).endswith(b"\r\n\r\nxyz")


@pytest.mark.parametrize("kind", ALL)
async def test_a_request_is_a_task_of_the_server_until_its_app_is_done(kind):
    state, go_on = ServerState(), asyncio.Event()
    seen = []

    async def app(scope, receive, send):
        await sized(b"a")(scope, receive, send)
        seen.append(len(state.tasks))
        await go_on.wait()

    async with served(kind, app, state=state) as port:
        assert (await answer_of(port, request())).endswith(b"a")
        assert len(state.tasks) == 1
        go_on.set()
        await until(lambda: not state.tasks)
    assert seen == [1]


@pytest.mark.parametrize("kind", ALL)
async def test_a_task_that_is_cancelled_before_it_begins_does_not_stay(kind):
    state, loop = ServerState(), asyncio.get_running_loop()
    begun, cancelled = [], []

    async def app(scope, receive, send):
        begun.append(scope)

    def cancelling(loop, coroutine, **options):
        task = asyncio.Task(coroutine, loop=loop, **options)
        if "run" in getattr(coroutine, "__name__", ""):
            task.cancel()
            cancelled.append(task)
        return task

    async with served(kind, app, state=state) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        loop.set_task_factory(cancelling)
        try:
            writer.write(request())
            await until(lambda: cancelled and cancelled[0].done())
        finally:
            loop.set_task_factory(None)
            writer.close()
        await until(lambda: not state.tasks)
    assert not begun


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin at once from Python 3.12 on")
@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("waits", [False, True])
async def test_a_task_that_begins_at_once_does_not_stay(waits, kind):
    state, loop = ServerState(), asyncio.get_running_loop()

    async def app(scope, receive, send):
        if waits:
            await asyncio.sleep(0.01)
        await sized(b"a")(scope, receive, send)

    async with served(kind, app, state=state) as port:
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            assert (await answer_of(port, request(last=False), request())).endswith(b"a")
        finally:
            loop.set_task_factory(None)
        await until(lambda: not state.tasks)
    assert state.total_requests == 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin at once from Python 3.12 on")
@pytest.mark.parametrize("kind", OURS)
async def test_tasks_that_begin_at_once_do_not_begin_inside_one_another(kind):
    loop, go_on, depths = asyncio.get_running_loop(), asyncio.Event(), []

    async def app(scope, receive, send):
        depths.append(len(traceback.extract_stack()))
        if len(depths) == 1:
            await go_on.wait()
        await sized(b"a")(scope, receive, send)

    async with served(kind, app) as port:
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            asking = asyncio.create_task(answer_of(port, request(last=False) * 50 + request()))
            await until(lambda: depths)
            await asyncio.sleep(0.05)
            go_on.set()
            answer = await asking
        finally:
            loop.set_task_factory(None)

    assert answer.count(b"HTTP/1.1 200 OK") == len(depths) == 51
    assert max(depths[2:]) - min(depths[2:]) < 30


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("apart", [False, True])
async def test_requests_of_one_connection_share_variables_unless_they_are_kept_apart(apart, kind):
    asked = ContextVar("asked", default=0)
    seen, both_sent = [], asyncio.Event()

    async def app(scope, receive, send):
        seen.append(asked.get())
        asked.set(len(seen))
        await both_sent.wait()
        await sized(b"a")(scope, receive, send)

    async with served(kind, app, reset_contextvars=apart) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(last=False) + request())
        await until(lambda: seen)
        both_sent.set()
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).count(b"HTTP/1.1 200") == 2
        writer.close()
    assert seen == [0, 0 if apart else 1]


# -- time and size of a head -------------------------------------------------------------------


async def trickle(port):
    """Send a head that never ends, and return what comes before the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(reader.read())
    writer.write(b"GET / HTTP/1.1\r\n")
    with suppress(ConnectionError):
        while not answer.done():
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.02)
    writer.close()
    try:
        return await answer
    except ConnectionError:  # what was sent meanwhile came too late
        return b""


@pytest.mark.parametrize("kind", OURS)
async def test_a_head_that_trickles_is_given_up(kind):
    async with served(kind, nothing, head_timeout=0.2) as port, asyncio.timeout(PATIENCE):
        assert await trickle(port) == b""


@pytest.mark.parametrize("kind", OURS)
async def test_a_connection_that_says_nothing_is_closed(kind):
    async with served(kind, nothing, head_timeout=0.2) as port:
        assert await answer_of(port) == b""


@pytest.mark.parametrize("kind", OURS)
async def test_a_second_head_that_never_ends_is_given_up(kind):
    async with served(kind, sized(b"a"), head_timeout=0.2) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(last=False))
        await reader.readuntil(b"\r\n\r\na")
        # From the first byte on this is no idle connection to uvicorn.
        writer.write(b"GET / HT")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("kind", OURS)
async def test_an_answer_takes_the_time_that_it_takes(kind):
    async def app(scope, receive, send):
        await asyncio.sleep(0.6)
        await sized(b"slow")(scope, receive, send)

    async with served(kind, app, head_timeout=0.1) as port:
        answer = await answer_of(port, request())

    assert answer.endswith(b"\r\n\r\nslow")


@pytest.mark.parametrize("kind", OURS)
async def test_connections_that_come_later_are_watched_too(kind):
    async with served(kind, sized(b"a"), head_timeout=0.1) as port:
        for _ in range(2):
            assert (await answer_of(port, request())).endswith(b"a")
            assert await answer_of(port, b"GET") == b""
            # Nobody is left to be watched meanwhile.
            await asyncio.sleep(0.1)


LONG = b"x-long: " + b"x" * 3000 + b"\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\n" + LONG + b"\r\n"],
        [b"GET / HTTP/1.1\r\n", *[b"x: y\r\n"] * 1000],
        [b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n"],
        [b"GET /", *[b"x" * 100] * 30],
    ],
    ids=["one piece", "many headers", "a long path", "an endless path"],
)
async def test_a_head_that_is_too_large_is_refused(pieces):
    async with served(with_httptools.HttpProtocol, nothing, max_head_size=2048) as port:
        answer = await answer_of(port, *pieces)

    # What the client still sends may make the system forget what it was sent.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


async def test_a_refusal_says_why():
    sent = b"GET / HTTP/1.1\r\n" + LONG + b"\r\n"

    async with served(with_httptools.HttpProtocol, nothing, max_head_size=2048) as port:
        answer = await answer_of(port, sent)

    assert answer.endswith(b"\r\n\r\nRequest Header Fields Too Large")


async def test_a_head_that_comes_with_others_has_a_size():
    sent = request(last=False) + b"GET / HTTP/1.1\r\n" + LONG + b"\r\n"

    async with served(with_httptools.HttpProtocol, sized(b"a"), max_head_size=2048) as port:
        answer = await answer_of(port, sent)

    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 OK") == 1


async def test_trailers_that_never_end_close_the_connection():
    start = request("POST / HTTP/1.1", "transfer-encoding: chunked", body=b"1\r\na\r\n0\r\n")
    gone = asyncio.Event()

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with served(with_httptools.HttpProtocol, app, max_head_size=2048) as port:
        assert await answer_of(port, start, *[b"x: y\r\n"] * 1000) == b""
        async with asyncio.timeout(PATIENCE):
            await gone.wait()


async def test_a_body_may_be_larger_than_a_head():
    size = 300_000
    sent = request("POST / HTTP/1.1", f"content-length: {size}", body=b"x" * size)
    chunked = request("POST / HTTP/1.1", "transfer-encoding: chunked", last=False)
    chunked += b"5\r\nhello\r\n" * 2000 + b"0\r\n\r\n"

    async with served(with_httptools.HttpProtocol, reading, max_head_size=2048) as port:
        answer = await answer_of(port, chunked, sent)

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"hello") == 2000
    assert answer.endswith(b"x" * size)


# -- a uvicorn that we do not know -------------------------------------------------------------


def test_another_uvicorn_serves_with_its_own_classes(monkeypatch, caplog):
    monkeypatch.setattr(uvicorn, "__version__", "0.99.1")
    monkeypatch.setattr("erlen.server.serving.log_config", lambda settings: None)

    config = make_config(nothing, Settings())

    assert (config.http, config.ws) == (protocols.parser_name(), "auto")
    assert caplog.messages == [
        "This Erlen does not know the insides of uvicorn 0.99.1. The server works, without"
        " head_timeout and max_head_size, and with two writes for a response."
    ]


def test_the_uvicorn_that_is_known_says_nothing(monkeypatch, caplog):
    monkeypatch.setattr("erlen.server.serving.log_config", lambda settings: None)

    config = make_config(nothing, Settings(head_timeout=7, max_head_size=5000))

    assert config.ws == "erlen.server.protocols:connect_websocket"
    assert (config.head_timeout, config.max_head_size) == (7, 5000)
    assert config.h11_max_incomplete_event_size == 5000
    assert caplog.messages == []
