"""Starlette. Hooks are pure ASGI middleware, the fast way there; files and sessions are its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders, UploadFile
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.websockets import WebSocket

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

templates = Jinja2Templates(PAGES)


async def index(request: Request) -> Response:
    return PlainTextResponse(GREETING)


async def document(request: Request) -> Response:
    return JSONResponse(DOCUMENT)


async def user(request: Request) -> Response:
    return PlainTextResponse(f"user {request.path_params['id']}")


async def args(request: Request) -> Response:
    name, page = request.query_params["name"], int(request.query_params["page"])
    token, theme = request.headers["x-token"], request.cookies["theme"]
    return PlainTextResponse(f"{name} {page} {token} {theme}")


async def echo(request: Request) -> Response:
    return JSONResponse(await request.json())


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return PlainTextResponse(f"{fields['name']} from {fields['city']}")


async def upload(request: Request) -> Response:
    async with request.form() as fields:
        file = fields["file"]
        assert isinstance(file, UploadFile)
        return PlainTextResponse(received(file.filename, await file.read()))


async def template(request: Request) -> Response:
    return templates.TemplateResponse(request, "rows.html", {"title": "Rows", "rows": ROWS})


def threaded(request: Request) -> Response:
    return PlainTextResponse(GREETING)


async def stream(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    return StreamingResponse(chunks(), media_type="text/plain")


async def teapot(request: Request) -> Response:
    raise Teapot


async def socket(socket: WebSocket) -> None:
    await socket.accept()
    async for message in socket.iter_text():
        await socket.send_text(message)


async def short_and_stout(request: Request, error: Exception) -> Response:
    return PlainTextResponse(TEAPOT, 418)


async def missing(request: Request, error: Exception) -> Response:
    return PlainTextResponse(MISSING, 404)


def plain() -> Starlette:
    return Starlette(
        routes=[
            Route("/", index),
            Route("/json", document),
            Route("/user/{id:int}", user),
            Route("/args", args),
            Route("/echo", echo, methods=["POST"]),
            Route("/form", form, methods=["POST"]),
            Route("/upload", upload, methods=["POST"]),
            Route("/template", template),
            Route("/def", threaded),
            Route("/stream", stream),
            Route("/teapot", teapot),
            WebSocketRoute("/socket", socket),
            Mount("/static", StaticFiles(directory=static_folder())),
        ],
        exception_handlers={404: missing, Teapot: short_and_stout},
    )


class Hooks:
    """Something before, and a header after."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def after(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-after"] = "1"
            await send(message)

        await self.app(scope, receive, after)


def hooked() -> Starlette:
    return Starlette(routes=[Route("/", index)], middleware=[Middleware(Hooks)])


async def visit(request: Request) -> Response:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return PlainTextResponse(f"visit {request.session['visits']}")


def with_session() -> Starlette:
    return Starlette(
        routes=[Route("/visit", visit)],
        middleware=[Middleware(SessionMiddleware, secret_key=SECRET)],
    )


async def static(request: Request) -> Response:
    return PlainTextResponse("s")


async def dynamic(request: Request) -> Response:
    return PlainTextResponse(str(request.path_params["id"]))


def routes(count: int) -> Starlette:
    rules = []
    for n in range(count // 2):
        rules += [Route(f"/s{n}/page", static), Route(f"/d{n}/{{id:int}}", dynamic)]
    return Starlette(routes=rules, exception_handlers={404: missing})
