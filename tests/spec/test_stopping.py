"""Processes that are told to stop while everything is open, and clients that leave them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

PATIENCE = 40.0
"""Seconds after which something that should happen will not; machines may be busy."""
GRACE = 0.6

SOURCE = f"""
    import asyncio, sys, time
    from erlen import Erlen, EventStream, request, websocket

    app = Erlen(__name__)
    app.config["SHUTDOWN_GRACE"] = {GRACE}

    def say(*words):
        sys.stdout.write(" ".join(map(str, words)) + "\\n")
        sys.stdout.flush()

    async def for_ever(name):
        say(name, "begun")
        try:
            await asyncio.Event().wait()
        finally:
            say(name, "closed")

    async def pieces(name):
        yield "one"
        await for_ever(name)

    @app.get("/events")
    async def events():
        return EventStream(pieces("events"))

    @app.get("/stream")
    async def stream():
        return pieces("stream")

    @app.get("/flood")
    async def flood():
        async def more():
            try:
                while True:
                    yield "x" * 100_000
            finally:
                say("flood closed")
        say("flood begun")
        return more()

    @app.get("/poll")
    async def poll():
        await for_ever("poll")

    @app.get("/def-poll")
    def def_poll():
        say("def-poll begun")
        while not app.in_flight.draining:
            time.sleep(0.01)
        time.sleep({GRACE} + 0.4)
        say("def-poll returned", request.path)
        return "late"

    @app.get("/quick")
    async def quick():
        say("quick begun")
        while not app.in_flight.draining:
            await asyncio.sleep(0.01)
        return "quick"

    @app.websocket("/ws")
    async def ws():
        await websocket.accept()
        await for_ever("ws")

    async def work():
        say("task begun")
        while not app.in_flight.draining:
            await asyncio.sleep(0.01)
        await asyncio.sleep({GRACE} + 0.2)
        say("task done")

    @app.get("/task")
    async def task():
        app.add_background_task(work)
        return "task"

    @app.teardown_request
    async def torn_down(error):
        say("torn down", request.path)

    @app.after_serving
    async def down():
        say("down at", time.monotonic())
"""


class Process:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *command: str) -> None:
        (folder / "shop.py").write_text(textwrap.dedent(SOURCE))
        environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.text = ""
        self.popen = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.text += line.decode()

    def until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE
        while (match := re.search(pattern, self.text)) is None:
            if time.monotonic() > deadline or self.popen.poll() is not None:
                pytest.fail(f"{pattern!r} was not written, but:\n{self.text}")
            time.sleep(0.01)
        return match

    @property
    def port(self) -> int:
        return int(self.until(r"http://127\.0\.0\.1:(\d+)")[1])

    def ask(self, path: str) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return client

    def end(self) -> int:
        code = self.popen.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.popen.stdout is not None:
            self.popen.stdout.close()
        return code


def rest_of(client: socket.socket) -> bytes:
    with client:
        answer = b""
        try:
            while piece := client.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    begun: list[Process] = []

    def start(*command: str) -> Process:
        begun.append(Process(tmp_path, *command))
        return begun[-1]

    yield start
    for process in begun:
        process.popen.kill()
        process.end()


UVICORN = ("uvicorn", "shop:app", "--port", "0")
ERLEN = ("erlen", "--app", "shop", "run", "--port", "0")
WORKS = ["events", "stream", "poll", "def-poll", "quick", "task"]


@pytest.mark.parametrize(
    ("command", "number"),
    [
        pytest.param((*UVICORN, "--loop", "asyncio"), signal.SIGTERM, id="uvicorn-asyncio-TERM"),
        pytest.param((*UVICORN, "--http", "h11"), signal.SIGINT, id="uvicorn-h11-INT"),
        pytest.param((*UVICORN, "--loop", "uvloop"), signal.SIGINT, id="uvicorn-uvloop-INT"),
        pytest.param((*UVICORN, "--loop", "uvloop"), signal.SIGTERM, id="uvicorn-uvloop-TERM"),
        pytest.param(ERLEN, signal.SIGINT, id="erlen-INT"),
        pytest.param(ERLEN, signal.SIGTERM, id="erlen-TERM"),
    ],
)
def test_a_process_that_is_told_to_stop_ends_on_time_and_loses_nothing(serve, command, number):
    if "uvloop" in command:
        pytest.importorskip("uvloop")
    process = serve(*command)
    clients = {name: process.ask(f"/{name}") for name in WORKS}
    with connect(f"ws://127.0.0.1:{process.port}/ws") as ws:
        for name in (*WORKS, "ws"):
            process.until(f"{name} begun")

        told = time.monotonic()
        process.popen.send_signal(number)
        answers = {name: rest_of(client) for name, client in clients.items()}
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(PATIENCE)
        code = process.end()

    assert code in ({0} if command is ERLEN else {-number, 0, 1, 130})
    assert closed.value.rcvd.code == 1012
    assert answers["events"].endswith(b"\r\n0\r\n\r\n")  # whole, as it may end anywhere
    assert b"\r\none\r\n" in answers["stream"]
    assert not answers["stream"].endswith(b"\r\n0\r\n\r\n")  # not taken for a whole one
    for name in ("poll", "def-poll"):
        head = answers[name].lower()
        assert head.startswith(b"http/1.1 503 ")
        assert b"\r\nconnection: close\r\n" in head
        assert b"\r\nretry-after: 1\r\n" in head
    assert answers["quick"].startswith(b"HTTP/1.1 200 ")
    assert answers["quick"].endswith(b"quick")
    assert answers["task"].endswith(b"task")
    text = process.text
    assert "Traceback" not in text
    for name in WORKS:
        assert text.count(f"torn down /{name}\n") == 1, text
    down = re.search(r"down at ([\d.]+)", text)
    assert down is not None, text
    for line in ("events closed", "stream closed", "poll closed", "ws closed", "task done"):
        assert text.index(line) < down.start(), text
    assert "def-poll returned /def-poll" in text
    assert GRACE <= float(down[1]) - told < GRACE + 5


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(ERLEN, id="erlen"),
        pytest.param((*UVICORN, "--timeout-graceful-shutdown", "2"), id="uvicorn"),
    ],
)
def test_a_client_that_takes_nothing_does_not_keep_the_process(serve, command):
    process = serve(*command)
    with process.ask("/flood"):
        process.until("flood begun")

        process.popen.send_signal(signal.SIGTERM)
        process.end()

    assert process.text.count("torn down /flood\n") == 1
    assert process.text.index("flood closed") < process.text.index("down at")
    assert "Traceback" not in process.text


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_a_view_and_a_stream_end_with_their_clients_and_nothing_is_logged(serve, loop, parser):
    for name in {loop, parser} - {"asyncio"}:
        pytest.importorskip(name)
    process = serve(*UVICORN, "--loop", loop, "--http", parser)

    for name in ("poll", "events", "stream"):
        client = process.ask(f"/{name}")
        process.until(f"{name} begun")
        client.close()
        process.until(f"{name} closed")
        process.until(f"torn down /{name}")
    with process.ask("/task") as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")

    assert "ERROR" not in process.text
    assert "Traceback" not in process.text
