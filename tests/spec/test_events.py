"""Server-sent events and JSON lines, returned by views of either colour."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from erlen import Erlen, EventStream, JSONLines, ServerSentEvent, abort, g, request
from tests.exchanges import Exchange, cancelled_everywhere
from tests.serving import PATIENCE, served
from tests.waiting import until

VIEWS = ["async of async", "async of def", "def of async", "def of def"]


def serving(kind, make, path="/", **options):
    """Return an app whose view is the first colour of *kind*, its generator the second."""
    app = Erlen("events")
    view_colour, _, colour = kind.partition(" of ")

    async def in_async():
        for item in ("a", {"b": 1}, ServerSentEvent("c", id=g.number)):
            yield item

    def in_def():
        yield from ("a", {"b": 1}, ServerSentEvent("c", id=g.number))

    generator = in_async if colour == "async" else in_def
    if view_colour == "async":

        @app.get(path)
        async def view():
            g.number = "7"
            return make(generator(), **options)
    else:

        @app.get(path)
        def view():
            g.number = "7"
            return make(generator(), **options)

    return app


@pytest.mark.parametrize("heartbeat", [15, None])
@pytest.mark.parametrize("kind", VIEWS)
async def test_events_come_from_generators_of_both_colours(kind, heartbeat):
    app = serving(kind, EventStream, heartbeat=heartbeat)
    log = []
    app.teardown_request(lambda error: log.append((g.number, error)))

    response = await app.test_client().get("/")

    assert response.text == 'data: a\n\ndata: {"b": 1}\n\nid: 7\ndata: c\n\n'
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert log == [("7", None)]


@pytest.mark.parametrize("kind", VIEWS)
async def test_lines_come_from_generators_of_both_colours(kind):
    app = Erlen("lines")
    view_colour, _, colour = kind.partition(" of ")

    async def in_async():
        yield {"a": 1}
        yield [2]

    def in_def():
        yield {"a": 1}
        yield [2]

    generator = in_async if colour == "async" else in_def
    if view_colour == "async":

        @app.get("/")
        async def view():
            return JSONLines(generator())
    else:

        @app.get("/")
        def view():
            return JSONLines(generator())

    response = await app.test_client().get("/")

    assert response.text == '{"a": 1}\n[2]\n'
    assert response.headers["content-type"] == "application/jsonl"


async def test_a_def_generator_that_sleeps_has_a_heartbeat_too():
    app = Erlen("sleeps")

    @app.get("/")
    def view():
        def events():
            time.sleep(0.3)
            yield "awake"

        return EventStream(events(), heartbeat=0.02)

    response = await app.test_client().get("/")

    assert response.text.startswith(":\n\n")
    assert response.text.endswith("data: awake\n\n")


async def test_an_error_before_the_first_line_is_a_page():
    app = Erlen("refuses")

    @app.get("/")
    async def view():
        async def lines():
            abort(409)
            yield 1

        return JSONLines(lines())

    assert (await app.test_client().get("/")).status_code == 409


async def test_an_answer_to_head_has_no_events():
    response = await serving("async of async", EventStream).test_client().head("/")

    assert (response.status_code, response.data) == (200, b"")
    assert response.mimetype == "text/event-stream"


async def test_json_is_that_of_the_app():
    app = serving("async of async", EventStream)

    class Shouting(type(app.json)):
        def dumps(self, obj, **kwargs):
            return super().dumps(obj, **kwargs).upper()

    app.json = Shouting(app)

    assert 'data: {"B": 1}' in (await app.test_client().get("/")).text


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        pytest.param({}, "None", id="the first time"),
        pytest.param({"Last-Event-ID": "7"}, "'7'", id="again"),
        pytest.param({"Last-Event-ID": "ä7".encode()}, "'ä7'", id="not ASCII"),
        pytest.param({"Last-Event-ID": b"\xff"}, "'\ufffd'", id="not UTF-8"),
    ],
)
async def test_a_browser_that_comes_back_says_what_it_has(headers, seen):
    app = Erlen("again")

    @app.get("/")
    async def view():
        return repr(request.last_event_id)

    assert (await app.test_client().get("/", headers=headers)).text == seen


@pytest.mark.parametrize("ours", [False, True])
async def test_over_a_socket_the_head_comes_at_once_and_the_end_closes_the_generator(ours):
    app, log = Erlen("wire"), []

    @app.get("/")
    async def view():
        async def events():
            try:
                await asyncio.Event().wait()
                yield "never"
            finally:
                log.append("closed")

        return EventStream(events(), heartbeat=0.05)

    async with served(app, ours=ours) as host, httpx.AsyncClient(timeout=PATIENCE) as client:
        async with client.stream("GET", f"http://{host}/") as response:
            assert response.headers["x-accel-buffering"] == "no"
            assert await anext(response.aiter_text()) == ":\n\n"
        await until(lambda: log == ["closed"], PATIENCE)


@pytest.mark.parametrize("ours", [False, True])
async def test_over_a_socket_the_head_waits_for_nothing(ours):
    app, go = Erlen("wire"), asyncio.Event()

    @app.get("/")
    async def view():
        async def events():
            await go.wait()
            yield "went"

        return EventStream(events(), heartbeat=None)

    async with served(app, ours=ours) as host, httpx.AsyncClient(timeout=PATIENCE) as client:
        async with client.stream("GET", f"http://{host}/") as response:
            go.set()
            assert "".join([text async for text in response.aiter_text()]) == "data: went\n\n"


# -- whatever goes wrong -------------------------------------------------------------------


def counted(kind, log):
    """Return an app that streams three events, and notes how often everything ends."""
    app = Erlen("faults")
    view_colour, _, colour = kind.partition(" of ")
    app.teardown_request(lambda error: log.append("torn down"))

    async def in_async():
        log.append("begun")
        try:
            for number in range(3):
                await asyncio.sleep(0)
                yield number
        finally:
            log.append("ended")
            await asyncio.sleep(0)

    def in_def():
        log.append("begun")
        try:
            yield from range(3)
        finally:
            log.append("ended")

    generator = in_async if colour == "async" else in_def
    if view_colour == "async":

        @app.get("/")
        async def view():
            return EventStream(generator())
    else:

        @app.get("/")
        def view():
            return EventStream(generator())

    return app


def check_ends(log):
    assert log.count("torn down") == 1
    assert log.count("ended") == log.count("begun") <= 1
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in others if "_Paced" in repr(task)] == []


@pytest.mark.parametrize("kind", VIEWS)
async def test_a_stream_of_events_may_be_cancelled_anywhere(kind, caplog):
    app = None

    async def cancel_at(number):
        nonlocal app
        log = []
        app = counted(kind, log)
        exchange = await Exchange(app, cancel_at=number).run()
        exchange.check()
        if exchange.sent:
            check_ends(log)
        assert caplog.text == ""
        await app.close_worker_pool()
        return exchange

    assert await cancelled_everywhere(cancel_at) > 4


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("breaks_at", range(5))
async def test_a_client_of_events_may_be_gone_at_any_message(kind, version, breaks_at, caplog):
    log = []
    app = counted(kind, log)
    exchange = Exchange(app, breaks_at=breaks_at, version=version)
    exchange.script.append({"type": "http.disconnect"})
    exchange.hold = asyncio.Event()

    await exchange.run()

    exchange.check()
    check_ends(log)
    if version == "2.4":
        assert (exchange.error, caplog.text) == (None, "")
    await app.close_worker_pool()


@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("sent", range(1, 5))
async def test_a_client_of_events_may_leave_after_any_message(kind, sent, caplog):
    log = []
    app = counted(kind, log)
    exchange = Exchange(app)
    exchange.script.append({"type": "http.disconnect"})
    exchange.hold = asyncio.Event()

    exchange.begin()
    await exchange.has_sent(sent)
    exchange.hold.set()
    await exchange.over()

    exchange.check()
    check_ends(log)
    assert (exchange.error, caplog.text) == (None, "")
    await app.close_worker_pool()
