"""Files that are sent as they are, and files that the app itself reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import NoMatchFound

from erlen import Blueprint, Erlen, send_from_directory
from erlen.testing import WebSocketRejected


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "tea.txt").write_text("green", "utf-8")
    (tmp_path / "static" / "index.html").write_text("<p>all teas", "utf-8")
    (tmp_path / "naïve.txt").write_text("naïve", "utf-8")
    return tmp_path


# -- the static folder ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "/static/tea.txt"),
        ({"static_folder": Path("static/")}, "/static/tea.txt"),
        ({"static_url_path": "/files/"}, "/files/tea.txt"),
        ({"static_url_path": ""}, "/tea.txt"),
        ({"static_folder": "", "static_url_path": ""}, "/static/tea.txt"),
    ],
)
async def test_a_static_folder_is_served_below_its_url_path(folder, options, url):
    app = Erlen("files", root_path=str(folder), **options)

    assert (await app.test_client().get(url)).text == "green"


async def test_a_folder_may_be_chosen_after_the_app_was_made(folder):
    app = Erlen("files", root_path=str(folder), static_folder="elsewhere/", static_url_path="/s")

    app.static_folder = "static/"

    assert app.static_folder == str(folder / "static")
    assert (await app.test_client().get("/s/tea.txt")).text == "green"


async def test_without_a_static_folder_there_are_no_static_files():
    app = Erlen("files", static_folder=None)

    assert (app.has_static_folder, app.static_folder, app.static_url_path) == (False, None, None)
    assert (await app.test_client().get("/static/tea.txt")).status_code == 404
    with app.test_request_context(), pytest.raises(RuntimeError, match="has no static folder"):
        app.send_static_file("tea.txt")


@pytest.mark.parametrize("owner", ["app", "blueprint"])
async def test_the_configuration_says_how_long_files_are_kept(folder, owner):
    app = Erlen("files", root_path=str(folder))
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 60
    shop = Blueprint("shop", "files", "static", root_path=str(folder), url_prefix="/shop")
    app.register_blueprint(shop)

    path = "/static/tea.txt" if owner == "app" else "/shop/static/tea.txt"
    response = await app.test_client().get(path)

    assert "max-age=60" in response.headers["Cache-Control"]


def test_a_blueprint_alone_does_not_know_how_long_files_are_kept():
    assert Blueprint("shop", "files").get_send_file_max_age("tea.txt") is None


def test_an_app_may_have_no_templates():
    assert Erlen("files", template_folder=None).jinja_loader is None


@pytest.mark.parametrize(("given", "kept"), [(None, "no-cache"), (5, "public, max-age=5")])
async def test_a_view_may_send_from_a_directory(folder, given, kept):
    app = Erlen("files", root_path=str(folder), static_folder=None)

    @app.get("/<path:name>")
    async def send(name):
        return send_from_directory("static", name, max_age=given)

    client = app.test_client()

    assert (await client.get("/tea.txt")).text == "green"
    assert (await client.get("/tea.txt")).headers["Cache-Control"] == kept
    assert (await client.get("/../naïve.txt")).status_code == 404


# -- folders behind all rules --------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/files/tea.txt", "green"),
        ("/files/", "<p>all teas"),
        ("/files", "<p>all teas"),
        ("/files/none.txt", None),
        ("/filestea.txt", None),
        ("/tea.txt", None),
    ],
)
async def test_a_folder_is_served_below_a_path_of_its_own(folder, path, answer):
    app = Erlen("files", root_path=str(folder), static_folder=None)
    app.static("/files/", "static", max_age=60)

    response = await app.test_client().get(path)

    if answer is None:
        assert response.status_code == 404
    else:
        assert response.text == answer
        assert response.headers["Cache-Control"] == "public, max-age=60"


async def test_a_folder_answers_get_and_head_only(folder):
    app = Erlen("files", root_path=str(folder), static_folder=None)
    app.static("/files", "static")
    client = app.test_client()

    assert (await client.head("/files/tea.txt")).headers["Content-Length"] == "5"
    assert (await client.post("/files/tea.txt")).status_code == 404
    with pytest.raises(WebSocketRejected):
        async with client.websocket("/files/tea.txt"):
            pass


def test_a_folder_has_no_endpoint_and_says_what_it_serves(folder):
    app = Erlen("files", root_path=str(folder), static_folder=None)
    app.static("/files/", "static")

    assert repr(app.routes[-1]) == f"<StaticRoute /files -> {folder / 'static'}>"
    with pytest.raises(NoMatchFound):
        app.url_path_for("static", filename="tea.txt")


# -- files that the app reads --------------------------------------------------------------


def test_resources_lie_below_the_root_path(folder):
    app = Erlen("files", root_path=str(folder))

    with app.open_resource("naïve.txt") as raw, app.open_resource("naïve.txt", "r") as text:
        assert (raw.read(), text.read()) == ("naïve".encode(), "naïve")


@pytest.mark.parametrize("mode", ["w", "x", "a", "r+", "rb+"])
def test_resources_are_only_read(folder, mode):
    app = Erlen("files", root_path=str(folder))

    with pytest.raises(ValueError, match=re.escape(f"for reading. The mode was {mode!r}.")):
        app.open_resource("naïve.txt", mode)
    assert (folder / "naïve.txt").read_text("utf-8") == "naïve"


def test_resources_of_the_instance_are_written_too(folder):
    app = Erlen("files", instance_path=str(folder))

    with app.open_instance_resource("new.txt", "w") as new:
        new.write("été")

    with app.open_instance_resource("new.txt") as new:
        assert new.read() == "été".encode()
