"""Files as responses: one that a view names, or one of a folder. Knows the disk, not the app."""

from __future__ import annotations

import io
import mimetypes
import os
import re
import stat
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import IO, Any, NamedTuple, Protocol, TypeAlias, cast
from urllib.parse import quote

from .concurrency import to_thread
from .conditional import Conditions, is_conditional
from .errors import SetupTypeError, SetupValueError
from .exceptions import NotFound, PreconditionFailed
from .headers import MIMEAccept, http_date, parse_accept_header, quote_etag
from .http import encode_header_value, quote_string
from .responses import RawHeaders, Response, content_length
from .security import in_ascii, safe_join

__all__ = [
    "CHUNK",
    "FileStream",
    "MaxAge",
    "content_disposition",
    "send_file",
    "send_from_directory",
    "serve_static",
    "static_response",
]

CHUNK = 256 * 1024
"""Bytes that are read from a file at once. What is not larger is sent in one message."""

MaxAge: TypeAlias = int | Callable[[str | None], int | None] | None
"""Seconds for which caches may keep a file, or what says so for its path."""


def send_file(
    path_or_file: str | os.PathLike[str] | IO[bytes],
    *,
    root: str,
    conditions: Conditions | None = None,
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: datetime | float | None = None,
    max_age: MaxAge = None,
    response_class: type[Response] = Response,
    use_x_sendfile: bool = False,
) -> Response:
    """Return a response that sends a file; it is opened and read while it is sent.

    A relative path starts at *root*. ``BytesIO`` is sent as a whole, wherever its position is;
    any other binary file from its position to its end, and is closed then. *max_age* is in
    seconds; ``None`` lets caches ask each time. *etag* may be the tag itself, without quotes.
    *conditions* are those of the request: a range of bytes may be asked for where the size is
    known, which it is not for an open file.

    :raises OSError: if there is no such file.
    :raises TypeError: if there is neither a name nor what stands for it.
    :raises ValueError: if a file was opened as text, or *max_age* is negative.
    :raises HTTPException: 412 or 416, if the conditions do not hold.
    """
    content = _content_of(path_or_file, root)
    kind, described = _describe(content.path, mimetype, as_attachment, download_name)
    body, size = content.body, content.size
    is_head = conditions is not None and conditions.method == "HEAD"
    handed_over = use_x_sendfile and content.path is not None
    if handed_over or (is_head and size is not None):
        body = None
    response = response_class(body, mimetype=kind, direct_passthrough=True)
    # PERF: what is added here is made here; checking it as other headers are costs as much as
    # reading a file of 10 KB.
    response.raw_headers += described
    response.raw_headers += _freshness(content, etag, last_modified, max_age)
    if handed_over:
        # WHY: the server in front knows the length of what it reads, and answers ranges.
        response.headers["x-sendfile"] = os.fsencode(content.path or "").decode("latin-1")
        size = None
    elif size is not None and isinstance(body, FileStream):
        response.raw_headers.append(content_length(size))
    elif size is not None:
        response.content_length = size
    if conditional and conditions is not None:
        _apply_conditions(response, conditions, size)
    return response


def send_from_directory(
    directory: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    root: str,
    follow_symlinks: bool = False,
    **options: Any,
) -> Response:
    """Return a response that sends a file of *directory*, whatever a client made of *path*.

    *options* are those of :func:`send_file`. A symlink may lead to another place in
    *directory*; *follow_symlinks* lets it lead anywhere.

    :raises NotFound: if there is no such file in *directory*.
    """
    home = os.path.join(root, directory)
    return send_file(_find(home, os.fspath(path), follow_symlinks), root=root, **options)


async def serve_static(directory: str | os.PathLike[str], path: str, **options: Any) -> Response:
    """Return what :func:`static_response` does, without blocking the loop.

    Finding a file and reading its first chunk take one hop to a thread together.
    """
    response = await to_thread(partial(static_response, directory, path, **options))
    await response.prime()
    return response


def static_response(
    directory: str | os.PathLike[str],
    path: str,
    *,
    root: str,
    conditions: Conditions,
    fallback: str | None = None,
    max_age: MaxAge = None,
    **options: Any,
) -> Response:
    """Return what :func:`send_from_directory` does, with the first chunk read; blocks.

    *fallback* is a file of *directory* that is sent in place of a page that does not exist: to
    clients that take HTML, for a path whose last segment has no extension. *max_age* is never
    that of the fallback, for it names the files of the version it belongs to.

    :raises NotFound: if there is neither the file nor a fallback for it.
    """

    def find(path: str) -> Response:
        age = None if path == fallback else max_age
        return send_from_directory(
            directory, path, root=root, conditions=conditions, max_age=age, **options
        )

    try:
        response = find(path)
    except NotFound:
        if fallback is None or not _asks_for_a_page(conditions, path):
            raise
        response = find(fallback)
    if isinstance(response.stream, FileStream):
        response.stream.fetch()
    return response


