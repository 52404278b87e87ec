"""Hooks alone around a view are served by a shorter way; it does what the long way does."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from erlen import Erlen, Response, abort, after_this_request, session
from erlen.signals import request_started


def app_that_notes(steps: list[str]) -> Erlen:
    app = Erlen("hooked", static_folder=None)
    app.secret_key = "tea"

    @app.before_request
    async def before():
        steps.append("before")

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
        return response

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
        if kind == "stream":
            return (piece for piece in (b"a", b"b"))
        return kind

    return app


async def outcome_of(kind: str, *, heard: bool) -> tuple[object, ...]:
    steps: list[str] = []
    app = app_that_notes(steps)
    listening = request_started.connected_to(lambda *_, **__: None) if heard else nullcontext()
    with listening:
        response = await app.test_client().get(f"/{kind}")
    cookie = response.headers.get("set-cookie", "").partition("=")[0]
    return response.status_code, response.data, response.headers.get("x-last"), cookie, steps


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("plain", 200),
        ("abort", 403),
        ("error", 418),
        ("own", 200),
        ("empty", 204),
        ("stream", 200),
        ("replace", 200),
        ("fail", 500),
        ("session", 200),
    ],
)
async def test_the_short_way_with_hooks_does_what_the_long_way_does(kind, status):
    short = await outcome_of(kind, heard=False)
    long = await outcome_of(kind, heard=True)

    assert short == long
    assert short[0] == status
    assert short[4][:2] == ["before", kind]
    assert ("closed" in short[4]) == (kind in ("replace", "fail"))
    assert short[3] == ("session" if kind == "session" else "")
