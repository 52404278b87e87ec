"""A plain GET is cheap: the calls of Python functions that it costs are counted."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import starlette

import erlen

BUDGET = 12

FRAMEWORK = tuple(f"{Path(str(package.__file__)).parent}/" for package in (erlen, starlette))


def get(path: str) -> dict[str, Any]:
    """The scope of a GET as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 5000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost:5000"), (b"accept", b"*/*")],
        "state": {},
    }


async def calls_of(app: erlen.Erlen, path: str) -> tuple[list[str], list[Any]]:
    """Return the framework's functions that serving *path* calls, and the messages sent."""
    calls: list[str] = []
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(FRAMEWORK):
            calls.append(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")

    scope = get(path)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        await app(scope, receive, send)
    finally:
        sys.setprofile(before)
    return calls, sent


async def test_a_plain_get_stays_within_its_budget_of_calls():
    app = erlen.Erlen(__name__)

    @app.get("/")
    async def index():
        return "hello"

    await calls_of(app, "/")
    calls, sent = await calls_of(app, "/")

    assert sent[-1]["body"] == b"hello"
    assert len(calls) <= BUDGET, "\n".join(calls)


async def test_the_count_does_not_grow_with_the_number_of_rules():
    app = erlen.Erlen(__name__)

    async def view(name: str = "") -> str:
        return name

    for number in range(200):
        app.add_url_rule(f"/{number}/<name>", f"view{number}", view)
    await calls_of(app, "/0/x")

    first, _ = await calls_of(app, "/0/x")
    last, _ = await calls_of(app, "/199/x")

    assert first == last


async def test_the_counter_sees_the_framework():
    app = erlen.Erlen(__name__)

    @app.get("/")
    async def index():
        return "hello"

    calls, _ = await calls_of(app, "/")

    assert "starlette.applications.Starlette.__call__" in calls
    assert any(call.startswith("erlen.") for call in calls)
