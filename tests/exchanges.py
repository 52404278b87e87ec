"""A strict and hostile server: it speaks ASGI message by message, and fails where it is told.

It checks what the app sends, gives every message once, and after the last one it waits, as a
server may, instead of repeating it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextvars import Context
from functools import partial
from typing import Any

from erlen.proxies import current

Message = dict[str, Any]

SECONDS = 10
"""How long one exchange may take. Most take a millisecond; this only ends what hangs."""


class Served:
    """What both kinds of exchanges share. *script* are the messages for the app, in order.

    *breaks_at* is the number of the message from which on ``send`` raises ``OSError``;
    *cancel_at* the number of the suspension at which the app is cancelled; *instead* is called
    in the place of that.
    """

    def __init__(
        self,
        app: Any,
        scope: dict[str, Any],
        script: Sequence[Message],
        *,
        breaks_at: int | None = None,
        cancel_at: int | None = None,
        instead: Callable[[], Any] | None = None,
    ) -> None:
        self.app = app
        self.instead = instead
        self.scope = scope
        self.script = list(script)
        self.breaks_at = breaks_at
        self.cancel_at = cancel_at
        self.sent: list[Message] = []
        self.wrongs: list[str] = []
        self.received = 0
        self.error: BaseException | None = None
        self.left_behind: Any = None
        self.reached = False
        """Whether there was a suspension number *cancel_at*."""
        self.never = asyncio.Event()
        self.hold: asyncio.Event | None = None
        """What the client waits for before it leaves."""
        self.changed = asyncio.Event()

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        if self.received == len(self.script):
            await self.never.wait()
        message = self.script[self.received]
        if self.hold is not None and message["type"].endswith(".disconnect"):
            await self.hold.wait()
        self.received += 1
        return message

    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)
        if self.breaks_at is not None and len(self.sent) >= self.breaks_at:
            raise OSError("the client is gone")
        wrong = self.wrong_with(message)
        if wrong is not None:
            self.wrongs.append(f"{wrong}: {message!r}")
        self.sent.append(message)
        self.changed.set()

    def wrong_with(self, message: Message) -> str | None:
        raise NotImplementedError

    async def run(self) -> Any:
        """Serve it to the end, in a task and variables of its own."""
        self.begin()
        await asyncio.wait({self.task}, timeout=SECONDS)
        assert self.task.done(), f"It hangs after {self.sent!r}"
        return self

    def begin(self) -> None:
        """Start serving it."""
        self.task = asyncio.create_task(self._serve(), context=Context())

    async def over(self) -> None:
        """Wait for its end."""
        await asyncio.wait_for(asyncio.shield(self.task), SECONDS)

    async def has_sent(self, count: int) -> None:
        while len(self.sent) < count:
            assert not self.task.done(), f"It ended after {self.sent!r}: {self.error!r}"
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), SECONDS)

    async def _serve(self) -> None:
        try:
            await _Walk(self.app(self.scope, self.receive, self.send), self._suspended)
        except BaseException as error:
            self.error = error
        self.left_behind = current.get()

    def _suspended(self, number: int) -> None:
        if number == self.cancel_at:
            self.reached = True
            (self.instead or self.task.cancel)()

    @property
    def left(self) -> bool:
        """Whether the app was told that the client is gone."""
        told = self.script[: self.received]
        return any(message["type"].endswith(".disconnect") for message in told)

    def types(self) -> list[str]:
        return [message["type"].rpartition(".")[2] for message in self.sent]


class Exchange(Served):
    """One request. *body* are its pieces; the client leaves after *leaves_after* of them."""

    def __init__(
        self,
        app: Any,
        path: str = "/",
        *,
        method: str = "GET",
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: Sequence[bytes] = (b"",),
        leaves_after: int | None = None,
        version: str = "2.3",
        breaks_at: int | None = None,
        cancel_at: int | None = None,
        instead: Callable[[], Any] | None = None,
        **scope: Any,
    ) -> None:
        last = len(body) - 1
        script = [
            {"type": "http.request", "body": piece, "more_body": number < last}
            for number, piece in enumerate(body)
        ]
        if leaves_after is not None:
            script[leaves_after:] = [{"type": "http.disconnect"}]
        whole: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": version},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost"), *headers],
            **scope,
        }
        super().__init__(
            app, whole, script, breaks_at=breaks_at, cancel_at=cancel_at, instead=instead
        )

    def wrong_with(self, message: Message) -> str | None:
        kind = message["type"]
        if kind == "http.response.start":
            if self.sent:
                return "a second start"
            return _wrong_head(message)
        if kind != "http.response.body":
            return "an unknown message"
        if not self.sent:
            return "a body before the start"
        if not self.sent[-1].get("more_body", True):
            return "a body after the end"
        return None if type(message.get("body", b"")) is bytes else "a body that is no bytes"

    @property
    def status(self) -> int | None:
        """The status that was sent, ``None`` if nothing was."""
        return self.sent[0]["status"] if self.sent else None

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def complete(self) -> bool:
        """Whether the response came to its end."""
        return len(self.sent) > 1 and not self.sent[-1].get("more_body", False)

    def check(self) -> None:
        """Assert what is true of every exchange, whatever went wrong in it.

        One start and a complete body, or an error for the server, which closes the connection;
        or the client closed it.
        """
        assert self.wrongs == []
        assert self.left_behind is None
        gone = self.breaks_at is not None or self.left
        assert self.complete or self.error is not None or gone, self.sent


class Conversation(Served):
    """One websocket. *texts* is what the client says; *leaves_after* counts connect as one."""

    def __init__(
        self,
        app: Any,
        path: str = "/",
        *,
        texts: Sequence[str] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
        leaves_after: int | None = None,
        breaks_at: int | None = None,
        cancel_at: int | None = None,
        **scope: Any,
    ) -> None:
        script: list[Message] = [{"type": "websocket.connect"}]
        script += [{"type": "websocket.receive", "text": text} for text in texts]
        if leaves_after is not None:
            script[leaves_after:] = [{"type": "websocket.disconnect", "code": 1001}]
        whole: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost"), *headers],
            **scope,
        }
        super().__init__(app, whole, script, breaks_at=breaks_at, cancel_at=cancel_at)

    def wrong_with(self, message: Message) -> str | None:
        kind = message["type"]
        types = [earlier["type"] for earlier in self.sent]
        if "websocket.close" in types:
            return "a message after the close"
        if kind == "websocket.accept":
            return "not the first message" if types else None
        if kind == "websocket.send":
            if types[:1] != ["websocket.accept"]:
                return "a message before accept"
            given = [message[key] for key in ("text", "bytes") if message.get(key) is not None]
            return None if len(given) == 1 else "not one of text and bytes"
        if kind == "websocket.close":
            return "a code that is never sent" if message.get("code") in (1005, 1006) else None
        if kind.startswith("websocket.http.response."):
            if "websocket.http.response" not in self.scope.get("extensions", {}):
                return "a denial response that the server does not know"
            return "a denial after accept" if "websocket.accept" in types else None
        return "an unknown message"

    @property
    def code(self) -> int | None:
        """The code that the app closed it with."""
        last = self.sent[-1] if self.sent else {}
        return last.get("code", 1000) if last.get("type") == "websocket.close" else None

    def check(self) -> None:
        """Assert what is true of every conversation: it is closed, by one side or the other."""
        assert self.wrongs == []
        assert self.left_behind is None
        denied = self.types()[-1:] == ["body"] and not self.sent[-1].get("more_body", False)
        gone = self.left or self.breaks_at is not None
        assert self.code is not None or denied or gone, (self.sent, self.error)


class _Walk:
    """A coroutine that tells, each time it is suspended, how often it was before."""

    def __init__(self, coroutine: Any, suspended: Callable[[int], None]) -> None:
        self._coroutine = coroutine
        self._suspended = suspended

    def __await__(self) -> Generator[Any, Any, Any]:
        number = 0
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            try:
                waited_for = step()
            except StopIteration as stop:
                return stop.value
            finally:
                del step  # with an error that knows this frame, which would stay
            self._suspended(number)
            number += 1
            try:
                value = yield waited_for
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, value)


def _wrong_head(message: Message) -> str | None:
    if type(message["status"]) is not int:
        return "a status that is no int"
    for name, value in message["headers"]:
        if type(name) is not bytes or type(value) is not bytes:
            return "a header that is no bytes"
        if name != name.lower() or any(byte in name + value for byte in b"\r\n\0"):
            return "a header that cannot be sent"
    return None


async def cancelled_everywhere(make: Callable[[int], Awaitable[Any]]) -> int:
    """Call *make* with 0, 1, 2... until it says that nothing was left to cancel."""
    number = 0
    while (await make(number)).reached:
        number += 1
        assert number < 500, "It never ends"
    return number


class Cycle(Served):
    """One start-up and shutdown by the lifespan protocol."""

    def __init__(self, app: Any, *, cancel_at: int | None = None, **scope: Any) -> None:
        script = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        whole = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, **scope}
        super().__init__(app, whole, script, cancel_at=cancel_at)

    def wrong_with(self, message: Message) -> str | None:
        phase, _, outcome = message["type"].removeprefix("lifespan.").partition(".")
        if outcome not in ("complete", "failed"):
            return "an unknown message"
        if self.sent and self.sent[-1]["type"] != "lifespan.startup.complete":
            return "a message after the end"
        return None if phase == ("shutdown" if self.sent else "startup") else "the wrong phase"

    @property
    def outcomes(self) -> list[str]:
        """What was sent: ``["startup.complete", "shutdown.failed"]``."""
        return [message["type"].removeprefix("lifespan.") for message in self.sent]

    def check(self) -> None:
        """Assert what is true of every cycle: the server knows how it went."""
        assert self.wrongs == []
        assert self.left_behind is None
        assert self.outcomes[-1:] != ["startup.complete"] or self.error is not None
