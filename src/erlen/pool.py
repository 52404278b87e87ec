"""The worker threads of one event loop. Knows calls; knows nothing of requests or colours."""

from __future__ import annotations

import asyncio
import threading
from asyncio import CancelledError, Future
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import get_ident
from typing import Any, TypeVar, cast

from .proxies import current
from .waker import Waker

__all__ = ["Job", "PoolFull", "WorkerPool", "call_here", "interrupt", "is_forsaken"]

T = TypeVar("T")

_calls: dict[int, Job] = {}
"""The calls that are made now, by their threads."""


class PoolFull(Exception):
    """No thread is free and as many requests wait for one as may."""


class Job(Future[Any]):
    """One call on its way through a thread and back: to be awaited by whoever wants it.

    A cancel waits for the thread, because nothing may be torn down under one that runs. A call
    that no thread has taken yet is dropped; a coroutine that the thread waits for is cancelled.
    """

    # PERF: slots for what every call has, defaults in the class for what few have (0.4 us of
    # each hop, bench/pool.py), and no __init__ of our own (0.5 us).
    __slots__ = ("call", "error", "served", "value")

    call: Callable[..., Any]
    served: Any
    """The context of the request whose call this is."""
    value: Any
    error: BaseException | None
    line: deque[Job] | None = None
    """Where it waits for a thread; ``None``: a thread has it."""
    owner: Any = None
    """Who makes it in a thread that waits; ``None``: a thread of the pool."""
    errand: Any = None
    """What its thread waits for on the loop, if that thread owns no request."""
    early = False
    _unwanted = _told = False
    _message: Any = None
    _taken: SimpleQueue[bool] | None = None
    _end: Future[None] | None = None

    def run(self) -> None:
        """Make the call, in whatever thread this is."""
        try:
            self.value = self.call(self._hand_over) if self.early else self.call()
            self.error = None
        except BaseException as error:
            self.error = error
            del self  # this frame is in the traceback of the error

    def _hand_over(self, result: Any) -> bool:
        """Deliver *result* while the call goes on; false if nobody waits for it any more."""
        taken = self._taken = SimpleQueue()
        self.get_loop().call_soon_threadsafe(self._deliver_early, result)
        return taken.get()

    def _deliver_early(self, result: Any) -> None:
        if self._unwanted or self.done():
            cast("SimpleQueue[bool]", self._taken).put(False)
        else:
            self.set_result(result)

    def deliver(self) -> None:
        """Hand the outcome to whoever awaits it; on the loop."""
        error, self.error = self.error, None
        if self._end is not None and not self._end.done():
            self._end.set_result(None)
        if self.done():
            return
        if self._unwanted:
            super().cancel(self._message)
        elif error is None:
            self.set_result(self.value)
        elif isinstance(error, StopIteration):
            # A future refuses a bare StopIteration, as a coroutine does.
            self.set_exception(RuntimeError("a def step raised StopIteration"))
        else:
            self.set_exception(error)

    def cancel(self, msg: Any = None) -> bool:
        """Drop the call, or note that it is not wanted and let its thread finish."""
        if self.line is not None:
            self.line.remove(self)
            self.line = None
            return super().cancel(msg)
        if self.done() or is_forsaken(self.served):
            return super().cancel(msg)
        self._unwanted, self._message = True, msg
        self._interrupt()
        return True

    def wait_for(self, errand: Any) -> None:
        """Note what the thread waits for; a cancel that came before is for this; on the loop."""
        self.errand = errand
        if self._unwanted and not self._told:
            self._interrupt()

    def _interrupt(self) -> None:
        if self.errand is not None:
            self._told = True
            self.errand.cancel()
        elif self.owner is not None:
            self.owner.interrupt(self)
        else:
            interrupt(self.served)

    async def outcome(self) -> Any:
        """Wait for a result that may come early, and tell the thread whether it was taken."""
        try:
            result = await self
        except BaseException as error:
            if self._taken is not None:
                self._taken.put(False)
                if isinstance(error, CancelledError) and not self.cancelled():
                    await self._until_over()
            raise
        if self._taken is not None:
            self._taken.put(True)
        return result

    async def _until_over(self) -> None:
        """Wait for the thread, after a cancel that came between its result and its end."""
        self._interrupt()
        self._end = self.get_loop().create_future()
        while not (self._end.done() or is_forsaken(self.served)):
            try:
                await asyncio.shield(self._end)
            except CancelledError:
                self._interrupt()


