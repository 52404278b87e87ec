"""The one event loop of a process that a WSGI server runs, and the apps that are started on it."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from asyncio import AbstractEventLoop
from concurrent.futures import Future
from contextvars import Context
from typing import Any

from ..app import App

__all__ = ["Process", "this_process"]


class Process:
    """An event loop in a background thread, with the apps that it serves.

    It is made when the first request comes, and so after the server has forked.
    """

    def __init__(self) -> None:
        started: Future[AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=_run_loop, args=(started,), name="erlen-loop", daemon=True
        )
        self._thread.start()
        self.loop = started.result()
        self._lifespans: dict[App, _Lifespan] = {}

    async def started(self, app: App) -> dict[str, Any]:
        """Start *app* up, once; returns the lifespan state.

        :raises Exception: what a hook of the app raised. The next request tries again.
        """
        lifespan = self._lifespans.get(app)
        if lifespan is None:
            lifespan = self._lifespans[app] = _Lifespan(app)
        if lifespan.state.done() and lifespan.state.exception() is None:
            return lifespan.state.result()
        try:
            # Shielded: a client that leaves must not take the start from the others.
            return await asyncio.shield(lifespan.state)
        except asyncio.CancelledError:
            raise
        except BaseException:
            if self._lifespans.get(app) is lifespan:
                del self._lifespans[app]
            raise

    def stop(self, app: App) -> None:
        """Shut *app* down, if it was started, and wait for that."""
        asyncio.run_coroutine_threadsafe(self._stop([app]), self.loop).result()

    def close(self) -> None:
        """Shut every app down and end the loop."""
        everybody = list(self._lifespans)
        asyncio.run_coroutine_threadsafe(self._stop(everybody), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    async def _stop(self, apps: list[App]) -> None:
        running = [self._lifespans.pop(app, None) for app in apps]
        await asyncio.gather(*(one.stop() for one in running if one is not None))


class _Lifespan:
    """An app that is started in a task of its own, as what is entered there is left there."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._over = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.state: asyncio.Future[dict[str, Any]] = loop.create_future()
        # In no variables: they would be those of the first request.
        self._task = loop.create_task(self._serve(), context=Context())

    async def _serve(self) -> None:
        # WHY: no "async with", which would also shut down in a process that was forked from
        # this one and throws away what it cannot use.
        serving = self._app.serving()
        try:
            self.state.set_result(await serving.__aenter__())
            await self._over.wait()
            await serving.__aexit__(None, None, None)
        except BaseException as error:
            if self.state.done():
                self._app.log_problem("The shutdown of the app failed", error)
            else:
                self.state.set_exception(error)

    async def stop(self) -> None:
        self._over.set()
        await asyncio.wait({self._task})


def _run_loop(started: Future[AbstractEventLoop]) -> None:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.call_soon(started.set_result, loop)
        loop.run_forever()


_lock = threading.Lock()
_here: Process | None = None
_parents: list[Process] = []


def this_process() -> Process:
    """Return the loop of this process, made now if there is none yet."""
    if _here is not None:
        return _here
    return _begin()


def _begin() -> Process:
    global _here
    with _lock:
        if _here is None:
            _here = Process()
            atexit.register(_end, os.getpid())
        return _here


def _end(pid: int) -> None:
    """Shut down at the end of the process, while its threads still run."""
    global _here
    if _here is not None and pid == os.getpid():
        _here.close()
        _here = None


def _forget() -> None:
    """Forget the loop of the parent, whose thread was not forked, but touch nothing of it."""
    global _here, _lock
    if _here is not None:
        _parents.append(_here)
    _here, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
