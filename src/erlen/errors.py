"""The mistakes of the person who writes the app. Nothing here is ever sent to a client."""

from __future__ import annotations

import functools
import inspect
from typing import Any

__all__ = [
    "ContextError",
    "SetupAssertionError",
    "SetupError",
    "SetupLookupError",
    "SetupTypeError",
    "SetupValueError",
    "calling_place",
    "place_of",
]


class SetupError(Exception):
    """The app was put together in a way that cannot work."""


class SetupAssertionError(SetupError, AssertionError):
    """A :class:`SetupError` for which Flask raises an ``AssertionError``."""


class SetupValueError(SetupError, ValueError):
    """A :class:`SetupError` for which Flask raises a ``ValueError``."""


class SetupTypeError(SetupError, TypeError):
    """A :class:`SetupError` for which Flask raises a ``TypeError``."""


class SetupLookupError(SetupError, LookupError):
    """A :class:`SetupError` for which Flask raises a ``LookupError``."""


class ContextError(RuntimeError):
    """Something of a request or of an app was used where there is none."""


def place_of(thing: Any) -> str:
    """Say where *thing* was written, as ``'view' (app.py:41)``.

    Decorated functions, partials and instances with ``__call__`` are followed to the code
    that a person wrote; what has no source is named without a place.
    """
    function = thing
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    code = getattr(function, "__code__", None)
    if code is None and callable(function):
        code = getattr(type(function).__call__, "__code__", None)
    if code is None:
        return repr(name)
    file = code.co_filename.replace("\\", "/").rsplit("/", 1)[-1]
    return f"{name!r} ({file}:{code.co_firstlineno})"


def calling_place() -> str:
    """Say which line outside of Erlen called into it: ``app.py:41``; ``""`` if there is none."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != "erlen":
            file = frame.f_code.co_filename.replace("\\", "/").rsplit("/", 1)[-1]
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
