"""Two colours: what ``def`` and ``async def`` steps see, and which thread they run in."""

from __future__ import annotations

import asyncio
import functools
import queue
import re
import sqlite3
import threading
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from erlen import (
    Erlen,
    abort,
    after_this_request,
    current_app,
    g,
    make_response,
    redirect,
    request,
    run_sync,
    session,
    signals,
    sync,
)
from erlen.errors import SetupError
from tests.waiting import until

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


# -- the two faces of the body -------------------------------------------------------------


async def test_an_async_view_awaits_the_body():
    app = Erlen("faces")

    @app.post("/")
    async def show():
        form = await request.form
        return form["name"]

    response = await app.test_client().post("/", form={"name": "Ada"})

    assert response.text == "Ada"


async def test_a_def_view_has_the_body_as_values():
    app = Erlen("faces")

    @app.post("/form")
    def form():
        return sync.request.form["name"]

    @app.post("/json")
    def json():
        assert sync.request.json == sync.request.get_json()
        return sync.request.get_json()

    @app.post("/data")
    def data():
        assert sync.request.data == sync.request.get_data() == sync.request.stream.read()
        return sync.request.get_data(as_text=True)

    client = app.test_client()

    assert (await client.post("/form", form={"name": "Ada"})).text == "Ada"
    assert (await client.post("/json", json={"a": 1})).json == {"a": 1}
    assert (await client.post("/data", data=b"raw")).text == "raw"


async def test_a_forgotten_await_names_the_line_and_what_to_write(caplog):
    app = Erlen("forgetful")

    @app.post("/")
    async def show():
        return request.form["name"]

    response = await app.test_client().post("/", form={"name": "Ada"})

    assert response.status_code == 500
    assert "request.form must be awaited here (async def, test_colours.py:" in caplog.text
    assert "form = await request.form" in caplog.text


async def test_the_face_belongs_to_the_step():
    app = Erlen("mixed")

    @app.before_request
    def plain():
        g.by_def = request.form["name"]

    @app.before_request
    async def asynchronous():
        g.by_async = (await request.form)["name"]

    @app.post("/")
    async def show():
        return f"{g.by_def} {g.by_async}"

    response = await app.test_client().post("/", form={"name": "Ada"})

    assert response.text == "Ada Ada"


async def test_an_inline_step_may_not_wait_for_the_body(caplog):
    app = Erlen("inline")

    @app.post("/", inline=True)
    def show():
        return request.form["name"]

    response = await app.test_client().post("/", form={"name": "Ada"})

    assert response.status_code == 500
    assert "Remove inline=True, or make it async def" in caplog.text


async def test_an_inline_step_sees_what_was_read_before_it():
    app = Erlen("inline")

    @app.before_request
    async def read():
        await request.form

    @app.post("/", inline=True)
    def show():
        return request.form["name"]

    assert (await app.test_client().post("/", form={"name": "Ada"})).text == "Ada"


# -- where steps run -----------------------------------------------------------------------


def note_thread(seen, name):
    seen[name] = threading.get_ident()


async def test_a_def_view_owns_one_thread_for_all_its_def_steps():
    app = Erlen("owner")
    seen = {}
    app.before_request(lambda: note_thread(seen, "before"))
    app.teardown_request(lambda error: note_thread(seen, "teardown request"))
    app.teardown_appcontext(lambda error: note_thread(seen, "teardown context"))

    @app.after_request
    def after(response):
        note_thread(seen, "after")
        return response

    @app.get("/")
    def show():
        note_thread(seen, "view")
        return "x"

    await app.test_client().get("/")

    assert len(seen) == 5
    assert len(set(seen.values())) == 1
    assert threading.get_ident() not in seen.values()


async def test_async_hooks_of_a_def_view_run_on_the_loop():
    app = Erlen("owner")
    seen = {}

    @app.before_request
    def first():
        note_thread(seen, "def before")

    @app.before_request
    async def second():
        await asyncio.sleep(0)
        note_thread(seen, "async before")

    @app.after_request
    async def after(response):
        note_thread(seen, "async after")
        return response

    @app.get("/")
    def show():
        note_thread(seen, "view")
        return "x"

    await app.test_client().get("/")

    assert seen["async before"] == seen["async after"] == threading.get_ident()
    assert seen["view"] == seen["def before"] != threading.get_ident()


async def test_def_hooks_of_an_async_view_leave_the_loop():
    app = Erlen("hooks")
    seen = {}
    app.before_request(lambda: note_thread(seen, "one"))
    app.before_request(lambda: note_thread(seen, "two"))

    @app.get("/")
    async def show():
        note_thread(seen, "view")
        return "x"

    await app.test_client().get("/")

    assert seen["one"] == seen["two"] != threading.get_ident()
    assert seen["view"] == threading.get_ident()


