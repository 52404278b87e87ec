"""What the server writes to the terminal: what runs where, and a line for each request."""

from __future__ import annotations

import logging
import os
import sys
import time
from asyncio import CancelledError
from typing import Any, cast

import click

from ..logs import printable
from .settings import Settings

__all__ = ["AccessFormatter", "MessageFormatter", "News", "banner", "log_config", "say", "where"]


def say(text: str, **style: Any) -> None:
    """Write a line to stderr, where the log lines go too."""
    click.secho(text, err=True, **style)


def banner(name: str, settings: Settings) -> None:
    """Say what is about to be served."""
    say(f" * Serving Erlen app {printable(name)!r}")
    say(f" * Debug mode: {'on' if settings.debug else 'off'}")
    if settings.debug:
        say(
            "WARNING: Debug mode shows the code of the app to everyone who can reach it. Never use"
            " it in production.",
            fg="yellow",
        )


def where(urls: list[str], parts: list[str], *, again: bool = False) -> None:
    """Say where the app is served, and by what *parts* of the server."""
    inside = f" ({', '.join(parts)})" if parts else ""
    if again:
        say(f" * Running again on {urls[0]}")
        return
    for number, url in enumerate(urls):
        say(f" * Running on {url}{'' if number else inside}")
    say("Press CTRL+C to quit")


# -- logging -----------------------------------------------------------------------------------


def log_config(settings: Settings) -> dict[str, Any]:
    """Return what ``logging.config.dictConfig`` needs for the messages of uvicorn.

    Loggers that have handlers already were configured by the app and are left alone.
    """
    level = (settings.log_level or "info").upper()
    # uvicorn's own level below DEBUG.
    level = "DEBUG" if level == "TRACE" else level
    here = f"{__package__}.output"
    loggers: dict[str, Any] = {}
    if not logging.getLogger("uvicorn").handlers:
        loggers["uvicorn"] = {"handlers": ["messages"], "level": level, "propagate": False}
        loggers["uvicorn.error"] = {"level": level}
    if not logging.getLogger("uvicorn.access").handlers:
        loggers["uvicorn.access"] = {"handlers": ["access"], "level": "INFO", "propagate": False}
    news = {
        "()": f"{here}.News",
        "everything": settings.log_level is not None,
        "access": settings.access_log,
        "waiting": not settings.reload,
    }
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"news": news},
        "formatters": {
            "messages": {"()": f"{here}.MessageFormatter"},
            "access": {"()": f"{here}.AccessFormatter"},
        },
        "handlers": {
            "messages": {**handler, "formatter": "messages", "filters": ["news"]},
            "access": {**handler, "formatter": "access"},
        },
        "loggers": loggers,
    }


class News(logging.Filter):
    """Lets pass what a person wants to know.

    Of uvicorn's information that is what happens to worker processes and websockets, and
    what a stop waits for; that a start-up begins and completes is no news. Nor is a request
    that was cancelled because the server stopped.
    """

    def __init__(self, *, everything: bool, access: bool, waiting: bool) -> None:
        super().__init__()
        self.everything = everything
        self.access = access
        self.waiting = waiting

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether *record* is written."""
        if record.exc_info and isinstance(record.exc_info[1], CancelledError):
            return False
        message = str(record.msg)
        if "WebSocket" in message and record.levelno == logging.INFO:
            return self.access
        if record.levelno >= logging.WARNING or self.everything:
            return True
        if "force quit" in message:
            return self.waiting
        return record.module == "multiprocess"


class MessageFormatter(logging.Formatter):
    """Writes messages of the server, with control characters escaped."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        lines = record.getMessage().strip().split("\n")
        return f" * {record.levelname}: " * (record.levelno > logging.INFO) + "\n".join(
            printable(line) for line in lines
        )


class AccessFormatter(logging.Formatter):
    """Writes a line for each request: who, when, what, and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        self._second = 0
        self._time = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        # uvicorn's five values: 'host:port', method, path, HTTP version, status.
        client, method, path, version, status = map(str, cast("tuple[object, ...]", record.args))
        host = client.rpartition(":")[0] or "-"
        request = printable(f"{method} {path} HTTP/{version}")
        now = self._now(int(record.created))
        line = f'"{request}" {status} -'
        if self.coloured:
            line = click.style(line, **_colour(int(status)))
        return f"{printable(host)} - - [{now}] {line}"

    def _now(self, second: int) -> str:
        # PERF: formatting the time costs 2 us, and a busy second has thousands of requests.
        if second != self._second:
            self._second = second
            self._time = time.strftime("%d/%b/%Y %H:%M:%S", time.localtime(second))
        return self._time


def _colour(status: int) -> dict[str, Any]:
    if status == 304:
        return {"fg": "cyan"}
    if status == 404:
        return {"fg": "yellow"}
    styles: dict[int, dict[str, Any]] = {
        1: {"bold": True},
        3: {"fg": "green"},
        4: {"fg": "red", "bold": True},
        5: {"fg": "magenta", "bold": True},
    }
    return styles.get(status // 100, {})
