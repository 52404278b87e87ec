"""What a form sends, in both encodings. Counts while it parses; knows no app and no request.

A parser is fed with what the network brings and never touches the disk by itself: it says how
much waits to be written, and whoever drives it calls :meth:`FormParser.flush` where blocking
is allowed. :func:`read_form` and :func:`read_form_sync` are the two drivers.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable, Iterator
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, NamedTuple

from .concurrency import to_thread
from .datastructures import ImmutableMultiDict, parse_query
from .exceptions import FileNotSent
from .headers import RequestHeaders
from .uploads import UploadFile

__all__ = [
    "BrokenForm",
    "Form",
    "FormError",
    "FormLimits",
    "FormParser",
    "FormTooLarge",
    "NoFiles",
    "form_parser",
    "read_form",
    "read_form_sync",
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

_WRITE_AT = 1024 * 1024
_SCRAP = 1024
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


class Form(NamedTuple):
    """What a form has sent."""

    fields: ImmutableMultiDict[str, str]
    files: ImmutableMultiDict[str, UploadFile]


class NoFiles(ImmutableMultiDict[str, UploadFile]):
    """The files of a form that cannot have sent any; says so when one is asked for."""

    __slots__ = ("fields", "mimetype")

    def __init__(self, fields: ImmutableMultiDict[str, str], mimetype: str) -> None:
        super().__init__()
        self.fields = fields
        self.mimetype = mimetype

    def __getitem__(self, key: str) -> UploadFile:
        """Raise :exc:`~erlen.exceptions.FileNotSent`."""
        raise FileNotSent(key, self.mimetype, self.fields.get(key))


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


class FormParser(ABC):
    """A form on its way in: fed chunk by chunk, then finished, or closed."""

    __slots__ = ()

    @abstractmethod
    def feed(self, chunk: bytes) -> None:
        """Take what came, and check every limit; never blocks.

        :raises FormTooLarge: as soon as a limit is passed.
        :raises BrokenForm: as soon as nothing can make a form of it any more.
        """

    @property
    def backlog(self) -> int:
        """How many bytes of files wait in memory to be written to the disk."""
        return 0

    def flush(self) -> None:  # noqa: B027 - most forms have nothing to write
        """Write the backlog to temporary files; blocks.

        :raises OSError: if the disk is full, or there are too many open files.
        """

    @abstractmethod
    def finish(self) -> Form:
        """Return the form; its files belong to the caller from now on.

        :raises BrokenForm: if the form does not end here.
        :raises RuntimeError: if there is a backlog: call :meth:`flush` first.
        """

    def close(self) -> None:  # noqa: B027 - nor to delete
        """Give up: delete the temporary files of a form that was not finished."""


def form_parser(content_type: str, limits: FormLimits) -> FormParser | None:
    """Return the parser for a body of this content type, or ``None`` if that is no form.

    A multipart body needs a boundary; that it is missing or unfit shows when bytes come: an
    empty body is an empty form, whatever its headers say.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return _Urlencoded(limits)
    if media_type == "multipart/form-data":
        return _Multipart(content_type, limits)
    return None


async def read_form(chunks: AsyncIterable[bytes], parser: FormParser) -> Form:
    """Read the form that *chunks* are, and write large files in a worker thread.

    :raises FormError: whatever *parser* raises; its temporary files are gone then.
    """
    try:
        async for chunk in chunks:
            parser.feed(chunk)
            if parser.backlog >= _WRITE_AT:
                await to_thread(parser.flush)
        if parser.backlog:
            await to_thread(parser.flush)
        return parser.finish()
    except BaseException:
        parser.close()
        raise


def read_form_sync(chunks: Iterable[bytes], parser: FormParser) -> Form:
    """Read the form that *chunks* are, in a thread that may block.

    :raises FormError: whatever *parser* raises; its temporary files are gone then.
    """
    try:
        for chunk in chunks:
            parser.feed(chunk)
            if parser.backlog >= _WRITE_AT:
                parser.flush()
        parser.flush()
        return parser.finish()
    except BaseException:
        parser.close()
        raise


