"""What is written to the log, and that nobody forges a line of it."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO, cast

from .proxies import Proxy, current

__all__ = ["default_handler", "logger_named", "printable", "wsgi_errors_stream"]


def _errors_here() -> Any:
    context = current.get()
    stream = context.scope.get("erlen.errors") if context is not None else None
    return sys.stderr if stream is None else stream


wsgi_errors_stream = cast(TextIO, Proxy("wsgi_errors_stream", _errors_here))
"""``wsgi.errors`` of a request that came through ``app.wsgi_app``, which is the server's log;
of a test's request its ``errors_stream``. ``sys.stderr`` everywhere else."""

default_handler = logging.StreamHandler(wsgi_errors_stream)
"""Writes to :data:`wsgi_errors_stream` where nobody has configured logging."""
default_handler.setFormatter(
    logging.Formatter("[%(asctime)s] %(levelname)s in %(module)s: %(message)s")
)


def logger_named(name: str, *, debug: bool) -> logging.Logger:
    """Return the logger of an app; it gets a handler if no other would take its messages."""
    logger = logging.getLogger(name)
    if debug and not logger.level:
        logger.setLevel(logging.DEBUG)
    if not _has_handler(logger):
        logger.addHandler(default_handler)
    return logger


def _has_handler(logger: logging.Logger) -> bool:
    level = logger.getEffectiveLevel()
    node: Any = logger
    while node is not None:
        if any(handler.level <= level for handler in node.handlers):
            return True
        node = node.parent if node.propagate else None
    return False


def printable(text: str) -> str:
    """Return *text* with control characters and line breaks shown as escapes.

    What a client sends ends up in log lines; it must not begin a new one.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
