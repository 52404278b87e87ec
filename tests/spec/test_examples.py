"""The first example under the real server: what the README promises, over a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

ROOT = Path(__file__).parents[2]
CLIENTS = 100
SECONDS_TO_START = 20
SECONDS_TO_STOP = 3


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent there")


@pytest.fixture
def hello(tmp_path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``examples/hello`` as the README says; yields the process and its ``host:port``."""
    host = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "erlen", "--app", "examples/hello", "run"]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", host.partition(":")[2]],
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for_server(process, host, tmp_path / "output")
            yield process, host
        finally:
            process.kill()
            process.wait(10)


async def test_hello_answers_over_a_socket_and_stops_on_ctrl_c(hello, tmp_path):
    process, host = hello

    await the_page_is_there(host)
    await json_comes_back(host)
    await the_websocket_echoes(host)
    await many_clients_are_served_at_once(host)
    seconds = stop(process)

    assert seconds < SECONDS_TO_STOP
    assert process.returncode in (0, -signal.SIGINT, 128 + signal.SIGINT)
    assert "Traceback" not in (tmp_path / "output").read_text()


async def test_hello_stops_while_a_websocket_is_open(hello, tmp_path):
    process, host = hello
    async with connect(f"ws://{host}/echo") as websocket:
        await websocket.send("still here")
        await websocket.recv()

        seconds = await asyncio.to_thread(stop, process)

    assert seconds < SECONDS_TO_STOP
    assert "Traceback" not in (tmp_path / "output").read_text()


async def the_page_is_there(host: str) -> None:
    async with httpx.AsyncClient() as client:
        page = await client.get(f"http://{host}/")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>Hello, Erlen</h1>" in page.text


async def json_comes_back(host: str) -> None:
    async with httpx.AsyncClient() as client:
        for path in ("/json", "/json/def"):
            answer = await client.post(f"http://{host}{path}", json={"text": "hello"})

            assert answer.status_code == 200
            assert answer.json()["received"] == {"text": "hello"}


async def the_websocket_echoes(host: str) -> None:
    async with connect(f"ws://{host}/echo") as websocket:
        await websocket.send("hello")
        await websocket.send(b"\x00\xff")

        assert await websocket.recv() == "hello"
        assert await websocket.recv() == b"\x00\xff"


async def many_clients_are_served_at_once(host: str) -> None:
    everybody = asyncio.Barrier(CLIENTS)

    async def one(number: int) -> int:
        path = "/json/def" if number % 2 else "/json"
        # Without certificates, which take longer to load than all of this.
        async with httpx.AsyncClient(timeout=20, verify=False) as client:
            await client.get(f"http://{host}/")  # the connection is open
            await everybody.wait()
            answer = await client.post(f"http://{host}{path}", json=number)
        return answer.json()["received"]

    async with asyncio.timeout(40):
        answers = await asyncio.gather(*map(one, range(CLIENTS)))

    assert answers == list(range(CLIENTS))


def stop(process: subprocess.Popen[bytes]) -> float:
    """Press Ctrl+C; returns the seconds that it took."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    try:
        process.wait(SECONDS_TO_STOP * 2)
    except subprocess.TimeoutExpired:
        return float("inf")
    return time.monotonic() - began


def wait_for_server(process: subprocess.Popen[bytes], host: str, output: Path) -> None:
    name, _, port = host.partition(":")
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((name, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"The server did not start:\n{output.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
