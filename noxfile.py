"""How Erlen is checked. ``nox`` runs all that CI runs; ``nox --list`` says what there is."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2026.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # nox names those it skips
nox.options.reuse_venv = "yes"
nox.options.sessions = [
    *("lint", "types", "tests", "docs", "examples"),
    *("conformance", "protocols", "ecosystem", "build"),
]

PROJECT = nox.project.load_toml("pyproject.toml")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SUPPORTED = ["3.11", "3.12", "3.13", "3.14"]
PYTHONS = [HERE, *(version for version in SUPPORTED if version != HERE)]
"""The Python that runs nox comes first: its failures are the quickest to repeat."""

AT_ONCE = (os.cpu_count() or 1) + 1
"""Tests that run together. Many wait for a process or for a time to pass."""
COVERAGE = 95

FLASK = "3.1.3"
"""Whose tests the conformance session runs."""
UVICORN = "0.54.0"
"""Whose tests the protocols session runs."""
UVICORN_TESTS_USE = [
    *("a2wsgi", "anyio", "cryptography", "httpx2", "trustme", "wsproto"),
    *("pytest", "pytest-timeout", "pytest-xdist"),
]
UVICORN_TESTS = ["tests/protocols/test_http.py", "tests/protocols/test_websocket.py"]
FLASK_TESTS_USE = ["asgiref", "greenlet", "python-dotenv"]
FLASK_EXAMPLES = ["tutorial", "javascript"]
"""Those of Flask's examples that have tests."""


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite; on the Python that runs nox also measure the core's coverage."""
    install(session, "test")
    others = ("docs", "ecosystem", "browser")  # these have sessions of their own
    suite = ["pytest", *(f"--ignore=tests/{other}" for other in others), *session.posargs]
    if session.posargs:
        session.run(*suite)
        return
    suite += [f"--numprocesses={AT_ONCE}", "--dist=worksteal"]
    if session.python != HERE:
        session.run(*suite)
        return
    floors = runpy.run_path("tests/architecture/floors.py")
    session.run(*suite, "--cov=erlen", "--cov-branch", "--cov-report=")
    session.run(
        "coverage",
        "report",
        f"--include={','.join(floors['core_files'](Path('src/erlen')))}",
        f"--fail-under={COVERAGE}",
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check src and tests/typing with mypy and pyright, both strict."""
    install(session, "test", "types")
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the docs without a warning; run and type-check every example in them."""
    install(session, "test", "types", "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Run the tests of every example, as somebody who copied its folder would."""
    install(session, "test")
    session.install("flask[async]>=3.1", "flask-login>=0.6.3")  # examples/from_flask
    root = Path("examples")
    folders = sorted(path for path in root.glob("*/") if any(path.rglob("*.py")))
    if not folders and not any(root.glob("test_*.py")):
        session.skip("there are no examples yet")
    if any(root.glob("test_*.py")):
        session.run("python", "-m", "pytest", *map(str, root.glob("test_*.py")))
    for folder in folders:
        if not any(folder.rglob("test_*.py")):
            session.error(f"{folder} has no test: add {folder}/test_{folder.name}.py")
        with session.chdir(folder):
            session.run("python", "-m", "pytest", ".", *session.posargs)


@nox.session
def ecosystem(session: nox.Session) -> None:
    """Run Erlen together with the packages that people use with Starlette."""
    if not any(Path("tests/ecosystem").glob("test_*.py")):
        session.skip("there is no tests/ecosystem yet")
    if not package_index_answers(session):
        session.skip("the package index can't be reached")
    install(session, "test", "ecosystem")
    session.run("pytest", "tests/ecosystem", *session.posargs)


@nox.session
def conformance(session: nox.Session) -> None:
    """Run Flask's own tests, and those of its examples, against Erlen: tests/conformance."""
    if not package_index_answers(session):
        session.skip("the package index can't be reached, and Flask's tests are not kept here")
    session.install("-e.", "httpx", "pytest==8.4.*", "pytest-timeout", *FLASK_TESTS_USE)
    adapter = Path("tests/conformance").resolve()
    # WHY: not below the environment, where every module counts as an installed one.
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder).resolve()
        source = flask_source(session, target)
        pytest = ("python", "-m", "pytest", "-p", "erlen_as_flask", "-p", "no:cacheprovider")
        pytest += ("--timeout=20", "-q", "--tb=native")
        with session.chdir(source / "tests"):
            session.run(
                *pytest,
                *("-p", "expectations", "-c", "../pyproject.toml", "--rootdir", ".."),
                # Two tests ask for this warning of the module flask.app.
                *("-W", "ignore:Current server name:UserWarning"),
                *(session.posargs or ["."]),
                env={"PYTHONPATH": str(adapter), "TMPDIR": str(target)},
            )
        for example in () if session.posargs else FLASK_EXAMPLES:
            with session.chdir(source / "examples" / example):
                path = os.pathsep.join((str(adapter), "."))
                session.run(*pytest, env={"PYTHONPATH": path, "TMPDIR": str(target)})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure Erlen beside other frameworks: ``nox -s bench -- quick --page``, see ``--help``."""
    install(session)
    session.install("-r", "bench/requirements.txt")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def hosted(session: nox.Session) -> None:
    """Run the tests of Flask and its extensions in a Flask app that Erlen hosts.

    Suites can be chosen by their names in tests/conformance/hosted.toml: ``nox -s hosted -- wtf``.
    """
    if not package_index_answers(session):
        session.skip("the package index can't be reached, and those tests are not kept here")
    session.install("-e.[flask]", "pytest==8.4.*")
    session.run("python", "tests/conformance/hosted.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Run the pages of the examples in the Chromium that is installed, without a window."""
    if shutil.which(os.environ.get("CHROMIUM", "chromium")) is None:
        session.skip(
            "there is no chromium. On Debian: apt-get install chromium; elsewhere say where it"
            " is: CHROMIUM=/path/to/chromium nox -s browser"
        )
    install(session, "test")
    session.install("playwright>=1.50")  # its own browsers are not needed
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session
def autobahn(session: nox.Session) -> None:
    """Let Autobahn's fuzzing client judge websockets, beside those of the server alone.

    It needs a Python 2.7, found on the path or as AUTOBAHN_PYTHON. Cases can be chosen:
    ``nox -s autobahn -- "9.*"``. Left alone, it runs all but those that take long: 9 sends up
    to 16 MiB, 12 and 13 compress thousands of messages.
    """
    old = os.environ.get("AUTOBAHN_PYTHON") or shutil.which("python2.7")
    if old is None:
        session.skip("there is no Python 2.7 for autobahntestsuite: set AUTOBAHN_PYTHON")
    install(session, "test")
    folder = Path(session.create_tmp()).resolve()
    wstest = folder / "python2" / "bin" / "wstest"
    if not wstest.exists():
        # The last virtualenv that makes environments of Python 2.7.
        session.install("virtualenv==20.21.1", "--target", str(folder / "virtualenv"))
        environment = {"PYTHONPATH": str(folder / "virtualenv")}
        command = ("python", "-m", "virtualenv", "-p", old, str(folder / "python2"))
        session.run(*command, env=environment)
        pip = str(wstest.with_name("pip"))
        session.run(pip, "install", "-q", "autobahntestsuite", external=True)
    session.run(
        *("python", "tests/autobahn.py", str(wstest), str(folder), *session.posargs),
        env={"PYTHONPATH": "."},
    )


@nox.session
def protocols(session: nox.Session) -> None:
    """Run uvicorn's own tests of its protocols against the classes that stand on them."""
    if not package_index_answers(session):
        session.skip("the package index can't be reached, and uvicorn's tests are not kept here")
    session.install("-e.", f"uvicorn=={UVICORN}", *UVICORN_TESTS_USE)
    adapter = Path("tests/conformance").resolve()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder).resolve()
        session.run(
            *("python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"),
            *("--dest", str(target), f"uvicorn=={UVICORN}"),
        )
        with tarfile.open(target / f"uvicorn-{UVICORN}.tar.gz") as archive:
            archive.extractall(target, filter="data")
        with session.chdir(target / f"uvicorn-{UVICORN}"):
            session.run(
                *("python", "-m", "pytest", "-p", "erlen_as_uvicorn", "-p", "no:cacheprovider"),
                *("--override-ini=addopts=", "--timeout=20", "-q", "--tb=short"),
                *(session.posargs or [f"--numprocesses={AT_ONCE}", "--dist=worksteal"]),
                *([] if session.posargs else UVICORN_TESTS),
                env={"PYTHONPATH": str(adapter)},
            )


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel, install the wheel where nothing else is, and start it."""
    session.install("build[virtualenv]")
    target = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(target / "dist"))
    session.run("virtualenv", "--quiet", "--clear", str(target / "clean"))
    programs = target / "clean" / ("Scripts" if os.name == "nt" else "bin")
    wheel = max((target / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    for command in [
        ("python", "-m", "pip", "install", "--quiet", str(wheel)),
        ("python", "-c", "import erlen, sys; sys.exit('flask' in sys.modules)"),
        ("python", "-m", "erlen", "--version"),
        ("erlen", "--version"),
    ]:
        with session.chdir(target):
            session.run(str(programs / command[0]), *command[1:], external=True)


def install(session: nox.Session, *groups: str) -> None:
    """Install Erlen, editable, its test client and the named dependency groups."""
    session.install("-e.[test]", *group(*groups))
    # The tests start Python some hundred times, and it may not be allowed to keep bytecode.
    session.run("python", "-m", "compileall", "-q", "src")


def group(*names: str) -> tuple[str, ...]:
    """Return what the dependency groups of pyproject.toml ask for."""
    return nox.project.dependency_groups(PROJECT, *names)


def flask_source(session: nox.Session, target: Path) -> Path:
    """Download and unpack Flask's source below *target*; nothing of it is installed."""
    session.run(
        *("python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"),
        *("--dest", str(target), f"flask=={FLASK}"),
    )
    with tarfile.open(target / f"flask-{FLASK}.tar.gz") as archive:
        archive.extractall(target, filter="data")
    return target / f"flask-{FLASK}"


def package_index_answers(session: nox.Session) -> bool:
    """Say whether a small package can be fetched, so that a train ride is not a failure."""
    session.log("Asking the package index...")
    target = session.create_tmp()
    answer = session.run(
        *("python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"),
        *("--retries=0", "--timeout=10", "--dest", target, "sse-starlette"),
        success_codes=[0, 1],
        silent=True,
    )
    return "ERROR" not in str(answer)
