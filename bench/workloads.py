"""What is asked and what must be answered, to the byte. Knows no framework."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Any

from bench.contents import (
    CHUNK,
    CHUNKS,
    DOCUMENT,
    GREETING,
    MISSING,
    ROWS,
    STATIC,
    TEAPOT,
    noise,
    received,
)

NOTE: dict[str, Any] = {"id": 7, "name": "Ada", "tags": ["a", "b", "c"]}
FILE = noise(5 * 1024 * 1024)
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
UPLOAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="noise.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
UPLOAD += FILE + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Workload:
    """One question with its answer."""

    name: str
    what: str
    """What it is, in the words of the tables."""
    path: str
    answer: bytes
    method: str = "GET"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    status: int = 200
    answer_header: tuple[str, str] | None = None
    """A header that the answer must have; its value is a beginning."""
    first_answer: bytes | None = None
    """The answer to one who brings no cookie. What that sets is then brought along."""
    awaits_end: bool = False
    """Whether whoever answers may wait for the client to go."""
    app: str = "plain"
    """Which of the peer's apps is asked."""


FORM = (("content-type", "application/x-www-form-urlencoded"),)
JSON = ("content-type", "application/json")
NOT_FOUND = MISSING.encode()


def compact(value: Any) -> bytes:
    """Write JSON as short as it gets."""
    return json.dumps(value, separators=(",", ":")).encode()


def page() -> bytes:
    """Return the page that everybody renders."""
    cells = (f"<tr><td>{row['id']}</td><td>{escape(row['name'])}</td></tr>" for row in ROWS)
    return f"<!doctype html><title>Rows</title><table>{''.join(cells)}</table>".encode()


def _routes(count: int) -> list[Workload]:
    """Ask for rules in the middle of *count*: what a linear router costs on average."""
    app, middle = f"routes{count}", count // 4
    return [
        Workload(f"{app}_static", f"{count} routes, static", f"/s{middle}/page", b"s", app=app),
        Workload(f"{app}_dynamic", f"{count} routes, dynamic", f"/d{middle}/42", b"42", app=app),
        Workload(
            f"{app}_miss", f"{count} routes, no match", "/x/y", NOT_FOUND, status=404, app=app
        ),
    ]


WORKLOADS = {
    workload.name: workload
    for workload in [
        Workload("plaintext", "plain text", "/", GREETING.encode()),
        Workload("json", "JSON", "/json", compact(DOCUMENT), answer_header=JSON),
        Workload("param", "path parameter", "/user/42", b"user 42"),
        Workload(
            *("args", "query, header and cookie", "/args", b"ada 2 t0ken dark"),
            query="name=ada&page=2",
            headers=(("x-token", "t0ken"), ("cookie", "theme=dark")),
        ),
        Workload(
            *("echo", "JSON body", "/echo", compact(NOTE), "POST"),
            headers=(JSON,),
            body=compact(NOTE),
            answer_header=JSON,
        ),
        Workload(
            *("form", "urlencoded form", "/form", b"Ada from London", "POST"),
            headers=FORM,
            body=b"name=Ada&city=London",
        ),
        Workload(
            *("upload", "upload of 5 MB", "/upload"),
            received("noise.bin", FILE).encode(),
            "POST",
            headers=(("content-type", f"multipart/form-data; boundary={BOUNDARY}"),),
            body=UPLOAD,
        ),
        Workload("template", "template with 20 rows", "/template", page()),
        Workload("def", "`def` view", "/def", GREETING.encode()),
        Workload(
            *("session", "session read and written", "/visit", b"visit 2"),
            first_answer=b"visit 1",
            app="with_session",
        ),
        Workload("static10k", "static file of 10 KB", "/static/10k.bin", noise(STATIC["10k.bin"])),
        Workload("static1m", "static file of 1 MB", "/static/1m.bin", noise(STATIC["1m.bin"])),
        Workload(*("stream", "stream of 100 chunks", "/stream", CHUNK * CHUNKS), awaits_end=True),
        Workload(
            *("hooks", "before and after hooks", "/", GREETING.encode()),
            answer_header=("x-after", "1"),
            app="hooked",
        ),
        Workload("notfound", "404", "/nowhere", NOT_FOUND, status=404),
        Workload("error", "error handler", "/teapot", TEAPOT.encode(), status=418),
        *_routes(500),
        *_routes(5000),
    ]
}

ABOUT_JSON = ("json", "echo")
OTHERS_THAN_JSON = tuple(name for name in WORKLOADS if name not in ABOUT_JSON)
