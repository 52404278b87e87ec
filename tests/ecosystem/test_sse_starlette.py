"""sse-starlette: a view returns its EventSourceResponse, and everything around it still runs."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("sse_starlette")

import httpx
from sse_starlette import EventSourceResponse, ServerSentEvent

from erlen import request, session
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import address_of, client_of


async def test_events_are_sent_with_the_context_and_the_session():
    app = furnished_app("events")

    @app.get("/events/<name>")
    async def events(name):
        session["events"] = name

        async def generate():
            yield {"event": "one", "data": name, "id": "1"}
            yield ServerSentEvent(request.path, event="two")

        return EventSourceResponse(generate())

    @app.get("/session")
    def show():
        return session["events"]

    async with client_of(app) as client:
        response = await client.get("/events/tea")
        assert (await client.get("/session")).text == "tea"
        await assert_all_works(client)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-after"] == "/events/tea True"
    assert response.text == (
        "id: 1\r\nevent: one\r\ndata: tea\r\n\r\nevent: two\r\ndata: /events/tea\r\n\r\n"
    )


async def test_a_def_view_may_return_it_too():
    app = furnished_app("sync")

    @app.get("/events")
    def events():
        async def generate():
            yield {"data": request.path}

        return EventSourceResponse(generate())

    async with client_of(app) as client:
        assert (await client.get("/events")).text == "data: /events\r\n\r\n"


async def test_a_reader_that_leaves_ends_the_events_and_the_request():
    app = furnished_app("leaving")
    closed = asyncio.Event()

    @app.get("/events")
    async def events():
        async def generate():
            try:
                while True:
                    yield {"data": "tick"}
                    await asyncio.sleep(0.01)
            finally:
                closed.set()

        return EventSourceResponse(generate())

    async with address_of(app) as address, httpx.AsyncClient() as client:
        async with client.stream("GET", f"http://{address}/events") as response:
            assert await anext(response.aiter_lines()) == "data: tick"
        async with asyncio.timeout(5):
            await closed.wait()
            while app.torn_down != ["/events"]:
                await asyncio.sleep(0.01)
