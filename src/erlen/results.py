"""From what a view returned to a response. Knows types; knows nothing of the request."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from http import HTTPStatus
from inspect import isawaitable, iscoroutine, isroutine, signature
from types import AsyncGeneratorType, GeneratorType
from typing import Any, TypeAlias, cast

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.responses import Response as StarletteResponse

from .errors import place_of
from .exceptions import HTTPException, adopted
from .headers import Headers
from .json import JSONProvider
from .responses import SHORT, SHORT_LENGTHS, RawHeaders, Response, content_length
from .typing import ASGIApp

__all__ = ["HTML", "Foreign", "ForeignBody", "Plain", "Results", "WrongResult"]

HTML = (b"content-type", b"text/html; charset=utf-8")
# These keep their whole body in .body and send it as our own Response does.
_PLAIN = frozenset(
    {StarletteResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse}
)


# PERF: a method that is looked up in what another module gave is made anew for each call.
_new: Callable[[type[Response]], Response] = Response.__new__

Plain: TypeAlias = tuple[RawHeaders, bytes]
"""The headers and the body of a 200."""


class WrongResult(TypeError):
    """A view returned something that is no response; whoever knows the view names it."""


class Foreign(Response):
    """Somebody else's ASGI callable in the place of a response.

    What it will send is not known before it sends it; ``Flow.send`` lets the hooks look at
    the head when it comes.
    """

    head_first = True
    put_by: str = ""
    """The after hook that returned it, if one did."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self.app = app
        self.stream = ForeignBody()


