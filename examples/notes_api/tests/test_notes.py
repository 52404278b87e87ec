from __future__ import annotations

import asyncio

import pytest

from notes_api import create_app


@pytest.fixture
async def client(tmp_path):
    app = create_app({"TESTING": True, "DATABASE": str(tmp_path / "notes.sqlite")})
    async with app.test_client() as client:
        yield client


async def test_a_note_can_be_created_and_read(client):
    created = await client.post("/notes", json={"title": "  Milk ", "text": "Two litres"})

    assert created.status_code == 201
    assert created.json["title"] == "Milk"

    read = await client.get(created.headers["Location"])

    assert read.json == created.json


async def test_a_note_can_be_replaced(client):
    note = (await client.post("/notes", json={"title": "Milk", "text": "Two litres"})).json

    replaced = await client.put(f"/notes/{note['id']}", json={"title": "Bread"})

    assert replaced.json == {**note, "title": "Bread", "text": ""}
    assert (await client.get(f"/notes/{note['id']}")).json == replaced.json


async def test_a_note_can_be_deleted_once(client):
    note = (await client.post("/notes", json={"title": "Milk"})).json

    first = await client.delete(f"/notes/{note['id']}")
    second = await client.delete(f"/notes/{note['id']}")

    assert (first.status_code, first.data) == (204, b"")
    assert second.status_code == 404


async def test_the_list_comes_in_pages_with_the_newest_note_first(client):
    for title in ("one", "two", "three"):
        await client.post("/notes", json={"title": title})

    first = (await client.get("/notes?per_page=2")).json
    second = (await client.get(first["next"])).json

    assert [note["title"] for note in first["notes"]] == ["three", "two"]
    assert (first["total"], first["previous"]) == (3, None)
    assert [note["title"] for note in second["notes"]] == ["one"]
    assert (second["next"], second["previous"]) == (None, "/notes?page=1&per_page=2")


async def test_an_empty_list_has_no_other_pages(client):
    response = await client.get("/notes")

    assert response.json == {"notes": [], "total": 0, "previous": None, "next": None}


@pytest.mark.parametrize(
    ("note", "wrong"),
    [
        ({}, {"title"}),
        ({"title": " "}, {"title"}),
        ({"title": 1, "text": None}, {"title", "text"}),
        ({"title": "x" * 101, "text": "x" * 10_001}, {"title", "text"}),
    ],
    ids=["no title", "blank title", "wrong types", "too long"],
)
@pytest.mark.parametrize("method", ["post", "put"])
async def test_a_problem_names_every_wrong_field(client, method, note, wrong):
    path = "/notes" if method == "post" else "/notes/1"

    response = await client.open(path, method=method.upper(), json=note)

    assert response.status_code == 422
    assert response.mimetype == "application/problem+json"
    assert response.get_json()["errors"].keys() == wrong


async def test_a_note_is_an_object(client):
    response = await client.post("/notes", json=["Milk"])

    assert response.status_code == 422
    assert response.get_json()["detail"] == "A note is a JSON object with a title and a text."


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=9999999999", "per_page=101"])
async def test_a_page_outside_the_limits_is_refused(client, query):
    response = await client.get(f"/notes?{query}")

    assert response.status_code == 422
    assert response.get_json()["errors"].keys() == {query.partition("=")[0]}


@pytest.mark.parametrize("path", ["/notes/1", f"/notes/{2**63}", "/elsewhere"])
async def test_what_is_not_there_is_a_problem_too(client, path):
    response = await client.get(path)

    assert response.status_code == 404
    assert response.get_json()["title"] == "Not Found"


async def test_more_clients_than_connections_wait_for_each_other(client):
    notes = [client.post("/notes", json={"title": f"note {number}"}) for number in range(30)]

    responses = await asyncio.gather(*notes)

    assert {response.status_code for response in responses} == {201}
    assert (await client.get("/notes")).json["total"] == 30


async def test_notes_survive_a_restart(tmp_path):
    config = {"TESTING": True, "DATABASE": str(tmp_path / "notes.sqlite")}
    async with create_app(config).test_client() as client:
        await client.post("/notes", json={"title": "Milk"})

    async with create_app(config).test_client() as client:
        response = await client.get("/notes")

    assert response.json["total"] == 1
