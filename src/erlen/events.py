"""Streams that browsers and scripts read item by item. Knows their formats; knows no request.

The formats are server-sent events (HTML, 9.2) and JSON lines. What is written here is the text
of one item; the sending is the matter of :class:`~erlen.responses.Response`.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from . import json
from .patterns import pattern
from .responses import HeaderItems, Response
from .sending import Chunks
from .timeouts import Within

__all__ = ["EventStream", "JSONLines", "ServerSentEvent"]

Items: TypeAlias = AsyncIterable[Any] | Iterable[Any]

_COMMENT = b":\n\n"
# What ends a line there, and nothing else does (HTML, 9.2.5).
_LINE_END = pattern(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event, where *data* alone does not say it all.

    *data* is text, which may have several lines, or a value that is written as JSON. ``None``
    is no data: browsers do not show such an event, but take its *id* and *retry*. *event* is
    its type, ``"message"`` for browsers if there is none. *id* is what the browser says in
    ``request.last_event_id`` when it comes back. *retry* are the milliseconds after which it
    comes back.

    :raises ValueError: if *event* or *id* has a line break, *id* a NUL, or *retry* is negative.
    :raises TypeError: if *event* or *id* is no text, or *retry* no whole number.
    """

    data: Any = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("event", self.event), ("id", self.id)):
            if value is not None:
                _check_line(name, value)
        if self.retry is not None:
            _check_retry(self.retry)

    def __bytes__(self) -> bytes:
        """Return the event as it is sent."""
        fields = (("event", self.event), ("id", self.id), ("retry", self.retry))
        lines = [f"{name}: {value}" for name, value in fields if value is not None]
        if self.data is not None:
            lines += [f"data: {line}" for line in _LINE_END.split(_text_of(self.data))]
        return "\n".join((*lines, "\n")).encode() if lines else b""


