"""One file for each framework: the same answers, each in its own words.

A peer is a module with ``plain()``, ``hooked()``, ``with_session()`` and ``routes(count)``, which
return apps, and may say what it ``LACKS`` and where its answers are ``DIFFERENT``.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

PEERS = {
    "erlen": "erlen",
    "raw": "",
    "least": "",
    "msgspec": "msgspec",
    "orjson": "orjson",
    "starlette": "starlette.applications",
    "fastapi": "fastapi",
    "litestar": "litestar",
    "blacksheep": "blacksheep",
    "falcon": "falcon.asgi",
    "sanic": "sanic",
    "quart": "quart",
    "flask": "flask",
}
"""The peers and what their apps import."""

BY_HAND = ("raw", "least")
"""ASGI without a framework: as little as can be, and the least of what Erlen promises."""

JSON_LIBRARIES = ("msgspec", "orjson")
"""Erlen, with its JSON by one of these."""

ON_REQUEST = ("least", *JSON_LIBRARIES)
"""Those that are measured only where they are named, or in a part of their own."""


def peer(name: str) -> ModuleType:
    """Import the file of a peer."""
    return importlib.import_module(f"{__name__}.{name}{'' if name in BY_HAND else '_app'}")


def lacks(name: str) -> dict[str, str]:
    """Return the workloads that a peer has no answer to, and why."""
    return getattr(peer(name), "LACKS", {})


def build(name: str, app: str) -> Any:
    """Make an app of a peer: ``plain``, ``hooked``, ``with_session``, ``routes500``..."""
    module = peer(name)
    if app.startswith("routes"):
        return module.routes(int(app.removeprefix("routes")))
    return getattr(module, app)()


def app() -> Any:
    """Make the app that the environment names, for servers."""
    return build(os.environ["BENCH_PEER"], os.environ["BENCH_APP"])
