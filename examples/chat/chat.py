"""A chat with rooms: whoever enters a room talks to everybody else who is there."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from erlen import (
    Erlen,
    WebSocket,
    abort,
    broadcast,
    current_websocket,
    json,
    render_template,
    websocket,
)

app = Erlen(__name__, static_folder=None)

LONGEST_NAME = 20
LONGEST_MESSAGE = 500
PATIENCE = 1.0
"""Seconds that a message waits for somebody whose connection is slow."""

rooms: defaultdict[str, dict[WebSocket, str]] = defaultdict(dict)
"""Who is in which room. Keep ``current_websocket()``: ``websocket`` is a different one in
each connection, so it cannot be kept."""


@app.get("/")
async def index():
    return render_template("chat.html")


@app.websocket("/rooms/<path:room>")
async def chat(room: str):
    name = websocket.args.get("name", "").strip()
    if not 0 < len(name) <= LONGEST_NAME or len(room) > LONGEST_NAME:
        abort(400, f"Say who you are: ?name= with at most {LONGEST_NAME} characters.")

    await websocket.accept()
    me = current_websocket()
    rooms[room][me] = name
    try:
        await tell(room, "joined", name=name)
        async for message in websocket:
            await tell(room, "says", name=name, text=str(message)[:LONGEST_MESSAGE])
    finally:
        del rooms[room][me]
        await tell(room, "left", name=name)
        if not rooms[room]:
            del rooms[room]


async def tell(room: str, event: str, **details: Any) -> None:
    """Send an event, and who is there, to everybody in *room* at the same time.

    Who is too slow misses it, and nobody else waits for them.
    """
    people = rooms[room]
    news = {"event": event, "people": sorted(people.values()), **details}
    await broadcast(people, json.dumps(news), timeout=PATIENCE)
