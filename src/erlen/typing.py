"""The shapes that user code and the server hand us, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

__all__ = [
    "ASGIApp",
    "ErrorHandler",
    "Hook",
    "Lifespan",
    "Message",
    "Receive",
    "ResponseReturnValue",
    "Scope",
    "Send",
    "View",
]

# Results are checked when they are turned into a response: a type wide enough for all of
# them would refuse nothing and make every decorator hard to read.
ResponseReturnValue: TypeAlias = Any
"""What a view may return; ``erlen.results`` knows the list."""

View: TypeAlias = Callable[..., Any]
"""A view of either colour: ``def`` or ``async def``, called with the values of its rule."""

Hook: TypeAlias = Callable[..., Any]
"""A function of either colour that runs around a view."""

ErrorHandler: TypeAlias = Callable[..., Any]
"""A function of either colour that turns an exception into a result."""
