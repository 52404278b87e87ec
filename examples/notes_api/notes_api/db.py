"""Connections to SQLite: a few are open while the app serves, a request borrows one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiosqlite
from erlen import Erlen, current_app, enter, g


def init_app(app: Erlen) -> None:
    """Open the pool before the first request and close it after the last."""

    @app.while_serving
    async def keep_connections() -> AsyncIterator[None]:
        path = Path(app.config["DATABASE"])
        path.parent.mkdir(parents=True, exist_ok=True)
        async with open_pool(path, size=app.config["DATABASE_CONNECTIONS"]) as pool:
            async with pool.connection() as db:
                await db.executescript(Path(app.root_path, "schema.sql").read_text())
            app.extensions["notes_api.pool"] = pool
            yield


async def get_db() -> aiosqlite.Connection:
    """Return the connection of this request, which goes back to the pool at its end."""
    if "db" not in g:
        g.db = await enter(current_app.extensions["notes_api.pool"].connection())
    return g.db


class Pool:
    """Open connections, each lent to one request at a time."""

    def __init__(self) -> None:
        self.free: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[aiosqlite.Connection]:
        """Lend a connection; what is not committed at the end is undone."""
        db = await self.free.get()
        try:
            yield db
        finally:
            try:
                await db.rollback()
            finally:
                self.free.put_nowait(db)


@asynccontextmanager
async def open_pool(path: Path, *, size: int) -> AsyncIterator[Pool]:
    """Open *size* connections to the file at *path*, and close them at the end."""
    pool = Pool()
    async with AsyncExitStack() as stack:
        for _ in range(size):
            db = await stack.enter_async_context(aiosqlite.connect(path))
            db.row_factory = aiosqlite.Row
            pool.free.put_nowait(db)
        yield pool
