from __future__ import annotations

import pytest
from erlen import g, session


async def test_a_person_registers_and_logs_in(client, log_in):
    form = {"name": " Grace ", "password": "long enough"}

    registered = await client.post("/auth/register", data=form, follow_redirects=True)
    await log_in("Grace", "long enough")
    index = await client.get("/")

    assert registered.request.path == "/auth/login"
    assert "Welcome, Grace!" in registered.text
    assert "<span>Grace</span>" in index.text


@pytest.mark.parametrize(
    ("name", "password", "message"),
    [
        ("", "long enough", "tell us your name"),
        ("x" * 41, "long enough", "at most 40 characters"),
        ("Grace", "short", "at least 8 characters"),
        ("Ada", "long enough", "already called Ada"),
    ],
)
async def test_what_is_wrong_is_said_and_the_name_is_kept(client, name, password, message):
    response = await client.post("/auth/register", data={"name": name, "password": password})

    assert message in response.text
    assert f'value="{name}"' in response.text


async def test_the_session_knows_who_is_logged_in(client, log_in):
    response = await log_in("Ada")

    assert response.headers["Location"] == "/"

    await client.get("/")

    assert session["author_id"] == 1
    assert g.author["name"] == "Ada"


@pytest.mark.parametrize(
    ("name", "password"), [("Nobody", "correct horse"), ("Ada", "wrong password")]
)
async def test_a_wrong_name_looks_like_a_wrong_password(client, log_in, name, password):
    response = await log_in(name, password)

    assert "do not belong together" in response.text
    assert "author_id" not in session


async def test_logging_out_forgets_who_it_was(client, log_in):
    await log_in("Ada")

    await client.post("/auth/logout")

    assert "author_id" not in session


async def test_an_author_who_was_deleted_is_nobody(client):
    async with client.session_transaction() as session:
        session["author_id"] = 99

    response = await client.get("/")

    assert "Log in" in response.text
