"""From a piece of a path to a value and back. Knows nothing of the rules they stand in."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from .patterns import pattern

__all__ = [
    "DEFAULT_CONVERTERS",
    "AnyConverter",
    "BaseConverter",
    "FloatConverter",
    "IntegerConverter",
    "PathConverter",
    "UUIDConverter",
    "UnicodeConverter",
    "ValidationError",
    "quote_path",
]

_SAFE_IN_PATH = "!$&'()*+,/:;=@"
_UNSAFE_IN_PATH = pattern(rf"[^a-zA-Z0-9\-._~%{re.escape(_SAFE_IN_PATH)}]")


def _crosses_slashes(regex: str) -> bool:
    """Say whether *regex* lets a slash through; the one in ``[^/`` is none that it does."""
    return regex.count("/") > regex.count("[^/")


class ValidationError(ValueError):
    """The path does not match after all, or there is none for a value; see BaseConverter."""


class BaseConverter:
    """Turns a piece of a path into a value and back. Subclass it to add a kind of variable.

    *map* is the router that the rule belongs to; the other arguments are those in the rule,
    ``2`` and ``length=3`` in ``<name(2, length=3):variable>``.
    """

    regex: str = "[^/]+"
    """What the piece looks like; without anchors."""
    weight: int = 100
    """Where it stands among converters that compete for a segment; the lowest is tried first."""
    part_isolating: bool = True
    """Whether it stays between two slashes; found from a ``regex`` in the class body."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "regex" in vars(cls) and "part_isolating" not in vars(cls):
            cls.part_isolating = not _crosses_slashes(cls.regex)

    def __init__(self, map: Any, *args: Any, **kwargs: Any) -> None:
        self.map = map

    def to_python(self, value: str) -> Any:
        """Return the value that the view gets.

        :raises ValidationError: if the path does not match after all.
        """
        return value

    def to_url(self, value: Any) -> str:
        """Return the percent-encoded piece of path that stands for *value*.

        A slash in it is encoded too, unless the piece may span slashes.

        :raises ValidationError: if there is none: another rule of the endpoint may have one.
        """
        piece = quote_path(str(value))
        return piece.replace("/", "%2F") if self.isolated else piece

    @property
    def isolated(self) -> bool:
        """Whether this one stays between two slashes, also if its ``regex`` was made for it."""
        return self.part_isolating and not ("regex" in vars(self) and _crosses_slashes(self.regex))

    @property
    def shortcut(self) -> Callable[[str], Any] | None:
        """The shortest way from text to value; ``None`` if the text is the value."""
        return None if type(self).to_python is BaseConverter.to_python else self.to_python


class UnicodeConverter(BaseConverter):
    """``<name>``, ``<string(length=2):name>``: text without a slash. Lengths in characters."""

    def __init__(
        self,
        map: Any,
        minlength: int = 1,
        maxlength: int | None = None,
        length: int | None = None,
    ) -> None:
        super().__init__(map)
        low, high = (minlength, maxlength) if length is None else (length, length)
        if (low, high) != (1, None):
            for least in (low, high):
                if least is not None and int(least) < 0:
                    raise ValueError(f"a length is 0 or more characters, not {least}")
            self.regex = f"[^/]{{{int(low)},{'' if high is None else int(high)}}}"


class PathConverter(BaseConverter):
    """``<path:name>``: text that may contain slashes, but does not begin with one."""

    part_isolating = False
    regex = "[^/].*?"
    weight = 200


class AnyConverter(BaseConverter):
    """``<any(about, help):name>``: one of the words."""

    def __init__(self, map: Any, *items: Any) -> None:
        super().__init__(map)
        if not items:
            raise ValueError("it needs the words to choose from: <any(about, help):page>")
        self.items = tuple(str(item) for item in items)
        self.regex = f"(?:{'|'.join(re.escape(item) for item in self.items)})"

    def to_url(self, value: Any) -> str:
        """Return *value* itself.

        :raises ValueError: if it is none of the words.
        """
        if str(value) not in self.items:
            words = ", ".join(repr(item) for item in self.items)
            raise ValueError(f"{value!r} is none of {words}.")
        return quote_path(str(value))


class NumberConverter(BaseConverter):
    """What integers and floats share: a sign where it is allowed, a minimum and a maximum."""

    weight = 50

    def __init__(
        self,
        map: Any,
        fixed_digits: int = 0,
        min: float | None = None,
        max: float | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__(map)
        if fixed_digits < 0:
            raise ValueError(f"fixed_digits is 0 or more digits, not {fixed_digits}")
        if signed:
            self.regex = f"-?{self.regex}"
        self.fixed_digits = fixed_digits
        self.min = min
        self.max = max
        self.signed = signed

    def read(self, text: str) -> Any:
        """Return the number that *text* is.

        :raises ValidationError: if it is none after all.
        """
        raise NotImplementedError

    def to_python(self, value: str) -> Any:
        """Return the number.

        :raises ValidationError: if it is too small, too large, or of another width.
        """
        if self.fixed_digits and len(value) != self.fixed_digits:
            raise ValidationError(f"It does not have {self.fixed_digits} digits.")
        number = self.read(value)
        if (self.min is not None and number < self.min) or (
            self.max is not None and number > self.max
        ):
            raise ValidationError(f"{number!r} is not between {self.min} and {self.max}.")
        return number


class IntegerConverter(NumberConverter):
    """``<int:id>``: digits, with a sign only if ``signed=True``; ``fixed_digits`` pads with 0."""

    regex = "[0-9]+"

    def read(self, text: str) -> int:
        """Return the integer; one with more digits than Python reads is none."""
        try:
            return int(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def to_url(self, value: Any) -> str:
        """Return the digits.

        :raises ValueError: if *value* is no integer.
        """
        return str(int(value)).zfill(self.fixed_digits)

    @property
    def shortcut(self) -> Callable[[str], Any] | None:
        """``int`` itself, where nothing else is asked."""
        asked = self.fixed_digits or self.min is not None or self.max is not None
        kind = type(self)
        plain = kind.to_python is NumberConverter.to_python and kind.read is IntegerConverter.read
        return int if plain and not asked else super().shortcut


class FloatConverter(NumberConverter):
    """``<float:x>``: digits, a point, digits; with a sign only if ``signed=True``."""

    regex = r"[0-9]+\.[0-9]+"

    def __init__(
        self,
        map: Any,
        min: float | None = None,
        max: float | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__(map, min=min, max=max, signed=signed)

    def read(self, text: str) -> float:
        """Return the float; one that would be infinite is none."""
        number = float(text)
        if math.isinf(number):
            raise ValidationError(f"A number of {len(text)} characters is too large for a float.")
        return number

    def to_url(self, value: Any) -> str:
        """Return the digits, never in scientific notation: that would not match.

        :raises ValueError: if *value* is no finite number.
        """
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{value!r} cannot stand in a URL.")
        from decimal import Decimal

        digits = format(Decimal(repr(number)), "f")
        return digits if "." in digits else f"{digits}.0"


class UUIDConverter(BaseConverter):
    """``<uuid:id>``: a UUID with hyphens, in either case; the view gets a ``uuid.UUID``."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

    def to_python(self, value: str) -> uuid.UUID:
        """Return the UUID."""
        return uuid.UUID(value)

    def to_url(self, value: Any) -> str:
        """Return the UUID in lower case.

        :raises ValidationError: if *value* is none.
        """
        try:
            return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))
        except ValueError:
            raise ValidationError(f"{value!r} is no UUID.") from None


DEFAULT_CONVERTERS: Mapping[str, type[BaseConverter]] = {
    "default": UnicodeConverter,
    "string": UnicodeConverter,
    "any": AnyConverter,
    "path": PathConverter,
    "int": IntegerConverter,
    "float": FloatConverter,
    "uuid": UUIDConverter,
}
"""The converters that every app knows, by the name in the rule."""


def quote_path(text: str, *, encoded: bool = False) -> str:
    """Percent-encode what may not stand in a path; slashes stay.

    With *encoded*, what is percent-encoded already stays too.
    """
    if not _UNSAFE_IN_PATH.search(text) and (encoded or "%" not in text):
        return text
    safe = f"%{_SAFE_IN_PATH}" if encoded else _SAFE_IN_PATH
    return quote(text, safe=safe, errors="replace")
