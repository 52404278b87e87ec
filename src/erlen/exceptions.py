"""The errors of HTTP, one class for each status. Raised by views, turned into responses here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape
from http import HTTPStatus
from typing import Any, NoReturn, cast

from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response as StarletteResponse

from . import json
from .datastructures import MultiDict
from .headers import http_date
from .patterns import pattern
from .responses import HeaderItems, Response, redirect

__all__ = [
    "Aborter",
    "BadGateway",
    "BadHost",
    "BadRequest",
    "BadRequestKeyError",
    "ClientDisconnected",
    "Conflict",
    "ExpectationFailed",
    "FailedDependency",
    "FileNotSent",
    "Forbidden",
    "GatewayTimeout",
    "Gone",
    "HTTPException",
    "HTTPVersionNotSupported",
    "ImATeapot",
    "InternalServerError",
    "LengthRequired",
    "Locked",
    "MethodNotAllowed",
    "MisdirectedRequest",
    "NotAcceptable",
    "NotFound",
    "NotImplemented",
    "PreconditionFailed",
    "PreconditionRequired",
    "RequestEntityTooLarge",
    "RequestHeaderFieldsTooLarge",
    "RequestRedirect",
    "RequestTimeout",
    "RequestURITooLarge",
    "RequestedRangeNotSatisfiable",
    "SecurityError",
    "ServiceUnavailable",
    "TooManyRequests",
    "Unauthorized",
    "UnavailableForLegalReasons",
    "UnprocessableEntity",
    "UnsupportedMediaType",
    "abort",
    "default_exceptions",
    "problem_response",
]


class HTTPException(StarletteHTTPException):
    """An answer that a view gives by raising it.

    *description* is shown to the client. *response* is sent instead of the page that would
    be made here. Further keywords become members of the problem document (RFC 9457).
    """

    code: int | None = None
    description: str | None = None

    def __init__(
        self,
        description: str | None = None,
        response: StarletteResponse | None = None,
        **members: Any,
    ) -> None:
        if description is not None:
            self.description = description
        self.response = response
        self.members = members
        self.extra_headers: list[tuple[str, str]] = []
        # PERF: what Starlette's constructor would set, without calling it: a miss makes one.
        self.status_code = self.code or 500
        self.detail = self.description or self.name
        self.headers = None

    @property
    def name(self) -> str:
        """The reason phrase of the code: ``"Not Found"``."""
        try:
            return HTTPStatus(self.code or 0).phrase
        except ValueError:
            return "Unknown Error"

    def get_description(self) -> str:
        """Return the description as HTML."""
        text = escape(self.description or "").replace("\n", "<br>")
        return f"<p>{text}</p>"

    def get_body(self) -> str:
        """Return the page that is sent to people."""
        name = escape(self.name)
        return (
            "<!doctype html>\n<html lang=en>\n"
            f"<title>{self.code} {name}</title>\n<h1>{name}</h1>\n{self.get_description()}\n"
        )

    def get_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the answer, Content-Type among them."""
        return [("Content-Type", "text/html; charset=utf-8"), *self.extra_headers]

    def get_response(self) -> Response:
        """Return the answer for people: *response* if there is one, else a small page."""
        if self.response is not None:
            return adopted(self.response)
        if not self.extra_headers and type(self).get_headers is HTTPException.get_headers:
            return Response(self.get_body(), self.code)  # PERF: half of what headers to check cost
        return Response(self.get_body(), self.code, self.get_headers())

    def __str__(self) -> str:
        return f"{self.code or '???'} {self.name}: {self.description}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.code or '???'}: {self.name}'>"


class BadRequest(HTTPException):
    """400: the client sent something that cannot be understood."""

    code = 400
    description = "The browser (or proxy) sent a request that this server could not understand."


