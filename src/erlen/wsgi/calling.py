"""One call of a WSGI app in its thread, to the letter of PEP 3333. Knows no loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from ..http import encode_header_name, encode_header_value
from ..responses import RawHeaders, content_length
from .bodies import Answer, ClientLeft
from .environ import Environ

__all__ = ["HOP_BY_HOP", "Call", "ExcInfo", "Head", "StartResponse", "WSGIApp"]

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class StartResponse(Protocol):
    """What a WSGI app is given to say how its response begins."""

    def __call__(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
        /,
    ) -> Callable[[bytes], Any]:
        """Take status and headers, and return ``write``."""
        ...


WSGIApp: TypeAlias = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_STATUS = re.compile(r"([1-9][0-9]{2})(?: .*)?", re.ASCII | re.DOTALL)
_BODILESS = frozenset({*range(100, 200), 204, 304})
# PEP 3333: these are the server's own. Apps set them all the same, so they are left out.
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization"),
        *(b"te", b"trailer", b"trailers", b"transfer-encoding", b"upgrade"),
    }
)


class Head:
    """How a response begins, and its body: whole, or on its way."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: RawHeaders, body: bytes | Answer) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Call:
    """The response of a WSGI app, from the call to ``close()``.

    *stream* makes the way to the loop, for a response that is not whole at once. *hand* is
    given its head then, and says whether anybody still wants it.
    """

    __slots__ = (
        "_answer",
        "_expected",
        "_hand",
        "_headers",
        "_method",
        "_pieces",
        "_size",
        "_status",
        "_stream",
        "_whole",
    )

    def __init__(
        self, method: str, stream: Callable[[], Answer], hand: Callable[[Head], bool]
    ) -> None:
        self._method = method
        self._stream = stream
        self._hand = hand
        self._status = 0
        self._headers: RawHeaders = []
        self._expected: int | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._whole = False
        self._answer: Answer | None = None

    def run(self, app: WSGIApp, environ: Environ) -> Head | None:
        """Call *app*; returns the response if it was not handed over meanwhile.

        :raises BaseException: what the app raised, unless it was handed over.
        """
        try:
            self._iterate(app(environ, self.start_response))
            self._check_end()
        except BaseException as error:
            if self._answer is None:
                raise
            left = isinstance(error, ClientLeft) and self._answer.closed
            self._answer.finish(None if left else error)
            return None
        if self._answer is not None:
            self._answer.finish(None)
            return None
        return self._finished_head()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """Take status and headers, which are sent with the first piece of the body."""
        if exc_info:
            try:
                if self._answer is not None and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the frame would keep its traceback, and that the frame
            self._pieces.clear()
            self._size = 0
        elif self._status:
            raise AssertionError(
                "start_response was called a second time. Only a call with exc_info may take"
                " back the first one (PEP 3333)."
            )
        self._headers = _encoded(headers)
        self._status = _code(status)
        self._expected = None
        for name, value in self._headers:
            if name == b"content-length" and value.isdigit():
                self._expected = int(value)
        return self.write

    def write(self, data: bytes, /) -> None:
        """Send *data*, as old WSGI apps do."""
        self._take(data)

    def _iterate(self, result: Iterable[bytes]) -> None:
        try:
            self._whole = type(result) in (list, tuple)
            for piece in result:
                self._take(piece)
                if self._bodiless and self._size:
                    break
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _take(self, piece: bytes) -> None:
        if type(piece) is not bytes:
            raise TypeError(f"A WSGI app yields bytes, not {type(piece).__name__}: {piece!r:.80}")
        if not piece:
            return
        if not self._status:
            raise AssertionError(_NOT_STARTED)
        self._size += len(piece)
        if self._bodiless:
            return
        if self._expected is not None and self._size > self._expected:
            raise ValueError(
                f"The WSGI app sent {self._size} bytes or more after a Content-Length of"
                f" {self._expected}."
            )
        if self._answer is not None:
            self._answer.put(piece)
            return
        self._pieces.append(piece)
        if not self._whole and self._size != self._expected:
            self._hand_over()

    @property
    def _bodiless(self) -> bool:
        return self._method == "HEAD" or self._status in _BODILESS

    def _hand_over(self) -> None:
        """Let the loop send what is there, while the app goes on."""
        answer = self._answer = self._stream()
        if not self._hand(Head(self._status, self._headers, answer)):
            answer.closed = True
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            answer.put(piece)

    def _check_end(self) -> None:
        if not self._status:
            raise AssertionError(_NOT_STARTED)
        expected = self._expected
        if expected is not None and self._size < expected and not self._bodiless:
            raise ValueError(
                f"The WSGI app sent {self._size} bytes after a Content-Length of {expected}."
            )

    def _finished_head(self) -> Head:
        if self._bodiless:
            if self._method != "HEAD" and self._status != 304:
                # RFC 9110, 8.6: not even a zero.
                self._headers = [item for item in self._headers if item[0] != b"content-length"]
        elif self._expected is None:
            self._headers.append(content_length(self._size))
        return Head(self._status, self._headers, b"".join(self._pieces))


_NOT_STARTED = "The WSGI app sent a body, or returned, before it called start_response."


def _code(status: str) -> int:
    match = _STATUS.fullmatch(status) if isinstance(status, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]  # apps are not checked
    if match is None:
        raise ValueError(f"A WSGI status is a code and a reason, '404 Not Found', not {status!r}.")
    return int(match[1])


def _encoded(headers: list[tuple[str, str]]) -> RawHeaders:
    encoded: RawHeaders = []
    for name, value in headers:
        raw = encode_header_name(name)
        if raw not in HOP_BY_HOP:
            encoded.append((raw, encode_header_value(name, value)))
    return encoded
