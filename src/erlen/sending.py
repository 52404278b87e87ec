"""A body that goes out piece by piece, and a client that leaves in the middle of it."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import AsyncGeneratorType, TracebackType
from typing import Any, Protocol, cast

from .concurrency import to_thread
from .timeouts import current_task
from .typing import Receive, Scope, Send

__all__ = ["Chunks", "Departure", "encode", "send_stream", "tells_departure"]

_START = "http.response.start"
_BODY = "http.response.body"


class Streamed(Protocol):
    """What is asked of a response whose body is a stream."""

    status_code: int
    raw_headers: list[tuple[bytes, bytes]]
    stream: Any
    body: bytes
    head_first: bool
    callbacks: Any
    background: Any

    async def prime(self) -> None: ...
    def chunks(self) -> Chunks: ...
    async def aclose(self) -> None: ...


class Served(Protocol):
    """Whose client it is that a stream is sent to, and who notices that it leaves."""

    unchanged: type[bytes] | None
    """The class of the pieces that are sent as they are; none of a client that has left."""

    def begin_body(self, response: Any) -> None:
        """Cancel the sending from now on when the client leaves."""
        ...

    def end_body(self, error: BaseException | None) -> bool:
        """Do not any more; say whether *error* is only what comes of a client that left."""
        ...


async def send_stream(
    served: Served, response: Streamed, scope: Scope, send: Send, early: bytes | None = None
) -> None:
    """Send *response* piece by piece, and close it whatever happens.

    *early* is the first piece, if somebody has taken it already. Else it is waited for, unless
    it is sent ``head_first``: an error ahead of it is raised before anything was sent.
    """
    pieces, last, over = response.stream, b"", False
    try:
        if early is None:
            if not (response.head_first or pieces.__class__ is Chunks):
                await response.prime()
            if response.stream is not None:
                chunks = response.chunks()
                pieces, early, chunks.early = chunks.pieces, chunks.early, b""
            else:
                last, over = response.body, True
        status, headers = response.status_code, response.raw_headers
        scope["erlen.sent"] = _START
        try:
            await send({"type": _START, "status": status, "headers": headers})
            if early:
                await send({"type": _BODY, "body": early, "more_body": True})
        except OSError as error:
            raise _Departed from error
        if not over:
            served.begin_body(response)
            # PERF: what is done for each of a hundred pieces is most of what a stream costs: no
            # generator of ours in between, and bytes are known by their class.
            async for piece in pieces:
                if piece.__class__ is not served.unchanged:
                    if served.unchanged is None:  # the generator took no notice of the cancel
                        break
                    piece = encode(piece)
                if piece:
                    try:
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    except OSError as error:
                        raise _Departed from error
            else:
                over = True
        if over:
            try:
                await send({"type": _BODY, "body": last})
            except OSError as error:
                raise _Departed from error
    except _Departed as departed:
        served.end_body(None)
        if not tells_departure(scope):
            raise departed.forget_error() from None
    except BaseException as error:
        if not served.end_body(error):
            raise
    else:
        served.end_body(None)
    finally:
        # A generator that has ended needs no closing.
        if not over or response.callbacks is not None or pieces.__class__ is not AsyncGeneratorType:
            await response.aclose()
    if response.background is not None:
        await response.background()


class _Departed(Exception):
    """The client has left, as ``send`` said with the ``OSError`` that caused this.

    What makes the pieces of a stream may raise an ``OSError`` of its own.
    """

    def forget_error(self) -> OSError:
        """Return the error, and forget it: the two would know each other, and stay."""
        error, self.__cause__ = self.__cause__, None
        return cast(OSError, error)


def tells_departure(scope: Scope) -> bool:
    """Say whether an ``OSError`` of ``send`` means that the client has left (ASGI HTTP, 2.4)."""
    major, _, minor = scope.get("asgi", {}).get("spec_version", "2.0").partition(".")
    return (int(major), int(minor or 0)) >= (2, 4)


class Departure:
    """A client that leaves in the middle of a stream, noticed and turned into a cancel.

    PERF: *receive* is called as soon as the stream waits for something, and not at all for one
    that never does: the loop comes to the watch when the stream is over.
    """

    __slots__ = ("_before", "_receive", "_task", "_watcher", "unchanged")

    def __init__(self, receive: Receive) -> None:
        self.unchanged: type[bytes] | None = bytes
        self._receive = receive
        self._watcher: Any = None

    def begin_body(self, response: Any = None) -> None:
        """Watch, and cancel this task when the client leaves."""
        loop = asyncio.get_running_loop()
        task: Any = current_task(loop)
        self._task, self._before = task, task.cancelling()
        self._watcher = loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Exception:
            return  # WHY: a server that fails here fails again when the next piece is sent
        self.unchanged = None
        self._task.cancel()

    def end_body(self, error: BaseException | None) -> bool:
        """End the watch; say whether *error* is its cancel, and nobody else's."""
        watcher, self._watcher = self._watcher, None  # which know each other, and would stay
        if watcher is not None:
            watcher.cancel()
        if self.unchanged is not None:
            return False
        # Uncancelled in any case: a generator may have turned the cancel into something else.
        ours = self._task.uncancel() <= self._before
        return ours and isinstance(error, CancelledError)

    def __enter__(self) -> None:
        self.begin_body()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self.end_body(error)


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