async def test_an_inline_view_and_hook_run_on_the_loop():
    app = Erlen("inline")
    seen = {}

    @app.before_request(inline=True)
    def hook():
        note_thread(seen, "hook")

    @app.get("/", inline=True)
    def show():
        note_thread(seen, "view")
        return "x"

    await app.test_client().get("/")

    assert set(seen.values()) == {threading.get_ident()}


async def test_a_sync_decorator_around_an_async_view_works_on_the_loop():
    app = Erlen("decorated")

    def login_required(view):
        @functools.wraps(view)
        def checked(*args, **kwargs):
            return current_app.ensure_sync(view)(*args, **kwargs)

        return checked

    @app.get("/")
    @login_required
    async def show():
        await asyncio.sleep(0)
        return str(threading.get_ident())

    assert (await app.test_client().get("/")).text == str(threading.get_ident())


async def test_a_decorator_that_hides_an_async_view_is_awaited_all_the_same():
    app = Erlen("hidden")

    def hide(view):
        def hidden():
            return view()

        return hidden

    @app.get("/")
    @hide
    async def show():
        await asyncio.sleep(0)
        return "seen"

    assert (await app.test_client().get("/")).text == "seen"


async def test_ensure_sync_in_a_def_view_runs_on_the_serving_loop():
    app = Erlen("ensure")

    async def ask():
        await asyncio.sleep(0)
        return threading.get_ident()

    @app.get("/")
    def show():
        return str(app.ensure_sync(ask)())

    assert (await app.test_client().get("/")).text == str(threading.get_ident())


async def test_run_sync_in_an_async_view_leaves_the_loop():
    app = Erlen("run sync")

    @app.get("/")
    async def show():
        return str(await run_sync(threading.get_ident)())

    assert (await app.test_client().get("/")).text != str(threading.get_ident())


async def test_what_an_async_hook_hands_to_a_thread_goes_to_the_thread_that_waits():
    app = Erlen("back and forth")

    @app.before_request
    def first():
        g.owner = threading.get_ident()

    @app.before_request
    async def second():
        g.helper = await run_sync(threading.get_ident)()

    @app.get("/")
    def show():
        return str(g.owner == g.helper == threading.get_ident())

    assert (await app.test_client().get("/")).text == "True"


@pytest.mark.parametrize("seconds", [0, 0.1], ids=["at once", "when the view is over"])
async def test_what_tasks_hand_to_a_thread_is_done_though_the_view_does_not_wait_for_it(seconds):
    app = Erlen("notify")
    told: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def tell(who: str) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        await run_sync(told.append)(who)

    async def notify() -> None:
        tasks.extend(asyncio.create_task(tell(who)) for who in ("ada", "bob", "cleo"))
        await asyncio.sleep(0)

    @app.get("/")
    def view():
        app.ensure_sync(notify)()
        return "fine"

    response = await app.test_client().get("/")
    await asyncio.wait_for(asyncio.gather(*tasks), 10)

    assert (response.text, sorted(told)) == ("fine", ["ada", "bob", "cleo"])
    await app.close_worker_pool()


async def test_a_coroutine_of_a_def_view_may_give_a_thread_so_many_seconds():
    app = Erlen("patience")
    go = threading.Event()

    async def beside() -> str:
        await asyncio.sleep(0.1)
        go.set()
        return "and on"

    async def limited() -> str:
        try:
            async with asyncio.timeout(0.05):
                await run_sync(go.wait)(10)
        except TimeoutError:
            return "too late"
        return "in time"

    async def both() -> list[str]:
        return await asyncio.gather(limited(), beside())

    @app.get("/")
    def view():
        return app.ensure_sync(both)()

    response = await app.test_client().get("/")

    assert response.json == ["too late", "and on"]
    await app.close_worker_pool()


async def test_variables_set_in_def_code_are_seen_by_later_steps():
    app = Erlen("variables")
    app.before_request(lambda: tenant.set("acme") and None)

    @app.after_request
    async def after(response):
        response.headers["X-Tenant"] = tenant.get()
        return response

    @app.get("/async")
    async def asynchronous():
        return tenant.get()

    @app.get("/def")
    def plain():
        seen, _ = tenant.get(), tenant.set("changed")
        return seen

    client = app.test_client()
    one, two = await client.get("/async"), await client.get("/def")

    assert (one.text, one.headers["X-Tenant"]) == ("acme", "acme")
    assert (two.text, two.headers["X-Tenant"]) == ("acme", "changed")