class WorkerPool:
    """The threads in which ``def`` code of one event loop runs.

    *size* threads at most for calls that were not admitted yet, *queue* such calls may
    wait; threads that were idle for *idle* seconds go away.

    Both ways there is one wake-up for many calls. Towards the loop, calls that are over are
    gathered until it comes for them. Towards the threads, one of them at a time is on its way.
    One that finds more than it takes wakes the loop before it makes its first call, not after
    the last: a loop that then still sees calls nobody took has got the GIL meanwhile, so a
    call blocks, and it sends for a second thread. From there on each thread that comes sends
    for the next one, until one came for nothing. So brief calls are made by one thread, one
    after the other, and calls that block get a thread each.
    """

    def __init__(self, *, size: int = 40, queue: int = 1000, idle: float = 5.0) -> None:
        self.size = size
        self.queue = queue
        self.idle = idle
        self.loop = asyncio.get_running_loop()
        self.busy = 0
        """Calls that a thread has or is to have, and that are not delivered; the loop counts."""
        self._waiting: deque[Job] = deque()
        self._jobs: deque[Job] = deque()
        self._finished: deque[Job] = deque()
        self._waker = Waker(self.loop, self._deliver)
        self._waking = False
        self._members: set[threading.Thread] = set()
        self._growing = threading.Lock()
        # The last to stop is the first to be called: its stack is still in the cache, and those
        # that are not needed grow old.
        self._idle: list[threading.Lock] = []
        self._coming = False
        self._blocking = False
        self._closed = False

    @property
    def threads(self) -> int:
        """The number of threads that there are."""
        return len(self._members)

    def run(
        self, call: Callable[..., T], *, admitted: bool = False, early: bool = False
    ) -> Awaitable[T]:
        """Make *call* in a thread; to await what it returns.

        An *admitted* call never queues: it gets a free thread or an extra one. With *early*
        the call is given a function that hands over the result before the call is over.

        :raises PoolFull: if every thread is busy and the queue is full.
        """
        job = Job(loop=self.loop)
        job.call, job.served = call, current.get()
        if early:
            job.early = True
        if admitted or self.busy < self.size:
            self._start(job)
        elif len(self._waiting) < self.queue:
            job.line = self._waiting
            self._waiting.append(job)
        else:
            raise PoolFull(
                f"All {self.size} threads (SYNC_WORKERS) are busy and {self.queue} requests"
                " (SYNC_QUEUE) already wait for one."
            )
        return job.outcome() if early else job

    def _start(self, job: Job) -> None:
        self.busy += 1
        self._jobs.append(job)
        if not self._coming:
            self._call_a_thread()

    def _call_a_thread(self) -> None:
        """Send for one more thread: an idle one, or a new one if every other has a call."""
        # Two threads that raise this flag at once call one too many, which finds nothing.
        self._coming = True
        try:
            self._idle.pop().release()
        except IndexError:
            self._coming = False
            self._grow()

    def _grow(self) -> None:
        """Start one more thread; if the system has none left, those that there are have to do."""
        with self._growing:
            if len(self._members) >= self.busy:
                return  # one has no call: before it rests, it looks for one
            if not self._members:
                self._waker.open()
            thread = threading.Thread(target=self._work, name="erlen-worker", daemon=True)
            self._members.add(thread)
            self._coming = True
            try:
                thread.start()
            except RuntimeError as error:
                self._coming = False
                self._members.discard(thread)
                if not self._members:
                    self._waker.close()
                    self.busy -= 1
                    self._jobs.pop()
                    raise PoolFull(f"No thread could be started: {error}.") from error

    def _work(self) -> None:
        """Make calls until there was none for a while; in a thread of the pool."""
        jobs, finished, turn = self._jobs, self._finished, threading.Lock()
        here = get_ident()
        turn.acquire()
        while True:
            self._coming = False
            if finished and not self._waking:
                self._wake_the_loop()
            if not jobs:
                self._blocking = False
            while jobs:
                try:
                    job = jobs.popleft()
                except IndexError:
                    break
                # Neither the calls that are left nor those that are over may wait for this one.
                if (jobs or finished) and not self._coming:
                    if jobs and self._blocking:
                        self._call_a_thread()
                    elif not self._waking:
                        self._wake_the_loop()
                _calls[here] = job
                job.run()
                del _calls[here]
                finished.append(job)
                del job
            if self._rest(turn):
                return

    def _rest(self, turn: threading.Lock) -> bool:
        """Wait to be called; true if this thread is to go home."""
        self._idle.append(turn)
        # PERF: last of all, because the loop then wants the GIL. Nothing is left to do with it.
        if self._finished and not self._waking:
            self._wake_the_loop()
        # Nobody could call this thread before it rested.
        if self._jobs and not self._coming:
            self._call_a_thread()
        nobody_calls = self._closed or self.loop.is_closed()
        if turn.acquire(timeout=0 if nobody_calls else self.idle):
            return False
        # In this order: a thread that counts can be called.
        me = threading.current_thread()
        self._members.discard(me)
        try:
            self._idle.remove(turn)
        except ValueError:  # called at the last moment
            self._members.add(me)
            turn.acquire()
            return False
        if not self._members:
            with suppress(RuntimeError):  # the loop was closed
                self.loop.call_soon_threadsafe(self._be_quiet)
        return True

    def _be_quiet(self) -> None:
        self._deliver()  # the last thread may have asked for that as well
        if not self._members:
            self._waker.close()

    def _wake_the_loop(self) -> None:
        self._waking = True
        try:
            self._waker.wake()
        except RuntimeError:  # the loop was closed: nobody waits any more
            self._closed = True

    def _deliver(self) -> None:
        # Cleared first: a job that is appended after the last popleft wakes the loop again.
        self._waking = False
        finished = self._finished
        while finished:
            job = finished.popleft()
            self.busy -= 1
            job.deliver()
        while self._waiting and self.busy < self.size:
            job = self._waiting.popleft()
            job.line = None
            self._start(job)
        if self._jobs and not self._coming:
            self._blocking = True
            self._call_a_thread()

    async def close(self, timeout: float | None = None) -> int:
        """Wait for the calls that run, up to *timeout* seconds, then let every thread end.

        :returns: how many calls were still running. Nobody waits for their threads, which
            end with the process at the latest.
        """
        patience = None if timeout is None else self.loop.time() + timeout
        while self.busy or self._waiting:
            if patience is not None and self.loop.time() >= patience:
                break
            await asyncio.sleep(0.005)
        with self._growing:  # no thread that is only about to start
            self._closed = True
            members = list(self._members)
        with suppress(IndexError):  # each of them may go home by itself meanwhile
            while True:
                self._idle.pop().release()
        if not self.busy:
            for thread in members:
                thread.join()
        return self.busy


def call_here() -> Job | None:
    """Return the call that this thread of a pool makes; ``None`` in any other thread."""
    return _calls.get(get_ident())


def interrupt(served: Any) -> None:
    """Cancel what the thread of the request *served* waits for; on the loop.

    A thread itself cannot be cancelled. It goes on, with a ``CancelledError`` where it waited.
    """
    owner = getattr(served, "owner", None)
    if owner is not None:
        owner.interrupt()


def is_forsaken(served: Any) -> bool:
    """Say whether nobody waits any more for the threads of the request *served*."""
    return getattr(served, "forsaken", False)
