"""Bodies between a loop and the thread of a WSGI app: bounded, in both directions."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import deque
from typing import Any, cast

from ..bodies import Body
from ..concurrency import Owner
from ..exceptions import ClientDisconnected, RequestTimeout
from ..proxies import current

__all__ = ["AHEAD", "Answer", "ClientLeft", "Upload", "receive_ahead"]

AHEAD = 64 * 1024
"""Bytes of a body that are on their way between the loop and the thread, in each direction."""


class ClientLeft(ConnectionError):
    """The client has left: in the middle of its upload, or of the response."""


class TooSlow(TimeoutError):
    """No more of a body arrived in time."""


class Arriving:
    """The body of a request on the loop: what is there, and what still comes."""

    __slots__ = ("_body", "ahead", "failure")

    def __init__(self, body: Body) -> None:
        self._body = body
        self.ahead: list[bytes] = []
        self.failure: OSError | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing comes any more."""
        return self._body.complete or self.failure is not None

    async def take(self) -> bytes:
        """Return the next piece; ``b""`` at the end.

        :raises OSError: if there is none because the client left, or is too slow.
        """
        if self.failure is None:
            try:
                return await self._body.next_chunk()
            except ClientDisconnected as error:
                self.failure = ClientLeft(error.description)
            except RequestTimeout as error:
                self.failure = TooSlow(error.description)
        raise self.failure


async def receive_ahead(body: Body) -> Arriving:
    """Receive the beginning of a body, so that a small one that comes slowly takes no thread.

    What goes wrong is kept for who reads it.
    """
    arriving = Arriving(body)
    size = 0
    try:
        while size < AHEAD and (piece := await arriving.take()):
            arriving.ahead.append(piece)
            size += len(piece)
    except OSError:
        pass
    return arriving


class Upload(io.RawIOBase):
    """The body of a request as a file that is read in a thread; the loop is asked for each piece.

    To be read through an ``io.BufferedReader``.
    """

    def __init__(self, arriving: Arriving, owner: Owner) -> None:
        self._arriving = arriving
        self._owner = owner
        self._thread = threading.get_ident()
        self._left = memoryview(b"".join(arriving.ahead))
        arriving.ahead.clear()

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* with what comes next; 0 at the end.

        :raises OSError: if the body ends too early.
        """
        if not self._left:
            self._left = memoryview(self._next())
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _next(self) -> bytes:
        if threading.get_ident() == self._thread:
            return self._owner.wait_for(self._arriving.take)
        # The app reads it in a thread of its own.
        return asyncio.run_coroutine_threadsafe(self._arriving.take(), self._owner.loop).result()


class Answer:
    """The body of a response, put together in the thread and sent by the loop meanwhile.

    The thread waits while more than *ahead* bytes are not sent. The loop is woken once for
    all that came since it last looked.
    """

    def __init__(self, owner: Owner, ahead: int) -> None:
        self._owner = owner
        self._ahead = ahead
        self._pieces: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._over = asyncio.Event()
        self._waking = False
        self._waits = False
        # Each of the two is written by one side only.
        self._put = 0
        self._sent = 0
        self._finished = False
        self.closed = False
        """Whether nobody wants the rest."""
        self.error: BaseException | None = None

    # -- in the thread ---------------------------------------------------------------------

    def put(self, piece: bytes) -> None:
        """Let the loop send *piece*; waits while too much is on its way.

        :raises ClientLeft: if nobody wants it.
        """
        if not self.closed:
            self._put += len(piece)
            self._pieces.append(piece)
            self._wake()
            if not self.done:
                self._waits = True
                self._owner.work_until(self)
                self._waits = False
        if self.closed:
            raise ClientLeft("The client left before its response was complete.")

    @property
    def done(self) -> bool:
        """Whether there is room again."""
        return self.closed or self._put - self._sent <= self._ahead

    def finish(self, error: BaseException | None) -> None:
        """Say that the thread is done, with *error* if it failed."""
        self.error = error
        self._finished = True
        self._owner.loop.call_soon_threadsafe(self._end)

    def _count(self, size: int) -> None:
        self._sent += size

    def _wake(self) -> None:
        if not self._waking:
            self._waking = True
            self._owner.loop.call_soon_threadsafe(self._arrived.set)

    def _end(self) -> None:
        self._arrived.set()
        self._over.set()

    # -- on the loop -----------------------------------------------------------------------

    async def take(self) -> bytes:
        """Return what has come; ``b""`` when the thread is done.

        :raises BaseException: what the app raised.
        """
        while not self._pieces:
            # Pieces again: the thread may have put its last one and finished in between.
            if self._finished and not self._pieces:
                if self.error is not None:
                    raise self._forget_error()
                return b""
            # Cleared before the look at what is there: what comes later wakes again.
            self._arrived.clear()
            self._waking = False
            if not self._pieces and not self._finished:
                await self._arrived.wait()
        size, batch = 0, list[bytes]()
        while self._pieces and size < AHEAD:
            batch.append(self._pieces.popleft())
            size += len(batch[-1])
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def _forget_error(self) -> BaseException:
        """Return the error, and forget it: it knows the frames that know this."""
        error, self.error = self.error, None
        return cast(BaseException, error)

    def sent(self, size: int) -> None:
        """Make room for as many bytes."""
        if self._ahead:
            self._sent += size
            self._let_go()
        else:  # in the thread, so that it has sent before what it was given to send
            self._owner.post(lambda: self._count(size))

    async def aclose(self) -> None:
        """Let the thread stop, and wait until it has, also when cancelled."""
        self.closed = True
        self._let_go()
        cancelled: asyncio.CancelledError | None = None
        if not self._finished:
            self._owner.interrupt()
        # Where the server stops, nobody waits for ever for an app that hangs.
        while not self._over.is_set() and not getattr(current.get(), "forsaken", False):
            try:
                await self._over.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                self._owner.interrupt()
        if cancelled is not None:
            raise cancelled

    def _let_go(self) -> None:
        if self._waits and self.done:
            self._owner.post(_nothing)


def _nothing() -> None:
    """Wake a thread that waits for its inbox."""
