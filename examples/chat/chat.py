"""A chat: whoever opens the page talks to everybody else who has it open."""

from __future__ import annotations

import asyncio
from typing import Any

from erlen import (
    Erlen,
    WebSocket,
    WebSocketDisconnect,
    abort,
    current_websocket,
    render_template,
    websocket,
)

app = Erlen(__name__, static_folder=None)

LONGEST_NAME = 20
LONGEST_MESSAGE = 500
PATIENCE = 1.0
"""Seconds that a message waits for somebody whose connection is slow."""

people: dict[WebSocket, str] = {}
"""Everybody who is here. Keep ``current_websocket()``: ``websocket`` is a different one in
each connection, so it cannot be kept."""


@app.get("/")
async def index():
    return render_template("chat.html")


@app.websocket("/chat")
async def chat():
    name = websocket.args.get("name", "").strip()
    if not 0 < len(name) <= LONGEST_NAME:
        abort(400, f"Say who you are: ?name= with at most {LONGEST_NAME} characters.")

    await websocket.accept()
    me = current_websocket()
    people[me] = name
    try:
        await tell_everybody("joined", name=name)
        async for message in websocket:
            await tell_everybody("says", name=name, text=str(message)[:LONGEST_MESSAGE])
    finally:
        del people[me]
        await tell_everybody("left", name=name)


async def tell_everybody(event: str, **details: Any) -> None:
    """Send an event, and who is here, to everybody at the same time."""
    news = {"event": event, "people": sorted(people.values()), **details}
    await asyncio.gather(*(tell(somebody, news) for somebody in people))


async def tell(somebody: WebSocket, news: dict[str, Any]) -> None:
    """Send *news*; who is gone, or too slow, misses it, and nobody else waits for them."""
    try:
        async with asyncio.timeout(PATIENCE):
            await somebody.send_json(news)
    except (WebSocketDisconnect, TimeoutError):
        pass
