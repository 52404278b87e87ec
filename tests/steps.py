"""Counts the steps that Python takes: what grows too fast shows on every machine alike."""

from __future__ import annotations

import gc
import sys
from typing import Any


def steps_of(function: Any, *args: Any, **kwargs: Any) -> int:
    """Return how many lines, calls and returns one call of *function* takes."""
    steps = 0

    def count(frame: Any, event: str, arg: Any) -> Any:
        nonlocal steps
        steps += 1
        return count

    before = sys.gettrace()
    gc.disable()  # else what other tests left behind is closed here, and counted
    sys.settrace(count)
    try:
        function(*args, **kwargs)
    finally:
        sys.settrace(before)
        gc.enable()
    return steps
