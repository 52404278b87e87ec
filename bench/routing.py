"""What it costs to find the rule of a request, whatever the number of rules; and to build a URL.

Run ``python -m bench.routing``. Microseconds, the best of many rounds; ``json`` is a yardstick for
comparing machines: one ``json.dumps`` of a small dictionary.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from erlen.registry import Rule
from erlen.routing import Router

COUNTS = (10, 100, 1000, 5000)
SECONDS = 4.0
LOOPS = 50
METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def view() -> None:
    """Stand for a view."""


def router_of(count: int) -> Router:
    """Return a router with *count* rules, half of them with a variable, and a few more."""
    router = Router()
    rules = ["/user/<int:id>", "/name/<name>", "/a/<x>/b/<int:y>/c", "/files/<path:file>"]
    for at in range(count // 2):
        rules += [f"/static{at}/page", f"/dynamic{at}/<int:id>"]
    for rule in rules:
        router.add(
            Rule(rule=rule, endpoint=rule, view=view, methods=METHODS, automatic_options=True)
        )
    return router


def asking(router: Router, path: str, method: str = "GET") -> Callable[[], Any]:
    """Return a question to *router*."""
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    scope["root_path"] = ""
    return lambda: router.resolve(scope)


def best_of(cases: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Measure all cases in turns, so that a busy moment hits all of them."""
    best = dict.fromkeys(cases, sys.float_info.max)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for name, case in cases.items():
            started = time.perf_counter()
            for _ in range(LOOPS):
                case()
            best[name] = min(best[name], (time.perf_counter() - started) / LOOPS * 1e6)
    return best


def main() -> None:
    """Print a line for each number of rules."""
    for count in COUNTS:
        started = time.perf_counter()
        router = router_of(count)
        added = time.perf_counter()
        router.resolve({"type": "http", "method": "GET", "path": "/"})
        indexed = time.perf_counter()
        last = count // 2 - 1
        best = best_of(
            {
                "nothing": lambda: None,
                "json": lambda: json.dumps({"hello": "world", "n": 1}, separators=(",", ":")),
                "static": asking(router, f"/static{last}/page"),
                "int": asking(router, f"/dynamic{last}/42"),
                "string": asking(router, "/name/ada"),
                "two": asking(router, "/a/x/b/3/c"),
                "path": asking(router, "/files/css/site.css"),
                "404": asking(router, "/no/such/page"),
                "405": asking(router, f"/static{last}/page", "POST"),
                "build": lambda: router.build("/user/<int:id>", {"id": 7}),  # noqa: B023
            }
        )
        nothing = best.pop("nothing")
        setup = f"add {(added - started) / count * 1e6:.0f}, index {(indexed - added) * 1e3:.0f} ms"
        print(f"{count:5} {setup};", *(f"{name} {us - nothing:.2f}" for name, us in best.items()))


if __name__ == "__main__":
    main()
