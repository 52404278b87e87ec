"""url_to: the URL of a view, called like the view itself."""

from __future__ import annotations

import functools
import json
import pickle
from datetime import date

import pytest

from erlen import URL, Blueprint, Erlen, redirect, url_for, url_to
from erlen.errors import ContextError
from erlen.rules import BaseConverter, BuildError
from erlen.views import View


@pytest.fixture
def app():
    return Erlen("urls")


def item_of(app):
    @app.get("/<kind>/<int:number>")
    async def item(kind, number): ...

    return item


def test_arguments_are_those_of_the_view_by_position_or_by_name(app):
    item = item_of(app)

    with app.test_request_context():
        assert url_to(item, "tea", 3) == "/tea/3"
        assert url_to(item, "tea", number=3) == "/tea/3"
        assert url_to(item, number=3, kind="a/b") == "/a%2Fb/3"


def test_a_value_that_the_rule_does_not_take_goes_into_the_query(app):
    @app.get("/search/<text>")
    def search(text, page=1): ...

    with app.test_request_context():
        assert url_to(search, "tea", 2) == "/search/tea?page=2"


def test_too_many_values_or_two_for_one_name_are_refused(app):
    item = item_of(app)

    with app.test_request_context():
        with pytest.raises(TypeError, match=r"'.*item' \(test_url_to.py:\d+\) takes 2 values"):
            url_to(item, "tea", 3, 4)
        with pytest.raises(TypeError, match="two values for 'kind'"):
            url_to(item, "tea", kind="tea")
        with pytest.raises(BuildError, match="Did you forget to specify values"):
            url_to(item, "tea")


def test_a_decorated_view_is_given_what_is_in_its_url(app):
    def with_user(view):
        @functools.wraps(view)
        async def wrapper(*args, **kwargs):
            return await view("ada", *args, **kwargs)

        return wrapper

    @app.get("/notes/<int:number>")
    @with_user
    async def note(user, number): ...

    with app.test_request_context():
        assert url_to(note, 3) == "/notes/3"
        with pytest.raises(TypeError, match="takes 1 values"):
            url_to(note, "ada", 3)


def test_a_view_class_takes_its_values_by_name(app):
    class Notes(View):
        async def dispatch_request(self, number): ...

    view = Notes.as_view("notes")
    app.add_url_rule("/notes/<int:number>", view_func=view)

    with app.test_request_context():
        assert url_to(view, number=3) == "/notes/3"


def test_a_bound_method_is_found_although_it_is_made_anew_at_every_look(app):
    class Notes:
        async def show(self, number): ...

    notes = Notes()
    app.add_url_rule("/<int:number>", view_func=notes.show)

    with app.test_request_context():
        assert url_to(notes.show, 3) == "/3"
        assert url_for(notes.show, number=3) == "/3"


def test_of_two_endpoints_of_a_view_the_one_in_the_blueprint_of_the_request_is_meant(app):
    shop = Blueprint("shop", "urls")

    @shop.get("/cart")
    async def cart(): ...

    app.register_blueprint(shop, url_prefix="/one")
    app.register_blueprint(shop, name="other", url_prefix="/two")

    with app.test_request_context("/one/cart"):
        assert url_to(cart) == url_for(cart) == "/one/cart"
    with app.test_request_context("/two/cart"):
        assert url_to(cart) == url_for(cart) == "/two/cart"
    with app.app_context():
        assert url_to(cart) == "/one/cart"


def test_a_view_of_no_app_has_no_url_and_is_named_with_its_place(app):
    async def stranger(): ...

    with app.test_request_context(), pytest.raises(BuildError, match="stranger") as raised:
        url_to(stranger)
    assert "(test_url_to.py:" in raised.value.__notes__[0]


