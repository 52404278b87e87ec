"""An event loop in a background thread, for callers that block. Needs no test client."""

from __future__ import annotations

import asyncio
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from ..app import App
from ..concurrency import Owner
from ..errors import ContextError
from ..proxies import current

__all__ = ["HiredThread", "LoopThread", "loop_thread_of", "running_loop"]

T = TypeVar("T")

_Started: TypeAlias = "Future[tuple[AbstractEventLoop, asyncio.Event]]"


class LoopThread:
    """A thread with an event loop. It ends when nobody holds this object any more.

    *at_end* is awaited there as the last thing, with the loop still running.
    """

    def __init__(self, at_end: Callable[[], Awaitable[None]] | None = None) -> None:
        started: _Started = Future()
        thread = threading.Thread(
            target=_run_loop, args=(started, at_end), name="erlen-loop", daemon=True
        )
        thread.start()
        self.loop, stop = started.result()
        self.close = weakref.finalize(self, _stop_loop, self.loop, stop, thread)
        """Call this to end the thread now."""

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run ``function(*args)`` on the loop, in a copy of this thread's variables."""
        if _runs_here() is self.loop:
            raise ContextError(
                "A synchronous client cannot be used on the event loop that serves its"
                " requests: both would wait for each other. Use 'async with' and await."
            )
        return Owner(self.loop).wait_for(function, *args)

    def lend(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run ``function(owner, *args)``; *owner* is this thread, for ``def`` code.

        It is ``None`` where this thread has a loop of its own: ``def`` code may wait for the
        serving loop, and that is not possible there.
        """
        if _runs_here() is not None:
            return self.run(function, None, *args)
        owner = Owner(self.loop)
        result, ending = owner.wait_for(_contained, function, owner, *args)
        if ending is not None:
            raise ending
        return cast(T, result)


async def _contained(
    function: Callable[..., Awaitable[T]], *args: Any
) -> tuple[T | None, BaseException | None]:
    """Return what *function* returns, or what would end the loop: a task must not raise it."""
    try:
        return await function(*args), None
    except (KeyboardInterrupt, SystemExit) as ending:
        return None, ending


def _run_loop(started: _Started, at_end: Callable[[], Awaitable[None]] | None) -> None:
    async def serve() -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        if at_end is not None:
            await at_end()

    with asyncio.Runner() as runner:
        runner.run(serve())


def _stop_loop(loop: AbstractEventLoop, stop: asyncio.Event, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(stop.set)
    # The last one to hold it may be a task on the loop itself.
    if thread is not threading.current_thread():
        thread.join()


def _runs_here() -> AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class HiredThread(Owner):
    """A thread for the ``def`` code of one request, also for a teardown that comes later.

    What belongs to a thread, as a connection of sqlite3 does, is closed where it was opened.
    Each call takes a slot of the app's pool, as it would without this thread.
    """

    __slots__ = ("_admitted", "_app", "_thread", "done")

    def __init__(self, app: App) -> None:
        super().__init__(asyncio.get_running_loop())
        self.done = False
        self._app = app
        self._admitted = False
        self._thread: threading.Thread | None = None

    async def call(self, call: Callable[..., T], *, early: bool = False) -> T:
        """Make *call* in this thread and return what it returns; on the loop."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.work_until, args=(self,), daemon=True)
            self._thread.start()
        admitted, self._admitted = self._admitted, True
        delegate = partial(self._delegate, call)
        return await self._app.worker_pool.run(delegate, admitted=admitted, early=early)

    def _delegate(self, call: Callable[..., T], *args: Any) -> T:
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(call(*args))
            except BaseException as error:
                outcome.set_exception(error)

        self.post(run)
        return outcome.result()

    def dismiss(self) -> None:
        """Let the thread end when it has done what it was asked to."""

        def leave() -> None:
            self.done = True

        self.post(leave)


# WHY: one loop for all synchronous clients of an app, because what an app makes on one loop
# (locks, queues, connections) cannot be used on another: two clients are two users of it.
_threads: weakref.WeakKeyDictionary[App, weakref.ref[LoopThread]] = weakref.WeakKeyDictionary()


def loop_thread_of(app: App) -> LoopThread:
    """Return the thread on whose loop synchronous clients of *app* have it served."""
    known = _threads.get(app)
    thread = known() if known is not None else None
    if thread is None:
        reference = weakref.ref(app)

        async def close_pool() -> None:
            app = reference()
            if app is not None:
                await app.close_worker_pool()

        thread = LoopThread(close_pool)
        _threads[app] = weakref.ref(thread)
    return thread


class Run(Protocol):
    """What :func:`running_loop` gives: it runs a coroutine and returns its result."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """Run *coroutine* and wait for it."""
        ...


@contextmanager
def running_loop() -> Generator[Run, None, None]:
    """Run an event loop in a background thread; yields ``run(coroutine) -> result``.

    All coroutines run in one task, one after the other, so that one may leave what another
    has entered. The app context that they leave open is the current one here, too.
    """
    thread = LoopThread()
    desk = _Desk(thread.loop)
    task = asyncio.run_coroutine_threadsafe(desk.work(), thread.loop)
    try:
        yield desk.run
    finally:
        desk.stop()
        task.result()
        thread.close()


class _Desk:
    """A task that does what other threads ask of it, in the order of asking."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: asyncio.Queue[tuple[Coroutine[Any, Any, Any], Future[Any]] | None]
        self._jobs = asyncio.Queue()

    def run(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        done: Future[tuple[T | None, BaseException | None, bool, Any]] = Future()
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, (coroutine, done))
        result, error, moved, context = done.result()
        if moved:
            current.set(context)
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # without an error there is one

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, None)

    async def work(self) -> None:
        while (job := await self._jobs.get()) is not None:
            coroutine, done = job
            before, result, failure = current.get(), None, None
            try:
                result = await coroutine
            except BaseException as error:
                failure = error
            after = current.get()
            done.set_result((result, failure, after is not before, after))
