"""Tests of hello.py: ``python -m pytest test_hello.py``."""

import pytest
from hello import app


@pytest.fixture
async def client():
    async with app.test_client() as client:
        yield client


async def test_the_page_shows_json_and_the_websocket(client):
    response = await client.get("/")

    assert response.mimetype == "text/html"
    assert 'value="json/def"' in response.text
    assert 'new URL("echo"' in response.text


async def test_async_def_runs_on_the_event_loop(client):
    response = await client.post("/json", json={"text": "hello"})

    assert response.json == {"received": {"text": "hello"}, "thread": "MainThread"}


async def test_def_runs_in_a_worker_thread(client):
    response = await client.post("/json/def", json={"text": "hello"})

    assert response.json["received"] == {"text": "hello"}
    assert response.json["thread"] != "MainThread"


@pytest.mark.parametrize("path", ["/json", "/json/def"])
async def test_broken_json_is_the_mistake_of_the_client(client, path):
    response = await client.post(path, data=b"{", headers={"Content-Type": "application/json"})

    assert response.status_code == 400
    assert response.mimetype == "application/problem+json"


async def test_the_websocket_echoes(client):
    async with client.websocket("/echo") as websocket:
        await websocket.send("hello")

        assert await websocket.receive() == "hello"
