"""A clock that the server moves, and a countdown that goes on where a browser left it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from erlen import Erlen, EventStream, ServerSentEvent, render_template, request, sync

app = Erlen(__name__, static_folder=None)
app.config["SECONDS"] = 1.0
"""How long a second takes; tests have less time."""

RETRY = 500
"""Milliseconds after which a browser that lost the connection comes back."""


@app.get("/")
async def index():
    return render_template("clock.html")


@app.get("/time")
async def now():
    """Tell the time for as long as the browser listens."""

    async def ticks():
        while True:
            yield ServerSentEvent(f"{datetime.now():%H:%M:%S}", event="tick", retry=RETRY)
            await asyncio.sleep(app.config["SECONDS"])

    return EventStream(ticks())


@app.get("/countdown/<int:number>")
def countdown(number: int):
    """Count down in a worker thread, from where the browser was when it lost us."""
    last = sync.request.last_event_id
    if last == "0":
        return "", 204  # it has heard it all: this is how a browser stops coming back
    left = int(last) if last and last.isdecimal() else number

    def numbers():
        for n in range(min(left, number) - 1, -1, -1):
            time.sleep(app.config["SECONDS"])
            yield ServerSentEvent({"left": n}, event="left", id=str(n), retry=RETRY)

    return EventStream(numbers())


@app.after_request
async def say_who_listens(response):
    if isinstance(response, EventStream):
        app.logger.info("%s listens to %s", request.remote_addr, request.path)
    return response
