"""Connections that would outlive the server: streams and long polls have no end of their own."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["close_later"]


def close_later(connection: Any, loop: asyncio.AbstractEventLoop, patience: float) -> None:
    """Close *connection* after *patience* seconds, as if the client had left.

    uvicorn tells open streams nothing when it stops and waits for their end, which may
    never come. To an app a closed connection is nothing new: it ends the stream and tidies up.
    """

    def close() -> None:
        if not connection.transport.is_closing():
            connection.transport.close()

    loop.call_later(patience, close)
