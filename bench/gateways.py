"""What the two gateways to WSGI cost in process, beside those of a2wsgi in the same run.

Run ``python -m bench.gateways``. Microseconds of the processor per request, in all threads, the
best of many short rounds in which all take turns; the last column is the share of what a2wsgi
needs. It needs bench/requirements.txt.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from typing import Any

import a2wsgi

import erlen
from bench.calls import scope_with
from erlen.wsgi import WSGIMount

ROUNDS = 12
LOOPS = 25

Table = list[tuple[str, float, float | None]]
"""What was measured, the time of Erlen and the time of a2wsgi."""


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer at once."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def wsgi_stream(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer in a thousand small pieces."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(1000):
        yield b"x" * 20


def flask_app() -> Any:
    """Return an app of Flask that says as much."""
    import flask

    app = flask.Flask("flask")
    app.add_url_rule("/", view_func=lambda: "hello")
    return app


def erlen_app() -> erlen.Erlen:
    """Return an app with a view of each colour."""
    app = erlen.Erlen("erlen", static_folder=None)

    @app.get("/")
    async def index() -> str:
        return "hello"

    @app.get("/def")
    def plain() -> str:
        return "hello"

    return app


def scope(path: str) -> dict[str, Any]:
    """Return the scope of a GET as a browser's request makes it."""
    headers = [(b"host", b"localhost:5000"), (b"accept", b"*/*"), (b"user-agent", b"x" * 60)]
    return scope_with(headers, path)


def environ(path: str) -> dict[str, Any]:
    """Return the environ of the same request."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:5000",
        "HTTP_ACCEPT": "*/*",
        "HTTP_USER_AGENT": "x" * 60,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }


async def shortest(asks: list[Callable[[], Awaitable[Any]]], loops: int) -> list[float]:
    """Return the shortest time of each of *asks*, which take turns."""
    best = [float("inf")] * len(asks)
    for _ in range(ROUNDS):
        for at, ask in enumerate(asks):
            began = time.process_time()
            for _ in range(loops):
                await ask()
            best[at] = min(best[at], (time.process_time() - began) / loops * 1e6)
    return best


class Client:
    """A client that sends no body, and stays."""

    def __init__(self) -> None:
        self.asked = False

    async def receive(self) -> dict[str, Any]:
        """Return the end of the body, and then nothing any more."""
        if self.asked:
            await asyncio.get_running_loop().create_future()
        self.asked = True
        return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None:
    """Take a message."""


def asking(app: Any, path: str = "/") -> Callable[[], Awaitable[None]]:
    """Return a request to an ASGI app."""
    return lambda: app(scope(path), Client().receive, send)


async def inside() -> Table:
    """Measure WSGI apps behind ASGI."""
    table: Table = []
    for name, app, loops in (
        ("an app that returns a list", wsgi_app, LOOPS),
        ("an app of Flask", flask_app(), LOOPS),
        ("1000 small pieces", wsgi_stream, 2),
    ):
        around = erlen.Erlen("around", static_folder=None)
        around.mount_wsgi("/old", app)
        ours, mounted, theirs = await shortest(
            [
                asking(WSGIMount(app)),
                asking(around, "/old/"),
                asking(a2wsgi.WSGIMiddleware(app)),
            ],
            loops,
        )
        table += [(name, ours, theirs), (f"{name}, mounted in Erlen", mounted, theirs)]
    loop = asyncio.get_running_loop()
    hop = await shortest([lambda: loop.run_in_executor(None, copy_context().run, int)], LOOPS)
    table.append(("a bare hop to an executor", hop[0], None))
    return table


def serving(app: Any, path: str) -> Callable[[], Awaitable[None]]:
    """Return a request to a WSGI app."""

    async def ask() -> None:
        result = app(environ(path), lambda status, headers, exc_info=None: None)
        for _ in result:
            pass
        if hasattr(result, "close"):
            result.close()

    return ask


def outside() -> Table:
    """Measure an Erlen app behind WSGI, called in a thread that has no loop."""
    app = erlen_app()
    theirs = a2wsgi.ASGIMiddleware(app)
    table: Table = []
    for name, path in (("an async def view", "/"), ("a def view", "/def")):
        asks = [serving(app.wsgi_app, path), serving(theirs, path)]
        table.append((name, *drive(shortest(asks, LOOPS))))
    return table


def drive(coroutine: Any) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("It waits for something.")


def show(title: str, table: Table) -> None:
    """Print *table*."""
    print(f"\n{title:42}{'erlen':>8}{'a2wsgi':>8}{'share':>8}")
    for name, ours, theirs in table:
        rest = f"{theirs:8.0f}{ours / theirs:8.2f}" if theirs is not None else ""
        print(f"{name:42}{ours:8.0f}{rest}")


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, microseconds per request")
    show("a WSGI app inside", asyncio.run(inside()))
    show("Erlen under WSGI", outside())
