"""Requests per second over a real server, and what its process weighs. Linux only.

Seconds are those in which the server had a processor. A machine that others use too withholds it
for some part of most seconds by the clock, and that says nothing about a framework.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import clients, peers
from bench.calls import Answer, Wrong, headers_of, prepared
from bench.processes import kilobytes, processor_seconds
from bench.workloads import WORKLOADS, Workload

CONNECTIONS = 32
SOCKETS = 100
IDLE_SOCKETS = 400
PATIENCE = 400
"""Seconds that a server may take to answer for the first time."""

PYTHON = sys.executable
UVICORN = [PYTHON, "-m", "uvicorn", "--factory", "bench.peers:app", "--log-level=warning"]
UVICORN += ["--no-access-log", "--port={port}"]
ERLEN = [PYTHON, "-m", "erlen", "--app=bench.peers:app", "run", "--log-level=warning"]
ERLEN += ["--no-access-log", "--port={port}"]
GUNICORN = [PYTHON, "-m", "gunicorn", "--worker-class=gthread", "--threads=4"]
GUNICORN += ["--log-level=warning", "--bind=127.0.0.1:{port}", "bench.peers:app()"]
SANIC = "bench.peers.app().run(port={port}, single_process=True, access_log=False)"
RUN = [PYTHON, "-m", "bench.running", "{port}"]

COMMANDS = {
    "erlen run": ERLEN,
    "raw run": RUN,
    "least run": RUN,
    "flask": GUNICORN,
    "sanic": [PYTHON, "-c", f"import bench.peers; {SANIC}"],
}
"""What serves; uvicorn, if nothing is said here."""

ON_UVICORN, ON_RUN = ("erlen", "least", "raw"), ("erlen run", "least run", "raw run")
BY_HAND = ("plaintext", "json", "args")
"""What is asked of Erlen and of what is written by hand; and echoes over websockets."""

Say = Callable[[str], None]
Round = dict[str, float]
"""Requests or messages per second of processor time of each column, one after the other."""


def cores() -> tuple[set[int], set[int]]:
    """Return the cores of the server and of the client: none, if there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return ({first}, set(others)) if others else (set(), set())


def pinned(to: set[int]) -> Callable[[], None]:
    """Return what keeps a process on cores, for ``preexec_fn``."""
    return lambda: os.sched_setaffinity(0, to) if to else None


def columns_of(names: list[str]) -> list[str]:
    """Return what is served: the peers, and Erlen by its own command too."""
    at = names.index("erlen") + 1 if "erlen" in names else 0
    return [*names[:at], "erlen run", *names[at:]] if at else names


@dataclass
class Server:
    """A process that serves an app of a peer."""

    column: str
    port: int
    process: subprocess.Popen[bytes]
    start: float
    """Seconds from the command to the first answer."""

    async def ask(self, workload: Workload) -> Answer:
        """Ask once."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        path = f"{workload.path}?{workload.query}" if workload.query else workload.path
        headers = dict(headers_of(workload))
        link.request(workload.method, path, workload.body or None, headers)
        response = link.getresponse()
        given = [(name.lower(), value) for name, value in response.getheaders()]
        answer = Answer(response.status, given, response.read())
        link.close()
        return answer


@contextmanager
def serving(column: str, app: str) -> Iterator[Server]:
    """Start a server on the first core; stop it at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [part.replace("{port}", str(port)) for part in COMMANDS.get(column, UVICORN)]
    environment = {"BENCH_PEER": column.split()[0], "BENCH_APP": app, "SANIC_MOTD": "false"}
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            preexec_fn=pinned(cores()[0]),
            stdout=log,
            stderr=log,
        )
        try:
            if not answers(process, port):
                log.seek(0)
                said = log.read().decode(errors="replace")
                raise SystemExit(f"the server of {column} gave no answer\n{said}")
            yield Server(column, port, process, time.perf_counter() - begin)
        finally:
            stop(process)


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for the first answer, whatever it is."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as link:
                link.sendall(clients.GET)
                if link.recv(16):
                    return True
        except OSError:
            time.sleep(0.002)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it started."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def throughput(
    names: list[str], workloads: list[str], *, rounds: int, seconds: int, say: Say
) -> dict[str, list[Round]]:
    """Return the requests per second of each round, for each workload."""
    if shutil.which("wrk") is None:
        say("wrk is not installed: nothing is measured over a server (Debian: apt install wrk)")
        return {}
    found: dict[str, list[Round]] = {name: [] for name in workloads}
    for app in dict.fromkeys(WORKLOADS[name].app for name in workloads):
        asked = [WORKLOADS[name] for name in workloads if WORKLOADS[name].app == app]
        able = [
            column
            for column in columns_of(names)
            if any(workload.name not in peers.lacks(column.split()[0]) for workload in asked)
        ]
        say(f"served: starting {app}")
        with ExitStack() as stack:
            servers = [stack.enter_context(serving(column, app)) for column in able]
            for turn in range(rounds):
                say(f"served: {app}, round {turn + 1} of {rounds}")
                shift = turn % len(servers)
                for workload in asked:
                    found[workload.name].append(
                        {
                            server.column: wrk(server, checked(server, workload), seconds)
                            for server in servers[shift:] + servers[:shift]
                            if workload.name not in peers.lacks(server.column.split()[0])
                        }
                    )
    return found


