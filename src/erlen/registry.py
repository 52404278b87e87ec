"""What was registered, as plain data. Knows nothing of how it is matched or run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from .errors import SetupAssertionError, place_of
from .patterns import pattern
from .typing import ErrorHandler, Hook, View

__all__ = [
    "HOOK_KINDS",
    "EndpointPrefix",
    "Inline",
    "Registry",
    "Rule",
    "RuleFactory",
    "Subdomain",
    "Submount",
    "blueprint_of",
    "scopes_of",
]


HOOK_KINDS = (
    "before_request",
    "after_request",
    "teardown_request",
    "before_websocket",
    "after_websocket",
    "teardown_websocket",
    "url_value_preprocessor",
    "url_defaults",
    "context_processor",
)
"""The hooks that a blueprint keeps for its own views."""


_VARIABLE = pattern(r"<(?:[a-zA-Z_]\w*(?:\(.*?\))?:)?([a-zA-Z_]\w*)>")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Rule:
    """One line of ``@app.route``: a URL pattern and the endpoint it leads to.

    Two rules are never equal: each is one registration.
    """

    rule: str = field(kw_only=False)
    """The pattern in Flask's syntax, with every prefix: ``"/shop/<int:id>"``."""
    endpoint: str
    """The name that ``url_for`` takes, dotted under blueprints: ``"shop.show"``."""
    view: View | None = None
    """The view of the endpoint; ``None`` for ``build_only`` and endpoints named later."""
    methods: frozenset[str] | None = None
    """Upper-case methods with HEAD and OPTIONS as served; ``None`` answers all of them."""
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values of variables that the pattern itself does not name."""
    strict_slashes: bool | None = None
    """Whether ``/x`` leads to a redirect when the rule is ``/x/``; ``None``: as the map says."""
    merge_slashes: bool | None = None
    """Whether ``//`` counts as ``/``, by a redirect; ``None``: as the map says."""
    subdomain: str | None = None
    """Pattern of the labels before ``SERVER_NAME``; ``""`` is the bare name."""
    host: str | None = None
    """Pattern of the whole host, when hosts are matched."""
    alias: bool = False
    """Whether this is a second URL that redirects to the endpoint's canonical one."""
    redirect_to: str | Callable[..., str] | None = None
    """Where matches are sent instead of to a view."""
    build_only: bool = False
    """Whether the rule only builds URLs and never matches."""
    websocket: bool = False
    """Whether it serves websockets instead of HTTP."""
    automatic_options: bool = False
    """Whether OPTIONS is answered by the framework."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Route keywords that are not about the URL: ``inline``, ``max_content_length``..."""
    place: str = ""
    """Where it was registered, ``"app.py:41"``; ``""`` if nobody knows."""

    @property
    def arguments(self) -> set[str]:
        """The names of all values that the view gets, those of *defaults* too."""
        patterns = (self.rule, self.host or "", self.subdomain or "")
        names = {name for pattern in patterns for name in _VARIABLE.findall(pattern)}
        return names | self.defaults.keys()

    def __str__(self) -> str:
        return self.rule

    def __repr__(self) -> str:
        methods = "" if self.methods is None else f" ({', '.join(sorted(self.methods))})"
        return f"<Rule {self.rule!r}{methods} -> {self.endpoint}>"

    def get_rules(self, map: Any) -> Iterable[Rule]:
        """Yield the rule itself: alone it is the smallest :class:`RuleFactory`."""
        yield self


class RuleFactory(Protocol):
    """What ``url_map.add`` takes: something that makes rules."""

    def get_rules(self, map: Any) -> Iterable[Rule]:
        """Return the rules; *map* is the router that they are for."""
        ...


class Submount(NamedTuple):
    """Puts rules below a path: ``Submount("/blog", [Rule("/new", endpoint="new")])``."""

    path: str
    rules: Iterable[RuleFactory]

    def get_rules(self, map: Any) -> Iterable[Rule]:
        """Yield the rules with their longer paths."""
        for rule in _rules_of(self.rules, map):
            yield prefixed(rule, self.path)


