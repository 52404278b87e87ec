"""A blueprint that owns its prefix answers for what is missing below it."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from erlen import Blueprint, Erlen, abort
from erlen.errors import SetupError
from erlen.testing import WebSocketRejected


def blueprint(name, **options):
    made = Blueprint(name, "owned", **options)
    made.get("/here")(lambda **values: name)
    made.register_error_handler(404, lambda error: (f"404 of {name}", 404))
    made.register_error_handler(405, lambda error: (f"405 of {name}", 405))
    return made


def app_with(*blueprints, **options):
    app = Erlen("owned", **options)
    app.register_error_handler(404, lambda error: ("404 of the app", 404))
    app.register_error_handler(405, lambda error: ("405 of the app", 405))
    for one in blueprints:
        app.register_blueprint(one)
    return app


async def answer(app, path, method="GET", **options):
    return (await app.test_client().open(path, method=method, **options)).text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/shop/nothing", "404 of shop"),
        ("/shop", "404 of shop"),
        ("/shop/", "404 of shop"),
        ("/shop/here", "shop"),
        ("/shops", "404 of the app"),
        ("/", "404 of the app"),
        ("/other/nothing", "404 of the app"),
    ],
)
@pytest.mark.parametrize("prefix", ["/shop", "/shop/"])
async def test_a_url_below_the_prefix_is_the_blueprints_though_no_rule_serves_it(
    prefix, path, expected
):
    other = blueprint("other", url_prefix="/other")
    app = app_with(blueprint("shop", url_prefix=prefix, owns_prefix=True), other)

    assert await answer(app, path) == expected


async def test_a_method_that_no_rule_takes_is_the_blueprints_too():
    shop = blueprint("shop", url_prefix="/shop", owns_prefix=True)
    app = app_with(shop, blueprint("other", url_prefix="/other"))

    assert await answer(app, "/shop/here", "DELETE") == "405 of shop"
    assert await answer(app, "/other/here", "DELETE") == "405 of the app"


async def test_of_nested_blueprints_the_longest_prefix_owns():
    shop = blueprint("shop", url_prefix="/shop", owns_prefix=True)
    cart = blueprint("cart", url_prefix="/cart", owns_prefix=True)
    news = blueprint("news", url_prefix="/news")
    shop.register_blueprint(cart)
    shop.register_blueprint(news)
    app = app_with(shop)

    assert await answer(app, "/shop/cart/nothing") == "404 of cart"
    assert await answer(app, "/shop/news/nothing") == "404 of shop"
    assert await answer(app, "/shop/carts") == "404 of shop"


async def test_what_the_owner_has_no_handler_for_is_its_parents():
    shop = blueprint("shop", url_prefix="/shop")
    cart = Blueprint("cart", "owned", url_prefix="/cart", owns_prefix=True)
    shop.register_blueprint(cart)
    app = app_with(shop)

    assert await answer(app, "/shop/cart/nothing") == "404 of shop"
    assert await answer(app, "/shop/nothing") == "404 of the app"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/de/user/3/nothing", "404 of user"),
        ("/de/user/three/nothing", "404 of the app"),
        ("/de/user/me/nothing", "404 of me"),
    ],
)
async def test_a_prefix_may_have_variables_and_text_comes_before_them(path, expected):
    user = blueprint("user", url_prefix="/<lang>/user/<int:id>", owns_prefix=True)
    me = blueprint("me", url_prefix="/<lang>/user/me", owns_prefix=True)
    anyone = blueprint("anyone", url_prefix="/<lang>/<string(length=4):kind>/<any(me):who>")

    assert await answer(app_with(user, me, anyone), path) == expected


async def test_a_prefix_is_on_the_subdomain_of_its_blueprint():
    api = blueprint("api", url_prefix="/v1", subdomain="api", owns_prefix=True)
    bare = blueprint("bare", url_prefix="/v2", owns_prefix=True)
    app = app_with(api, bare, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org"

    expected = {
        "http://api.example.org/v1/x": "404 of api",
        "http://example.org/v1/x": "404 of the app",
        "http://example.org/v2/x": "404 of bare",
        "http://api.example.org/v2/x": "404 of the app",
        "http://elsewhere.net/v1/x": "404 of the app",
    }
    assert {url: await answer(app, url) for url in expected} == expected


async def test_a_blueprint_that_is_registered_elsewhere_owns_that_prefix():
    app = app_with()
    app.register_blueprint(blueprint("shop", owns_prefix=True), url_prefix="/one", name="one")

    assert await answer(app, "/one/nothing") == "404 of shop"


async def test_hooks_of_the_blueprint_do_not_run_for_what_is_missing():
    shop = blueprint("shop", url_prefix="/shop", owns_prefix=True)
    seen = []
    shop.before_request(lambda: seen.append("shop"))

    assert await answer(app_with(shop), "/shop/nothing") == "404 of shop"
    assert seen == []


async def test_a_handler_of_either_colour_may_take_any_error_of_a_class():
    shop = Blueprint("shop", "owned", url_prefix="/shop", owns_prefix=True, errors="problem")

    class Closed(Exception):
        pass

    @shop.errorhandler(Closed)
    async def closed(error):
        return "closed", 503

    app = Erlen("owned", errors="html")
    app.register_blueprint(shop)

    @app.before_request
    async def refuse():
        raise Closed

    assert await answer(app, "/shop/nothing") == "closed"


async def test_errors_of_the_blueprint_count_with_and_without_owning():
    shop = Blueprint("shop", "owned", url_prefix="/shop", owns_prefix=True, errors="problem")
    app = Erlen("owned", errors="html")
    app.register_blueprint(shop)

    response = await app.test_client().get("/shop/nothing")

    assert response.headers["content-type"] == "application/problem+json"


async def test_what_somebody_else_serves_below_the_prefix_is_not_the_blueprints():
    async def foreign(scope, receive, send):
        if scope["path"].endswith("/abort"):
            abort(404)
        await PlainTextResponse("theirs", 404)(scope, receive, send)

    app = app_with(blueprint("shop", url_prefix="/shop", owns_prefix=True))
    app.routes.append(Mount("/shop/files", foreign))

    assert await answer(app, "/shop/files/x") == "theirs"
    assert await answer(app, "/shop/files/abort") == "404 of the app"


async def test_a_websocket_that_nobody_serves_is_refused_by_the_blueprint():
    app = app_with(blueprint("shop", url_prefix="/shop", owns_prefix=True))

    with pytest.raises(WebSocketRejected) as refused:
        async with app.test_client().websocket("/shop/nothing"):
            pass
    assert refused.value.response.text == "404 of shop"


def test_a_blueprint_without_a_prefix_cannot_own_it():
    with pytest.raises(SetupError, match=r"'shop' has owns_prefix=True and no url_prefix"):
        app_with(blueprint("shop", owns_prefix=True))
