"""From what a person types to an app. Imports modules; serves nothing."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import IO, Any, cast

import click

from ..app import App
from ..concurrency import is_async
from ..debugger import traceback_text
from .environment import variable

__all__ = [
    "ImportFailed",
    "Location",
    "NoAppException",
    "NoModule",
    "NothingSaid",
    "default_location",
    "is_asgi",
    "locate",
    "nothing_found",
]

DEFAULT_FILES = ("wsgi.py", "app.py", "asgi.py")
_NAMES = ("app", "application")
_FACTORIES = ("create_app", "make_app")


class NoAppException(click.UsageError):
    """There is no app where one was looked for; the message says where and what to do."""


class NoModule(NoAppException):
    """There is no module of that name."""


class ImportFailed(NoAppException):
    """The module of the app failed to import something; that error is the cause."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the traceback alone: how the command is used has nothing to do with it."""
        click.echo(self.message, file=file, err=file is None, nl=False)


class NothingSaid(NoAppException):
    """Nobody said where the app is, and it is in none of the usual places."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where an app is said to be."""

    module: str
    """Dotted name, importable once :attr:`folder` is on ``sys.path``."""
    folder: str
    expression: str | None
    """What to take of the module: a name, or a call of a factory."""

    def load(self, *, any_asgi: bool = False) -> Any:
        """Import the module and return its app.

        With *any_asgi* it may be any ASGI app, around an app of ours for example.

        :raises NoAppException: if there is none, or its module raises an ImportError.
        :raises Exception: whatever else the module raises.
        """
        self.put_on_path()
        module = self._import()
        if self.expression is None:
            return _best_of(module, any_asgi)
        found = _evaluate(module, self.expression)
        return _checked(found, f"{self.module}:{self.expression}", any_asgi)

    def put_on_path(self) -> str:
        """Make the module importable, and return its name."""
        if sys.path[:1] != [self.folder]:
            sys.path.insert(0, self.folder)
        return self.module

    def _import(self) -> ModuleType:
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            # Only if it is the module itself, and not one that it imports.
            if error.name is None or f"{self.module}.".startswith(f"{error.name}."):
                raise NoModule(self._not_found()) from None
            raise ImportFailed(traceback_text(error)) from error
        except ImportError as error:
            raise ImportFailed(traceback_text(error)) from error

    def _not_found(self) -> str:
        message = f"Could not import {self.module!r}: there is no such module in {self.folder!r}."
        try:
            entries = os.listdir(self.folder)
        except OSError:
            return message
        names = [name.removesuffix(".py") for name in entries if name.endswith(".py")]
        close = get_close_matches(self.module, names, n=1)
        return f"{message} Did you mean {close[0]!r}?" if close else message


def locate(text: str | os.PathLike[str]) -> Location:
    """Read ``module``, ``module:name``, ``module:factory("x")``, or a path in place of a module."""
    text = os.fspath(text)
    # A colon before a slash belongs to a drive of Windows.
    path, _, expression = re.sub(r":(?![\\/])", "\n", text.strip(), count=1).partition("\n")
    module, folder = _module_of(path.strip())
    return Location(module, folder, expression.strip() or None)


def default_location() -> Location | None:
    """Return the first of the files that are looked at when nothing was said."""
    for file in DEFAULT_FILES:
        if os.path.isfile(file):
            return locate(file)
    return None


def _module_of(text: str) -> tuple[str, str]:
    """Return the dotted name for a path, and the folder that it is importable from."""
    path = os.path.realpath(text)
    name, extension = os.path.splitext(path)
    if extension == ".py":
        path = name
    if os.path.basename(path) == "__init__":
        path = os.path.dirname(path)
    parts: list[str] = []
    while True:
        path, part = os.path.split(path)
        parts.insert(0, part)
        if not os.path.isfile(os.path.join(path, "__init__.py")):
            return ".".join(parts), path


# -- in a module -------------------------------------------------------------------------------


def _best_of(module: ModuleType, any_asgi: bool) -> Any:
    """Find the app of *module*: by name, the only one there is, or made by a factory."""
    for name in _NAMES:
        found = getattr(module, name, None)
        if isinstance(found, App) or (any_asgi and is_asgi(found)):
            return found
    apps = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    if len({id(app) for app in apps.values()}) == 1:
        return next(iter(apps.values()))
    if apps:
        name = next(iter(apps))
        raise NoAppException(
            f"There are several Erlen apps in the module {module.__name__!r}:"
            f" {', '.join(apps)}. Say which one: --app {module.__name__}:{name}."
        )
    for name in _FACTORIES:
        factory = getattr(module, name, None)
        if inspect.isfunction(factory):
            made = _call(factory, f"{module.__name__}:{name}", (), {})
            return _checked(made, f"{module.__name__}:{name}()", any_asgi)
    for name in _NAMES:
        if getattr(module, name, None) is not None:
            return _checked(getattr(module, name), f"{module.__name__}:{name}", any_asgi)
    raise NoAppException(
        f"There is no Erlen app and no app factory in the module {module.__name__!r}. It is"
        f" looked for as {', '.join(_NAMES)}, {' and '.join(_FACTORIES)}; one of another name is"
        f" found with --app {module.__name__}:name."
    )