class _Urlencoded(FormParser):
    """``name=value&name=value``: collected under its limits, then parsed as a query is."""

    __slots__ = ("_body", "_items", "_limits")

    def __init__(self, limits: FormLimits) -> None:
        self._limits = limits
        self._body = bytearray()
        self._items = 1

    def feed(self, chunk: bytes) -> None:
        self._items += chunk.count(b"&")
        _check("max_memory", self._limits.max_memory, len(self._body) + len(chunk))
        _check("max_parts", self._limits.max_parts, self._items)
        self._body += chunk

    def finish(self) -> Form:
        return Form(parse_query(bytes(self._body), max_items=None), _NO_FILES)


class _Part:
    """One part of a multipart form; a field if it has no file name."""

    __slots__ = ("disk", "filename", "headers", "is_long", "name", "pieces", "size")

    def __init__(self, name: str, filename: str | None, headers: list[tuple[str, str]]) -> None:
        self.name = name
        self.filename = filename
        self.headers = headers
        self.size = 0
        self.pieces: list[bytes | bytearray] = []
        self.is_long = False
        self.disk: IO[bytes] | None = None

    def keep(self, data: bytes) -> None:
        """Remember *data*; scraps are put together, each would cost more than it holds."""
        self.size += len(data)
        pieces = self.pieces
        if len(data) >= _SCRAP or not pieces:
            # PERF: no copy. A BytesIO instead takes 1.9 ms more for 5 MB (bench/forms.py).
            pieces.append(data)
        elif isinstance(last := pieces[-1], bytearray):
            last += data
        else:
            pieces.append(bytearray(data))

    def write(self) -> None:
        """Move what is in memory to the disk."""
        if self.disk is None:
            self.disk = TemporaryFile()  # noqa: SIM115 - it belongs to the form
        self.disk.writelines(self.pieces)
        self.disk.flush()
        self.pieces.clear()

    def file(self) -> UploadFile:
        """Return this part as a file that is read from its start."""
        if self.disk is not None:
            self.disk.seek(0)
        return UploadFile(
            self.disk,
            self.filename,
            self.name,
            content_length=self.size,
            headers=RequestHeaders([_raw(name, value) for name, value in self.headers]),
            pieces=self.pieces,
        )

    def text(self) -> str:
        """Return this part as the text of a field."""
        return b"".join(self.pieces).decode("utf-8", "replace")


class _Splitter(PushMultipartParser):
    """The library's parser, with an exact idea of what a header is."""

    def _on_segment_headerline(self, line: bytes) -> None:
        # WHY: the library strips names, so a line feed in front of one would pass here, while
        # whoever looked at the form before us may have seen the end of the headers there.
        if not _HEADER.fullmatch(line):
            raise BrokenForm(f"A part has a header that is none: {line[:100]!r}")
        super()._on_segment_headerline(line)


