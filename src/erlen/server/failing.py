"""Apps that stand in while the real one cannot run. For debug mode: they show tracebacks."""

from __future__ import annotations

from typing import Any

from ..debugger import traceback_page
from ..signals import got_serving_exception
from ..typing import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Broken", "Forgiving"]


class Broken:
    """Answers every request with the traceback of *error*."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        kind = scope["type"]
        if kind == "lifespan":
            await receive()
            await _outlive(receive, send)
        elif kind == "http":
            await traceback_page(self.error, scope)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1011})


class Forgiving:
    """Serves *app*; if that fails to start, its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        errors: list[BaseException] = []
        failed: list[BaseException] = []

        def note(sender: Any, exception: BaseException, **data: Any) -> None:
            errors.append(exception)

        async def forgiving(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                reason = message.get("message") or "The app failed to start."
                failed.append(errors[-1] if errors else RuntimeError(reason))
            else:
                await send(message)

        with got_serving_exception.connected_to(note):
            await self.app(scope, receive, forgiving)
        if failed:
            self.app = Broken(failed[0])
            await _outlive(receive, send)


async def _outlive(receive: Receive, send: Send) -> None:
    """Say that the start went well, so that there is a server to show how it did not."""
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
