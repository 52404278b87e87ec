"""The app as an object: where it lives, what it is called, what subclasses may change."""

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import timedelta
from typing import ClassVar

import pytest

from erlen import Blueprint, Erlen, abort, redirect, url_for
from erlen.errors import ContextError, SetupTypeError, SetupValueError
from erlen.exceptions import Aborter, NotFound
from erlen.responses import Response

# -- name and place ------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "name"), [("/srv/shop.py", "shop"), (None, "__main__")])
def test_an_app_of_a_script_is_called_like_its_file(monkeypatch, file, name):
    main = type(sys)("__main__")
    if file is not None:
        main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)

    assert Erlen("__main__").name == name


def test_an_app_of_a_module_is_called_like_the_module():
    app = Erlen("shop.web")

    assert (app.name, repr(app)) == ("shop.web", "<Erlen 'shop.web'>")


def test_the_instance_folder_is_an_absolute_path(tmp_path):
    assert Erlen("shop", instance_path=str(tmp_path)).instance_path == str(tmp_path)
    with pytest.raises(SetupValueError, match=r"must be absolute.*'instance'"):
        Erlen("shop", instance_path="instance")


def test_a_subclass_may_find_its_instance_folder(tmp_path):
    class Shop(Erlen):
        def auto_find_instance_path(self):
            return str(tmp_path)

    (tmp_path / "shop.cfg").write_text("TEA = 'green'", "utf-8")
    app = Shop("shop", instance_relative_config=True)

    app.config.from_pyfile("shop.cfg")

    assert app.config["TEA"] == "green"


# -- what subclasses change ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "debug"), [("1", True), ("true", True), ("0", False), ("No", False), ("", False)]
)
def test_debug_mode_comes_from_the_environment_unless_a_subclass_says(monkeypatch, text, debug):
    class Shop(Erlen):
        default_config: ClassVar = {**Erlen.default_config, "DEBUG": not debug, "TEA": "green"}

    monkeypatch.setenv("ERLEN_DEBUG", text)

    assert Erlen("shop").debug is debug
    assert (Shop("shop").debug, Shop("shop").config["TEA"]) == (not debug, "green")


async def test_a_subclass_may_abort_and_redirect_in_its_own_way():
    class OutOfTea(NotFound):
        code = 440
        description = "No tea is left."

    class Strict(Aborter):
        def __init__(self):
            super().__init__(extra={440: OutOfTea})

    class Shop(Erlen):
        aborter_class = Strict

        def redirect(self, location, code=302):
            return super().redirect(f"/shop{location}", 303)

    app = Shop("shop")

    @app.get("/order")
    async def order():
        abort(440)

    @app.get("/")
    async def index():
        return redirect("/order")

    client = app.test_client()
    assert (await client.get("/order")).status_code == 440
    moved = await client.get("/")
    assert (moved.status_code, moved.headers["Location"]) == (303, "/shop/order")


def test_outside_of_an_app_abort_and_redirect_work_all_the_same():
    class Own(Response):
        pass

    moved = redirect("/tea", 308, Own)

    assert (type(moved), moved.status_code, moved.headers["Location"]) == (Own, 308, "/tea")
    assert redirect("/tea").status_code == 302
    with pytest.raises(NotFound, match="no tea"):
        abort(404, "no tea")


async def test_a_redirect_may_have_a_class_of_its_own_in_a_request():
    class Own(Response):
        default_mimetype = "text/plain"

    app = Erlen("shop")

    @app.get("/")
    async def index():
        return redirect("/tea", Response=Own)

    response = await app.test_client().get("/")

    assert (response.status_code, response.headers["Location"]) == (302, "/tea")


@pytest.mark.parametrize(("value", "seconds"), [(None, None), (5, 5), (timedelta(minutes=1), 60)])
def test_the_age_of_files_is_a_number_of_seconds(value, seconds):
    app = Erlen("shop")
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = value

    assert app.get_send_file_max_age("tea.txt") == seconds


