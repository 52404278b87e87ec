"""Where code runs: its colour, and the ways between loop and thread.

A ``def`` pipeline is owned by one thread, and an ``async def`` hook inside it runs on the
loop while that thread waits. So a thread that waits for the loop keeps an inbox: whatever
``def`` call the coroutine needs is put there instead of into the pool. Nothing ever waits
for a *second* thread while it holds one, and that is why the pool cannot starve itself.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from asyncio import AbstractEventLoop, CancelledError
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
)
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import get_ident
from types import CoroutineType
from typing import Any, Generic, NoReturn, ParamSpec, TypeAlias, TypeVar, cast

from .errors import ContextError
from .pool import Job, call_here, interrupt, is_forsaken
from .proxies import current

__all__ = [
    "Owner",
    "Pending",
    "Relay",
    "Soon",
    "adopt",
    "drive",
    "ensure_sync",
    "is_async",
    "on_loop",
    "run_sync",
    "to_thread",
    "wait_for",
]

T = TypeVar("T")
P = ParamSpec("P")

Soon: TypeAlias = T | Coroutine[Any, Any, T]
"""What is there already, or the coroutine that brings it."""

_MISSING = object()

# PERF: a method that is looked up in what another module gave is made anew for each call.
get_current = current.get


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether *function* belongs on the event loop.

    Partials, ``functools.wraps`` and objects with ``__call__`` are followed: a plain
    decorator around an ``async def`` view counts as ``async def``, because what it returns
    has to be awaited.
    """
    while True:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return True
        if isinstance(function, functools.partial):
            function = function.func
        elif (inner := getattr(function, "__wrapped__", None)) is not None:
            function = inner
        elif inspect.isroutine(function) or inspect.isclass(function):
            return False
        else:
            return callable(function) and is_async(type(function).__call__)


def on_loop() -> bool:
    """Say whether code of the ``async def`` face runs here.

    True on the thread of the serving loop, but for steps marked ``inline=True``.
    """
    context = get_current()
    if context is None:
        return running_loop() is not None
    # PERF: the running loop is found by asking the system for the process, up to Python 3.11.
    return get_ident() == context.loop_thread and not context.inline


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Pending(Generic[T]):
    """A value that has to be awaited, and says so when it is used without ``await``.

    *start* makes it of *args*, or a coroutine that does; nothing runs, and nothing warns,
    before the ``await``. Where ``await`` in front of it is not the answer, a subclass has
    another *_advice*.
    """

    __slots__ = ("__name", "__start")

    _advice = ""

    def __init__(self, name: str, start: Callable[..., Soon[T]], *args: Any) -> None:
        self.__name = name
        # PERF: together, because __getattr__ makes every look at an attribute a slow one.
        self.__start = start, args

    def __await__(self) -> Generator[Any, Any, T]:
        start, args = self.__start
        made: Any = start(*args)
        if made.__class__ is CoroutineType:
            return cast(T, (yield from made.__await__()))
        value: T = made
        return value

    def __repr__(self) -> str:
        return f"<{self.__name}: await it>"

    def __refuse(self, *_: Any) -> NoReturn:
        frame = inspect.currentframe()
        frame = frame and frame.f_back
        while frame is not None and frame.f_globals.get("__name__", "").startswith("erlen"):
            frame = frame.f_back
        where = ""
        if frame is not None:
            file = frame.f_code.co_filename.replace("\\", "/").rsplit("/", 1)[-1]
            where = f" (async def, {file}:{frame.f_lineno})"
        call = self.__name
        if self._advice:
            raise TypeError(f"{call}{where.replace('async def, ', '')} {self._advice}")
        variable = call.split("(")[0].rsplit(".", 1)[-1].removeprefix("get_")
        raise TypeError(f"{call} must be awaited here{where}: {variable} = await {call}")

    def __getattr__(self, name: str) -> NoReturn:
        # Only dunder look-ups of the interpreter may see an ordinary AttributeError.
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        self.__refuse()

    def __bool__(self) -> bool:
        self.__refuse()

    def __getitem__(self, key: Any) -> NoReturn:
        self.__refuse()

    def __iter__(self) -> NoReturn:
        self.__refuse()

    def __len__(self) -> int:
        self.__refuse()

    def __contains__(self, item: object) -> bool:
        self.__refuse()

    def __str__(self) -> str:
        self.__refuse()

    def __bytes__(self) -> bytes:
        self.__refuse()

    def __eq__(self, other: object) -> bool:
        self.__refuse()

    # asyncio.gather() asks which of its arguments are the same.
    __hash__ = object.__hash__


