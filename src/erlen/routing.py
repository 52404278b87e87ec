"""Which route serves a request, and which URL leads to a route. Knows no app and no view's code.

Rules of the app live in an index (:mod:`erlen.matching`); whatever else is in ``routes`` is asked
one after the other, as Starlette does. The index is rebuilt at the next question after a change.
"""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import takewhile
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias, cast
from urllib.parse import quote

from starlette.datastructures import URLPath
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.routing import Router as StarletteRouter
from starlette.websockets import WebSocketClose

from .errors import SetupValueError
from .exceptions import (
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestRedirect,
)
from .matching import SOCKET, Key, Node, Target, find, split_host
from .patterns import pattern
from .registry import (
    EndpointPrefix,
    Rule,
    RuleFactory,
    Subdomain,
    Submount,
    methods_of,
)
from .routes import (
    Index,
    RouteList,
    RuleFace,
    RuleRoute,
    WebSocketRuleRoute,
    needs_subdomain,
    route_path,
)
from .rules import (
    DEFAULT_CONVERTERS,
    BaseConverter,
    BuildError,
    Pattern,
    ValidationError,
    compile_pattern,
    query_string,
    quote_path,
)
from .typing import ASGIApp, Lifespan, Receive, Scope, Send

__all__ = [
    "BaseConverter",
    "BuildError",
    "BuiltURL",
    "EndpointPrefix",
    "RequestRedirect",
    "Resolution",
    "RouteList",
    "Router",
    "Rule",
    "RuleRoute",
    "Subdomain",
    "Submount",
    "WebSocketRuleRoute",
]