class Subdomain(NamedTuple):
    """Puts rules at a subdomain: ``Subdomain("api", [Rule("/users", endpoint="users")])``."""

    subdomain: str
    rules: Iterable[RuleFactory]

    def get_rules(self, map: Any) -> Iterable[Rule]:
        """Yield the rules, at the subdomain."""
        for rule in _rules_of(self.rules, map):
            yield replace(rule, subdomain=self.subdomain)


class EndpointPrefix(NamedTuple):
    """Puts a text before the endpoints of rules: ``EndpointPrefix("blog.", [...])``."""

    prefix: str
    rules: Iterable[RuleFactory]

    def get_rules(self, map: Any) -> Iterable[Rule]:
        """Yield the rules with their longer endpoints."""
        for rule in _rules_of(self.rules, map):
            yield replace(rule, endpoint=f"{self.prefix}{rule.endpoint}")


def _rules_of(factories: Iterable[RuleFactory], map: Any) -> Iterable[Rule]:
    return (rule for factory in factories for rule in factory.get_rules(map))


class Inline:
    """A ``def`` hook or handler that never blocks, and so runs on the event loop."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Inline({self.function!r})"


def blueprint_of(endpoint: str | None) -> str:
    """Return the dotted name of the blueprint that *endpoint* is in, ``""`` for the app."""
    return endpoint.rpartition(".")[0] if endpoint else ""


def scopes_of(endpoint: str | None) -> list[str]:
    """Return the scopes whose hooks apply to *endpoint*, outermost first.

    ``""`` is the app: ``"shop.cart.show"`` lives in ``""``, ``"shop"`` and ``"shop.cart"``.
    """
    scopes = [""]
    if endpoint:
        names = endpoint.split(".")[:-1]
        scopes += [".".join(names[: count + 1]) for count in range(len(names))]
    return scopes


class Prefix(NamedTuple):
    """Where the URLs of a blueprint begin."""

    scope: str
    path: re.Pattern[str]
    """Matches the prefix and whatever is below it."""
    subdomain: re.Pattern[str]
    """Matches its subdomains, where they are matched."""
    rank: tuple[int, int]
    """The higher, the longer: segments, and those of them that are text."""

    def fits(self, path: str, subdomain: str | None) -> bool:
        """Say whether *path* is the prefix or below it, on its subdomain."""
        here = subdomain is None or self.subdomain.match(subdomain) is not None
        return here and self.path.match(path) is not None


class Registry:
    """Everything that decorators of one app or blueprint wrote down.

    Hooks and error handlers are kept by scope: the dotted name of a blueprint, ``""`` for
    the app or the blueprint itself.
    """

    __slots__ = ("error_handlers", "hooks", "options", "prefixes", "rules", "template", "views")

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.views: dict[str, View] = {}
        self.hooks: dict[str, dict[str, list[Hook]]] = {
            kind: defaultdict(list) for kind in HOOK_KINDS
        }
        self.error_handlers: dict[str, dict[int | None, dict[type[Exception], ErrorHandler]]] = (
            defaultdict(lambda: defaultdict(dict))
        )
        self.template: dict[str, dict[str, Any]] = {"filters": {}, "tests": {}, "globals": {}}
        """What templates may use beside Jinja's own, by kind and name."""
        self.options: dict[str, Mapping[str, Any]] = {}
        """What a blueprint says of all its views, by scope: ``errors``, ``owns_prefix``."""
        self.prefixes: list[Prefix] = []
        """URL prefixes below which the options of a scope count where no rule matches."""

    def refuse_other_view(self, endpoint: str, view: View, rule: str) -> None:
        """Refuse *view* under a name that is taken; the same view may have several rules.

        :raises SetupAssertionError: if *endpoint* already names another view.
        """
        known = self.views.get(endpoint)
        if known is not None and known != view:  # a bound method is made anew at every look
            raise SetupAssertionError(
                f"View function mapping is overwriting an existing endpoint function:"
                f" {endpoint!r} is {place_of(known)} and would become {place_of(view)}."
                f" Give one of them another name: route({rule!r}, endpoint=...)."
            )

    def scope_below(self, path: str, subdomain: str | None, option: str) -> str | None:
        """Return the scope that says *option* for a URL without a rule.

        Of several the one with the longest prefix. *subdomain* is ``None`` where they are not
        matched.
        """
        fitting = [
            prefix
            for prefix in self.prefixes
            if self.options[prefix.scope].get(option) and prefix.fits(path, subdomain)
        ]
        return max(fitting, key=lambda prefix: prefix.rank).scope if fitting else None

    def hooks_of(self, kind: str, endpoint: str | None) -> list[Hook]:
        """Return the hooks of *kind* for *endpoint*, from the app inwards."""
        table = self.hooks[kind]
        return [hook for scope in scopes_of(endpoint) for hook in table.get(scope, ())]

    def hooks_outwards(self, kind: str, endpoint: str | None) -> list[Hook]:
        """Return the hooks of *kind* for *endpoint* in the order of the way out.

        The innermost blueprint comes first, and in each the hook registered last.
        """
        table = self.hooks[kind]
        scopes = reversed(scopes_of(endpoint))
        return [hook for scope in scopes for hook in reversed(table.get(scope, ()))]

    def error_handler_for(
        self, kinds: Sequence[type[Any]], code: int | None, endpoint: str | None
    ) -> ErrorHandler | None:
        """Find the handler of an error: by code, then by class; the innermost scope first.

        *kinds* are the classes of the error, the most derived first.
        """
        scopes = scopes_of(endpoint)[::-1]
        for key in (code, None) if code is not None else (None,):
            for scope in scopes:
                handlers = self.error_handlers.get(scope, {}).get(key)
                if not handlers:
                    continue
                for kind in kinds:
                    if kind in handlers:
                        return handlers[kind]
        return None

    def include(self, other: Registry, *, name: str, place: Callable[[Rule], None]) -> None:
        """Copy *other* under *name*; *place* puts each of its rules where it belongs."""
        own = {rule.endpoint for rule in other.rules}
        for endpoint, view in other.views.items():
            self.views[f"{name}.{endpoint}"] = view
            if endpoint not in own:
                # FLASK: @blueprint.endpoint("x") also names the view of a rule of the app.
                self.views.setdefault(endpoint, view)
        for rule in other.rules:
            place(rule)
        for kind, table in other.hooks.items():
            for scope, hooks in table.items():
                self.hooks[kind][_join(name, scope)].extend(hooks)
        for scope, codes in other.error_handlers.items():
            for code, handlers in codes.items():
                self.error_handlers[_join(name, scope)][code].update(handlers)
        for scope, options in other.options.items():
            self.options[_join(name, scope)] = options
        for kind, functions in other.template.items():
            self.template[kind].update(functions)


def _join(name: str, scope: str) -> str:
    return f"{name}.{scope}" if scope else name


def prefixed(rule: Rule, prefix: str | None, **changes: Any) -> Rule:
    """Return *rule* below *prefix*, joined by exactly one slash."""
    if prefix:
        path = rule.rule
        joined = f"{prefix.rstrip('/')}/{path.lstrip('/')}" if path else prefix
        changes["rule"] = joined
    return replace(rule, **changes)


def methods_of(methods: Iterable[str] | None) -> frozenset[str] | None:
    """Return *methods* in upper case, with HEAD wherever there is GET."""
    if methods is None:
        return None
    upper = {method.upper() for method in methods}
    return frozenset(upper | {"HEAD"} if "GET" in upper else upper)
