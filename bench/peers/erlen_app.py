"""Erlen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bench.contents import (
    CHUNK,
    CHUNKS,
    DOCUMENT,
    GREETING,
    MISSING,
    PAGES,
    ROWS,
    SECRET,
    TEAPOT,
    Teapot,
    received,
    static_folder,
)
from erlen import Erlen, render_template, request, session, websocket

NEWLINE = ("its JSON ends with a newline, as Flask's", lambda body: body.rstrip(b"\n"))
DIFFERENT = {"json": NEWLINE, "echo": NEWLINE}


def plain() -> Erlen:
    app = Erlen(__name__, "/static", static_folder(), template_folder=PAGES)

    @app.get("/")
    async def index() -> str:
        return GREETING

    @app.get("/json")
    async def document() -> dict[str, Any]:
        return DOCUMENT

    @app.get("/user/<int:id>")
    async def user(id: int) -> str:
        return f"user {id}"

    @app.get("/args")
    async def args() -> str:
        name, page = request.args["name"], request.args.get("page", type=int)
        return f"{name} {page} {request.headers['x-token']} {request.cookies['theme']}"

    @app.post("/echo")
    async def echo() -> Any:
        return await request.get_json()

    @app.post("/form")
    async def form() -> str:
        fields = await request.form
        return f"{fields['name']} from {fields['city']}"

    @app.post("/upload")
    async def upload() -> str:
        [answer] = [received(part.filename, await part.read()) async for part in request.parts()]
        return answer

    @app.get("/template")
    async def template() -> str:
        return render_template("rows.html", title="Rows", rows=ROWS)

    @app.get("/def")
    def threaded() -> str:
        return GREETING

    @app.get("/stream")
    async def stream() -> AsyncIterator[bytes]:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield CHUNK

        return chunks()

    @app.get("/teapot")
    async def teapot() -> str:
        raise Teapot

    @app.websocket("/socket")
    async def socket() -> None:
        async for message in websocket:
            await websocket.send(message)

    @app.errorhandler(Teapot)
    async def short_and_stout(error: Teapot) -> tuple[str, int]:
        return TEAPOT, 418

    say_missing(app)
    return app


def say_missing(app: Erlen) -> None:
    @app.errorhandler(404)
    async def missing(error: Exception) -> tuple[str, int]:
        return MISSING, 404


def hooked() -> Erlen:
    app = Erlen(__name__, static_folder=None)

    @app.before_request
    async def before() -> None:
        return None

    @app.after_request
    async def after(response: Any) -> Any:
        response.headers["x-after"] = "1"
        return response

    @app.get("/")
    async def index() -> str:
        return GREETING

    return app


def with_session() -> Erlen:
    app = Erlen(__name__, static_folder=None)
    app.secret_key = SECRET

    @app.get("/visit")
    async def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']}"

    return app


def routes(count: int) -> Erlen:
    app = Erlen(__name__, static_folder=None)

    async def static() -> str:
        return "s"

    async def dynamic(id: int) -> str:
        return str(id)

    for n in range(count // 2):
        app.add_url_rule(f"/s{n}/page", f"s{n}", static)
        app.add_url_rule(f"/d{n}/<int:id>", f"d{n}", dynamic)
    say_missing(app)
    return app
