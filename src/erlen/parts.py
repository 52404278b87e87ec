"""A multipart body, part by part (RFC 7578). Counts; keeps nothing, and knows no request.

:class:`Splitter` is fed with what the network brings and says where parts begin and end.
:class:`Parts` hands them out as they come, in both faces: in ``def`` code it is iterated and
read, in ``async def`` code that is awaited.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from .concurrency import Pending, drive, on_loop
from .headers import RequestHeaders, parse_options_header

__all__ = [
    "BrokenForm",
    "FormError",
    "FormLimits",
    "FormTooLarge",
    "Part",
    "PartHead",
    "Parts",
    "Splitter",
    "SyncPart",
    "check_limit",
    "headers_of",
]

if TYPE_CHECKING:
    # WHY: the library is not typed, and another distribution has a package of the same name.
    class MultipartError(ValueError): ...

    class ParserLimitReached(MultipartError): ...

    class MultipartSegment:
        headerlist: list[tuple[str, str]]

    class PushMultipartParser:
        def __init__(
            self,
            boundary: bytes,
            *,
            max_header_size: int,
            max_header_count: int,
            header_charset: str,
            strict: bool,
        ) -> None: ...
        def parse(self, chunk: bytes) -> Iterator[MultipartSegment | bytes | None]: ...
        def close(self) -> None: ...
        def _on_segment_headerline(self, line: bytes) -> None: ...

else:
    from multipart import (
        MultipartError,
        MultipartSegment,
        ParserLimitReached,
        PushMultipartParser,
    )

_MAX_HEADERS = 32
_MAX_BOUNDARY = 256

_HEADER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\x00-\x08\x0a-\x1f\x7f]*+")
_ESCAPED = re.compile(r'\\(["\\])')
# One parameter, from its semicolon to the next. Possessive: nothing is ever read twice. What
# has no "=" is passed over; a quote that is not closed stops the match in front of it.
_PARAMETER = re.compile(
    r';[ \t]*+(?:([^=;" \t]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|([^;"]*+)))?+[^;"]*+',
    re.DOTALL,
)


class FormLimits(NamedTuple):
    """How much a form may send; files count in ``max_parts`` only.

    The length of the whole body is not a matter of forms: it is checked before they see it.
    """

    max_memory: int | None = 500_000
    """Bytes of all fields that are not files, names included; ``None`` lifts the limit.

    A urlencoded form is counted as it is sent, ``%C3%A9`` as six bytes.
    """
    max_parts: int | None = 1000
    """Fields and files together; ``None`` lifts the limit."""
    max_header_bytes: int = 8192
    """Bytes of the headers of one part; more than 32 of them are a broken form."""
    max_file_memory: int = 500_000
    """Bytes of one file that stay in memory; no limit, a longer file goes to the disk."""


class FormError(ValueError):
    """A client sent a form that is not taken."""


class FormTooLarge(FormError):
    """A form goes over one of its :class:`FormLimits`."""

    def __init__(self, limit_name: str, *, limit: int, size: int) -> None:
        super().__init__(f"The form has {size} of at most {limit} ({limit_name})")
        self.limit_name = limit_name
        """The attribute of :class:`FormLimits` that was reached."""
        self.limit = limit
        """What is allowed."""
        self.size = size
        """What had come when reading stopped; the form may be larger."""


class BrokenForm(FormError):
    """A form ends too early, or is not what its content type says."""


# PERF: no NamedTuple, with which 1000 fields take 9.7 ms instead of 8.9 (bench/forms.py).
PartHead: TypeAlias = "tuple[str, str | None, list[tuple[str, str]]]"
"""How a part begins: name, file name (``None`` if it is a field) and headers."""


class _Parser(PushMultipartParser):
    """The library's parser, with an exact idea of what a header is."""

    def _on_segment_headerline(self, line: bytes) -> None:
        # WHY: the library strips names, so a line feed in front of one would pass here, while
        # whoever looked at the form before us may have seen the end of the headers there.
        if not _HEADER.fullmatch(line):
            raise BrokenForm(f"A part has a header that is none: {line[:100]!r}")
        super()._on_segment_headerline(line)


