"""Clients that talk to an app without a server. What needs httpx is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import SetupError

if TYPE_CHECKING:
    from .client import TestClient
    from .commands import CliRunner
    from .cookies import Cookie
    from .drafts import build_scope
    from .loops import running_loop
    from .redirects import ClientRedirectError
    from .responses import StreamedResponse, TestResponse
    from .sockets import SyncTestWebSocket, TestWebSocket, WebSocketRejected
    from .sync import SyncTestClient
    from .transport import ASGITransport

__all__ = [
    "ASGITransport",
    "CliRunner",
    "ClientRedirectError",
    "Cookie",
    "StreamedResponse",
    "SyncTestClient",
    "SyncTestWebSocket",
    "TestClient",
    "TestResponse",
    "TestWebSocket",
    "TestingUnavailable",
    "WebSocketRejected",
    "build_scope",
    "running_loop",
]

_HOME = {
    "ASGITransport": "transport",
    "CliRunner": "commands",
    "ClientRedirectError": "redirects",
    "Cookie": "cookies",
    "StreamedResponse": "responses",
    "SyncTestClient": "sync",
    "SyncTestWebSocket": "sockets",
    "TestClient": "client",
    "TestResponse": "responses",
    "TestWebSocket": "sockets",
    "WebSocketRejected": "sockets",
    "build_scope": "drafts",
    "running_loop": "loops",
}


class TestingUnavailable(SetupError, ImportError):
    """The test client was asked for, and httpx is not installed."""

    __test__ = False


# WHY: lazily, because app.sync_serving() and commands are for production too, where the extra
# is not installed; they need this package, but nothing of httpx.
def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise TestingUnavailable(
            f"erlen.testing.{name} needs httpx, which is not installed. It comes with an extra:"
            " pip install 'erlen[test]'",
            name="httpx",
        ) from error
