"""How a text is divided among the variables of a rule. Knows no paths, no hosts and no values.

A regular expression tries the ways to divide a text one by one, and a client may send one with
very many. Where each variable takes characters of one kind they are not tried: from the last
literal to the first, the places are kept where it stands and from where on the rest matches. What
a place is good for does not depend on what is in front of it, so no place is looked at twice. Then
each variable, from the first to the last, ends where the expression would have let it end: a lazy
one at the first of its places that it reaches, another one at the last. That is the same way.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

from .patterns import pattern

__all__ = ["Division", "division", "expression"]

Division: TypeAlias = Callable[[str], "tuple[str, ...] | None"]
"""Gives the texts of the variables from left to right, or ``None`` if a text does not match."""

_SHORT = 100
"""Characters up to which the expression is asked, whatever it tries."""


class _Run(NamedTuple):
    """A variable that takes characters of one kind."""

    ended_by: re.Pattern[str]
    """What is of no such kind."""
    least: int = 1
    most: int = sys.maxsize
    path: bool = False
    """Whether it takes as few as will do, and its first is anything but a slash."""


_RUNS = {
    "[^/]+": _Run(pattern("/")),
    "[0-9]+": _Run(pattern("[^0-9]")),
    "[^/].*?": _Run(pattern("\n"), path=True),
}
_LENGTHS = pattern(r"\[\^/\]\{([0-9]+),([0-9]*)\}")


def expression(texts: Sequence[str], looks: Sequence[str]) -> str:
    """Return a regular expression for *texts* with variables between them.

    The variables look like *looks*, and are groups ``v0``, ``v1``, ...; there is one text more.
    """
    groups = (f"(?P<v{at}>{look})" for at, look in enumerate(looks))
    literals = map(re.escape, texts)
    return "".join(one for pair in zip_longest(literals, groups, fillvalue="") for one in pair)


def division(texts: Sequence[str], looks: Sequence[str], *, short: int = _SHORT) -> Division:
    """Return what divides whole texts as their :func:`expression` would, in linear time.

    Variables of other kinds than those of every app take the time that their expression takes.
    """
    match = re.compile(expression(texts, looks)).fullmatch
    groups = tuple(f"v{at}" for at in range(len(looks)))
    runs = tuple(run for run in map(_run_of, looks) if run is not None)
    foreseen = 1 < len(looks) == len(runs)

    def divide(text: str) -> tuple[str, ...] | None:
        # PERF: it takes 0.7 us for a path as they are, and what follows 5.
        if foreseen and len(text) > short:
            return _divided(text, texts, runs)
        found = match(text)
        return None if found is None else tuple(map(found.__getitem__, groups))

    return divide


def _run_of(look: str) -> _Run | None:
    bounded = _LENGTHS.fullmatch(look)
    if bounded is None:
        return _RUNS.get(look)
    return _Run(pattern("/"), int(bounded[1]), int(bounded[2] or sys.maxsize))


def _divided(text: str, texts: Sequence[str], runs: Sequence[_Run]) -> tuple[str, ...] | None:
    start, stop = len(texts[0]), len(text) - len(texts[-1])
    if start > stop or not (text.startswith(texts[0]) and text.endswith(texts[-1])):
        return None
    ways = [_Way(text, runs[-1], [stop])]
    for literal, run in zip(texts[-2:0:-1], runs[-2::-1], strict=True):
        size, behind = len(literal), ways[0]
        places = [
            place
            for place in _places(text, literal, start, stop)
            if behind.end(place + size) is not None
        ]
        ways.insert(0, _Way(text, run, places))
    values: list[str] = []
    for way, literal in zip(ways, texts[1:], strict=True):
        end = way.end(start)
        if end is None:
            return None
        values.append(text[start:end])
        start = end + len(literal)
    return tuple(values)


def _places(text: str, literal: str, start: int, stop: int) -> Iterator[int]:
    at = text.find(literal, start, stop)
    while at >= 0:
        yield at
        at = text.find(literal, at + 1, stop)


class _Way:
    """Where one variable may end in a text."""

    __slots__ = ("_borders", "_places", "_run", "_text")

    def __init__(self, text: str, run: _Run, places: list[int]) -> None:
        self._text = text
        self._run = run
        self._places = places
        """Where what is behind it begins, and the rest of the text matches."""
        self._borders = [found.start() for found in run.ended_by.finditer(text)]

    def end(self, start: int) -> int | None:
        """Return where it ends if it begins at *start*; ``None`` if it cannot."""
        run, places = self._run, self._places
        if run.path and self._text.startswith("/", start):
            return None
        border = bisect_left(self._borders, start + run.path)
        last = self._borders[border] if border < len(self._borders) else len(self._text)
        first, last = start + run.least, min(last, start + run.most)
        at = bisect_left(places, first) if run.path else bisect_right(places, last) - 1
        return places[at] if 0 <= at < len(places) and first <= places[at] <= last else None
