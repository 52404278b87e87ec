"""Middleware by a name that is known from elsewhere, around any ASGI app. Knows no app of ours."""

from __future__ import annotations

from .concurrency import is_async
from .errors import SetupTypeError
from .forwarding import Hops, forward
from .typing import ASGIApp, Receive, Scope, Send

__all__ = ["ProxyFix"]


class ProxyFix:
    """Believes what proxies say: ``TRUSTED_PROXIES`` as ASGI middleware, around *app*.

    Each number says how many proxies have added to that ``X-Forwarded-*`` header; 0 ignores
    it. Whoever looks first has looked for all: with this around an app, its own
    ``TRUSTED_PROXIES`` is not asked any more.

    :raises SetupTypeError: if *app* is a WSGI app.
    :raises SetupValueError: if a number is negative, or none.
    """

    def __init__(
        self,
        app: ASGIApp,
        x_for: int = 1,
        x_proto: int = 1,
        x_host: int = 0,
        x_port: int = 0,
        x_prefix: int = 0,
    ) -> None:
        numbers = {
            "for": x_for,
            "proto": x_proto,
            "host": x_host,
            "port": x_port,
            "prefix": x_prefix,
        }
        self.hops = Hops.of(numbers)
        if not is_async(app):
            raise SetupTypeError(
                f"ProxyFix wraps an ASGI app, and {app!r} is not async. For an app of Erlen, under"
                f" every server, it is: app.config['TRUSTED_PROXIES'] = {numbers!r}."
            )
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve *scope* as the outermost trusted proxy saw it."""
        if self.hops is not None and scope["type"] in ("http", "websocket"):
            scope = {**scope, "headers": list(scope["headers"])}
            forward(scope, self.hops)
        await self.app(scope, receive, send)
