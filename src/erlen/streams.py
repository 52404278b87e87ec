"""A body that comes piece by piece, and a client that leaves in the middle of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, cast

from .concurrency import to_thread
from .timeouts import Rest, current_task
from .typing import Message, Receive, Scope

__all__ = [
    "Chunks",
    "Departed",
    "Departure",
    "Inbox",
    "Turn",
    "encode",
    "tells_departure",
]

_AHEAD = 64 * 1024
"""Bytes of a body that are kept for whoever reads it later, while a stream is sent."""


class Turn:
    """Lets one task at a time do something: a lock that costs nothing while nobody waits.

    Whoever finds it ``taken`` has to :meth:`wait`; else it is taken by saying so. Each turn
    ends with :meth:`end`, which hands it to who waited longest; while nobody is ``waiting``,
    also by saying so.
    """

    __slots__ = ("taken", "waiting")

    def __init__(self) -> None:
        self.taken = False
        self.waiting: deque[asyncio.Future[None]] | None = None

    async def wait(self) -> None:
        """Wait for the turn, and have it."""
        if self.waiting is None:
            self.waiting = deque()
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(asked)
        try:
            await asked
        except asyncio.CancelledError:
            if asked.done() and not asked.cancelled():
                self.end()  # it was our turn already
            raise

    def end(self) -> None:
        """Give the turn up."""
        while self.waiting:
            asked = self.waiting.popleft()
            if not asked.done():
                asked.set_result(None)
                return
        self.taken = False


class Inbox(Turn):
    """The messages of one request, for its body and for whoever waits that its client leaves."""

    __slots__ = ("_begun", "_emptied", "_kept", "_receive", "complete", "left")

    def __init__(self, receive: Receive, begun: Rest[Message] | None = None) -> None:
        super().__init__()
        self._receive = receive
        self._begun = begun
        self._kept: deque[Message] = deque()
        self._emptied: asyncio.Event | None = None
        self.complete = False
        """Whether the last piece of the body was taken."""
        self.left = False
        """Whether the client has left."""

    def put_back(self, message: Message) -> None:
        """Keep the *message* that somebody else received, to be taken before all others."""
        if message["type"] == "http.disconnect":
            self.left = True
        else:
            self._kept.appendleft(message)

    async def take(self) -> Message:
        """Return the next message; of a client that has left, that it has, again and again."""
        if not self._kept:
            if self.taken:
                await self.wait()
            self.taken = True
            try:
                if not self._kept:
                    if self.left:
                        return {"type": "http.disconnect"}
                    begun, self._begun = self._begun, None
                    message = await (begun or self._receive())
                    if message["type"] == "http.disconnect":
                        self.left = True
                    elif not message.get("more_body", False):
                        self.complete = True
                    return message
            finally:
                if self.waiting:
                    self.end()
                else:  # PERF: what it does, without a call
                    self.taken = False
        message = self._kept.popleft()
        if not self._kept and self._emptied is not None:
            self._emptied.set()
        if not message.get("more_body", False):
            self.complete = True
        return message

    async def until_disconnect(self) -> Message:
        """Wait until the client leaves. A little of a body that nobody reads is kept."""
        if self._emptied is None:
            self._emptied = asyncio.Event()
        while True:
            if sum(len(message.get("body", b"")) for message in self._kept) > _AHEAD:
                self._emptied.clear()
                await self._emptied.wait()
            if self.taken:
                await self.wait()
            self.taken = True
            try:
                message = {"type": "http.disconnect"} if self.left else await self._receive()
                if message["type"] == "http.disconnect":
                    self.left = True
                    return message
                self._kept.append(message)
            finally:
                self.end()


class Departed(Exception):
    """The client has left, as ``send`` said with the ``OSError`` that caused this.

    What makes the pieces of a stream may raise an ``OSError`` of its own.
    """


def tells_departure(scope: Scope) -> bool:
    """Say whether an ``OSError`` of ``send`` means that the client has left (ASGI HTTP, 2.4)."""
    major, _, minor = scope.get("asgi", {}).get("spec_version", "2.0").partition(".")
    return (int(major), int(minor or 0)) >= (2, 4)


class Departure:
    """A client that leaves in the middle of a stream, noticed and turned into a cancel.

    PERF: *receive* is called as soon as the stream waits for something, and not at all for one
    that never does: the loop comes to the watch when the stream is over.
    """

    __slots__ = ("_before", "_task", "_watcher", "noticed", "unchanged")

    def __init__(self, receive: Receive) -> None:
        self.noticed = False
        """Whether the client has left."""
        self.unchanged: type[bytes] | None = bytes
        """The class of the pieces that are sent as they are; none of a client that has left."""
        loop = asyncio.get_running_loop()
        task: Any = current_task(loop)
        self._task, self._before = task, task.cancelling()
        self._watcher: Any = loop.call_soon(self._begin, receive)

    def _begin(self, receive: Receive) -> None:
        self._watcher = asyncio.create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except Exception:
            return  # WHY: a server that fails here fails again when the next piece is sent
        self.noticed, self.unchanged = True, None
        self._task.cancel()

    def __enter__(self) -> Departure:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End the watch, and the cancel if it was this one's."""
        watcher, self._watcher = self._watcher, None  # which know each other, and would stay
        watcher.cancel()
        if not self.noticed:
            return False
        # Uncancelled in any case: a generator may have turned the cancel into something else.
        ours = self._task.uncancel() <= self._before
        return ours and isinstance(error, asyncio.CancelledError)


class Chunks:
    """A stream of either colour as bytes, none of them empty; the first may be fetched early."""

    __slots__ = ("aclose", "early", "pieces")

    def __init__(self, source: AsyncIterable[str | bytes] | Iterable[str | bytes]) -> None:
        self.early = b""
        """The first chunk, if it was fetched early and not sent yet."""
        given: Any = source
        self.pieces: AsyncIterator[str | bytes] = (
            aiter(given) if hasattr(given, "__aiter__") else _InThreads(given)
        )
        """What comes after :attr:`early`, as it was made: for those who :func:`encode` it."""
        self.aclose: Callable[[], Awaitable[None]] = getattr(self.pieces, "aclose", _nothing)
        """Close what makes the pieces."""

    @property
    def from_path(self) -> bool:
        """Whether this is a file that is opened here, so that no code of the app runs."""
        return getattr(self.pieces, "from_path", False)

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        chunk, self.early = self.early, b""
        while not chunk:
            chunk = encode(await anext(self.pieces))
        return chunk


async def _nothing() -> None:
    """Close what cannot be closed."""


_END: Any = object()


class _InThreads(AsyncIterator["str | bytes"]):
    """A ``def`` iterable, iterated and closed where it may block: one hop for each piece."""

    __slots__ = ("_iterator", "_source")

    def __init__(self, source: Iterable[str | bytes]) -> None:
        self._source = source
        self._iterator = iter(source)

    async def __anext__(self) -> str | bytes:
        piece = await to_thread(next, self._iterator, _END)
        if piece is _END:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Close the iterator and what it came from, as far as they can be closed."""
        if hasattr(self._iterator, "close") or hasattr(self._source, "close"):
            await to_thread(self._close)

    def _close(self) -> None:
        for thing in (self._iterator, self._source):
            if hasattr(thing, "close"):
                cast(Any, thing).close()


def encode(piece: Any) -> bytes:
    """Return a piece of a body as bytes; text is UTF-8.

    :raises TypeError: if it is neither.
    """
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, (bytearray, memoryview)):
        return bytes(cast(bytes, piece))
    raise TypeError(
        f"A response is made of str and bytes, not of {type(piece).__name__}: {piece!r}"
    )
