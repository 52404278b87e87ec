"""Rules as routes of Starlette, and the index made of them. Knows no request but its scope.

What reads the routes of a Starlette app finds here what it looks for: paths in Starlette's
spelling, regular expressions, convertors, and ``matches``, which answers for one rule alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from functools import cached_property, partial, wraps
from itertools import takewhile
from typing import Any, Literal, Protocol

from starlette.convertors import Convertor
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound, Route, WebSocketRoute

from .errors import SetupError
from .matching import (
    ANY,
    SOCKET,
    Domains,
    Found,
    Key,
    Node,
    Target,
    find,
    split_host,
    subdomain_of,
)
from .registry import Rule
from .rules import BaseConverter, Candidate, Pattern, compile_pattern
from .typing import ASGIApp, Receive, Scope, Send

__all__ = [
    "Index",
    "RouteList",
    "RuleFace",
    "RuleRoute",
    "Settings",
    "WebSocketRuleRoute",
    "needs_subdomain",
    "route_path",
]

_BARE = compile_pattern("", {}, host=True)
"""The subdomain of the bare name."""


class RuleFace(BaseRoute):
    """A :class:`Rule` as a route of Starlette."""

    kind: str
    """The type of the scopes it matches."""
    # PERF: nobody but instruments asks for these, and they are half the price of a rule.
    path_regex: Any = cached_property[re.Pattern[str]](lambda route: route.pattern.regex)
    """Matches the paths, with groups by the names of the variables."""
    param_convertors: Any = cached_property[dict[str, Convertor[Any]]](
        lambda route: {name: _Convertor(one) for name, one in route.pattern.converters.items()}
    )
    """The converters in Starlette's shape, by the names of the variables."""

    def __init__(self, rule: Rule, pattern: Pattern, domain: Pattern | None = None) -> None:
        self.url_rule = rule
        self.rule = rule.rule
        """The pattern in Flask's syntax."""
        self.pattern = pattern
        self.path = pattern.path
        """The pattern in Starlette's syntax."""
        self.path_format = pattern.path_format
        self.endpoint: Any = rule.view
        """The view."""
        self.name = rule.endpoint
        self.place(domain)
        self.include_in_schema = bool(rule.options.get("include_in_schema", True))
        self.app: ASGIApp = _unserved
        """What :meth:`handle` runs; whoever owns the router sets it."""
        self.pipeline: Any = None
        """Its handlers, once the app is frozen."""
        self.strict_slashes = True
        self.locate: Callable[[Scope], Mapping[str, Any] | None] | None = None
        """Finds the values in the host; ``None`` where hosts are not matched."""

    @property
    def keys(self) -> Collection[Key]:
        """The keys of the index that lead here."""
        raise NotImplementedError

    def place(self, domain: Pattern | None) -> None:
        """Say at which hosts or subdomains the rule is."""
        self.domain = domain
        names = (*(domain.names if domain else ()), *self.pattern.names)
        self.arguments = frozenset((*names, *self.url_rule.defaults))
        """The names of all values that the view gets."""
        self.required = self.arguments.difference(self.url_rule.defaults)
        """The names of those that a URL cannot be built without."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether this rule is for *scope*, taken alone and without redirects."""
        if scope["type"] != self.kind or self.url_rule.build_only:
            return Match.NONE, {}
        # WHY: instruments ask every route about every client's path; a converter of the app
        # that fails is reported where the path is resolved.
        try:
            values = self._values(scope)
        except Exception:
            values = None
        if values is None:
            return Match.NONE, {}
        params = {**scope.get("path_params", {}), **values, **self.url_rule.defaults}
        served = ANY in self.keys or scope.get("method") in self.keys
        child = {"endpoint": self.endpoint, "path_params": params}
        return Match.FULL if served else Match.PARTIAL, child

    def suits(self, values: Mapping[str, Any], method: str | None) -> bool:
        """Say whether *values* are enough for a URL of this rule that answers *method*."""
        rule = self.url_rule
        if method is not None and rule.methods is not None and method not in rule.methods:
            return False
        if not self.required <= values.keys():
            return False
        return all(values.get(name, default) == default for name, default in rule.defaults.items())

    def path_for(self, values: Mapping[str, Any]) -> str:
        """Build the path for *values* that suit.

        :raises ValueError: if a converter refuses one.
        """
        path = self.pattern.build({**values, **self.url_rule.defaults})
        # WHY: "//host/path" is a URL of another host, and a value may begin with a slash.
        return f"/{path.lstrip('/')}" if path.startswith("//") else path

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Build the path, if *name* is the endpoint and the values are those of the rule."""
        expected = path_params.keys() <= self.arguments and self.suits(path_params, None)
        if name != self.name or not expected:
            raise NoMatchFound(name, path_params)
        protocol: Literal["http", "websocket"] = "websocket" if self.url_rule.websocket else "http"
        return URLPath(self.path_for(path_params), protocol)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope that was matched."""
        await self.app(scope, receive, send)

    def _values(self, scope: Scope) -> Mapping[str, Any] | None:
        path = route_path(scope)
        values = self.pattern.match(path)
        if values is None and not self.strict_slashes:
            other = f"{path}/" if self.pattern.branch else path.removesuffix("/")
            values = self.pattern.match(other)
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
        served = "any method" if methods is None else ", ".join(sorted(methods))
        served = "websocket" if self.url_rule.websocket else served
        return f"<{type(self).__name__} {self.rule!r} ({served}) -> {self.name}>"


