"""FastAPI. Hooks are pure ASGI middleware, the fast way there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Cookie, FastAPI, File, Form, Header, Request, UploadFile, WebSocket
from fastapi.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware

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
from bench.peers.starlette_app import Hooks


class Note(BaseModel):
    id: int
    name: str
    tags: list[str]


def plain() -> FastAPI:
    app = FastAPI(openapi_url=None)
    templates = Jinja2Templates(PAGES)

    @app.get("/")
    async def index() -> Response:
        return PlainTextResponse(GREETING)

    @app.get("/json")
    async def document() -> dict[str, Any]:
        return DOCUMENT

    @app.get("/user/{id}")
    async def user(id: int) -> Response:
        return PlainTextResponse(f"user {id}")

    @app.get("/args")
    async def args(
        name: str, page: int, x_token: Annotated[str, Header()], theme: Annotated[str, Cookie()]
    ) -> Response:
        return PlainTextResponse(f"{name} {page} {x_token} {theme}")

    @app.post("/echo")
    async def echo(note: Note) -> Note:
        return note

    @app.post("/form")
    async def form(name: Annotated[str, Form()], city: Annotated[str, Form()]) -> Response:
        return PlainTextResponse(f"{name} from {city}")

    @app.post("/upload")
    async def upload(file: Annotated[UploadFile, File()]) -> Response:
        return PlainTextResponse(received(file.filename, await file.read()))

    @app.get("/template")
    async def template(request: Request) -> HTMLResponse:
        return templates.TemplateResponse(request, "rows.html", {"title": "Rows", "rows": ROWS})

    @app.get("/def")
    def threaded() -> Response:
        return PlainTextResponse(GREETING)

    @app.get("/stream")
    async def stream() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield CHUNK

        return StreamingResponse(chunks(), media_type="text/plain")

    @app.get("/teapot")
    async def teapot() -> Response:
        raise Teapot

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        async for message in socket.iter_text():
            await socket.send_text(message)

    @app.exception_handler(Teapot)
    async def short_and_stout(request: Request, error: Teapot) -> Response:
        return PlainTextResponse(TEAPOT, 418)

    app.mount("/static", StaticFiles(directory=static_folder()))
    say_missing(app)
    return app


def say_missing(app: FastAPI) -> None:
    @app.exception_handler(404)
    async def missing(request: Request, error: Exception) -> Response:
        return PlainTextResponse(MISSING, 404)


def hooked() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_middleware(Hooks)

    @app.get("/")
    async def index() -> Response:
        return PlainTextResponse(GREETING)

    return app


def with_session() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_middleware(SessionMiddleware, secret_key=SECRET)

    @app.get("/visit")
    async def visit(request: Request) -> Response:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return PlainTextResponse(f"visit {request.session['visits']}")

    return app


def routes(count: int) -> FastAPI:
    app = FastAPI(openapi_url=None)

    async def static() -> Response:
        return PlainTextResponse("s")

    async def dynamic(id: int) -> Response:
        return PlainTextResponse(str(id))

    for n in range(count // 2):
        app.add_api_route(f"/s{n}/page", static)
        app.add_api_route(f"/d{n}/{{id}}", dynamic)
    say_missing(app)
    return app
