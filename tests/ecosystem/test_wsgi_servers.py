"""Erlen under real WSGI servers, asked by a real client over a socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("gunicorn")
pytest.importorskip("waitress")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run there")

EXAMPLES = Path(__file__).parents[2] / "examples"

SERVERS = {
    "gunicorn-sync": ["gunicorn", "--bind=127.0.0.1:{port}", "wsgi"],
    "gunicorn-gthread": [
        *("gunicorn", "--bind=127.0.0.1:{port}", "--workers=2", "--threads=4", "--preload", "wsgi"),
    ],
    "waitress": ["waitress", "--listen=127.0.0.1:{port}", "wsgi:application"],
    "wsgiref": ["wsgi", "{port}"],
}

SERVED = """
import asyncio, os, sqlite3, sys, time
from pathlib import Path
from erlen import Erlen, g, request, stream_with_context, sync

app = Erlen("served", static_folder=None)
here = Path(__file__).parent

def note(text):
    with (here / "notes").open("a") as file:
        file.write(f"{text}\\n")

def gate_of(request):
    return here / request.args["gate"]

@app.while_serving
async def serving():
    note(f"start {os.getpid()}")
    yield
    note(f"stop {os.getpid()}")

@app.get("/")
async def index():
    return {"path": request.path, "pid": os.getpid(), "query": request.args.get("q")}

@app.post("/async")
async def upload():
    return str(sum([len(chunk) async for chunk in request.stream]))

@app.post("/def")
def upload_def():
    return str(len(sync.request.get_data()))

@app.get("/def-stream")
def pieces():
    gate = gate_of(request)
    connection = sqlite3.connect(":memory:")
    def rows():
        yield "first "
        while not gate.exists():
            time.sleep(0.01)
        yield str(connection.execute("select 2").fetchone()[0])
        connection.close()
    return rows()

@app.get("/stream")
async def stream():
    gate = gate_of(request)
    async def rows():
        yield "first "
        while not gate.exists():
            await asyncio.sleep(0.01)
        yield "2"
    return rows()

@app.get("/endless")
async def endless():
    where = request.args["test"]
    async def rows():
        try:
            while True:
                yield "x" * 10_000
                await asyncio.sleep(0.01)
        finally:
            note(f"closed {where}")
    return rows()

@app.get("/def-endless")
def def_endless():
    where = request.args["test"]
    def rows():
        try:
            while True:
                yield "x" * 10_000
                time.sleep(0.01)
        finally:
            note(f"closed {where}")
    return rows()

@app.get("/background")
async def background():
    gate = gate_of(request)
    async def work():
        while not gate.exists():
            await asyncio.sleep(0.01)
        note(f"done {gate.name}")
    app.add_background_task(work)
    return "answered"

application = app.wsgi_app
"""

WITH_WSGIREF = """
if __name__ == "__main__":
    import sys
    from wsgiref.simple_server import WSGIRequestHandler, make_server
    server = make_server("127.0.0.1", int(sys.argv[1]), application)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
