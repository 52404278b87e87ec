"""The process of one peer. Reads orders, lines of JSON, from standard input and answers in kind."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from bench import peers
from bench.calls import Asgi, Caller, Wrong, Wsgi, prepared
from bench.processes import kilobytes
from bench.workloads import WORKLOADS, Workload

BLOCK = 0.004
"""Seconds of one uninterrupted measurement: less than a busy machine leaves to a process."""


SLOPE = ["plaintext", "args", "echo", "form", "template", "def", "session", "hooks"]
SLOPE += ["notfound", "error"]
READINGS = 10
TOGETHER = 50
"""Requests that wait for their turn while memory is watched: they are memory of the bench."""


class Peer:
    """The apps of one framework, made when first asked."""

    def __init__(self, name: str, stack: AsyncExitStack) -> None:
        self.name = name
        self.stack = stack
        self.apps: dict[str, Caller] = {}
        self.ready: dict[str, Workload] = {}

    async def caller(self, app: str) -> Caller:
        """Return what asks one of the apps; start it if need be."""
        if app not in self.apps:
            made = peers.build(self.name, app)
            if self.name == "flask":
                self.apps[app] = Wsgi(made)
            else:
                await self.stack.enter_async_context(lifespan(made))
                self.apps[app] = Asgi(made)
        return self.apps[app]

    async def check(self, name: str) -> dict[str, Any]:
        """Ask once, and say what is wrong with the answer."""
        caller = await self.caller(WORKLOADS[name].app)
        different = getattr(peers.peer(self.name), "DIFFERENT", None)
        try:
            self.ready[name] = await prepared(caller, WORKLOADS[name], different)
        except Wrong as wrong:
            return {"wrong": str(wrong)}
        return {}

    async def time(self, name: str, seconds: float) -> dict[str, Any]:
        """Ask for *seconds*; return the microseconds of a request, block by block."""
        caller, workload = self.apps[WORKLOADS[name].app], self.ready[name]
        once = await caller.time(workload, 1)
        number = max(1, min(1000, int(BLOCK / max(once, 1e-6))))
        once = await caller.time(workload, number) / number
        number = max(1, min(5000, int(BLOCK / once)))
        blocks = max(3, int(seconds / (number * once)))
        times = [await caller.time(workload, number) for _ in range(blocks)]
        return {"us": [took / number * 1e6 for took in times]} | await self.check(name)

    async def slope(self, requests: int) -> dict[str, Any]:
        """Serve *requests* of all kinds; return what the process weighs on the way."""
        for name in SLOPE:
            await self.check(name)
        readings: list[int] = []
        turns = requests // READINGS // len(SLOPE) // TOGETHER
        # The first round fills caches and pools and does not count.
        for _ in range(READINGS + 1):
            for name in SLOPE:
                for _ in range(turns):
                    await self.apps[WORKLOADS[name].app].time(self.ready[name], TOGETHER)
            gc.collect()
            readings.append(kilobytes(os.getpid()))
        xs = [turns * TOGETHER * len(SLOPE) * at for at in range(len(readings))]
        grows = statistics.linear_regression(xs, [count * 1024 for count in readings]).slope
        return {"requests": xs[-1], "kilobytes": readings, "bytes per request": grows}


@asynccontextmanager
async def lifespan(app: Any) -> Any:
    """Start an ASGI app and stop it, as servers do; one without a lifespan is left alone."""
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(app(scope, inbox.get, outbox.put))
    task.add_done_callback(lambda done: outbox.put_nowait({"type": "gone", "of": done.exception()}))
    await inbox.put({"type": "lifespan.startup"})
    message = await outbox.get()
    if message["type"] == "lifespan.startup.failed":
        raise RuntimeError(message.get("message"))
    yield
    if message["type"] != "gone":
        await inbox.put({"type": "lifespan.shutdown"})
        await outbox.get()


async def work(name: str, tell: Callable[[Any], None]) -> None:
    """Follow orders until there are no more."""
    async with AsyncExitStack() as stack:
        peer = Peer(name, stack)
        for line in sys.stdin:
            order, *arguments = json.loads(line)
            tell(await getattr(peer, order)(*arguments))


def main() -> None:
    """Serve the peer that the first argument names."""
    # Frameworks may print what they like: to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work(sys.argv[1], tell))


def loop_factory() -> Callable[[], Any] | None:
    """Return what makes the loop that uvicorn would take."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


if __name__ == "__main__":
    main()
