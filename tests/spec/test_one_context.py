"""There is one context: it nests, with ``with`` and ``async with``, and is copied at will."""

from __future__ import annotations

import asyncio
import threading

import pytest

from erlen import (
    Erlen,
    copy_current_request_context,
    current_app,
    g,
    has_app_context,
    request,
    sync,
    url_for,
)


async def test_one_copy_may_run_many_times_at_once_in_tasks_and_threads():
    app = Erlen("copies")
    torn = []
    app.teardown_request(lambda error: torn.append(request.path))

    @app.get("/<name>")
    async def view(name):
        g.mine = "view"

        @copy_current_request_context
        async def in_task(number):
            g.mine = number
            await asyncio.sleep(0)
            return request.path, g.mine

        @copy_current_request_context
        def in_thread(number):
            g.mine = number
            return sync.request.path, g.mine

        tasks = [in_task(number) for number in range(20)]
        threads = [asyncio.to_thread(in_thread, number) for number in range(20, 40)]
        found = await asyncio.gather(*tasks, *threads)
        assert g.mine == "view"
        return [list(one) for one in found]

    response = await app.test_client().get("/tea")

    assert response.json == [["/tea", number] for number in range(40)]
    assert torn == ["/tea"]


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_client_in_a_view_asks_another_app_and_comes_back(colour):
    outer, inner = Erlen("outer"), Erlen("inner")

    @inner.get("/inside")
    async def inside():
        g.where = "inside"
        return f"{current_app.name} {request.path}"

    @outer.get("/async")
    async def asynchronous():
        g.where = "outside"
        answer = await inner.test_client().get("/inside")
        return [answer.text, current_app.name, request.path, g.where]

    @outer.get("/def")
    def plain():
        g.where = "outside"
        answer = inner.sync_test_client().get("/inside")
        return [answer.text, current_app.name, request.path, g.where]

    response = await outer.test_client().get(f"/{colour}")

    assert response.json == ["inner /inside", "outer", f"/{colour}", "outside"]


async def test_contexts_of_two_apps_nest_in_both_ways_of_entering():
    outer, inner = Erlen("outer"), Erlen("inner")
    inner.get("/inside", endpoint="inside")(lambda: "")
    names = []

    async with outer.test_request_context("/outside"):
        with inner.test_request_context("/inside"):
            names.append((current_app.name, request.path, url_for("inside")))
            async with outer.app_context():
                names.append((current_app.name, has_app_context()))
            names.append((current_app.name, request.path))
        names.append((current_app.name, request.path))

    assert names == [
        ("inner", "/inside", "/inside"),
        ("outer", True),
        ("inner", "/inside"),
        ("outer", "/outside"),
    ]
    assert not has_app_context()


async def test_a_thread_of_its_own_has_no_context_unless_it_takes_one():
    app = Erlen("threads")
    seen = []

    @app.get("/")
    async def view():
        thread = threading.Thread(target=lambda: seen.append(has_app_context()))
        thread.start()
        await asyncio.to_thread(thread.join)
        return "x"

    await app.test_client().get("/")

    assert seen == [False]
