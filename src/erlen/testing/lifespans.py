"""Start-up and shutdown of an app around its test clients, once however many there are."""

from __future__ import annotations

import asyncio
import weakref
from asyncio import AbstractEventLoop
from typing import Any, TypeAlias

from ..app import App

__all__ = ["drain", "join_lifespan", "leave_lifespan"]

State: TypeAlias = dict[str, Any]


class _Lifespan:
    """An app that is started, in a task of its own as under a server.

    What is entered there is left there, whatever task the client itself is entered in.
    """

    def __init__(self, app: App) -> None:
        self.clients = 0
        self._stop = asyncio.Event()
        self._started: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._serve(app))

    async def _serve(self, app: App) -> None:
        try:
            async with app.serving() as state:
                self._started.set_result(state)
                await self._stop.wait()
                await drain(app)
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def state(self) -> State:
        # Shielded: one client that gives up waiting must not take the start from the others.
        return await asyncio.shield(self._started)

    async def stop(self) -> None:
        self._stop.set()
        await self._task


_running: weakref.WeakKeyDictionary[App, dict[AbstractEventLoop, _Lifespan]]
_running = weakref.WeakKeyDictionary()


async def join_lifespan(app: App) -> State:
    """Start *app* up on this loop, unless it is; returns the lifespan state.

    :raises Exception: what a hook of the app raised.
    """
    lifespans = _running.setdefault(app, {})
    loop = asyncio.get_running_loop()
    if loop not in lifespans:
        lifespans[loop] = _Lifespan(app)
    lifespan = lifespans[loop]
    lifespan.clients += 1
    try:
        return await lifespan.state()
    except BaseException:
        await leave_lifespan(app)
        raise


async def leave_lifespan(app: App) -> None:
    """Undo one :func:`join_lifespan`; the last one waits for background work and shuts down."""
    lifespans = _running[app]
    loop = asyncio.get_running_loop()
    lifespan = lifespans[loop]
    lifespan.clients -= 1
    if not lifespan.clients:
        del lifespans[loop]
        await lifespan.stop()


async def drain(app: App) -> None:
    """Wait until no background task of *app* runs on this loop, not even one begun meanwhile.

    Each may take ``BACKGROUND_TASK_SHUTDOWN_TIMEOUT`` seconds; then it is cancelled.
    """
    loop = asyncio.get_running_loop()
    while any(task.get_loop() is loop for task in app.tasks.running):
        await app.tasks.drain(app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"])
