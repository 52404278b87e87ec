"""python-socketio: around an Erlen app, and mounted in one; with a real client over a socket."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

pytest.importorskip("socketio")

import socketio

from erlen import current_app
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import address_of


def chat(app):
    """A server whose events answer with what the Erlen app around them knows."""
    server = socketio.AsyncServer(async_mode="asgi")

    @server.event
    async def shout(sid, text):
        async with app.app_context():
            await server.emit("shouted", f"{text.upper()} in {current_app.name}", to=sid)
        return len(text)

    return server


async def talk(url, path, transports):
    """Connect, send an event, and return what was said and what was acknowledged."""
    client = socketio.AsyncClient()
    said = asyncio.get_running_loop().create_future()
    client.on("shouted", said.set_result)
    await client.connect(url, socketio_path=path, transports=transports)
    try:
        async with asyncio.timeout(10):
            length = await client.call("shout", "hello")
            return await said, length
    finally:
        await client.disconnect()


TRANSPORTS = [["websocket"], ["polling", "websocket"]]


@pytest.mark.parametrize("transports", TRANSPORTS, ids=["websocket", "upgraded"])
async def test_socketio_around_an_app(transports):
    app = furnished_app("around")
    log = []
    app.before_serving(lambda: log.append("up"))
    app.after_serving(lambda: log.append("down"))
    served = socketio.ASGIApp(chat(app), other_asgi_app=app)

    async with address_of(served) as address:
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            await assert_all_works(client)
        answer = await talk(f"http://{address}", "socket.io", transports)

    assert answer == ("HELLO in around", 5)
    assert log == ["up", "down"]


@pytest.mark.parametrize("transports", TRANSPORTS, ids=["websocket", "upgraded"])
async def test_socketio_mounted_in_an_app(transports):
    app = furnished_app("inside")
    app.mount("/chat", socketio.ASGIApp(chat(app), socketio_path=None))

    async with address_of(app) as address:
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            await assert_all_works(client)
        answer = await talk(f"http://{address}", "chat", transports)

    assert answer == ("HELLO in inside", 5)


async def test_a_client_that_only_polls():
    app = furnished_app("polled")
    app.mount("/chat", socketio.ASGIApp(chat(app), socketio_path=None))

    async with (
        address_of(app) as address,
        httpx.AsyncClient(base_url=f"http://{address}/chat/", params={"EIO": 4}) as client,
    ):
        client.params = client.params.set("transport", "polling")
        opened = (await client.get("")).text
        client.params = client.params.set("sid", json.loads(opened[1:])["sid"])
        entered = await client.post("", content="40")
        await client.get("")
        await client.post("", content='42["shout","hello"]')
        said = await client.get("")
        await client.post("", content="41")

    assert entered.text == "OK"
    assert said.text == '42["shouted","HELLO in polled"]'
    assert said.headers["x-after"] == "/chat/ None"
