"""uvicorn as we use it: its settings, its start and its end."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess

from ..app import App
from ..stopping import SERVER, Arrangement
from ..typing import ASGIApp
from .ending import end_soon
from .interrupts import accept_ctrl_c, holding_back_ctrl_c
from .output import log_config
from .protocols import is_known, protocol, websocket_protocol
from .settings import Settings

__all__ = ["FORCED", "Config", "Server", "make_config", "serve", "serve_with_workers"]

FORCED = 130
"""Exit code after a second Ctrl+C: what shells show for a program that SIGINT ended."""

_TO_TIDY_UP = 2.5
"""Seconds after which requests are cancelled that the app could not end."""


class Config(uvicorn.Config):
    """The settings of a server, which a second Ctrl+C stops at once.

    *grace* are the seconds that open requests have to end, ``None`` what the app says.
    *patience* are those after which requests are cancelled that an app does not end itself;
    ``None`` leaves that to uvicorn.
    """

    head_timeout: float | None = None
    max_head_size: int = 64 * 1024

    def __init__(
        self, app: Any, *, grace: float | None, patience: float | None, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self.patience = patience
        self.arrangement = Arrangement(grace)

    def load(self) -> None:
        """Load the app; called in the process that serves, when its signals are handled."""
        accept_ctrl_c()
        super().load()
        self.lifespan_class = _agreeing(self.lifespan_class)
        if threading.current_thread() is threading.main_thread():
            _answer_ctrl_c()

    def agree(self) -> None:
        """Leave the end of open requests to the app, if it said that it sees to it."""
        if self.patience is None:
            return
        if self.arrangement.begin_drain is not None and self.arrangement.grace is not None:
            self.patience = self.arrangement.grace
        # Seconds, and asyncio takes fractions.
        self.timeout_graceful_shutdown = self.patience + _TO_TIDY_UP  # type: ignore[assignment]


def _agreeing(kind: type[Any]) -> type[Any]:
    """Return the lifespan *kind* as one in which server and app agree on how to stop."""

    class Agreeing(kind):  # type: ignore[misc]
        async def startup(self) -> None:
            self.state[SERVER] = self.config.arrangement
            await super().startup()  # pyright: ignore[reportUnknownMemberType]
            self.state.pop(SERVER, None)
            self.config.agree()

    return Agreeing


def _answer_ctrl_c() -> None:
    handled = signal.getsignal(signal.SIGINT)
    presses: list[int] = []

    def pressed(number: int, frame: FrameType | None) -> None:
        presses.append(number)
        if callable(handled):
            handled(number, frame)
        if len(presses) == 2:
            end_soon(FORCED)

    signal.signal(signal.SIGINT, pressed)


class Server(uvicorn.Server):
    """A server that says when it is ready, and ends without raising the signal again."""

    def __init__(self, config: Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, wait for open requests, then stop the app."""
        arrangement = cast(Config, self.config).arrangement
        if arrangement.begin_drain is not None:
            arrangement.begin_drain()
        await super().shutdown(sockets)
        # A stop that was asked for and went well is no failure: exit code 0.
        self._captured_signals.clear()


class _Workers(Multiprocess):
    """Several processes, started so that a Ctrl+C does not meet them half imported."""

    def init_processes(self) -> None:
        """Start all of them."""
        if sys.platform != "win32":
            from multiprocessing import resource_tracker

            # WHY: the first process brings this one along, which lifts the block of the signal.
            resource_tracker.ensure_running()
        with holding_back_ctrl_c():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Start those anew that died."""
        with holding_back_ctrl_c():
            super().keep_subprocess_alive()

    def handle_signals(self) -> None:
        """Start new ones, if a signal asked for that."""
        with holding_back_ctrl_c():
            super().handle_signals()


def make_config(app: ASGIApp | str, settings: Settings) -> Config:
    """Return the settings of uvicorn; *app* may be the import string of a factory."""
    # WHY: an app of ours fails to start for a reason, others may not know the protocol.
    lifespan = "on" if isinstance(app, (App, str)) else "auto"
    options: dict[str, Any] = {
        "http": protocol(),
        "ws": websocket_protocol(),
        "h11_max_incomplete_event_size": settings.max_head_size,
        "lifespan": lifespan,
        "factory": isinstance(app, str),
        "workers": settings.workers,
        "root_path": settings.root_path,
        **_tls(settings),
        "log_config": log_config(settings),
        "log_level": settings.log_level,
        "access_log": settings.access_log,
        "server_header": False,
        # TRUSTED_PROXIES of the app is the one owner of forwarded headers.
        "proxy_headers": False,
        # Requests of one connection would otherwise see each other's variables.
        "reset_contextvars": True,
    }
    config = Config(
        app,
        grace=settings.graceful_timeout,
        patience=None if "timeout_graceful_shutdown" in settings.uvicorn else settings.patience,
        **{**options, **settings.uvicorn},
    )
    config.head_timeout, config.max_head_size = settings.head_timeout, settings.max_head_size
    if not is_known():
        logging.getLogger("uvicorn.error").warning(
            "This Erlen does not know the insides of uvicorn %s. The server works, without"
            " head_timeout and max_head_size, and with two writes for a response.",
            uvicorn.__version__,
        )
    return config


def _tls(settings: Settings) -> dict[str, Any]:
    context = settings.cert
    if isinstance(context, ssl.SSLContext):

        def given(config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
            return context

        return {"ssl_context_factory": given}
    return {"ssl_certfile": context, "ssl_keyfile": settings.key}


def serve(
    app: ASGIApp,
    settings: Settings,
    sockets: list[socket.socket],
    *,
    ready: Callable[[], None],
    take: Callable[[Server], None] | None = None,
) -> None:
    """Serve *app* in this process until a signal comes.

    *ready* is called when connections are accepted; *take* gets the server before.
    """
    server = Server(make_config(app, settings), ready)
    if take is not None:
        take(server)
    with suppress(KeyboardInterrupt):
        server.run(sockets)


def serve_with_workers(factory: str, settings: Settings, sockets: list[socket.socket]) -> int:
    """Serve what *factory* makes in several processes, each of which makes its own.

    Returns the exit code: not 0 if they could not start.
    """
    supervisor = _Workers(make_config(factory, settings), sockets)
    supervisor.run()
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return STARTUP_FAILURE if failed else 0
