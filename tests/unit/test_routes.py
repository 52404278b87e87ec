from __future__ import annotations

import pytest
from starlette.convertors import Convertor
from starlette.routing import BaseRoute, Match, NoMatchFound, Route, WebSocketRoute

from erlen.converters import DEFAULT_CONVERTERS, BaseConverter
from erlen.errors import SetupError
from erlen.registry import Rule
from erlen.routes import RouteList, RuleFace, RuleRoute, WebSocketRuleRoute, route_path
from erlen.rules import compile_pattern

GET = frozenset({"GET", "HEAD"})


def view():
    """Stand for a view."""


class Failing(BaseConverter):
    def to_python(self, value):
        raise RuntimeError(value)


def route_of(text, *, websocket=False, **options):
    options = {"methods": None if websocket else GET, "view": view, "endpoint": "view", **options}
    rule = Rule(rule=text, websocket=websocket, **options)
    pattern = compile_pattern(text, {**DEFAULT_CONVERTERS, "failing": Failing})
    return (WebSocketRuleRoute if websocket else RuleRoute)(rule, pattern)


def http(path, method="GET", **scope):
    return {"type": "http", "method": method, "path": path, **scope}


def socket(path, **scope):
    return {"type": "websocket", "path": path, **scope}


# What others read


def test_a_rule_is_a_route_of_starlette():
    route = route_of("/user/<int(min=1):id>")

    assert isinstance(route, Route)
    assert route.path == "/user/{id:int}"
    assert route.rule == "/user/<int(min=1):id>"
    assert route.path_format == "/user/{id}"
    assert route.name == "view"
    assert route.endpoint is view
    assert route.methods == {"GET", "HEAD"}
    assert route.include_in_schema
    assert route.pipeline is None
    assert isinstance(route.url_rule, Rule)
    assert route.arguments == {"id"}


def test_a_rule_for_websockets_is_a_websocket_route_of_starlette():
    route = route_of("/echo", websocket=True)

    assert isinstance(route, WebSocketRoute)
    assert not isinstance(route, Route)
    assert not hasattr(route, "methods")


def test_the_regex_and_the_convertors_are_those_of_the_rule():
    route = route_of("/<int:id>/<name>")

    assert route.path_regex.match("/1/a").groupdict() == {"id": "1", "name": "a"}
    assert route.path_regex.match("/1/a\n/") is None
    convertor = route.param_convertors["id"]
    assert isinstance(convertor, Convertor)
    assert convertor.regex == "[0-9]+"
    assert convertor.convert("7") == 7
    assert convertor.to_string(7) == "7"


def test_a_rule_can_be_left_out_of_schemas():
    assert not route_of("/", options={"include_in_schema": False}).include_in_schema


def test_two_routes_are_never_equal():
    one, two = route_of("/"), route_of("/")

    assert one == one
    assert one != two
    assert len({one, two}) == 2


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (route_of("/u/<x>"), "<RuleRoute '/u/<x>' (GET, HEAD) -> view>"),
        (route_of("/", methods=None), "<RuleRoute '/' (any method) -> view>"),
        (route_of("/", websocket=True), "<WebSocketRuleRoute '/' (websocket) -> view>"),
    ],
)
def test_a_route_shows_its_rule(route, text):
    assert repr(route) == text


def test_automatic_options_have_a_twin_that_has_none():
    route = route_of("/", automatic_options=True)
    twin = route.options_twin

    assert twin is not None
    assert twin.url_rule is route.url_rule
    assert (route.is_options, twin.is_options) == (False, True)
    assert twin.options_twin is None
    assert route_of("/").options_twin is None


def test_keys_are_the_concern_of_each_kind_of_route():
    with pytest.raises(NotImplementedError):
        list(RuleFace(Rule(rule="/", endpoint="x"), compile_pattern("/", {})).keys)


# matches


@pytest.mark.parametrize(
    ("route", "scope", "match", "params"),
    [
        (route_of("/<int:id>"), http("/7"), Match.FULL, {"id": 7}),
        (route_of("/<int:id>"), http("/7", "POST"), Match.PARTIAL, {"id": 7}),
        (route_of("/<int:id>", methods=None), http("/7", "BREW"), Match.FULL, {"id": 7}),
        (route_of("/", defaults={"page": 1}), http("/"), Match.FULL, {"page": 1}),
        (route_of("/a"), http("/root/a", root_path="/root"), Match.FULL, {}),
        (route_of("/a"), http("/a", path_params={"x": 1}), Match.FULL, {"x": 1}),
        (route_of("/<id>", websocket=True), socket("/7"), Match.FULL, {"id": "7"}),
    ],
)
def test_a_route_matches_its_scopes(route, scope, match, params):
    found, child = route.matches(scope)

    assert found is match
    assert child == {"endpoint": view, "path_params": params}


