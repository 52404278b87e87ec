"""HTTP/1.1 with h11, which is Python and runs everywhere."""

from __future__ import annotations

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HttpProtocol"]


class HttpProtocol(H11Protocol):
    """A connection, as uvicorn serves it."""
