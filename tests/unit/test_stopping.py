"""How an app learns that its server is about to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from erlen.stopping import hearing_signals


@pytest.fixture
def handled() -> Iterator[list[str]]:
    """The handler of a server for SIGTERM, and what it notes."""
    log: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: log.append("server"))
    yield log
    signal.signal(signal.SIGTERM, before)


def test_the_app_hears_a_signal_and_the_server_hears_it_too(handled):
    server = signal.getsignal(signal.SIGTERM)

    with hearing_signals(lambda: handled.append("app")):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)

    assert handled == ["app", "server", "server"]
    assert signal.getsignal(signal.SIGTERM) is server


def test_two_apps_hear_it_in_whatever_order_they_end(handled):
    first = hearing_signals(lambda: handled.append("first"))
    second = hearing_signals(lambda: handled.append("second"))
    first.__enter__()
    second.__enter__()
    signal.raise_signal(signal.SIGTERM)
    first.__exit__(None, None, None)
    signal.raise_signal(signal.SIGTERM)
    second.__exit__(None, None, None)

    assert handled == ["second", "first", "server", "second", "server"]


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
def test_a_signal_that_nobody_handles_is_left_alone(handled, handler):
    signal.signal(signal.SIGTERM, handler)

    with hearing_signals(lambda: handled.append("app")):
        assert signal.getsignal(signal.SIGTERM) is handler


def test_a_loop_that_is_gone_keeps_the_signal_from_nobody(handled):
    def begin() -> None:
        raise RuntimeError("Event loop is closed")

    with hearing_signals(begin):
        signal.raise_signal(signal.SIGTERM)

    assert handled == ["server"]


def test_other_threads_hear_nothing(handled):
    server = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def serve() -> None:
        with hearing_signals(lambda: handled.append("app")):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()

    assert seen == [server]
