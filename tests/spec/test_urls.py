"""url_for: from an endpoint to a URL, in a request and without one."""

from __future__ import annotations

import pytest

from erlen import Blueprint, Erlen, url_for
from erlen.errors import ContextError
from erlen.rules import BuildError


@pytest.fixture
def app():
    app = Erlen("urls")

    @app.get("/")
    async def index(): ...

    @app.get("/user/<int:id>")
    async def user(id): ...

    @app.route("/both", methods=["GET"], endpoint="both")
    async def get_both(): ...

    @app.websocket("/socket")
    async def socket(): ...

    @app.get("/text/<text>")
    async def text(text): ...

    return app


@pytest.mark.parametrize(
    ("endpoint", "values", "url"),
    [
        ("index", {}, "/"),
        ("user", {"id": 3}, "/user/3"),
        ("user", {"id": 3, "q": "a b", "r": [1, 2], "none": None}, "/user/3?q=a+b&r=1&r=2"),
        ("text", {"text": "a/b ü"}, "/text/a%2Fb%20%C3%BC"),
        ("index", {"_anchor": "x y"}, "/#x%20y"),
        ("index", {"_external": True}, "http://localhost/"),
        ("index", {"_scheme": "https"}, "https://localhost/"),
        ("index", {"_scheme": "", "_external": True}, "//localhost/"),
        ("socket", {"_external": True}, "ws://localhost/socket"),
        ("static", {"filename": "a.css"}, "/static/a.css"),
        ("index", {"self": 1}, "/?self=1"),
    ],
)
def test_url_for(app, endpoint, values, url):
    with app.test_request_context("/"):
        assert url_for(endpoint, **values) == url


def test_a_view_itself_names_its_endpoint(app):
    with app.test_request_context("/"):
        assert url_for(app.view_functions["user"], id=1) == "/user/1"


def test_a_relative_endpoint_is_in_the_blueprint_of_the_request(app):
    shop = Blueprint("shop", "urls", url_prefix="/shop")

    @shop.get("/here")
    async def here(): ...

    app.register_blueprint(shop)

    with app.test_request_context("/shop/here"):
        assert url_for(".here") == "/shop/here"
    with app.test_request_context("/"):
        assert url_for(".index") == "/"


def test_a_wrong_endpoint_is_answered_with_a_guess(app):
    with (
        app.test_request_context("/"),
        pytest.raises(BuildError, match=r"'usr'.*Did you mean 'user'"),
    ):
        url_for("usr", id=1)


def test_a_missing_value_is_named(app):
    with app.test_request_context("/"), pytest.raises(BuildError, match=r"'user'.*'?id'?"):
        url_for("user")


def test_a_scheme_without_external_makes_no_sense(app):
    with app.test_request_context("/"), pytest.raises(ValueError, match="_external"):
        url_for("index", _scheme="https", _external=False)


def test_a_build_error_handler_may_know_better(app):
    seen = []

    def elsewhere(error, endpoint, values):
        seen.append(values)
        return "/elsewhere" if endpoint == "other" else None

    app.url_build_error_handlers.append(elsewhere)

    with app.test_request_context("/"):
        assert url_for("other", x=1, _anchor="a") == "/elsewhere"
        with pytest.raises(BuildError):
            url_for("another")
    assert seen[0] == {
        "x": 1,
        "_anchor": "a",
        "_method": None,
        "_scheme": None,
        "_external": False,
    }


def test_outside_of_a_request_a_path_needs_no_server_name(app):
    with app.app_context():
        assert url_for("index") == "/"


def test_outside_of_a_request_an_external_url_needs_the_server_name(app):
    with app.app_context():
        with pytest.raises(ContextError, match="SERVER_NAME"):
            url_for("index", _external=True)

    app.config.update(
        SERVER_NAME="example.com", PREFERRED_URL_SCHEME="https", APPLICATION_ROOT="/app"
    )
    with app.app_context():
        assert url_for("index") == "https://example.com/app/"
        assert url_for("socket", _external=True) == "wss://example.com/app/socket"


def test_outside_of_an_app_there_are_no_urls():
    with pytest.raises(ContextError, match="application context"):
        url_for("index")


async def test_the_root_path_of_the_server_is_part_of_the_url(app):
    with app.test_request_context("/mounted/user/3", root_path="/mounted"):
        assert url_for("index") == "/mounted/"


def test_url_defaults_are_filled_in(app):
    @app.url_defaults
    def language(endpoint, values):
        values.setdefault("lang", "en")

    with app.test_request_context("/"):
        assert url_for("index") == "/?lang=en"


def test_of_several_rules_the_one_for_the_method_of_the_request_is_preferred():
    app = Erlen("methods")

    async def item(): ...

    app.add_url_rule("/read", "item", item, methods=["GET"])
    app.add_url_rule("/write", "item", item, methods=["POST"])

    with app.test_request_context("/read", method="GET"):
        assert url_for("item") == "/read"
        assert url_for("item", _method="POST") == "/write"
    with app.test_request_context("/write", method="POST"):
        assert url_for("item") == "/write"


def test_a_view_that_was_not_registered_has_no_url(app):
    async def stranger(): ...

    with app.test_request_context(), pytest.raises(BuildError, match="stranger"):
        url_for(stranger)


def test_a_value_that_its_converter_refuses_is_a_build_error(app):
    app.add_url_rule("/order/<uuid:number>", "order", lambda number: "x")

    with (
        app.test_request_context(),
        pytest.raises(BuildError, match=r"with values \['number'\]. 'nope' is no UUID") as caught,
    ):
        url_for("order", number="nope")

    assert str(caught.value.refusal) == str(caught.value.__cause__) == "'nope' is no UUID."


def test_a_value_that_cannot_stand_in_a_host_is_a_build_error():
    app = Erlen("hosts", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.com"
    app.add_url_rule("/", "home", lambda user: "x", subdomain="<user>")
    app.url_build_error_handlers.append(lambda error, endpoint, values: f"/{error.refusal}")

    with app.test_request_context():
        assert url_for("home", user="ada") == "http://ada.example.com/"
        assert url_for("home", user="a b") == "/'a%20b.example.com' is no host."


def test_another_rule_may_take_what_a_converter_refuses(app):
    app.add_url_rule("/order/<uuid:number>", "order", lambda number: "x")
    app.add_url_rule("/old-order/<number>", "order")

    with app.test_request_context():
        assert url_for("order", number="nope") == "/old-order/nope"


def test_a_value_that_a_converter_cannot_read_is_a_value_error(app):
    with app.test_request_context(), pytest.raises(ValueError, match="'nope'"):
        url_for("user", id="nope")


def test_a_relative_endpoint_needs_a_request(app):
    with app.app_context(), pytest.raises(ContextError, match=r"'\.show'.*outside of a request"):
        url_for(".show")


def test_a_build_error_handler_may_raise_another_build_error(app):
    def other(error, endpoint, values):
        raise BuildError("renamed", values, None, [])

    app.url_build_error_handlers.append(other)

    with app.test_request_context(), pytest.raises(BuildError, match="renamed") as raised:
        url_for("missing")
    assert raised.value.__cause__.endpoint == "missing"


def test_the_last_build_error_handler_may_still_know_better(app):
    def other(error, endpoint, values):
        raise BuildError("renamed", values, None, [])

    app.url_build_error_handlers += [other, lambda error, endpoint, values: "/found"]

    with app.test_request_context():
        assert url_for("missing") == "/found"
