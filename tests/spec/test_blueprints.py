"""Blueprints: names, prefixes, nesting, and what stays inside of them."""

from __future__ import annotations

import pytest

from erlen import Blueprint, Erlen, abort, g, request, url_for
from erlen.errors import SetupAssertionError, SetupError, SetupValueError


def view_named(name, text=None):
    async def view(**values):
        return text if text is not None else str(values or name)

    view.__name__ = name
    return view


@pytest.mark.parametrize(
    ("prefix", "rule", "url"),
    [
        ("/foo", "", "/foo"),
        ("/foo/", "", "/foo/"),
        ("", "/bar", "/bar"),
        ("/foo/", "/bar", "/foo/bar"),
        ("/foo/", "bar", "/foo/bar"),
        ("/foo", "/bar", "/foo/bar"),
        ("/foo/", "//bar", "/foo/bar"),
        ("/foo//", "/bar", "/foo/bar"),
        ("/", "/bar", "/bar"),
        (None, "/bar", "/bar"),
    ],
)
async def test_prefix_and_rule_are_joined_by_one_slash(prefix, rule, url):
    app, shop = Erlen("prefix"), Blueprint("shop", "prefix", url_prefix=prefix)
    shop.add_url_rule(rule, "show", view_named("show", "shown"))
    app.register_blueprint(shop)

    assert (await app.test_client().get(url)).text == "shown"


async def test_nested_blueprints_join_names_and_prefixes():
    app = Erlen("nested")
    parent = Blueprint("parent", "nested", url_prefix="/parent")
    child = Blueprint("child", "nested", url_prefix="/child")

    @child.get("/<int:number>")
    async def show(number):
        return f"{request.endpoint} {request.blueprint} {request.blueprints} {number}"

    parent.register_blueprint(child)
    app.register_blueprint(parent, url_prefix="/p")

    response = await app.test_client().get("/p/child/3")

    assert response.text == "parent.child.show parent.child ['parent.child', 'parent'] 3"


async def test_a_blueprint_may_be_registered_twice_under_two_names():
    app, shop = Erlen("twice"), Blueprint("shop", "twice")
    shop.get("/")(view_named("show", "shown"))
    app.register_blueprint(shop, url_prefix="/a")
    app.register_blueprint(shop, name="other", url_prefix="/b")

    client = app.test_client()

    assert (await client.get("/a/")).text == (await client.get("/b/")).text == "shown"
    with app.test_request_context("/"):
        assert url_for("shop.show") == "/a/"
        assert url_for("other.show") == "/b/"


def test_a_name_that_is_taken_is_refused_with_the_way_out():
    app, shop = Erlen("taken"), Blueprint("shop", "taken")
    app.register_blueprint(shop)

    with pytest.raises(SetupValueError, match=r"'shop' is already registered for this .*name="):
        app.register_blueprint(shop)
    with pytest.raises(SetupValueError, match="already registered for a different blueprint"):
        app.register_blueprint(Blueprint("shop", "taken"))


@pytest.mark.parametrize("name", ["", "a.b"])
def test_a_blueprint_needs_a_name_without_a_dot(name):
    with pytest.raises(SetupValueError, match="'name' may not"):
        Blueprint(name, "names")


def test_an_endpoint_of_a_blueprint_has_no_dot():
    shop = Blueprint("shop", "dots")

    with pytest.raises(SetupValueError, match="'endpoint' may not contain a dot"):
        shop.add_url_rule("/", "a.b", view_named("show"))
    with pytest.raises(SetupValueError, match="name may not contain a dot"):
        shop.add_url_rule("/", None, view_named("a.b"))


def test_a_rule_without_a_slash_is_refused_when_the_blueprint_has_no_prefix():
    app, shop = Erlen("slash"), Blueprint("shop", "slash")
    shop.add_url_rule("bar", "show", view_named("show"))

    with pytest.raises(SetupError, match="begins with a slash: 'bar' of the blueprint 'shop'"):
        app.register_blueprint(shop)


def test_a_blueprint_cannot_contain_itself():
    shop = Blueprint("shop", "self")

    with pytest.raises(SetupValueError, match="on itself"):
        shop.register_blueprint(shop)


