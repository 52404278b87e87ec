from __future__ import annotations

import asyncio
import functools
import random
import threading
import time
from contextvars import ContextVar, copy_context

import pytest

from erlen.concurrency import (
    Owner,
    Pending,
    PoolFull,
    Relay,
    WorkerPool,
    adopt,
    drive,
    ensure_sync,
    is_async,
    on_loop,
    run_sync,
    to_thread,
    wait_for,
)
from erlen.errors import ContextError

colour: ContextVar[str] = ContextVar("colour", default="none")


async def coroutine_function(value=None):
    return value


def plain_function(value=None):
    return value


async def async_generator_function():
    yield 1


class AsyncCallable:
    async def __call__(self): ...


class PlainCallable:
    def __call__(self): ...


@functools.wraps(coroutine_function)
def decorated(*args):
    return coroutine_function(*args)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        pytest.param(coroutine_function, True, id="async def"),
        pytest.param(plain_function, False, id="def"),
        pytest.param(async_generator_function, True, id="async generator"),
        pytest.param(functools.partial(coroutine_function, 1), True, id="partial of async def"),
        pytest.param(functools.partial(plain_function, 1), False, id="partial of def"),
        pytest.param(decorated, True, id="def around async def"),
        pytest.param(AsyncCallable(), True, id="object with async call"),
        pytest.param(PlainCallable(), False, id="object with plain call"),
        pytest.param(AsyncCallable, False, id="class"),
        pytest.param(len, False, id="builtin"),
        pytest.param(AsyncCallable().__call__, True, id="async method"),
    ],
)
def test_the_colour_of_a_function_is_found_through_what_wraps_it(function, expected):
    assert is_async(function) is expected


# -- awaitables that say so ----------------------------------------------------------------


async def test_a_pending_value_is_what_its_coroutine_returns():
    assert await Pending("request.form", functools.partial(coroutine_function, 3)) == 3


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda value: value["x"], id="item"),
        pytest.param(lambda value: value.get, id="attribute"),
        pytest.param(bool, id="bool"),
        pytest.param(list, id="iteration"),
        pytest.param(len, id="len"),
        pytest.param(lambda value: "x" in value, id="in"),
        pytest.param(str, id="str"),
        pytest.param(bytes, id="bytes"),
        pytest.param(lambda value: value == 1, id="equality"),
    ],
)
def test_a_pending_value_that_is_not_awaited_says_what_to_write(use):
    value = Pending("request.form", coroutine_function)

    with pytest.raises(TypeError) as caught:
        use(value)

    assert "request.form must be awaited here (async def, test_concurrency.py:" in str(caught.value)
    assert "form = await request.form" in str(caught.value)


async def test_several_pending_values_may_be_gathered():
    values = [Pending("request.form", functools.partial(coroutine_function, n)) for n in (1, 2)]

    assert await asyncio.gather(*values) == [1, 2]


def test_a_pending_call_names_a_variable_without_get():
    with pytest.raises(TypeError, match=r"json = await request\.get_json\(\)"):
        Pending("request.get_json()", coroutine_function)["x"]


def test_a_pending_value_can_be_printed_for_debugging():
    assert repr(Pending("request.form", coroutine_function)) == "<request.form: await it>"


def test_a_pending_value_has_no_dunder_that_it_does_not_mean():
    assert not hasattr(Pending("request.form", coroutine_function), "__html__")


# -- where am I ----------------------------------------------------------------------------


async def test_code_of_the_loop_is_on_the_loop():
    assert on_loop()


async def test_code_in_a_thread_is_not_on_the_loop():
    assert not await asyncio.to_thread(on_loop)


def test_without_a_loop_nothing_is_on_it():
    assert not on_loop()


# -- the pool ------------------------------------------------------------------------------


@pytest.fixture
async def pool():
    pool = WorkerPool(size=2, queue=2, idle=0.05)
    yield pool
    await pool.close()


async def test_a_call_runs_in_a_thread_and_its_value_comes_back(pool):
    thread = await pool.run(threading.get_ident)

    assert thread != threading.get_ident()


async def test_an_exception_of_a_call_comes_back(pool):
    def fail():
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await pool.run(fail)


def test_threads_go_home_when_their_loop_was_closed_without_the_pool():
    async def use():
        return await WorkerPool(size=1, idle=0.02).run(threading.current_thread)

    thread = asyncio.run(use())
    thread.join(10)

    assert not thread.is_alive()


