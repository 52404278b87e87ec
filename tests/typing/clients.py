"""What a type checker must know of the two colours of the test client."""

from __future__ import annotations

from typing import assert_type

from erlen import Erlen
from erlen.testing import (
    StreamedResponse,
    SyncTestClient,
    SyncTestWebSocket,
    TestClient,
    TestResponse,
    TestWebSocket,
)

app = Erlen(__name__)


async def in_async_code() -> None:
    async with app.test_client() as client:
        assert_type(client, TestClient)
        response = await client.get("/", query_string={"a": 1})
        assert_type(response, TestResponse)
        assert_type(response.data, bytes)
        assert_type(response.status_code, int)
        assert_type(response.history, tuple[TestResponse, ...])
        assert_type(await client.open("/", method="PUT", json={}), TestResponse)
        await client.open("/", jsno=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # a typo
        async with client.stream("GET", "/") as streamed:
            assert_type(streamed, StreamedResponse)
            async for line in streamed.aiter_lines():
                assert_type(line, str)
        async with client.websocket("/") as ws:
            assert_type(ws, TestWebSocket)
            assert_type(await ws.receive(), str | bytes)
        async with client.session_transaction() as session:
            session["a"] = session.permanent


def in_def_code() -> None:
    with app.test_client() as client:
        assert_type(client, SyncTestClient)
        assert_type(client.get("/"), TestResponse)
        assert_type(client.open("/", method="PUT", data=b"x").text, str)
        with client.stream("GET", "/") as streamed:
            for line in streamed.iter_lines():
                assert_type(line, str)
        with client.websocket("/") as ws:
            assert_type(ws, SyncTestWebSocket)
            assert_type(ws.receive(), str | bytes)
        with client.session_transaction() as session:
            session["a"] = session.permanent
    assert_type(app.sync_test_client().post("/"), TestResponse)
