"""Litestar. JSON is msgspec's there, by default; sessions are encrypted, not only signed."""

# No `from __future__ import annotations`: Litestar looks at the annotations of local functions.

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, Response, WebSocket, get, post, websocket
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotFoundException
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.params import Body, Parameter
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Stream, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from msgspec import Struct

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

TEXT = MediaType.TEXT


class Note(Struct):
    id: int
    name: str
    tags: list[str]


class Person(Struct):
    name: str
    city: str


def index() -> Any:
    # A view remembers the hooks of its app, so each app gets its own.
    @get("/", media_type=TEXT)
    async def index() -> str:
        return GREETING

    return index


@get("/json")
async def document() -> dict[str, Any]:
    return DOCUMENT


@get("/user/{id:int}", media_type=TEXT)
async def user(id: int) -> str:
    return f"user {id}"


@get("/args", media_type=TEXT)
async def args(
    name: str,
    page: int,
    token: Annotated[str, Parameter(header="x-token")],
    theme: Annotated[str, Parameter(cookie="theme")],
) -> str:
    return f"{name} {page} {token} {theme}"


@post("/echo", status_code=200)
async def echo(data: Note) -> Note:
    return data


@post("/form", status_code=200, media_type=TEXT)
async def form(data: Annotated[Person, Body(media_type=RequestEncodingType.URL_ENCODED)]) -> str:
    return f"{data.name} from {data.city}"


@post("/upload", status_code=200, media_type=TEXT)
async def upload(
    data: Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> str:
    file = data["file"]
    return received(file.filename, await file.read())


@get("/template")
async def template() -> Template:
    return Template("rows.html", context={"title": "Rows", "rows": ROWS})


@get("/def", media_type=TEXT, sync_to_thread=True)
def threaded() -> str:
    return GREETING


@get("/stream", media_type=TEXT)
async def stream() -> Stream:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    return Stream(chunks())


@get("/teapot", media_type=TEXT)
async def teapot() -> str:
    raise Teapot


@websocket("/socket")
async def socket(socket: WebSocket) -> None:
    await socket.accept()
    async for message in socket.iter_data():
        await socket.send_text(message)


def missing(request: Request, error: Exception) -> Response[str]:
    return Response(MISSING, status_code=404, media_type=TEXT)


def short_and_stout(request: Request, error: Exception) -> Response[str]:
    return Response(TEAPOT, status_code=418, media_type=TEXT)


def plain() -> Litestar:
    views = [index(), document, user, args, echo, form, upload, template, threaded, stream]
    files = create_static_files_router("/static", directories=[static_folder()])
    return Litestar(
        [*views, teapot, socket, files],
        exception_handlers={NotFoundException: missing, Teapot: short_and_stout},
        template_config=TemplateConfig(directory=PAGES, engine=JinjaTemplateEngine),
        openapi_config=None,
    )


async def before(request: Request) -> None:
    return None


async def after(response: Response[Any]) -> Response[Any]:
    response.headers["x-after"] = "1"
    return response


def hooked() -> Litestar:
    return Litestar([index()], before_request=before, after_request=after, openapi_config=None)


@get("/visit", media_type=TEXT)
async def visit(request: Request) -> str:
    visits = request.session.get("visits", 0) + 1
    request.session["visits"] = visits
    return f"visit {visits}"


def with_session() -> Litestar:
    sessions = CookieBackendConfig(secret=SECRET.encode())
    return Litestar([visit], middleware=[sessions.middleware], openapi_config=None)


def routes(count: int) -> Litestar:
    async def static() -> str:
        return "s"

    async def dynamic(id: int) -> str:
        return str(id)

    rules = []
    for n in range(count // 2):
        rules += [get(f"/s{n}/page", media_type=TEXT)(static)]
        rules += [get(f"/d{n}/{{id:int}}", media_type=TEXT)(dynamic)]
    return Litestar(rules, exception_handlers={NotFoundException: missing}, openapi_config=None)