async def test_a_stop_iteration_does_not_end_the_coroutine_silently(pool):
    with pytest.raises(RuntimeError, match="StopIteration"):
        await pool.run(lambda: next(iter(())))


async def test_calls_beyond_the_size_wait_in_line(pool):
    gate = threading.Event()
    running = []

    def call():
        running.append(1)
        gate.wait(5)

    tasks = [asyncio.ensure_future(pool.run(call)) for _ in range(4)]
    while len(running) < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    assert len(running) == 2
    assert pool.threads == 2

    gate.set()
    await asyncio.gather(*tasks)
    assert len(running) == 4


async def test_more_calls_than_may_wait_are_refused(pool):
    gate = threading.Event()
    tasks = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(4)]
    await asyncio.sleep(0.02)

    with pytest.raises(PoolFull, match=r"All 2 threads \(SYNC_WORKERS\)"):
        await pool.run(plain_function)

    gate.set()
    await asyncio.gather(*tasks)


async def test_an_admitted_call_gets_an_extra_thread(pool):
    gate = threading.Event()
    tasks = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0.02)

    assert await pool.run(lambda: "through", admitted=True) == "through"
    assert pool.threads == 3

    gate.set()
    await asyncio.gather(*tasks)


async def test_a_cancelled_call_waits_for_its_thread(pool):
    gate = threading.Event()
    order = []

    def call():
        gate.wait(5)
        order.append("thread done")

    task = asyncio.ensure_future(pool.run(call))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.sleep(0.02)
    assert not task.done()

    task.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["thread done"]


async def test_a_cancelled_call_whose_thread_fails_is_still_cancelled(pool):
    gate = threading.Event()

    def call():
        gate.wait(5)
        raise ValueError("late")

    task = asyncio.ensure_future(pool.run(call))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.sleep(0.02)
    gate.set()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_is_cancelled_while_it_waits_never_runs(pool):
    gate = threading.Event()
    ran = []
    tasks = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(2)]
    waiting = asyncio.ensure_future(pool.run(lambda: ran.append(1)))
    await asyncio.sleep(0.02)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    await asyncio.gather(*tasks)
    await pool.run(plain_function)

    assert ran == []


async def test_threads_that_nobody_needs_go_away(pool):
    await asyncio.gather(*(pool.run(lambda: time.sleep(0.02)) for _ in range(2)))
    assert pool.threads == 2

    await asyncio.sleep(0.3)

    assert pool.threads == 0


async def test_closing_waits_for_what_runs():
    pool = WorkerPool(size=1)
    done = []

    def call():
        time.sleep(0.05)
        done.append(1)

    task = asyncio.ensure_future(pool.run(call))
    await asyncio.sleep(0.01)
    await pool.close()

    assert done == [1]
    await task
    assert pool.threads == 0


async def test_closing_does_not_wait_for_ever():
    pool = WorkerPool(size=1)
    gate = threading.Event()
    task = asyncio.ensure_future(pool.run(gate.wait))
    await asyncio.sleep(0)

    assert await pool.close(timeout=0.02) == 1

    gate.set()
    assert await task is True


async def test_a_call_may_hand_over_its_result_early(pool):
    gate = threading.Event()

    def call(hand):
        hand("early")
        gate.wait(5)
        return "late"

    assert await pool.run(call, early=True) == "early"
    gate.set()
    await asyncio.sleep(0.02)


async def test_many_concurrent_calls_all_come_back():
    pool = WorkerPool(size=8, queue=5000)

    results = await asyncio.gather(*(pool.run(lambda n=n: n) for n in range(2000)))

    assert results == list(range(2000))
    await pool.close()


