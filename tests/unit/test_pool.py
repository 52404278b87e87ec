from __future__ import annotations

import asyncio
import functools
import gc
import os
import random
import sys
import threading
import time
import weakref

import pytest

from erlen.pool import PoolFull, WorkerPool


def nothing():
    pass


@pytest.fixture(autouse=True, params=["by the system", "by the loop"])
def _waking(request, monkeypatch):
    """Have the loop woken by a counter of the system, where there is one, and without."""
    if request.param == "by the loop":
        monkeypatch.delattr(os, "eventfd", raising=False)


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


async def test_calls_that_wait_for_one_another_each_get_a_thread():
    pool = WorkerPool(size=8)
    together = threading.Barrier(8)

    for brief in range(0, 60, 3):  # some threads rest, one may still be on its way
        await asyncio.gather(*(pool.run(nothing) for _ in range(brief)))
        ranks = await asyncio.gather(*(pool.run(lambda: together.wait(30)) for _ in range(8)))
        assert sorted(ranks) == list(range(8))

    assert pool.threads == 8
    assert await pool.close() == 0


async def test_a_brief_call_comes_back_while_the_next_one_blocks(pool):
    gate = threading.Event()

    for _ in range(50):
        gate.clear()
        brief, blocks = pool.run(lambda: "brief"), pool.run(gate.wait)

        assert await brief == "brief"
        gate.set()
        assert await blocks


async def test_a_brief_call_comes_back_also_where_one_thread_is_all_there_is(pool, monkeypatch):
    assert await pool.run(lambda: "the first thread") == "the first thread"
    gate = threading.Event()

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    brief, blocks = pool.run(lambda: "brief"), pool.run(gate.wait)

    assert await brief == "brief"
    gate.set()
    assert await blocks
    assert pool.threads == 1


async def test_one_thread_that_goes_on_to_a_call_that_blocks_tells_of_the_one_before(
    pool, monkeypatch
):
    assert await pool.run(lambda: "the first thread") == "the first thread"
    gates = [threading.Event(), threading.Event()]

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    first, second = (pool.run(gate.wait) for gate in gates)
    await asyncio.sleep(0.02)  # the loop looks, and has no thread for the second call
    gates[0].set()

    told, _ = await asyncio.wait([first], timeout=10)
    gates[1].set()
    assert told
    assert await second


async def test_a_call_that_comes_as_a_thread_leaves_is_made():
    pool = WorkerPool(size=2, idle=0.001)
    chance = random.Random(1)

    for number in range(200):
        assert await pool.run(lambda n=number: n) == number
        await asyncio.sleep(chance.uniform(0.0005, 0.0015))

    assert await pool.close() == 0


async def test_more_calls_than_may_wait_are_refused(pool):
    gate = threading.Event()
    tasks = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(4)]
    await asyncio.sleep(0.02)

    with pytest.raises(PoolFull, match=r"All 2 threads \(SYNC_WORKERS\)"):
        await pool.run(nothing)

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
    await pool.run(nothing)

    assert ran == []


async def test_threads_that_nobody_needs_go_away(pool):
    await asyncio.gather(*(pool.run(lambda: time.sleep(0.02)) for _ in range(2)))
    assert pool.threads == 2

    await asyncio.sleep(0.3)

    assert pool.threads == 0


async def test_a_pool_whose_threads_are_gone_leaves_nothing_with_the_loop():
    pool = WorkerPool(size=2, idle=0.01)
    await asyncio.gather(*(pool.run(lambda: time.sleep(0.02)) for _ in range(2)))
    while pool.threads:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # the last of them told the loop

    left = weakref.ref(pool)
    del pool
    gc.collect()
    assert left() is None


async def test_a_pool_whose_threads_are_gone_gets_new_ones(pool):
    for turn in range(3):
        assert await pool.run(lambda n=turn: n) == turn
        while pool.threads:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)


async def test_a_call_comes_back_whose_thread_left_before_the_loop_looked():
    pool = WorkerPool(size=1, idle=0.001)
    call = pool.run(lambda: "back")
    while pool.threads:
        time.sleep(0.001)  # on the loop
    time.sleep(0.02)

    assert await asyncio.wait_for(call, 10) == "back"


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


async def test_a_thread_may_go_home_while_its_pool_is_closed():
    class Leaving(list):
        """Those that rest; the last of them is gone when somebody has seen it."""

        def __bool__(self):
            return True

    pool = WorkerPool(size=1)
    await pool.run(nothing)
    while not pool._idle:
        await asyncio.sleep(0.001)
    pool._idle = Leaving(pool._idle)

    assert await pool.close() == 0
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


async def brief_calls(pool):
    """Make some at once, while the loop sees nothing of the pool."""
    over = threading.Semaphore(0)
    calls = [pool.run(over.release) for _ in range(8)]
    for _ in calls:
        assert over.acquire(timeout=10)
    await asyncio.gather(*calls)


async def calls_that_block(pool):
    """Make four at once that wait for one another, twice: at first their threads are started."""
    all_four = threading.Barrier(4)
    for _ in range(2):
        await asyncio.gather(*(pool.run(lambda: all_four.wait(10)) for _ in range(4)))


async def test_brief_calls_are_all_made_by_one_thread():
    pool = WorkerPool(size=8)

    await brief_calls(pool)

    assert pool.threads == 1
    await pool.close()


async def test_brief_calls_do_not_keep_the_threads_that_calls_that_block_needed(unhurried):
    pool = WorkerPool(size=8, idle=0.1)
    await calls_that_block(pool)
    assert pool.threads == 4

    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        await brief_calls(pool)

    assert pool.threads == 1
    await pool.close()


async def test_once_calls_were_seen_to_block_threads_are_called_without_the_loop(unhurried):
    pool, all_four = WorkerPool(size=8), threading.Barrier(4)
    await calls_that_block(pool)

    calls = [pool.run(lambda: all_four.wait(10)) for _ in range(3)]
    all_four.wait(10)  # on the loop

    await asyncio.gather(*calls)
    await pool.close()


@pytest.fixture
def unhurried():
    """Let no thread be interrupted between two steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)
    yield
    sys.setswitchinterval(before)


async def test_the_loop_is_woken_once_for_all_calls_that_end_before_it_looks(monkeypatch):
    loop = asyncio.get_running_loop()
    woken, over = [], threading.Semaphore(0)

    def counted(wake):
        def count(*args, **options):
            woken.append(args)
            return wake(*args, **options)

        return count

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted(loop.call_soon_threadsafe))
    if hasattr(os, "eventfd"):
        monkeypatch.setattr(os, "eventfd_write", counted(os.eventfd_write))
    pool = WorkerPool(size=8)
    calls = [pool.run(over.release) for _ in range(8)]
    for _ in range(8):  # on the loop, which meanwhile does nothing else
        over.acquire()
    await asyncio.gather(*calls)

    assert 1 <= len(woken) <= 2  # the last may end a moment after it let the loop go on
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
        await pool.run(nothing)
    monkeypatch.undo()

    assert await pool.run(lambda: "later") == "later"
    assert pool.busy == 0


async def test_a_pool_without_any_thread_leaves_nothing_with_the_loop(monkeypatch):
    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    pool = WorkerPool(size=1)
    with pytest.raises(PoolFull):
        await pool.run(nothing)

    left = weakref.ref(pool)
    del pool
    gc.collect()
    assert left() is None


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
