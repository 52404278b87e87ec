"""HTTP/1.1 with h11, which is Python and runs everywhere."""

from __future__ import annotations

from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from ..serving import Config
from .leaving import close_later

__all__ = ["HttpProtocol"]


class HttpProtocol(H11Protocol):
    """A connection that a stopping server can get rid of."""

    def shutdown(self) -> None:
        """Finish the request that is served, in the time that is left."""
        super().shutdown()
        close_later(self, self.loop, cast(Config, self.config).patience)
