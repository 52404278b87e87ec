"""What apps answer with. All that a peer needs to know; it costs next to nothing to import."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parent / "pages"
"""The folder of the one template."""

SECRET = "0123456789abcdef0123456789abcdef"
GREETING = "Hello, World!"
DOCUMENT: dict[str, Any] = {"message": GREETING, "numbers": [1, 2, 3], "nested": {"ok": True}}
ROWS: list[dict[str, Any]] = [{"id": n, "name": f"row <{n}> & more"} for n in range(20)]
CHUNK = b"." * 1023 + b"\n"
CHUNKS = 100
MISSING = "no such page"
TEAPOT = "short and stout"

STATIC = {"10k.bin": 10 * 1024, "1m.bin": 1024 * 1024}


class Teapot(Exception):
    """What the views of ``/teapot`` raise and an error handler answers with 418."""


def received(name: str | None, data: bytes) -> str:
    """Return what a view says of an uploaded file, having read it."""
    return f"{name} {len(data)} {data[-4:].hex()}"


def static_folder() -> Path:
    """Return a folder with the files of :data:`STATIC`, written once."""
    folder = Path(tempfile.gettempdir()) / "erlen-bench-static"
    folder.mkdir(exist_ok=True)
    for name, size in STATIC.items():
        path = folder / name
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(noise(size))
    return folder


def noise(size: int) -> bytes:
    """Return bytes without a pattern, the same each time."""
    from random import Random

    return Random(5).randbytes(size)
