"""Serves an app by uvicorn in the loop of a test, for what only real sockets show."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from erlen.server.serving import make_config
from erlen.server.settings import Settings
from tests.waiting import until

PATIENCE = 30.0
"""Seconds after which something that should happen will not; machines may be busy."""


@contextlib.asynccontextmanager
async def served(app: Any, *, ours: bool = False, **options: Any) -> AsyncIterator[str]:
    """Serve *app*; returns ``127.0.0.1:`` and the port.

    *ours* serves it as ``erlen run`` does, else plain uvicorn does.
    """
    options = {"log_config": None, "lifespan": "on", "timeout_graceful_shutdown": 1, **options}
    config = make_config(app, Settings(uvicorn=options)) if ours else uvicorn.Config(app, **options)
    handler = signal.getsignal(signal.SIGINT)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started or serving.done(), PATIENCE)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
            signal.signal(signal.SIGINT, handler)
