"""The small grammar of HTTP: tokens, quoting, parameters, lists, dates. Knows no header by name."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from .patterns import pattern

__all__ = [
    "dump_options_header",
    "encode_header_name",
    "encode_header_value",
    "find_control",
    "http_date",
    "is_token",
    "parse_date",
    "parse_dict_header",
    "parse_list_header",
    "parse_options_header",
    "parse_seconds",
    "quote_string",
    "split_list",
    "unquote_string",
]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = pattern(r"[\x00-\x1f\x7f]")
_VALUE_CONTROL = pattern(r"[\x00-\x08\x0a-\x1f\x7f]")
_QUOTED = pattern(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = pattern(r"\\(.)", re.DOTALL)
_EXTENDED = pattern(r"([^*]+)(\*[0-9]{1,4})?(\*)?")

# WHY: an unclosed quote runs to the end instead of failing, and nothing follows the outer
# repetition, so these never step back: one pass over any input.
_LIST_ITEM = pattern(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER = pattern(r'(?:[^";]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)

_CHARSETS = frozenset({"ascii", "us-ascii", "utf-8", "iso-8859-1"})
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONGEST_DATE = 64
_LONGEST_TIME = 2**31


def is_token(text: str) -> bool:
    """Tell whether *text* is a token, as names of headers and parameters are (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def find_control(text: str) -> str | None:
    """Return the first control character of *text*, or ``None``."""
    # PERF: isprintable() is a few ns for what is plain text, the search about 100 ns.
    if text.isprintable():
        return None
    found = _CONTROL.search(text)
    return found[0] if found else None


@lru_cache(maxsize=256)
def encode_header_name(name: str) -> bytes:
    """Return *name* as it stands in an ASGI message: lower-case bytes.

    :raises ValueError: if it is no token (RFC 9110, 5.1).
    """
    if not is_token(name):
        raise ValueError(
            f"{name!r} is not the name of a header:"
            " names are made of letters, digits and !#$%&'*+-.^_`|~ only."
        )
    return name.lower().encode("ascii")


def encode_header_value(name: str, value: object) -> bytes:
    """Return *value* as it stands in an ASGI message, without white space around it.

    What is not a string is converted by ``str``; bytes are taken as latin-1. *name* is for
    the message of the error.

    :raises ValueError: if it holds a control character (a tab is none) or is not latin-1.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, bytes):
        text = value.decode("latin-1")
    else:
        text = str(value)
    if not text.isprintable() and _VALUE_CONTROL.search(text):
        raise ValueError(
            f"Header {name!r} cannot be {text!r}: control characters, like CR and LF, would end"
            " the header. Remove or encode them."
        )
    try:
        return text.strip(" \t").encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"Header {name!r} cannot be {text!r}: headers carry latin-1 characters only."
            " Encode the value, for example with urllib.parse.quote."
        ) from None


def quote_string(text: str, *, always: bool = False) -> str:
    """Return *text* as a quoted string (RFC 9110, 5.6.4); a token as it is, if not *always*."""
    if not always and _TOKEN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote_string(text: str) -> str:
    """Undo :func:`quote_string`; what is not in quotes comes back as it is."""
    if len(text) < 2 or not text[0] == text[-1] == '"':
        return text
    text = text[1:-1]
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def split_list(value: str) -> list[str]:
    """Split a header at the commas outside quotes; empty items are dropped."""
    return _split(value, ",", _LIST_ITEM)


def parse_list_header(value: str) -> list[str]:
    """Split a header at the commas outside quotes and unquote the items."""
    return [unquote_string(item) for item in split_list(value)]


def parse_dict_header(value: str) -> dict[str, str | None]:
    """Parse ``key=value, key="value", key``; a key without a value maps to ``None``."""
    result: dict[str, str | None] = {}
    for item in split_list(value):
        key, equals, text = item.partition("=")
        if key := key.strip():
            result[key] = unquote_string(text.strip()) if equals else None
    return result


def parse_options_header(value: str | None) -> tuple[str, dict[str, str]]:
    """Split ``text/html; charset=utf-8`` into the value and its parameters.

    Names of parameters are lower-cased; what is malformed is dropped. ``name*=UTF-8''...`` and
    ``name*0=...; name*1=...`` are put together (RFC 2231, 3 and 4), and win over a plain
    ``name=`` (RFC 6266, 4.3).
    """
    if value is None:
        return "", {}
    main, semicolon, rest = value.partition(";")
    main = main.strip()
    if not semicolon or not main:
        return main, {}
    plain: dict[str, str] = {}
    extended: dict[str, list[tuple[str, bool]]] = {}
    for part in _split(rest, ";", _PARAMETER):
        key, _, raw = part.partition("=")
        key = key.strip().lower()
        text = _parameter_value(raw.strip())
        if text is None or not _TOKEN.fullmatch(key):
            continue
        if "*" not in key:
            plain[key] = text
        elif (found := _EXTENDED.fullmatch(key)) is not None:
            name, is_section, is_encoded = found.groups()
            pieces = extended.setdefault(name, [])
            if not is_section:
                pieces.clear()
            pieces.append((text, bool(is_encoded)))
    return main, plain | {name: _together(pieces) for name, pieces in extended.items()}


def dump_options_header(value: str | None, options: Mapping[str, object]) -> str:
    """Put a value and its parameters together; the opposite of :func:`parse_options_header`.

    Parameters that are ``None`` are left out. What is not ASCII is written as
    ``name*=UTF-8''...`` (RFC 8187).

    :raises ValueError: if a name is no token or a value holds a control character.
    """
    parts = [] if value is None else [value]
    for key, option in options.items():
        if option is not None:
            parts.append(_dump_parameter(key, str(option)))
    return "; ".join(parts)


def parse_seconds(value: str | None) -> int | None:
    """Read a time in seconds, at most 2147483648 (RFC 9111, 1.2.2); ``None`` if it is none."""
    if not value or not value.isascii() or not value.isdigit():
        return None
    return _LONGEST_TIME if len(value) > 10 else min(int(value), _LONGEST_TIME)


def http_date(value: datetime | date | time.struct_time | float | None = None) -> str:
    """Write a date as HTTP does: ``Sun, 06 Nov 1994 08:49:37 GMT`` (RFC 9110, 5.6.7).

    A number is seconds since the epoch; a date without a zone is UTC; ``None`` is now.
    """
    if isinstance(value, datetime):
        moment = value.utctimetuple()
    elif isinstance(value, date):
        moment = value.timetuple()
    elif isinstance(value, time.struct_time):
        moment = value
    else:
        moment = time.gmtime(value)
    year, month, day, hour, minute, second, weekday, *_ = moment
    return (
        f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year:04d}"
        f" {hour:02d}:{minute:02d}:{second:02d} GMT"
    )


def parse_date(value: str | None) -> datetime | None:
    """Read any date that HTTP and mail write, with its zone; ``None`` if it is none."""
    if not value or len(value) > _LONGEST_DATE or not value.isascii():
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _split(value: str, separator: str, item: re.Pattern[str]) -> list[str]:
    parts = item.findall(value) if '"' in value else value.split(separator)
    return [stripped for part in parts if (stripped := part.strip())]


def _parameter_value(raw: str) -> str | None:
    if not raw.startswith('"'):
        return raw or None
    quoted = _QUOTED.match(raw)
    if quoted is None:
        return None
    # Browsers write a quote in the name of a file as %22 (HTML, multipart/form-data).
    return _ESCAPED.sub(r"\1", quoted[1]).replace("%22", '"')


def _together(pieces: list[tuple[str, bool]]) -> str:
    charset = ""
    result: list[str] = []
    for place, (text, is_encoded) in enumerate(pieces):
        if is_encoded and place == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
            charset = charset.lower()
        if is_encoded and charset in _CHARSETS:
            text = unquote_to_bytes(text).decode(charset, "replace")
        result.append(text)
    return "".join(result)


def _dump_parameter(key: str, text: str) -> str:
    name = key.removesuffix("*")
    if not is_token(name):
        raise ValueError(f"{key!r} is not the name of a parameter: use letters, digits and -.")
    if find_control(text) is not None:
        raise ValueError(
            f"Parameter {key!r} cannot be {text!r}: remove or encode its control characters."
        )
    if text.isascii() and name == key:
        return f"{key}={quote_string(text)}"
    return f"{name}*=UTF-8''{quote(text, safe='', errors='replace')}"
