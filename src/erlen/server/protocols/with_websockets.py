"""Websockets with the library of that name."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["WebSocketProtocol"]


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket for which a response instead of a handshake is an answer, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app: Any = self.app

        async def answering(scope: Any, receive: Any, send: Any) -> Any:
            result: Any = await app(scope, receive, send)
            if self.initial_response is not None and self.close_sent:
                # The whole response was sent; uvicorn misses a handshake here, and logs that.
                self.handshake_complete = True
            return result

        self.app = answering
