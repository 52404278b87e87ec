"""A folder of files as a route behind all rules, for pages and for single-page front ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound

from .files import serve_static
from .proxies import current
from .routes import route_path
from .typing import Receive, Scope, Send

__all__ = ["StaticRoute"]


class StaticRoute(BaseRoute):
    """Serves the files of a folder below a URL path, to GET and HEAD only."""

    name = "static"

    def __init__(
        self, url_path: str, directory: Path, *, fallback: str | None, max_age: int | None
    ) -> None:
        self.path = url_path.rstrip("/")
        self.directory = directory
        self.fallback = fallback
        self.max_age = max_age

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether *scope* asks for something below the path."""
        path = route_path(scope)
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return Match.NONE, {}
        if path != self.path and not path.startswith(f"{self.path}/"):
            return Match.NONE, {}
        return Match.FULL, {"endpoint": self, "path_params": {}}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Refuse: the files have no endpoint."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file; the index for a folder, the fallback for a page of the front end."""
        path = route_path(scope)[len(self.path) :].lstrip("/") or self.fallback or "index.html"
        response = await serve_static(
            self.directory,
            path,
            root=str(self.directory),
            conditions=current.get().request,
            fallback=self.fallback,
            max_age=self.max_age,
        )
        await response(scope, receive, send)

    def __repr__(self) -> str:
        return f"<StaticRoute {self.path or '/'} -> {self.directory}>"
