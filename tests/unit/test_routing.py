from __future__ import annotations

import gc
import sys
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Match, Mount, NoMatchFound, Route, WebSocketRoute

from erlen.converters import BaseConverter
from erlen.errors import SetupLookupError, SetupValueError
from erlen.exceptions import (
    Forbidden,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestRedirect,
)
from erlen.routing import (
    BuiltURL,
    EndpointPrefix,
    RouteList,
    Router,
    Rule,
    RuleRoute,
    Subdomain,
    Submount,
    WebSocketRuleRoute,
)
from erlen.rules import BuildError

GET = frozenset({"GET", "HEAD"})


def view():
    """Stand for a view."""


class Odd(BaseConverter):
    regex = "[0-9]+"
    error: type[Exception] = KeyError

    def to_python(self, value):
        if int(value) % 2:
            return int(value)
        raise self.error(value)


def rule(text, endpoint=None, *, methods=GET, **options):
    return Rule(rule=text, endpoint=endpoint or text, methods=methods, view=view, **options)


def router_of(*rules, **settings):
    router = Router()
    for name, value in settings.items():
        setattr(router, name, value)
    for one in rules:
        router.add(rule(one) if isinstance(one, str) else one)
    return router


def http(path, method="GET", *, host=None, query=b"", **scope):
    headers = [] if host is None else [(b"accept", b"*/*"), (b"Host", host.encode())]
    kind = {"type": "http", "method": method, "path": path}
    return {**kind, "headers": headers, "query_string": query, **scope}


def socket(path, **scope):
    return {"type": "websocket", "path": path, "headers": [], **scope}


def answer(router, scope):
    """The endpoint and its values, or the code of the error with what it carries."""
    route, values, error = router.resolve(scope)
    if route is not None:
        assert error is None
        return route.name, values
    assert values == {}
    if isinstance(error, RequestRedirect):
        return error.code, error.new_url
    if isinstance(error, MethodNotAllowed):
        return error.code, error.valid_methods
    return error.code


# Rules


def test_a_rule_is_resolved_to_its_route_and_values():
    router = router_of(rule("/user/<int:id>", defaults={"tab": "posts"}))
    route = router.routes[0]

    assert isinstance(route, RuleRoute)
    assert router.resolve(http("/user/7")) == (route, {"id": 7, "tab": "posts"}, None)


def test_rules_are_added_below_a_path_a_subdomain_and_a_name():
    router = Router()
    router.subdomain_matching = True
    blog = [Rule("/", endpoint="index"), Rule("/new", endpoint="new", methods=["get"])]

    router.add(Subdomain("my", [Submount("/blog/", [EndpointPrefix("blog.", blog)])]))

    assert [(one.rule, one.endpoint, one.subdomain) for one in router.iter_rules()] == [
        ("/blog/", "blog.index", "my"),
        ("/blog/new", "blog.new", "my"),
    ]
    assert [one.methods for one in router.iter_rules()] == [None, GET]


@pytest.mark.parametrize("path", ["/", "/about", "/user/7", "/f/a/b"])
def test_values_belong_to_the_request(path):
    router = router_of(
        "/", rule("/about", defaults={"a": 1}), rule("/user/<id>", defaults={"a": 1}), "/f/<path:p>"
    )

    router.resolve(http(path))[1]["mine"] = True

    assert "mine" not in router.resolve(http(path))[1]


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [("/a/x", "/a/<y>"), ("/b/x", "/<x>/<y>"), ("/b/1", "/<x>/<int:y>"), ("/b/c/d", "/<path:p>")],
)
def test_the_order_of_registration_is_not_the_order_of_matching(path, endpoint):
    router = router_of("/<path:p>", "/<x>/<y>", "/<x>/<int:y>", "/a/<y>")

    assert router.resolve(http(path))[0].name == endpoint


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "*",
        "/nope",
        "/user/7\n",
        "/about\n",
        f"/user/{'9' * (sys.get_int_max_str_digits() + 1)}",
        "/user/\N{ARABIC-INDIC DIGIT THREE}",
        "/max/6",
        "/odd/\udc80",
        "//",
        "@evil.example",
    ],
)
def test_anything_else_is_a_404(path):
    router = router_of("/about", "/user/<int:id>", "/max/<int(max=5):n>")

    assert isinstance(router.resolve(http(path))[2], NotFound)
    assert isinstance(router.resolve(socket(path))[2], NotFound)


# FLASK: the rule that fits best decides, also if its converter then refuses the value.
def test_a_refused_value_is_a_404_for_the_whole_path():
    router = router_of("/<int(max=5):n>", "/<name>")

    assert answer(router, http("/6")) == 404
    assert answer(router, http("/six")) == ("/<name>", {"name": "six"})


