"""What comes in for one request, message by message, and who may take the next one."""

from __future__ import annotations

import asyncio
from collections import deque

from .timeouts import Rest
from .typing import Message, Receive

__all__ = ["Inbox", "Turn"]

_AHEAD = 64 * 1024
"""Bytes of a body that are kept for whoever reads it later, while a stream is sent."""


class Turn:
    """Lets one task at a time do something: a lock that costs nothing while nobody waits.

    Whoever finds it ``taken`` has to :meth:`wait`; else it is taken by saying so. Each turn
    ends with :meth:`end`, which hands it to who waited longest; while nobody is ``waiting``,
    also by saying so.
    """

    __slots__ = ("taken", "waiting")

    def __init__(self) -> None:
        self.taken = False
        self.waiting: deque[asyncio.Future[None]] | None = None

    async def wait(self) -> None:
        """Wait for the turn, and have it."""
        if self.waiting is None:
            self.waiting = deque()
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(asked)
        try:
            await asked
        except asyncio.CancelledError:
            if asked.done() and not asked.cancelled():
                self.end()  # it was our turn already
            raise

    def end(self) -> None:
        """Give the turn up."""
        while self.waiting:
            asked = self.waiting.popleft()
            if not asked.done():
                asked.set_result(None)
                return
        self.taken = False


class Inbox(Turn):
    """The messages of one request, for its body and for whoever waits that its client leaves."""

    __slots__ = ("_begun", "_emptied", "_kept", "_receive", "complete", "left")

    def __init__(self, receive: Receive, begun: Rest[Message] | None = None) -> None:
        super().__init__()
        self._receive = receive
        self._begun = begun
        self._kept: deque[Message] = deque()
        self._emptied: asyncio.Event | None = None
        self.complete = False
        """Whether the last piece of the body was taken."""
        self.left = False
        """Whether the client has left."""

    def put_back(self, message: Message) -> None:
        """Keep the *message* that somebody else received, to be taken before all others."""
        if message["type"] == "http.disconnect":
            self.left = True
        else:
            self._kept.appendleft(message)

    async def take(self) -> Message:
        """Return the next message; of a client that has left, that it has, again and again."""
        if not self._kept:
            if self.taken:
                await self.wait()
            self.taken = True
            try:
                if not self._kept:
                    if self.left:
                        return {"type": "http.disconnect"}
                    begun, self._begun = self._begun, None
                    message = await (begun or self._receive())
                    if message["type"] == "http.disconnect":
                        self.left = True
                    elif not message.get("more_body", False):
                        self.complete = True
                    return message
            finally:
                if self.waiting:
                    self.end()
                else:  # PERF: what it does, without a call
                    self.taken = False
        message = self._kept.popleft()
        if not self._kept and self._emptied is not None:
            self._emptied.set()
        if not message.get("more_body", False):
            self.complete = True
        return message

    async def until_disconnect(self) -> Message:
        """Wait until the client leaves. A little of a body that nobody reads is kept."""
        if self._emptied is None:
            self._emptied = asyncio.Event()
        while True:
            if sum(len(message.get("body", b"")) for message in self._kept) > _AHEAD:
                self._emptied.clear()
                await self._emptied.wait()
            if self.taken:
                await self.wait()
            self.taken = True
            try:
                message = {"type": "http.disconnect"} if self.left else await self._receive()
                if message["type"] == "http.disconnect":
                    self.left = True
                    return message
                self._kept.append(message)
            finally:
                self.end()
