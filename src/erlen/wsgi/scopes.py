"""From the environ of a WSGI server to an ASGI scope. Runs nothing and reads no body."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote_from_bytes, urlsplit

from ..announced import announced
from ..typing import Scope
from .environ import Environ

__all__ = ["BadLength", "body_length", "is_websocket", "scope_of"]


def scope_of(environ: Environ) -> Scope:
    """Return the scope of the request that *environ* describes.

    What a server says wrongly or not at all is left out: it never raises.
    """
    root = _as_bytes(environ.get("SCRIPT_NAME", "")).rstrip(b"/")
    below = _as_bytes(environ.get("PATH_INFO", ""))
    if (below or not root) and not below.startswith((b"/", b"*")):
        below = b"/" + below  # test clients send "page" for "/page", and Flask takes it
    path = root + below
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
        "method": environ["REQUEST_METHOD"].upper(),
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path.decode("utf-8", "replace"),
        "raw_path": _raw_path(environ, path),
        "query_string": _as_bytes(environ.get("QUERY_STRING", "")),
        "root_path": root.decode("utf-8", "replace"),
        "headers": _headers(environ),
        "client": _address(environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT"), 0),
        "server": _address(environ.get("SERVER_NAME"), environ.get("SERVER_PORT"), None),
        "wsgi.environ": environ,
    }


class BadLength(ValueError):
    """What a client says of the length of its body is none."""


def body_length(environ: Environ) -> int | None:
    """Return how many bytes of body there are; ``None`` if they go on to their end.

    :raises BadLength: if nobody knows, because what was sent is no number of bytes.
    """
    sent = (environ.get("CONTENT_LENGTH") or "").strip(" \t")
    if sent:
        length = announced([(b"content-length", _as_bytes(sent))])[2]
        if length is None:
            raise BadLength("The Content-Length of a request has to be a number of bytes.")
        return length
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    return None if chunked and environ.get("wsgi.input_terminated") else 0


def is_websocket(environ: Environ) -> bool:
    """Say whether the client wants to open a websocket."""
    return "HTTP_UPGRADE" in environ and environ["HTTP_UPGRADE"].lower() == "websocket"


def _headers(environ: Environ) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name = key[5:].replace("_", "-").lower()
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            name = key.replace("_", "-").lower()
        else:
            continue
        headers.append((_as_bytes(name), _as_bytes(value)))
    return headers


def _raw_path(environ: Environ, path: bytes) -> bytes:
    """Return the path as it was sent, if the server tells; it may send a whole URL."""
    uri = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if uri:
        target = cast(str, uri).partition("?")[0]
        if not target.startswith("/"):
            try:
                target = urlsplit(target).path
            except ValueError:
                target = ""
        if target.isascii() and target:
            return target.encode("ascii")
    return quote_from_bytes(path).encode("ascii")


def _address(name: Any, port: Any, unknown: int | None) -> tuple[str, int | None] | None:
    if not name:
        return None
    number = str(port or "")
    return name, int(number) if number.isascii() and number.isdigit() else unknown


def _as_bytes(text: str) -> bytes:
    # PEP 3333: each character is one byte. A server that decodes more is read as UTF-8.
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