class _BinaryFile(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> Any: ...


class FileStream(AsyncIterator[bytes]):
    """The content of a file in chunks; each is read in a thread when it is asked for.

    A path is opened with the first chunk, and of its bytes those from *start* to *stop* are
    read. A file that is open is read from where it is to its end.
    """

    __slots__ = ("_ahead", "_done", "_file", "_lock", "_path", "_position", "_stop")

    def __init__(self, source: str | _BinaryFile, size: int | None = None) -> None:
        self._path = source if isinstance(source, str) else ""
        self._file = None if isinstance(source, str) else source
        self._position = 0
        self._stop = size
        self._ahead = b""
        self._done = size == 0
        # WHY: where no app is served, a cancelled hop does not wait for its thread, and a file
        # must not be closed, and its number given away, under a thread that reads from it.
        self._lock = threading.Lock()

    @property
    def from_path(self) -> bool:
        """Whether it opens the file itself, so that no teardown can close it."""
        return bool(self._path)

    @property
    def exhausted(self) -> bool:
        """Whether everything was handed out."""
        return self._done and not self._ahead

    def cut(self, start: int, stop: int) -> None:
        """Send only the bytes from *start* up to *stop*; before anything was read."""
        self._position, self._stop = start, stop

    async def __anext__(self) -> bytes:
        if not self._ahead:
            if self._done:
                raise StopAsyncIteration
            await to_thread(self.fetch)
        chunk, self._ahead = self._ahead, b""
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def fetch(self) -> None:
        """Read the next chunk, so that nothing has to wait for it; blocks.

        :raises NotFound: if the file is gone or shorter now, and nothing of it was read yet.
        :raises RuntimeError: if it is cut while it is read.
        """
        with self._lock:
            if self._done:
                return
            if self._file is None:
                self._file = self._open()
            rest = CHUNK if self._stop is None else self._stop - self._position
            self._ahead = self._file.read(min(rest, CHUNK))
            self._position += len(self._ahead)
            if not self._ahead or self._position == self._stop:
                self._close()
            if not self._ahead and self._stop is not None:
                raise RuntimeError(
                    f"{self._path!r} ended {self._stop - self._position} bytes too early: it"
                    " was made shorter while it was sent."
                )

    def read_all(self) -> bytes:
        """Read what is left and close; blocks."""
        chunks: list[bytes] = []
        while not self.exhausted:
            if not self._ahead:
                self.fetch()
            chunks.append(self._ahead)
            self._ahead = b""
        return b"".join(chunks)

    def _open(self) -> _BinaryFile:
        try:
            file = open(self._path, "rb", buffering=0)  # noqa: SIM115
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound() from error
        if self._stop is not None and os.fstat(file.fileno()).st_size < self._stop:
            file.close()
            raise NotFound()
        if self._position:
            file.seek(self._position)
        return file

    def close(self) -> None:
        """Close the file and forget what was read of it; may block, may be repeated."""
        with self._lock:
            self._ahead = b""
            self._close()

    async def aclose(self) -> None:
        """Close the file where that may block."""
        self._done = True
        if self._file is not None:
            await to_thread(self.close)

    def _close(self) -> None:
        file, self._file = self._file, None
        self._done = True
        if file is not None:
            file.close()

    def __del__(self) -> None:
        # A response may be dropped, for an error page or because the client has left.
        if self._path:
            self._close()


@lru_cache(maxsize=512)
def content_disposition(kind: str, name: str) -> str:
    """Write a Content-Disposition header: *kind* is ``inline`` or ``attachment``.

    What is not plain ASCII is said twice, with ``filename*`` for those who know it (RFC 6266,
    4.3 and appendix D). Control characters become ``_``.
    """
    name = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "_", name)
    plain = in_ascii(name)
    value = f"{kind}; filename={quote_string(plain)}"
    if plain == name and "%" not in name:
        return value
    return f"{value}; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE)}"


# RFC 8187, 3.2.1: attr-char, but for letters and digits.
_ATTRIBUTE = "!#$&+-.^_`|~"


class _Content(NamedTuple):
    body: bytes | FileStream | None
    path: str | None = None
    size: int | None = None
    modified: float | None = None


def _content_of(path_or_file: Any, root: str) -> _Content:
    if isinstance(path_or_file, (str, os.PathLike)):
        path = os.path.join(root, os.fspath(cast("str | os.PathLike[str]", path_or_file)))
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise SetupValueError(f"{path!r} is a folder or a device; send_file sends files.")
        return _Content(FileStream(path, status.st_size), path, status.st_size, status.st_mtime)
    if isinstance(path_or_file, io.BytesIO):
        body = path_or_file.getvalue()
        return _Content(body, size=len(body))
    if isinstance(path_or_file, io.TextIOBase):
        raise SetupValueError(
            f"{path_or_file!r} is open as text. Open it with mode 'rb', or put the encoded text"
            " into io.BytesIO."
        )
    if not hasattr(path_or_file, "read"):
        raise SetupTypeError(
            "send_file takes a path or a binary file, not"
            f" {type(path_or_file).__name__}: {path_or_file!r:.80}. Put bytes into io.BytesIO."
        )
    return _Content(FileStream(path_or_file))


