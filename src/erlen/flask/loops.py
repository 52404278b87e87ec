"""Another event loop, in a thread beside the one that serves. Knows nothing of apps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from ..concurrency import Owner

__all__ = ["OwnLoop"]


class OwnLoop:
    """A loop in a thread, for async views that would block the one that serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def wait_for(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Run *function* on this loop, from a thread, and wait for it."""
        return Owner(self._started()).wait_for(function, *args, **kwargs)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # A process that was forked has the loop and not its thread.
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = loop = asyncio.new_event_loop()
                name = "erlen-flask-loop"
                self._thread = threading.Thread(target=loop.run_forever, name=name, daemon=True)
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """End the loop and its thread; a later call starts another one."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