def test_a_default_wins_over_the_variable_of_its_name():
    router = router_of(rule("/<int(max=5):page>", defaults={"page": 1}))

    assert answer(router, http("/3")) == ("/<int(max=5):page>", {"page": 1})
    assert answer(router, http("/6")) == 404


@pytest.mark.parametrize(
    ("error", "kind"),
    [(KeyError, InternalServerError), (Forbidden, Forbidden), (ValueError, NotFound)],
)
def test_an_error_of_a_converter_is_returned(error, kind):
    class Failing(Odd):
        pass

    Failing.error = error
    router = Router()
    router.converters["odd"] = Failing
    router.add(rule("/<odd:n>"))

    found = router.resolve(http("/2"))[2]

    assert isinstance(found, kind)
    if kind is InternalServerError:
        assert isinstance(found.original_exception, KeyError)
    assert answer(router, http("/3")) == ("/<odd:n>", {"n": 3})


def test_converters_belong_to_one_router():
    router = Router()
    router.converters["odd"] = Odd

    assert "odd" not in Router().converters
    with pytest.raises(SetupLookupError, match="'odd'"):
        Router().add(rule("/<odd:n>"))
    assert list(Router().routes) == []


@given(
    st.text(), st.sampled_from(["http", "websocket"]), st.text(max_size=8), st.binary(max_size=8)
)
def test_no_path_raises(path, kind, root, query):
    router = router_of("/", "/a/", "/<int:x>/<path:y>/", "/<x>-<y>", rule("/o", redirect_to="a"))
    scope = {"type": kind, "path": path, "root_path": root, "query_string": query, "headers": []}

    route, _, error = router.resolve({**scope, "method": "GET"})

    assert (route is None) != (error is None)


# Methods


def test_a_wrong_method_is_a_405_with_all_that_are_right():
    router = router_of(
        rule("/x", methods=frozenset({"POST", "OPTIONS"})),
        rule("/<name>", methods=frozenset({"PUT"})),
        rule("/x", websocket=True, methods=None),
    )

    assert answer(router, http("/x")) == (405, ["OPTIONS", "POST", "PUT"])
    error = router.resolve(http("/x"))[2]
    assert isinstance(error, MethodNotAllowed)
    assert error.route is router.routes[0]
    assert router.allowed_methods(http("/x")) == ["OPTIONS", "POST", "PUT"]
    assert router.allowed_methods(http("/root/x", root_path="/root")) == ["OPTIONS", "POST", "PUT"]
    assert router.allowed_methods(http("/x/y")) == []


def test_a_rule_without_methods_answers_all():
    router = router_of(rule("/", methods=None), rule("/x/<y>", methods=None))

    assert answer(router, http("/", "BREW")) == ("/", {})
    assert answer(router, http("/x/1", "")) == ("/x/<y>", {"y": "1"})
    assert router.allowed_methods(http("/")) == []


def test_automatic_options_lead_to_the_twin():
    router = router_of(
        rule("/a", methods=GET | {"OPTIONS"}, automatic_options=True),
        rule("/<x>", methods=GET | {"OPTIONS"}, automatic_options=True),
        rule("/any/<x>", methods=None, automatic_options=True),
    )

    for at, path in enumerate(["/a", "/b", "/any/b"]):
        route = router.routes[at]
        assert router.resolve(http(path, "OPTIONS"))[0] is route.options_twin
        assert router.resolve(http(path))[0] is route


def test_http_and_websockets_have_rules_of_their_own():
    router = router_of(
        rule("/x", "page"),
        rule("/x", "socket", websocket=True, methods=None),
        rule("/y", "y", websocket=True, methods=None),
    )

    assert answer(router, http("/x")) == ("page", {})
    assert answer(router, socket("/x")) == ("socket", {})
    assert answer(router, http("/y")) == 404
    assert isinstance(router.resolve(socket("/x"))[0], WebSocketRuleRoute)
    assert answer(router_of(rule("/z")), socket("/z")) == 404


# Redirects


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/page", "/page/"),
        ("/user/a b", "/user/a%20b/"),
        ("/files/a/b", "/files/a/b/"),
        ("//page/", "/page/"),
        ("/page//", "/page/"),
        ("/a//b", "/a/b"),
        ("/a///b", "/a/b"),
        ("//page", "/page/"),
        ("/user//x", "/user/x/"),
        ("", "/"),
    ],
)
def test_another_spelling_is_a_308_to_the_right_one(path, location):
    router = router_of("/", "/page/", "/user/<name>/", "/files/<path:p>/", "/a/b")

    assert answer(router, http(path)) == (308, location)
    assert answer(router, http(path, query=b"x=1&y=%C3%A9")) == (308, f"{location}?x=1&y=%C3%A9")
    assert answer(router, http(f"/root{path}", root_path="/root")) == (308, f"/root{location}")


