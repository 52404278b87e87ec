"""Ctrl+C while a process starts: it waits until somebody is there to answer it.

A terminal sends it to parent and children alike, and a child that is still importing would
answer with a traceback. So children are started with the signal blocked, which they inherit.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["accept_ctrl_c", "holding_back_ctrl_c"]


@contextmanager
def holding_back_ctrl_c() -> Generator[None]:
    """Let a Ctrl+C wait until the end of the block, and in processes that start there."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def accept_ctrl_c() -> None:
    """Answer a Ctrl+C from here on, and one that came since this process was started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
