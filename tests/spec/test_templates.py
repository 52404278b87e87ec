"""Templates and flashed messages in both colours, through a whole app."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest
from jinja2 import DictLoader, TemplateNotFound

from erlen import (
    Blueprint,
    Erlen,
    current_app,
    flash,
    g,
    get_flashed_messages,
    get_template_attribute,
    redirect,
    render_template,
    render_template_async,
    render_template_string,
    render_template_string_async,
    request,
    session,
    stream_template,
    stream_template_string,
    url_for,
)
from erlen.signals import template_rendered


def app_with(templates=None, **config):
    app = Erlen("templates")
    app.jinja_loader = DictLoader(templates or {})
    app.config.update(SECRET_KEY="key", **config)
    return app


async def double(value):
    await asyncio.sleep(0)
    return value * 2


# -- both colours --------------------------------------------------------------------------


async def test_render_template_is_a_plain_call_in_both_colours():
    app = app_with({"page.html": "Hello {{ name }}"})

    @app.get("/async")
    async def on_loop():
        return render_template("page.html", name="<Ada>")

    @app.get("/def")
    def in_thread():
        return render_template(["missing.html", "page.html"], name="<Ada>")

    client = app.test_client()

    for path in ("/async", "/def"):
        response = await client.get(path)
        assert response.text == "Hello &lt;Ada&gt;"
        assert response.mimetype == "text/html"


async def test_a_template_from_a_string_is_escaped_as_html():
    app = app_with()

    @app.get("/")
    async def home():
        return render_template_string("{{ x }}", x="<b>")

    assert (await app.test_client().get("/")).text == "&lt;b&gt;"


async def test_templates_know_the_request_session_g_config_and_urls():
    app = app_with(
        {
            "page.html": "{{ request.args.q }} {{ session.user }} {{ g.tenant }}"
            " {{ config.TESTING }} {{ url_for('show', id=7, _external=true) }}"
        }
    )

    def page():
        session["user"] = "Ada"
        g.tenant = "one"
        return render_template("page.html")

    @app.get("/async/<int:id>")
    async def show(id):
        return page()

    app.add_url_rule("/def", "in_thread", page)
    client = app.test_client()

    for path in ("/async/1?q=x", "/def?q=x"):
        assert (await client.get(path)).text == "x Ada one False http://localhost/async/7"


async def test_a_template_sees_the_form_in_both_colours():
    app = app_with({"page.html": "{{ request.form.name }}"})

    @app.post("/def")
    def in_thread():
        return render_template("page.html")

    @app.post("/inline", inline=True)
    def inline():
        return render_template_string("{{ request.method }}")

    @app.post("/async")
    async def on_loop():
        await request.form
        return render_template("page.html") + (await request.form)["name"]

    @app.post("/awaited")
    async def awaited():
        return await render_template_async("page.html")

    client = app.test_client()

    assert (await client.post("/def", form={"name": "Ada"})).text == "Ada"
    assert (await client.post("/inline", form={"name": "Ada"})).text == "POST"
    assert (await client.post("/async", form={"name": "Ada"})).text == "AdaAda"
    assert (await client.post("/awaited", form={"name": "Ada"})).text == "Ada"


async def test_a_template_that_needs_a_form_nobody_read_says_so(caplog):
    app = app_with({"page.html": "{{ request.form.name }}"})

    @app.post("/")
    async def home():
        return render_template("page.html")

    response = await app.test_client().post("/", form={"name": "Ada"})

    assert response.status_code == 500
    assert "The body of this request was not read yet" in caplog.text


async def test_awaiting_a_plain_render_is_an_error_that_names_the_line(caplog):
    app = app_with({"page.html": ""})

    @app.get("/")
    async def home():
        return await render_template("page.html")

    assert (await app.test_client().get("/")).status_code == 500
    assert 'return await render_template("page.html")' in caplog.text
    assert "'await' expression" in caplog.text or "can't be awaited" in caplog.text


async def test_a_template_is_rendered_outside_of_requests_too():
    app = app_with({"page.html": "{{ config.SECRET_KEY }} {{ 'yes' if request else 'no' }}"})

    with app.app_context():
        assert render_template("page.html") == "key no"
        assert await render_template_async("page.html") == "key no"


# -- async def inside of templates ---------------------------------------------------------


@pytest.fixture
def waiting_app():
    app = app_with({"page.html": "{{ double(name) }} {{ name | doubled }} {{ user }}"})
    app.add_template_global(double)
    app.add_template_filter(double, "doubled")

    @app.context_processor
    async def user():
        return {"user": await double("u")}

    @app.get("/def")
    def in_thread():
        return render_template("page.html", name="n")

    @app.get("/async")
    async def on_loop():
        return await render_template_async("page.html", name="n")

    @app.get("/string")
    async def from_string():
        return await render_template_string_async("{{ double('s') }}")

    @app.get("/wrong")
    async def wrong():
        return render_template("page.html", name="n")

    return app


async def test_async_functions_filters_and_processors_are_awaited_in_both_colours(waiting_app):
    client = waiting_app.test_client()

    assert (await client.get("/def")).text == "nn nn uu"
    assert (await client.get("/async")).text == "nn nn uu"
    assert (await client.get("/string")).text == "ss"


async def test_an_async_processor_in_a_plain_render_on_the_loop_is_named(waiting_app, caplog):
    response = await waiting_app.test_client().get("/wrong")

    assert response.status_code == 500
    assert "waiting_app.<locals>.user' (test_templates.py:" in caplog.text
    assert "await render_template_async(...)" in caplog.text


async def test_async_functions_of_def_templates_run_on_the_loop():
    app = app_with({"page.html": "{{ where() }}"})

    @app.template_global
    async def where():
        return threading.get_ident()

    @app.get("/")
    def home():
        return render_template("page.html")

    assert (await app.test_client().get("/")).text == str(threading.get_ident())


# -- registration --------------------------------------------------------------------------


async def test_filters_tests_and_globals_are_registered_with_and_without_parentheses():
    app = app_with({"page.html": "{{ 'a' | shout }} {{ 'A' is loud }} {{ year() }} {{ 'a' | up }}"})
    blueprint = Blueprint("cart", "cart")
    _ = app.jinja_env

    @app.template_filter
    def shout(text):
        return text.upper() + "!"

    @app.template_test("loud")
    def is_loud(text):
        return text.isupper()

    @blueprint.app_template_global()
    def year():
        return 2031

    @app.get("/")
    async def home():
        return render_template("page.html")

    app.add_template_filter(str.upper, "up")
    app.register_blueprint(blueprint)

    assert (await app.test_client().get("/")).text == "A! True 2031 A"


async def test_context_processors_of_blueprints_reach_their_own_views():
    app = app_with({"page.html": "{{ a }}{{ b }}"})
    outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")
    app.context_processor(lambda: {"a": "app ", "b": "app"})
    outer.context_processor(lambda: {"a": "outer ", "b": "outer"})
    inner.context_processor(lambda: {"b": "inner"})

    @app.get("/app", endpoint="app")
    @outer.get("/outer", endpoint="outer")
    @inner.get("/inner", endpoint="inner")
    async def show():
        return render_template("page.html")

    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    client = app.test_client()

    assert (await client.get("/app")).text == "app app"
    assert (await client.get("/outer")).text == "outer outer"
    assert (await client.get("/inner")).text == "outer inner"


async def test_templates_lie_in_the_folders_of_the_app_and_its_blueprints(tmp_path):
    for folder, name, text in (
        ("app", "both.html", "app"),
        ("cart", "both.html", "cart"),
        ("cart", "cart.html", "cart only"),
    ):
        (tmp_path / folder / "templates").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "templates" / name).write_text(text)
    app = Erlen("shop", root_path=str(tmp_path / "app"))
    cart = Blueprint("cart", "cart", root_path=str(tmp_path / "cart"), template_folder="templates")
    app.register_blueprint(cart)

    with app.app_context():
        assert render_template("both.html") == "app"
        assert render_template("cart.html") == "cart only"
        with pytest.raises(TemplateNotFound, match=r"application 'shop' \(.*app/templates\); blue"):
            render_template("missing.html")
    assert app.jinja_env.list_templates() == ["both.html", "cart.html"]


def test_changing_debug_changes_the_reloading_of_templates(tmp_path):
    app = Erlen("shop", root_path=str(tmp_path))
    (tmp_path / "templates").mkdir()
    page = tmp_path / "templates" / "page.html"
    page.write_text("old")
    with app.app_context():
        assert render_template("page.html") == "old"
        page.write_text("changed")
        assert render_template("page.html") == "old"

        app.debug = True
        page.write_text("newer still")
        assert render_template("page.html") == "newer still"


def test_a_macro_is_there_for_views():
    app = app_with({"macros.html": "{% macro hello(name) %}Hello {{ name }}!{% endmacro %}"})

    with app.app_context():
        assert get_template_attribute("macros.html", "hello")("Ada") == "Hello Ada!"


def test_an_app_that_rendered_is_freed_by_reference_count_alone():
    app = app_with({"page.html": "{{ [1] | tojson }} {{ url_for('static', filename='x') }}"})
    with app.test_request_context():
        render_template("page.html")
    gone = weakref.ref(app)

    gc.collect()
    gc.disable()
    try:
        del app
        assert gone() is None
    finally:
        gc.enable()


async def test_an_error_page_may_be_a_template():
    app = app_with({"404.html": "no {{ request.path }}: {{ error.code }}"})

    @app.errorhandler(404)
    async def missing(error):
        return render_template("404.html", error=error), 404

    response = await app.test_client().get("/<x>")

    assert response.status_code == 404
    assert response.text == "no /&lt;x&gt;: 404"


async def test_a_test_can_watch_what_is_rendered():
    app = app_with({"page.html": "{{ name }}"})
    rendered = []

    @app.get("/")
    async def home():
        return render_template("page.html", name="Ada")

    def receive(sender, template, context, **_):
        rendered.append((sender is app, template.name, context["name"]))

    with template_rendered.connected_to(receive, app):
        await app.test_client().get("/")

    assert rendered == [(True, "page.html", "Ada")]


# -- streams -------------------------------------------------------------------------------


async def test_a_template_is_streamed_in_both_colours_with_its_context():
    app = app_with({"page.html": "{% for x in 'abc' %}{{ request.args.q }}{{ x }}{% endfor %}"})

    @app.get("/async")
    async def on_loop():
        return stream_template("page.html")

    @app.get("/def")
    def in_thread():
        return stream_template("page.html")

    @app.get("/string")
    async def from_string():
        return stream_template_string("{{ double('x') }} {{ request.args.q }}", double=double)

    client = app.test_client()

    assert (await client.get("/async?q=-")).text == "-a-b-c"
    assert (await client.get("/def?q=-")).text == "-a-b-c"
    assert (await client.get("/string?q=-")).text == "xx -"


async def test_an_error_at_the_start_of_a_stream_is_a_500(caplog):
    app = app_with({"page.html": "{{ 1 // 0 }}"})

    @app.get("/async")
    async def on_loop():
        return stream_template("page.html")

    @app.get("/def")
    def in_thread():
        return stream_template("page.html")

    client = app.test_client()

    assert (await client.get("/async")).status_code == 500
    assert (await client.get("/def")).status_code == 500
    assert caplog.text.count("ZeroDivisionError") == 2


# -- flashed messages ----------------------------------------------------------------------


async def test_a_message_is_flashed_in_one_request_and_shown_in_the_next_one_only():
    source = "{% for c, m in get_flashed_messages(true) %}{{ c }}: {{ m }};{% endfor %}"
    app = app_with({"page.html": source})

    @app.post("/async")
    async def on_loop():
        flash("<saved>")
        flash("twice", "info")
        return redirect(url_for("home"))

    @app.post("/def")
    def in_thread():
        flash("in a thread")
        return redirect(url_for("home"))

    @app.get("/")
    async def home():
        return render_template("page.html") + "".join(get_flashed_messages())

    async with app.test_client() as client:
        await client.post("/async")
        assert (await client.get("/")).text == "message: &lt;saved&gt;;info: twice;<saved>twice"
        assert (await client.get("/")).text == ""
        await client.post("/def")
        assert (await client.get("/")).text == "message: in a thread;in a thread"


async def test_a_message_can_be_flashed_and_shown_in_one_request():
    app = app_with({"page.html": "{{ get_flashed_messages(category_filter=['b']) | join }}"})

    @app.get("/")
    async def home():
        flash("one", "a")
        flash("two", "b")
        return render_template("page.html")

    assert (await app.test_client().get("/")).text == "two"


async def test_tojson_is_what_the_app_says():
    app = app_with({"page.html": "<script>let x = {{ x | tojson }}</script>"})
    app.json.ensure_ascii = False

    @app.get("/")
    async def home():
        assert current_app.name == "templates"
        return render_template("page.html", x={"b": "</script>ä", "a": None})

    assert (await app.test_client().get("/")).text == (
        '<script>let x = {"b": "\\u003c/script\\u003eä", "a": null}</script>'
    )
