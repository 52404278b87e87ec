"""Commands of apps: what they know of the app, and the context that they run in."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, cast

import click

from ..app import App
from ..proxies import current
from ..typing import ASGIApp
from .discovery import Location, default_location, locate, nothing_found
from .environment import debug_flag, variable

__all__ = [
    "AppGroup",
    "ScriptInfo",
    "info_of",
    "pass_script_info",
    "wants_context",
    "with_appcontext",
]


class ScriptInfo:
    """What a command line knows of the app before it is loaded.

    *create_app*, if given, makes the app; else it is found by *app_import_path*. With
    *set_debug_flag* its debug mode is that of the command line.
    """

    def __init__(
        self,
        app_import_path: str | None = None,
        create_app: Callable[[], App] | None = None,
        *,
        set_debug_flag: bool = True,
    ) -> None:
        self.app_import_path = app_import_path
        self.create_app = create_app
        self.set_debug_flag = set_debug_flag
        self.data: dict[Any, Any] = {}
        """For whatever commands want to share."""
        self._app: App | None = None

    @property
    def location(self) -> Location:
        """Where the app is said to be.

        :raises NoAppException: if nothing was said and no default file is there.
        """
        text = self.app_import_path or os.environ.get(variable("APP"))
        location = locate(text) if text else default_location()
        if location is None:
            raise nothing_found()
        return location

    def load_app(self) -> App:
        """Return the app; it is loaded once.

        :raises NoAppException: if there is none.
        :raises Exception: whatever its module raises.
        """
        if self._app is None:
            found = self.create_app() if self.create_app is not None else self.location.load()
            self._app = cast(App, self._debugged(found))
        return self._app

    def load_asgi(self) -> ASGIApp:
        """Return what is served: the app, or what is wrapped around it."""
        if self.create_app is not None:
            return self.load_app()
        return cast(ASGIApp, self._debugged(self.location.load(any_asgi=True)))

    def _debugged(self, app: Any) -> Any:
        if self.set_debug_flag and isinstance(app, App):
            app.debug = debug_flag()
        return app


_WITHOUT_CONTEXT = "erlen_without_context"

pass_script_info = click.make_pass_decorator(ScriptInfo, ensure=True)
"""Passes the :class:`ScriptInfo` to a command as its first argument."""


def info_of(context: click.Context) -> ScriptInfo:
    """Return what knows the app; a test runner may have brought something of its own."""
    here: click.Context | None = context
    while here is not None:
        if hasattr(here.obj, "load_app"):
            return cast(ScriptInfo, here.obj)
        here = here.parent
    return context.ensure_object(ScriptInfo)


def wants_context(command: click.Command) -> bool:
    """Say whether the callbacks of *command* run inside of an app context."""
    return not getattr(command, _WITHOUT_CONTEXT, False)


class AppGroup(click.Group):
    """A group whose commands run inside of an app context; ``app.cli`` is one."""

    def command(self, *args: Any, **kwargs: Any) -> Any:
        """Make the decorated function, of either colour, a command.

        The arguments are those of ``click.command``, and *with_appcontext*, which is true
        unless it says otherwise, and *lifespan*, which runs the app's start-up and shutdown
        around the command.
        """
        wanted = kwargs.pop("with_appcontext", True)
        lifespan = kwargs.pop("lifespan", False)
        bare = args[0] if args and callable(args[0]) else None
        named = args if bare is None else args[1:]

        def register(function: Callable[..., Any]) -> click.Command:
            if wanted:
                function = with_appcontext(function, lifespan=lifespan)
            made: click.Command = super(AppGroup, self).command(*named, **kwargs)(function)
            if not wanted:
                setattr(made, _WITHOUT_CONTEXT, True)
            return made

        return register if bare is None else register(bare)

    def group(self, *args: Any, **kwargs: Any) -> Any:
        """Make the decorated function a group of this kind."""
        kwargs.setdefault("cls", AppGroup)
        return super().group(*args, **kwargs)


def with_appcontext(function: Callable[..., Any] | None = None, *, lifespan: bool = False) -> Any:
    """Run a command inside of an app context; it may be ``async def``.

    With *lifespan* start-up and shutdown of the app run around it. Commands of ``app.cli``
    have this already.
    """
    if function is None:
        return functools.partial(with_appcontext, lifespan=lifespan)
    inner = function

    @click.pass_context
    def command(context: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        here = current.get()
        app = here.app if here is not None else info_of(context).load_app()
        call = functools.partial(context.invoke, inner, *args, **kwargs)
        if _is_async(inner):
            return _run(context, _on_loop(app, call, lifespan, around=here))
        with _around(app, lifespan, entered=here is not None):
            result = call()
            # What a decorator that knows nothing of us made of an async def.
            return _run(context, result) if inspect.iscoroutine(result) else result

    return functools.update_wrapper(command, inner)


def _is_async(function: Any) -> bool:
    """Say whether a command is ``async def``, below the decorators of click.

    Other decorators are not looked through: many of them run the coroutine themselves.
    """
    while getattr(function, "__globals__", {}).get("__name__", "").startswith("click."):
        function = function.__wrapped__
    return inspect.iscoroutinefunction(function)


async def _on_loop(
    app: Any, call: Callable[[], Coroutine[Any, Any, Any]], lifespan: bool, *, around: Any
) -> Any:
    async with app.serving() if lifespan else _context_within(app, around):
        return await call()


def _context_within(app: Any, around: Any) -> Any:
    """Return a context for this loop; one inside of another shares its ``g``.

    That other one is torn down by who entered it, and what was entered here ends here.
    """
    if around is None:
        return app.app_context()
    context = around.copy()
    context.globals = around.g
    return context


def _run(context: click.Context, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run *coroutine* to its end, also where a loop is running: in a test, for one."""
    if not _loop_is_running():
        return asyncio.run(coroutine)

    def elsewhere() -> Any:
        with context.scope(cleanup=False):
            return asyncio.run(coroutine)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, elsewhere).result()


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def _around(app: Any, lifespan: bool, *, entered: bool) -> Generator[None]:
    """Surround a ``def`` command with what it was promised."""
    if lifespan:
        with _served(app):
            yield
    elif entered:
        yield
    else:
        with app.app_context():
            yield


@contextmanager
def _served(app: Any) -> Generator[None]:
    """Run the lifespan of *app* on a loop in another thread, around code of this one."""
    started: Future[None] = Future()
    stop = asyncio.Event()

    async def live() -> None:
        try:
            async with app.serving():
                started.set_result(None)
                await stop.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    with _loop_in_thread() as loop:
        life = asyncio.run_coroutine_threadsafe(live(), loop)
        started.result()
        try:
            with app.app_context() as context:
                # What awaits in def code runs on the loop that start-up ran on.
                context.made_on = loop
                yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            life.result()


@contextmanager
def _loop_in_thread() -> Generator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="erlen-lifespan", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
