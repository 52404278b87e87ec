from __future__ import annotations

import pytest
from erlen.testing import WebSocketRejected

from chat import app, rooms


@pytest.fixture
async def client():
    async with app.test_client() as client:
        yield client
    assert not rooms


async def test_the_page_knows_where_the_chat_is(client):
    response = await client.get("/")

    assert '"/rooms/"' in response.text


async def test_everybody_hears_everybody(client):
    async with (
        client.websocket("/rooms/tea?name=Ada") as ada,
        client.websocket("/rooms/tea?name=Bob") as bob,
    ):
        await ada.send("Hello")

        assert [await ada.receive_json() for _ in range(3)] == [
            {"event": "joined", "people": ["Ada"], "name": "Ada"},
            {"event": "joined", "people": ["Ada", "Bob"], "name": "Bob"},
            {"event": "says", "people": ["Ada", "Bob"], "name": "Ada", "text": "Hello"},
        ]
        assert [await bob.receive_json() for _ in range(2)] == [
            {"event": "joined", "people": ["Ada", "Bob"], "name": "Bob"},
            {"event": "says", "people": ["Ada", "Bob"], "name": "Ada", "text": "Hello"},
        ]


async def test_people_in_two_clients_meet(client):
    async with app.test_client() as other, client.websocket("/rooms/tea?name=Ada") as ada:
        await ada.receive_json()
        async with other.websocket("/rooms/tea?name=Bob"):
            news = await ada.receive_json()

    assert news == {"event": "joined", "people": ["Ada", "Bob"], "name": "Bob"}


async def test_nobody_hears_what_is_said_in_another_room(client):
    async with (
        client.websocket("/rooms/tea?name=Ada") as ada,
        client.websocket("/rooms/jazz?name=Bob") as bob,
    ):
        await ada.send("Milk?")
        await bob.send("Miles?")

        assert [await ada.receive_json() for _ in range(2)][1]["text"] == "Milk?"
        assert [await bob.receive_json() for _ in range(2)][1] == {
            "event": "says",
            "people": ["Bob"],
            "name": "Bob",
            "text": "Miles?",
        }


async def test_who_leaves_is_gone(client):
    async with client.websocket("/rooms/tea?name=Ada") as ada:
        async with client.websocket("/rooms/tea?name=Bob"):
            pass

        news = [await ada.receive_json() for _ in range(3)]

    assert news[-1] == {"event": "left", "people": ["Ada"], "name": "Bob"}


async def test_a_long_message_is_cut(client):
    async with client.websocket("/rooms/tea?name=Ada") as ada:
        await ada.receive_json()
        await ada.send("x" * 501)

        assert (await ada.receive_json())["text"] == "x" * 500


@pytest.mark.parametrize("query", ["", "?name=", "?name=%20", f"?name={'x' * 21}"])
async def test_nobody_comes_in_without_a_name(client, query):
    with pytest.raises(WebSocketRejected) as refusal:
        async with client.websocket(f"/rooms/tea{query}"):
            pass

    assert refusal.value.response.status_code == 400
