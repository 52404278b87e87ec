"""Connections that wait too long for a request. Knows no parser and sets no timer per request.

uvicorn closes a connection some seconds after a response, unless a byte comes. It has no limit
for the first request, nor for the rest of a head that has begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol
from weakref import WeakKeyDictionary, ref

__all__ = ["Waiting", "watch_over"]


class Connection(Protocol):
    """What is looked at; the names are uvicorn's."""

    cycle: Any
    """The exchange that is going on, or was the last one; ``None`` before the first."""
    timeout_keep_alive_task: asyncio.TimerHandle | None
    """Closes the connection after a response; gone when anything comes."""
    transport: asyncio.Transport
    waiting: Waiting
    """Since when it waits, as far as that was seen."""


class Waiting:
    """Since when one connection waits for the head of a request."""

    __slots__ = ("_after", "_since")

    def __init__(self, now: float) -> None:
        self._after: ref[Any] | None = None
        self._since = now

    def seconds(self, connection: Connection, now: float) -> float:
        """Return how long *connection* has waited, as far as two looks can say."""
        cycle = connection.cycle
        is_busy = cycle is not None and not cycle.response_complete
        after = self._after() if self._after is not None else None
        if is_busy or cycle is not after or connection.timeout_keep_alive_task is not None:
            # Weakly, for an exchange that is over shall not be kept.
            self._after = ref(cycle) if cycle is not None else None
            self._since = now
        return now - self._since


_watched: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def watch_over(server_state: Any, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
    """Close connections of a server that wait more than *timeout* seconds for a head.

    Called for each new connection; one timer looks at all of them, four times in *timeout*,
    as long as there are any. ``None`` lets them wait.
    """
    if timeout is None or server_state in _watched:
        return
    _watched[server_state] = True

    def look() -> None:
        _close_late(server_state.connections, loop.time(), timeout)
        if server_state.connections:
            loop.call_later(timeout / 4, look)
        else:
            del _watched[server_state]

    loop.call_later(timeout / 4, look)


def _close_late(connections: Iterable[Any], now: float, timeout: float) -> None:
    for connection in list(connections):
        # Websockets are among them, and have pings.
        waiting: Waiting | None = getattr(connection, "waiting", None)
        if waiting is not None and waiting.seconds(connection, now) >= timeout:
            connection.transport.close()
