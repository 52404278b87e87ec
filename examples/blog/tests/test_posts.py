from __future__ import annotations

import pytest


async def test_everybody_reads_posts_and_they_are_escaped(client):
    response = await client.get("/")

    assert "<h2>Engines</h2>" in response.text
    assert "by Ada on 20" in response.text
    assert "One &amp; all" in response.text
    assert "/1/update" not in response.text


async def test_authors_see_where_they_can_change_their_own_posts(client, log_in):
    await log_in("Ada")

    response = await client.get("/")

    assert 'href="/1/update"' in response.text


@pytest.mark.parametrize("path", ["/create", "/1/update", "/1/delete"])
async def test_writing_needs_a_login(client, path):
    response = await client.post(path, follow_redirects=True)

    assert response.request.path == "/auth/login"
    assert "Please log in first." in response.text


@pytest.mark.parametrize(("method", "path"), [("GET", "/1/update"), ("POST", "/1/delete")])
async def test_only_its_author_changes_a_post(client, log_in, method, path):
    await log_in("Bob")

    response = await client.open(path, method=method)

    assert response.status_code == 403
    assert "Engines" in (await client.get("/")).text


@pytest.mark.parametrize("id", [2, 2**63])
async def test_a_post_that_is_not_there_is_not_found(client, log_in, id):
    await log_in("Ada")

    response = await client.get(f"/{id}/update")

    assert response.status_code == 404


async def test_a_post_is_written(client, log_in):
    await log_in("Bob")

    response = await client.post(
        "/create", data={"title": "Notes", "body": "<b>"}, follow_redirects=True
    )

    assert response.request.path == "/"
    assert "by Bob" in response.text
    assert "&lt;b&gt;" in response.text


async def test_a_post_is_changed(client, log_in):
    await log_in("Ada")

    form = await client.get("/1/update")
    changed = await client.post(
        "/1/update", data={"title": "Looms", "body": "Cards"}, follow_redirects=True
    )

    assert 'value="Engines"' in form.text
    assert "<h2>Looms</h2>" in changed.text
    assert "Engines" not in changed.text


@pytest.mark.parametrize("path", ["/create", "/1/update"])
@pytest.mark.parametrize("title", ["  ", "x" * 121], ids=["blank", "long"])
async def test_a_post_without_a_good_title_is_given_back(client, log_in, path, title):
    await log_in("Ada")

    response = await client.post(path, data={"title": title, "body": "Still here"})

    assert "title of at most 120 characters" in response.text
    assert "Still here</textarea>" in response.text


async def test_a_post_is_deleted(client, log_in):
    await log_in("Ada")

    response = await client.post("/1/delete", follow_redirects=True)

    assert "The post is gone." in response.text
    assert "Engines" not in response.text


async def test_a_form_without_its_fields_is_a_bad_request(client, log_in):
    await log_in("Ada")

    response = await client.post("/create", data={"body": "no title"})

    assert response.status_code == 400
