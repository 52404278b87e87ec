"""One write for each response: its head waits for the body. Knows no parser."""

from __future__ import annotations

import asyncio

__all__ = ["OneWrite"]

# Above, copying the body costs more than a second piece for the kernel to gather.
_LARGE = 32 * 1024


class OneWrite:
    """The transport that the responses of one connection are written to.

    It keeps the head of a response until the first piece of the body comes, and writes both
    together. A head whose body is not there yet when the event loop turns goes alone, so that
    nobody waits for it: an app that has to think about its first piece says so by waiting.
    """

    __slots__ = ("_head", "_loop", "_started", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None
        self._started = False

    def write(self, data: bytes) -> None:
        """Write what is not the head of a response, together with that if it still waits."""
        head = self._head
        if head is not None:
            self._head = None
            if len(data) > _LARGE:
                self._transport.writelines((head, data))
            else:
                self._transport.write(head + data)
        elif self._started or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        else:
            self._started = True
            self._head = data
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write the head, if it still waits."""
        head = self._head
        if head is not None:
            self._head = None
            self._transport.write(head)

    def finish(self) -> None:
        """Be ready for the head of the next response: this one is complete."""
        self.flush()
        self._started = False

    def close(self) -> None:
        """Close the connection when everything is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether the connection is closed or about to be."""
        return self._transport.is_closing()
