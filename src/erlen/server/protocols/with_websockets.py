"""Websockets with the library of that name."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode

__all__ = ["WebSocketProtocol"]

_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket for which a response instead of a handshake is an answer, too.

    PERF: a message on an open websocket takes fewer steps, in and out. uvicorn does the rest.
    """

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

    def handle_events(self) -> None:
        """Take what came, as uvicorn would."""
        events: list[Any] = self.conn.events_received()
        for event in events:
            opcode = event.opcode if event.__class__ is Frame else None
            if opcode is _TEXT:
                self.handle_text(event)
            elif opcode is _BINARY:
                self.handle_bytes(event)
            else:
                self.conn.events.append(event)
                super().handle_events()

    async def send(self, message: Any) -> None:
        """Send *message*, as uvicorn would."""
        if (
            not self.handshake_complete
            or self.close_sent
            or self.disconnected
            or not self.writable.is_set()
            or message["type"] != "websocket.send"
        ):
            return await super().send(message)
        data, text = message.get("bytes"), message.get("text")
        try:
            if data is not None:
                self.conn.send_binary(data)
            elif text is not None:
                self.conn.send_text(text.encode())
        except InvalidState:
            raise ClientDisconnected from None
        self.transport.write(b"".join(self.conn.data_to_send()))
