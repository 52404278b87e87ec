"""An ASGI app as the server behind an httpx client, served as it would be over a socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import cast

import httpx

from ..app import App
from ..typing import ASGIApp, Message, Scope
from .drafts import receiver_of, scope_of
from .lifespans import join_lifespan, leave_lifespan
from .responses import status_of

__all__ = ["BUFFER", "GRACE", "ASGITransport", "Exchange"]

BUFFER = 64 * 1024
"""Bytes that an app may send ahead of who reads them, as a socket takes them."""

GRACE = 5.0
"""Seconds that an app has to notice that its client left, before it is cancelled."""


class ASGITransport(httpx.AsyncBaseTransport):
    """Let httpx talk to *app*: ``httpx.AsyncClient(transport=ASGITransport(app))``.

    Entering the client starts the app up and leaving it shuts it down, unless *lifespan* is
    false. Responses stream, and what the app raises is raised in the client.
    """

    def __init__(self, app: App, *, lifespan: bool = True) -> None:
        self.app = app
        self.lifespan = lifespan
        self.state: Scope = {}
        """What start-up left for the requests; each gets a copy as ``scope["state"]``."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; the response is there as soon as it has begun."""
        scope = scope_of(request)
        scope["state"] = {**self.state}
        scope["erlen.tested"] = True
        exchange = Exchange(self.app, scope, request)
        await exchange.begin()
        return httpx.Response(
            cast(int, exchange.status),
            headers=exchange.headers,
            stream=exchange,
            request=request,
            extensions={"http_version": b"HTTP/1.1", "erlen.scope": scope},
        )

    async def __aenter__(self) -> ASGITransport:
        if self.lifespan:
            self.state = await join_lifespan(self.app)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self.lifespan:
            self.state = {}
            await leave_lifespan(self.app)


class Exchange(httpx.AsyncByteStream):
    """One request that an app serves in a task of its own, and the stream of its response."""

    def __init__(self, app: ASGIApp, scope: Scope, request: httpx.Request) -> None:
        self.scope = scope
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self._receive_body = receiver_of(request)
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._is_left = False
        self._is_told = False
        self._begun = asyncio.Event()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._over = asyncio.Event()
        self._app = app
        self._ending: BaseException | None = None

    # -- the client's side -----------------------------------------------------------------

    async def begin(self) -> None:
        """Start the app and wait for the head of its response.

        :raises Exception: what the app raised instead.
        """
        self._task = asyncio.ensure_future(self._serve())
        self._task.add_done_callback(self._wake)
        try:
            await self._begun.wait()
        except asyncio.CancelledError:
            await self._cancel()
            raise
        if self.status is None:
            self._tell()
            raise RuntimeError("The app returned without sending a response.")

    async def _serve(self) -> None:
        try:
            await self._app(self.scope, self.receive, self.send)
        except (KeyboardInterrupt, SystemExit) as ending:
            self._ending = ending  # raised by a task, it would end the loop

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._unread -= len(piece)
                self._room.set()
                yield piece
            if self.is_complete or self._task.done():
                break
            self._arrived.clear()
            await self._arrived.wait()
        # The response is over for the client when all that belongs to it is: teardown too.
        try:
            if not self._task.done():
                await asyncio.wait([self._task])
        except asyncio.CancelledError:
            await self._cancel()
            raise
        self._tell()
        if not self.is_complete:
            raise RuntimeError("The app returned before its response was complete.")

    async def aclose(self) -> None:
        """Leave, if the response is not over, and wait until the app has noticed.

        :raises Exception: what the app raised, unless that was told before.
        """
        self._is_left = True
        for event in (self._over, self._room):
            event.set()
        try:
            await asyncio.wait([self._task], timeout=GRACE)
        finally:
            await self._cancel()
        if not self._task.cancelled():
            self._tell()

    async def _cancel(self) -> None:
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _tell(self) -> None:
        """Raise what the app raised, once."""
        if not self._is_told:
            self._is_told = True
            self._task.result()
            if self._ending is not None:
                raise self._ending

    def _wake(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled():
            task.exception()  # it is told, or nobody asked for it
        for event in (self._begun, self._arrived, self._over):
            event.set()

    # -- the app's side --------------------------------------------------------------------

    async def receive(self) -> Message:
        """Give the app the body, and the disconnect when the response is over."""
        if not self._is_left:
            message = await self._receive_body()
            if message["type"] == "http.request":
                return message
            await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of the app; wait while too much of it is unread.

        :raises RuntimeError: if it is none that may come now.
        """
        if self._is_left:
            # ASGI 2.3: nothing happens. Not to wait at all would keep the loop busy for ever.
            await asyncio.sleep(0)
        elif message["type"] == "http.response.start" and self.status is None:
            self.status = status_of(message)
            self.headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            self._begun.set()
        elif message["type"] == "http.response.body" and self.status and not self.is_complete:
            await self._take(message)
        else:
            state = "is complete" if self.is_complete else "has begun" if self.status else "begins"
            raise RuntimeError(
                f"The app sent {message['type']!r}, which cannot be when its response {state}."
            )

    async def _take(self, message: Message) -> None:
        body = message.get("body", b"")
        # RFC 9110, 9.3.2: a server sends no content to HEAD, whatever the app does.
        if body and self.scope["method"] != "HEAD":
            self._pieces.append(bytes(body))
            self._unread += len(body)
            self._arrived.set()
        if not message.get("more_body", False):
            self.is_complete = True
            self._arrived.set()
            self._over.set()
        while self._unread > BUFFER and not (self._is_left or self.is_complete):
            self._room.clear()
            await self._room.wait()
