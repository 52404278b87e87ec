"""The resource: notes that clients list, create, read, replace and delete."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiosqlite
from erlen import Blueprint, abort, request, url_for

from .db import get_db

blueprint = Blueprint("notes", __name__, url_prefix="/notes")

LONGEST_TITLE = 100
LONGEST_TEXT = 10_000
MOST_PER_PAGE = 100

ONE_NOTE = f"/<int(max={2**63 - 1}):id>"
"""The rule of one note; SQLite has no larger integers, so they are a 404."""


@dataclass(frozen=True)
class Note:
    """A note as it is stored, and as clients get it: a view may return a dataclass."""

    id: int
    title: str
    text: str
    created: str


@blueprint.get("")
async def index() -> dict[str, Any]:
    page = number_in_query("page", default=1, most=1_000_000)
    per_page = number_in_query("per_page", default=20, most=MOST_PER_PAGE)
    db = await get_db()

    async with db.execute("SELECT count(*) FROM note") as cursor:
        row = await cursor.fetchone()
        total = row[0] if row else 0
    async with db.execute(
        "SELECT * FROM note ORDER BY id DESC LIMIT ? OFFSET ?", (per_page, (page - 1) * per_page)
    ) as cursor:
        notes = [Note(**row) async for row in cursor]

    def page_url(number: int) -> str:
        return url_for(".index", page=number, per_page=per_page)

    return {
        "notes": notes,
        "total": total,
        "previous": page_url(page - 1) if page > 1 else None,
        "next": page_url(page + 1) if page * per_page < total else None,
    }


@blueprint.post("")
async def create() -> tuple[Note, int, dict[str, str]]:
    title, text = note_fields(await request.get_json())
    created = datetime.now(UTC).isoformat(timespec="seconds")
    db = await get_db()
    note = await one_note(
        db.execute(
            "INSERT INTO note (title, text, created) VALUES (?, ?, ?) RETURNING *",
            (title, text, created),
        )
    )
    await db.commit()
    return note, 201, {"Location": url_for(".show", id=note.id)}


@blueprint.get(ONE_NOTE)
async def show(id: int) -> Note:
    db = await get_db()
    return await one_note(db.execute("SELECT * FROM note WHERE id = ?", (id,)))


@blueprint.put(ONE_NOTE)
async def replace(id: int) -> Note:
    title, text = note_fields(await request.get_json())
    db = await get_db()
    note = await one_note(
        db.execute(
            "UPDATE note SET title = ?, text = ? WHERE id = ? RETURNING *", (title, text, id)
        )
    )
    await db.commit()
    return note


@blueprint.delete(ONE_NOTE)
async def delete(id: int) -> tuple[str, int]:
    db = await get_db()
    await one_note(db.execute("DELETE FROM note WHERE id = ? RETURNING *", (id,)))
    await db.commit()
    return "", 204


async def one_note(query: AbstractAsyncContextManager[aiosqlite.Cursor]) -> Note:
    """Return the note that *query* finds or changes; without one the answer is a 404."""
    async with query as cursor:
        row = await cursor.fetchone()
    if row is None:
        abort(404, "There is no such note.")
    return Note(**row)


def note_fields(data: Any) -> tuple[str, str]:
    """Return title and text of what a client sent; the 422 names everything that is wrong."""
    if not isinstance(data, dict):
        abort(422, "A note is a JSON object with a title and a text.")
    title, text = data.get("title", ""), data.get("text", "")
    errors = {}
    if not isinstance(title, str) or not 0 < len(title.strip()) <= LONGEST_TITLE:
        errors["title"] = f"A title is a string of 1 to {LONGEST_TITLE} characters."
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        errors["text"] = f"A text is a string of at most {LONGEST_TEXT} characters."
    if errors:
        abort(422, "This is not a note yet.", errors=errors)
    return title.strip(), text


def number_in_query(name: str, *, default: int, most: int) -> int:
    """Return a number of the query from 1 to *most*, or *default* if it is not there."""
    if name not in request.args:
        return default
    number = request.args.get(name, 0, type=int)
    if not 1 <= number <= most:
        abort(422, "The query is wrong.", errors={name: f"A whole number from 1 to {most}."})
    return number
