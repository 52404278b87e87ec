"""A body that comes piece by piece, and a client that leaves in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

from .concurrency import to_thread
from .typing import Receive

__all__ = ["Chunks", "Departure", "encode"]


class Departure:
    """A client that leaves in the middle of a stream, noticed and turned into a cancel."""

    __slots__ = ("_before", "_gone", "_task", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._gone = False
        self._before = self._task.cancelling()
        self._watcher = asyncio.create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()

    def caused_this(self) -> bool:
        """Say whether it is the reason for a cancel, which is over then."""
        return self._gone and self._task.uncancel() <= self._before

    def stop_watching(self) -> None:
        """Let the client leave unnoticed."""
        self._watcher.cancel()


class Chunks(AsyncIterator[bytes]):
    """A stream of either colour as bytes, none of them empty; the first may be fetched early."""

    __slots__ = ("_first", "_pieces")

    def __init__(self, source: AsyncIterable[str | bytes] | Iterable[str | bytes]) -> None:
        self._first = b""
        self._pieces: AsyncIterator[str | bytes] = (
            aiter(source) if isinstance(source, AsyncIterable) else _InThreads(source)
        )

    @property
    def from_path(self) -> bool:
        """Whether this is a file that is opened here, so that no code of the app runs."""
        return getattr(self._pieces, "from_path", False)

    async def peek(self) -> bytes:
        """Return the first chunk and keep it; ``b""`` if there is none."""
        self._first = self._first or await anext(self, b"")
        return self._first

    async def __anext__(self) -> bytes:
        chunk, self._first = self._first, b""
        while not chunk:
            chunk = encode(await anext(self._pieces))
        return chunk

    async def aclose(self) -> None:
        """Close what makes the pieces."""
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


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
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(cast(bytes, piece))
    raise TypeError(
        f"A response is made of str and bytes, not of {type(piece).__name__}: {piece!r}"
    )