def test_websockets_are_redirected_like_everything_else():
    router = router_of(rule("/ws/", websocket=True, methods=None))

    assert answer(router, socket("/ws", query_string=b"a=b")) == (308, "/ws/?a=b")
    assert answer(router, socket("//ws/")) == (308, "/ws/")


def test_a_redirect_goes_to_what_is_served():
    router = router_of("/page/", "/a/b", "/<int:n>/")

    for path in ("/page", "//page", "/a//b", "/7", "//7"):
        _, location = answer(router, http(path))
        assert router.resolve(http(location))[0] is not None


@pytest.mark.parametrize("path", ["/6", "/a//6", "/6//"])
def test_nothing_is_redirected_to_a_404(path):
    assert answer(router_of("/<int(max=5):n>/", "/a/<int(max=5):n>"), http(path)) == 404


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//evil.example", "/evil.example/"),
        ("///evil.example", "/evil.example/"),
        ("/\\evil.example", "/%5Cevil.example/"),
        ("//\\/evil.example", None),
        ("/\t/evil.example", "/%09/evil.example/"),
        ("/x\r\nSet-Cookie: a=b", "/x%0D%0ASet-Cookie:%20a=b/"),
        ("/\udc80", "/%3F/"),
    ],
)
def test_a_redirect_never_leaves_the_origin(path, location):
    router = router_of("/<x>/", "/<x>/<y>/")

    found = answer(router, http(path))

    if location is not None:
        assert found == (308, location)
    if isinstance(found, tuple):
        assert found[1][0] == "/"
        assert found[1][1] not in "/\\"


def test_a_hostile_root_path_does_not_move_the_origin():
    router = router_of("/page/")

    assert answer(router, http("/page", root_path="//evil.example")) == (308, "/evil.example/page/")
    assert answer(router, http("/page", query=b"\r\nX: y")) == (308, "/page/?%0D%0AX:%20y")


def test_a_better_method_is_not_redirected():
    router = router_of(rule("/page/", methods=frozenset({"POST"})), rule("/<name>", "name"))

    assert answer(router, http("/page")) == ("name", {"name": "page"})
    assert answer(router, http("/page", "POST")) == (308, "/page/")


# FLASK: /about is the page that lacks its slash, not somebody's name.
def test_a_missing_slash_is_noticed_where_the_rule_would_match():
    assert answer(router_of("/about/", "/<name>"), http("/about")) == (308, "/about/")


def test_slashes_can_be_optional():
    router = router_of("/a/", "/b", "/<x>/y/", rule("/strict/", strict_slashes=True))
    router.strict_slashes = False

    for path in ("/a", "/a/", "/b", "/b/", "/x/y", "/x/y/"):
        assert router.resolve(http(path))[0] is not None
    assert answer(router, http("/strict")) == (308, "/strict/")
    assert router.routes[0].matches(http("/a"))[0] is Match.FULL
    assert answer(router_of(rule("/a/", strict_slashes=False)), http("/a")) == ("/a/", {})


def test_slashes_can_be_left_alone():
    router = router_of("/a//b", rule("/c", merge_slashes=True), merge_slashes=False)

    assert answer(router, http("/a//b")) == ("/a//b", {})
    assert answer(router, http("/a/b")) == 404
    assert answer(router, http("//c")) == (308, "/c")
    assert answer(router_of(rule("/c", merge_slashes=False)), http("//c")) == 404


def test_a_rule_is_read_with_its_slashes_merged():
    assert answer(router_of("/a//b"), http("/a/b")) == ("/a//b", {})


def test_values_that_are_defaults_are_redirected():
    router = router_of(
        rule("/pages/<int:page>", "pages"),
        rule("/pages/", "pages", defaults={"page": 1}),
        rule("/post/<int:page>", "post", methods=frozenset({"POST"})),
        rule("/post/", "post", defaults={"page": 1}),
    )

    assert answer(router, http("/pages/1", query=b"a=b")) == (308, "/pages/?a=b")
    assert answer(router, http("/pages/2")) == ("pages", {"page": 2})
    assert answer(router, http("/pages/")) == ("pages", {"page": 1})
    assert answer(router, http("/post/1", "POST")) == ("post", {"page": 1})

    router.redirect_defaults = False

    assert answer(router, http("/pages/1")) == ("pages", {"page": 1})


def test_an_alias_redirects_to_the_canonical_url():
    router = router_of(
        rule("/old/<int:id>", "item", alias=True),
        rule("/item/<int(max=9):id>", "item"),
        rule("/only", "only", alias=True),
    )

    assert answer(router, http("/old/7", query=b"a=b")) == (308, "/item/7?a=b")
    assert answer(router, http("/only")) == ("only", {})

    router.redirect_defaults = False

    assert answer(router, http("/old/7")) == ("item", {"id": 7})


