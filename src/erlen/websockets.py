"""A websocket, seen from a view. Knows ASGI and JSON; knows nothing of the app."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from typing import Any, ClassVar, NoReturn, cast

from starlette.websockets import WebSocket as StarletteWebSocket

from .connections import Connection, session_of
from .exceptions import BadRequest
from .headers import Headers
from .signals import announce, websocket_received, websocket_sent
from .streams import Turn
from .timeouts import Within
from .typing import Message, Receive, Scope, Send

__all__ = ["WebSocket", "WebSocketDisconnect", "broadcast", "is_departure"]

_CONNECT = "websocket.connect"
_TIMEOUT = 3008
"""Of the codes that IANA keeps for RFC 6455, the one that means what 408 means for HTTP."""
_LONGEST_REASON = 123
"""Bytes that a close frame has for it (RFC 6455, 5.5 and 5.5.1)."""
_NO_PATIENCE = 0.02
"""Seconds for a peer that was too slow for the broadcast before."""
# PERF: from Python 3.12 on a task may begin where it is made; most peers take a message at once.
_AT_ONCE: Any = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class WebSocketDisconnect(Exception):
    """The websocket is closed; *code* and *reason* say why (RFC 6455, 7.4).

    They are the peer's, if it closed first. 1005 means that it gave no code, 1006 that it was
    gone without a word.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"The websocket is closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class BadMessage(BadRequest, ValueError):
    """A message that is none of the kind that was waited for; closes with 1008."""


