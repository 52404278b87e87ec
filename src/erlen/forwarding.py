"""What proxies say about the client, believed as far as they are trusted. Changes the scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from .errors import SetupTypeError, SetupValueError
from .hosts import host_is_valid
from .typing import Scope

__all__ = ["Hops", "forward"]


class Hops(NamedTuple):
    """How many proxies in front of the app set each X-Forwarded header; 0 ignores it."""

    for_: int = 0
    proto: int = 0
    host: int = 0
    port: int = 0
    prefix: int = 0

    @classmethod
    def of(cls, value: Any) -> Hops | None:
        """Read ``TRUSTED_PROXIES``: a number for For and Proto, or a dict of numbers.

        :raises SetupError: if it is neither.
        """
        if not value:
            return None
        if isinstance(value, int):
            return cls(for_=value, proto=value)
        if not isinstance(value, Mapping):
            raise SetupTypeError(
                f"TRUSTED_PROXIES is a number of proxies, or a dict such as"
                f" {{'for': 1, 'proto': 1, 'host': 1}}, not {value!r}."
            )
        names = {field.rstrip("_"): field for field in cls._fields}
        chosen: dict[str, int] = {}
        for name, hops in cast("Mapping[str, Any]", value).items():
            if name not in names or not isinstance(hops, int) or hops < 0:
                raise SetupValueError(
                    f"TRUSTED_PROXIES has {name!r}: {hops!r}. Known are"
                    f" {', '.join(map(repr, names))}, each with a number of proxies."
                )
            chosen[names[name]] = hops
        return cls(**chosen)


def forward(scope: Scope, hops: Hops) -> None:
    """Rewrite *scope* to what the outermost trusted proxy saw.

    Of a list the value that this many proxies ago was added counts, from the right. What is
    missing or malformed leaves the scope as it is. A scope is looked at once: a prefix that a
    middleware or the app around this one has seen to must not be added again.
    """
    if "erlen.forwarded" in scope:
        return
    scope["erlen.forwarded"] = True
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name.startswith(b"x-forwarded-"):
            headers.setdefault(name, []).extend(
                part.strip() for part in value.decode("latin-1").split(",")
            )
    if not headers:
        return
    address = _without_port(_nth(headers.get(b"x-forwarded-for"), hops.for_) or "")
    if address:
        scope["client"] = (address, 0)
    scheme = _nth(headers.get(b"x-forwarded-proto"), hops.proto)
    if scheme in ("http", "https"):
        websocket = scope["type"] == "websocket"
        scope["scheme"] = scheme.replace("http", "ws") if websocket else scheme
    _forward_host(scope, headers, hops)
    prefix = _nth(headers.get(b"x-forwarded-prefix"), hops.prefix)
    if prefix and prefix.startswith("/") and not prefix.startswith("//"):
        root = prefix.rstrip("/")
        scope["root_path"] = root + scope.get("root_path", "")
        scope["path"] = root + scope["path"]


def _forward_host(scope: Scope, headers: dict[bytes, list[str]], hops: Hops) -> None:
    host = _nth(headers.get(b"x-forwarded-host"), hops.host)
    port = _nth(headers.get(b"x-forwarded-port"), hops.port)
    current = next((v.decode("latin-1") for n, v in scope["headers"] if n == b"host"), "")
    wanted = host if host and host_is_valid(host) else current
    if port and port.isascii() and port.isdigit() and wanted:
        name = wanted if wanted.endswith("]") else wanted.rpartition(":")[0] or wanted
        wanted = f"{name}:{port}"
    if wanted != current and host_is_valid(wanted):
        others = [item for item in scope["headers"] if item[0] != b"host"]
        scope["headers"] = [(b"host", wanted.encode("latin-1")), *others]


def _without_port(address: str) -> str:
    """Return an address as it is compared: some proxies write the port of the client as well."""
    address = address.strip('"')
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _nth(values: list[str] | None, hops: int) -> str | None:
    if not values or not hops or len(values) < hops:
        return None
    return values[-hops]
