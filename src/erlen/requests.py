"""What came in over HTTP. Knows limits and JSON as values; knows nothing of the app."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from inspect import getattr_static
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar, cast

from starlette.requests import Request as StarletteRequest

from .announced import Announced, announced
from .bodies import Body, BodyStream, begin, on_loop_thread
from .concurrency import Pending, Soon, on_loop, to_thread, wait_for
from .connections import Connection, Limits, session_of
from .datastructures import CombinedMultiDict, ImmutableMultiDict
from .elsewhere import REQUEST, lacks, refuse_overrides
from .exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)
from .forms import (
    NO_FILES,
    URLENCODED,
    Form,
    FormError,
    FormTooLarge,
    NoFiles,
    form_parser,
    read_form,
    read_form_sync,
    urlencoded_fields,
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
from .parts import Parts, SyncPart
from .typing import Message
from .uploads import SyncUploadFile, UploadFile

__all__ = ["BodyStream", "Request", "SyncRequest"]

T = TypeVar("T")

_EMPTY_FORM = Form(ImmutableMultiDict(), ImmutableMultiDict())


class Limit(Generic[T]):
    """A limit of a request: what the configuration says, unless it is set."""

    __slots__ = ("_name",)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, request: Any, owner: Any = None) -> T:
        value: T = getattr(request.limits, self._name)
        return value

    def __set__(self, request: Any, value: T) -> None:
        request.limits = _with(request.limits, self._name, value)
        if isinstance(request._body, Body):
            request._body.limits = request.limits


@lru_cache(maxsize=128)
def _with(limits: Limits, name: str, value: Any) -> Limits:
    """Return *limits* but for one; kept, because most are set by a route."""
    return replace(limits, **{name: value})


def _fixed_limits(fixed: list[str], request: Request) -> Limits:
    return replace(request.limits, **{name: getattr(request, name) for name in fixed})


@lacks(REQUEST)
class Request(Connection):
    """An HTTP request. In ``async def`` code the body is awaited: ``await request.form``.

    In ``def`` code the same names are plain values: ``request.form["x"]``.
    """

    __slots__ = ()

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

    stream_body: bool = False
    _sent: Announced | None
    _body: Body | bytes | None
    """What has come: all of it in one message, or what knows the rest; ``None``: not touched."""
    _fields: ImmutableMultiDict[str, str] | None
    _files: ImmutableMultiDict[str, UploadFile] | None
    _form_failure: Exception | None = None
    _json: tuple[Any] | None
    """What the body says as JSON, once it was read."""

    _limits: Limits = vars(Connection)["limits"]
    """The limits of now, with those that a subclass has attributes of its own for."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_overrides(cls, REQUEST)
        fixed = [
            name
            for name, value in vars(Request).items()
            if isinstance(value, Limit) and getattr_static(cls, name) is not value
        ]
        if fixed:
            # PERF: that no class has any costs nothing, when requests are served.
            cls._limits = cast(Limits, property(partial(_fixed_limits, fixed)))

    # -- the line and the headers ----------------------------------------------------------

    @property
    def method(self) -> str:
        """The method, in upper case."""
        method: str = self.scope["method"]
        return method

    @property
    def content_type(self) -> str | None:
        """The Content-Type header, parameters and all."""
        return (self._sent or self._announced())[0]

    @property
    def mimetype(self) -> str:
        """The type of the body in lower case, without parameters; ``""`` if it has none."""
        return (self._sent or self._announced())[1]

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of Content-Type."""
        return parse_options_header(self.content_type or "")[1]

    @property
    def content_length(self) -> int | None:
        """The length of the body as the client announced it; ``None`` if it did not."""
        return (self._sent or self._announced())[2]

    @property
    def has_body(self) -> bool:
        """Whether the client announced a body."""
        return (self._sent or self._announced())[3]

    @property
    def body_is_over(self) -> bool:
        """Whether all of the body was received, or the client announced none."""
        body = self._body
        if body is None:
            return not self.has_body
        return body.complete if isinstance(body, Body) else True

    def _announced(self) -> Announced:
        # PERF: one look for all of it, which is asked for again and again.
        self._sent = sent = announced(self.scope.get("headers", ()))
        return sent

    @property
    def content_encoding(self) -> str | None:
        """The coding of the body. It is not decoded here."""
        return self.headers.get("content-encoding")

    @property
    def is_json(self) -> bool:
        """Whether the type is ``application/json`` or ``application/*+json``."""
        kind = (self._sent or self._announced())[1]
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
        how = cache, as_text, parse_form_data
        if on_loop():
            return Pending("request.get_data()", self._read_data, False, *how)
        return cast("Awaitable[Any]", self._read_data(True, *how))

    @property
    def data(self) -> Awaitable[bytes]:
        """The body as bytes; empty if it is a form."""
        if on_loop():
            return Pending("request.data", self._read_data, False, True, False, True)
        return cast("Awaitable[bytes]", self._read_data(True, True, False, True))

    def get_json(
        self, force: bool = False, silent: bool = False, cache: bool = True
    ) -> Awaitable[Any]:
        """Return the body parsed as JSON.

        *force* ignores the Content-Type; *silent* returns ``None`` instead of raising.

        :raises UnsupportedMediaType: 415, if it is of another type.
        :raises BadRequest: 400, if it is no JSON.
        """
        if on_loop():
            return Pending("request.get_json()", self._read_json, False, force, silent, cache)
        return cast("Awaitable[Any]", self._read_json(True, force, silent, cache))

    @property
    def json(self) -> Awaitable[Any]:
        """The body parsed as JSON; 415 if it is of another type."""
        if on_loop():
            return Pending("request.json", self._read_json, False, False, False, True)
        return cast("Awaitable[Any]", self._read_json(True, False, False, True))

    @property
    def form(self) -> Awaitable[ImmutableMultiDict[str, str]]:
        """The fields of a form; empty if the body is none."""
        if on_loop():
            return Pending("request.form", self._read_fields, False)
        return cast("Awaitable[ImmutableMultiDict[str, str]]", self._read_fields(True))

    @property
    def files(self) -> Awaitable[ImmutableMultiDict[str, UploadFile]]:
        """The files of a form; empty if the body is none."""
        if on_loop():
            return Pending("request.files", self._read_files, False)
        return cast("Awaitable[ImmutableMultiDict[str, UploadFile]]", self._read_files(True))

    @property
    def values(self) -> Any:
        """The query and, unless this is a GET, the form."""
        if on_loop():
            return Pending("request.values", self._read_values, False)
        return self._read_values(True)

    @property
    def stream(self) -> BodyStream:
        """The body as it arrives: ``async for chunk in request.stream``.

        In ``def`` code a binary file: ``request.stream.read(1024)``.
        """
        if on_loop():
            return self.body
        return cast(BodyStream, self._content.file(arriving=self.stream_body))

    @property
    def body(self) -> BodyStream:
        """The body as Quart has it: awaited as a whole or iterated."""
        return BodyStream(self.chunks, self.get_data)

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
        # WHY: not at the top, since most apps take no multipart form; see the module.
        from .splitter import Splitter

        splitter = Splitter(self.content_type or "", self._limits.form)
        body = self._content
        begin = body.reader if on_loop() else body.reader_in_thread(arriving=self.stream_body)
        if not body.is_here:
            if self._fields is not None or self._form_failure is not None:
                raise RuntimeError("The parts of this form are gone: the form was read before.")
            self._form_failure = RuntimeError(
                "The form is gone: request.parts() was called, and its parts are read once."
            )
        return Parts(begin, splitter, _refused)

    # -- reading, on the loop --------------------------------------------------------------

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body, piece by piece as it arrives; as a whole if it was read already."""
        return self._content.chunks()

    @property
    def _content(self) -> Body:
        """The body, made when it is first touched, under the limits of now."""
        body = self._body
        if not isinstance(body, Body):
            if body is None and not on_loop_thread():
                return wait_for(self._begun)  # there alone it is taken from who sends it
            made = Body(self._receive, self.content_length or 0, self._limits, body)
            # In one step: a thread and the loop may want it at the same time.
            self._body = body = self.__dict__.setdefault("_made", made)
        body.limits = self._limits
        return body

    async def _begun(self) -> Body:
        return self._content

    def _at_once(self) -> bytes | None:
        """Return all of the body, if it came as one message; on the loop."""
        body = self._body
        if body is None:
            length = (self._sent or self._announced())[2]
            self._body = body = begin(self._receive, length or 0, self._limits)
        return body if isinstance(body, bytes) else None

    async def prefetch(self, *, spool: bool = True) -> None:
        """Read the whole body, into memory or, if it is large and *spool* is true, a file.

        After an error it goes on where it was, with limits that may be others now.

        :raises HTTPException: 413, 408 or 400.
        """
        if self._at_once() is None:
            await self._content.read(spool=spool)

    async def replay(self) -> Message:
        """Receive as an ASGI app does, with a body that was read already given again."""
        return await self._content.replay()

    async def until_disconnect(self) -> Message:
        """Wait until the client leaves, without taking the body from whoever reads it."""
        return await self._content.inbox.until_disconnect()

    # -- what each of the faces above returns, or a coroutine that does, if it has to wait --
    #
    # *plain* is for def code, which waits in its thread.

    def _read_data(self, plain: bool, cache: bool, as_text: bool, parse_form_data: bool) -> Any:
        how = plain, cache, as_text, parse_form_data
        if parse_form_data and self._is_form:
            fields = self._read_fields(plain)
            if not isinstance(fields, ImmutableMultiDict):
                return _after(fields, self._read_data, *how)
        whole = self._body if plain else self._at_once()
        if isinstance(whole, bytes):
            if not cache:
                self._body = b""
            return whole.decode("utf-8", "replace") if as_text else whole
        body = self._content
        if not body.is_here:
            if self._fields is not None:
                return "" if as_text else b""
            if not plain:
                return _after(body.read(spool=False), self._read_data, *how)
            body.need()
        return body.data(cache, as_text)

    def _read_json(self, plain: bool, force: bool, silent: bool, cache: bool) -> Any:
        if cache and self._json is not None:
            return self._json[0]
        if not (force or self.is_json):
            return None if silent else self.on_json_loading_failed(None)
        sent = self._body if plain else self._at_once()
        if not isinstance(sent, bytes):
            body = self._content
            if plain:
                body.need()
            elif not body.is_here:
                how = plain, force, silent, cache
                return _after(body.read(spool=False), self._read_json, *how)
            sent = body.data()
        try:
            value = self.limits.json.loads(sent)
        except ValueError as error:
            return None if silent else self.on_json_loading_failed(error)
        if cache:
            self._json = (value,)
        return value

    def _read_fields(self, plain: bool) -> Soon[ImmutableMultiDict[str, str]]:
        if plain:
            self._load_form_now()
        fields = self._fields
        if fields is not None:
            return fields
        if (self._sent or self._announced())[1] == URLENCODED:
            # PERF: without the coroutines that waiting takes. Most forms come like this.
            untouched = self._body is None
            sent = self._at_once()
            if sent is not None:
                try:
                    fields = self._fields = urlencoded_fields(sent, self._limits.form)
                except FormError as error:
                    raise _refused(error) from error
                if untouched:
                    self._body = b""  # as of a form that is parsed while it arrives
                return fields
        return _after(self._load_form(), self._read_fields, plain)

    def _read_files(self, plain: bool) -> Soon[ImmutableMultiDict[str, UploadFile]]:
        fields = self._read_fields(plain)
        if not isinstance(fields, ImmutableMultiDict):
            return _after(fields, self._read_files, plain)
        if self.limits.debug and self.mimetype != "multipart/form-data":
            return NoFiles(fields, self.mimetype)
        return self._files or NO_FILES

    def _read_values(self, plain: bool) -> Soon[CombinedMultiDict[str, str]]:
        if self.method in ("GET", "HEAD"):
            return CombinedMultiDict([self.args])
        fields = self._read_fields(plain)
        if not isinstance(fields, ImmutableMultiDict):
            return _after(fields, self._read_values, plain)
        return CombinedMultiDict([self.args, fields])

    async def _load_form(self) -> None:
        """Parse the form as it arrives."""
        body = self._content
        if body.taken:
            await body.wait()
        body.taken = True
        try:
            if self._fields is None:
                if body.is_here:
                    await to_thread(self._load_form_now)
                else:
                    self._keep(await self._parse_arriving(body))
        finally:
            body.end()

    async def _parse_arriving(self, body: Body) -> Form:
        parser = form_parser(self.content_type or "", self._limits.form)
        if parser is None:
            return _EMPTY_FORM
        if self._form_failure is not None:
            raise self._form_failure
        before = body.received
        failure: Exception = RuntimeError(
            "The form was not read to its end, because that was cancelled. What arrived is gone."
        )
        try:
            return await read_form(body.next_chunk, parser)
        except FormError as error:
            failure = _refused(error)
            raise failure from error
        except HTTPException as error:
            failure = error
            raise
        finally:
            if body.received > before:
                self._form_failure = failure

    def _load_form_now(self) -> None:
        """Parse the form; for ``def`` code, which waits for all of it first."""
        if self._fields is None:
            self._keep(self._parse_buffered())

    def _keep(self, form: Form) -> None:
        self._files = form.files
        self._fields = form.fields  # last, because it says that the form is here

    def _parse_buffered(self) -> Form:
        parser = form_parser(self.content_type or "", self._limits.form)
        if parser is None:
            return _EMPTY_FORM
        body = self._content
        body.need()
        try:
            return read_form_sync(body.blocks(), parser)
        except FormError as error:
            raise _refused(error) from error

    # -- what was read ---------------------------------------------------------------------

    @property
    def _is_form(self) -> bool:
        return self.mimetype in (URLENCODED, "multipart/form-data")

    want_form_data_parsed = property(lambda self: self._is_form, doc="Whether the body is a form.")

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
        if self._sent is None:
            return  # nobody asked for a body
        body, files = self._body, self._files
        if isinstance(body, Body):
            body.close()
        if files:
            for uploads in files.listvalues():
                for upload in uploads:
                    with suppress(OSError):  # what a full disk did not take is thrown away anyway
                        upload.close()


async def _after(reading: Awaitable[Any], read: Callable[..., Soon[T]], *how: Any) -> T:
    """Return what *read* does when the *reading* that it waits for is over."""
    await reading
    return cast(T, read(*how))


_FORM_KEYS = {"max_memory": "MAX_FORM_MEMORY_SIZE", "max_parts": "MAX_FORM_PARTS"}


def _refused(error: FormError) -> HTTPException:
    """Return the answer to a form that is broken, or larger than the limits allow."""
    if isinstance(error, FormTooLarge):
        key = _FORM_KEYS.get(error.limit_name, error.limit_name)
        return RequestEntityTooLarge(f"{error} ({key}).")
    return BadRequest(str(error))


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
