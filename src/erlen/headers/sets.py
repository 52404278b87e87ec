"""Headers that are a set of names, like ``Vary``. Knows no header by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet, Set
from typing import cast

from ..http import parse_list_header, quote_string

__all__ = ["HeaderSet", "parse_set_header"]


class HeaderSet(MutableSet[str]):
    """A set that ignores case and remembers the order and the spelling of its items.

    *on_update* is called with this object after each change.
    """

    __slots__ = ("_items", "on_update")

    def __init__(
        self,
        items: Iterable[str] = (),
        on_update: Callable[[HeaderSet], object] | None = None,
    ) -> None:
        self._items: dict[str, str] = {}
        for item in items:
            self._items.setdefault(item.lower(), item)
        self.on_update = on_update

    def add(self, value: str) -> None:
        """Add an item, if it is not there in any case."""
        self.update((value,))

    def update(self, values: Iterable[str]) -> None:
        """Add several items."""
        before = len(self._items)
        for value in values:
            self._items.setdefault(value.lower(), value)
        if len(self._items) != before:
            self._tell()

    def discard(self, value: str) -> None:
        """Remove an item, if it is there."""
        if self._items.pop(value.lower(), None) is not None:
            self._tell()

    def remove(self, value: str) -> None:
        """Remove an item.

        :raises KeyError: if it is not there.
        """
        if value not in self:
            raise KeyError(value)
        self.discard(value)

    def clear(self) -> None:
        """Remove all items."""
        if self._items:
            self._items.clear()
            self._tell()

    def find(self, value: str) -> int:
        """Return the place of an item, -1 if it is not there."""
        for place, key in enumerate(self._items):
            if key == value.lower():
                return place
        return -1

    def index(self, value: str) -> int:
        """Return the place of an item.

        :raises IndexError: if it is not there.
        """
        if (place := self.find(value)) < 0:
            raise IndexError(value)
        return place

    def as_set(self, preserve_casing: bool = False) -> set[str]:
        """Return a plain set, in lower case unless *preserve_casing*."""
        return set(self._items.values() if preserve_casing else self._items)

    def to_header(self) -> str:
        """Write the header."""
        return ", ".join(quote_string(item) for item in self._items.values())

    def __getitem__(self, place: int) -> str:
        return list(self._items.values())[place]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and value.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        return self.as_set() == {str(item).lower() for item in cast("Set[object]", other)}

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def _tell(self) -> None:
        if self.on_update is not None:
            self.on_update(self)


def parse_set_header(
    value: str | None, on_update: Callable[[HeaderSet], object] | None = None
) -> HeaderSet:
    """Parse a header that is a list of names."""
    return HeaderSet(parse_list_header(value or ""), on_update)
