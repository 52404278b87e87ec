"""New entries, over websockets, to everybody who looks at the page."""

from __future__ import annotations

import asyncio

from erlen import websocket

import book

peers: set[asyncio.Queue[dict[str, str]]] = set()


async def live():
    news: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def send_all():
        while True:
            await websocket.send_json(await news.get())

    await websocket.accept()
    peers.add(news)
    sending = asyncio.create_task(send_all())
    try:
        async for _ in websocket:  # until they leave
            pass
    finally:
        sending.cancel()
        peers.discard(news)


async def tell_peers():
    loop = asyncio.get_running_loop()

    def tell(entry: dict[str, str]) -> None:  # in the thread of a Flask view
        for news in tuple(peers):
            loop.call_soon_threadsafe(news.put_nowait, entry)

    book.LISTENERS.append(tell)
    yield
    book.LISTENERS.remove(tell)
