"""What a type checker must know of ``request.enter``: it gives what the manager gives."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import assert_type

import aiosqlite

from erlen import enter, request, sync, websocket


class Session:
    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *error: object) -> None: ...


@asynccontextmanager
async def asynchronous() -> AsyncGenerator[int]:
    yield 1


@contextmanager
def plain() -> Generator[str]:
    yield "x"


async def in_async_code() -> None:
    assert_type(await request.enter(Session()), Session)
    assert_type(await request.enter(asynchronous()), int)
    assert_type(request.enter(plain()), str)
    assert_type(await request.enter(aiosqlite.connect("a")), aiosqlite.Connection)
    assert_type(await websocket.enter(Session()), Session)
    assert_type(await enter(Session()), Session)
    assert_type(enter(plain()), str)
    request.enter(1)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue, reportArgumentType] # no manager


def in_def_code() -> None:
    assert_type(sync.request.enter(Session()), Session)
    assert_type(sync.request.enter(plain()), str)
    assert_type(sync.request.enter(closing(sqlite3.connect("a"))), sqlite3.Connection)
    assert_type(sync.request.enter(sqlite3.connect("a")), sqlite3.Connection)
