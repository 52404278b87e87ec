"""An Erlen app as a WSGI app: the server's thread waits for the loop, and is lent to it."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from http import HTTPStatus
from queue import Empty
from typing import Any, TypeVar, cast

from ..app import App
from ..concurrency import Owner
from ..proxies import Proxy
from ..typing import Message
from .bodies import AHEAD
from .calling import HOP_BY_HOP, StartResponse
from .environ import Environ
from .processes import Process, this_process
from .scopes import BadLength, body_length, is_websocket, scope_of

__all__ = ["Gateway"]

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a request whose client has left may take to end, before its thread goes."""

LINGER = 1.0
"""Seconds that a thread in which ``def`` code ran waits for the end of its request."""


_WITHOUT_CONTENT = HOP_BY_HOP | {b"content-type"}


class Gateway:
    """What WSGI servers call: ``application = app.wsgi_app`` in the module they are given.

    The app runs on one event loop for each process, made when the first request comes; it is
    started up before that, and shut down when the process ends. ``def`` code runs in the
    thread of the server that the request came in.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333).

        :raises Exception: what the app raised, if nothing in it answered that.
        """
        if is_websocket(environ):
            return _refuse(environ, start_response, "426 Upgrade Required", _NO_WEBSOCKETS)
        try:
            exchange = Exchange(self.app, this_process(), environ, start_response)
        except BadLength as error:  # RFC 9112, 6.3; a server of ASGI refuses it itself
            return _refuse(environ, start_response, "400 Bad Request", str(error))
        return exchange.run()

    def close(self) -> None:
        """Shut the app down now, and not when the process ends; waits for it.

        The next request starts it again.
        """
        this_process().stop(self.app)

    def __repr__(self) -> str:
        return f"<wsgi_app of {self.app!r}>"


