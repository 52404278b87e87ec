"""From an ASGI scope to the environ of PEP 3333. Knows no app and runs nothing."""

from __future__ import annotations

import io
import logging
import multiprocessing
from collections.abc import Iterable, Iterator
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes

from ..proxies import current
from ..routes import route_path
from ..typing import Scope

__all__ = ["Environ", "ErrorLog", "FileWrapper", "environ_of"]

Environ = dict[str, Any]

# WHY: a name with "_" would come out like the one with "-" that a proxy vouches for; and many
# libraries take HTTP_PROXY for the proxy of their own requests.
_DROPPED = b"_"
_PROXY = b"proxy"

_VERSIONS = {"2": "HTTP/2", "3": "HTTP/3"}
_PORTS = {"https": "443"}

_IN_CHILD = multiprocessing.parent_process() is not None
"""Whether other processes may serve the same app: a server that starts several is our parent."""


def environ_of(scope: Scope) -> Environ:
    """Return the environ of *scope*, without ``wsgi.input`` and ``wsgi.errors``."""
    scheme = scope.get("scheme") or "http"
    version = scope.get("http_version", "1.1")
    server = scope.get("server") or ("localhost", None)
    root = scope.get("root_path", "").rstrip("/")
    path = _below_root(scope)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _as_latin(root),
        "PATH_INFO": _as_latin(path) or ("" if root else "/"),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "REQUEST_URI": _request_uri(scope),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or _PORTS.get(scheme, "80")),
        "SERVER_PROTOCOL": _VERSIONS.get(version) or f"HTTP/{version}",
        "REMOTE_ADDR": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.multithread": True,
        "wsgi.multiprocess": _IN_CHILD,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }
    client = scope.get("client")
    if client:
        environ["REMOTE_ADDR"] = client[0]
        if client[1]:
            environ["REMOTE_PORT"] = str(client[1])
    _add_headers(environ, scope.get("headers", ()))
    return environ


def _add_headers(environ: Environ, headers: Iterable[tuple[bytes, bytes]]) -> None:
    for raw, value in headers:
        name = raw.lower()
        if _DROPPED in name or name == _PROXY:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if name not in (b"content-type", b"content-length"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            # RFC 6265, 5.4 and RFC 9110, 5.2: cookies are joined otherwise than lists.
            text = f"{environ[key]}{'; ' if name == b'cookie' else ','}{text}"
        environ[key] = text
    length = environ.get("CONTENT_LENGTH", "0")
    if "HTTP_TRANSFER_ENCODING" in environ or not (length.isascii() and length.isdigit()):
        environ.pop("CONTENT_LENGTH", None)  # it would be believed


def _below_root(scope: Scope) -> str:
    path = route_path(scope)
    # A server that decodes leniently loses the bytes that are not UTF-8; they are still here.
    if "\N{REPLACEMENT CHARACTER}" in path:
        raw = unquote_to_bytes(scope.get("raw_path") or b"")
        if raw.decode("utf-8", "replace") == scope["path"]:
            root = scope["path"].removesuffix(path).encode("utf-8", "surrogateescape")
            return raw.removeprefix(root).decode("utf-8", "surrogateescape")
    return path


def _as_latin(text: str) -> str:
    """Return *text* as PEP 3333 wants it: each character one byte of its UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _request_uri(scope: Scope) -> str:
    raw = scope.get("raw_path")
    path = quote(scope["path"], errors="replace") if raw is None else raw.decode("latin-1")
    query = scope.get("query_string", b"")
    return f"{path}?{query.decode('latin-1')}" if query else path


class FileWrapper:
    """A file as an iterable of blocks: ``environ["wsgi.file_wrapper"](file)``."""

    def __init__(self, filelike: Any, block_size: int = 64 * 1024) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self.block_size):
            yield block


class _HasLogger(Protocol):
    @property
    def logger(self) -> logging.Logger: ...


class ErrorLog(io.TextIOBase):
    """``wsgi.errors``: what is written there is logged, one record for each flush or line.

    A traceback that is written as one text stays one record.
    """

    def __init__(self, app: _HasLogger) -> None:
        self._app = app
        self._context = current.get()
        self._pending: list[str] = []

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, text: str) -> int:
        """Take *text*; it is logged when its line is over."""
        self._pending.append(text)
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Log what was written since the last time."""
        text = "".join(self._pending).rstrip()
        self._pending.clear()
        if not text:
            return
        # WHY: an app of ours inside writes here what it logs; in its context that would come
        # back to here.
        inner = current.get()
        current.set(self._context)
        try:
            self._app.logger.error("%s", text)
        finally:
            current.set(inner)
