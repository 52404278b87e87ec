from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from erlen import Erlen, current_app, g, has_app_context
from erlen.testing import running_loop
from erlen.testing.loops import LoopThread, loop_thread_of


def loops_running():
    # Tracebacks of tests before this one may still hold a client, in a cycle.
    gc.collect()
    return sum(thread.name == "erlen-loop" for thread in threading.enumerate())


async def where():
    return threading.current_thread(), asyncio.current_task()


def test_coroutines_run_in_one_task_of_another_thread():
    with running_loop() as run:
        first, second = run(where()), run(where())

    assert first == second
    assert first[0] is not threading.current_thread()


def test_what_a_coroutine_raises_is_raised_here():
    async def fail():
        raise KeyError("the reason")

    with running_loop() as run:
        with pytest.raises(KeyError, match="the reason"):
            run(fail())
        assert run(asyncio.sleep(0, "and on")) == "and on"


def test_the_loop_ends_with_the_block():
    before = loops_running()

    def fail_in_a_block():
        with running_loop():
            assert loops_running() == before + 1
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_a_block()

    assert loops_running() == before


def test_an_app_that_is_served_without_a_server_is_the_current_one():
    app, life = Erlen("script"), []
    app.before_serving(lambda: life.append("start"))
    app.after_serving(lambda: life.append("stop"))

    with app.sync_serving():
        g.mine = 1
        assert (current_app.name, g.mine) == ("script", 1)
        assert life == ["start"]

    assert life == ["start", "stop"]
    assert not has_app_context()


def test_background_work_can_be_started_without_a_server():
    app, done = Erlen("script"), []

    with app.sync_serving():
        app.add_background_task(lambda: done.append(True))

    assert done == [True]


def test_a_thread_ends_when_nobody_holds_it():
    before = loops_running()
    thread = LoopThread()
    assert loops_running() == before + 1

    del thread

    assert loops_running() == before


def test_a_thread_can_be_ended_by_its_own_loop():
    before = loops_running()
    box = [LoopThread()]

    async def drop():
        box.clear()

    asyncio.run_coroutine_threadsafe(drop(), box[0].loop).result()
    for _ in range(100):
        if loops_running() == before:
            break
        threading.Event().wait(0.01)

    assert loops_running() == before


def test_the_threads_of_the_pool_end_with_the_loop():
    app = Erlen("app")

    async def work():
        return await app.worker_pool.run(threading.current_thread)

    worker = loop_thread_of(app).run(work)
    gc.collect()

    assert worker is not threading.current_thread()
    assert not worker.is_alive()


def test_an_app_that_is_gone_needs_no_end():
    before = loops_running()
    thread = loop_thread_of(Erlen("gone"))
    gc.collect()

    thread.close()

    assert loops_running() == before
