from __future__ import annotations

import asyncio

import pytest

from erlen import ContextError, after_this_request, g, request, sync
from erlen.testing import SyncTestClient, TestClient
from tests.echoing import make_app


async def test_without_a_block_the_client_is_asynchronous_and_starts_nothing():
    app = make_app()
    started = []
    app.before_serving(lambda: started.append(True))

    response = await app.test_client().get("/")

    assert (response.status_code, response.text) == (200, "hello")
    assert started == []


async def test_async_with_runs_the_app_on_the_loop_of_the_test():
    app = make_app()
    loops = []

    @app.get("/loop")
    async def loop():
        loops.append(asyncio.get_running_loop())
        return ""

    async with app.test_client() as client:
        await client.get("/loop")

    assert loops == [asyncio.get_running_loop()]


def test_with_is_synchronous():
    with make_app().test_client() as client:
        response = client.get("/")

        assert isinstance(client, SyncTestClient)
        assert response.text == "hello"


def test_the_client_itself_is_synchronous_inside_of_with():
    client = make_app().test_client()

    with client:
        assert client.get("/").text == "hello"


def test_the_synchronous_client_needs_no_block():
    client = make_app().sync_test_client()

    assert client.get("/").text == "hello"
    assert client.get("/count").text == "1"
    assert client.get("/count").text == "2"


def test_the_synchronous_client_is_as_good_after_its_block_as_before():
    client = make_app().sync_test_client()

    with client as entered:
        assert entered is client
        assert client.get("/").text == "hello"
    assert client.get("/").text == "hello"


def test_an_asynchronous_client_in_def_code_says_what_to_write():
    client = make_app().test_client()

    with pytest.raises(ContextError, match=r"with app\.test_client\(\) as client"):
        client.get("/")


def test_blocks_of_an_asynchronous_client_say_that_they_are_async():
    client = make_app().test_client()

    for block in (
        client.stream("GET", "/"),
        client.websocket("/"),
        client.session_transaction(),
    ):
        with pytest.raises(ContextError, match="async with client"):
            block.__enter__()


async def test_a_synchronous_client_works_beside_a_running_loop():
    with make_app().test_client() as client:
        assert client.get("/count").text == "1"


async def test_a_synchronous_client_on_the_loop_of_its_own_app_is_an_error():
    app = make_app()

    @app.get("/inside")
    async def inside():
        return app.sync_test_client().get("/").text

    with app.test_client() as client, pytest.raises(ContextError, match="wait for each other"):
        client.get("/inside")


async def test_a_client_inside_of_a_view_leaves_the_context_of_the_view_alone():
    app = make_app()

    @app.get("/outer")
    async def outer():
        g.mine = "mine"
        inner = await app.test_client().get("/echo")
        return f"{g.mine} {request.path} {inner.json['path']}"

    assert (await app.test_client().get("/outer")).text == "mine /outer /echo"


async def test_a_client_that_keeps_inside_of_a_view_gives_the_context_of_the_view_back():
    app = make_app()

    @app.get("/outer")
    async def outer():
        async with app.test_client() as client:
            await client.get("/echo")
            inner = request.path
        return f"{inner} {request.path}"

    assert (await app.test_client().get("/outer")).text == "/echo /outer"


def test_a_synchronous_client_works_in_a_def_view_of_the_same_app():
    app = make_app()

    @app.get("/outer")
    def outer():
        return app.sync_test_client().get("/count").text + sync.request.path

    assert app.sync_test_client().get("/outer").text == "1/outer"


def test_two_synchronous_clients_of_an_app_share_a_loop_and_not_their_cookies():
    app = make_app()
    loops = set()

    @app.before_request
    async def remember():
        loops.add(asyncio.get_running_loop())

    with app.test_client() as alice, app.test_client() as bob:
        alice.get("/count")
        assert (alice.get("/count").text, bob.get("/count").text) == ("2", "1")

    assert len(loops) == 1


def test_a_client_can_be_made_by_a_class_of_the_app():
    class ApiClient(TestClient):
        def open(self, path="/", **options):
            options["headers"] = {"x-api": "1", **options.get("headers", {})}
            return super().open(path, **options)

        def echo(self):
            return self.get("/echo")

    app = make_app()
    app.test_client_class = ApiClient

    with app.test_client() as client:
        assert client.echo().json["headers"]["x-api"] == "1"
    assert app.sync_test_client().get("/echo").json["headers"]["x-api"] == "1"


async def test_everything_shows_what_it_is():
    app = make_app()
    client = app.test_client()

    assert repr(client) == "<TestClient of <Erlen 'shop'>>"
    assert repr(app.sync_test_client()) == "<SyncTestClient of <Erlen 'shop'>>"
    assert repr(await client.get("/")) == "<TestResponse 5 bytes [200 OK]>"
    assert client.application is app
    assert app.sync_test_client().application is app


async def test_a_response_has_flasks_names():
    app = make_app()

    @app.get("/all")
    async def everything():
        return {"a": 1}, 201, {"X-One": "1", "Vary": "Cookie"}

    response = await app.test_client().get("/all?q=1")

    assert response.status_code == 201
    assert response.status == "201 Created"
    assert response.data == b'{"a":1}\n'
    assert response.get_data(as_text=True) == response.text == '{"a":1}\n'
    assert response.json == response.get_json() == {"a": 1}
    assert (response.mimetype, response.content_type) == ("application/json",) * 2
    assert response.headers["x-one"] == response.headers.get("X-One") == "1"
    assert response.headers.getlist("X-One") == ["1"]
    assert list(response.vary) == ["Cookie"]
    assert response.history == ()
    assert (response.request.path, response.request.args["q"]) == ("/all", "1")


async def test_a_response_can_be_closed_like_flasks():
    with await make_app().test_client().get("/") as response:
        response.close()

        assert response.text == "hello"


async def test_json_of_a_response_is_none_where_it_is_another_type():
    response = await make_app().test_client().get("/")

    assert response.json is None
    assert response.get_json(force=True, silent=True) is None
    with pytest.raises(ValueError, match="not valid"):
        response.get_json(force=True)


async def test_the_request_of_a_response_has_its_body():
    response = await make_app().test_client().post("/echo", data="abc")

    assert await response.request.get_data() == b"abc"


async def test_an_error_of_the_app_is_raised_in_the_test():
    app = make_app()

    @app.get("/fail")
    async def fail():
        raise KeyError("the reason")

    @app.get("/late")
    async def late():
        @after_this_request
        def break_it(response):
            response.call_on_close(lambda: 1 / 0)
            return response

        return "sent"

    with pytest.raises(KeyError, match="the reason"):
        await app.test_client().get("/fail")
    with pytest.raises(ZeroDivisionError):
        await app.test_client().get("/late")


def test_an_error_of_the_app_is_raised_in_a_def_test():
    app = make_app()
    app.add_url_rule("/fail", view_func=lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError), app.test_client() as client:
        client.get("/fail")


async def test_where_errors_do_not_propagate_they_are_a_500():
    app = make_app()
    app.testing = False
    app.add_url_rule("/fail", view_func=lambda: 1 / 0)

    assert (await app.test_client().get("/fail")).status_code == 500


async def test_a_request_that_is_cancelled_ends_in_the_app_too():
    app, ended = make_app(), asyncio.Event()

    @app.get("/slow")
    async def slow():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(app.test_client().get("/slow"), 0.05)

    assert ended.is_set()
