"""HTTP/1.1 with the parser of Node.js, by way of httptools."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..serving import Config
from .joining import OneWrite
from .waiting import Waiting, watch_over

__all__ = ["HttpProtocol"]

_TOO_LARGE = b"Request Header Fields Too Large"
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n"
    b"\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
)


class HttpProtocol(HttpToolsProtocol):
    """A connection that writes a response at once and waits for a request with patience.

    PERF: ``super()`` is not asked for what every request needs; it makes an object each time.
    """

    config: Config
    cycle: Any  # None before the first request, whatever uvicorn declares
    waiting: Waiting
    _responses: OneWrite
    _unseen: int
    """Bytes that the parser keeps: of a head, of trailers, of what stands around chunks."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a new connection."""
        super().connection_made(transport)
        self._responses = OneWrite(transport, self.loop)
        self._unseen = 0
        self.waiting = Waiting(self.loop.time())
        watch_over(self.server_state, self.loop, self.config.head_timeout)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._unseen += len(data)
        HttpToolsProtocol.data_received(self, data)
        if self._unseen > self.config.max_head_size:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        """Start to serve a request."""
        if self._unseen > self.config.max_head_size and self._head_size() > (
            self.config.max_head_size
        ):
            # To uvicorn any error is a bad request, which it answers below.
            raise ValueError("The head of a request is too large.")
        self._unseen = 0
        HttpToolsProtocol.on_headers_complete(self)
        # Not for an upgrade, which has no cycle of its own.
        if self.cycle is not None:
            self.cycle.transport = self._responses

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unseen = 0
        HttpToolsProtocol.on_body(self, body)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._responses.finish()
        HttpToolsProtocol.on_response_complete(self)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or too much of one, and close the connection."""
        if self._unseen > self.config.max_head_size:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        transport = self.transport
        if transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            transport.write(_REFUSAL)
        transport.close()