def test_url_defaults_and_build_error_handlers_count(app):
    @app.get("/<lang>/hello")
    async def hello(**values): ...

    @app.get("/never/<int:number>")
    async def never(number): ...

    app.url_defaults(lambda endpoint, values: values.setdefault("lang", "de"))
    app.url_build_error_handlers.append(lambda error, endpoint, values: "/elsewhere")

    with app.test_request_context():
        assert url_to(hello) == "/de/hello?"[:-1]
        assert url_to(never).query(a=1) == "/elsewhere?a=1"


def test_values_go_through_the_converter_of_the_rule(app):
    class Day(BaseConverter):
        def to_python(self, value: str) -> date:
            return date.fromisoformat(value)

        def to_url(self, value: date) -> str:
            return value.isoformat()

    app.url_map.converters["day"] = Day

    @app.get("/<day:day>")
    async def show(day: date): ...

    with app.test_request_context():
        assert url_to(show, date(2026, 5, 1)) == "/2026-05-01"


def test_outside_of_an_app_there_are_no_urls(app):
    with pytest.raises(ContextError, match="application context"):
        url_to(item_of(app), "a", 1)


# -- what can be done with one -------------------------------------------------------------


def test_a_query_is_added_to_and_names_in_it_are_replaced():
    url = URL("/search?page=1&q=a+b#top")

    assert url.query(page=2) == "/search?q=a+b&page=2#top"
    assert url.query(tag=["x", "y"]) == "/search?page=1&q=a+b&tag=x&tag=y#top"
    assert url.query(page=None, q=None) == "/search#top"
    assert url.query({"a b": "&="}) == "/search?page=1&q=a+b&a+b=%26%3D#top"
    assert url == "/search?page=1&q=a+b#top"


def test_an_anchor_is_quoted_replaced_and_taken_away():
    url = URL("/page?a=1")

    assert url.anchor("two words") == "/page?a=1#two%20words"
    assert url.anchor("one").anchor("two") == "/page?a=1#two"
    assert url.anchor("one").anchor(None) == "/page?a=1"


def test_it_becomes_external_with_the_host_of_its_request(app):
    item = item_of(app)

    with app.test_request_context(base_url="https://shop.example.org:8443/root"):
        url = url_to(item, "tea", 3).query(page=2)

    assert url == "/root/tea/3?page=2"
    assert url.external() == "https://shop.example.org:8443/root/tea/3?page=2"
    assert url.external(scheme="http").startswith("http://shop.example.org:8443/root")
    assert url.external().external().anchor("x") == f"{url.external()}#x"
    assert url.external().external(scheme="ftp").startswith("ftp://shop.example.org:8443/root/")


def test_outside_of_a_request_it_is_a_path_and_external_by_the_configuration(app):
    item = item_of(app)

    with app.app_context():
        with pytest.raises(ContextError, match=r"external URL of '/tea/3'.*'SERVER_NAME'"):
            url_to(item, "tea", 3).external()
        app.config.update(SERVER_NAME="example.org", PREFERRED_URL_SCHEME="https")
        assert url_to(item, "tea", 3) == "/tea/3"
        assert url_to(item, "tea", 3).external() == "https://example.org/tea/3"


def test_a_websocket_is_external_with_its_own_scheme(app):
    @app.websocket("/talk")
    async def talk(): ...

    with app.test_request_context(base_url="https://example.org"):
        assert url_to(talk) == "/talk"
        assert url_to(talk).external() == "wss://example.org/talk"


def test_the_view_of_another_host_has_a_url_with_that_host():
    app = Erlen("hosts", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org"

    @app.get("/", subdomain="api")
    async def api(): ...

    with app.test_request_context(base_url="http://example.org"):
        assert url_to(api) == "http://api.example.org/"
        assert url_to(api).query(a=1).external() == "http://api.example.org/?a=1"


def test_it_is_text_wherever_text_is_wanted(app):
    item = item_of(app)

    with app.test_request_context():
        url = url_to(item, "tea", 3)
        assert redirect(url).headers["location"] == "/tea/3"
        assert json.dumps([url]) == '["/tea/3"]'
        assert isinstance(url, str)
        assert pickle.loads(pickle.dumps(url)).external() == "http://localhost/tea/3"
