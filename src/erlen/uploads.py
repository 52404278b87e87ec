"""A file that a client sent. Knows its bytes and its headers; knows nothing of forms or disks.

One object, two faces, as everywhere: in ``def`` code it is a file like any other, in
``async def`` code what may touch the disk is awaited. :class:`SyncUploadFile` is the same
class, typed for ``def`` code.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

from .concurrency import Pending, on_loop, to_thread
from .headers import RequestHeaders, parse_options_header

__all__ = ["SyncUploadFile", "UploadFile"]

T = TypeVar("T")
P = ParamSpec("P")

Path: TypeAlias = "str | os.PathLike[str]"
Destination: TypeAlias = "Path | IO[bytes]"
"""Where a file can be saved: a path, or a file that takes bytes."""

_BUFFER_SIZE = 64 * 1024


class _Upload:
    """What both faces of an uploaded file share."""

    __slots__ = ("_pieces", "_size", "_stream", "filename", "headers", "name")

    filename: str
    """The name that the client gave, as it was sent: pass it through ``secure_filename``."""
    name: str
    """The name of the form's input."""
    headers: RequestHeaders
    """The headers of this part of the form."""

    def __init__(
        self,
        stream: IO[bytes] | None = None,
        filename: str | None = None,
        name: str | None = None,
        content_type: str | None = None,
        content_length: int | None = None,
        headers: RequestHeaders | None = None,
        *,
        pieces: Iterable[bytes | bytearray] = (),
    ) -> None:
        """Wrap the binary file *stream*, or content that is there in *pieces*.

        *content_length* is its size in bytes; ``None`` has it measured when asked for.
        *content_type* counts where there are no *headers*.
        """
        self._stream = stream
        self._pieces = pieces
        self._size = content_length
        self.filename = filename or ""
        self.name = name or ""
        if headers is None:
            raw = [] if content_type is None else [(b"content-type", content_type.encode())]
            headers = RequestHeaders(raw)
        self.headers = headers

    @property
    def stream(self) -> IO[bytes]:
        """The binary file below: in memory, or a temporary one; reading it may block."""
        if self._stream is None:
            # PERF: the pieces of a small file are joined when somebody looks, not while the
            # request is read: 0.9 of 2.0 ms for 5 MB (bench/forms.py).
            self._stream = BytesIO(b"".join(self._pieces))
            self._pieces = ()
        return self._stream

    @property
    def content_type(self) -> str | None:
        """The ``Content-Type`` that the client claims, with parameters."""
        return self.headers.get("content-type")

    @property
    def mimetype(self) -> str:
        """The content type without parameters, in lower case; ``""`` without one."""
        return parse_options_header(self.content_type or "")[0].lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the content type."""
        return parse_options_header(self.content_type or "")[1]

    @property
    def content_length(self) -> int:
        """The size in bytes, as received: never what the client claims."""
        if self._size is None:
            position = self.stream.tell()
            self._size = self.stream.seek(0, os.SEEK_END)
            self.stream.seek(position)
        return self._size

    def tell(self) -> int:
        """Return the position in bytes from which :meth:`read` goes on."""
        return self.stream.tell()

    def close(self) -> None:
        """Close the file, which deletes it if it is a temporary one."""
        if self._stream is None:
            self._stream = BytesIO()
            self._pieces = ()
        self._stream.close()

    def __bool__(self) -> bool:
        return bool(self.filename)

    def __repr__(self) -> str:
        return f"<UploadFile {self.filename!r} ({self.content_type!r})>"

    if not TYPE_CHECKING:  # pragma: no branch

        def __getattr__(self, name: str) -> Any:
            # FLASK: everything else that a file can do is the stream's, so that
            # ``zipfile.ZipFile(request.files["zip"])`` works in def code.
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
            return getattr(self.stream, name)


class UploadFile(_Upload):
    """An uploaded file; false if no file was chosen (it has no name).

    Typed for ``async def`` code, where the methods below are awaited. In ``def`` code the same
    methods return their values at once: there, type it as :class:`SyncUploadFile`.
    """

    __slots__ = ()

    def read(self, size: int = -1) -> Awaitable[bytes]:
        """Read at most *size* bytes, or all that is left."""
        return self._face("file.read()", self.stream.read, size)

    def readline(self, size: int = -1) -> Awaitable[bytes]:
        """Read one line with its end, of at most *size* bytes."""
        return self._face("file.readline()", self.stream.readline, size)

    def readlines(self, hint: int = -1) -> Awaitable[list[bytes]]:
        """Read whole lines until they are *hint* bytes together, or all that are left."""
        return self._face("file.readlines()", self.stream.readlines, hint)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> Coroutine[Any, Any, int]:
        """Go to *offset* in bytes and return the new position."""
        if not on_loop():
            return cast("Coroutine[Any, Any, int]", self.stream.seek(offset, whence))
        return _named("UploadFile.seek", _here(self.stream.seek, offset, whence))

    def save(self, dst: Destination, buffer_size: int = _BUFFER_SIZE) -> Coroutine[Any, Any, None]:
        """Write what is not read yet to *dst*, in steps of *buffer_size* bytes.

        A path is created or overwritten, with the permissions that the process gives new files.
        A symbolic link is never followed, and a new file that cannot be finished is removed.

        :raises OSError: if *dst* cannot be written, or is a symbolic link.
        """
        if not on_loop():
            _save(self.stream, dst, buffer_size)
            return cast("Coroutine[Any, Any, None]", None)
        return _named("UploadFile.save", to_thread(_save, self.stream, dst, buffer_size))

    def __iter__(self) -> Iterator[bytes]:
        if on_loop():
            raise TypeError(
                f"{self!r} is iterated in async def code: `async for line in file`,"
                " or give file.stream to code that runs in a thread."
            )
        return iter(self.stream)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while lines := await self.readlines(_BUFFER_SIZE):
            for line in lines:
                yield line

    def _face(self, name: str, call: Callable[[int], T], size: int) -> Awaitable[T]:
        if not on_loop():
            return cast("Awaitable[T]", call(size))
        run = _here if type(self.stream) is BytesIO else to_thread
        return Pending(name, lambda: run(call, size))


if TYPE_CHECKING:

    class SyncUploadFile(_Upload):
        """An uploaded file as ``def`` code sees it; when it runs, :class:`UploadFile`."""

        def read(self, size: int = -1) -> bytes:
            """Read at most *size* bytes, or all that is left."""
            ...

        def readline(self, size: int = -1) -> bytes:
            """Read one line with its end, of at most *size* bytes."""
            ...

        def readlines(self, hint: int = -1) -> list[bytes]:
            """Read whole lines until they are *hint* bytes together, or all that are left."""
            ...

        def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
            """Go to *offset* in bytes and return the new position."""
            ...

        def save(self, dst: Destination, buffer_size: int = _BUFFER_SIZE) -> None:
            """Write what is not read yet to *dst*; see :meth:`UploadFile.save`."""
            ...

        def __iter__(self) -> Iterator[bytes]: ...

else:
    SyncUploadFile = UploadFile


# WHY: no Pending. Nobody looks at what save and seek return, so a forgotten await would go
# unseen; a coroutine warns when it is dropped, and type checkers know that it must not be.
def _named(name: str, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    cast("Any", coroutine).__qualname__ = name
    return coroutine


async def _here(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return call(*args, **kwargs)


def _save(source: IO[bytes], dst: Destination, buffer_size: int) -> None:
    if not isinstance(dst, (str, os.PathLike)):
        shutil.copyfileobj(source, dst, buffer_size)
        return
    try:
        with open(dst, "xb") as target:
            _fill(target, source, dst, buffer_size)
    except FileExistsError:
        with open(dst, "wb", opener=_open_no_link) as target:
            shutil.copyfileobj(source, target, buffer_size)


def _fill(target: IO[bytes], source: IO[bytes], path: Path, buffer_size: int) -> None:
    try:
        shutil.copyfileobj(source, target, buffer_size)
        target.flush()
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


def _open_no_link(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        message = "This is a symbolic link, which UploadFile.save does not follow"
        raise OSError(errno.ELOOP, message, path) from None
