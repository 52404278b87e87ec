"""Names that mean something else in every request. Knows one ContextVar, not what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from operator import attrgetter
from typing import Any, cast

from .errors import ContextError

__all__ = ["Proxy", "current", "proxy_of"]

current: ContextVar[Any] = ContextVar("erlen.context", default=None)
"""The context that is open here: of a request, a websocket, an app, or ``None``."""


class Proxy:
    """Stand for the object that *resolve* returns at the moment of use.

    ``bool()`` is false and ``repr()`` works where there is none; every other use raises
    what *resolve* raises.
    """

    __slots__ = ("__name", "__resolve", "__weakref__")

    __name: str
    __resolve: Callable[[], Any]

    def __init__(self, name: str, resolve: Callable[[], Any]) -> None:
        object.__setattr__(self, "_Proxy__name", name)
        object.__setattr__(self, "_Proxy__resolve", resolve)

    def _get_current_object(self) -> Any:
        """Return the object itself, for code that must outlive the context."""
        return self.__resolve()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__resolve(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__resolve(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__resolve(), name)

    def __repr__(self) -> str:
        try:
            target = self.__resolve()
        except ContextError:
            return f"<{self.__name} unbound>"
        return repr(target)

    def __bool__(self) -> bool:
        try:
            target = self.__resolve()
        except ContextError:
            return False
        return bool(target)

    def __hash__(self) -> int:
        name = self.__name
        typed = name in ("request", "websocket")
        itself = f"current_{name}()" if typed else f"{name}._get_current_object()"
        raise TypeError(
            f"'{name}' is a proxy: it is another object in every request, so a set or a dict of"
            f" it would hold one element. Use the object itself: {itself} returns it."
        )

    def __dir__(self) -> list[str]:
        try:
            return dir(self.__resolve())
        except ContextError:
            return []

    # isinstance(request, Request) asks for the class of the object, not of the proxy.
    @property
    def __class__(self) -> type:
        try:
            found: type = self.__resolve().__class__
        except ContextError:
            return Proxy
        return found

    @__class__.setter
    def __class__(self, value: type) -> None:
        self.__resolve().__class__ = value  # pragma: no cover: for checkers, see __setattr__

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        found: dict[str, Any] = self.__resolve().__dict__
        return found

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        try:
            return type(self.__resolve()).__doc__
        except ContextError:
            return None

    def __str__(self) -> str:
        return str(self.__resolve())

    def __eq__(self, other: object) -> bool:
        return bool(self.__resolve() == other)

    def __ne__(self, other: object) -> bool:
        return bool(self.__resolve() != other)

    def __lt__(self, other: Any) -> Any:
        return self.__resolve() < other

    def __le__(self, other: Any) -> Any:
        return self.__resolve() <= other

    def __gt__(self, other: Any) -> Any:
        return self.__resolve() > other

    def __ge__(self, other: Any) -> Any:
        return self.__resolve() >= other

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self.__resolve()(*args, **kwargs)

    def __enter__(self) -> Any:
        return self.__resolve().__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self.__resolve().__exit__(*error)

    def __len__(self) -> int:
        return len(self.__resolve())

    def __getitem__(self, key: Any) -> Any:
        return self.__resolve()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__resolve()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self.__resolve()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__resolve())

    def __aiter__(self) -> Any:
        return self.__resolve().__aiter__()

    def __contains__(self, item: Any) -> bool:
        return item in self.__resolve()

    def __or__(self, other: Any) -> Any:
        return self.__resolve() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.__resolve()


def proxy_of(shown: type[Any], name: str) -> type[Proxy]:
    """Return a class of proxies that finds the public attributes of *shown* faster.

    *name* is the attribute of a context that holds the object.

    PERF: an attribute that the class of the proxy does not know costs an ``AttributeError``
    inside before ``__getattr__`` is asked. These are looked up in C, up to the context's own
    property. Where there is no context they fail, and ``__getattr__`` says why; every other
    attribute goes that way anyway.
    """
    public = [each for each in dir(shown) if not each.startswith("_")]
    found = {each: property(attrgetter(f"_context.{name}.{each}")) for each in public}
    members = {"__slots__": (), "_context": property(cast(Any, current.get)), **found}
    return type("Proxy", (Proxy,), members)
