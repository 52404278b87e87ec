"""Cookies as they travel. Knows no session, no signature and no browser's taste."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import quote

from ..datastructures import ImmutableMultiDict, Singles, TooManyItems
from ..http import find_control, http_date, is_token
from ..patterns import pattern

__all__ = ["COOKIE_NAMES", "dump_cookie", "parse_cookies"]

# The quoting of Flask's cookies, so that one app reads what the other wrote: a value made of
# these stands as it is, any other is quoted, with bytes that cookies cannot hold in octal.
_PLAIN = re.compile(r"[\w!#$%&'()*+\-./:<=>?@\[\]^`{|}~]*", re.ASCII)
_TO_ESCAPE = pattern(rb'[\x00-\x1f",;\\\x7f-\xff]')
_ESCAPED = pattern(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)
_DOMAIN = pattern(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)

COOKIE_NAMES = frozenset(map(bytes, product(*zip(b"cookie", b"COOKIE", strict=True))))
"""The name of the Cookie header in any case: a server may hand on names as they were sent."""

_SAMESITE = {"strict": "Strict", "lax": "Lax", "none": "None"}


def parse_cookies(
    values: Iterable[str | bytes], max_items: int | None = 200
) -> ImmutableMultiDict[str, str]:
    """Parse the values of all ``Cookie`` headers, in linear time and without ever failing.

    Cookies are separated by ``;`` alone. One without a name is dropped, because a browser sends
    ``=__Host-x=1`` for it and others would read a name there. What is not UTF-8 becomes U+FFFD.

    :raises TooManyItems: if there are more than *max_items*; ``None`` lifts the limit.
    """
    first: dict[str, str] = {}
    more: list[tuple[str, str]] = []
    count = 0
    for value in values:
        line = value.decode("utf-8", "replace") if isinstance(value, bytes) else _as_utf8(value)
        line = line.replace("; ", ";")  # as browsers send them: no other blank is usual
        items = line.split(";")
        count += len(items)
        if max_items is not None and count > max_items:
            raise TooManyItems("cookies", count=count, limit=max_items)
        padded = " " in line or "\t" in line
        quoted = '"' in line
        for item in items:
            key, equals, text = item.partition("=")
            if padded:
                key, text = key.strip(" \t"), text.strip(" \t")
            if key and equals:
                if quoted and text[:1] == '"':
                    text = _unquote(text)
                if key in first:
                    more.append((key, text))
                else:
                    first[key] = text
    return ImmutableMultiDict([*first.items(), *more]) if more else Singles(first)


def dump_cookie(
    key: str,
    value: str = "",
    *,
    max_age: timedelta | float | None = None,
    expires: datetime | float | str | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: str | None = None,
    partitioned: bool = False,
) -> str:
    """Write the value of a ``Set-Cookie`` header.

    *max_age* is in seconds, rounded down; *expires* is a date, seconds since the epoch, or a
    string that is written as it is. *samesite* is ``"Strict"``, ``"Lax"`` or ``"None"``, in
    any case. *partitioned* makes the cookie *secure* too, as browsers ask for.

    :raises ValueError: if a part would not arrive as given: a name that is no token, control
        characters anywhere, ``;`` in an attribute.
    """
    made_of = key, domain, secure, httponly, path, samesite, partitioned
    domain_part, flags = _PARTS.get(made_of) or _parts(*made_of)
    if _PLAIN.fullmatch(value) is None:
        value = _quote(key, value)
    cookie = f"{key}={value}{domain_part}"
    if expires is not None:
        date = expires if isinstance(expires, str) else http_date(expires)
        cookie += f"; Expires={_attribute(key, 'expires', date)}"
    if max_age is not None:
        cookie += f"; Max-Age={_seconds(key, max_age)}"
    return cookie + flags


_PARTS: dict[tuple[Any, ...], tuple[str, str]] = {}
_MOST_PARTS = 256


def _parts(
    key: str,
    domain: str | None,
    secure: bool,
    httponly: bool,
    path: str | None,
    samesite: str | None,
    partitioned: bool,
) -> tuple[str, str]:
    """Return what stands before and after the dates of a cookie; what is right is remembered."""
    if not is_token(key):
        raise ValueError(
            f"{key!r} is not the name of a cookie:"
            " names are made of letters, digits and !#$%&'*+-.^_`|~ only."
        )
    domain_part = f"; Domain={_domain(key, domain)}" if domain else ""
    flags = "; Secure" if secure or partitioned else ""
    if httponly:
        flags += "; HttpOnly"
    if path is not None:
        flags += "; Path=/" if path == "/" else f"; Path={_path(key, path)}"
    if samesite is not None:
        flags += f"; SameSite={_samesite(key, samesite)}"
    if partitioned:
        flags += "; Partitioned"
    if len(_PARTS) < _MOST_PARTS:
        made_of = key, domain, secure, httponly, path, samesite, partitioned
        _PARTS[made_of] = domain_part, flags
    return domain_part, flags


def _as_utf8(value: str) -> str:
    # Headers are decoded as latin-1; browsers send cookies in UTF-8.
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return value


def _unquote(text: str) -> str:
    if len(text) < 2 or text[-1] != '"':
        return text
    text = text[1:-1]
    if "\\" not in text:
        return text
    return _ESCAPED.sub(_unescape, text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _unescape(found: re.Match[bytes]) -> bytes:
    escaped = found[1]
    return escaped if len(escaped) == 1 else bytes((int(escaped, 8),))


def _quote(key: str, value: str) -> str:
    if (control := find_control(value)) is not None:
        raise ValueError(
            f"Cookie {key!r} cannot be {value!r}: it holds the control character {control!r}."
            " Encode the value, for example with base64 or urllib.parse.quote."
        )
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"Cookie {key!r} cannot be {value!r}: it is not UTF-8.") from None
    return f'"{_TO_ESCAPE.sub(_escape, encoded).decode("ascii")}"'


def _escape(found: re.Match[bytes]) -> bytes:
    byte = found[0]
    return b"\\" + byte if byte in b'"\\' else b"\\%03o" % byte[0]


def _attribute(key: str, name: str, text: str) -> str:
    if ";" in text or find_control(text) is not None:
        raise ValueError(
            f"Cookie {key!r} cannot have {name}={text!r}:"
            " semicolons and control characters would start another attribute."
        )
    return text


def _path(key: str, path: str) -> str:
    return quote(_attribute(key, "path", path), safe="%!$&'()*+,/:=@")


def _domain(key: str, domain: str) -> str:
    name = domain.partition(":")[0].lstrip(".")
    try:
        encoded = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        encoded = ""
    if _DOMAIN.fullmatch(encoded) is None:
        raise ValueError(
            f"Cookie {key!r} cannot have domain={domain!r}: give a host name like 'example.com'."
        )
    return encoded


def _seconds(key: str, max_age: timedelta | float) -> int:
    try:
        return int(max_age.total_seconds() if isinstance(max_age, timedelta) else max_age)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"Cookie {key!r} cannot have max_age={max_age!r}: give seconds or a timedelta."
        ) from None


def _samesite(key: str, samesite: str) -> str:
    try:
        return _SAMESITE[samesite.lower()]
    except KeyError:
        raise ValueError(
            f"Cookie {key!r} cannot have samesite={samesite!r}:"
            " give 'Strict', 'Lax' or 'None', or None to leave it out."
        ) from None
