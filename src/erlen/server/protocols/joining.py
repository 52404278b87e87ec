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

    __slots__ = ("_loop", "_others", "_started", "_transport", "head")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._others = _of_loops.setdefault(loop, _Begun())
        self.head: bytes | None = None
        """What waits for the body."""
        self._started = False

    def begin(self, head: bytes) -> None:
        """Keep the *head* of a response for its body, until the event loop turns."""
        self._started, self.head = True, head
        # PERF: one call of the loop for all that began; most wait no more by then.
        others = self._others
        if not others:
            self._loop.call_soon(others.flush)
        others.append(self)

    def write(self, data: bytes) -> None:
        """Write what follows a head, together with that if it still waits; else begin with it."""
        head = self.head
        if head is not None:
            self.head = None
            # Not writelines(): before CPython's gh-127655, asyncio of 3.12 and 3.13 does not hold
            # back who writes with it. A copy of 1 MB takes 0.05 ms (timeit).
            self._transport.write(head + data)
        elif self._started or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        else:
            self.begin(data)

    def flush(self) -> None:
        """Write the head, if it still waits."""
        head = self.head
        if head is not None:
            self.head = None
            self._transport.write(head)

    def finish(self) -> None:
        """Be ready for the head of the next response: this one is complete."""
        if self.head is not None:
            self.flush()
        self._started = False

    def close(self) -> None:
        """Close the connection when everything is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether the connection is closed or about to be."""
        return self._transport.is_closing()


class _Begun(list[OneWrite]):
    """The responses that began since their event loop turned."""

    def flush(self) -> None:
        """Write the heads that still wait."""
        begun = self.copy()
        self.clear()
        for response in begun:
            # uvloop raises when a closed connection is written to, and the others would wait.
            if response.head is not None and not response.is_closing():
                response.flush()


_of_loops: WeakKeyDictionary[Any, _Begun] = WeakKeyDictionary()
