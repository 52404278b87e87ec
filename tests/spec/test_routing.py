"""What serves a URL: rules, methods, redirects, files, and Starlette's own routes."""

from __future__ import annotations

import uuid

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from erlen import Blueprint, Erlen, current_app, g, request, session, url_for
from erlen.errors import SetupAssertionError, SetupError, SetupTypeError
from erlen.routing import Rule, Submount
from erlen.rules import BaseConverter, ValidationError


def app_with(rule, **options):
    app = Erlen("routing")

    @app.route(rule, **options)
    async def view(**values):
        return repr(values)

    return app


@pytest.mark.parametrize(
    ("rule", "path", "values"),
    [
        ("/<name>", "/ada", {"name": "ada"}),
        ("/<int:n>", "/007", {"n": 7}),
        ("/<float:n>", "/1.5", {"n": 1.5}),
        ("/<path:p>", "/a/b/c", {"p": "a/b/c"}),
        ("/<any(a, b):x>", "/b", {"x": "b"}),
        (
            "/<uuid:u>",
            "/12345678-1234-5678-1234-567812345678",
            {"u": uuid.UUID("12345678-1234-5678-1234-567812345678")},
        ),
        ("/<a>-<b>", "/x-y", {"a": "x", "b": "y"}),
        ("/тест", "/тест", {}),
    ],
)
async def test_a_rule_hands_its_values_to_the_view(rule, path, values):
    assert (await app_with(rule).test_client().get(path)).text == repr(values)


async def test_a_converter_of_ones_own():
    class Even(BaseConverter):
        regex = r"\d+"

        def to_python(self, value):
            if int(value) % 2:
                raise ValidationError
            return int(value)

    app = Erlen("converter")
    app.url_map.converters["even"] = Even

    @app.get("/<even:n>")
    async def view(n):
        return str(n)

    client = app.test_client()

    assert (await client.get("/4")).text == "4"
    assert (await client.get("/3")).status_code == 404


async def test_a_missing_slash_is_a_308_that_keeps_the_query():
    response = await app_with("/page/").test_client().get("/page?a=b")

    assert (response.status_code, response.headers["Location"]) == (308, "/page/?a=b")


async def test_strict_slashes_false_serves_both():
    app = app_with("/page/", strict_slashes=False)

    assert (await app.test_client().get("/page")).status_code == 200


async def test_options_is_answered_with_the_methods_of_all_rules():
    app = app_with("/x", methods=["GET", "PUT"])

    @app.post("/x")
    async def other(): ...

    response = await app.test_client().options("/x")

    assert (response.status_code, response.text) == (200, "")
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST, PUT"


async def test_options_can_be_switched_off():
    app = app_with("/x", provide_automatic_options=False)
    assert (await app.test_client().options("/x")).status_code == 405

    app = Erlen("off")
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.get("/x")(app_with)
    assert (await app.test_client().options("/x")).status_code == 405


async def test_options_can_be_a_view():
    app = Erlen("options")

    @app.route("/x", methods=["OPTIONS"])
    async def view():
        return "mine"

    assert (await app.test_client().options("/x")).text == "mine"


async def test_a_wrong_method_is_a_405_with_all_that_are_right():
    response = await app_with("/x", methods=["PUT", "GET"]).test_client().post("/x")

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, PUT"


async def test_methods_come_from_the_decorator():
    app = Erlen("methods")

    for method in ("get", "post", "put", "patch", "delete"):

        async def view():
            return request.method

        view.__name__ = method
        getattr(app, method)(f"/{method}")(view)

    client = app.test_client()

    for method in ("get", "post", "put", "patch", "delete"):
        assert (await getattr(client, method)(f"/{method}")).text == method.upper()


@pytest.mark.parametrize(
    ("register", "message"),
    [
        pytest.param(lambda app: app.get("/", methods=["POST"]), "takes no 'methods'", id="verb"),
        pytest.param(
            lambda app: app.route("/", methods="GET POST")(app_with),
            "must be a list of strings",
            id="methods as text",
        ),
        pytest.param(
            lambda app: app.route("/", colour="red")(app_with),
            "unknown keyword 'colour'",
            id="keyword",
        ),
        pytest.param(lambda app: app.add_url_rule("/"), "needs a view or an endpoint", id="none"),
        pytest.param(
            lambda app: app.add_url_rule("/", None, type("C", (), {"__call__": None})()),
            "has no __name__",
            id="nameless",
        ),
        pytest.param(
            lambda app: app.add_url_rule("x", "x", app_with), "begins with a slash", id="slash"
        ),
        pytest.param(
            lambda app: app.add_url_rule("/<what:x>", "x", app_with), "'what'", id="converter"
        ),
        pytest.param(lambda app: app.add_url_rule("/<x", "x", app_with), "/<x", id="malformed"),
    ],
)
def test_a_wrong_registration_is_refused_where_it_is_made(register, message):
    with pytest.raises(SetupError, match=message):
        register(Erlen("wrong"))


