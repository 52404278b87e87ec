"""What a client calls itself. Guesses nothing from it."""

from __future__ import annotations

__all__ = ["UserAgent"]


class UserAgent:
    """The ``User-Agent`` header; true if there is one.

    The attributes beside :attr:`string` are ``None`` here: a subclass that knows browsers, set
    as ``user_agent_class`` of a request class, may fill them.
    """

    __slots__ = ("string",)

    platform: str | None = None
    """The operating system."""
    browser: str | None = None
    """The name of the browser."""
    version: str | None = None
    """The version of the browser."""
    language: str | None = None
    """The language of the browser."""

    def __init__(self, string: str) -> None:
        self.string = string
        """The header as it was sent."""

    def to_header(self) -> str:
        """Write the header."""
        return self.string

    def __bool__(self) -> bool:
        return bool(self.string)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserAgent):
            return NotImplemented
        return self.string == other.string

    def __hash__(self) -> int:
        return hash(self.string)

    def __str__(self) -> str:
        return self.string

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.string!r}>"
