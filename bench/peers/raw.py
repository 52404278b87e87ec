"""ASGI written by hand: what there is to reach. It looks at nothing that it need not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader

from bench.contents import (
    CHUNK,
    CHUNKS,
    DOCUMENT,
    GREETING,
    MISSING,
    PAGES,
    ROWS,
    TEAPOT,
    Teapot,
)

LACKS = {
    "upload": "a parser of its own would be a framework",
    "session": "a session of its own would be a framework",
    "static10k": "there is no floor: a server may well send files faster",
    "static1m": "there is no floor: a server may well send files faster",
}

View = Callable[[Any, Any, Any], Awaitable[None]]

TEXT = (b"content-type", b"text/plain; charset=utf-8")
HTML = (b"content-type", b"text/html; charset=utf-8")
JSON = (b"content-type", b"application/json")
LENGTHS = [(b"content-length", str(n).encode()) for n in range(2048)]

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
rows = Environment(loader=FileSystemLoader(PAGES), autoescape=True).get_template("rows.html")


async def answer(
    send: Any, body: bytes, kind: tuple[bytes, bytes] = TEXT, status: int = 200
) -> None:
    """Send both messages."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [kind, LENGTHS[len(body)]],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def body_of(receive: Any) -> bytes:
    """Read the body."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def index(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, GREETING.encode())


async def document(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, encode(DOCUMENT).encode(), JSON)


async def user(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"user %d" % int(scope["path"][6:]))


async def args(scope: Any, receive: Any, send: Any) -> None:
    headers = dict(scope["headers"])
    query = dict(parse_qsl(scope["query_string"].decode()))
    cookies = dict(part.split("=", 1) for part in headers[b"cookie"].decode().split("; "))
    words = query["name"], int(query["page"]), headers[b"x-token"].decode(), cookies["theme"]
    await answer(send, "{} {} {} {}".format(*words).encode())


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, encode(json.loads(await body_of(receive))).encode(), JSON)


async def form(scope: Any, receive: Any, send: Any) -> None:
    fields = dict(parse_qsl((await body_of(receive)).decode()))
    await answer(send, f"{fields['name']} from {fields['city']}".encode())


async def template(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, rows.render(title="Rows", rows=ROWS).encode(), HTML)


def greet() -> str:
    return GREETING


async def threaded(scope: Any, receive: Any, send: Any) -> None:
    text = await asyncio.get_running_loop().run_in_executor(None, greet)
    await answer(send, text.encode())


async def stream(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def teapot(scope: Any, receive: Any, send: Any) -> None:
    try:
        raise Teapot
    except Teapot:
        await answer(send, TEAPOT.encode(), status=418)


async def missing(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, MISSING.encode(), status=404)


async def sockets(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


VIEWS: dict[str, View] = {
    "/": index,
    "/json": document,
    "/args": args,
    "/echo": echo,
    "/form": form,
    "/template": template,
    "/def": threaded,
    "/stream": stream,
    "/teapot": teapot,
    "/socket": sockets,
}


def plain() -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        path = scope["path"]
        view = VIEWS.get(path)
        if view is None:
            view = user if path.startswith("/user/") else missing
        await view(scope, receive, send)

    return app


def hooked() -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        body = GREETING.encode()
        headers = [TEXT, LENGTHS[len(body)], (b"x-after", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def routes(count: int) -> Any:
    static = {f"/s{n}/page" for n in range(count // 2)}
    dynamic = {f"/d{n}" for n in range(count // 2)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        path = scope["path"]
        start, _, number = path.rpartition("/")
        if path in static:
            await answer(send, b"s")
        elif start in dynamic:
            await answer(send, b"%d" % int(number))
        else:
            await missing(scope, receive, send)

    return app
