"""Where the parts of a multipart body begin and end (RFC 7578). Counts; keeps nothing.

Whoever needs it imports it then: with the library below it is loaded by the first multipart
form, not by every app.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .formlimits import BrokenForm, FormLimits, FormTooLarge, PartHead, check_limit

__all__ = ["Splitter"]

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
        "_in_file",
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
        self._in_field = self._in_file = False
        self._is_over = False

    def is_content(self, chunk: bytes) -> bool:
        """Say whether *chunk* only goes on with the file that is open; else :meth:`feed` it.

        PERF: so it is with nearly all that comes of a large file, and needs no parser.
        """
        parser = self._parser
        if not self._in_file or parser is None:
            return False
        if getattr(parser, "_buffer", True):  # what may begin a boundary; if unknown, it may
            return False
        delimiter = self._delimiter
        if chunk.find(delimiter) >= 0:  # PERF: "in" makes an error inside, since it is no number
            return False
        end = chunk.rfind(b"\r", 1 - len(delimiter))
        return end < 0 or not delimiter.startswith(chunk[end:])

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
                    self._in_file = False
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
        self._in_file = True
        return _utf8(name), _utf8(filename), headers

    def _count(self, size: int) -> None:
        self._memory += size
        check_limit("max_memory", self._limits.max_memory, self._memory)


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
