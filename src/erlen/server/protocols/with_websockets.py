"""Websockets with the library of that name."""

from __future__ import annotations

from asyncio import CancelledError, Future
from collections import deque
from contextlib import suppress
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode

__all__ = ["WebSocketProtocol"]

_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY
_NO_HANDSHAKE = b"Invalid HTTP request received."
_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n"
    b"\r\n%b" % (len(_NO_HANDSHAKE), _NO_HANDSHAKE)
)


class Arrived(deque[Any]):
    """What came and was not received yet: as much of asyncio's queue as a websocket needs."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Future[None]] = []
        """What wakes those who wait to receive."""

    def put_nowait(self, message: Any) -> bool:
        """Add *message*, and say whether somebody waited for it."""
        self.append(message)
        awaited = False
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
                awaited = True
        self.waiting.clear()
        return awaited

    def forget(self, waiter: Future[None]) -> None:
        """Wake *waiter* no more."""
        with suppress(ValueError):
            self.waiting.remove(waiter)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket for which a response instead of a handshake is an answer, too.

    PERF: a message on an open websocket takes fewer steps, in and out. uvicorn does the rest.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arrived = Arrived()
        self.queue = cast(Any, self.arrived)  # where uvicorn puts what it has for the app
        self.pongs_wait = False
        """Whether nothing is read because the peer does not take what its pings are answered."""

    def handle_events(self) -> None:
        """Take what came, as uvicorn would."""
        events: list[Any] = self.conn.events_received()
        for event in events:
            if not (event.__class__ is Frame and event.fin and self._take(event)):
                self.conn.events.append(event)
                super().handle_events()
        if not self.handshake_initiated:
            # The head came as a whole, and the library tells of no request: it takes none.
            self._refuse(b"".join(self.conn.data_to_send()) or _REFUSAL)

    def _take(self, frame: Frame) -> bool:
        """Take *frame* and say so, if it is a whole message that the app can be given.

        uvicorn stops reading for each message until the app receives it. Here that is left out
        where the app waits for the message: reading stops if it does not take the next one.
        """
        data: Any = frame.data
        if self.close_sent:
            return False
        if frame.opcode is _TEXT:
            try:
                message = {"type": "websocket.receive", "text": data.decode()}
            except UnicodeDecodeError:
                # A mistake of the peer, which uvicorn would log as one of ours.
                self.conn.fail(1007)
                self.handle_parser_exception()
                return True
        elif frame.opcode is _BINARY:
            message = {"type": "websocket.receive", "bytes": data}
        else:
            return False
        if not self.arrived.put_nowait(message) and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()
        return True

    async def receive(self) -> Any:
        """Return the next message, as uvicorn would."""
        arrived = self.arrived
        while not arrived:
            waiter = self.loop.create_future()
            arrived.waiting.append(waiter)
            try:
                await waiter
            except CancelledError:
                arrived.forget(waiter)
                raise
        message = arrived.popleft()
        if self.read_paused and not arrived and not self.pongs_wait:
            self.read_paused = False
            self.transport.resume_reading()
        return message

    async def send(self, message: Any) -> None:
        """Send *message*, as uvicorn would."""
        if (
            not self.handshake_complete
            or self.close_sent
            or self.disconnected
            or not self.writable.is_set()
            or message["type"] != "websocket.send"
        ):
            await super().send(message)
            if self.initial_response is not None and self.close_sent:
                # The whole response was sent; uvicorn would miss a handshake, and log that.
                self.handshake_complete = True
            return
        data, text = message.get("bytes"), message.get("text")
        try:
            if data is not None:
                self.conn.send_binary(data)
            elif text is not None:
                self.conn.send_text(text.encode())
        except InvalidState:
            raise ClientDisconnected from None
        self.transport.write(b"".join(self.conn.data_to_send()))

    def handle_cont(self, event: Frame) -> None:
        """Join a message as its pieces come: tiny or empty ones take more than they say."""
        pieces: list[Any] = self.frames
        if pieces[0].__class__ is not bytearray:
            pieces[0] = bytearray(pieces[0])
        pieces[0] += event.data
        if event.fin:
            opcode = _TEXT if self.curr_msg_data_type == "text" else _BINARY
            self.frames = []
            self._take(Frame(opcode, bytes(pieces[0])))

    def handle_ping(self) -> None:
        """Answer a ping, and read no more of a peer that does not read the answers."""
        if not self.handshake_complete:
            self.conn.data_to_send()  # what came in front of the handshake would break it
            return
        super().handle_ping()
        if not self.writable.is_set():
            self.pongs_wait = True
            if not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on with what waited for the peer to read."""
        super().resume_writing()
        if self.pongs_wait:
            self.pongs_wait = False
            if not self.arrived or self.close_sent:  # else receive() goes on to read
                self.read_paused = False
                self.transport.resume_reading()

    # -- the end ---------------------------------------------------------------------------------

    def handle_close(self, event: Frame) -> None:
        """Take the end that the peer has sent."""
        if self.handshake_complete:
            super().handle_close(event)
        else:
            self._refuse()

    def handle_parser_exception(self) -> None:
        """Close what has sent something that is no frame."""
        if self.handshake_complete:
            super().handle_parser_exception()
        else:
            self._refuse()

    def _refuse(self, answer: bytes = _REFUSAL) -> None:
        """End a connection that is no websocket, or did not wait until it is one."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self.handshake_complete = self.disconnected = True  # as when the connection is lost
        self.transport.write(answer)
        self.transport.close()

    def shutdown(self) -> None:
        """Close it, because the server stops."""
        if self.transport.is_closing():
            self.stop_keepalive()
        else:
            super().shutdown()
