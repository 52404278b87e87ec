from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
from contextvars import ContextVar
from importlib.util import find_spec

import pytest

from erlen.waker import Waker

counted = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="this system has no eventfd")


class WithoutReaders(asyncio.SelectorEventLoop):
    """Poll what asyncio polls, and nothing for others, as on Windows."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError


def of_uvloop():
    import uvloop

    return uvloop.new_event_loop()


LOOPS = [asyncio.SelectorEventLoop, WithoutReaders, *([of_uvloop] if find_spec("uvloop") else [])]


@pytest.fixture(params=LOOPS)
def run(request):
    """Return what runs a coroutine on a loop of each kind."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


class Called:
    """Notes that it was called, and where."""

    def __init__(self):
        self.threads = []
        self._now = asyncio.Event()

    def __call__(self):
        self.threads.append(threading.get_ident())
        self._now.set()

    async def soon(self):
        await asyncio.wait_for(self._now.wait(), 10)
        self._now.clear()


def opened(function):
    waker = Waker(asyncio.get_running_loop(), function)
    waker.open()
    return waker


def test_a_thread_has_the_loop_make_the_call(run):
    async def main():
        called = Called()
        waker = opened(called)
        for _ in range(3):
            await asyncio.to_thread(waker.wake)
            await called.soon()
        waker.close()
        return called.threads

    assert run(main()) == [threading.get_ident()] * 3


@counted
async def test_who_asks_before_the_loop_looks_gets_one_call_together():
    called = Called()
    waker = opened(called)
    for _ in range(5):
        waker.wake()

    await called.soon()
    await asyncio.sleep(0.01)

    assert len(called.threads) == 1
    waker.close()


def test_who_asks_while_the_call_is_made_gets_another(run):
    async def main():
        calls, twice = [], asyncio.Event()

        def call():
            calls.append(1)
            if len(calls) == 1:
                waker.wake()
            else:
                twice.set()

        waker = opened(call)
        waker.wake()
        await asyncio.wait_for(twice.wait(), 10)
        waker.close()

    run(main())


def test_it_works_before_it_is_opened_and_after_it_is_closed(run):
    async def main():
        called = Called()
        waker = Waker(asyncio.get_running_loop(), called)
        waker.wake()
        await called.soon()

        waker.open()
        waker.open()  # as it is
        waker.close()
        waker.close()
        await asyncio.to_thread(waker.wake)
        await called.soon()

    run(main())


@counted
async def test_the_call_knows_nothing_of_the_request_that_opened_it():
    variable = ContextVar("variable", default="nothing")
    variable.set("of a request")
    seen = []
    waker = opened(lambda: seen.append(variable.get()))

    waker.wake()
    await asyncio.sleep(0.01)

    assert seen == ["nothing"]
    waker.close()


@pytest.fixture
def counters(monkeypatch):
    """List the counters that are opened."""
    numbers, make = [], os.eventfd

    def noting(*args):
        numbers.append(make(*args))
        return numbers[-1]

    monkeypatch.setattr(os, "eventfd", noting)
    return numbers


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@counted
def test_its_counter_is_given_back_when_it_is_closed(run, counters):
    async def main():
        waker = opened(print)
        waker.close()

    run(main())

    assert len(counters) == 1
    assert not is_open(counters[0])


@counted
def test_its_counter_is_given_back_where_the_loop_was_closed_first(counters):
    async def main():
        return opened(print)

    waker = asyncio.run(main())
    assert is_open(counters[0])
    del waker
    gc.collect()

    assert not is_open(counters[0])


@counted
async def test_where_no_counter_is_left_the_loop_is_asked(monkeypatch):
    def fail(*args):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "eventfd", fail)
    called = Called()
    waker = opened(called)
    waker.wake()

    await called.soon()
    waker.close()
