"""BlackSheep. It calls `def` views on the event loop."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

os.environ.setdefault("APP_JINJA_EXTENSION", ".html")

from blacksheep import (
    Application,
    Request,
    Response,
    Router,
    StreamedContent,
    WebSocket,
    WebSocketDisconnectError,
    text,
)
from blacksheep import json as json_response
from blacksheep.exceptions import NotFound
from blacksheep.server.rendering.jinja2 import JinjaRenderer
from blacksheep.server.responses import view
from blacksheep.settings.html import html_settings
from blacksheep.settings.json import json_settings
from jinja2 import FileSystemLoader

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


def plain() -> Application:
    json_settings.use(dumps=json.JSONEncoder(separators=(",", ":")).encode)
    html_settings.use(JinjaRenderer(FileSystemLoader(PAGES)))
    app = Application(router=Router())
    get, post = app.router.get, app.router.post

    @get("/")
    async def index() -> Response:
        return text(GREETING)

    @get("/json")
    async def document() -> Response:
        return json_response(DOCUMENT)

    @get("/user/{int:id}")
    async def user(id: int) -> Response:
        return text(f"user {id}")

    @get("/args")
    async def args(request: Request) -> Response:
        query = request.query
        token = request.headers.get_single(b"x-token").decode()
        return text(
            f"{query['name'][0]} {int(query['page'][0])} {token} {request.cookies['theme']}"
        )

    @post("/echo")
    async def echo(request: Request) -> Response:
        return json_response(await request.json())

    @post("/form")
    async def form(request: Request) -> Response:
        fields = await request.form()
        return text(f"{fields['name']} from {fields['city']}")

    @post("/upload")
    async def upload(request: Request) -> Response:
        (file,) = await request.files("file")
        return text(received(file.file_name.decode(), file.data))

    @get("/template")
    async def template() -> Response:
        return view("rows", {"title": "Rows", "rows": ROWS})

    @get("/def")
    def threaded() -> Response:
        return text(GREETING)

    @get("/stream")
    async def stream() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield CHUNK

        return Response(200, content=StreamedContent(b"text/plain", chunks))

    @get("/teapot")
    async def teapot() -> Response:
        raise Teapot

    @app.router.ws("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnectError:
            pass

    @app.exception_handler(Teapot)
    async def short_and_stout(self: Any, request: Request, error: Teapot) -> Response:
        return text(TEAPOT, 418)

    app.serve_files(static_folder(), root_path="static", extensions={".bin"})
    say_missing(app)
    return app


def say_missing(app: Application) -> None:
    @app.exception_handler(404)
    async def missing(self: Any, request: Request, error: NotFound) -> Response:
        return text(MISSING, 404)


def hooked() -> Application:
    app = Application(router=Router())

    async def hooks(request: Request, handler: Any) -> Response:
        response = await handler(request)
        response.add_header(b"x-after", b"1")
        return response

    app.middlewares.append(hooks)

    @app.router.get("/")
    async def index() -> Response:
        return text(GREETING)

    return app


def with_session() -> Application:
    app = Application(router=Router())
    app.use_sessions(SECRET)

    @app.router.get("/visit")
    async def visit(request: Request) -> Response:
        visits = request.session.get("visits", 0) + 1
        request.session["visits"] = visits
        return text(f"visit {visits}")

    return app


def routes(count: int) -> Application:
    app = Application(router=Router())

    async def static() -> Response:
        return text("s")

    async def dynamic(id: int) -> Response:
        return text(str(id))

    for n in range(count // 2):
        app.router.add_get(f"/s{n}/page", static)
        app.router.add_get(f"/d{n}/{{int:id}}", dynamic)
    say_missing(app)
    return app
