"""Takes files of any size: each is written while it arrives, and nothing is kept in memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

from erlen import Erlen, abort, render_template, request
from erlen.parts import Part
from erlen.security import secure_filename

app = Erlen(__name__, static_folder=None)
app.config["FOLDER"] = Path(tempfile.gettempdir()) / "erlen-uploads"
app.config["LARGEST_FILE"] = 10 * 1024**3


@app.get("/")
async def index():
    return render_template("upload.html", files=await asyncio.to_thread(files_here))


@app.post("/files", max_content_length=None)
async def add_files():
    saved = []
    async for part in request.parts():
        if part.filename:  # neither a field, nor an input that was left empty
            saved.append(await save(part))
    if not saved:
        abort(400, "Choose a file.")
    return {"saved": saved}, 201


async def save(part: Part) -> dict[str, str | int]:
    """Write *part* under a name of its own, which it gets when it is complete."""
    name = secure_filename(part.filename or "") or "unnamed"
    folder: Path = app.config["FOLDER"]
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.{os.urandom(4).hex()}"
    size, checksum = 0, hashlib.sha256()
    try:
        with unfinished.open("wb") as target:
            async for chunk in part:
                size += len(chunk)
                if size > app.config["LARGEST_FILE"]:
                    abort(413, f"{name} is too large.")
                checksum.update(chunk)
                await asyncio.to_thread(target.write, chunk)
        unfinished.rename(folder / name)
    finally:
        unfinished.unlink(missing_ok=True)  # a client that left, a limit, a full disk
    return {"name": name, "bytes": size, "sha256": checksum.hexdigest()}


def files_here() -> list[tuple[str, int]]:
    """Return the names and sizes of what was uploaded."""
    folder: Path = app.config["FOLDER"]
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [(path.name, path.stat().st_size) for path in found if path.name[0] != "."]
