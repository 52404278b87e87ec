from __future__ import annotations

import pytest

from spa import app

BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def client():
    async with app.test_client() as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/mars", "/index.html"])
async def test_the_front_end_answers_at_its_own_routes(client, path):
    response = await client.get(path, headers=BROWSER)

    assert response.status_code == 200
    assert "<title>Planets</title>" in response.text


async def test_its_files_are_files(client):
    response = await client.get("/app.js")

    assert response.mimetype == "text/javascript"


@pytest.mark.parametrize("path", ["/missing.js", "/../spa.py", "/%2e%2e/spa.py"])
async def test_a_file_that_is_not_there_is_not_the_page(client, path):
    response = await client.get(path, headers=BROWSER)

    assert response.status_code == 404


async def test_the_api_comes_first(client):
    response = await client.get("/api/planets/mars")

    assert response.json == {"name": "Mars", "moons": 2}


@pytest.mark.parametrize("path", ["/api/planets/pluto", "/api/moons"])
async def test_the_api_never_answers_with_the_page(client, path):
    response = await client.get(path, headers=BROWSER)

    assert response.status_code == 404
    assert response.mimetype == "application/problem+json"