class _Errand:
    """A coroutine that the loop runs for a waiting thread."""

    __slots__ = (
        *("begun", "call", "done", "error", "is_inside", "result", "surely", "task", "unwanted"),
    )

    def __init__(self, *, surely: bool = False) -> None:
        self.surely = surely
        """Whether it has to begin, even if it was cancelled before."""
        self.is_inside = False
        """Whether the thread waits as a part of a request, and not for all of it."""
        self.call: Job | None = None
        """The call of the loop in which the thread waits; ``None``: there is none around."""
        self.begun = self.unwanted = self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None

    async def run(self, function: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> None:
        """Keep the outcome; a task that raised a SystemExit would end the loop."""
        self.begun = True
        if self.unwanted:
            self.cancel()
        try:
            self.result = await function(*args, **kwargs)
        except BaseException as error:
            self.error = error

    def cancel(self) -> None:
        """Cancel the coroutine where it waits; where it first will, if it has yet to begin."""
        self.unwanted = True
        if self.begun or not self.surely:
            # A task that is cancelled before its first step never makes one.
            cast("asyncio.Task[None]", self.task).cancel()

    def finish(self) -> None:
        """Let the thread go on; in that thread."""
        self.done = True
        self.call = None  # an error of it knows the frames that know this

    def forget_error(self) -> BaseException:
        """Return the error, and forget it: it knows the frames that know this."""
        error, self.error = self.error, None
        return cast(BaseException, error)


class Owner:
    """A thread that runs all ``def`` steps of one request, seen from both sides.

    The thread calls :meth:`wait_for`; the loop calls :meth:`call` while it waits.
    """

    __slots__ = ("_call", "_errands", "_inbox", "loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._call: Job | None = None  # that the thread makes now
        self._errands: list[_Errand] = []
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()

    @property
    def waits(self) -> bool:
        """Whether the thread waits for the loop."""
        return bool(self._errands)

    def wait_for(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Run an ``async def`` function on the loop; in the owning thread.

        It runs in a copy of this thread's context; variables that it sets are set here. A
        cancel may come before it began, and it never does then, unless it is a teardown.
        """
        served = get_current()
        errand = _Errand(surely=getattr(served, "torn_down", False))
        errand.is_inside = getattr(served, "owner", None) is self
        errand.call = self._call
        context = copy_context()

        def start() -> None:
            self._errands.append(errand)
            coroutine = errand.run(function, args, kwargs)
            errand.task = self.loop.create_task(coroutine, context=context)
            errand.task.add_done_callback(finish)

        def finish(task: asyncio.Task[None]) -> None:
            self._errands.remove(errand)
            if not errand.begun:  # a cancel was faster
                errand.error = CancelledError()
            self._inbox.put(errand.finish)  # behind all that the thread has yet to do

        self.loop.call_soon_threadsafe(start)
        self.work_until(errand)
        adopt(context)
        if errand.error is not None:
            raise errand.forget_error()
        result: T = errand.result
        return result

    def interrupt(self, call: Job | None = None) -> None:
        """Cancel the coroutine that the thread waits for, if it waits; on the loop.

        That is the one that *call* waits for; ``None`` is all that is done for the request. It
        is the outermost: what it waits for in turn is cancelled with it.
        """
        for errand in self._errands:
            if errand.is_inside if call is None else errand.call is call:
                if errand.task is not asyncio.current_task():
                    errand.cancel()
                return

    def work_until(self, errand: Any) -> None:
        """Do what the loop puts into the inbox until *errand* is done."""
        while not errand.done:
            self._inbox.get()()

    def post(self, call: Callable[[], None]) -> None:
        """Let the owning thread make *call* as soon as it waits; from any thread."""
        self._inbox.put(call)

    def call(self, call: Callable[..., T], *, early: bool = False) -> Awaitable[T]:
        """Let the owning thread make *call*; to await what it returns; on the loop."""
        job = Job(loop=self.loop)
        job.call, job.early, job.served, job.owner = call, early, current.get(), self
        self._inbox.put(functools.partial(self._make, job))
        return job.outcome() if early else job

    def _make(self, job: Job) -> None:
        outer, self._call = self._call, job
        job.run()
        self._call = outer
        self.loop.call_soon_threadsafe(job.deliver)


class Relay(AsyncIterator[Any]):
    """What a ``def`` generator yields in its thread, sent by the loop a few pieces later.

    The thread calls :meth:`pump` and, when everything is over there, :meth:`finish`. It waits
    while *ahead* pieces are not sent yet.

    A thread that was *lent* may have to do the sending itself: it does what the loop wants of
    it until each piece is sent.
    """

    def __init__(
        self, loop: AbstractEventLoop, ahead: int = 8, *, lent: Owner | None = None
    ) -> None:
        self._loop = loop
        self._lent = lent
        self._given = self._asked = 0
        self._room = threading.Semaphore(ahead)
        self._pieces: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self._finished = asyncio.Event()
        self._closed = False
        self._exhausted = False
        self._error: BaseException | None = None

    def pump(self, pieces: Iterable[Any]) -> None:
        """Hand over *pieces* until there are no more or nobody wants them; in the thread."""
        try:
            for piece in pieces:
                if self._lent is None:
                    self._room.acquire()
                if self._closed:
                    break
                self._pieces.append(piece)
                self._loop.call_soon_threadsafe(self._arrived.set)
                if self._lent is not None:
                    self._given += 1
                    self._lent.work_until(self)
        except BaseException as error:
            self._error = error
            # A cancel that comes when nobody wants the pieces is only the end of them.
            if not (self._closed and isinstance(error, CancelledError)):
                raise
        finally:
            self._end(pieces)

    @property
    def done(self) -> bool:
        """Whether all pieces are sent: who asks for one more has sent the last."""
        return self._closed or self._asked > self._given

    def _ask(self) -> None:
        # In the thread, so that it has sent before what it was given to send.
        self._asked += 1

    def _end(self, pieces: Iterable[Any]) -> None:
        close = getattr(pieces, "close", None)
        try:
            if close is not None:
                close()
        except BaseException as error:
            self._error = self._error or error
            raise
        finally:
            self._exhausted = True
            self._loop.call_soon_threadsafe(self._arrived.set)

    def stop(self) -> None:
        """Say that nobody wants the pieces; from any thread."""
        self._closed = True
        self._room.release()
        if self._lent is not None:
            self._lent.post(_nothing)

    def finish(self) -> None:
        """Say that the thread is done with the request."""
        self._loop.call_soon_threadsafe(self._finished.set)

    async def __anext__(self) -> Any:
        if self._lent is not None:
            self._lent.post(self._ask)
        while not self._pieces:
            if self._exhausted and not self._pieces:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._arrived.clear()
            if not self._pieces and not self._exhausted:
                await self._arrived.wait()
        self._room.release()
        return self._pieces.popleft()

    async def aclose(self) -> None:
        """Stop the generator and wait until its thread is done, also when cancelled."""
        self.stop()
        served = current.get()
        cancelled: CancelledError | None = None
        if not self._exhausted:
            interrupt(served)
        while not self._finished.is_set() and not is_forsaken(served):
            try:
                await self._finished.wait()
            except CancelledError as error:
                cancelled = error
                interrupt(served)
        self._error = None  # it knows the frames that know this
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled  # it knows this frame, and the two would stay


def _nothing() -> None:
    """Wake a thread that waits for its inbox."""


async def _run_errand(errand: _Errand, *work: Any) -> None:
    """Run *errand*, which ends with the call in which its thread waits."""
    call = errand.call
    if call is None:
        return await errand.run(*work)
    errand.task = cast("asyncio.Task[None]", asyncio.current_task())
    call.wait_for(errand)
    try:
        await errand.run(*work)
    finally:
        call.errand = None


async def _call(function: Callable[..., Awaitable[T]], args: Any, kwargs: Any) -> T:
    return await function(*args, **kwargs)


def adopt(context: Context) -> None:
    """Set here every variable that was set in *context*, as if that code had run here."""
    for variable, value in context.items():
        if variable.get(_MISSING) is not value:
            variable.set(value)


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits, in a thread that has no loop.

    The pipeline is written once, as a coroutine; in an owning thread each of its steps
    blocks instead of suspending, so it is over after the first ``send``.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("A step of a def pipeline awaited something of the event loop.")


async def to_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a ``def`` function where blocking is allowed, and return what it returns.

    That is the thread that waits for this coroutine, if one does, else one of the app's
    pool, or of the loop's executor where no app is served. ContextVars that the function
    sets are set here too.
    """
    here = current.get()
    variables = copy_context()
    call = functools.partial(variables.run, function, *args, **kwargs)
    try:
        if here is None:
            return await asyncio.get_running_loop().run_in_executor(None, call)
        here.threads += 1
        owner = here.owner  # which the thread takes away when it has done its part
        try:
            if owner is not None and owner.waits:
                return cast(T, await owner.call(call))
            return cast(T, await here.app.worker_pool.run(call, admitted=True))
        finally:
            here.threads -= 1
    finally:
        adopt(variables)


def run_sync(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Turn a ``def`` function into an ``async def`` one that runs it in a worker thread."""

    @functools.wraps(function)
    async def in_thread(*args: P.args, **kwargs: P.kwargs) -> T:
        return await to_thread(function, *args, **kwargs)

    return in_thread


def ensure_sync(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make *function* callable from ``def`` code, whatever its colour (Flask's name).

    In a worker thread an ``async def`` function runs on the serving loop while the thread
    waits. On the loop the function is returned as it is: what it returns is awaited by
    whoever called the view.
    """
    if not is_async(function) or on_loop():
        return function

    @functools.wraps(function)
    def bridged(*args: Any, **kwargs: Any) -> Any:
        return wait_for(function, *args, **kwargs)

    return bridged


def wait_for(function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
    """Run an ``async def`` function on the serving loop, from a thread, and wait for it.

    Where nothing is served, it runs on a loop of its own.

    :raises ContextError: on the thread of the loop itself, which would wait for ever.
    """
    context = current.get()
    if running_loop() is not None:
        name = getattr(function, "__qualname__", repr(function))
        raise ContextError(
            f"{name} is async def and was called for its value on the event loop, which"
            " cannot wait for itself. Await it, or call it from a def function."
        )
    if context is None or context.loop is None:
        return asyncio.run(_call(function, args, kwargs))
    if context.owner is not None and context.owner_thread == threading.get_ident():
        owner: Owner = context.owner
        return owner.wait_for(function, *args, **kwargs)
    errand = _Errand()
    errand.call = call_here()
    coroutine = _run_errand(errand, function, args, kwargs)
    asyncio.run_coroutine_threadsafe(coroutine, context.loop).result()
    if errand.error is not None:
        raise errand.error
    return cast(T, errand.result)
