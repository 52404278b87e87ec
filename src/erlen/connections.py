"""What a request and a websocket share: the line, the headers, the match. Reads no body."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload
from urllib.parse import quote

from starlette.requests import HTTPConnection

from .datastructures import CombinedMultiDict, ImmutableMultiDict, TooManyItems, parse_query
from .errors import ContextError
from .exceptions import BadRequest, HTTPException, RequestHeaderFieldsTooLarge
from .formlimits import FormLimits
from .headers import (
    Accept,
    Authorization,
    CharsetAccept,
    LanguageAccept,
    MIMEAccept,
    RequestHeaders,
    UserAgent,
    parse_accept_header,
    parse_cookies,
    parse_date,
)
from .headers.cookies import COOKIE_NAMES
from .hosts import host_of
from .json import DefaultJSONProvider, JSONProvider
from .proxies import current
from .registry import Rule
from .typing import Receive, Scope

__all__ = ["Connection", "Limits", "session_of"]


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """What a client may send, and what it is read with. Sizes in bytes, times in seconds."""

    max_content_length: int | None = 16 * 1024 * 1024
    body_timeout: float | None = 60
    body_min_rate: float | None = 500
    max_form_memory_size: int | None = 500_000
    max_form_parts: int | None = 1000
    max_query_items: int = 1000
    max_cookies: int = 200
    debug: bool = False
    json: JSONProvider = field(default_factory=DefaultJSONProvider)
    form: FormLimits = field(init=False, repr=False, compare=False)
    """What these say of forms."""

    def __post_init__(self) -> None:
        form = FormLimits(max_memory=self.max_form_memory_size, max_parts=self.max_form_parts)
        object.__setattr__(self, "form", form)


# What may stand in a URL that is shown; everything else is percent-encoded.
_PATH_SAFE = "!$&'()*+,/:;=@~%"


class Connection:
    """A connection that a client opened, for HTTP or for a websocket.

    Attributes that extensions set are kept; nothing here needs the app.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_args",
        "_body",
        "_cookies",
        "_fields",
        "_files",
        "_headers",
        "_json",
        "_receive",
        "_sent",
        "limits",
        "routing_exception",
        "scope",
        "url_rule",
        "view_args",
    )

    default_scheme: ClassVar[str] = "http"

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        limits: Limits | None = None,
        url_rule: Rule | None = None,
        view_args: dict[str, Any] | None = None,
        routing_exception: HTTPException | None = None,
    ) -> None:
        # PERF: a request is made in this one call, and with arguments by their places.
        self.scope = scope
        self._receive = receive
        self.limits = limits or Limits()
        self.url_rule = url_rule
        """The rule that matched, ``None`` if none did."""
        self.view_args = view_args
        """What the rule found in the URL, ``None`` if none matched."""
        self.routing_exception = routing_exception
        """Why no rule matched: a 404, 405 or redirect."""
        self._headers: RequestHeaders | None = None
        self._args: ImmutableMultiDict[str, str] | None = None
        self._cookies: ImmutableMultiDict[str, str] | None = None
        # Of a request alone. PERF: a default on the class is read three times slower.
        self._sent: Any = None
        self._body: Any = None
        self._fields: Any = None
        self._files: Any = None
        self._json: Any = None

    @overload
    def enter(self, manager: AbstractAsyncContextManager[T]) -> Awaitable[T]: ...
    @overload
    def enter(self, manager: AbstractContextManager[T]) -> T: ...
    def enter(self, manager: Any) -> Any:
        """Enter a context manager for the rest of this request; it is left at teardown.

        ``db = await request.enter(aiosqlite.connect(path))``: an async one is awaited, in
        ``def`` code both kinds are plain calls. It sees every exception that leaves the view,
        :func:`~erlen.abort` too, whether or not something handles it. It cannot swallow one.

        :raises ContextError: when the request is over.
        """
        context = current.get()
        if context is None:
            raise ContextError("There is no request here that something could be entered for.")
        return context.enter(manager)

    # -- the match -------------------------------------------------------------------------

    @property
    def endpoint(self) -> str | None:
        """The endpoint that matched: ``"shop.show"``."""
        return self.url_rule.endpoint if self.url_rule is not None else None

    @property
    def blueprint(self) -> str | None:
        """The dotted name of the blueprint that the endpoint is in."""
        endpoint = self.endpoint
        if endpoint is None or "." not in endpoint:
            return None
        return endpoint.rpartition(".")[0]

    @property
    def blueprints(self) -> list[str]:
        """The names of the blueprint and of those around it, innermost first."""
        name = self.blueprint
        names: list[str] = []
        while name:
            names.append(name)
            name = name.rpartition(".")[0]
        return names

    # -- the line --------------------------------------------------------------------------

    @property
    def http_version(self) -> str:
        """The protocol version: ``"1.1"``, ``"2"``."""
        return cast(str, self.scope.get("http_version", "1.1"))

    @property
    def scheme(self) -> str:
        """``"http"``, ``"https"``, ``"ws"`` or ``"wss"``."""
        return cast(str, self.scope.get("scheme") or self.default_scheme)

    @property
    def is_secure(self) -> bool:
        """Whether the client came by TLS."""
        return self.scheme in ("https", "wss")

    @property
    def server(self) -> tuple[str, int | None] | None:
        """Where the server listens: host and port, or path and ``None`` for a socket file."""
        server = self.scope.get("server")
        return (server[0], server[1]) if server else None

    @property
    def root_path(self) -> str:
        """The prefix under which the app is mounted, without a slash at the end."""
        return cast(str, self.scope.get("root_path", "")).rstrip("/")

    @property
    def script_root(self) -> str:
        """The same as :attr:`root_path`, by Flask's other name."""
        return self.root_path

    @property
    def path(self) -> str:
        """The decoded path below :attr:`root_path`, with a slash in front."""
        path = cast(str, self.scope.get("path", ""))
        root = self.root_path
        if root and (path == root or path.startswith(root + "/")):
            path = path[len(root) :]
        return path if path.startswith("/") else "/" + path

    @property
    def query_string(self) -> bytes:
        """What follows the ``?``, as it was sent."""
        query: bytes = self.scope.get("query_string", b"")
        return query

    @property
    def full_path(self) -> str:
        """The path with the query; without one there is no ``?``."""
        query = self.query_string.decode("utf-8", "replace")
        return f"{self.path}?{query}" if query else self.path

    @property
    def host(self) -> str:
        """The host that the client asked for, with the port unless it is the usual one."""
        host = self.headers.get("host")
        if host is None:
            host = host_of(self.server)
        usual = ":443" if self.is_secure else ":80"
        return host.removesuffix(usual)

    @property
    def host_url(self) -> str:
        """The URL of the server: ``"http://localhost/"``."""
        return f"{self.scheme}://{self.host}/"

    @property
    def root_url(self) -> str:
        """The URL of the app, with a slash at the end."""
        return f"{self.scheme}://{self.host}{quote(self.root_path, safe=_PATH_SAFE)}/"

    @property
    def url_root(self) -> str:
        """The same as :attr:`root_url`, by Flask's other name."""
        return self.root_url

    @property
    def base_url(self) -> str:
        """The whole URL without the query."""
        return f"{self.root_url[:-1]}{quote(self.path, safe=_PATH_SAFE)}"

    @property
    def url(self) -> str:
        """The whole URL."""
        query = quote(self.query_string, safe=_PATH_SAFE + "?[]")
        return f"{self.base_url}?{query}" if query else self.base_url

    @property
    def remote_addr(self) -> str | None:
        """The address of the client, of the nearest untrusted one behind trusted proxies."""
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def access_route(self) -> list[str]:
        """The addresses that X-Forwarded-For names, else the one of the client. Not checked."""
        forwarded = self.headers.get("x-forwarded-for")
        if forwarded:
            return [address.strip() for address in forwarded.split(",")]
        return [self.remote_addr] if self.remote_addr else []

    # -- parsed on first use ---------------------------------------------------------------

    @property
    def headers(self) -> RequestHeaders:
        """The headers, read-only and regardless of case."""
        if self._headers is None:
            self._headers = RequestHeaders(self.scope.get("headers", ()))
        return self._headers

    @property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The query: ``request.args.get("page", 1, type=int)``.

        A missing ``[key]`` is a 400; more items than ``MAX_QUERY_ITEMS`` too.
        """
        if self._args is None:
            limit = self.limits.max_query_items
            try:
                query = self.scope.get("query_string", b"")
                self._args = parse_query(query, limit)
            except TooManyItems as error:
                raise BadRequest(f"The query is too long: {error} (MAX_QUERY_ITEMS).") from error
        return self._args

    @property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """The cookies that the client sent. More than ``MAX_COOKIES`` are a 431."""
        if self._cookies is None:
            lines: list[bytes] = []
            for name, value in self.scope.get("headers", ()):
                if name in COOKIE_NAMES:
                    lines.append(value)
            try:
                self._cookies = parse_cookies(lines, self.limits.max_cookies)
            except TooManyItems as error:
                raise RequestHeaderFieldsTooLarge(f"{error} (MAX_COOKIES).") from error
        return self._cookies

    @property
    def values(self) -> CombinedMultiDict[str, str]:
        """The query, as one of several sources."""
        return CombinedMultiDict([self.args])

    @property
    def authorization(self) -> Authorization | None:
        """The Authorization header, parsed; ``None`` if there is none that can be read."""
        return Authorization.from_header(self.headers.get("authorization"))

    @property
    def accept_mimetypes(self) -> MIMEAccept:
        """The media types that the client wants."""
        return parse_accept_header(self.headers.get("accept"), MIMEAccept)

    @property
    def accept_languages(self) -> LanguageAccept:
        """The languages that the client wants."""
        return parse_accept_header(self.headers.get("accept-language"), LanguageAccept)

    @property
    def accept_charsets(self) -> CharsetAccept:
        """The charsets that the client wants."""
        return parse_accept_header(self.headers.get("accept-charset"), CharsetAccept)

    @property
    def accept_encodings(self) -> Accept:
        """The content codings that the client can read."""
        return parse_accept_header(self.headers.get("accept-encoding"), Accept)

    @property
    def user_agent(self) -> UserAgent:
        """What the client calls itself."""
        return UserAgent(self.headers.get("user-agent", ""))

    @property
    def referrer(self) -> str | None:
        """The page that led here."""
        return self.headers.get("referer")

    @property
    def origin(self) -> str | None:
        """The origin of the page that sends this, as its browser says."""
        return self.headers.get("origin")

    @property
    def state(self) -> Mapping[str, Any]:
        """What the lifespan put into its state."""
        return cast("Mapping[str, Any]", self.scope.get("state", {}))

    if TYPE_CHECKING:

        @property
        def starlette(self) -> HTTPConnection:
            """The same connection as Starlette shows it, with our session."""
            raise NotImplementedError

    def _time(self, name: str) -> datetime | None:
        return parse_date(self.headers.get(name) or "")

    def __repr__(self) -> str:
        method = self.scope.get("method", "WEBSOCKET")
        return f"<{type(self).__name__} {self.url!r} [{method}]>"


def session_of(shown: HTTPConnection) -> dict[str, Any]:
    """Return our session for Starlette's ``request.session``, opened when it is asked for."""
    context = current.get()
    if context is not None:
        return cast("dict[str, Any]", context.session)
    return cast("dict[str, Any]", shown.scope["session"])
