"""Measure Erlen beside other frameworks and print ratios first."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import inprocess, page, peers, runs, served, tables
from bench.workloads import ABOUT_JSON, WORKLOADS


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long everything is measured."""

    rounds: int
    seconds: float
    served_rounds: int
    served_seconds: int
    imports: int
    """How often each framework is imported in a fresh Python."""
    starts: int
    """How often each server is started besides the time when it is weighed."""
    weighed: int
    """How many requests each server answers before it is weighed again."""
    requests: int
    """How many requests the memory of Erlen is watched for."""
    process: tuple[str, ...]
    """The workloads that are asked in process."""
    served: tuple[str, ...]
    """The workloads that are asked over a server."""
    parts: tuple[str, ...]
    """What of :data:`PARTS` is measured if nobody says."""


ALL = tuple(WORKLOADS)
# Making every peer's app with 5000 routes takes minutes.
FEWER = tuple(name for name in ALL if not name.startswith("routes5000"))
PARTS = ("process", "json", "served", "echoes", "byhand", "weights", "slope")
SERVED = (*(name for name in ALL if not name.startswith("routes")), "routes500_dynamic")
EFFORTS = {
    "quick": Effort(
        rounds=2,
        seconds=0.02,
        served_rounds=1,
        served_seconds=1,
        imports=3,
        starts=0,
        weighed=5_000,
        requests=40_000,
        process=FEWER,
        served=("plaintext", "json", "args"),
        parts=tuple(part for part in PARTS if part != "byhand"),
    ),
    "full": Effort(
        rounds=9,
        seconds=0.15,
        served_rounds=6,
        served_seconds=1,
        imports=20,
        starts=5,
        weighed=20_000,
        requests=200_000,
        process=ALL,
        served=SERVED,
        parts=PARTS,
    ),
}
SERVERS = ("uvicorn", "uvloop", "httptools", "websockets", "gunicorn")


def main() -> None:
    """Measure what the arguments ask for."""
    options = parser().parse_args()
    # Whoever imports should find what Python has compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Whoever ends this ends its servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    if options.read:
        results = runs.merged([json.loads(path.read_text()) for path in options.read])
    else:
        results = measured(options)
    if options.json:  # first of all: it took half an hour
        options.json.write_text(json.dumps(results, indent=1))
        say(f"all figures are in {options.json}")
    print(tables.summary(results))
    if options.page:
        say(f"written: {page.write(results)}")


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, and say where and how."""
    effort = EFFORTS[options.how]
    usual = [name for name in peers.PEERS if name not in peers.ON_REQUEST]
    names = options.only or [name for name in usual if installed(name)]
    asked = options.workload or list(effort.process)
    usual_parts = ("process",) if options.only or options.workload else effort.parts
    parts = options.parts or list(usual_parts)
    results: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        "versions": {"Python": platform.python_version()} | versions(names),
        "how": how(effort, options.rounds, parts),
        "different": differences(names),
    }
    alone = {"rounds": options.rounds or effort.rounds, "seconds": effort.seconds, "say": say}
    if "process" in parts:
        results["in process"] = inprocess.measure(names, asked, **alone)
    if "json" in parts:
        writers = [name for name in ("erlen", *peers.JSON_LIBRARIES) if installed(name)]
        results["json"] = inprocess.measure(writers, ABOUT_JSON, **alone)
    if sys.platform != "linux":
        say("servers are measured on Linux only")
        return results
    over = {"rounds": options.rounds or effort.served_rounds, "say": say}
    if "served" in parts:
        chosen = options.workload or list(effort.served)
        results["served"] = served.throughput(names, chosen, seconds=effort.served_seconds, **over)
    if "echoes" in parts:
        results["echoes"] = served.echoes(names, seconds=effort.served_seconds, **over)
    if "byhand" in parts:
        results["by hand"] = served.by_hand(seconds=effort.served_seconds, **over)
    if "weights" in parts:
        results["imports"] = served.imports(names, rounds=effort.imports)
        results["weights"] = served.weights(
            names, rounds=effort.starts, requests=effort.weighed, say=say
        )
    if "slope" in parts and "erlen" in names:
        say(f"in process: watching the memory of Erlen over {effort.requests:,} requests")
        results["slope"] = inprocess.slope("erlen", effort.requests)
    return results


def how(effort: Effort, rounds: int | None, parts: list[str]) -> dict[str, Any]:
    """Say how it was measured, in the words of the page."""
    said: dict[str, Any] = {
        "command": " ".join(["nox -s bench --", *_without_a_file(sys.argv[1:])]),
        "requests": effort.weighed,
    }
    if "process" in parts or "json" in parts:
        turns = rounds or effort.rounds
        said["in process"] = (
            f"{turns} rounds of {effort.seconds * 1000:g} ms for each workload, with a new process"
            f" after every {inprocess.ROUNDS_OF_ONE}"
        )
    turns = rounds or effort.served_rounds
    number = "one round" if turns == 1 else f"{turns} rounds"
    if "served" in parts or "echoes" in parts:
        said["served"] = f"{number} of {effort.served_seconds} s"
    if "byhand" in parts:
        said["by hand"] = f"{number} of {effort.served_seconds} s"
    return said


def _without_a_file(arguments: list[str]) -> list[str]:
    """Leave out where the figures go: that is a matter of one machine."""
    if "--json" not in arguments:
        return arguments
    at = arguments.index("--json")
    return arguments[:at] + arguments[at + 2 :]


def machine() -> str:
    """Name the machine."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def versions(names: list[str]) -> dict[str, str]:
    """Return the versions of the peers, of what serves them, and of what writes JSON for Erlen."""
    found = {}
    for name in (*names, *SERVERS, *peers.JSON_LIBRARIES):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def differences(names: list[str]) -> str:
    """Say where the bytes of peers differ."""
    differ = {n: getattr(peers.peer(n), "DIFFERENT", {}) for n in names}
    said = [f"{n} ({', '.join({why for why, _ in of.values()})})" for n, of in differ.items() if of]
    return f"Allowed to differ: {'; '.join(said)}." if said else ""


def parser() -> argparse.ArgumentParser:
    """Say what can be asked."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("how", nargs="?", choices=list(EFFORTS), default="full")
    parser.add_argument("--only", type=list_of(peers.PEERS), help="peers, with commas between")
    parser.add_argument("--workload", type=list_of(WORKLOADS), help="workloads, likewise")
    parser.add_argument(
        "--parts",
        type=list_of(dict.fromkeys(PARTS)),
        help=f"of {','.join(PARTS)}; with --only or --workload just process, else all"
        " (quick: all but byhand)",
    )
    parser.add_argument("--rounds", type=int, help="how often to measure")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument(
        "--read",
        type=Path,
        nargs="+",
        help="measure nothing, read such a file; of several, the best of each figure",
    )
    parser.add_argument("--page", action="store_true", help="write the page of the docs")
    return parser


def list_of(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    """Return what splits an argument at its commas."""

    def split(text: str) -> list[str]:
        words = text.split(",")
        if unknown := [word for word in words if word not in known]:
            there = ", ".join(known)
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {there}")
        return words

    return split


def installed(name: str) -> bool:
    """Say whether a peer is there, and if it is not, that it is left out."""
    package = peers.PEERS[name].partition(".")[0]
    there = not package or find_spec(package) is not None
    if not there:
        say(f"{name} is not installed: left out")
    return there


def say(text: str) -> None:
    """Tell the one who waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
