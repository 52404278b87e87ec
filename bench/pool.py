"""What it costs to run ``def`` code in a thread: our pool beside an executor, and beside anyio.

Run ``python -m bench.pool``. It measures on the event loop that ``erlen run`` chooses where it is
installed, uvloop's, and on asyncio's own; on one core, as the servers of the bench have it, and on
all: to wake a thread on a core that sleeps takes longer than the call, and the system decides
where threads run. Microseconds, the best of many rounds that take turns; the last column is
the multiple of the executor. An executor is used as everybody uses it, with
``run_in_executor(None, copy_context().run, function)``. At the end stands what the pool
is to reach.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from threading import Lock, Thread
from typing import Any

from anyio import to_thread as anyio_threads

from bench.calls import scope_with
from erlen import Erlen
from erlen.concurrency import to_thread
from erlen.pool import WorkerPool

SECONDS = 3.0
SERIAL = 100
CONCURRENT = 32
ROUNDS = 4
THREADS = 40
CALLS = 40
NAP = 0.005

IN_TURN, AT_ONCE, BLOCKING = "one after the other", "at the same time", "that block"
AIMS = {IN_TURN: (1.0, "of the executor"), AT_ONCE: (5.0, "us each"), BLOCKING: (1.05, "of ideal")}
"""What calls may cost at most with the pool, and as a multiple of what, if it is one."""

Call = Callable[[Callable[[], Any]], Awaitable[Any]]
Case = Callable[[], Awaitable[Any]]


def trivial() -> str:
    """Stand for a view."""
    return "hello"


def nap() -> None:
    """Stand for a query."""
    time.sleep(NAP)


def app_of_views() -> Erlen:
    """Return an app with a view of each kind."""
    app = Erlen(__name__)

    @app.get("/def")
    def plain() -> str:
        return "hello"

    @app.get("/nap")
    def napping() -> str:
        nap()
        return "hello"

    @app.get("/async")
    async def waiting() -> str:
        return "hello"

    return app


def app_with_hooks() -> Erlen:
    """Return an app with a ``def`` hook on each side of its view."""
    app = Erlen(f"{__name__}.hooked")
    app.add_url_rule("/def", view_func=trivial)

    @app.before_request
    def before() -> None: ...

    @app.after_request
    def after(response: Any) -> Any:
        return response

    return app


async def ask(app: Any, path: str) -> None:
    """Make one request, without a server."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None: ...

    scope = scope_with([(b"host", b"localhost:5000")], path)
    await app(scope, receive, send)


def in_executor(function: Callable[[], Any]) -> Awaitable[Any]:
    """Make one bare hop."""
    return asyncio.get_running_loop().run_in_executor(None, copy_context().run, function)


class OwnThread:
    """A thread that one client has for itself, which makes its calls one after another."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn = Lock()
        self.turn.acquire()
        self.call: Callable[[], Any] | None = None
        self.done: asyncio.Future[Any]
        Thread(target=self._work, daemon=True).start()

    def run(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Make *call*; to await what it returns."""
        self.call, self.done = call, self.loop.create_future()
        self.turn.release()
        return self.done

    def end(self) -> None:
        """Let the thread end."""
        self.call = None
        self.turn.release()

    def _work(self) -> None:
        while self.turn.acquire() and self.call is not None:
            self.loop.call_soon_threadsafe(self.done.set_result, self.call())


async def in_turn(call: Case, times: int = SERIAL) -> None:
    """Make *times* calls, one after the other."""
    for _ in range(times):
        await call()


async def at_once(call: Case, width: int = CONCURRENT) -> None:
    """Make *width* calls at the same time."""
    await asyncio.gather(*[call() for _ in range(width)])


async def best_of(cases: dict[str, Case], seconds: float = SECONDS) -> dict[str, float]:
    """Time all cases in turns, so that a busy moment hits all of them; in microseconds."""
    best = dict.fromkeys(cases, sys.float_info.max)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, case in cases.items():
            started = time.perf_counter()
            await case()
            best[name] = min(best[name], (time.perf_counter() - started) * 1e6)
    return best


def show(title: str, best: dict[str, float], share: float, yardstick: str) -> None:
    """Print a line for each case; *share* is the number of calls in one round."""
    print(f"\n{title}")
    for name, micros in best.items():
        print(f"  {name:<20} {micros / share:9.2f} us {micros / best[yardstick]:7.2f}")


async def compare(calls: dict[str, Call]) -> dict[str, float]:
    """Compare the ways into a thread; return what the pool reached."""

    def serially(call: Call) -> Case:
        return lambda: in_turn(lambda: call(trivial))

    def widely(call: Call) -> Case:
        # Several rounds: threads of the case before are still coming to rest in the first.
        return lambda: in_turn(lambda: at_once(lambda: call(trivial)), ROUNDS)

    serial = await best_of({name: serially(call) for name, call in calls.items()})
    show("one call after the other", serial, SERIAL, "executor")
    wide = await best_of({name: widely(call) for name, call in calls.items()})
    show(f"{CONCURRENT} calls at the same time", wide, ROUNDS * CONCURRENT, "executor")
    return {
        IN_TURN: serial["pool"] / serial["executor"],
        AT_ONCE: wide["pool"] / (ROUNDS * CONCURRENT),
    }


