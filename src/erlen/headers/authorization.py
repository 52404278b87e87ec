"""Who somebody says they are, and how they are asked. Checks no password."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Self

from ..http import is_token, parse_dict_header, quote_string

__all__ = ["Authorization", "WWWAuthenticate"]

# Clients know these only without quotes (RFC 7616, 3.3).
_NOT_QUOTED = frozenset({"algorithm", "stale"})

_SLOTS = frozenset({"_on_update", "_parameters", "_token", "_type", "parameters", "token", "type"})


class Authorization:
    """What an ``Authorization`` header says.

    Parameters are attributes too: ``authorization.username``; one that was not sent is ``None``.
    """

    __slots__ = ("parameters", "token", "type")

    def __init__(
        self,
        type: str,
        parameters: Mapping[str, str | None] | None = None,
        token: str | None = None,
    ) -> None:
        self.type = type.lower()
        """The scheme in lower case: ``"basic"``, ``"bearer"``."""
        self.parameters: dict[str, str | None] = dict(parameters or {})
        """The parameters; ``username`` and ``password`` of Basic."""
        self.token = token
        """What stands there instead of parameters, as for Bearer."""

    @classmethod
    def from_header(cls, value: str | None) -> Self | None:
        """Parse the header; ``None`` if there is none or Basic is no base64 of UTF-8."""
        scheme, _, rest = (value or "").strip().partition(" ")
        scheme, rest = scheme.lower(), rest.strip()
        if not scheme:
            return None
        if scheme != "basic":
            return cls(scheme, *_parse_rest(rest))
        try:
            username, _, password = b64decode(rest, validate=True).decode().partition(":")
        except ValueError:
            return None
        return cls(scheme, {"username": username, "password": password})

    @property
    def username(self) -> str | None:
        """The name, of Basic and Digest."""
        return self.parameters.get("username")

    @property
    def password(self) -> str | None:
        """The password, of Basic."""
        return self.parameters.get("password")

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a parameter, or *default*."""
        return self.parameters.get(name, default)

    def to_header(self) -> str:
        """Write the header."""
        if self.type == "basic" and self.token is None:
            secret = f"{self.username or ''}:{self.password or ''}".encode()
            return f"Basic {b64encode(secret).decode('ascii')}"
        return _dump(self.type, self.token, self.parameters, _quoted_if_needed)

    def __getitem__(self, name: str) -> str | None:
        return self.parameters.get(name)

    def __getattr__(self, name: str) -> str | None:
        if name in _SLOTS or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.parameters.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self.parameters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Authorization):
            return NotImplemented
        return (self.type, self.token, self.parameters) == (
            other.type,
            other.token,
            other.parameters,
        )

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        # WHY: without values: this ends in logs, and they are passwords and tokens.
        return f"<{type(self).__name__} {self.type} {self.username!r}>"


class WWWAuthenticate:
    """How a client is asked to say who it is: ``WWWAuthenticate("basic", {"realm": "Cellar"})``.

    Parameters are items, and can be read as attributes: one that is missing is ``None``, one
    that is set to ``None`` is removed. *on_update* is called with this object after each change.
    """

    __slots__ = ("_parameters", "_token", "_type", "on_update")

    def __init__(
        self,
        type: str = "basic",
        parameters: Mapping[str, str | None] | None = None,
        token: str | None = None,
        on_update: Callable[[WWWAuthenticate], object] | None = None,
    ) -> None:
        if not is_token(type):
            raise ValueError(f"{type!r} is no authentication scheme; give 'basic' or another name.")
        self._type = type.lower()
        self._parameters: dict[str, str] = {}
        for name, value in (parameters or {}).items():
            _put(self._parameters, name, value)
        self._token = token
        self.on_update = on_update

    @classmethod
    def from_header(cls, value: str | None) -> Self | None:
        """Parse a header with one challenge; ``None`` if there is none."""
        scheme, _, rest = (value or "").strip().partition(" ")
        if not is_token(scheme):
            return None
        parameters, token = _parse_rest(rest.strip())
        return cls(scheme, {k: v for k, v in parameters.items() if is_token(k)}, token)

    @property
    def type(self) -> str:
        """The scheme in lower case."""
        return self._type

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters; set them as items of this object."""
        return MappingProxyType(self._parameters)

    @property
    def token(self) -> str | None:
        """What stands there instead of parameters."""
        return self._token

    @token.setter
    def token(self, token: str | None) -> None:
        self._token = token
        self._tell()

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a parameter, or *default*."""
        return self._parameters.get(name, default)

    def to_header(self) -> str:
        """Write the header. Values are quoted, as the oldest clients need the realm to be."""
        return _dump(self._type, self._token, self._parameters, _quoted)

    def __getitem__(self, name: str) -> str | None:
        return self._parameters.get(name)

    def __setitem__(self, name: str, value: str | None) -> None:
        _put(self._parameters, name, value)
        self._tell()

    def __delitem__(self, name: str) -> None:
        self._parameters.pop(name, None)
        self._tell()

    def __getattr__(self, name: str) -> str | None:
        if name in _SLOTS or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._parameters.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WWWAuthenticate):
            return NotImplemented
        return self.to_header() == other.to_header()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()!r}>"

    def _tell(self) -> None:
        if self.on_update is not None:
            self.on_update(self)


def _parse_rest(rest: str) -> tuple[dict[str, str | None], str | None]:
    if "=" in rest.rstrip("="):
        return parse_dict_header(rest), None
    return {}, rest or None


def _put(parameters: dict[str, str], name: str, value: str | None) -> None:
    if not is_token(name):
        raise ValueError(f"{name!r} is no name of a parameter; use letters, digits and -.")
    if value is None:
        parameters.pop(name, None)
    else:
        parameters[name] = value


def _dump(
    scheme: str,
    token: str | None,
    parameters: Mapping[str, str | None],
    write: Callable[[str, str], str],
) -> str:
    scheme = scheme.title()
    if token is not None:
        return f"{scheme} {token}"
    items = ", ".join(
        name if value is None else f"{name}={write(name, value)}"
        for name, value in parameters.items()
    )
    return f"{scheme} {items}" if items else scheme


def _quoted_if_needed(name: str, value: str) -> str:
    return quote_string(value)


def _quoted(name: str, value: str) -> str:
    return value if name in _NOT_QUOTED and is_token(value) else quote_string(value, always=True)
