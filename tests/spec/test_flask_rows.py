"""Rows of docs/coming-from-flask.md that say "the same", by what Flask answers."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

import pytest

from erlen import (
    Blueprint,
    Config,
    Erlen,
    HTTPException,
    Response,
    abort,
    current_app,
    flash,
    g,
    render_template_string,
    session,
    signals,
    sync,
    url_for,
)
from erlen.errors import SetupTypeError
from erlen.exceptions import Aborter, Forbidden, NotFound
from erlen.json import JSONProvider
from erlen.templating.environment import Environment


def app_of(*rules: Any, **options: Any) -> tuple[Erlen, list[dict[str, Any]]]:
    """Return an app whose views say which of *rules* they are, and what they were called with."""
    app, seen = Erlen(__name__, **options), []
    for number, rule in enumerate(rules):
        text, keywords = rule if isinstance(rule, tuple) else (rule, {})

        def view(_number: int = number, **values: Any) -> str:
            seen.append(values)
            return str(_number)

        app.add_url_rule(text, f"rule{number}", view, **keywords)
    return app, seen


# -- the app -------------------------------------------------------------------------------


def test_a_subclass_brings_its_classes():
    class MyConfig(Config):
        pass

    class MyAborter(Aborter):
        pass

    class MyEnvironment(Environment):
        pass

    class Mine(Erlen):
        config_class = MyConfig
        aborter_class = MyAborter
        jinja_environment = MyEnvironment
        jinja_options: ClassVar = {"trim_blocks": True}
        default_config: ClassVar = {**Erlen.default_config, "SHOP": "tea"}

    app = Mine(__name__)

    assert type(app.config) is MyConfig
    assert type(app.aborter) is MyAborter
    assert type(app.jinja_env) is MyEnvironment
    assert (app.jinja_env.trim_blocks, app.config["SHOP"]) == (True, "tea")


def test_a_subclass_makes_its_parts_by_methods():
    class Mine(Erlen):
        def make_config(self, instance_relative=False):
            config = super().make_config(instance_relative)
            config["SHOP"] = "tea"
            return config

        def make_aborter(self):
            return Aborter(extra={499: HTTPException})

        def create_jinja_environment(self):
            environment = super().create_jinja_environment()
            environment.globals["shop"] = "tea"
            return environment

    app = Mine(__name__)

    assert app.config["SHOP"] == "tea"
    assert 499 in app.aborter.mapping
    with app.app_context():
        assert render_template_string("{{ shop }}") == "tea"


def test_a_subclass_logs_exceptions_its_own_way():
    logged = []

    class Mine(Erlen):
        def log_exception(self, error, context):
            logged.append((type(error), context.request.path))

    app = Mine(__name__)
    app.add_url_rule("/fails", "fails", lambda: 1 / 0)

    assert app.sync_test_client().get("/fails").status_code == 500
    assert logged == [(ZeroDivisionError, "/fails")]


def test_a_subclass_that_logs_exceptions_as_in_flask_is_told_what_it_gets():
    with pytest.raises(SetupTypeError) as caught:

        class Mine(Erlen):
            def log_exception(self, exc_info):
                pass

    assert "log_exception' (test_flask_rows.py:" in str(caught.value)
    assert "(self, exc_info)" in str(caught.value)
    assert "def log_exception(self, error, context)" in str(caught.value)


def test_a_code_of_ones_own_can_be_aborted_with():
    class Odd(HTTPException):
        code = 499
        description = "odd"

    app = Erlen(__name__)
    app.aborter.mapping[499] = Odd
    app.add_url_rule("/", "odd", lambda: abort(499))

    assert app.sync_test_client().get("/").status_code == 499


def test_a_range_that_cannot_be_sent_is_an_error_that_handlers_see():
    app = Erlen(__name__)

    @app.get("/")
    def digits():
        response = Response("0123456789")
        return response.make_conditional(sync.request, accept_ranges=True, complete_length=10)

    @app.errorhandler(416)
    def out_of_range(error):
        return f"there are {error.length}", 416, error.get_headers()

    response = app.sync_test_client().get("/", headers={"Range": "bytes=50-60"})

    assert (response.status_code, response.text) == (416, "there are 10")
    assert response.headers["Content-Range"] == "bytes */10"


def test_an_extension_finds_what_it_needs():
    class Extension:
        def init_app(self, app):
            app.config.setdefault("SHOP_OPEN", True)
            app.extensions["shop"] = self
            app.before_request(self.before)
            app.after_request(self.after)
            app.context_processor(lambda: {"is_open": current_app.config["SHOP_OPEN"]})
            app.jinja_env.globals["shop"] = "tea"

        def before(self):
            g._shop = "open"

        def after(self, response):
            response.headers["X-Shop"] = g._shop
            return response

    app = Erlen(__name__)
    app.add_url_rule("/", "shop", lambda: render_template_string("{{ shop }} {{ is_open }}"))
    Extension().init_app(app)

    response = app.sync_test_client().get("/")

    assert (response.text, response.headers["X-Shop"]) == ("tea True", "open")


# -- rules ---------------------------------------------------------------------------------

CONVERTERS = [
    ("/<string(length=2):x>", "/12", {"x": "12"}),
    ("/<string(length=2):x>", "/1", None),
    ("/<string(minlength=2, maxlength=3):x>", "/1234", None),
    ("/<default:x>", "/a", {"x": "a"}),
    ("/<x>", "/a/b", None),
    ("/<x>", "/%E2%82%AC", {"x": "€"}),
    ("/<path:x>", "/a/b", {"x": "a/b"}),
    ("/p/<path:x>", "/p/", None),
    ("/<int:x>", "/01", {"x": 1}),
    ("/<int:x>", "/-1", None),
    ("/<int:x>", "/" + "9" * 5000, None),
    ("/<int(fixed_digits=4):x>", "/0001", {"x": 1}),
    ("/<int(fixed_digits=4):x>", "/1", None),
    ("/<int(min=5, max=9):x>", "/4", None),
    ("/<int(min=5, max=9):x>", "/9", {"x": 9}),
    ("/<int(signed=True):x>", "/-3", {"x": -3}),
    ("/<float:x>", "/1", None),
    ("/<float:x>", "/1.5", {"x": 1.5}),
    ("/<float:x>", "/-1.5", None),
    ("/<float(signed=True):x>", "/-1.5", {"x": -1.5}),
    ("/<any(a, 'c d'):x>", "/c%20d", {"x": "c d"}),
    ("/<any(a, 'c d'):x>", "/b", None),
    ("/<uuid:x>", f"/{UUID(int=5)}", {"x": UUID(int=5)}),
    ("/<uuid:x>", "/12", None),
    ("/киртест", "/киртест", {}),
]


@pytest.mark.parametrize(("rule", "path", "values"), CONVERTERS, ids=lambda part: str(part)[:30])
def test_a_converter_takes_what_is_its_own(rule, path, values):
    app, seen = app_of(rule)

    response = app.sync_test_client().get(path)

    assert (response.status_code, seen) == ((404, []) if values is None else (200, [values]))


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/1", 1),
        ("/q", 0),
        ("/q/r/s", 2),
        ("/text", 3),
        ("/a/y", 5),
        ("/b/y", 4),
        ("/1/y", 6),
        ("/q/edit/z", 2),
        ("/p/q/edit", 7),
    ],
)
def test_the_best_rule_wins_whatever_the_order(path, number):
    app, _ = app_of(
        *("/<x>", "/<int:x>", "/<path:x>", "/text", "/<x>/y", "/a/<y>", "/<int:x>/<y>"),
        "/p/<path:x>/edit",
    )

    assert app.sync_test_client().get(path).text == str(number)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/branch?x=1&y=%20", "/branch/?x=1&y=%20"),
        ("/branch/", 200),
        ("/leaf/", 404),
        ("/both", 200),
        ("/both/", 200),
        ("/b%20c/d", "/b%20c/d/"),
        ("/branch//", "/branch/"),
        ("/raw//x", 404),
        ("/pages/page/1?q=1", "/pages/?q=1"),
        ("/pages/", 200),
        ("/old/3", "/new/3"),
        ("/older/3", "/new/3"),
        ("/second", "/first"),
        ("/built", 404),
    ],
)
def test_a_path_leads_on_to_its_canonical_one(path, answer):
    page = lambda page: str(page)  # noqa: E731
    app, _ = app_of(
        "/branch/",
        "/leaf",
        ("/both/", {"strict_slashes": False}),
        "/<x>/d/",
        ("/raw/x", {"merge_slashes": False}),
        ("/old/<int:x>", {"redirect_to": "/new/<x>"}),
        ("/older/<int:x>", {"redirect_to": lambda adapter, x: f"/new/{x}"}),
        ("/built", {"build_only": True}),
    )
    app.add_url_rule("/pages/", "pages", page, defaults={"page": 1})
    app.add_url_rule("/pages/page/<int:page>", "pages", page)
    first = lambda: "first"  # noqa: E731
    app.add_url_rule("/first", "first", first)
    app.add_url_rule("/second", "first", first, alias=True)

    response = app.sync_test_client().get(path)

    if isinstance(answer, str):
        assert (response.status_code, response.location) == (308, answer)
    else:
        assert response.status_code == answer


def test_a_view_says_its_methods_itself():
    def view():
        return sync.request.method

    view.methods = ["post"]
    view.required_methods = {"PURGE"}
    app = Erlen(__name__)
    app.add_url_rule("/", view_func=view)

    client = app.sync_test_client()

    assert [client.open("/", method=method).text for method in ("POST", "PURGE")] == [
        "POST",
        "PURGE",
    ]
    assert client.get("/").status_code == 405


URLS = [
    ("a", {"i": 1, "q": "a b", "r": [1, 2], "n": None}, "/root/a/1?q=a+b&r=1&r=2"),
    ("s", {"x": "test x"}, "/root/s/test%20x"),
    ("s", {"x": "ä;"}, "/root/s/%C3%A4;"),
    ("p", {"x": "a/b c"}, "/root/p/a/b%20c"),
    ("m", {"_anchor": "x y"}, "/root/m#x%20y"),
    ("m", {"_scheme": "https"}, "https://h/root/m"),
    ("m", {"_scheme": ""}, "//h/root/m"),
    ("m", {"_external": True}, "http://h/root/m"),
    ("m", {"self": "x"}, "/root/m?self=x"),
]


@pytest.mark.parametrize(("endpoint", "values", "url"), URLS, ids=lambda part: str(part))
def test_a_url_is_built_with_everything_around_it(endpoint, values, url):
    app = Erlen(__name__)
    for name, rule in {"a": "/a/<int:i>", "s": "/s/<x>", "p": "/p/<path:x>", "m": "/m"}.items():
        app.add_url_rule(rule, name, lambda **values: "")

    with app.test_request_context("/", base_url="http://h/root"):
        assert url_for(endpoint, **values) == url


# -- responses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "line", "code"),
    [
        (404, "404 Not Found", 404),
        ("299 Fine", "299 Fine", 299),
        (HTTPStatus.CREATED, "201 Created", 201),
    ],
)
def test_a_status_is_a_code_or_a_line(status, line, code):
    response = Response("text")

    response.status = status

    assert (response.status.title(), response.status_code) == (line.title(), code)


def test_the_body_can_be_set_in_three_ways():
    response = Response("a")
    seen = []

    response.set_data(b"bc")
    seen.append((response.data, response.content_length))
    response.data = "def"
    seen.append((response.data, response.content_length))
    response.response = ["gh", "ij"]
    seen.append((response.data, response.content_length))

    assert seen == [(b"bc", 2), (b"def", 3), (b"ghij", 4)]


def test_a_header_may_have_parameters():
    response = Response()

    response.headers.add("Content-Disposition", "attachment", filename="a b.txt")

    assert response.headers["Content-Disposition"] == 'attachment; filename="a b.txt"'


# -- contexts and sessions -----------------------------------------------------------------


def test_a_context_popped_in_a_handler_sees_its_exception():
    app, seen = Erlen(__name__), []
    app.teardown_appcontext(lambda error: seen.append(type(error)))
    context = app.app_context()
    context.push()

    try:
        raise LookupError
    except LookupError:
        context.pop()

    assert seen == [LookupError]


def touch(session_: Any) -> None:
    session_["a"] = 1


SESSIONS = [
    ("set", touch, True, True),
    ("get", lambda session: session.get("a"), False, True),
    ("in", lambda session: "a" in session, False, True),
    ("len", len, False, True),
    ("untouched", lambda session: None, False, False),
]


@pytest.mark.parametrize(
    ("name", "use", "cookie", "vary"), SESSIONS, ids=[row[0] for row in SESSIONS]
)
def test_a_session_sends_what_its_use_asks_for(name, use, cookie, vary):
    app = Erlen(__name__)
    app.secret_key = "secret"

    @app.get("/")
    def view():
        use(session)
        return ""

    headers = app.sync_test_client().get("/").headers

    assert ("Set-Cookie" in headers, headers.get("Vary") == "Cookie") == (cookie, vary)


# -- blueprints, errors, signals -----------------------------------------------------------


def test_processors_of_a_blueprint_may_be_for_all_templates():
    app, shop = Erlen(__name__), Blueprint("shop", __name__)
    shop.app_context_processor(lambda: {"tea": "green"})
    app.register_blueprint(shop)
    app.add_url_rule("/", "home", lambda: render_template_string("{{ tea }}"))

    assert app.sync_test_client().get("/").text == "green"


async def test_websocket_hooks_of_a_blueprint_may_be_for_all_websockets():
    app, chat, seen = Erlen(__name__), Blueprint("chat", __name__), []
    chat.before_app_websocket(lambda: seen.append("before"))
    chat.after_app_websocket(lambda response: seen.append("after"))
    chat.teardown_app_websocket(lambda error: seen.append("teardown"))
    app.register_blueprint(chat)

    @app.websocket("/")
    async def talk():
        seen.append("view")

    async with app.test_client() as client:
        with pytest.raises(Exception, match="403"):
            async with client.websocket("/"):
                pass

    assert seen == ["before", "view", "after", "teardown"]


def test_error_handlers_are_found_by_code_and_class_from_the_inside():
    class Base(Exception):
        pass

    class Derived(Base):
        pass

    class Shut(Forbidden):
        pass

    def fail(error: Exception) -> str:
        raise error

    app, shop = Erlen(__name__), Blueprint("shop", __name__, url_prefix="/shop")
    for owner, kind, answer in [
        (shop, Base, "shop Base"),
        (app, Derived, "app Derived"),
        (app, 403, "app 403"),
        (app, HTTPException, "app HTTPException"),
        (shop, Shut, "shop Shut"),
    ]:
        owner.register_error_handler(kind, lambda error, answer=answer: answer)
    for owner in (app, shop):
        for name, error in {"derived": Derived, "shut": Shut, "lost": NotFound}.items():
            owner.add_url_rule(f"/{name}", name, partial(fail, error()))
    app.register_blueprint(shop)

    client = app.sync_test_client()
    paths = ["/shop/derived", "/shop/shut", "/shop/lost", "/derived", "/shut"]
    answers = [client.get(path).text for path in paths]

    assert answers == ["shop Base", "shop Shut", "app HTTPException", "app Derived", "app 403"]


PROPAGATION = [
    ({}, False),
    ({"TESTING": True}, True),
    ({"PROPAGATE_EXCEPTIONS": True}, True),
    ({"TESTING": True, "PROPAGATE_EXCEPTIONS": False}, False),
    ({"DEBUG": True}, True),
    ({"DEBUG": True, "PROPAGATE_EXCEPTIONS": False}, False),
]


@pytest.mark.parametrize(("config", "raises"), PROPAGATION, ids=str)
def test_what_nothing_handles_is_raised_or_a_500(config, raises):
    app = Erlen(__name__)
    app.config.update(config)
    app.add_url_rule("/", "fails", lambda: 1 / 0)
    client = app.sync_test_client()

    if raises:
        with pytest.raises(ZeroDivisionError):
            client.get("/")
    else:
        assert client.get("/").status_code == 500


def test_a_template_signal_may_change_what_is_rendered():
    def brew(sender, template, context, **more):
        context["tea"] = "green"

    app = Erlen(__name__)
    app.add_url_rule("/", "home", lambda: render_template_string("{{ tea }}", tea="black"))

    with signals.before_render_template.connected_to(brew, app):
        assert app.sync_test_client().get("/").text == "green"
    assert app.sync_test_client().get("/").text == "black"


def test_a_flashed_message_is_announced():
    def hear(sender, message, category, **more):
        heard.append((message, category))

    app, heard = Erlen(__name__), []
    app.secret_key = "secret"

    with signals.message_flashed.connected_to(hear, app), app.test_request_context():
        flash("Hello", "greeting")

    assert heard == [("Hello", "greeting")]


def test_a_provider_of_two_methods_is_enough():
    class Loud(JSONProvider):
        def dumps(self, obj, **kwargs):
            return f"LOUD {obj}"

        def loads(self, s, **kwargs):
            return "loaded"

    app = Erlen(__name__)
    app.json = Loud(app)
    app.add_url_rule("/", "json", lambda: [sync.request.json], methods=["POST"])

    response = app.sync_test_client().post("/", data=b"{", content_type="application/json")

    assert (response.text, response.mimetype) == ("LOUD ['loaded']", "application/json")
