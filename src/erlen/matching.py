"""Which of many patterns a path belongs to. Knows paths and methods, no routes and no HTTP.

Patterns live in a tree with one level for each segment of the path. At a node the text of the
segment is looked up first, then the variables are tried by weight; where a way ends without an
answer, the next one is tried. A node is visited at most once for a path, however long the path
is, so the work is bounded by the rules and in practice by the depth of the path.
"""

from __future__ import annotations

import re
import sys
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar

from .rules import Pattern, Segment, Weight

__all__ = ["ANY", "SOCKET", "Domains", "Found", "Key", "Node", "Target", "Trie"]

T = TypeVar("T")

Key: TypeAlias = str | None
"""A method; or one of the two below."""
ANY: Final = ""
"""The key of what answers every method."""
SOCKET: Final = None
"""The key of what answers websockets."""

_TEXT, _DIGITS, _REGEX, _TAIL = range(4)
_NUMBER, _PLAIN, _ANYTHING = "(?P<v0>[0-9]+)", "(?P<v0>[^/]+)", "(?P<v0>[^/].*?)"
_LENGTHS = re.compile(r"\(\?P<v0>\[\^/\]\{([0-9]+),([0-9]*)\}\)")


@dataclass(slots=True, eq=False)
class Target(Generic[T]):
    """What a path leads to."""

    answer: T
    converters: tuple[tuple[str, Callable[[str], Any] | None], ...] = ()
    """Name and conversion of each variable; ``None`` where the text is the value."""
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    detour: bool = False
    """Whether it may not be answered at this URL."""
    slash: bool = False
    """Whether that is because the path lacks the slash that it should end in."""

    def convert(self, texts: tuple[str, ...]) -> dict[str, Any]:
        """Return the values of all variables and the defaults.

        :raises ValueError: if a converter refuses its text.
        """
        values = self.defaults.copy()
        for (name, convert), text in zip(self.converters, texts, strict=True):
            values[name] = text if convert is None else convert(text)
        return values


Found: TypeAlias = "tuple[Target[T], tuple[str, ...]]"
"""The target of a path, and the texts of its variables from left to right."""


class Node(Generic[T]):
    """A place in the tree: what may follow, and what ends here."""

    __slots__ = ("_known", "edges", "last", "slashless", "static", "table")

    def __init__(self) -> None:
        self.static: dict[str, Node[T]] = {}
        """What follows by the text of its segment."""
        self.edges: list[Edge[T]] = []
        """The variables that may follow, as they are tried."""
        self.last: Edge[T] | None = None
        """The edge after which there is nothing to try."""
        self.table: dict[Key, Target[T]] = {}
        """What ends here, by method."""
        self.slashless: dict[Key, Target[T]] = {}
        """What would end here with a slash more."""
        self._known: dict[tuple[str, bool], Edge[T]] = {}

    def answer(self, key: Key) -> Target[T] | None:
        """Return what ends here for *key*, preferring what needs no slash more."""
        for table in (self.table, self.slashless):
            target = table.get(key)
            if target is None and key is not SOCKET:
                target = table.get(ANY)
            if target is not None:
                return target
        return None

    def follow(self, segment: Segment, *, slashless: bool = False) -> Node[T]:
        """Return the node behind *segment*; with *slashless*, without its slash at the end."""
        if segment.text is not None:
            return self.static.setdefault(segment.text, Node())
        known = self._known.get((segment.regex, slashless))
        if known is None:
            known = self._known[segment.regex, slashless] = Edge(segment, slashless)
            insort(self.edges, known, key=attrgetter("weight"))
            self.last = self.edges[-1]
        return known.node


class Edge(Generic[T]):
    """A segment with variables: how it is recognised, and what is behind it."""

    __slots__ = (
        "_anything",
        "_groups",
        "_match",
        "_slashless",
        "high",
        "kind",
        "low",
        "node",
        "weight",
    )

    def __init__(self, segment: Segment, slashless: bool) -> None:
        self.node: Node[T] = Node()
        self.weight = _behind(segment.weight) if slashless else segment.weight
        self.kind, self.low, self.high = _cheapest(segment)
        self._slashless = slashless
        self._anything = segment.regex == _ANYTHING
        self._match = re.compile(segment.regex).fullmatch
        self._groups = tuple(f"v{at}" for at in range(segment.groups))

    def take(self, parts: list[str], at: int) -> tuple[str, ...]:
        """Return the texts of the variables, or none if *parts[at]* is something else."""
        if self.kind != _TAIL:
            text = parts[at]
        else:
            text = "/".join(parts[at:])
            if self._slashless:
                text += "/"
            if self._anything:
                return (text,) if text and text[0] != "/" and text.find("\n", 1) < 0 else ()
        found = self._match(text)
        return () if found is None else tuple(map(found.__getitem__, self._groups))


