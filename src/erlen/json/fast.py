"""JSON by the compiled libraries orjson and msgspec, for apps that install one of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .provider import InvalidJSON, JSONApp, JSONProvider, plain

__all__ = ["MsgspecProvider", "OrjsonProvider"]


class _Compiled(JSONProvider):
    """What both have in common: they write bytes, without spaces, and take no options."""

    library: str

    def __init__(
        self, app: JSONApp | None = None, *, debug: Callable[[], bool] | None = None
    ) -> None:
        super().__init__(app, debug=debug)
        try:
            self._library = import_module(self.library)
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs the package {self.library}: pip install"
                f" {self.library}"
            ) from error

    def default(self, o: Any) -> Any:
        """Return what stands for *o*, which the library cannot write; override it for yours.

        :raises TypeError: if nothing does.
        """
        return plain(o)

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Write *obj* as JSON.

        :raises TypeError: if there is no way to write a value of this type, or for keywords.
        """
        self._refuse(kwargs)
        return self._write(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON, as text or in UTF-8.

        :raises InvalidJSON: if *s* is not JSON.
        :raises TypeError: for keywords.
        """
        self._refuse(kwargs)
        return self._read(s)

    def render(self, *args: Any, **kwargs: Any) -> bytes:
        """Write the body of a response from what ``jsonify`` was given; it ends a line."""
        value = args[0] if len(args) == 1 and not kwargs else self._value_of(args, kwargs)
        return self._write(value) + b"\n"

    def _refuse(self, options: dict[str, Any]) -> None:
        if options:
            raise TypeError(
                f"{type(self).__name__} takes no options, and got {', '.join(options)}. Those are"
                " of the standard library: json.dumps(...), json.loads(...)."
            )

    def _write(self, value: Any) -> bytes:
        raise NotImplementedError

    def _read(self, s: str | bytes) -> Any:
        raise NotImplementedError


class OrjsonProvider(_Compiled):
    """JSON by orjson: ``app.json = OrjsonProvider(app)``.

    It writes what the default provider writes, but NaN and Infinity as ``null``, always without
    spaces, and integers of at most 64 bits; it reads larger ones as floats.

    :raises ImportError: if orjson is not installed.
    """

    library = "orjson"

    def _read(self, s: str | bytes) -> Any:
        try:
            return self._library.loads(s)
        except ValueError as error:
            line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
            raise InvalidJSON(f"This is no JSON: {error}.", line=line, column=column) from None

    def _write(self, value: Any) -> bytes:
        library = self._library
        try:
            written: bytes = library.dumps(value, self.default, library.OPT_NON_STR_KEYS)
        except TypeError as error:
            if error.__cause__ is not None:  # what the default method said
                raise error.__cause__ from None
            raise
        return written


class MsgspecProvider(_Compiled):
    """JSON by msgspec: ``app.json = MsgspecProvider(app)``.

    It writes what the default provider writes, and ``msgspec.Struct``; but NaN and Infinity
    as ``null``, UTC as ``Z``, and always without spaces.

    :raises ImportError: if msgspec is not installed.
    """

    library = "msgspec"

    def __init__(
        self, app: JSONApp | None = None, *, debug: Callable[[], bool] | None = None
    ) -> None:
        super().__init__(app, debug=debug)
        self._json = import_module("msgspec.json")

    def _read(self, s: str | bytes) -> Any:
        try:
            return self._json.decode(s)
        except (self._library.MsgspecError, ValueError, RecursionError) as error:
            raise InvalidJSON(f"This is no JSON: {error}.") from None

    def _write(self, value: Any) -> bytes:
        written: bytes = self._json.encode(value, enc_hook=self.default)
        return written
