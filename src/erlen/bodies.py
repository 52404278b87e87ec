"""The body of a request on its way in. Knows receive, sizes and seconds; knows no header."""

from __future__ import annotations

import asyncio
import io
import tempfile
from asyncio import CancelledError
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
)
from contextlib import suppress
from functools import partial
from types import CoroutineType
from typing import IO, Any, Protocol, cast

from .concurrency import to_thread, wait_for
from .errors import ContextError
from .exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout
from .streams import Inbox, Turn
from .timeouts import Alarm, Rest
from .typing import Message, Receive

__all__ = ["Body", "BodyLimits", "BodyStream", "begin", "on_loop_thread"]

_IN_MEMORY = 1024 * 1024
"""Bytes of a body that are kept in memory for a ``def`` view before a file takes them."""
_BLOCK = 64 * 1024


class BodyLimits(Protocol):
    """How a body has to come."""

    @property
    def max_content_length(self) -> int | None:
        """Bytes that it may have; ``None`` lifts the limit."""
        ...

    @property
    def body_timeout(self) -> float | None:
        """Seconds to wait for each piece; ``None`` waits for ever."""
        ...

    @property
    def body_min_rate(self) -> float | None:
        """Bytes a second that it has to come with, after that many seconds of waiting."""
        ...


class Body(Turn):
    """What a client sends after its headers: still arriving, or here as a whole.

    *announced* is the length that the client gave, in bytes; 0 if it gave none. *whole* is all of
    it, if it is here; *inbox* has what was received of it. Whoever reads takes a turn, since
    several tasks may ask for the body.
    """

    __slots__ = (
        "_again",
        "_alarm",
        "_announced",
        "_file",
        "_inbox",
        "_parts",
        "_receive",
        "_silence",
        "_spool",
        "_waited",
        "_whole",
        "is_here",
        "limits",
        "received",
    )

    def __init__(
        self,
        receive: Receive,
        announced: int,
        limits: BodyLimits,
        whole: bytes | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        self.taken = False
        self.waiting = None
        self.limits = limits
        """How it has to come. Others may be set while it arrives."""
        self.is_here = whole is not None
        """Whether all of it was read, into memory or a file."""
        self.received = len(whole or b"")
        """Bytes that have arrived."""
        self._receive = receive
        self._inbox = inbox
        self._announced = announced
        self._alarm: Alarm | None = None
        self._waited = 0.0  # seconds
        self._silence = 0.0  # seconds since the last piece
        self._parts: list[bytes] | None = None
        self._whole = whole
        self._spool: IO[bytes] | None = None
        self._file: IO[bytes] | None = None
        self._again: Iterator[Message] | None = None

    # -- on the loop -----------------------------------------------------------------------

    async def read(self, *, spool: bool = True) -> None:
        """Read all of it, into memory or, if it is large and *spool* is true, a file.

        After an error it goes on where it was, with limits that may be others now.

        :raises HTTPException: 413, 408 or 400.
        """
        if self.taken:
            await self.wait()
        self.taken = True
        try:
            if not self.is_here:
                await self._read_all(spool)
        finally:
            self.end()

    async def _read_all(self, spool: bool) -> None:
        parts = self._parts = self._parts or []
        inbox = self.inbox
        while True:
            if spool and parts and self.received > _IN_MEMORY:
                await to_thread(self._write_parts)
            if inbox.complete:
                break
            if chunk := await self.next_chunk():
                parts.append(chunk)
        self.check()
        if self._spool is None:
            self._whole = b"".join(parts) if len(parts) != 1 else parts[0]
        else:
            await to_thread(self._write_parts)
        self._parts = None
        self.is_here = True

    def _write_parts(self) -> None:
        if self._spool is None:
            # Closed in close(): it lives as long as the request.
            self._spool = tempfile.TemporaryFile(prefix="erlen-body-")  # noqa: SIM115
        parts = self._parts or []
        self._spool.write(b"".join(parts))
        parts.clear()

    @property
    def inbox(self) -> Inbox:
        """What its messages are taken from."""
        if self._inbox is None:
            self._inbox = Inbox(self._receive)
            self._inbox.complete = self.is_here
        return self._inbox

    @property
    def complete(self) -> bool:
        """Whether the last piece was taken."""
        return self.is_here or (self._inbox is not None and self._inbox.complete)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield it piece by piece as it arrives; as a whole if it was read already."""
        if self._spool is not None:
            await self.read()
        if self.is_here:
            blocks = self.blocks()
            while block := await to_thread(next, blocks, b""):
                yield block
            return
        while self._parts:  # what came before a limit was reached that is higher now
            yield self._parts.pop(0)
        while chunk := await self.next_chunk():
            yield chunk

    def reader(self) -> Callable[[], Awaitable[bytes]]:
        """Begin what :meth:`chunks` does: return what gives the next piece, ``b""`` at the end."""
        if self.is_here or self._parts or self._spool is not None:
            return partial(anext, self.chunks(), b"")
        return self.next_chunk

    def check(self) -> None:
        """Refuse what is too long: what was received counts, and what was announced.

        :raises RequestEntityTooLarge: 413.
        """
        most, size = self.limits.max_content_length, self.received
        if most is None:
            return
        if size < self._announced:
            size = self._announced
        if size > most:
            raise RequestEntityTooLarge(
                f"The body has {size} bytes or more, {most} are allowed"
                " (MAX_CONTENT_LENGTH, or max_content_length= of the route)."
            )

    async def next_chunk(self) -> bytes:
        """Return the next piece that is not empty; ``b""`` at the end.

        :raises HTTPException: 413, 408 or 400.
        """
        self.check()
        inbox = self._inbox or self.inbox
        while not inbox.complete:
            patience = self._patience()
            if patience is None:
                message = await inbox.take()
            else:
                alarm = self._alarm = self._alarm or Alarm()
                alarm.set(patience)
                try:
                    message = await inbox.take()
                except CancelledError:
                    if alarm.is_over:
                        raise RequestTimeout(self._why_too_late(patience)) from None
                    raise
                finally:
                    waited = alarm.off()
                    self._waited += waited
                    self._silence += waited
                    if inbox.complete:
                        alarm.close()
            self._silence = 0.0
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("The client left before its request was complete.")
            piece: bytes = message.get("body", b"")
            if piece:
                self.received += len(piece)
                return piece
        return b""

    def _patience(self) -> float | None:
        """Return how many seconds the next piece has to arrive; ``None``: all it wants.

        What came too late once is not waited for a second time, unless the limit is another
        now. The time that the app takes between two pieces is not the client's.
        """
        limit = self.limits.body_timeout
        if limit is None:
            return None
        patience = limit - self._silence
        if rate := self.limits.body_min_rate:
            patience = min(patience, limit + self.received / rate - self._waited)
        return patience

    def _why_too_late(self, patience: float | None) -> str:
        limit, rate = self.limits.body_timeout, self.limits.body_min_rate
        if limit is None or patience == limit - self._silence:
            return f"The body did not arrive within {limit} seconds (BODY_TIMEOUT)."
        return f"The body came too slowly, with less than {rate} bytes a second (BODY_MIN_RATE)."

    async def replay(self) -> Message:
        """Receive as an ASGI app does, with a body that was read already given again."""
        if self._again is None:
            if self.received or self.complete:
                await self.read()
            self._again = self._messages_again() if self.is_here else iter(())
        if self._spool is None:
            message = next(self._again, None)
        else:
            message = await to_thread(next, self._again, None)
        return message or await self.inbox.take()

    def _messages_again(self) -> Iterator[Message]:
        for block in self.blocks():
            yield {"type": "http.request", "body": block, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    # -- in a thread -----------------------------------------------------------------------

    def need(self) -> None:
        """Make sure that it is here, for ``def`` code.

        :raises ContextError: on an event loop, which cannot wait for it.
        """
        if self.is_here:
            return
        if on_loop_thread():
            raise ContextError(
                "The body of this request was not read yet, and it cannot be waited for here: in"
                " a def step that is marked inline=True, or in a template that is rendered on"
                " the event loop. Remove inline=True, or make it async def; for a template,"
                " await the body before you render."
            )
        wait_for(self.read)

    def file(self, *, arriving: bool) -> IO[bytes]:
        """Return the one file that it is read from; if *arriving*, while it arrives."""
        if self._file is None:
            self._file = self._opened(arriving)
        return self._file

    def _opened(self, arriving: bool) -> IO[bytes]:
        if arriving and not self.is_here:
            return cast("IO[bytes]", io.BufferedReader(_Incoming(self), _BLOCK))
        self.need()
        return io.BytesIO(self._whole) if self._whole is not None else self._rewound()

    def chunks_in_thread(self, *, arriving: bool) -> AsyncGenerator[bytes, None]:
        """Yield it without ever suspending; if *arriving*, while it arrives."""
        if arriving and not self.is_here:
            return _waited_for(self.chunks())
        self.need()
        return _there_already(self.blocks())

    def reader_in_thread(self, *, arriving: bool) -> Callable[[], Callable[[], Awaitable[bytes]]]:
        """Return what :meth:`reader` is, but nothing ever suspends; if *arriving*, at once."""
        chunks = self.chunks_in_thread(arriving=arriving)
        return lambda: partial(anext, chunks, b"")

    # -- what was read ---------------------------------------------------------------------

    def blocks(self) -> Iterator[bytes]:
        """Yield what was read; from a file, block by block."""
        if self._whole is not None:
            yield self._whole
        else:
            spool = self._rewound()
            while block := spool.read(_BLOCK):
                yield block

    def data(self, keep: bool = True, as_text: bool = False) -> Any:
        """Return what was read as bytes, or text; and forget it unless it is to *keep*."""
        data = self._whole if self._whole is not None else self._rewound().read()
        if not keep:
            self._forget()
        return data.decode("utf-8", "replace") if as_text else data

    def _rewound(self) -> IO[bytes]:
        spool = cast("IO[bytes]", self._spool)
        spool.seek(0)
        return spool

    def _forget(self) -> None:
        if self._spool is not None:
            self._spool.close()
        self._whole, self._spool = b"", None

    def close(self) -> None:
        """Close the file that took it."""
        self._file = None  # one of what still arrives knows this
        if self._spool is not None:
            with suppress(OSError):  # what a full disk did not take is thrown away anyway
                self._spool.close()


def begin(receive: Receive, announced: int, limits: BodyLimits) -> bytes | Body:
    """Take all of a body if it is one message that is here, and not large. Most bodies are.

    Of any other it takes nothing, and leaves it to the :class:`Body` to refuse it or to go on.
    """
    # PERF: without the coroutines that waiting takes, without an inbox, an alarm and a check.
    most = limits.max_content_length
    if most is None or most > _IN_MEMORY:
        most = _IN_MEMORY
    if announced > most:  # not asked for, since a server may tell the client to go on
        return Body(receive, announced, limits)
    steps: Any = receive()
    if steps.__class__ is not CoroutineType:
        steps = steps.__await__()
    try:
        future = steps.send(None)
    except StopIteration as there:
        message: Message = there.value
    else:
        begun = Inbox(receive, Rest(steps, future))
        return Body(receive, announced, limits, inbox=begun)
    if message["type"] == "http.request" and not message.get("more_body", False):
        piece: bytes = message.get("body", b"")
        if piece.__class__ is bytes and len(piece) <= most:
            return piece
    inbox = Inbox(receive)
    inbox.put_back(message)
    return Body(receive, announced, limits, inbox=inbox)


class BodyStream:
    """The body of a request as it arrives; awaiting it reads the rest."""

    __slots__ = ("_chunks", "_whole")

    def __init__(
        self, chunks: Callable[[], AsyncIterator[bytes]], whole: Callable[[], Awaitable[Any]]
    ) -> None:
        self._chunks = chunks
        self._whole = whole

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    def __await__(self) -> Any:
        return self._whole().__await__()

    async def read(self) -> bytes:
        """Read all that has not been read."""
        return b"".join([chunk async for chunk in self])


def on_loop_thread() -> bool:
    """Say whether an event loop runs in this thread, which then must not wait for it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _waited_for(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield *chunks* in a thread, without ever suspending there."""

    async def take() -> bytes:
        return await anext(chunks, b"")

    while chunk := wait_for(take):
        yield chunk


async def _there_already(blocks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        if block:
            yield block


class _Incoming(io.RawIOBase):
    """A body that is still arriving, as a blocking file for one thread."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._chunks = body.chunks()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = wait_for(self._next)
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)

    async def _next(self) -> bytes:
        try:
            return await anext(self._chunks, b"")
        except BaseException:
            # A generator is over after an error. The body is not: it goes on, or fails again.
            if not self._body.is_here:
                self._chunks = self._body.chunks()
            raise
