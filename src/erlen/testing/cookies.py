"""What a browser keeps of Set-Cookie. Knows cookies and URLs; knows nothing of requests."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..headers import dump_cookie, parse_cookies, parse_date

__all__ = ["Cookie", "CookieJar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """A cookie that a client keeps."""

    key: str
    value: str
    """The value as it was sent, quotes and all."""
    decoded_value: str
    """The value that was meant."""
    domain: str
    origin_only: bool
    """Whether it is sent to *domain* alone, and not to its subdomains."""
    path: str
    expires: datetime | None = None
    max_age: int | None = None
    """Seconds that it may live from when it was received."""
    secure: bool = False
    http_only: bool = False
    same_site: str | None = None
    partitioned: bool = False
    deadline: float | None = None
    """When it is forgotten, in seconds since the epoch; ``None``: never."""

    @property
    def is_over(self) -> bool:
        """Whether it is to be forgotten."""
        return self.deadline is not None and self.deadline <= time.time()

    def is_for(self, host: str, path: str) -> bool:
        """Say whether a request for *path* on *host* carries it (RFC 6265, 5.4)."""
        # FLASK: sent over http too where it is marked Secure; tests seldom speak https.
        if host != self.domain and (self.origin_only or not host.endswith(f".{self.domain}")):
            return False
        folder = self.path if self.path.endswith("/") else f"{self.path}/"
        return path == self.path or path.startswith(folder)

    @classmethod
    def parse(cls, header: str, host: str, path: str) -> Cookie | None:
        """Read a Set-Cookie header of the response to *path* on *host*; None if it is none."""
        pair, *rest = header.split(";")
        key, equals, value = pair.partition("=")
        key, value = key.strip(), value.strip()
        if not key or not equals:
            return None
        attributes: dict[str, str] = {}
        for part in rest:
            name, _, text = part.partition("=")
            attributes[name.strip().lower()] = text.strip()
        expires = parse_date(attributes.get("expires", ""))
        max_age = _integer(attributes.get("max-age", ""))
        domain = attributes.get("domain", "").lstrip(".").lower()
        folder = attributes.get("path", "")
        return cls(
            key=key,
            value=value,
            decoded_value=parse_cookies([f"{key}={value}"])[key],
            domain=domain or host,
            origin_only=not domain,
            path=folder if folder.startswith("/") else path.rpartition("/")[0] or "/",
            expires=expires,
            max_age=max_age,
            secure="secure" in attributes,
            http_only="httponly" in attributes,
            same_site=attributes.get("samesite"),
            partitioned="partitioned" in attributes,
            deadline=_deadline(expires, max_age),
        )


def _integer(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 18 else None


def _deadline(expires: datetime | None, max_age: int | None) -> float | None:
    # RFC 6265, 5.3: Max-Age wins, whatever the order.
    if max_age is not None:
        return time.time() + max_age if max_age > 0 else 0.0
    return expires.timestamp() if expires is not None else None


class CookieJar:
    """The cookies of one client, by domain, path and name."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], Cookie] = {}

    def get(self, key: str, domain: str, path: str) -> Cookie | None:
        """Return the cookie that was set with exactly this *domain* and *path*."""
        cookie = self._cookies.get((domain, path, key))
        return None if cookie is None or cookie.is_over else cookie

    def set(self, key: str, value: str, domain: str, *, origin_only: bool, **options: Any) -> None:
        """Keep a cookie as if *domain* had set it; *options* are attributes of Set-Cookie."""
        given = None if origin_only else domain
        self.take(domain, "/", [dump_cookie(key, value, domain=given, **options)])

    def delete(self, key: str, domain: str, path: str) -> None:
        """Forget a cookie; one that is not there is fine."""
        self._cookies.pop((domain, path, key), None)

    def take(self, host: str, path: str, headers: Iterable[str]) -> None:
        """Keep what the response to *path* on *host* sets, and forget what it deletes."""
        for header in headers:
            cookie = Cookie.parse(header, host, path)
            if cookie is None:
                continue
            place = (cookie.domain, cookie.path, cookie.key)
            if cookie.is_over:
                self._cookies.pop(place, None)
            else:
                self._cookies[place] = cookie

    def header_for(self, host: str, path: str) -> str:
        """Return the Cookie header for *path* on *host*; empty if there is nothing to send."""
        if not self._cookies:
            return ""
        found = [
            cookie
            for cookie in self._cookies.values()
            if cookie.is_for(host, path) and not cookie.is_over
        ]
        # RFC 6265, 5.4: longer paths first, so that the more specific cookie is read.
        found.sort(key=lambda cookie: len(cookie.path), reverse=True)
        return "; ".join(f"{cookie.key}={cookie.value}" for cookie in found)
