"""The configuration of an app: its defaults and where values come from. Knows no app."""

from __future__ import annotations

import errno
import json
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import IO, Any, Generic, Protocol, TypeAlias, TypeVar, cast, overload

from .errors import SetupError, SetupTypeError, SetupValueError

__all__ = ["DEFAULTS", "Config", "ConfigAttribute", "MissingVariable", "as_timedelta"]

T = TypeVar("T")

Path: TypeAlias = str | os.PathLike[str]

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        # Whether errors are shown to the client and templates reloaded; None: ERLEN_DEBUG.
        "DEBUG": None,
        # Whether exceptions reach the test instead of becoming a 500.
        "TESTING": False,
        # Whether unhandled exceptions are re-raised; None: when TESTING or DEBUG.
        "PROPAGATE_EXCEPTIONS": None,
        # Whether HTTP exceptions are treated like any other exception.
        "TRAP_HTTP_EXCEPTIONS": False,
        # Whether 400s are treated like other exceptions; None: missing keys only, in debug.
        "TRAP_BAD_REQUEST_ERRORS": None,
        # What cookies are signed with, str or bytes; None: there are no sessions.
        "SECRET_KEY": None,
        # A list of earlier secret keys, oldest first, that still verify but never sign.
        "SECRET_KEY_FALLBACKS": None,
        # Name of the session cookie.
        "SESSION_COOKIE_NAME": "session",
        # Domain whose subdomains get the session cookie too; None: this host only.
        "SESSION_COOKIE_DOMAIN": None,
        # URL path below which the session cookie is sent; None: APPLICATION_ROOT.
        "SESSION_COOKIE_PATH": None,
        # Whether scripts of the page are kept from the session cookie.
        "SESSION_COOKIE_HTTPONLY": True,
        # Whether the session cookie travels over https only; None: if it was set over https.
        "SESSION_COOKIE_SECURE": None,
        # Whether the session cookie is kept apart for each embedding site; implies secure.
        "SESSION_COOKIE_PARTITIONED": False,
        # Which foreign sites send the session cookie along: "Strict", "Lax" or "None".
        "SESSION_COOKIE_SAMESITE": "Lax",
        # Whether each response renews the cookie of a permanent session.
        "SESSION_REFRESH_EACH_REQUEST": True,
        # How long a session cookie is accepted: a timedelta, or seconds.
        "PERMANENT_SESSION_LIFETIME": timedelta(days=31),
        # Size in bytes above which a cookie is warned of, as browsers drop it; 0: never.
        "MAX_COOKIE_SIZE": 4093,
        # Host and port that URLs are built with outside of requests.
        "SERVER_NAME": None,
        # URL path that the app lives under, for URLs outside of requests and cookies.
        "APPLICATION_ROOT": "/",
        # Scheme that URLs are built with outside of requests.
        "PREFERRED_URL_SCHEME": "http",
        # List of accepted hosts, ".example.org" with its subdomains; None: every valid host.
        "TRUSTED_HOSTS": None,
        # Number of proxies whose X-Forwarded headers count, or a dict per header; None: 0.
        "TRUSTED_PROXIES": None,
        # List of origins that may open websockets, "*": all; None: the app's own.
        "WEBSOCKET_ORIGINS": None,
        # Largest request body in bytes, as received; None: no limit.
        "MAX_CONTENT_LENGTH": 16 * 1024 * 1024,
        # Largest sum of the form fields of a request in bytes, files aside; None: no limit.
        "MAX_FORM_MEMORY_SIZE": 500_000,
        # Largest number of fields and files in a form; None: no limit.
        "MAX_FORM_PARTS": 1_000,
        # Largest number of items in a query string.
        "MAX_QUERY_ITEMS": 1_000,
        # Largest number of cookies in a request.
        "MAX_COOKIES": 200,
        # Seconds to wait for each piece of a request body; None: no limit, nor is there a rate.
        "BODY_TIMEOUT": 60,
        # Bytes a second that a body comes with on average, BODY_TIMEOUT aside; None: any.
        "BODY_MIN_RATE": 500,
        # Methods whose views are cancelled when their client has left; True: all of them.
        "CANCEL_ON_DISCONNECT": ("GET", "HEAD"),
        # Seconds that open requests have when the server stops; None: 3, or 0.5 when DEBUG.
        "SHUTDOWN_GRACE": None,
        # Seconds that background tasks have to finish at shutdown before they are cancelled.
        "BACKGROUND_TASK_SHUTDOWN_TIMEOUT": 5,
        # Largest number of threads that run def views and hooks.
        "SYNC_WORKERS": 40,
        # Number of requests that may wait for such a thread; the next one gets a 503.
        "SYNC_QUEUE": 1_000,
        # Seconds that caches may keep static files without asking; None: they always ask.
        "SEND_FILE_MAX_AGE_DEFAULT": None,
        # Whether files are sent by the web server in front, named in X-Sendfile.
        "USE_X_SENDFILE": False,
        # Whether changed templates are loaded again; None: when DEBUG.
        "TEMPLATES_AUTO_RELOAD": None,
        # Whether each search for a template is logged.
        "EXPLAIN_TEMPLATE_LOADING": False,
        # Whether OPTIONS requests are answered by the framework.
        "PROVIDE_AUTOMATIC_OPTIONS": True,
    }
)
"""All keys of the framework, with their defaults."""