class Trie(Generic[T]):
    """The tree of the patterns of one domain."""

    def __init__(self) -> None:
        self.root: Node[T] = Node()

    def add(
        self, pattern: Pattern, keys: Iterable[Key], target: Target[T], slashless: Target[T]
    ) -> None:
        """Let the paths of *pattern* lead to *target*, for each of *keys*.

        If they end in a slash, they lead to *slashless* without it. What was added first wins.
        """
        node = self.root
        for segment in pattern.segments[:-1]:
            node = node.follow(segment)
        keys = tuple(keys)
        final = pattern.segments[-1]
        if pattern.branch:
            if final.tail:
                _fill(node.follow(final, slashless=True).table, keys, slashless)
            else:
                _fill(node.slashless, keys, slashless)
        _fill(node.follow(final).table, keys, target)

    def find(
        self, path: str, key: Key, missed: list[Node[T]], texts: tuple[str, ...] = ()
    ) -> Found[T] | None:
        """Return what *path* leads to for *key*, and the texts of its variables after *texts*.

        Nodes that match the path but not the key are added to *missed*.
        """
        parts = path.split("/")
        return None if parts[0] else _find(self.root, parts, 1, key, missed, texts)


class Domains(Generic[T]):
    """One tree for each pattern of host names."""

    def __init__(self) -> None:
        self._named: dict[str, Trie[T]] = {}
        self._patterns: list[tuple[Weight, Pattern, Trie[T]]] = []
        self._anywhere: Trie[T] = Trie()

    def trie_of(self, domain: Pattern | None) -> Trie[T]:
        """Return the tree for *domain*; ``None`` is every host that has nothing better."""
        if domain is None:
            return self._anywhere
        segment = domain.segments[0]
        if segment.text is not None:
            return self._named.setdefault(segment.text, Trie())
        for _, known, trie in self._patterns:
            if known.segments[0].regex == segment.regex:
                return trie
        added: Trie[T] = Trie()
        insort(self._patterns, (segment.weight, domain, added), key=lambda entry: entry[0])
        return added

    def find(
        self, host: str, port: str, path: str, key: Key, missed: list[Node[T]]
    ) -> Found[T] | None:
        """Return what *path* leads to on *host*; a pattern may or may not name the *port*."""
        for trie, texts in self._matching(host, f"{host}:{port}" if port else host):
            found = trie.find(path, key, missed, texts)
            if found is not None:
                return found
        return None

    def _matching(self, host: str, authority: str) -> Iterator[tuple[Trie[T], tuple[str, ...]]]:
        for name in dict.fromkeys((authority, host)):
            if name in self._named:
                yield self._named[name], ()
        for _, domain, trie in self._patterns:
            found = domain.regex.match(host) or domain.regex.match(authority)
            if found is not None:
                yield trie, tuple(map(found.__getitem__, domain.names))
        yield self._anywhere, ()


def _find(
    node: Node[T],
    parts: list[str],
    at: int,
    key: Key,
    missed: list[Node[T]],
    texts: tuple[str, ...],
) -> Found[T] | None:
    size = len(parts)
    while at < size:
        part = parts[at]
        child = node.static.get(part)
        if child is not None:
            # PERF: without a choice there is nothing to come back to, so no call is made.
            if node.last is None:
                node = child
                at += 1
                continue
            found = _find(child, parts, at + 1, key, missed, texts)
            if found is not None:
                return found
        for edge in node.edges:
            kind = edge.kind
            if kind == _TEXT:
                if not edge.low <= len(part) <= edge.high:
                    continue
                taken: tuple[str, ...] = (part,)
            elif kind == _DIGITS:
                if not (part.isdigit() and part.isascii()):
                    continue
                taken = (part,)
            else:
                taken = edge.take(parts, at)
                if not taken:
                    continue
            after = size if kind == _TAIL else at + 1
            if edge is node.last:
                node, at, texts = edge.node, after, texts + taken
                break
            found = _find(edge.node, parts, after, key, missed, texts + taken)
            if found is not None:
                return found
        else:
            return None
    target = node.table.get(key) or node.answer(key)
    if target is not None:
        return target, texts
    if node.table:
        missed.append(node)
    return None


def _fill(table: dict[Key, Target[T]], keys: Iterable[Key], target: Target[T]) -> None:
    for key in keys:
        if key is SOCKET or ANY not in table:
            table.setdefault(key, target)


def _behind(weight: Weight) -> Weight:
    # A path that lacks a slash is a poorer match than any that lacks nothing.
    return (*weight[:-1], 1)


def _cheapest(segment: Segment) -> tuple[int, int, int]:
    # PERF: a comparison of lengths takes 40 ns, a regular expression 250.
    if segment.tail:
        return _TAIL, 0, 0
    if segment.regex == _NUMBER:
        return _DIGITS, 0, 0
    if segment.regex == _PLAIN:
        return _TEXT, 1, sys.maxsize
    bounded = _LENGTHS.fullmatch(segment.regex)
    if bounded is not None:
        return _TEXT, int(bounded[1]), int(bounded[2] or sys.maxsize)
    return _REGEX, 0, 0
