"""Serves an app by uvicorn in the loop of a test, for what only real sockets show."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from erlen.server.protocols import protocol
from tests.waiting import until

PATIENCE = 30.0
"""Seconds after which something that should happen will not; machines may be busy."""


@contextlib.asynccontextmanager
async def served(app: Any, *, ours: bool = False, **options: Any) -> AsyncIterator[str]:
    """Serve *app*; returns ``127.0.0.1:`` and the port.

    *ours* serves HTTP with the protocol of ``erlen run``, else it is that of plain uvicorn.
    """
    options = {"log_config": None, "lifespan": "on", "timeout_graceful_shutdown": 1, **options}
    if ours:
        options["http"] = protocol()
    server = uvicorn.Server(uvicorn.Config(app, **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started or serving.done(), PATIENCE)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
