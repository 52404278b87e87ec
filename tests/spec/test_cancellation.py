"""A view whose client has left is cancelled, where that harms nobody, and only there."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from erlen import Erlen, after_this_request, g, inflight, request, run_sync, session
from erlen.responses import Response
from tests.exchanges import Exchange
from tests.waiting import until

SEVERAL_LOOKS = 0.1


@pytest.fixture(autouse=True)
def _looks_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflight, "_PERIOD", 0.01)


class Leaver(Exchange):
    """A client that leaves as soon as *gone* is set, once its request was taken."""

    def __init__(self, app: Any, path: str = "/", **options: Any) -> None:
        super().__init__(app, path, **options)
        self.script.append({"type": "http.disconnect"})
        self.hold = self.gone = asyncio.Event()


def waiting_app(log: list[str], **options: Any) -> Erlen:
    """Return an app whose view waits for ever and notes in *log* how it ends."""
    app = Erlen("waiting")

    async def view() -> str:
        log.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            log.append("ended")
        return "never"

    app.route("/", methods=["GET", "POST"], **options)(view)
    return app


async def serve_and_leave(app: Erlen, log: list[str], **options: Any) -> Leaver:
    exchange = Leaver(app, **options)
    exchange.begin()
    await until(lambda: "begun" in log)
    exchange.gone.set()
    await exchange.over()
    exchange.check()
    return exchange


@pytest.mark.parametrize("hooks", [False, True], ids=["bare", "hooks"])
async def test_a_view_is_cancelled_when_its_client_has_left(hooks, caplog):
    log: list[str] = []
    app = waiting_app(log)
    if hooks:
        app.before_request(lambda: None)
        app.after_request(lambda response: log.append("after") or response)
        app.teardown_request(lambda error: log.append(type(error).__name__))

    exchange = await serve_and_leave(app, log)

    assert (exchange.sent, exchange.error, caplog.text) == ([], None, "")
    assert log == ["begun", "ended", *(["CancelledError"] if hooks else [])]
    assert exchange.task.cancelling() == 0
    assert exchange.received == 2
    await app.close_worker_pool()


@pytest.mark.parametrize(
    ("method", "config", "option", "cancels"),
    [
        ("GET", None, None, True),
        ("HEAD", None, None, True),
        ("POST", None, None, False),
        ("POST", None, True, True),
        ("GET", None, False, False),
        ("POST", ("GET", "POST"), None, True),
        ("POST", True, None, True),
        ("GET", False, None, False),
        ("GET", (), None, False),
        ("GET", True, False, False),
    ],
)
async def test_methods_and_routes_say_which_views_are_cancelled(method, config, option, cancels):
    app = Erlen("choice")
    if config is not None:
        app.config["CANCEL_ON_DISCONNECT"] = config
    log: list[str] = []
    go = asyncio.Event()
    options = {} if option is None else {"cancel_on_disconnect": option}

    @app.route("/", methods=["GET", "POST"], **options)
    async def view() -> str:
        try:
            await go.wait()
            log.append("finished")
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        return ""

    exchange = Leaver(app, method=method)
    exchange.gone.set()
    exchange.begin()
    if not cancels:
        await asyncio.sleep(SEVERAL_LOOKS)
        go.set()
    await exchange.over()

    assert log == ["cancelled" if cancels else "finished"]
    exchange.check()


async def test_a_view_with_a_body_is_watched_when_it_has_read_it():
    app = Erlen("body")
    log: list[str] = []

    @app.post("/", cancel_on_disconnect=True)
    async def view() -> str:
        await asyncio.sleep(SEVERAL_LOOKS)
        log.append((await request.get_data()).decode())
        try:
            await asyncio.Event().wait()
        finally:
            log.append("ended")
        return ""

    length = [(b"content-length", b"4")]
    exchange = Leaver(app, method="POST", headers=length, body=[b"ab", b"cd"])
    exchange.gone.set()

    await exchange.run()

    assert log == ["abcd", "ended"]
    exchange.check()


async def test_a_body_that_nobody_announced_is_not_lost():
    app = Erlen("body")
    log: list[str] = []

    @app.post("/", cancel_on_disconnect=True)
    async def view() -> bytes:
        await asyncio.sleep(SEVERAL_LOOKS)
        return await request.get_data()

    exchange = await Exchange(app, method="POST", body=[b"ab", b"cd"]).run()

    assert (exchange.body, log) == (b"abcd", [])
    exchange.check()


async def test_the_watch_ends_before_the_response_begins():
    app = Erlen("slow")
    waiting: list[int] = []

    class Counting(Exchange):
        inside = 0

        async def receive(self) -> Any:
            self.inside += 1
            try:
                return await super().receive()
            finally:
                self.inside -= 1

        async def send(self, message: Any) -> None:
            await asyncio.sleep(0)
            waiting.append(self.inside)
            await super().send(message)

    seen: list[int] = []

    @app.get("/")
    async def view() -> str:
        await until(lambda: exchange.inside)
        seen.append(exchange.inside)
        return "slow"

    exchange = Counting(app)
    await exchange.run()

    assert (exchange.body, seen, waiting) == (b"slow", [1], [0, 0])
    exchange.check()


async def test_a_quick_view_is_not_watched():
    app = Erlen("quick")

    @app.get("/")
    async def view() -> str:
        await asyncio.sleep(0.01)
        return "quick"

    exchange = await Exchange(app).run()

    assert exchange.received == 0


async def test_a_view_that_takes_no_notice_finishes_and_its_task_is_as_before():
    log: list[str] = []
    app = Erlen("stubborn")

    @app.get("/")
    async def view() -> str:
        log.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
        await asyncio.sleep(0)
        return "anyway"

    exchange = await serve_and_leave(app, log)

    assert log == ["begun", "cancelled"]
    assert (exchange.error, exchange.task.cancelling()) == (None, 0)


async def test_who_cancels_at_the_same_time_is_heard():
    log: list[str] = []
    app = waiting_app(log)
    exchange = Leaver(app)

    @app.teardown_request
    async def teardown(error: Any) -> None:
        exchange.task.cancel()
        await asyncio.sleep(0)

    exchange.begin()
    await until(lambda: "begun" in log)
    exchange.gone.set()
    await exchange.over()

    assert isinstance(exchange.error, asyncio.CancelledError)


@pytest.mark.parametrize("place", ["before", "handler", "after this", "after", "save", "teardown"])
async def test_hooks_handlers_sessions_and_teardown_are_never_cancelled(place):
    app = Erlen("hooks")
    app.secret_key = "k" * 32
    log: list[str] = []

    async def rest(where: str) -> None:
        if where == place:
            log.append("begun")
            try:
                await asyncio.sleep(SEVERAL_LOOKS)
            except asyncio.CancelledError:
                log.append("cancelled")
                raise
            log.append("ended")

    class Saving(type(app.session_interface)):  # type: ignore[misc]
        async def save_session(self, app: Any, session: Any, response: Any) -> None:
            await rest("save")

    app.session_interface = Saving()
    app.before_request(lambda: None)

    @app.before_request
    async def before() -> None:
        await rest("before")

    @app.errorhandler(LookupError)
    async def handler(error: Any) -> str:
        await rest("handler")
        return "handled"

    @app.after_request
    async def after(response: Response) -> Response:
        await rest("after")
        return response

    @app.teardown_request
    async def teardown(error: Any) -> None:
        await rest("teardown")

    @app.get("/")
    async def view() -> str:
        session["x"] = 1

        @after_this_request
        async def later(response: Response) -> Response:
            await rest("after this")
            return response

        raise LookupError

    exchange = await serve_and_leave(app, log)

    assert log == ["begun", "ended"]
    assert exchange.error is None
    await app.close_worker_pool()


@pytest.mark.parametrize("kind", ["before", "after"])
async def test_a_hook_is_not_cancelled_where_there_is_nothing_but_hooks(kind):
    app = Erlen("hooks")
    log: list[str] = []

    async def hook(response: Any = None) -> Any:
        log.append("begun")
        await asyncio.sleep(SEVERAL_LOOKS)
        log.append("ended")
        return response

    getattr(app, f"{kind}_request")(hook)

    @app.get("/")
    async def view() -> str:
        return "tea"

    exchange = await serve_and_leave(app, log)

    assert log == ["begun", "ended"]
    assert exchange.error is None


async def test_a_view_is_not_cancelled_while_a_thread_works_for_it():
    app = Erlen("thread")
    log: list[str] = []
    go = threading.Event()

    def work() -> None:
        log.append("begun")
        go.wait(10)
        log.append("thread ended")

    @app.get("/")
    async def view() -> str:
        try:
            await run_sync(work)()
            log.append("view goes on")
            await asyncio.Event().wait()
        finally:
            log.append("ended")
        return ""

    exchange = Leaver(app)
    exchange.gone.set()
    exchange.begin()
    await until(lambda: exchange.received == 2)
    await asyncio.sleep(0.01)
    assert log == ["begun"]
    go.set()
    await exchange.over()

    assert log == ["begun", "thread ended", "view goes on", "ended"]
    exchange.check()
    await app.close_worker_pool()


async def test_a_def_view_is_never_cancelled():
    app = Erlen("def")
    log: list[str] = []
    go = threading.Event()

    @app.get("/")
    def view() -> str:
        log.append("begun")
        go.wait(10)
        g.x = 1
        log.append(request.path)
        return "def"

    exchange = Leaver(app)
    exchange.gone.set()
    exchange.begin()
    await asyncio.sleep(SEVERAL_LOOKS)
    go.set()
    await exchange.over()

    assert log == ["begun", "/"]
    assert exchange.status == 200
    await app.close_worker_pool()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stream_whose_first_piece_does_not_come_ends_with_its_client(method):
    app = Erlen("stream")
    log: list[str] = []

    async def pieces() -> Any:
        log.append("begun")
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            log.append("ended")

    @app.route("/", methods=["GET", "POST"])
    async def view() -> Any:
        return pieces()

    exchange = await serve_and_leave(app, log, method=method)

    assert (log, exchange.sent) == (["begun", "ended"], [])


async def test_an_app_in_an_app_ends_its_own_view_and_the_outer_one_goes_on():
    log: list[str] = []
    inner, outer = waiting_app(log), Erlen("outer")
    outer.mount("/inner", inner)
    outer.teardown_request(lambda error: log.append(f"outer {error}"))

    await serve_and_leave(outer, log, path="/inner/")

    assert log == ["begun", "ended", "outer None"]
    await outer.close_worker_pool()


async def test_nothing_looks_while_nothing_is_served():
    app = Erlen("idle")
    app.get("/")(lambda: "def")

    await Exchange(app).run()
    assert app.in_flight.thread
    await until(lambda: not app.in_flight.thread)

    assert app.in_flight.active == set()
    await app.close_worker_pool()
