"""Dictionaries with several values for a key. Know nothing of the requests they came from."""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeAlias, TypeVar, cast, overload

from .patterns import pattern

__all__ = [
    "CombinedMultiDict",
    "ImmutableMultiDict",
    "MultiDict",
    "Singles",
    "TooManyItems",
    "pairs_of",
    "parse_query",
]

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
T = TypeVar("T")

_NOTHING: Any = object()
_ESCAPES = pattern(rb"(?:%[0-9A-Fa-f]{2})+")

Pairs: TypeAlias = "Mapping[K, V] | Mapping[K, list[V]] | Iterable[tuple[K, V]]"
"""What a multi-valued dictionary is filled from; see :func:`pairs_of`."""

# The storage of a MultiDict is the dict below it, with a list for each key. These reach it past
# the methods that show one value; they are typed loosely because dict[K, V] promises V there.
_dict: Any = dict
_load: Callable[..., Any] = _dict.get
_store: Callable[[Any, Any, Any], None] = _dict.__setitem__
_load_or_store: Callable[[Any, Any, Any], Any] = _dict.setdefault
_take: Callable[[Any, Any, None], Any] = _dict.pop
_rows: Callable[[Any], Any] = _dict.items
_lists: Callable[[Any], Any] = _dict.values


class TooManyItems(ValueError):
    """A client sent more items of one kind than the limit allows."""

    def __init__(self, what: str, *, count: int, limit: int) -> None:
        super().__init__(f"{count} {what} were sent, {limit} are allowed")
        self.what = what
        """The plural name of the items, as it stands in the message."""
        self.count = count
        """How many were sent."""
        self.limit = limit
        """How many are allowed."""


