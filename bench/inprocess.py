"""Microseconds per request without a server: peers in processes of their own take turns."""

from __future__ import annotations

import json
import select
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any

from bench import peers
from bench.workloads import WORKLOADS

PATIENCE = 400
"""Seconds that a worker may take for one order."""

Results = dict[str, dict[str, dict[str, float]]]
"""For each workload and peer: the shortest and the median time, in microseconds."""


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
        pipes_of(self.process)[0].close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def pipes_of(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return where orders go and answers come from."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    return process.stdin, process.stdout


def measure(
    names: Iterable[str],
    workloads: Iterable[str],
    *,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> Results:
    """Check all answers, then measure them *rounds* times for *seconds*, peer after peer."""
    workers = [Worker(name) for name in names]
    try:
        cells = checked(workers, list(workloads), say)
        times: dict[tuple[str, str], list[float]] = {}
        for turn in range(rounds):
            say(f"in process: round {turn + 1} of {rounds}")
            for workload, able in cells.items():
                shift = turn % len(able) if able else 0
                for worker in able[shift:] + able[:shift]:
                    answer = worker.order("time", workload, seconds)
                    refuse({f"{worker.name}: {workload}": answer})
                    times.setdefault((workload, worker.name), []).extend(answer["us"])
    finally:
        for worker in workers:
            worker.stop()
    results: Results = {workload: {} for workload in cells}
    for (workload, name), us in times.items():
        results[workload][name] = {"min": min(us), "median": statistics.median(us)}
    return results


def slope(name: str, requests: int) -> dict[str, Any]:
    """Return how the memory of a peer's app grows while it serves, reading by reading."""
    worker = Worker(name)
    try:
        return worker.order("slope", requests)
    finally:
        worker.stop()


def checked(
    workers: list[Worker], workloads: list[str], say: Callable[[str], None]
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
