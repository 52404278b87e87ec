"""The request that a redirect asks for, or the reason why it is not made."""

from __future__ import annotations

from typing import cast
from urllib.parse import urljoin, urlsplit

import httpx

from .drafts import locate

__all__ = ["REDIRECTS", "ClientRedirectError", "Redirects"]

REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})

# RFC 9110, 15.4: these repeat the request as it was, the others fetch.
_REPEATING = frozenset({307, 308})
_ABOUT_THE_BODY = ("content-type", "content-length", "transfer-encoding")


class ClientRedirectError(Exception):
    """The redirects do not end."""


class Redirects:
    """The redirects that one call of the client follows."""

    def __init__(self, *, subdomains: bool = False, at_most: int = 20) -> None:
        self._subdomains = subdomains
        self._at_most = at_most
        self._made: list[tuple[int, str, str | None]] = []

    def next(
        self, request: httpx.Request, status: int, location: str, cookies: str | None
    ) -> httpx.Request:
        """Return the request for *location*, to where *request* was answered with *status*.

        :raises ClientRedirectError: if it was made before, with the same *cookies*.
        :raises RuntimeError: if it leads to somebody else's server.
        """
        step = (status, location, cookies)
        if step in self._made or len(self._made) == self._at_most:
            raise ClientRedirectError(
                f"Loop detected: A {status} redirect to {location} was already made, after"
                f" {len(self._made)} redirects: {', '.join(made[1] for made in self._made)}"
            )
        self._made.append(step)
        target = cast(bytes, request.extensions["target"]).decode("ascii")
        origin = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        url = urljoin(f"{origin}{target}", location)
        self._check_host(urlsplit(url).hostname or "", request.url.host)
        return _repeated(request, url, origin, keeps_body=status in _REPEATING)

    def _check_host(self, there: str, here: str) -> None:
        if there == here:
            return
        if not there.endswith(f".{here}"):
            raise RuntimeError(
                "Following external redirects is not supported."
                f" This one leads from {here!r} to {there!r}."
            )
        if not self._subdomains:
            raise RuntimeError(
                "Following subdomain redirects is not enabled."
                f" This one leads from {here!r} to {there!r}: make the client with"
                " allow_subdomain_redirects=True."
            )


def _repeated(request: httpx.Request, url: str, origin: str, *, keeps_body: bool) -> httpx.Request:
    """Return *request* for *url*, without its body and what is about that, unless it is kept."""
    extra = request.extensions["erlen.scope"]
    place, root, target = locate(url, origin, extra["root_path"])
    headers = request.headers.copy()
    if place != origin:
        headers.pop("host", None)
    for name in () if keeps_body else _ABOUT_THE_BODY:
        headers.pop(name, None)
    content: bytes | httpx.AsyncByteStream | None = None
    if keeps_body:
        whole = isinstance(request.stream, httpx.ByteStream)
        content = request.content if whole else cast(httpx.AsyncByteStream, request.stream)
    return httpx.Request(
        request.method if keeps_body or request.method == "HEAD" else "GET",
        f"{place}{target}",
        headers=headers,
        content=content,
        extensions={"target": target.encode("ascii"), "erlen.scope": {**extra, "root_path": root}},
    )
