"""Waiting for something, and no longer than a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from erlen.timeouts import Alarm, Within


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that counts the timers it is asked for."""

    timers = 0

    def call_at(self, *args: Any, **kwargs: Any) -> Any:
        self.timers += 1
        return super().call_at(*args, **kwargs)


def test_what_is_there_costs_no_timer_and_no_time():
    async def there():
        return "there"

    async def wait():
        within = Within(there(), 10)
        return await within, within.waited

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(wait()) == ("there", 0.0)
        assert runner.get_loop().timers == 0


async def test_what_comes_in_time_is_returned():
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    within = Within(event.wait(), 10)

    assert await within is True
    assert within.waited > 0


async def test_what_comes_too_late_was_cancelled_and_has_ended():
    log = []

    async def late():
        try:
            await asyncio.Event().wait()
        finally:
            log.append("ended")

    with pytest.raises(TimeoutError):
        await Within(late(), 0.01)

    assert log == ["ended"]
    assert asyncio.current_task().cancelling() == 0


async def test_what_waits_again_and_again_has_one_limit():
    async def slow():
        while True:
            await asyncio.sleep(0.001)

    with pytest.raises(TimeoutError):
        await Within(slow(), 0.02)


async def test_what_gives_way_without_waiting_is_stopped_too():
    async def busy():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        await Within(busy(), 0)


async def test_an_error_is_that_of_what_was_awaited():
    async def fail():
        await asyncio.sleep(0)
        raise LookupError("planted")

    with pytest.raises(LookupError, match="planted"):
        await Within(fail(), 10)


async def test_who_is_cancelled_from_outside_stays_cancelled():
    log = []

    async def wait():
        try:
            await Within(asyncio.Event().wait(), 10)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert log == ["cancelled"]


async def test_who_is_cancelled_when_the_time_is_over_stays_cancelled():
    async def wait():
        asyncio.get_running_loop().call_soon(task.cancel)  # in the turn in which the time ends
        await Within(asyncio.Event().wait(), 0)

    task = asyncio.create_task(wait())

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_answers_a_cancel_with_a_value_was_in_time():
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "anyway"

    assert await Within(stubborn(), 0.01) == "anyway"


async def ended_by(alarm: Alarm, seconds: float, waiting: Any) -> bool:
    """Say whether *alarm* ended the wait."""
    alarm.set(seconds)
    try:
        await waiting
    except asyncio.CancelledError:
        if not alarm.is_over:
            raise
        return True
    finally:
        alarm.off()
    return False


def test_one_timer_serves_all_the_waits_of_an_alarm():
    async def wait():
        alarm = Alarm()
        return [await ended_by(alarm, 10, asyncio.sleep(0)) for _ in range(100)]

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert not any(runner.run(wait()))
        assert runner.get_loop().timers == 1


async def test_an_alarm_is_put_off_while_others_wait_in_time():
    alarm = Alarm()
    for _ in range(20):
        assert not await ended_by(alarm, 5, asyncio.sleep(0.001))

    assert await ended_by(alarm, 0.01, asyncio.Event().wait())
    assert asyncio.current_task().cancelling() == 0


async def test_an_alarm_waits_as_long_as_the_last_wait_may_take():
    alarm = Alarm()
    assert not await ended_by(alarm, 0.01, asyncio.sleep(0))
    assert not await ended_by(alarm, 10, asyncio.sleep(0.05))

    assert await ended_by(alarm, 0, asyncio.Event().wait())


async def test_an_alarm_disturbs_nobody_between_two_waits():
    alarm = Alarm()
    assert not await ended_by(alarm, 0.01, asyncio.sleep(0))

    await asyncio.sleep(0.05)

    assert not await ended_by(alarm, 10, asyncio.sleep(0.01))


async def test_who_is_cancelled_when_the_alarm_goes_off_stays_cancelled():
    async def wait():
        asyncio.get_running_loop().call_soon(task.cancel)
        await ended_by(Alarm(), 0, asyncio.Event().wait())

    task = asyncio.create_task(wait())

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_answers_the_cancel_of_an_alarm_with_a_value_was_in_time():
    async def stubborn():
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()

    assert not await ended_by(Alarm(), 0.01, stubborn())
    assert asyncio.current_task().cancelling() == 0


async def test_an_alarm_that_is_closed_leaves_no_timer():
    alarm = Alarm()
    alarm.set(10)
    alarm.off()
    timer = alarm._timer

    alarm.close()

    assert timer.cancelled()
    assert alarm._timer is None