_SAFE_IN_LOCATION = "%/:?#[]@!$&'()*+,;=~"
_ABSOLUTE = pattern(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_VARIABLE = pattern(r"<([^<>]+)>")
_SLASHES = pattern("/{2,}")
_HOST = pattern(r"[a-zA-Z0-9._~-]+(?::[0-9]+)?")
_NO_METHOD = "?"

Resolution: TypeAlias = tuple[BaseRoute | None, dict[str, Any], HTTPException | None]
"""A rule with its values; a foreign route with what it adds to the scope; or no route, and why."""


class BuiltURL(NamedTuple):
    """A URL for an endpoint, below the root path of the app."""

    host: str | None
    """The host that it has to be asked of; ``None`` is the one of the request."""
    path: str
    """Percent-encoded, with a query for the values that the rule does not take."""
    websocket: bool


class Router(StarletteRouter):
    """Rules first, matched by an index; then the foreign routes in their order."""

    routes: RouteList
    strict_slashes: bool = True
    """Whether a path without the slash that its rule ends in is redirected; else it is served."""
    merge_slashes: bool = True
    """Whether ``//`` counts as ``/``, by a redirect."""
    redirect_defaults: bool = True
    """Whether values that are the defaults of another rule are redirected to its URL."""
    host_matching: bool = False
    """Whether rules belong to hosts; one without a host belongs to all."""
    subdomain_matching: bool = False
    """Whether rules belong to subdomains of ``server_name``; one without, to the bare name."""
    server_name: str | None = None
    """The host of the app, with its port if that is not the usual one."""
    default_subdomain: str = ""
    """The subdomain of rules that say none."""
    sort_parameters: bool = False
    """Whether the query of built URLs is sorted by name."""

    def __init__(
        self,
        routes: Sequence[BaseRoute] | None = None,
        redirect_slashes: bool = True,
        default: ASGIApp | None = None,
        lifespan: Lifespan[Any] | None = None,
        *,
        middleware: Sequence[Middleware] | None = None,
        max_body_size: int | None = None,
    ) -> None:
        self.converters: dict[str, type[BaseConverter]] = dict(DEFAULT_CONVERTERS)
        """The converters of this app by name; yours go in before the rules that use them."""
        # WHY: what stands in for Starlette's defaults is not bound to the router. An app is freed
        # with its last reference, and a router that holds itself would hold its lifespan too.
        super().__init__(
            routes,
            redirect_slashes,
            default or _not_found,
            lifespan or _no_lifespan,
            middleware=middleware,
            max_body_size=max_body_size,
        )
        if not middleware and max_body_size is None:
            self.middleware_stack = functools.partial(_dispatch, cast(Router, weakref.proxy(self)))

    def __setattr__(self, name: str, value: Any) -> None:
        before: RouteList | None = getattr(self, "routes", None)
        if name == "routes":
            value = RouteList(value, None if before is None else before.on_change)
        super().__setattr__(name, value)
        if name in _SETTINGS and before is not None:
            self.routes.changed()

    @property
    def dirty(self) -> bool:
        """Whether the index has to be rebuilt; set it to have that done."""
        return self.routes.arranged is None

    @dirty.setter
    def dirty(self, dirty: bool) -> None:
        if dirty:
            self.routes.changed()

    def add(self, factory: RuleFactory) -> None:
        """Append the routes of a :class:`Rule`, or of what makes several, as ``Submount``.

        A rule that is added here gets its view by its endpoint: ``@app.endpoint(...)``.

        :raises SetupError: if a rule cannot be read, or uses an unknown converter.
        """
        for rule in factory.get_rules(self):
            methods = methods_of(rule.methods)
            if methods != rule.methods:
                rule = replace(rule, methods=methods)
            self.routes.append(self._route_of(rule))

    def resolve(self, scope: Scope) -> Resolution:
        """Find what serves *scope*. What goes wrong is returned, not raised.

        In this order: a rule, or the redirect of one; a foreign route; 405; 404. Foreign
        routes that were put in front of the first rule are asked before it.
        """
        index = self.routes.arranged or self._arrange()
        path: str = scope["path"]
        if scope.get("root_path"):
            path = route_path(scope)
        key: Key = scope["method"] if scope["type"] == "http" else SOCKET
        # PERF: most paths are static: 0.3 us here, 1.2 through the tree (bench/routing.py).
        table = index.static.get(path)
        if table is not None and key in table:
            route, defaults = table[key]
            return route, defaults.copy(), None
        return self.search(index, scope, path, key)

    def search(self, index: Index, scope: Scope, path: str, key: Key) -> Resolution:
        """Do what :meth:`resolve` does for a *path* that *index* does not know as static."""
        partial: list[BaseRoute] = []
        if index.leading and (hit := _ask(index.leading, scope, partial)) is not None:
            return hit
        missed: list[Node[RuleFace]] = []
        if index.root is None:
            found = index.find(scope, path, key, missed)
        else:
            found = find(index.root, path.split("/"), 0, key, missed, ())
        if found is not None:
            target, texts = found
            try:
                values = target.convert(texts)
            except ValueError:
                pass
            except Exception as error:
                return _failure(error)
            else:
                if not target.detour:
                    return target.answer, values, None
                return self._detour(target, values, scope, path)
        return self._miss(index, scope, path, key, missed, partial)

    def allowed_methods(self, scope: Scope) -> list[str]:
        """Return all methods that rules answer at the path of *scope*, sorted."""
        missed: list[Node[RuleFace]] = []
        index = self.routes.arranged or self._arrange()
        index.find(scope, route_path(scope), _NO_METHOD, missed)
        return _methods(missed)

    def build(
        self,
        endpoint: str,
        values: Mapping[str, Any],
        *,
        method: str | None = None,
        default_method: str = "GET",
        host: str | None = None,
    ) -> BuiltURL:
        """Build the URL of *endpoint*; values that its rule does not take become the query.

        Of several rules the one with the most variables is taken that answers *method*, or
        without it, if possible, *default_method*; where hosts are matched, one on *host* if
        there is one. ``None`` among the values is left out.

        :raises BuildError: if no rule of the endpoint fits.
        :raises ValueError: if a converter cannot read a value.
        """
        index = self.routes.arranged or self._arrange()
        given = {name: value for name, value in values.items() if value is not None}
        elsewhere: BuiltURL | None = None
        refusal: ValidationError | None = None
        for wanted in (method,) if method is not None else (default_method, None):
            for route in index.endpoints.get(endpoint, ()):
                if route.suits(given, wanted):
                    try:
                        url = self._url(route, given, host)
                    except ValidationError as error:
                        refusal = refusal or error.with_traceback(None)  # which knows this frame
                        continue
                    if not self.host_matching or url.host in (None, host):
                        return url
                    elsewhere = elsewhere or url
            if elsewhere is not None:
                return elsewhere
        raise BuildError(endpoint, given, method, index.candidates(), refusal) from refusal

    def is_endpoint_expecting(self, endpoint: str, *names: str) -> bool:
        """Say whether a rule of *endpoint* takes all the values called *names*."""
        index = self.routes.arranged or self._arrange()
        return any(one.arguments.issuperset(names) for one in index.endpoints.get(endpoint, ()))

    def names_of(self, endpoint: str) -> frozenset[str]:
        """Return the names of all values that rules of *endpoint* take."""
        index = self.routes.arranged or self._arrange()
        names: frozenset[str] = frozenset()
        return names.union(*(one.arguments for one in index.endpoints.get(endpoint, ())))

    def is_covered(self, route: RuleFace) -> bool:
        """Say whether a rule that was added earlier answers all that *route* would."""
        earlier = takewhile(lambda other: other is not route, self.routes)
        rules = (other.url_rule for other in earlier if isinstance(other, RuleFace))
        return any(_covers(rule, route.url_rule) for rule in rules)

    def iter_rules(self, endpoint: str | None = None) -> Iterator[Rule]:
        """Yield all rules in the order of their registration, or those of *endpoint*."""
        for route in self.routes:
            if isinstance(route, RuleFace) and endpoint in (None, route.name):
                yield route.url_rule

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Build the path for an endpoint, or for ``"mount:name"`` in what is mounted.

        :raises NoMatchFound: if there is none.
        """
        try:
            url = self.build(name, path_params)
        except (BuildError, ValueError) as error:
            for route in self.routes:
                if not isinstance(route, RuleFace):
                    try:
                        return route.url_path_for(name, **path_params)
                    except NoMatchFound:
                        continue
            raise NoMatchFound(name, path_params) from error
        return URLPath(url.path, "websocket" if url.websocket else "http", url.host or "")

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve *scope* by the route that it resolves to."""
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        scope.setdefault("router", self)
        route, values, error = self.resolve(scope)
        if route is None:
            missed = getattr(error, "route", None)
            if missed is not None:
                scope.update(route=missed, endpoint=getattr(missed, "endpoint", None))
            if error is None or isinstance(error, NotFound):
                await self.default(scope, receive, send)
            else:
                await _refuse(error, scope, receive, send)
            return
        if isinstance(route, RuleFace):
            params = {**scope.get("path_params", {}), **values}
            values = {"endpoint": route.endpoint, "path_params": params}
        scope.update(values, route=route)
        await route.handle(scope, receive, send)

    def _detour(
        self, target: Target[RuleFace], values: dict[str, Any], scope: Scope, path: str
    ) -> Resolution:
        route = target.answer
        if target.slash:
            return _redirect(scope, quote_path(f"{path}/"))
        for better in target.better:
            if better.suits(values, scope.get("method")):
                try:
                    url = better.path_for(values)
                except ValueError:
                    continue
                if url != quote_path(path):
                    return _redirect(scope, url)
        goal = route.url_rule.redirect_to
        if goal is None:
            return route, values, None
        try:
            url = str(goal(self, **values)) if callable(goal) else _filled(goal, route, values)
        except Exception as error:
            return _failure(error)
        # WHY: a template names another origin itself or not at all; no value makes it do so.
        absolute = _ABSOLUTE.match(url if callable(goal) else goal) is not None
        return _redirect(scope, url, absolute=absolute)

    def _miss(
        self,
        index: Index,
        scope: Scope,
        path: str,
        key: Key,
        missed: list[Node[RuleFace]],
        partial: list[BaseRoute],
    ) -> Resolution:
        if "//" in path:
            merged = _SLASHES.sub("/", path)
            found = index.find(scope, merged, key, missed)
            if found is not None and self._merges(found[0].answer.url_rule) and _fits(*found):
                return _redirect(scope, quote_path(f"{merged}/" if found[0].slash else merged))
        if index.trailing and (hit := _ask(index.trailing, scope, partial)) is not None:
            return hit
        if key is SOCKET:
            return None, {}, NotFound()
        if (missed or partial) and (methods := _methods(missed, partial)):
            error = MethodNotAllowed(valid_methods=methods)
            error.route = next(_answers(missed), None) or partial[0]
            return None, {}, error
        foreign = [*index.leading, *index.trailing]
        if foreign and self.redirect_slashes and path != "/":
            whole: str = scope["path"]
            toggled = {**scope, "path": whole.rstrip("/") if whole.endswith("/") else f"{whole}/"}
            hit = _ask(foreign, toggled, partial)
            if partial or (hit is not None and hit[0] is not None):
                return _redirect(scope, quote_path(route_path(toggled)))
        return None, {}, NotFound()

    def _arrange(self) -> Index:
        for route in self.routes:
            if isinstance(route, RuleFace):
                route.place(self._domain_of(route.url_rule))
        index = self.routes.arranged = Index(self.routes, self)
        return index

    def _route_of(self, rule: Rule) -> RuleRoute | WebSocketRuleRoute:
        pattern = compile_pattern(
            rule.rule,
            self.converters,
            map=weakref.proxy(self),
            merge_slashes=self._merges(rule),
        )
        domain = self._domain_of(rule)
        _check(rule, pattern, domain)
        kind = WebSocketRuleRoute if rule.websocket else RuleRoute
        return kind(rule, pattern, domain)

    def _merges(self, rule: Rule) -> bool:
        return self.merge_slashes if rule.merge_slashes is None else rule.merge_slashes

    def _url(self, route: RuleFace, values: Mapping[str, Any], here: str | None) -> BuiltURL:
        path = route.path_for(values)
        if values.keys() - route.arguments:
            rest = {name: value for name, value in values.items() if name not in route.arguments}
            query = query_string(rest, sort=self.sort_parameters)
            path = f"{path}?{query}" if query else path
        host = self._host_for(route, values)
        # A pattern seldom names the port; the host of the request does.
        if here is not None and host == split_host(here)[0]:
            host = here
        return BuiltURL(host, path, route.url_rule.websocket)

    def _host_for(self, route: RuleFace, values: Mapping[str, Any]) -> str | None:
        server = None if self.host_matching else self.server_name
        if not self.host_matching and (server is None or not needs_subdomain(route.url_rule, self)):
            return None
        name = ""
        if route.domain is not None:
            name = route.domain.build({**values, **route.url_rule.defaults})
        name = ".".join(part for part in (name, server) if part)
        if name and not _HOST.fullmatch(name):
            raise ValidationError(f"{name!r} is no host.")
        return name or None

    def _domain_of(self, rule: Rule) -> Pattern | None:
        text = rule.host if self.host_matching else rule.subdomain
        if text is None and not self.host_matching:
            text = self.default_subdomain
        if not text:
            return None
        return compile_pattern(text, self.converters, map=weakref.proxy(self), host=True)


_SETTINGS = frozenset(
    {
        *("strict_slashes", "merge_slashes", "redirect_defaults", "host_matching"),
        *("subdomain_matching", "server_name", "default_subdomain"),
    }
)


def _covers(first: Rule, other: Rule) -> bool:
    place = attrgetter("rule", "host", "subdomain", "websocket", "build_only")
    if place(first) != place(other):
        return False
    return first.methods is None or (other.methods is not None and other.methods <= first.methods)


def _check(rule: Rule, pattern: Pattern, domain: Pattern | None) -> None:
    places = domain.names if domain else ()
    for name in places:
        if name in pattern.names:
            raise SetupValueError(
                f"The rule {rule.rule!r} and its host or subdomain both have a variable named"
                f" {name!r}. Rename one of them."
            )
    known = {*places, *pattern.names, *rule.defaults}
    for name in _VARIABLE.findall(rule.redirect_to) if isinstance(rule.redirect_to, str) else ():
        if name not in known:
            raise SetupValueError(
                f"The rule {rule.rule!r} has no variable {name!r}, which its redirect_to"
                f" {rule.redirect_to!r} uses. It has {', '.join(sorted(known)) or 'none'}."
            )


def _fits(target: Target[RuleFace], texts: tuple[str, ...]) -> bool:
    try:
        target.convert(texts)
    except Exception:
        return False
    return True


def _answers(missed: Iterable[Node[RuleFace]]) -> Iterator[RuleFace]:
    return (target.answer for node in missed for key, target in node.served() if key)


def _methods(missed: Iterable[Node[RuleFace]], partial: Iterable[BaseRoute] = ()) -> list[str]:
    methods = {key for node in missed for key, _ in node.served() if key}
    return sorted(methods.union(*(getattr(route, "methods", None) or () for route in partial)))


def _ask(routes: Iterable[BaseRoute], scope: Scope, partial: list[BaseRoute]) -> Resolution | None:
    """Ask foreign routes one after the other; note those that want another method."""
    for route in routes:
        try:
            match, child_scope = route.matches(scope)
        except ValueError:
            # WHY: this is how a convertor of Starlette refuses, 5,000 digits for example.
            continue
        except Exception as error:
            return _failure(error)
        if match is Match.FULL:
            return route, dict(child_scope), None
        if match is Match.PARTIAL:
            partial.append(route)
    return None


def _failure(error: Exception) -> Resolution:
    if isinstance(error, HTTPException):
        return None, {}, error
    return None, {}, InternalServerError(original_exception=error)


def _filled(template: str, route: RuleFace, values: Mapping[str, Any]) -> str:
    """Put *values* into the ``<variables>`` of a redirect's *template*."""
    converters = route.pattern.converters

    def text(variable: re.Match[str]) -> str:
        name = variable[1]
        if name in converters:
            return converters[name].to_url(values[name])
        return quote_path(str(values[name]))

    return _VARIABLE.sub(text, template)


def _redirect(scope: Scope, url: str, *, absolute: bool = False) -> Resolution:
    """Answer with a redirect to *url*, a path below the root path unless it is *absolute*."""
    if not absolute:
        # WHY: "//host" and "/\\host" are URLs of another host.
        root = quote_path(scope.get("root_path", "").rstrip("/"))
        below = url.lstrip("/\\")
        url = "/" + f"{root}/{below}".lstrip("/")
    url, mark, fragment = quote(url, safe=_SAFE_IN_LOCATION, errors="replace").partition("#")
    query: bytes = scope.get("query_string", b"")
    if query and "?" not in url:
        url = f"{url}?{quote(query, safe=_SAFE_IN_LOCATION)}"
    return None, {}, RequestRedirect(f"{url}{mark}{fragment}")


async def _refuse(error: HTTPException, scope: Scope, receive: Receive, send: Send) -> None:
    if "app" in scope:
        raise error
    if scope["type"] == "websocket":
        await WebSocketClose()(scope, receive, send)
    else:
        await error.get_response()(scope, receive, send)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await _refuse(NotFound(), scope, receive, send)


async def _dispatch(router: Router, scope: Scope, receive: Receive, send: Send) -> None:
    await router.app(scope, receive, send)


@asynccontextmanager
async def _no_lifespan(app: Any) -> AsyncGenerator[None]:
    yield
