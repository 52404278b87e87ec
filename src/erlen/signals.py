"""The signals an app sends, by name. Knows nothing of when or by whom they are sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any, TypeAlias

from blinker import Namespace, Signal

__all__ = [
    "announce",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_background_exception",
    "got_request_exception",
    "got_serving_exception",
    "got_websocket_exception",
    "heard",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "signals",
    "somebody_listens",
    "template_rendered",
    "websocket_finished",
    "websocket_received",
    "websocket_sent",
    "websocket_started",
    "websocket_tearing_down",
]

SyncCall: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]
"""What turns a plain function into one to await: ``run_sync``, for example."""

signals = Namespace()
"""Where the signals below live, by the names that Flask gives them."""

template_rendered = signals.signal("template-rendered")
"""A template was rendered. Data: ``template``, ``context``."""

before_render_template = signals.signal("before-render-template")
"""A template is about to be rendered. Data: ``template``, ``context``, which may be changed."""

request_started = signals.signal("request-started")
"""The context of a request is set and no hook has run yet."""

request_finished = signals.signal("request-finished")
"""The response is ready, the session is in it. Data: ``response``."""

request_tearing_down = signals.signal("request-tearing-down")
"""The teardown functions of a request have run. Data: ``exc``, unless it was handled."""

got_request_exception = signals.signal("got-request-exception")
"""An exception of a request was not handled and becomes a 500. Data: ``exception``."""

appcontext_pushed = signals.signal("appcontext-pushed")
"""``current_app`` and ``g`` can be used from here on."""

appcontext_tearing_down = signals.signal("appcontext-tearing-down")
"""The ``teardown_appcontext`` functions have run. Data: ``exc``."""

appcontext_popped = signals.signal("appcontext-popped")
"""``current_app`` and ``g`` are gone."""

message_flashed = signals.signal("message-flashed")
"""``flash`` was called. Data: ``message``, ``category``."""

websocket_started = signals.signal("websocket-started")
"""The context of a websocket is set and no hook has run yet."""

websocket_finished = signals.signal("websocket-finished")
"""The view of a websocket has returned. Data: ``response``, ``None`` after a handshake."""

websocket_tearing_down = signals.signal("websocket-tearing-down")
"""The teardown functions of a websocket have run. Data: ``exc``."""

websocket_received = signals.signal("websocket-received")
"""A message came in. Data: ``data``."""

websocket_sent = signals.signal("websocket-sent")
"""A message went out. Data: ``data``."""

got_websocket_exception = signals.signal("got-websocket-exception")
"""An exception of a websocket was not handled. Data: ``exception``."""

got_background_exception = signals.signal("got-background-exception")
"""A background task failed. Data: ``exception``."""

got_serving_exception = signals.signal("got-serving-exception")
"""A function of start-up or shutdown failed. Data: ``exception``."""


heard: set[Signal] = set()
"""Those of the signals of every request that somebody may listen to; mostly none."""


def somebody_listens() -> bool:
    """Say whether somebody listens to what every request goes through.

    PERF: ask :data:`heard` first, which is empty where nobody does.
    """
    for signal in tuple(heard):
        if not signal.receivers:
            heard.discard(signal)
        if signal.receivers:  # even if they came just now, in another thread
            heard.add(signal)
            return True
    return False


def _hear(signal: Signal, **about: Any) -> None:
    heard.add(signal)


for _signal in (
    *(request_started, request_finished, request_tearing_down),
    *(appcontext_pushed, appcontext_tearing_down, appcontext_popped),
):
    _signal.receiver_connected.connect(_hear)


async def announce(
    signal: Signal, sender: Any, /, *, sync_call: SyncCall | None = None, **data: Any
) -> None:
    """Call the receivers of *signal*, of both colours, one after the other.

    ``async def`` receivers are awaited here; ``def`` receivers are called here, or where
    *sync_call* runs them. As with ``signal.send``, the order is not defined, a muted signal
    calls nobody, and what a receiver raises ends the round and reaches the caller.

    Nobody listens to most signals, and even a call costs: ask first::

        if request_started.receivers:
            await announce(request_started, app)
    """
    if signal.is_muted:
        return
    for receiver in signal.receivers_for(sender):
        if sync_call is None or iscoroutinefunction(receiver):
            result = receiver(sender, **data)
        else:
            result = await sync_call(receiver)(sender, **data)
        if isawaitable(result):
            await result
