"""Ending this process, whatever hangs in it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

__all__ = ["end_soon"]


def end_soon(code: int, seconds: float = 1.0) -> threading.Timer:
    """End this process with exit code *code* in *seconds*, unless the timer is cancelled."""
    timer = threading.Timer(seconds, _end, (code,))
    timer.daemon = True
    timer.start()
    return timer


def _end(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)
