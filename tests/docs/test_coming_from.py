"""The tables for those who come from elsewhere: what they name is there."""

from __future__ import annotations

import builtins
import re
from typing import Any, NamedTuple

import pytest

import erlen
import erlen.exceptions
import erlen.middleware
from erlen import Blueprint, Erlen, HTTPException, Response
from erlen.blueprints import Registration
from erlen.datastructures import MultiDict
from erlen.sessions import SecureCookieSession
from erlen.uploads import UploadFile
from erlen.websockets import WebSocket
from tests.docs.blocks import ROOT

PAGES = ["coming-from-flask.md", "coming-from-quart.md"]
SAME = ("the same", "the same,", "the same;", "the same:")


class Row(NamedTuple):
    page: str
    line: int
    theirs: str
    ours: str

    @property
    def checked(self) -> str:
        """The code whose names must exist here: of both cells, if they say the same."""
        cells = f"{self.theirs} {self.ours}" if self.ours.startswith(SAME) else self.ours
        codes = re.findall(r"`([^`]+)`", cells)
        return " ".join(code for code in codes if not code.startswith("from "))


def rows_of(page: str) -> list[Row]:
    rows = []
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.startswith("|") and not line.startswith("|--"):
            theirs, ours = (cell.strip() for cell in line.strip("|").split("|"))
            if not "".join(lines[number : number + 1]).startswith("|--"):
                rows.append(Row(page, number, theirs, ours))
    return rows


ROWS = [row for page in PAGES for row in rows_of(page)]
IMPORTS = [row for row in ROWS if row.theirs.startswith("`from ")]


def owners() -> dict[str, Any]:
    app = Erlen(__name__)
    client = app.sync_test_client()
    app.add_url_rule("/", "index", lambda: "")
    rule = next(app.url_map.iter_rules("index"))
    response = client.get("/")
    return {
        "app": app,
        "blueprint": Blueprint("b", __name__),
        "client": Both(client, app.test_client()),
        "config": app.config,
        "context": app.app_context(),
        "current_app": app,
        "erlen": erlen,
        "file": UploadFile,
        "g": app.app_ctx_globals_class(),
        "json": erlen.json,
        "request": app.test_request_context("/").request,
        "response": Both(Response(), response),
        "rule": rule,
        "session": SecureCookieSession(),
        "state": Registration,
        "websocket": WebSocket,
    }


class Both:
    """Two things of one name: what a view returns and what a test gets, two clients."""

    def __init__(self, *ends: Any) -> None:
        self.names = {name for end in ends for name in dir(end)}

    def __dir__(self) -> set[str]:
        return self.names


def has(thing: Any, chain: list[str]) -> bool:
    name, *rest = chain
    return name in dir(thing) and (not rest or has(getattr(thing, name), rest))


CHAIN = re.compile(r"(?<![\w./\"])([a-z]\w*)((?:\.[a-z]\w*)+)")
CALL = re.compile(r"(?<![\w.@\"])([a-z_]\w*)\(")
KEY = re.compile(r"(?<![\w.])[A-Z]+_[A-Z_]+\b|\b(?:DEBUG|TESTING)\b")
NO_FUNCTIONS = {"_get_current_object", "as_view", "create_app", "f", "init_app", "string"}


def test_the_pages_have_tables():
    assert len(ROWS) > 250
    assert len(IMPORTS) > 80


@pytest.mark.parametrize("row", IMPORTS, ids=lambda row: row.theirs.strip("`"))
def test_what_is_imported_instead_can_be_imported(row):
    for statement in re.findall(r"`(from [^`]+)`", row.ours):
        exec(statement, {})


def test_every_attribute_that_a_table_names_exists():
    things = owners()

    wrong = [
        f"{row.page}:{row.line}: {owner}{chain}"
        for row in ROWS
        for owner, chain in CHAIN.findall(row.checked)
        if owner in things and not has(things[owner], chain.split(".")[1:])
    ]

    assert wrong == []


def test_every_function_that_a_table_calls_exists():
    known = {*vars(erlen), *vars(builtins), *NO_FUNCTIONS}
    things = [*owners().values(), HTTPException(), MultiDict()]
    methods = {name for thing in things for name in dir(thing)}

    wrong = [
        f"{row.page}:{row.line}: {name}()"
        for row in ROWS
        for name in CALL.findall(row.checked)
        if name not in known | methods
    ]

    assert wrong == []


def test_every_key_that_a_table_names_exists():
    keys = Erlen(__name__).config.keys() | {"FLASK", "ERLEN"}

    wrong = [
        f"{row.page}:{row.line}: {key}"
        for row in ROWS
        for key in KEY.findall(row.checked)
        if key not in keys and not key.startswith("ERLEN_")
    ]

    assert wrong == []
