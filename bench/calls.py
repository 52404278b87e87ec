"""An app called as a server calls it, without a server: asked once, or asked often and timed."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Protocol

from bench.workloads import Workload

UPLOAD_PIECE = 65536
"""uvicorn hands out what it has at this many bytes."""
AT_A_TIME = 32
"""Requests that are made before they are served, and their time is taken.

A server has no more than a few at once. With thousands that wait for their turn, each takes longer
than it does there.
"""
USUAL_HEADERS = (("host", "127.0.0.1:8000"), ("user-agent", "bench/1"), ("accept", "*/*"))


class Wrong(Exception):
    """An answer is not the one that all give."""


@dataclass
class Answer:
    """What came back; the names of *headers* are in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of that name, or nothing."""
        return next((value for key, value in self.headers if key == name), "")


class Asks(Protocol):
    """Something that can be asked."""

    async def ask(self, workload: Workload) -> Answer:
        """Ask once."""
        ...


class Caller(Asks, Protocol):
    """Something that can be asked often."""

    async def time(self, workload: Workload, number: int) -> float:
        """Ask *number* times; return the seconds that all took."""
        ...


class Asgi:
    """Calls an ASGI app."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def ask(self, workload: Workload) -> Answer:
        """Ask once."""
        messages: list[Any] = []
        exchange = Exchange(pieces_of(workload.body))

        async def send(message: Any) -> None:
            messages.append(message)
            await exchange.send(message)

        await self.app(scope_of(workload), exchange.receive, send)
        start, *rest = messages
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in start["headers"]
        ]
        return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in rest))

    async def time(self, workload: Workload, number: int) -> float:
        """Ask *number* times; return the seconds that all took."""
        usual, pieces, app = scope_of(workload), pieces_of(workload.body), self.app
        took = 0.0
        for count in batches(number):
            exchanges = [Exchange(pieces) for _ in range(count)]
            calls = [
                (
                    {**usual, "headers": usual["headers"].copy(), "state": {}},
                    exchange.receive,
                    exchange.send if workload.awaits_end else ignore,
                )
                for exchange in exchanges
            ]
            with set_aside():
                start = time.perf_counter()
                for scope, receive, send in calls:
                    await app(scope, receive, send)
                took += time.perf_counter() - start
        return took


def batches(number: int) -> Iterator[int]:
    """Yield how many requests are made at a time, until there were *number*."""
    for begun in range(0, number, AT_A_TIME):
        yield min(AT_A_TIME, number - begun)


@contextmanager
def set_aside() -> Iterator[None]:
    """Show the garbage collector only what is made from here on.

    It would look through the requests that wait for their turn, in the time of whoever is
    served; a server has none of those.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Exchange:
    """One request: its body in pieces, and a disconnect when the answer is complete."""

    __slots__ = ("at", "end", "messages")

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.at = 0
        self.end: asyncio.Future[dict[str, Any]] | None = None

    async def receive(self) -> dict[str, Any]:
        """Return the next piece, or wait for the end."""
        if self.at < len(self.messages):
            if self.at:
                # The rest of a body is still on its way: a server would let others go on.
                await asyncio.sleep(0)
            self.at += 1
            return self.messages[self.at - 1]
        if self.end is None:
            self.end = asyncio.get_running_loop().create_future()
        return await self.end

    async def send(self, message: Any) -> None:
        """Take what the app sends, and see when it is complete."""
        complete = message["type"] == "http.response.body" and not message.get("more_body")
        if complete and self.end is not None and not self.end.done():
            self.end.set_result({"type": "http.disconnect"})


async def ignore(message: Any) -> None:
    """Take what the app sends, as fast as can be."""


def scope_of(workload: Workload) -> dict[str, Any]:
    """Return a scope as uvicorn makes it."""
    return scope_with(
        [(k.encode(), v.encode()) for k, v in headers_of(workload)],
        method=workload.method,
        path=workload.path,
        query_string=workload.query.encode(),
    )


def scope_with(headers: list[tuple[bytes, bytes]], path: str, **others: Any) -> dict[str, Any]:
    """Return the scope of a GET of *path* as uvicorn makes it, but for *others*."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "root_path": "",
        "headers": headers,
        "state": {},
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        **others,
    }