def test_attributes_are_configuration_by_another_name():
    app = Erlen("shop")

    app.debug, app.testing, app.secret_key = True, True, "k"
    app.config["PERMANENT_SESSION_LIFETIME"] = 60

    assert (app.config["DEBUG"], app.config["TESTING"], app.config["SECRET_KEY"]) == (
        True,
        True,
        "k",
    )
    assert app.permanent_session_lifetime == timedelta(minutes=1)


def test_only_three_kinds_of_error_pages_are_known():
    with pytest.raises(SetupValueError, match="'auto', 'html' or 'problem', not 'json'"):
        Erlen("shop", errors="json")


# -- parts ---------------------------------------------------------------------------------


def test_blueprints_are_listed_in_the_order_of_registration():
    app = Erlen("shop")
    blueprints = [Blueprint(name, "shop") for name in ("tea", "cake", "bill")]

    for blueprint in blueprints:
        app.register_blueprint(blueprint)

    assert list(app.iter_blueprints()) == blueprints


async def test_an_app_builds_its_own_urls_while_another_one_serves():
    inner, outer = Erlen("inner"), Erlen("outer")
    inner.config["SERVER_NAME"] = "inner.test"

    @inner.get("/inner")
    async def page():
        return ""

    @outer.get("/outer")
    async def index():
        return {"inner": inner.url_for("page"), "outer": url_for("index")}

    assert (await outer.test_client().get("/outer")).json == {
        "inner": "http://inner.test/inner",
        "outer": "/outer",
    }


def test_the_size_of_the_list_of_good_hosts_has_an_end():
    app = Erlen("hosts")
    app.config["TRUSTED_HOSTS"] = [".example.test"]

    for number in range(1100):
        host = b"h%d.example.test" % number
        assert app.look_at_host([(b"host", host)]) is None

    assert len(app.good_hosts) == 1000
    assert app.look_at_host([(b"host", b"evil.test")]).code == 400


async def test_rules_that_lead_to_no_view_need_none():
    app = Erlen("shop")
    app.add_url_rule("/elsewhere/<path:name>", "cdn", build_only=True)
    app.add_url_rule("/old", "old", redirect_to="/")

    @app.get("/")
    async def index():
        return url_for("cdn", name="tea.png")

    client = app.test_client()
    assert (await client.get("/")).text == "/elsewhere/tea.png"
    assert (await client.get("/elsewhere/tea.png")).status_code == 404
    assert (await client.get("/old")).headers["Location"] == "/"


def test_def_code_works_on_one_loop_after_another():
    app = Erlen("loops")
    loops = []

    @app.get("/")
    def thread():
        return threading.current_thread().name

    async def ask():
        loops.append(asyncio.get_running_loop())
        return (await app.test_client().get("/")).text

    assert [asyncio.run(ask()) for _ in range(3)] == ["erlen-worker"] * 3
    assert [loop for loop in loops if loop in app._pools] == loops[-1:]


async def test_a_context_may_be_made_from_a_bare_scope():
    app = Erlen("scopes")
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}

    async with app.request_context(scope) as context:
        assert scope["app"] is app
        assert await context.request.get_data() == b""
        await context.send({"type": "http.response.start", "status": 200})

    with pytest.raises(ContextError, match="is over"):
        _ = context.request


# -- registration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "kind", "says"),
    [
        (NotFound(), SetupTypeError, "is an instance, not a class"),
        (299, SetupValueError, "299 is not a recognized HTTP error code"),
        (int, SetupValueError, "'int' is not a subclass of Exception"),
        ("404", SetupValueError, "'404' is not a subclass of Exception"),
    ],
)
def test_a_handler_is_for_a_code_or_a_class_of_errors(thing, kind, says):
    with pytest.raises(kind, match=says):
        Erlen("shop").register_error_handler(thing, str)


def test_decorators_can_be_looked_at_on_the_class():
    assert Erlen.before_request.name == "before_request"
    assert Erlen.template_filter.name == "template_filter"