def test_options_of_an_alias_are_those_of_the_canonical_url():
    methods = GET | {"OPTIONS"}
    router = router_of(
        rule("/old", "item", alias=True, methods=methods, automatic_options=True),
        rule("/item", "item", methods=methods, automatic_options=True),
    )

    assert answer(router, http("/old", "OPTIONS")) == (308, "/item")


def test_an_alias_without_a_url_for_its_value_is_served():
    router = router_of(
        rule("/old/<word>", "word", alias=True),
        rule("/word/<any(a, b):word>", "word"),
        rule("/same/<x>", "same", alias=True),
        rule("/<any(same):y>/<x>", "same", defaults={"y": "same"}),
    )

    assert answer(router, http("/old/a")) == (308, "/word/a")
    assert answer(router, http("/old/z")) == ("word", {"word": "z"})
    assert answer(router, http("/same/1")) == ("same", {"x": "1"})


@pytest.mark.parametrize(
    ("goal", "location"),
    [
        ("new/<x>", "/new/a%20b"),
        ("/new/<x>?y=<y>", "/new/a%20b?y=1%202"),
        ("/new#part", "/new#part"),
        ("https://example.com/<x>", "https://example.com/a%20b"),
        ("<x>", "/a%20b"),
        ("//example.com", "/example.com"),
        (lambda router, x, y: router.build("/n", {"x": x, "y": y}).path, "/n?x=a+b&y=1+2"),
        (lambda router, x, y: "https://example.com/é", "https://example.com/%C3%A9"),
        (lambda router, x, y: "\\evil", "/evil"),
    ],
)
def test_a_rule_can_lead_elsewhere(goal, location):
    router = router_of(rule("/o/<x>", redirect_to=goal, defaults={"y": "1 2"}), "/n")

    assert answer(router, http("/o/a b")) == (308, location)


def test_the_query_goes_along_in_front_of_the_fragment():
    router = router_of(rule("/o", redirect_to="/n#part"), rule("/p", redirect_to="/n?a=b"))

    assert answer(router, http("/o", query=b"x=1")) == (308, "/n?x=1#part")
    assert answer(router, http("/p", query=b"x=1")) == (308, "/n?a=b")


def test_no_value_makes_a_redirect_leave_the_origin():
    router = router_of(rule("/o/<path:x>", redirect_to="<x>"))

    assert answer(router, http("/o/https://evil.example")) == (308, "/https://evil.example")
    assert answer(router, http("/o/\\evil.example")) == (308, "/%5Cevil.example")


@pytest.mark.parametrize(
    ("error", "kind"), [(KeyError, InternalServerError), (Forbidden, Forbidden)]
)
def test_an_error_of_redirect_to_is_returned(error, kind):
    def goal(router):
        raise error

    assert isinstance(router_of(rule("/o", redirect_to=goal)).resolve(http("/o"))[2], kind)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (rule("/o/<x>", redirect_to="/<y>"), r"no variable 'y'.*It has x\."),
        (rule("/o", redirect_to="/<y>"), r"It has none\."),
        (rule("/<x>", subdomain="<x>"), "both have a variable named 'x'"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(one, message):
    with pytest.raises(SetupValueError, match=message):
        Router().add(one)


def test_a_rule_for_building_matches_nothing():
    router = router_of(rule("/cdn/<x>", "cdn", build_only=True))

    assert answer(router, http("/cdn/a")) == 404
    assert router.build("cdn", {"x": "a"}).path == "/cdn/a"


# Hosts


@pytest.fixture
def hosts():
    return router_of(
        rule("/", "any"),
        rule("/", "one", host="One.example"),
        rule("/<page>", "user", host="<user>.example"),
        rule("/", "port", host="localhost:5000"),
        rule("/s/", "socket", host="one.example", websocket=True, methods=None),
        host_matching=True,
        subdomain_matching=True,
    )


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("one.example", "/", ("one", {})),
        ("ONE.example:8000", "/", ("one", {})),
        ("ada.example", "/x", ("user", {"user": "ada", "page": "x"})),
        ("ada.example", "/", ("any", {})),
        ("localhost:5000", "/", ("port", {})),
        ("localhost:5001", "/", ("any", {})),
        ("", "/", ("any", {})),
        ("other.org", "/x", 404),
    ],
)
def test_hosts_are_matched_where_they_are_asked(hosts, host, path, found):
    assert answer(hosts, http(path, host=host)) == found


def test_a_scope_without_host_has_the_rules_of_all_hosts(hosts):
    assert answer(hosts, http("/")) == ("any", {})