async def test_a_sqlite_connection_in_g_stays_in_its_thread(tmp_path):
    app = Erlen("sqlite")

    @app.before_request
    def connect():
        g.db = sqlite3.connect(tmp_path / "notes.db")

    @app.teardown_appcontext
    def close(error):
        g.db.close()

    @app.get("/<int:number>")
    def show(number):
        return str(g.db.execute("select ?", (number,)).fetchone()[0])

    client = app.test_client()
    answers = await asyncio.gather(*(client.get(f"/{number}") for number in range(100)))

    assert [answer.text for answer in answers] == [str(number) for number in range(100)]


# -- the pool ------------------------------------------------------------------------------


async def test_requests_that_hold_a_connection_while_they_wait_do_not_starve():
    app = Erlen("starvation")
    connections = queue.Queue()
    for number in range(15):
        connections.put(number)

    @app.before_request
    def take():
        g.connection = connections.get(timeout=10)

    @app.before_request
    async def in_between():
        await asyncio.sleep(0.001)

    @app.teardown_request
    def give_back(error):
        connections.put(g.connection)

    @app.get("/async")
    async def asynchronous():
        return "x"

    @app.get("/def")
    def plain():
        return "x"

    client = app.test_client()
    paths = ["/async", "/def"] * 40
    answers = await asyncio.wait_for(asyncio.gather(*map(client.get, paths)), 20)

    assert {answer.status_code for answer in answers} == {200}


async def test_open_streams_hold_no_slot_of_the_others():
    app = Erlen("streams")
    gate, begun = asyncio.Event(), []

    @app.get("/stream")
    async def stream():
        begun.append(True)
        yield "first"
        await gate.wait()
        yield "last"

    @app.before_request
    def hook():
        pass

    @app.get("/")
    def show():
        return "x"

    client = app.test_client()
    streams = [asyncio.create_task(client.get("/stream")) for _ in range(45)]
    await until(lambda: len(begun) == 45)

    answer = await asyncio.wait_for(client.get("/"), 5)

    assert answer.text == "x"
    gate.set()
    assert [answer.text for answer in await asyncio.gather(*streams)] == ["firstlast"] * 45


async def test_async_views_answer_while_every_thread_is_busy():
    app = Erlen("busy")
    app.config["SYNC_WORKERS"] = 2
    gate, begun = threading.Event(), []

    @app.get("/def")
    def plain():
        begun.append(True)
        gate.wait(10)
        return "x"

    @app.get("/async")
    async def asynchronous():
        return "x"

    client = app.test_client()
    busy = [asyncio.create_task(client.get("/def")) for _ in range(6)]
    await until(lambda: len(begun) == 2)

    assert (await asyncio.wait_for(client.get("/async"), 5)).status_code == 200
    gate.set()
    assert {answer.status_code for answer in await asyncio.gather(*busy)} == {200}


async def test_more_requests_than_may_wait_for_a_thread_get_a_503():
    app = Erlen("full")
    app.config["SYNC_WORKERS"] = 1
    app.config["SYNC_QUEUE"] = 1
    gate = threading.Event()

    @app.get("/")
    def plain():
        gate.wait(10)
        return "x"

    client = app.test_client()
    requests = [asyncio.create_task(client.get("/")) for _ in range(5)]
    await until(lambda: sum(request.done() for request in requests) == 3)
    gate.set()
    answers = await asyncio.gather(*requests)

    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    assert {answer.headers.get("Retry-After") for answer in answers} == {None, "1"}


async def in_a_task(asking):
    """Ask in a task; return it and what cancels it."""
    task = asyncio.create_task(asking)
    return task, task.cancel


async def under_a_timeout(asking):
    """Ask under a timeout; return the task and what makes the time be over."""
    timeout = asyncio.timeout(None)

    async def ask():
        async with timeout:
            await asking

    task = asyncio.create_task(ask())
    return task, lambda: timeout.reschedule(0)


@pytest.mark.parametrize(
    ("how", "error"), [(in_a_task, asyncio.CancelledError), (under_a_timeout, TimeoutError)]
)
async def test_a_cancelled_request_is_torn_down_after_its_thread(how, error):
    app = Erlen("cancelled")
    order, gate, begun = [], threading.Event(), threading.Event()

    @app.get("/")
    def show():
        begun.set()
        gate.wait(10)
        order.append("view done")
        return "x"

    app.teardown_request(lambda error: order.append("teardown"))
    task, cancel = await how(app.test_client().get("/"))
    await until(begun.is_set)

    cancel()
    await asyncio.sleep(0.02)
    assert order == []
    gate.set()
    with pytest.raises(error):
        await task

    assert order == ["view done", "teardown"]


