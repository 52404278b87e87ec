"""What rendering costs beside Jinja alone: the same templates, both ways.

Run ``python -m bench.templating``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from jinja2 import DictLoader, Environment

from erlen.proxies import current
from erlen.templating import render, render_async, render_string

ROUNDS = 15

TEMPLATES = {
    "layout.html": "<!doctype html><title>{% block title %}{% endblock %}</title>"
    "<body>{% block body %}{% endblock %}</body>",
    "page.html": "{% extends 'layout.html' %}{% block title %}{{ title }}{% endblock %}"
    "{% block body %}<table>{% for row in rows %}<tr><td>{{ row.id }}</td><td>{{ row.name }}</td>"
    "</tr>{% endfor %}</table>{% endblock %}",
    "small.html": "<p>Hello {{ title }}</p>",
}
VALUES = {"title": "Rows & more", "rows": [{"id": n, "name": f"row <{n}>"} for n in range(20)]}


def best_of(calls: dict[str, Callable[[], Any]], number: int) -> dict[str, float]:
    """Return the microseconds of each call, the best of many rounds taken in turn."""
    times = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.thread_time()
            for _ in range(number):
                call()
            times[name] = min(times[name], (time.thread_time() - start) / number * 1e6)
    return times


def plain(environment: Environment, name: str) -> str:
    """Render as Jinja's documentation says."""
    return environment.get_template(name).render(**VALUES)


def ours(how: Callable[..., str], context: Any, what: str) -> str:
    """Render as a view does."""
    return how(context, what, dict(**VALUES))


async def main() -> None:
    """Print a line for each template and way."""
    from erlen import Erlen

    app: Any = Erlen(__name__)
    app.jinja_loader = DictLoader(TEMPLATES)
    context: Any = app.app_context()
    current.set(context)
    alone = Environment(loader=app.jinja_loader, autoescape=True, auto_reload=False)
    alone.globals.update(app.jinja_env.globals)
    for name, number in (("page.html", 500), ("small.html", 3000)):
        times = best_of(
            {
                "Jinja alone": partial(plain, alone, name),
                "render": partial(ours, render, context, name),
                "render_string, the same again": partial(
                    ours, render_string, context, TEMPLATES["small.html"]
                ),
            },
            number,
        )
        for way, time_ in times.items():
            print(f"{name:12} {way:32} {time_:7.2f} us  {time_ / times['Jinja alone']:.3f}")
        start = time.thread_time()
        for _ in range(2000):
            await render_async(context, name, dict(**VALUES))
        print(f"{name:12} {'render_async':32} {(time.thread_time() - start) / 2000 * 1e6:7.2f} us")


if __name__ == "__main__":
    asyncio.run(main())
