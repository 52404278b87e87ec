"""What outlives a request, and what is closed with it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from erlen import (
    Erlen,
    WebSocketDisconnect,
    after_this_request,
    copy_current_app_context,
    copy_current_request_context,
    copy_current_websocket_context,
    current,
    current_app,
    current_request,
    enter,
    g,
    has_app_context,
    request,
    session,
    stream_with_context,
    websocket,
)
from erlen.errors import ContextError
from erlen.proxies import current as current_context
from erlen.signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)


async def test_a_task_may_keep_the_request_with_a_g_of_its_own():
    app = Erlen("copies")
    app.secret_key = "k" * 32
    answered = asyncio.Event()
    seen = []

    @app.post("/")
    async def start():
        g.mine = True
        session["user"] = "ada"
        await request.get_data()

        @copy_current_request_context
        async def later():
            await answered.wait()
            seen.append((request.path, await request.get_data(), "mine" in g, session["user"]))

        app.extensions["task"] = asyncio.create_task(later())
        return "started"

    torn = []
    app.teardown_request(lambda error: torn.append(1))

    client = app.test_client()
    assert (await client.post("/", data=b"body")).text == "started"
    answered.set()
    await app.extensions["task"]

    assert seen == [("/", b"body", False, "ada")]
    assert torn == [1]


async def test_a_thread_may_keep_the_request():
    app = Erlen("copies")
    seen = []

    @app.get("/")
    async def start():
        @copy_current_request_context
        def later():
            seen.append(request.path)

        thread = threading.Thread(target=later)
        thread.start()
        await asyncio.to_thread(thread.join)
        return "x"

    await app.test_client().get("/")

    assert seen == ["/"]


async def test_an_app_context_can_be_copied_into_tasks_and_threads():
    app = Erlen("copies")

    async def asynchronous():
        return current_app.name

    async with app.app_context():
        plain = copy_current_app_context(lambda: current_app.name)
        asynchronous = copy_current_app_context(asynchronous)

    assert plain() == "copies"
    assert await asynchronous() == "copies"


async def test_a_websocket_can_be_copied_into_a_task():
    app = Erlen("copies")
    seen = []

    @app.websocket("/ws")
    async def view():
        @copy_current_websocket_context
        async def later():
            seen.append(websocket.path)

        await websocket.accept()
        await asyncio.create_task(later())

    async with app.test_client().websocket("/ws"):
        pass

    assert seen == ["/ws"]


async def test_without_a_request_there_is_nothing_to_copy():
    async with Erlen("x").app_context():
        with pytest.raises(ContextError, match="within a request"):
            copy_current_request_context(print)


def test_stream_with_context_returns_what_it_is_given():
    assert stream_with_context(print) is print


# -- resources of a request ----------------------------------------------------------------


def resource(log):
    @contextlib.contextmanager
    def plain(name):
        log.append(f"enter {name}")
        try:
            yield name
        except LookupError:
            log.append(f"failed {name}")
            raise
        finally:
            log.append(f"exit {name}")

    @contextlib.asynccontextmanager
    async def asynchronous(name):
        with plain(name):
            yield name

    return plain, asynchronous


async def test_what_is_entered_is_left_at_teardown_in_reverse():
    app = Erlen("resources")
    log = []
    plain, asynchronous = resource(log)

    @app.get("/async")
    async def asynchronous_view():
        assert await enter(asynchronous("a")) == "a"
        assert enter(plain("b")) == "b"
        log.append("view")
        return "x"

    @app.get("/def")
    def plain_view():
        assert enter(asynchronous("a")) == "a"
        assert enter(plain("b")) == "b"
        log.append("view")
        return "x"

    client = app.test_client()
    for path in ("/async", "/def"):
        assert (await client.get(path)).text == "x"
        assert log == ["enter a", "enter b", "view", "exit b", "exit a"]
        log.clear()


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_a_resource_sees_the_error_of_the_view(colour):
    app = Erlen("resources")
    log = []
    plain, _ = resource(log)

    def fail():
        enter(plain("a"))
        raise LookupError

    async def fail_async():
        fail()

    app.add_url_rule("/", "fail", fail if colour == "def" else fail_async)

    assert (await app.test_client().get("/")).status_code == 500
    assert log == ["enter a", "failed a", "exit a"]


# -- finding the app -----------------------------------------------------------------------


class Shop(Erlen):
    currency = "EUR"


async def test_the_current_app_can_be_had_as_its_own_class():
    async with Shop("shop").app_context():
        assert current(Shop).currency == "EUR"
    async with Erlen("other").app_context():
        with pytest.raises(TypeError, match=r"<Erlen 'other'>, which is no Shop"):
            current(Shop)


async def test_the_request_itself_can_be_kept_and_compared():
    app = Erlen("objects")

    @app.get("/")
    async def show():
        return str(current_request() is request._get_current_object())

    assert (await app.test_client().get("/")).text == "True"


def test_g_is_a_namespace_with_a_dicts_manners():
    app = Erlen("g")

    with app.app_context():
        g.a = 1
        assert (g.get("a"), g.get("b"), g.get("b", 2), "a" in g, list(g)) == (
            1,
            None,
            2,
            True,
            ["a"],
        )
        assert g.setdefault("b", 3) == 3
        assert (g.pop("b"), g.pop("b", 4)) == (3, 4)
        with pytest.raises(KeyError):
            g.pop("b")
        with pytest.raises(AttributeError, match="g has no attribute 'missing'"):
            _ = g.missing
        del g.a
        assert repr(g) == "<erlen.g of 'g'>"


def test_a_context_cannot_be_left_out_of_order():
    app = Erlen("order")
    outer, inner = app.app_context(), app.app_context()
    outer.push()
    inner.push()

    with pytest.raises(ContextError, match="not the current one"):
        outer.pop()

    inner.pop()
    outer.pop()
    assert not has_app_context()


def test_a_context_says_what_it_is():
    app = Erlen("shown")
    context = app.app_context()

    with context:
        assert repr(context) == "<open context of 'shown': app>"
    assert repr(context) == "<closed context of 'shown': app>"


async def test_a_server_may_leave_an_old_context_behind():
    app = Erlen("leak")

    @app.get("/")
    async def show():
        return current_app.name

    client = app.test_client()
    await client.get("/")
    stale = app.app_context()
    stale.closed = True
    current_context.set(stale)

    assert (await client.get("/")).text == "leak"


# -- signals -------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_signals_are_sent_in_flasks_order_to_receivers_of_both_colours(colour):
    app = Erlen("signals")
    log = []
    names = {
        "pushed": appcontext_pushed,
        "started": request_started,
        "finished": request_finished,
        "tearing down": request_tearing_down,
        "context tearing down": appcontext_tearing_down,
        "popped": appcontext_popped,
    }
    receivers = []
    for name, signal in names.items():

        async def receive_async(sender, name=name, **data):
            log.append(f"async {name}")

        def receive(sender, name=name, **data):
            log.append(name)

        receivers += [(signal, receive), (signal, receive_async)]
        signal.connect(receive, app)
        signal.connect(receive_async, app)

    def view():
        log.append("view")
        return "x"

    async def async_view():
        return view()

    app.add_url_rule("/", "view", view if colour == "def" else async_view)
    await app.test_client().get("/")
    for signal, receiver in receivers:
        signal.disconnect(receiver, app)

    assert [entry for entry in log if not entry.startswith("async ")] == [
        "pushed",
        "started",
        "view",
        "finished",
        "tearing down",
        "context tearing down",
        "popped",
    ]
    assert len(log) == 13


async def test_after_this_request_may_be_async():
    app = Erlen("after")

    @app.get("/")
    async def show():
        @after_this_request
        async def mark(response):
            response.headers["X-Mark"] = "1"
            return response

        return "x"

    assert (await app.test_client().get("/")).headers["X-Mark"] == "1"


def test_app_contexts_are_announced_when_they_are_entered_and_left():
    app = Erlen("signals")
    log = []

    async def pushed(sender):
        log.append(("pushed", current_app.name))

    def popped(sender):
        log.append(("popped", sender.name))

    with appcontext_pushed.connected_to(pushed, app), appcontext_popped.connected_to(popped, app):
        with app.app_context() as context, context:
            log.append("inside")

    assert log == [("pushed", "signals"), "inside", ("popped", "signals")]


async def test_an_async_context_that_is_entered_twice_is_torn_down_once():
    app = Erlen("nested")
    log = []

    @app.teardown_appcontext
    async def torn(error):
        log.append(error)

    context = app.app_context()
    async with context, context:
        pass

    assert log == [None]


async def test_a_websocket_that_is_over_cannot_be_used():
    app = Erlen("late")
    over = asyncio.Event()
    tasks = []

    async def later():
        await over.wait()
        with pytest.raises(ContextError, match="is over"):
            _ = websocket.path
        return "refused"

    @app.websocket("/")
    async def view():
        await websocket.accept()
        tasks.append(asyncio.create_task(later()))

    async with app.test_client().websocket("/") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
    over.set()

    assert await tasks[0] == "refused"


def test_a_context_that_is_over_has_no_session():
    app = Erlen("late")
    with app.test_request_context() as context:
        assert context.session is context.untouched_session

    with pytest.raises(ContextError, match="is over"):
        _ = context.session


def test_after_its_request_starlette_shows_the_session_of_who_is_around_the_app():
    app = Erlen("none")
    kept = []

    @app.get("/")
    def view():
        kept.append(current_request())
        return ""

    scope = {"session": {"user": "ada"}}
    app.sync_test_client(scope_base=scope).get("/")

    assert kept[0].starlette.session == {"user": "ada"}