class Splitter:
    """Finds the parts of ``multipart/form-data``: the library parses, this checks every limit.

    The library is strict: what no client of today writes ends the form where it stands.
    """

    __slots__ = (
        "_content_type",
        "_delimiter",
        "_in_field",
        "_is_over",
        "_limits",
        "_memory",
        "_parser",
        "_parts",
        "_preamble",
    )

    _delimiter: bytes

    def __init__(self, content_type: str, limits: FormLimits) -> None:
        self._content_type = content_type
        self._limits = limits
        self._parser: _Parser | None = None
        self._preamble: bytes | None = b"\r\n"
        self._parts = 0
        self._memory = 0
        self._in_field = False
        self._is_over = False

    def feed(self, chunk: bytes) -> Iterator[PartHead | bytes | None]:
        """Yield what *chunk* brings: how a part begins, its content, ``None`` at its end.

        :raises FormTooLarge: as soon as a limit is passed.
        :raises BrokenForm: as soon as nothing can make a form of it any more.
        """
        if self._is_over or not chunk:
            return
        parser = self._parser or self._begin()
        if self._preamble is not None:
            chunk = self._after_preamble(self._preamble, chunk)
            if not chunk:
                return
        try:
            for event in parser.parse(chunk):
                if event is None:
                    yield None
                elif isinstance(event, bytes):
                    if self._in_field:
                        self._count(len(event))
                    yield event
                else:
                    yield self._head_of(event)
        except ParserLimitReached as error:
            if "count" in str(error):
                raise BrokenForm(f"A part has more than {_MAX_HEADERS} headers") from None
            limit = self._limits.max_header_bytes
            raise FormTooLarge("max_header_bytes", limit=limit, size=limit + 1) from None
        except MultipartError as error:
            # WHY: strict mode refuses an epilogue, but only one that comes in a later chunk. It
            # is skipped (RFC 2046, 5.1.1), and what is skipped is not parsed again.
            self._is_over = _has_ended(parser)
            if not self._is_over:
                raise BrokenForm(f"This is no multipart form: {error}") from None

    def finish(self) -> None:
        """Make sure that the form may end here.

        :raises BrokenForm: if it may not.
        """
        if self._parser is not None and not self._is_over and not _has_ended(self._parser):
            raise BrokenForm("The multipart form ends before its last boundary")

    def _begin(self) -> _Parser:
        boundary = _boundary_of(self._content_type)
        self._delimiter = b"\r\n--" + boundary
        self._parser = _Parser(
            boundary,
            max_header_size=self._limits.max_header_bytes,
            max_header_count=_MAX_HEADERS,
            header_charset="latin-1",
            strict=True,
        )
        return self._parser

    def _after_preamble(self, before: bytes, chunk: bytes) -> bytes:
        """Skip what stands before the first boundary (RFC 2046, 5.1.1), in whatever chunks."""
        if len(before) == 2 and chunk.startswith(self._delimiter[2:]):
            self._preamble = None
            return chunk
        text = before + chunk
        start = text.find(self._delimiter)
        if start < 0:
            self._preamble = text[1 - len(self._delimiter) :]
            return b""
        self._preamble = None
        return text[start + 2 :]

    def _head_of(self, segment: MultipartSegment) -> PartHead:
        check_limit("max_parts", self._limits.max_parts, self._parts + 1)
        headers = segment.headerlist
        size = 0
        dispositions: list[str] = []
        for name, value in headers:
            size += len(name) + len(value) + 4
            if name == "Content-Disposition":
                dispositions.append(value)
        check_limit("max_header_bytes", self._limits.max_header_bytes, size)
        if len(dispositions) != 1:
            raise BrokenForm(f"A part has {len(dispositions)} headers Content-Disposition, not 1")
        name, filename = _names_in(dispositions[0])
        self._parts += 1
        self._in_field = filename is None
        if filename is None:
            self._count(len(name))
            return _utf8(name), None, headers
        return _utf8(name), _utf8(filename), headers

    def _count(self, size: int) -> None:
        self._memory += size
        check_limit("max_memory", self._limits.max_memory, self._memory)


