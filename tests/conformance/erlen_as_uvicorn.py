"""Has uvicorn's own tests of its protocols run against Erlen's; a plugin of pytest.

What those tests put in place of an event loop and of a connection has only what uvicorn itself
asks for, so the rest is added here. They leave out by the name of a class what that class is
known not to do; Erlen's go by that name.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn.config
from uvicorn.protocols.http import h11_impl, httptools_impl
from uvicorn.protocols.websockets import websockets_sansio_impl

from erlen.server.protocols import with_h11, with_httptools, with_websockets

# uvicorn's tests make their own configuration, and send larger heads than Erlen takes.
uvicorn.config.Config.head_timeout = None
uvicorn.config.Config.max_head_size = 1024 * 1024


def take_the_place_of(module: Any, name: str, ours: type[Any]) -> None:
    ours.__name__ = name
    setattr(module, name, ours)


take_the_place_of(h11_impl, "H11Protocol", with_h11.HttpProtocol)
take_the_place_of(httptools_impl, "HttpToolsProtocol", with_httptools.HttpProtocol)
take_the_place_of(
    websockets_sansio_impl, "WebSocketsSansIOProtocol", with_websockets.WebSocketProtocol
)


def pytest_collection_finish() -> None:
    from tests.protocols import test_http

    test_http.MockLoop.time = lambda self: asyncio.get_running_loop().time()
    test_http.MockLoop.call_soon = lambda self, *call: asyncio.get_running_loop().call_soon(*call)
    test_http.MockLoop.get_task_factory = lambda self: None
    create_task = test_http.MockLoop.create_task
    test_http.MockLoop.create_task = lambda self, task, context=None: create_task(self, task)
    test_http.MockTask.done = lambda self: False
    test_http.MockTransport.writelines = lambda self, pieces: self.write(b"".join(pieces))
