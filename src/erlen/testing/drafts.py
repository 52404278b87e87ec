"""A request from the arguments of a test, and the ASGI scope of a request. Sends nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from functools import lru_cache
from typing import Any, TextIO, TypeAlias, TypedDict, Unpack, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

import httpx

from ..app import App
from ..errors import SetupAssertionError
from ..headers import Authorization, Headers
from ..typing import Message, Receive, Scope
from .bodies import Data, encode_body, pairs

__all__ = [
    "HeaderItems",
    "OtherOptions",
    "RequestOptions",
    "build_request",
    "build_scope",
    "locate",
    "path_of",
    "receiver_of",
    "scope_of",
]

HeaderItems: TypeAlias = Headers | Mapping[str, Any] | Iterable[tuple[str, Any]]

USER_AGENT = "erlen-test-client"

# What may stand in a target as it is; "%" too, because escapes are kept.
_PATH_SAFE = "/%:@!$&'()*+,;=~|[]^{}"
_QUERY_SAFE = _PATH_SAFE + "?"
# A root is decoded already, as in the scope.
_ROOT_SAFE = _PATH_SAFE.replace("%", "")

_BODY = ("data", "form", "files", "json")
_SCOPE = "scope_base= sets keys of the ASGI scope: scope_base={'client': ('10.0.0.1', 5000)}"
_INSTEAD = {
    "environ_base": _SCOPE,
    "environ_overrides": _SCOPE,
    "input_stream": "data= takes a file, or an iterable of either colour",
    "content_length": "headers={'Content-Length': '3'} announces a length",
    "buffered": "a response is whole here; client.stream() gives it piece by piece",
}
"""What a test written for Flask may say, and what says it here."""

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class OtherOptions(TypedDict, total=False):
    """The arguments of a request behind the first two; see :func:`build_request`."""

    subdomain: str | None
    url_scheme: str | None
    scheme: str | None
    root_path: str | None
    query_string: str | bytes | Mapping[str, Any] | None
    headers: HeaderItems | None
    content_type: str | None
    mimetype: str | None
    auth: tuple[str, str] | Authorization | None
    data: Data
    form: Mapping[str, Any] | None
    files: Mapping[str, Any] | None
    json: Any
    http_version: str | None
    scope_base: Mapping[str, Any] | None
    errors_stream: TextIO | None


class RequestOptions(OtherOptions, total=False):
    """The arguments of a request; see :func:`build_request`."""

    base_url: str | None


def build_scope(
    app: App,
    path: str = "/",
    base_url: str | None = None,
    *,
    method: str = "GET",
    **options: Unpack[OtherOptions],
) -> Scope:
    """Return the ASGI scope of a request; ``scope["erlen.receive"]`` receives its body."""
    request = build_request(app, path, base_url, method=method, **options)
    return {**scope_of(request), "erlen.receive": receiver_of(request)}


def build_request(
    app: App,
    path: str = "/",
    base_url: str | None = None,
    *,
    method: str = "GET",
    subdomain: str | None = None,
    url_scheme: str | None = None,
    scheme: str | None = None,
    root_path: str | None = None,
    query_string: str | bytes | Mapping[str, Any] | None = None,
    headers: HeaderItems | None = None,
    content_type: str | None = None,
    mimetype: str | None = None,
    auth: tuple[str, str] | Authorization | None = None,
    http_version: str | None = None,
    scope_base: Mapping[str, Any] | None = None,
    errors_stream: TextIO | None = None,
    **body: Any,
) -> httpx.Request:
    """Return the request that a client of *app* would send.

    *path* is below the root of the app, with or without a query, or a whole URL. *base_url*
    says where the app is, else ``SERVER_NAME``, ``APPLICATION_ROOT`` and
    ``PREFERRED_URL_SCHEME`` do, and *subdomain*, *url_scheme* (or *scheme*) and *root_path*
    change a part of that. *scope_base* is set in the ASGI scope as it is. To *errors_stream* goes
    what is logged without a configuration. *body* is one of ``data``, ``json``, or ``form`` and
    ``files``; *method* stays what it is with a body.

    :raises SetupAssertionError: for *base_url* with *subdomain* or *url_scheme*.
    :raises TypeError: if the body is given twice, or is of an impossible type.
    """
    _refuse_others(body.keys() - {*_BODY})
    scheme = url_scheme or scheme
    if base_url is not None and (subdomain is not None or scheme is not None):
        raise SetupAssertionError("Cannot pass 'subdomain' or 'url_scheme' with 'base_url'.")
    origin, root = _base_of(app, base_url, subdomain, scheme)
    if root_path is not None:
        root = root_path.rstrip("/")
    origin, root, target = locate(path, origin, root, query_string)
    content, kind = encode_body(app.json.dumps, content_type=content_type or mimetype, **body)
    fields = Headers(headers)
    if kind is not None:
        fields["content-type"] = kind
    if auth is not None:
        fields["authorization"] = _authorization(auth).to_header()
    fields.setdefault("user-agent", USER_AGENT)
    extra: dict[str, Any] = {"root_path": root, **(scope_base or {})}
    if http_version is not None:
        extra["http_version"] = http_version
    if errors_stream is not None:
        extra["erlen.errors"] = errors_stream
    return httpx.Request(
        method,
        _parsed(f"{origin}{target}"),
        headers=fields.raw,
        content=content,
        extensions={"target": target.encode("ascii"), "erlen.scope": extra},
    )


def _refuse_others(names: Set[str]) -> None:
    for name in sorted(names):
        known = sorted({*OtherOptions.__annotations__, "base_url", "method"})
        advice = _INSTEAD.get(name, f"There are {', '.join(known)}")
        raise TypeError(f"A request of the test client takes no {name}=. {advice}.")


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    # PERF: parsing takes 60 us, a third of the time of a request; tests repeat their URLs.
    return httpx.URL(url)


def _base_of(
    app: App, base_url: str | None, subdomain: str | None, scheme: str | None
) -> tuple[str, str]:
    """Return the origin of *app*, as ``http://localhost``, and its root path."""
    if base_url is not None:
        url = urlsplit(base_url)
        if not url.scheme or not url.netloc:
            raise ValueError(f"base_url is a URL such as 'http://localhost/app', not {base_url!r}.")
        return f"{url.scheme}://{url.netloc}", unquote(url.path).rstrip("/")
    host = app.config["SERVER_NAME"] or "localhost"
    if subdomain:
        host = f"{subdomain}.{host}"
    scheme = scheme or app.config["PREFERRED_URL_SCHEME"]
    return f"{scheme}://{host}", unquote(app.config["APPLICATION_ROOT"] or "/").rstrip("/")


