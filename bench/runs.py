"""Several runs as one: the best of some figures, the rounds of others, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.tables import ratios_of, served_ratios_of, times_of

Results = Mapping[str, Any]

SAME = ("machine", "versions", "different")
"""What has to be the same in all runs."""
SAME_HOW = ("in process", "served", "by hand", "requests")
"""What of how they were measured has to be the same, in those that measured it."""


def merged(runs: Sequence[Results]) -> dict[str, Any]:
    """Return the results of several *runs* as those of one; of one run, what they are.

    A machine that others use changes its speed for minutes. What somebody had in the best of
    several runs says the most about a framework, as the best of several rounds does. Over a
    server all rounds count, see :func:`~bench.tables.served_ratios_of`.

    :raises SystemExit: if they were measured on other machines, with other versions, or in
        other rounds.
    """
    if len(runs) == 1:
        return dict(runs[0])
    first = runs[0]
    same = {key: [run[key] for run in runs] for key in SAME}
    for key in SAME_HOW:
        same[f"how: {key}"] = [run["how"][key] for run in runs if key in run["how"]]
    for key, there in same.items():
        for other in there[1:]:
            if other != there[0]:
                raise SystemExit(
                    f"These runs cannot be taken together. {key}: {there[0]!r} and {other!r}. Read"
                    " runs of one machine, with the same versions and the same rounds."
                )
    whole: dict[str, Any] = {
        **{key: first[key] for key in SAME},
        "when": max(run["when"] for run in runs),
        # A run that follows another finds the load of that one.
        "load": min(run["load"] for run in runs),
        "how": _how([run["how"] for run in runs]),
        "in process": together(runs, "in process", min),
        "json": together(runs, "json", min),
        "served": together(runs, "served", joined),
        "echoes": together(runs, "echoes", joined),
        "by hand": together(runs, "by hand", joined),
        "imports": together(runs, "imports", min),
        "weights": together(runs, "weights", min),
        "runs": {
            "in process": [ratios_of(times_of(run)) for run in runs],
            "served": [served_ratios_of(run) for run in runs],
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
    rounds = {}
    each = " in each of"
    for part, several in (("in process", ", the best of"), ("served", each), ("by hand", each)):
        if said := [how[part] for how in hows if part in how]:
            rounds[part] = said[0] + f"{several} {len(said)} runs" * (len(said) > 1)
    return {**hows[0], **rounds, "command": "\n".join(commands)}


def together(
    runs: Sequence[Results], part: str, choose: Callable[[list[Any]], Any]
) -> dict[str, Any]:
    """Return a *part* of the results, in each place what *choose* makes of those of all *runs*."""
    return _together([run[part] for run in runs if run.get(part)], choose)


def _together(
    figures: Sequence[Mapping[str, Any]], choose: Callable[[list[Any]], Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for each in figures for name in each):
        there = [each[name] for each in figures if name in each]
        deeper = isinstance(there[0], Mapping)
        found[name] = _together(there, choose) if deeper else choose(there)
    return found


def joined(rounds: list[list[Any]]) -> list[Any]:
    """Return the rounds of several runs, one after the other."""
    return [each for run in rounds for each in run]