class Lent(Owner):
    """The thread of the server, lent to a request for as long as the server waits."""

    __slots__ = ("_app", "depth", "gone", "used")

    def __init__(self, app: App, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._app = app
        self.depth = 0
        """How many calls of the loop are under way in the thread."""
        self.used = False
        """Whether ``def`` code ran in the thread."""
        self.gone = False
        """Whether the server has it back."""

    async def call(self, call: Callable[..., T], *, early: bool = False) -> T:
        """Make *call* in the thread; in one of the app's when the server has it back."""
        if self.gone:
            return await self._app.worker_pool.run(call, admitted=True, early=early)
        self.used = True

        def nested(*args: Any) -> T:
            self.depth += 1
            try:
                return call(*args)
            finally:
                self.depth -= 1

        return await super().call(nested, early=early)

    async def read(self, call: Callable[[], bytes]) -> bytes:
        """Make a *call* that reads from the server."""
        if self.gone:
            return await self._app.worker_pool.run(call, admitted=True)
        return await super().call(call)

    def work(self, seconds: float | None = None) -> bool:
        """Do the next thing that the loop wants; false if there was none in so many *seconds*."""
        try:
            self._inbox.get(timeout=seconds)()
        except Empty:
            return False
        return True


class Exchange:
    """One request, on its way between the thread of the server and the loop.

    What the loop sends is kept until the server asks for it. While ``def`` code of the app has
    the thread (a generator, say), the server cannot ask: it is given ``write`` calls then.
    """

    def __init__(
        self, app: App, process: Process, environ: Environ, start_response: StartResponse
    ) -> None:
        self._app = app
        self._process = process
        self._loop = process.loop
        self._environ = environ
        self._start_response = start_response
        self._owner = Lent(app, process.loop)
        self._write: Callable[[bytes], Any] | None = None
        self._write_error: BaseException | None = None
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: deque[bytes] = deque()
        self._put = self._taken = 0
        self._begun = self._complete = self._over = self._left = self._told = self._cut = False
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None
        self._departed: asyncio.Event | None = None
        # WHY: def code may wait for the serving loop, which a thread with a loop cannot.
        self._lends = not _has_loop()
        self._remaining = body_length(environ)
        self._first: bytes | None = None

    # -- in the thread of the server -------------------------------------------------------

    def run(self) -> Iterable[bytes]:
        """Serve the request; returns its body when there is something of it."""
        if self._remaining is not None and self._remaining <= AHEAD:
            self._first = self._read() if self._remaining else b""
        context = copy_context()
        try:
            self._loop.call_soon_threadsafe(self._begin, context=context)
            while not (self._begun or self._over):
                self._owner.work()
            if self._write_error is not None:
                self._wait_for_the_end(GRACE)
                raise self._write_error
            if not self._begun:
                self._raise_error()
            self._start()
        except BaseException:
            self._abandon()
            raise
        if self._over and self._complete:
            return [*self._pieces]
        return Body(self)

    def next_piece(self) -> bytes:
        """Wait for more of the body; ``b""`` at its end.

        :raises Exception: what the app raised in the middle of it.
        """
        while not self._pieces:
            if self._complete:
                return b""
            self._raise_error()
            self._owner.work()
        pieces = [self._pieces.popleft()]
        while self._pieces:
            pieces.append(self._pieces.popleft())
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._took(len(piece))
        return piece

    def close(self) -> None:
        """Take the thread back; a response that is not complete has lost its client."""
        if self._over:
            return
        if not self._complete:
            self._loop.call_soon_threadsafe(self._leave)
            self._wait_for_the_end(GRACE)
        elif self._owner.used:
            self._wait_for_the_end(LINGER)
        if not self._over:
            self._return_thread()

    def _start(self) -> None:
        if self._write is None:
            try:
                reason = HTTPStatus(self._status).phrase
            except ValueError:
                reason = "Unknown"
            # RFC 9110, 8.3: a type of nothing says nothing, and servers may check.
            dropped = _WITHOUT_CONTENT if self._status in (204, 304) else HOP_BY_HOP
            headers = [
                (name.decode("latin-1").title(), value.decode("latin-1"))
                for name, value in self._headers
                if name.lower() not in dropped
            ]
            self._write = self._start_response(f"{self._status} {reason}", headers)

    def _arrived(self) -> None:
        """Write what has come, if code of the app has the thread and the server waits."""
        if self._owner.depth and self._write_error is None:
            try:
                while self._pieces:
                    self._start()
                    piece = self._pieces.popleft()
                    cast(Any, self._write)(piece)
                    self._took(len(piece))
            except BaseException as error:
                self._write_error = error
                self._loop.call_soon_threadsafe(self._leave)

    def _took(self, size: int) -> None:
        full = self._put - self._taken > AHEAD
        self._taken += size
        if full:
            self._loop.call_soon_threadsafe(self._make_room)

    def _raise_error(self) -> None:
        if not self._over or self._complete:
            return
        if self._error is not None:
            raise self._error
        where = "its response was complete" if self._status else "it had sent a response"
        raise RuntimeError(f"The app returned before {where}.")

    def _wait_for_the_end(self, seconds: float) -> None:
        patience = time.monotonic() + seconds
        while not self._over and (left := patience - time.monotonic()) > 0:
            self._owner.work(left)

    def _return_thread(self) -> None:
        """Stop doing what the loop wants. It says when, so that nothing is left undone."""
        returned: list[bool] = []

        def release() -> None:
            self._owner.gone = True
            self._owner.post(lambda: returned.append(True))

        self._loop.call_soon_threadsafe(release)
        while not returned:
            self._owner.work()

    def _abandon(self) -> None:
        """Leave because of an error here, or of a server that ends this thread."""

        def leave() -> None:
            self._owner.gone = True
            self._leave()

        if not self._over:
            self._loop.call_soon_threadsafe(leave)

    def _read(self) -> bytes:
        """Read some of the body; less than was announced is a client that has left."""
        size = AHEAD if self._remaining is None else min(AHEAD, self._remaining)
        try:
            data: bytes = self._environ["wsgi.input"].read(size)
        except OSError:
            data = b""
        if self._remaining is None:
            if not data:
                self._remaining = 0
        elif data:
            self._remaining -= len(data)
        else:
            self._cut = True
        return data

    # -- on the loop -----------------------------------------------------------------------

    def _begin(self) -> None:
        self._room = asyncio.Event()
        self._task = self._loop.create_task(self._serve())

    async def _serve(self) -> None:
        try:
            scope = scope_of(self._environ)
            if self._environ.get("wsgi.errors") is not None:
                scope["erlen.errors"] = Proxy("wsgi.errors", self._errors)
            scope["state"] = dict(await self._process.started(self._app))
            if self._lends:
                scope["erlen.owner"] = self._owner
            await self._app(scope, self._receive, self._send)
        except BaseException as error:  # a SystemExit would end the loop of all requests
            self._error = error
            if self._complete and isinstance(error, Exception):
                self._app.log_problem("An app failed after its response", error)
        finally:
            self._over = True
            self._owner.post(self._arrived)

    def _errors(self) -> Any:
        """Return the stream of the server, which is its own again after the request."""
        returned = self._over or self._owner.gone
        return sys.stderr if returned else self._environ["wsgi.errors"]

    async def _receive(self) -> Message:
        if self._first is not None:
            body, self._first = self._first, None
            self._told = not self._remaining
            return {"type": "http.request", "body": body, "more_body": not self._told}
        if not (self._told or self._left or self._cut):
            body = await self._owner.read(self._read)
            if not (self._left or self._cut):
                self._told = self._remaining == 0
                return {"type": "http.request", "body": body, "more_body": not self._told}
        if not (self._left or self._cut):
            self._departed = self._departed or asyncio.Event()
            await self._departed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._left:
            # ASGI 2.3: nothing happens. Not to wait at all would keep the loop busy for ever.
            await asyncio.sleep(0)
        elif kind == "http.response.start" and not self._status:
            self._status = message["status"]
            self._headers = list(message.get("headers", ()))
        elif kind == "http.response.body" and self._status and not self._complete:
            await self._take(message)
        else:
            state = "is complete" if self._complete else "has begun" if self._status else "begins"
            raise RuntimeError(f"The app sent {kind!r}, which cannot be when its response {state}.")

    async def _take(self, message: Message) -> None:
        body = message.get("body", b"")
        # RFC 9110, 9.3.2: a server sends no content to HEAD, whatever the app does.
        if body and self._environ["REQUEST_METHOD"] != "HEAD":
            self._put += len(body)
            self._pieces.append(bytes(body))
        self._begun = True
        if not message.get("more_body", False):
            self._complete = True
            # A little later, when most requests are over: then nothing is left to wait for.
            self._loop.call_soon(self._owner.post, self._arrived)
            return
        self._owner.post(self._arrived)
        room = cast(asyncio.Event, self._room)
        while self._put - self._taken > AHEAD and not self._left:
            room.clear()
            if self._put - self._taken > AHEAD:
                await room.wait()

    def _make_room(self) -> None:
        cast(asyncio.Event, self._room).set()

    def _leave(self) -> None:
        """Tell the app that its client is gone, and cancel what it still does."""
        self._left = True
        if self._departed is not None:
            self._departed.set()
        if self._room is not None:
            self._room.set()
        if self._begun and not self._complete and self._task is not None:
            self._task.cancel()


class Body(Iterator[bytes]):
    """The body of a response, as the server takes it piece by piece."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __next__(self) -> bytes:
        piece = self._exchange.next_piece()
        if not piece:
            raise StopIteration
        return piece

    def close(self) -> None:
        """End the request, complete or not."""
        self._exchange.close()


_NO_WEBSOCKETS = "Websockets need an ASGI server, and this app is served by WSGI."


def _refuse(
    environ: Environ, start_response: StartResponse, status: str, reason: str
) -> list[bytes]:
    """Answer without the app."""
    text = reason.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [text]


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
