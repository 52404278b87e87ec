"""The guest book does the same on every day; what is new on a day works from then on."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import book

DAYS = ["day_one", "day_two", "day_three", "last_day"]


@pytest.fixture(autouse=True)
def empty_book():
    book.ENTRIES.clear()


def client_on(day):
    if day != "last_day":
        pytest.importorskip("flask_login")
    return import_module(day).app.test_client()


async def log_in(client, name="ada"):
    return await client.post("/login", data={"name": name}, follow_redirects=True)


@pytest.mark.parametrize("day", DAYS)
async def test_who_is_logged_in_writes_and_all_can_read(day):
    async with client_on(day) as client:
        welcome = await log_in(client)
        thanks = await client.post("/entries", data={"text": "Lovely"}, follow_redirects=True)

    assert "Hello ada" in welcome.text
    assert "Write, ada" in welcome.text
    assert "Thank you" in thanks.text
    assert "<li>ada: Lovely</li>" in thanks.text


@pytest.mark.parametrize("day", DAYS)
async def test_who_is_not_logged_in_is_asked_to(day):
    async with client_on(day) as client:
        page = await client.get("/")
        response = await client.post("/entries", data={"text": "Lovely"})
        stranger = await log_in(client, "eve")

    assert '<a href="/login">Log in</a>' in page.text
    assert response.status_code == 302
    assert response.headers["location"].startswith("/login")
    assert "Hello" not in stranger.text
    assert book.ENTRIES == []


@pytest.mark.parametrize("day", DAYS[1:])
async def test_new_entries_arrive_over_the_websocket(day):
    async with client_on(day) as client:
        await log_in(client)
        async with client.websocket("/live") as socket:
            await client.post("/entries", data={"text": "Lovely"})

            assert await socket.receive_json() == {"name": "ada", "text": "Lovely"}


@pytest.mark.parametrize("before", DAYS[:-1])
async def test_who_was_logged_in_before_is_on_the_last_day(before):
    async with client_on(before) as client:
        await log_in(client)
        cookie = client.get_cookie("session")
    assert cookie is not None

    async with client_on("last_day") as client:
        client.set_cookie("session", cookie.value)
        page = await client.get("/")

    assert "Write, ada" in page.text


def test_no_flask_is_imported_on_the_last_day():
    code = (
        "import last_day, sys; print([n for n in sys.modules if n.startswith(('flask', 'werk'))])"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "[]\n"
