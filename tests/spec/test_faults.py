"""Whatever goes wrong, and wherever: one response, one teardown of everything, nothing left."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
from collections.abc import Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette

from erlen import (
    Erlen,
    after_this_request,
    enter,
    inflight,
    render_template_string,
    session,
    websocket,
)
from erlen.errors import ContextError
from erlen.exceptions import Conflict
from erlen.proxies import current
from erlen.responses import Response
from erlen.sessions import SecureCookieSession, SessionInterface
from erlen.signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    got_background_exception,
    got_request_exception,
    got_websocket_exception,
    request_finished,
    request_started,
    request_tearing_down,
    websocket_started,
    websocket_tearing_down,
)
from tests.exchanges import Conversation, Cycle, Exchange, cancelled_everywhere


class Stop(BaseException):
    """What no except Exception catches."""


KINDS: dict[str, Callable[[], BaseException]] = {
    "error": lambda: LookupError("planted"),
    "http": lambda: Conflict("planted"),
    "group": lambda: ExceptionGroup("planted", [LookupError(), Conflict()]),
    "cancelled": asyncio.CancelledError,
    "base": Stop,
}
COLOURS = ["async", "def"]


def coloured(colour: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* as one of that colour."""

    async def async_step(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        value = function(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value

    def def_step(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return async_step if colour == "async" else def_step


# Where an error is planted: each returns the body of the view, unless that is a plain one.


def _before(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.before_request(step)


def _view(app: Erlen, step: Any, stack: ExitStack) -> Any:
    return step


def _after_this_request(app: Erlen, step: Any, stack: ExitStack) -> Any:
    def view() -> str:
        after_this_request(step)
        return "fine"

    return view


def _after(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.after_request(step)


def _session_open(app: Erlen, step: Any, stack: ExitStack) -> Any:
    class Closed(SessionInterface):
        open_session = step

    app.session_interface = Closed()
    return lambda: session.get("x", "fine")


def _session_save(app: Erlen, step: Any, stack: ExitStack) -> Any:
    class Unsaved(SessionInterface):
        save_session = step

        def open_session(self, app: Any, request: Any) -> SecureCookieSession:
            return SecureCookieSession()

    app.session_interface = Unsaved()
    return lambda: session.get("x", "fine")


def _handler(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.errorhandler(ZeroDivisionError)(step)
    return lambda: 1 // 0


def _handler_500(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.errorhandler(500)(step)
    return lambda: 1 // 0


def _template(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.template_global("fail")(step)
    return lambda: render_template_string("{{ fail() }}")


def _context_processor(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.context_processor(step)
    return lambda: render_template_string("fine")


def _manager_exit(app: Erlen, step: Any, stack: ExitStack) -> Any:
    class Manager:
        def __enter__(self) -> None: ...

        __exit__ = step

    def view() -> str:
        enter(Manager())
        return "fine"

    return view


def _async_manager_exit(app: Erlen, step: Any, stack: ExitStack) -> Any:
    class Manager:
        async def __aenter__(self) -> None: ...

        __aexit__ = step

    async def view() -> str:
        await enter(Manager())
        return "fine"

    return view


def _call_on_close(app: Erlen, step: Any, stack: ExitStack) -> Any:
    def view() -> Response:
        response = Response("fine")
        response.call_on_close(step)
        return response

    return view


def _preprocessor(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.url_value_preprocessor(step)


def _teardown_request(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.teardown_request(step)


def _teardown_appcontext(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.teardown_appcontext(step)


def _receiver(signal: Any) -> Any:
    def planted(app: Erlen, step: Any, stack: ExitStack) -> Any:
        stack.enter_context(signal.connected_to(step, app))

    return planted


def _got_exception(app: Erlen, step: Any, stack: ExitStack) -> Any:
    stack.enter_context(got_request_exception.connected_to(step, app))
    return lambda: 1 // 0


def _foreign(app: Erlen, step: Any, stack: ExitStack) -> Any:
    def view() -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            result = step()
            if asyncio.iscoroutine(result):
                await result

        return answer

    return view


RECOVERED = {"error": 500, "http": 409, "group": 500, "cancelled": None, "base": None}
"""Status by kind where the error handlers are asked; ``None``: the error leaves the app."""
LATE = {**RECOVERED, "http": 500}
"""The same where it is too late for them."""
OVER = dict.fromkeys(KINDS, 200)
"""The same where the response has been sent already."""

PLACES: dict[str, tuple[Any, dict[str, int | None], list[str]]] = {
    "preprocessor": (_preprocessor, RECOVERED, ["def"]),
    "before": (_before, RECOVERED, COLOURS),
    "view": (_view, RECOVERED, COLOURS),
    "after this request": (_after_this_request, LATE, COLOURS),
    "after": (_after, LATE, COLOURS),
    "session open": (_session_open, RECOVERED, COLOURS),
    "session save": (_session_save, LATE, COLOURS),
    "handler": (_handler, LATE, COLOURS),
    "handler of 500": (_handler_500, LATE, COLOURS),
    "template": (_template, RECOVERED, ["def"]),
    "context processor": (_context_processor, RECOVERED, ["def"]),
    "foreign response": (_foreign, RECOVERED, COLOURS),
    "pushed": (_receiver(appcontext_pushed), RECOVERED, COLOURS),
    "started": (_receiver(request_started), RECOVERED, COLOURS),
    "finished": (_receiver(request_finished), LATE, COLOURS),
    "got exception": (_got_exception, LATE, COLOURS),
    "call on close": (_call_on_close, OVER, COLOURS),
    "manager exit": (_manager_exit, OVER, ["def"]),
    "async manager exit": (_async_manager_exit, OVER, ["async"]),
    "teardown request": (_teardown_request, OVER, COLOURS),
    "teardown appcontext": (_teardown_appcontext, OVER, COLOURS),
    "tearing down": (_receiver(request_tearing_down), OVER, COLOURS),
    "appcontext tearing down": (_receiver(appcontext_tearing_down), OVER, COLOURS),
    "popped": (_receiver(appcontext_popped), OVER, COLOURS),
}
NEVER_SWALLOWED = {"cancelled", "base"}
BEFORE_THE_BODY = {place for place, row in PLACES.items() if row[1] is OVER} - {"call on close"}
"""Where a ``def`` view fails before its response is sent, and an ``async def`` view after."""


def tear_down(app: Erlen, log: list[str], kind: str = "request") -> None:
    """Note in *log* each teardown of *app*, of both colours."""
    for place in (kind, "appcontext"):

        async def async_step(error: Any, place: str = place) -> None:
            log.append(f"async {place}")

        def def_step(error: Any, place: str = place) -> None:
            log.append(f"def {place}")

        getattr(app, f"teardown_{place}")(async_step)
        getattr(app, f"teardown_{place}")(def_step)


TEARDOWNS = ["async appcontext", "async request", "def appcontext", "def request"]


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("place", "colour"),
    [(place, colour) for place, row in PLACES.items() for colour in row[2]],
)
async def test_an_error_anywhere_costs_one_response_at_most(
    place, colour, kind, view_colour, caplog
):
    caplog.set_level(logging.CRITICAL)
    app = Erlen("faults")
    app.secret_key = "k" * 32
    log: list[str] = []
    plant, statuses, _ = PLACES[place]

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise KINDS[kind]()

    with ExitStack() as stack:
        tear_down(app, log)
        view = plant(app, coloured(colour, fail), stack) or (lambda: "fine")
        app.get("/")(coloured(view_colour, view))
        exchange = await Exchange(app).run()
    await app.close_worker_pool()

    exchange.check()
    status = statuses[kind]
    if place in BEFORE_THE_BODY and view_colour == "def" and kind in NEVER_SWALLOWED:
        status = None  # its thread ends with the teardown, and only then the body is sent
    assert (exchange.status, sorted(log)) == (status, TEARDOWNS)
    if place in BEFORE_THE_BODY:
        assert (exchange.error is None) == (kind not in NEVER_SWALLOWED)
    elif statuses is OVER:
        assert exchange.complete
        assert exchange.error is not None
    else:
        assert (exchange.error is None) == exchange.complete


# -- streams -------------------------------------------------------------------------------


def pieces(colour: str, fail_at: int, kind: str, log: list[str]) -> Any:
    """Return a generator of *colour* that raises an error of *kind* instead of a piece."""

    async def async_pieces() -> Any:
        try:
            for number in range(4):
                await asyncio.sleep(0)
                if number == fail_at:
                    raise KINDS[kind]()
                yield str(number)
        finally:
            log.append("closed")

    def def_pieces() -> Any:
        try:
            for number in range(4):
                if number == fail_at:
                    raise KINDS[kind]()
                yield str(number)
        finally:
            log.append("closed")

    return (async_pieces if colour == "async" else def_pieces)()


@pytest.mark.parametrize("surrounded", [True, False], ids=["hooks", "bare"])
@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fail_at", [0, 1, 3])
async def test_a_stream_that_fails_is_never_taken_for_a_whole_one(
    fail_at, kind, colour, view_colour, surrounded, caplog
):
    caplog.set_level(logging.CRITICAL)
    app = Erlen("streams")
    log: list[str] = []
    if surrounded:
        tear_down(app, log)
    app.get("/")(coloured(view_colour, lambda: pieces(colour, fail_at, kind, log)))

    exchange = await Exchange(app).run()
    await app.close_worker_pool()

    exchange.check()
    assert [log[0], *sorted(log[1:])] == ["closed", *(TEARDOWNS if surrounded else [])]
    if fail_at == 0:
        assert exchange.status == RECOVERED[kind]
    else:
        assert (exchange.status, exchange.complete) == (200, False)
        assert type(exchange.error) is type(KINDS[kind]())


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
async def test_a_stream_that_is_not_sent_is_closed(colour, view_colour, caplog):
    caplog.set_level(logging.CRITICAL)
    app = Erlen("unsent")
    log: list[str] = []
    closed_by: list[bool] = []
    tear_down(app, log)

    @app.after_request
    async def fail(response: Response) -> Response:
        response.call_on_close(lambda: closed_by.append(True))
        if response.status_code == 200:
            raise LookupError
        return response

    app.get("/")(coloured(view_colour, lambda: pieces(colour, 9, "error", log)))

    exchange = await Exchange(app).run()
    await app.close_worker_pool()

    exchange.check()
    assert exchange.status == 500
    assert [log[0], *sorted(log[1:])] == ["closed", *TEARDOWNS]
    assert closed_by == [True, True]


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
async def test_a_stream_that_a_hook_replaces_is_closed(colour, view_colour):
    app = Erlen("replaced")
    log: list[str] = []
    tear_down(app, log)

    @app.after_request
    async def replace(response: Response) -> Any:
        return Response("another")

    app.get("/")(coloured(view_colour, lambda: pieces(colour, 9, "error", log)))

    exchange = await Exchange(app).run()
    await app.close_worker_pool()

    exchange.check()
    assert exchange.body == b"another"
    assert [log[0], *sorted(log[1:])] == ["closed", *TEARDOWNS]


# -- websockets ----------------------------------------------------------------------------


def _socket_before(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.before_websocket(step)


def _socket_view(app: Erlen, step: Any, stack: ExitStack) -> Any:
    return step


def _socket_after(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.after_websocket(step)


def _socket_handler(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.errorhandler(ZeroDivisionError)(step)
    return lambda: 1 // 0


def _socket_session_save(app: Erlen, step: Any, stack: ExitStack) -> Any:
    _session_save(app, step, stack)

    def view() -> Any:
        session["x"] = 1
        raise Conflict

    return view


def _socket_teardown(app: Erlen, step: Any, stack: ExitStack) -> Any:
    app.teardown_websocket(step)


def _socket_got_exception(app: Erlen, step: Any, stack: ExitStack) -> Any:
    stack.enter_context(got_websocket_exception.connected_to(step, app))
    return lambda: 1 // 0


SOCKET_PLACES: dict[str, tuple[Any, list[str]]] = {
    "preprocessor": (_preprocessor, ["def"]),
    "before": (_socket_before, COLOURS),
    "view": (_socket_view, COLOURS),
    "after": (_socket_after, COLOURS),
    "handler": (_socket_handler, COLOURS),
    "session open": (_session_open, COLOURS),
    "session save": (_socket_session_save, COLOURS),
    "started": (_receiver(websocket_started), COLOURS),
    "got exception": (_socket_got_exception, COLOURS),
    "teardown websocket": (_socket_teardown, COLOURS),
    "teardown appcontext": (_teardown_appcontext, COLOURS),
    "tearing down": (_receiver(websocket_tearing_down), COLOURS),
    "appcontext tearing down": (_receiver(appcontext_tearing_down), COLOURS),
}


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}], ids=["", "denial"])
@pytest.mark.parametrize("accepts", [False, True], ids=["before accept", "after accept"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("place", "colour"),
    [(place, colour) for place, row in SOCKET_PLACES.items() for colour in row[1]],
)
async def test_an_error_anywhere_closes_a_websocket_once(
    place, colour, kind, accepts, extensions, caplog
):
    caplog.set_level(logging.CRITICAL)
    app = Erlen("faults")
    app.secret_key = "k" * 32
    log: list[str] = []
    plant, _ = SOCKET_PLACES[place]

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise KINDS[kind]()

    with ExitStack() as stack:
        tear_down(app, log, "websocket")
        work = plant(app, coloured(colour, fail), stack)

        @app.websocket("/")
        async def view() -> Any:
            if accepts:
                await websocket.accept()
            result = None if work is None else work()
            if inspect.isawaitable(result):
                await result

        talk = await Conversation(app, extensions=extensions).run()
    await app.close_worker_pool()

    talk.check()
    assert sorted(log) == [name.replace("request", "websocket") for name in TEARDOWNS]
    assert (talk.error is None) == (kind not in NEVER_SWALLOWED)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("breaks_at", range(4))
async def test_a_peer_that_is_gone_when_something_is_sent_is_no_error(breaks_at, colour, caplog):
    app = Erlen("gone")
    log: list[str] = []
    tear_down(app, log, "websocket")

    @app.websocket("/")
    async def view() -> None:
        await websocket.send("one")
        await websocket.send("two")

    talk = await Conversation(app, breaks_at=breaks_at).run()
    await app.close_worker_pool()

    talk.check()
    assert (talk.error, caplog.text) == (None, "")
    assert len(log) == len(TEARDOWNS)


@pytest.mark.parametrize("leaves_after", range(4))
async def test_a_peer_that_leaves_after_any_message_is_no_error(leaves_after, caplog):
    app = Erlen("leaves")
    log: list[str] = []
    tear_down(app, log, "websocket")

    @app.websocket("/")
    async def view() -> None:
        while True:
            await websocket.send(await websocket.receive())

    talk = await Conversation(app, texts=["a", "b", "c"], leaves_after=leaves_after).run()
    await app.close_worker_pool()

    talk.check()
    assert (talk.error, caplog.text) == (None, "")
    assert len(log) == len(TEARDOWNS)


async def test_a_websocket_may_be_cancelled_wherever_it_waits(caplog):
    app = Erlen("cancelled")
    log: list[str] = []
    tear_down(app, log, "websocket")
    app.before_websocket(coloured("def", lambda: None))
    app.after_websocket(coloured("async", lambda response: response))

    @app.websocket("/")
    async def view() -> None:
        async for message in websocket:
            await websocket.send(message)

    async def cancel_at(number: int) -> Conversation:
        log.clear()
        talk = await Conversation(app, texts=["a"], leaves_after=2, cancel_at=number).run()
        talk.check()
        assert len(log) == len(TEARDOWNS)
        assert caplog.text == ""
        assert isinstance(talk.error, asyncio.CancelledError) == talk.reached
        return talk

    assert await cancelled_everywhere(cancel_at) > 8
    await app.close_worker_pool()


async def test_the_server_may_stop_wherever_a_websocket_waits(caplog, monkeypatch):
    monkeypatch.setattr(inflight, "_CLOSING", 0.001)
    app = Erlen("stopped")
    log: list[str] = []
    tear_down(app, log, "websocket")
    app.before_websocket(coloured("def", lambda: None))
    app.after_websocket(coloured("async", lambda response: response))

    @app.websocket("/")
    async def view() -> None:
        async for message in websocket:
            await websocket.send(message)

    everything = app.in_flight_here()

    codes = set()

    async def stop_at(number: int) -> Conversation:
        log.clear()
        talk = Conversation(app, texts=["a"], leaves_after=2, cancel_at=number)
        talk.instead = lambda: everything.begin_drain(0)
        await talk.run()
        talk.check()
        assert (len(log), caplog.text) == (len(TEARDOWNS), "")
        assert (talk.error, talk.task.cancelling()) == (None, 0)
        codes.add(talk.code)
        await everything.drained(0)
        everything.open()
        return talk

    assert await cancelled_everywhere(stop_at) > 8
    assert 1012 in codes
    await app.close_worker_pool()


# -- start-up, shutdown, background work ---------------------------------------------------


def _while_serving(app: Erlen, step: Any, *, phase: str) -> None:
    is_async = inspect.iscoroutinefunction(step)

    async def async_hook() -> Any:
        if phase == "startup":
            await step()
        yield
        if phase == "shutdown":
            await step()

    def def_hook() -> Any:
        if phase == "startup":
            step()
        yield
        if phase == "shutdown":
            step()

    app.while_serving(async_hook if is_async else def_hook)


def _lifespan(app: Erlen, step: Any, *, phase: str) -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        if phase == "startup":
            await step()
        yield
        if phase == "shutdown":
            await step()

    app.serving_hooks.lifespan = lifespan


def _mounted(app: Erlen, step: Any, *, phase: str) -> None:
    inner = Erlen("inner")
    _lifespan(inner, step, phase=phase)
    app.mount("/inner", Starlette(lifespan=inner.serving_hooks.lifespan))


LIFE_PLACES: dict[str, tuple[str, Any, list[str]]] = {
    "before serving": ("startup", lambda app, step, phase: app.before_serving(step), COLOURS),
    "while serving, begin": ("startup", _while_serving, COLOURS),
    "lifespan, begin": ("startup", _lifespan, ["async"]),
    "mounted, begin": ("startup", _mounted, ["async"]),
    "after serving": ("shutdown", lambda app, step, phase: app.after_serving(step), COLOURS),
    "while serving, end": ("shutdown", _while_serving, COLOURS),
    "lifespan, end": ("shutdown", _lifespan, ["async"]),
    "mounted, end": ("shutdown", _mounted, ["async"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("place", "colour"),
    [(place, colour) for place, row in LIFE_PLACES.items() for colour in row[2]],
)
async def test_the_server_is_told_of_every_failure_and_what_was_begun_is_ended(
    place, colour, kind, caplog
):
    caplog.set_level(logging.CRITICAL)
    app = Erlen("life")
    log: list[str] = []
    fails = True
    phase, plant, _ = LIFE_PLACES[place]

    def fail() -> None:
        if fails:
            raise KINDS[kind]()

    @app.while_serving
    async def around() -> Any:
        log.append("begun")
        yield
        log.append("ended")

    app.teardown_appcontext(lambda error: log.append("torn down"))
    plant(app, coloured(colour, fail), phase=phase)

    cycle = await Cycle(app).run()

    cycle.check()
    told = ["startup.failed"] if phase == "startup" else ["startup.complete", "shutdown.failed"]
    assert cycle.outcomes == told
    assert cycle.sent[-1]["message"]
    assert (cycle.error is None) == (kind not in NEVER_SWALLOWED or "mounted" in place)
    begins_first = place.startswith(("lifespan", "mounted")) and phase == "startup"
    assert log == (["torn down"] if begins_first else ["begun", "ended", "torn down"])

    fails = False
    log.clear()
    second = await Cycle(app).run()

    assert second.outcomes == ["startup.complete", "shutdown.complete"]
    assert log == ["begun", "ended", "torn down"]


async def test_start_up_and_shutdown_may_be_cancelled_wherever_they_wait():
    app = Erlen("life")
    log: list[str] = []

    @app.while_serving
    async def around() -> Any:
        log.append("begun")
        yield
        log.append("ended")

    for colour in COLOURS:
        app.before_serving(coloured(colour, lambda: None))
        app.after_serving(coloured(colour, lambda: None))
    _mounted(app, coloured("async", lambda: None), phase="startup")

    async def cancel_at(number: int) -> Cycle:
        log.clear()
        cycle = await Cycle(app, cancel_at=number).run()
        cycle.check()
        assert isinstance(cycle.error, asyncio.CancelledError) == cycle.reached
        assert log in ([], ["begun", "ended"])
        return cycle

    assert await cancelled_everywhere(cancel_at) > 5


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_background_task_that_fails_is_logged_once_and_torn_down(kind, colour, caplog):
    app = Erlen("background")
    torn: list[str] = []
    seen: list[Any] = []

    def fail() -> None:
        raise KINDS[kind]()

    async def receiver(sender: Any, exception: Any) -> None:
        await asyncio.sleep(0)
        seen.append(exception)

    @app.get("/")
    async def view() -> str:
        app.add_background_task(coloured(colour, fail))
        return "fine"

    app.teardown_appcontext(lambda error: torn.append("torn down"))
    with got_background_exception.connected_to(receiver, app):
        async with app.serving():
            exchange = await Exchange(app).run()

    exchange.check()
    assert exchange.status == 200
    assert torn == ["torn down"] * 3
    logged = caplog.text.count("The background task 'async_step' failed")
    logged += caplog.text.count("The background task 'def_step' failed")
    assert (logged, len(seen)) == ((0, 0) if kind == "cancelled" else (1, 1))


async def test_a_background_task_outlives_its_client_and_is_waited_for():
    app = Erlen("background")
    log: list[str] = []
    client_has_left = asyncio.Event()

    async def work() -> None:
        await client_has_left.wait()
        await asyncio.sleep(0.02)
        gc.collect()
        log.append("done")

    @app.get("/")
    async def view() -> Any:
        app.add_background_task(work)
        yield "one"
        await asyncio.sleep(10)

    async with app.serving():
        await Exchange(app, leaves_after=1).run()
        assert log == []
        client_has_left.set()

    assert log == ["done"]
    assert app.tasks.running == set()


# -- contexts entered by hand --------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["with", "async with"])
async def test_a_context_that_cannot_be_entered_is_left(how, kind):
    app = Erlen("pushed")

    def fail(sender: Any) -> None:
        raise KINDS[kind]()

    async def enter_it() -> None:
        if how == "with":
            with app.app_context():
                pass
        else:
            async with app.app_context():
                pass

    with appcontext_pushed.connected_to(fail, app), pytest.raises(type(KINDS[kind]())):
        await enter_it()

    assert current.get() is None


async def test_async_receivers_hear_of_contexts_that_are_entered_by_hand():
    app = Erlen("pushed")
    log: list[str] = []

    async def pushed(sender: Any) -> None:
        await asyncio.sleep(0)
        log.append("pushed")

    async def popped(sender: Any) -> None:
        await asyncio.sleep(0)
        log.append("popped")

    with appcontext_pushed.connected_to(pushed, app), appcontext_popped.connected_to(popped, app):
        async with app.app_context():
            log.append("inside")

    assert log == ["pushed", "inside", "popped"]


async def test_a_context_that_is_not_the_current_one_is_not_torn_down():
    app = Erlen("popped")
    torn: list[str] = []
    app.teardown_appcontext(lambda error: torn.append("torn down"))
    outer, inner = app.app_context(), app.app_context()

    outer.push()
    inner.push()
    with pytest.raises(ContextError, match="not the current one"):
        outer.pop()

    assert torn == []
    inner.pop()
    outer.pop()
    assert torn == ["torn down"] * 2


async def test_middleware_that_fails_on_an_open_websocket_closes_it_with_1011(caplog):
    app = Erlen("middleware")

    class Failing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            raise LookupError("planted")

    app.add_middleware(Failing)

    exchange = await Conversation(app).run()

    assert [message["type"] for message in exchange.sent] == ["websocket.accept", "websocket.close"]
    assert exchange.sent[-1]["code"] == 1011
    assert exchange.error is None
    assert caplog.text.count("LookupError: planted") == 1