class WebSocket(Connection):
    """A websocket. It is accepted by the first message, or with :meth:`accept`.

    Any task of the loop may use it, any number of them at the same time. Messages of several
    senders arrive whole; each message received goes to one of several receivers.
    """

    __slots__ = (
        "_accepting",
        "_connected",
        "_kept",
        "_send",
        "_turn",
        "accepted",
        "close_code",
        "close_reason",
        "closed",
        "lags",
        "subprotocol",
        "timeout",
    )

    default_scheme: ClassVar[str] = "ws"

    def __init__(self, scope: Scope, receive: Receive, send: Send, **options: Any) -> None:
        super().__init__(scope, receive, **options)
        self._send = send
        self._accepting: asyncio.Lock | None = None
        self._turn = Turn()
        self._connected = False
        self._kept: deque[Message] = deque()
        self.lags = False
        """Whether the last broadcast to this peer was too much for it."""
        self.accepted = False
        """Whether the handshake is done."""
        self.closed = False
        """Whether one of the two sides has closed it."""
        self.close_code: int | None = None
        """Why it was closed, by whichever side was first; ``None`` as long as it is open."""
        self.close_reason: str | None = None
        """What that side said about it."""
        self.subprotocol: str | None = None
        """The protocol that was agreed on in :meth:`accept`."""
        self.timeout: float | None = None
        """Seconds that :meth:`receive` waits for a message; ``None`` waits for ever."""

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
                raise self._disconnect()
            await self._tell(
                {"type": "websocket.accept", "subprotocol": subprotocol, "headers": raw}
            )
            self.accepted = True
            self.subprotocol = subprotocol

    async def _tell(self, message: Message) -> None:
        """Send *message*; a peer that is gone is a ``WebSocketDisconnect``."""
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            await self._not_sent(error)

    async def _not_sent(self, error: OSError | RuntimeError) -> NoReturn:
        # WHY: a server that closed by itself, for a broken frame say, may call our next
        # message an error of ours. It is none if it tells us of the end as well.
        if not await self._has_left() and isinstance(error, RuntimeError):
            raise error
        if self.close_code is None:
            self._note_disconnect({"code": 1006})
        raise self._disconnect() from error

    async def _has_left(self) -> bool:
        """Look for the peer's own words; the messages in front of them are kept."""
        with suppress(TimeoutError):
            await Within(self._look_ahead(), _NO_PATIENCE)
        return self.close_code is not None

    async def _look_ahead(self) -> None:
        if self._turn.taken:
            await self._turn.wait()
        self._turn.taken = True
        try:
            while self.close_code is None:
                message = await self.receive_message()
                if message["type"] == "websocket.receive":
                    self._kept.append(message)
        finally:
            self._turn.end()

    def _note_disconnect(self, message: Message) -> None:
        self.closed = True
        if self.close_code in (None, 1006):  # else this side was first
            self.close_code = message.get("code") or 1005
            self.close_reason = message.get("reason") or ""

    def _disconnect(self) -> WebSocketDisconnect:
        return WebSocketDisconnect(self.close_code or 1006, self.close_reason or "")

    def receive(self) -> Coroutine[Any, Any, str | bytes]:
        """Return the next message, text or bytes, when it is awaited.

        :raises WebSocketDisconnect: when the websocket is closed, by either side, or because
            nothing came for :attr:`timeout` seconds: that closes it with 3008.
        """
        return self.__anext__(None)

    # PERF: written once for both, so that a message takes one coroutine of ours.
    async def __anext__(self, ending: type[Exception] | None = StopAsyncIteration) -> str | bytes:
        try:
            if not self.accepted:
                await self.accept()
            turn = self._turn
            if turn.taken:
                await turn.wait()
            turn.taken = True
            try:
                if self._kept:
                    message = self._kept.popleft()
                elif self.closed:
                    raise self._disconnect()
                elif self.timeout is None:
                    receive = self._receive  # PERF: a slot that is called as a method is slower
                    message = await receive()
                else:
                    message = await self._next_in_time(self.timeout)
            finally:
                if turn.waiting:
                    turn.end()
                else:
                    turn.taken = False
            data: str | bytes
            text = message.get("text")
            if text is not None:
                data = text
            elif message["type"] == "websocket.disconnect":
                self._note_disconnect(message)
                raise self._disconnect()
            else:
                data = message.get("bytes") or b""
        except WebSocketDisconnect:
            if ending is None:
                raise
            raise ending from None
        if websocket_received.receivers:
            await announce(websocket_received, self.scope.get("app"), data=data)
        return data

    async def _next_in_time(self, seconds: float) -> Message:
        with suppress(TimeoutError):
            return await Within(self._receive(), seconds)
        with suppress(TimeoutError):  # who does not take the message does not take this one
            await Within(self.close(_TIMEOUT, f"Nothing came for {seconds} seconds."), seconds)
        raise self._disconnect()

    async def receive_json(self) -> Any:
        """Return the next message, parsed as JSON.

        :raises BadRequest: if it is none; also a ``ValueError``. Unless the view catches it,
            the websocket is closed with 1008, and nothing is logged.
        """
        message = await self.receive()
        try:
            return self.limits.json.loads(message)
        except ValueError as error:
            detail = f": {error}" if self.limits.debug else "."
            raise BadMessage(f"The message is no valid JSON{detail}") from error

    async def send(self, data: str | bytes) -> None:
        """Send a message and wait until the peer's buffer takes it.

        :raises WebSocketDisconnect: when the peer is gone.
        """
        if not self.accepted:
            await self.accept()
        if self.closed:
            raise self._disconnect()
        kind = data.__class__
        message = {"type": "websocket.send", "text": data} if kind is str else _to_send(data)
        send = self._send
        try:  # PERF: as _tell does, without another coroutine for each message
            await send(message)
        except (OSError, RuntimeError) as error:
            await self._not_sent(error)
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

        On a websocket that is closed it does nothing. Whoever waits to receive from this one
        is told.

        :raises ValueError: if *code* may not be sent (RFC 6455, 7.4.1: 1000 to 1003, 1007 to
            1014, and 3000 to 4999 for apps), or *reason* has more than 123 bytes.
        """
        if self.closed:
            return
        _check_close(code, reason)
        self.closed = True
        self.close_code, self.close_reason = code, reason
        with suppress(WebSocketDisconnect):
            await self._tell({"type": "websocket.close", "code": code, "reason": reason})

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self if type(self).receive is WebSocket.receive else self._received()

    async def _received(self) -> AsyncIterator[str | bytes]:
        """Yield the messages as a subclass receives them."""
        with suppress(WebSocketDisconnect):
            while True:
                yield await self.receive()


async def broadcast(
    peers: Iterable[WebSocket], message: str | bytes, *, timeout: float | None = 1.0
) -> set[WebSocket]:
    """Send *message* to all *peers* at the same time, and return those who missed it.

    These are the ones that are closed, and the ones that are too slow: whose server did not
    take the message within *timeout* seconds (``None`` waits for ever). They lose this message,
    as a whole, and nothing else: they stay open and get the next one, but no broadcast waits
    for them again before they have taken one.

    :raises TypeError: if *message* is neither text nor bytes.
    """
    _to_send(message)
    loop = asyncio.get_running_loop()
    sending = {
        asyncio.Task(_offer(peer, message), loop=loop, **_AT_ONCE): peer for peer in set(peers)
    }
    try:
        await _finish([task for task, peer in sending.items() if not peer.lags], timeout)
        await _finish([task for task, peer in sending.items() if peer.lags], _NO_PATIENCE)
    finally:
        for task in sending:
            task.cancel()
        await _finish(sending, None)
    for task, peer in sending.items():
        peer.lags = task.cancelled()
    return {peer for task, peer in sending.items() if task.cancelled() or not task.result()}


async def _offer(peer: WebSocket, message: str | bytes) -> bool:
    """Send *message*, and say whether *peer* was there to take it."""
    try:
        await peer.send(message)
    except WebSocketDisconnect:
        return False
    return True


async def _finish(tasks: Iterable[asyncio.Task[bool]], seconds: float | None) -> None:
    """Wait until *tasks* are done, so many seconds at most; they go on all the same."""
    waiting = [task for task in tasks if not task.done()]
    if waiting and seconds is None:
        await asyncio.wait(waiting)
    elif waiting:
        with suppress(TimeoutError):
            await Within(asyncio.wait(waiting), cast(float, seconds))


def is_departure(error: BaseException) -> bool:
    """Say whether *error* only means that the peer has left, in one task or in several."""
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error)
        return all(is_departure(one) for one in inner.exceptions)
    return isinstance(error, WebSocketDisconnect)


def _to_send(data: Any) -> Message:
    if isinstance(data, str):
        return {"type": "websocket.send", "text": data}
    if isinstance(data, (bytes, bytearray, memoryview)):
        return {"type": "websocket.send", "bytes": bytes(cast(bytes, data))}
    raise TypeError(
        f"A websocket sends str or bytes, not {type(data).__name__}: {data!r}."
        " For JSON there is send_json, and json.dumps for a broadcast."
    )


def _check_close(code: int, reason: str) -> None:
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ValueError(
            f"A websocket cannot be closed with {code}. Take 1000 (done), 1008 (refused), 1011"
            " (failed), or one of your own from 4000 to 4999."
        )
    if len(reason.encode()) > _LONGEST_REASON:
        raise ValueError(
            f"The reason for closing a websocket has at most {_LONGEST_REASON} bytes:"
            f" {reason[:100]!r}..."
        )


class _Shown(StarletteWebSocket):
    @property
    def session(self) -> dict[str, Any]:
        return session_of(self)
