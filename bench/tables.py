"""Results as Markdown: ratios first, each how often Erlen's time fits in. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from bench.peers import BY_HAND, JSON_LIBRARIES
from bench.served import ON_RUN, ON_UVICORN, SOCKETS
from bench.workloads import WORKLOADS

Figures = Mapping[str, Mapping[str, float]]
"""For each workload, a figure for each peer."""

WORDS = {name: workload.what for name, workload in WORKLOADS.items()}
WORDS["socket"] = f"{SOCKETS} websockets echoing"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Write a Markdown table; all columns but the first are numbers."""
    cells = [head, *rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]

    def line(row: list[str]) -> str:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join([first, *others]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), "| " + " | ".join(rule) + " |", *map(line, cells[1:])])


def figure(value: float | None) -> str:
    """Write a number as exactly as it is known."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def grid(figures: Figures, columns: list[str]) -> str:
    """Write one figure for each workload and peer."""
    return table(
        ["", *columns],
        ([WORDS[name], *(figure(row.get(c)) for c in columns)] for name, row in figures.items()),
    )


def columns_of(figures: Figures) -> list[str]:
    """Return the peers that have a figure anywhere, in their order."""
    return list(dict.fromkeys(column for row in figures.values() for column in row))


def times_of(
    results: Mapping[str, Any], which: str = "min", part: str = "in process"
) -> dict[str, dict[str, float]]:
    """Return the microseconds of a part that is measured in process."""
    return {
        name: {peer: figures[which] for peer, figures in row.items()}
        for name, row in results.get(part, {}).items()
    }


def ratios_of(figures: Figures) -> dict[str, dict[str, float]]:
    """Return how often Erlen's time fits into that of each peer, where Erlen has one."""
    ratios = {}
    for name, row in figures.items():
        if mine := row.get("erlen"):
            ratios[name] = {column: time / mine for column, time in row.items()}
    return ratios


