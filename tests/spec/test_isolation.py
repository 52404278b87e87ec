"""Thousands of requests at once see only what is theirs, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import weakref
from collections import Counter
from contextvars import ContextVar
from typing import Any

import pytest

from erlen import (
    Blueprint,
    Erlen,
    EventStream,
    after_this_request,
    copy_current_request_context,
    g,
    inflight,
    request,
    run_sync,
    session,
    sync,
    websocket,
)
from erlen.context import Context
from erlen.proxies import current
from erlen.requests import Request
from erlen.responses import Response
from tests.exchanges import Conversation, Exchange

REQUESTS = int(os.environ.get("ERLEN_TEST_REQUESTS", "3000"))
"""How many requests are served in all: ``ERLEN_TEST_REQUESTS=100000`` takes some minutes."""
AT_ONCE = 200

mine: ContextVar[str] = ContextVar("mine", default="nobody's")


class Planted(Exception):
    """An error that a hook raises on purpose."""


def check(where: str) -> None:
    """Fail if anything here belongs to another request; then fail on purpose, if told."""
    name = request.args["name"]
    seen = {g.name, session["name"], mine.get(), request.headers["x-name"], name}
    if seen != {name}:
        g.log.append(f"{where}: {seen}")
    if request.args["fails"] == where:
        raise Planted(where)


def make_app(log: list[str], torn: Counter[str]) -> Erlen:
    """Return an app with steps of both colours everywhere, each of which checks."""
    app = Erlen("isolation")
    app.secret_key = "k" * 32
    app.logger.disabled = True

    @app.before_request
    async def first() -> None:
        name = request.args["name"]
        g.log, g.name, session["name"] = log, name, name
        mine.set(name)
        await asyncio.sleep(random.random() / 500)
        check("first")

    def before() -> None:
        check("before")

    if torn["def hooks"]:
        app.before_request(before)

    @app.after_request
    async def after(response: Response) -> Response:
        await asyncio.sleep(0)
        check("after")
        return response

    @app.teardown_request
    async def async_teardown(error: Any) -> None:
        torn["async"] += 1

    @app.teardown_appcontext
    def teardown(error: Any) -> None:
        torn["def"] += 1
        check("teardown") if "name" in g else None

    @app.errorhandler(Planted)
    async def planted(error: Planted) -> Any:
        await asyncio.sleep(0)
        check("handler")
        return str(error), 418

    @app.get("/async")
    async def view() -> str:
        check("view")
        await asyncio.sleep(random.random() / 500)
        check("view again")

        @after_this_request
        async def later(response: Response) -> Response:
            check("after this request")
            return response

        await run_sync(check)("thread")
        task = asyncio.create_task(copy())
        await task
        return request.args["name"]

    async def copy() -> None:
        await asyncio.sleep(0)
        check("task")

    @app.get("/def")
    def def_view() -> str:
        check("view")
        app.ensure_sync(copy)()
        return sync.request.args["name"]

    @app.get("/stream")
    async def stream() -> Any:
        for _ in range(3):
            check("stream")
            await asyncio.sleep(random.random() / 1000)
            yield request.args["name"]

    @app.get("/def-stream")
    def def_stream() -> Any:
        for _ in range(3):
            check("stream")
            yield request.args["name"]

    @app.post("/body")
    async def body() -> Any:
        data = await request.get_json()
        check("view")
        return data

    return app


PATHS = ["/async", "/async", "/def", "/stream", "/def-stream", "/body", "/missing"]
STEPS = [
    *("first", "before", "view", "view again", "after this request", "thread", "task"),
    *("stream", "after", "teardown", "handler"),
]


def left(earlier: list[Any]) -> list[Any]:
    """Return what must not outlive a request and is there, but for what was there *earlier*.

    That may go away meanwhile: a thread of another test may have ended late.
    """
    gc.collect()
    kinds = (Context, Request, Response)
    known = set(map(id, earlier))
    return [
        thing for thing in gc.get_objects() if isinstance(thing, kinds) and id(thing) not in known
    ]


@pytest.mark.parametrize("def_hooks", [False, True])
async def test_requests_that_run_together_share_nothing_and_leave_nothing(def_hooks, monkeypatch):
    monkeypatch.setattr(inflight, "_PERIOD", 0.001)  # so that clients who leave are noticed
    log: list[str] = []
    torn: Counter[str] = Counter({"def hooks": int(def_hooks)})
    rng = random.Random(4711)
    app = make_app(log, torn)
    app.config["CANCEL_ON_DISCONNECT"] = True
    before = left([])
    numbers = iter(range(REQUESTS // 2))
    outcomes: Counter[Any] = Counter()

    async def client() -> None:
        for number in numbers:
            name = f"n{number}-{rng.random()}"
            path = rng.choice(PATHS)
            fails = rng.choice(STEPS) if rng.random() < 0.1 else ""
            exchange = Exchange(
                app,
                path,
                method="POST" if path == "/body" else "GET",
                query_string=f"name={name}&fails={fails}".encode(),
                headers=[(b"x-name", name.encode()), (b"content-type", b"application/json")],
                body=[b'"', name.encode(), b'"'],
                cancel_at=rng.randrange(12) if rng.random() < 0.1 else None,
                leaves_after=rng.randrange(1, 4) if rng.random() < 0.1 else None,
            )
            await exchange.run()
            exchange.check()
            if exchange.status == 200 and exchange.error is None:
                assert set(exchange.body.decode().strip('"\n').split(name)) == {""}
            outcomes[exchange.status] += 1

    async with asyncio.timeout(20 + REQUESTS / 50):
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        await app.close_worker_pool()

    assert log == []
    assert torn["async"] == torn["def"] == REQUESTS // 2
    assert outcomes[200] > REQUESTS / 4
    assert outcomes[418] > 10
    assert outcomes[None] > 10
    assert current.get() is None
    assert mine.get() == "nobody's"
    assert left(before) == []


@pytest.mark.parametrize(
    "kind", ["async", "def", "error", "def error", "stream", "def stream", "form", "websocket"]
)
def test_an_app_that_has_served_is_freed_at_once(kind, caplog):
    caplog.set_level("CRITICAL")

    async def serve() -> weakref.ref[Erlen]:
        app = Erlen("freed")
        app.secret_key = "k" * 32
        gone = weakref.ref(app)

        @app.before_request
        async def before() -> None:
            session["x"] = 1

        @app.get("/async")
        async def view() -> str:
            return "x"

        @app.get("/def")
        def def_view() -> str:
            return "x"

        @app.get("/error")
        async def error() -> str:
            raise LookupError("x")

        @app.get("/def error")
        def def_error() -> str:
            raise LookupError("x")

        @app.post("/form")
        async def form() -> dict[str, str]:
            return (await request.form).to_dict()

        @app.get("/stream")
        async def stream() -> Any:
            yield "x"

        @app.get("/def stream")
        def def_stream() -> Any:
            yield "x"

        @app.websocket("/websocket")
        async def socket() -> None:
            await asyncio.sleep(0)

        if kind == "websocket":
            await Conversation(app, "/websocket").run()
        else:
            method = "POST" if kind == "form" else "GET"
            headers = [(b"content-type", b"application/x-www-form-urlencoded")]
            await Exchange(app, f"/{kind}", method=method, headers=headers).run()
        await app.close_worker_pool()
        return gone

    gc.collect()
    gc.disable()
    try:
        gone = asyncio.run(serve())
        assert gone() is None
    finally:
        gc.enable()


async def test_what_copies_a_request_outlives_it_and_goes_with_the_copy():
    app = Erlen("copies")
    kept: list[Any] = []
    log: list[str] = []

    @app.get("/")
    async def view() -> str:
        @copy_current_request_context
        async def later() -> None:
            await asyncio.sleep(0.01)
            log.append(request.path)

        kept.append(asyncio.create_task(later()))
        return "x"

    before = left([])
    await Exchange(app).run()
    await kept.pop()

    assert log == ["/"]
    assert left(before) == []


async def test_what_runs_on_keeps_no_request():
    app = Erlen("later")
    seen: list[weakref.ref[Any]] = []
    go = asyncio.Event()

    @app.post("/async")
    async def view() -> str:
        await request.get_data()
        app.add_background_task(go.wait)
        seen.append(weakref.ref(current.get()))
        return "x"

    @app.post("/def")
    def def_view() -> str:
        seen.append(weakref.ref(current.get()))
        return str(len(sync.request.get_data()))

    for path in ("/async", "/def"):
        length = [(b"content-length", b"2")]
        await Exchange(app, path, method="POST", headers=length, body=[b"a", b"b"]).run()
    await asyncio.sleep(0.01)
    gc.collect()

    assert [context() for context in seen] == [None, None]
    go.set()
    await app.close_worker_pool()


@pytest.mark.parametrize("touched", ["nothing", "session", "json"])
async def test_an_error_that_was_answered_is_freed_at_once(touched):
    app = Erlen("answered")
    app.secret_key = "tea"
    app.logger.disabled = True
    seen: list[weakref.ref[Any]] = []

    class Local: ...

    @app.get("/")
    async def view() -> Any:
        local = Local()
        seen.append(weakref.ref(local))
        if touched == "session":
            session["seen"] = True
        if touched == "json":
            return {"local": local}
        raise LookupError(local)

    gc.collect()
    gc.disable()
    try:
        exchange = await Exchange(app).run()
        assert exchange.sent[0]["status"] == 500
        assert seen[0]() is None
    finally:
        gc.enable()


FORM = [b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n", b"1", b"2\r\n--x--\r\n"]


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("/parts", {"method": "POST", "body": FORM}),
        ("/first part", {"method": "POST", "body": FORM}),
        ("/events", {}),
        ("/def events", {}),
        ("/failing events", {}),
        ("/events", {"leaves_after": 1}),
        ("/failing stream", {}),
        ("/failing def stream", {}),
        ("/body", {"method": "POST", "body": FORM, "leaves_after": 1}),
        ("/def body", {"method": "POST", "body": FORM, "leaves_after": 1}),
        ("/arriving", {"method": "POST", "body": FORM}),
        ("/arriving", {"method": "POST", "body": FORM, "leaves_after": 1}),
        ("/plain", {"breaks_at": 0}),
        ("/def", {"breaks_at": 0}),
        ("/stream", {"breaks_at": 2}),
        ("/def stream", {"breaks_at": 2}),
        ("/waits", {"cancel_at": 0}),
        ("/failing after", {}),
        ("/failing after def", {}),
        ("/failing wsgi stream", {}),
        ("/missing", {"breaks_at": 0}),
    ],
)
@pytest.mark.parametrize("torn_down", [False, True])
async def test_a_request_is_freed_at_once_whatever_came_of_it(path, how, torn_down):
    app = Erlen("freed")
    app.logger.disabled = True
    seen: list[weakref.ref[Any]] = []
    views = Blueprint("views", __name__)
    failing = Blueprint("failing", __name__)

    class Local: ...

    def note() -> Any:
        local = Local()
        seen.extend((weakref.ref(local), weakref.ref(current.get())))
        return local

    @views.post("/arriving", stream_body=True)
    def arriving() -> str:
        file: Any = sync.request.stream
        seen.append(weakref.ref(file))
        while file.read1(1):
            pass
        return "x"

    @views.post("/parts")
    async def parts() -> str:
        async for part in request.parts():
            seen.append(weakref.ref(part))
            await part.read()
        return "x"

    @views.post("/first part")
    async def first_part() -> str:
        async for part in request.parts():
            seen.append(weakref.ref(part))
            break
        return "x"

    @views.get("/events")
    async def events() -> EventStream:
        async def items() -> Any:
            local = note()
            yield "x"
            await asyncio.sleep(0)
            del local

        return EventStream(items())

    @views.get("/def events")
    def def_events() -> EventStream:
        def items() -> Any:
            local = note()
            yield "x"
            del local

        return EventStream(items())

    @views.get("/failing events")
    async def failing_events() -> EventStream:
        async def items() -> Any:
            local = note()
            yield "x"
            raise Planted(local)

        return EventStream(items())

    @views.get("/failing stream")
    async def failing_stream() -> Any:
        local = note()
        yield "x"
        raise Planted(local)

    @views.get("/failing def stream")
    def failing_def_stream() -> Any:
        local = note()
        yield "x"
        raise Planted(local)

    @views.post("/body")
    async def body() -> bytes:
        local = note()
        await request.get_data()
        return repr(local).encode()

    @views.post("/def body")
    def def_body() -> bytes:
        local = note()
        return sync.request.get_data() + repr(local).encode()

    @views.get("/plain")
    async def plain() -> str:
        return repr(note())

    @views.get("/def")
    def def_view() -> str:
        return repr(note())

    @views.get("/stream")
    async def stream() -> Any:
        local = note()
        for _ in range(5):
            yield repr(local)

    @views.get("/def stream")
    def def_stream() -> Any:
        local = note()
        for _ in range(5):
            yield repr(local)

    @views.get("/waits")
    async def waits() -> str:
        local = note()
        await asyncio.Event().wait()
        return repr(local)

    @failing.after_request
    async def after(response: Response) -> Response:
        raise Planted

    @failing.get("/failing after")
    async def failing_after() -> str:
        return repr(note())

    @failing.get("/failing after def")
    def failing_after_def() -> str:
        return repr(note())

    @app.errorhandler(404)
    async def missing(error: Exception) -> tuple[str, int]:
        return repr(note()), 404

    def wsgi(environ: Any, start_response: Any) -> Any:
        local = note()
        start_response("200 OK", [])
        yield b"x"
        raise Planted(local)

    if torn_down:

        @app.teardown_request
        async def teardown(error: BaseException | None) -> None:
            g.torn_down = error is None

    app.register_blueprint(views)
    app.register_blueprint(failing)
    app.mount_wsgi("/failing wsgi stream", wsgi)
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    gc.collect()
    gc.disable()
    try:
        exchange = Exchange(app, path, headers=headers, **how)
        await exchange.run()
        exchange.error = exchange.task = None
        # Threads and watchers end a moment after the response.
        for _ in range(100):
            if all(reference() is None for reference in seen):
                break
            await asyncio.sleep(0.001)
        assert seen
        assert [reference() for reference in seen] == [None] * len(seen)
    finally:
        gc.enable()
        await app.close_worker_pool()


@pytest.mark.parametrize("how", [{"breaks_at": 2}, {"cancel_at": 4}])
async def test_a_websocket_is_freed_at_once_whatever_came_of_it(how):
    app = Erlen("freed")
    seen: list[weakref.ref[Any]] = []

    @app.websocket("/")
    async def echo() -> None:
        seen.append(weakref.ref(current.get()))
        async for message in websocket:
            await websocket.send(message)

    gc.collect()
    gc.freeze()  # what others left may be let go in the meantime
    gc.disable()
    try:
        conversation = Conversation(app, texts=["a", "b", "c"], **how)
        await conversation.run()
        conversation.error = conversation.task = None
        await asyncio.sleep(0)
        assert [reference() for reference in seen] == [None]
        assert gc.collect() == 0
    finally:
        gc.enable()
        gc.unfreeze()


@pytest.mark.parametrize(("path", "usual"), [("/plain", []), ("/preset", ["page"])])
async def test_what_a_view_writes_into_its_arguments_is_gone_with_its_request(path, usual):
    app = Erlen("arguments")

    @app.get("/plain")
    @app.get("/preset", endpoint="preset", defaults={"page": 1})
    async def index(**arguments: int) -> list[str]:
        request.scope["path_params"]["mine"] = 1
        return sorted(arguments)

    async with app.test_client() as client:
        answers = [(await client.get(path)).json for _ in range(3)]

    assert answers == [usual] * 3
