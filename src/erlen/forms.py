"""What a form sends, in both encodings. Counts while it parses; knows no app and no request.

A parser is fed with what the network brings and never touches the disk by itself: it says how
much waits to be written, and whoever drives it calls :meth:`FormParser.flush` where blocking
is allowed. :func:`read_form` and :func:`read_form_sync` are the two drivers.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from .concurrency import to_thread
from .datastructures import ImmutableMultiDict, TooManyItems, parse_query
from .exceptions import FileNotSent
from .formlimits import BrokenForm, FormError, FormLimits, FormTooLarge, PartHead, check_limit
from .parts import headers_of
from .uploads import UploadFile

__all__ = [
    "NO_FILES",
    "URLENCODED",
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
    "urlencoded_fields",
]

URLENCODED = "application/x-www-form-urlencoded"
"""The media type of what pages send that have no file."""

_WRITE_AT = 1024 * 1024
_SCRAP = 1024
_AT_ONCE = 1024  # what Linux and macOS take (IOV_MAX)


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
    if media_type == URLENCODED:
        return _Urlencoded(limits)
    if media_type == "multipart/form-data":
        return _Multipart(content_type, limits)
    return None


async def read_form(next_chunk: Callable[[], Awaitable[bytes]], parser: FormParser) -> Form:
    """Read a form chunk by chunk, ``b""`` is its end; write large files in a worker thread.

    :raises FormError: whatever *parser* raises; its temporary files are gone then.
    """
    try:
        while chunk := await next_chunk():
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
        check_limit("max_memory", self._limits.max_memory, len(self._body) + len(chunk))
        check_limit("max_parts", self._limits.max_parts, self._items)
        self._body += chunk

    def finish(self) -> Form:
        return Form(parse_query(bytes(self._body), None), NO_FILES)


def urlencoded_fields(sent: bytes, limits: FormLimits) -> ImmutableMultiDict[str, str]:
    """Return the fields of the urlencoded form that *sent* is, all of it.

    :raises FormTooLarge: if a limit is passed.
    """
    most = limits.max_memory
    if most is not None and len(sent) > most:
        raise FormTooLarge("max_memory", limit=most, size=len(sent))
    try:
        return parse_query(sent, limits.max_parts)
    except TooManyItems as error:
        raise FormTooLarge("max_parts", limit=error.limit, size=error.count) from None


class _Part:
    """One part of a multipart form; a field if it has no file name."""

    __slots__ = ("disk", "filename", "headers", "is_long", "name", "pieces", "size")

    def __init__(self, head: PartHead) -> None:
        self.name, self.filename, self.headers = head
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
        _write_at_once(self.disk, self.pieces)
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
            headers=headers_of(self.headers),
            pieces=self.pieces,
        )

    def text(self) -> str:
        """Return this part as the text of a field."""
        return b"".join(self.pieces).decode("utf-8", "replace")


class _Multipart(FormParser):
    """``multipart/form-data``: keeps what a :class:`~erlen.splitter.Splitter` finds."""

    __slots__ = ("_backlog", "_fields", "_files", "_limits", "_part", "_splitter")

    _part: _Part

    def __init__(self, content_type: str, limits: FormLimits) -> None:
        # WHY: not at the top, since most apps take no multipart form; see the module.
        from .splitter import Splitter

        self._splitter = Splitter(content_type, limits)
        self._limits = limits
        self._fields: dict[str, list[str]] = {}
        self._files: list[_Part] = []
        self._backlog = 0

    @property
    def backlog(self) -> int:
        return self._backlog

    def feed(self, chunk: bytes) -> None:
        splitter = self._splitter
        if splitter.is_content(chunk):
            self._take(chunk)
            return
        for event in splitter.feed(chunk):
            if isinstance(event, bytes):
                self._take(event)
            elif event is None:
                self._shut()
            else:
                self._open(event)

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
        self._splitter.finish()
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

    def _open(self, head: PartHead) -> None:
        self._part = part = _Part(head)
        if part.filename is not None:
            self._files.append(part)

    def _take(self, data: bytes) -> None:
        part = self._part
        part.keep(data)
        if part.filename is None:
            return
        if part.is_long:
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


def _write_at_once(disk: IO[bytes], pieces: list[bytes | bytearray]) -> None:
    """Write *pieces* at the end of *disk*, without a copy and in one call of the system."""
    # PERF: each call gives up the interpreter's lock and waits for it. Piece by piece, an upload
    # of 5 MB to an async def view takes 9.5 ms of processor time instead of 8.5.
    for start in range(0, len(pieces), _AT_ONCE):
        some = pieces[start : start + _AT_ONCE]
        written = os.writev(disk.fileno(), some) if hasattr(os, "writev") else 0
        disk.seek(0, os.SEEK_END)
        if written < sum(map(len, some)):  # the disk is nearly full, or this is Windows
            disk.write(b"".join(some)[written:])
            disk.flush()


NO_FILES: ImmutableMultiDict[str, UploadFile] = ImmutableMultiDict()