def test_routes_match_their_host_alone(hosts):
    any_host, one, user, port, _ = hosts.routes
    hosts.resolve(http("/"))

    assert any_host.matches(http("/", host="x"))[0] is Match.FULL
    assert one.matches(http("/", host="one.example:80"))[0] is Match.FULL
    assert one.matches(http("/", host="two.example"))[0] is Match.NONE
    assert one.matches(http("/x", host="one.example"))[0] is Match.NONE
    assert user.matches(http("/p", host="ada.example"))[1]["path_params"] == {
        "user": "ada",
        "page": "p",
    }
    assert port.matches(http("/", host="localhost:5000"))[0] is Match.FULL


def test_hosts_are_not_matched_by_default():
    router = router_of(rule("/", "page", host="one.example"))

    assert answer(router, http("/", host="two.example")) == ("page", {})


@pytest.fixture
def subdomains():
    return router_of(
        rule("/", "bare"),
        rule("/", "api", subdomain="api"),
        rule("/<page>", "user", subdomain="<user>"),
        subdomain_matching=True,
        server_name="Example.com:5000",
    )


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("example.com", "/", ("bare", {})),
        ("example.com:5000", "/", ("bare", {})),
        ("api.example.com", "/", ("api", {})),
        ("ada.example.com:5000", "/x", ("user", {"user": "ada", "page": "x"})),
        ("ada.example.com", "/", 404),
        ("api.example.org", "/", 404),
        ("badexample.com", "/", 404),
    ],
)
def test_subdomains_are_matched_where_they_are_asked(subdomains, host, path, found):
    assert answer(subdomains, http(path, host=host)) == found


def test_routes_match_their_subdomain_alone(subdomains):
    bare, api, _ = subdomains.routes
    subdomains.resolve(http("/"))

    assert bare.matches(http("/", host="example.com"))[0] is Match.FULL
    assert bare.matches(http("/", host="api.example.com"))[0] is Match.NONE
    assert api.matches(http("/", host="api.example.com"))[0] is Match.FULL
    assert api.matches(http("/", host="api.example.org"))[0] is Match.NONE


def test_a_rule_on_a_subdomain_is_nowhere_unless_subdomains_are_matched():
    router = router_of(rule("/a", subdomain="api"), rule("/b", subdomain=""))

    assert answer(router, http("/a")) == 404
    assert answer(router, http("/b")) == ("/b", {})


def test_rules_without_a_subdomain_are_on_the_default_one():
    router = router_of(
        "/",
        rule("/bare", subdomain=""),
        subdomain_matching=True,
        default_subdomain="www",
        server_name="example.com",
    )

    assert answer(router, http("/", host="www.example.com")) == ("/", {})
    assert answer(router, http("/", host="example.com")) == 404
    assert answer(router, http("/bare", host="example.com")) == ("/bare", {})


# Routes of others


async def foreign(scope, receive, send):
    await PlainTextResponse(f"foreign {scope['path']}")(scope, receive, send)


async def starlette_view(request):
    return PlainTextResponse("starlette")


class Rude(BaseRoute):
    def __init__(self, error):
        self.error = error

    def matches(self, scope):
        raise self.error


def test_a_foreign_route_is_asked_after_the_rules():
    router = router_of("/x")
    mount = Mount("/", foreign)
    router.routes.append(mount)

    assert router.resolve(http("/x"))[0] is router.routes[0]
    route, child, error = router.resolve(http("/y"))
    assert (route, error) == (mount, None)
    assert child["endpoint"] is foreign
    assert router.resolve(socket("/y"))[0] is mount


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda routes, route: routes.insert(0, route), id="insert"),
        pytest.param(lambda routes, route: routes.__setitem__(slice(0, 0), [route]), id="slice"),
    ],
)
def test_a_foreign_route_put_in_front_of_the_first_rule_is_asked_before_it(put):
    router = router_of("/x", "/<y>")
    route = Route("/x", starlette_view, methods=["POST"])
    put(router.routes, route)

    assert router.resolve(http("/x", "POST"))[0] is route
    assert router.resolve(http("/x"))[0] is router.routes[1]
    assert answer(router, http("/x", "PUT")) == (405, ["GET", "HEAD", "POST"])


def test_a_foreign_route_that_was_only_added_earlier_is_asked_after_the_rules():
    router = Router([Mount("/", foreign)])
    router.routes.append(Mount("/", foreign))
    router.add(rule("/x"))

    assert router.resolve(http("/x"))[0] is router.routes[2]
    assert router.resolve(http("/y"))[0] is router.routes[0]


def test_a_foreign_route_put_behind_a_rule_is_asked_after_all_rules():
    router = router_of("/x", "/y")
    router.routes.insert(1, Mount("/", foreign))

    assert router.resolve(http("/y"))[0] is router.routes[2]


def test_a_redirect_of_a_rule_comes_before_foreign_routes():
    router = router_of("/x/")
    router.routes.append(Route("/x", starlette_view))

    assert answer(router, http("/x")) == (308, "/x/")