class RuleRoute(RuleFace, Route):
    """The route of a rule for HTTP."""

    kind = "http"

    def __init__(
        self,
        rule: Rule,
        pattern: Pattern,
        domain: Pattern | None = None,
        *,
        is_options: bool = False,
    ) -> None:
        super().__init__(rule, pattern, domain)
        self.methods = None if rule.methods is None else set(rule.methods)
        self.is_options = is_options
        """Whether this is where the automatic answers to OPTIONS come from."""
        automatic = rule.automatic_options and not is_options
        self.options_twin = RuleRoute(rule, pattern, domain, is_options=True) if automatic else None
        """The route that OPTIONS leads to, if it is answered automatically."""

    @property
    def keys(self) -> Collection[Key]:
        """The methods."""
        return (ANY,) if self.methods is None else self.methods


class WebSocketRuleRoute(RuleFace, WebSocketRoute):
    """The route of a rule for websockets."""

    kind = "websocket"

    @property
    def keys(self) -> Collection[Key]:
        """The one key of websockets."""
        return (SOCKET,)


class RouteList(list[BaseRoute]):
    """The routes of a router, which learns of every change.

    *on_change* is called after each. It must not hold the app strongly: the app holds this.
    """

    # PERF: each request asks for the index, which a list finds faster in a slot.
    __slots__ = ("arranged", "on_change", "placed")

    def __init__(
        self, routes: Iterable[BaseRoute] = (), on_change: Callable[[], None] | None = None
    ) -> None:
        super().__init__(routes)
        self.on_change = on_change
        self.placed: list[BaseRoute] = []
        """What was put at its place, by ``insert`` or assignment, and not just added."""
        self.arranged: Index | None = None
        """What the router made of the routes; ``None`` if they changed since."""

    def changed(self) -> None:
        """Forget the index."""
        self.arranged = None
        if self.on_change is not None:
            self.on_change()

    def was_placed(self, route: BaseRoute) -> bool:
        """Say whether *route* is where somebody wanted it to be."""
        return any(route is placed for placed in self.placed)


def _watched(mutator: Callable[..., Any], *, placing: bool) -> Callable[..., Any]:
    @wraps(mutator)
    def watched(routes: RouteList, *args: Any, **kwargs: Any) -> Any:
        before = {id(route) for route in routes} if placing else set[int]()
        try:
            return mutator(routes, *args, **kwargs)
        finally:
            if placing:
                routes.placed += [route for route in routes if id(route) not in before]
            routes.changed()

    return watched


