"""Starlette's own routes, endpoints, responses, files, templates and schemas in an Erlen app."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.routing import Host, Mount, Route, Router
from starlette.schemas import SchemaGenerator
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from websockets.asyncio.client import connect

from erlen import g, request, session
from tests.ecosystem.furniture import Lost, assert_all_works, furnished_app
from tests.ecosystem.serving import address_of, client_of


class Tea(HTTPEndpoint):
    async def get(self, request):
        """responses: {200: {description: The tea}}"""
        return JSONResponse({"tea": request.path_params["name"], "begun": g.begun})

    def post(self, request):
        raise Lost(request.path_params["name"])


async def test_class_based_endpoints_get_hooks_handlers_and_405():
    app = furnished_app("endpoints")
    app.add_route("/tea/{name}", Tea)

    async with client_of(app) as client:
        got = await client.get("/tea/assam")
        posted = await client.post("/tea/assam")
        put = await client.put("/tea/assam")
        url = app.url_path_for("Tea", name="assam")
        await assert_all_works(client)

    assert got.json() == {"tea": "assam", "begun": True}
    assert got.headers["x-after"] == "/tea/assam True"
    assert (posted.status_code, posted.text) == (410, "lost: assam")
    assert put.status_code == 405
    assert url == "/tea/assam"


async def test_websocket_endpoints_over_a_socket():
    class Echo(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, socket, data):
            await socket.send_text(f"{socket.path_params['room']} {data}")

    app = furnished_app("sockets")
    app.add_websocket_route("/echo/{room}", Echo)

    async with address_of(app) as address, connect(f"ws://{address}/echo/kitchen") as socket:
        await socket.send("hello")
        assert await socket.recv() == "kitchen hello"


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_views_of_both_colours_return_any_response(colour, tmp_path):
    app = furnished_app("responses")
    file = tmp_path / "tea.txt"
    file.write_text("green tea")
    done = []

    async def pieces():
        yield "a"
        yield request.path

    made = {
        "plain": lambda: PlainTextResponse("plain", background=BackgroundTask(done.append, "done")),
        "json": lambda: JSONResponse({"json": True}, status_code=201),
        "away": lambda: RedirectResponse("/elsewhere"),
        "file": lambda: FileResponse(file, filename="drink.txt"),
        "stream": lambda: StreamingResponse(pieces()),
    }

    def make(kind):
        session["kind"] = kind
        return made[kind]()

    async def make_on_the_loop(kind):
        return make(kind)

    app.get("/<kind>")(make if colour == "def" else make_on_the_loop)

    async with client_of(app) as client:
        answers = {kind: await client.get(f"/{kind}") for kind in made}
        part = await client.get("/file", headers={"Range": "bytes=6-8"})

    assert answers["plain"].text == "plain"
    assert done == ["done"]
    assert (answers["json"].status_code, answers["json"].json()) == (201, {"json": True})
    assert answers["away"].headers["location"] == "/elsewhere"
    assert answers["file"].text == "green tea"
    assert (part.status_code, part.text) == (206, "tea")
    assert answers["stream"].text == "a/stream"
    for kind, response in answers.items():
        assert response.headers["x-after"] == f"/{kind} True"
        assert response.headers["set-cookie"].startswith("session=")


async def test_mounted_static_files(tmp_path):
    (tmp_path / "style.css").write_text("body {}")
    app = furnished_app("files")
    app.mount("/assets", StaticFiles(directory=tmp_path), name="assets")

    @app.get("/url")
    async def url():
        return str(request.starlette.url_for("assets", path="style.css"))

    async with client_of(app) as client:
        style = await client.get("/assets/style.css")
        known = {"If-None-Match": style.headers["etag"]}
        unchanged = await client.get("/assets/style.css", headers=known)
        missing = await client.get("/assets/nothing.css")
        href = (await client.get("/url")).text
        await assert_all_works(client)

    assert style.text == "body {}"
    assert unchanged.status_code == 304
    assert missing.status_code == 404
    assert missing.headers["x-after"] == "/assets/nothing.css None"
    assert href == "http://testserver/assets/style.css"


async def test_routers_hosts_and_routes_in_front():
    async def tell(inner):
        return PlainTextResponse(inner.scope["route"].path)

    app = furnished_app("many")
    app.routes.append(Mount("/group", routes=[Route("/{n:int}", tell)]))
    app.mount("/router", Router([Route("/{name}", tell)]))
    app.routes.append(Host("api.example", Starlette(routes=[Route("/hosted", tell)])))
    app.routes.insert(0, Route("/users/{name}", tell))

    async with client_of(app) as client:
        texts = [(await client.get(path)).text for path in ("/group/7", "/router/x", "/users/7")]
        hosted = await client.get("/hosted", headers={"Host": "api.example"})
        elsewhere = await client.get("/hosted")
        slash = await client.get("/router/x/")

    assert texts == ["/{n:int}", "/{name}", "/users/{name}"]
    assert hosted.text == "/hosted"
    assert elsewhere.status_code == 404
    assert slash.status_code == 307


async def test_exception_handlers_given_as_to_starlette():
    async def missing(request, error):
        return JSONResponse({"path": request.url.path, "detail": error.detail}, 404)

    def lost(request, error):
        return PlainTextResponse(f"ours wins, not this: {error}", 500)

    def broken(request, error):
        return PlainTextResponse(f"sorry, {request.session['visits']}", 500)

    handlers = {404: missing, Lost: lost, RuntimeError: broken}
    app = furnished_app("handlers", exception_handlers=handlers)

    async def refuse(request):
        raise HTTPException(404, "not here")

    app.add_route("/refuse", refuse)

    async with client_of(app) as client:
        await client.get("/visits")
        broken = await client.get("/broken")
        refused = await client.get("/refuse")
        await assert_all_works(client)

    assert broken.text == "sorry, 1"
    assert broken.headers["x-after"] == "/broken True"
    assert refused.json() == {"path": "/refuse", "detail": "not here"}


async def test_starlettes_templates_with_the_urls_of_both(tmp_path):
    (tmp_path / "page.html").write_text(
        "{{ url_for('user', id=7) }} {{ url_for('tea', name='x') }}"
    )
    templates = Jinja2Templates(tmp_path)
    app = furnished_app("templates")
    app.add_route("/tea/{name}", Tea, name="tea")

    @app.get("/page")
    def page():
        return templates.TemplateResponse(request.starlette, "page.html")

    async with client_of(app) as client:
        response = await client.get("/page")

    assert response.text == "http://testserver/users/7 http://testserver/tea/x"
    assert response.headers["x-after"] == "/page True"


def test_the_schema_generator_reads_rules_and_routes():
    pytest.importorskip("yaml")
    app = furnished_app("schemas")
    app.add_route("/tea/{name}", Tea)

    @app.get("/documented/<int:id>")
    async def documented(id):
        """responses: {200: {description: Documented}}"""

    schema = SchemaGenerator({"openapi": "3.0.0"}).get_schema(app.routes)

    assert {path: set(methods) for path, methods in schema["paths"].items()} == {
        "/documented/{id}": {"get", "options"},
        "/tea/{name}": {"get"},
    }


async def test_a_mounted_app_over_a_socket_streams_both_ways():
    async def double(scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            piece = {"type": "http.response.body", "body": message["body"] * 2, "more_body": more}
            await send(piece)

    async def upload():
        for _ in range(100):
            yield b"x" * 1000

    app = furnished_app("streams")
    app.mount("/double", double)

    async with address_of(app) as address, httpx.AsyncClient() as client:
        response = await client.post(f"http://{address}/double/", content=upload())

    assert response.content == b"x" * 200_000
    assert response.headers["x-after"] == "/double/ None"
