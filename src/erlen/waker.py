"""How threads wake an event loop. Knows loops; knows nothing of what they are woken for."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import Context as Variables
from functools import partial

__all__ = ["Waker"]


class Waker:
    """Lets any thread have *function* called on *loop*, once or more for all who ask until then.

    PERF: ``call_soon_threadsafe`` makes a handle for each call, writes to a socket, and has the
    loop look twice before it makes the call. A counter of the system that the loop polls
    itself, as it polls connections, costs each hop less (bench/pool.py prints what one takes).
    Where the loop polls none (Windows) or the system has none (macOS), this asks the loop.
    """

    __slots__ = ("_counter", "_function", "_loop", "wake")

    def __init__(self, loop: AbstractEventLoop, function: Callable[[], object]) -> None:
        self._loop = loop
        self._function = function
        self._counter: int | None = None
        self.wake: Callable[[], object] = partial(loop.call_soon_threadsafe, function)
        """Ask for the call; in any thread. A loop that is closed may be a ``RuntimeError``."""

    def open(self) -> None:
        """Have the loop poll, until :meth:`close`; on the loop."""
        if self._counter is not None or not hasattr(os, "eventfd"):
            return
        try:
            counter = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:  # there is none left
            return
        try:
            # In no variables: those of the request that is served now would stay with the loop.
            Variables().run(self._loop.add_reader, counter, self._woken, counter)
        except NotImplementedError:
            os.close(counter)
            return
        self._counter = counter
        self.wake = partial(os.eventfd_write, counter, 1)

    def close(self) -> None:
        """Poll no more; on the loop, when no thread may ask in this moment."""
        if self._counter is None:
            return
        self.wake = partial(self._loop.call_soon_threadsafe, self._function)
        self._loop.remove_reader(self._counter)
        os.close(self._counter)
        self._counter = None

    def __del__(self) -> None:
        # The loop was closed before its threads were gone.
        if self._counter is not None:
            os.close(self._counter)

    def _woken(self, counter: int) -> None:
        # Read first: who asks from now on asks anew.
        os.eventfd_read(counter)
        self._function()
