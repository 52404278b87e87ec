"""What caches may do. Knows the directives of ``Cache-Control``, and stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

from ..http import parse_dict_header, parse_seconds, quote_string

__all__ = [
    "CacheControl",
    "RequestCacheControl",
    "ResponseCacheControl",
    "parse_cache_control_header",
]

T = TypeVar("T")
Directives: TypeAlias = "Mapping[str, str | None]"


class _Directive(Generic[T]):
    """A directive that can be read as an attribute."""

    __slots__ = ("name", "read")

    def __init__(self, name: str, read: Callable[[Directives, str], T]) -> None:
        self.name = name
        self.read = read

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> _Directive[T]: ...
    @overload
    def __get__(self, instance: CacheControl, owner: type[Any]) -> T: ...
    def __get__(self, instance: CacheControl | None, owner: type[Any]) -> _Directive[T] | T:
        return self if instance is None else self.read(instance, self.name)


class _LiveDirective(_Directive[T]):
    """A directive that can be set and deleted too; ``None`` and ``False`` delete it."""

    __slots__ = ()

    def __set__(self, instance: ResponseCacheControl, value: T) -> None:
        if value is None or value is False:
            self.__delete__(instance)
        elif value is True:
            instance[self.name] = None
        elif isinstance(value, str):
            instance[self.name] = value
        else:
            instance[self.name] = _seconds_of(self.name, value)

    def __delete__(self, instance: ResponseCacheControl) -> None:
        instance.pop(self.name, None)


def _flag(directives: Directives, name: str) -> bool:
    return name in directives


def _seconds(directives: Directives, name: str) -> int | None:
    return parse_seconds(directives.get(name))


def _seconds_or_bare(directives: Directives, name: str) -> int | Literal[True] | None:
    if directives.get(name, "") is None:
        return True
    return parse_seconds(directives.get(name))


def _fields_or_bare(directives: Directives, name: str) -> str | Literal[True] | None:
    if name not in directives:
        return None
    return directives[name] or True


def _seconds_of(name: str, value: Any) -> str:
    seconds = int(value)
    if seconds < 0:
        raise ValueError(f"{name}={value!r} is in the past; give 0 or more seconds, or None.")
    return str(seconds)


class CacheControl(Mapping[str, "str | None"]):
    """The directives of a ``Cache-Control`` header, in lower case; without a value: ``None``."""

    __slots__ = ("_directives",)

    def __init__(self, directives: Directives | None = None) -> None:
        self._directives = {k.lower(): v for k, v in (directives or {}).items()}

    def to_header(self) -> str:
        """Write the header."""
        return ", ".join(
            name if value is None else f"{name}={quote_string(value)}"
            for name, value in self._directives.items()
        )

    def __getitem__(self, name: str) -> str | None:
        return self._directives[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._directives)

    def __len__(self) -> int:
        return len(self._directives)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._directives!r})"


class RequestCacheControl(CacheControl):
    """What a client asks of the caches on its way. Times are in seconds."""

    __slots__ = ()

    max_age = _Directive("max-age", _seconds)
    max_stale = _Directive("max-stale", _seconds_or_bare)
    min_fresh = _Directive("min-fresh", _seconds)
    no_cache = _Directive("no-cache", _flag)
    no_store = _Directive("no-store", _flag)
    no_transform = _Directive("no-transform", _flag)
    only_if_cached = _Directive("only-if-cached", _flag)
    stale_if_error = _Directive("stale-if-error", _seconds)


class ResponseCacheControl(CacheControl, MutableMapping[str, "str | None"]):
    """What caches may do with a response. Times are in seconds.

    Attributes are set to a number, a list of fields, or ``True``; ``None`` and ``False`` remove
    the directive. *on_update* is called with this object after each change.
    """

    __slots__ = ("on_update",)

    def __init__(
        self,
        directives: Directives | None = None,
        on_update: Callable[[ResponseCacheControl], object] | None = None,
    ) -> None:
        super().__init__(directives)
        self.on_update = on_update

    immutable = _LiveDirective("immutable", _flag)
    max_age = _LiveDirective("max-age", _seconds)
    must_revalidate = _LiveDirective("must-revalidate", _flag)
    must_understand = _LiveDirective("must-understand", _flag)
    no_cache = _LiveDirective("no-cache", _fields_or_bare)
    no_store = _LiveDirective("no-store", _flag)
    no_transform = _LiveDirective("no-transform", _flag)
    private = _LiveDirective("private", _fields_or_bare)
    proxy_revalidate = _LiveDirective("proxy-revalidate", _flag)
    public = _LiveDirective("public", _flag)
    s_maxage = _LiveDirective("s-maxage", _seconds)
    stale_if_error = _LiveDirective("stale-if-error", _seconds)
    stale_while_revalidate = _LiveDirective("stale-while-revalidate", _seconds)

    def __setitem__(self, name: str, value: str | None) -> None:
        self._directives[name.lower()] = value
        self._tell()

    def __delitem__(self, name: str) -> None:
        del self._directives[name]
        self._tell()

    def _tell(self) -> None:
        if self.on_update is not None:
            self.on_update(self)


@overload
def parse_cache_control_header(value: str | None) -> RequestCacheControl: ...
@overload
def parse_cache_control_header(
    value: str | None, on_update: Callable[[ResponseCacheControl], object]
) -> ResponseCacheControl: ...
def parse_cache_control_header(
    value: str | None, on_update: Callable[[ResponseCacheControl], object] | None = None
) -> RequestCacheControl | ResponseCacheControl:
    """Parse a ``Cache-Control`` header: of a response if there is *on_update*, else a request."""
    directives = parse_dict_header(value or "")
    if on_update is None:
        return RequestCacheControl(directives)
    return ResponseCacheControl(directives, on_update)