def test_each_loop_has_threads_of_its_own():
    app = Erlen("loops")

    @app.get("/")
    def show():
        return str(threading.get_ident())

    async def ask():
        answer = await app.test_client().get("/")
        try:
            return app.worker_pool, answer.status_code
        finally:
            await app.close_worker_pool()

    (one, first), (two, second) = asyncio.run(ask()), asyncio.run(ask())

    assert (first, second) == (200, 200)
    assert one is not two
    assert (one.threads, two.threads) == (0, 0)


# -- def views that nothing surrounds ------------------------------------------------------


class Teapot(Exception):
    pass


def after_this():
    after_this_request(lambda response: (f"<{response.get_data(as_text=True)}>", 201))
    return "x"


def raising(error):
    def view():
        raise error

    return view


def entering(log):
    @contextmanager
    def managed():
        try:
            yield
        finally:
            log.append("left")

    def view():
        request.enter(managed())
        return "x"

    return view


def visit():
    session["n"] = session.get("n", 0) + 1
    return str(session["n"])


UNUSUAL = {
    "text": lambda log: lambda: "text",
    "json": lambda log: lambda: {"a": [1]},
    "list": lambda log: lambda: [1, 2],
    "bytes": lambda log: lambda: b"bytes",
    "tuple": lambda log: lambda: ("made", 201, {"X-Made": "1"}),
    "response": lambda log: lambda: make_response("made", 202),
    "generator": lambda log: lambda: (piece for piece in ("a", "b")),
    "awaitable": lambda log: lambda: asyncio.sleep(0, "awaited"),
    "nothing": lambda log: lambda: None,
    "no json": lambda log: lambda: {"a": object()},
    "abort": lambda log: lambda: abort(404),
    "handled": lambda log: raising(Teapot()),
    "unhandled": lambda log: raising(ValueError("no")),
    "after_this_request": lambda log: after_this,
    "session": lambda log: visit,
    "enter": lambda log: entering(log),
    "redirect": lambda log: lambda: redirect("/elsewhere"),
    "body": lambda log: lambda: sync.request.get_data(as_text=True),
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("what", UNUSUAL)
async def test_a_def_view_answers_alike_with_and_without_hooks(what, method):
    answers, logs = [], []
    for hooked in (False, True):
        log = []
        app = Erlen("alike", errors="problem")
        app.secret_key = "x"
        app.add_url_rule("/", "view", UNUSUAL[what](log), methods=["GET", "POST"])
        app.errorhandler(Teapot)(lambda error: ("teapot", 418))
        if hooked:
            app.before_request(lambda: None)
        data = b"sent" if method == "POST" else None
        answer = await app.test_client().open("/", method=method, data=data)
        headers = [
            (key, re.sub("session=[^;]+", "", value)) for key, value in answer.headers.items()
        ]
        answers.append((answer.status_code, answer.data, sorted(headers)))  # a cookie is dated
        logs.append(log)

    assert answers[0] == answers[1]
    assert logs[0] == logs[1]
    assert logs[0] == (["left"] if what == "enter" else [])


@pytest.mark.parametrize(
    "signal",
    [
        signals.request_started,
        signals.request_finished,
        signals.request_tearing_down,
        signals.appcontext_pushed,
        signals.appcontext_tearing_down,
        signals.appcontext_popped,
    ],
    ids=lambda signal: signal.name,
)
@pytest.mark.parametrize("served", ["async def", "hooked", "def", "missing"])
async def test_a_signal_is_heard_around_whatever_is_served(served, signal):
    app = Erlen("heard")
    heard = []

    async def view():
        return "x"

    async def after(response):
        return response

    if served != "missing":
        app.add_url_rule("/", "view", (lambda: "x") if served == "def" else view)
    if served == "hooked":
        app.after_request(after)

    def hear(sender, **data):
        heard.append(sender)

    with signal.connected_to(hear, app):
        await app.test_client().get("/")

    assert heard == [app]


async def test_an_app_that_makes_its_own_responses_makes_those_of_def_views():
    class Loud(Erlen):
        def make_response(self, *args):
            response = super().make_response(*args)
            response.headers["X-Loud"] = "yes"
            return response

    app = Loud("loud")
    app.add_url_rule("/", "view", lambda: "x")

    assert (await app.test_client().get("/")).headers["X-Loud"] == "yes"


# -- bodies ahead of def views -------------------------------------------------------------


async def test_async_before_hooks_refuse_before_the_body_is_read():
    app = Erlen("early")

    @app.before_request
    async def refuse():
        return "no", 401

    @app.post("/")
    def show():
        return "never"

    async def endless():
        while True:
            yield b"x" * 1024

    response = await app.test_client().post("/", data=b"x" * 100)

    assert response.status_code == 401


async def test_a_body_over_the_limit_is_an_error_at_the_first_access():
    app = Erlen("limit")
    app.config["MAX_CONTENT_LENGTH"] = 10

    @app.post("/ignore")
    def ignore():
        return "fine"

    @app.post("/read")
    def read():
        return sync.request.get_data()

    client = app.test_client()

    assert (await client.post("/ignore", data=b"x" * 20)).status_code == 200
    assert (await client.post("/read", data=b"x" * 20)).status_code == 413


async def test_a_hook_may_raise_the_limit():
    app = Erlen("raise")
    app.config["MAX_CONTENT_LENGTH"] = 10

    @app.before_request
    def allow():
        request.max_content_length = 100

    @app.post("/")
    def read():
        return str(len(sync.request.get_data()))

    assert (await app.test_client().post("/", data=b"x" * 20)).text == "20"


async def test_a_large_body_of_a_def_view_is_spooled_to_disk():
    app = Erlen("spool")

    @app.post("/")
    def read():
        stream = sync.request.stream
        return f"{hasattr(stream, 'fileno') and stream.fileno() > 0} {len(stream.read())}"

    response = await app.test_client().post("/", data=b"x" * 3_000_000)

    assert response.text == "True 3000000"


async def test_stream_body_reads_while_the_body_arrives():
    app = Erlen("stream body")

    @app.post("/", stream_body=True)
    def read():
        first = sync.request.stream.read(4)
        return first + b"|" + sync.request.stream.read()

    response = await app.test_client().post("/", data=b"abcdefgh")

    assert response.text.startswith("abcd|")


# -- streams from def views ----------------------------------------------------------------


async def test_a_def_generator_runs_in_one_thread_and_is_torn_down_there():
    app = Erlen("generator")
    seen = {}

    @app.get("/")
    def show():
        note_thread(seen, "view")

        def pieces():
            note_thread(seen, "first")
            yield request.path
            note_thread(seen, "last")
            yield "!"

        return pieces()

    app.teardown_request(lambda error: note_thread(seen, "teardown"))

    assert (await app.test_client().get("/")).text == "/!"
    assert len(seen) == 4
    assert len(set(seen.values())) == 1


async def test_a_def_view_may_be_a_generator_itself():
    app = Erlen("generator view")

    @app.get("/")
    def show():
        yield "one"
        yield "two"

    assert (await app.test_client().get("/")).text == "onetwo"


async def test_an_error_before_the_first_piece_is_an_ordinary_error():
    app = Erlen("early error")

    @app.errorhandler(LookupError)
    async def handler(error):
        return "handled", 404

    @app.get("/def")
    def plain():
        raise LookupError
        yield "never"

    @app.get("/async")
    async def asynchronous():
        raise LookupError
        yield "never"

    client = app.test_client()

    for path in ("/def", "/async"):
        response = await client.get(path)
        assert (response.status_code, response.text) == (404, "handled")


async def test_an_async_view_may_return_a_def_generator():
    app = Erlen("mixed stream")

    @app.get("/")
    async def show():
        def pieces():
            yield "one"
            yield str(threading.get_ident())

        return pieces()

    text = (await app.test_client().get("/")).text

    assert text.startswith("one")
    assert text != f"one{threading.get_ident()}"


async def test_a_def_view_may_return_an_async_generator():
    app = Erlen("mixed stream")
    torn = []
    app.teardown_request(lambda error: torn.append(g.x))

    @app.get("/")
    def show():
        g.x = 1

        async def pieces():
            yield "one"
            await asyncio.sleep(0)
            yield str(g.x)

        return pieces()

    assert (await app.test_client().get("/")).text == "one1"
    assert torn == [1]


# -- registration --------------------------------------------------------------------------


def test_a_def_websocket_is_refused_where_it_is_registered():
    app = Erlen("websocket")

    with pytest.raises(SetupError, match=r"'.*echo' \(test_colours.py:\d+\).*is def"):

        @app.websocket("/echo")
        def echo(): ...


async def test_the_session_is_the_same_in_both_colours():
    app = Erlen("session")
    app.secret_key = "k" * 32

    @app.before_request
    def count():
        session["n"] = session.get("n", 0) + 1

    @app.get("/")
    async def show():
        return str(session["n"])

    client = app.test_client()

    assert [(await client.get("/")).text for _ in range(3)] == ["1", "2", "3"]