@pytest.mark.parametrize(
    ("route", "scope"),
    [
        pytest.param(route_of("/a"), http("/b"), id="path"),
        pytest.param(route_of("/a"), http("/a\n"), id="newline"),
        pytest.param(route_of("/<int:id>"), http(f"/{'1' * 5000}"), id="huge int"),
        pytest.param(route_of("/<failing:x>"), http("/x"), id="failing converter"),
        pytest.param(route_of("/a/"), http("/a"), id="missing slash"),
        pytest.param(route_of("/a"), socket("/a"), id="websocket"),
        pytest.param(route_of("/a", websocket=True), http("/a"), id="http"),
        pytest.param(route_of("/a", build_only=True), http("/a"), id="build only"),
    ],
)
def test_a_route_matches_nothing_else(route, scope):
    assert route.matches(scope) == (Match.NONE, {})


@pytest.mark.parametrize(("rule", "path"), [("/a/", "/a"), ("/a", "/a/")])
def test_a_lenient_route_matches_with_and_without_its_slash(rule, path):
    route = route_of(rule)
    route.strict_slashes = False

    assert route.matches(http(path))[0] is Match.FULL


# Building


@pytest.mark.parametrize(
    ("route", "values", "path", "protocol"),
    [
        (route_of("/<int:id>/<x>"), {"id": 7, "x": "a b"}, "/7/a%20b", "http"),
        (route_of("/", defaults={"page": 1}), {}, "/", "http"),
        (route_of("/", websocket=True), {}, "/", "websocket"),
    ],
)
def test_a_route_builds_its_path(route, values, path, protocol):
    url = route.url_path_for("view", **values)

    assert (str(url), url.protocol) == (path, protocol)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("other", {"id": 1}),
        ("view", {}),
        ("view", {"id": 1, "more": 2}),
        ("view", {"id": 1, "page": 2}),
    ],
)
def test_a_route_builds_no_path_of_another(name, values):
    with pytest.raises(NoMatchFound):
        route_of("/<int:id>", defaults={"page": 1}).url_path_for(name, **values)


# Serving


async def test_a_route_is_handled_by_its_app():
    route = route_of("/")
    served = []

    async def app(scope, receive, send):
        served.append(scope["path"])

    route.app = app
    await route.handle(http("/"), None, None)

    assert served == ["/"]


async def test_a_route_without_an_app_says_so():
    route = route_of("/")

    with pytest.raises(SetupError, match=r"<RuleRoute '/' .* has nothing to serve it"):
        await route.handle(http("/", route=route), None, None)


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/a", "", "/a"),
        ("/root/a", "/root", "/a"),
        ("/root", "/root", ""),
        ("/root/a", "/root/", "/a"),
        ("/rootless", "/root", "/rootless"),
        ("/a", "/root", "/a"),
        ("/a", "/", "/a"),
        ("", "", ""),
    ],
)
def test_the_root_path_is_taken_off_where_it_is(path, root, below):
    assert route_path({"path": path, "root_path": root}) == below
    assert route_path({"path": "/x"}) == "/x"


# The list

MUTATIONS = [
    pytest.param(lambda routes: routes.append(BaseRoute()), id="append"),
    pytest.param(lambda routes: routes.extend([BaseRoute()]), id="extend"),
    pytest.param(lambda routes: routes.insert(0, BaseRoute()), id="insert"),
    pytest.param(lambda routes: routes.remove(routes[0]), id="remove"),
    pytest.param(lambda routes: routes.pop(), id="pop"),
    pytest.param(lambda routes: routes.clear(), id="clear"),
    pytest.param(lambda routes: routes.sort(key=id), id="sort"),
    pytest.param(lambda routes: routes.reverse(), id="reverse"),
    pytest.param(lambda routes: routes.__setitem__(0, BaseRoute()), id="set"),
    pytest.param(lambda routes: routes.__setitem__(slice(0, 1), []), id="set slice"),
    pytest.param(lambda routes: routes.__delitem__(0), id="delete"),
    pytest.param(lambda routes: routes.__iadd__([BaseRoute()]), id="add in place"),
    pytest.param(lambda routes: routes.__imul__(2), id="multiply in place"),
]


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_every_change_of_the_list_forgets_the_index_and_is_told(mutate):
    told = []
    routes = RouteList([BaseRoute(), BaseRoute()], on_change=lambda: told.append(True))
    routes.arranged = object()
    before = list(routes)

    mutate(routes)

    assert routes.arranged is None
    assert told == [True]
    assert routes != before or len(routes) == 2


def test_nobody_has_to_be_told():
    routes = RouteList()

    routes.append(BaseRoute())

    assert len(routes) == 1
