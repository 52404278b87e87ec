"""Registration: in both forms of a decorator, in time, and leaving nothing behind."""

from __future__ import annotations

import pytest

from erlen import Blueprint, Erlen, render_template_string, request, sync, url_for
from erlen.errors import SetupAssertionError, SetupError, SetupTypeError


async def test_hooks_and_template_functions_work_with_and_without_parentheses():
    app = Erlen("forms")
    log = []

    @app.before_request
    async def one():
        log.append("one")

    @app.before_request(inline=True)
    def two():
        log.append("two")

    @app.template_filter
    def shout(text):
        return text.upper()

    @app.template_filter("whisper")
    def lower(text):
        return text.lower()

    @app.template_test()
    def loud(text):
        return text.isupper()

    @app.template_global(name="answer")
    def forty_two():
        return 42

    app.add_template_filter(len, "size")
    app.add_template_test(callable, "callable_thing")
    app.add_template_global(abs)

    @app.get("/")
    async def index():
        return render_template_string(
            "{{ 'a'|shout }}{{ 'B'|whisper }}{{ 'C' is loud }}{{ answer() }}{{ 'abc'|size }}"
            "{{ answer is callable_thing }}{{ abs(-1) }}"
        )

    assert (await app.test_client().get("/")).text == "AbTrue423True1"
    assert log == ["one", "two"]


async def test_template_functions_of_a_blueprint_are_those_of_the_app():
    app, shop = Erlen("forms"), Blueprint("shop", "forms")
    shop.app_template_filter("twice")(lambda text: text * 2)
    shop.app_template_test("even")(lambda number: number % 2 == 0)
    shop.app_template_global(max)
    app.register_blueprint(shop)

    @app.get("/")
    async def index():
        return render_template_string("{{ 'a'|twice }}{{ 2 is even }}{{ max(1, 3) }}")

    assert (await app.test_client().get("/")).text == "aaTrue3"


@pytest.mark.parametrize("owner", [Erlen("x"), Blueprint("x", "x")], ids=["app", "blueprint"])
def test_a_hook_is_a_function(owner):
    with pytest.raises(SetupTypeError, match="before_request takes a function, not 1"):
        owner.before_request(1)


@pytest.mark.parametrize("thing", [Blueprint, Erlen("inner"), "shop"], ids=["class", "app", "text"])
def test_only_a_blueprint_can_be_registered(thing):
    for owner in (Erlen("x"), Blueprint("x", "x")):
        with pytest.raises(SetupTypeError, match="register_blueprint takes a Blueprint"):
            owner.register_blueprint(thing)


def test_a_rule_that_was_refused_leaves_nothing_behind():
    app = Erlen("again")

    async def view(): ...

    with pytest.raises(SetupError):
        app.add_url_rule("/<what:x>", "view", view)

    async def other(): ...

    app.add_url_rule("/ok", "view", other)
    with app.test_request_context("/"):
        assert url_for("view") == "/ok"


async def test_registration_after_start_up_is_refused():
    app = Erlen("late")

    @app.before_serving
    async def still_in_time():
        app.add_url_rule("/early", "early", still_in_time)

    async with app.serving():
        with pytest.raises(SetupAssertionError, match="setup method 'before_request'"):
            app.before_request(lambda: None)


async def test_the_errors_of_a_blueprint_count_for_unknown_urls_below_its_prefix():
    app = Erlen("errors", errors="html")
    api = Blueprint("api", "errors", url_prefix="/api", errors="problem")
    pages = Blueprint("pages", "errors", url_prefix="/pages", errors="html")
    api.register_blueprint(pages)
    app.register_blueprint(api)
    client = app.test_client()

    async def kind_of(path):
        return (await client.get(path)).headers["Content-Type"]

    assert await kind_of("/api/nowhere") == "application/problem+json"
    assert await kind_of("/api") == "application/problem+json"
    assert await kind_of("/apis") == "text/html; charset=utf-8"
    assert await kind_of("/api/pages/nowhere") == "text/html; charset=utf-8"


async def test_a_body_over_the_limit_is_logged(caplog):
    app = Erlen("limit")
    app.config["MAX_CONTENT_LENGTH"] = 3

    @app.post("/upload")
    async def upload():
        return await request.get_data()

    await app.test_client().post("/upload", data=b"12345")

    assert "Refused a body of /upload" in caplog.text
    assert "MAX_CONTENT_LENGTH" in caplog.text


async def test_the_stream_of_a_def_view_is_one_file():
    app = Erlen("stream")

    def read_in_pieces():
        pieces = []
        while piece := sync.request.stream.read(4):
            pieces.append(piece)
        return b"|".join(pieces)

    app.add_url_rule("/ahead", "ahead", read_in_pieces, methods=["POST"])
    app.add_url_rule("/stream", "stream", read_in_pieces, methods=["POST"], stream_body=True)
    client = app.test_client()

    for path in ("/ahead", "/stream"):
        assert (await client.post(path, data=b"abcdefghij")).text == "abcd|efgh|ij"


async def test_an_await_too_many_is_answered_with_advice(caplog):
    app = Erlen("await")

    @app.get("/")
    async def index():
        return await render_template_string("x")

    assert (await app.test_client().get("/")).status_code == 500
    assert "plain calls in both colours: drop the await" in caplog.text


async def test_a_coroutine_in_place_of_a_result_is_named():
    app = Erlen("forgotten")
    app.testing = True

    async def later(): ...

    @app.get("/")
    async def index():
        return (later(), 200)

    with pytest.raises(TypeError, match="Is an 'await' missing"):
        await app.test_client().get("/")


def test_sync_serving_shuts_down_even_when_the_block_fails():
    app = Erlen("sync")
    log = []

    @app.while_serving
    async def around():
        log.append("up")
        yield
        log.append("down")

    with pytest.raises(LookupError), app.sync_serving():
        raise LookupError
    with app.sync_serving():
        log.append("serving")

    assert log == ["up", "down", "up", "serving", "down"]


def test_a_hook_that_never_blocks_is_shown_with_its_function():
    app = Erlen("inline")

    app.before_request(inline=True)(len)

    assert repr(app.registry.hooks["before_request"][""]) == "[Inline(<built-in function len>)]"
