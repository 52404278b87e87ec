"""A websocket, seen from a view. Knows ASGI and JSON; knows nothing of the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, ClassVar, cast

from starlette.websockets import WebSocket as StarletteWebSocket

from .connections import Connection, session_of
from .headers import Headers
from .signals import announce, websocket_received, websocket_sent
from .typing import Message, Receive, Scope, Send

__all__ = ["WebSocket", "WebSocketDisconnect"]

_CONNECT = "websocket.connect"


class WebSocketDisconnect(Exception):
    """The peer is gone; *code* and *reason* are its own (RFC 6455, 7.4)."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"The websocket was closed by the peer: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class WebSocket(Connection):
    """A websocket. It is accepted by the first message, or with :meth:`accept`.

    Any task of the loop may use it; one may send while another receives.
    """

    __slots__ = (
        "_accepting",
        "_connected",
        "_receive",
        "_send",
        "accepted",
        "close_code",
        "close_reason",
        "closed",
        "subprotocol",
    )

    default_scheme: ClassVar[str] = "ws"

    def __init__(self, scope: Scope, receive: Receive, send: Send, **options: Any) -> None:
        super().__init__(scope, **options)
        self._receive = receive
        self._send = send
        self._accepting: asyncio.Lock | None = None
        self._connected = False
        self.accepted = False
        """Whether the handshake is done."""
        self.closed = False
        """Whether one of the two sides has closed it."""
        self.close_code: int | None = None
        """Why the peer closed it, ``None`` as long as it has not."""
        self.close_reason: str | None = None
        """What the peer said about it."""
        self.subprotocol: str | None = None
        """The protocol that was agreed on in :meth:`accept`."""

    @property
    def requested_subprotocols(self) -> list[str]:
        """The protocols that the client offers, in its order."""
        return list(self.scope.get("subprotocols", ()))

    @property
    def starlette(self) -> StarletteWebSocket:
        """The same websocket as Starlette shows it."""
        return _Shown(self.scope, self.receive_message, self.send_message)

    async def receive_message(self) -> Message:
        """Receive as an ASGI app does, for code that is none of ours."""
        message = await self._receive()
        if message["type"] == _CONNECT:
            self._connected = True
        elif message["type"] == "websocket.disconnect":
            self._note_disconnect(message)
        return message

    async def send_message(self, message: Message) -> None:
        """Send as an ASGI app does, for code that is none of ours."""
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] in ("websocket.close", "websocket.http.response.start"):
            self.closed = True
        await self._send(message)

    async def accept(
        self,
        headers: Headers | dict[str, str] | Iterable[tuple[str, str]] | None = None,
        subprotocol: str | None = None,
    ) -> None:
        """Finish the handshake; later calls do nothing.

        :raises ValueError: if *subprotocol* is none that the client offered.
        """
        if subprotocol is not None and subprotocol not in self.requested_subprotocols:
            raise ValueError(
                f"The client did not offer the subprotocol {subprotocol!r}, but"
                f" {self.requested_subprotocols!r}. Choose one of those, or none."
            )
        if self._accepting is None:
            self._accepting = asyncio.Lock()
        async with self._accepting:
            if self.accepted or self.closed:
                return
            raw = Headers(headers).raw if headers is not None else []
            if not self._connected and (await self.receive_message())["type"] != _CONNECT:
                raise WebSocketDisconnect(cast(int, self.close_code), self.close_reason or "")
            await self._tell(
                {"type": "websocket.accept", "subprotocol": subprotocol, "headers": raw}
            )
            self.accepted = True
            self.subprotocol = subprotocol

    async def _tell(self, message: Message) -> None:
        """Send *message*; a peer that is gone is a ``WebSocketDisconnect``."""
        try:
            await self._send(message)
        except OSError as error:
            self._note_disconnect({"code": 1006})
            raise WebSocketDisconnect(1006) from error

    def _note_disconnect(self, message: Message) -> None:
        self.closed = True
        self.close_code = message.get("code") or 1005
        self.close_reason = message.get("reason") or ""

    async def receive(self) -> str | bytes:
        """Return the next message, text or bytes.

        :raises WebSocketDisconnect: when the peer is gone.
        """
        if not self.accepted:
            await self.accept()
        if self.closed:
            raise WebSocketDisconnect(self.close_code or 1006, self.close_reason or "")
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._note_disconnect(message)
            raise WebSocketDisconnect(cast(int, self.close_code), self.close_reason or "")
        text = message.get("text")
        data: str | bytes = text if text is not None else message.get("bytes") or b""
        if websocket_received.receivers:
            await announce(websocket_received, self.scope.get("app"), data=data)
        return data

    async def receive_json(self) -> Any:
        """Return the next message, parsed as JSON.

        :raises ValueError: if it is none.
        """
        return self.limits.json.loads(await self.receive())

    async def send(self, data: str | bytes) -> None:
        """Send a message and wait until the peer's buffer takes it.

        :raises WebSocketDisconnect: when the peer is gone.
        """
        if not self.accepted:
            await self.accept()
        if self.closed:
            raise WebSocketDisconnect(self.close_code or 1006, self.close_reason or "")
        if isinstance(data, str):
            message: Message = {"type": "websocket.send", "text": data}
        elif isinstance(cast(object, data), (bytes, bytearray, memoryview)):
            message = {"type": "websocket.send", "bytes": bytes(data)}
        else:
            raise TypeError(
                f"A websocket sends str or bytes, not {type(data).__name__}: {data!r}."
                " For JSON there is send_json."
            )
        await self._tell(message)
        if websocket_sent.receivers:
            await announce(websocket_sent, self.scope.get("app"), data=data)

    async def send_json(self, *args: Any, **kwargs: Any) -> None:
        """Send a value as JSON; several values are a list, keywords an object."""
        if args and kwargs:
            raise TypeError("send_json takes values or keywords, not both.")
        value: Any = kwargs or (args[0] if len(args) == 1 else list(args))
        await self.send(self.limits.json.dumps(value))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the websocket; before it is accepted this refuses it (403).

        A second call does nothing.
        """
        if self.closed:
            return
        self.closed = True
        with suppress(WebSocketDisconnect):
            await self._tell({"type": "websocket.close", "code": code, "reason": reason})

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self.receive()
            except WebSocketDisconnect:
                return
            yield message


class _Shown(StarletteWebSocket):
    @property
    def session(self) -> dict[str, Any]:
        return session_of(self)
