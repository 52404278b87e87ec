from __future__ import annotations

import json

import pytest

from clock import app


@pytest.fixture
async def client():
    app.config["SECONDS"] = 0.01
    async with app.test_client() as client:
        yield client


async def test_the_page_knows_where_the_events_are(client):
    response = await client.get("/")

    assert '"/time"' in response.text
    assert '"/countdown/' in response.text


async def test_the_time_is_told_again_and_again(client):
    async with client.stream("GET", "/time") as response:
        lines = response.aiter_lines()
        event = [await anext(lines) for _ in range(4)]
        again = [await anext(lines) for _ in range(4)]

    assert response.mimetype == "text/event-stream"
    assert event[:2] == again[:2] == ["event: tick", "retry: 500"]
    assert event[2].startswith("data: ")


async def test_a_countdown_ends_at_zero(client):
    response = await client.get("/countdown/3")

    data = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert [json.loads(line)["left"] for line in data] == [2, 1, 0]


async def test_a_countdown_goes_on_where_it_was(client):
    response = await client.get("/countdown/9", headers={"Last-Event-ID": "2"})

    assert [line for line in response.text.splitlines() if line[:2] == "id"] == ["id: 1", "id: 0"]


async def test_a_countdown_that_is_over_does_not_begin_again(client):
    response = await client.get("/countdown/9", headers={"Last-Event-ID": "0"})

    assert response.status_code == 204