def checked(server: Server, workload: Workload) -> Workload:
    """Compare the answer; return the workload with its cookies.

    :raises SystemExit: if the answer is another one.
    """
    different = getattr(peers.peer(server.column.split()[0]), "DIFFERENT", None)
    try:
        return asyncio.run(prepared(server, workload, different))
    except Wrong as wrong:
        raise SystemExit(f"answers differ\n{server.column}: {workload.what}: {wrong}") from None


def wrk(server: Server, workload: Workload, seconds: int) -> float:
    """Let ``wrk`` ask for *seconds*; return the requests per second that the server worked.

    :raises SystemExit: if a connection fails or an answer has another status.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "ask.lua")
        body = Path(folder, "body")
        body.write_bytes(workload.body)
        headers = (*workload.headers, ("User-Agent", "bench/1"))
        lines = [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers]
        lines.append(f"wrk.method = {json.dumps(workload.method)}")
        if workload.body:
            lines.append(f"wrk.body = io.open({json.dumps(str(body))}, 'rb'):read('*all')")
        script.write_text("\n".join(lines))
        url = f"http://127.0.0.1:{server.port}{workload.path}"
        if workload.query:
            url += f"?{workload.query}"
        connections = 4 if len(workload.body) > 1_000_000 else CONNECTIONS
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s"]
        before = processor_seconds(server.process.pid)
        run = subprocess.run(
            [*command, "-s", str(script), url],
            preexec_fn=pinned(cores()[1]),
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=True,
        )
        worked = processor_seconds(server.process.pid) - before
    return clients.rate(answers_in(run.stdout, expect_errors=workload.status >= 400), worked)


def answers_in(output: str, *, expect_errors: bool) -> int:
    """Read from the output of ``wrk`` how many requests were answered.

    :raises SystemExit: if a connection failed or an answer had another status.
    """
    answers = re.search(r"(\d+) requests in", output)
    errors = re.search(r"Socket errors: .*", output)
    other = re.search(r"Non-2xx or 3xx responses: \d+", output)
    if not answers or errors or bool(other) != expect_errors:
        raise SystemExit(f"wrk was not answered as expected\n{output}")
    return int(answers[1])


def echoes(names: list[str], *, rounds: int, seconds: int, say: Say) -> dict[str, list[Round]]:
    """Return websocket messages per second with :data:`SOCKETS` connections, in each round."""
    able = [c for c in columns_of(names) if "socket" not in peers.lacks(c.split()[0])]
    found: list[Round] = []
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(column, "plain")) for column in able]
        for turn in range(rounds):
            say(f"served: websockets, round {turn + 1} of {rounds}")
            found.append(busily(servers, seconds))
    return {"socket": found}


def by_hand(*, rounds: int, seconds: int, say: Say) -> dict[str, list[Round]]:
    """Return what :func:`throughput` does, for Erlen and what is written by hand, on two servers.

    These are uvicorn and that of ``erlen run``. Their client never sleeps and asks them in turns,
    see :func:`bench.clients.in_turns`.
    """
    asked = [WORKLOADS[name] for name in BY_HAND]
    found: dict[str, list[Round]] = {name: [] for name in (*BY_HAND, "socket")}
    with ExitStack() as stack:
        columns = (*ON_UVICORN, *ON_RUN)
        servers = [stack.enter_context(serving(column, "plain")) for column in columns]
        for turn in range(rounds):
            say(f"by hand: round {turn + 1} of {rounds}")
            for workload in asked:
                found[workload.name].append(busily(servers, seconds, workload))
            found["socket"].append(busily(servers, seconds))
    return found


def busily(servers: Sequence[Server], seconds: float, workload: Workload | None = None) -> Round:
    """Ask, or let websockets echo, each for *seconds*, a little of them at a time."""
    asked = [
        (
            server.process.pid,
            server.port,
            None if workload is None else request_of(checked(server, workload), server.port),
        )
        for server in servers
    ]
    order = {
        "cores": sorted(cores()[1]),
        "connections": SOCKETS if workload is None else CONNECTIONS,
        "seconds": seconds,
        "servers": asked,
    }
    command = [PYTHON, "-m", "bench.clients", json.dumps(order)]
    patience = len(servers) * (seconds + clients.PATIENCE) + 60
    rates = json.loads(subprocess.check_output(command, timeout=patience))
    return dict(zip([server.column for server in servers], rates, strict=True))


def request_of(workload: Workload, port: int) -> str:
    """Write a request without a body as it is sent."""
    path = f"{workload.path}?{workload.query}" if workload.query else workload.path
    host, agent = ("Host", f"127.0.0.1:{port}"), ("User-Agent", "bench/1")
    fields = "".join(f"{name}: {value}\r\n" for name, value in (host, agent, *workload.headers))
    return f"{workload.method} {path} HTTP/1.1\r\n{fields}\r\n"


def weights(
    names: list[str], *, rounds: int, requests: int, say: Say
) -> dict[str, dict[str, float]]:
    """Return seconds to start and kilobytes at rest, in use and per websocket, by column."""
    results: dict[str, dict[str, float]] = {}
    for column in columns_of(names):
        say(f"served: start and memory of {column}")
        starts = []
        for _ in range(rounds):
            with serving(column, "plain") as server:
                starts.append(server.start)
        with serving(column, "plain") as server:
            weight: dict[str, float] = {"idle": kilobytes(server.process.pid)}
            clients.requests(server.port, requests)
            weight["used"] = kilobytes(server.process.pid)
            if "socket" not in peers.lacks(column.split()[0]):
                first = clients.sockets(server.port, 20)
                before = kilobytes(server.process.pid)
                links = clients.sockets(server.port, IDLE_SOCKETS)
                weight["socket"] = (kilobytes(server.process.pid) - before) / IDLE_SOCKETS
                for link in first + links:
                    link.close()
            starts.append(server.start)
        results[column] = weight | {"start": min(starts)}
    return results


def imports(names: list[str], *, rounds: int) -> dict[str, float]:
    """Return the seconds that importing each framework takes in a fresh Python."""
    # Timed in there: a Python that was started from here also has to begin and to end.
    timed = (
        "import time; begin = time.perf_counter(); import {}; print(time.perf_counter() - begin)"
    )
    least = dict.fromkeys(names, float("inf"))
    for _ in range(rounds):
        for name in names:
            code = timed.format(peers.PEERS[name] or "asyncio")
            took = subprocess.run([PYTHON, "-c", code], check=True, stdout=subprocess.PIPE).stdout
            least[name] = min(least[name], float(took))
    return least
