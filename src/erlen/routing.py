"""Which route serves a request, and the URL that leads to a route. Never raises at a client.

Rules of the app live in an index (:mod:`erlen.matching`); whatever else is in ``routes`` is asked
one after the other, as Starlette does. The index is rebuilt at the next question after a change.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, NamedTuple, NoReturn, TypeAlias
from urllib.parse import quote

from starlette.convertors import Convertor
from starlette.datastructures import URLPath
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match, NoMatchFound, Route, WebSocketRoute
from starlette.routing import Router as StarletteRouter
from starlette.websockets import WebSocketClose

from .errors import SetupError, SetupValueError
from .exceptions import (
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestRedirect,
)
from .matching import ANY, SOCKET, Domains, Found, Key, Node, Target, Trie
from .registry import Rule
from .rules import (
    DEFAULT_CONVERTERS,
    BaseConverter,
    BuildError,
    Candidate,
    Pattern,
    compile_pattern,
    query_string,
    quote_path,
)
from .typing import ASGIApp, Lifespan, Receive, Scope, Send

__all__ = ["BuiltURL", "Resolution", "RouteList", "Router", "RuleRoute", "WebSocketRuleRoute"]

_SAFE_IN_LOCATION = "%/:?#[]@!$&'()*+,;=~"
_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_VARIABLE = re.compile(r"<([^<>]+)>")
_SLASHES = re.compile("/{2,}")
_HOST_NAME = re.compile(r"[a-zA-Z0-9._~-]+(?::[0-9]+)?")


class BuiltURL(NamedTuple):
    """A URL for an endpoint, below the root path of the app."""

    host: str | None
    """The host that it has to be asked of; ``None`` is the one of the request."""
    path: str
    """Percent-encoded, with a query for the values that the rule does not take."""
    websocket: bool


class PathConvertor(Convertor[Any]):
    """A converter in the shape that readers of Starlette's routes expect."""

    def __init__(self, converter: BaseConverter) -> None:
        self.converter = converter
        self.regex = converter.regex

    def convert(self, value: str) -> Any:
        """Return the value of the variable.

        :raises ValueError: if the path does not match after all.
        """
        return self.converter.to_python(value)

    def to_string(self, value: Any) -> str:
        """Return the percent-encoded piece of path."""
        return self.converter.to_url(value)


class RuleFace(BaseRoute):
    """A :class:`Rule` as a route of Starlette."""

    kind: str
    """The type of the scopes it matches."""

    def __init__(self, rule: Rule, pattern: Pattern, domain: Pattern | None = None) -> None:
        self.url_rule = rule
        self.rule = rule.rule
        """The pattern in Flask's syntax."""
        self.pattern = pattern
        self.domain = domain
        """The pattern of the host or subdomain, if it has one."""
        self.path = pattern.path
        """The pattern in Starlette's syntax."""
        self.path_format = pattern.path_format
        self.path_regex = pattern.regex
        self.param_convertors: dict[str, Convertor[Any]] = {
            name: PathConvertor(converter) for name, converter in pattern.converters.items()
        }
        self.endpoint: Any = rule.view
        """The view."""
        self.name = rule.endpoint
        names = (*(domain.names if domain else ()), *pattern.names)
        self.variables = frozenset(names)
        self.arguments = frozenset((*names, *rule.defaults))
        """The names of all values that the view gets."""
        self.include_in_schema = bool(rule.options.get("include_in_schema", True))
        self.app: ASGIApp = _unserved
        """What :meth:`handle` runs; the app that owns the router sets it."""
        self.handler: Any = None
        """The compiled pipeline, once the app is frozen."""
        self.strict_slashes = True
        self.better: tuple[RuleFace, ...] = ()
        """The rules of this endpoint whose URLs are preferred to the one of this rule."""
        self.locate: Callable[[Scope], Mapping[str, Any] | None] | None = None
        """Finds the values in the host; ``None`` where every host is served."""

    @property
    def keys(self) -> Iterable[Key]:
        """The keys of the index that lead here."""
        raise NotImplementedError

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether this rule is for *scope*, on its own and without redirects."""
        if scope["type"] != self.kind or self.url_rule.build_only:
            return Match.NONE, {}
        # WHY: instruments ask every route, about any client's path; a converter of the app that
        # fails is reported where the path is resolved.
        try:
            values = self._values(scope)
        except Exception:
            values = None
        if values is None:
            return Match.NONE, {}
        params = {**scope.get("path_params", {}), **values, **self.url_rule.defaults}
        served = ANY in self.keys or scope.get("method") in self.keys
        return Match.FULL if served else Match.PARTIAL, {
            "endpoint": self.endpoint,
            "path_params": params,
        }

    def suits(self, values: Mapping[str, Any], method: str | None) -> bool:
        """Say whether a URL of this rule can be built from *values* for *method*."""
        rule = self.url_rule
        if method is not None and rule.methods is not None and method not in rule.methods:
            return False
        given = values.keys() | rule.defaults.keys()
        return self.arguments <= given and all(
            values.get(name, default) == default for name, default in rule.defaults.items()
        )

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Build the path, if *name* is the endpoint and the values are those of the rule."""
        if name != self.name or not (self.suits(path_params, None) and path_params.keys() <= self.arguments):
            raise NoMatchFound(name, path_params)
        path = self.pattern.build({**path_params, **self.url_rule.defaults})
        return URLPath(path, protocol="websocket" if self.url_rule.websocket else "http")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope that was matched."""
        await self.app(scope, receive, send)

    def _values(self, scope: Scope) -> Mapping[str, Any] | None:
        path = route_path(scope)
        values = self.pattern.match(path)
        if values is None and self.pattern.branch and not self.strict_slashes:
            values = self.pattern.match(f"{path}/")
        if values is None or self.locate is None:
            return values
        located = self.locate(scope)
        return None if located is None else {**located, **values}

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        methods = self.url_rule.methods
        serves = "websocket" if self.url_rule.websocket else "ANY" if methods is None else ", ".join(sorted(methods))
        return f"<{type(self).__name__} {self.rule!r} ({serves}) -> {self.name}>"