def test_a_foreign_route_comes_before_a_405():
    router = router_of("/x")
    router.routes.append(Route("/x", starlette_view, methods=["POST"]))

    assert router.resolve(http("/x", "POST"))[0] is router.routes[1]


def test_a_405_of_a_foreign_route_says_its_methods():
    router = Router([Route("/x", starlette_view, methods=["POST"])])

    assert answer(router, http("/x")) == (405, ["POST"])
    error = router.resolve(http("/x"))[2]
    assert isinstance(error, MethodNotAllowed)
    assert error.route is router.routes[0]


def test_a_websocket_route_of_starlette_is_served():
    router = Router([WebSocketRoute("/ws", starlette_view)])

    assert router.resolve(socket("/ws"))[0] is router.routes[0]
    assert answer(router, http("/ws")) == 404


@pytest.mark.parametrize(
    ("path", "location"), [("/admin", "/admin/"), ("/page/", "/page"), ("/form/", "/form")]
)
def test_a_slash_too_many_or_too_few_is_redirected_for_foreign_routes_too(path, location):
    router = Router(
        [
            Mount("/admin", foreign),
            Route("/page", starlette_view),
            Route("/form", starlette_view, methods=["POST"]),
        ]
    )

    assert answer(router, http(path, query=b"a=b")) == (308, f"{location}?a=b")
    assert answer(router, http(f"/root{path}", root_path="/root")) == (308, f"/root{location}")
    assert answer(router, http("/nothing/")) == 404
    assert answer(router, http("/")) == 404

    router.redirect_slashes = False

    assert answer(router, http(path)) == 404


def test_a_value_that_a_convertor_of_starlette_cannot_read_is_a_404():
    router = Router([Route("/{n:int}", starlette_view)])

    assert answer(router, http(f"/{'1' * 5000}")) == 404


