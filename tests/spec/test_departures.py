"""Clients that leave and requests that are cancelled, at every step: everything is let go."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
import weakref
from contextlib import aclosing, asynccontextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from erlen import (
    Erlen,
    EventStream,
    Response,
    g,
    inflight,
    request,
    run_sync,
    send_file,
    sync,
    websocket,
)
from erlen.proxies import current
from tests.exchanges import Conversation, Exchange, cancelled_everywhere
from tests.waiting import until

PIECE = b"x" * 200_000
BOUNDARY = b"--b\r\n"
FORM = [
    BOUNDARY + b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n',
    BOUNDARY + b'Content-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + PIECE,
    *[PIECE] * 7,
    b"\r\n--b--\r\n",
]
UPLOAD = {
    "method": "POST",
    "headers": [(b"content-type", b"multipart/form-data; boundary=b"), (b"expect", b"x")],
    "body": FORM,
}
UPLOAD["headers"].append((b"content-length", str(sum(map(len, FORM))).encode()))
JSON = {
    "method": "POST",
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"6")],
    "body": [b"[1,", b" 2", b"]"],
}


@pytest.fixture(scope="module", autouse=True)
def only_what_these_tests_make_is_collected() -> Any:
    """Keep what was there before out of every collection, which takes most of its time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def files_on_disk() -> int:
    """Count the temporary files that are open: they have no name."""
    links = Path("/proc/self/fd")
    if not links.exists():
        return 0
    found = 0
    for link in links.iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        found += target.startswith(tempfile.gettempdir()) and target.endswith("(deleted)")
    return found


async def pieces(log: list[str], count: float = 3) -> Any:
    try:
        number = 0
        while number < count:
            number += 1
            yield str(number)
            await asyncio.sleep(0.001)
    finally:
        log.append("closed")


def def_pieces(log: list[str], count: float = 3) -> Any:
    try:
        number = 0
        while number < count:
            number += 1
            yield str(number)
            time.sleep(0.001)
    finally:
        log.append("closed")


# The views: each is made from a log in which it notes that its generator was closed.


def _buffered(log: list[str]) -> Any:
    async def view() -> str:
        await asyncio.sleep(0)
        return "fine"

    return view


def _def_buffered(log: list[str]) -> Any:
    return lambda: "fine"


def _json(log: list[str]) -> Any:
    async def view() -> Any:
        return await request.get_json()

    return view


def _def_json(log: list[str]) -> Any:
    return lambda: sync.request.get_json()


def _upload(log: list[str]) -> Any:
    async def view() -> str:
        files, form = await request.files, await request.form
        return form["a"] + str(len(await files["f"].read()))

    return view


def _def_upload(log: list[str]) -> Any:
    def view() -> str:
        return sync.request.form["a"] + str(len(sync.request.files["f"].read()))

    return view


def _def_stream_of_body(log: list[str]) -> Any:
    def view() -> str:
        total = 0
        while block := sync.request.stream.read(100_000):
            total += len(block)
        return str(total)

    return view


def _chunks_of_body(log: list[str]) -> Any:
    async def view() -> str:
        return str(sum([len(chunk) async for chunk in request.stream]))

    return view


