"""What a client would like to get. Knows how preferences are compared, not what is on offer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from encodings.aliases import aliases
from typing import Any, TypeAlias, TypeVar, overload

from ..http import parse_options_header, quote_string, split_list
from ..patterns import pattern

__all__ = ["Accept", "CharsetAccept", "LanguageAccept", "MIMEAccept", "parse_accept_header"]

A = TypeVar("A", bound="Accept")
D = TypeVar("D")

_QUALITY = pattern(r"0?\.[0-9]+|[01](?:\.[0-9]*)?")
MediaType: TypeAlias = "tuple[str, str, Set[tuple[str, str]]]"

# No browser sends more than 20. Offers are compared with each of them.
_MOST_ITEMS = 100


class Accept:
    """The preferences of one ``Accept-...`` header, as pairs of value and quality.

    They are ordered by how specific they are, then by quality, then as they were sent. The
    quality of something is that of the first item which matches it; 0 means: not acceptable.
    """

    __slots__ = ("_items", "_ranges")

    def __init__(self, items: Iterable[tuple[str, float]] = ()) -> None:
        rated = [(value, quality, self._prepare(value)) for value, quality in items]
        rated.sort(key=lambda item: (self._specificity(item[2]), item[1]), reverse=True)
        self._items = tuple((value, quality) for value, quality, _ in rated)
        # PERF: what is parsed once here is compared with every offer.
        self._ranges = tuple((prepared, quality) for _, quality, prepared in rated)

    @property
    def best(self) -> str | None:
        """The value that the client prefers to all others, ``None`` if it accepts nothing."""
        acceptable = [item for item in self._items if item[1] > 0]
        return max(acceptable, key=lambda item: item[1])[0] if acceptable else None

    def quality(self, value: str) -> float:
        """Return how much the client likes *value*, from 0 (not at all) to 1."""
        return self._match(value)[0]

    @overload
    def best_match(self, offers: Iterable[str], default: None = None) -> str | None: ...
    @overload
    def best_match(self, offers: Iterable[str], default: D) -> str | D: ...
    def best_match(self, offers: Iterable[str], default: Any = None) -> Any:
        """Return the offer that the client likes best, or *default* if it accepts none.

        Of two that it likes equally the more specific wins, then the one offered first.
        """
        best: Any = default
        best_score: tuple[float, Any] = (0, ())
        for offer in offers:
            score = self._match(offer)
            if score[0] > 0 and score > best_score:
                best, best_score = offer, score
        return best

    def find(self, value: str) -> int:
        """Return the place of the first item that matches *value*, -1 if none does."""
        wanted = self._prepare(value)
        for place, (prepared, _) in enumerate(self._ranges):
            if self._matches(wanted, prepared):
                return place
        return -1

    def values(self) -> Iterator[str]:
        """Iterate over the values without their quality."""
        return (value for value, _ in self._items)

    def to_header(self) -> str:
        """Write the header."""
        return ",".join(
            value if quality == 1 else f"{value};q={quality:g}" for value, quality in self._items
        )

    @overload
    def __getitem__(self, key: int) -> tuple[str, float]: ...
    @overload
    def __getitem__(self, key: str) -> float: ...
    def __getitem__(self, key: int | str) -> tuple[str, float] | float:
        return self.quality(key) if isinstance(key, str) else self._items[key]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and self.quality(value) > 0

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Accept):
            return NotImplemented
        return self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._items)!r})"

    def _match(self, value: str) -> tuple[float, Any]:
        wanted = self._prepare(value)
        for prepared, quality in self._ranges:
            if self._matches(wanted, prepared):
                return quality, self._specificity(prepared)
        return 0, ()

    # What a subclass may compare differently: _prepare() gives what the other two are called with.

    def _prepare(self, value: str) -> Any:
        return value.lower()

    def _matches(self, wanted: Any, given: Any) -> bool:
        return bool(given == "*" or wanted == given)

    def _specificity(self, given: Any) -> tuple[Any, ...]:
        return (given != "*",)


class MIMEAccept(Accept):
    """The preferences of an ``Accept`` header: media types, with ``text/*`` and ``*/*``.

    A parameter that the client names must be there in what is offered, except ``charset``.
    """

    __slots__ = ()

    @property
    def accept_html(self) -> bool:
        """Whether the client takes HTML, of any kind."""
        return "text/html" in self or self.accept_xhtml

    @property
    def accept_xhtml(self) -> bool:
        """Whether the client takes HTML written as XML."""
        return "application/xhtml+xml" in self or "application/xml" in self

    @property
    def accept_json(self) -> bool:
        """Whether the client takes JSON."""
        return "application/json" in self

    def _prepare(self, value: str) -> MediaType:
        main, options = parse_options_header(value.lower())
        # WHY: clients that write "application/json; charset=utf-8" mean any JSON.
        options.pop("charset", None)
        kind, _, subtype = main.partition("/")
        return kind.strip(), subtype.strip(), options.items()

    def _matches(self, wanted: MediaType, given: MediaType) -> bool:
        return (
            given[0] in {"*", wanted[0]} and given[1] in {"*", wanted[1]} and given[2] <= wanted[2]
        )

    def _specificity(self, given: MediaType) -> tuple[Any, ...]:
        kind, subtype, options = given
        return kind != "*", subtype != "*", len(options)


class LanguageAccept(Accept):
    """The preferences of an ``Accept-Language`` header; ``en_GB`` and ``en-gb`` are the same."""

    __slots__ = ()

    @overload
    def best_match(self, offers: Iterable[str], default: None = None) -> str | None: ...
    @overload
    def best_match(self, offers: Iterable[str], default: D) -> str | D: ...
    def best_match(self, offers: Iterable[str], default: Any = None) -> Any:
        """Return the offer that the client likes best, or *default* if it accepts none.

        If nothing matches exactly, ``de`` is good enough for who asked for ``de-AT``; then
        ``en-GB`` is good enough for who asked for ``en``.
        """
        offers = list(offers)
        if (found := super().best_match(offers)) is not None:
            return found
        broad = Accept((_primary(language), quality) for language, quality in self)
        if (found := broad.best_match(offers)) is not None:
            return found
        by_primary = {_primary(offer): offer for offer in reversed(offers)}
        found = super().best_match(_primary(offer) for offer in offers)
        return default if found is None else by_primary[found]

    def _prepare(self, value: str) -> str:
        return value.replace("_", "-").lower()


class CharsetAccept(Accept):
    """The preferences of an ``Accept-Charset`` header; ``utf8`` and ``UTF-8`` are the same."""

    __slots__ = ()

    def _prepare(self, value: str) -> str:
        # WHY: codecs.lookup() would remember each unknown name that a client sends, for ever.
        name = value.lower().replace("-", "_").replace(" ", "_")
        return aliases.get(name, name)


@overload
def parse_accept_header(value: str | None) -> Accept: ...
@overload
def parse_accept_header(value: str | None, kind: type[A]) -> A: ...
def parse_accept_header(value: str | None, kind: type[Any] = Accept) -> Any:
    """Parse an ``Accept-...`` header into preferences of the class *kind*.

    Items with a quality that is none, and those after the first hundred, are dropped.
    """
    items: list[tuple[str, float]] = []
    for item in split_list(value or "")[:_MOST_ITEMS]:
        if ";" not in item:
            items.append((item, 1))
            continue
        main, options = parse_options_header(item)
        quality = options.pop("q", "1").strip()
        if main and _QUALITY.fullmatch(quality) and float(quality) <= 1:
            parameters = (f"{key}={quote_string(option)}" for key, option in options.items())
            items.append(("; ".join((main, *parameters)), float(quality)))
    return kind(items)


def _primary(language: str) -> str:
    return language.replace("_", "-").partition("-")[0]
