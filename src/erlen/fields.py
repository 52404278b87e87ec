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
from .hosts import host_is_valid
from .patterns import pattern

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

# The host of a URL is behind its scheme and its user, and before its port and its path.
_HOST = pattern(r"((?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//(?:[^/?#]*@)?)([^/?#@:]*)")
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

    def write(value: datetime | float) -> str:
        try:
            return http_date(value)
        except TypeError:
            raise TypeError(
                f"{name!r} is set to a datetime or to seconds since 1970, not to {value!r}."
            ) from None
        except (ValueError, OverflowError, OSError) as error:
            raise ValueError(f"{name!r} cannot be {value!r}: {error}.") from None

    return HeaderField(name, lambda text: parse_date(text or ""), write)


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
    """Return a URL as a header may carry it: its host in ASCII, the rest percent-encoded.

    :raises ValueError: for a script in place of a page.
    """
    if location.lstrip().lower().startswith(_SCRIPTS):
        raise ValueError(f"A redirect leads to a page, not to a script: {location!r}")
    shown = location if location.isascii() else _with_ascii_host(location)
    return quote(shown, safe="!#$%&'()*+,/:;=?@[]~")


def _with_ascii_host(location: str) -> str:
    """Return *location* with its host as the DNS knows it (RFC 3490).

    What would be no host is left to be percent-encoded: among what looks like letters are
    characters that stand for a slash.
    """
    found = _HOST.match(location)
    if found is None or found[2].isascii():
        return location
    try:
        host = found[2].encode("idna").decode("ascii")
    except UnicodeError:
        return location
    return f"{found[1]}{host}{location[found.end() :]}" if host_is_valid(host) else location


def _same(text: str | None) -> str | None:
    return text


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
