"""Hooks alone around a view are served by a shorter way; it does what the long way does."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from erlen import Erlen, Response, abort, after_this_request, request, session
from erlen.signals import request_started


class Loud(Response):
    """A response that has ideas of its own how it is sent."""

    async def __call__(self, scope, receive, send):
        async def send_loudly(message):
            if "body" in message:
                message = {**message, "body": message["body"].upper()}
            await send(message)

        await super().__call__(scope, receive, send_loudly)


def app_that_notes(steps: list[str]) -> Erlen:
    app = Erlen("hooked", static_folder=None)
    app.secret_key = "tea"

    @app.before_request
    async def before():
        steps.append("before")
        if request.path == "/early":
            return "early"
        if request.path == "/refused":
            abort(409)
        if request.path == "/known":
            session["early"] = 1
        return None

    @app.after_request
    async def last(response: Response):
        steps.append(f"last {response.status_code}")
        response.headers["x-last"] = "1"
        return response

    @app.after_request
    async def first(response: Response):
        steps.append("first")
        text = "" if response.is_streamed else response.text
        if text == "replace":
            response.call_on_close(lambda: steps.append("closed"))
            return "replaced"
        if text == "fail":
            response.call_on_close(lambda: steps.append("closed"))
            raise LookupError("in a hook")
        if text == "session":
            session["late"] = 1
        if text == "close":
            response.call_on_close(lambda: steps.append("closed"))
        if text == "later":
            response.background = later
        if text == "bodiless":
            response.status_code = 204
        if text == "teapot":
            response.status_code = 418
        if text == "pieces":
            response.response = iter(["two ", "pieces"])
        if text == "written":
            response.data = "written anew"
        if text == "bare":
            response.raw_headers = [(b"content-length", b"4")]
        if text == "loud":
            return Loud("loud")
        return response

    async def later():
        steps.append("later")

    @app.errorhandler(ValueError)
    async def handle(error: ValueError):
        return "handled", 418

    @app.get("/<kind>")
    async def view(kind: str):
        steps.append(kind)
        if kind == "abort":
            abort(403)
        if kind == "error":
            raise ValueError
        if kind == "own":
            after_this_request(lambda response: steps.append("own") or response)
        if kind == "empty":
            return "", 204
        if kind == "json":
            return {"tea": "green"}
        if kind == "stream":
            return (piece for piece in (b"a", b"b"))
        return kind

    return app


async def outcome_of(kind: str, *, heard: bool, method: str = "GET") -> tuple[object, ...]:
    steps: list[str] = []
    app = app_that_notes(steps)
    listening = request_started.connected_to(lambda *_, **__: None) if heard else nullcontext()
    with listening:
        response = await app.test_client().open(f"/{kind}", method=method)
    cookie = response.headers.get("set-cookie", "").partition("=")[0]
    return response.status_code, response.data, response.headers.get("x-last"), cookie, steps


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("plain", 200, b"plain"),
        ("json", 200, b'{"tea":"green"}\n'),
        ("early", 200, b"early"),
        ("refused", 409, None),
        ("known", 200, b"known"),
        ("abort", 403, None),
        ("error", 418, b"handled"),
        ("own", 200, b"own"),
        ("empty", 204, b""),
        ("stream", 200, b"ab"),
        ("replace", 200, b"replaced"),
        ("fail", 500, None),
        ("session", 200, b"session"),
        ("close", 200, b"close"),
        ("later", 200, b"later"),
        ("bodiless", 204, b""),
        ("teapot", 418, b"teapot"),
        ("pieces", 200, b"two pieces"),
        ("written", 200, b"written anew"),
        ("bare", 200, b"bare"),
        ("loud", 200, b"LOUD"),
    ],
)
async def test_the_short_way_with_hooks_does_what_the_long_way_does(kind, status, body):
    short = await outcome_of(kind, heard=False)
    long = await outcome_of(kind, heard=True)

    assert short == long
    assert short[0] == status
    assert body is None or short[1] == body
    assert short[4][:2] == ["before", "first" if kind in ("early", "refused") else kind]
    assert ("closed" in short[4]) == (kind in ("replace", "fail", "close"))
    assert ("later" in short[4][2:]) == (kind == "later")
    assert short[3] == ("session" if kind in ("session", "known") else "")


@pytest.mark.parametrize("kind", ["plain", "json", "session", "close", "written"])
async def test_hooks_see_a_head_as_they_see_a_get_and_no_body_is_sent(kind):
    status, body, last, cookie, steps = await outcome_of(kind, heard=False)
    head = await outcome_of(kind, heard=False, method="HEAD")

    assert body
    assert head == (status, b"", last, cookie, steps)
