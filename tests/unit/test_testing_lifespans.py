from __future__ import annotations

import asyncio

import pytest

from erlen import ContextError, Erlen, request, websocket
from tests.echoing import make_app


def living_app():
    app = make_app()
    app.extensions["life"] = []

    @app.before_serving
    async def before():
        app.extensions["life"].append("start")

    @app.after_serving
    async def after():
        app.extensions["life"].append("stop")

    return app


async def test_the_app_is_started_up_and_shut_down_around_the_block():
    app = living_app()

    async with app.test_client():
        assert app.extensions["life"] == ["start"]
    async with app.test_client():
        pass

    assert app.extensions["life"] == ["start", "stop"] * 2


def test_the_app_is_started_up_and_shut_down_around_the_block_in_def_code():
    app = living_app()

    for _ in range(2):
        with app.test_client():
            assert app.extensions["life"][-1] == "start"

    assert app.extensions["life"] == ["start", "stop"] * 2


async def test_clients_at_the_same_time_share_one_start_up():
    app = living_app()

    async with app.test_client() as alice, app.test_client() as bob:
        await alice.get("/")
        await bob.get("/")
        await alice.__aexit__(None, None, None)
        assert app.extensions["life"] == ["start"]
        await alice.__aenter__()

    assert app.extensions["life"] == ["start", "stop"]


async def test_the_lifespan_can_be_left_out():
    app, done = living_app(), []

    async def work():
        await asyncio.sleep(0.01)
        done.append(True)

    @app.get("/work")
    def start():
        app.add_background_task(work)
        return ""

    async with app.test_client(lifespan=False) as client:
        await client.get("/work")

    assert (app.extensions["life"], done) == ([], [True])


async def test_what_start_up_left_is_the_state_of_each_request():
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app):
        yield {"db": "connected"}

    app = Erlen("stateful", lifespan=lifespan)

    @app.get("/")
    async def index():
        request.scope["state"]["mine"] = True
        return sorted(request.state)

    @app.websocket("/ws")
    async def ws():

        await websocket.send(websocket.state["db"])

    async with app.test_client() as client:
        assert (await client.get("/")).json == ["db", "mine"]
        assert (await client.get("/")).json == ["db", "mine"]
        async with client.websocket("/ws") as ws:
            assert await ws.receive() == "connected"
    assert (await app.test_client().get("/")).json == ["mine"]


@pytest.mark.parametrize("again", [False, True])
async def test_an_error_of_the_start_up_is_raised_where_the_client_is_entered(again):
    app = make_app()

    @app.before_serving
    async def fail():
        raise ConnectionError("no database")

    client = app.test_client()
    with pytest.raises(ConnectionError, match="no database"):
        await client.__aenter__()
    if again:
        with pytest.raises(ConnectionError, match="no database"):
            await client.__aenter__()


def test_an_error_of_the_start_up_is_raised_in_def_code():
    app = make_app()

    @app.before_serving
    async def fail():
        raise ConnectionError("no database")

    client = app.test_client()
    with pytest.raises(ConnectionError, match="no database"):
        client.__enter__()
    with pytest.raises(ContextError):
        client.get("/")


async def test_an_error_of_the_shutdown_is_raised_where_the_client_is_left():
    app = make_app()

    @app.after_serving
    async def fail():
        raise ConnectionError("still busy")

    with pytest.raises(ConnectionError, match="still busy"):
        async with app.test_client():
            pass


async def test_background_work_can_be_waited_for():
    app, done = make_app(), []

    async def more():
        await asyncio.sleep(0.01)
        done.append("more")

    async def work():
        await asyncio.sleep(0.01)
        app.add_background_task(more)
        done.append("work")

    @app.get("/work")
    async def start():
        app.add_background_task(work)
        return ""

    client = app.test_client()
    await client.get("/work")
    await client.drain()

    assert done == ["work", "more"]


def test_background_work_can_be_waited_for_in_def_code():
    app, done = make_app(), []

    @app.get("/work")
    def start():
        app.add_background_task(lambda: done.append("work"))
        return ""

    client = app.sync_test_client()
    client.get("/work")
    client.drain()

    assert done == ["work"]


async def test_background_work_is_over_before_the_app_shuts_down():
    app = living_app()

    async def work():
        await asyncio.sleep(0.02)
        app.extensions["life"].append("work")

    @app.get("/work")
    async def start():
        app.add_background_task(work)
        return ""

    async with app.test_client() as client:
        await client.get("/work")

    assert app.extensions["life"] == ["start", "work", "stop"]