def test_an_endpoint_that_is_taken_names_both_views():
    app = app_with("/one")

    async def view(): ...

    with pytest.raises(SetupAssertionError, match=r"'view'.*test_routing.py:.*test_routing.py:"):
        app.get("/two")(view)


async def test_an_endpoint_may_get_its_view_later():
    app = Erlen("later")
    app.add_url_rule("/", endpoint="index")

    @app.endpoint("index")
    async def view():
        return "late"

    assert (await app.test_client().get("/")).text == "late"


async def test_rules_of_the_map_get_their_views_from_the_app_and_from_blueprints():
    app, shop = Erlen("map"), Blueprint("shop", "map")
    app.url_map.add(
        Submount("/foo", [Rule("/", endpoint="index"), Rule("/bar", endpoint="shop_of_ours")])
    )

    @app.endpoint("index")
    async def index():
        return f"{request.method} index"

    @shop.endpoint("shop_of_ours")
    async def named_by_the_blueprint():
        return request.endpoint

    app.register_blueprint(shop, url_prefix="/shop")
    client = app.test_client()

    assert (await client.get("/foo/")).text == "GET index"
    assert (await client.patch("/foo/")).text == "PATCH index"
    assert (await client.get("/foo/bar")).text == "shop_of_ours"
    assert (await client.get("/shop/bar")).status_code == 404


async def test_a_rule_without_a_view_builds_urls_if_an_earlier_one_answers_for_it():
    app, blog = Erlen("tutorial"), Blueprint("blog", "tutorial")
    app.testing = True

    @blog.get("/")
    async def index():
        return [url_for("index"), request.endpoint]

    app.register_blueprint(blog)
    app.add_url_rule("/", endpoint="index")

    assert (await app.test_client().get("/")).json == ["/", "blog.index"]


@pytest.mark.parametrize("options", [{"methods": ["POST"]}, {"subdomain": "other"}])
async def test_an_earlier_rule_that_answers_something_else_does_not_count(options):
    app = Erlen("tutorial")
    app.testing = True
    app.add_url_rule("/", "blog", lambda: "blog", **options)
    app.add_url_rule("/", endpoint="index")

    with pytest.raises(SetupError, match="which has no view"):
        await app.test_client().get("/")


async def test_an_endpoint_that_never_gets_a_view_is_an_error_of_the_setup():
    app = Erlen("never")
    app.testing = True
    app.add_url_rule("/", endpoint="index")

    with pytest.raises(SetupError, match=r"'/' leads to the endpoint 'index', which has no view"):
        await app.test_client().get("/")


async def test_registration_after_the_first_request_is_refused():
    app = app_with("/")
    await app.test_client().get("/")

    with pytest.raises(SetupAssertionError, match="has already handled its first request"):
        app.get("/late")(app_with)
    with pytest.raises(SetupAssertionError, match="setup method 'before_request'"):
        app.before_request(app_with)


async def test_configuration_after_the_first_request_counts():
    app = Erlen("config")

    @app.post("/")
    async def view():
        return await request.get_data()

    client = app.test_client()
    assert (await client.post("/", data=b"12345")).status_code == 200

    app.config["MAX_CONTENT_LENGTH"] = 3

    assert (await client.post("/", data=b"12345")).status_code == 413


def test_a_missing_secret_key_is_named_when_the_session_is_written():
    app = Erlen("secretless")

    with app.test_request_context("/"):
        assert session.get("x") is None
        with pytest.raises(RuntimeError, match="secret"):
            session["x"] = 1


# -- Starlette's routes --------------------------------------------------------------------


async def test_a_mounted_app_is_served_behind_the_rules():
    async def inner(request):
        return PlainTextResponse(f"{request.scope['root_path']} {request.url.path}")

    app = app_with("/sub/rule")
    app.mount("/sub", Starlette(routes=[Route("/page", inner)]))
    client = app.test_client()

    assert (await client.get("/sub/page")).text == "/sub /sub/page"
    assert (await client.get("/sub/rule")).text == "{}"
    assert (await client.get("/sub/nothing")).status_code == 404


