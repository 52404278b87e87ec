"""An app with one of everything, and a look at whether everything still works."""

from __future__ import annotations

from typing import Any

import httpx

from erlen import Blueprint, Erlen, Response, g, request, session, sync, url_for


class Lost(LookupError):
    """What the error handler of the app is for."""


def furnished_app(name: str, **options: Any) -> Erlen:
    """Return an app with hooks, a session, an error handler, a blueprint and both colours."""
    app = Erlen(name, **options)
    app.secret_key = "for these tests only"
    app.torn_down = []
    shop = Blueprint("shop", name, url_prefix="/shop")

    @app.before_request
    async def begin() -> None:
        g.begun = True

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers["X-After"] = f"{request.path} {g.get('begun')}"
        return response

    @app.teardown_request
    async def note(error: BaseException | None) -> None:
        app.torn_down.append(request.path)

    @app.errorhandler(Lost)
    async def find(error: Lost) -> tuple[str, int]:
        return f"lost: {error}", 410

    @app.get("/users/<int:id>")
    async def user(id: int) -> dict[str, Any]:
        return {"id": id, "url": url_for("user", id=id)}

    @app.post("/upper")
    def upper() -> str:
        return sync.request.form["text"].upper()

    @app.post("/upload")
    async def upload() -> str:
        file = (await request.files)["file"]
        return f"{file.filename} {len(await file.read())}"

    @app.get("/visits")
    async def visits() -> dict[str, int]:
        session["visits"] = session.get("visits", 0) + 1
        return {"visits": session["visits"]}

    @app.get("/lost")
    async def lose() -> str:
        raise Lost("a thing")

    @app.get("/broken")
    async def broken() -> str:
        raise RuntimeError("nothing handles this")

    @shop.get("/items/<item>")
    def item(item: str) -> str:
        return url_for(".item", item=item)

    app.register_blueprint(shop)
    return app


async def assert_all_works(client: httpx.AsyncClient, *, root: str = "") -> None:
    """Ask for each of the things that :func:`furnished_app` has, below the path *root*."""
    user = await client.get(f"{root}/users/7")
    assert user.json() == {"id": 7, "url": f"{root}/users/7"}
    assert user.headers["x-after"] == "/users/7 True"

    assert (await client.post(f"{root}/upper", data={"text": "loud"})).text == "LOUD"
    files = {"file": ("tea.txt", b"green")}
    assert (await client.post(f"{root}/upload", files=files)).text == "tea.txt 5"
    assert (await client.get(f"{root}/shop/items/tea")).text == f"{root}/shop/items/tea"

    client.cookies.clear()
    for count in (1, 2):
        assert (await client.get(f"{root}/visits")).json() == {"visits": count}

    lost = await client.get(f"{root}/lost")
    assert (lost.status_code, lost.text) == (410, "lost: a thing")
    assert lost.headers["x-after"] == "/lost True"

    missing = await client.get(f"{root}/nothing")
    assert missing.status_code == 404
    assert missing.headers["x-after"] == "/nothing True"

    refused = await client.delete(f"{root}/users/7")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
