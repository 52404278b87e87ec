"""Every code block that people read runs, and its types hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Page, pages, read_page, run

PAGES = {str(path.relative_to(ROOT)): path for path in pages()}

MYPY = [
    "--strict",
    "--check-untyped-defs",
    "--allow-untyped-defs",
    "--allow-incomplete-defs",
    "--allow-untyped-calls",
    "--config-file=",
    "--python-version=3.11",
]


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_every_example_of_the_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = read_page(path)

    page.write(tmp_path)

    run(page, tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.skipif(not find_spec("mypy"), reason="mypy is not installed")
def test_the_types_of_every_example_hold_for_mypy(tmp_path):
    written = write_all(tmp_path)
    alone = [[page] for page in written if page.named]
    together = [page for page in written if not page.named]

    for group in [together, *alone]:
        complaints = mypy(group, tmp_path)

        assert complaints == ""


@pytest.mark.timeout(300)
@pytest.mark.skipif(not find_spec("pyright"), reason="pyright is not installed")
def test_the_types_of_every_example_hold_for_pyright(tmp_path):
    write_all(tmp_path)
    settings = {"typeCheckingMode": "standard", "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")

    complaints = output_of("pyright", "--pythonpath", sys.executable, cwd=tmp_path)

    assert complaints == ""


def write_all(folder: Path) -> list[Page]:
    written = [page for page in map(read_page, PAGES.values()) if page.modules]
    if not written:
        pytest.skip("there are no examples yet")
    for page in written:
        page.write(folder / page.stem)
    return written


def mypy(group: list[Page], folder: Path) -> str:
    """Check the pages of *group* at once: no two of them may use the same name for a file."""
    files = [
        f"{page.stem}/{file.name}" for page in group for file in page.files.values() if file.module
    ]
    path = os.pathsep.join(page.stem for page in group)
    return output_of("mypy", *MYPY, *files, cwd=folder, MYPYPATH=path) if files else ""


def output_of(checker: str, *arguments: str, cwd: Path, **environment: str) -> str:
    """Return what *checker* complains about; an empty text if it is content."""
    result = subprocess.run(
        [sys.executable, "-m", checker, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr
