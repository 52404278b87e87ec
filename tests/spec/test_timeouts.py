"""Time has an end: for bodies that trickle, and for views that take too long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from erlen import Erlen, request, sync
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
