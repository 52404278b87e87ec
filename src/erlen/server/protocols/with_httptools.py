"""HTTP/1.1 with the parser of Node.js, by way of httptools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context as Variables
from time import monotonic
from typing import Any
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from ..serving import Config
from .heads import Header, head_of
from .joining import OneWrite
from .waiting import Waiting, watch_over

__all__ = ["HttpProtocol"]

_INVALID = "Invalid HTTP request received."
_FRAMING = (b"content-length", b"transfer-encoding")
"""What says where the body of a request ends (RFC 9112, 6.3)."""
_MOST_WAITING = 100
"""Requests that wait on one connection; so many HTTP/2 advises to allow (RFC 9113, 6.5.2)."""
_TOO_LARGE = b"Request Header Fields Too Large"
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n"
    b"\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
)


class Arrival:
    """An event of asyncio that is made when somebody waits for it: most requests have no body."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        self._is_set = False

    def set(self) -> None:
        """Wake who waits, and let who comes pass."""
        self._is_set = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """Let wait who comes."""
        self._is_set = False
        if self._event is not None:
            self._event.clear()

    async def wait(self) -> None:
        """Wait until it is set."""
        if not self._is_set:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()


class Exchange(RequestResponseCycle):
    """A request and its response, of which the usual is sent in fewer steps.

    PERF: that is a response of a known length on a connection that goes on, with all of its
    body in one message; and what a stream goes on with. uvicorn sends everything else, and
    refuses what is wrong.
    """

    transport: OneWrite  # type: ignore[assignment]
    task: asyncio.Task[None] | None = None

    async def run(self, app: Any, tasks: set[Any]) -> None:
        """Serve this as uvicorn does, and leave the *tasks* of the server when it is over."""
        try:
            await self.run_asgi(app)
        finally:
            tasks.discard(self.task)
            self.task = None  # the connection keeps this, and would keep the variables of the task

    async def send(self, message: Any) -> None:
        """Send *message*, as uvicorn would."""
        if self.flow.write_paused or self.disconnected:
            return await super().send(message)
        kind = message["type"]
        if not self.response_started:
            headers = message.get("headers")
            if (
                kind == "http.response.start"
                and headers.__class__ is list  # what else there is may be read only once
                and self.keep_alive
                and (head := head_of(message.get("status"), self.default_headers, headers))
            ):
                self.response_started = True
                self.waiting_for_100_continue = self.chunked_encoding = False
                text, self.expected_content_length = head
                if self.access_log:
                    self._log(message["status"])
                return self.transport.begin(text)
        elif (
            kind == "http.response.body"
            and not self.response_complete
            and self.scope["method"] != "HEAD"
        ):
            body = message.get("body", b"")
            if message.get("more_body", False):
                if body and self.chunked_encoding:
                    return self.transport.write(b"".join((b"%x\r\n" % len(body), body, b"\r\n")))
            elif self.chunked_encoding is False and len(body) == self.expected_content_length:
                self.transport.write(body)
                self.response_complete = True
                self.message_event.set()
                if not self.keep_alive:
                    self.transport.close()
                return self.on_response()
        await super().send(message)

    def _log(self, status: int) -> None:
        scope = self.scope
        self.access_logger.info(
            '%s - "%s %s HTTP/%s" %d',
            get_client_addr(scope),
            scope["method"],
            get_path_with_query_string(scope),
            scope["http_version"],
            status,
        )


class Deaf:
    """A parser for a connection that is about to be closed: what comes is thrown away."""

    def feed_data(self, data: bytes) -> None:
        """Throw *data* away."""