def test_what_comes_after_the_registration_is_refused():
    app, shop = Erlen("late"), Blueprint("shop", "late")
    app.register_blueprint(shop)

    with pytest.raises(SetupAssertionError, match=r"'shop'.*already been registered on 'late'"):
        shop.before_request(lambda: None)
    with pytest.raises(SetupAssertionError, match="setup method 'add_url_rule'"):
        shop.get("/")(view_named("show"))


async def test_hooks_of_a_parent_count_for_children_registered_before_them():
    app = Erlen("order")
    parent, child = Blueprint("parent", "order"), Blueprint("child", "order")
    child.get("/")(view_named("show", "shown"))
    parent.register_blueprint(child)

    @parent.before_request
    async def late():
        return "from the parent"

    app.register_blueprint(parent)

    assert (await app.test_client().get("/")).text == "from the parent"


async def test_a_hook_of_a_blueprint_does_not_run_for_the_apps_own_views():
    app, shop = Erlen("apart"), Blueprint("shop", "apart")

    @shop.before_request
    async def stop():
        return "closed"

    app.get("/")(view_named("home", "open"))
    app.register_blueprint(shop)

    assert (await app.test_client().get("/")).text == "open"


async def test_an_app_wide_hook_of_a_blueprint_runs_once_for_every_view():
    app, shop = Erlen("wide"), Blueprint("shop", "wide")

    @shop.before_app_request
    async def count():
        g.count = g.get("count", 0) + 1

    @shop.after_app_request
    async def mark(response):
        response.headers["X-Count"] = str(g.count)
        return response

    app.get("/")(view_named("home", "home"))
    app.register_blueprint(shop)
    app.register_blueprint(shop, name="again", url_prefix="/again")

    assert (await app.test_client().get("/")).headers["X-Count"] == "1"


async def test_error_handlers_are_inherited_by_children():
    app = Erlen("inherited")
    parent = Blueprint("parent", "inherited")
    child = Blueprint("child", "inherited", url_prefix="/child")

    @parent.errorhandler(403)
    async def forbidden(error):
        return "parent says no", 403

    @child.get("/")
    async def show():
        abort(403)

    parent.register_blueprint(child)
    app.register_blueprint(parent)

    assert (await app.test_client().get("/child/")).text == "parent says no"


async def test_an_app_wide_error_handler_of_a_blueprint_answers_404s():
    app, shop = Erlen("wide"), Blueprint("shop", "wide")

    @shop.app_errorhandler(404)
    async def missing(error):
        return "nothing here", 404

    app.register_blueprint(shop)

    assert (await app.test_client().get("/x")).text == "nothing here"


@pytest.mark.parametrize("given", ["to the blueprint", "where it is registered"])
async def test_url_defaults_do_not_reach_a_nested_blueprint(given):
    def made(name, **defaults):
        if given == "to the blueprint":
            return Blueprint(name, "defaults", url_defaults=defaults), {}
        return Blueprint(name, "defaults"), {"url_defaults": defaults}

    app = Erlen("defaults")
    outer, of_outer = made("outer", theme="dark")
    inner, of_inner = made("inner", page=1)

    async def view(**values):
        return values

    outer.add_url_rule("/outer", "view", view)
    inner.add_url_rule("/inner", "view", view)
    outer.register_blueprint(inner, **of_inner)
    app.register_blueprint(outer, **of_outer)

    client = app.test_client()
    assert (await client.get("/outer")).json == {"theme": "dark"}
    assert (await client.get("/inner")).json == {"page": 1}


async def test_url_defaults_of_a_blueprint_are_filled_in():
    app = Erlen("defaults")
    pages = Blueprint("pages", "defaults", url_prefix="/<lang>", url_defaults={"kind": "page"})

    @pages.url_value_preprocessor
    def take(endpoint, values):
        g.lang = values.pop("lang")

    @pages.url_defaults
    def give(endpoint, values):
        values.setdefault("lang", g.get("lang", "en"))

    @pages.get("/show")
    async def show(kind):
        return f"{g.lang} {kind} {url_for('.show')}"

    app.register_blueprint(pages)

    assert (await app.test_client().get("/de/show")).text == "de page /de/show"


