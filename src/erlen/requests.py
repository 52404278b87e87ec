"""What came in over HTTP. Knows limits and JSON as values; knows nothing of the app."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar, cast

from starlette.requests import Request as StarletteRequest

from .concurrency import Pending, on_loop, to_thread, wait_for
from .connections import Connection, Limits, session_of
from .datastructures import CombinedMultiDict, ImmutableMultiDict
from .elsewhere import REQUEST, missing, refuse_overrides
from .errors import ContextError
from .exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from .forms import (
    Form,
    FormError,
    FormLimits,
    FormTooLarge,
    NoFiles,
    form_parser,
    read_form,
    read_form_sync,
)
from .headers import (
    ETags,
    HeaderSet,
    IfRange,
    Range,
    RequestCacheControl,
    parse_cache_control_header,
    parse_etags,
    parse_if_range_header,
    parse_options_header,
    parse_range_header,
    parse_set_header,
)
from .parts import Parts, Splitter, SyncPart
from .registry import Rule
from .streams import Inbox, Turn
from .timeouts import Within
from .typing import Message, Receive, Scope
from .uploads import SyncUploadFile, UploadFile

__all__ = ["BodyStream", "Request", "SyncRequest"]

T = TypeVar("T")

_EMPTY_FORM = Form(ImmutableMultiDict(), ImmutableMultiDict())
_IN_MEMORY = 1024 * 1024
"""Bytes of a body that are kept in memory for a ``def`` view before a file takes them."""
_BLOCK = 64 * 1024


_UNREAD = object()


class Limit(Generic[T]):
    """A limit of a request: what the configuration says, unless it is set."""

    __slots__ = ("_name",)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, request: Any, owner: Any = None) -> T:
        own: dict[str, T] | None = request._own_limits
        if own is not None and self._name in own:
            return own[self._name]
        value: T = getattr(request.limits, self._name)
        return value

    def __set__(self, request: Any, value: T) -> None:
        if request._own_limits is None:
            request._own_limits = cast("dict[str, Any]", {})
        request._own_limits[self._name] = value


class Request(Connection):
    """An HTTP request. In ``async def`` code the body is awaited: ``await request.form``.

    In ``def`` code the same names are plain values: ``request.form["x"]``.
    """

    __slots__ = ("_receive", "stream_body")

    max_content_length: Limit[int | None] = Limit()
    """Bytes that the body may have; ``None`` lifts the limit. Settable in a hook."""
    max_form_memory_size: Limit[int | None] = Limit()
    """Bytes that the fields of a form may have together, files not counted."""
    max_form_parts: Limit[int | None] = Limit()
    """Fields and files that a form may have."""
    body_timeout: Limit[float | None] = Limit()
    """Seconds to wait for each piece of the body; ``None`` waits for ever."""
    body_min_rate: Limit[float | None] = Limit()
    """Bytes a second that the body has to come with, after ``body_timeout`` seconds of waiting
    for it; ``None`` takes it as slow as it comes."""

    # PERF: most requests have no body, so what becomes of it has its defaults here.
    _own_limits: dict[str, Any] | None = None
    _inbox: Inbox | None = None
    _arriving: Turn | None = None
    _received = 0
    _waited = 0.0  # seconds
    _silence = 0.0  # seconds since the last piece
    _parts: list[bytes] | None = None
    _body: bytes | None = None
    _spool: IO[bytes] | None = None
    _is_here = False  # whether all of it is in one of these two
    _again: Iterator[Message] | None = None
    _form: Form | None = None
    _form_failure: Exception | None = None
    _file: IO[bytes] | None = None
    _json: Any = _UNREAD

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_overrides(cls, REQUEST)

    if not TYPE_CHECKING:  # pragma: no branch
        # WHY: a checker that saw it would take any misspelt attribute for one that is there.

        def __getattr__(self, name):
            raise missing(self, name, REQUEST)

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        *,
        limits: Limits | None = None,
        url_rule: Rule | None = None,
        view_args: dict[str, Any] | None = None,
        routing_exception: HTTPException | None = None,
        stream_body: bool = False,
    ) -> None:
        super().__init__(scope, limits, url_rule, view_args, routing_exception)
        self._receive = receive
        self.stream_body = stream_body

    # -- the line and the headers ----------------------------------------------------------

    @property
    def method(self) -> str:
        """The method, in upper case."""
        method: str = self.scope["method"]
        return method

    @property
    def content_type(self) -> str | None:
        """The Content-Type header, parameters and all."""
        return self.headers.get("content-type")

    @property
    def mimetype(self) -> str:
        """The type of the body in lower case, without parameters; ``""`` if it has none."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of Content-Type."""
        return parse_options_header(self.content_type or "")[1]

    @property
    def content_length(self) -> int | None:
        """The length of the body as the client announced it; ``None`` if it did not."""
        value = self.headers.get("content-length")
        if value is None or not (value.isascii() and value.isdigit()) or len(value) > 18:
            return None
        return int(value)

    @property
    def has_body(self) -> bool:
        """Whether the client announced a body."""
        headers = self.headers
        return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers

    @property
    def body_is_over(self) -> bool:
        """Whether all of the body was received, or the client announced none."""
        return not self.has_body if self._inbox is None else self._inbox.complete

    @property
    def content_encoding(self) -> str | None:
        """The coding of the body. It is not decoded here."""
        return self.headers.get("content-encoding")

    @property
    def is_json(self) -> bool:
        """Whether the type is ``application/json`` or ``application/*+json``."""
        kind = self.mimetype
        return kind == "application/json" or (
            kind.startswith("application/") and kind.endswith("+json")
        )

    @property
    def date(self) -> datetime | None:
        """When the client says it sent the request."""
        return self._time("date")

    @property
    def if_modified_since(self) -> datetime | None:
        """The If-Modified-Since header as a time in UTC."""
        return self._time("if-modified-since")

    @property
    def if_unmodified_since(self) -> datetime | None:
        """The If-Unmodified-Since header as a time in UTC."""
        return self._time("if-unmodified-since")

    @property
    def if_match(self) -> ETags:
        """The entity tags of If-Match."""
        return parse_etags(self.headers.get("if-match"))

    @property
    def if_none_match(self) -> ETags:
        """The entity tags of If-None-Match."""
        return parse_etags(self.headers.get("if-none-match"))

    @property
    def if_range(self) -> IfRange:
        """The If-Range header."""
        return parse_if_range_header(self.headers.get("if-range"))

    @property
    def range(self) -> Range | None:
        """The Range header; ``None`` if there is none that can be read."""
        return parse_range_header(self.headers.get("range"))

    @property
    def last_event_id(self) -> str | None:
        """The ``id`` of the last server-sent event that the client has; ``None`` at first."""
        value = self.headers.get("last-event-id")
        return value and value.encode("latin-1", "replace").decode("utf-8", "replace")

    @property
    def cache_control(self) -> RequestCacheControl:
        """What the client asks of caches; read-only."""
        return parse_cache_control_header(self.headers.get("cache-control"))

    @property
    def pragma(self) -> HeaderSet:
        """What old clients ask of caches; read-only."""
        return parse_set_header(self.headers.get("pragma"))

    @property
    def max_forwards(self) -> int | None:
        """How many proxies may hand on a TRACE or OPTIONS request."""
        value = self.headers.get("max-forwards", "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 18 else None

    @property
    def access_control_request_headers(self) -> HeaderSet | None:
        """The headers that a script on another origin wants to send; asked by OPTIONS."""
        value = self.headers.get("access-control-request-headers")
        return None if value is None else parse_set_header(value)

    @property
    def access_control_request_method(self) -> str | None:
        """The method that a script on another origin wants to use; asked by OPTIONS."""
        return self.headers.get("access-control-request-method")

    @property
    def starlette(self) -> StarletteRequest:
        """The same request as Starlette shows it, for code that wants one."""
        return _Shown(self.scope, self.replay)

    # -- the body, in both faces -----------------------------------------------------------

    def _face(self, name: str, start: Callable[[], Awaitable[T]], plain: Callable[[], T]) -> Any:
        return Pending(name, start) if on_loop() else plain()

    def get_data(
        self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False
    ) -> Awaitable[Any]:
        """Return the body as bytes, or as text in UTF-8.

        *cache* keeps it for the next call. *parse_form_data* parses a form first, and then
        there is nothing left to return.

        :raises RequestEntityTooLarge: 413, over ``max_content_length``.
        :raises RequestTimeout: 408, when it stops for ``body_timeout`` seconds, or trickles.
        :raises ClientDisconnected: when the client leaves before the end.
        """
        return self._whole("request.get_data()", cache, as_text, parse_form_data)

    def _whole(
        self, name: str, cache: bool, as_text: bool, parse_form_data: bool
    ) -> Awaitable[Any]:
        async def start() -> Any:
            if parse_form_data and self._is_form:
                await self._load_form()
            if not self._is_here and self._form is not None:
                return "" if as_text else b""
            await self.prefetch(spool=False)
            return self._data(cache, as_text)

        def plain() -> Any:
            if parse_form_data and self._is_form:
                self._form_now()
            if not self._is_here and self._form is not None:
                return "" if as_text else b""
            self._need_body()
            return self._data(cache, as_text)

        facing: Awaitable[Any] = self._face(name, start, plain)
        return facing

    @property
    def data(self) -> Awaitable[bytes]:
        """The body as bytes; empty if it is a form."""
        return self._whole("request.data", True, False, True)

    def get_json(
        self, force: bool = False, silent: bool = False, cache: bool = True
    ) -> Awaitable[Any]:
        """Return the body parsed as JSON.

        *force* ignores the Content-Type; *silent* returns ``None`` instead of raising.

        :raises UnsupportedMediaType: 415, if it is of another type.
        :raises BadRequest: 400, if it is no JSON.
        """
        return self._parsed("request.get_json()", force, silent, cache)

    def _parsed(self, name: str, force: bool, silent: bool, cache: bool) -> Awaitable[Any]:
        async def start() -> Any:
            if self._json is _UNREAD or not cache:
                if not (force or self.is_json):
                    return None if silent else self.on_json_loading_failed(None)
                await self.prefetch(spool=False)
            return self._load_json(silent, cache)

        def plain() -> Any:
            if self._json is _UNREAD or not cache:
                if not (force or self.is_json):
                    return None if silent else self.on_json_loading_failed(None)
                self._need_body()
            return self._load_json(silent, cache)

        facing: Awaitable[Any] = self._face(name, start, plain)
        return facing

    @property
    def json(self) -> Awaitable[Any]:
        """The body parsed as JSON; 415 if it is of another type."""
        return self._parsed("request.json", False, False, True)

    @property
    def form(self) -> Awaitable[ImmutableMultiDict[str, str]]:
        """The fields of a form; empty if the body is none."""

        async def start() -> ImmutableMultiDict[str, str]:
            return (await self._load_form()).fields

        return cast(
            "Awaitable[ImmutableMultiDict[str, str]]",
            self._face("request.form", start, lambda: self._form_now().fields),
        )

    @property
    def files(self) -> Awaitable[ImmutableMultiDict[str, UploadFile]]:
        """The files of a form; empty if the body is none."""

        async def start() -> ImmutableMultiDict[str, UploadFile]:
            return self._files_of(await self._load_form())

        return cast(
            "Awaitable[ImmutableMultiDict[str, UploadFile]]",
            self._face("request.files", start, lambda: self._files_of(self._form_now())),
        )

    @property
    def values(self) -> Any:
        """The query and, unless this is a GET, the form."""
        if self.method in ("GET", "HEAD"):
            sources = [self.args]

            async def start_without() -> CombinedMultiDict[str, str]:
                return CombinedMultiDict(sources)

            return self._face("request.values", start_without, lambda: CombinedMultiDict(sources))

        async def start() -> CombinedMultiDict[str, str]:
            return CombinedMultiDict([self.args, (await self._load_form()).fields])

        return self._face(
            "request.values",
            start,
            lambda: CombinedMultiDict([self.args, self._form_now().fields]),
        )

    @property
    def stream(self) -> BodyStream:
        """The body as it arrives: ``async for chunk in request.stream``.

        In ``def`` code a binary file: ``request.stream.read(1024)``.
        """
        if on_loop():
            return BodyStream(self)
        return cast(BodyStream, self._file_now())

    @property
    def body(self) -> BodyStream:
        """The body as Quart has it: awaited as a whole or iterated."""
        return BodyStream(self)

    def parts(self) -> Parts:
        """Return the parts of a multipart form while they arrive, fields and files alike.

        ``async for part in request.parts()``, and ``for`` in ``def`` code, where the route needs
        ``stream_body=True`` if the body is not to be read ahead. Nothing is kept, in memory or on
        the disk: what is not read of a part is passed over. The limits are those of
        :attr:`form`; how long a file may be is a matter of ``max_content_length`` alone.

        :raises UnsupportedMediaType: 415, if the body is of another type.
        :raises RuntimeError: if :attr:`form` or :attr:`files` took the body already.
        """
        if self.mimetype != "multipart/form-data":
            raise UnsupportedMediaType(
                "The body has no parts: its Content-Type is not 'multipart/form-data'."
            )
        splitter = Splitter(self.content_type or "", self._form_limits())
        if on_loop():
            chunks = self.chunks()
        elif self.stream_body and not self._is_here:
            chunks = _waited_for(self.chunks())
        else:
            self._need_body()
            chunks = _there_already(self._buffered_blocks())
        if not self._is_here:
            if self._form is not None or self._form_failure is not None:
                raise RuntimeError("The parts of this form are gone: the form was read before.")
            self._form_failure = RuntimeError(
                "The form is gone: request.parts() was called, and its parts are read once."
            )
        return Parts(chunks, splitter, _refused)

    # -- reading, on the loop --------------------------------------------------------------

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body, piece by piece as it arrives; as a whole if it was read already."""
        if self._spool is not None:
            await self.prefetch()
        if self._is_here:
            blocks = self._buffered_blocks()
            while block := await to_thread(next, blocks, b""):
                yield block
            return
        while self._parts:  # what came before a limit was reached that is higher now
            yield self._parts.pop(0)
        async for chunk in self._chunks():
            yield chunk

    @property
    def _mailbox(self) -> Inbox:
        """What the messages of this request are taken from."""
        if self._inbox is None:
            self._inbox = Inbox(self._receive)
        return self._inbox

    async def _begin(self) -> Turn:
        """Let one read the body when several tasks ask for it; the turn has to be ended."""
        turn = self._arriving
        if turn is None:
            turn = self._arriving = Turn()
        elif turn.taken:
            await turn.wait()
        turn.taken = True
        return turn

    async def prefetch(self, *, spool: bool = True) -> None:
        """Read the whole body, into memory or, if it is large and *spool* is true, a file.

        After an error it goes on where it was, with limits that may be others now.

        :raises HTTPException: 413, 408 or 400.
        """
        if self._is_here:
            return
        turn = await self._begin()
        try:
            if not self._is_here:
                await self._read_all(spool)
        finally:
            turn.end()

    async def _read_all(self, spool: bool) -> None:
        parts = self._parts = self._parts or []
        inbox = self._check_announced()
        while not inbox.complete:
            if chunk := await self._piece(inbox):
                parts.append(chunk)
                if spool and self._received > _IN_MEMORY:
                    await to_thread(self._write_parts)
                self._check_size(self._received)
        if self._spool is None:
            self._body = b"".join(parts) if len(parts) != 1 else parts[0]
        else:
            await to_thread(self._write_parts)
        self._parts = None
        self._is_here = True

    def _write_parts(self) -> None:
        if self._spool is None:
            # Closed in close(): it lives as long as the request.
            self._spool = tempfile.TemporaryFile(prefix="erlen-body-")  # noqa: SIM115
        parts = self._parts or []
        self._spool.write(b"".join(parts))
        parts.clear()

    def _chunks(self) -> _Chunks:
        """Return what arrives; the limit counts received bytes, whatever was announced."""
        return _Chunks(self._check_announced, self._next_chunk)

    async def _next_chunk(self, inbox: Inbox) -> bytes:
        """Return the next piece that is not empty; ``b""`` at the end."""
        self._check_size(self._received)
        while not inbox.complete:
            if chunk := await self._piece(inbox):
                return chunk
        return b""

    def _check_announced(self) -> Inbox:
        """Refuse at once what is announced as too long; return where it comes from."""
        self._check_size(max(self.content_length or 0, self._received))
        return self._mailbox

    async def _piece(self, inbox: Inbox) -> bytes:
        patience = self._patience() if self._waited else self.body_timeout
        if patience is None:
            message = await inbox.take()
        else:
            message = await self._take_within(patience, inbox)
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("The client left before its request was complete.")
        chunk: bytes = message.get("body", b"")
        self._received += len(chunk)
        return chunk

    def _patience(self) -> float | None:
        """Return how many seconds the next piece has to arrive; ``None``: all it wants.

        What came too late once is not waited for a second time, unless the limit is another
        now. The time that the app takes between two pieces is not the client's.
        """
        limit = self.body_timeout
        if limit is None:
            return None
        patience = limit - self._silence
        if rate := self.body_min_rate:
            patience = min(patience, limit + self._received / rate - self._waited)
        return patience

    async def _take_within(self, patience: float, inbox: Inbox) -> Message:
        arriving = Within(inbox.take(), patience)
        try:
            message = await arriving
        except TimeoutError:
            raise RequestTimeout(self._why_too_late(patience)) from None
        finally:
            if arriving.waited:
                self._waited += arriving.waited
                self._silence += arriving.waited
        if self._silence:
            self._silence = 0.0
        return message

    def _why_too_late(self, patience: float) -> str:
        if patience == cast(float, self.body_timeout) - self._silence:
            return f"The body did not arrive within {self.body_timeout} seconds (BODY_TIMEOUT)."
        return (
            f"The body came too slowly, with less than {self.body_min_rate} bytes a second"
            " (BODY_MIN_RATE)."
        )

    def _check_size(self, size: int) -> None:
        limit = self.max_content_length
        if limit is not None and size > limit:
            raise RequestEntityTooLarge(
                f"The body has {size} bytes or more, {limit} are allowed (MAX_CONTENT_LENGTH,"
                " or max_content_length= of the route)."
            )

    async def replay(self) -> Message:
        """Receive as an ASGI app does, with a body that was read already given again."""
        if self._again is None:
            if self._received or self._mailbox.complete:
                await self.prefetch()
            self._again = self._messages_again() if self._is_here else iter(())
        if self._spool is None:
            message = next(self._again, None)
        else:
            message = await to_thread(next, self._again, None)
        return message or await self._mailbox.take()

    def _messages_again(self) -> Iterator[Message]:
        for block in self._buffered_blocks():
            yield {"type": "http.request", "body": block, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    async def until_disconnect(self) -> Message:
        """Wait until the client leaves, without taking the body from whoever reads it."""
        return await self._mailbox.until_disconnect()

    async def _load_form(self) -> Form:
        if self._form is None:
            turn = await self._begin()
            try:
                await self._load_form_once()
            finally:
                turn.end()
        return cast(Form, self._form)

    async def _load_form_once(self) -> None:
        if self._is_here:
            self._form = await to_thread(self._form_now)
        elif self._form is None:
            self._form = await self._parse_arriving()

    async def _parse_arriving(self) -> Form:
        parser = form_parser(self.content_type or "", self._form_limits())
        if parser is None:
            return _EMPTY_FORM
        if self._form_failure is not None:
            raise self._form_failure
        before = self._received
        failure: Exception = RuntimeError(
            "The form was not read to its end, because that was cancelled. What arrived is gone."
        )
        try:
            return await read_form(self._chunks(), parser)
        except FormError as error:
            failure = _refused(error)
            raise failure from error
        except HTTPException as error:
            failure = error
            raise
        finally:
            if self._received > before:
                self._form_failure = failure

    def _files_of(self, form: Form) -> ImmutableMultiDict[str, UploadFile]:
        if self.limits.debug and self.mimetype != "multipart/form-data":
            return NoFiles(form.fields, self.mimetype)
        return form.files

    def _form_limits(self) -> FormLimits:
        return FormLimits(max_memory=self.max_form_memory_size, max_parts=self.max_form_parts)

    # -- reading, in a thread --------------------------------------------------------------

    def _need_body(self) -> None:
        """Make sure that the body is here, for ``def`` code."""
        if self._is_here:
            return
        if on_loop_thread():
            raise ContextError(
                "The body of this request was not read yet, and it cannot be waited for here: in"
                " a def step that is marked inline=True, or in a template that is rendered on"
                " the event loop. Remove inline=True, or make it async def; for a template,"
                " await the body before you render."
            )
        wait_for(self.prefetch)

    def _file_now(self) -> IO[bytes]:
        if self._file is None:
            self._file = self._opened_file()
        return self._file

    def _opened_file(self) -> IO[bytes]:
        if self.stream_body and not self._is_here:
            return cast("IO[bytes]", io.BufferedReader(_Incoming(self), _BLOCK))
        self._need_body()
        return io.BytesIO(self._body) if self._body is not None else self._rewound()

    def _rewound(self) -> IO[bytes]:
        spool = cast("IO[bytes]", self._spool)
        spool.seek(0)
        return spool

    def _form_now(self) -> Form:
        if self._form is None:
            if form_parser(self.content_type or "", self._form_limits()) is None:
                self._form = _EMPTY_FORM
            else:
                self._need_body()
                self._form = self._parse_buffered()
        return self._form

    def _parse_buffered(self) -> Form:
        parser = form_parser(self.content_type or "", self._form_limits())
        if parser is None:
            return _EMPTY_FORM
        try:
            return read_form_sync(self._buffered_blocks(), parser)
        except FormError as error:
            raise _refused(error) from error

    def _buffered_blocks(self) -> Iterator[bytes]:
        if self._body is not None:
            yield self._body
        else:
            spool = self._rewound()
            while block := spool.read(_BLOCK):
                yield block

    # -- what was read ---------------------------------------------------------------------

    @property
    def _is_form(self) -> bool:
        return self.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data")

    want_form_data_parsed = property(lambda self: self._is_form, doc="Whether the body is a form.")

    def _data(self, cache: bool, as_text: bool) -> Any:
        body = self._body if self._body is not None else self._rewound().read()
        if not cache:
            self._forget()
        return body.decode("utf-8", "replace") if as_text else body

    def _forget(self) -> None:
        if self._spool is not None:
            self._spool.close()
        self._body, self._spool = b"", None

    def _load_json(self, silent: bool, cache: bool) -> Any:
        if cache and self._json is not _UNREAD:
            return self._json
        try:
            value = self.limits.json.loads(self._data(cache=True, as_text=False))
        except ValueError as error:
            if silent:
                return None
            return self.on_json_loading_failed(error)
        if cache:
            self._json = value
        return value

    def on_json_loading_failed(self, error: ValueError | None) -> Any:
        """Return what stands for JSON that cannot be read; raises a 400 unless overridden.

        *error* is ``None``, and what is raised a 415, if the body is of another type.
        """
        if error is None:
            raise UnsupportedMediaType(
                "Did not attempt to load JSON data because the request Content-Type was not"
                " 'application/json'."
            )
        detail = f": {error}" if self.limits.debug else "."
        raise BadRequest(f"The body is no valid JSON{detail}") from error

    def close(self) -> None:
        """Close the files of this request."""
        files: list[Any] = [] if self._spool is None else [self._spool]
        if self._form is not None:
            files += [upload for uploads in self._form.files.listvalues() for upload in uploads]
        for file in files:
            with suppress(OSError):  # what a full disk did not take is thrown away anyway
                file.close()


def on_loop_thread() -> bool:
    """Say whether an event loop runs in this thread, which then must not wait for it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_FORM_KEYS = {"max_memory": "MAX_FORM_MEMORY_SIZE", "max_parts": "MAX_FORM_PARTS"}


def _refused(error: FormError) -> HTTPException:
    """Return the answer to a form that is broken, or larger than the limits allow."""
    if isinstance(error, FormTooLarge):
        key = _FORM_KEYS.get(error.limit_name, error.limit_name)
        return RequestEntityTooLarge(f"{error} ({key}).")
    return BadRequest(str(error))


class BodyStream:
    """The body of a request as it arrives; awaiting it reads the rest."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._request.chunks()

    def __await__(self) -> Any:
        return self._request.get_data().__await__()

    async def read(self) -> bytes:
        """Read all that has not been read."""
        return b"".join([chunk async for chunk in self])


async def _waited_for(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield *chunks* in a thread, without ever suspending there."""

    async def take() -> bytes:
        return await anext(chunks, b"")

    while chunk := wait_for(take):
        yield chunk


async def _there_already(blocks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        if block:
            yield block


class _Chunks(AsyncIterator[bytes]):
    """The pieces of a body as they arrive.

    PERF: a loop keeps a list of the generators that it iterates; this it does not (2 us).
    """

    __slots__ = ("_begin", "_inbox", "_next")

    def __init__(
        self, begin: Callable[[], Inbox], following: Callable[[Inbox], Awaitable[bytes]]
    ) -> None:
        self._begin = begin
        self._next = following
        self._inbox: Inbox | None = None

    async def __anext__(self) -> bytes:
        if self._inbox is None:
            self._inbox = self._begin()
        chunk = await self._next(self._inbox)
        if not chunk:
            raise StopAsyncIteration
        return chunk


class _Incoming(io.RawIOBase):
    """A body that is still arriving, as a blocking file for one thread."""

    def __init__(self, request: Request) -> None:
        self._chunks = request.chunks()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = wait_for(self._next)
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)

    async def _next(self) -> bytes:
        return await anext(self._chunks, b"")


if TYPE_CHECKING:

    class SyncRequest(Connection):
        """The same request as ``def`` code sees it: what is awaited there is plain here."""

        max_content_length: int | None
        max_form_memory_size: int | None
        max_form_parts: int | None
        body_timeout: float | None
        body_min_rate: float | None
        method: str
        content_type: str | None
        mimetype: str
        mimetype_params: dict[str, str]
        content_length: int | None
        content_encoding: str | None
        is_json: bool
        date: datetime | None
        if_modified_since: datetime | None
        if_unmodified_since: datetime | None
        if_match: ETags
        if_none_match: ETags
        if_range: IfRange
        range: Range | None
        last_event_id: str | None
        cache_control: RequestCacheControl
        pragma: HeaderSet
        max_forwards: int | None
        access_control_request_headers: HeaderSet | None
        access_control_request_method: str | None
        data: bytes
        json: Any
        form: ImmutableMultiDict[str, str]
        files: ImmutableMultiDict[str, SyncUploadFile]
        stream: IO[bytes]

        def get_data(
            self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False
        ) -> Any:
            """Return the body as bytes, or as text in UTF-8."""

        def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
            """Return the body parsed as JSON."""

        def parts(self) -> Iterator[SyncPart]:
            """Return the parts of a multipart form while they arrive."""
            ...

        def on_json_loading_failed(self, error: ValueError | None) -> Any:
            """Return what stands for JSON that cannot be read."""

        def enter(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] # the other face
            self, manager: AbstractAsyncContextManager[T] | AbstractContextManager[T]
        ) -> T:
            """Enter a context manager for the rest of this request."""
            ...

else:
    SyncRequest = Request


class _Shown(StarletteRequest):
    @property
    def session(self) -> dict[str, Any]:
        return session_of(self)
