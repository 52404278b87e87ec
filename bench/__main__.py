"""The command: ``python -m bench quick --only erlen,raw --workload plaintext,json``."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from bench import inprocess, tables
from bench.peers import PEERS
from bench.workloads import WORKLOADS


def main() -> None:
    """Measure what the arguments ask for."""
    options = parser().parse_args()
    names = options.only or [name for name, package in PEERS.items() if installed(name, package)]
    rounds, seconds = (3, 0.03) if options.how == "quick" else (9, 0.15)
    results = inprocess.measure(
        names,
        options.workload or WORKLOADS,
        rounds=options.rounds or rounds,
        seconds=seconds,
        say=say,
    )
    print(tables.in_process(results, names))
    if options.json:
        options.json.write_text(json.dumps({"in process": results}, indent=1))


def parser() -> argparse.ArgumentParser:
    """Say what can be asked."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("how", nargs="?", choices=["full", "quick"], default="full")
    parser.add_argument("--only", type=list_of(PEERS), help="peers, with commas between")
    parser.add_argument(
        "--workload", type=list_of(WORKLOADS), help="workloads, with commas between"
    )
    parser.add_argument("--rounds", type=int, help="how often to measure in process")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser


def list_of(known: dict[str, object]) -> object:
    """Return what splits an argument at its commas."""

    def split(text: str) -> list[str]:
        words = text.split(",")
        if unknown := [word for word in words if word not in known]:
            raise argparse.ArgumentTypeError(
                f"no {', '.join(unknown)}; there are {', '.join(known)}"
            )
        return words

    return split


def installed(name: str, package: str) -> bool:
    """Say whether a peer is there, and if it is not, that it is left out."""
    there = not package or find_spec(package) is not None
    if not there:
        say(f"{name} is not installed: left out")
    return there


def say(text: str) -> None:
    """Tell the one who waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
