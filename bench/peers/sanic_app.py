"""Sanic, in process as ASGI, served by its own server. It calls `def` views on the event loop."""

from __future__ import annotations

from itertools import count as numbers
from typing import Any

from jinja2 import Environment, FileSystemLoader
from sanic import Request, Sanic, Websocket
from sanic.exceptions import NotFound
from sanic.response import HTTPResponse, html, json, text

from bench.contents import (
    CHUNK,
    CHUNKS,
    DOCUMENT,
    GREETING,
    MISSING,
    PAGES,
    ROWS,
    TEAPOT,
    Teapot,
    received,
    static_folder,
)

LACKS = {"session": "it has no sessions"}

rows = Environment(loader=FileSystemLoader(PAGES), autoescape=True).get_template("rows.html")
number = numbers()


# Else a second app can't be started. It is asked at start-up only.
Sanic.test_mode = True


def make() -> Sanic:
    app = Sanic(f"bench{next(number)}", configure_logging=False)
    app.config.MOTD = False
    app.config.ACCESS_LOG = False
    return app


async def missing(request: Request, error: Exception) -> HTTPResponse:
    return text(MISSING, 404)


def plain() -> Sanic:
    app = make()

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text(GREETING)

    @app.get("/json")
    async def document(request: Request) -> HTTPResponse:
        return json(DOCUMENT)

    @app.get("/user/<id:int>")
    async def user(request: Request, id: int) -> HTTPResponse:
        return text(f"user {id}")

    @app.get("/args")
    async def args(request: Request) -> HTTPResponse:
        name, page = request.args.get("name"), int(request.args.get("page"))
        token, theme = request.headers["x-token"], request.cookies.get("theme")
        return text(f"{name} {page} {token} {theme}")

    @app.post("/echo")
    async def echo(request: Request) -> HTTPResponse:
        return json(request.json)

    @app.post("/form")
    async def form(request: Request) -> HTTPResponse:
        return text(f"{request.form.get('name')} from {request.form.get('city')}")

    @app.post("/upload")
    async def upload(request: Request) -> HTTPResponse:
        file = request.files.get("file")
        return text(received(file.name, file.body))

    @app.get("/template")
    async def template(request: Request) -> HTTPResponse:
        return html(rows.render(title="Rows", rows=ROWS))

    @app.get("/def")
    def threaded(request: Request) -> HTTPResponse:
        return text(GREETING)

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        for _ in range(CHUNKS):
            await response.send(CHUNK)
        await response.eof()

    @app.get("/teapot")
    async def teapot(request: Request) -> HTTPResponse:
        raise Teapot

    @app.websocket("/socket")
    async def socket(request: Request, socket: Websocket) -> None:
        async for message in socket:
            await socket.send(message)

    @app.exception(Teapot)
    async def short_and_stout(request: Request, error: Exception) -> HTTPResponse:
        return text(TEAPOT, 418)

    app.exception(NotFound)(missing)
    app.static("/static", static_folder())
    return app


def hooked() -> Sanic:
    app = make()

    @app.on_request
    async def before(request: Request) -> None:
        return None

    @app.on_response
    async def after(request: Request, response: Any) -> None:
        response.headers["x-after"] = "1"

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text(GREETING)

    return app


def routes(count: int) -> Sanic:
    app = make()

    async def static(request: Request) -> HTTPResponse:
        return text("s")

    async def dynamic(request: Request, id: int) -> HTTPResponse:
        return text(str(id))

    for n in range(count // 2):
        app.add_route(static, f"/s{n}/page", name=f"s{n}")
        app.add_route(dynamic, f"/d{n}/<id:int>", name=f"d{n}")
    app.exception(NotFound)(missing)
    return app
