"""Start-up, shutdown and background work."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from erlen import Blueprint, Erlen, current_app, g, has_request_context, lifespan, request
from erlen.errors import SetupError
from erlen.signals import got_background_exception, got_serving_exception


async def test_hooks_run_in_the_order_of_registration_and_end_in_reverse():
    app = Erlen("order")
    log = []

    @app.before_serving
    async def one():
        log.append(f"before {current_app.name}")

    @app.while_serving
    async def two():
        log.append("enter")
        yield
        log.append("leave")

    @app.while_serving
    def three():
        log.append("def enter")
        yield
        log.append("def leave")

    @app.before_serving
    def four():
        log.append("def before")

    @app.after_serving
    async def five():
        log.append("after")

    async with app.serving():
        log.append("serving")

    assert log == [
        "before order",
        "enter",
        "def enter",
        "def before",
        "serving",
        "after",
        "def leave",
        "leave",
    ]


async def test_an_app_may_be_served_twice():
    app = Erlen("twice")
    log = []

    @app.while_serving
    async def around():
        log.append("enter")
        yield
        log.append("leave")

    for _ in range(2):
        async with app.serving():
            pass

    assert log == ["enter", "leave"] * 2


async def test_what_was_started_is_ended_when_a_later_hook_fails():
    app = Erlen("partial")
    log = []
    seen = []

    @app.while_serving
    async def database():
        log.append("connect")
        yield
        log.append("disconnect")

    @app.before_serving
    async def fails():
        raise LookupError("no cache")

    def note_error(sender, exception):
        seen.append((sender.name, str(exception)))

    with (
        got_serving_exception.connected_to(note_error),
        pytest.raises(LookupError, match="no cache") as caught,
    ):
        async with app.serving():
            raise AssertionError("never served")

    note = caught.value.__notes__[0]
    assert note.startswith("This happened in the before_serving function 'test_what_was_started")
    assert log == ["connect", "disconnect"]
    assert seen == [("partial", "no cache")]


def test_while_serving_takes_a_generator():
    with pytest.raises(SetupError, match=r"generator function.*'.*once' \(test_lifespan.py"):

        @Erlen("wrong").while_serving
        async def once(): ...


async def test_a_starlette_lifespan_runs_and_its_state_reaches_requests():
    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"database": f"of {app.name}"}

    app = Erlen("state", lifespan=lifespan)

    @app.get("/")
    async def show():
        return request.state["database"]

    async with app.test_client() as client:
        assert (await client.get("/")).text == "of state"


async def test_the_lifespan_of_a_mounted_app_runs_with_its_own_state():
    log = []

    @contextlib.asynccontextmanager
    async def inner_lifespan(app):
        log.append("inner up")
        yield {"name": "inner"}
        log.append("inner down")

    async def show(request):
        return PlainTextResponse(request.state.name)

    app = Erlen("mounts", lifespan=None)
    app.mount("/inner", Starlette(routes=[Route("/", show)], lifespan=inner_lifespan))
    app.mount("/plain", PlainTextResponse("no lifespan"))

    async with app.test_client() as client:
        assert (await client.get("/inner/")).text == "inner"
        assert (await client.get("/plain/")).text == "no lifespan"

    assert log == ["inner up", "inner down"]


async def test_a_mounted_app_that_fails_to_start_stops_the_start():
    @contextlib.asynccontextmanager
    async def broken(app):
        raise LookupError("no database")
        yield

    app = Erlen("mounts")
    app.mount("/inner", Starlette(lifespan=broken))

    with pytest.raises(RuntimeError, match="mounted app failed to start"):
        async with app.serving():
            pass


async def test_blueprints_bring_their_own_hooks():
    app, shop = Erlen("blueprint"), Blueprint("shop", "blueprint")
    log = []
    shop.before_app_serving(lambda: log.append("before"))
    shop.after_app_serving(lambda: log.append("after"))

    @shop.while_app_serving
    async def around():
        log.append("enter")
        yield
        log.append("leave")

    app.register_blueprint(shop)

    async with app.serving():
        pass

    assert log == ["before", "enter", "leave", "after"]


async def speak_lifespan(app, *, state=True):
    """Send start-up and shutdown as a server does and return what the app answered."""
    inbox, answers = asyncio.Queue(), []
    inbox.put_nowait({"type": "lifespan.startup"})
    inbox.put_nowait({"type": "lifespan.shutdown"})
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    if state:
        scope["state"] = {}

    async def send(message):
        answers.append(message)

    await app(scope, inbox.get, send)
    return answers


@pytest.mark.parametrize("state", [True, False])
async def test_the_lifespan_protocol_is_spoken_with_and_without_state(state):
    answers = await speak_lifespan(Erlen("asgi"), state=state)

    assert [answer["type"] for answer in answers] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@pytest.mark.parametrize("phase", ["before_serving", "after_serving"])
async def test_a_server_is_told_that_the_lifespan_failed(phase, caplog):
    app = Erlen("fails")

    @getattr(app, phase)
    async def fails():
        raise LookupError("no database")

    answers = await speak_lifespan(app)

    assert answers[-1]["type"].endswith(".failed")
    assert answers[-1]["message"] == "LookupError: no database"
    assert "no database" in caplog.text


async def test_an_unknown_scope_is_refused():
    with pytest.raises(RuntimeError, match="'carrier-pigeon'"):
        await Erlen("x")({"type": "carrier-pigeon"}, None, None)


# -- background tasks ----------------------------------------------------------------------


async def test_a_task_runs_after_the_response_with_an_app_and_without_a_request():
    app = Erlen("task")
    seen = []
    answered = asyncio.Event()

    async def work(name):
        await answered.wait()
        g.x = 1
        seen.append((name, current_app.name, has_request_context()))

    @app.get("/")
    async def start():
        app.add_background_task(work, "async")
        return "started"

    @app.get("/def")
    def start_from_thread():
        app.add_background_task(work, name="def")
        return "started"

    async with app.serving():
        client = app.test_client()
        assert (await client.get("/")).text == "started"
        assert (await client.get("/def")).text == "started"
        assert seen == []
        answered.set()

    assert sorted(seen) == [("async", "task", False), ("def", "task", False)]


async def test_a_def_task_runs_in_a_thread():
    app = Erlen("task")
    seen = []

    async with app.serving():
        app.add_background_task(lambda: seen.append(threading.get_ident()))

    assert seen
    assert seen[0] != threading.get_ident()


async def test_a_task_that_asks_for_the_request_is_told_what_to_do(caplog):
    app = Erlen("task")

    async def work():
        return request.path

    async with app.serving():
        app.add_background_task(work)

    assert "copy_current_request_context" in caplog.text


async def test_a_task_that_fails_is_logged_and_signalled_and_stops_nobody(caplog):
    app = Erlen("task")
    seen = []

    async def fails():
        raise LookupError("lost")

    async def works():
        await asyncio.sleep(0.01)
        seen.append("done")

    def note(sender, exception):
        seen.append(str(exception))

    with got_background_exception.connected_to(note):
        async with app.serving():
            app.add_background_task(fails)
            app.tasks.create_task(works())

    assert seen == ["lost", "done"]
    assert caplog.text.count("LookupError: lost") == 1


async def test_a_task_that_does_not_end_is_cancelled_at_shutdown():
    app = Erlen("task")
    app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"] = 0.02
    log = []

    async def forever():
        try:
            await asyncio.sleep(60)
        finally:
            log.append("cancelled")

    async with app.serving():
        app.add_background_task(forever)
        await asyncio.sleep(0)

    assert log == ["cancelled"]


async def test_what_a_task_starts_at_shutdown_is_waited_for_too():
    app = Erlen("task")
    log = []

    async def work(left):
        await asyncio.sleep(0.005)
        log.append(left)
        if left:
            app.add_background_task(work, left - 1)

    async with app.serving():
        app.add_background_task(work, 5)

    assert log == [5, 4, 3, 2, 1, 0]


async def test_a_def_task_that_hangs_does_not_keep_the_shutdown(caplog, monkeypatch):
    monkeypatch.setattr(lifespan, "_TIDYING", 0.05)
    app = Erlen("task")
    app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"] = 0.02
    gate = threading.Event()

    def hang():
        gate.wait(30)

    async with app.serving():
        app.add_background_task(hang)
        await asyncio.sleep(0.01)

    assert "Background tasks took no notice of being cancelled: hang" in caplog.text
    assert app.tasks.running == set()
    gate.set()


async def test_a_task_that_takes_no_notice_does_not_keep_the_shutdown(caplog, monkeypatch):
    monkeypatch.setattr(lifespan, "_TIDYING", 0.02)
    app = Erlen("task")
    app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"] = 0.02
    go = asyncio.Event()

    async def stubborn():
        while not go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go.wait()

    async with app.serving():
        app.add_background_task(stubborn)
        await asyncio.sleep(0)

    assert "took no notice of being cancelled: stubborn" in caplog.text
    go.set()


async def test_a_coroutine_may_become_a_task_from_a_thread():
    app = Erlen("task")
    seen = []

    async def work():
        seen.append((current_app.name, has_request_context()))

    @app.get("/")
    def start():
        app.tasks.create_task(work())
        return "started"

    async with app.serving():
        await app.test_client().get("/")

    assert seen == [("task", False)]


async def test_two_test_clients_in_a_row_start_and_stop_an_app_twice():
    app = Erlen("twice")
    log = []

    @app.while_serving
    async def around():
        log.append("up")
        yield
        log.append("down")

    app.before_serving(lambda: log.append("before"))
    app.get("/")(lambda: "fine")

    for _ in range(2):
        async with app.test_client() as client:
            assert (await client.get("/")).text == "fine"
    with app.test_client() as client:
        assert client.get("/").text == "fine"

    assert log == ["up", "before", "down"] * 3


async def test_each_mounted_app_sees_its_own_state_and_the_state_of_ours():
    def lifespan_of(name):
        @contextlib.asynccontextmanager
        async def lifespan(app):
            yield {"name": name, name: True}

        return lifespan

    async def show(request):
        return PlainTextResponse(",".join(sorted(map(str, request.state._state))))

    app = Erlen("mounts", lifespan=lifespan_of("ours"))
    for name in ("one", "two"):
        inner = Starlette(routes=[Route("/", show)], lifespan=lifespan_of(name))
        app.mount(f"/{name}", inner)

    async with app.test_client() as client:
        one = (await client.get("/one/")).text
        two = (await client.get("/two/")).text

    assert "one" in one.split(",")
    assert "two" not in one.split(",")
    assert "two" in two.split(",")
    assert "one" not in two.split(",")


def test_a_task_needs_a_loop():
    with pytest.raises(RuntimeError, match=r"async with app\.serving"):
        Erlen("task").add_background_task(print)


async def test_a_while_serving_generator_yields_once():
    app = Erlen("greedy")

    @app.while_serving
    async def greedy():
        yield
        yield

    with pytest.raises(
        RuntimeError, match=r"greedy' \(test_lifespan.py:\d+\) yields more than once"
    ):
        async with app.serving():
            pass


async def test_shutdown_does_not_wait_for_ever_for_a_def_view(caplog):
    app = Erlen("stuck")
    app.config.update(BACKGROUND_TASK_SHUTDOWN_TIMEOUT=0.02, SHUTDOWN_GRACE=0.02)
    started, gate = threading.Event(), threading.Event()

    @app.get("/")
    def stuck():
        started.set()
        gate.wait(10)
        return "at last"

    async with app.serving():
        request = asyncio.create_task(app.test_client().get("/"))
        await asyncio.to_thread(started.wait)

    assert "1 def calls were still running 0.02 seconds after the shutdown began" in caplog.text
    gate.set()
    assert (await request).status_code == 503