class ForeignBody(AsyncIterable[bytes]):
    """The body that an ASGI callable sends itself, as a stream that nobody else can read."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise RuntimeError(
            "The body of a mounted app or an ASGI callable cannot be read: it goes from there to"
            " the client. Put another one in its place, or change it with middleware around that"
            " app."
        )

    def __repr__(self) -> str:
        return "<the body that another app sends>"


class Results:
    """Turns what views return into responses of one app.

    *converters* are looked up by exact type first, so an extension may add its own.
    """

    def __init__(
        self,
        response_class: type[Response],
        json: JSONProvider,
    ) -> None:
        self.response_class = response_class
        self.json = json
        self.converters: dict[type[Any], Callable[[Any], Response]] = {
            str: self._from_text,
            dict: self._from_json,
            list: self._from_json,
            tuple: self._from_tuple,
            bytes: response_class,
            bytearray: response_class,
            GeneratorType: self._from_pieces,
            AsyncGeneratorType: self._from_pieces,
            response_class: _itself,
        }
        # PERF: the usual response is laid out here, without its constructor (1 us less); a
        # class with another __init__ or other defaults takes the long way.
        self.lean = (
            response_class.__init__ is Response.__init__
            and response_class.default_mimetype == "text/html"
            and response_class.default_status == 200
        )

    def plain(self) -> dict[type[Any], Callable[[Any], Plain]]:
        """Return what lays out a 200 for values of each type, where no Response is needed.

        It is what :attr:`converters` would make of them; types whose converter was replaced,
        and all if a response class has its own ideas, are not there.
        """
        if not self.lean or self.response_class.__call__ is not Response.__call__:
            return {}
        usual: dict[type[Any], tuple[Any, Callable[[Any], Plain]]] = {
            str: (self._from_text, self._text),
            dict: (self._from_json, self._json),
            list: (self._from_json, self._json),
        }
        return {
            kind: lay_out
            for kind, (converter, lay_out) in usual.items()
            if self.converters.get(kind) == converter
            and not (self.json.answers and converter == self._from_json)
        }

    def response(self, headers: RawHeaders, body: bytes) -> Response:
        """Return the 200 that one of :meth:`plain` has laid out."""
        response = _new(self.response_class)
        response.status_code = 200
        response.raw_headers = headers
        response.body = body
        # PERF: what is read of every response; a default on the class takes five times longer.
        response.stream = response.background = response.callbacks = None
        response.live_headers = None
        return response

    def convert(self, value: Any) -> Response:
        """Return the response for *value*.

        :raises WrongResult: if it is nothing that a view may return.
        """
        converter = self.converters.get(value.__class__)
        if converter is not None:
            return converter(value)
        return self._by_kind(value)

    def _from_text(self, text: Any) -> Response:
        if not self.lean:
            return self.response_class(text)
        return self.response(*self._text(text))

    def _from_pieces(self, pieces: Any) -> Response:
        if not self.lean:
            return self.response_class(pieces)
        response = self.response([HTML], b"")
        response.stream, response.head_first = pieces, False
        return response

    def _from_json(self, value: Any) -> Response:
        if self.json.answers:
            return self._from_starlette(self.json.response(value))
        if not self.lean:
            return self.response_class(self.json.render(value), content_type=self.json.mimetype)
        return self.response(*self._json(value))

    def _text(self, text: str) -> Plain:
        body = text.encode()
        size = len(body)
        return [HTML, SHORT_LENGTHS[size] if size < SHORT else content_length(size)], body

    def _json(self, value: Any) -> Plain:
        provider = self.json
        text = provider.render(value)
        body = text if isinstance(text, bytes) else text.encode()
        size = len(body)
        kind = (b"content-type", provider.mimetype.encode())
        return [kind, SHORT_LENGTHS[size] if size < SHORT else content_length(size)], body

    def _from_tuple(self, value: tuple[Any, ...]) -> Response:
        status = headers = None
        if len(value) == 3:
            body, status, headers = value
        elif len(value) == 2:
            body, second = value
            # PERF: to ask whether it is a Mapping takes longer than all the rest.
            if second.__class__ is int:
                status = second
            elif isinstance(second, (Headers, Mapping, tuple, list)):
                headers = cast(Any, second)
            else:
                status = second
        else:
            raise WrongResult(
                "The view function did not return a valid response tuple. The tuple must have"
                " the form (body, status, headers), (body, status), or (body, headers). It was"
                f" {value!r}."
            )
        converter = self.converters.get(body.__class__)
        response = converter(body) if converter is not None else self._by_kind(body)
        if status is not None:
            if not isinstance(status, (int, str, HTTPStatus)):
                raise WrongResult(
                    f"A status is a number or a line such as '404 Not Found': {status!r}"
                )
            response.status = status
        if headers:
            # Among pairs a name may come twice, and then has both values.
            several = isinstance(headers, (tuple, list))
            response.headers.update(Headers(cast(Any, headers)) if several else headers)
        return response

    def _by_kind(self, value: Any) -> Response:
        if isinstance(value, StarletteResponse):
            return self._from_starlette(value)
        if isinstance(value, HTTPException):
            return value.get_response()
        if isinstance(value, tuple):
            return self._from_tuple(cast(Any, value))
        if isinstance(value, (str, bytes, bytearray, memoryview, Iterator, AsyncIterator)):
            return self.response_class(cast(Any, value))
        if isinstance(value, (dict, list)) or (
            dataclasses.is_dataclass(value) and not isinstance(value, type)
        ):
            return self._from_json(value)
        if isawaitable(value):
            if iscoroutine(value):
                value.close()  # it is refused here and now, not warned of later
            raise WrongResult(
                f"It returned {type(cast(object, value)).__name__}, which nobody awaited. Is an"
                " 'await' missing?"
            )
        if value is None:
            raise WrongResult(
                "The function either returned None or ended without a return statement."
            )
        if callable(value):
            _refuse_function(value)
            return Foreign(cast(Any, value))
        raise WrongResult(
            "The return type must be a string, dict, list, tuple with headers or status,"
            " Response instance, dataclass, generator, or ASGI callable, but it was a"
            f" {type(value).__name__}: {value!r}."
        )

    def _from_starlette(self, value: StarletteResponse) -> Response:
        if isinstance(value, Response):
            return value
        return adopted(value) if type(value) in _PLAIN else Foreign(value)


def _refuse_function(function: Any) -> None:
    """Refuse a function that cannot be an ASGI app.

    :raises WrongResult: naming it.
    """
    if not isroutine(function):
        return
    try:
        signature(function).bind(None, None, None)
    except TypeError:
        raise WrongResult(
            f"It returned the function {place_of(function)}, which is no ASGI app: those are"
            " called with scope, receive and send. To return what it returns, call it:"
            f" {function.__name__}()."
        ) from None
    except ValueError:
        return  # in C, and says nothing of its arguments


def _itself(response: Response) -> Response:
    return response
