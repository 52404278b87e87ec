"""Waiting for something, and no longer than a while. Knows asyncio; knows no request."""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from time import monotonic
from typing import Any, Generic, TypeVar, cast

__all__ = ["Alarm", "Rest", "Within", "current_task", "is_cancelled"]

T = TypeVar("T")

current_task: Callable[[AbstractEventLoop], Task[Any] | None]
if sys.version_info >= (3, 12):
    current_task = asyncio.current_task
else:
    # PERF: what asyncio.current_task asks, which is written in Python up to 3.11: 26 ns
    # instead of 130 (timeit).
    current_task = cast(Any, asyncio.tasks)._current_tasks.get


class Within(Generic[T]):
    """What *awaitable* returns, if it is there within so many *seconds*.

    There is no task, and no timer for what need not be waited for: a body whose pieces have
    arrived is read as fast as without a limit. *unless* is called when the time is over; if
    it is true, *awaitable* goes on. ``None`` seconds are for ever.

    :raises TimeoutError: when the time is over; *awaitable* was cancelled and has ended.
    """

    __slots__ = ("_awaitable", "_future", "_late", "_seconds", "_told", "_unless", "waited")

    def __init__(
        self,
        awaitable: Awaitable[T],
        seconds: float | None,
        *,
        unless: Callable[[], bool] | None = None,
    ) -> None:
        self._awaitable = awaitable
        self._unless = unless
        self._seconds = seconds
        self._future: Any = None
        self._late = self._told = False
        self.waited = 0.0
        """How many seconds it took."""

    @property
    def is_over(self) -> bool:
        """Whether *awaitable* was cancelled, because the time was over."""
        return self._told

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._awaitable.__await__()
        try:
            future = steps.send(None)
        except StopIteration as stop:
            value: T = stop.value
            return value
        return (yield from self._wait(steps, future))

    def _wait(self, steps: Generator[Any, Any, T], future: Any) -> Generator[Any, Any, T]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        timer: asyncio.TimerHandle | None = None
        if self._seconds is not None:
            # In no variables: the loop keeps a timer that was cancelled for a while.
            timer = loop.call_later(self._seconds, self._give_up, context=Context())
        try:
            return (yield from self._go_on(steps, future))
        except CancelledError:
            if self._told and not is_cancelled():
                raise TimeoutError from None
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._future = self._unless = None
            self.waited = loop.time() - began

    def _go_on(self, steps: Generator[Any, Any, T], future: Any) -> Generator[Any, Any, T]:
        """Run *steps* to their end, as ``yield from`` does, and know what they wait for."""
        resume: Callable[[Any], Any]
        argument: Any
        while True:
            self._future = future
            if self._late and not self._told:
                self._tell()
            try:
                yield future
                if self._late and not self._told and future is None:
                    self._told = True
                    raise CancelledError
            except BaseException as error:
                resume, argument = steps.throw, error
            else:
                resume, argument = steps.send, None
            try:
                future = resume(argument)
            except StopIteration as stop:
                value: T = stop.value
                return value
            finally:
                del argument  # an error knows this frame, and the two would stay

    def _give_up(self) -> None:
        if self._unless is not None and self._unless():
            return
        self._late = True
        self._tell()

    def _tell(self) -> None:
        # Without a future it only gave way to others, and goes on without us.
        self._told = self._future is not None and self._future.cancel()


class Rest(Generic[T]):
    """What is left of an awaitable whose first of *steps* waits for *future*."""

    __slots__ = ("_future", "_steps")

    def __init__(self, steps: Generator[Any, Any, T], future: Any) -> None:
        self._steps = steps
        self._future = future

    def __await__(self) -> Generator[Any, Any, T]:
        steps, future = self._steps, self._future
        try:
            while True:
                try:
                    yield future
                except BaseException as error:
                    future = steps.throw(error)
                else:
                    future = steps.send(None)
        except StopIteration as stop:
            value: T = stop.value
            return value


class Alarm:
    """Cancels the task that waits too long; one timer serves one wait after another.

    PERF: what is waited for comes long before its time is over, mostly. So no wait sets a timer
    of its own: the one that there is, is put off when it goes off too early.
    """

    __slots__ = ("_before", "_began", "_due", "_loop", "_task", "_timer", "_went_off")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._began = self._due = 0.0
        self._before = 0
        self._went_off = False

    def set(self, seconds: float) -> None:
        """Begin a wait of this task, which may take so many *seconds*."""
        self._task = task = cast("Task[Any]", current_task(self._loop))
        self._before = task.cancelling()
        self._began = monotonic()
        due = self._began + seconds
        if self._timer is None or due < self._due:
            self._set_timer(seconds)
        self._due = due

    def off(self) -> float:
        """End the wait; return how many seconds it took."""
        if self._went_off:
            self._went_off = False
            self._task.uncancel()
        self._task = None
        return monotonic() - self._began

    @property
    def is_over(self) -> bool:
        """Whether the time of this wait is over, and nobody else has cancelled its task."""
        return self._went_off and self._task.cancelling() <= self._before + 1

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, seconds: float) -> None:
        self.close()
        # In no variables: the loop keeps a timer that was cancelled for a while.
        self._timer = self._loop.call_later(seconds, self._ring, context=Context())

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return  # the next wait sets a timer
        left = self._due - monotonic()
        if left > 0:
            self._set_timer(left)
        else:
            self._went_off = True
            self._task.cancel()


def is_cancelled() -> bool:
    """Say whether somebody wants this task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
