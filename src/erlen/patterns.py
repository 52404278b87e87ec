"""Regular expressions that are compiled when they are first used. Knows none of them."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

__all__ = ["pattern"]


def pattern(source: AnyStr, flags: re.RegexFlag | int = 0) -> re.Pattern[AnyStr]:
    """Return what :func:`re.compile` returns, as far as anybody can see.

    For what not every app needs: thirty expressions are a tenth of the import of Erlen, and a
    use costs 20 ns more than that of a compiled one.
    """
    return cast("re.Pattern[AnyStr]", _Later(source, flags))


class _Later:
    """An expression that becomes a pattern with the first look at one of its methods."""

    def __init__(self, source: Any, flags: re.RegexFlag | int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # Kept as an attribute of this object, where the next look finds it without us.
        found = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, found)
        return found

    def __repr__(self) -> str:
        return f"pattern({self._source!r})"