for _name in ("insert", "__setitem__"):
    setattr(RouteList, _name, _watched(getattr(list, _name), placing=True))
for _name in (
    *("append", "extend", "remove", "pop", "clear", "sort", "reverse"),
    *("__delitem__", "__iadd__", "__imul__"),
):
    setattr(RouteList, _name, _watched(getattr(list, _name), placing=False))


class Settings(Protocol):
    """What a router is asked about all its rules."""

    strict_slashes: bool
    redirect_defaults: bool
    host_matching: bool
    subdomain_matching: bool
    server_name: str | None
    default_subdomain: str


class Index:
    """What the routes come to, arranged for questions."""

    def __init__(self, routes: RouteList, settings: Settings) -> None:
        rules = [route for route in routes if isinstance(route, RuleFace)]
        self.leading: list[BaseRoute] = []
        """Foreign routes that were put in front of the first rule."""
        self.trailing: list[BaseRoute] = []
        """The other foreign routes."""
        first = routes.index(rules[0]) if rules else 0
        for at, route in enumerate(routes):
            if not isinstance(route, RuleFace):
                leads = at < first and routes.was_placed(route)
                (self.leading if leads else self.trailing).append(route)
        # What takes everything comes last, wherever it was added.
        self.trailing.sort(key=lambda route: getattr(route, "is_fallback", False))
        self.endpoints: dict[str, list[RuleFace]] = {}
        """The rules of each endpoint, the one whose URL is preferred first."""
        for route in rules:
            self.endpoints.setdefault(route.name, []).append(route)
        for siblings in self.endpoints.values():
            siblings.sort(key=_preference)
        self._hosts = settings.host_matching
        self._server = settings.server_name
        self._domains: Domains[RuleFace] = Domains()
        for route in rules:
            _settle(route, settings)
            self._enter(route, settings)
        everywhere = not (settings.host_matching or settings.subdomain_matching)
        self.root = self._domains.trie_of(None).root if everywhere else None
        """Where the tree of all rules begins, if hosts are not matched."""
        self.static = {} if self.leading or self.root is None else _static(self.root, rules)
        """The rules that a path alone decides, with their defaults."""

    def find(
        self, scope: Scope, path: str, key: Key, missed: list[Node[RuleFace]]
    ) -> Found[RuleFace] | None:
        """Return the rule for *path*; nodes that only answer other methods go to *missed*."""
        if self.root is not None:
            return find(self.root, path.split("/"), 0, key, missed, ())
        name, port = _host_of(scope)
        if self._hosts:
            return self._domains.find(name, port, path, key, missed)
        label = subdomain_of(name, self._server)
        return None if label is None else self._domains.find(label, "", path, key, missed)

    def candidates(self) -> Iterator[Candidate]:
        """Yield what a URL could have been built for."""
        for endpoint, routes in self.endpoints.items():
            for route in routes:
                rule = route.url_rule
                yield Candidate(endpoint, route.required, rule.methods, rule.defaults)

    def _enter(self, route: RuleFace, settings: Settings) -> None:
        rule = route.url_rule
        asked = settings.host_matching or settings.subdomain_matching
        if rule.build_only or (not asked and needs_subdomain(rule, settings)):
            return
        domain = route.domain if asked else None
        if domain is None and asked and not settings.host_matching:
            domain = _BARE
        trie = self._domains.trie_of(domain)
        better = tuple(_better(route, self.endpoints[route.name]))
        target = _target(route, domain, better if settings.redirect_defaults else ())
        if isinstance(route, RuleRoute) and route.options_twin is not None:
            twin = copy(target)
            twin.answer = route.options_twin
            trie.add(route.pattern, ("OPTIONS",), twin, strict=route.strict_slashes)
        trie.add(route.pattern, route.keys, target, strict=route.strict_slashes)


def needs_subdomain(rule: Rule, settings: Settings) -> bool:
    """Say whether URLs of *rule* need the subdomain, be it the bare name."""
    elsewhere = rule.subdomain not in (None, settings.default_subdomain)
    return settings.subdomain_matching or elsewhere