@pytest.mark.parametrize(
    ("error", "kind"), [(RuntimeError(), InternalServerError), (Forbidden(), Forbidden)]
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_error_of_a_foreign_route_is_returned(error, kind, place):
    router = router_of("/x")
    router.routes.insert(place, Rude(error))

    assert isinstance(router.resolve(http("/y"))[2], kind)


# The list of routes and the settings


def test_changes_count_at_the_next_question():
    router = router_of("/x")
    assert answer(router, http("/x")) == ("/x", {})
    assert not router.dirty

    router.routes.clear()
    assert router.dirty
    assert answer(router, http("/x")) == 404

    router.routes = [Mount("/x", foreign)]
    assert isinstance(router.routes, RouteList)
    assert router.resolve(http("/x/"))[0] is router.routes[0]


def test_a_setting_counts_at_the_next_question():
    router = router_of("/x/")
    assert answer(router, http("/x")) == (308, "/x/")

    router.strict_slashes = False

    assert answer(router, http("/x")) == ("/x/", {})


def test_the_index_can_be_forgotten_by_hand():
    router = router_of("/x")
    router.resolve(http("/x"))

    router.dirty = False
    assert not router.dirty
    router.dirty = True
    assert router.dirty


def test_changes_are_told_also_after_the_list_was_replaced():
    router = Router()
    told = []
    router.routes.on_change = lambda: told.append(True)

    router.routes = []
    router.routes.append(Mount("/x", foreign))
    router.add(rule("/"))
    router.server_name = "example.com"

    assert len(told) == 3


def test_a_router_is_freed_with_its_last_reference():
    gc.collect()
    gc.disable()
    try:
        router = router_of("/x", rule("/<int:y>", automatic_options=True))
        router.resolve(http("/x"))
        router.build("/x", {})
        reference = weakref.ref(router)

        del router

        assert reference() is None
    finally:
        gc.enable()


# Building


@pytest.fixture
def built():
    return router_of(
        rule("/", "index"),
        rule("/user/<int:id>", "user"),
        rule("/user/<int:id>/<tab>", "user"),
        rule("/read", "thing"),
        rule("/write", "thing", methods=frozenset({"POST"})),
        rule("/delete", "gone", methods=frozenset({"DELETE"})),
        rule("/pages/", "pages", defaults={"page": 1}),
        rule("/pages/<int:page>", "pages"),
        rule("/old", "index", alias=True),
        rule("/ws", "socket", websocket=True, methods=None),
        rule("/any/<any(a, b):x>", "any"),
    )


@pytest.mark.parametrize(
    ("endpoint", "values", "method", "path"),
    [
        ("index", {}, None, "/"),
        ("user", {"id": 7}, None, "/user/7"),
        ("user", {"id": 7, "tab": None}, None, "/user/7"),
        ("user", {"id": 7, "tab": "a b"}, None, "/user/7/a%20b"),
        ("user", {"id": 7, "q": "a b", "r": [1, 2], "n": None}, None, "/user/7?q=a+b&r=1&r=2"),
        ("user", {"id": 7, "r": []}, None, "/user/7"),
        ("thing", {}, None, "/read"),
        ("thing", {}, "GET", "/read"),
        ("thing", {}, "POST", "/write"),
        ("gone", {}, None, "/delete"),
        ("pages", {}, None, "/pages/"),
        ("pages", {"page": 1}, None, "/pages/"),
        ("pages", {"page": 2}, None, "/pages/2"),
        ("index", {"self": 1, "endpoint": 2}, None, "/?self=1&endpoint=2"),
    ],
)
def test_a_url_is_built(built, endpoint, values, method, path):
    assert built.build(endpoint, values, method=method) == BuiltURL(None, path, False)


def test_the_method_of_the_request_is_preferred(built):
    assert built.build("thing", {}, default_method="POST").path == "/write"
    assert built.build("gone", {}, default_method="POST").path == "/delete"


def test_a_url_of_a_websocket_says_so(built):
    assert built.build("socket", {}) == BuiltURL(None, "/ws", True)


def test_the_query_can_be_sorted(built):
    built.sort_parameters = True

    assert built.build("index", {"b": 1, "a": 2}).path == "/?a=2&b=1"


@pytest.mark.parametrize(
    ("endpoint", "values", "method", "message"),
    [
        ("usr", {"id": 1}, None, "Did you mean 'user' instead"),
        ("user", {}, None, r"Did you forget to specify values \['id'\]"),
        ("gone", {}, "GET", r"Did you mean to use methods \['DELETE'\]"),
        ("none", {}, None, "Could not build url for endpoint 'none'"),
    ],
)
def test_a_url_that_cannot_be_built_is_explained(built, endpoint, values, method, message):
    with pytest.raises(BuildError, match=message):
        built.build(endpoint, values, method=method)


@pytest.mark.parametrize(("endpoint", "values"), [("user", {"id": "x"}), ("any", {"x": "c"})])
def test_a_value_that_a_converter_refuses_is_a_value_error(built, endpoint, values):
    with pytest.raises(ValueError, match=r"'x'|'c'"):
        built.build(endpoint, values)


@given(st.text(max_size=5), st.text(max_size=5))
def test_no_value_makes_a_url_of_another_host(path, value):
    router = router_of(rule("/<path:p>", "p"))

    url = router.build("p", {"p": path, "q": value}).path

    assert url.isascii()
    assert url.isprintable()
    assert url.startswith("/")
    assert not url.startswith(("//", "/\\"))


def test_a_url_begins_with_one_slash():
    router = router_of(rule("/<path:p>", "p"))

    assert router.build("p", {"p": "/evil.example"}).path == "/evil.example"
    assert router.build("p", {"p": "a//b"}).path == "/a//b"


def test_urls_know_their_host(hosts):
    assert hosts.build("any", {}) == BuiltURL(None, "/", False)
    assert hosts.build("one", {}).host == "one.example"
    assert hosts.build("one", {}, host="one.example:8000").host == "one.example:8000"
    assert hosts.build("user", {"user": "ada", "page": 1}) == BuiltURL("ada.example", "/1", False)
    assert hosts.build("port", {}).host == "localhost:5000"


def test_a_rule_on_this_host_is_preferred():
    router = router_of(
        rule("/a", "x", host="a.example"), rule("/b", "x", host="b.example"), host_matching=True
    )

    assert router.build("x", {}, host="b.example").path == "/b"
    assert router.build("x", {}, host="c.example").path == "/a"
    assert router.build("x", {}).path == "/a"


def test_urls_know_their_subdomain(subdomains):
    assert subdomains.build("bare", {}).host == "Example.com:5000"
    assert subdomains.build("api", {}).host == "api.Example.com:5000"
    assert subdomains.build("user", {"user": "ada", "page": 1}).host == "ada.Example.com:5000"


def test_without_matching_only_other_subdomains_name_their_host():
    router = router_of("/", rule("/", "api", subdomain="api"), server_name="example.com")

    assert router.build("/", {}).host is None
    assert router.build("api", {}).host == "api.example.com"

    router.server_name = None

    assert router.build("api", {}).host is None


@pytest.mark.parametrize("user", ["evil.org/", "a b", "a@b", "x\n"])
def test_a_value_that_is_no_part_of_a_host_is_refused(hosts, user):
    with pytest.raises(BuildError, match="is no host"):
        hosts.build("user", {"user": user, "page": 1})


def test_the_map_can_be_asked_about_its_rules(built):
    assert built.is_endpoint_expecting("user", "id")
    assert built.is_endpoint_expecting("user", "id", "tab")
    assert built.is_endpoint_expecting("pages", "page")
    assert not built.is_endpoint_expecting("user", "name")
    assert not built.is_endpoint_expecting("nothing", "id")
    assert [one.rule for one in built.iter_rules("user")] == [
        "/user/<int:id>",
        "/user/<int:id>/<tab>",
    ]
    assert len(list(built.iter_rules())) == 11
    assert list(built.iter_rules("nothing")) == []


def test_starlette_finds_urls_by_name(built, subdomains):
    built.routes.append(
        Mount("/admin", routes=[Route("/list", starlette_view, name="list")], name="admin")
    )
    built.routes.append(Host("x.example", foreign, name="host"))

    url = built.url_path_for("user", id=7, name="a b")
    assert (str(url), url.protocol, url.host) == ("/user/7?name=a+b", "http", "")
    assert built.url_path_for("socket").protocol == "websocket"
    assert built.url_path_for("admin:list") == "/admin/list"
    assert built.url_path_for("host", path="/p").host == "x.example"
    assert subdomains.url_path_for("api").host == "api.Example.com:5000"


@pytest.mark.parametrize(("name", "values"), [("nothing", {}), ("user", {}), ("user", {"id": "x"})])
def test_starlette_is_told_in_its_words_that_there_is_no_url(built, name, values):
    built.routes.append(Mount("/admin", foreign, name="admin"))

    with pytest.raises(NoMatchFound):
        built.url_path_for(name, **values)


# As an ASGI app


async def served(app, scope):
    """The messages that *app* sends."""
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def texts(app, scope):
    start, body = await served(app, scope)
    return start["status"], body["body"].decode()


@pytest.fixture
def serving():
    router = router_of("/user/<int:id>", "/page/", rule("/ws", websocket=True, methods=None))
    router.routes.append(Mount("/mounted", foreign))

    async def app(scope, receive, send):
        values = scope["path_params"]
        assert scope["route"].endpoint is scope["endpoint"]
        await PlainTextResponse(repr(values))(scope, receive, send)

    for route in router.routes:
        if isinstance(route, RuleRoute):
            route.app = app
    return router


async def test_a_router_serves_by_itself(serving):
    scope = http("/user/7", path_params={"outer": 1})

    assert await texts(serving, scope) == (200, "{'outer': 1, 'id': 7}")
    assert scope["router"] is serving
    assert scope["path_params"] == {"outer": 1, "id": 7}


async def test_a_mounted_router_leaves_the_outer_one_in_the_scope(serving):
    outer = Router([Mount("/in", serving)])
    scope = http("/in/user/7")

    assert await texts(outer, scope) == (200, "{'id': 7}")
    assert scope["router"] is outer


async def test_a_router_serves_what_is_mounted(serving):
    scope = http("/mounted/x")

    assert await texts(serving, scope) == (200, "foreign /mounted/x")
    assert scope["route"] is serving.routes[-1]
    assert scope["root_path"] == "/mounted"


async def test_a_router_answers_what_it_cannot_serve(serving):
    scope = http("/user/7", "POST")

    assert (await texts(serving, http("/nope")))[0] == 404
    assert (await served(serving, http("/page")))[0]["status"] == 308
    assert (await texts(serving, scope))[0] == 405
    assert scope["route"] is serving.routes[0]
    assert scope["endpoint"] is view
    assert [one["type"] for one in await served(serving, socket("/nope"))] == ["websocket.close"]


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        (http("/nope"), NotFound),
        (http("/user/7", "POST"), MethodNotAllowed),
        (socket("/nope"), NotFound),
    ],
)
async def test_inside_of_an_app_what_cannot_be_served_is_raised(serving, scope, error):
    with pytest.raises(error):
        await served(serving, {**scope, "app": object()})


