"""How bytes of a connection become requests: the one place where the parser is chosen."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

__all__ = [
    "connect_websocket",
    "is_known",
    "loop_name",
    "parser_name",
    "protocol",
    "websocket_protocol",
]

_KNOWN = ("0", "54")
"""Major and minor version of the uvicorn whose insides the classes here were tested with."""


def protocol() -> str:
    """Return the name or import string of the protocol class, for uvicorn."""
    name = parser_name()
    return f"{__name__}.with_{name}:HttpProtocol" if is_known() else name


def websocket_protocol() -> str:
    """Return the name or import string of the protocol class for websockets."""
    if is_known() and find_spec("websockets") is not None:
        return f"{__name__}:connect_websocket"
    return "auto"


def connect_websocket(**options: Any) -> Any:
    """Return the protocol for a new websocket; an app without any does not load the library."""
    from .with_websockets import WebSocketProtocol

    return WebSocketProtocol(**options)


def is_known() -> bool:
    """Say whether the classes here fit the uvicorn that is installed; if not, its own serve."""
    import uvicorn

    return tuple(uvicorn.__version__.split(".")[:2]) == _KNOWN


def parser_name() -> str:
    """Return the name of the fastest parser that is installed."""
    return "httptools" if find_spec("httptools") is not None else "h11"


def loop_name() -> str:
    """Return the name of the fastest event loop that is installed."""
    return "uvloop" if find_spec("uvloop") is not None else "asyncio"
