"""One write for each response: its head waits for the body. Knows no parser."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["OneWrite"]


class OneWrite:
    """The transport that the responses of one connection are written to.

    It keeps the head of a response until the first piece of the body comes, and writes both
    together. A head whose body is not there yet when the event loop turns goes alone, so that
    nobody waits for it: an app that has to think about its first piece says so by waiting.
    """

    __slots__ = ("_head", "_heads", "_loop", "_started", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._heads = _heads.setdefault(loop, _Heads())
        self._head: bytes | None = None
        self._started = False

    def write(self, data: bytes) -> None:
        """Write what is not the head of a response, together with that if it still waits."""
        head = self._head
        if head is not None:
            self._head = None
            # Not writelines(): before CPython's gh-127655, asyncio of 3.12 and 3.13 does not hold
            # back who writes with it. A copy of 1 MB takes 0.05 ms (timeit).
            self._transport.write(head + data)
        elif self._started or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        else:
            self._started = True
            self._head = data
            self._heads.add(self, self._loop)

    def flush(self) -> None:
        """Write the head, if it still waits."""
        head = self._head
        if head is not None:
            self._head = None
            self._transport.write(head)

    def finish(self) -> None:
        """Be ready for the head of the next response: this one is complete."""
        if self._head is not None:
            self.flush()
        self._started = False

    def close(self) -> None:
        """Close the connection when everything is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether the connection is closed or about to be."""
        return self._transport.is_closing()


class _Heads:
    """The responses of one event loop whose heads wait."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[OneWrite] = []

    def add(self, response: OneWrite, loop: asyncio.AbstractEventLoop) -> None:
        """Write the head of *response* when *loop* turns, if it still waits then."""
        # PERF: one call of the loop for all that wait; most wait no more by then.
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append(response)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for response in waiting:
            response.flush()


_heads: WeakKeyDictionary[Any, _Heads] = WeakKeyDictionary()
"""By event loop."""
