"""HTTP/1.1 with the parser of Node.js, by way of httptools."""

from __future__ import annotations

from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..serving import Config
from .leaving import close_later

__all__ = ["HttpProtocol"]


class HttpProtocol(HttpToolsProtocol):
    """A connection that a stopping server can get rid of."""

    def shutdown(self) -> None:
        """Finish the request that is served, in the time that is left."""
        super().shutdown()
        close_later(self, self.loop, cast(Config, self.config).patience)
