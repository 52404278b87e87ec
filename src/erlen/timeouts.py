"""Waiting for something, and no longer than a while. Knows asyncio; knows no request."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar, cast

__all__ = ["Rest", "Within"]

T = TypeVar("T")


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
            if self._told and not _is_cancelled():
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

    def _give_up(self) -> None:
        if self._unless is not None and self._unless():
            return
        self._late = True
        self._tell()

    def _tell(self) -> None:
        # Without a future it only gave way to others, and goes on without us.
        self._told = self._future is not None and self._future.cancel()


class Rest(Within[T]):
    """What is left of an awaitable whose first of *steps* waits for *future*."""

    __slots__ = ("_begun",)

    def __init__(self, steps: Generator[Any, Any, T], future: Any, seconds: float | None) -> None:
        super().__init__(cast("Awaitable[T]", steps), seconds)
        self._begun = steps, future

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait(*self._begun)


def _is_cancelled() -> bool:
    """Say whether somebody else wants this task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