async def test_a_blueprint_has_static_files_below_its_prefix(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.css").write_text("a {}")
    app = Erlen("static")
    shop = Blueprint(
        "shop", "static", static_folder="files", url_prefix="/shop", root_path=str(tmp_path)
    )
    app.register_blueprint(shop)

    response = await app.test_client().get("/shop/files/a.css")

    assert (response.text, response.headers["Content-Type"]) == ("a {}", "text/css; charset=utf-8")
    with app.test_request_context("/"):
        assert url_for("shop.static", filename="a.css") == "/shop/files/a.css"


def test_recorded_functions_get_the_registration():
    app, shop = Erlen("recorded"), Blueprint("shop", "recorded")
    seen = []

    @shop.record
    def every(state):
        seen.append((state.name, state.url_prefix, state.app is app))

    @shop.record_once
    def once(state):
        state.add_url_rule("/extra", "extra", view_named("extra"))
        seen.append("once")

    app.register_blueprint(shop, url_prefix="/a")
    app.register_blueprint(shop, name="b", url_prefix="/b")

    assert seen == [("shop", "/a", True), "once", ("b", "/b", True)]
    with app.test_request_context("/"):
        assert url_for("shop.extra") == "/a/extra"


def test_recorded_functions_get_the_names_that_endpoints_begin_with():
    app, shop = Erlen("recorded"), Blueprint("shop", "recorded", url_prefix="/shop")
    cart, seen = Blueprint("cart", "recorded"), []

    @cart.record
    def every(state):
        seen.append((state.name_prefix, state.name, state.full_name))
        state.add_url_rule("/extra", "extra", view_named("extra"))

    shop.register_blueprint(cart)
    app.register_blueprint(shop)
    app.register_blueprint(cart, name="alone", url_prefix="/alone")

    assert seen == [("shop", "cart", "shop.cart"), ("", "alone", "alone")]
    with app.test_request_context("/"):
        assert url_for(f"{seen[0][2]}.extra") == "/shop/extra"


async def test_a_blueprint_may_decide_how_its_errors_look():
    app = Erlen("errors", errors="html")
    api = Blueprint("api", "errors", url_prefix="/api", errors="problem")

    @api.get("/")
    async def fail():
        abort(404)

    app.register_blueprint(api)
    client = app.test_client()

    inside, outside = await client.get("/api/"), await client.get("/nowhere")

    assert inside.headers["Content-Type"] == "application/problem+json"
    assert outside.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_blueprint_can_be_printed():
    assert repr(Blueprint("shop", "x")) == "<Blueprint 'shop'>"


@pytest.mark.parametrize(
    ("made", "registered", "command"),
    [
        ({}, {}, ["shop", "greet"]),
        ({"cli_group": "store"}, {}, ["store", "greet"]),
        ({"cli_group": "store"}, {"cli_group": "market"}, ["market", "greet"]),
        ({}, {"cli_group": None}, ["greet"]),
    ],
)
def test_commands_of_a_blueprint_have_a_group_that_can_be_named(made, registered, command):
    app, shop = Erlen("commands"), Blueprint("shop", "commands", **made)

    @shop.cli.command()
    def greet():
        print("hello")

    app.register_blueprint(shop, **registered)

    assert app.test_cli_runner().invoke(args=command).output == "hello\n"


async def test_nested_blueprints_join_their_subdomains():
    app = Erlen("shop", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.test"
    shop, tea = Blueprint("shop", "shop", subdomain="shop"), Blueprint("tea", "shop")
    cart = Blueprint("cart", "shop", subdomain="cart")
    for blueprint in (tea, cart):
        blueprint.add_url_rule("/", "where", lambda: request.host)
        shop.register_blueprint(blueprint, url_prefix=f"/{blueprint.name}")
    app.register_blueprint(shop)
    client = app.test_client()

    assert (await client.get("/cart/", "http://cart.shop.example.test")).status_code == 200
    assert (await client.get("/tea/", "http://shop.example.test")).status_code == 200
    assert (await client.get("/cart/", "http://shop.example.test")).status_code == 404
