"""The client's end of a websocket, in both colours."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Protocol, cast

import httpx

from ..app import App
from ..errors import ContextError
from ..headers import Headers
from ..responses import RawHeaders
from ..typing import Message, Scope
from ..websockets import WebSocketDisconnect
from .cookies import CookieJar
from .drafts import RequestOptions, path_of, receiver_of, scope_of
from .loops import LoopThread
from .responses import TestResponse, status_of
from .transport import BUFFER, GRACE, ASGITransport

__all__ = ["Connecting", "SyncTestWebSocket", "TestWebSocket", "WebSocketRejected"]


class WebSocketRejected(Exception):
    """The app refused a websocket; *response* says how: a 403 where the app only closed it."""

    def __init__(self, response: TestResponse) -> None:
        super().__init__(f"The websocket was rejected with {response.status}: {response.text!r}")
        self.response = response


class _Line:
    """A websocket between a client and an app that runs in a task of its own."""

    def __init__(self, app: App, scope: Scope) -> None:
        self.accepted: Message | None = None
        self.denied: Message | None = None
        self.denial = b""
        self.closed: Message | None = None
        self._to_app: deque[Message] = deque([{"type": "websocket.connect"}])
        self._from_app: deque[str | bytes] = deque()
        self._unread = 0
        self._app_has_mail = asyncio.Event()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._left: Message | None = None
        self._is_told = False
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))
        self.task.add_done_callback(self._wake)

    # -- the client's side -----------------------------------------------------------------

    async def handshake(self) -> None:
        """Wait until the app accepted, refused or failed."""
        while not (self.accepted or self.is_refused):
            if self.task.done():
                self.tell()
                raise RuntimeError("The app returned without accepting or refusing the websocket.")
            await self._wait_for_news()

    @property
    def is_refused(self) -> bool:
        """Whether the app said no, completely."""
        return self.accepted is None and self.closed is not None

    def put(self, message: Message) -> None:
        """Send *message* to the app."""
        if self._left is not None:
            raise RuntimeError("This websocket was closed by the test itself: it cannot send.")
        if self.closed is not None or self.task.done():
            self._end()
        self._to_app.append(message)
        self._app_has_mail.set()

    async def take(self) -> str | bytes:
        """Return the next message of the app.

        :raises WebSocketDisconnect: when there are none any more, because it closed.
        """
        while not self._from_app:
            if self.closed is not None or self.task.done():
                # 1011 says that the app failed; why is more useful than that it did.
                if self.closed is not None and self.closed["code"] == 1011:
                    await asyncio.wait([self.task], timeout=GRACE)
                self._end()
            await self._wait_for_news()
        data = self._from_app.popleft()
        self._unread -= len(data)
        self._room.set()
        return data

    def _end(self) -> NoReturn:
        if self.task.done():
            self.tell()
        # A server closes with 1000 what its app just returns from.
        closed = self.closed or self._left or {"code": 1000, "reason": ""}
        raise WebSocketDisconnect(closed["code"], closed["reason"])

    async def leave(self, code: int, reason: str) -> None:
        """Go, if that is still to be done, and wait until the app has noticed."""
        if self._left is None:
            self._left = {"code": code, "reason": reason}
            self._app_has_mail.set()
            self._room.set()
        try:
            await asyncio.wait([self.task], timeout=GRACE)
        finally:
            if not self.task.done():
                self.task.cancel()
                await asyncio.wait([self.task])

    def tell(self) -> None:
        """Raise what the app raised, once."""
        if not self._is_told and not self.task.cancelled():
            self._is_told = True
            self.task.result()

    async def _wait_for_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _wake(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled():
            task.exception()  # it is told, or nobody asked for it
        self._news.set()

    # -- the app's side --------------------------------------------------------------------

    async def _receive(self) -> Message:
        while True:
            if self._to_app:
                return self._to_app.popleft()
            gone = self._left or self.closed
            if gone is not None:
                return {**gone, "type": "websocket.disconnect"}
            self._app_has_mail.clear()
            await self._app_has_mail.wait()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._left is not None:
            if kind == "websocket.close":
                return  # both sides hang up at once: nobody is wrong
            raise OSError("The client has left the websocket.")
        handshake = self.accepted is None and self.closed is None
        if kind == "websocket.send" and self.accepted and self.closed is None:
            await self._carry(message)
        elif kind == "websocket.accept" and handshake and self.denied is None:
            self.accepted = message
        elif kind == "websocket.close" and self.closed is None and self.denied is None:
            self._close(message.get("code", 1000), message.get("reason") or "")
        elif kind == "websocket.http.response.start" and handshake and self.denied is None:
            status_of(message)
            self.denied = message
        elif kind == "websocket.http.response.body" and handshake and self.denied:
            self.denial += message.get("body", b"")
            if not message.get("more_body", False):
                self._close(1006, "")
        else:
            state = "is closed" if self.closed else "is open" if self.accepted else "begins"
            raise RuntimeError(
                f"The app sent {kind!r}, which cannot be when its websocket {state}."
            )
        self._news.set()

    async def _carry(self, message: Message) -> None:
        text: str | None = message.get("text")
        data: str | bytes = text if text is not None else message.get("bytes") or b""
        self._from_app.append(data)
        self._unread += len(data)
        self._news.set()
        while self._unread > BUFFER and self._left is None and self.closed is None:
            self._room.clear()
            await self._room.wait()

    def _close(self, code: int, reason: str) -> None:
        self.closed = {"code": code, "reason": reason}
        self._app_has_mail.set()
        self._room.set()


class TestWebSocket:
    """An open websocket: ``await ws.send("hello")``, ``await ws.receive()``, ``async for``."""

    __test__ = False

    def __init__(self, line: _Line, app: App) -> None:
        self._line = line
        self._json = app.json
        accepted = cast(Message, line.accepted)
        self.subprotocol: str | None = accepted.get("subprotocol")
        """The protocol that the app chose."""
        self.headers = Headers.over(list(accepted.get("headers", ())))
        """The headers of the response with which the app accepted."""

    @property
    def close_code(self) -> int | None:
        """With which code the app closed; ``None`` while it has not."""
        return self._line.closed["code"] if self._line.closed else None

    @property
    def close_reason(self) -> str | None:
        """What the app said about it."""
        return self._line.closed["reason"] if self._line.closed else None

    async def send(self, data: str | bytes) -> None:
        """Send a message.

        :raises WebSocketDisconnect: if the app has closed the websocket.
        """
        key = "text" if isinstance(data, str) else "bytes"
        self._line.put({"type": "websocket.receive", key: data})

    async def send_json(self, *args: Any, **kwargs: Any) -> None:
        """Send a value as JSON; several values are a list, keywords an object."""
        if args and kwargs:
            raise TypeError("send_json takes values or keywords, not both.")
        value: Any = kwargs or (args[0] if len(args) == 1 else list(args))
        await self.send(self._json.dumps(value))

    async def receive(self) -> str | bytes:
        """Wait for the next message of the app.

        :raises WebSocketDisconnect: when the app closed the websocket.
        :raises Exception: what the app raised.
        """
        return await self._line.take()

    async def receive_json(self) -> Any:
        """Wait for the next message and parse it.

        :raises ValueError: if it is no JSON.
        """
        return self._json.loads(await self.receive())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the websocket, and wait until the app is done with it."""
        await self._line.leave(code, reason)

    async def disconnect(self) -> None:
        """Be gone without a word, as when the network fails: the app sees 1006."""
        await self._line.leave(1006, "")

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self.receive()
            except WebSocketDisconnect:
                return
            yield message