async def test_a_starlette_route_gets_hooks_context_and_session():
    async def inner(request):
        request.session["n"] = request.session.get("n", 0) + 1
        return PlainTextResponse(f"{current_app.name} {g.hook} {request.session['n']}")

    app = Erlen("starlette")
    app.secret_key = "k" * 32
    app.add_route("/inner", inner)

    @app.before_request
    async def hook():
        g.hook = "ran"

    client = app.test_client()

    assert (await client.get("/inner")).text == "starlette ran 1"
    assert (await client.get("/inner")).text == "starlette ran 2"


async def test_errors_of_a_starlette_route_reach_our_handlers():
    async def inner(request):
        raise LookupError

    app = Erlen("starlette")
    app.routes.append(Route("/inner", inner))

    @app.errorhandler(LookupError)
    async def handler(error):
        return "handled", 418

    assert (await app.test_client().get("/inner")).status_code == 418


async def test_a_foreign_route_may_be_added_after_the_first_request():
    app = app_with("/")
    client = app.test_client()
    await client.get("/")

    app.routes.append(Mount("/late", app=PlainTextResponse("late")))

    assert (await client.get("/late/")).text == "late"


async def test_middleware_sees_requests_and_may_wrap_send():
    class Mark:
        def __init__(self, app, value):
            self.app = app
            self.value = value

        async def __call__(self, scope, receive, send):
            async def marked(message):
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-mark", self.value)]
                await send(message)

            await self.app(scope, receive, marked)

    app = app_with("/")
    app.add_middleware(Mark, value=b"seen")

    assert (await app.test_client().get("/")).headers["X-Mark"] == "seen"


# -- files ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_text("file")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<p>front end")
    (tmp_path / "dist" / "assets" / "app.js").write_text("js")
    return tmp_path


async def test_static_files_are_served_and_nothing_beside_them(folder):
    app = Erlen("static", root_path=str(folder))
    client = app.test_client()

    response = await client.get("/static/a.txt")

    assert (response.text, response.headers["Cache-Control"]) == ("file", "no-cache")
    etag = response.headers["ETag"]
    assert (await client.get("/static/a.txt", headers={"If-None-Match": etag})).status_code == 304
    for path in ("../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "nothing.txt", ""):
        assert (await client.get(f"/static/{path}")).status_code == 404


async def test_a_front_end_is_served_behind_all_rules(folder):
    app = Erlen("front end", root_path=str(folder), static_folder=None)
    app.static("/", "dist", fallback="index.html")

    @app.get("/api")
    async def api():
        return "api"

    client = app.test_client()
    html = {"Accept": "text/html"}

    assert (await client.get("/api")).text == "api"
    assert (await client.get("/assets/app.js")).text == "js"
    assert (await client.get("/", headers=html)).text == "<p>front end"
    assert (await client.get("/some/page", headers=html)).text == "<p>front end"
    assert (await client.get("/assets/missing.js", headers=html)).status_code == 404
    assert (await client.get("/data", headers={"Accept": "application/json"})).status_code == 404
    assert (await client.post("/api")).status_code == 405


def test_static_host_needs_host_matching():
    with pytest.raises(SetupAssertionError, match="static_host/host_matching"):
        Erlen("hosts", static_host="example.com")


async def test_subdomains_are_matched_below_the_server_name():
    app = Erlen("subdomains", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.com"

    @app.get("/")
    async def bare():
        return "bare"

    @app.get("/", subdomain="<user>")
    async def of_user(user):
        return user

    client = app.test_client()

    assert (await client.get("http://example.com/")).text == "bare"
    assert (await client.get("http://ada.example.com/")).text == "ada"


@pytest.mark.parametrize("errors", ["none", "json"])
def test_an_unknown_way_to_show_errors_is_refused(errors):
    with pytest.raises(SetupError, match=errors):
        Erlen("errors", errors=errors)


def test_view_functions_may_be_replaced_by_name():
    assert list(app_with("/").view_functions) == ["static", "view"]


def test_a_keyword_that_is_no_keyword_lists_the_known_ones():
    with pytest.raises(SetupTypeError, match=r"inline.*max_content_length"):
        app_with("/", in_line=True)
