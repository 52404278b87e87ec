"""A multipart body, part by part, while it arrives. Keeps nothing, and knows no request.

A :class:`~erlen.splitter.Splitter` says where parts begin and end. :class:`Parts` hands them
out as they come, in both faces: in ``def`` code it is iterated and read, in ``async def`` code
that is awaited.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from .concurrency import Pending, drive, on_loop
from .formlimits import FormError, PartHead
from .headers import RequestHeaders, parse_options_header

if TYPE_CHECKING:
    from .splitter import Splitter

__all__ = ["Part", "Parts", "SyncPart", "headers_of"]


class _Reading:
    """What both faces of a part share."""

    __slots__ = (
        "__weakref__",
        "_parts",
        "_rest",
        "filename",
        "headers",
        "is_over",
        "name",
        "was_passed_over",
    )

    name: str
    """The name of the form's input."""
    filename: str | None
    """The name that the client gave the file, as it was sent; ``None`` if this is a field."""
    headers: RequestHeaders
    """The headers of this part."""

    def __init__(self, head: PartHead, parts: Parts) -> None:
        self.name, self.filename, pairs = head
        self.headers = headers_of(pairs)
        self.is_over = False
        """Whether all of it has come."""
        self.was_passed_over = False
        """Whether the next part was asked for before this one was read to its end."""
        self._parts = parts
        self._rest = b""

    @property
    def content_type(self) -> str | None:
        """The ``Content-Type`` that the client claims, with parameters."""
        return self.headers.get("content-type")

    @property
    def mimetype(self) -> str:
        """The content type without parameters, in lower case; ``""`` without one."""
        return parse_options_header(self.content_type or "")[0].lower()

    def _piece(self) -> Coroutine[Any, Any, bytes]:
        """Return what waits for the next piece, however large; ``b""`` at the end."""
        if self.was_passed_over:
            raise RuntimeError(
                f"{self!r} is over: its content is gone since the next part was asked for. Read"
                " each part before the next one."
            )
        rest, self._rest = self._rest, b""
        if rest or self.is_over:
            return _there(rest)
        return cast("Coroutine[Any, Any, bytes]", self._parts.event())

    async def _read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing and (piece := await self._piece()):
            if size > 0:
                piece, self._rest = piece[:missing], piece[missing:]
                missing -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def __repr__(self) -> str:
        return f"<Part {self.name!r} {self.filename!r} ({self.content_type!r})>"


class Part(_Reading):
    """One part of a multipart body, while it arrives: ``async for chunk in part``.

    Typed for ``async def`` code. In ``def`` code it is iterated and read like a file: there,
    type it as :class:`SyncPart`.
    """

    __slots__ = ()

    def read(self, size: int = -1) -> Awaitable[bytes]:
        """Read *size* bytes, less at the end, or all that is left; ``b""`` when nothing is."""
        if on_loop():
            return Pending("part.read()", lambda: self._read(size))
        return cast("Awaitable[bytes]", drive(self._read(size)))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._piece():
            yield piece

    def __iter__(self) -> Iterator[bytes]:
        if on_loop():
            raise TypeError(f"{self!r} is iterated in async def code: async for chunk in part")
        return self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        while piece := drive(self._piece()):
            yield piece


if TYPE_CHECKING:

    class SyncPart(_Reading):
        """A part as ``def`` code sees it; when it runs, :class:`Part`."""

        def read(self, size: int = -1) -> bytes:
            """Read *size* bytes, less at the end, or all that is left."""
            ...

        def __iter__(self) -> Iterator[bytes]: ...

else:
    SyncPart = Part

_NO_MORE: Any = object()


class Parts:
    """The parts of a body, one after another; what was not read of one is passed over.

    *begin* returns, when the first part is asked for, what gives the next piece of the body each
    time, ``b""`` at its end. *refuse* makes the error that is raised of one that is about the form.
    """

    __slots__ = ("_begin", "_events", "_failure", "_next_chunk", "_open", "_refuse", "_splitter")

    def __init__(
        self,
        begin: Callable[[], Callable[[], Awaitable[bytes]]],
        splitter: Splitter,
        refuse: Callable[[FormError], Exception],
    ) -> None:
        self._begin = begin
        self._next_chunk: Callable[[], Awaitable[bytes]] | None = None
        self._splitter = splitter
        self._refuse = refuse
        self._events: Iterator[PartHead | bytes | None] = iter(())
        # A part knows us. Else the two would stay when somebody leaves in the middle of one.
        self._open: ref[_Reading] | None = None
        self._failure: Exception | None = None

    def __aiter__(self) -> AsyncIterator[Part]:
        return cast("AsyncIterator[Part]", self)

    async def __anext__(self) -> Part:
        part = await self._next_part()
        if part is None:
            raise StopAsyncIteration
        return part

    if not TYPE_CHECKING:  # for those who type it, this is an Iterator[SyncPart]

        def __iter__(self) -> Iterator[Part]:
            if on_loop():
                raise TypeError("Parts are iterated in async def code: async for part in ...")
            return self

        def __next__(self) -> Part:
            part = drive(self._next_part())
            if part is None:
                raise StopIteration
            return part

    async def _next_part(self) -> Part | None:
        if self._open is not None:
            part = self._open()
            if part is not None:
                part.was_passed_over = True
            while self._is_in_part():
                await self.event()
        event = await self.event()
        if event is _NO_MORE:
            return None
        opened = Part(cast("PartHead", event), self)
        self._open = ref(opened)
        return opened

    def _is_in_part(self) -> bool:
        return self._open is not None

    def _end_part(self) -> None:
        part = cast("ref[_Reading]", self._open)()
        if part is not None:
            part.is_over = True
        self._open = None

    async def event(self) -> PartHead | bytes:
        """Return the next piece of the open part, ``b""`` at its end; else how one begins."""
        if self._failure is not None:
            raise self._failure
        try:
            while True:
                for event in self._events:
                    if event is not None:
                        return event
                    self._end_part()
                    return b""
                if self._next_chunk is None:
                    self._next_chunk = self._begin()
                chunk = await self._next_chunk()
                splitter = self._splitter
                if not chunk:
                    splitter.finish()
                    return cast(bytes, _NO_MORE)
                if splitter.is_content(chunk):
                    return chunk
                self._events = splitter.feed(chunk)
        except FormError as error:
            self._failure = self._refuse(error)
            raise self._failure from error


async def _there(piece: bytes) -> bytes:
    return piece


def headers_of(pairs: list[tuple[str, str]]) -> RequestHeaders:
    """Return the headers of a part."""
    return RequestHeaders([_raw(name, value) for name, value in pairs])


def _raw(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode("latin-1"), value.encode("latin-1")
