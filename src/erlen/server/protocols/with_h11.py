"""HTTP/1.1 with h11, which is Python and runs everywhere."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from ..serving import Config
from .joining import OneWrite
from .waiting import Waiting, watch_over

__all__ = ["HttpProtocol"]


class HttpProtocol(H11Protocol):
    """A connection that writes a response at once and waits for a request with patience.

    The size of a head is limited by h11 itself.
    """

    config: Config
    cycle: Any  # None before the first request, whatever uvicorn declares
    waiting: Waiting
    _responses: OneWrite

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a new connection."""
        super().connection_made(transport)
        self._responses = OneWrite(transport, self.loop)
        self.waiting = Waiting(self.loop.time())
        watch_over(self.server_state, self.loop, self.config.head_timeout)

    def handle_events(self) -> None:
        """Serve what was read."""
        super().handle_events()
        # Not for an upgrade, which has no cycle of its own.
        if self.cycle is not None:
            self.cycle.transport = self._responses

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._responses.finish()
        super().on_response_complete()