class MissingVariable(SetupError, RuntimeError):
    """An environment variable that a configuration is to come from is not set."""


class Config(dict[str, Any]):
    """A dict with ways to fill it from files, objects and the environment.

    Names in upper case are configuration; files and objects may hold other names, which
    are left out. Relative file names start at *root_path*.
    """

    on_change: Callable[[str], None] | None = None
    """Called with each key of :data:`DEFAULTS` that is written or deleted, after it was.

    An app that wants to be freed by reference count alone sets a function that does not
    hold it.
    """

    def __init__(self, root_path: Path, defaults: Mapping[str, Any] | None = None) -> None:
        super().__init__(defaults or {})
        self.root_path = root_path

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {super().__repr__()}>"

    def from_envvar(self, variable_name: str, silent: bool = False) -> bool:
        """Load the Python file that an environment variable names.

        Returns whether something was loaded.

        :raises MissingVariable: if the variable is not set or empty, and not *silent*.
        :raises OSError: if there is no such file, and not *silent*.
        """
        if path := os.environ.get(variable_name):
            return self.from_pyfile(path, silent=silent)
        if silent:
            return False
        raise MissingVariable(
            f"The environment variable {variable_name!r} is not set, so there is no"
            f" configuration to load. Let it name a file, {variable_name}=/path/to/config.py,"
            " or pass silent=True to do without."
        )

    def from_prefixed_env(
        self, prefix: str = "ERLEN", *, loads: Callable[[str], Any] = json.loads
    ) -> bool:
        """Load every environment variable that starts with *prefix* and ``_``.

        Values are read by *loads*; what it refuses is kept as a str. Two underscores lead
        into a dict, which is made if need be: ``ERLEN_MAIL__host`` sets ``["MAIL"]["host"]``.

        :raises SetupTypeError: if such a name leads into something that is not a dict.
        """
        prefix += "_"
        for variable in sorted(os.environ):
            if not variable.startswith(prefix):
                continue
            value: Any = os.environ[variable]
            # Each kind of loads has errors of its own.
            with suppress(Exception):
                value = loads(value)
            self._set_variable(variable, variable.removeprefix(prefix).split("__"), value)
        return True

    def _set_variable(self, variable: str, path: list[str], value: Any) -> None:
        *names, last = path
        current: dict[str, Any] = self
        for depth, name in enumerate(names):
            inner: object = current.setdefault(name, {})
            if not isinstance(inner, dict):
                raise SetupTypeError(
                    f"The environment variable {variable!r} sets an item of the config value"
                    f" {'__'.join(names[: depth + 1])!r}, but that is a"
                    f" {type(inner).__name__}, not a dict. Rename the variable, or make the"
                    " value a dict."
                )
            current = cast("dict[str, Any]", inner)
        current[last] = value
        if names:
            self._changed(names[0])

    def from_pyfile(self, filename: Path, silent: bool = False) -> bool:
        """Run a Python file and load its names in upper case.

        Returns whether something was loaded.

        :raises OSError: if there is no such file, and not *silent*.
        """
        path = os.path.join(self.root_path, filename)
        file = _open(path, "rb", silent=silent)
        if file is None:
            return False
        with file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        module = ModuleType("config")
        module.__file__ = path
        exec(code, module.__dict__)
        self.from_object(module)
        return True

    def from_object(self, obj: object) -> None:
        """Load the attributes in upper case of a module, a class or another object.

        A str is imported first: ``"package.module"``, ``"package.module.Class"`` or
        ``"package.module:Class"``. A class is not instantiated, so its properties are not
        values; pass an instance for that.

        :raises ImportError: if a str cannot be imported.
        """
        if isinstance(obj, str):
            obj = _import(obj)
        for key in dir(obj):
            if key.isupper():
                self[key] = getattr(obj, key)

    def from_file(
        self,
        filename: Path,
        load: Callable[[IO[Any]], Any] | None = None,
        silent: bool = False,
        text: bool = True,
    ) -> bool:
        """Load the top-level keys in upper case of a file that *load* reads.

        Returns whether something was loaded. Without *load*, ``.toml`` and ``.json`` files
        are understood. *load* gets the file opened as UTF-8 text, or as bytes if *text* is
        false.

        :raises SetupValueError: if *load* is missing and the suffix says nothing.
        :raises SetupTypeError: if the file does not hold keys and values.
        :raises OSError: if there is no such file, and not *silent*.
        """
        path = os.path.join(self.root_path, filename)
        if load is None:
            load, text = _loader_of(path), False
        file = _open(path, "r" if text else "rb", silent=silent)
        if file is None:
            return False
        with file:
            try:
                loaded: object = load(file)
            except Exception as error:
                error.add_note(f"This happened while loading the configuration file {path!r}.")
                raise
        if not isinstance(loaded, Mapping):
            raise SetupTypeError(
                f"The configuration file {path!r} holds a {type(loaded).__name__}."
                " Its top level has to be keys and values, as in a dict."
            )
        return self.from_mapping(cast("Mapping[str, Any]", loaded))

    def from_mapping(
        self,
        mapping: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        **kwargs: Any,
    ) -> bool:
        """Load the items whose keys are in upper case; keywords win."""
        for key, value in dict(mapping or {}, **kwargs).items():
            if key.isupper():
                self[key] = value
        return True

    def get_namespace(
        self, namespace: str, lowercase: bool = True, trim_namespace: bool = True
    ) -> dict[str, Any]:
        """Return the items whose keys start with *namespace*, as keywords for a function.

        With ``MAIL_HOST`` and ``MAIL_PORT`` set, ``get_namespace("MAIL_")`` has ``host`` and
        ``port``. *trim_namespace* cuts off the prefix.
        """
        found: dict[str, Any] = {}
        for key, value in self.items():
            if key.startswith(namespace):
                name = key.removeprefix(namespace) if trim_namespace else key
                found[name.lower() if lowercase else name] = value
        return found

    # Every way to write a dict, so that no write goes unnoticed.

    def _changed(self, key: str) -> None:
        if self.on_change is not None and key in DEFAULTS:
            self.on_change(key)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._changed(key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._changed(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set the items of a mapping, of pairs and of keywords."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> Config:  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, which is *default* from now on if it was missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Remove *key* and return its value, or *default* if there is none."""
        present = key in self
        value = super().pop(key, *default)
        if present:
            self._changed(key)
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value."""
        item = super().popitem()
        self._changed(item[0])
        return item

    def clear(self) -> None:
        """Remove all keys."""
        keys = list(self)
        super().clear()
        for key in keys:
            self._changed(key)


def as_timedelta(value: timedelta | float) -> timedelta:
    """Return *value*, of which a number is seconds; a ``get_converter`` for lifetimes."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


class _Configured(Protocol):
    @property
    def config(self) -> Config: ...


class ConfigAttribute(Generic[T]):
    """An attribute of an app that reads and writes one key of its config.

    *get_converter* is applied to the value each time it is read.
    """

    def __init__(self, name: str, get_converter: Callable[[Any], T] | None = None) -> None:
        self.name = name
        self.get_converter = get_converter

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> ConfigAttribute[T]: ...
    @overload
    def __get__(self, obj: _Configured, owner: type | None = None) -> T: ...
    def __get__(self, obj: _Configured | None, owner: type | None = None) -> T | ConfigAttribute[T]:
        if obj is None:
            return self
        value = obj.config[self.name]
        return value if self.get_converter is None else self.get_converter(value)

    def __set__(self, obj: _Configured, value: Any) -> None:
        obj.config[self.name] = value


def _open(path: str, mode: str, *, silent: bool) -> IO[Any] | None:
    """Open a file; ``None`` if there is none and that is fine."""
    try:
        return open(path, mode, encoding=None if "b" in mode else "utf-8")
    except OSError as error:
        if silent and error.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR):
            return None
        error.strerror = f"Unable to load configuration file ({error.strerror})"
        raise


def _load_toml(file: IO[Any]) -> Any:
    import tomllib

    return tomllib.load(file)


_LOADERS: Mapping[str, Callable[[IO[Any]], Any]] = {".json": json.load, ".toml": _load_toml}


def _loader_of(path: str) -> Callable[[IO[Any]], Any]:
    suffix = os.path.splitext(path)[1]
    if suffix.lower() in _LOADERS:
        return _LOADERS[suffix.lower()]
    raise SetupValueError(
        f"How to read the configuration file {path!r} is not known: without 'load', the suffix"
        f" has to be {' or '.join(_LOADERS)}, not {suffix!r}. Pass the function that reads it,"
        " as in from_file(name, load=yaml.safe_load)."
    )


def _import(path: str) -> object:
    """Import what *path* names: a module, or an attribute of one."""
    module_name, _, attribute = path.partition(":")
    if not attribute:
        try:
            return import_module(module_name)
        except ModuleNotFoundError as error:
            # What is missing may also be something that the module itself imports.
            if "." not in module_name or not f"{module_name}.".startswith(f"{error.name}."):
                raise
        module_name, _, attribute = module_name.rpartition(".")
    module = import_module(module_name)
    try:
        return operator.attrgetter(attribute)(module)
    except AttributeError:
        raise ImportError(
            f"Cannot load the configuration {path!r}: the module {module_name!r} has no"
            f" {attribute!r}."
        ) from None