class HttpProtocol(HttpToolsProtocol):
    """A connection that writes a response at once and waits for a request with patience.

    PERF: ``super()`` is not asked for what every request needs; it makes an object each time.
    The timer that closes an idle connection is not set for each response and cancelled for each
    request: when it rings, it looks whether anything came.
    """

    config: Config
    app: Any
    cycle: Any  # None before the first request, whatever uvicorn declares
    parser: Any
    waiting: Waiting
    _responses: Any  # OneWrite, which does for a transport all that uvicorn asks of one here
    _alarm: asyncio.TimerHandle | None
    """Rings when the connection is to be closed, unless requests came in the meantime."""
    _alarm_of: float
    """When the response was complete that it was set for."""
    _idle_since: float
    """When the last response was complete."""
    _serving: Any
    """The exchange that is going on, or was the last one; others may wait behind it."""
    _unseen: int
    """Bytes that the parser keeps: of a head, of trailers, of what stands around chunks."""
    _is_told: bool
    """Whether the request is begun whose head the parser comes to."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a new connection."""
        super().connection_made(transport)
        self._responses = OneWrite(transport, self.loop)
        self._alarm = None
        self._serving = None
        self._unseen = 0
        self._is_told = False
        self.waiting = Waiting(self.loop.time())
        watch_over(self.server_state, self.loop, self.config.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.pipeline.clear()
        serving = self._serving
        if serving is not None:
            _tell_that_client_left(serving)
            task = serving.task
            if task is not None and task.done():  # it was cancelled before it began
                self.tasks.discard(task)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._unseen += len(data)
        self.timeout_keep_alive_task = None
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            self.logger.warning(_INVALID)
            self.send_400_response(_INVALID)
        except HttpParserUpgrade as met:
            self._meet_upgrade(memoryview(data)[met.args[0] :])
        if self._unseen > self.config.max_head_size:
            self._refuse_head()

    def _meet_upgrade(self, rest: memoryview) -> None:
        """Go on behind a head that asks for another protocol, with the *rest* of what came.

        Where that is refused the request is one as any other (RFC 9110, 7.8): its body follows.
        """
        while True:
            if self._should_upgrade():
                self._open_websocket()
                return
            self._unsupported_upgrade_warning()
            if self.scope["method"] == "CONNECT":
                # What follows was meant for somebody else (RFC 9110, 9.3.6).
                self.cycle.more_body = False
                self.cycle.message_event.set()
                self._end_with(self.cycle)
                return
            try:
                self._parse_behind(self.headers)
                self._unseen = len(rest)
                self.parser.feed_data(rest)
                return
            except HttpParserError:
                self.logger.warning(_INVALID)
                self.send_400_response(_INVALID)
                return
            except HttpParserUpgrade as met:
                rest = rest[met.args[0] :]

    def _open_websocket(self) -> None:
        before = self.cycle
        if before is None or before.response_complete:
            self.handle_websocket_upgrade()
        else:
            # Its answer would come in the middle of that before it (RFC 9112, 9.3.2).
            self._end_with(before)

    def _parse_behind(self, headers: Iterable[Header]) -> None:
        """Have what comes taken for what follows a head with these *headers*, and no upgrade.

        WHY: the parser passes over the body of a request that asks for another protocol. So a
        new one is given the lines of the head that say where the body ends.
        """
        framing = [b"%b: %b\r\n" % header for header in headers if header[0] in _FRAMING]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self._is_told = True
        self.parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *framing, b"\r\n"]))

    def _end_with(self, cycle: Any) -> None:
        """Close the connection when *cycle* is answered; whatever else comes is not read."""
        self.cycle, self.parser = cycle, Deaf()
        cycle.keep_alive = False
        if cycle.response_complete:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Start to serve a request."""
        if self._is_told:
            self._is_told = False
            return
        if self._unseen > self.config.max_head_size and self._head_size() > (
            self.config.max_head_size
        ):
            # To uvicorn any error is a bad request, which it answers below.
            raise ValueError("The head of a request is too large.")
        self._unseen = 0
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        if not (parser.should_upgrade() and self._should_upgrade()):
            url = parse_url(self.url)
            path = url.path.decode("ascii")
            scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
            scope["raw_path"] = self.root_path.encode("ascii") + url.path
            scope["query_string"] = url.query or b""
            self._begin(keep_alive=version != "1.0" and parser.should_keep_alive())

    def on_message_complete(self) -> None:
        """Take the end of a request; with an upgrade, it is not where the parser says."""
        cycle = self.cycle
        if not self.parser.should_upgrade() and not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _begin(self, *, keep_alive: bool) -> None:
        """Answer the request that *scope* tells of, or let it wait until those before it are."""
        before, app = self.cycle, self.app
        if self.limit_concurrency is not None and self.limit_concurrency <= max(
            len(self.connections), len(self.tasks)
        ):
            app = service_unavailable
            self.logger.warning("Exceeded concurrency limit.")
        arrival: Any = Arrival()
        # PERF: by their places, because a class that is called with names has a dictionary made
        # of them, 0.5 us (timeit).
        cycle = Exchange(
            self.scope,
            self._responses,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            arrival,
            self.expect_100_continue,
            keep_alive,
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self.cycle = cycle
            self._start_asgi_task(cycle, app)
        else:
            self._let_wait(cycle, app)

    def _let_wait(self, cycle: Any, app: Any) -> None:
        # Reading has stopped, but what one read has brought is parsed whole.
        if len(self.pipeline) >= _MOST_WAITING:
            raise ValueError("Too many requests wait on one connection.")
        if self._head_size() > self.config.max_head_size:
            raise ValueError("The head of a request is too large.")
        self.cycle = cycle
        self.flow.pause_reading()
        self.pipeline.appendleft((cycle, app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._serving = cycle
        variables = Variables() if self.config.reset_contextvars else None
        # PERF: uvicorn has each task tell that it is done, in one more call of the loop.
        task = self.loop.create_task(cycle.run(app, self.tasks), context=variables)
        if not task.done():  # as it is where the loop runs new tasks at once
            cycle.task = task
            self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unseen = 0
        HttpToolsProtocol.on_body(self, body)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._responses.finish()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.timeout_keep_alive_task = None
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._serving, app = self.pipeline.pop()
            if self.loop.get_task_factory() is None:
                self._start_asgi_task(self._serving, app)
            else:  # where it may begin tasks at once, one that waited would begin inside another
                self.loop.call_soon(self._start_asgi_task, self._serving, app)
            return
        self._idle_since = monotonic()
        if self._alarm is None:
            self._set_alarm(self.timeout_keep_alive)
        self.timeout_keep_alive_task = self._alarm

    def _unset_keepalive_if_required(self) -> None:
        self.timeout_keep_alive_task = None

    def _set_alarm(self, seconds: float) -> None:
        self._alarm_of = self._idle_since
        # In no variables: those of the request that is served now would stay with the timer.
        self._alarm = Variables().run(self.loop.call_later, seconds, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self.timeout_keep_alive_task is None:
            return  # a request is served, and the next response sets it again
        if self._idle_since == self._alarm_of:
            self.timeout_keep_alive_handler()
        else:
            self._set_alarm(self._idle_since + self.timeout_keep_alive - monotonic())
            self.timeout_keep_alive_task = self._alarm

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or too much of one, and close the connection.

        Those before it are answered first, and then nothing more (RFC 9112, 9.3.2).
        """
        cycle, serving = self.cycle, self._serving
        if self._unseen > self.config.max_head_size:
            self._refuse_head()
        elif cycle is None or cycle.response_complete:
            super().send_400_response(msg)
        elif not cycle.more_body:
            self._end_with(cycle)
        elif cycle is not serving:  # the fault is in the body of one that waits
            self.pipeline.popleft()
            self._end_with(self.pipeline[0][0] if self.pipeline else serving)
        else:
            _tell_that_client_left(cycle)
            if cycle.response_started:
                self.transport.close()
            else:
                super().send_400_response(msg)

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        transport = self.transport
        if transport.is_closing() or isinstance(self.parser, Deaf):
            return
        if self.cycle is None or self.cycle.response_complete:
            transport.write(_REFUSAL)
        transport.close()


def _tell_that_client_left(cycle: Any) -> None:
    if not cycle.response_complete:
        cycle.disconnected = True
    cycle.message_event.set()