class MultiDict(dict[K, V]):
    """A dictionary whose keys may have several values.

    Reading as from any dictionary gives the first value of a key; :meth:`getlist` gives all of
    them. Filled from a mapping (lists, tuples and sets in it are several values) or from pairs.
    """

    __slots__ = ()

    key_error: ClassVar[type[KeyError]] = KeyError
    """What a missing key raises, with the key as its only argument."""

    def __init__(self, items: Pairs[K, V] | None = None) -> None:
        super().__init__()
        if items is not None:
            _extend(self, items)

    def __getitem__(self, key: K) -> V:
        values = _load(self, key)
        if values:
            first: V = values[0]
            return first
        raise self.key_error(key)

    def __setitem__(self, key: K, value: V) -> None:
        _store(self, key, [value])

    def __iter__(self) -> Iterator[K]:
        # WHY: with an __iter__ of ours, dict(self) and {**self} read first values as
        # everybody else does, instead of copying the lists below.
        return super().__iter__()

    @overload
    def get(self, key: K, default: None = None, type: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V, type: None = None) -> V: ...
    @overload
    def get(self, key: K, default: D, type: None = None) -> V | D: ...
    @overload
    def get(self, key: K, default: None = None, *, type: Callable[[V], T]) -> T | None: ...
    @overload
    def get(self, key: K, default: D, type: Callable[[V], T]) -> T | D: ...
    def get(self, key: K, default: Any = None, type: Callable[[V], Any] | None = None) -> Any:
        """Return the first value of *key*, or *default*.

        With *type* the value is converted; one that does not convert (``ValueError`` or
        ``TypeError``) counts as missing.
        """
        values = _load(self, key)
        if not values:
            return default
        if type is None:
            return values[0]
        try:
            return type(values[0])
        except (ValueError, TypeError):
            return default

    @overload
    def getlist(self, key: K, type: None = None) -> list[V]: ...
    @overload
    def getlist(self, key: K, type: Callable[[V], T]) -> list[T]: ...
    def getlist(self, key: K, type: Callable[[V], Any] | None = None) -> list[Any]:
        """Return all values of *key* in a new list; with *type* those that convert."""
        values = _load(self, key)
        if not values:
            return []
        return list(values) if type is None else list(_converted(values, type))

    def add(self, key: K, value: V) -> None:
        """Append *value* to the values of *key*."""
        _load_or_store(self, key, []).append(value)

    def setlist(self, key: K, values: Iterable[V]) -> None:
        """Replace all values of *key*."""
        _store(self, key, list(values))

    @overload
    def setdefault(self: MultiDict[K, D | None], key: K, default: None = None) -> D | None: ...
    @overload
    def setdefault(self, key: K, default: V) -> V: ...
    def setdefault(self, key: K, default: Any = None) -> Any:
        """Return the first value of *key*, after giving it *default* if it has none."""
        values = _load(self, key)
        if values:
            return values[0]
        _store(self, key, [default])
        return default

    def setlistdefault(self, key: K, default: Iterable[V] = ()) -> list[V]:
        """Return the live list of *key*, after giving it the values of *default* if missing."""
        values = _load(self, key)
        if values is None:
            values = list(default)
            _store(self, key, values)
        return cast("list[V]", values)

    def values(self) -> Iterator[V]:  # type: ignore[override]  # FLASK: an iterator, no view.
        """Iterate over the first value of each key."""
        return (values[0] for values in _lists(self) if values)

    def items(self, multi: bool = False) -> Iterator[tuple[K, V]]:  # type: ignore[override]
        """Iterate over keys with their first value; *multi* gives a pair for every value."""
        if multi:
            return ((key, value) for key, values in _rows(self) for value in values)
        return ((key, values[0]) for key, values in _rows(self) if values)

    def lists(self) -> Iterator[tuple[K, list[V]]]:
        """Iterate over keys, each with a new list of all its values."""
        return ((key, list(values)) for key, values in _rows(self))

    def listvalues(self) -> Iterator[list[V]]:
        """Iterate over the live lists of values."""
        return iter(_lists(self))

    @overload
    def to_dict(self) -> dict[K, V]: ...
    @overload
    def to_dict(self, flat: bool) -> dict[K, Any]: ...
    def to_dict(self, flat: bool = True) -> dict[K, Any]:
        """Return a plain dictionary of first values; of lists of all values if not *flat*."""
        return dict(self.items()) if flat else dict(self.lists())

    def update(self, items: Pairs[K, V] = (), /, **more: V) -> None:  # type: ignore[override]
        """Append all values of *items*; what is here stays, as in :meth:`add`."""
        _extend(self, items)
        _extend(self, cast("dict[K, V]", more))

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, default: V, /) -> V: ...
    @overload
    def pop(self, key: K, default: D, /) -> V | D: ...
    def pop(self, key: K, /, *default: Any) -> Any:
        """Remove *key* with all values and return the first, or *default*."""
        values = _take(self, key, None)
        if values:
            return values[0]
        if default:
            return default[0]
        raise self.key_error(key)

    def popitem(self) -> tuple[K, V]:
        """Remove the newest key with all values; return it with the first."""
        key, values = self.popitemlist()
        if values:
            return key, values[0]
        raise self.key_error(key)

    def poplist(self, key: K) -> list[V]:
        """Remove *key* and return its values, none if it is missing."""
        return _take(self, key, None) or []

    def popitemlist(self) -> tuple[K, list[V]]:
        """Remove the newest key; return it with all its values."""
        try:
            return cast("tuple[K, list[V]]", super().popitem())
        except KeyError as error:
            raise self.key_error(*error.args) from None

    def copy(self) -> MultiDict[K, V]:
        """Return a changeable copy with lists of its own."""
        return MultiDict(self)

    def __copy__(self) -> MultiDict[K, V]:
        return self.copy()

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        result = self.copy()
        result.update(cast("Mapping[K, V]", other))
        return result

    def __ior__(self, other: Any) -> Self:  # type: ignore[override]
        self.update(other)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.lists()),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.items(multi=True))!r})"


def _refuse(self: object, *args: Any, **kwargs: Any) -> NoReturn:
    name = type(self).__name__
    raise TypeError(f"{name!r} objects are immutable; change a copy of it: values.copy()")