def _check_line(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(
            f"The {name} of a server-sent event is text, not {type(value).__name__}: {value!r}."
            f" For a number, write {name}=str(...)."
        )
    if _LINE_END.search(value) or "\0" in value:
        raise ValueError(f"The {name} of a server-sent event is one line without NUL: {value!r}")


def _check_retry(value: Any) -> None:
    # A browser takes digits and nothing else (HTML, 9.2.6).
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(
            "The retry of a server-sent event is a whole number of milliseconds, not"
            f" {type(value).__name__}: {value!r}. For seconds, write retry=int(seconds * 1000)."
        )
    if value < 0:
        raise ValueError(
            f"The retry of a server-sent event is a number of milliseconds, 0 or more: {value!r}"
        )


class _Stream(Response):
    """A response made of items, each of which is written as it comes."""

    def __init__(
        self,
        items: Items,
        write: Callable[[Any], bytes],
        status: int | str | None,
        headers: HeaderItems | None,
    ) -> None:
        kind = type(self).__name__
        if isinstance(items, (str, bytes, dict)) or not (
            hasattr(items, "__aiter__") or hasattr(items, "__iter__")
        ):
            called = " Call the generator function." if callable(cast(Any, items)) else ""
            raise TypeError(
                f"{kind} is made of what a generator of either colour yields, not of"
                f" {type(cast(object, items)).__name__}: {items!r}.{called}"
            )
        written = _Awaited if isinstance(items, AsyncIterable) else _Iterated
        super().__init__(written(cast(Any, items), write), status, headers)
        # Proxies of the nginx kind would keep the items until they fill a buffer.
        self.headers.setdefault("x-accel-buffering", "no")


class EventStream(_Stream):
    """Server-sent events, for the ``EventSource`` of a browser.

    *events* is an async or a plain generator of :class:`ServerSentEvent` or of its data: text,
    or values that are written as JSON. The head is sent at once. When nothing came for
    *heartbeat* seconds, a comment is sent, which browsers pass over: it keeps proxies from
    ending a silent connection, and shows that the client is still there; ``None`` sends none.
    The generator does not notice. It runs in a task of its own, from its first step to its
    end, and is not asked for an event before the one in front of it is sent.

    :raises TypeError: if *events* cannot be iterated, or is text.
    :raises ValueError: if *heartbeat* is not greater than 0.
    """

    default_mimetype = "text/event-stream"
    head_first = True
    is_endless = True

    def __init__(
        self,
        events: Items,
        heartbeat: float | None = 15,
        *,
        status: int | str | None = None,
        headers: HeaderItems | None = None,
    ) -> None:
        super().__init__(events, _event, status, headers)
        if heartbeat is not None and not heartbeat > 0:
            raise ValueError(
                f"The heartbeat is a number of seconds greater than 0, or None: {heartbeat!r}"
            )
        self.heartbeat = heartbeat
        """Seconds of silence after which a comment is sent; ``None`` sends none."""
        # Nobody keeps what is news, nor compresses it, which would hold it back.
        self.headers.setdefault("cache-control", "no-store, no-transform")

    def chunks(self) -> Chunks:
        """Return the events as bytes, and comments where there are none for a while."""
        if isinstance(self.stream, Chunks) or self.heartbeat is None:
            return super().chunks()
        self.stream = Chunks(_Paced(super().chunks(), self.heartbeat))
        return self.stream


class JSONLines(_Stream):
    """Values as JSON, one on each line, as they come (``application/jsonl``).

    *items* is an async or a plain generator of anything that the app's JSON can write. As with
    any stream, the head waits for the first item: an error before it is an error page.

    :raises TypeError: if *items* cannot be iterated, or is text.
    """

    default_mimetype = "application/jsonl"

    def __init__(
        self,
        items: Items,
        *,
        status: int | str | None = None,
        headers: HeaderItems | None = None,
    ) -> None:
        super().__init__(items, _line, status, headers)


def _event(item: Any) -> bytes:
    return bytes(item if isinstance(item, ServerSentEvent) else ServerSentEvent(_text_of(item)))


def _line(item: Any) -> bytes:
    # Whatever the provider likes: in JSON a line break is only ever a space between values.
    return " ".join(json.dumps(item).splitlines()).encode() + b"\n"


def _text_of(data: Any) -> str:
    return data if isinstance(data, str) else json.dumps(data)


class _Awaited(AsyncIterator[bytes]):
    """What an async generator yields, written."""

    __slots__ = ("_items", "_write")

    def __init__(self, items: AsyncIterable[Any], write: Callable[[Any], bytes]) -> None:
        self._items = aiter(items)
        self._write = write

    async def __anext__(self) -> bytes:
        return self._write(await anext(self._items))

    async def aclose(self) -> None:
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()


class _Iterated(Iterator[bytes]):
    """What a plain generator yields, written where it runs."""

    __slots__ = ("_items", "_write")

    def __init__(self, items: Iterable[Any], write: Callable[[Any], bytes]) -> None:
        self._items = iter(items)
        self._write = write

    def __next__(self) -> bytes:
        return self._write(next(self._items))

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


class _Paced(AsyncIterator[bytes]):
    """What *source* yields, and a comment whenever it was silent for so many *seconds*.

    The source runs in one task from its first step to its end, so that it is not cancelled when
    the time is over, and can leave in one step the block that it entered in another.
    """

    __slots__ = ("_answer", "_ending", "_seconds", "_source", "_task", "_wanted")

    def __init__(self, source: Chunks, seconds: float) -> None:
        self._source = source
        self._seconds = seconds
        self._wanted = asyncio.Event()
        self._answer: asyncio.Future[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    async def __anext__(self) -> bytes:
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            self._wanted.set()
            if self._task is None:
                self._task = asyncio.create_task(self._run())
        try:
            await Within(asyncio.wait((self._answer,)), self._seconds)
        except TimeoutError:
            return _COMMENT
        answer, self._answer = self._answer, None
        try:
            return answer.result()
        finally:
            del answer  # its error knows this frame, and the two would stay

    async def _run(self) -> None:
        """Fetch a piece whenever one is wanted, and close the source in the end."""
        try:
            while await self._wanted.wait():
                self._wanted.clear()
                if not await self._step():
                    break
        finally:
            await self._source.aclose()

    async def _step(self) -> bool:
        """Fetch a piece, or what came instead; false if that was the last one."""
        # WHY: the answer is no variable here. Its error knows this frame, and the two would stay.
        try:
            piece = await anext(self._source)
        except BaseException as error:
            if self._ending:
                raise
            self._asked.set_exception(error)
            return False
        if not self._ending:  # else it took no notice of the cancel
            self._asked.set_result(piece)
        return not self._ending

    @property
    def _asked(self) -> asyncio.Future[bytes]:
        return cast("asyncio.Future[bytes]", self._answer)

    async def aclose(self) -> None:
        """End the source and wait until it has ended, also when cancelled meanwhile."""
        task, self._task = self._task, None
        if task is None:
            await self._source.aclose()
            return
        self._ending = True
        cancelled: CancelledError | None = None
        task.cancel()
        while not task.done():
            try:
                await asyncio.wait((task,))
            except CancelledError as error:
                cancelled = error
                task.cancel()
        unseen = self._error_that_nobody_saw()
        if cancelled is not None:
            raise cancelled
        if not task.cancelled():
            task.result()
        if unseen is not None:
            raise unseen

    def _error_that_nobody_saw(self) -> BaseException | None:
        """Return the error of the source, if it came when its client had left already."""
        answer, self._answer = self._answer, None
        if answer is None or not answer.done():
            return None
        error = answer.exception()
        return None if isinstance(error, (StopAsyncIteration, CancelledError)) else error
