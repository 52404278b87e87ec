from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from erlen import (
    Erlen,
    current_app,
    g,
    has_app_context,
    has_request_context,
    redirect,
    request,
    session,
    sync,
    url_for,
)
from tests.echoing import make_app
from tests.waiting import until


async def test_a_client_that_was_entered_keeps_the_context_of_the_last_request():
    app = make_app()

    async with app.test_client() as client:
        assert not has_request_context()
        await client.get("/count?q=1")
        assert (session["n"], g.n, request.args["q"]) == (1, 1, "1")
        assert current_app.name == "shop"
        await client.get("/echo")
        assert request.path == "/echo"
        assert "n" not in g

    assert not has_app_context()


def test_a_client_that_was_entered_keeps_the_context_in_def_code():
    app = make_app()

    with app.test_client() as client:
        client.post("/echo", data={"a": "1"})
        assert sync.request.form["a"] == "1"
        client.get("/count")
        assert (session["n"], g.n, url_for("index")) == (1, 1, "/")

    assert not has_app_context()


async def test_a_body_that_the_view_did_not_read_is_there_afterwards():
    app = make_app()

    @app.post("/ignore")
    async def ignore():
        return ""

    async with app.test_client() as client:
        await client.post("/ignore", data={"a": "1"})

        assert (await request.form)["a"] == "1"


async def test_a_client_that_was_not_entered_keeps_nothing():
    await make_app().test_client().get("/count")

    assert not has_app_context()


@pytest.mark.parametrize("path", ["/count", "/echo", "/missing", "/static/no.css"])
async def test_teardown_comes_with_the_next_request_or_the_end(path):
    app, torn = make_app(), []

    @app.teardown_request
    def teardown(error):
        torn.append(request.path)

    async with app.test_client() as client:
        await client.get(path)
        assert torn == []
        await client.get("/")
        assert torn == [path]

    assert torn == [path, "/"]


def test_teardown_comes_with_the_next_request_or_the_end_in_def_code():
    app, torn = make_app(), []

    @app.teardown_request
    async def teardown(error):
        torn.append(request.path)

    with app.test_client() as client:
        client.get("/count")
        assert torn == []
        client.get("/")
        assert torn == ["/count"]

    assert torn == ["/count", "/"]


async def test_teardown_gets_the_error_that_the_test_got():
    app, torn = make_app(), []
    app.teardown_request(torn.append)
    app.add_url_rule("/fail", view_func=lambda: 1 / 0)

    async with app.test_client() as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("/fail")
        assert request.path == "/fail"

    (error,) = torn
    assert isinstance(error, ZeroDivisionError)


async def test_the_context_around_a_kept_one_comes_back():
    app = make_app()

    async with app.app_context(), app.test_client() as client:
        g.mine = "outer"
        await client.get("/count")
        assert g.n == 1
        await client.get("/count")
        assert g.n == 2
        await client.__aexit__(None, None, None)
        assert g.mine == "outer"
        await client.__aenter__()


async def test_each_redirect_that_is_followed_is_torn_down():
    app, torn = make_app(), []
    app.teardown_request(lambda error: torn.append(request.path))
    app.add_url_rule("/to", view_func=lambda: redirect("/echo"))

    async with app.test_client() as client:
        await client.get("/to", follow_redirects=True)
        assert torn == ["/to"]

    assert torn == ["/to", "/echo"]


async def test_requests_at_the_same_time_are_all_torn_down():
    app, torn = make_app(), []
    app.teardown_request(lambda error: torn.append(request.args["n"]))

    async with app.test_client() as client:
        await asyncio.gather(*(client.get(f"/echo?n={n}") for n in range(5)))

    assert sorted(torn) == ["0", "1", "2", "3", "4"]


async def test_of_a_mounted_app_the_context_around_it_is_kept():
    outer, inner, torn = make_app(), Erlen("inner"), []
    inner.teardown_request(lambda error: torn.append("inner"))
    outer.teardown_request(lambda error: torn.append("outer"))
    inner.add_url_rule("/", view_func=lambda: "mounted")
    outer.mount("/in", inner)

    async with outer.test_client() as client:
        assert (await client.get("/in/")).text == "mounted"
        assert current_app.name == "shop"
        assert torn == ["inner"]

    assert torn == ["inner", "outer"]


async def test_an_entered_client_cannot_be_entered_again():
    client = make_app().test_client()

    async with client:
        with pytest.raises(RuntimeError, match="Cannot nest client invocations"):
            await client.__aenter__()
        with pytest.raises(RuntimeError, match="Cannot nest client invocations"):
            client.__enter__()


