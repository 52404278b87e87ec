"""Small things that Flask's own tests ask for, and that people write without thinking."""

from __future__ import annotations

from typing import ClassVar

import pytest
from jinja2 import DictLoader

from erlen import (
    Blueprint,
    Erlen,
    Response,
    g,
    render_template,
    render_template_string,
    request,
    send_file,
    session,
    url_for,
)
from erlen.json import DefaultJSONProvider
from erlen.rules import BuildError
from erlen.sessions import SecureCookieSessionInterface


def test_one_bound_method_takes_several_rules():
    class Pages:
        def show(self):
            return "page"

    app, pages = Erlen(__name__), Pages()

    app.add_url_rule("/", "show", pages.show)
    app.add_url_rule("/page", "show", pages.show)

    client = app.sync_test_client()
    assert [client.get(path).text for path in ("/", "/page")] == ["page", "page"]


@pytest.mark.parametrize(
    ("made_with", "registered_with"),
    [("/child", None), (None, "/child"), ("/other", "/child")],
)
def test_a_url_prefix_of_none_leaves_the_one_of_the_blueprint(made_with, registered_with):
    app = Erlen(__name__)
    child = Blueprint("child", __name__, url_prefix=made_with)
    child.add_url_rule("/", "index", lambda: "child")

    app.register_blueprint(child, url_prefix=registered_with)

    assert app.sync_test_client().get("/child/").text == "child"


def test_a_blueprint_adds_to_the_templates_of_the_app():
    app, shop = Erlen(__name__), Blueprint("shop", __name__)

    shop.add_app_template_filter(lambda text: text[::-1], "reverse")
    shop.add_app_template_test(lambda text: text == "tea", "tea")
    shop.add_app_template_global(lambda: "open", "state")
    app.register_blueprint(shop)

    template = app.jinja_env.from_string("{{ 'tea'|reverse }} {{ 'tea' is tea }} {{ state() }}")
    assert template.render() == "aet True open"


def test_a_subclass_brings_its_session_interface():
    class ByPath(SecureCookieSessionInterface):
        def get_cookie_name(self, app):
            return "shop" if request.path.startswith("/shop") else "session"

    class Shop(Erlen):
        session_interface = ByPath()

    app = Shop(__name__)
    app.secret_key = "secret"

    @app.get("/")
    @app.get("/shop")
    def visits():
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    client = app.sync_test_client()
    seen = [client.get(path).text for path in ("/", "/shop", "/", "/shop", "/shop")]
    assert seen == ["1", "1", "2", "2", "3"]


def test_subdomain_matching_may_be_switched_on_later():
    app = Erlen(__name__)
    app.subdomain_matching = True
    app.config["SERVER_NAME"] = "example.test"
    app.add_url_rule("/", "api", lambda: "api", subdomain="api")

    client = app.sync_test_client()

    assert app.subdomain_matching
    assert client.get("/", "http://api.example.test").text == "api"
    assert client.get("/", "http://example.test").status_code == 404