def _echo(log: list[str]) -> Any:
    async def view() -> Any:
        async with aclosing(request.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    return view


def _stream(log: list[str]) -> Any:
    async def view() -> Any:
        return pieces(log)

    return view


def _def_stream(log: list[str]) -> Any:
    return lambda: def_pieces(log)


def _async_stream_of_def_view(log: list[str]) -> Any:
    return lambda: pieces(log)


def _events(log: list[str]) -> Any:
    async def view() -> Any:
        return EventStream(pieces(log), heartbeat=0.001)

    return view


def _def_events(log: list[str]) -> Any:
    return lambda: EventStream(def_pieces(log))


def _parts_of_form(log: list[str]) -> Any:
    async def view() -> str:
        found = []
        async for part in request.parts():
            found.append(len(await part.read()))
        return str(found)

    return view


def _def_stream_of_async_view(log: list[str]) -> Any:
    async def view() -> Any:
        return def_pieces(log)

    return view


def _foreign_stream(log: list[str]) -> Any:
    async def view() -> Any:
        return StreamingResponse(pieces(log))

    return view


def _file(log: list[str]) -> Any:
    async def view() -> Any:
        return send_file(__file__)

    return view


VIEWS: dict[str, tuple[Any, dict[str, Any]]] = {
    "buffered": (_buffered, {}),
    "def buffered": (_def_buffered, {}),
    "json": (_json, JSON),
    "def json": (_def_json, JSON),
    "upload": (_upload, UPLOAD),
    "def upload": (_def_upload, UPLOAD),
    "def stream of a body": (_def_stream_of_body, UPLOAD),
    "chunks of a body": (_chunks_of_body, UPLOAD),
    "echo": (_echo, UPLOAD),
    "stream": (_stream, {}),
    "def stream": (_def_stream, {}),
    "async stream of a def view": (_async_stream_of_def_view, {}),
    "def stream of an async view": (_def_stream_of_async_view, {}),
    "events": (_events, {}),
    "events of a def view": (_def_events, {}),
    "parts of a form": (_parts_of_form, UPLOAD),
    "foreign stream": (_foreign_stream, {}),
    "file": (_file, {}),
}


class Case:
    """An app with one view and teardowns of both colours, and what must be true at its end."""

    def __init__(self, name: str, hooks: str, caplog: Any) -> None:
        make, self.options = VIEWS[name]
        self.name = name
        self.caplog = caplog
        self.log: list[str] = []
        self.torn: list[str] = []
        self.app = app = Erlen("departures")
        options = {"stream_body": True} if name == "def stream of a body" else {}
        app.route("/", methods=["GET", "POST"], **options)(make(self.log))
        if hooks in ("async", "mixed"):
            self._add_async_hooks()
        if hooks in ("def", "mixed"):
            self._add_def_hooks()
        self.hooks = hooks
        self.files = files_on_disk()

    def _add_async_hooks(self) -> None:
        @self.app.before_request
        async def before() -> None:
            await asyncio.sleep(0)
            g.async_before = True

        @self.app.after_request
        async def after(response: Any) -> Any:
            await asyncio.sleep(0)
            return response

        @self.app.teardown_request
        async def teardown(error: Any) -> None:
            self.torn.append("async")
            await asyncio.sleep(0)

    def _add_def_hooks(self) -> None:
        @self.app.before_request
        def before() -> None:
            g.def_before = True

        @self.app.after_request
        def after(response: Any) -> Any:
            return response

        @self.app.teardown_appcontext
        def teardown(error: Any) -> None:
            self.torn.append("def")

    async def run(
        self, *, cut: bool = False, leaves_when: asyncio.Event | None = None, **faults: Any
    ) -> Exchange:
        """Serve one request with those faults and check what is always true afterwards.

        *cut* says that the body may end in the middle: the server closes the connection then.
        """
        if self.name == "foreign stream":  # one that was left is closed when it is collected
            gc.collect()
            for _ in range(3):
                await asyncio.sleep(0)
        self.log.clear()
        self.torn.clear()
        self.caplog.clear()
        exchange = Exchange(self.app, **self.options, **faults)
        if leaves_when is not None:
            exchange.script.append({"type": "http.disconnect"})
            exchange.hold = leaves_when
        await exchange.run()
        await asyncio.sleep(0)
        if cut:
            assert (exchange.wrongs, exchange.left_behind) == ([], None)
        else:
            exchange.check()
        torn = {"async": ["async"], "def": ["def"], "mixed": ["async", "def"]}
        if cut:  # a thread that nobody waits for tears down by itself
            await until(lambda: len(self.torn) == len(torn.get(self.hooks, [])))
        assert sorted(self.torn) == torn.get(self.hooks, [])
        if not (cut and self.name == "foreign stream"):  # which is closed when it is collected
            assert self.log in ([], ["closed"])
        assert self.caplog.text == ""
        return exchange

    async def end(self) -> None:
        await self.app.close_worker_pool()
        gc.collect()
        assert files_on_disk() == self.files


@pytest.mark.parametrize("hooks", ["no", "async", "def", "mixed"])
@pytest.mark.parametrize("name", VIEWS)
async def test_a_client_that_leaves_after_any_piece_is_no_error(name, hooks, caplog):
    case = Case(name, hooks, caplog)
    pieces_sent = len(case.options.get("body", [b""]))

    for leaves_after in range(pieces_sent + 1):
        exchange = await case.run(leaves_after=leaves_after)

        assert exchange.error is None
        if leaves_after < pieces_sent and "body" in case.options:
            assert exchange.status == (200 if name == "echo" and leaves_after else 400)

    await case.end()


@pytest.mark.parametrize("hooks", ["no", "mixed"])
@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("name", VIEWS)
async def test_a_client_that_is_gone_when_any_message_is_sent(name, version, hooks, caplog):
    case = Case(name, hooks, caplog)
    whole = await case.run()

    for breaks_at in range(len(whole.sent)):
        exchange = await case.run(breaks_at=breaks_at, version=version)

        assert len(exchange.sent) == breaks_at
        if version == "2.4":
            assert exchange.error is None

    await case.end()


@pytest.mark.parametrize("hooks", ["no", "async", "def", "mixed"])
@pytest.mark.parametrize("name", VIEWS)
async def test_a_request_may_be_cancelled_wherever_it_waits(name, hooks, caplog):
    case = Case(name, hooks, caplog)

    async def cancel_at(number: int) -> Exchange:
        exchange = await case.run(cancel_at=number)
        if exchange.reached:
            assert isinstance(exchange.error, asyncio.CancelledError)
        return exchange

    waits = await cancelled_everywhere(cancel_at)

    assert waits > 2
    await case.end()


@pytest.mark.parametrize("hooks", ["no", "mixed"])
@pytest.mark.parametrize("name", VIEWS)
async def test_a_server_may_stop_wherever_a_request_waits(name, hooks, caplog, monkeypatch):
    monkeypatch.setattr(inflight, "_CLOSING", 0.001)
    case = Case(name, hooks, caplog)
    everything = case.app.in_flight_here()

    async def stop_at(number: int) -> Exchange:
        exchange = await case.run(
            cancel_at=number, instead=lambda: everything.begin_drain(0), cut=True
        )
        assert exchange.error is None
        assert exchange.complete or exchange.sent
        assert exchange.status in (200, 503)
        assert exchange.task.cancelling() == 0
        await everything.drained(0)
        everything.open()
        return exchange

    waits = await cancelled_everywhere(stop_at)

    assert waits > 2
    await case.end()


@pytest.mark.parametrize("hooks", ["no", "mixed"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_may_leave_while_its_view_does_anything(method, hooks, caplog, monkeypatch):
    monkeypatch.setattr(inflight, "_PERIOD", 0.0005)
    gone = asyncio.Event()

    def make(log: list[str]) -> Any:
        async def view() -> Any:
            try:
                await asyncio.sleep(0.003)
                await request.get_data()
                await run_sync(time.sleep)(0.001)
                await asyncio.sleep(0.002)
                return pieces(log)
            finally:
                g.left = True

        return view

    monkeypatch.setitem(VIEWS, "everything", (make, {"method": method}))
    case = Case("everything", hooks, caplog)

    for moment in range(12):
        gone.clear()
        asyncio.get_running_loop().call_later(moment / 1000, gone.set)
        exchange = await case.run(leaves_when=gone)
        assert exchange.error is None
        assert exchange.task.cancelling() == 0

    await case.end()


# -- threads that wait ---------------------------------------------------------------------


async def for_ever(begun: asyncio.Event, log: list[str]) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        log.append("cancelled")


async def test_a_cancel_reaches_what_a_def_view_waits_for():
    app = Erlen("waits")
    log: list[str] = []
    begun = asyncio.Event()
    app.get("/")(lambda: app.ensure_sync(for_ever)(begun, log))
    app.teardown_request(lambda error: log.append(type(error).__name__))
    exchange = Exchange(app)
    exchange.begin()
    await begun.wait()

    exchange.task.cancel()
    await exchange.over()

    assert log == ["cancelled", "CancelledError"]
    exchange.check()
    await app.close_worker_pool()


async def test_a_cancel_in_an_after_hook_closes_its_response_and_what_was_entered():
    app = Erlen("hooks")
    log: list[str] = []
    seen: list[weakref.ref[Any]] = []

    @app.after_request
    async def waits(response: Response) -> Response:
        await asyncio.Event().wait()
        return response

    @app.after_request
    async def enters(response: Response) -> Response:
        seen.append(weakref.ref(current.get()))
        response.call_on_close(lambda: log.append("closed"))
        await request.enter(noting(log))
        exchange.task.get_loop().call_soon(exchange.task.cancel)
        return response

    @app.get("/")
    async def view() -> str:
        return "x"

    gc.collect()
    gc.disable()
    try:
        exchange = Exchange(app)
        await exchange.run()
        exchange.error = exchange.task = None

        assert log == ["closed", "CancelledError"]
        assert exchange.sent == []
        assert [reference() for reference in seen] == [None]
    finally:
        gc.enable()


@asynccontextmanager
async def noting(log: list[str]) -> Any:
    try:
        yield
    except BaseException as error:
        log.append(type(error).__name__)
        raise


async def test_a_teardown_begins_even_if_a_cancel_comes_right_before_it():
    app = Erlen("late")
    log: list[str] = []
    loop = asyncio.get_running_loop()
    app.get("/")(lambda: "x")

    @app.teardown_request
    async def last(error: Any) -> None:
        log.append("begun")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    @app.teardown_request
    def first(error: Any) -> None:
        # While the loop sleeps, a cancel and then the other teardown get in line.
        loop.call_soon_threadsafe(time.sleep, 0.05)
        loop.call_soon_threadsafe(loop.call_soon, exchange.task.cancel)

    exchange = Exchange(app)
    exchange.begin()
    await exchange.over()

    assert log == ["begun", "cancelled"]
    await app.close_worker_pool()


async def test_a_client_that_leaves_ends_what_a_def_generator_waits_for():
    app = Erlen("waits")
    log: list[str] = []
    begun = asyncio.Event()

    @app.get("/")
    def view() -> Any:
        yield "one"
        app.ensure_sync(for_ever)(begun, log)

    app.teardown_request(lambda error: log.append(f"teardown {error}"))
    exchange = Exchange(app, leaves_after=1)
    exchange.hold = begun
    exchange.begin()

    await exchange.over()

    assert log == ["cancelled", "teardown None"]
    assert exchange.error is None
    await app.close_worker_pool()


async def test_an_endless_def_generator_that_nobody_waits_for_any_more_ends():
    app = Erlen("endless")
    log: list[str] = []
    begun = threading.Event()

    @app.get("/")
    def view() -> Any:
        begun.set()
        time.sleep(0.02)
        return def_pieces(log, count=float("inf"))

    app.teardown_request(lambda error: log.append("teardown"))
    exchange = Exchange(app)
    exchange.begin()
    await asyncio.to_thread(begun.wait)

    exchange.task.cancel()
    await exchange.over()

    assert log == ["closed", "teardown"]
    await app.close_worker_pool()


async def test_a_second_cancel_does_not_tear_down_under_a_running_thread():
    app = Erlen("twice")
    log: list[str] = []

    @app.get("/")
    def view() -> Any:
        try:
            yield "one"
            time.sleep(0.05)
            log.append("thread")
            yield "two"
        finally:
            log.append("closed")

    app.teardown_request(lambda error: log.append("teardown"))
    exchange = Exchange(app)
    exchange.begin()
    await exchange.has_sent(2)

    exchange.task.cancel()
    await asyncio.sleep(0.01)
    exchange.task.cancel()
    await exchange.over()

    assert log == ["thread", "closed", "teardown"]
    await app.close_worker_pool()


async def test_a_generator_that_takes_no_notice_of_a_departure_is_left():
    app = Erlen("stubborn")
    log: list[int] = []

    @app.get("/")
    async def view() -> Any:
        for number in range(1000):
            log.append(number)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)
            yield "x"

    exchange = await Exchange(app, leaves_after=1).run()

    assert len(log) < 10
    assert exchange.task.cancelling() == 0
    exchange.check()


async def test_a_request_that_gives_up_waiting_for_a_thread_frees_its_place():
    app = Erlen("queue")
    app.config.update({"SYNC_WORKERS": 1, "SYNC_QUEUE": 1})
    go = threading.Event()
    app.get("/")(lambda: str(go.wait(5)))
    first, impatient, patient = Exchange(app), Exchange(app), Exchange(app)
    first.begin()
    await asyncio.sleep(0.01)

    impatient.begin()
    await asyncio.sleep(0.01)
    impatient.task.cancel()
    await impatient.over()
    patient.begin()
    await asyncio.sleep(0.01)
    go.set()
    await first.over()
    await patient.over()

    assert (first.status, impatient.status, patient.status) == (200, None, 200)
    await app.close_worker_pool()


async def test_a_cancel_does_not_reach_a_teardown_that_waits_for_a_thread():
    app = Erlen("full")
    app.config.update({"SYNC_WORKERS": 1, "SYNC_QUEUE": 10})
    go, busy = threading.Event(), threading.Event()
    torn: list[str] = []
    app.teardown_request(lambda error: torn.append(request.path))

    @app.before_request
    async def refuse() -> Any:
        return "refused" if request.path == "/" else None

    @app.get("/busy")
    def hold() -> str:
        busy.set()
        return str(go.wait(10))

    app.get("/")(lambda: "never")
    holding, refused = Exchange(app, "/busy"), Exchange(app)
    holding.begin()
    await asyncio.to_thread(busy.wait)

    refused.begin()
    await refused.has_sent(2)
    refused.task.cancel()
    await refused.over()
    assert torn == ["/"]

    go.set()
    await holding.over()
    await app.close_worker_pool()


async def test_what_has_begun_is_torn_down_though_no_thread_is_free(caplog):
    app = Erlen("full")
    app.config.update({"SYNC_WORKERS": 1, "SYNC_QUEUE": 0})
    go, busy = threading.Event(), threading.Event()
    torn: list[str] = []
    app.teardown_request(lambda error: torn.append(request.path))

    @app.get("/busy")
    def hold() -> str:
        busy.set()
        return str(go.wait(5))

    @app.get("/")
    async def view() -> str:
        return "fine"

    holding, quick = Exchange(app, "/busy"), Exchange(app)
    holding.begin()
    await asyncio.to_thread(busy.wait)

    await quick.run()
    go.set()
    await holding.over()

    assert (quick.status, torn, caplog.text) == (200, ["/", "/busy"], "")
    await app.close_worker_pool()


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
async def test_what_ends_a_program_does_not_end_the_loop_under_other_requests(ending):
    app = Erlen("exit")

    async def leave() -> None:
        raise ending

    app.get("/")(lambda: app.ensure_sync(leave)())

    exchange = await Exchange(app).run()

    assert type(exchange.error) is ending
    await app.close_worker_pool()


@pytest.mark.parametrize("where", ["body", "sleep", "thread", "form"])
async def test_a_view_may_stop_waiting(where):
    app = Erlen("timeout")
    log: list[str] = []

    @app.post("/")
    async def view() -> str:
        waits = {
            "body": request.get_data,
            "form": lambda: request.form,
            "sleep": lambda: asyncio.sleep(10),
            "thread": lambda: run_sync(time.sleep)(0.05),
        }
        try:
            async with asyncio.timeout(0.01):
                await waits[where]()
        except TimeoutError:
            log.append("late")
        return "fine"

    headers = [(b"content-length", b"9"), (b"content-type", b"application/x-www-form-urlencoded")]
    exchange = Exchange(app, method="POST", headers=headers, body=[b"a", b"b"])
    exchange.script.pop()

    await exchange.run()

    exchange.check()
    assert (exchange.status, log) == (200, ["late"])
    await app.close_worker_pool()


# -- bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", ["async", "def"])
@pytest.mark.parametrize("leaves_after", [2, 7])
async def test_a_body_that_was_cut_off_is_never_taken_for_a_whole_one(leaves_after, colour):
    app = Erlen("cut")
    taken: list[int] = []

    async def view() -> str:
        taken.append(len(await request.get_data()))
        return "fine"

    def def_view() -> str:
        taken.append(len(sync.request.get_data()))
        return "fine"

    app.post("/")(view if colour == "async" else def_view)
    body = [PIECE] * 8
    length = [(b"content-length", b"1600000")]

    exchange = await Exchange(
        app, method="POST", headers=length, body=body, leaves_after=leaves_after
    ).run()

    assert (exchange.status, taken) == (400, [])
    await app.close_worker_pool()


async def test_a_spooled_body_goes_on_where_a_limit_stopped_it():
    app = Erlen("resumes")
    app.config["MAX_CONTENT_LENGTH"] = 1_300_000
    files = files_on_disk()

    @app.before_request
    def raise_the_limit() -> None:
        request.max_content_length = None

    app.post("/")(lambda: str(len(sync.request.get_data())))

    exchange = await Exchange(
        app, method="POST", headers=[(b"transfer-encoding", b"chunked")], body=[PIECE] * 8
    ).run()

    assert (exchange.status, exchange.body) == (200, b"1600000")
    assert files_on_disk() == files
    await app.close_worker_pool()


@pytest.mark.parametrize("spooled", [False, True])
async def test_a_body_that_a_hook_read_can_be_iterated(spooled):
    app = Erlen("again")
    count = 8 if spooled else 2
    app.before_request(lambda: None if sync.request.get_data() else "empty")

    @app.post("/")
    async def view() -> str:
        return str(sum([len(chunk) async for chunk in request.stream]))

    length = [(b"content-length", str(count * len(PIECE)).encode())]
    exchange = await Exchange(app, method="POST", headers=length, body=[PIECE] * count).run()

    assert exchange.body == str(count * len(PIECE)).encode()
    await app.close_worker_pool()


async def test_several_tasks_may_ask_for_the_body_at_once():
    app = Erlen("several")

    @app.post("/form")
    async def form() -> str:
        fields, files = await asyncio.gather(request.form, request.files)
        return fields["a"] + str(len(await files["f"].read()))

    @app.post("/json")
    async def json() -> Any:
        data, value = await asyncio.gather(request.get_data(), request.get_json())
        return [data.decode(), value]

    of_form = await Exchange(app, "/form", **UPLOAD).run()
    of_json = await Exchange(app, "/json", **JSON).run()

    assert of_form.body == b"11600000"
    assert of_json.body == b'["[1, 2]",[1,2]]\n'
    await app.close_worker_pool()


async def test_a_thread_that_asks_while_the_loop_takes_the_body_finds_it_too():
    app, found, threads = Erlen("both"), list[Any](), list[threading.Thread]()

    def ask() -> None:
        found.append(sync.request.get_json())

    async def receive() -> Any:
        if threads:
            return {"type": "http.disconnect"}
        threads.append(threading.Thread(target=copy_context().run, args=(ask,)))
        threads[0].start()
        threads[0].join(0.1)  # it comes as far as it can
        return {"type": "http.request", "body": b"[1, 2]"}

    @app.post("/")
    async def view() -> str:
        found.append(await request.get_json())
        await asyncio.to_thread(threads[0].join)
        return "fine"

    exchange = Exchange(app, method="POST", headers=JSON["headers"])
    await app(exchange.scope, receive, exchange.send)

    assert found == [[1, 2], [1, 2]]


@pytest.mark.parametrize(("first", "left"), [(True, b"a=1"), (False, b"")])
async def test_a_form_that_is_parsed_as_it_comes_leaves_no_data(first: bool, left: bytes):
    app, found = Erlen("data"), list[Any]()

    @app.post("/")
    async def view() -> str:
        if first:
            await request.get_data()
        found.append((await request.form)["a"])
        found.append(await request.get_data())
        return "fine"

    async def receive() -> Any:  # at once
        return {"type": "http.request", "body": b"a=1"}

    form = [(b"content-type", b"application/x-www-form-urlencoded")]
    exchange = Exchange(app, method="POST", headers=form)
    await app(exchange.scope, receive, exchange.send)

    assert found == ["1", left]


@pytest.mark.parametrize("body", [[b"a=1&b=2&c=3", b"&d=4", b"&e=5"], [b"a=1&b=2&c=3&d=4"]])
async def test_a_form_that_failed_is_not_parsed_from_its_middle(body: list[bytes]):
    app = Erlen("failed")
    app.config["MAX_FORM_PARTS"] = 2
    answers: list[Any] = []

    @app.post("/")
    async def view() -> str:
        for _ in range(2):
            try:
                answers.append(await request.form)
            except Exception as error:
                answers.append(error)
        return "fine"

    await Exchange(
        app,
        method="POST",
        headers=[(b"content-type", b"application/x-www-form-urlencoded")],
        body=body,
    ).run()

    assert [getattr(answer, "code", answer) for answer in answers] == [413, 413]


async def test_a_body_that_came_too_late_is_not_waited_for_again():
    app = Erlen("late")
    app.config["BODY_TIMEOUT"] = 0.5
    app.post("/")(lambda: str(len(sync.request.get_data())))
    exchange = Exchange(app, method="POST", headers=JSON["headers"], body=JSON["body"])
    exchange.script.pop()
    start = time.monotonic()

    await exchange.run()

    assert exchange.status == 408
    assert time.monotonic() - start < 0.95
    await app.close_worker_pool()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_client_that_leaves_a_stream_is_noticed_though_nobody_read_its_body(colour, count):
    app = Erlen("unread")
    log: list[str] = []
    make = pieces if colour == "async" else def_pieces

    @app.post("/")
    async def view() -> Any:
        return make(log, count=float("inf"))

    body = [b"x" * 1000] * count
    exchange = Exchange(
        app,
        method="POST",
        headers=[(b"content-length", str(1000 * count).encode())],
        body=body,
    )
    exchange.script.append({"type": "http.disconnect"})

    await exchange.run()

    exchange.check()
    assert (exchange.error, log) == (None, ["closed"])
    await app.close_worker_pool()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin at once from Python 3.12 on")
async def test_a_client_that_left_before_its_stream_is_noticed_by_a_task_that_begins_at_once():
    app = Erlen("eager")
    log: list[str] = []

    class Gone(Exchange):
        """A client that has left, of which the server tells without waiting."""

        async def receive(self) -> dict[str, Any]:
            self.received = 1
            return self.script[0]

    async def endless() -> Any:
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    @app.get("/")
    async def view() -> Any:
        return endless()

    exchange, loop = Gone(app, leaves_after=0), asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        await exchange.run()
    finally:
        loop.set_task_factory(None)

    exchange.check()
    assert (exchange.error, log) == (None, ["closed"])
    assert exchange.task.cancelling() == 0


async def test_a_body_that_is_read_while_a_stream_is_sent_loses_nothing():
    app = Erlen("late reader")

    @app.post("/")
    async def view() -> Any:
        yield "head "
        await asyncio.sleep(0.01)
        yield str(len(await request.get_data()))

    length = [(b"content-length", b"1600000")]
    exchange = await Exchange(app, method="POST", headers=length, body=[PIECE] * 8).run()

    assert exchange.body == b"head 1600000"


@pytest.mark.parametrize("read", ["nothing", "all", "spooled", "form", "a chunk"])
async def test_a_foreign_app_gets_the_body_that_is_left(read):
    app = Erlen("handed on")
    app.config["MAX_FORM_MEMORY_SIZE"] = None
    form = b"a=" + b"1" * 1_199_998

    @app.before_request
    async def before() -> None:
        if read == "all":
            await request.get_data()
        elif read == "form":
            await request.form
        elif read == "a chunk":
            await anext(aiter(request.stream))

    if read == "spooled":
        app.before_request(lambda: None if sync.request.get_data() else "empty")

    async def foreign(scope: Any, receive: Any, send: Any) -> None:
        total, more = 0, True
        while more:
            message = await receive()
            total += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(total).encode()})

    app.post("/")(_returning(foreign))
    body = [form[start : start + 400_000] for start in range(0, len(form), 400_000)]
    exchange = await Exchange(
        app,
        method="POST",
        headers=[
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"content-length", str(len(form)).encode()),
        ],
        body=body,
    ).run()

    left = {"form": 0, "a chunk": 800_000}.get(read, 1_200_000)
    assert exchange.body == str(left).encode()
    await app.close_worker_pool()


