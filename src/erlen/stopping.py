"""How an app learns that its server is about to stop. Knows signals; knows no app.

A server that gets a signal waits until nothing is served any more before it tells the app, and
an open stream is served for ever. So an app listens to the signals itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["SERVER", "Arrangement", "hearing_signals"]

SERVER = "erlen.server"
"""Where a server puts its :class:`Arrangement` into the state of the lifespan."""


class Arrangement:
    """What a server and the app it serves agree on, without knowing each other."""

    __slots__ = ("begin_drain", "grace")

    def __init__(self, grace: float | None = None) -> None:
        self.grace = grace
        """Seconds that open requests have; ``None`` leaves it to the app, which says it here."""
        self.begin_drain: Callable[[], None] | None = None
        """What the server calls when it stops without a signal; ``None``: the app knows none."""


@contextmanager
def hearing_signals(begin: Callable[[], None]) -> Generator[None]:
    """Call *begin* too when this process is asked to end, in the time of the block.

    Only where somebody handles the signal already: a process that a signal kills is still
    killed. Signals reach the main thread alone, so elsewhere nothing is heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    chained = [_chain(number, begin) for number in _numbers()]
    try:
        yield
    finally:
        for unchain in chained:
            unchain()


def _numbers() -> list[int]:
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _chain(number: int, begin: Callable[[], None]) -> Callable[[], Any]:
    before = signal.getsignal(number)
    if not callable(before) or before is signal.default_int_handler:
        return lambda: None
    then = before
    over = False

    def told(number: int, frame: FrameType | None) -> None:
        if not over:
            with suppress(RuntimeError):  # the loop was closed: nothing is served any more
                begin()
        then(number, frame)

    def unchain() -> None:
        nonlocal over
        over = True
        if signal.getsignal(number) is told:  # else somebody came after this, and calls it
            signal.signal(number, before)

    signal.signal(number, told)
    return unchain