class BadRequestKeyError(BadRequest, KeyError):
    """400: a key that the view needs was not sent; also a ``KeyError``."""

    def __init__(self, key: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.args = () if key is None else (key,)
        self.show_exception = False

    def get_description(self) -> str:
        """Return the description; in debug mode it names the missing key."""
        if self.show_exception and self.args:
            key = escape(repr(self.args[0]))
            return f"{super().get_description()}<p><code>KeyError: {key}</code></p>"
        return super().get_description()


class FileNotSent(BadRequestKeyError):
    """400: a file is missing because the form was sent without files; told in debug mode.

    *sent* is what the field of that name held instead, ``None`` if there is none.
    """

    def __init__(self, key: str, mimetype: str, sent: str | None = None) -> None:
        description = (
            f"request.files has no {key!r}. The form was sent as {mimetype or 'nothing'}, so"
            " no file contents were transmitted. Write <form method=post"
            ' enctype="multipart/form-data">.'
        )
        if sent is not None:
            description += f" This was submitted: {sent!r}"
        super().__init__(key, description)


class ClientDisconnected(BadRequest):
    """400: the client left before its request was complete."""


class SecurityError(BadRequest):
    """400: the request looks like an attack."""


class BadHost(BadRequest):
    """400: the Host header is no host, or one that is not served here."""


class Unauthorized(HTTPException):
    """401: the client has to say who it is; *www_authenticate* says how."""

    code = 401
    description = "You have to authenticate to see this URL."

    def __init__(
        self,
        description: str | None = None,
        response: StarletteResponse | None = None,
        www_authenticate: Any = None,
        **members: Any,
    ) -> None:
        super().__init__(description, response, **members)
        challenges: Iterable[Any] = (
            cast("Iterable[Any]", www_authenticate)
            if isinstance(www_authenticate, (list, tuple))
            else (www_authenticate,)
        )
        self.www_authenticate = tuple(item for item in challenges if item)
        self.extra_headers += [("WWW-Authenticate", str(item)) for item in self.www_authenticate]


class Forbidden(HTTPException):
    """403: the client may not do this."""

    code = 403
    description = "You are not allowed to do this."


class NotFound(HTTPException):
    """404: there is nothing at this URL."""

    code = 404
    description = (
        "The requested URL was not found on the server. If you entered the URL manually please"
        " check your spelling and try again."
    )


class MethodNotAllowed(HTTPException):
    """405: the URL exists, but not for this method; *valid_methods* becomes Allow."""

    code = 405
    description = "The method is not allowed for the requested URL."

    def __init__(
        self,
        valid_methods: Iterable[str] | None = None,
        description: str | None = None,
        response: StarletteResponse | None = None,
        **members: Any,
    ) -> None:
        super().__init__(description, response, **members)
        self.valid_methods = sorted(valid_methods) if valid_methods is not None else None
        self.route: Any = None
        if self.valid_methods:
            self.extra_headers.append(("Allow", ", ".join(self.valid_methods)))


class NotAcceptable(HTTPException):
    """406: nothing that the client accepts can be sent."""

    code = 406
    description = "The resource cannot be sent in a form that your client accepts."


class RequestTimeout(HTTPException):
    """408: the request did not arrive in time."""

    code = 408
    description = "The server waited too long for the request to arrive."


class Conflict(HTTPException):
    """409: the request contradicts the state of the resource."""

    code = 409
    description = "The request conflicts with the present state of the resource."


class Gone(HTTPException):
    """410: there was something at this URL, and it will not come back."""

    code = 410
    description = "The requested URL is no longer available and will not come back."


class LengthRequired(HTTPException):
    """411: the request must have a Content-Length."""

    code = 411
    description = "A request to this URL needs a Content-Length header."


class PreconditionFailed(HTTPException):
    """412: a condition of the request does not hold."""

    code = 412
    description = "A precondition of the request does not hold for this URL."


class RequestEntityTooLarge(HTTPException):
    """413: the body is larger than the app takes."""

    code = 413
    description = "The data that was sent is larger than the server takes."


class RequestURITooLarge(HTTPException):
    """414: the URL is longer than the app takes."""

    code = 414
    description = "The URL is longer than the server takes."


class UnsupportedMediaType(HTTPException):
    """415: the body is of a type that is not understood here."""

    code = 415
    description = "The server does not take this type of content."


class RequestedRangeNotSatisfiable(HTTPException):
    """416: the range that was asked for is outside the content, *length* units long."""

    code = 416
    description = "The requested range cannot be sent."

    def __init__(
        self,
        length: int | None = None,
        units: str = "bytes",
        description: str | None = None,
        response: StarletteResponse | None = None,
    ) -> None:
        super().__init__(description, response)
        self.length = length
        if length is not None:
            self.extra_headers.append(("Content-Range", f"{units} */{length}"))


class ExpectationFailed(HTTPException):
    """417: the Expect header cannot be met."""

    code = 417
    description = "The server could not meet the expectation of the request."


class ImATeapot(HTTPException):
    """418: this is a teapot."""

    code = 418
    description = "This server is a teapot, not a coffee machine."


class MisdirectedRequest(HTTPException):
    """421: this server does not answer for that host."""

    code = 421
    description = "The request was sent to a server that does not answer for it."


class UnprocessableEntity(HTTPException):
    """422: the content is well formed and still wrong."""

    code = 422
    description = "The request was well formed but could not be followed: its content is wrong."


class Locked(HTTPException):
    """423: the resource is locked."""

    code = 423
    description = "The resource is locked."


class FailedDependency(HTTPException):
    """424: another action failed that this one needs."""

    code = 424
    description = "The action depends on another one, and that one failed."


class PreconditionRequired(HTTPException):
    """428: the request must be conditional."""

    code = 428
    description = "This request must be conditional: send If-Match or If-Unmodified-Since."


class _RetryAfter(HTTPException):
    """An answer that says when to come back: *retry_after* in seconds, or a date."""

    def __init__(
        self,
        description: str | None = None,
        response: StarletteResponse | None = None,
        retry_after: datetime | int | None = None,
        **members: Any,
    ) -> None:
        super().__init__(description, response, **members)
        self.retry_after = retry_after
        if retry_after is not None:
            value = http_date(retry_after) if isinstance(retry_after, datetime) else retry_after
            self.extra_headers.append(("Retry-After", str(value)))


class TooManyRequests(_RetryAfter):
    """429: the client has asked too often."""

    code = 429
    description = "You have sent too many requests. Please wait a while."


class RequestHeaderFieldsTooLarge(HTTPException):
    """431: the headers are larger than the app takes."""

    code = 431
    description = "The headers of the request are larger than the server takes."


class UnavailableForLegalReasons(HTTPException):
    """451: the resource may not be shown."""

    code = 451
    description = "The resource is not available for legal reasons."


class InternalServerError(HTTPException):
    """500: the app failed; *original_exception* is what it raised, if it did."""

    code = 500
    description = (
        "The server encountered an internal error and was unable to complete your request."
        " Either the server is overloaded or there is an error in the application."
    )

    def __init__(
        self,
        description: str | None = None,
        response: StarletteResponse | None = None,
        original_exception: BaseException | None = None,
        **members: Any,
    ) -> None:
        super().__init__(description, response, **members)
        self.original_exception = original_exception


class NotImplemented(HTTPException):
    """501: the server cannot do this."""

    code = 501
    description = "The server does not know how to do what the request asks for."


class BadGateway(HTTPException):
    """502: a server behind this one gave a wrong answer."""

    code = 502
    description = "A server behind this one gave an answer that makes no sense."


class ServiceUnavailable(_RetryAfter):
    """503: the server is overloaded or under repair."""

    code = 503
    description = "The server cannot answer at the moment. Please try again later."


class GatewayTimeout(HTTPException):
    """504: a server behind this one did not answer in time."""

    code = 504
    description = "A server behind this one did not answer in time."


class HTTPVersionNotSupported(HTTPException):
    """505: the protocol version is not spoken here."""

    code = 505
    description = "The server does not speak the protocol version of the request."


class RequestRedirect(HTTPException):
    """308: the URL is spelled otherwise; *new_url* says how."""

    code = 308

    def __init__(self, new_url: str, code: int | None = None) -> None:
        if code is not None:
            self.code = code
        self.new_url = new_url
        super().__init__(new_url)

    def get_response(self) -> Response:
        """Return the redirect."""
        return redirect(self.new_url, self.code or 308)


default_exceptions: dict[int, type[HTTPException]] = {
    kind.code: kind
    for kind in tuple(globals().values())
    if isinstance(kind, type)
    and issubclass(kind, HTTPException)
    and kind.code is not None
    and kind.__base__ in (HTTPException, _RetryAfter)
    and kind is not RequestRedirect
}
"""The class for each status code."""

# request.args["missing"] is the client's mistake; a MultiDict itself knows no HTTP.
MultiDict.key_error = BadRequestKeyError
# So is a range outside of the body, and a response is below this.
Response.range_error = RequestedRangeNotSatisfiable


class Aborter:
    """Raise the exception for a status code; *mapping* and *extra* say which classes."""

    def __init__(
        self,
        mapping: Mapping[int, type[HTTPException]] | None = None,
        extra: Mapping[int, type[HTTPException]] | None = None,
    ) -> None:
        self.mapping = dict(default_exceptions if mapping is None else mapping)
        self.mapping.update(extra or {})

    def __call__(self, code: int | StarletteResponse, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise the exception for *code*; the arguments go to it."""
        if isinstance(code, StarletteResponse):
            raise HTTPException(response=code)
        if code not in self.mapping:
            raise LookupError(
                f"There is no exception for the status {code!r}. Known are"
                f" {', '.join(map(str, sorted(self.mapping)))}; others go into"
                " app.aborter.mapping."
            )
        raise self.mapping[code](*args, **kwargs)


abort: Callable[..., NoReturn] = Aborter()
"""Raise the exception for a status code, or send a response as it is."""


def adopted(foreign: StarletteResponse) -> Response:
    """Return a plain Starlette response as one of ours, headers and body shared.

    One that is ours is returned as it is.
    """
    if isinstance(foreign, Response):
        return foreign
    response = Response()
    response.status = foreign.status_code
    response.raw_headers = foreign.raw_headers
    response.background = foreign.background
    response.body = bytes(foreign.body)
    return response


_JSON_SUBTYPE = pattern(r"application/(?:[\w.+-]+\+)?json\Z")


def problem_response(error: HTTPException) -> Response:
    """Return *error* as an ``application/problem+json`` document (RFC 9457)."""
    document: dict[str, Any] = {"type": "about:blank", "title": error.name, "status": error.code}
    if error.description:
        document["detail"] = error.description
    document.update(error.members)
    headers: HeaderItems = error.extra_headers
    body = json.dumps(document) + "\n"
    return Response(body, error.code, headers, content_type="application/problem+json")


def error_response(
    error: HTTPException, shown: str, accept: str | None, content_type: str | None
) -> Response:
    """Return the page or the problem document of *error*.

    *shown* is ``"html"``, ``"problem"``, or ``"auto"``: as a client prefers that sent these
    headers, and then the response varies by them.
    """
    if error.response is not None or shown == "html":
        return error.get_response()
    if shown == "problem":
        return problem_response(error)
    preferred = prefers_json(accept, content_type)
    response = problem_response(error) if preferred else error.get_response()
    for name, _ in response.raw_headers:
        if name == b"vary":
            response.vary.update(("Accept", "Content-Type"))
            return response
    response.raw_headers.append(_VARY)
    return response


_VARY = (b"vary", b"Accept, Content-Type")


def prefers_json(accept: str | None, content_type: str | None) -> bool:
    """Say whether a client would rather read JSON than HTML.

    It does when it names a JSON type and gives HTML no higher quality, or, when it says
    nothing but ``*/*``, if what it sent was JSON.
    """
    json_quality = html_quality = 0.0
    for item in (accept or "").split(",")[:50]:
        kind, _, parameters = item.strip().partition(";")
        quality = _quality(parameters)
        kind = kind.strip().lower()
        if _JSON_SUBTYPE.match(kind):
            json_quality = max(json_quality, quality)
        elif kind in ("text/html", "application/xhtml+xml", "text/*"):
            html_quality = max(html_quality, quality)
    if json_quality or html_quality:
        return json_quality > html_quality
    sent = (content_type or "").partition(";")[0].strip().lower()
    return _JSON_SUBTYPE.match(sent) is not None


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return max(0.0, min(1.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
