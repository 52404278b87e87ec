"""Runs the tests of Flask and of its extensions twice: as they are, and hosted by Erlen.

``python hosted.py [name...]``, in an environment with pytest and Erlen: ``nox -s hosted``. The
sources are downloaded; nothing of them is kept. It ends with 1 if a test passes without Erlen
and not with it, and is not in ``hosted.toml`` under a reason; or if it is there and passes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named suites, or all, and print a row for each."""
    suites = tomllib.loads((HERE / "hosted.toml").read_text("utf-8"))
    rows, surprises = [], []
    for name in names or suites:
        row, found = run_suite(name, suites[name])
        rows.append(row)
        surprises += [f"{name}: {sentence}" for sentence in found]
    print("\n| suite | without Erlen | hosted | requests |\n|---|---|---|---|", *rows, sep="\n")
    print(*surprises, sep="\n")
    return bool(surprises)


def run_suite(name: str, suite: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the row of one suite, and what is not as its list says."""
    with tempfile.TemporaryDirectory() as folder:
        source = unpack(suite["package"], Path(folder))
        pip("install", suite["package"], *suite.get("needs", ()))
        plain = tests_of(source, suite, Path(folder), STRAIGHT="1")
        hosted = tests_of(source, suite, Path(folder))
    passed = {test for test, is_good in plain["tests"].items() if is_good}
    kept = {test for test in passed if hosted["tests"].get(test)}
    listed = {test for reason in suite.get("lost", ()) for test in reason["tests"]}
    row = f"| {suite['package'].replace('==', ' ')} | {len(passed)} of {len(plain['tests'])} "
    row += f"| {len(kept)} | {hosted['calls']} |"
    return row, [
        *(f"{test} passes without Erlen only." for test in sorted(passed - kept - listed)),
        *(f"{test} is listed, and passes or is gone." for test in sorted(listed - (passed - kept))),
        *(["no test passed."] if not passed else []),
    ]


def unpack(package: str, folder: Path) -> Path:
    """Return the folder of the source of *package*."""
    binary = ("--no-deps", "--no-binary=:all:", "--dest", str(folder))
    pip("download", *binary, package)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    archive.unlink()
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return source


def tests_of(source: Path, suite: dict[str, Any], folder: Path, **more: str) -> dict[str, Any]:
    """Run the tests and return what they did."""
    outcomes = folder / "outcomes.json"
    outcomes.unlink(missing_ok=True)
    command = ["-m", "pytest", "-p", "flask_through_erlen", "-p", "no:cacheprovider", "-q"]
    subprocess.run(
        [sys.executable, *command, "--tb=short", *suite.get("arguments", ["tests"])],
        cwd=source,
        env={**os.environ, "PYTHONPATH": path(), "OUTCOMES": str(outcomes), **more},
        check=False,
    )
    if not outcomes.exists():  # pytest could not begin
        return {"calls": 0, "tests": {}}
    result: dict[str, Any] = json.loads(outcomes.read_text("utf-8"))
    return result


def path() -> str:
    """Return where the plugin is, and what was there already."""
    return os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))


def pip(*arguments: str) -> None:
    """Run pip in this environment."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