class _Reading:
    """What both faces of a part share."""

    __slots__ = ("_parts", "_rest", "filename", "headers", "name", "was_passed_over")

    name: str
    """The name of the form's input."""
    filename: str | None
    """The name that the client gave the file, as it was sent; ``None`` if this is a field."""
    headers: RequestHeaders
    """The headers of this part."""

    def __init__(self, head: PartHead, parts: Parts) -> None:
        self.name, self.filename, pairs = head
        self.headers = headers_of(pairs)
        self.was_passed_over = False
        """Whether the next part was asked for before this one was read to its end."""
        self._parts = parts
        self._rest = b""

    @property
    def content_type(self) -> str | None:
        """The ``Content-Type`` that the client claims, with parameters."""
        return self.headers.get("content-type")

    @property
    def mimetype(self) -> str:
        """The content type without parameters, in lower case; ``""`` without one."""
        return parse_options_header(self.content_type or "")[0].lower()

    async def _piece(self) -> bytes:
        """Return the next piece, however large; ``b""`` at the end."""
        if self.was_passed_over:
            raise RuntimeError(
                f"{self!r} is over: its content is gone since the next part was asked for. Read"
                " each part before the next one."
            )
        rest, self._rest = self._rest, b""
        return rest or await self._parts.piece_of(self)

    async def _read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing and (piece := await self._piece()):
            if size > 0:
                piece, self._rest = piece[:missing], piece[missing:]
                missing -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def __repr__(self) -> str:
        return f"<Part {self.name!r} {self.filename!r} ({self.content_type!r})>"


class Part(_Reading):
    """One part of a multipart body, while it arrives: ``async for chunk in part``.

    Typed for ``async def`` code. In ``def`` code it is iterated and read like a file: there,
    type it as :class:`SyncPart`.
    """

    __slots__ = ()

    def read(self, size: int = -1) -> Awaitable[bytes]:
        """Read *size* bytes, less at the end, or all that is left; ``b""`` when nothing is."""
        if on_loop():
            return Pending("part.read()", lambda: self._read(size))
        return cast("Awaitable[bytes]", drive(self._read(size)))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._piece():
            yield piece

    def __iter__(self) -> Iterator[bytes]:
        if on_loop():
            raise TypeError(f"{self!r} is iterated in async def code: async for chunk in part")
        return self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        while piece := drive(self._piece()):
            yield piece


if TYPE_CHECKING:

    class SyncPart(_Reading):
        """A part as ``def`` code sees it; when it runs, :class:`Part`."""

        def read(self, size: int = -1) -> bytes:
            """Read *size* bytes, less at the end, or all that is left."""
            ...

        def __iter__(self) -> Iterator[bytes]: ...

else:
    SyncPart = Part

_NO_MORE: Any = object()


class Parts:
    """The parts of a body, one after another; what was not read of one is passed over.

    *chunks* is the body, of which no piece is empty. *refuse* makes the error that is raised of
    one that is about the form.
    """

    __slots__ = ("_chunks", "_events", "_failure", "_open", "_refuse", "_splitter")

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        splitter: Splitter,
        refuse: Callable[[FormError], Exception],
    ) -> None:
        self._chunks = chunks
        self._splitter = splitter
        self._refuse = refuse
        self._events: Iterator[PartHead | bytes | None] = iter(())
        self._open: _Reading | None = None
        self._failure: Exception | None = None

    def __aiter__(self) -> AsyncIterator[Part]:
        return cast("AsyncIterator[Part]", self)

    async def __anext__(self) -> Part:
        part = await self._next_part()
        if part is None:
            raise StopAsyncIteration
        return part

    if not TYPE_CHECKING:  # for those who type it, this is an Iterator[SyncPart]

        def __iter__(self) -> Iterator[Part]:
            if on_loop():
                raise TypeError("Parts are iterated in async def code: async for part in ...")
            return self

        def __next__(self) -> Part:
            part = drive(self._next_part())
            if part is None:
                raise StopIteration
            return part

    async def _next_part(self) -> Part | None:
        if self._open is not None:
            self._open.was_passed_over = True
        while self._open is not None:
            await self.piece_of(self._open)
        event = await self._event()
        if event is _NO_MORE:
            return None
        self._open = part = Part(cast("PartHead", event), self)
        return part

    async def piece_of(self, part: _Reading) -> bytes:
        """Return the next piece of *part*, which is ``b""`` when it is over."""
        if part is not self._open:
            return b""
        event = await self._event()
        if event is None:
            self._open = None
            return b""
        return cast(bytes, event)

    async def _event(self) -> PartHead | bytes | None:
        if self._failure is not None:
            raise self._failure
        try:
            while True:
                for event in self._events:
                    return event
                chunk = await anext(self._chunks, b"")
                if not chunk:
                    self._splitter.finish()
                    return cast(None, _NO_MORE)
                self._events = self._splitter.feed(chunk)
        except FormError as error:
            self._failure = self._refuse(error)
            raise self._failure from error


