"""How an app writes and reads JSON. Knows nothing of requests, responses and the app itself."""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import asdict, is_dataclass
from datetime import date
from json import encoder as _encoder
from typing import IO, Any, Literal, Protocol, cast
from uuid import UUID

from ..errors import SetupTypeError, SetupValueError
from ..http import http_date
from ..patterns import pattern

__all__ = ["DefaultJSONProvider", "InvalidJSON", "JSONProvider"]


class InvalidJSON(ValueError):
    """A text is not the JSON that it should be; the message may be shown to its author."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class JSONApp(Protocol):
    """What a provider asks of its app."""

    response_class: type[Any]
    frozen: bool
    """Set to false when how views are answered has to be decided anew."""

    @property
    def debug(self) -> bool:
        """Whether JSON is written for people to read; ``forget`` is called when it changes."""
        ...


class JSONProvider:
    """What ``app.json`` has to offer; subclass it to use another JSON library.

    :meth:`dumps` and :meth:`loads` are needed, the other methods are made of them.

    Whether debugging is on, *app* says by its ``debug``, or else the function *debug*. The
    app is held weakly; the function should not hold it at all.
    """

    mimetype = "application/json"
    """The media type of responses."""
    answers = False
    """Whether :meth:`response` was replaced, by a subclass or for this provider; then every
    response with JSON comes from it."""
    _app: weakref.ref[JSONApp] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.answers = cls.response is not JSONProvider.response

    def __init__(
        self, app: JSONApp | None = None, *, debug: Callable[[], bool] | None = None
    ) -> None:
        self._app = None if app is None else weakref.ref(app)
        self._debug = debug

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "response":
            self.__dict__["answers"] = True
            app = None if self._app is None else self._app()
            if app is not None:
                app.frozen = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Write *obj* as JSON.

        :raises TypeError: if there is no way to write a value of this type.
        :raises ValueError: if a value has no counterpart in JSON, as NaN.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to write JSON (dumps).")

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON.

        :raises ValueError: if *s* is not JSON. The message may reach the client; raise
            :class:`InvalidJSON` to be sure that it is meant to.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to read JSON (loads).")

    def dump(self, obj: Any, fp: IO[str], **kwargs: Any) -> None:
        """Write *obj* as JSON to a text file."""
        fp.write(self.dumps(obj, **kwargs))

    def load(self, fp: IO[Any], **kwargs: Any) -> Any:
        """Read JSON from a file of text or bytes."""
        return self.loads(fp.read(), **kwargs)

    def render(self, *args: Any, **kwargs: Any) -> str | bytes:
        """Write the body of a response from what ``jsonify`` was given.

        :raises TypeError: if there are both positional and keyword arguments.
        """
        return self.dumps(self._value_of(args, kwargs))

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """Return the response that ``jsonify`` makes of the same arguments.

        Override it to change every response with JSON, those of views that return a dict or a
        list among them.

        :raises RuntimeError: if this provider was made without its app.
        """
        app = None if self._app is None else self._app()
        if app is None:
            raise RuntimeError(
                f"This {type(self).__name__} has no app to make a response for. Pass it:"
                f" app.json = {type(self).__name__}(app)."
            )
        return app.response_class(self.render(*args, **kwargs), content_type=self.mimetype)

    def _value_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return one value for one, a list for several, a dict for keywords, else None."""
        if args and kwargs:
            raise SetupTypeError(
                f"JSON is made of either args or kwargs, not of both: {len(args)} positional"
                f" and the keywords {', '.join(kwargs)} were given. Put them into one dict."
            )
        if len(args) == 1:
            return args[0]
        return args or kwargs or None

    def forget(self) -> None:
        """Forget what was derived of ``debug``, because the configuration has changed."""

    def _is_debug(self) -> bool:
        if self._debug is not None:
            return self._debug()
        app = None if self._app is None else self._app()
        return app is not None and app.debug


class _Default:
    """Finds the function for other types by ``dates``, of a provider or of its class.

    # FLASK: overrides call ``super().default(o)`` and ``DefaultJSONProvider.default(o)``.
    """

    def __get__(
        self, provider: DefaultJSONProvider | None, owner: type[DefaultJSONProvider]
    ) -> Callable[[Any], Any]:
        dates: str = (provider or owner).dates
        if dates not in ("iso", "http"):
            raise SetupValueError(f"Dates are written as 'iso' or 'http', not {dates!r}.")
        return plain_with_http_dates if dates == "http" else plain


def plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    from decimal import Decimal

    if isinstance(value, Decimal):
        return str(value)
    html = getattr(value, "__html__", None)
    if html is not None:
        return str(html())
    raise TypeError(
        f"Object of type {type(value).__name__} is not JSON serializable. Convert it first, or"
        " teach it to app.json: a subclass with a method default(self, o)."
    )


def plain_with_http_dates(value: Any) -> Any:
    return http_date(value) if isinstance(value, date) else plain(value)


class DefaultJSONProvider(JSONProvider):
    """JSON by the standard library, strict both ways.

    Beyond what it knows itself, this writes dates and datetimes, ``Decimal`` and ``UUID`` as
    str, dataclasses as dicts and what has ``__html__`` as that. NaN and Infinity are refused,
    when written and when read.

    The attributes may be set on ``app.json`` or in a subclass.
    """

    dates: Literal["iso", "http"] = "iso"
    """How dates are written: ``"2026-05-01T12:00:00+00:00"``, or as in HTTP headers."""

    ensure_ascii = True
    """Whether other characters than ASCII are written as ``\\u`` escapes."""

    sort_keys = False
    """Whether keys are sorted; else they keep the order of the dict."""

    compact: bool | None = None
    """Whether responses have no spaces and lines; ``None``: unless ``debug`` is on."""

    default: Callable[[Any], Any] = cast("Callable[[Any], Any]", _Default())
    """Called with what is not JSON itself; returns something that is, or raises TypeError."""

    _encoders: dict[str, Callable[[Any], str]]
    _write: Callable[[Any], str] | None
    """The encoder of responses, once it is known whether they are compact."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        self.__dict__["_encoders"] = {}
        self.__dict__["_write"] = None

    def forget(self) -> None:
        """Ask again whether debugging is on, before the next response."""
        self.__dict__["_write"] = None

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Write *obj* as JSON; keywords as for :func:`json.dumps`.

        :raises TypeError: if there is no way to write a value of this type.
        :raises ValueError: if a value is NaN or Infinity, or contains itself.
        """
        try:
            if kwargs:
                return json.dumps(obj, **{**self._settings(), **kwargs})
            return self._encoder("spaced")(obj)
        except ValueError as error:
            raise _explained(error, obj) from error

    def render(self, *args: Any, **kwargs: Any) -> str:
        """Write the body of a response from what ``jsonify`` was given; it ends a line."""
        value = args[0] if len(args) == 1 and not kwargs else self._value_of(args, kwargs)
        try:
            return (self._write or self._writer())(value) + "\n"
        except ValueError as error:
            raise _explained(error, value) from error

    def _writer(self) -> Callable[[Any], str]:
        compact = self.compact
        if compact is None:
            compact = not self._is_debug()
        writer = self._encoder("compact" if compact else "indented")
        if self._debug is None:  # else that function is asked each time
            self.__dict__["_write"] = writer
        return writer

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON, as text or in UTF-8; keywords as for :func:`json.loads`.

        :raises InvalidJSON: if *s* is not JSON, in each possible way: not UTF-8, empty, nested
            too deeply, with numbers out of range or half a surrogate pair.
        """
        try:
            text = s.decode() if isinstance(s, bytes) else _text_of(s)
            if kwargs:
                value = json.loads(text.removeprefix(_MARK), **{**_STRICT, **kwargs})
            else:
                value = _decoded(text)
        except UnicodeError as error:
            raise _unreadable(error) from None
        except json.JSONDecodeError as error:
            raise _located(error) from None
        except RecursionError:
            raise InvalidJSON("The JSON is nested too deeply.") from None
        except ValueError as error:
            if not str(error).startswith("Exceeds the limit"):
                raise
            raise InvalidJSON("The JSON holds an integer with too many digits.") from None
        if "\\" in text and ("\\ud" in text or "\\uD" in text) and _has_lone_surrogate(text):
            raise InvalidJSON("The JSON holds one half of a surrogate pair without the other.")
        return value

    def _settings(self) -> dict[str, Any]:
        return {
            "default": self.default,
            "ensure_ascii": self.ensure_ascii,
            "sort_keys": self.sort_keys,
            "allow_nan": False,
        }

    def _encoder(self, style: Literal["spaced", "compact", "indented"]) -> Callable[[Any], str]:
        # PERF: a kept encoder saves a quarter of the time that json.dumps(separators=...) takes
        # for a small dict (1.6 us instead of 2.3); __setattr__ forgets it with the settings.
        try:
            return self._encoders[style]
        except KeyError:
            encoder = json.JSONEncoder(**self._settings(), **_STYLES[style])
            return self._encoders.setdefault(style, kept_encoder(encoder))


def kept_encoder(encoder: json.JSONEncoder) -> Callable[[Any], str]:
    """Return what does as ``encoder.encode``, with all made now that is the same for each value.

    PERF: the part in C is otherwise made anew for each value, which takes as long as a small
    dict does. It notes no containers here, so that threads may share it: a value that contains
    itself is one that is nested too deeply, and ``encode`` says which it is.
    """
    parts = cast(Any, _encoder)  # which typing knows nothing of
    make = parts.c_make_encoder
    if make is None or encoder.indent:
        return encoder.encode
    texts = parts.encode_basestring_ascii if encoder.ensure_ascii else parts.encode_basestring
    pieces_of = make(
        None,
        encoder.default,
        texts,
        None,
        encoder.key_separator,
        encoder.item_separator,
        encoder.sort_keys,
        encoder.skipkeys,
        encoder.allow_nan,
    )

    def encode(value: Any) -> str:
        try:
            return "".join(pieces_of(value, 0))
        except RecursionError:
            return encoder.encode(value)

    return encode


_STYLES: dict[str, dict[str, Any]] = {
    "spaced": {},
    "compact": {"separators": (",", ":")},
    "indented": {"indent": 2},
}


def _explained(error: ValueError, value: Any) -> ValueError:
    """Say which number it is that JSON has no word for, and where."""
    if not str(error).startswith("Out of range float"):
        return error
    return ValueError(
        f"{_first_not_finite(value)} cannot be written as JSON, which knows neither NaN nor"
        " Infinity. Use None or a str instead."
    )


def _first_not_finite(value: object) -> str:
    todo: list[tuple[str, object]] = [("value", value)]
    seen: set[int] = set()
    for place, item in todo:
        if isinstance(item, float) and not math.isfinite(item):
            return f"{item} at {place}"
        if id(item) not in seen:
            seen.add(id(item))
            todo.extend((f"{place}[{key!r}]", inner) for key, inner in _items_of(item))
    return "A float"


def _items_of(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, dict):
        return cast("dict[object, object]", value).items()
    if isinstance(value, (list, tuple)):
        return enumerate(cast("Iterable[object]", value))
    return ()


def _text_of(s: Any) -> str:
    """Return *s*, which is text or anything that has bytes, as text that could be sent.

    :raises UnicodeError: if it is none.
    """
    if not isinstance(s, str):
        return str(s, "utf-8")
    if not s.isascii():
        s.encode()
    return s


def _unreadable(error: UnicodeError) -> InvalidJSON:
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        return InvalidJSON(f"The JSON is not UTF-8: byte 0x{byte:02x} at position {error.start}.")
    start = cast(UnicodeEncodeError, error).start
    return InvalidJSON(f"The JSON holds one half of a surrogate pair at position {start}.")


def _located(error: json.JSONDecodeError) -> InvalidJSON:
    if not error.doc.strip():
        return InvalidJSON("The JSON is empty.", line=1, column=1)
    return InvalidJSON(
        f"The JSON is not valid: {error.msg} (line {error.lineno}, column {error.colno}).",
        line=error.lineno,
        column=error.colno,
    )


def _refuse_constant(name: str) -> Any:
    raise InvalidJSON(f"{name} is not a JSON number.")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise InvalidJSON("The JSON holds a number that is too large.")
    return value


_STRICT: dict[str, Any] = {"parse_constant": _refuse_constant, "parse_float": _finite}

_decoder = json.JSONDecoder(**_STRICT)
_scan: Callable[[str, int], tuple[Any, int]] = cast(Any, _decoder).scan_once
_SPACE = " \t\n\r"
_MARK = "\ufeff"  # of the byte order, which may be ignored (RFC 8259, 8.1)


def _decoded(text: str) -> Any:
    # PERF: decode() looks for white space with two regular expressions, 40 % of a small text.
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        # There is space or a mark in front, or that says what is wrong.
        return _decoder.decode(text.removeprefix(_MARK))
    if end != len(text) and text[end:].strip(_SPACE):
        return _decoder.decode(text)
    return value


# A pair, half a pair, any other escape: in this order, each backslash belongs to one match.
_ESCAPE = pattern(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
)


def _has_lone_surrogate(text: str) -> bool:
    return any(match["half"] for match in _ESCAPE.finditer(text))