class ImmutableMultiDict(MultiDict[K, V]):
    """A :class:`MultiDict` that cannot be changed; its :meth:`copy` can."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuse
    add = setlist = setdefault = setlistdefault = update = _refuse
    pop = popitem = poplist = popitemlist = clear = _refuse


class CombinedMultiDict(ImmutableMultiDict[K, V]):
    """Several multi-valued dictionaries as one: the first that knows a key wins.

    :meth:`getlist` joins the values of all of them. It is put together once, when made.
    """

    __slots__ = ()

    def __init__(self, dicts: Iterable[Pairs[K, V]] = ()) -> None:
        super().__init__()
        for each in dicts:
            _extend(self, each)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ([dict(self.lists())],)


class Singles(ImmutableMultiDict[K, V]):
    """An :class:`ImmutableMultiDict` without repeated keys: a dictionary of plain values.

    PERF: it is filled and read as any dictionary is, in C; people see no difference.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, values: dict[K, V]) -> None: ...

    else:
        __init__ = dict.__init__
        __getitem__ = dict.__getitem__
        __iter__ = dict.__iter__

    def __missing__(self, key: K) -> NoReturn:
        raise self.key_error(key)

    def __eq__(self, other: object) -> bool:
        theirs: Any = other
        several = isinstance(other, MultiDict)
        return dict(self.lists()) == (dict(theirs.lists()) if several else theirs)

    __ne__ = object.__ne__
    __hash__ = None  # type: ignore[assignment]

    # The docstrings are those of the class above.

    def get(  # noqa: D102 # pyright: ignore[reportIncompatibleMethodOverride] # but for overloads
        self, key: K, default: Any = None, type: Callable[[V], Any] | None = None
    ) -> Any:
        value = _load(self, key, _NOTHING)
        if value is _NOTHING:
            return default
        if type is None:
            return value
        try:
            return type(value)
        except (ValueError, TypeError):
            return default

    def getlist(self, key: K, type: Callable[[V], Any] | None = None) -> list[Any]:  # noqa: D102
        values = [self[key]] if key in self else []
        return values if type is None else list(_converted(values, type))

    def values(self) -> Iterator[V]:  # type: ignore[override]  # noqa: D102
        return iter(_lists(self))

    def items(self, multi: bool = False) -> Iterator[tuple[K, V]]:  # type: ignore[override]  # noqa: D102
        return iter(_rows(self))

    def lists(self) -> Iterator[tuple[K, list[V]]]:  # noqa: D102
        return ((key, [value]) for key, value in _rows(self))

    def listvalues(self) -> Iterator[list[V]]:  # noqa: D102
        return ([value] for value in _lists(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return ImmutableMultiDict, (dict(self.lists()),)


Singles.__name__ = Singles.__qualname__ = ImmutableMultiDict.__name__


def pairs_of(items: Any) -> Iterable[tuple[Any, Any]]:
    """Give the pairs of anything that can fill a multi-valued dictionary.

    That is a :class:`MultiDict` (or what has its ``items(multi=True)``), a mapping, in which
    lists, tuples and sets are several values of a key, or an iterable of pairs.
    """
    source: object = items
    if isinstance(source, MultiDict):
        return cast("Iterable[tuple[Any, Any]]", items.items(multi=True))
    if isinstance(source, Mapping):
        return _pairs_of_mapping(items)
    return cast("Iterable[tuple[Any, Any]]", items)


def parse_query(query: bytes, max_items: int | None) -> ImmutableMultiDict[str, str]:
    """Parse the query of a URL, or a urlencoded form, in linear time.

    Items are separated by ``&`` alone; ``+`` is a space, blank values are kept, and bytes that
    are not UTF-8 become U+FFFD. *max_items* counts separators as they were sent, before
    anything is parsed; ``None`` lifts it.

    :raises TooManyItems: if there are more than *max_items*.
    """
    if not query:
        return _EMPTY
    text = query.decode("utf-8", "replace")
    if "+" in text:
        text = text.replace("+", " ")
    escaped = "%" in text
    items = text.split("&", -1 if max_items is None else max_items)
    if max_items is not None and len(items) > max_items:
        count = text.count("&") + 1
        raise TooManyItems("query or form items", count=count, limit=max_items)
    first: dict[str, str] = {}
    more: list[tuple[str, str]] = []
    for item in items:
        if item:
            key, _, value = item.partition("=")
            if escaped:
                if "%" in key:
                    key = _percent_decoded(key)
                if "%" in value:
                    value = _percent_decoded(value)
            if key in first:
                more.append((key, value))
            else:
                first[key] = value
    return ImmutableMultiDict([*first.items(), *more]) if more else Singles(first)


def _percent_decoded(text: str) -> str:
    # PERF: a run of escapes is decoded at once: twelve in 3 us, against 17 with one each, and a
    # "%" that escapes nothing raises nothing inside.
    return _ESCAPES.sub(_unescape, text.encode()).decode("utf-8", "replace")


def _unescape(run: re.Match[bytes]) -> bytes:
    return unhexlify(run[0].replace(b"%", b""))


def _pairs_of_mapping(mapping: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in mapping.items():
        if isinstance(value, (list, tuple, set)):
            for each in cast("Iterable[Any]", value):
                yield key, each
        else:
            yield key, value


def _extend(target: Any, items: Any) -> None:
    for key, value in pairs_of(items):
        _load_or_store(target, key, []).append(value)


def _converted(values: list[Any], type: Callable[[Any], T]) -> Iterator[T]:
    for value in values:
        try:
            yield type(value)
        except (ValueError, TypeError):
            continue


_EMPTY: ImmutableMultiDict[str, str] = Singles({})
