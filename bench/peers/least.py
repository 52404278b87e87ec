"""The least of what Erlen promises, by hand and for four rules.

What it keeps, it keeps in one function, which knows its only rules, and in the two objects that a
view sees: a request whose values are looked for when they are asked for, with all that were
sent of each, and a websocket for any number of tasks. It has no hooks, signals, sessions or error
pages, no other kind of answer, and no other limit than that on the number of values.
"""

from __future__ import annotations

import re
from asyncio import Future, Task, current_task, get_running_loop
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from operator import attrgetter
from typing import Any, cast
from urllib.parse import parse_qsl

from bench.contents import DOCUMENT, GREETING
from bench.peers.raw import HTML, JSON, LENGTHS, encode
from bench.workloads import WORKLOADS

ANSWERED = ("plaintext", "json", "args")
LACKS = {name: "it has a rule for few" for name in WORKLOADS if name not in ANSWERED}

MOST_VALUES = 1000

HOST = re.compile(rb"[a-z0-9.-]+(?::[0-9]{1,5})?")


class Missing(KeyError):
    """The client did not send it: the answer is a 400."""


class Values:
    """What was sent, by name: the first counts, and none is lost."""

    __slots__ = ("lists",)

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.lists: dict[str, list[str]] = {}
        for name, value in pairs:
            if name in self.lists:
                self.lists[name].append(value)
            else:
                self.lists[name] = [value]

    def __getitem__(self, name: str) -> str:
        found = self.lists.get(name)
        if found is None:
            raise Missing(name)
        return found[0]

    def get(self, name: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:
        """Return the first value, converted; *default* if there is none that can be."""
        found = self.lists.get(name)
        if found is None:
            return default
        if type is None:
            return found[0]
        try:
            return type(found[0])
        except ValueError:
            return default


class Headers:
    """What stands in the head, by names in any case."""

    __slots__ = ("raw",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw

    def __getitem__(self, name: str) -> str:
        wanted = name.lower().encode()
        for each, value in self.raw:
            if each == wanted:
                return value.decode("latin-1")
        raise Missing(name)


class Request:
    """A request that looks for what it is asked for, once."""

    __slots__ = ("_args", "_cookies", "_headers", "_scope", "closed")

    def __init__(self, scope: dict[str, Any]) -> None:
        self._scope = scope
        self._args = self._cookies = self._headers = None
        self.closed = False

    @property
    def headers(self) -> Any:
        """What stands in the head."""
        if self._headers is None:
            self._headers = Headers(self._scope["headers"])
        return self._headers

    @property
    def args(self) -> Any:
        """What stands in the query."""
        if self._args is None:
            text = self._scope["query_string"].decode("latin-1")
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_VALUES)
            self._args = Values(pairs)
        return self._args

    @property
    def cookies(self) -> Any:
        """What the browser remembers."""
        if self._cookies is None:
            texts = [value for name, value in self._scope["headers"] if name == b"cookie"]
            parts = b"; ".join(texts).decode("latin-1").split(";")
            pairs = [part.strip().partition("=") for part in parts]
            self._cookies = Values((name, value.strip('"')) for name, _, value in pairs)
        return self._cookies

    def close(self) -> None:
        """Show nothing to who uses this later."""
        self.closed = True


class Gone(Exception):
    """The websocket is closed."""


class Link:
    """A websocket that knows whether it is closed, and gives each message to one receiver."""

    __slots__ = ("_receive", "_send", "accepted", "closed", "taken", "timeout", "waiting")

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self.accepted = self.closed = self.taken = False
        self.timeout: float | None = None
        self.waiting: deque[Future[None]] = deque()

    async def accept(self) -> None:
        """Finish the handshake."""
        await self._receive()
        await self._send({"type": "websocket.accept"})
        self.accepted = True

    def __aiter__(self) -> Link:
        return self

    async def __anext__(self) -> str | bytes:
        if not self.accepted:
            await self.accept()
        if self.taken:
            turn = get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        self.taken = True
        try:
            if self.closed:
                raise StopAsyncIteration
            message = await self._receive()
        finally:
            if self.waiting:
                self.waiting.popleft().set_result(None)
            else:
                self.taken = False
        text: str | None = message.get("text")
        if text is None:
            if message["type"] == "websocket.disconnect":
                self.closed = True
                raise StopAsyncIteration
            return bytes(message["bytes"])
        return text

    async def send(self, data: str | bytes) -> None:
        """Send a message."""
        if not self.accepted:
            await self.accept()
        if self.closed:
            raise Gone
        try:
            kind = "text" if data.__class__ is str else "bytes"
            await self._send({"type": "websocket.send", kind: data})
        except OSError:
            self.closed = True
            raise Gone from None

    def close(self) -> None:
        """Refuse who uses this later."""
        self.closed = True


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

    @property
    def request(self) -> Any:
        """The request, or the websocket."""
        if self.connection is None:
            self.connection = Request(self.scope)
        return self.connection


current: ContextVar[Any] = ContextVar("current", default=None)
served: set[Context] = set()
"""What a server that stops would wait for."""
good_hosts: set[bytes] = set()


class Name:
    """Means what is served where it is used, and finds it without a call in Python."""

    context = property(cast(Any, current.get))
    args, cookies, headers, send = (
        property(attrgetter(f"context.request.{name}"))
        for name in ("args", "cookies", "headers", "send")
    )

    def __aiter__(self) -> Any:
        return current.get().request


request: Any = Name()
websocket: Any = Name()


async def index() -> str:
    """Answer as a view does."""
    return GREETING


async def document() -> dict[str, Any]:
    """Answer with JSON."""
    return DOCUMENT


async def args() -> str:
    """Look at the request."""
    name, page = request.args["name"], request.args.get("page", type=int)
    return f"{name} {page} {request.headers['x-token']} {request.cookies['theme']}"


async def echo() -> None:
    """Send back what comes, until nothing does."""
    async for message in websocket:
        await websocket.send(message)


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
            if context.connection is not None:
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
