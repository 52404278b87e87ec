"""Websockets and streams over real sockets: slow peers, lost peers, and how much waits for them.

Nothing here knows the server: what a kernel and a server keep for a peer that does not read is
bounded, or everything that is offered would be taken.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from erlen import (
    Erlen,
    WebSocketDisconnect,
    abort,
    broadcast,
    current_websocket,
    request,
    websocket,
)
from tests.serving import PATIENCE, served
from tests.waiting import until

OFFERED = 48 * 1024 * 1024
"""Bytes that are offered to whoever does not take them."""
KEPT = 24 * 1024 * 1024
"""More than the kernel and the server keep of these, and a lot less than all of them."""
BLOCK = b"x" * 64 * 1024


async def opened(host, path="/", *, upgrade=False, head=b""):
    """Open a connection whose kernel keeps little, send a request and return both ends."""
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    plug.setblocking(False)
    name, _, port = host.partition(":")
    await asyncio.get_running_loop().sock_connect(plug, (name, int(port)))
    reader, writer = await asyncio.open_connection(sock=plug, limit=64 * 1024)
    head = head or f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode()
    if upgrade:
        head += (
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
    writer.write(head + b"\r\n")
    return reader, writer


async def steady(count):
    """Wait until *count* no longer changes, and return it."""
    before = None
    async with asyncio.timeout(PATIENCE):
        while before != (before := count()):
            await asyncio.sleep(0.5)
    return before


class Offer:
    """Blocks of bytes, written to a peer as long as it takes them."""

    def __init__(self, writer, block):
        self.taken = 0
        self.task = asyncio.create_task(self.write(writer, block))

    async def write(self, writer, block):
        while self.taken < OFFERED:
            writer.write(block)
            await writer.drain()
            self.taken += len(block)

    def end(self):
        self.task.cancel()


def frame(opcode, payload, *, final=True):
    """Return a frame of a client, masked with zeros (RFC 6455, 5.2)."""
    first = bytes([(0x80 if final else 0) | opcode])
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    return first + length + b"\0\0\0\0" + payload


# -- backpressure --------------------------------------------------------------------------


async def test_a_view_that_sleeps_lets_a_flood_of_messages_wait_with_their_sender():
    app, awake = Erlen("sleeps"), asyncio.Event()
    got = []

    @app.websocket("/")
    async def view():
        await websocket.accept()
        await awake.wait()
        got.append(await websocket.receive())

    async with served(app) as host:
        reader, writer = await opened(host, upgrade=True)
        await reader.readuntil(b"\r\n\r\n")
        offer = Offer(writer, frame(1, b"x" * 94) * 640)

        assert await steady(lambda: offer.taken) < KEPT
        awake.set()
        await until(lambda: got == ["x" * 94], PATIENCE)
        offer.end()
        writer.close()


async def test_a_view_that_sends_waits_for_a_peer_that_does_not_read():
    app = Erlen("sends")
    sent = 0

    @app.websocket("/")
    async def view():
        nonlocal sent
        while sent < OFFERED:
            await websocket.send(BLOCK)
            sent += len(BLOCK)

    async with served(app) as host:
        _, writer = await opened(host, upgrade=True)

        assert 0 < await steady(lambda: sent) < KEPT
        writer.transport.abort()


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_a_stream_waits_for_a_client_that_does_not_read(colour):
    app = Erlen("streams")
    sent = 0
    closed = asyncio.Event()

    if colour == "def":

        @app.get("/")
        def stream():
            nonlocal sent
            try:
                while sent < OFFERED:
                    yield BLOCK
                    sent += len(BLOCK)
            finally:
                here.call_soon_threadsafe(closed.set)
    else:

        @app.get("/")
        async def stream():
            nonlocal sent
            try:
                while sent < OFFERED:
                    yield BLOCK
                    sent += len(BLOCK)
            finally:
                closed.set()

    here = asyncio.get_running_loop()
    async with served(app) as host:
        _, writer = await opened(host)

        assert 0 < await steady(lambda: sent) < KEPT
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE):
            await closed.wait()


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_a_body_that_nobody_reads_waits_with_its_sender(colour):
    app, awake = Erlen("uploads"), asyncio.Event()
    here = asyncio.get_running_loop()
    lengths = []

    if colour == "def":

        @app.post("/", stream_body=True, max_content_length=None)
        def upload():
            asyncio.run_coroutine_threadsafe(awake.wait(), here).result()
            lengths.append(len(request.stream.read(10)))
            return "read"
    else:

        @app.post("/", max_content_length=None)
        async def upload():
            await awake.wait()
            async for chunk in request.stream:
                lengths.append(len(chunk[:10]))
                break
            return "read"

    async with served(app) as host:
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {OFFERED}\r\n".encode()
        _, writer = await opened(host, head=head)
        offer = Offer(writer, BLOCK)

        assert await steady(lambda: offer.taken) < KEPT
        awake.set()
        await until(lambda: lengths == [10], PATIENCE)
        offer.end()
        writer.transport.abort()


async def test_a_broadcast_does_not_wait_for_a_peer_that_does_not_read():
    app = Erlen("broadcasts")
    room = set()

    @app.websocket("/")
    async def view():
        await websocket.accept()
        room.add(current_websocket())
        async for _ in websocket:
            pass

    async with served(app) as host:
        _, deaf = await opened(host, upgrade=True)
        async with connect(f"ws://{host}/", max_size=None) as other:
            await until(lambda: len(room) == 2, PATIENCE)
            missed = 0
            for _ in range(OFFERED // len(BLOCK)):
                missed += len(await broadcast(room, BLOCK, timeout=2))
                assert len(await asyncio.wait_for(other.recv(), PATIENCE)) == len(BLOCK)
                if missed > 3:
                    break
            assert missed > 3
            assert not any(peer.closed for peer in room)
        deaf.transport.abort()


# -- ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_a_stream_is_closed_when_its_client_leaves(colour):
    app = Erlen("leaves")
    here, log = asyncio.get_running_loop(), asyncio.Queue()

    def note(text):
        here.call_soon_threadsafe(log.put_nowait, text)

    if colour == "def":

        @app.get("/")
        def stream():
            try:
                while True:
                    yield "x"
            finally:
                note("closed")
    else:

        @app.get("/")
        async def stream():
            try:
                yield "x"
                await asyncio.Event().wait()
            finally:
                note("closed")

    app.teardown_request(lambda error: note("teardown"))

    async with served(app) as host:
        reader, writer = await opened(host)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE):
            assert [await log.get(), await log.get()] == ["closed", "teardown"]
    assert log.empty()


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_an_error_in_the_middle_of_a_stream_closes_the_connection(colour, caplog):
    app = Erlen("breaks")

    if colour == "def":

        @app.get("/")
        def stream():
            yield "x"
            raise LookupError("in the middle")
    else:

        @app.get("/")
        async def stream():
            yield "x"
            raise LookupError("in the middle")

    async with served(app) as host, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            await client.get(f"http://{host}/", timeout=PATIENCE)

    assert caplog.text.count("LookupError: in the middle") == 1


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_an_error_before_the_first_piece_of_a_stream_is_a_page(colour):
    app = Erlen("refuses")

    if colour == "def":

        @app.get("/")
        def stream():
            abort(409, "Not now")
            yield "x"
    else:

        @app.get("/")
        async def stream():
            abort(409, "Not now")
            yield "x"

    async with served(app) as host, httpx.AsyncClient() as client:
        answer = await client.get(f"http://{host}/", timeout=PATIENCE)

    assert (answer.status_code, "Not now" in answer.text) == (409, True)


@pytest.mark.parametrize("debug", [False, True])
async def test_an_error_of_a_view_closes_with_1011_and_is_logged_once(debug, caplog):
    app = Erlen("fails")
    app.debug = debug

    @app.websocket("/")
    async def view():
        await websocket.accept()
        raise LookupError("lost")

    async with served(app) as host, connect(f"ws://{host}/") as peer:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(peer.recv(), PATIENCE)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert caplog.text.count("LookupError: lost") == 1


async def test_a_peer_is_refused_with_the_response_of_the_view():
    app = Erlen("refuses")

    @app.websocket("/")
    async def view():
        return {"why": "members only"}, 401, {"WWW-Authenticate": "Basic"}

    async with served(app) as host:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://{host}/"):
                pass

    answer = refused.value.response
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Basic")
    assert json.loads(answer.body or b"") == {"why": "members only"}


@pytest.mark.parametrize(
    ("leave", "codes"),
    [
        pytest.param(lambda peer: peer.close(4001, "bye"), {4001}, id="with a code"),
        pytest.param(lambda peer: peer.close(), {1000}, id="normally"),
        pytest.param(lambda peer: peer.transport.abort(), {1005, 1006}, id="without a word"),
    ],
)
async def test_a_view_sees_how_a_peer_left(leave, codes, caplog):
    app, seen = Erlen("leaves"), []

    @app.websocket("/")
    async def view():
        with pytest.raises(WebSocketDisconnect) as raised:
            await websocket.receive()
        seen.append((raised.value.code, websocket.close_code))

    async with served(app) as host:
        async with connect(f"ws://{host}/") as peer:
            left = leave(peer)
            if left is not None:
                await left
            await until(lambda: seen, PATIENCE)

    (code, same) = seen[0]
    assert code in codes
    assert same == code
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_a_view_accepts_with_reaches_the_peer():
    app = Erlen("accepts")

    @app.websocket("/")
    async def view():
        await websocket.accept({"X-Room": "7"}, subprotocol="b")

    async with served(app) as host:
        async with connect(f"ws://{host}/", subprotocols=["a", "b"]) as peer:
            assert peer.subprotocol == "b"
            assert peer.response is not None
            assert peer.response.headers["X-Room"] == "7"


# -- frames --------------------------------------------------------------------------------


async def bare_echo(scope, receive, send):
    """Echo as the server alone does it: what differs from this is Erlen's doing."""
    if scope["type"] == "lifespan":
        return await echo_app(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


echo_app = Erlen("echo")


@echo_app.websocket("/")
async def echo():
    async for message in websocket:
        await websocket.send(message)


TEXT, BINARY, MORE, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
LARGEST = 80_000
GOODBYE = frame(CLOSE, struct.pack("!H", 1000))
FRAMES = {
    "text": frame(TEXT, "äöü€𝄞".encode()) + GOODBYE,
    "empty": frame(TEXT, b"") + frame(BINARY, b"") + GOODBYE,
    "binary": frame(BINARY, os.urandom(70_000)) + GOODBYE,
    "fragments": frame(TEXT, b"a\xc3", final=False) + frame(MORE, b"\xa4b") + GOODBYE,
    "a ping between fragments": (
        frame(BINARY, b"a", final=False) + frame(PING, b"?") + frame(MORE, b"b") + GOODBYE
    ),
    "ping": frame(PING, b"12345") + GOODBYE,
    "a pong nobody asked for": frame(PONG, b"!") + frame(TEXT, b"x") + GOODBYE,
    "text that is no UTF-8": frame(TEXT, b"\xed\xa0\x80"),
    "fragments that are no UTF-8": frame(TEXT, b"ok", final=False) + frame(MORE, b"\xff"),
    "too large": frame(BINARY, b"x" * (LARGEST + 1))[:20],
    "too large together": frame(BINARY, b"x" * LARGEST, final=False) + frame(MORE, b"x"),
    "an unknown opcode": frame(3, b"x"),
    "a fragment of nothing": frame(MORE, b"x"),
    "a second beginning": frame(TEXT, b"a", final=False) + frame(TEXT, b"b"),
    "a long ping": frame(PING, b"x" * 126),
    "a ping in fragments": frame(PING, b"x", final=False),
    "reserved bits": bytes([0xC1 | 0x30]) + frame(TEXT, b"x")[1:],
    "no mask": b"\x81\x01x",
    "close without a code": frame(CLOSE, b""),
    "close with one byte": frame(CLOSE, b"x"),
    "close with 1005": frame(CLOSE, struct.pack("!H", 1005)),
    "close with 4999": frame(CLOSE, struct.pack("!H", 4999) + b"bye"),
    "close with a reason that is no UTF-8": frame(CLOSE, struct.pack("!H", 1000) + b"\xff"),
}


async def answer_to(frames, app):
    """Send *frames* to *app*; return all that comes back, up to the end of the connection."""
    async with served(app, ws_max_size=LARGEST) as host:
        reader, writer = await opened(host, upgrade=True)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frames)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read(1024 * 1024)
            while more := await reader.read(1024 * 1024):
                answer += more
        writer.close()
    return answer


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES)
async def test_frames_are_answered_as_the_server_alone_answers_them(frames):
    answer = await answer_to(frames, echo_app)

    assert answer == await answer_to(frames, bare_echo)
    assert b"\x88" in answer[-130:], "it was not closed with a frame"


async def test_a_broken_frame_is_the_mistake_of_its_peer_while_a_task_goes_on_sending(caplog):
    app, codes = Erlen("feeds"), []

    @app.websocket("/")
    async def feed():
        await websocket.accept()

        async def write():
            while True:
                await websocket.send("x" * 100)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(write())
            async for _ in websocket:
                pass
            codes.append(websocket.close_code)
            writer.cancel()

    async with served(app) as host:
        for _ in range(10):
            reader, writer = await opened(host, upgrade=True)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(FRAMES["text that is no UTF-8"])
            async with asyncio.timeout(PATIENCE):
                while await reader.read(65536):
                    pass
            writer.close()
        await until(lambda: len(codes) == 10, PATIENCE)

    assert set(codes) == {1007}
    assert [record for record in caplog.records if record.name == app.name] == []
