"""What goes out. Knows ASGI and HTTP; knows nothing of the app or the request."""

from __future__ import annotations

import http
import warnings
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from html import escape
from typing import Any, ClassVar, TypeAlias, cast

from starlette.responses import Response as StarletteResponse

from . import json
from .concurrency import ensure_sync, on_loop
from .conditional import Verdict, evaluate
from .elsewhere import RESPONSE, lacks
from .fields import (
    LiveField,
    age_field,
    date_field,
    flag_field,
    header_url,
    length_field,
    policy_field,
    retry_field,
    set_field,
    text_field,
    url_field,
)
from .headers import (
    ContentRange,
    Headers,
    ResponseCacheControl,
    dump_cookie,
    generate_etag,
    parse_cache_control_header,
    parse_content_range_header,
    parse_options_header,
    quote_etag,
    unquote_etag,
)
from .proxies import current
from .sending import Chunks, Departure, encode, send_stream, tells_departure
from .sharing import shares
from .typing import Message, Receive, Scope, Send

__all__ = [
    "BODILESS",
    "BODILY",
    "SHORT",
    "SHORT_LENGTHS",
    "STATUSES",
    "Body",
    "HeaderItems",
    "RawHeaders",
    "Response",
    "content_length",
    "redirect",
    "wrong_status",
]

Body: TypeAlias = (
    str | bytes | bytearray | memoryview | Iterable[str | bytes] | AsyncIterable[str | bytes] | None
)
"""What a response can be made of: everything at once, or piece by piece."""

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]
HeaderItems: TypeAlias = Headers | Mapping[str, Any] | Iterable[tuple[str, Any]]

# What browsers keep of a cookie, with its name and attributes (RFC 6265, 6.1: 4096 at least).
_COOKIE_SIZE = 4093

# RFC 9110, 6.4.1: these have no content, whatever the view returned.
BODILESS = frozenset({*range(100, 200), 204, 304})
# RFC 9110, 15. No server sends another one.
STATUSES = frozenset(range(100, 600))
BODILY = STATUSES - BODILESS
# RFC 9110, 15.4.5: a 304 repeats what a cache needs and nothing about the missing body.
_ENTITY = frozenset({b"content-length", b"content-type", b"content-encoding", b"content-range"})

_TEXT_APPLICATIONS = frozenset(
    {
        "application/ecmascript",
        "application/javascript",
        "application/sql",
        "application/xml",
        "application/xml-dtd",
    }
)


# PERF: remembering them instead of str().encode() saves 0.1 us for each response.
@lru_cache(maxsize=4096)
def content_length(length: int) -> tuple[bytes, bytes]:
    """Return the raw Content-Length header for *length* bytes."""
    return (b"content-length", str(length).encode())


SHORT = 1024
SHORT_LENGTHS = tuple(map(content_length, range(SHORT)))
"""The Content-Length headers of short bodies.

PERF: looking there first takes 0.02 us, and remembering 0.08 (timeit).
"""


@lru_cache(maxsize=256)
def _with_charset(mimetype: str) -> tuple[bytes, bytes]:
    """Return the raw Content-Type header of *mimetype*; text says that it is UTF-8."""
    textual = (
        mimetype.startswith("text/") or mimetype in _TEXT_APPLICATIONS or mimetype.endswith("+xml")
    )
    value = f"{mimetype}; charset=utf-8" if textual and "charset=" not in mimetype else mimetype
    checked = Headers([("content-type", value)])
    return checked.raw[0]


def wrong_status(status: Any) -> ValueError:
    """Return the error for a *status* that cannot be sent."""
    return ValueError(f"A status is a number from 100 to 599, not {status!r}.")


def _cache_control(
    text: str | None, changed: Callable[[ResponseCacheControl], None]
) -> ResponseCacheControl:
    return parse_cache_control_header(text, changed)


# PERF: a method that is looked up in what another module gave is made anew for each call.
_new: Callable[[type[Headers]], Headers] = Headers.__new__


