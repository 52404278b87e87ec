"""Parts of a page: those a client wants and the one it gets. Knows numbers, reads no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from ..http import http_date, parse_date
from ..patterns import pattern

__all__ = [
    "ContentRange",
    "IfRange",
    "Range",
    "parse_content_range_header",
    "parse_if_range_header",
    "parse_range_header",
]

# ASCII digits only, and never so many that int() becomes slow.
_NUMBER = pattern(r"[0-9]{0,32}")
_CONTENT_RANGE = pattern(
    r"\s*([\w-]+)\s+(?:([0-9]{1,32})-([0-9]{1,32})|\*)/(?:([0-9]{1,32})|\*)\s*", re.ASCII
)
_MOST_RANGES = 100


class Range:
    """The parts that a ``Range`` header asks for."""

    __slots__ = ("ranges", "units")

    def __init__(self, units: str, ranges: Iterable[tuple[int, int | None]]) -> None:
        self.units = units
        """What is counted; nearly always ``"bytes"``."""
        self.ranges = list(ranges)
        """Pairs of first and stop (which is not part of it). ``(-5, None)`` are the last five,
        ``(5, None)`` is all after the first five."""
        for start, stop in self.ranges:
            if stop is not None and not 0 <= start < stop:
                raise ValueError(f"{(start, stop)!r} is no range: it must end after it starts.")

    def range_for_length(self, length: int | None) -> tuple[int, int] | None:
        """Return start and stop of the one part of something that has *length* bytes.

        ``None`` if the header asks for several parts, for other units, or for what is not
        there. A last part that is longer than everything is everything (RFC 9110, 14.1.2).
        """
        if self.units != "bytes" or length is None or len(self.ranges) != 1:
            return None
        start, stop = self.ranges[0]
        if start < 0:
            start = max(0, start + length)
        if start >= length:
            return None
        return start, length if stop is None else min(stop, length)

    def make_content_range(self, length: int | None) -> ContentRange | None:
        """Return what says which part of something with *length* bytes is sent."""
        found = self.range_for_length(length)
        return None if found is None else ContentRange(self.units, *found, length)

    def to_content_range_header(self, length: int | None) -> str | None:
        """Write the ``Content-Range`` header for something with *length* bytes."""
        found = self.make_content_range(length)
        return None if found is None else found.to_header()

    def to_header(self) -> str:
        """Write the header."""
        return f"{self.units}={','.join(_dump_range(*each) for each in self.ranges)}"

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()!r}>"


class ContentRange:
    """The part that a response carries.

    *on_update* is called with this object after each change.
    """

    __slots__ = ("_length", "_start", "_stop", "_units", "on_update")

    def __init__(
        self,
        units: str | None = None,
        start: int | None = None,
        stop: int | None = None,
        length: int | None = None,
        on_update: Callable[[ContentRange], object] | None = None,
    ) -> None:
        self.on_update = None
        self.set(start, stop, length, units)
        self.on_update = on_update

    @property
    def units(self) -> str | None:
        """What is counted, ``"bytes"``; ``None`` if there is no such header."""
        return self._units

    @units.setter
    def units(self, units: str | None) -> None:
        self.set(self._start, self._stop, self._length, units)

    @property
    def start(self) -> int | None:
        """The first byte; ``None`` if the range that was asked for is not there."""
        return self._start

    @start.setter
    def start(self, start: int | None) -> None:
        self.set(start, self._stop, self._length, self._units)

    @property
    def stop(self) -> int | None:
        """The byte after the last one."""
        return self._stop

    @stop.setter
    def stop(self, stop: int | None) -> None:
        self.set(self._start, stop, self._length, self._units)

    @property
    def length(self) -> int | None:
        """How many bytes there are altogether; ``None`` if nobody knows."""
        return self._length

    @length.setter
    def length(self, length: int | None) -> None:
        self.set(self._start, self._stop, length, self._units)

    def set(
        self,
        start: int | None,
        stop: int | None,
        length: int | None = None,
        units: str | None = "bytes",
    ) -> None:
        """Change everything at once.

        :raises ValueError: if it is no range, or only one of *start* and *stop* is given.
        """
        if (start is None) != (stop is None) or (
            start is not None and stop is not None and not 0 <= start < stop
        ):
            raise ValueError(
                f"{(start, stop)!r} is no range: give 0 <= start < stop, or None for both."
            )
        self._units, self._start, self._stop, self._length = units, start, stop, length
        if self.on_update is not None:
            self.on_update(self)

    def unset(self) -> None:
        """Take the header away."""
        self.set(None, None, units=None)

    def to_header(self) -> str:
        """Write the header, empty if there is none."""
        if self._units is None:
            return ""
        length = "*" if self._length is None else self._length
        if self._start is None or self._stop is None:
            return f"{self._units} */{length}"
        return f"{self._units} {self._start}-{self._stop - 1}/{length}"

    def __bool__(self) -> bool:
        return self._units is not None

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()!r}>"


class IfRange:
    """The version of which a client wants another part: a tag, or a date, or neither."""

    __slots__ = ("date", "etag", "is_weak")

    def __init__(
        self, etag: str | None = None, date: datetime | None = None, is_weak: bool = False
    ) -> None:
        self.etag = etag
        """The tag without quotes."""
        self.date = date
        """The time of the last change."""
        self.is_weak = is_weak
        """Whether the tag is weak. Such a one never matches (RFC 9110, 13.1.5)."""

    def matches(self, etag: str | None = None, date: datetime | None = None) -> bool:
        """Tell whether a part may be sent of what has this strong *etag* and this *date*.

        Without a header it may.
        """
        if self.etag is not None:
            return not self.is_weak and self.etag == etag
        return self.date is None or self.date == date

    def to_header(self) -> str:
        """Write the header, empty if there is none."""
        if self.date is not None:
            return http_date(self.date)
        if self.etag is None:
            return ""
        return f'W/"{self.etag}"' if self.is_weak else f'"{self.etag}"'

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()!r}>"


def parse_range_header(value: str | None) -> Range | None:
    """Parse a ``Range`` header; ``None`` if there is none that makes sense.

    More than a hundred parts make no sense.
    """
    units, equals, rest = (value or "").partition("=")
    units = units.strip().lower()
    if not units or not equals or rest.count(",") >= _MOST_RANGES:
        return None
    ranges: list[tuple[int, int | None]] = []
    for item in rest.split(","):
        start, dash, last = (text.strip() for text in item.partition("-"))
        if not dash or not _NUMBER.fullmatch(start) or not _NUMBER.fullmatch(last):
            return None
        if start and last and int(start) <= int(last):
            ranges.append((int(start), int(last) + 1))
        elif start and not last:
            ranges.append((int(start), None))
        elif last and not start and int(last) > 0:
            ranges.append((-int(last), None))
        else:
            return None
    return Range(units, ranges)


def parse_content_range_header(
    value: str | None, on_update: Callable[[ContentRange], object] | None = None
) -> ContentRange | None:
    """Parse a ``Content-Range`` header; ``None`` if there is none that makes sense."""
    found = _CONTENT_RANGE.fullmatch(value or "")
    if found is None:
        return None
    units = found[1]
    length = None if found[4] is None else int(found[4])
    if found[2] is None:
        return ContentRange(units, length=length, on_update=on_update)
    start, stop = int(found[2]), int(found[3]) + 1
    if start >= stop or (length is not None and stop > length):
        return None
    return ContentRange(units, start, stop, length, on_update)


def parse_if_range_header(value: str | None) -> IfRange:
    """Parse an ``If-Range`` header; what is no date is a tag."""
    value = (value or "").strip()
    if not value:
        return IfRange()
    if (date := parse_date(value)) is not None:
        return IfRange(date=date)
    weak = value[:2] in {"W/", "w/"}
    return IfRange(value[2 if weak else 0 :].strip('"'), is_weak=weak)


def _dump_range(start: int, stop: int | None) -> str:
    if stop is not None:
        return f"{start}-{stop - 1}"
    return f"{start}-" if start >= 0 else str(start)