def headers_of(workload: Workload) -> list[tuple[str, str]]:
    """Return the headers of a request."""
    length = [("content-length", str(len(workload.body)))] if workload.body else []
    return [*USUAL_HEADERS, *workload.headers, *length]


def pieces_of(body: bytes) -> list[dict[str, Any]]:
    """Cut a body as it comes from a socket."""
    starts = range(0, len(body) or 1, UPLOAD_PIECE)
    return [
        {
            "type": "http.request",
            "body": body[start : start + UPLOAD_PIECE],
            "more_body": start + UPLOAD_PIECE < len(body),
        }
        for start in starts
    ]


class Wsgi:
    """Calls a WSGI app."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def ask(self, workload: Workload) -> Answer:
        """Ask once."""
        started: list[Any] = []

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
            started[:] = [int(status.split()[0]), headers]

        answer = self.app(environ_of(workload), start_response)
        body = b"".join(answer)
        close(answer)
        return Answer(started[0], [(name.lower(), value) for name, value in started[1]], body)

    async def time(self, workload: Workload, number: int) -> float:
        """Ask *number* times; return the seconds that all took."""
        usual, app = environ_of(workload), self.app
        took = 0.0
        for count in batches(number):
            calls = [{**usual, "wsgi.input": BytesIO(workload.body)} for _ in range(count)]
            with set_aside():
                start = time.perf_counter()
                for environ in calls:
                    answer = app(environ, start_and_ignore)
                    for _ in answer:
                        pass
                    close(answer)
                took += time.perf_counter() - start
        return took


def start_and_ignore(status: str, headers: Any, exc_info: Any = None) -> Any:
    """Take the head of an answer, as fast as can be."""


def close(answer: Any) -> None:
    """Close an answer, as a WSGI server must."""
    if hasattr(answer, "close"):
        answer.close()


def environ_of(workload: Workload) -> dict[str, Any]:
    """Return an environment as gunicorn makes it."""
    environ = {
        "REQUEST_METHOD": workload.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": workload.path,
        "QUERY_STRING": workload.query,
        "RAW_URI": f"{workload.path}?{workload.query}",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "bench",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(workload.body),
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers_of(workload):
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return environ


Different = dict[str, tuple[str, Callable[[bytes], bytes]]]
"""For a workload: how the bytes of a peer differ, and what makes them the same."""


def check(workload: Workload, answer: Answer, different: Different | None = None) -> None:
    """Compare an answer with the one that is asked for.

    :raises Wrong: if it is another one.
    """
    body = answer.body
    if different and workload.name in different:
        body = different[workload.name][1](body)
    if answer.status != workload.status:
        raise Wrong(f"status {answer.status} instead of {workload.status}: {body[:300]!r}")
    if body != workload.answer:
        raise Wrong(f"{body[:300]!r} instead of {workload.answer[:300]!r}")
    if workload.answer_header:
        name, value = workload.answer_header
        if not answer.header(name).startswith(value):
            raise Wrong(f"{name}: {answer.header(name)!r} instead of {value!r}")


async def prepared(
    caller: Asks, workload: Workload, different: Different | None = None
) -> Workload:
    """Check the answer; return the workload with the cookies that it needs.

    :raises Wrong: if the answer is another one.
    """
    if workload.first_answer is not None:
        first = await caller.ask(workload)
        check(replace(workload, answer=workload.first_answer), first, different)
        cookies = [v.split(";")[0] for k, v in first.headers if k == "set-cookie"]
        headers = (*workload.headers, ("cookie", "; ".join(cookies)))
        workload = replace(workload, headers=headers)
    check(workload, await caller.ask(workload), different)
    return workload
