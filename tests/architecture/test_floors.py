"""The floors of the house hold, and the checker that says so can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.floors import FLOOR_OF, broken_floors, core_files, over_size, refused

SOURCE = Path(__file__).parents[2] / "src" / "erlen"


def test_every_import_points_to_a_floor_below():
    assert "\n".join(broken_floors(SOURCE)) == ""


def test_no_module_contains_what_the_house_refuses():
    assert "\n".join(refused(SOURCE)) == ""


def house(folder: Path, modules: dict[str, str]) -> Path:
    root = folder / "erlen"
    for name, text in {"__init__.py": "", **modules}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


BELOW = {
    "a relative import": "from .errors import SetupError",
    "a module by name": "from . import errors",
    "an absolute import": "import erlen.errors",
    "an absolute from": "from erlen.errors import SetupError",
    "something foreign": "import json\nfrom typing import Any",
}


@pytest.mark.parametrize("text", BELOW.values(), ids=BELOW)
def test_an_import_of_a_floor_below_is_fine(tmp_path, text):
    root = house(tmp_path, {"errors.py": "", "app.py": text})

    assert broken_floors(root) == []


ABOVE = {
    "a relative import": "\nfrom .app import App",
    "a module by name": "\nfrom . import app",
    "an absolute import": "\nimport erlen.app",
    "an absolute from": "\nfrom erlen.app import App",
    "an absolute module": "\nfrom erlen import app",
    "a function": "def late():\n    from .app import App",
    "TYPE_CHECKING": "if TYPE_CHECKING:\n    from .app import App",
    "import_module": "\nimportlib.import_module('erlen.app')",
}


@pytest.mark.parametrize("text", ABOVE.values(), ids=ABOVE)
def test_an_import_of_a_floor_above_is_named_with_both_floors(tmp_path, text):
    root = house(tmp_path, {"errors.py": text, "app.py": ""})

    assert broken_floors(root) == [
        f"erlen.errors (line 2) imports erlen.app, but errors lives on floor {FLOOR_OF['errors']}"
        f" and app above it, on floor {FLOOR_OF['app']}."
    ]


def test_a_public_name_of_the_package_lives_on_the_top_floor(tmp_path):
    root = house(tmp_path, {"helpers.py": "from erlen import Erlen"})

    assert broken_floors(root) == [
        "erlen.helpers (line 1) imports erlen.__init__, but helpers lives on floor"
        f" {FLOOR_OF['helpers']} and __init__ above it, on floor {FLOOR_OF['__init__']}."
    ]


def test_modules_of_one_floor_do_not_import_each_other(tmp_path):
    root = house(
        tmp_path, {"requests.py": "from .websockets import WebSocket", "websockets.py": ""}
    )

    assert broken_floors(root) == [
        "erlen.requests (line 1) imports erlen.websockets, but both live on floor"
        f" {FLOOR_OF['requests']}."
    ]


def test_modules_of_one_folder_may_import_each_other(tmp_path):
    modules = {
        "json/__init__.py": "from .tag import dumps\nfrom ..errors import SetupError",
        "json/tag.py": "from . import provider",
        "json/provider.py": "",
        "errors.py": "",
    }

    assert broken_floors(house(tmp_path, modules)) == []


def test_a_module_deep_in_a_folder_lives_on_the_floor_of_the_folder(tmp_path):
    root = house(
        tmp_path, {"json/__init__.py": "", "json/tag.py": "from ..app import App", "app.py": ""}
    )

    assert broken_floors(root) == [
        "erlen.json.tag (line 1) imports erlen.app, but json lives on floor"
        f" {FLOOR_OF['json']} and app above it, on floor {FLOOR_OF['app']}."
    ]


def test_a_module_that_the_table_does_not_know_must_get_a_floor(tmp_path):
    root = house(tmp_path, {"utils.py": ""})

    assert broken_floors(root) == [
        "erlen.utils has no floor: give it one in tests/architecture/floors.py."
    ]


REFUSED = {
    "import werkzeug.datastructures": "imports werkzeug",
    "from flask import Flask": "imports flask",
    "from starlette import testclient": "imports starlette.testclient",
    "from starlette.middleware.base import RequestResponseEndpoint": "starlette.middleware.base",
    "import starlette.middleware.sessions": "imports starlette.middleware.sessions",
    "from starlette.requests import cookie_parser": "uses cookie_parser",
    "requests.cookie_parser(text)": "uses cookie_parser",
    "class Timer(BaseHTTPMiddleware): ...": "uses BaseHTTPMiddleware",
    "assert text": "asserts",
}


@pytest.mark.parametrize(("text", "complaint"), REFUSED.items(), ids=REFUSED)
def test_a_refused_line_is_named(tmp_path, text, complaint):
    root = house(tmp_path, {"app.py": text})

    (sentence,) = refused(root)

    assert sentence.startswith("erlen.app (line 1)")
    assert complaint in sentence


def test_a_name_that_only_begins_like_a_refused_package_is_fine(tmp_path):
    root = house(tmp_path, {"app.py": "import flask_login_free\nfrom .flask import host"})

    assert refused(root) == []


def test_only_the_core_counts_for_coverage(tmp_path):
    root = house(
        tmp_path, {"json/tag.py": "", "app.py": "", "cli/__init__.py": "", "server.py": ""}
    )

    files = [Path(file).relative_to(root).as_posix() for file in core_files(root)]

    assert files == ["app.py", "json/tag.py"]


def test_length_counts_neither_comments_nor_docstrings_nor_blank_lines(tmp_path):
    silence = '"""' + "word\n" * 500 + '"""\n' + "# why\n\n" * 500
    body = "def long():\n" + "    x = 1\n" * 60
    root = house(tmp_path, {"app.py": silence + body, "views.py": "x = 1\n" * 451})

    assert over_size(root) == [
        "erlen.app, long (line 1502): 61 lines of code",
        "erlen.views: 451 lines of code",
    ]
