"""strawberry: its ASGI app is mounted; queries and subscriptions run in the context of Erlen."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import pytest

pytest.importorskip("strawberry")

import strawberry
from strawberry.asgi import GraphQL
from websockets.asyncio.client import connect

from erlen import current_app, request, session
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import address_of, client_of


@strawberry.type
class Query:
    @strawberry.field
    def app(self) -> str:
        return f"{current_app.name} {request.path}"

    @strawberry.field
    async def visits(self, info: strawberry.Info) -> int:
        shared = info.context["request"].session
        assert shared["visits"] == session["visits"]
        return shared["visits"]

    @strawberry.field
    def broken(self) -> str:
        raise LookupError("inside of a field")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[str, None]:
        for number in range(to):
            yield f"{number} {current_app.name}"


def app_with_graphql():
    app = furnished_app("graph")
    app.mount("/graphql", GraphQL(strawberry.Schema(Query, subscription=Subscription)))
    return app


async def test_queries_see_the_app_the_request_and_the_session():
    async with client_of(app_with_graphql()) as client:
        await client.get("/visits")
        response = await client.post("/graphql/", json={"query": "{ app visits }"})
        await assert_all_works(client)

    assert response.json() == {"data": {"app": "graph /graphql/", "visits": 1}}
    assert response.headers["x-after"].startswith("/graphql/")


async def test_errors_of_a_field_are_in_the_answer():
    async with client_of(app_with_graphql()) as client:
        response = await client.post("/graphql/", json={"query": "{ broken }"})

    assert response.status_code == 200
    assert response.json()["errors"][0]["message"] == "inside of a field"


async def test_a_browser_gets_the_page_to_explore_with():
    async with client_of(app_with_graphql()) as client:
        response = await client.get("/graphql/", headers={"Accept": "text/html"})

    assert response.headers["content-type"].startswith("text/html")
    assert "GraphiQL" in response.text


async def test_a_subscription_runs_over_a_websocket():
    query = {"query": "subscription { count(to: 2) }"}

    async with (
        address_of(app_with_graphql()) as address,
        connect(f"ws://{address}/graphql/", subprotocols=["graphql-transport-ws"]) as socket,
    ):
        await socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": query}))
        messages = [json.loads(await socket.recv()) for _ in range(3)]

    assert [message["type"] for message in messages] == ["next", "next", "complete"]
    assert [message["payload"]["data"]["count"] for message in messages[:2]] == [
        "0 graph",
        "1 graph",
    ]