def locate(path: str, origin: str, root: str, query: Any = None) -> tuple[str, str, str]:
    """Return origin, root path and target of *path*, which may be a whole URL.

    *query* takes the place of the one in *path*. The target is percent-encoded, *root* is not.
    """
    path = path.partition("#")[0]
    is_whole = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", path)
    if is_whole:
        scheme, _, rest = path.partition("://")
        netloc = re.split(r"[/?]", rest, maxsplit=1)[0]
        origin, path = f"{scheme}://{netloc}", rest[len(netloc) :]
    path, _, own = path.partition("?")
    search = own if query is None else _query_of(query)
    path = quote(path, safe=_PATH_SAFE)
    mount = quote(root, safe=_ROOT_SAFE)
    if is_whole and (path == mount or path.startswith(f"{mount}/")):
        path = path[len(mount) :]
    elif is_whole:
        root = mount = ""
    target = f"{mount}{path}" if path.startswith("/") else f"{mount}/{path}"
    return origin, root, f"{target}?{quote(search, safe=_QUERY_SAFE)}" if search else target


def _query_of(query: str | bytes | Mapping[str, Any]) -> str | bytes:
    return urlencode(list(pairs(query))) if isinstance(query, Mapping) else query


def _authorization(auth: tuple[str, str] | Authorization) -> Authorization:
    if isinstance(auth, Authorization):
        return auth
    username, password = auth
    return Authorization("basic", {"username": username, "password": password})


# -- from a request to ASGI ----------------------------------------------------------------


def scope_of(request: httpx.Request, *, kind: str = "http") -> Scope:
    """Return the ASGI scope of *request*, as a server would.

    The extension ``target`` counts where the URL was tidied up, ``erlen.cookies`` is added to
    the Cookie header, and ``erlen.scope`` is set as it is.
    """
    extensions = request.extensions
    raw_path, _, query = cast(bytes, extensions.get("target") or request.url.raw_path).partition(
        b"?"
    )
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    cookies: str | None = extensions.get("erlen.cookies")
    if cookies:
        headers = _with_cookies(headers, cookies.encode("latin-1"))
    scheme, host, port = _server_of(request.url)
    scope: Scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": scheme,
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": (host, port),
        "state": {},
        "extensions": {},
    }
    if kind == "http":
        scope["method"] = request.method
    else:
        scope["scheme"] = scheme.replace("http", "ws")
        scope["extensions"]["websocket.http.response"] = {}
    scope.update(extensions.get("erlen.scope", {}))
    return scope


def _server_of(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)


def _with_cookies(headers: list[tuple[bytes, bytes]], cookies: bytes) -> list[tuple[bytes, bytes]]:
    """Add *cookies* behind those that the request brings itself, which so are found first."""
    given = [value for name, value in headers if name == b"cookie"]
    others = [item for item in headers if item[0] != b"cookie"]
    return [*others, (b"cookie", b"; ".join([*given, cookies]))]


def path_of(request: httpx.Request) -> str:
    """Return the path of *request* as it is sent, for cookies."""
    return cast(bytes, request.extensions["target"]).partition(b"?")[0].decode("ascii")


def receiver_of(request: httpx.Request) -> Receive:
    """Return a function that receives the body of *request* once, then a disconnect."""
    pieces = aiter(cast(httpx.AsyncByteStream, request.stream))
    streamed = not isinstance(request.stream, httpx.ByteStream)
    over = False

    async def receive() -> Message:
        nonlocal over
        if over:
            return {"type": "http.disconnect"}
        body = await anext(pieces, None)
        over = body is None or not streamed
        return {"type": "http.request", "body": body or b"", "more_body": not over}

    return receive
