from __future__ import annotations

import hashlib
import io

import pytest

from upload import app


@pytest.fixture
async def client(tmp_path):
    app.config["FOLDER"] = tmp_path / "files"
    app.config["LARGEST_FILE"] = 1_000_000
    async with app.test_client() as client:
        yield client


@pytest.fixture
def names(client):
    """Return the names of all files there are, unfinished ones too."""
    folder = app.config["FOLDER"]
    return lambda: sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def test_the_page_knows_where_to_send_files(client):
    assert 'action="/files"' in (await client.get("/")).text


async def test_files_are_saved_as_they_were_sent(client, names):
    large = b"x" * 900_000

    response = await client.post(
        "/files",
        data={
            "note": "two of them",
            "file": [(io.BytesIO(large), "../large.bin"), (io.BytesIO(b""), "empty.txt")],
        },
    )

    assert (response.status_code, names()) == (201, ["empty.txt", "large.bin"])
    assert response.json["saved"][0] == {
        "name": "large.bin",
        "bytes": len(large),
        "sha256": hashlib.sha256(large).hexdigest(),
    }
    assert (app.config["FOLDER"] / "large.bin").read_bytes() == large
    assert "large.bin" in (await client.get("/")).text


async def test_a_file_that_is_too_large_leaves_nothing_behind(client, names):
    response = await client.post(
        "/files", data={"file": (io.BytesIO(b"x" * 1_000_001), "large.bin")}
    )

    assert (response.status_code, names()) == (413, [])


async def test_an_upload_that_breaks_off_leaves_nothing_behind(client, names):
    response = await client.post(
        "/files",
        data=b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbegun',
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )

    assert (response.status_code, names()) == (400, [])


async def test_a_form_without_a_file_is_refused(client):
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--x--'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    assert (await client.post("/files", data=form, headers=headers)).status_code == 400
    assert (await client.post("/files", data={"file": "a.txt"})).status_code == 415
