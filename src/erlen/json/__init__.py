"""JSON as the current app writes and reads it. Which app that is, others say."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from ..errors import SetupError
from .provider import DefaultJSONProvider, InvalidJSON, JSONProvider

__all__ = [
    "DefaultJSONProvider",
    "InvalidJSON",
    "JSONProvider",
    "dump",
    "dumps",
    "load",
    "loads",
    "use_provider",
]


def dumps(obj: Any, **kwargs: Any) -> str:
    """Write *obj* as JSON, with the provider of the current app or the default one."""
    return _provider().dumps(obj, **kwargs)


def loads(s: str | bytes, **kwargs: Any) -> Any:
    """Read JSON, with the provider of the current app or the default one."""
    return _provider().loads(s, **kwargs)


def dump(obj: Any, fp: IO[str], **kwargs: Any) -> None:
    """Write *obj* as JSON to a text file."""
    _provider().dump(obj, fp, **kwargs)


def load(fp: IO[Any], **kwargs: Any) -> Any:
    """Read JSON from a file of text or bytes."""
    return _provider().load(fp, **kwargs)


_default = DefaultJSONProvider()


def _default_provider() -> JSONProvider:
    return _default


_provider: Callable[[], JSONProvider] = _default_provider


def use_provider(getter: Callable[[], JSONProvider | None]) -> None:
    """Let *getter* say whose JSON is used now; ``None`` stands for the default provider.

    Called once, by the module that knows the current app.

    :raises SetupError: if it was called before.
    """
    global _provider
    if _provider is not _default_provider:
        raise SetupError(
            f"The JSON provider is already chosen by {_provider!r}. To change how one app"
            " writes JSON, set app.json or json_provider_class."
        )
    _provider = lambda: getter() or _default  # noqa: E731
