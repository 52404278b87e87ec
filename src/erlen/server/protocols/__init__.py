"""How bytes of a connection become requests: the one place where the parser is chosen."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["loop_name", "parser_name", "protocol"]


def protocol() -> str:
    """Return the import string of the protocol class, for uvicorn."""
    return f"{__name__}.with_{parser_name()}:HttpProtocol"


def parser_name() -> str:
    """Return the name of the fastest parser that is installed."""
    return "httptools" if find_spec("httptools") is not None else "h11"


def loop_name() -> str:
    """Return the name of the fastest event loop that is installed."""
    return "uvloop" if find_spec("uvloop") is not None else "asyncio"
