"""Microseconds per request without a server: peers in processes of their own take turns."""

from __future__ import annotations

import json
import select
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from bench import peers
from bench.workloads import WORKLOADS

PATIENCE = 400
"""Seconds that a worker may take for one order."""

ROUNDS_OF_ONE = 3
"""Rounds for which a process is kept: how its memory happens to lie counts in all of them."""

Results = dict[str, dict[str, dict[str, float]]]
"""For each workload and peer: the shortest and the median time, in microseconds."""

Times = dict[tuple[str, str], list[float]]
"""The microseconds of a request, block by block, by workload and peer."""


class Worker:
    """A process of one peer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def order(self, *order: Any) -> dict[str, Any]:
        """Have something done; return the answer."""
        stdin, stdout = pipes_of(self.process)
        stdin.write(json.dumps(order).encode() + b"\n")
        stdin.flush()
        if not select.select([stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            raise SystemExit(f"{self.name}: no answer to {order} in {PATIENCE} seconds")
        line = stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} died of {order}; its traceback is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """Let the process end."""
        stdin, stdout = pipes_of(self.process)
        stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        stdout.close()


def pipes_of(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return where orders go and answers come from."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    return process.stdin, process.stdout


def measure(
    names: Sequence[str],
    workloads: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> Results:
    """Check all answers, then measure them *rounds* times for *seconds*, peer after peer."""
    times: Times = {}
    for first in range(0, rounds, ROUNDS_OF_ONE):
        with working(names) as workers:
            cells = checked(workers, workloads, say)
            for turn in range(first, min(first + ROUNDS_OF_ONE, rounds)):
                say(f"in process: round {turn + 1} of {rounds}")
                measure_round(turn, cells, seconds, times)
    results: Results = {workload: {} for workload in workloads}
    for (workload, name), us in times.items():
        results[workload][name] = {"min": min(us), "median": statistics.median(us)}
    return results


def measure_round(
    turn: int, cells: Mapping[str, list[Worker]], seconds: float, times: Times
) -> None:
    """Measure all workloads once, each round with another peer first."""
    for workload, able in cells.items():
        shift = turn % len(able) if able else 0
        for worker in able[shift:] + able[:shift]:
            answer = worker.order("time", workload, seconds)
            refuse({f"{worker.name}: {workload}": answer})
            times.setdefault((workload, worker.name), []).extend(answer["us"])


def slope(name: str, requests: int) -> dict[str, Any]:
    """Return how the memory of a peer's app grows while it serves, reading by reading."""
    with working([name]) as [worker]:
        return worker.order("slope", requests)


@contextmanager
def working(names: Iterable[str]) -> Iterator[list[Worker]]:
    """Start a worker for each peer, and stop them in the end."""
    workers = [Worker(name) for name in names]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def checked(
    workers: list[Worker], workloads: Iterable[str], say: Callable[[str], None]
) -> dict[str, list[Worker]]:
    """Return who takes part in each workload, having compared all answers."""
    cells: dict[str, list[Worker]] = {name: [] for name in workloads}
    answers: dict[str, dict[str, Any]] = {}
    for worker in workers:
        say(f"in process: checking the answers of {worker.name}")
        for name in workloads:
            if name not in peers.lacks(worker.name):
                answers[f"{worker.name}: {WORKLOADS[name].what}"] = worker.order("check", name)
                cells[name].append(worker)
    refuse(answers)
    return cells


def refuse(answers: dict[str, dict[str, Any]]) -> None:
    """Stop if an answer is wrong.

    :raises SystemExit: with all that are.
    """
    wrong = [f"{what}: {answer['wrong']}" for what, answer in answers.items() if "wrong" in answer]
    if wrong:
        raise SystemExit("answers differ\n" + "\n".join(wrong))