def headers_of(pairs: list[tuple[str, str]]) -> RequestHeaders:
    """Return the headers of a part."""
    return RequestHeaders([_raw(name, value) for name, value in pairs])


def check_limit(limit_name: str, limit: int | None, size: int) -> None:
    """Raise :class:`FormTooLarge` if *size* is over *limit*."""
    if limit is not None and size > limit:
        raise FormTooLarge(limit_name, limit=limit, size=size)


def _has_ended(parser: _Parser) -> bool:
    try:
        parser.close()
    except MultipartError:
        return False
    return True


def _boundary_of(content_type: str) -> bytes:
    boundary = _parameters_of(content_type).get("boundary", "")
    if not boundary:
        raise BrokenForm(f"A multipart form has no boundary: {content_type[:100]!r}")
    if len(boundary) > _MAX_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise BrokenForm(
            f"The boundary of a multipart form is at most {_MAX_BOUNDARY} characters of"
            f" printable ASCII, not {boundary[:100]!r}"
        )
    return boundary.encode("ascii")


def _names_in(disposition: str) -> tuple[str, str | None]:
    """Return the name and the file name of a part, both still latin-1."""
    # PERF: as browsers write it; 0.6 us for a field instead of 4.
    pieces = disposition.split('"')
    if pieces[0] == "form-data; name=" and not pieces[-1] and "\\" not in disposition:
        if len(pieces) == 3:
            return pieces[1].replace("%22", '"'), None
        if len(pieces) == 5 and pieces[2] == "; filename=":
            return pieces[1].replace("%22", '"'), pieces[3].replace("%22", '"')
    parameters = _parameters_of(disposition)
    if "name" not in parameters:
        raise BrokenForm(f"A part has no name: {disposition[:100]!r}")
    return parameters["name"], parameters.get("filename")


def _parameters_of(value: str) -> dict[str, str]:
    """Return the parameters of a header in linear time, their names in lower case.

    ``filename*`` is a parameter like any other, and nobody asks for it (RFC 7578, 4.2).

    :raises BrokenForm: if one is given twice, or a quote is not closed.
    """
    found: dict[str, str] = {}
    position = value.find(";")
    while 0 <= position < len(value):
        match = _PARAMETER.match(value, position)
        if match is None:
            raise BrokenForm(f"The parameters of a header cannot be read: {value[:100]!r}")
        position = match.end()
        key, quoted, plain = match.groups()
        if key is None:
            continue
        if (key := key.lower()) in found:
            raise BrokenForm(f"The parameter {key!r} is given twice: {value[:100]!r}")
        found[key] = plain.rstrip(" \t") if quoted is None else _unquoted(quoted)
    return found


def _unquoted(text: str) -> str:
    # Old clients write a quote as \", browsers as %22 (HTML, multipart form data).
    if "\\" in text:
        text = _ESCAPED.sub(r"\1", text)
    return text.replace("%22", '"')


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


def _raw(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode("latin-1"), value.encode("latin-1")
