"""HTTP/1.1 with the parser of Node.js, by way of httptools."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HttpProtocol"]


class HttpProtocol(HttpToolsProtocol):
    """A connection, as uvicorn serves it."""