def rates_of(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the requests or messages per second of a server's core, of the best round."""
    return {
        name: {column: max(each[column] for each in rounds if column in each) for column in columns}
        for name, rounds, columns in _rounds_of(results)
    }


def served_ratios_of(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return what :func:`ratios_of` does for a server: the median of those of the rounds.

    A machine that others use changes its speed by the second, and the best of few rounds says
    who was lucky. In a round all take their turns one after the other.
    """
    ratios: dict[str, dict[str, float]] = {}
    for name, rounds, columns in _rounds_of(results):
        with_erlen = [each for each in rounds if "erlen" in each]
        for column in columns:
            # In a second that others have, nobody may be answered.
            theirs = [
                each["erlen"] / each[column] if each[column] else math.inf
                for each in with_erlen
                if column in each
            ]
            if theirs:
                ratios.setdefault(name, {})[column] = median(theirs)
    return ratios


def _rounds_of(results: Mapping[str, Any]) -> list[tuple[str, list[dict[str, float]], list[str]]]:
    """Return what was measured over a server: for each workload its rounds, and who was in them."""
    rows = {**results.get("served", {}), **results.get("echoes", {})}
    return [
        (name, rounds, list(dict.fromkeys(c for each in rounds for c in each)))
        for name, rounds in rows.items()
    ]


def by_hand(results: Mapping[str, Any]) -> str:
    """Write the rates of Erlen and of the least of it as parts of those of ``raw``.

    On the same server, and for the server of ``erlen run`` also of those of ``raw`` on uvicorn.
    """
    uvicorn, run = ON_UVICORN[-1], ON_RUN[-1]
    pairs = [(c, uvicorn) for c in ON_UVICORN[:-1]] + [(c, run) for c in ON_RUN[:-1]]
    pairs.append((ON_RUN[0], uvicorn))

    def cell(rounds: list[dict[str, float]], column: str, floor: str) -> str:
        parts = [each[column] / each[floor] for each in rounds if each[floor]]
        if not parts:  # the seconds were others'
            return "-"
        return f"{figure(median(parts))} ({figure(min(parts))} to {figure(max(parts))})"

    head = ["", *(f"{column} / {floor}" for column, floor in pairs)]
    return table(
        head,
        (
            [WORDS[name], *(cell(rounds, *pair) for pair in pairs)]
            for name, rounds in results.items()
        ),
    )


def summary(results: Mapping[str, Any]) -> str:
    """Write everything for a terminal."""
    times, rates = times_of(results), rates_of(results)
    parts = []
    if times:
        columns = columns_of(times)
        parts += ["In process: time as a multiple of Erlen's", grid(ratios_of(times), columns)]
        parts += ["In process: microseconds, the least", grid(times, columns)]
        medians = times_of(results, "median")
        parts += ["In process: microseconds, the median", grid(medians, columns)]
        if runs := results.get("runs"):
            single = spread(runs["in process"], columns)
            parts += ["In process: the ratios of the single runs", single]
    if written := times_of(results, part="json"):
        columns = columns_of(written)
        parts += [
            "JSON by a library: time as a multiple of Erlen's",
            grid(ratios_of(written), columns),
        ]
        parts += ["JSON by a library: microseconds, the least", grid(written, columns)]
    if rates:
        columns = columns_of(rates)
        ratios = served_ratios_of(results)
        parts += ["Over a server: time as a multiple of Erlen's", grid(ratios, columns)]
        parts += [
            "Over a server: requests or messages per second of its core",
            grid(rates, columns),
        ]
        if runs := results.get("runs"):
            single = spread(runs["served"], columns)
            parts += ["Over a server: the ratios of the single runs", single]
    if results.get("by hand"):
        parts += ["By hand: rates as a part of others", by_hand(results["by hand"])]
    if results.get("weights"):
        parts += ["Start and memory", weights(results)]
    if results.get("slope"):
        parts += [slope(results["slope"])]
    return "\n\n".join(parts)


def spread(runs: Sequence[Figures], columns: list[str]) -> str:
    """Write the least and the greatest ratio that each peer had in one of several *runs*."""

    def cell(name: str, column: str) -> str:
        there = [run[name][column] for run in runs if column in run.get(name, {})]
        return f"{figure(min(there))} to {figure(max(there))}" if there else "-"

    names = dict.fromkeys(name for run in runs for name in run)
    others = [column for column in columns if column != "erlen"]
    rows = ([WORDS[name], *(cell(name, column) for column in others)] for name in names)
    return table(["", *others], rows)


def weights(results: Mapping[str, Any]) -> str:
    """Write what it takes to import, start and keep a server."""
    imports, rows = results.get("imports", {}), []
    for column, weight in results["weights"].items():
        seconds = [imports.get(column), weight["start"]]
        memory = [weight["idle"] / 1024, weight["used"] / 1024, weight.get("socket")]
        rows.append([column, *map(figure, seconds), *map(figure, memory)])
    head = ["", "import, s", "first answer, s", "idle, MB", "in use, MB", "per websocket, KB"]
    return table(head, rows)


def slope(found: Mapping[str, Any]) -> str:
    """Say how the memory of an Erlen app grows with its requests."""
    readings = ", ".join(f"{kilobytes / 1024:.1f}" for kilobytes in found["kilobytes"])
    return (
        f"Over {found['requests']:,} requests of all kinds Erlen's memory grew by"
        f" {found['bytes per request']:.2f} bytes per request (readings in MB: {readings})."
    )


def not_won(results: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """Write who is faster than Erlen at what; hand-written ASGI is the floor and no rival."""
    rows = []
    kinds = [("in process", ratios_of(times_of(results)))]
    kinds.append(("over a server", served_ratios_of(results)))
    for kind, ratios in kinds:
        for name, row in ratios.items():
            others = {*BY_HAND, *JSON_LIBRARIES, "erlen run"}
            rivals = {c: r for c, r in row.items() if r < 1 and c not in others}
            if rivals:
                whom = ", ".join(
                    f"{c} {r:.2f}" for c, r in sorted(rivals.items(), key=lambda i: i[1])
                )
                rows.append([WORDS[name], kind, whom, notes.get(name, "")])
    if not rows:
        return "There is no such workload in these results."
    lines = ["| workload | | faster | why |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
