"""Falcon. Its JSON handler is given an encoder made once and the short form of JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import falcon
from falcon.asgi import App, Request, Response, WebSocket
from falcon.media import JSONHandler
from jinja2 import Environment, FileSystemLoader

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

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
rows = Environment(loader=FileSystemLoader(PAGES), autoescape=True).get_template("rows.html")


class Index:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = GREETING


class Document:
    async def on_get(self, request: Request, response: Response) -> None:
        response.media = DOCUMENT


class User:
    async def on_get(self, request: Request, response: Response, id: int) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = f"user {id}"


class Args:
    async def on_get(self, request: Request, response: Response) -> None:
        name, page = request.get_param("name"), request.get_param_as_int("page")
        token, theme = request.get_header("x-token"), request.cookies["theme"]
        response.content_type = falcon.MEDIA_TEXT
        response.text = f"{name} {page} {token} {theme}"


class Echo:
    async def on_post(self, request: Request, response: Response) -> None:
        response.media = await request.get_media()


class Form:
    async def on_post(self, request: Request, response: Response) -> None:
        fields = await request.get_media()
        response.content_type = falcon.MEDIA_TEXT
        response.text = f"{fields['name']} from {fields['city']}"


class Upload:
    async def on_post(self, request: Request, response: Response) -> None:
        async for part in await request.get_media():
            response.content_type = falcon.MEDIA_TEXT
            response.text = received(part.filename, await part.stream.read())


class Template:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_HTML
        response.text = rows.render(title="Rows", rows=ROWS)


def greet() -> str:
    return GREETING


class Threaded:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = await falcon.sync_to_async(greet)


class Stream:
    async def on_get(self, request: Request, response: Response) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield CHUNK

        response.content_type = falcon.MEDIA_TEXT
        response.stream = chunks()


class Pot:
    async def on_get(self, request: Request, response: Response) -> None:
        raise Teapot


class Socket:
    async def on_websocket(self, request: Request, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except falcon.WebSocketDisconnected:
            pass


async def short_and_stout(
    request: Request, response: Response, error: Exception, params: Any
) -> None:
    response.status = 418
    response.content_type = falcon.MEDIA_TEXT
    response.text = TEAPOT


async def missing(request: Request, response: Response, error: Exception, params: Any) -> None:
    response.status = 404
    response.content_type = falcon.MEDIA_TEXT
    response.text = MISSING


def plain() -> App:
    app = App()
    handler = JSONHandler(dumps=encode, loads=json.loads)
    app.req_options.media_handlers[falcon.MEDIA_JSON] = handler
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
    app.add_route("/", Index())
    app.add_route("/json", Document())
    app.add_route("/user/{id:int}", User())
    app.add_route("/args", Args())
    app.add_route("/echo", Echo())
    app.add_route("/form", Form())
    app.add_route("/upload", Upload())
    app.add_route("/template", Template())
    app.add_route("/def", Threaded())
    app.add_route("/stream", Stream())
    app.add_route("/teapot", Pot())
    app.add_route("/socket", Socket())
    app.add_static_route("/static", static_folder())
    app.add_error_handler(Teapot, short_and_stout)
    app.add_error_handler(falcon.HTTPNotFound, missing)
    return app


class Hooks:
    async def process_request(self, request: Request, response: Response) -> None:
        return None

    async def process_response(
        self, request: Request, response: Response, resource: Any, succeeded: bool
    ) -> None:
        response.set_header("x-after", "1")


def hooked() -> App:
    app = App(middleware=[Hooks()])
    app.add_route("/", Index())
    return app


class Static:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = "s"


class Dynamic:
    async def on_get(self, request: Request, response: Response, id: int) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = str(id)


def routes(count: int) -> App:
    app, static, dynamic = App(), Static(), Dynamic()
    for n in range(count // 2):
        app.add_route(f"/s{n}/page", static)
        app.add_route(f"/d{n}/{{id:int}}", dynamic)
    app.add_error_handler(falcon.HTTPNotFound, missing)
    return app