async def test_a_router_may_have_another_last_resort():
    async def default(scope, receive, send):
        await PlainTextResponse("default")(scope, receive, send)

    assert await texts(Router(default=default), http("/nope")) == (200, "default")


async def test_a_router_runs_its_lifespan():
    assert await served(Router(), {"type": "lifespan"}) == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]


async def test_a_router_may_have_middleware():
    class Shout:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app({**scope, "path": scope["path"].upper()}, receive, send)

    router = Router([Mount("/X", foreign)], middleware=[Middleware(Shout)])

    assert await texts(router, http("/x/y")) == (200, "foreign /X/Y")


# Cost


def calls_of(function, *args):
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("path", "most"), [("/user/7", 3), ("/user/7/posts", 3), ("/files/a/b", 4)]
)
def test_matching_takes_few_calls(path, most):
    router = router_of("/static", "/user/<int:id>", "/user/<int:id>/<tab>", "/files/<path:p>")
    scope = http(path)
    found = router.resolve(scope)
    how = router.routes.arranged, scope, path, "GET"

    assert router.search(*how) == found
    assert calls_of(router.search, *how) <= most


def test_a_static_path_is_matched_in_one_call():
    router = router_of("/static", "/user/<int:id>")
    router.resolve(http("/static"))

    assert calls_of(router.resolve, http("/static")) <= 1
