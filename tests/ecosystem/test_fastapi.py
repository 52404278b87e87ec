"""FastAPI inside of Erlen, and Erlen inside of FastAPI."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Annotated

import pytest

pytest.importorskip("fastapi")

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware
from websockets.asyncio.client import connect

from erlen import current_app, request, session, websocket
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import address_of, client_of


class Note(BaseModel):
    text: str
    stars: int = 0


def kept_notes(request: Request) -> list[Note]:
    return request.state.notes


Notes = Annotated[list[Note], Depends(kept_notes)]


def api():
    @asynccontextmanager
    async def lifespan(app):
        log.append("up")
        yield {"notes": []}
        log.append("down")

    log = []
    app = FastAPI(lifespan=lifespan)
    app.log = log

    @app.post("/notes", status_code=201)
    async def add(note: Note, notes: Notes) -> Note:
        notes.append(note)
        return note

    @app.get("/notes/{number}")
    def show(number: int, notes: Notes) -> Note:
        if number >= len(notes):
            raise HTTPException(404, "no such note")
        return notes[number]

    @app.get("/links")
    async def links(request: Request) -> list[str]:
        return [str(request.url_for("api:show", number=1)), request.url.path]

    @app.get("/visits")
    async def visits(request: Request) -> str:
        return f"{request.session['visits']} in {current_app.name}"

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("inside of the api")

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"{current_app.name} {await socket.receive_text()}")
        await socket.close(4000)

    return app


def app_around(inner):
    app = furnished_app("around")
    app.mount("/api", inner, name="api")
    return app


# -- FastAPI inside ------------------------------------------------------------------------


async def test_a_mounted_api_validates_answers_and_documents_itself():
    async with client_of(app_around(api())) as client:
        added = await client.post("/api/notes", json={"text": "tea"})
        shown = await client.get("/api/notes/0")
        missing = await client.get("/api/notes/7")
        wrong = await client.post("/api/notes", json={"stars": "many"})
        schema = (await client.get("/api/openapi.json")).json()
        page = await client.get("/api/docs")
        await assert_all_works(client)

    assert added.status_code == 201
    assert shown.json() == {"text": "tea", "stars": 0}
    assert (missing.status_code, missing.json()) == (404, {"detail": "no such note"})
    assert wrong.status_code == 422
    assert schema["servers"] == [{"url": "/api"}]
    assert "/api/openapi.json" in page.text
    assert added.headers["x-after"] == "/api/notes None"


async def test_a_mounted_api_has_its_lifespan_its_urls_and_our_session():
    inner = api()

    async with client_of(app_around(inner)) as client:
        assert inner.log == ["up"]
        links = (await client.get("/api/links")).json()
        await client.get("/visits")
        visits = (await client.get("/api/visits")).json()

    assert inner.log == ["up", "down"]
    assert links == ["http://testserver/api/notes/1", "/api/links"]
    assert visits == "1 in around"


async def test_our_urls_lead_into_a_mounted_api():
    app = app_around(api())

    @app.get("/links")
    async def links():
        return str(request.starlette.url_for("api:show", number=1))

    async with client_of(app) as client:
        assert (await client.get("/links")).text == "http://testserver/api/notes/1"


async def test_an_error_of_a_mounted_api_is_a_500_and_is_raised_to_the_server():
    app = app_around(api())

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match="inside of the api"):
            await client.get("/api/broken")

    assert app.torn_down == ["/api/broken"]


async def test_a_websocket_of_a_mounted_api():
    async with address_of(app_around(api())) as address:
        async with connect(f"ws://{address}/api/echo") as socket:
            await socket.send("hello")
            assert await socket.recv() == "around hello"
            await socket.wait_closed()
            assert socket.close_code == 4000


# -- Erlen inside --------------------------------------------------------------------------


def api_around(inner):
    outer = FastAPI()
    outer.mount("/site", inner)
    return outer


async def test_a_mounted_erlen_app_is_all_that_it_was():
    async with client_of(api_around(furnished_app("site"))) as client:
        await assert_all_works(client, root="/site")


async def test_a_mounted_erlen_app_redirects_below_its_own_root():
    app = furnished_app("site")
    app.add_url_rule("/teas/", endpoint="teas", view_func=lambda: "teas")

    async with client_of(api_around(app)) as client:
        response = await client.get("/site/teas?page=2")

    assert (response.status_code, response.headers["location"]) == (308, "/site/teas/?page=2")


async def test_start_up_of_a_mounted_erlen_app_is_run_by_the_lifespan_of_the_outer_app():
    app = furnished_app("site")
    log = []
    app.before_serving(lambda: log.append("up"))
    app.after_serving(lambda: log.append("down"))
    outer = FastAPI(lifespan=lambda outer: app.serving())
    outer.mount("/site", app)

    async with client_of(outer) as client:
        assert log == ["up"]
        await assert_all_works(client, root="/site")

    assert log == ["up", "down"]


async def test_two_sessions_beside_each_other():
    app = furnished_app("site")
    app.config["SESSION_COOKIE_NAME"] = "site"
    outer = api_around(app)
    outer.add_middleware(SessionMiddleware, secret_key="of the api")

    @outer.get("/enter")
    async def enter(request: Request) -> None:
        request.session["user"] = "mary"

    @outer.get("/who")
    async def who(request: Request) -> dict:
        return request.session

    @app.get("/who")
    async def who_here():
        return dict(session)

    async with client_of(outer) as client:
        await client.get("/enter")
        await client.get("/site/visits")

        assert (await client.get("/who")).json() == {"user": "mary"}
        assert (await client.get("/site/who")).json() == {"visits": 1}


async def test_both_colours_and_websockets_over_a_socket():
    app = furnished_app("site")

    @app.websocket("/echo")
    async def echo():
        await websocket.send(f"{websocket.path} {await websocket.receive()}")

    async with address_of(api_around(app)) as address:
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            await assert_all_works(client, root="/site")
        async with connect(f"ws://{address}/site/echo") as socket:
            await socket.send("hello")
            assert await socket.recv() == "/echo hello"
