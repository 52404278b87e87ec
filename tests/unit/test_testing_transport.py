from __future__ import annotations

import asyncio

import httpx
import pytest

from erlen import Erlen, request, testing
from erlen.testing import ASGITransport, transport


def client_of(app, **options):
    return httpx.AsyncClient(
        transport=ASGITransport(app, **options), base_url="http://localhost", trust_env=False
    )


async def test_httpx_itself_can_talk_to_an_app():
    app, life = Erlen("app"), []
    app.before_serving(lambda: life.append("start"))
    app.after_serving(lambda: life.append("stop"))

    @app.post("/upload")
    async def upload():
        file = (await request.files)["file"]
        return [request.args["q"], file.filename, (await file.read()).decode()]

    async with client_of(app) as client:
        response = await client.post(
            "/upload", params={"q": "1"}, files={"file": ("a.txt", b"content")}
        )
        assert response.json() == ["1", "a.txt", "content"]

    assert life == ["start", "stop"]


async def test_httpx_can_leave_the_lifespan_out():
    app, life = Erlen("app"), []
    app.before_serving(lambda: life.append("start"))

    async with client_of(app, lifespan=False) as client:
        assert (await client.get("/")).status_code == 404

    assert life == []


async def sent_by(app, method="GET"):
    """Return what a client gets of a bare ASGI app."""
    async with httpx.AsyncClient(transport=ASGITransport(app, lifespan=False)) as client:
        return await client.request(method, "http://localhost/")


START = {"type": "http.response.start", "status": 200, "headers": [(b"X-A", b"1")]}
BODY = {"type": "http.response.body", "body": b"x"}

PROTOCOL_ERRORS = {
    "nothing": ([], "without sending a response"),
    "a body first": ([BODY], "'http.response.body', which cannot be when its response begins"),
    "two starts": ([START, START], "'http.response.start', .* when its response has begun"),
    "a body too many": ([START, BODY, BODY], "'http.response.body', .* response is complete"),
    "no end": ([START], "before its response was complete"),
    "something else": ([{"type": "http.response.push"}], "'http.response.push'"),
    "a status of four digits": ([{**START, "status": 1000}], "sent the status 1000"),
    "a status of two digits": ([{**START, "status": 99}], "a number from 100 to 599"),
}


@pytest.mark.parametrize(("messages", "error"), PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS)
async def test_an_app_that_breaks_the_protocol_is_told(messages, error):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    with pytest.raises(RuntimeError, match=error):
        await sent_by(app)


async def test_names_of_headers_arrive_in_lower_case_and_bodies_as_bytes():
    async def app(scope, receive, send):
        await send(START)
        await send({**BODY, "body": bytearray(b"x"), "more_body": True})
        await send({"type": "http.response.body"})

    response = await sent_by(app)

    assert response.headers.raw == [(b"x-a", b"1")]
    assert response.content == b"x"


async def test_head_has_no_body_whatever_the_app_sends():
    async def app(scope, receive, send):
        await send(START)
        await send(BODY)

    assert (await sent_by(app, "HEAD")).content == b""


async def test_the_app_hears_of_the_end_when_its_response_is_complete():
    heard = []

    async def app(scope, receive, send):
        heard.append(await receive())
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        heard.append(waiting.done())
        await send(START)
        await send(BODY)
        heard.append(await waiting)

    await sent_by(app)

    assert heard == [
        {"type": "http.request", "body": b"", "more_body": False},
        False,
        {"type": "http.disconnect"},
    ]


async def test_an_app_that_does_not_notice_a_leaving_client_is_cancelled(monkeypatch):
    monkeypatch.setattr(transport, "GRACE", 0.02)
    ended = []

    async def app(scope, receive, send):
        try:
            await send(START)
            while True:
                await send({**BODY, "more_body": True})
        finally:
            ended.append(await receive())

    async with (
        httpx.AsyncClient(transport=ASGITransport(app, lifespan=False)) as client,
        client.stream("GET", "http://localhost/") as response,
    ):
        assert await anext(response.aiter_raw()) == b"x"

    assert ended == [{"type": "http.disconnect"}]


async def test_an_app_that_works_on_after_its_response_is_waited_for():
    done = []

    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        await asyncio.sleep(0.02)
        done.append(True)

    await sent_by(app)

    assert done == [True]


@pytest.mark.parametrize("moment", ["before the head", "in the body", "after the body"])
async def test_a_client_that_gives_up_takes_the_app_with_it(moment, monkeypatch):
    monkeypatch.setattr(transport, "GRACE", 0.02)
    ended = []

    async def app(scope, receive, send):
        try:
            if moment != "before the head":
                await send(START)
            if moment == "after the body":
                await send(BODY)
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sent_by(app), 0.05)

    assert ended == [True]


async def test_what_an_app_raises_is_raised_once():
    async def app(scope, receive, send):
        await send(START)
        raise OSError("the disk is gone")

    client = httpx.AsyncClient(transport=ASGITransport(app, lifespan=False))
    response = await client.send(client.build_request("GET", "http://localhost/"), stream=True)

    with pytest.raises(OSError, match="the disk is gone"):
        await response.aread()
    await response.aclose()
    await response.stream.aclose()
    await client.aclose()


def test_the_scope_is_that_of_a_server():
    scope = testing.build_scope(Erlen("app"), "/a%20b?c=1", method="post", data="x")
    receive = scope.pop("erlen.receive")

    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=1",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"user-agent", b"erlen-test-client"),
            (b"content-length", b"1"),
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 80),
        "state": {},
        "extensions": {},
    }
    assert asyncio.run(receive()) == {"type": "http.request", "body": b"x", "more_body": False}
