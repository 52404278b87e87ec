"""Several runs as one: the best that anybody had in any of them, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.tables import rates_of, ratios_of, times_of

Results = Mapping[str, Any]

SAME = ("machine", "versions", "different")
"""What has to be the same in all runs."""
SAME_HOW = ("in process", "served", "requests")


def merged(runs: Sequence[Results]) -> dict[str, Any]:
    """Return the results of several *runs* as those of one; of one run, what they are.

    A machine that others use changes its speed for minutes. What somebody had in the best of
    several runs says the most about a framework, as the best of several rounds does.

    :raises SystemExit: if they were measured on other machines, with other versions, or in
        other rounds.
    """
    if len(runs) == 1:
        return dict(runs[0])
    first = runs[0]
    for run in runs[1:]:
        for key, one, other in [(key, first[key], run[key]) for key in SAME] + [
            (f"how: {key}", first["how"][key], run["how"][key]) for key in SAME_HOW
        ]:
            if one != other:
                raise SystemExit(
                    f"These runs cannot be taken together. {key}: {one!r} and {other!r}. Read runs"
                    " of one machine, with the same versions and the same rounds."
                )
    whole: dict[str, Any] = {
        **{key: first[key] for key in SAME},
        "when": max(run["when"] for run in runs),
        # A run that follows another finds the load of that one.
        "load": min(run["load"] for run in runs),
        "how": _how([run["how"] for run in runs]),
        "in process": best(runs, "in process", min),
        "served": best(runs, "served", max),
        "echoes": best(runs, "echoes", max),
        "imports": best(runs, "imports", min),
        "weights": best(runs, "weights", min),
        "runs": {
            "in process": [ratios_of(times_of(run)) for run in runs],
            "served": [ratios_of(rates_of(run), rates=True) for run in runs],
        },
    }
    if slopes := [run["slope"] for run in runs if run.get("slope")]:
        whole["slope"] = max(slopes, key=lambda slope: slope["bytes per request"])  # the worst
    return whole


def _how(hows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Say how several runs were measured, in the words of the page."""
    files = [f"run{turn}.json" for turn in range(1, len(hows) + 1)]
    commands = [f"{how['command']} --json {file}" for how, file in zip(hows, files, strict=True)]
    commands.append(f"nox -s bench -- --read {' '.join(files)}")
    parts = ("in process", "served")
    rounds = {part: f"{hows[0][part]}, the best of {len(hows)} runs" for part in parts}
    return {**hows[0], **rounds, "command": "\n".join(commands)}


def best(runs: Sequence[Results], part: str, choose: Callable[..., float]) -> dict[str, Any]:
    """Return a *part* of the results with the best figure of all *runs* in each place."""
    return _best([run[part] for run in runs if run.get(part)], choose)


def _best(figures: Sequence[Mapping[str, Any]], choose: Callable[..., float]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for each in figures for name in each):
        there = [each[name] for each in figures if name in each]
        found[name] = _best(there, choose) if isinstance(there[0], Mapping) else choose(there)
    return found
