from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from blinker import Signal

from erlen import signals
from erlen.signals import announce

FLASK = [
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_request_exception",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "template_rendered",
]
QUART = [
    "got_background_exception",
    "got_serving_exception",
    "got_websocket_exception",
    "websocket_finished",
    "websocket_received",
    "websocket_sent",
    "websocket_started",
    "websocket_tearing_down",
]


@pytest.mark.parametrize("name", FLASK + QUART)
def test_the_signal_exists_under_its_name_with_dashes_and_nobody_listens(name):
    signal = getattr(signals, name)

    assert signal.name == name.replace("_", "-")
    assert signals.signals[signal.name] is signal
    assert not signal.receivers


def test_every_signal_of_the_namespace_is_public():
    named = {name.replace("-", "_") for name in signals.signals}

    assert named == set(FLASK + QUART)
    assert set(signals.__all__) == named | {"announce", "heard", "signals", "somebody_listens"}


async def test_receivers_of_both_colours_get_the_sender_and_the_data():
    signal, heard = Signal(), []

    @signal.connect
    def plain(sender, **data):
        heard.append(("plain", sender, data))

    @signal.connect
    async def waiting(sender, **data):
        await asyncio.sleep(0)
        heard.append(("waiting", sender, data))

    await announce(signal, "app", response=1)

    assert sorted(heard) == [("plain", "app", {"response": 1}), ("waiting", "app", {"response": 1})]


async def test_only_the_receivers_of_this_sender_are_called():
    signal, heard = Signal(), []
    signal.connect(lambda sender: heard.append("mine"), sender="mine", weak=False)
    signal.connect(lambda sender: heard.append("other"), sender="other", weak=False)

    await announce(signal, "mine")

    assert heard == ["mine"]


async def test_a_plain_receiver_may_hand_back_something_to_await():
    signal, heard = Signal(), []

    async def later(sender):
        heard.append(sender)

    signal.connect(lambda sender: later(sender), weak=False)

    await announce(signal, "app")

    assert heard == ["app"]


async def test_sync_call_runs_the_plain_receivers_only():
    signal, heard = Signal(), []

    @signal.connect
    def plain(sender, *, message):
        heard.append(message)

    @signal.connect
    async def waiting(sender, *, message):
        heard.append(message)

    wrapped = []

    def elsewhere(function: Callable[..., Any]) -> Callable[..., Any]:
        wrapped.append(function)

        async def run(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return run

    await announce(signal, "app", sync_call=elsewhere, message="hi")

    assert wrapped == [plain]
    assert heard == ["hi", "hi"]


async def test_data_may_be_called_signal_or_sender():
    signal, heard = Signal(), []
    signal.connect(lambda who, **data: heard.append(data), weak=False)

    await announce(signal, "app", signal=1, sender=2)

    assert heard == [{"signal": 1, "sender": 2}]


async def test_a_muted_signal_calls_nobody():
    signal, heard = Signal(), []
    signal.connect(lambda sender: heard.append(sender), weak=False)

    with signal.muted():
        await announce(signal, "app")

    assert heard == []


async def test_what_a_receiver_raises_reaches_the_caller():
    signal = Signal()

    @signal.connect
    async def broken(sender):
        raise LookupError("receiver")

    with pytest.raises(LookupError, match="receiver"):
        await announce(signal, "app")


def test_who_listened_once_is_not_asked_for_ever():
    with signals.request_started.connected_to(lambda *_, **__: None):
        assert signals.heard == {signals.request_started}
        assert signals.somebody_listens()
        assert signals.heard == {signals.request_started}

    assert not signals.somebody_listens()
    assert not signals.heard


async def test_nothing_happens_when_nobody_listens():
    assert await announce(Signal(), "app") is None
