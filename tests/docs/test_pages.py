"""Pages that repeat what the source says do not fall behind it."""

from __future__ import annotations

import ast
import re
from datetime import timedelta

import pytest

from erlen.config import DEFAULTS
from erlen.exceptions import default_exceptions
from tests.architecture.floors import FLOORS
from tests.docs.blocks import ROOT

DOCS = ROOT / "docs"


def rows_of(page: str, first: str) -> list[list[str]]:
    """Return the rows of all tables of *page* whose first cell is *first*."""
    lines = (DOCS / page).read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    return [row for row in rows if re.fullmatch(first, row[0])]


def keys_of_the_configuration_page() -> dict[str, str]:
    rows = rows_of("howto/configuration.md", r"`[A-Z_]+`")
    return {row[0].strip("`"): row[1] for row in rows}


def test_the_configuration_page_has_every_key_and_no_other():
    assert keys_of_the_configuration_page().keys() == DEFAULTS.keys()


@pytest.mark.parametrize(("key", "default"), DEFAULTS.items(), ids=DEFAULTS)
def test_the_configuration_page_tells_the_default(key, default):
    told = keys_of_the_configuration_page()[key]

    if isinstance(default, timedelta):
        assert told == f"{default.days} days"
    else:
        assert told == f"`{default!r}`"


def test_the_page_of_the_house_names_every_module_on_its_floor():
    rows = rows_of("explanation/the-house.md", "`.*")
    told = [set(re.findall(r"`(\w+)`", row[0])) for row in rows]

    for floor in FLOORS:
        modules = {name for name in floor if not name.startswith("__")}
        if modules:
            assert modules in told, "docs/explanation/the-house.md has no row for this floor"


def test_the_page_of_http_errors_has_every_code_and_its_class():
    told = {int(row[0]): row[1].strip("`") for row in rows_of("reference/exceptions.md", r"\d+")}

    assert told == {code: kind.__name__ for code, kind in default_exceptions.items()}


def sessions_of_nox() -> set[str]:
    functions = ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body
    return {
        function.name
        for function in functions
        if isinstance(function, ast.FunctionDef)
        and any("nox.session" in ast.unparse(each) for each in function.decorator_list)
    }


def test_every_session_of_nox_that_is_told_of_exists():
    places = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("bench/**/*.py")]
    told = {
        (name, place.name)
        for place in [*places, *ROOT.glob("tests/**/*.md")]
        for name in re.findall(r"nox -s (\w+)", place.read_text("utf-8"))
    }

    assert {name for name, _ in told} >= {"tests", "bench", "conformance"}
    assert [each for each in told if each[0] not in sessions_of_nox()] == []
