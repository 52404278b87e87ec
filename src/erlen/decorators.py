"""Decorators that work with and without parentheses, typed for both. Write into a registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

from .errors import SetupTypeError
from .registry import Inline, Registry

__all__ = ["HookDecorator", "NameDecorator", "hook_decorator", "template_decorator"]

F = TypeVar("F", bound=Callable[..., Any])


class Owner(Protocol):
    """An app or a blueprint: what the decorators are attributes of."""

    registry: Registry

    def check_setup(self, name: str) -> None: ...


class HookDecorator:
    """Takes a hook: ``@app.before_request``, or ``@app.before_request(inline=True)``.

    *inline* says that a ``def`` hook never blocks; it runs on the event loop then.
    """

    __slots__ = ("_check", "_hooks", "_name")

    def __init__(self, name: str, check: Callable[[str], None], hooks: list[Any]) -> None:
        self._name = name
        self._check = check
        self._hooks = hooks

    @overload
    def __call__(self, hook: F, /, *, inline: bool = False) -> F: ...
    @overload
    def __call__(self, hook: None = None, /, *, inline: bool = False) -> Callable[[F], F]: ...
    def __call__(self, hook: Any = None, /, *, inline: bool = False) -> Any:
        """Write *hook* down and return it."""

        def register(function: Any) -> Any:
            self._check(self._name)
            if not callable(function):
                raise SetupTypeError(f"{self._name} takes a function, not {function!r}.")
            self._hooks.append(Inline(function) if inline else function)
            return function

        return register if hook is None else register(hook)


class NameDecorator:
    """Takes a function under its own name or another: ``@app.template_filter("money")``."""

    __slots__ = ("_check", "_name", "_table")

    def __init__(self, name: str, check: Callable[[str], None], table: dict[str, Any]) -> None:
        self._name = name
        self._check = check
        self._table = table

    @overload
    def __call__(self, name: F) -> F: ...
    @overload
    def __call__(self, name: str | None = None) -> Callable[[F], F]: ...
    def __call__(self, name: Any = None) -> Any:
        """Write the function down and return it."""

        def register(function: Any) -> Any:
            self._check(self._name)
            self._table[name if isinstance(name, str) else function.__name__] = function
            return function

        return register(name) if callable(name) else register


class hook_decorator:
    """Makes a :class:`HookDecorator` for hooks of *kind*, kept in a registry of its owner."""

    def __init__(self, kind: str, registry: str = "registry") -> None:
        self.kind = kind
        self.registry = registry
        self.name = kind

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: Any = None) -> hook_decorator: ...
    @overload
    def __get__(self, owner: Owner, kind: Any = None) -> HookDecorator: ...
    def __get__(self, owner: Owner | None, kind: Any = None) -> Any:
        if owner is None:
            return self
        registry: Registry = getattr(owner, self.registry)
        return HookDecorator(self.name, owner.check_setup, registry.hooks[self.kind][""])


class template_decorator:
    """Makes a :class:`NameDecorator` for filters, tests or globals of templates."""

    def __init__(self, kind: str, registry: str = "registry") -> None:
        self.kind = kind
        self.registry = registry
        self.name = kind

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: Any = None) -> template_decorator: ...
    @overload
    def __get__(self, owner: Owner, kind: Any = None) -> NameDecorator: ...
    def __get__(self, owner: Owner | None, kind: Any = None) -> Any:
        if owner is None:
            return self
        registry: Registry = getattr(owner, self.registry)
        return NameDecorator(self.name, owner.check_setup, registry.template[self.kind])
