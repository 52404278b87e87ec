"""The worker threads of one event loop. Knows calls; knows nothing of requests or colours."""

from __future__ import annotations

import asyncio
import threading
from asyncio import CancelledError, Future
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from .proxies import current

__all__ = ["Job", "PoolFull", "WorkerPool", "interrupt", "is_forsaken"]

T = TypeVar("T")


class PoolFull(Exception):
    """No thread is free and as many requests wait for one as may."""


class Job(Future[Any]):
    """One call on its way through a thread and back: to be awaited by whoever wants it.

    A cancel waits for the thread, because nothing may be torn down under one that runs. A call
    that no thread has taken yet is dropped; a coroutine that the thread waits for is cancelled.
    """

    # PERF: attributes with defaults here, and no __init__ of our own: 0.5 us of each hop.
    call: Callable[..., Any]
    served: Any = None
    """The context of the request whose call this is."""
    line: deque[Job] | None = None
    """Where it waits for a thread; ``None``: a thread has it."""
    early = False
    value: Any = None
    error: BaseException | None = None
    _unwanted = False
    _message: Any = None
    _taken: SimpleQueue[bool] | None = None
    _end: Future[None] | None = None

    def run(self) -> None:
        """Make the call, in whatever thread this is."""
        try:
            self.value = self.call(self._hand_over) if self.early else self.call()
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
        interrupt(self.served)
        return True

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
        interrupt(self.served)
        self._end = self.get_loop().create_future()
        while not (self._end.done() or is_forsaken(self.served)):
            try:
                await asyncio.shield(self._end)
            except CancelledError:
                interrupt(self.served)


class WorkerPool:
    """The threads in which ``def`` code of one event loop runs.

    All bookkeeping happens on the loop, so there is no lock: a thread takes a job from the
    inbox, appends it to the finished ones and wakes the loop, once per batch.

    *size* threads at most for calls that were not admitted yet, *queue* such calls may
    wait; threads that were idle for *idle* seconds go away.
    """

    def __init__(self, *, size: int = 40, queue: int = 1000, idle: float = 5.0) -> None:
        self.size = size
        self.queue = queue
        self.idle = idle
        self.threads = 0
        self.busy = 0
        self._peak = 0
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._finished: deque[Job] = deque()
        self._waiting: deque[Job] = deque()
        self._waking = False
        self._shrinking: asyncio.TimerHandle | None = None
        self._members: set[threading.Thread] = set()

    def run(
        self, call: Callable[..., T], *, admitted: bool = False, early: bool = False
    ) -> Awaitable[T]:
        """Make *call* in a thread; to await what it returns.

        An *admitted* call never queues: it gets a free thread or an extra one. With *early*
        the call is given a function that hands over the result before the call is over.

        :raises PoolFull: if every thread is busy and the queue is full.
        """
        job = Job(loop=self._loop)
        job.call, job.early, job.served = call, early, current.get()
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
        if self.busy >= self.threads:
            self._grow()
        job.line = None
        self.busy += 1
        if self.busy > self._peak:
            self._peak = self.busy
        self._inbox.put(job)

    def _grow(self) -> None:
        """Start one more thread; if the system has none left, those that there are have to do."""
        thread = threading.Thread(target=self._work, name="erlen-worker", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self.threads:
                raise PoolFull(f"No thread could be started: {error}.") from error
            return
        self.threads += 1
        self._members.add(thread)
        if self._shrinking is None:
            self._shrink_later()

    def _shrink_later(self) -> None:
        # In no variables: those of the request that is served now would stay with the timer.
        self._shrinking = self._loop.call_later(self.idle, self._shrink, context=Context())

    def _work(self) -> None:
        while (job := self._take()) is not None:
            job.run()
            self._finished.append(job)
            if not self._waking:
                self._waking = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop was closed: nobody waits any more
                    return
            del job

    def _take(self) -> Job | None:
        """Wait for a job; ``None`` sends the thread home."""
        while True:
            try:
                return self._inbox.get(timeout=2 * self.idle)
            except Empty:
                # A loop that was closed without its pool sends nobody home.
                if self._loop.is_closed():
                    return None

    def _deliver(self) -> None:
        # Cleared first: a job that is appended after the last popleft wakes the loop again.
        self._waking = False
        while self._finished:
            job = self._finished.popleft()
            self.busy -= 1
            job.deliver()
        while self._waiting and self.busy < self.size:
            self._start(self._waiting.popleft())

    def _shrink(self) -> None:
        """Send home the threads that nothing needed since the last look."""
        for _ in range(self.threads - max(self._peak, self.busy)):
            self.threads -= 1
            self._inbox.put(None)
        self._peak = self.busy
        self._members = {thread for thread in self._members if thread.is_alive()}
        self._shrinking = None
        if self.threads:
            self._shrink_later()

    async def close(self, timeout: float | None = None) -> int:
        """Wait for the calls that run, up to *timeout* seconds, then let every thread end.

        :returns: how many calls were still running. Nobody waits for their threads, which
            end with the process at the latest.
        """
        patience = None if timeout is None else self._loop.time() + timeout
        while self.busy or self._waiting:
            if patience is not None and self._loop.time() >= patience:
                break
            await asyncio.sleep(0.005)
        if self._shrinking is not None:
            self._shrinking.cancel()
            self._shrinking = None
        for _ in range(self.threads):
            self._inbox.put(None)
        self.threads = 0
        if not self.busy:
            for thread in self._members:
                thread.join()
        self._members.clear()
        return self.busy


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
