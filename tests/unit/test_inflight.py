"""What is being served on a loop, and the timer that looks at it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from erlen import Erlen
from erlen.context import receive_nothing
from erlen.inflight import InFlight
from erlen.proxies import current
from tests.exchanges import Exchange


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that counts the timers it is asked for."""

    timers = 0

    def call_at(self, *args: Any, **kwargs: Any) -> Any:
        self.timers += 1
        return super().call_at(*args, **kwargs)


def app_with_a_view() -> Erlen:
    app = Erlen("flights")

    @app.get("/")
    async def view() -> str:
        return "fine"

    return app


async def ask(app: Erlen) -> None:
    async def receive() -> Any: ...

    async def send(message: Any) -> None: ...

    await app(Exchange(app).scope, receive, send)


def test_a_request_costs_no_timer_of_its_own():
    app = app_with_a_view()

    async def serve() -> None:
        for _ in range(50):
            await ask(app)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(serve())
        assert runner.get_loop().timers == 1


def test_an_app_that_two_loops_serve_has_one_timer_on_each():
    app = app_with_a_view()

    async def serve() -> None:
        for _ in range(50):
            await ask(app)
            app.in_flight = InFlight()  # as a request on another loop leaves it

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(serve())
        assert runner.get_loop().timers == 1


def test_loops_that_take_turns_in_one_thread_know_their_own_requests():
    app = Erlen("turns")
    served: list[tuple[Any, Any]] = []

    @app.get("/")
    async def view() -> str:
        context = current.get()
        served.append((context.loop, context.task))
        assert app.in_flight_here().latest is context
        return "fine"

    async def serve() -> tuple[Any, Any]:
        await ask(app)
        return asyncio.get_running_loop(), asyncio.current_task()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        expected = [runner.run(serve()) for runner in (first, second, first, second)]

    assert served == expected


def test_loops_in_two_threads_know_their_own_requests():
    app = Erlen("threads")
    turn = threading.Barrier(2)
    served: list[bool] = []

    @app.get("/")
    async def view() -> str:
        turn.wait(20)  # now both threads have one
        served.append(current.get().loop is asyncio.get_running_loop())
        turn.wait(20)
        return "fine"

    async def serve() -> None:
        for _ in range(20):
            await ask(app)

    threads = [threading.Thread(target=asyncio.run, args=(serve(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert served == [True] * 40


@pytest.mark.parametrize("path", ["/", "/def"])
def test_loops_may_come_and_go_in_other_threads_while_one_is_added(path):
    app = app_with_a_view()
    app.get("/def")(lambda: "fine")
    answers: list[Any] = []
    watched = True

    class Watched(asyncio.SelectorEventLoop):
        """While it is asked whether it is closed, another thread serves by a loop of its own."""

        def is_closed(self) -> bool:
            if watched and threading.current_thread() is threading.main_thread():
                thread = threading.Thread(target=asyncio.run, args=(serve(),))
                thread.start()
                thread.join(30)
            return super().is_closed()

    async def serve() -> None:
        exchange = await Exchange(app, path).run()
        answers.append((exchange.status, exchange.body))

    with asyncio.Runner(loop_factory=Watched) as runner:
        first = threading.Thread(target=runner.run, args=(serve(),))
        first.start()
        first.join(30)
        asyncio.run(serve())  # its loop is closed when the next one comes
        asyncio.run(serve())
        watched = False  # it is asked once more when it is thrown away

    assert len(answers) > 3
    assert set(answers) == {(200, b"fine")}


def test_a_request_that_no_task_serves_is_served():
    app = app_with_a_view()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def begin() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def by_hand() -> None:
            try:
                app(Exchange(app).scope, receive_nothing, send).send(None)
            except StopIteration:
                done.set_result(None)

        loop.call_soon(by_hand)
        await done

    asyncio.run(begin())

    assert sent[-1]["body"] == b"fine"


async def test_what_is_served_is_known_and_forgotten():
    app = Erlen("flights")
    go = asyncio.Event()
    inside: list[int] = []

    @app.get("/")
    async def view() -> str:
        inside.append(1)
        await go.wait()
        return "fine"

    exchanges = [Exchange(app) for _ in range(3)]
    for exchange in exchanges:
        exchange.begin()
    while len(inside) < 3:
        await asyncio.sleep(0)
    flights = app.in_flight_here()
    assert len(flights.active) == 2
    assert flights.latest is not None

    go.set()
    for exchange in exchanges:
        await exchange.over()

    assert (flights.active, flights.latest) == (set(), None)


async def test_who_may_serve_again_looks_again():
    app = app_with_a_view()
    flights = app.in_flight_here()

    flights.begin_drain(1000)
    assert not flights.admit()
    flights.open()

    assert flights.admit()
    assert flights.thread == threading.get_ident()