"""


def code(text: str) -> str:
    return textwrap.dedent(text) + WITH_WSGIREF


@contextmanager
def serving(name: str, folder: Path, text: str) -> Iterator[httpx.Client]:
    """Run a server with *text* as ``wsgi.py``, and stop it as its operator would."""
    (folder / "wsgi.py").write_text(code(text))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [part.format(port=port) for part in SERVERS[name]]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    with (folder / "output").open("wb") as output:
        # What is started in the background of a shell ignores Ctrl+C, and so would its processes.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        finally:
            signal.signal(signal.SIGINT, handler)
        try:
            until(lambda: process.poll() is not None or answers(port))
            assert process.poll() is None, (folder / "output").read_text()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                yield client
            process.send_signal(signal.SIGTERM if "gunicorn" in name else signal.SIGINT)
            process.wait(20)
        finally:
            process.kill()
            process.wait(10)
    assert "Traceback" not in (folder / "output").read_text(), (folder / "output").read_text()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until(claim: Callable[[], Any], seconds: float = 30) -> None:
    patience = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < patience, "It never came true"
        time.sleep(0.02)


def notes(folder: Path) -> list[str]:
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("name", SERVERS)
def test_everything_that_http_has_works(name, tmp_path):
    body = os.urandom(300_000)

    with serving(name, tmp_path, SERVED) as client:
        page = client.get("/", params={"q": "caf\xe9"}).json()
        uploads = [client.post(path, content=body).text for path in ("/async", "/def")]
        head = client.head("/")
        missing = client.get("/missing")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
        websocket = client.get("/", headers=upgrade)
        again = client.get("/").json()

    assert (page["path"], page["query"]) == ("/", "caf\xe9")
    assert uploads == ["300000"] * 2
    assert (head.status_code, head.content) == (200, b"")
    assert missing.status_code == 404
    # WSGI leaves the headers of the connection to the server, and waitress keeps them.
    assert websocket.status_code in ((426, 200) if name == "waitress" else (426,))
    processes = {str(page["pid"]), str(again["pid"])}
    started = [line.split()[1] for line in notes(tmp_path) if line.startswith("start")]
    stopped = [line.split()[1] for line in notes(tmp_path) if line.startswith("stop")]
    assert processes <= set(started)
    assert sorted(started) == sorted(stopped)
    assert len(set(started)) == len(started)


@pytest.fixture(scope="module", params=SERVERS)
def served(request, tmp_path_factory) -> Iterator[tuple[httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("served")
    with serving(request.param, folder, SERVED) as client:
        client.headers["server-name"] = request.param
        yield client, folder


def skip_wsgiref(client: httpx.Client, reason: str) -> None:
    if client.headers["server-name"] == "wsgiref":
        pytest.skip(reason)


@pytest.mark.parametrize("path", ["/async", "/def"])
def test_a_chunked_upload_arrives(served, path):
    client, _ = served
    skip_wsgiref(client, "It takes no chunked bodies.")

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 10_000

    assert client.post(path, content=pieces()).text == "300000"


@pytest.mark.parametrize("path", ["/stream", "/def-stream"])
def test_a_stream_arrives_piece_by_piece(served, path):
    client, folder = served
    gate = folder / f"gate-of{path.replace('/', '-')}"

    with client.stream("GET", path, params={"gate": gate.name}) as response:
        pieces = response.iter_text()
        first = next(pieces)
        gate.touch()
        rest = "".join(pieces)

    assert first == "first "
    assert rest == "2"


@pytest.mark.parametrize("path", ["/endless", "/def-endless"])
def test_a_client_that_leaves_ends_the_stream(served, path):
    client, folder = served
    skip_wsgiref(client, "It prints a traceback then.")

    with client.stream("GET", path, params={"test": path}) as response:
        next(response.iter_bytes())
    until(lambda: f"closed {path}" in notes(folder))

    assert notes(folder).count(f"closed {path}") == 1


def test_background_work_goes_on_after_its_response(served):
    client, folder = served

    assert client.get("/background", params={"gate": "work"}).text == "answered"
    assert "done work" not in notes(folder)
    (folder / "work").touch()
    until(lambda: "done work" in notes(folder))


@pytest.mark.parametrize("name", SERVERS)
def test_the_example_of_an_api_runs(name, tmp_path):
    pytest.importorskip("aiosqlite")
    text = f"""
    import sys
    sys.path.insert(0, {str(EXAMPLES / "notes_api")!r})
    from notes_api import create_app
    application = create_app({{"DATABASE": {str(tmp_path / "db")!r}}}).wsgi_app
    """

    with serving(name, tmp_path, text) as client:
        created = client.post("/notes", json={"title": "Milk"})
        changed = client.put(created.headers["location"], json={"title": "Bread"})
        listed = client.get("/notes").json()
        wrong = client.post("/notes", content=b"{", headers={"Content-Type": "application/json"})

    assert created.status_code == 201
    assert changed.json()["title"] == "Bread"
    assert [note["title"] for note in listed["notes"]] == ["Bread"]
    assert wrong.status_code == 400


@pytest.mark.parametrize("name", SERVERS)
def test_the_example_of_a_site_runs(name, tmp_path):
    text = f"""
    import sys
    sys.path.insert(0, {str(EXAMPLES / "blog")!r})
    from blog import create_app, db
    app = create_app({{"DATABASE": {str(tmp_path / "db")!r}, "SECRET_KEY": "k" * 32}})
    if not __import__("os").path.exists({str(tmp_path / "db")!r}):
        with app.app_context():
            db.init_db()
    application = app.wsgi_app
    """

    with serving(name, tmp_path, text) as client:
        ada = {"name": "ada", "password": "lovelace-1815"}
        client.post("/auth/register", data=ada)
        client.post("/auth/login", data=ada)
        client.post("/create", data={"title": "Engines", "body": "They weave."})
        page = client.get("/").text

    assert "Engines" in page
    assert "They weave." in page