def _describe(
    path: str | None, mimetype: str | None, as_attachment: bool, name: str | None
) -> tuple[str, RawHeaders]:
    """Say what the content is and what it is called, by its name and never by itself."""
    if name is None and path is not None:
        name = os.path.basename(path)
    headers: RawHeaders = []
    if mimetype is None:
        if name is None:
            raise SetupTypeError(
                "A file without a name says nothing of its type: pass mimetype or"
                " download_name to send_file."
            )
        # WHY: without its colons no name is taken for a URL, such as data:text/html,x.png.
        mimetype, encoding = mimetypes.guess_type(name.replace(":", "_"))
        # A browser would undo the encoding of an attachment, and save x.tar.gz as a tar.
        if encoding is not None and not as_attachment:
            headers.append((b"content-encoding", encoding.encode()))
    if name is not None:
        kind = "attachment" if as_attachment else "inline"
        headers.append((b"content-disposition", content_disposition(kind, name).encode()))
    elif as_attachment:
        raise SetupTypeError("An attachment has a name: pass download_name to send_file.")
    return mimetype or "application/octet-stream", headers


def _freshness(
    content: _Content,
    etag: bool | str,
    last_modified: datetime | float | None,
    max_age: MaxAge,
) -> RawHeaders:
    """Say which version this is, and how long it may be kept."""
    headers: RawHeaders = []
    modified = content.modified if last_modified is None else last_modified
    if modified is not None:
        headers.append((b"last-modified", http_date(modified).encode()))
    if isinstance(etag, str):
        headers.append((b"etag", encode_header_value("etag", quote_etag(etag))))
    elif etag and content.path is not None:
        check = zlib.adler32(os.fsencode(content.path))
        headers.append((b"etag", f'"{content.modified}-{content.size}-{check}"'.encode()))
    seconds = max_age(content.path) if callable(max_age) else max_age
    if seconds is None:
        headers.append((b"cache-control", b"no-cache"))
    elif seconds < 0:
        raise SetupValueError(f"max_age is {seconds!r}; give 0 or more seconds, or None.")
    else:
        control = f"public, max-age={seconds:d}" if seconds else "no-cache, max-age=0"
        headers.append((b"cache-control", control.encode()))
        headers.append((b"expires", http_date(time.time() + seconds).encode()))
    return headers


def _apply_conditions(response: Response, conditions: Conditions, size: int | None) -> None:
    if size is not None:
        response.raw_headers.append((b"accept-ranges", b"bytes"))
    if not is_conditional(conditions.headers):
        return
    stream = response.stream
    response.make_conditional(conditions, accept_ranges=size is not None, complete_length=size)
    if response.status_code == 412:
        # Raised, so that the error pages of the app answer and nobody caches them as the file.
        if isinstance(stream, FileStream):
            stream.close()
        raise PreconditionFailed()
    if response.status_code == 304:
        # WHY: some servers would send the file all the same.
        response.headers.remove("x-sendfile")


def _find(directory: str, path: str, follow_symlinks: bool) -> str:
    full = safe_join(directory, path)
    if full is None:
        raise NotFound()
    try:
        is_file = stat.S_ISREG(os.stat(full).st_mode)
        if is_file and (follow_symlinks or not _leads_out(directory, full)):
            return full
    except (OSError, ValueError) as error:
        # The name is the client's: too long, with a NUL, through a file, behind a closed door.
        raise NotFound() from error
    raise NotFound()


def _leads_out(directory: str, full: str) -> bool:
    """Say whether symlinks below *directory* make *full* a file outside it."""
    # PERF: realpath looks at every folder from the root on, and costs ten times as much.
    place = directory
    for segment in full.removeprefix(directory.rstrip("/")).strip("/").split("/"):
        place = f"{place}/{segment}"
        status = os.lstat(place)
        # Windows has more than symlinks that lead elsewhere: they are reparse points.
        if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", False):
            home = os.path.realpath(directory)
            return os.path.commonpath([home, os.path.realpath(full)]) != home
    return False


def _asks_for_a_page(conditions: Conditions, path: str) -> bool:
    if conditions.method not in ("GET", "HEAD") or "." in path.rpartition("/")[2]:
        return False
    accept = conditions.headers.get("accept")
    return accept is None or parse_accept_header(accept, MIMEAccept).quality("text/html") > 0