def _evaluate(module: ModuleType, expression: str) -> Any:
    """Take ``name``, ``name.name`` or ``factory("literal", key=1)`` out of *module*."""
    where = f"{module.__name__}:{expression}"
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError:
        raise _unreadable(expression) from None
    if not isinstance(tree, ast.Call):
        found = _look_up(module, tree, expression)
        is_factory = inspect.isfunction(found) and not _takes_a_scope(found)
        return _call(found, where, (), {}) if is_factory else found
    factory = _look_up(module, tree.func, expression)
    try:
        arguments = [ast.literal_eval(argument) for argument in tree.args]
        keywords = {str(one.arg): ast.literal_eval(one.value) for one in tree.keywords}
    except ValueError:
        raise NoAppException(
            f"The arguments of {expression!r} have to be literals: strings, numbers, None..."
        ) from None
    return _call(factory, where, arguments, keywords)


def _look_up(module: ModuleType, tree: ast.expr, expression: str) -> Any:
    if isinstance(tree, ast.Name):
        holder: Any = module
        name = tree.id
    elif isinstance(tree, ast.Attribute):
        holder = _look_up(module, tree.value, expression)
        name = tree.attr
    else:
        raise _unreadable(expression)
    try:
        return getattr(holder, name)
    except AttributeError:
        owner = f"module {module.__name__!r}" if holder is module else repr(holder)
        close = get_close_matches(name, vars(module), n=1)
        hint = f" Did you mean {close[0]!r}?" if close and holder is module else ""
        raise NoAppException(f"The {owner} has no {name!r}.{hint}") from None


def _unreadable(expression: str) -> NoAppException:
    return NoAppException(
        f"What comes after the colon is a name, or a call of an app factory: {expression!r} is"
        " neither."
    )


def _call(factory: Any, where: str, arguments: Any, keywords: Any) -> Any:
    if not callable(factory):
        raise NoAppException(f"{where!r} is a {type(factory).__name__} and cannot be called.")
    if is_async(factory):
        raise NoAppException(
            f"The factory {where!r} is async def. The loop that the app is served on is not there"
            " yet: make it def, and put what has to wait into @app.before_serving."
        )
    try:
        inspect.signature(factory).bind(*arguments, **keywords)
    except TypeError as error:
        name = where.partition("(")[0]
        raise NoAppException(
            f"The factory {where!r} cannot be called like that: {error}. Pass what it needs:"
            f" --app '{name}(\"value\")'."
        ) from None
    except ValueError:
        pass
    return factory(*arguments, **keywords)


# -- what was found ----------------------------------------------------------------------------


def is_asgi(thing: Any) -> bool:
    """Say whether *thing* looks like an ASGI app: called with a scope, and awaited."""
    if inspect.isclass(thing) or not callable(thing):
        return False
    return _takes_a_scope(thing) if inspect.isfunction(thing) else is_async(thing)


def _takes_a_scope(function: Any) -> bool:
    return is_async(function) and len(inspect.signature(function).parameters) >= 3


def _checked(thing: Any, where: str, any_asgi: bool) -> Any:
    if isinstance(thing, App) or (any_asgi and is_asgi(thing)):
        return thing
    if thing is None:
        raise NoAppException(
            f"{where!r} is None. If it is an app factory, did you forget to return the app?"
        )
    kind = cast(type[object], type(thing))
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    message = f"{where!r} is a {name}, and not an Erlen app."
    if is_asgi(thing):
        module = where.partition(":")[0]
        inside = vars(sys.modules[module]).items() if module in sys.modules else ()
        own = next((name for name, value in inside if isinstance(value, App)), "name")
        message += (
            " 'erlen run' serves it, as it does any ASGI app. For this command name the Erlen app"
            f" itself: --app {module}:{own}."
        )
    elif hasattr(thing, "wsgi_app"):
        message += " It is a WSGI app: mount it in an Erlen app, or serve it with a WSGI server."
    raise NoAppException(message)


def nothing_found() -> NothingSaid:
    """Return the error for when nothing was said and nothing is there."""
    files = ", ".join(DEFAULT_FILES)
    likely = [file.stem for file in sorted(Path().glob("*.py"))[:50] if _mentions_app(file)]
    example = likely[0] if likely else "hello"
    return NothingSaid(
        f"Could not find an app. Say where it is: 'erlen --app {example} run' for {example}.py, or"
        f" set the environment variable {variable('APP')}. Without that, {files} are looked for in"
        f" the current directory, {str(Path.cwd())!r}."
    )


def _mentions_app(file: Path) -> bool:
    try:
        return b"Erlen(" in file.read_bytes()[:65536]
    except OSError:
        return False
