"""The headers of a message as a mapping. Knows the rules of names and values, not their meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, cast, overload

from ..datastructures import MultiDict, pairs_of
from ..http import dump_options_header, encode_header_name, encode_header_value

__all__ = ["Headers", "HeadersView", "RequestHeaders"]

D = TypeVar("D")
T = TypeVar("T")

RawHeaders: TypeAlias = "list[tuple[bytes, bytes]]"
Items: TypeAlias = "HeadersView | Mapping[str, Any] | Iterable[tuple[str, Any]]"
"""What headers are made from; lists, tuples and sets in a mapping are several values."""

_MOST_NAMES = 512
_FEW = 32


class _Wire(dict[str, bytes]):
    """Names as they stand in a message, by what code calls them."""

    def __missing__(self, name: str) -> bytes:
        wire = name.lower().encode("latin-1", "replace")
        if len(self) < _MOST_NAMES:
            self[name] = wire
        return wire


_WIRE = _Wire()
_NAMES: dict[str, bytes] = {}


def _checked_name(name: str) -> bytes:
    """Return *name* as it stands in a message; one that is right is remembered."""
    wire = encode_header_name(name)
    if len(_NAMES) < _MOST_NAMES:
        _NAMES[name] = wire
    return wire


class HeadersView:
    """Headers, to be read: in their order, in any case, with several values for a name.

    Iterating gives pairs of name and value, the name in Title-Case.
    """

    __slots__ = ()

    __hash__: ClassVar[None]  # type: ignore[assignment]

    raw: RawHeaders
    """The pairs as they stand in an ASGI message: bytes, names in lower case."""

    def __getitem__(self, name: str) -> str:
        found = self._find(_WIRE[name])
        if found is None:
            raise KeyError(name)
        return found.decode("latin-1")

    @overload
    def get(self, name: str, default: None = None, type: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: D, type: None = None) -> str | D: ...
    @overload
    def get(self, name: str, default: None = None, *, type: Callable[[str], T]) -> T | None: ...
    @overload
    def get(self, name: str, default: D, type: Callable[[str], T]) -> T | D: ...
    def get(self, name: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:
        """Return the first value of *name*, or *default*.

        With *type* the value is converted; one that does not convert (``ValueError`` or
        ``TypeError``) counts as missing.
        """
        found = self._find(_WIRE[name])
        if found is None:
            return default
        value = found.decode("latin-1")
        if type is None:
            return value
        try:
            return type(value)
        except (ValueError, TypeError):
            return default

    @overload
    def getlist(self, name: str, type: None = None) -> list[str]: ...
    @overload
    def getlist(self, name: str, type: Callable[[str], T]) -> list[T]: ...
    def getlist(self, name: str, type: Callable[[str], Any] | None = None) -> list[Any]:
        """Return all values of *name* in their order; with *type* those that convert."""
        values = self._all(_WIRE[name])
        if type is None:
            return values
        converted: list[Any] = []
        for value in values:
            try:
                converted.append(type(value))
            except (ValueError, TypeError):
                continue
        return converted

    def get_all(self, name: str) -> list[str]:
        """Return all values of *name* in their order."""
        return self.getlist(name)

    def keys(self, lower: bool = False) -> Iterator[str]:
        """Iterate over the names, repeated ones too."""
        return (name for name, _ in self.items(lower))

    def values(self) -> Iterator[str]:
        """Iterate over the values."""
        return (value.decode("latin-1") for _, value in self.raw)

    def items(self, lower: bool = False) -> Iterator[tuple[str, str]]:
        """Iterate over pairs of name and value; *lower* leaves the names in lower case."""
        for key, value in self.raw:
            # As bytes, because str knows letters that become two others in title case.
            name = key if lower else key.title()
            yield name.decode("latin-1"), value.decode("latin-1")

    def to_wsgi_list(self) -> list[tuple[str, str]]:
        """Return the pairs as a WSGI server takes them."""
        return list(self.items())

    def copy(self) -> Headers:
        """Return a changeable copy."""
        return Headers.over(list(self.raw))

    def __copy__(self) -> Headers:
        return self.copy()

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return self._find(_WIRE[name]) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self.items()

    def __len__(self) -> int:
        return len(self.raw)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeadersView):
            return NotImplemented
        return sorted(self.raw) == sorted(other.raw)

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def _all(self, wanted: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self.raw if key == wanted]

    def _find(self, wanted: bytes) -> bytes | None:
        for key, value in self.raw:
            if key == wanted:
                return value
        return None


class RequestHeaders(HeadersView):
    """The headers that a client sent. They cannot be changed; their :meth:`copy` can.

    A header that was sent twice has two values, joined by nobody: reading gives the first,
    :meth:`getlist` both.
    """

    __slots__ = ("_first", "_given", "_raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._given = raw if isinstance(raw, list) else list(raw)
        self._first: dict[bytes, bytes] | None = None
        self._raw: RawHeaders | None = None

    @property
    def raw(self) -> RawHeaders:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # it is read only
        """The pairs as they stand in an ASGI message: bytes, names in lower case."""
        if self._raw is None:
            self._lower()
        return cast(RawHeaders, self._raw)

    def __getitem__(self, name: str) -> str:
        found = self._find(_WIRE[name])
        if found is None:
            # FLASK: what the client did not send is the client's mistake, as in request.args.
            raise MultiDict.key_error(name)
        return found.decode("latin-1")

    def getlist_raw(self, name: bytes) -> list[bytes]:
        """Return all values of *name*, which is in lower case, as they were sent."""
        size = len(name)
        found: list[bytes] = []
        for key, value in self._given:
            if len(key) == size and key.lower() == name:
                found.append(value)
        return found

    def _all(self, wanted: bytes) -> list[str]:
        return [value.decode("latin-1") for value in self.getlist_raw(wanted)]

    def _find(self, wanted: bytes) -> bytes | None:
        first = self._first
        if first is None:
            # PERF: one of few is found in 0.3 us; a dictionary of them takes as long as four.
            if len(self._given) <= _FEW:
                for name, value in self._given:
                    if name == wanted:
                        return value
            first = self._first = dict(reversed(self._given))
            if all(map(bytes.islower, first)):
                self._raw = self._given
            else:
                first = self._lower()
        return first.get(wanted)

    def _lower(self) -> dict[bytes, bytes]:
        """Let names in another case stand for those that are missing in lower case.

        ASGI asks for lower case; not everybody who calls an app keeps to it.
        """
        sent = dict(reversed(self._given))
        self._raw = raw = [(name.lower(), value) for name, value in self._given]
        self._first = first = dict(reversed(raw)) | sent
        return first


class Headers(HeadersView):
    """Headers that can be changed; what is set is checked, so that no value ends its line.

    Each write raises a ``ValueError`` if the name is no token, or if the value holds a control
    character or is not latin-1.
    """

    __slots__ = ("raw",)

    def __init__(self, items: Items | None = None) -> None:
        self.raw = []
        if items is not None:
            self.extend(items)

    @classmethod
    def over(cls, raw: RawHeaders) -> Self:
        """Read and write the list of somebody else; its names are in lower case."""
        self = cls.__new__(cls)
        self.raw = raw
        return self

    def __setitem__(self, name: str, value: object) -> None:
        # PERF: apps set the same few headers again and again, and most values are plain.
        key = _NAMES.get(name) or _checked_name(name)
        if isinstance(value, str) and value.isascii() and value.isprintable():
            header = key, value.strip(" ").encode()
        else:
            header = key, encode_header_value(name, value)
        for taken, _ in self.raw:
            if taken == key:
                break
        else:
            self.raw.append(header)
            return
        self._put(header)

    def __delitem__(self, name: str) -> None:
        self.remove(name)

    def add(self, name: str, value: object, /, **params: object) -> None:
        """Append a header; one of the same name stays.

        *params* become parameters of the value, with ``-`` for ``_``; ``None`` leaves one out:
        ``headers.add("Content-Disposition", "attachment", filename="cats.png")``.
        """
        self.raw.append(_encode(name, value, params))

    def set(self, name: str, value: object, /, **params: object) -> None:
        """Give *name* this one value, in the place of the first it has; *params* as in add."""
        self._put(_encode(name, value, params))

    def _put(self, header: tuple[bytes, bytes]) -> None:
        key = header[0]
        raw = self.raw
        for place, (taken, _) in enumerate(raw):
            if taken == key:
                raw[place] = header
                place += 1
                raw[place:] = [pair for pair in raw[place:] if pair[0] != key]
                return
        raw.append(header)

    def setlist(self, name: str, values: Iterable[object]) -> None:
        """Give *name* these values; none removes it."""
        headers = [_encode(name, value, _NO_PARAMS) for value in values]
        self.remove(name)
        self.raw += headers

    def setdefault(self, name: str, default: object) -> str:
        """Return the first value of *name*, after giving it *default* if it has none."""
        if name not in self:
            self.add(name, default)
        return self[name]

    def remove(self, name: str) -> None:
        """Remove all values of *name*, if it has any."""
        unwanted = _WIRE[name]
        # WHY: the list is shared with the response, so it is changed in place.
        self.raw[:] = [pair for pair in self.raw if pair[0] != unwanted]

    @overload
    def pop(self, name: str, /) -> str: ...
    @overload
    def pop(self, name: str, default: D, /) -> str | D: ...
    def pop(self, name: str, /, *default: Any) -> Any:
        """Remove all values of *name* and return the first, or *default*."""
        if name not in self and default:
            return default[0]
        value = self[name]
        self.remove(name)
        return value

    def clear(self) -> None:
        """Remove all headers."""
        self.raw.clear()

    def extend(self, items: Items = (), /, **more: object) -> None:
        """Append all headers of *items*; those of the same names stay."""
        # A list first: items may be these headers, and one bad value must leave all as it was.
        self.raw += [_encode(name, value, _NO_PARAMS) for name, value in _pairs(items, more)]

    def update(self, items: Items = (), /, **more: object) -> None:
        """Replace the headers that *items* names and append the others.

        A name that a mapping gives several values keeps them all; among pairs the last wins.
        """
        source: object = items
        if isinstance(source, (HeadersView, Mapping)):
            several: dict[str, list[object]] = {}
            for name, value in _pairs(items, {}):
                several.setdefault(name.lower(), []).append(value)
            for name, values in several.items():
                self.set(name, values[0])
                for value in values[1:]:
                    self.add(name, value)
            items = ()
        for name, value in _pairs(items, more):
            self.set(name, value)

    def __or__(self, other: Items) -> Headers:
        result = self.copy()
        result.update(other)
        return result

    def __ior__(self, other: Items) -> Self:
        self.update(other)
        return self


_NO_PARAMS: Mapping[str, object] = {}


def _encode(name: str, value: object, params: Mapping[str, object]) -> tuple[bytes, bytes]:
    if params:
        options = {key.replace("_", "-"): option for key, option in params.items()}
        value = dump_options_header(str(value), options)
    return _NAMES.get(name) or _checked_name(name), encode_header_value(name, value)


def _pairs(items: Items, more: Mapping[str, object]) -> list[tuple[str, object]]:
    pairs = list(items if isinstance(items, HeadersView) else pairs_of(items))
    return [*pairs, *pairs_of(more)]
