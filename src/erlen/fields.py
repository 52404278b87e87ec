"""Headers of a response as attributes. Knows headers; knows nothing of bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, overload
from urllib.parse import quote

from .headers import (
    ContentSecurityPolicy,
    Headers,
    HeaderSet,
    http_date,
    parse_csp_header,
    parse_date,
    parse_set_header,
)

__all__ = [
    "HeaderField",
    "LiveField",
    "age_field",
    "date_field",
    "flag_field",
    "header_url",
    "length_field",
    "policy_field",
    "retry_field",
    "set_field",
    "text_field",
    "url_field",
]

T = TypeVar("T")
S = TypeVar("S")
SelfT = TypeVar("SelfT")

_SCRIPTS = ("javascript:", "data:", "vbscript:")


class HasHeaders(Protocol):
    """What a field is an attribute of."""

    @property
    def headers(self) -> Headers: ...


class HeaderField(Generic[T, S]):
    """A header that is read as *T* and set as *S*; setting ``None`` removes it.

    So does a value for which *write* returns ``None``.
    """

    def __init__(
        self, name: str, read: Callable[[str | None], T], write: Callable[[S], Any]
    ) -> None:
        self.name = name
        self.read = read
        self.write = write

    @overload
    def __get__(self, owner: None, kind: Any = None) -> HeaderField[T, S]: ...
    @overload
    def __get__(self, owner: HasHeaders, kind: Any = None) -> T: ...
    def __get__(self, owner: HasHeaders | None, kind: Any = None) -> Any:
        return self if owner is None else self.read(owner.headers.get(self.name))

    def __set__(self, owner: HasHeaders, value: S | None) -> None:
        written = None if value is None else self.write(value)
        if written is None:
            owner.headers.remove(self.name)
        else:
            owner.headers[self.name] = str(written)


class LiveField(Generic[T, S]):
    """A header whose value is an object that writes its changes back.

    *parse* gets the text, and a function to call with the object after each change.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str | None, Callable[[Any], None]], T],
        write: Callable[[S], str],
    ) -> None:
        self.name = name
        self.parse = parse
        self.write = write

    @overload
    def __get__(self, owner: None, kind: Any = None) -> LiveField[T, S]: ...
    @overload
    def __get__(self, owner: HasHeaders, kind: Any = None) -> T: ...
    def __get__(self, owner: HasHeaders | None, kind: Any = None) -> Any:
        if owner is None:
            return self
        headers = owner.headers

        def changed(value: Any) -> None:
            if text := value.to_header():
                headers[self.name] = text
            else:
                headers.remove(self.name)

        return self.parse(", ".join(headers.getlist(self.name)) or None, changed)

    def __set__(self, owner: HasHeaders, value: S | None) -> None:
        if value is None:
            owner.headers.remove(self.name)
        else:
            owner.headers[self.name] = self.write(value)


def text_field(name: str) -> HeaderField[str | None, Any]:
    """Return a field that is text as it is."""
    return HeaderField(name, _same, str)


def url_field(name: str) -> HeaderField[str | None, str]:
    """Return a field that is a URL, percent-encoded when it is set."""
    return HeaderField(name, _same, header_url)


def date_field(name: str) -> HeaderField[datetime | None, datetime | float]:
    """Return a field that is a time, to the second; set as a datetime or as a timestamp."""
    return HeaderField(name, lambda text: parse_date(text or ""), http_date)


def length_field(name: str) -> HeaderField[int | None, int]:
    """Return a field that is a number."""
    return HeaderField(name, _number, str)


def age_field(name: str) -> HeaderField[timedelta | None, timedelta | int]:
    """Return a field that is a duration; set as a timedelta or in seconds."""

    def read(text: str | None) -> timedelta | None:
        seconds = _number(text)
        return None if seconds is None else timedelta(seconds=seconds)

    def write(value: timedelta | int) -> int:
        return int(value.total_seconds()) if isinstance(value, timedelta) else value

    return HeaderField(name, read, write)


def retry_field(name: str) -> HeaderField[str | None, datetime | int | str]:
    """Return a field that is a number of seconds or a time."""

    def write(value: datetime | int | str) -> str:
        return http_date(value) if isinstance(value, datetime) else str(value)

    return HeaderField(name, _same, write)


def set_field(name: str) -> LiveField[HeaderSet, str | Iterable[str]]:
    """Return a field that is a set of words, live."""

    def write(value: str | Iterable[str]) -> str:
        return value if isinstance(value, str) else ", ".join(value)

    return LiveField(name, parse_set_header, write)


def flag_field(name: str) -> HeaderField[bool, bool]:
    """Return a field that says ``true`` or is absent."""
    return HeaderField(name, lambda text: text == "true", lambda value: "true" if value else None)


def policy_field(name: str) -> LiveField[ContentSecurityPolicy, str | ContentSecurityPolicy]:
    """Return a field that is a Content-Security-Policy, live."""
    return LiveField(name, parse_csp_header, str)


def header_url(location: str) -> str:
    """Percent-encode what a URL may show but a header may not carry.

    :raises ValueError: for control characters, and for a script in place of a page.
    """
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in location):
        raise ValueError(f"A URL has no control characters: {location!r}")
    if location.lstrip().lower().startswith(_SCRIPTS):
        raise ValueError(f"A redirect leads to a page, not to a script: {location!r}")
    return quote(location, safe="!#$%&'()*+,/:;=?@[]~")


def _same(text: str | None) -> str | None:
    return text


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