def database_app():
    app = make_app()
    app.extensions["rows"] = []

    @app.before_request
    def connect():
        g.db = sqlite3.connect(":memory:")
        g.thread = threading.get_ident()

    @app.teardown_request
    def close(error):
        app.extensions["rows"].append(g.db.execute("select 1").fetchone())
        g.db.close()

    @app.get("/def")
    def in_def():
        return str(g.db.execute("select 2").fetchone()[0])

    @app.get("/async")
    async def in_async():
        return "async"

    @app.get("/lines")
    def lines():
        def generate():
            for n in range(3):
                yield f"{g.db.execute(f'select {n}').fetchone()[0]}\n"

        return generate()

    return app


@pytest.mark.parametrize("path", ["/def", "/async", "/lines"])
def test_def_code_runs_in_the_thread_that_calls_the_client(path):
    app = database_app()

    with app.test_client() as client:
        client.get(path)
        assert g.thread == threading.get_ident()
        assert g.db.execute("select 3").fetchone() == (3,)

    assert app.extensions["rows"] == [(1,)]


@pytest.mark.parametrize("path", ["/def", "/async", "/lines"])
def test_def_code_of_a_client_without_a_block_runs_in_the_thread_that_calls_it(path):
    app = database_app()
    threads = []
    app.after_request(lambda response: threads.append(threading.get_ident()) or response)

    app.sync_test_client().get(path)

    assert threads == [threading.get_ident()]
    assert app.extensions["rows"] == [(1,)]


@pytest.mark.parametrize("path", ["/def", "/async", "/lines"])
async def test_what_an_async_client_keeps_is_torn_down_in_the_thread_it_ran_in(path, caplog):
    app = database_app()

    async with app.test_client() as client:
        for _ in range(3):
            await client.get(path)

    assert app.extensions["rows"] == [(1,)] * 3
    assert caplog.records == []


async def test_a_stream_that_is_kept_is_torn_down_in_the_thread_it_ran_in():
    app = database_app()

    async with app.test_client() as client:
        async with client.stream("GET", "/lines") as response:
            assert [line async for line in response.aiter_lines()] == ["0", "1", "2"]
        assert request.path == "/lines"

    assert app.extensions["rows"] == [(1,)]


def test_a_stream_that_is_kept_is_torn_down_in_the_thread_it_ran_in_in_def_code():
    app = database_app()

    with app.test_client() as client:
        client.get("/def")
        with client.stream("GET", "/lines") as response:
            assert list(response.iter_lines()) == ["0", "1", "2"]
        client.get("/def")

    assert app.extensions["rows"] == [(1,)] * 3


async def test_requests_of_an_async_client_run_in_threads_of_their_own():
    app, meeting = make_app(), threading.Barrier(3)

    @app.get("/meet")
    def meet():
        meeting.wait(10)
        return "met"

    async with app.test_client() as client:
        responses = await asyncio.gather(*(client.get("/meet") for _ in range(3)))

    assert [response.text for response in responses] == ["met"] * 3


async def test_a_kept_request_takes_its_slot_of_the_pool():
    app = make_app(SYNC_WORKERS=1, SYNC_QUEUE=0)
    release, begun = threading.Event(), threading.Event()

    @app.get("/wait")
    def wait():
        begun.set()
        release.wait(10)
        return "waited"

    async with app.test_client() as client:
        first = asyncio.create_task(client.get("/wait"))
        await until(begun.is_set)
        second = await client.get("/wait")
        release.set()

        assert second.status_code == 503
        assert (await first).text == "waited"


def test_an_async_hook_between_def_ones_runs_on_the_loop():
    app = make_app()
    threads = []

    @app.before_request
    def first():
        threads.append(threading.get_ident())

    @app.before_request
    async def second():
        await asyncio.sleep(0)
        threads.append(threading.get_ident())

    app.sync_test_client().get("/count")

    assert threads[0] == threading.get_ident() != threads[1]


# -- fixtures ------------------------------------------------------------------------------


@pytest.fixture
async def client():
    async with make_app().test_client() as client:
        yield client


@pytest.fixture
def sync_client():
    with make_app().test_client() as client:
        yield client


async def test_a_client_of_a_fixture_keeps_the_context_for_the_test(client):
    await client.get("/count")
    await client.get("/count")

    assert session["n"] == 2


def test_a_client_of_a_fixture_keeps_the_context_for_a_def_test(sync_client):
    sync_client.get("/count")

    assert session["n"] == 1


def test_a_client_without_a_block_is_entered_where_the_context_matters():
    client = make_app().sync_test_client()
    client.get("/count")
    assert not has_request_context()

    with client:
        client.get("/count")
        assert session["n"] == 2

    assert not has_request_context()
