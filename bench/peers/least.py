"""The least of what Erlen promises, by hand and for four rules.

What it keeps, it keeps in one function, which knows its only rules. It has no hooks, signals,
sessions or error pages, and no other kind of answer. Its views parse as those of ``raw`` do, so
what lies between the two is what every request gets here.
"""

from __future__ import annotations

import re
from asyncio import Task, current_task
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl

from bench.contents import DOCUMENT, GREETING
from bench.peers.raw import HTML, JSON, LENGTHS, encode
from bench.workloads import WORKLOADS

ANSWERED = ("plaintext", "json", "args")
LACKS = {name: "it has a rule for few" for name in WORKLOADS if name not in ANSWERED}

HOST = re.compile(rb"[a-z0-9.-]+(?::[0-9]{1,5})?")


class Context:
    """What is true while one request is served."""

    __slots__ = (
        *("app", "closed", "connection", "error", "params", "receive", "route", "scope", "send"),
        *("task", "untidy"),
    )

    app: Any
    scope: dict[str, Any]
    receive: Any
    send: Any
    params: dict[str, Any]
    route: Any
    error: Exception | None
    connection: Any
    closed: bool
    untidy: bool
    task: Task[Any] | None


class Gone(Exception):
    """The websocket is closed."""


class Link:
    """A websocket that knows whether it is closed, and gives each message to one receiver."""

    __slots__ = ("_receive", "_send", "closed", "taken")

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self.closed = self.taken = False

    async def accept(self) -> None:
        """Finish the handshake."""
        await self._receive()
        await self._send({"type": "websocket.accept"})

    async def receive(self) -> str | bytes:
        """Return the next message."""
        if self.closed:
            raise Gone
        if self.taken:
            raise RuntimeError("somebody else receives")
        self.taken = True
        try:
            message = await self._receive()
        finally:
            self.taken = False
        if message["type"] == "websocket.disconnect":
            self.closed = True
            raise Gone
        text: str | None = message.get("text")
        return text if text is not None else message["bytes"]

    async def send(self, data: str | bytes) -> None:
        """Send a message."""
        if self.closed:
            raise Gone
        try:
            kind = "text" if data.__class__ is str else "bytes"
            await self._send({"type": "websocket.send", kind: data})
        except OSError:
            self.closed = True
            raise Gone from None


current: ContextVar[Any] = ContextVar("current", default=None)
served: set[Context] = set()
"""What a server that stops would wait for."""
good_hosts: set[bytes] = set()


async def index() -> str:
    """Answer as a view does."""
    return GREETING


async def document() -> dict[str, Any]:
    """Answer with JSON."""
    return DOCUMENT


async def args() -> str:
    """Look at the request."""
    scope = current.get().scope
    headers = dict(scope["headers"])
    query = dict(parse_qsl(scope["query_string"].decode()))
    cookies = dict(part.split("=", 1) for part in headers[b"cookie"].decode().split("; "))
    words = query["name"], int(query["page"]), headers[b"x-token"].decode(), cookies["theme"]
    return "{} {} {} {}".format(*words)


async def echo() -> None:
    """Send back what comes, until nothing does."""
    link = current.get().connection
    await link.accept()
    try:
        while True:
            await link.send(await link.receive())
    except Gone:
        return


RULES = {
    "/": {"GET": index, "HEAD": index},
    "/json": {"GET": document, "HEAD": document},
    "/args": {"GET": args, "HEAD": args},
    "/socket": {"WEBSOCKET": echo},
}


def plain() -> Any:
    """Make the app."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        view = RULES[scope["path"]][method]
        host = None
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None or value not in good_hosts:
                    look_at(value)
                host = value
        params: dict[str, Any] = {}
        scope["app"], scope["router"], scope["route"] = app, RULES, view
        scope["endpoint"], scope["path_params"] = view.__name__, params
        context = Context()
        context.app, context.scope, context.receive, context.send = app, scope, receive, send
        context.params, context.route, context.error = params, view, None
        context.connection, context.closed, context.untidy = None, False, False
        context.task = current_task()
        served.add(context)
        token = current.set(context)
        try:
            if method == "WEBSOCKET":
                context.connection = Link(receive, send)
                await view()
                return
            value = await (view(**params) if params else view())
            if value.__class__ is str:
                kind, body = HTML, value.encode()
            else:
                kind, body = JSON, encode(value).encode()
            length = LENGTHS[len(body)]
            if method == "HEAD":
                body = b""
            headers = [kind, length]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            if context.untidy:
                context.connection.close()
            context.closed = True
            served.discard(context)
            current.reset(token)

    return app


def look_at(host: bytes) -> None:
    """Refuse what is no host; remember one that is."""
    if HOST.fullmatch(host) is None:
        raise ValueError(f"{host!r} is no host")
    good_hosts.add(host)