class SyncTestWebSocket:
    """An open websocket in a ``def`` test: ``ws.send("hello")``, ``ws.receive()``, ``for``."""

    def __init__(self, websocket: TestWebSocket, thread: LoopThread) -> None:
        self._websocket = websocket
        self._thread = thread
        self.subprotocol = websocket.subprotocol
        """The protocol that the app chose."""
        self.headers = websocket.headers
        """The headers of the response with which the app accepted."""

    @property
    def close_code(self) -> int | None:
        """With which code the app closed; ``None`` while it has not."""
        return self._websocket.close_code

    @property
    def close_reason(self) -> str | None:
        """What the app said about it."""
        return self._websocket.close_reason

    def send(self, data: str | bytes) -> None:
        """Send a message; see :meth:`TestWebSocket.send`."""
        self._thread.run(self._websocket.send, data)

    def send_json(self, *args: Any, **kwargs: Any) -> None:
        """Send a value as JSON; several values are a list, keywords an object."""
        self._thread.run(partial(self._websocket.send_json, *args, **kwargs))

    def receive(self) -> str | bytes:
        """Wait for the next message of the app; see :meth:`TestWebSocket.receive`."""
        return self._thread.run(self._websocket.receive)

    def receive_json(self) -> Any:
        """Wait for the next message and parse it."""
        return self._thread.run(self._websocket.receive_json)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the websocket, and wait until the app is done with it."""
        self._thread.run(self._websocket.close, code, reason)

    def disconnect(self) -> None:
        """Be gone without a word, as when the network fails: the app sees 1006."""
        self._thread.run(self._websocket.disconnect)

    def __iter__(self) -> Iterator[str | bytes]:
        while True:
            try:
                message = self.receive()
            except WebSocketDisconnect:
                return
            yield message


class Client(Protocol):
    """What a websocket needs of the client that opens it."""

    app: App
    cookies: CookieJar | None
    thread: LoopThread | None
    transport: ASGITransport

    def draft(self, path: str, method: str, options: RequestOptions) -> httpx.Request:
        """Return the request of the handshake."""
        ...


class Connecting:
    """A websocket for a block: ``async with client.websocket(...) as ws``, or ``with``."""

    def __init__(
        self, client: Client, path: str, subprotocols: list[str], options: RequestOptions
    ) -> None:
        self._client = client
        self._path = path
        self._subprotocols = subprotocols
        self._options = options
        self._line: _Line | None = None

    async def __aenter__(self) -> TestWebSocket:
        client, request = self._client, self._handshake()
        host, path = request.url.host, path_of(request)
        if client.cookies is not None:
            request.extensions["erlen.cookies"] = client.cookies.header_for(host, path)
        scope = scope_of(request, kind="websocket")
        scope["subprotocols"] = self._subprotocols
        scope["state"] = {**client.transport.state}
        scope["erlen.tested"] = True
        line = self._line = _Line(client.app, scope)
        try:
            await line.handshake()
        except BaseException:
            await line.leave(1006, "")
            raise
        answer = line.accepted or line.denied or {}
        headers: RawHeaders = [(name.lower(), value) for name, value in answer.get("headers", ())]
        if client.cookies is not None:
            given = [value.decode("latin-1") for name, value in headers if name == b"set-cookie"]
            client.cookies.take(host, path, given)
        if line.accepted is None:
            await line.leave(1006, "")
            line.tell()
            status = answer.get("status", 403)
            raise WebSocketRejected(
                TestResponse(
                    client.app,
                    {**scope, "type": "http", "method": "GET"},
                    receiver_of(request),
                    status=status,
                    headers=headers,
                    body=line.denial,
                )
            )
        return TestWebSocket(line, client.app)

    def _handshake(self) -> httpx.Request:
        request = self._client.draft(self._path, "GET", self._options)
        # RFC 6455, 4.1.
        request.headers.update(
            {
                "connection": "Upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
                "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            }
        )
        if self._subprotocols:
            request.headers["sec-websocket-protocol"] = ", ".join(self._subprotocols)
        return request

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        line = cast(_Line, self._line)
        await line.leave(1000, "")
        if error is None:
            line.tell()

    def __enter__(self) -> SyncTestWebSocket:
        return SyncTestWebSocket(self._thread_of_app().run(self.__aenter__), self._thread_of_app())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread_of_app().run(self.__aexit__, kind, error, traceback)

    def _thread_of_app(self) -> LoopThread:
        if self._client.thread is None:
            raise ContextError("This client is asynchronous: async with client.websocket(...)")
        return self._client.thread
