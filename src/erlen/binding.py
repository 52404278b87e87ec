"""Where the steps of a pipeline run: on the loop, or in a thread that owns the request.

The steps are written once, as coroutines (``flow``). On the loop a ``def`` step is a hop to a
thread; in an owning thread an ``async def`` step is a call that waits for the loop, so that
nothing ever suspends there (``concurrency.drive``).
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from inspect import isawaitable
from typing import Any, TypeAlias, cast

from blinker import Signal

from .concurrency import Owner, adopt, ensure_sync, is_async, wait_for
from .context import Context
from .exceptions import ServiceUnavailable
from .pool import PoolFull
from .proxies import current
from .registry import Inline
from .responses import Response
from .signals import announce

__all__ = ["Binding", "InOwner", "OnLoop", "Step", "hop"]

Step: TypeAlias = Callable[..., Awaitable[Any]]


class OnLoop:
    """Binds steps to the event loop."""

    def step(self, function: Callable[..., Any]) -> Step:
        """Return *function* as a coroutine function to await here."""
        if isinstance(function, Inline):
            return _inlined(function.function)
        if inspect.iscoroutinefunction(function):
            return function
        if is_async(function):
            return _awaiting(function)
        return _hopping(function)

    async def open_session(self, context: Context[Any]) -> None:
        """Open the session now, because this cannot be done later without waiting."""
        if is_async(context.app.session_interface.open_session):
            await context.open_session()
        else:
            await hop(context, lambda: context.untouched_session)

    async def save_session(self, context: Context[Any], response: Response) -> None:
        """Write the session into the response."""
        interface = context.app.session_interface
        if interface.never_waits:
            interface.save_session(context.app, context.opened, response)
            return
        save = partial(interface.save_session, context.app, context.opened, response)
        saving = save() if is_async(interface.save_session) else await hop(context, save)
        if isawaitable(saving):
            await saving

    async def announce(self, signal: Signal, app: Any, **data: Any) -> None:
        """Call the receivers of *signal*."""
        await announce(signal, app, **data)

    async def prime(self, response: Response) -> None:
        """Fetch the first piece of a stream."""
        await response.prime()

    async def discard(self, response: Response) -> None:
        """Close a response that is not sent."""
        await response.aclose()


class InOwner:
    """Binds steps to the thread that owns the request; nothing here ever suspends."""

    def step(self, function: Callable[..., Any]) -> Step:
        """Return *function* as a coroutine function that is over at once."""
        return _bridged(function) if is_async(function) else _direct(function)

    async def open_session(self, context: Context[Any]) -> None:
        """Do nothing: a thread may wait when the session is first touched."""

    async def save_session(self, context: Context[Any], response: Response) -> None:
        """Write the session into the response."""
        interface = context.app.session_interface
        saving: Any = interface.save_session(context.app, context.opened, response)
        if isawaitable(saving):
            wait_for(_awaited, saving)

    async def announce(self, signal: Signal, app: Any, **data: Any) -> None:
        """Call the receivers of *signal*."""
        signal.send(app, _async_wrapper=ensure_sync, **data)

    async def prime(self, response: Response) -> None:
        """Fetch the first piece of a stream."""
        stream = response.stream
        if isinstance(stream, AsyncIterable):
            wait_for(response.prime)
            return
        try:
            response.stream = _Primed(cast("Iterable[str | bytes]", stream))
        except BaseException:
            await self.discard(response)
            raise

    async def discard(self, response: Response) -> None:
        """Close a response that is not sent; a ``def`` generator is closed in this thread."""
        stream: Any = response.stream
        if hasattr(stream, "close"):
            stream.close()
            response.stream = None
        if response.waits_for_its_end:
            wait_for(response.aclose)


class _Primed(Iterator[Any]):
    """A ``def`` generator whose first piece was fetched already."""

    __slots__ = ("_first", "_pieces")

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._pieces = iter(pieces)
        self._first: Any = next(self._pieces, b"")

    def __next__(self) -> Any:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._pieces)

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


Binding: TypeAlias = OnLoop | InOwner


def _inlined(function: Callable[..., Any]) -> Step:
    async def inline(*args: Any, **kwargs: Any) -> Any:
        context = current.get()
        context.inline = True
        try:
            return function(*args, **kwargs)
        finally:
            context.inline = False

    return inline


def _awaiting(function: Callable[..., Any]) -> Step:
    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        return await value if isawaitable(value) else value

    return awaiting


def _hopping(function: Callable[..., Any]) -> Step:
    async def hopping(*args: Any, **kwargs: Any) -> Any:
        value = await hop(current.get(), partial(function, *args, **kwargs))
        return await value if isawaitable(value) else value

    return hopping


def _bridged(function: Callable[..., Any]) -> Step:
    async def bridged(*args: Any, **kwargs: Any) -> Any:
        return wait_for(_awaiting(function), *args, **kwargs)

    return bridged


def _direct(function: Callable[..., Any]) -> Step:
    async def direct(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        return wait_for(_awaited, value) if isawaitable(value) else value

    return direct


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def hop(context: Context[Any], call: Callable[..., Any], *, early: bool = False) -> Any:
    """Make *call* in a thread that owns the request meanwhile.

    The first hop of a request waits in the queue of the pool, later ones never do. A thread
    that was lent for the request (by a test client or a WSGI server) is used instead. With
    *early*, *call* is given a function that hands over the outcome before the call is over.

    :raises ServiceUnavailable: 503, if too many requests wait for a thread.
    """
    variables = copy_context()
    lent: Owner | None = context.scope.get("erlen.owner")
    owner = lent or Owner(cast(Any, context.loop))

    def work(*hand: Callable[[Any], None]) -> Any:
        context.owner, context.owner_thread = owner, threading.get_ident()
        try:
            return variables.run(call, *hand)
        finally:
            context.owner = context.owner_thread = None

    context.threads += 1
    try:
        if lent is not None:
            return await lent.call(work, early=early)
        admitted, context.admitted = context.admitted, True
        return await context.app.worker_pool.run(work, admitted=admitted, early=early)
    except PoolFull as error:
        raise ServiceUnavailable(retry_after=1) from error
    finally:
        context.threads -= 1
        adopt(variables)
