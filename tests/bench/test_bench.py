"""The benchmark compares answers, so it can fail; what it writes is what it measured."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import math
import mmap
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import clients, inprocess, page, peers, processes, runs, served, tables, worker
from bench.calls import AT_A_TIME, Answer, Asgi, Wrong, Wsgi, batches, check, prepared
from bench.peers import least
from bench.plot import plot
from bench.served import answers_in
from bench.worker import Peer, lifespan
from bench.workloads import ABOUT_JSON, WORKLOADS

ROOT = Path(__file__).parents[2]
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
PLAIN = {n: w for n, w in WORKLOADS.items() if w.app in {"plain", "hooked", "with_session"}}


@pytest.mark.parametrize("name", ["erlen", "raw"])
@pytest.mark.parametrize("workload", PLAIN.values(), ids=PLAIN)
async def test_a_peer_gives_the_answer_that_all_give(name, workload):
    if workload.name in peers.lacks(name):
        pytest.skip(peers.lacks(name)[workload.name])
    app = peers.build(name, workload.app)

    async with lifespan(app):
        ready = await prepared(Asgi(app), workload, getattr(peers.peer(name), "DIFFERENT", None))
        seconds = await Asgi(app).time(ready, 2)

    assert seconds > 0


@pytest.mark.parametrize("library", peers.JSON_LIBRARIES)
@pytest.mark.parametrize("workload", ABOUT_JSON)
async def test_json_by_a_library_is_what_the_default_writes(library, workload):
    app = peers.build(library, "plain")

    await prepared(Asgi(app), WORKLOADS[workload], peers.peer(library).DIFFERENT)

    assert type(app.json).__name__ == f"{library.title()}Provider"
    assert peers.lacks(library).keys() == WORKLOADS.keys() - {*ABOUT_JSON}


@pytest.mark.parametrize("name", served.BY_HAND)
async def test_the_least_by_hand_gives_the_answer_too_and_refuses_what_is_no_host(name):
    app = peers.build("least", "plain")

    ready = await prepared(Asgi(app), WORKLOADS[name])

    assert peers.lacks("least").keys() == WORKLOADS.keys() - {*served.BY_HAND}
    with pytest.raises(ValueError, match="is no host"):
        await Asgi(app).ask(replace(ready, headers=(("host", "no host"), *ready.headers)))


async def test_the_least_by_hand_tells_what_was_not_sent_and_what_does_not_convert():
    app, asked = peers.build("least", "plain"), WORKLOADS["args"]
    ready = await prepared(Asgi(app), asked)

    answer = await Asgi(app).ask(replace(ready, query="page=one&name=n&name=m"))
    assert answer.body.startswith(b"n None ")
    with pytest.raises(KeyError, match="name"):
        await Asgi(app).ask(replace(ready, query="page=1"))


async def test_the_least_by_hand_gives_each_message_to_one_of_several_receivers():
    sent = asyncio.Queue()
    link = least.Link(sent.get, None)
    link.accepted = True
    receivers = [asyncio.create_task(anext(link)) for _ in range(3)]
    for text in ("a", "b"):
        await asyncio.sleep(0)
        sent.put_nowait({"type": "websocket.receive", "text": text})
    sent.put_nowait({"type": "websocket.disconnect", "code": 1000})

    assert [await receiver for receiver in receivers[:2]] == ["a", "b"]
    with pytest.raises(StopAsyncIteration):
        await receivers[2]


@pytest.mark.skipif(sys.platform != "linux", reason="servers are measured on Linux only")
def test_each_server_gives_the_answers_that_are_counted():
    columns = ("erlen run", "least", "raw run")
    with ExitStack() as stack:
        servers = [stack.enter_context(served.serving(column, "plain")) for column in columns]
        for asked in (*(WORKLOADS[name] for name in served.BY_HAND), None):
            rates = served.busily(servers, 0.2, asked)
            assert tuple(rates) == columns
            assert all(rate > 0 for rate in rates.values())


@contextmanager
def answering(answers: Iterable[bytes], asked_of: list[int] | None = None) -> Iterator[int]:
    """Serve one connection, which gets these *answers* and is closed by an empty one.

    Yields the port, which is added to *asked_of* with each question.
    """

    def serve() -> None:
        link, _ = listener.accept()
        with link:
            for answer in answers:
                if not link.recv(4096) or not answer:
                    return
                if asked_of is not None:
                    asked_of.append(link.getsockname()[1])
                link.sendall(answer)
            link.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_what_is_counted_is_one_answer_as_long_as_the_first():
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

    with answering([answer, answer + b"!"]) as port:
        asked = clients.asking(os.getpid(), port, 1, b"?")
        with asked.links[0], pytest.raises(SystemExit, match=f"more than {len(answer)} bytes"):
            clients.busily(asked, 5)


def test_a_server_that_closes_a_connection_is_not_counted():
    with answering([EMPTY, b""]) as port:
        asked = clients.asking(os.getpid(), port, 1, b"?")
        with asked.links[0], pytest.raises(SystemExit, match="closed a connection"):
            clients.busily(asked, 5)


def test_a_server_that_does_not_answer_is_not_waited_for_forever(monkeypatch):
    monkeypatch.setattr(clients, "PATIENCE", 0.1)
    over = threading.Event()

    def answers():
        yield EMPTY
        over.wait(5)

    with answering(answers()) as port:
        asked = clients.asking(os.getpid(), port, 1, b"?")
        with asked.links[0], pytest.raises(SystemExit, match=r"1 answers did not come in 0\.1 s"):
            clients.busily(asked, 0.1)
        over.set()


@pytest.mark.skipif(sys.platform != "linux", reason="servers are measured on Linux only")
def test_servers_are_asked_in_turns_and_each_answer_is_waited_for():
    asked_of: list[int] = []
    answers = itertools.repeat(EMPTY)

    with answering(answers, asked_of) as first, answering(answers, asked_of) as second:
        both = [clients.asking(os.getpid(), port, 1, b"?") for port in (first, second)]
        asked_of.clear()
        rates = clients.in_turns(both, 4 * clients.TURN)
        for asked in both:
            asked.links[0].close()

    assert [port for port, _ in itertools.groupby(asked_of)] == [first, second] * 3
    assert all(rate > 0 for rate in rates)


def test_what_is_no_answer_is_not_counted():
    with (
        answering([b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"]) as port,
        pytest.raises(SystemExit, match=r"not an answer: b'HTTP/1\.1 500 Oh"),
    ):
        clients.asking(os.getpid(), port, 1, b"?")


@pytest.mark.parametrize("name", ["erlen", "raw"])
@pytest.mark.parametrize("kind", ["static", "dynamic", "miss"])
async def test_the_rule_in_the_middle_of_many_is_found(name, kind):
    app = peers.build(name, "routes500")

    async with lifespan(app):
        await prepared(Asgi(app), WORKLOADS[f"routes500_{kind}"])


async def test_a_wrong_answer_is_caught():
    app = peers.build("raw", "plain")

    with pytest.raises(Wrong, match=r"Hello, World!.* instead of b'Hello, Mars!'"):
        await prepared(Asgi(app), replace(WORKLOADS["plaintext"], answer=b"Hello, Mars!"))


async def test_a_wrong_wsgi_answer_is_caught():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    assert await prepared(Wsgi(app), replace(WORKLOADS["plaintext"], answer=b"/"))
    with pytest.raises(Wrong, match="instead of"):
        await prepared(Wsgi(app), WORKLOADS["plaintext"])


def test_another_status_or_header_is_a_wrong_answer():
    hooks = WORKLOADS["hooks"]
    good = Answer(200, [("x-after", "1")], hooks.answer)

    check(hooks, good)
    with pytest.raises(Wrong, match="status 201 instead of 200"):
        check(hooks, replace(good, status=201))
    with pytest.raises(Wrong, match="x-after: '' instead of '1'"):
        check(hooks, replace(good, headers=[]))


def test_only_what_is_documented_may_differ():
    asked = WORKLOADS["json"]
    ends = Answer(200, [("content-type", "application/json")], asked.answer + b"\n")

    check(asked, ends, peers.peer("erlen").DIFFERENT)
    with pytest.raises(Wrong):
        check(asked, ends)


async def test_the_garbage_collector_is_not_shown_the_requests_that_wait():
    shown = []

    async def app(scope, receive, send):
        shown.append(any(one is scope for one in gc.get_objects()))

    await Asgi(app).time(WORKLOADS["json"], 2)

    assert shown == [False, False]
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("number", [1, AT_A_TIME, 2 * AT_A_TIME + 6])
async def test_all_requests_are_served_however_few_are_made_at_a_time(number):
    served = []

    async def app(scope, receive, send):
        served.append(scope)

    def wsgi_app(environ, start_response):
        served.append(environ)
        return []

    await Asgi(app).time(WORKLOADS["json"], number)
    await Wsgi(wsgi_app).time(WORKLOADS["json"], number)

    assert len({id(one) for one in served}) == 2 * number
    assert max(batches(number)) <= AT_A_TIME


async def test_the_memory_of_an_app_that_keeps_what_it_is_asked_grows(monkeypatch):
    kept: list[mmap.mmap] = []

    class Keeping(Asgi):
        async def time(self, workload, number):
            for _ in range(number):
                # From the system: what this process has freed before would hide smaller things.
                page = mmap.mmap(-1, mmap.PAGESIZE)
                page[0] = 1
                kept.append(page)
            return await super().time(workload, number)

    monkeypatch.setattr(worker, "Asgi", Keeping)

    async with AsyncExitStack() as stack:
        found = await Peer("erlen", stack).slope(5000)

    assert found["requests"] == 5000
    assert found["bytes per request"] > 0.9 * mmap.PAGESIZE


def test_an_import_is_timed_by_the_clock_of_the_python_that_imports(monkeypatch, tmp_path):
    late = "import time; clock = time.perf_counter; time.perf_counter = lambda: clock() + 1000"
    (tmp_path / "late_framework.py").write_text(late)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(peers.PEERS, "late", "late_framework")

    took = served.imports(["raw", "late"], rounds=1)

    assert took["late"] > 1000
    assert 0 < took["raw"] < 1000


def test_a_peer_gets_a_new_process_after_some_rounds():
    said: list[str] = []
    rounds = inprocess.ROUNDS_OF_ONE + 1

    times = inprocess.measure(["raw"], ["plaintext"], rounds=rounds, seconds=0.001, say=said.append)

    assert said.count("in process: checking the answers of raw") == 2  # each new one is
    assert said[-1] == f"in process: round {rounds} of {rounds}"
    assert 0 < times["plaintext"]["raw"]["min"] <= times["plaintext"]["raw"]["median"]


def test_a_server_that_answers_with_errors_is_not_a_fast_server():
    good = "  41592 requests in 1.01s, 5.31MB read\n"

    assert answers_in(good, expect_errors=False) == 41592
    for bad in (
        good + "  Non-2xx or 3xx responses: 12\n",
        good + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        "unable to connect",
    ):
        with pytest.raises(SystemExit, match="not answered as expected"):
            answers_in(bad, expect_errors=False)


WORKS_IN_A_CHILD = r"""
import subprocess, sys
works = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True); input()"
subprocess.run([sys.executable, "-c", works])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="servers are measured on Linux only")
def test_what_a_server_works_is_what_its_processes_work():
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORKS_IN_A_CHILD]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout.readline() == "done\n"
        worked = processes.processor_seconds(server.pid)
        first, _ = processes.family(server.pid)
        server.communicate("\n")

    assert first == server.pid
    lost = 4 / os.sysconf("SC_CLK_TCK")  # of two processes, in the program and in the kernel
    assert worked > 0.3 - lost


