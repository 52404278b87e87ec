"""The requests that are being served: which clients have left, and how the last ones end.

Nothing here runs for a request that never waits: it is noted as the latest, and no other is
served until it is over. A timer of the loop, armed only while something is served, looks at
those that take long, and only for them a task waits whether their client leaves. What is
cancelled is the task of the request, only in its view or while its body is sent, and never
while a thread works for it.
"""

from __future__ import annotations

import asyncio
import weakref
from asyncio import AbstractEventLoop
from contextvars import Context as Variables
from threading import get_ident
from typing import Any, TypeAlias, cast

from .context import Context

__all__ = ["InFlight"]

Served: TypeAlias = Context[Any]

_OF_THE_VIEW = ("view", "first piece")
_PERIOD = 0.25
"""Seconds between two looks; a request that has seen two of them is a slow one."""
_CLOSING = 0.05
"""Seconds between two looks when everything is to end."""
_TIDYING = 1.0
"""Seconds in which what is ended tidies up, before it is cancelled wherever it is."""


class InFlight:
    """The requests and websockets of one app on one event loop; on no loop there are none."""

    def __init__(self, loop: AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self.thread: int | None = None
        """The thread of the loop, where a new request needs nothing but to be noted."""
        self.draining = False
        """Whether new work is refused."""
        # PERF: putting a plain GET into a set and taking it out took 0.1 us (timeit).
        self.latest: Served | None = None
        """The one that began last, if it is not over; it may be in :attr:`active` or not."""
        self.active: set[Served] = set()
        """The others that are served."""
        self.streams: set[Served] = set()
        """Those that began to send a stream since the loop was here."""
        self.is_woken = False
        """Whether the loop will look at them."""
        self._ended: set[Served] = set()  # by us, and not over yet
        self._elder: weakref.WeakSet[Served] = weakref.WeakSet()  # than what is started up now
        self._patience = 0.0  # on the clock of the loop: when nothing is waited for any more
        self._timer: asyncio.TimerHandle | None = None

    # -- for the entry ---------------------------------------------------------------------

    def admit(self) -> bool:
        """Say whether a request may begin; called where :attr:`thread` is not this one."""
        if self.draining:
            return False
        self.thread = get_ident()
        if self._timer is None:  # else another loop served the app in between
            self._look_in(_PERIOD)
        return True

    def settle(self, context: Served) -> bool:
        """Forget a request that is over; false if a thread goes on serving it.

        One that was ended may have taken no notice of that, and is not cancelled any more.
        """
        if self.latest is context:
            self.latest = None
        self.active.discard(context)
        self._ended.discard(context)
        context.take_cancels_back()
        return not context.forsaken

    def _all(self) -> set[Served]:
        """Return all that are served and were not ended."""
        if self.latest is not None:
            self.active.add(self.latest)
            self.latest = None
        return self.active

    # -- clients that leave ----------------------------------------------------------------

    def _look_in(self, seconds: float) -> None:
        # In no variables: those of the request that is served now would stay with the timer.
        loop = cast(AbstractEventLoop, self.loop)
        self._timer = loop.call_later(seconds, self._look, context=Variables())

    def _look_no_more(self) -> None:
        timer, self._timer, self.thread = self._timer, None, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self.draining:
            self._close_down()
            return
        if not self._all():
            self.thread = None
            return
        for context in list(self.active):
            if context.is_slow and context.stage in _OF_THE_VIEW:
                if context.client_left:
                    self._leave(context)
                elif context.watcher is None and _is_watched(context):
                    self._watch(context)
            context.is_slow = True
        self._look_in(_PERIOD)

    def _watch(self, context: Served) -> None:
        context.untidy = True  # so that the watch ends before the response begins
        context.watcher = self._watcher_of(context)

    def _watcher_of(self, context: Served) -> asyncio.Task[None]:
        loop = cast(AbstractEventLoop, self.loop)
        return loop.create_task(self._until_left(context), context=Variables())

    def wake(self) -> None:
        """Watch those of :attr:`streams` that are not over when the loop comes to it.

        PERF: nothing is asked of the server, and no task made, for a stream that never waits.
        """
        self.is_woken = True
        cast(AbstractEventLoop, self.loop).call_soon(self._watch_streams, context=Variables())

    def _watch_streams(self) -> None:
        self.is_woken = False
        while self.streams:
            context = self.streams.pop()
            context.departure = self._watcher_of(context)
            if context.client_left and context.departure.done():  # an eager task
                self._leave(context)

    async def _until_left(self, context: Served) -> None:
        try:
            await context.request.until_disconnect()
        except Exception:
            return  # a server that fails here fails again when something is sent
        context.client_left = True
        self._leave(context)

    def _leave(self, context: Served) -> None:
        if context.departure is not None:
            context.unchanged = None
            self._end(context)
        elif context.stage in _OF_THE_VIEW and not context.threads:
            self._end(context)

    def _end(self, context: Served, *, forsake: bool = False) -> None:
        """Cancel *context*, in such a way that :meth:`ended` knows it."""
        self._all().discard(context)
        self._ended.add(context)
        if forsake:
            context.forsaken = True
            if context.owner is not None:
                context.owner.interrupt()
        if context.task is not None:
            context.cancels += 1
            context.task.cancel()

    # -- the drain -------------------------------------------------------------------------

    def open(self) -> None:
        """Serve, perhaps again after a drain.

        What is served already is none of those that a later drain ends: a test client in a
        view may start up the app that serves it.
        """
        if self.draining:
            self.draining = False
            self._look_no_more()
        self._elder = weakref.WeakSet(self._all())

    def begin_drain(self, grace: float) -> None:
        """Refuse new work; what is served has *grace* seconds to end by itself."""
        if self.draining or self.loop is None:
            return
        self.draining = True
        self._patience = self.loop.time() + grace
        self._look_no_more()
        self._look_in(grace)

    async def drained(self, grace: float) -> int:
        """Begin to drain and wait until nothing is served any more.

        :returns: how many requests hang in something that no cancel ends.
        """
        self.begin_drain(grace)
        loop = asyncio.get_running_loop()
        last = self._patience + 2 * _TIDYING
        while left := len(self._rest()):
            if loop.time() > last:
                return left
            await asyncio.sleep(0.005)
        self._look_no_more()
        return 0

    def _rest(self) -> list[Served]:
        """Return those that the drain waits for."""
        everything = (*self._all(), *self._ended)
        return [context for context in everything if context not in self._elder]

    def _close_down(self) -> None:
        """End what has not ended by itself: what may be cancelled now, and later the rest."""
        overdue = cast(AbstractEventLoop, self.loop).time() - self._patience
        is_late = overdue > _TIDYING
        for context in [context for context in self._rest() if context in self.active]:
            if context.stage is not None or is_late:
                context.is_drained = True
                # A thread that serves it cannot be ended. It goes on, and nobody waits for it.
                in_thread = context.owner is not None and context.stage != "body"
                self._end(context, forsake=in_thread)
        for context in list(self._ended) if is_late else ():
            self._end(context, forsake=context.threads > 0)
        if self._rest():
            self._look_in(_TIDYING if is_late else _CLOSING)


def _is_watched(context: Served) -> bool:
    """Say whether the view of *context* ends with its client, and ``receive`` is free."""
    rule = context.rule
    if rule is None or context.kind != "http" or context.owner is not None:
        return False
    wanted = rule.options.get("cancel_on_disconnect")
    if wanted is None:
        methods = context.app.config["CANCEL_ON_DISCONNECT"] or ()
        wanted = (
            methods is True or context.stage == "first piece" or context.scope["method"] in methods
        )
    return bool(wanted) and context.request.body_is_over
