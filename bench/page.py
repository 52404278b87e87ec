"""The results page of the documentation. Takes all figures from the results, none from here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import tables
from bench.calls import AT_A_TIME
from bench.plot import plot
from bench.workloads import FILE

HERE = Path(__file__).parent
FOLDER = HERE.parent / "docs" / "explanation"

QUIET = 0.7
"""The load average from which on the page warns of its figures."""
BUSY = "**The machine was busy, so the figures are rough:** its load average at the start was"

PAGE = """\
# Performance

<!-- Written by `python -m bench`; what is changed here is lost. -->

What a request costs on Erlen and on other frameworks: the same questions, byte-identical answers,
each framework in its own words. All figures on this page were printed by this, and you can repeat
it:

```bash
{command}
```

{machine}

**1 is Erlen.** A ratio of 2 means that a framework takes twice as long as Erlen, 0.5 that it takes
half as long. `raw` is an ASGI function written by hand: it has no routes, hooks, sessions or error
handlers, and is the floor rather than a rival. `-` means that a framework has nothing for this.
{between}
## In process

The framework alone, without a server: its ASGI callable (Flask's WSGI callable) is awaited with
requests that are prepared, {at_a_time} at a time: a server has no more than a few at once. The
garbage collector is not shown them, since a server does not keep them. Each framework has a
process of its own; they take turns, {in_process}.

![Ratios in process](performance-in-process.svg)

{process_ratios}

Microseconds per request, the least:

{process_times}

Microseconds per request, the median:

{process_medians}
{spread}
{json}
{served}
{by_hand}
## Where Erlen is not the fastest

{not_won}

{weights}

## How it is measured

- All answers are compared, status and body, before and after they are timed. {different}
- Every framework is used as its documentation says, and where that leaves a choice, the faster
  way: hooks on Starlette and FastAPI are plain ASGI middleware, Falcon's JSON encoder is made
  once. JSON is the framework's default: msgspec on Litestar, pydantic on FastAPI, ujson on Sanic,
  the standard library on the others.
- The uploaded file has {megabytes} MB, arrives in pieces of 64 KB and is read by the view:
  part by part as it arrives on Erlen and Falcon, else once the form is complete, which on
  BlackSheep is the faster of its two ways. Of 500 or 5000 routes the one in the middle is asked
  for. Sessions are signed cookies; Litestar's are encrypted.
- `bench/` in the repository has it all: `bench/workloads.py` the questions and answers,
  `bench/peers/` one file for each framework, `bench/requirements.txt` their versions. More is
  printed by `python -m bench.pool` (calls in threads), `python -m bench.templating` (templates
  beside Jinja alone), `python -m bench.routing` (rules and URLs), `python -m bench.forms` (parsers)
  and `python -m bench.gateways` (both ways between WSGI and ASGI).
"""

BETWEEN = """\

{us:.1f} us lie between `raw` and Erlen where a view returns a plain text. In them its rule is found
and the host checked, the request is noted in a context variable and among those that a shutdown
waits for, the text becomes a response, and what the request has opened is closed. `least` does
that by hand, in one function that knows but a few rules; this measures it beside the two:

```bash
nox -s bench -- full --only erlen,raw,least --workload plaintext --rounds 30
```
"""

JSON = """\
## JSON by a library

The same app with one line more, `app.json = MsgspecProvider(app)` or `app.json =
OrjsonProvider(app)`, which [the reference](../reference/helpers.md#json) tells of; in process.

{ratios}

Microseconds per request, the least:

{times}
"""

SPREAD = """\

The ratios of the single runs, the least and the greatest:

{table}
"""

SERVED = """\
## Over a server

Requests as `wrk` counts them, with 32 connections (4 for uploads), server and client on cores of
their own. A second is one in which the server had its core: by the clock, a machine that others
use too withholds a part of most. All take their turns one after the other, in {rounds};
the ratios are those within a round, the median of them. Everyone is served by uvicorn, except Flask
(gunicorn, one process with four threads) and Sanic (its own server); `erlen run` is Erlen served by
its own command.

Ratios are smaller here than in process, since the server's own work is in them. And a client that
has read everything sleeps, so that a server has to wake it: the slower it is, the more often. That
of the websockets never sleeps, and asks one server after the other, each for a tenth of a second at
a time: a machine is not as fast in each second.

![Ratios over a server](performance-served.svg)

{ratios}

Requests per second of the server's core (messages, for websockets), of the best round:

{rates}
{spread}"""

BY_HAND = """\
## Beside what is written by hand

Erlen, `raw` and `least` on the same server: on uvicorn, and on that of `erlen run`, which serves
any ASGI app. `least` keeps the promises that are named above in one function and has one rule for
each of these questions. Its views see what those of Erlen see: a request that is the current one by
its name, looks for values when they are asked for, and loses none that was sent twice; and a
websocket that any number of tasks may use. So what lies between `raw` and `least` is what these
promises cost when they are written plainly, and what lies between `least` and Erlen is what it
costs to be a framework, or what its short cuts save. The client never sleeps, so that no server
works to wake it, and asks them in turns of a tenth of a second.

How many requests or messages one serves while the other serves 1, in {rounds}: the median, and in
brackets the least and the greatest.

{table}
"""

WEIGHTS = """\
## Start and memory

Seconds that the import takes in a fresh Python, and seconds from the command to the first answer,
the least of several; the memory of the server before and after {requests:,} requests; and what an
idle websocket adds to it.

{table}

{slope}
"""


def write(results: Mapping[str, Any]) -> Path:
    """Write the page and its drawings; return where the page is."""
    times, rates = tables.times_of(results), tables.rates_of(results)
    ratios = tables.ratios_of(times)
    columns = tables.columns_of(times)
    drawing = plot(named(ratios), columns, "Time in process, as a multiple of Erlen's")
    (FOLDER / "performance-in-process.svg").write_text(drawing, "utf-8")
    served = ""
    if rates:
        ratios_served = tables.served_ratios_of(results)
        shown = tables.columns_of(rates)
        drawing = plot(named(ratios_served), shown, "Time over a server, as a multiple of Erlen's")
        (FOLDER / "performance-served.svg").write_text(drawing, "utf-8")
        served = SERVED.format(
            rounds=results["how"]["served"],
            ratios=tables.grid(ratios_served, shown),
            rates=tables.grid(rates, shown),
            spread=spread(results, "served", shown),
        )
    page = PAGE.format(
        command=results["how"]["command"],
        machine=machine(results),
        between=between(times),
        at_a_time=AT_A_TIME,
        in_process=results["how"]["in process"],
        process_ratios=tables.grid(ratios, columns),
        process_times=tables.grid(times, columns),
        process_medians=tables.grid(tables.times_of(results, "median"), columns),
        spread=spread(results, "in process", columns),
        json=json(results),
        served=served,
        by_hand=by_hand(results),
        not_won=tables.not_won(results, tomllib.loads((HERE / "notes.toml").read_text("utf-8"))),
        weights=weights(results),
        different=results["different"],
        megabytes=len(FILE) // 1024 // 1024,
    )
    path = FOLDER / "performance.md"
    path.write_text(page, "utf-8")
    return path


def between(times: tables.Figures) -> str:
    """Say what Erlen does that the hand-written function does not, if both were measured."""
    row = times.get("plaintext", {})
    if "erlen" not in row or "raw" not in row:
        return ""
    return BETWEEN.format(us=row["erlen"] - row["raw"])


def json(results: Mapping[str, Any]) -> str:
    """Write what JSON costs with each library, if that was measured."""
    times = tables.times_of(results, part="json")
    if not times:
        return ""
    columns = tables.columns_of(times)
    return JSON.format(
        ratios=tables.grid(tables.ratios_of(times), columns), times=tables.grid(times, columns)
    )


def by_hand(results: Mapping[str, Any]) -> str:
    """Write how far Erlen is from what is written by hand, if that was measured."""
    if not results.get("by hand"):
        return ""
    return BY_HAND.format(
        rounds=results["how"]["by hand"], table=tables.by_hand(results["by hand"])
    )


def spread(results: Mapping[str, Any], part: str, columns: list[str]) -> str:
    """Write how far several runs differ, if there are several."""
    runs = results.get("runs")
    return SPREAD.format(table=tables.spread(runs[part], columns)) if runs else ""


def named(ratios: tables.Figures) -> dict[str, Mapping[str, float]]:
    """Return the rows under the words of the tables."""
    return {tables.WORDS[name].replace("`", ""): row for name, row in ratios.items()}


def machine(results: Mapping[str, Any]) -> str:
    """Say where and with what it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    busy = f"{BUSY} {results['load']:.1f}.\n\n" if results["load"] > QUIET else ""
    return f"{busy}Measured on {results['when']}: {results['machine']}. {versions}."


def weights(results: Mapping[str, Any]) -> str:
    """Write what Erlen weighs, if that was measured."""
    grows = tables.slope(results["slope"]) if results.get("slope") else ""
    if not results.get("weights"):
        return f"## Memory\n\n{grows}\n" if grows else ""
    return WEIGHTS.format(
        requests=results["how"]["requests"], table=tables.weights(results), slope=grows
    )