RESULTS = {
    "in process": {
        "json": {n: {"min": t, "median": 9.0} for n, t in [("erlen", 4.0), ("falcon", 3.0)]}
    },
    "served": {
        "json": [
            {"erlen": 90.0, "falcon": 45.0, "raw": 180.0},
            {"erlen": 100.0, "falcon": 50.0, "raw": 200.0},
        ]
    },
}


def test_ratios_say_how_often_the_time_of_erlen_fits():
    assert tables.ratios_of(tables.times_of(RESULTS)) == {"json": {"erlen": 1.0, "falcon": 0.75}}
    assert tables.served_ratios_of(RESULTS)["json"] == {"erlen": 1.0, "falcon": 2.0, "raw": 0.5}
    assert tables.rates_of(RESULTS)["json"] == {"erlen": 100.0, "falcon": 50.0, "raw": 200.0}


def rounds_of(**rates: list[float]) -> dict[str, Any]:
    """Return the results of a bench of websockets, in which each had these rates."""
    turns = zip(*rates.values(), strict=True)
    return {"echoes": {"socket": [dict(zip(rates, turn, strict=True)) for turn in turns]}}


def test_over_a_server_a_lucky_round_counts_as_one_of_them():
    results = rounds_of(erlen=[100.0, 50.0, 90.0], falcon=[50.0, 100.0, 60.0])

    assert tables.served_ratios_of(results) == {"socket": {"erlen": 1.0, "falcon": 1.5}}


