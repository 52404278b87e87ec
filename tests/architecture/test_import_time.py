"""``import erlen`` is cheap: it loads what an app needs and nothing that serves or tests it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import erlen

ATTACHMENTS = ["uvicorn", "click", "httpx", "sphinx", "flask", "werkzeug", "pytest"]


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules that a fresh interpreter has loaded after ``import erlen``."""
    code = "import erlen, sys; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    return set(subprocess.run(run, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("package", ATTACHMENTS)
def test_importing_erlen_does_not_load(loaded, package):
    assert {name for name in loaded if name.partition(".")[0] == package} == set()


def test_importing_erlen_loads_starlette(loaded):
    assert "starlette.applications" in loaded


def test_every_public_name_exists_once():
    names = erlen.__all__

    assert [name for name in names if not hasattr(erlen, name)] == []
    assert len(set(names)) == len(names)
