"""Which of many patterns a path belongs to. Knows paths and methods, no routes and no HTTP.

Patterns live in a tree with one level for each segment of the path. At a node the text of the
segment is looked up first, then the variables are tried by weight; where a way ends without an
answer, the next one is tried. A node is visited at most once for a path, however long the path
is, so the work is bounded by the rules and in practice by the depth of the path. A segment that
has several variables is divided in linear time.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar

from .division import division
from .patterns import pattern
from .rules import Pattern, Segment, Weight

__all__ = [
    "ANY",
    "SOCKET",
    "Domains",
    "Found",
    "Key",
    "Node",
    "Target",
    "Trie",
    "find",
    "split_host",
    "subdomain_of",
]

T = TypeVar("T")

Key: TypeAlias = str | None
"""A method; or one of the two below."""
ANY: Final = ""
"""The key of what answers every method."""
SOCKET: Final = None
"""The key of what answers websockets."""

_NOTHING = Segment("")
_TEXT, _DIGITS, _REGEX, _TAIL = range(4)
_NUMBER, _PLAIN, _ANYTHING = "(?P<v0>[0-9]+)", "(?P<v0>[^/]+)", "(?P<v0>[^/].*?)"
_LENGTHS = pattern(r"\(\?P<v0>\[\^/\]\{([0-9]+),([0-9]*)\}\)")


class Target(Generic[T]):
    """What a path leads to."""

    __slots__ = ("answer", "better", "converters", "defaults", "detour", "slash")

    def __init__(
        self,
        answer: T,
        converters: tuple[tuple[int, str, Callable[[str], Any] | None], ...] = (),
        defaults: dict[str, Any] | None = None,
        better: tuple[T, ...] = (),
        *,
        detour: bool = False,
        slash: bool = False,
    ) -> None:
        self.answer = answer
        self.converters = converters
        """Position, name and conversion of each variable; ``None`` where the text is the value."""
        self.defaults = defaults or {}
        self.better = better
        """What has a better URL for some of the values."""
        self.detour = detour
        """Whether it may not be answered at this URL, for that or another reason."""
        self.slash = slash
        """Whether the path lacks the slash that it should end in."""

    def convert(self, texts: tuple[str, ...]) -> dict[str, Any]:
        """Return the values of all variables and the defaults.

        :raises ValueError: if a converter refuses its text.
        """
        values = self.defaults.copy()
        # PERF: positions made beforehand are 0.2 us faster than zip (bench/routing.py).
        for at, name, convert in self.converters:
            values[name] = texts[at] if convert is None else convert(texts[at])
        return values


Found: TypeAlias = "tuple[Target[T], tuple[str, ...]]"
"""The target of a path, and the texts of its variables from left to right."""


class Node(Generic[T]):
    """A place in the tree: what may follow, and what ends here."""

    __slots__ = ("_known", "edges", "last", "otherwise", "static", "table")

    def __init__(self) -> None:
        self.static: dict[str, Node[T]] = {}
        """What follows by the text of its segment."""
        self.edges: list[Edge[T]] = []
        """The variables that may follow, as they are tried."""
        self.last: Edge[T] | None = None
        """The edge after which there is nothing to try."""
        self.table: dict[Key, Target[T]] = {}
        """What ends here, by method."""
        self.otherwise: dict[Key, Target[T]] = {}
        """What would end here with a slash more or less, by method."""
        self._known: dict[tuple[str, bool], Edge[T]] = {}

    def answer(self, key: Key) -> Target[T] | None:
        """Return what ends here for *key*, preferring what is spelled like this."""
        for table in (self.table, self.otherwise):
            target = table.get(key)
            if target is None and key is not SOCKET:
                target = table.get(ANY)
            if target is not None:
                return target
        return None

    def served(self) -> Iterator[tuple[Key, Target[T]]]:
        """Yield what is answered here without a redirect for a slash."""
        for table in (self.table, self.otherwise):
            for key, target in table.items():
                if not target.slash:
                    yield key, target

    def at(self, path: str) -> Node[T] | None:
        """Return the node that the text of *path* leads to, if there is one."""
        node: Node[T] | None = self
        for part in path.split("/"):
            node = node.static.get(part) if node else None
        return node

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
        "_slashless",
        "divide",
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
        self.divide = division(segment.texts, segment.looks)
        """Gives the texts of the variables in a text that is this segment."""

    def take(self, parts: list[str], at: int) -> tuple[str, ...] | None:
        """Return the texts of the variables of a tail, or nothing if *parts* end otherwise."""
        text = "/".join(parts[at:])
        if self._slashless:
            text += "/"
        if self._anything:
            return (text,) if text and text[0] != "/" and text.find("\n", 1) < 0 else None
        return self.divide(text)


class Trie(Generic[T]):
    """The tree of the patterns of one domain."""

    def __init__(self) -> None:
        self.root: Node[T] = Node()
        """Where :func:`find` begins: in front of the first slash."""

    def add(
        self, pattern: Pattern, keys: Collection[Key], target: Target[T], *, strict: bool
    ) -> None:
        """Let the paths of *pattern* lead to *target*, for each of *keys*.

        They do so without the slash at their end too; if the rule is *strict* by a redirect. If
        not, a slash too many does no harm either. What is spelled as it should be comes before
        what is not, then what was added first.
        """
        node = self.root.static.setdefault("", Node())
        for segment in pattern.segments[:-1]:
            node = node.follow(segment)
        final = pattern.segments[-1]
        end = node.follow(final)
        _fill(end.table, keys, target)
        if pattern.branch:
            short = target
            if strict:
                short = copy(target)
                short.detour = short.slash = True
            before = node.follow(final, slashless=True) if final.tail else node
            _fill(before.otherwise, keys, short)
        elif not strict and not final.tail:
            _fill(end.follow(_NOTHING).otherwise, keys, target)


def find(
    node: Node[T],
    parts: list[str],
    at: int,
    key: Key,
    missed: list[Node[T]],
    texts: tuple[str, ...],
) -> Found[T] | None:
    """Return what *parts* of a path, from *at* on, lead to below *node* for *key*.

    *texts* are those of the variables so far. Nodes where the path ends, but which answer other
    methods only, are added to *missed*.
    """
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
            found = find(child, parts, at + 1, key, missed, texts)
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
                taken = (edge.take(parts, at) if kind == _TAIL else edge.divide(part)) or ()
                if not taken:
                    continue
            after = size if kind == _TAIL else at + 1
            if edge is node.last:
                node, at, texts = edge.node, after, texts + taken
                break
            found = find(edge.node, parts, after, key, missed, texts + taken)
            if found is not None:
                return found
        else:
            return None
    target = node.table.get(key) or node.answer(key)
    if target is not None:
        return target, texts
    if node.table or node.otherwise:
        missed.append(node)
    return None


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
            found = find(trie.root, path.split("/"), 0, key, missed, texts)
            if found is not None:
                return found
        return None

    def _matching(self, host: str, authority: str) -> Iterator[tuple[Trie[T], tuple[str, ...]]]:
        for name in dict.fromkeys((authority, host)):
            if name in self._named:
                yield self._named[name], ()
        for _, domain, trie in self._patterns:
            texts = domain.divide(host) or domain.divide(authority)
            if texts is not None:
                yield trie, texts
        yield self._anywhere, ()


def split_host(authority: str) -> tuple[str, str]:
    """Return the host in lower case, and the port if there is one."""
    name, _, port = authority.lower().rpartition(":")
    return (name, port) if name and port.isdigit() else (authority.lower(), "")


def subdomain_of(name: str, server: str | None) -> str | None:
    """Return what is in front of *server* in *name*; ``None`` if that is another server."""
    server_name = split_host(server)[0] if server else name
    if name == server_name:
        return ""
    return name[: -len(server_name) - 1] if name.endswith(f".{server_name}") else None


def _fill(table: dict[Key, Target[T]], keys: Iterable[Key], target: Target[T]) -> None:
    for key in keys:
        if key is SOCKET or ANY not in table:
            table.setdefault(key, target)


def _behind(weight: Weight) -> Weight:
    # A path that lacks a slash is a poorer match than any that lacks nothing.
    return (*weight[:-1], 1)


def _cheapest(segment: Segment) -> tuple[int, int, int]:
    # PERF: a comparison of lengths takes 40 ns, a regular expression 250 (bench/routing.py).
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
