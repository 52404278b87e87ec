"""A response that somebody else's app sends, past the after hooks. Knows messages, no app."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable
from typing import Any, NoReturn, Protocol, cast

from .context import Context
from .proxies import current
from .responses import BODILESS, Response
from .results import Foreign
from .typing import Message

__all__ = ["Passage"]


class Finishing(Protocol):
    """What is asked of the steps around a view."""

    async def finish(self, context: Context[Any], response: Response) -> Response: ...
    def send(self, context: Context[Any], response: Response) -> Awaitable[None]: ...


class Passage:
    """The messages of somebody else's app on their way to the client, past the after hooks.

    A hook may put another response in the place of theirs. It is sent at once, and the app
    goes on as if its client had left: it may have things to do when it has answered.
    """

    __slots__ = ("begun", "closed", "context", "dropped", "flow", "foreign", "head", "later")

    def __init__(self, flow: Finishing, context: Context[Any], foreign: Foreign) -> None:
        self.flow = flow
        self.context = context
        self.foreign = foreign
        self.head: Response | None = None
        self.begun = False
        """Whether something was sent to the client."""
        self.dropped: int | None = None
        """How many messages nobody got, if the body of the app is not sent."""
        self.closed = False
        """Whether the app was ended."""
        self.later: Response | None = None
        """What is sent when the app has ended."""

    async def send(self, message: Message) -> None:
        """Send a message of the app; the first head with what the hooks make of it."""
        if self.dropped is not None:
            await self._drop()
        elif self.begun or message["type"] != "http.response.start":
            await self.context.send(message)
        else:
            await self._begin(message)

    async def _begin(self, message: Message) -> None:
        context = self.context
        head = self._head_of(message)
        # WHY: another app of ours may be answering, in a context of its own.
        theirs = current.get()
        current.set(context)
        context.stage = None
        try:
            response = await self.flow.finish(context, head)
            if not self._passes(response, message):
                await self._replace(response)
                return
        finally:
            context.stage = "body"
            current.set(theirs)
        self.head, self.begun = response, True
        context.scope["erlen.sent"] = message["type"]
        status = response.status_code
        await context.send({**message, "status": status, "headers": response.raw_headers})

    def _head_of(self, message: Message) -> Response:
        head: Response = self.context.app.make_response("")
        head.status_code = message["status"]
        head.raw_headers[:] = [(name.lower(), value) for name, value in message.get("headers", ())]
        head.stream = self.foreign.stream
        head.direct_passthrough = True
        return head

    def _passes(self, response: Response, message: Message) -> bool:
        """Whether the body of the app follows the head that the hooks have made."""
        if response.stream is not self.foreign.stream:
            return False
        return response.status_code == message["status"] or response.status_code not in BODILESS

    async def _replace(self, response: Response) -> None:
        """Send another response; a stream has to wait until the task that sends it is free."""
        if isinstance(response, Foreign):
            raise TypeError(
                f"The after_request function {response.put_by} returned {response.app!r} in the"
                " place of what another ASGI callable answers. Return a text, a dict, or a"
                " response of Erlen's."
            )
        self.dropped = 0
        if response.stream is not None and response.streams_to(self.context.scope):
            self.later = response
            self._close()
        self.begun = True
        await self.flow.send(self.context, response)

    async def _drop(self) -> None:
        self.dropped = cast(int, self.dropped) + 1
        if self.dropped > _DROPPED:
            self._close()
        # Not to wait at all would keep the loop busy.
        await asyncio.sleep(0)

    def _close(self) -> NoReturn:
        """End the app where it sends, with what ends a stream whose client has left."""
        self.closed = True
        raise CancelledError("Another response is sent in the place of this one.")

    @property
    def was_closed(self) -> bool:
        """Whether a cancel that comes out of the app is only ours."""
        task = self.context.task
        return self.closed and (task is None or not task.cancelling())

    async def end(self) -> None:
        """Run what the hooks want to be called when the response is over."""
        if self.head is not None and self.head.callbacks is not None:
            await self.head.aclose()


_DROPPED = 16
"""Messages that an app may send in vain before it is ended, which could go on for ever."""
