"""Results as Markdown: ratios first. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable

from bench.inprocess import Results
from bench.workloads import WORKLOADS

US = "us"


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


def in_process(results: Results, names: list[str]) -> str:
    """Write both tables of what was measured in process."""
    base = "erlen" if "erlen" in names else names[0]
    ratios, times = [], []
    for workload, of in results.items():
        what = WORKLOADS[workload].what
        mine = of.get(base, {}).get("min")
        least = [of[name]["min"] if name in of else None for name in names]
        ratios.append([what, *(figure(us / mine if us and mine else None) for us in least)])
        pairs = [of.get(name) for name in names]
        times.append(
            [what, *(f"{figure(p['min'])} ({figure(p['median'])})" if p else "-" for p in pairs)]
        )
    return (
        f"In process, time as a multiple of {base}'s\n\n{table(['', *names], ratios)}\n\n"
        f"In process, microseconds per request: the least (the median)\n\n"
        f"{table(['', *names], times)}\n"
    )
