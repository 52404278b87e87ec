"""Which hosts and origins are believed. Knows strings only."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from urllib.parse import urlsplit

from .patterns import pattern

__all__ = [
    "HOST_NAMES",
    "host_is_trusted",
    "host_is_valid",
    "host_of",
    "same_origin",
    "split_port",
]

HOST_NAMES = frozenset(map(bytes, product(*zip(b"host", b"HOST", strict=True))))
"""The name of the Host header in any case: a server may hand on names as they were sent."""

# RFC 3986, 3.2.2: a name, an IPv4 address, or an IPv6 address in brackets; then a port.
_HOST = pattern(
    r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.-])?)"
    r"(?::(?P<port>[0-9]{1,5}))?\Z"
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@lru_cache(maxsize=256)
def host_is_valid(host: str) -> bool:
    """Say whether *host* can stand in a Host header (RFC 9110, 7.2)."""
    match = _HOST.match(host)
    return match is not None and int(match["port"] or 0) < 65536


def split_port(host: str) -> tuple[str, int | None]:
    """Return the name in lower case, and the port if there is one."""
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdigit() and not name.endswith(":"):
        return name.lower(), int(port)
    return host.lower(), None


def host_of(server: tuple[str, int | None] | None) -> str:
    """Return what a Host header would say of where a *server* listens (``server`` in ASGI).

    That of a socket file is its path, and ``""`` if nothing is known of it.
    """
    if server is None:
        return ""
    name, port = server
    if ":" in name and not name.startswith("/"):
        name = f"[{name}]"  # an IPv6 address
    return name if port is None else f"{name}:{port}"


def host_is_trusted(host: str, trusted: Iterable[str]) -> bool:
    """Say whether *host* is in *trusted*; ``.example.com`` stands for every subdomain too."""
    name, _ = split_port(host)
    for name_or_end in trusted:
        wanted, _ = split_port(name_or_end)
        if wanted.startswith("."):
            if name == wanted[1:] or name.endswith(wanted):
                return True
        elif name == wanted:
            return True
    return False


def same_origin(
    origin: str, *, scheme: str, host: str, allowed: Iterable[str] = (), debug: bool = False
) -> bool:
    """Say whether a page of *origin* may open a websocket to *host*.

    Host and port are compared, with the usual port of *scheme* filled in; ``"null"`` is
    foreign. *allowed* are further origins such as ``"https://example.com"``, or ``"*"``. In
    *debug* every loopback origin may.
    """
    allowed = tuple(allowed)
    if "*" in allowed or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.scheme not in ("http", "https"):
        return False
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if debug and name in _LOOPBACK:
        return True
    own_name, own_port = split_port(host)
    secure = scheme in ("https", "wss")
    own_port = own_port if own_port is not None else (443 if secure else 80)
    port = port if port is not None else (443 if parts.scheme == "https" else 80)
    return name == own_name and port == own_port