def route_path(scope: Scope) -> str:
    """Return the path below the root path, whether or not the server left that in it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def _settle(route: RuleFace, settings: Settings) -> None:
    strict = route.url_rule.strict_slashes
    route.strict_slashes = settings.strict_slashes if strict is None else strict
    route.locate = None
    if settings.host_matching:
        if route.domain is not None:
            route.locate = partial(_in_host, route.domain)
    elif settings.subdomain_matching:
        route.locate = partial(_in_subdomain, route.domain or _BARE, settings.server_name)


def _preference(route: RuleFace) -> tuple[bool, int, int]:
    rule = route.url_rule
    return rule.alias, -len(route.arguments), -len(rule.defaults)


def _better(route: RuleFace, siblings: list[RuleFace]) -> Iterator[RuleFace]:
    """Yield the rules that have a better URL for what *route* matches, on the same host."""
    rule = route.url_rule
    for other in takewhile(lambda one: one is not route, siblings):
        theirs = other.url_rule
        provides = theirs.defaults and not theirs.build_only and other.arguments == route.arguments
        elsewhere = (other.domain and other.domain.rule) != (route.domain and route.domain.rule)
        if (provides or (rule.alias and not theirs.alias)) and not elsewhere:
            yield other


def _target(
    route: RuleFace, domain: Pattern | None, better: tuple[RuleFace, ...]
) -> Target[RuleFace]:
    rule = route.url_rule
    variables = (*(domain.variables if domain else ()), *route.pattern.variables)
    # FLASK: a default wins over the variable of the same name, however the path reads.
    converters = tuple(
        (at, one.name, partial(_fixed, rule.defaults[one.name], one.converter))
        if one.name in rule.defaults
        else (at, one.name, one.converter.shortcut)
        for at, one in enumerate(variables)
    )
    detour = bool(better) or rule.redirect_to is not None
    return Target(route, converters, dict(rule.defaults), better, detour=detour)


def _fixed(value: Any, converter: BaseConverter, text: str) -> Any:
    converter.to_python(text)
    return value


def _static(
    root: Node[RuleFace], rules: list[RuleFace]
) -> dict[str, dict[Key, tuple[RuleFace, dict[str, Any]]]]:
    """Find once what would be found again and again: text comes before all variables."""
    static: dict[str, dict[Key, tuple[RuleFace, dict[str, Any]]]] = {}
    for route in rules:
        path = route.pattern.path
        spellings = (path, path.removesuffix("/"), f"{path}/") if route.pattern.static else ()
        for spelling in spellings:
            node = root.at(spelling)
            for key in () if node is None else {*node.table, *node.otherwise}:
                target = None if node is None else node.answer(key)
                if target is not None and not target.detour:
                    static.setdefault(spelling, {})[key] = target.answer, target.defaults
    return static


def _host_of(scope: Scope) -> tuple[str, str]:
    for name, value in scope.get("headers", ()):
        if name.lower() == b"host":
            return split_host(value.decode("latin-1"))
    return "", ""


def _in_host(domain: Pattern, scope: Scope) -> Mapping[str, Any] | None:
    name, port = _host_of(scope)
    values = domain.match(name)
    return domain.match(f"{name}:{port}") if values is None and port else values


def _in_subdomain(domain: Pattern, server: str | None, scope: Scope) -> Mapping[str, Any] | None:
    label = subdomain_of(_host_of(scope)[0], server)
    return None if label is None else domain.match(label)


async def _unserved(scope: Scope, receive: Receive, send: Send) -> None:
    raise SetupError(
        f"{scope.get('route')!r} has nothing to serve it. Set its app, or use a router that"
        " belongs to an app."
    )


class _Convertor(Convertor[Any]):
    """A converter in the shape that readers of Starlette's routes expect."""

    def __init__(self, converter: BaseConverter) -> None:
        self._converter = converter
        vars(self)["regex"] = converter.regex

    def convert(self, value: str) -> Any:
        return self._converter.to_python(value)

    def to_string(self, value: Any) -> str:
        return self._converter.to_url(value)