async def test_the_loop_is_woken_once_for_all_calls_that_end_before_it_looks(monkeypatch):
    pool, loop = WorkerPool(size=8), asyncio.get_running_loop()
    woken, over = [], threading.Semaphore(0)
    wake = loop.call_soon_threadsafe

    def count(*args, **options):
        woken.append(args)
        return wake(*args, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", count)
    calls = [pool.run(over.release) for _ in range(8)]
    for _ in range(8):  # on the loop, which meanwhile does nothing else
        over.acquire()
    await asyncio.gather(*calls)

    assert len(woken) <= 2  # the last may end a moment after it let the loop go on
    await pool.close()


async def test_a_cancel_between_an_early_result_and_its_end_waits_for_the_thread(pool):
    loop, wanted, order = asyncio.get_running_loop(), [], []

    def call(hand):
        loop.call_soon_threadsafe(loop.call_soon, task.cancel)
        wanted.append(hand("early"))
        order.append("thread done")

    async def take():
        await pool.run(call, early=True)

    task = asyncio.create_task(take())
    with pytest.raises(asyncio.CancelledError):
        await task

    assert wanted == [False]
    assert order == ["thread done"]
    assert pool.busy == 0


async def test_a_thread_that_cannot_be_started_refuses_the_call(pool, monkeypatch):
    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(PoolFull, match="can't start new thread"):
        await pool.run(plain_function)
    monkeypatch.undo()

    assert await pool.run(lambda: "later") == "later"
    assert pool.busy == 0


async def test_where_one_more_thread_cannot_be_started_the_others_do(pool, monkeypatch):
    gate = threading.Event()
    busy = asyncio.ensure_future(pool.run(gate.wait))

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    waiting = asyncio.ensure_future(pool.run(lambda: "done", admitted=True))
    gate.set()

    assert await busy
    assert await waiting == "done"
    assert (pool.threads, pool.busy) == (1, 0)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_happens_to_its_calls_the_pool_stays_whole(seed):
    chance = random.Random(seed)
    pool = WorkerPool(size=4, queue=1000, idle=0.01)
    running, ran = set(), []

    def work(number, fate):
        running.add(number)
        if fate > 0.8:
            time.sleep(0.001)
        running.discard(number)
        ran.append(number)
        if fate < 0.2:
            raise (ValueError, SystemExit, asyncio.CancelledError, StopIteration)[number % 4]
        return number

    async def ask(number):
        call = functools.partial(work, number, chance.random())
        try:
            return await pool.run(call, admitted=chance.random() < 0.1)
        finally:
            assert number not in running  # nothing goes on under a thread that runs

    tasks = [asyncio.create_task(contained(ask, number)) for number in range(200)]
    for task in chance.sample(tasks, 60):
        await asyncio.sleep(0)
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert not [outcome for outcome in outcomes if isinstance(outcome, AssertionError)]
    assert len(ran) == len(set(ran))
    assert (pool.busy, len(pool._waiting)) == (0, 0)
    assert await pool.run(lambda: "whole") == "whole"
    assert await pool.close(10) == 0


async def contained(function, *args):
    """Return what would end the loop, if a task raised it."""
    try:
        return await function(*args)
    except SystemExit as ending:
        return ending


def test_a_thread_whose_loop_is_gone_ends_quietly():
    gate = threading.Event()
    started = threading.Event()

    def call():
        started.set()
        gate.wait(5)

    async def leave():
        pool = WorkerPool(size=1)
        waiting = pool.run(call)
        await asyncio.to_thread(started.wait)
        return pool, waiting

    pool, waiting = asyncio.run(leave())
    (thread,) = pool._members

    gate.set()
    thread.join(5)

    assert not thread.is_alive()
    assert not waiting.done()


# -- variables -----------------------------------------------------------------------------


def test_variables_that_were_set_in_a_copy_are_set_here():
    context = copy_context()
    context.run(colour.set, "red")

    adopt(context)

    assert colour.get() == "red"
    colour.set("none")


async def test_a_variable_that_a_thread_sets_is_set_for_the_caller():
    await to_thread(colour.set, "blue")

    assert colour.get() == "blue"


async def test_run_sync_makes_a_function_awaitable_and_keeps_its_name():
    wrapped = run_sync(plain_function)

    assert await wrapped("x") == "x"
    assert wrapped.__name__ == "plain_function"


# -- an owning thread ----------------------------------------------------------------------


async def in_owner(function):
    """Run *function(owner)* in a thread that owns something, as the pipeline does."""
    owner = Owner(asyncio.get_running_loop())
    return await asyncio.to_thread(function, owner)


async def test_an_owner_waits_for_a_coroutine_on_the_loop():
    here = threading.get_ident()

    async def where():
        await asyncio.sleep(0)
        return threading.get_ident()

    assert await in_owner(lambda owner: owner.wait_for(where)) == here


async def test_what_a_coroutine_raises_is_raised_in_the_owner():
    async def fail():
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await in_owner(lambda owner: owner.wait_for(fail))


async def test_a_coroutine_that_was_cancelled_is_cancelled_in_the_owner():
    async def cancelled():
        raise asyncio.CancelledError

    def run(owner):
        with pytest.raises(asyncio.CancelledError):
            owner.wait_for(cancelled)
        return "seen"

    assert await in_owner(run) == "seen"


async def test_a_variable_that_the_coroutine_sets_is_set_in_the_owner():
    async def paint():
        colour.set("green")

    def run(owner):
        owner.wait_for(paint)
        return colour.get()

    assert await in_owner(run) == "green"


async def test_a_def_call_of_the_coroutine_runs_in_the_waiting_thread():
    def run(owner):
        async def ask():
            return await owner.call(threading.get_ident)

        return owner.wait_for(ask) == threading.get_ident()

    assert await in_owner(run)


async def test_calls_and_coroutines_nest():
    async def innermost():
        return "deep"

    def run(owner):
        async def outer():
            return await owner.call(lambda: owner.wait_for(innermost))

        return owner.wait_for(outer)

    assert await in_owner(run) == "deep"


async def test_an_owner_does_what_is_posted_while_it_waits():
    done = []

    def run(owner):
        async def post():
            owner.post(lambda: done.append(threading.get_ident()))
            await asyncio.sleep(0.01)

        owner.wait_for(post)
        return threading.get_ident()

    assert [await in_owner(run)] == done


# -- driving -------------------------------------------------------------------------------


def test_a_coroutine_that_never_waits_can_be_driven_without_a_loop():
    assert drive(coroutine_function(5)) == 5


def test_a_coroutine_that_waits_cannot_be_driven():
    async def waits():
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaited something of the event loop"):
        drive(waits())


# -- bridges without an app ----------------------------------------------------------------


async def test_on_the_loop_ensure_sync_changes_nothing():
    assert ensure_sync(coroutine_function) is coroutine_function


def test_ensure_sync_leaves_def_functions_alone():
    assert ensure_sync(plain_function) is plain_function


def test_without_a_loop_ensure_sync_makes_one():
    assert ensure_sync(coroutine_function)("x") == "x"


async def test_waiting_for_the_loop_on_the_loop_is_refused():
    with pytest.raises(ContextError, match=r"coroutine_function is async def .* cannot"):
        wait_for(coroutine_function)


# -- relays --------------------------------------------------------------------------------


async def relayed(pieces, *, ahead=2):
    relay = Relay(asyncio.get_running_loop(), ahead)

    def work():
        try:
            relay.pump(pieces)
        finally:
            relay.finish()

    return relay, asyncio.ensure_future(asyncio.to_thread(work))


async def test_what_a_thread_yields_arrives_in_order():
    relay, thread = await relayed(iter(range(20)))

    assert [piece async for piece in relay] == list(range(20))
    await thread
    await relay.aclose()


async def test_a_thread_does_not_run_far_ahead_of_the_reader():
    made = []

    def pieces():
        for number in range(100):
            made.append(number)
            yield number

    relay, thread = await relayed(pieces())
    await anext(relay)
    await asyncio.sleep(0.05)

    assert len(made) <= 4
    await relay.aclose()
    await thread


async def test_closing_a_relay_closes_the_generator_in_its_thread():
    closed = []

    def pieces():
        try:
            while True:
                yield "x"
        finally:
            closed.append(threading.get_ident())

    relay, thread = await relayed(pieces())
    await anext(relay)
    await relay.aclose()
    await thread

    assert closed
    assert closed[0] != threading.get_ident()


async def test_an_error_of_the_generator_is_raised_after_what_it_yielded():
    def pieces():
        yield "one"
        raise LookupError("broken")

    relay, thread = await relayed(pieces())

    assert await anext(relay) == "one"
    with pytest.raises(LookupError, match="broken"):
        await anext(relay)
    with pytest.raises(LookupError, match="broken"):
        await thread


async def test_a_lent_thread_sends_each_piece_before_it_makes_the_next():
    loop = asyncio.get_running_loop()
    owner = Owner(loop)
    relay = Relay(loop, lent=owner)
    sent, seen = [], []

    def pieces():
        for number in range(100):
            yield number
            seen.append(sent[-1])

    def pump():
        relay.pump(pieces())
        relay.finish()

    threading.Thread(target=pump).start()
    async for piece in relay:
        owner.post(functools.partial(sent.append, piece))
    await relay.aclose()

    assert seen == list(range(100))