class _Multipart(FormParser):
    """``multipart/form-data`` (RFC 7578): the library finds the parts, this counts and keeps them.

    The library is strict: what no client of today writes ends the form where it stands.
    """

    __slots__ = (
        "_backlog",
        "_content_type",
        "_delimiter",
        "_fields",
        "_files",
        "_is_over",
        "_limits",
        "_memory",
        "_part",
        "_parts",
        "_preamble",
        "_splitter",
    )

    _delimiter: bytes
    _part: _Part

    def __init__(self, content_type: str, limits: FormLimits) -> None:
        self._content_type = content_type
        self._limits = limits
        self._splitter: _Splitter | None = None
        self._preamble: bytes | None = b"\r\n"
        self._parts = 0
        self._fields: dict[str, list[str]] = {}
        self._files: list[_Part] = []
        self._memory = 0
        self._backlog = 0
        self._is_over = False

    @property
    def backlog(self) -> int:
        return self._backlog

    def feed(self, chunk: bytes) -> None:
        if self._is_over or not chunk:
            return
        splitter = self._splitter or self._begin()
        if self._preamble is not None:
            chunk = self._after_preamble(self._preamble, chunk)
            if not chunk:
                return
        try:
            for event in splitter.parse(chunk):
                if isinstance(event, bytes):
                    self._take(event)
                elif event is None:
                    self._shut()
                else:
                    self._open(event)
        except ParserLimitReached as error:
            if "count" in str(error):
                raise BrokenForm(f"A part has more than {_MAX_HEADERS} headers") from None
            limit = self._limits.max_header_bytes
            raise FormTooLarge("max_header_bytes", limit=limit, size=limit + 1) from None
        except MultipartError as error:
            # WHY: strict mode refuses an epilogue, but only one that comes in a later chunk. It
            # is skipped (RFC 2046, 5.1.1), and what is skipped is not parsed again.
            self._is_over = _has_ended(splitter)
            if not self._is_over:
                raise BrokenForm(f"This is no multipart form: {error}") from None

    def flush(self) -> None:
        if not self._backlog:
            return
        for part in self._files:
            if part.is_long and part.pieces:
                part.write()
        self._backlog = 0

    def finish(self) -> Form:
        if self._backlog:
            raise RuntimeError(f"{self._backlog} bytes wait to be written: call flush() first.")
        if self._splitter is not None and not self._is_over and not _has_ended(self._splitter):
            raise BrokenForm("The multipart form ends before its last boundary")
        parts, self._files = self._files, []
        files: dict[str, list[UploadFile]] = {}
        for part in parts:
            files.setdefault(part.name, []).append(part.file())
        return Form(ImmutableMultiDict(self._fields), ImmutableMultiDict(files))

    def close(self) -> None:
        parts, self._files = self._files, []
        for part in parts:
            if part.disk is not None:
                part.disk.close()

    def _begin(self) -> _Splitter:
        boundary = _boundary_of(self._content_type)
        self._delimiter = b"\r\n--" + boundary
        self._splitter = _Splitter(
            boundary,
            max_header_size=self._limits.max_header_bytes,
            max_header_count=_MAX_HEADERS,
            header_charset="latin-1",
            strict=True,
        )
        return self._splitter

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

    def _open(self, segment: MultipartSegment) -> None:
        _check("max_parts", self._limits.max_parts, self._parts + 1)
        headers = segment.headerlist
        size = 0
        dispositions: list[str] = []
        for name, value in headers:
            size += len(name) + len(value) + 4
            if name == "Content-Disposition":
                dispositions.append(value)
        _check("max_header_bytes", self._limits.max_header_bytes, size)
        if len(dispositions) != 1:
            raise BrokenForm(f"A part has {len(dispositions)} headers Content-Disposition, not 1")
        name, filename = _names_in(dispositions[0])
        self._parts += 1
        if filename is None:
            self._part = _Part(_utf8(name), None, headers)
            self._count(len(name))
        else:
            self._part = _Part(_utf8(name), _utf8(filename), headers)
            self._files.append(self._part)

    def _take(self, data: bytes) -> None:
        part = self._part
        part.keep(data)
        if part.filename is None:
            self._count(len(data))
        elif part.is_long:
            self._backlog += len(data)
        elif part.size > self._limits.max_file_memory:
            part.is_long = True
            self._backlog += part.size

    def _shut(self) -> None:
        part = self._part
        if part.filename is None:
            # PERF: only its text is left of a field; a thousand parts would keep the garbage
            # collector busy, 14 ms instead of 8 (bench/forms.py, 1000 fields).
            self._fields.setdefault(part.name, []).append(part.text())

    def _count(self, size: int) -> None:
        self._memory += size
        _check("max_memory", self._limits.max_memory, self._memory)


_NO_FILES: ImmutableMultiDict[str, UploadFile] = ImmutableMultiDict()


def _check(limit_name: str, limit: int | None, size: int) -> None:
    if limit is not None and size > limit:
        raise FormTooLarge(limit_name, limit=limit, size=size)


def _has_ended(splitter: _Splitter) -> bool:
    try:
        splitter.close()
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