async def block(calls: dict[str, Call]) -> dict[str, float]:
    """Compare with what 32 clients that each make 40 calls of 5 ms cannot fall below.

    Bare threads that call nothing else say what of it is the machine's, and threads that each
    serve one client alone what it costs to hand calls over where nobody chooses a thread.
    """
    own = [OwnThread() for _ in range(CONCURRENT)]

    def clients(call: Call) -> Case:
        return lambda: at_once(lambda: in_turn(lambda: call(nap), CALLS))

    def in_thread() -> None:
        for _ in range(CALLS):
            nap()

    async def bare() -> None:
        threads = [Thread(target=in_thread) for _ in range(CONCURRENT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async def handed_over() -> None:
        await asyncio.gather(*[in_turn(partial(thread.run, nap), CALLS) for thread in own])

    cases: dict[str, Case] = {"bare threads": bare, "a thread each": handed_over}
    cases |= {name: clients(call) for name, call in calls.items()}
    best = await best_of(cases, 4 * SECONDS)  # each takes a fifth of a second
    for thread in own:
        thread.end()
    best = {"ideal": CALLS * NAP * 1e6, **best}
    show(f"{CONCURRENT} clients with {CALLS} calls of 5 ms each", best, CALLS, "ideal")
    return {BLOCKING: best["pool"] / best["ideal"]}


async def serve(app: Erlen, hooked: Erlen) -> None:
    """Compare whole requests with one bare hop."""
    best = await best_of(
        {
            "executor": lambda: in_turn(lambda: in_executor(trivial)),
            "def view": lambda: in_turn(lambda: ask(app, "/def")),
            "with two hooks": lambda: in_turn(lambda: ask(hooked, "/def")),
            "async def view": lambda: in_turn(lambda: ask(app, "/async")),
        }
    )
    show("one request after the other", best, SERIAL, "executor")


async def mix(app: Erlen) -> None:
    """Ask an ``async def`` view, alone and while more ``def`` views nap than there are threads."""
    over = False

    async def client() -> None:
        while not over:
            await ask(app, "/nap")

    async def latencies() -> list[float]:
        times: list[float] = []
        for _ in range(200):
            started = time.perf_counter()
            await ask(app, "/async")
            times.append((time.perf_counter() - started) * 1e6)
            await asyncio.sleep(0.001)
        return sorted(times)

    alone = await latencies()
    busy = [asyncio.create_task(client()) for _ in range(2 * THREADS)]
    beside = await latencies()
    over = True
    await asyncio.gather(*busy)
    print(f"\nan async def view beside {2 * THREADS} def views that nap")
    for name, times in (("alone", alone), ("beside", beside)):
        print(f"  {name:<20} median {times[100]:8.1f} us, 99 of 100 {times[198]:8.1f} us")


async def measure() -> dict[str, float]:
    """Print the tables for the loop that runs; return what the pool reached."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    app = app_of_views()
    pool = WorkerPool(size=THREADS)
    calls: dict[str, Call] = {
        "executor": in_executor,
        "anyio": lambda function: anyio_threads.run_sync(function),
        "pool": lambda function: pool.run(function),
        "to_thread": to_thread,
    }
    async with app.app_context():
        reached = {**await compare(calls), **await block(calls)}
    hooked = app_with_hooks()
    await serve(app, hooked)
    await mix(app)
    await pool.close()
    await app.worker_pool.close()
    await hooked.worker_pool.close()
    return reached


def loops() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Return what makes the loops to measure on, by name."""
    own = {"asyncio": asyncio.new_event_loop}
    return {"uvloop": import_module("uvloop").new_event_loop, **own} if find_spec("uvloop") else own


def places() -> dict[str, set[int]]:
    """Return the cores to measure on, by their name: one alone, and all, where one can choose."""
    if sys.platform != "linux":
        return {"all cores": set()}
    usable = os.sched_getaffinity(0)
    one = {"one core": {min(usable)}}
    return {**one, f"{len(usable)} cores": usable} if len(usable) > 1 else one


def main() -> None:
    """Measure on each loop, on one core and on all; print at the end what the pool reached."""
    reached = {}
    for place, cores in places().items():
        if cores:
            os.sched_setaffinity(0, cores)  # threads that are started from now on stay there, too
        for loop, factory in loops().items():
            print(f"\n# on the loop of {loop}, on {place}")
            with asyncio.Runner(loop_factory=factory) as runner:
                reached[f"{loop}, {place}"] = runner.run(measure())
    print("\ncalls with the pool: what they cost, and what they may cost")
    for where, costs in reached.items():
        for case, cost in costs.items():
            limit, unit = AIMS[case]
            print(f"  {where:<18} {case:<20} {cost:9.3f} {limit:7.2f} {unit}")


if __name__ == "__main__":
    main()
