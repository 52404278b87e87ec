"""``import erlen`` is cheap: it loads what every app needs and leaves the rest for later."""

from __future__ import annotations

import subprocess
import sys

import pytest

import erlen

ATTACHMENTS = ["uvicorn", "click", "httpx", "sphinx", "flask", "werkzeug", "pytest"]
# What the core uses, but not every app does: loaded by the first that asks for it.
ON_DEMAND = ["jinja2", "itsdangerous", "tomllib", "decimal", "difflib", "unicodedata", "pickle"]


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules that a fresh interpreter has loaded after ``import erlen``."""
    code = "import erlen, sys; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    return set(subprocess.run(run, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("package", ATTACHMENTS + ON_DEMAND)
def test_importing_erlen_does_not_load(loaded, package):
    assert {name for name in loaded if name.partition(".")[0] == package} == set()


def test_importing_erlen_leaves_the_splitting_of_forms_to_the_first_that_comes(loaded):
    # Its library may be there all the same: Starlette looks for another of that name.
    assert "erlen.forms" in loaded
    assert "erlen.splitter" not in loaded


def test_importing_erlen_loads_starlette(loaded):
    assert "starlette.applications" in loaded


def test_an_app_without_templates_never_loads_jinja():
    code = """
import sys
from erlen import Erlen

app = Erlen("shop")

@app.get("/")
def index():
    return {"jinja": "jinja2" in sys.modules}

print(app.sync_test_client().get("/").json)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout == "{'jinja': False}\n"


def test_every_public_name_exists_once():
    names = erlen.__all__

    assert [name for name in names if not hasattr(erlen, name)] == []
    assert len(set(names)) == len(names)


def test_a_server_without_websockets_never_loads_their_library():
    code = """
import sys
from erlen import Erlen
from erlen.server.serving import make_config, Settings

make_config(Erlen("shop"), Settings()).load()
print("websockets" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout == "False\n"
