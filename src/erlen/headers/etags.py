"""Entity tags: which version of a page somebody has. Knows how they are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha1

from ..patterns import pattern

__all__ = ["ETags", "generate_etag", "parse_etags", "quote_etag", "unquote_etag"]

_ETAG = pattern(r'(W/)?(?:"([^"]*)"|([^\s,"]+))', re.IGNORECASE)
_FORBIDDEN = pattern(r'[\x00-\x1f"\x7f]')


class ETags:
    """The tags of an ``If-Match`` or ``If-None-Match`` header.

    Iterating, ``in`` and ``len`` are about the strong ones. With *star* every tag is in it.
    """

    __slots__ = ("_strong", "_weak", "star_tag")

    def __init__(
        self, strong: Iterable[str] = (), weak: Iterable[str] = (), star_tag: bool = False
    ) -> None:
        self._strong = {} if star_tag else dict.fromkeys(strong)
        self._weak = {} if star_tag else dict.fromkeys(weak)
        self.star_tag = star_tag
        """Whether the header was ``*``: anything that exists."""

    def contains(self, etag: str) -> bool:
        """Tell whether the strong *etag* is among the strong tags (RFC 9110, 8.8.3.2)."""
        return self.star_tag or etag in self._strong

    def contains_weak(self, etag: str) -> bool:
        """Tell whether *etag* is among all tags, weak or strong."""
        return self.contains(etag) or etag in self._weak

    def contains_raw(self, etag: str) -> bool:
        """Tell whether a tag that is still in quotes is there, weak ones compared weakly."""
        tag, weak = unquote_etag(etag)
        if tag is None:
            return False
        return self.contains_weak(tag) if weak else self.contains(tag)

    def is_strong(self, etag: str) -> bool:
        """Tell whether *etag* was sent as a strong tag."""
        return etag in self._strong

    def is_weak(self, etag: str) -> bool:
        """Tell whether *etag* was sent as a weak tag."""
        return etag in self._weak

    def as_set(self, include_weak: bool = False) -> set[str]:
        """Return the tags as a plain set."""
        return {*self._strong, *self._weak} if include_weak else set(self._strong)

    def to_header(self) -> str:
        """Write the header."""
        if self.star_tag:
            return "*"
        strong = [f'"{tag}"' for tag in self._strong]
        return ", ".join(strong + [f'W/"{tag}"' for tag in self._weak])

    def __contains__(self, etag: object) -> bool:
        return isinstance(etag, str) and self.contains(etag)

    def __iter__(self) -> Iterator[str]:
        return iter(self._strong)

    def __len__(self) -> int:
        return len(self._strong)

    def __bool__(self) -> bool:
        return bool(self.star_tag or self._strong or self._weak)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ETags):
            return NotImplemented
        return (self.star_tag, self._strong, self._weak) == (
            other.star_tag,
            other._strong,
            other._weak,
        )

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()!r}>"


def parse_etags(value: str | None) -> ETags:
    """Parse the tags of an ``If-Match`` or ``If-None-Match`` header; also without quotes."""
    if not value:
        return ETags()
    if value.strip() == "*":
        return ETags(star_tag=True)
    strong: list[str] = []
    weak: list[str] = []
    for prefix, quoted, bare in _ETAG.findall(value):
        (weak if prefix else strong).append(quoted or bare)
    return ETags(strong, weak)


def quote_etag(etag: str, weak: bool = False) -> str:
    """Write *etag* as it stands in a header.

    :raises ValueError: if it holds a quote or a control character.
    """
    if _FORBIDDEN.search(etag):
        raise ValueError(
            f"{etag!r} is no entity tag: quotes and control characters have no place in it."
        )
    return f'W/"{etag}"' if weak else f'"{etag}"'


def unquote_etag(etag: str | None) -> tuple[str, bool] | tuple[None, None]:
    """Read one tag of a header: the tag, and whether it is weak; of nothing, ``None`` twice."""
    if not etag:
        return None, None
    etag = etag.strip()
    weak = etag.startswith(("W/", "w/"))
    if weak:
        etag = etag[2:]
    if len(etag) >= 2 and etag[0] == etag[-1] == '"':
        etag = etag[1:-1]
    return etag, weak


def generate_etag(data: bytes) -> str:
    """Make a tag that changes when *data* does."""
    return sha1(data, usedforsecurity=False).hexdigest()
