"""A front end that routes by itself, and the API that it talks to, in one app."""

from __future__ import annotations

from typing import Any, NoReturn

from erlen import Blueprint, Erlen, abort

PLANETS = {
    "mercury": {"name": "Mercury", "moons": 0},
    "earth": {"name": "Earth", "moons": 1},
    "mars": {"name": "Mars", "moons": 2},
}

api = Blueprint("api", __name__, url_prefix="/api", errors="problem")


@api.get("/planets")
async def planets() -> dict[str, Any]:
    return PLANETS


@api.get("/planets/<slug>")
async def planet(slug: str) -> dict[str, Any]:
    return PLANETS.get(slug) or abort(404, f"There is no planet {slug!r}.")


@api.get("/<path:rest>")
async def nothing(rest: str) -> NoReturn:
    """Say so when the API has no such URL; without this rule the front end would answer."""
    abort(404, f"The API has no {rest!r}.")


app = Erlen(__name__, static_folder=None)
app.register_blueprint(api)
# Whatever no rule answers: a file of dist, or the page, which looks at its own URL then.
app.static("/", "dist", fallback="index.html")
