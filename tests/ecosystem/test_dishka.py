"""dishka: a container for each request, in views of ours and in Starlette's endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

pytest.importorskip("dishka")
pytest.importorskip("starlette_dishka")

from dishka import FromDishka, Provider, Scope, make_async_container, provide
from dishka.integrations.base import wrap_injection
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette_dishka import StarletteProvider, setup_dishka
from starlette_dishka import inject as inject_endpoint

from erlen import request
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


class Connection:
    pass


class Greeter:
    def __init__(self, connection: Connection, path: str) -> None:
        self.connection = connection
        self.path = path

    def greet(self, name: str) -> str:
        return f"hello {name} at {self.path}"


class House(Provider):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    @provide(scope=Scope.APP)
    def connection(self) -> Connection:
        self.log.append("connected")
        return Connection()

    @provide(scope=Scope.REQUEST)
    async def greeter(self, connection: Connection, request: Request) -> AsyncIterator[Greeter]:
        yield Greeter(connection, request.url.path)
        self.log.append("closed")


def inject(view):
    """Give a view what it asks for: what one writes once to use dishka with Erlen."""
    return wrap_injection(
        func=view,
        is_async=True,
        container_getter=lambda args, kwargs: request.starlette.state.dishka_container,
    )


def app_with_container(log):
    app = furnished_app("house")
    container = make_async_container(House(log), StarletteProvider())
    setup_dishka(container, app)
    app.after_serving(container.close)
    return app


async def test_views_are_given_what_they_ask_for():
    log = []
    app = app_with_container(log)

    @app.get("/greet/<name>")
    @inject
    async def greet(name: str, greeter: FromDishka[Greeter]) -> str:
        return greeter.greet(name)

    async with client_of(app) as client:
        texts = [(await client.get(f"/greet/{name}")).text for name in ("ann", "ben")]
        assert log == ["connected", "closed", "closed"]
        await assert_all_works(client)

    assert texts == ["hello ann at /greet/ann", "hello ben at /greet/ben"]


async def test_endpoints_of_starlette_are_injected_as_ever():
    log = []
    app = app_with_container(log)

    @inject_endpoint
    async def greet(request: Request, greeter: FromDishka[Greeter]) -> PlainTextResponse:
        return PlainTextResponse(greeter.greet(request.path_params["name"]))

    app.add_route("/endpoint/{name}", greet)

    async with client_of(app) as client:
        response = await client.get("/endpoint/ann")

    assert response.text == "hello ann at /endpoint/ann"
    assert response.headers["x-after"] == "/endpoint/ann True"
    assert log == ["connected", "closed"]
