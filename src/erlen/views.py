"""Views that are classes. Knows nothing of routing: ``as_view`` makes a plain view of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from inspect import getattr_static, iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, ClassVar

from .concurrency import is_async
from .errors import SetupTypeError
from .exceptions import MethodNotAllowed
from .globals import request

__all__ = ["MethodView", "View"]

# A method allow-list: the attribute that serves a method is looked up in here, never by what a
# client sent.
_HTTP_METHODS = frozenset(
    {"get", "post", "head", "options", "delete", "put", "trace", "patch", "query"}
)


class View:
    """A view whose work is done by :meth:`dispatch_request`, which may be ``async def``."""

    methods: ClassVar[Collection[str] | None] = None
    """The methods that it answers; ``None`` leaves that to the rule."""
    provide_automatic_options: ClassVar[bool | None] = None
    decorators: ClassVar[list[Callable[..., Any]]] = []
    """Applied to the view function, the first one innermost."""
    init_every_request: ClassVar[bool] = True
    """Whether each request gets an instance of its own; without, they share one."""

    def dispatch_request(self, **values: Any) -> Any:
        """Answer the request. Subclasses must override this."""
        raise NotImplementedError

    @classmethod
    def as_view(cls, name: str, *class_args: Any, **class_kwargs: Any) -> Callable[..., Any]:
        """Return a view function with the endpoint *name*; arguments go to the class."""
        function: Any = None
        shared = None if cls.init_every_request else cls(*class_args, **class_kwargs)

        def instance() -> Any:
            # The class is looked up on the view, so that tests may patch it there.
            return shared or function.view_class(*class_args, **class_kwargs)

        view = _async_view(instance) if cls._is_async() else _plain_view(instance)
        for decorator in cls.decorators:
            view.__name__ = name
            view.__module__ = cls.__module__
            view = decorator(view)
        function = view
        function.view_class = cls
        function.__name__ = name
        function.__doc__ = cls.__doc__
        function.__module__ = cls.__module__
        function.methods = cls.methods
        function.provide_automatic_options = cls.provide_automatic_options
        if not cls.decorators:  # they may change what comes
            function.takes_values = cls._taking_values
        return view

    @classmethod
    def _taking_values(cls, methods: Collection[str] | None) -> list[Callable[..., Any]]:
        """Return what is called with the values of a rule that serves *methods*."""
        return [_bound(cls, "dispatch_request")]

    @classmethod
    def _is_async(cls) -> bool:
        return is_async(cls.dispatch_request)


def _bound(cls: type[View], name: str) -> Callable[..., Any]:
    """Return a method as an instance has it, without making one."""
    method = getattr_static(cls, name)
    found: Callable[..., Any] = getattr(cls, name)
    return MethodType(found, cls) if isinstance(method, FunctionType) else found


def _async_view(instance: Callable[[], Any]) -> Callable[..., Any]:
    async def view(**values: Any) -> Any:
        result = instance().dispatch_request(**values)
        return await result if hasattr(result, "__await__") else result

    return view


def _plain_view(instance: Callable[[], Any]) -> Callable[..., Any]:
    def view(**values: Any) -> Any:
        return instance().dispatch_request(**values)

    return view


class MethodView(View):
    """A view with one method for each HTTP method: ``get``, ``post`` and so on.

    They are all ``async def`` or all ``def``; HEAD is answered by ``get`` unless there is a
    ``head``.

    :raises SetupTypeError: if a class mixes the colours.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "methods" not in cls.__dict__:
            methods = {name.upper() for name in _HTTP_METHODS if hasattr(cls, name)}
            for base in cls.__bases__:
                methods.update(getattr(base, "methods", None) or ())
            if methods:
                cls.methods = methods
        cls._is_async()

    @classmethod
    def _taking_values(cls, methods: Collection[str] | None) -> list[Callable[..., Any]]:
        if cls.dispatch_request is not MethodView.dispatch_request:
            return super()._taking_values(methods)
        handlers = cls._handlers()
        served = {name.lower() for name in (cls.methods if methods is None else methods) or ()}
        if "head" in served and "head" not in handlers:
            served.add("get")
        return [_bound(cls, name) for name in sorted(served & handlers.keys())]

    @classmethod
    def _handlers(cls) -> dict[str, Any]:
        names = {method.lower() for method in cls.methods or ()}
        return {name: getattr(cls, name) for name in names if hasattr(cls, name)}

    @classmethod
    def _is_async(cls) -> bool:
        colours = {name: iscoroutinefunction(f) for name, f in cls._handlers().items()}
        if len(set(colours.values())) > 1:
            asynchronous = sorted(name for name, is_one in colours.items() if is_one)
            plain = sorted(name for name, is_one in colours.items() if not is_one)
            raise SetupTypeError(
                f"{cls.__qualname__} mixes colours: {', '.join(asynchronous)} are async def and"
                f" {', '.join(plain)} are def. One class is one view: make them all async def,"
                " or all def."
            )
        return any(colours.values())

    def dispatch_request(self, **values: Any) -> Any:
        """Call the method for the method of the request."""
        allowed = {name.upper() for name in self.methods or () if hasattr(self, name.lower())}
        method = request.method
        if method == "HEAD" and method not in allowed:
            method = "GET"
        if method not in allowed:
            raise MethodNotAllowed(allowed)
        return getattr(self, method.lower())(**values)