def test_a_round_in_which_nobody_was_answered_does_no_harm():
    results = rounds_of(erlen=[100.0, 90.0, 80.0], falcon=[0.0, 90.0, 40.0])

    assert tables.served_ratios_of(results) == {"socket": {"erlen": 1.0, "falcon": 2.0}}


def test_a_peer_is_compared_in_the_rounds_that_it_had_with_erlen():
    one, other = rounds_of(erlen=[100.0], raw=[200.0]), rounds_of(erlen=[30.0], falcon=[10.0])
    alone = rounds_of(quart=[5.0])
    rounds = [each["echoes"]["socket"][0] for each in (one, other, alone)]
    results = {"echoes": {"socket": rounds}}

    assert tables.served_ratios_of(results)["socket"] == {"erlen": 1.0, "raw": 0.5, "falcon": 3.0}
    best = {"erlen": 100.0, "raw": 200.0, "falcon": 10.0, "quart": 5.0}
    assert tables.rates_of(results)["socket"] == best


def test_beside_what_is_written_by_hand_each_is_compared_on_its_own_server():
    quick = {"erlen": 9.0, "least": 9.5, "raw": 10.0}
    quick |= {"erlen run": 12.0, "least run": 14.0, "raw run": 16.0}
    slow = {**quick, "erlen": 8.0}
    nobody = dict.fromkeys(quick, 0.0)

    lines = tables.by_hand({"json": [quick, slow, nobody]}).splitlines()

    columns = [cell.strip() for cell in lines[0].split("|")[2:-1]]
    cells = [cell.strip() for cell in lines[2].split("|")[2:-1]]
    assert dict(zip(columns, cells, strict=True)) == {
        "erlen / raw": "0.85 (0.80 to 0.90)",
        "least / raw": "0.95 (0.95 to 0.95)",
        "erlen run / raw run": "0.75 (0.75 to 0.75)",
        "least run / raw run": "0.88 (0.88 to 0.88)",
        "erlen run / raw": "1.20 (1.20 to 1.20)",
    }
    assert " - " in tables.by_hand({"json": [nobody]})


