"""Requests are cheap: the calls of the framework's Python functions that each costs are counted.

A number here may fall with a better way. It rises only for something that every user gains by.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import starlette

import erlen

BUDGET = 2
"""The calls that a plain GET may cost."""

BUDGET_OF_A_MESSAGE = 3
"""The calls that receiving and sending a message of a websocket may cost."""

BUDGET_OF_A_PIECE = 9
"""The calls that a piece of an uploaded file may cost."""

BUDGET_OF_A_STREAM = 14
"""The calls that a stream may cost, however many chunks it has."""

BUDGETS = {
    "json": 5,
    "path parameter": 5,
    "query": 8,
    "header": 10,
    "cookie": 8,
    "json body": 21,
    "form": 17,
    "hooks": 3,
    "missing": 42,
    "error handler": 11,
    "session": 38,
}
"""The calls that a request of each kind may cost."""

FRAMEWORK = tuple(f"{Path(str(package.__file__)).parent}/" for package in (erlen, starlette))


def get(path: str, **changes: Any) -> dict[str, Any]:
    """The scope of a GET as uvicorn makes it, with *changes*."""
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
        **changes,
    }


async def calls_of(
    app: erlen.Erlen, path: str, body: bytes = b"", *, coming: Iterable[Any] = (), **changes: Any
) -> tuple[list[str], list[Any]]:
    """Return the framework's functions that serving *path* calls, and the messages sent."""
    calls: list[str] = []
    sent: list[Any] = []
    messages = iter(coming or [{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(FRAMEWORK):
            calls.append(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")

    scope = get(path, **changes)
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


def app_of_all_kinds() -> erlen.Erlen:
    app = erlen.Erlen(__name__)
    app.secret_key = "tea"

    @app.get("/json")
    async def json():
        return {"tea": "green"}

    @app.get("/<int:id>")
    async def parameter(id: int):
        return str(id)

    @app.get("/query")
    async def query():
        return erlen.request.args["q"]

    @app.get("/header")
    async def header():
        return erlen.request.headers["accept"]

    @app.get("/cookie")
    async def cookie():
        return erlen.request.cookies["c"]

    @app.post("/json-body")
    async def json_body():
        return await erlen.request.get_json()

    @app.post("/form")
    async def form():
        return (await erlen.request.form)["q"]

    @app.get("/error")
    async def error():
        raise LookupError

    @app.errorhandler(LookupError)
    async def handle(error: LookupError):
        return "handled"

    @app.get("/session")
    async def session():
        return str(erlen.session.get("visits"))

    return app


def app_with_hooks() -> erlen.Erlen:
    app = erlen.Erlen(__name__)

    @app.before_request
    async def before():
        return None

    @app.after_request
    async def after(response: erlen.Response):
        return response

    @app.get("/")
    async def index():
        return "hello"

    return app


def typed(kind: bytes, body: bytes) -> dict[str, Any]:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    return {"body": body, "method": "POST", "headers": [(b"host", b"localhost"), *headers]}


REQUESTS: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "json": ("/json", b'{"tea":"green"}\n', {}),
    "path parameter": ("/5", b"5", {}),
    "query": ("/query", b"1", {"query_string": b"q=1"}),
    "header": ("/header", b"*/*", {}),
    "cookie": ("/cookie", b"1", {"headers": [(b"host", b"localhost"), (b"cookie", b"c=1")]}),
    "json body": ("/json-body", b'{"q":1}\n', typed(b"application/json", b'{"q":1}')),
    "form": ("/form", b"1", typed(b"application/x-www-form-urlencoded", b"q=1")),
    "hooks": ("/", b"hello", {}),
    "error handler": ("/error", b"handled", {}),
    "session": ("/session", b"None", {}),
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_each_kind_of_request_stays_within_its_budget(kind):
    path, answer, options = REQUESTS[kind]
    app = app_with_hooks() if kind == "hooks" else app_of_all_kinds()

    await calls_of(app, path, **options)
    calls, sent = await calls_of(app, path, **options)

    assert sent[-1]["body"] == answer
    assert len(calls) <= BUDGETS[kind], "\n".join(calls)


async def test_a_path_that_is_missing_stays_within_its_budget():
    app = app_of_all_kinds()

    await calls_of(app, "/missing")
    calls, sent = await calls_of(app, "/missing")

    assert sent[0]["status"] == 404
    assert len(calls) <= BUDGETS["missing"], "\n".join(calls)


async def test_a_message_of_a_websocket_stays_within_its_budget():
    app = erlen.Erlen(__name__)

    @app.websocket("/echo")
    async def echo():
        async for message in erlen.websocket:
            await erlen.websocket.send(message)

    _, few, many = [len(await calls_of_echo(app, count)) for count in (1, 10, 110)]

    assert (many - few) / 100 <= BUDGET_OF_A_MESSAGE


async def calls_of_echo(app: erlen.Erlen, count: int) -> list[str]:
    """Return the calls that a websocket takes which is asked for *count* echoes."""
    message = {"type": "websocket.receive", "text": "hello"}
    coming = [{"type": "websocket.connect"}, *[message] * count, {"type": "websocket.disconnect"}]

    calls, sent = await calls_of(app, "/echo", coming=coming, type="websocket", scheme="ws")
    assert len(sent) == count + 1
    return calls


async def test_a_piece_of_an_upload_stays_within_its_budget():
    app = erlen.Erlen(__name__)

    @app.post("/upload")
    async def upload():
        return [len(await part.read()) async for part in erlen.request.parts()]

    _, few, many = [len(await calls_of_upload(app, count)) for count in (1, 10, 110)]

    assert (many - few) / 100 <= BUDGET_OF_A_PIECE


async def calls_of_upload(app: erlen.Erlen, count: int) -> list[str]:
    """Return the calls that an upload of *count* pieces takes."""
    head = b'--xx\r\ncontent-disposition: form-data; name="f"; filename="f"\r\n\r\n'
    bodies = [head, *[b"piece" * 20] * count, b"\r\n--xx--"]
    coming = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    coming[-1]["more_body"] = False
    options = typed(b"multipart/form-data; boundary=xx", b"".join(bodies))

    calls, sent = await calls_of(app, "/upload", **{**options, "coming": coming})
    assert sent[-1]["body"] == b"[%d]\n" % (count * 100)
    return calls


async def test_a_stream_stays_within_its_budget_however_long_it_is():
    app = erlen.Erlen(__name__)

    @app.get("/<int:count>")
    async def stream(count):
        async def chunks():
            for _ in range(count):
                yield b"chunk"

        return chunks()

    await calls_of(app, "/1")
    few, _ = await calls_of(app, "/10")
    many, sent = await calls_of(app, "/100")

    assert len(sent) == 102
    assert len(many) == len(few) <= BUDGET_OF_A_STREAM, "\n".join(few)


async def test_a_plain_get_leaves_nothing_behind():
    app = erlen.Erlen(__name__)

    @app.get("/")
    async def index():
        return "hello"

    await calls_of(app, "/")
    gc.collect()
    gc.freeze()  # what others left may be let go in the meantime
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(100):
            await calls_of(app, "/")

        assert len(gc.get_objects()) - before < 20
        assert gc.collect() == 0
    finally:
        gc.enable()
        gc.unfreeze()
