"""Before the first request and after the last: start-up, shutdown, background work."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, cast

from starlette.routing import BaseRoute, Mount

from .binding import OnLoop
from .concurrency import is_async
from .config import Config
from .context import Context, ContextApp
from .errors import SetupTypeError, place_of
from .inflight import InFlight
from .proxies import current
from .signals import announce, got_background_exception, got_serving_exception
from .stopping import SERVER, Arrangement, hearing_signals
from .typing import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LifespanApp", "Serving", "Tasks", "run_lifespan", "serving"]


_TIDYING = 1.0
"""Seconds that a background task has to end after it was cancelled."""


class LifespanApp(ContextApp, Protocol):
    """What start-up and shutdown need of the app above them."""

    config: Config
    serving_hooks: Serving
    tasks: Tasks

    @property
    def routes(self) -> list[BaseRoute]: ...
    @property
    def logger(self) -> logging.Logger: ...
    @property
    def shutdown_grace(self) -> float: ...
    def app_context(self) -> Context[Any]: ...
    def in_flight_here(self) -> InFlight: ...
    def serving(self) -> AbstractAsyncContextManager[dict[str, Any]]: ...
    def begin(self) -> None: ...
    def begin_drain(self) -> None: ...
    async def close_worker_pool(self) -> None: ...
    def log_problem(self, message: str, error: BaseException) -> None: ...


class Serving:
    """What runs around serving, in the order of registration."""

    def __init__(self, lifespan: Callable[..., Any] | None = None) -> None:
        self.lifespan = lifespan
        self.hooks: list[tuple[str, Callable[..., Any]]] = []

    def add(self, kind: str, function: Callable[..., Any]) -> None:
        """Add a hook of *kind* ``"before"``, ``"after"`` or ``"while"``."""
        generators = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
        if kind == "while" and not generators:
            raise SetupTypeError(
                "while_serving takes a generator function with one yield, not"
                f" {place_of(function)}."
            )
        self.hooks.append((kind, function))


@asynccontextmanager
async def serving(app: LifespanApp) -> AsyncGenerator[dict[str, Any]]:
    """Start *app* up, and shut it down at the end; yields the lifespan state.

    Hooks start in the order of registration and end in reverse. When one fails to start,
    those before it are ended.
    """
    state: dict[str, Any] = {}
    in_flight = app.in_flight_here()
    in_flight.open()
    async with AsyncExitStack() as stack:
        stack.callback(in_flight.open)
        await stack.enter_async_context(app.app_context())
        stack.push_async_callback(app.close_worker_pool)
        stack.push_async_callback(app.tasks.drain, app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"])
        try:
            await _start(app, stack, state)
            app.begin()
            # Again, and now first: what runs may need what the hooks below take away.
            stack.push_async_callback(
                app.tasks.drain, app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"]
            )
            stack.push_async_callback(_end_requests, app, in_flight)
        except Exception as error:
            if got_serving_exception.receivers:
                await announce(got_serving_exception, app, exception=error)
            raise
        yield state


async def _end_requests(app: LifespanApp, in_flight: InFlight) -> None:
    if hanging := await in_flight.drained(app.shutdown_grace):
        app.logger.warning(
            "%d requests were still running when the app was shut down: they took no notice of"
            " being cancelled.",
            hanging,
        )


async def _start(app: LifespanApp, stack: AsyncExitStack, state: dict[str, Any]) -> None:
    hooks = app.serving_hooks
    if hooks.lifespan is not None:
        found = await stack.enter_async_context(hooks.lifespan(app))
        state.update(found or {})
    for route in app.routes:
        if isinstance(route, Mount):
            inner: dict[str, Any] = {}
            await stack.enter_async_context(_mounted(route.app, inner))
            state.setdefault("erlen.mounts", {})[id(route)] = inner
    for kind, function in hooks.hooks:
        step = OnLoop().step(function)
        try:
            if kind == "before":
                await step()
            elif kind == "after":
                stack.push_async_callback(step)
            else:
                await stack.enter_async_context(_while(function))
        except Exception as error:
            error.add_note(f"This happened in the {kind}_serving function {place_of(function)}.")
            raise


@asynccontextmanager
async def _while(function: Callable[..., Any]) -> AsyncGenerator[None]:
    """Run a ``while_serving`` generator up to its yield, and the rest at the end."""
    if not is_async(function):
        function = _as_async_generator(function)
    generator = cast("AsyncGenerator[None, None]", function())
    await anext(generator, None)
    try:
        yield
    finally:
        async for _ in generator:
            raise RuntimeError(f"{place_of(function)} yields more than once.")


def _as_async_generator(function: Callable[..., Any]) -> Callable[[], AsyncIterator[None]]:
    async def adapted() -> AsyncIterator[None]:
        for _ in function():
            yield

    return adapted


@asynccontextmanager
async def _mounted(app: ASGIApp, state: dict[str, Any]) -> AsyncGenerator[None]:
    """Run the lifespan of a mounted app beside ours; one that has none is fine."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}

    async def run() -> None:
        over: Message = {"type": "lifespan.over"}
        try:
            await app(scope, inbox.get, outbox.put)
        except BaseException as error:
            over["message"] = f"{type(error).__name__}: {error}"
        await outbox.put(over)

    async def tell(phase: str) -> str:
        await inbox.put({"type": f"lifespan.{phase}"})
        answer = await outbox.get()
        kind: str = answer["type"]
        # Over at once is a start of an app that has no lifespan.
        if kind.endswith(".failed") or (phase == "shutdown" and "message" in answer):
            told.append("failed")
            verb = "start" if phase == "startup" else "stop"
            raise RuntimeError(f"A mounted app failed to {verb}: {answer.get('message') or app!r}")
        return kind

    told: list[str] = []
    task = asyncio.create_task(run())
    try:
        told.append(await tell("startup"))
        try:
            yield
        finally:
            if told == ["lifespan.startup.complete"]:
                told.append(await tell("shutdown"))
    finally:
        if not told:  # cancelled while it started
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def run_lifespan(app: LifespanApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Speak the lifespan protocol of ASGI for *app*."""
    await receive()
    phase = "startup"
    try:
        arrangement = cast("Arrangement | None", scope.get("state", {}).pop(SERVER, None))
        if arrangement is not None and arrangement.grace is not None:
            app.config["SHUTDOWN_GRACE"] = arrangement.grace
        async with app.serving() as state:
            if "state" in scope:
                scope["state"].update(state)
            if arrangement is not None:
                arrangement.grace = app.shutdown_grace
                arrangement.begin_drain = app.begin_drain
            with hearing_signals(_begin_drain_soon(app)):
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
    except BaseException as error:
        if not isinstance(error, asyncio.CancelledError):
            app.log_problem(f"The {phase} of the app failed", error)
        message = f"{type(error).__name__}: {error}"
        await send({"type": f"lifespan.{phase}.failed", "message": message})
        if not isinstance(error, Exception):
            raise
    else:
        await send({"type": "lifespan.shutdown.complete"})


def _begin_drain_soon(app: LifespanApp) -> Callable[[], None]:
    """Return what a signal handler may call: it does nothing in the middle of other code."""
    loop = asyncio.get_running_loop()
    return lambda: cast(None, loop.call_soon_threadsafe(app.begin_drain))


class Tasks:
    """Work that outlives the response it was started for, and belongs to one app."""

    def __init__(self, app: LifespanApp) -> None:
        self._app = weakref.ref(app)
        self.running: set[asyncio.Task[Any]] = set()
        self._contexts: weakref.WeakKeyDictionary[asyncio.Task[Any], Context[Any]]
        self._contexts = weakref.WeakKeyDictionary()

    def add(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run *function*, of either colour, in a fresh app context; from any thread."""
        step = OnLoop().step(function)
        self.start(lambda: step(*args, **kwargs), name=getattr(function, "__name__", "task"))

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run *coroutine* in a fresh app context; from any thread."""
        self.start(lambda: coroutine, name=getattr(coroutine, "__name__", "task"))

    def start(self, begin: Callable[[], Any], *, name: str) -> None:
        """Start a task on the serving loop."""
        here = current.get()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if here is None or here.loop is None:
                raise RuntimeError(
                    "A background task needs the event loop of an app that is served. Start it"
                    " from a request, or in 'async with app.serving():'."
                ) from None
            here.loop.call_soon_threadsafe(self._begin, here.loop, begin, name)
        else:
            self._begin(loop, begin, name)

    def _begin(self, loop: asyncio.AbstractEventLoop, begin: Callable[[], Any], name: str) -> None:
        task = loop.create_task(self._run(begin, name), name=f"erlen-{name}")
        self.running.add(task)
        task.add_done_callback(self.running.discard, context=contextvars.Context())

    async def _run(self, begin: Callable[[], Any], name: str) -> None:
        app = cast(LifespanApp, self._app())
        current.set(None)  # not around this one: it would keep the request that began it
        context = app.app_context()
        context.is_task = True
        self._contexts[cast("asyncio.Task[Any]", asyncio.current_task())] = context
        async with context:
            try:
                await begin()
            except (asyncio.CancelledError, KeyboardInterrupt):
                raise
            except BaseException as error:  # a SystemExit would end the loop of all requests
                app.log_problem(f"The background task {name!r} failed", error)
                if got_background_exception.receivers:
                    await announce(got_background_exception, app, exception=error)

    async def drain(self, timeout: float | None) -> None:
        """Wait for what runs and what it starts, up to *timeout* seconds, then cancel it.

        What does not end then is told of in the log and not waited for.
        """
        loop = asyncio.get_running_loop()
        due = None if timeout is None else loop.time() + timeout
        while mine := self._running_on(loop):
            left = None if due is None else due - loop.time()
            if left is not None and left <= 0:
                break
            await asyncio.wait(mine, timeout=left)
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine, timeout=_TIDYING)
        if stuck := self._running_on(loop):
            self._leave(stuck)
            await asyncio.wait(stuck, timeout=_TIDYING)

    def _running_on(self, loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
        here = asyncio.current_task()
        return {task for task in self.running if task.get_loop() is loop and task is not here}

    def _leave(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Do not wait for the threads of *tasks* any more, and say so."""
        for task in tasks:
            context = self._contexts.get(task)
            if context is not None:
                context.forsaken = True
            task.cancel()
        app = cast(LifespanApp, self._app())
        names = ", ".join(sorted(task.get_name().removeprefix("erlen-") for task in tasks))
        app.logger.warning("Background tasks took no notice of being cancelled: %s", names)