def test_what_is_not_won_is_told_with_its_reason():
    told = tables.not_won(RESULTS, {"json": "its encoder is compiled"})

    assert "| JSON | in process | falcon 0.75 | its encoder is compiled |" in told
    assert "over a server" not in told


def test_the_drawing_has_a_dot_for_every_ratio():
    drawing = plot({"JSON": {"erlen": 1.0, "falcon": 0.75, "flask": 20.0}}, ["erlen"], "Ratios")

    titles = [e.text for e in ElementTree.fromstring(drawing).iter() if e.tag.endswith("title")]
    assert titles == ["Ratios", "erlen: 1.00", "falcon: 0.75", "flask: 20.00"]


def test_a_peer_that_mostly_answered_nobody_has_no_dot():
    ratios = {"JSON": {"erlen": 1.0, "falcon": math.inf, "flask": 0.0}}

    drawing = plot(ratios, ["erlen"], "Ratios")

    titles = [e.text for e in ElementTree.fromstring(drawing).iter() if e.tag.endswith("title")]
    assert titles == ["Ratios", "erlen: 1.00"]


def run_of(erlen: float, falcon: float, **other: Any) -> dict[str, Any]:
    """Return the results of a run in which JSON took so many microseconds."""
    times = {n: {"min": t, "median": 2 * t} for n, t in [("erlen", erlen), ("falcon", falcon)]}
    return {
        "machine": "a machine",
        "versions": {"Python": "3.13"},
        "different": "",
        "when": "2026-11-21",
        "load": 0.1,
        "how": {"command": "nox", "in process": "9 rounds", "served": "6 rounds", "requests": 9},
        "in process": {"json": times},
        "served": {"json": [{"erlen": 1e6 / erlen, "falcon": 1e6 / falcon}]},
        "slope": {"bytes per request": erlen, "kilobytes": [1, 2], "requests": 10},
    } | other


