"""What headers say of the body that follows them. Knows no request, and reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Announced", "announced"]

Announced: TypeAlias = tuple[str | None, str, int | None, bool]
"""The content type, the media type that it names (``""`` if none), the length in bytes (``None`` if
it is not known), and whether there is a body."""


class _Kinds(dict[bytes | None, tuple[str | None, str]]):
    """Content types as text, and the media types that they name, by what a header says."""

    def __missing__(self, sent: bytes) -> tuple[str, str]:
        text = sent.decode("latin-1")
        told = text, text.partition(";")[0].strip().lower()
        if len(self) < 100 and len(text) < 100 and "boundary" not in text:
            self[sent] = told
        return told


class _Lengths(dict[bytes | None, int | None]):
    """Lengths as numbers, ``None`` where there is none, by what a header says."""

    def __missing__(self, sent: bytes) -> int | None:
        if not sent.isdigit() or len(sent) > 18:
            return None
        length = int(sent)
        if len(sent) <= 3:  # no more of them than fit in here, whatever is sent
            self[sent] = length
        return length


_KINDS = _Kinds({None: (None, "")})
_LENGTHS = _Lengths({None: None})


def announced(headers: Sequence[tuple[bytes, bytes]]) -> Announced:
    """Find what *headers* say of the body; of several headers of a name, the first one counts."""
    # PERF: a dict is filled in C, and most servers hand on names in lower case.
    found = dict(reversed(headers))
    kind, sent = found.get(b"content-type"), found.get(b"content-length")
    if not kind or not sent or sent == b"0":
        # A server may hand on names as they were sent, and not every length is known.
        found = {name.lower(): value for name, value in reversed(headers)}
        kind, sent = found.get(b"content-type"), found.get(b"content-length")
    length = _LENGTHS[sent]
    has_body = length or sent not in (None, b"0") or b"transfer-encoding" in found
    text, media_type = _KINDS[kind]
    return text, media_type, length, bool(has_body)
