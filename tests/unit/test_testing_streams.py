from __future__ import annotations

import asyncio

import pytest

from erlen import ContextError, abort, request
from tests.echoing import make_app


def streaming_app():
    app = make_app()
    app.extensions["closed"] = 0

    @app.get("/events")
    async def events():
        n = 0
        try:
            while True:
                yield f"data: {n}\n\n"
                n += 1
                await asyncio.sleep(0)
        finally:
            app.extensions["closed"] += 1

    @app.get("/flood")
    async def flood():
        while True:
            app.extensions["sent"] = app.extensions.get("sent", 0) + 1000
            yield b"x" * 1000

    @app.get("/def-events")
    def def_events():
        def generate():
            n = 0
            try:
                while True:
                    yield f"{n}\n"
                    n += 1
            finally:
                app.extensions["closed"] += 1

        return generate()

    @app.get("/short")
    async def short():
        for word in ("one\n", "zwö\n"):
            yield word
            await asyncio.sleep(0)

    @app.get("/broken")
    async def broken():
        yield "begun"
        await asyncio.sleep(0)
        raise OSError("the disk is gone")

    return app


async def test_an_endless_response_is_read_while_it_arrives():
    app = streaming_app()
    lines = []

    async with app.test_client().stream("GET", "/events") as response:
        assert (response.status_code, response.is_streamed) == (200, True)
        async for line in response.aiter_lines():
            lines.append(line)
            if len(lines) == 4:
                break

    assert lines == ["data: 0", "", "data: 1", ""]
    assert app.extensions["closed"] == 1


@pytest.mark.parametrize("path", ["/events", "/def-events"])
def test_an_endless_response_is_read_while_it_arrives_in_def_code(path):
    app = streaming_app()

    with app.test_client() as client:
        with client.stream("GET", path) as response:
            lines = response.iter_lines()
            first = [next(lines), next(lines)]

        assert first[0].endswith("0")
        assert app.extensions["closed"] == 1


async def test_an_app_does_not_run_far_ahead_of_its_reader():
    app = streaming_app()

    async with app.test_client().stream("GET", "/flood") as response:
        first = await anext(response.aiter_raw())
        await asyncio.sleep(0.02)

        assert first == b"x" * 1000
        assert app.extensions["sent"] < 100_000


READERS = {
    "lines": ("aiter_lines", ["one", "zwö"]),
    "text": ("aiter_text", ["one\n", "zwö\n"]),
    "bytes": ("aiter_bytes", [b"one\n", "zwö\n".encode()]),
    "raw": ("aiter_raw", [b"one\n", "zwö\n".encode()]),
    "itself": ("__aiter__", [b"one\n", "zwö\n".encode()]),
}


@pytest.mark.parametrize(("reader", "pieces"), READERS.values(), ids=READERS)
async def test_a_stream_can_be_read_in_many_ways(reader, pieces):
    async with streaming_app().test_client().stream("GET", "/short") as response:
        assert [piece async for piece in getattr(response, reader)()] == pieces


SYNC_READERS = {
    "lines": ("iter_lines", ["one", "zwö"]),
    "text": ("iter_text", ["one\n", "zwö\n"]),
    "bytes": ("iter_bytes", [b"one\n", "zwö\n".encode()]),
    "raw": ("iter_raw", [b"one\n", "zwö\n".encode()]),
    "itself": ("__iter__", [b"one\n", "zwö\n".encode()]),
}


@pytest.mark.parametrize(("reader", "pieces"), SYNC_READERS.values(), ids=SYNC_READERS)
def test_a_stream_can_be_read_in_many_ways_in_def_code(reader, pieces):
    client = streaming_app().sync_test_client()

    with client.stream("GET", "/short") as response:
        assert list(getattr(response, reader)()) == pieces


async def test_the_rest_of_a_stream_can_be_read_at_once():
    async with streaming_app().test_client().stream("GET", "/short") as response:
        with pytest.raises(RuntimeError, match="is a stream"):
            response.data  # noqa: B018
        assert await response.aread() == "one\nzwö\n".encode()
        assert await response.aread() == response.data
        assert response.text == "one\nzwö\n"


def test_the_rest_of_a_stream_can_be_read_at_once_in_def_code():
    with streaming_app().sync_test_client().stream("GET", "/short") as response:
        assert response.read() == response.data == "one\nzwö\n".encode()


async def test_a_stream_of_an_async_test_is_not_for_def_code():
    async with streaming_app().test_client().stream("GET", "/short") as response:
        with pytest.raises(ContextError, match="async for line in"):
            response.read()


async def test_a_stream_that_breaks_raises_what_broke_it():
    client = streaming_app().test_client()

    with pytest.raises(OSError, match="the disk is gone"):
        await client.get("/broken")
    with pytest.raises(OSError, match="the disk is gone"):
        async with client.stream("GET", "/broken") as response:
            await response.aread()
    with pytest.raises(OSError, match="the disk is gone"):
        async with client.stream("GET", "/broken") as response:
            await asyncio.sleep(0.01)


async def test_what_fails_in_the_block_of_a_stream_is_what_the_test_shows():
    async def fail_in_a_block():
        async with streaming_app().test_client().stream("GET", "/broken") as response:
            await anext(response.aiter_raw())
            await asyncio.sleep(0.01)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail_in_a_block()


async def test_an_error_before_a_stream_keeps_its_context_and_tears_it_down():
    app, torn = streaming_app(), []
    app.teardown_request(torn.append)
    app.add_url_rule("/fail", view_func=lambda: 1 / 0)

    async with app.test_client() as client:
        with pytest.raises(ZeroDivisionError):
            async with client.stream("GET", "/fail"):
                pass
        assert request.path == "/fail"

    assert len(torn) == 1


async def test_a_stream_is_refused_like_any_request():
    app = streaming_app()
    app.add_url_rule("/no", view_func=lambda: abort(403))

    async with app.test_client().stream("GET", "/no") as response:
        assert response.status_code == 403
        assert b"Forbidden" in await response.aread()
