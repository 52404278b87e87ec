from __future__ import annotations

import asyncio
import functools
import threading
import time
from contextvars import ContextVar, copy_context
from types import SimpleNamespace

import pytest

from erlen import Erlen
from erlen.concurrency import (
    Owner,
    Pending,
    Relay,
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
from erlen.proxies import current

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


async def test_a_context_made_on_the_loop_is_on_it_there_and_not_in_a_thread():
    with Erlen("here").app_context():
        assert on_loop()
        assert not await asyncio.to_thread(on_loop)


def test_a_context_made_on_a_loop_that_is_over_is_not_on_it_any_more():
    async def made():
        return Erlen("left over").app_context()

    with asyncio.run(made()):
        assert not on_loop()


async def test_a_context_made_on_another_loop_is_not_on_this_one():
    async def made():
        return Erlen("elsewhere").app_context()

    with await asyncio.to_thread(asyncio.run, made()):
        assert not on_loop()


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


def in_one_turn(loop, call):
    """Let *loop* make *call* when what is handed to it next has begun, and not gone on."""
    loop.call_soon_threadsafe(time.sleep, 0.05)
    loop.call_soon_threadsafe(loop.call_soon, call)


async def test_a_coroutine_that_is_interrupted_before_it_began_never_begins():
    log = []

    async def work():
        log.append("not reached")

    def run(owner):
        current.set(SimpleNamespace(owner=owner))
        in_one_turn(owner.loop, owner.interrupt)
        with pytest.raises(asyncio.CancelledError):
            owner.wait_for(work)
        return "heard"

    assert await in_owner(run) == "heard"
    assert log == []


async def test_who_lends_a_thread_to_a_request_is_not_interrupted_with_it():
    def run(owner):
        async def serve():
            owner.interrupt()
            owner.loop.call_soon(owner.interrupt)
            await asyncio.sleep(0.01)
            return "served"

        return owner.wait_for(serve)

    assert await in_owner(run) == "served"


async def test_one_of_a_teardown_begins_and_is_cancelled_where_it_first_waits():
    log = []

    async def work():
        log.append("begun")
        await asyncio.sleep(0)
        log.append("not reached")

    def run(owner):
        current.set(SimpleNamespace(owner=owner, torn_down=True))
        in_one_turn(owner.loop, owner.interrupt)
        with pytest.raises(asyncio.CancelledError):
            owner.wait_for(work)
        return "heard"

    assert await in_owner(run) == "heard"
    assert log == ["begun"]


async def test_one_of_a_teardown_that_never_waits_is_not_cancelled():
    async def work():
        return "over"

    def run(owner):
        current.set(SimpleNamespace(owner=owner, torn_down=True))
        in_one_turn(owner.loop, owner.interrupt)
        return owner.wait_for(work)

    assert await in_owner(run) == "over"


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


async def test_an_owner_makes_the_calls_that_a_coroutine_left_behind():
    def run(owner):
        async def leave_behind():
            return [asyncio.ensure_future(owner.call(threading.get_ident)) for _ in range(3)]

        return owner.wait_for(leave_behind), threading.get_ident()

    calls, ident = await in_owner(run)

    assert await asyncio.wait_for(asyncio.gather(*calls), 10) == [ident] * 3


async def test_a_call_that_was_left_behind_may_wait_for_the_loop():
    go = asyncio.Event()

    def run(owner):
        async def leave_behind():
            owner.loop.call_later(0.05, go.set)
            slow = asyncio.ensure_future(owner.call(lambda: owner.wait_for(go.wait)))
            return slow, asyncio.ensure_future(owner.call(threading.get_ident))

        return owner.wait_for(leave_behind), threading.get_ident()

    (slow, quick), ident = await in_owner(run)

    assert await asyncio.wait_for(asyncio.gather(slow, quick), 10) == [True, ident]


async def test_a_thread_may_leave_its_request_while_a_call_asks_for_it():
    class Served:
        """Its thread is through as soon as somebody has asked for it."""

        threads = 0

        def __init__(self, owner):
            self.given = [owner]

        @property
        def owner(self):
            return self.given.pop() if self.given else None

    def run(owner):
        async def ask():
            current.set(Served(owner))
            return await to_thread(threading.get_ident)

        return owner.wait_for(ask) == threading.get_ident()

    assert await in_owner(run)


@pytest.mark.parametrize("how", ["the coroutine", "the call"])
async def test_what_a_call_waits_for_is_cancelled_with_it_and_nothing_else(how):
    log = []

    async def for_ever():
        try:
            await asyncio.Event().wait()
        finally:
            log.append("call")

    def run(owner):
        current.set(SimpleNamespace(owner=owner))

        async def ask():
            call = owner.call(lambda: owner.wait_for(for_ever))
            owner.loop.call_later(0.05, owner.interrupt if how == "the coroutine" else call.cancel)
            try:
                await call
            finally:
                log.append("coroutine")

        with pytest.raises(asyncio.CancelledError):
            owner.wait_for(ask)
        return "heard"

    assert await in_owner(run) == "heard"
    assert log == ["call", "coroutine"]


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