def test_urls_know_the_server_name_before_the_first_request():
    app = Erlen(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.test"
    app.add_url_rule("/", "shop", lambda name: name, subdomain="<name>")

    with app.test_request_context():
        url = url_for("shop", name="tea")

    assert url == "http://tea.example.test/"
    assert app.sync_test_client().get(url).text == "tea"


async def test_the_base_url_is_the_second_argument_of_a_client():
    app = Erlen(__name__)
    app.add_url_rule("/", "home", lambda: request.url)

    response = await app.test_client().get("/", "https://example.test/below")

    assert response.text == "https://example.test/below/"


def test_a_request_that_was_looked_at_before_its_context_knows_its_rule():
    app = Erlen(__name__)
    app.add_url_rule("/<int:id>", "show", lambda id: str(id))

    context = app.test_request_context("/7")
    assert context.request.endpoint is None

    with context:
        assert (context.request.endpoint, context.request.view_args) == ("show", {"id": 7})


def test_url_defaults_can_be_asked_for():
    app, shop = Erlen(__name__), Blueprint("shop", __name__)
    shop.url_defaults(lambda endpoint, values: values.setdefault("page", endpoint))
    app.register_blueprint(shop)
    values: dict[str, object] = {}

    app.inject_url_defaults("shop.show", values)

    assert values == {"page": "shop.show"}


def test_a_subclass_answers_what_cannot_be_built():
    class Forgiving(Erlen):
        def handle_url_build_error(self, error, endpoint, values):
            return f"/missing/{endpoint}"

    app = Forgiving(__name__)

    with app.test_request_context():
        assert url_for("nothing") == "/missing/nothing"


def test_a_build_error_without_handlers_is_raised_as_it_was():
    app = Erlen(__name__)
    error = BuildError("nothing", {}, None, [])

    with pytest.raises(BuildError) as caught:
        app.handle_url_build_error(error, "nothing", {})

    assert caught.value is error


def test_a_subclass_says_where_templates_come_from():
    class InMemory(Erlen):
        def create_global_jinja_loader(self):
            return DictLoader({"page.html": "from memory"})

    app = InMemory(__name__)

    with app.app_context():
        assert render_template("page.html") == "from memory"


def test_a_loader_among_the_options_of_jinja_wins():
    class Optional(Erlen):
        jinja_options: ClassVar = {"loader": DictLoader({"page.html": "from the options"})}

    app = Optional(__name__)

    with app.app_context():
        assert render_template("page.html") == "from the options"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_reaches_the_test_and_leaves_the_client_working(ending):
    app = Erlen(__name__)

    @app.get("/end")
    def end():
        raise ending

    @app.get("/")
    def home():
        g.seen = True
        return "home"

    client = app.sync_test_client()
    with pytest.raises(ending):
        client.get("/end")

    assert client.get("/").text == "home"


def test_static_files_are_sent_by_hand_in_both_colours(tmp_path):
    (tmp_path / "page.txt").write_text("static")
    app = Erlen(__name__, static_folder=tmp_path)

    @app.get("/plain")
    def plain():
        response = app.send_static_file("page.txt")
        response.headers["X-Colour"] = "def"
        return response

    @app.get("/awaited")
    async def awaited():
        return await app.send_static_file("page.txt")

    client = app.sync_test_client()
    response = client.get("/plain")
    assert (response.text, response.headers["X-Colour"]) == ("static", "def")
    assert client.get("/awaited").text == "static"


def test_a_subclass_sends_static_files_its_own_way(tmp_path):
    class Chosen(Erlen):
        def send_static_file(self, filename):
            return self.make_response(f"<{filename}>")

    app = Chosen(__name__, static_folder=tmp_path, static_url_path="/static")

    assert app.sync_test_client().get("/static/page.txt").text == "<page.txt>"


def test_the_data_of_a_file_can_be_read_in_def_code(tmp_path):
    (tmp_path / "page.txt").write_text("x" * 200_000)
    app = Erlen(__name__)

    with app.test_request_context():
        response = send_file(tmp_path / "page.txt")

        assert response.data == b"x" * 200_000
        assert response.headers["Content-Length"] == "200000"


async def test_the_data_of_a_file_is_not_read_on_the_loop(tmp_path):
    (tmp_path / "page.txt").write_text("file")
    app = Erlen(__name__)

    async with app.test_request_context():
        response = send_file(tmp_path / "page.txt")

        with pytest.raises(RuntimeError, match="is a stream"):
            response.get_data()


def test_the_data_of_a_generator_is_what_it_yields_and_stays():
    closed = []

    def pieces():
        try:
            yield "a"
            yield b"b"
        finally:
            closed.append(True)

    response = Response(pieces())

    assert [response.data, response.data] == [b"ab", b"ab"]
    assert (response.is_streamed, closed) == (False, [True])


def test_a_response_is_closed_in_def_code(tmp_path):
    file = (tmp_path / "page.txt").open("wb+")
    app, closed = Erlen(__name__), []

    with app.test_request_context():
        response = send_file(file, download_name="page.txt")
    response.call_on_close(lambda: closed.append("once"))
    response.close()
    response.close()

    assert file.closed
    assert closed == ["once"]


def test_cookies_may_be_as_large_as_the_app_says():
    app = Erlen(__name__)
    app.config["MAX_COOKIE_SIZE"] = 100

    with app.app_context():
        assert Response().max_cookie_size == 100
        with pytest.warns(UserWarning, match="'name' cookie is too large"):
            Response().set_cookie("name", "value" * 20)

    assert Response().max_cookie_size == 4093


def test_a_response_may_have_a_cookie_size_of_its_own():
    response = Response()
    response.max_cookie_size = 0

    response.set_cookie("name", "value" * 1000)

    assert response.max_cookie_size == 0


def test_the_json_of_an_app_makes_responses():
    app = Erlen(__name__)
    app.json.mimetype = "application/vnd.api+json"

    response = app.json.response(a=1)

    assert response.get_data(as_text=True) == '{"a":1}\n'
    assert response.mimetype == "application/vnd.api+json"


def test_json_without_an_app_makes_no_responses():
    with pytest.raises(RuntimeError, match=r"DefaultJSONProvider\(app\)"):
        DefaultJSONProvider().response(a=1)


def test_a_proxy_is_entered_as_what_it_stands_for():
    from erlen.proxies import Proxy, current

    app, torn_down = Erlen(__name__), []
    app.teardown_appcontext(lambda error: torn_down.append(error))

    with app.app_context() as context:
        with Proxy("context", current.get) as entered:
            assert entered is context
        assert torn_down == []

    assert torn_down == [None]


def test_what_is_no_exception_class_is_named():
    app = Erlen(__name__)

    with pytest.raises(ValueError, match=r"^'list' is not a subclass of Exception"):
        app.register_error_handler(list, lambda error: "")


def test_a_context_is_left_while_an_endpoint_still_waits_for_its_view():
    app, torn_down = Erlen(__name__), []
    app.teardown_appcontext(lambda error: torn_down.append(error))
    app.add_url_rule("/", "index")

    with app.test_request_context():
        assert url_for("index") == "/"

    assert torn_down == [None]


def test_pairs_of_headers_may_name_one_twice():
    app = Erlen(__name__)
    links = [("Link", "</a.css>"), ("Link", "</b.js>"), ("Content-Type", "text/plain")]
    app.add_url_rule("/", "text", lambda: ("text", links))
    app.add_url_rule("/response", "response", lambda: (Response("text"), 201, links))

    client = app.sync_test_client()

    for path in ("/", "/response"):
        response = client.get(path)
        assert response.headers.getlist("Link") == ["</a.css>", "</b.js>"]
        assert response.headers.getlist("Content-Type") == ["text/plain"]


def test_a_site_map_asks_rules_for_their_arguments():
    app = Erlen(__name__)
    app.add_url_rule("/", "home", lambda: "")
    app.add_url_rule("/<any('a>b', c):part>/<int(min=1):page>", "list", lambda part, page: "")
    app.add_url_rule("/all/", "all", lambda page: "", defaults={"page": 1})
    app.add_url_rule("/", "shop", lambda shop: "", subdomain="<shop>")

    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}

    assert rules["home"].arguments == set()
    assert rules["list"].arguments == {"part", "page"}
    assert rules["all"].arguments == {"page"}
    assert rules["shop"].arguments == {"shop"}


def test_a_rule_is_printed_as_it_was_written():
    app = Erlen(__name__)
    app.add_url_rule("/<int:id>", "show", lambda id: "", methods=["GET"])
    (rule,) = app.url_map.iter_rules("show")

    assert str(rule) == "/<int:id>"
    assert repr(rule) == "<Rule '/<int:id>' (GET, HEAD, OPTIONS) -> show>"


def test_a_subclass_says_what_is_escaped():
    class Plain(Erlen):
        def select_jinja_autoescape(self, filename):
            return filename is not None

    with Plain(__name__).app_context():
        assert render_template_string("{{ x }}", x="<b>") == "<b>"
    with Erlen(__name__).app_context():
        assert render_template_string("{{ x }}", x="<b>") == "&lt;b&gt;"
