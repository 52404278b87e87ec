"""Views that have so many seconds for their answer (``timeout=`` of a route)."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Task
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

from .binding import Step
from .context import Context
from .exceptions import ServiceUnavailable
from .flow import Flow
from .logs import printable
from .responses import Response
from .timeouts import Within, is_cancelled

__all__ = ["in_time", "thread_in_time"]


def in_time(flow: Flow, view: Step, seconds: float) -> Step:
    """Return *view*, of the event loop, as one that is cancelled when its time is over.

    The time ends when the response can begin, which for a stream is its first piece.

    :raises ServiceUnavailable: 503, when it is over.
    """

    async def timed(context: Context[Any]) -> Response:
        answering = Within(_begun(flow, view, context), seconds)
        try:
            return await answering
        except TimeoutError as error:
            if not answering.is_over:
                raise
            raise _too_late(context, seconds) from error

    return timed


async def _begun(flow: Flow, view: Step, context: Context[Any]) -> Response:
    response = flow.to_response(context, await view(context))
    if response.stream is not None and not response.head_first:
        context.stage = "first piece"
        await response.prime()
    return response


async def thread_in_time(
    flow: Flow,
    context: Context[Any],
    answering: Awaitable[Response],
    seconds: float,
    *,
    has_begun: Callable[[], bool],
) -> Response | None:
    """Return the response that a thread makes, ``None`` if a 503 was sent in its place.

    A thread cannot be ended. Its client is answered in time, without the after hooks: these
    run in that thread, which goes on to its end as if nothing had happened. What it waits for
    on the loop is cancelled. *has_begun* says whether a thread has taken it yet.
    """
    variables = copy_context()
    sending: Task[None] | None = None
    response: Response | None = None

    def goes_on() -> bool:
        nonlocal sending
        if not has_begun():
            return False
        owner = context.owner
        if owner is not None:  # else the thread is through, and its response on the way
            sending = asyncio.create_task(_refuse(flow, context, seconds), context=variables)
            owner.interrupt()
        return True

    timed = Within(answering, seconds, unless=goes_on)
    try:
        response = await timed
    except TimeoutError as error:
        if not timed.is_over:
            raise
        if not has_begun():
            return await flow.rescue(context, _too_late(context, seconds, error))
        # A thread took it all the same, and has run the after hooks.
        sending = asyncio.create_task(_refuse(flow, context, seconds), context=variables)
    except CancelledError:
        if sending is None or is_cancelled():  # else it comes from where the thread waited
            raise
    finally:
        if sending is not None:
            await asyncio.wait((sending,))
    if sending is None:
        return response
    if response is not None:
        await response.aclose()
    sending.result()
    return None


async def _refuse(flow: Flow, context: Context[Any], seconds: float) -> None:
    response = flow.error_handlers.error_response(context, _too_late(context, seconds))
    context.scope["erlen.sent"] = "http.response.start"
    await response(context.scope, context.receive, context.send)


def _too_late(
    context: Context[Any], seconds: float, cause: BaseException | None = None
) -> ServiceUnavailable:
    connection = context.any_connection
    method, path = context.scope["method"], printable(connection.path)
    context.app.logger.warning(
        "%s %s took longer than %s seconds (timeout= of its route).", method, path, seconds
    )
    error = ServiceUnavailable(f"The answer took longer than {seconds} seconds.")
    error.__cause__ = cause
    return error
