"""What a template leads to: how that sees the request, and that it cannot always wait.

A plain render sees what was read of the request, ``request.form`` as a plain value, as ``def``
code does. On the event loop it says so by ``Context.inline``, for as long as it runs. A template
that is awaited awaits ``request.form`` by itself. Other tasks of the request run meanwhile, so
it says so only for each ``def`` function that it calls; ``async def`` ones see awaitables.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from blinker import Signal

from ..bodies import on_loop_thread
from ..concurrency import wait_for
from ..context import Context
from ..errors import place_of
from ..registry import Inline

__all__ = ["ADVICE", "plainly", "tell", "wait", "where"]

T = TypeVar("T")

ADVICE = "Use 'await render_template_async(...)', or make it def."
"""What to do about something to await in a plain render."""


def plainly(context: Context[Any] | None, call: Callable[..., T], *args: Any) -> T:
    """Make *call*; it sees the request as ``def`` code does."""
    if context is None or not context.on_its_loop:
        return call(*args)
    before, context.inline = context.inline, True
    try:
        return call(*args)
    finally:
        context.inline = before


def wait(what: str, function: Any, start: Callable[[], Any], advice: str = ADVICE) -> Any:
    """Return the outcome of *function*, which *start* begins; in a thread.

    :raises TypeError: on the event loop; it says *what* it is, where, and gives *advice*.
    """
    if not on_loop_thread():
        return wait_for(_outcome, start)
    value = start()
    close = getattr(value, "close", None)
    if close is not None:
        close()
    raise TypeError(
        f"The {what} {where(function)} is async def, and a plain call cannot wait for it on the"
        f" event loop. {advice}"
    )


async def _outcome(start: Callable[[], Awaitable[T]]) -> T:
    return await start()


def where(function: Any) -> str:
    """Say where *function* was written."""
    return place_of(function.function if isinstance(function, Inline) else function)


def tell(signal: Signal, app: Any, advice: str = ADVICE, **data: Any) -> None:
    """Send *signal* from a plain call; an ``async def`` receiver needs a thread."""
    what = f"receiver of {cast(Any, signal).name!r}"

    def bridge(receiver: Callable[..., Any]) -> Callable[..., Any]:
        def receive(*args: Any, **kwargs: Any) -> Any:
            return wait(what, receiver, lambda: receiver(*args, **kwargs), advice)

        return receive

    signal.send(app, _async_wrapper=cast(Any, bridge), **data)
