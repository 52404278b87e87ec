"""What the conditions of a request ask for (RFC 9110, 13 and 14). Knows no request and no body."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from .headers import (
    parse_date,
    parse_etags,
    parse_if_range_header,
    parse_range_header,
    unquote_etag,
)

__all__ = ["ConditionHeaders", "Conditions", "Verdict", "evaluate", "is_conditional"]


class ConditionHeaders(Protocol):
    """Headers as far as they are read here; names come in lower case."""

    def get(self, name: str, /) -> str | None:
        """Return the value of *name*, ``None`` if it was not sent."""
        ...


class Conditions(Protocol):
    """A request as far as its conditions go."""

    @property
    def method(self) -> str:
        """The method in upper case."""
        ...

    @property
    def headers(self) -> ConditionHeaders:
        """What the client sent."""
        ...


class Verdict(NamedTuple):
    """How to answer: *status* is ``None`` (as without conditions), 304, 412, 206 or 416.

    For 206 the bytes from *start* up to, not including, *stop* are asked for.
    """

    status: int | None
    start: int = 0
    stop: int = 0


_AS_IT_IS = Verdict(None)
_NOT_MODIFIED = Verdict(304)
_FAILED = Verdict(412)
_NOT_SATISFIABLE = Verdict(416)


_ASKS = ("if-none-match", "if-modified-since", "range", "if-match", "if-unmodified-since")


def is_conditional(headers: ConditionHeaders) -> bool:
    """Say whether a request has conditions at all; most have none."""
    for name in _ASKS:  # noqa: SIM110 (a generator costs as much as the five look-ups)
        if headers.get(name) is not None:
            return True
    return False


def evaluate(
    headers: ConditionHeaders,
    *,
    etag: str | None,
    last_modified: datetime | None,
    length: int | None,
) -> Verdict:
    """Weigh the conditions of a GET or HEAD in the order of RFC 9110, 13.2.2.

    *etag* is the header as it will be sent, quotes and all; *last_modified* has a zone.
    *length* is that of the whole content in bytes, ``None`` if parts of it are not offered.

    A part is given where one range of bytes is asked for. A Range header that is malformed,
    counts in other units, asks for several parts at once or for a part of nothing is ignored,
    as 14.2 allows: the answer is the whole, which whoever asks so must understand.
    """
    tag, is_weak = unquote_etag(etag)
    strong = None if is_weak else tag
    # What a header cannot carry is not compared.
    modified = last_modified and last_modified.replace(microsecond=0)

    if_match = headers.get("if-match")
    if if_match is not None:
        tags = parse_etags(if_match)
        if not (tags.star_tag or (strong is not None and tags.contains(strong))):
            return _FAILED
    elif modified is not None:
        date = parse_date(headers.get("if-unmodified-since"))
        if date is not None and modified > date:
            return _FAILED

    if_none_match = headers.get("if-none-match")
    if if_none_match is not None:
        tags = parse_etags(if_none_match)
        if tags.star_tag or (tag is not None and tags.contains_weak(tag)):
            return _NOT_MODIFIED
    elif modified is not None:
        date = parse_date(headers.get("if-modified-since"))
        if date is not None and modified <= date:
            return _NOT_MODIFIED

    wanted = headers.get("range") if length else None
    if wanted is None or length is None:
        return _AS_IT_IS
    # WHY: the very date, not a later one: a part must never be joined to another whole.
    if not parse_if_range_header(headers.get("if-range")).matches(strong, modified):
        return _AS_IT_IS
    return _part(wanted, length)


def _part(wanted: str, length: int) -> Verdict:
    parts = parse_range_header(wanted)
    if parts is None or parts.units != "bytes" or len(parts.ranges) != 1:
        return _AS_IT_IS
    found = parts.range_for_length(length)
    return _NOT_SATISFIABLE if found is None else Verdict(206, *found)