def _content_range(text: str | None, changed: Callable[[ContentRange], None]) -> ContentRange:
    found = parse_content_range_header(text, changed)
    return ContentRange(on_update=changed) if found is None else found


@shares(
    *("status_code", "raw_headers", "body", "stream", "background", "callbacks"),
    *("head_first", "direct_passthrough", "live_headers", "_reason"),
)
@lacks(RESPONSE)
class Response(StarletteResponse):
    """An HTTP response: Flask's names on a Starlette ``Response``.

    *response* is the whole body (text is UTF-8) or an iterable of either colour that yields
    it; a list or tuple is joined. *status* is a code or a line such as ``"418 Teapot"``.
    *mimetype* gets ``charset=utf-8`` where it is text, *content_type* is taken as it is.

    :raises ValueError: if a header could not be sent as it is (CR, LF, NUL), or the status is
        none from 100 to 599.
    """

    default_mimetype: str = "text/html"
    default_status: int = 200
    range_error: ClassVar[type[Exception]] = ValueError
    """What a range raises that cannot be sent, with the length of the body as its argument."""
    background: Any = None
    body: bytes
    raw_headers: RawHeaders
    stream: AsyncIterable[str | bytes] | Iterable[str | bytes] | None = None
    """What yields the body, ``None`` where it is all there (``body``)."""
    head_first: bool = False
    """Whether the head is sent before the stream has yielded anything."""
    is_endless: bool = False
    """Whether the stream is complete wherever it ends, as one of events is."""
    direct_passthrough: bool = False
    callbacks: list[Callable[[], Any]] | None = None
    """What :meth:`call_on_close` was given."""

    # Defaults on the class: most responses never set them.
    _reason: str | None = None
    live_headers: Headers | None = None
    """What :attr:`headers` shows, once something has asked for it."""
    _max_cookie_size: int | None = None

    def __init__(
        self,
        response: Body = None,
        status: int | str | http.HTTPStatus | None = None,
        headers: HeaderItems | None = None,
        mimetype: str | None = None,
        content_type: str | None = None,
        direct_passthrough: bool = False,
    ) -> None:
        self.status_code = self.default_status
        if direct_passthrough:
            self.direct_passthrough = True
        if content_type is None:
            self.raw_headers = [_with_charset(mimetype or self.default_mimetype)]
        else:
            self.raw_headers = Headers([("content-type", content_type)]).raw
        if headers is not None:
            self._take_headers(headers, keep=mimetype is not None or content_type is not None)
        if status is not None:
            self.status = status
        self._take_body(response)

    def _take_headers(self, headers: HeaderItems, *, keep: bool) -> None:
        given = Headers(headers)
        if "content-type" in given and not keep:
            self.raw_headers.clear()
        elif keep:
            given.remove("content-type")
        self.raw_headers.extend(given.raw)

    def _take_body(self, body: Body) -> None:
        if body is None:
            body = b""
        elif isinstance(body, str):
            body = body.encode()
        elif isinstance(body, (list, tuple)):
            pieces = cast("Sequence[str | bytes]", body)
            body = b"".join(encode(piece) for piece in pieces)
        elif isinstance(body, (bytearray, memoryview)):
            body = bytes(body)
        if isinstance(body, bytes):
            self.body = body
            self.stream = None
            if not self._has(b"content-length"):
                self.raw_headers.append(content_length(len(body)))
        elif hasattr(body, "__iter__") or hasattr(body, "__aiter__"):
            self.body = b""
            self.stream = body
        else:
            raise TypeError(
                "A response is made of str, bytes, or an iterable of them, not of"
                f" {type(body).__name__}: {body!r}"
            )

    def _has(self, name: bytes) -> bool:
        return any(key == name for key, _ in self.raw_headers)

    # -- sending ---------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send this response; *receive* is watched for a client that leaves a stream."""
        if self.stream is not None and self.streams_to(scope):
            return await send_stream(Departure(receive), self, scope, send)
        try:
            if scope["type"] == "websocket":
                await self._send_denial(send)
            else:
                headers, body = self.raw_headers, self.body
                if self.status_code in BODILESS:
                    headers, body = self._headers_without_body(), b""
                elif scope["method"] == "HEAD":
                    body = b""
                status = self.status_code
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
        except OSError:
            if not tells_departure(scope):
                raise
        finally:
            if self.stream is not None or self.callbacks is not None:
                await self.aclose()
        if self.background is not None:
            await self.background()
        return None

    def streams_to(self, scope: Scope) -> bool:
        """Whether there is a place for a stream."""
        return (
            scope["type"] == "http"
            and scope["method"] != "HEAD"
            and self.status_code not in BODILESS
        )

    async def _send_denial(self, send: Send) -> None:
        prefix = "websocket.http.response"
        head: Message = {"type": f"{prefix}.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        if self.stream is not None:
            async for chunk in self.chunks():
                await send({"type": f"{prefix}.body", "body": chunk, "more_body": True})
        await send({"type": f"{prefix}.body", "body": self.body})

    def _headers_without_body(self) -> RawHeaders:
        drop = _ENTITY if self.status_code == 304 else {b"content-length"}
        return [(name, value) for name, value in self.raw_headers if name not in drop]

    async def prime(self) -> None:
        """Wait for the first piece of a stream, so that an error before it is an error page.

        A stream that says it is ``exhausted`` then was one piece: it becomes the ``body``.
        """
        if self.stream is None:
            return
        source, chunks = self.stream, self.chunks()
        try:
            if not chunks.early:
                async for piece in chunks.pieces:
                    if early := encode(piece):
                        chunks.early = early
                        break
        except BaseException:
            await self.aclose()
            raise
        if getattr(source, "exhausted", False):
            self._take_body(chunks.early)

    def chunks(self) -> Chunks:
        """Return the stream as bytes, the first of which may have been fetched early."""
        stream = self.stream
        if not isinstance(stream, Chunks):
            self.stream = stream = Chunks(stream or ())
        return stream

    def call_on_close(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """Call *function* (of either colour) when the response is over, sent or not."""
        if self.callbacks is None:
            self.callbacks = []
        self.callbacks.append(function)
        return function

    @property
    def waits_for_its_end(self) -> bool:
        """Whether there is something that :meth:`aclose` would close or call."""
        return self.stream is not None or self.callbacks is not None

    async def aclose(self) -> None:
        """Close the stream and run what ``call_on_close`` was given; harmless when repeated."""
        callbacks, self.callbacks = self.callbacks or (), None
        failures: list[BaseException] = []
        for callback in (self._close_stream, *callbacks):
            try:
                result = callback()
                if hasattr(result, "__await__"):
                    await result
            except BaseException as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Do what :meth:`aclose` does, in ``def`` code (Flask's name)."""
        callbacks, self.callbacks = self.callbacks or (), None
        self._close_now()
        for callback in callbacks:
            ensure_sync(callback)()

    def _close_stream(self) -> Any:
        close = getattr(self.stream, "aclose", None) or getattr(self.stream, "close", None)
        return None if close is None else close()

    # -- the body --------------------------------------------------------------------------

    @property
    def is_streamed(self) -> bool:
        """Whether the body comes piece by piece."""
        return self.stream is not None

    @property
    def is_sequence(self) -> bool:
        """Whether the body is all there."""
        return self.stream is None

    @property
    def response(self) -> Any:
        """The body as it will be iterated: a list of one, or the stream."""
        return [self.body] if self.stream is None else self.stream

    @response.setter
    def response(self, value: Body) -> None:
        self._drop(b"content-length")
        self._take_body(value)

    @property
    def data(self) -> bytes:
        """The whole body; setting it sets Content-Length too.

        :raises RuntimeError: if the body is a stream that has to be awaited.
        """
        return cast(bytes, self.get_data())

    @data.setter
    def data(self, value: str | bytes) -> None:
        self.set_data(value)

    def get_data(self, as_text: bool = False) -> Any:
        """Return the body as bytes, or as text.

        What a ``def`` iterable yields, and in ``def`` code a file, is read for that and kept.

        :raises RuntimeError: if the body is a stream that has to be awaited.
        """
        if self.stream is not None:
            self._take_body(self._read_stream())
        return self.body.decode("utf-8", "replace") if as_text else self.body

    def _read_stream(self) -> bytes:
        stream: Any = self.stream
        if hasattr(stream, "__iter__"):
            try:
                return b"".join(encode(piece) for piece in stream)
            finally:
                self._close_now()
        if hasattr(stream, "read_all") and not on_loop():
            return cast(bytes, stream.read_all())
        raise RuntimeError(
            "The body of this response is a stream and not in memory. Look at"
            " response.is_streamed before you ask for its data."
        )

    def _close_now(self) -> None:
        close = getattr(self.stream, "close", None)
        if close is not None:
            close()

    def set_data(self, value: str | bytes) -> None:
        """Make *value* the whole body, and set Content-Length."""
        self._drop(b"content-length")
        self._take_body(value)

    @property
    def text(self) -> str:
        """The body as text."""
        return cast(str, self.get_data(as_text=True))

    def get_json(self, force: bool = False, silent: bool = False) -> Any:
        """Return the body parsed as JSON; ``None`` if it is none and *force* is false."""
        if not (force or self.is_json):
            return None
        try:
            return json.loads(self.get_data())
        except ValueError:
            if silent:
                return None
            raise

    @property
    def json(self) -> Any:
        """The body parsed as JSON, ``None`` if it is of another type."""
        return self.get_json()

    @property
    def is_json(self) -> bool:
        """Whether the type is ``application/json`` or ``application/*+json``."""
        kind = self.mimetype or ""
        return kind == "application/json" or (
            kind.startswith("application/") and kind.endswith("+json")
        )

    # -- status and headers ----------------------------------------------------------------

    @property
    def status(self) -> str:
        """The status line: ``"200 OK"``."""
        reason = self._reason
        if reason is None:
            try:
                reason = http.HTTPStatus(self.status_code).phrase
            except ValueError:
                reason = "UNKNOWN"
        return f"{self.status_code} {reason}"

    @status.setter
    def status(self, value: int | str | http.HTTPStatus) -> None:
        if isinstance(value, int):
            code, reason = int(value), ""
        else:
            digits, _, reason = value.strip().partition(" ")
            if not (digits.isascii() and digits.isdigit()):
                raise ValueError(f"A status begins with its code, as in '404 Not Found': {value!r}")
            code = int(digits)
        if code not in STATUSES:
            raise wrong_status(code)
        self.status_code, self._reason = code, reason or None

    @property
    def headers(self) -> Headers:  # type: ignore[override]
        """The headers, live: what is set here is sent."""
        headers = self.live_headers
        if headers is None:
            # PERF: what Headers.over does; most after hooks set a header.
            headers = self.live_headers = _new(Headers)
            headers.raw = self.raw_headers
        return headers

    def _drop(self, name: bytes) -> None:
        self.raw_headers[:] = [item for item in self.raw_headers if item[0] != name]

    def _header(self, name: str) -> str | None:
        return self.headers.get(name)

    def _set_header(self, name: str, value: Any) -> None:
        if value is None:
            self.headers.remove(name)
        else:
            self.headers[name] = str(value)

    content_type = text_field("content-type")
    """The Content-Type header, parameters and all."""

    @property
    def mimetype(self) -> str | None:
        """The type alone; setting it adds ``charset=utf-8`` where it is text."""
        value = self.content_type
        return value.partition(";")[0].strip() if value else None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self._set_header("content-type", _with_charset(value)[1].decode("latin-1"))

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of Content-Type: ``{"charset": "utf-8"}``."""
        return parse_options_header(self.content_type or "")[1]

    content_length = length_field("content-length")
    """The announced length of the body in bytes."""
    location = url_field("location")
    """Where a redirect or a created resource is."""
    content_encoding = text_field("content-encoding")
    """The coding of the body: ``"gzip"``."""
    content_location = url_field("content-location")
    """Another URL of what is sent."""
    accept_ranges = text_field("accept-ranges")
    """``"bytes"`` where parts of the body may be asked for."""
    date = date_field("date")
    """When the response was made."""
    expires = date_field("expires")
    """When caches must stop using the response."""
    last_modified = date_field("last-modified")
    """When what is sent was last changed, to the second."""
    age = age_field("age")
    """How long ago a cache received the response."""
    retry_after = retry_field("retry-after")
    """Seconds, or the date, after which the client may come back."""
    www_authenticate = text_field("www-authenticate")
    """How a client may authenticate."""
    vary = set_field("vary")
    """The request headers this response depends on, live."""
    allow = set_field("allow")
    """The methods of the resource, live."""
    content_language = set_field("content-language")
    """The languages of the audience, live."""
    cache_control = LiveField("cache-control", _cache_control, str)
    """The Cache-Control header, live: ``response.cache_control.max_age = 60``."""
    content_range = LiveField("content-range", _content_range, str)
    """Which part of the whole the body is, live."""
    content_security_policy = policy_field("content-security-policy")
    """Where a page may load things from, live: ``.default_src = "'self'"``."""
    content_security_policy_report_only = policy_field("content-security-policy-report-only")
    """A policy that is only reported on, live."""
    cross_origin_opener_policy = text_field("cross-origin-opener-policy")
    """Who shares a window with a page that it opens: ``"same-origin"``."""
    cross_origin_embedder_policy = text_field("cross-origin-embedder-policy")
    """What a page may embed: ``"require-corp"``."""
    access_control_allow_origin = text_field("access-control-allow-origin")
    """The origin whose scripts may read the response, or ``"*"``."""
    access_control_allow_credentials = flag_field("access-control-allow-credentials")
    """Whether they may when the request had cookies."""
    access_control_allow_methods = set_field("access-control-allow-methods")
    """The methods that they may use, live."""
    access_control_allow_headers = set_field("access-control-allow-headers")
    """The headers that they may send, live."""
    access_control_expose_headers = set_field("access-control-expose-headers")
    """The headers that they may read, live."""
    access_control_max_age = length_field("access-control-max-age")
    """How many seconds this may be remembered."""

    @property
    def max_cookie_size(self) -> int:
        """Cookies larger than this many bytes warn, because browsers drop them; 0: never.

        ``MAX_COOKIE_SIZE`` of the app, unless it is set here.
        """
        if self._max_cookie_size is not None:
            return self._max_cookie_size
        context = current.get()
        return _COOKIE_SIZE if context is None else context.app.config["MAX_COOKIE_SIZE"] or 0

    @max_cookie_size.setter
    def max_cookie_size(self, size: int) -> None:
        self._max_cookie_size = size

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: timedelta | int | None = None,
        expires: datetime | str | float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Set a cookie; *max_age* in seconds, ``None`` lets it end with the browser.

        :raises ValueError: if a part could not be sent as it is, such as ``;`` in *path*.
        """
        cookie = dump_cookie(
            key,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        if 0 < self.max_cookie_size < len(cookie):
            warnings.warn(
                f"The {key!r} cookie is too large: it takes {len(cookie)} bytes, of which"
                f" {len(value)} are its value. Browsers drop what is larger than"
                f" {self.max_cookie_size} bytes (max_cookie_size): keep less in it.",
                stacklevel=2,
            )
        self.raw_headers.append((b"set-cookie", cookie.encode("latin-1")))

    def delete_cookie(
        self,
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Tell the browser to forget a cookie; *path* and *domain* must be those it has."""
        self.set_cookie(
            key,
            max_age=0,
            expires=0,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

    # -- conditional requests --------------------------------------------------------------

    def get_etag(self) -> tuple[str | None, bool | None]:
        """Return the entity tag and whether it is weak; ``(None, None)`` without one."""
        value = self._header("etag")
        return unquote_etag(value) if value else (None, None)

    def set_etag(self, etag: str, weak: bool = False) -> None:
        """Set the entity tag, without quotes."""
        self._set_header("etag", quote_etag(etag, weak))

    def add_etag(self, overwrite: bool = False, weak: bool = False) -> None:
        """Set an entity tag made of the body, unless there is one."""
        if overwrite or self._header("etag") is None:
            self.set_etag(generate_etag(self.get_data()), weak)

    def freeze(self) -> None:
        """Set the entity tag, so that the response can be kept and sent again."""
        self.add_etag()

    def make_conditional(
        self, request: Any, accept_ranges: bool | str = False, complete_length: int | None = None
    ) -> Response:
        """Answer 304, 412 or a part of the body where *request* asks for it (RFC 9110, 13).

        *accept_ranges* lets the client ask for one range of bytes; a stream must be able to
        ``cut(start, stop)`` itself then, and *complete_length* says how long it is. Only what
        succeeds is conditional (13.2.1), and only a GET has ranges (14.2).

        :returns: this response, changed.
        :raises RequestedRangeNotSatisfiable: 416, for a part that the body does not have.
        """
        if request.method not in ("GET", "HEAD") or not 200 <= self.status_code < 300:
            return self
        if complete_length is None and self.stream is None:
            complete_length = len(self.body)
        if accept_ranges:
            self.accept_ranges = accept_ranges if isinstance(accept_ranges, str) else "bytes"
        offers_ranges = (
            accept_ranges not in (False, "", "none")
            and request.method == "GET"
            and self.status_code == 200
            and (self.stream is None or hasattr(self.stream, "cut"))
        )
        verdict = evaluate(
            request.headers,
            etag=self._header("etag"),
            last_modified=self.last_modified,
            length=complete_length if offers_ranges else None,
        )
        self._apply(verdict, complete_length)
        return self

    def _apply(self, verdict: Verdict, complete_length: int | None) -> None:
        if verdict.status == 416:
            # Raised, so that the error pages of the app answer and nobody caches them as the body.
            self._close_now()
            raise self.range_error(complete_length)
        self.status_code = verdict.status or self.status_code
        if verdict.status in (304, 412):
            self._empty()
        elif verdict.status == 206:
            start, stop = verdict.start, verdict.stop
            self._set_header("content-range", f"bytes {start}-{stop - 1}/{complete_length}")
            if self.stream is None:
                self.set_data(self.body[start:stop])
            else:
                cast(Any, self.stream).cut(start, stop)
                self.content_length = stop - start

    def _empty(self) -> None:
        if self.stream is not None:
            stream, self.stream = self.stream, None
            close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
            if close is not None:
                self.call_on_close(close)
        self.set_data(b"")

    def __repr__(self) -> str:
        size = "streamed" if self.stream is not None else f"{len(self.body)} bytes"
        return f"<{type(self).__name__} {size} [{self.status}]>"


def redirect(location: str, code: int = 302, Response: type[Response] = Response) -> Response:
    """Return a response that sends the client to *location*.

    Its host is written in ASCII, and the rest of *location* percent-encoded where it has to be.

    :raises ValueError: if *code* is no redirect, or *location* is a script.
    """
    if code not in {301, 302, 303, 305, 307, 308}:
        raise ValueError(f"{code} is no redirect. Use 301, 302, 303, 307 or 308.")
    target = header_url(location)
    shown = escape(location)
    body = (
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n"
        f'<p>You should be sent to <a href="{escape(target)}">{shown}</a> now. If not, follow'
        " the link.\n"
    )
    response = Response(body, code, mimetype="text/html")
    response.headers["location"] = target
    return response