def _returning(value: Any) -> Any:
    async def view() -> Any:
        return value

    return view


# -- what is around the app ----------------------------------------------------------------


class Around:
    """Middleware that hands on a copy of the scope, as many do, and fails when told."""

    def __init__(self, app: Any, fail: str = "") -> None:
        self.app = app
        self.fail = fail

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.fail == "before":
            raise LookupError("in middleware")
        await self.app(dict(scope), receive, send)
        if self.fail == "after":
            raise LookupError("in middleware")


@pytest.mark.parametrize("fail", ["", "before", "after"])
async def test_middleware_that_copies_the_scope_never_makes_a_second_response(fail, caplog):
    app = Erlen("around")
    app.add_middleware(Around, fail=fail)

    @app.get("/")
    async def view() -> Any:
        yield "one"
        if not fail:
            raise LookupError("in the stream")

    exchange = await Exchange(app).run()

    exchange.check()
    assert exchange.status == (500 if fail == "before" else 200)
    assert (exchange.error is None) == (fail == "before")
    assert caplog.text.count("LookupError: in middleware") == (fail == "before")


@pytest.mark.parametrize("fail", ["before", "after"])
async def test_a_websocket_whose_middleware_fails_is_closed(fail, caplog):
    app = Erlen("around")
    app.add_middleware(Around, fail=fail)

    @app.websocket("/")
    async def view() -> None:
        await websocket.send("hello")

    talk = await Conversation(app).run()

    talk.check()
    assert talk.code == (1011 if fail == "before" else 1000)
    assert "in middleware" in caplog.text
