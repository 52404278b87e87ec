"""Time has an end: for bodies that trickle, and for views that take too long."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from erlen import Erlen, EventStream, g, request, run_sync, sync
from erlen.errors import SetupError
from erlen.exceptions import HTTPException
from erlen.proxies import current
from tests.exchanges import Exchange

FORM = [(b"content-type", b"application/x-www-form-urlencoded"), (b"expect", b"x")]


class Trickle(Exchange):
    """A client that rests for so many *seconds* before each piece of its body."""

    def __init__(self, app: Any, path: str, *, seconds: float, pieces: list[bytes]) -> None:
        length = (b"content-length", str(sum(map(len, pieces))).encode())
        super().__init__(app, path, method="POST", headers=[*FORM, length], body=pieces)
        self.seconds = seconds

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self.seconds)
        return await super().receive()


def reading_app(**config: Any) -> Erlen:
    app = Erlen("slow")
    app.config.update(config)

    @app.post("/data")
    async def data():
        return str(len(await request.get_data()))

    @app.post("/form")
    async def form():
        return str(len((await request.form)["a"]))

    @app.post("/chunks")
    async def chunks():
        return str(sum([len(chunk) async for chunk in request.stream]))

    @app.post("/def-data")
    def def_data():
        return str(len(sync.request.get_data()))

    @app.post("/def-form")
    def def_form():
        return str(len(sync.request.form["a"]))

    @app.post("/def-stream", stream_body=True)
    def def_stream():
        return str(len(sync.request.stream.read()))

    return app


WAYS = ["/data", "/form", "/chunks", "/def-data", "/def-form", "/def-stream"]


@pytest.mark.parametrize("path", WAYS)
async def test_a_body_that_stops_is_a_408(path):
    app = reading_app(BODY_TIMEOUT=0.02, BODY_MIN_RATE=None)
    exchange = Trickle(app, path, seconds=0, pieces=[b"a=", b"x", b"y"])
    exchange.script.pop()

    await exchange.run()

    assert exchange.status == 408
    assert b"BODY_TIMEOUT" in exchange.body
    await app.close_worker_pool()


@pytest.mark.parametrize("path", WAYS)
async def test_a_body_that_trickles_is_a_408(path):
    app = reading_app(BODY_TIMEOUT=0.2, BODY_MIN_RATE=1000)
    exchange = Trickle(app, path, seconds=0.005, pieces=[b"a=", *[b"x"] * 1000])

    await exchange.run()

    assert exchange.status == 408
    assert exchange.received < 1000
    await app.close_worker_pool()


async def test_a_body_that_comes_steadily_may_take_longer_than_the_timeout():
    app = reading_app(BODY_TIMEOUT=0.5, BODY_MIN_RATE=None)

    exchange = await Trickle(app, "/data", seconds=0.05, pieces=[b"x"] * 15).run()

    assert (exchange.status, exchange.body) == (200, b"15")


async def test_a_rate_alone_limits_nothing():
    app = reading_app(BODY_TIMEOUT=None, BODY_MIN_RATE=10**9)

    exchange = await Trickle(app, "/data", seconds=0.01, pieces=[b"x"] * 3).run()

    assert (exchange.status, exchange.body) == (200, b"3")


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_body_that_stopped_is_not_over_for_who_reads_on(colour):
    app = Erlen("reads on")
    app.config.update(BODY_TIMEOUT=0.02, BODY_MIN_RATE=None)
    seen: list[Any] = []

    async def piece() -> bytes:
        async for chunk in request.stream:
            return chunk
        return b""

    @app.post("/async")
    async def view() -> str:
        for _ in range(4):
            try:
                seen.append(await piece())
            except HTTPException as error:
                seen.append(error.code)
        return "fine"

    @app.post("/def", stream_body=True)
    def def_view() -> str:
        for _ in range(4):
            try:
                seen.append(sync.request.stream.read1(10))
            except HTTPException as error:
                seen.append(error.code)
        return "fine"

    exchange = Trickle(app, f"/{colour}", seconds=0, pieces=[b"a=", b"x"])
    exchange.script.pop()

    await exchange.run()

    assert (exchange.status, seen) == (200, [b"a=", 408, 408, 408])
    await app.close_worker_pool()


async def test_a_def_view_may_give_a_slow_client_more_time_and_read_on():
    app = Erlen("patient")
    app.config["BODY_TIMEOUT"] = 0.02
    seen: list[Any] = []

    @app.post("/", stream_body=True)
    def view() -> bytes:
        try:
            sync.request.stream.read1()
        except HTTPException as error:
            seen.append(error.code)
        sync.request.body_timeout, sync.request.body_min_rate = 30, None
        return sync.request.stream.read()

    exchange = await Trickle(app, "/", seconds=0.2, pieces=[b"a", b"b"]).run()

    assert (exchange.body, seen) == (b"ab", [408])
    await app.close_worker_pool()


async def test_time_that_the_app_takes_is_not_the_clients():
    app = Erlen("busy")
    app.config.update(BODY_TIMEOUT=0.05, BODY_MIN_RATE=10**6)

    @app.post("/")
    async def view():
        total = 0
        async for chunk in request.stream:
            await asyncio.sleep(0.1)
            total += len(chunk)
        return str(total)

    exchange = await Exchange(app, method="POST", headers=FORM, body=[b"x", b"x", b"x"]).run()

    assert (exchange.status, exchange.body) == (200, b"3")


async def test_a_hook_may_give_a_slow_client_more_time():
    app = Erlen("patient")
    app.config["BODY_TIMEOUT"] = 0.001
    seen: list[Any] = []

    @app.post("/")
    async def view():
        try:
            await request.get_data()
        except Exception as error:
            seen.append(error.code)
        request.body_timeout, request.body_min_rate = 30, None
        return await request.get_data()

    exchange = await Trickle(app, "/", seconds=0.05, pieces=[b"a", b"b"]).run()

    assert (exchange.body, seen) == (b"ab", [408])


# -- views ---------------------------------------------------------------------------------

JSON = [(b"accept", b"application/json")]


@pytest.mark.parametrize("hooks", [False, True], ids=["bare", "hooks"])
async def test_a_view_that_takes_too_long_is_cancelled_and_answered_with_a_503(hooks, caplog):
    app = Erlen("late")
    log: list[str] = []

    @app.get("/", timeout=0.02)
    async def view() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cleaned up")
        return "never"

    if hooks:
        app.after_request(lambda response: log.append("after") or response)
        app.teardown_request(lambda error: log.append(f"teardown {error}"))

    exchange = await Exchange(app, headers=JSON).run()

    exchange.check()
    assert exchange.status == 503
    assert exchange.headers[b"content-type"] == b"application/problem+json"
    assert b"longer than 0.02 seconds" in exchange.body
    assert log == ["cleaned up", *(["after", "teardown None"] if hooks else [])]
    assert exchange.task.cancelling() == 0
    assert "GET / took longer than 0.02 seconds" in caplog.text
    await app.close_worker_pool()


async def test_a_handler_may_answer_what_took_too_long():
    app = Erlen("handled")
    app.get("/", timeout=0.01)(asyncio.Event().wait)
    app.errorhandler(503)(lambda error: ("slow today", 504))

    exchange = await Exchange(app).run()

    assert (exchange.status, exchange.body) == (504, b"slow today")
    await app.close_worker_pool()


async def test_what_answers_in_time_notices_nothing():
    app = Erlen("quick")

    @app.get("/", timeout=30)
    async def view() -> str:
        await asyncio.sleep(0.01)
        return "fine"

    @app.get("/def", timeout=30)
    def def_view() -> str:
        return "fine"

    for path in ("/", "/def"):
        assert (await Exchange(app, path).run()).body == b"fine"
    await app.close_worker_pool()


async def test_a_timeout_of_the_views_own_is_an_error_like_any_other(caplog):
    app = Erlen("own")

    @app.get("/", timeout=30)
    async def view() -> str:
        raise TimeoutError("of the database")

    exchange = await Exchange(app).run()

    assert exchange.status == 500
    assert "of the database" in caplog.text


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_the_first_piece_of_a_stream_has_to_come_in_time_and_the_rest_has_not(colour):
    app = Erlen("stream")
    go = threading.Event()

    async def pieces(first: float) -> Any:
        await asyncio.sleep(first)
        yield "one"
        await asyncio.sleep(0.6)
        yield "two"

    def def_pieces(first: float) -> Any:
        go.wait(first)
        yield "one"
        go.wait(0.6)
        yield "two"

    make = pieces if colour == "async" else def_pieces
    app.get("/<float:first>", timeout=0.5)(make)

    quick, late = Exchange(app, "/0.0"), Exchange(app, "/5.0")
    quick.begin()
    late.begin()
    await quick.over()
    await late.has_sent(2)
    go.set()
    await late.over()

    assert (quick.status, quick.body) == (200, b"onetwo")
    assert late.status == 503
    late.check()
    await app.close_worker_pool()


async def test_a_def_view_that_takes_too_long_goes_on_and_its_client_is_answered():
    app = Erlen("def")
    go = threading.Event()
    log: list[str] = []

    @app.get("/", timeout=0.05)
    def view() -> str:
        g.x = "mine"
        go.wait(10)
        log.append(g.x + request.path)
        return "late"

    app.after_request(lambda response: log.append("after") or response)
    app.teardown_request(lambda error: log.append(f"teardown {error}"))
    exchange = Exchange(app)
    exchange.begin()
    await exchange.has_sent(2)
    assert (exchange.status, log) == (503, [])
    go.set()
    await exchange.over()

    assert log == ["mine/", "after", "teardown None"]
    exchange.check()
    await app.close_worker_pool()


async def test_what_a_def_view_waits_for_on_the_loop_is_cancelled():
    app = Erlen("waits")
    log: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("ended")

    @app.get("/", timeout=0.05)
    def view() -> str:
        app.ensure_sync(wait)()
        return "never"

    exchange = await Exchange(app).run()

    exchange.check()
    assert (log, exchange.status) == (["ended"], 503)
    await app.close_worker_pool()


async def test_a_client_is_answered_whatever_its_def_view_waited_for():
    app = Erlen("waits")

    @app.get("/", timeout=0.05)
    def view() -> str:
        app.ensure_sync(asyncio.Event().wait)()
        return "never"

    exchange = await Exchange(app).run()
    response = await app.test_client().get("/")
    blocking = await asyncio.to_thread(lambda: app.sync_test_client().get("/"))

    assert (exchange.error, exchange.status) == (None, 503)
    assert (response.status_code, blocking.status_code) == (503, 503)
    await app.close_worker_pool()


async def test_who_cancels_a_request_that_was_answered_too_late_is_heard():
    app = Erlen("cancelled")
    go = threading.Event()
    app.get("/", timeout=0.05)(lambda: str(go.wait(10)))

    exchange = Exchange(app)
    exchange.begin()
    await exchange.has_sent(2)
    exchange.task.cancel()
    go.set()
    await exchange.over()

    assert isinstance(exchange.error, asyncio.CancelledError)
    exchange.check()
    await app.close_worker_pool()


@pytest.mark.parametrize("client", ["in the loop", "in a thread"])
async def test_a_thread_that_blocks_too_long_is_let_go_by_every_client(client):
    app = Erlen("blocks")

    @app.get("/", timeout=0.05)
    def view() -> str:
        time.sleep(0.2)
        return "late"

    if client == "in the loop":
        response: Any = await app.test_client().get("/")
    else:
        response = await asyncio.to_thread(lambda: app.sync_test_client().get("/"))

    assert response.status_code == 503
    await app.close_worker_pool()


def app_with_an_after_hook(log: list[str]) -> Erlen:
    app = Erlen("after")
    app.after_request(lambda response: log.append(f"after {response.status_code}") or response)
    app.teardown_request(lambda error: log.append("teardown"))
    return app


async def test_after_hooks_run_once_though_the_time_ends_together_with_the_def_view():
    log: list[str] = []
    app = app_with_an_after_hook(log)
    go = threading.Event()
    contexts: list[Any] = []
    loop = asyncio.get_running_loop()

    def until_the_time_is_over() -> None:
        loop.call_later(0, until_the_thread_is_through)
        time.sleep(0.5)

    def until_the_thread_is_through() -> None:
        go.set()
        end = time.monotonic() + 10
        while contexts[0].owner is not None and time.monotonic() < end:
            time.sleep(0.001)

    @app.get("/", timeout=0.4)
    def view() -> str:
        contexts.append(current.get())
        loop.call_soon_threadsafe(until_the_time_is_over)
        go.wait(10)
        return "done"

    exchange = await Exchange(app).run()

    exchange.check()
    assert (exchange.error, log) == (None, ["after 200", "teardown"])
    await app.close_worker_pool()


async def test_after_hooks_run_once_though_a_thread_comes_when_the_time_is_over(monkeypatch):
    log: list[str] = []
    app = app_with_an_after_hook(log)
    go, busy = threading.Event(), threading.Event()

    @app.get("/busy")
    def hold() -> str:
        busy.set()
        return str(go.wait(10))

    app.get("/", timeout=0.05)(lambda: "late")
    holding, exchange = Exchange(app, "/busy"), Exchange(app)
    holding.begin()
    await asyncio.to_thread(busy.wait, 10)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_to_start)
        exchange.begin()
        await asyncio.sleep(0.1)
    go.set()
    await exchange.over()
    await holding.over()

    exchange.check()
    assert (exchange.error, exchange.status) == (None, 503)
    assert log == ["after 200", "teardown"] * 2
    await app.close_worker_pool()


def refuse_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_a_def_view_that_finds_no_thread_in_time_does_not_run():
    app = Erlen("queue")
    app.config["SYNC_WORKERS"] = 1
    go, busy = threading.Event(), threading.Event()
    log: list[str] = []

    @app.get("/busy")
    def hold() -> str:
        busy.set()
        return str(go.wait(10))

    app.get("/", timeout=0.02)(lambda: log.append("ran") or "")
    holding = Exchange(app, "/busy")
    holding.begin()
    await asyncio.to_thread(busy.wait)

    exchange = await Exchange(app).run()
    go.set()
    await holding.over()

    assert (exchange.status, log) == (503, [])
    await app.close_worker_pool()


async def test_a_thread_that_an_async_view_waits_for_is_waited_for():
    app = Erlen("hop")
    log: list[str] = []
    go = threading.Event()

    @app.get("/", timeout=0.02)
    async def view() -> str:
        await run_sync(lambda: go.wait(0.2) or log.append("thread"))()
        return "never"

    exchange = await Exchange(app).run()

    assert (exchange.status, log) == (503, ["thread"])
    await app.close_worker_pool()


@pytest.mark.parametrize("late", [False, True], ids=["it waits", "it will wait"])
async def test_what_such_a_thread_waits_for_on_the_loop_is_cancelled(late):
    app = Erlen("hop")
    log: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def tidy() -> None:
        await asyncio.sleep(0)
        log.append("tidied")

    def work() -> None:
        if late:
            time.sleep(0.1)
        try:
            app.ensure_sync(wait)()
        finally:
            app.ensure_sync(tidy)()

    @app.get("/", timeout=0.02)
    async def view() -> str:
        await run_sync(work)()
        return "never"

    began = time.monotonic()
    exchange = await Exchange(app).run()

    assert (exchange.status, log) == (503, ["cancelled", "tidied"])
    assert time.monotonic() - began < 5
    await app.close_worker_pool()


async def test_a_stream_of_events_begins_at_once_and_has_no_end_to_wait_for():
    app = Erlen("events")

    async def events() -> Any:
        await asyncio.sleep(0.3)
        yield "late"

    @app.get("/", timeout=0.1)
    async def view() -> Any:
        return EventStream(events())

    exchange = await Exchange(app).run()

    assert exchange.body == b"data: late\n\n"


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": "5"}, {"timeout": -1}])
def test_a_timeout_is_a_number_of_seconds(options):
    with pytest.raises(SetupError, match="number of seconds greater than 0"):
        Erlen("wrong").get("/", **options)(lambda: "")


def test_what_runs_inline_cannot_be_stopped_and_has_no_timeout():
    with pytest.raises(SetupError, match="Leave one of the two out"):
        Erlen("wrong").get("/", inline=True, timeout=1)(lambda: "")