def test_of_several_runs_the_best_of_each_figure_counts():
    whole = runs.merged([run_of(4.0, 9.0), run_of(5.0, 8.0, when="2026-11-22", load=0.9)])

    assert tables.times_of(whole) == {"json": {"erlen": 4.0, "falcon": 8.0}}
    assert tables.rates_of(whole) == {"json": {"erlen": 1e6 / 4, "falcon": 1e6 / 8}}
    assert (whole["when"], whole["load"]) == ("2026-11-22", 0.1)
    assert whole["slope"]["bytes per request"] == 5.0  # of this the worst
    assert whole["how"]["in process"] == "9 rounds, the best of 2 runs"
    assert whole["how"]["served"] == "6 rounds in each of 2 runs"
    assert tables.served_ratios_of(whole)["json"]["falcon"] == (9 / 4 + 8 / 5) / 2
    assert "--read run1.json run2.json" in whole["how"]["command"]


def test_each_part_may_be_measured_in_a_run_of_its_own():
    process, served = run_of(4.0, 9.0), run_of(5.0, 8.0)
    del process["served"], process["how"]["served"]
    del served["in process"], served["slope"]
    served["how"]["in process"] = "2 rounds"
    with pytest.raises(SystemExit, match="in process: '9 rounds' and '2 rounds'"):
        runs.merged([process, served])
    del served["how"]["in process"]

    whole = runs.merged([process, served])

    assert tables.times_of(whole) == {"json": {"erlen": 4.0, "falcon": 9.0}}
    assert tables.rates_of(whole) == {"json": {"erlen": 1e6 / 5, "falcon": 1e6 / 8}}
    assert (whole["how"]["in process"], whole["how"]["served"]) == ("9 rounds", "6 rounds")


def test_how_far_several_runs_differ_is_told():
    told = tables.summary(runs.merged([run_of(4.0, 9.0), run_of(5.0, 8.0)]))

    assert told.count("1.60 to 2.25") == 2  # in process and over a server


def test_json_by_a_library_is_told_beside_that_of_erlen():
    def written(erlen: float, msgspec: float) -> dict[str, Any]:
        times = {"erlen": erlen, "msgspec": msgspec}
        row = {name: {"min": time, "median": 9.0} for name, time in times.items()}
        return run_of(4.0, 9.0, json={"json": row})

    whole = runs.merged([written(4.0, 3.5), written(5.0, 3.0)])

    for told in (page.json(whole), tables.summary(whole)):
        assert "| JSON |  1.00 |    0.75 |" in told
        assert "| JSON |  4.00 |    3.00 |" in told
    assert page.json(run_of(4.0, 9.0)) == ""


def test_the_command_measures_the_parts_that_it_is_asked_for_and_tells_and_keeps_them(tmp_path):
    kept = tmp_path / "run.json"
    command = [sys.executable, "-m", "bench", "quick", "--rounds", "1", "--json", str(kept)]
    command += ["--parts", "process,json", "--only", "raw", "--workload", "plaintext"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    results = json.loads(kept.read_text())
    assert done.stdout == tables.summary(results) + "\n"
    assert {*results["in process"]["plaintext"]} == {"raw"}
    writers = {"erlen", *peers.JSON_LIBRARIES}
    assert {name: {*row} for name, row in results["json"].items()} == dict.fromkeys(
        ABOUT_JSON, writers
    )
    assert writers - {"erlen"} <= results["versions"].keys()
    assert "served" not in results


def test_one_run_is_told_as_it_was():
    assert runs.merged([run_of(4.0, 9.0)]) == run_of(4.0, 9.0)
    assert "single runs" not in tables.summary(run_of(4.0, 9.0))


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "another"},
        {"versions": {"Python": "3.14"}},
        {"how": {"command": "nox", "in process": "2 rounds", "served": "", "requests": 9}},
    ],
)
def test_runs_that_were_measured_differently_are_not_mixed(other):
    with pytest.raises(SystemExit, match="cannot be taken together"):
        runs.merged([run_of(4.0, 9.0), run_of(4.0, 9.0, **other)])
