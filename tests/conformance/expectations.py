"""Which of Flask's tests do not pass, and why not. Knows ids and reasons; judges no behaviour.

A pytest plugin: ``-p expectations``. A test that fails and is not listed fails the run, and so
does a listed one that passes, or that is not there any more.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).with_name("README.md")
LIST = Path(__file__).with_name("expected_failures.toml")


class Expectations:
    """The list, held against what happens in one run."""

    def __init__(self, tables: dict[str, dict[str, Any]]) -> None:
        self.reasons = {
            test: f"{name}: {table['because']}"
            for name, table in tables.items()
            for test in table["tests"]
        }
        self.groups = Counter({name: len(table["tests"]) for name, table in tables.items()})
        self.collected: set[str] = set()
        self.failed: set[str] = set()
        self.whole = False

    @property
    def passed(self) -> int:
        """How many tests passed; a listed one is none of them."""
        return len(self.collected) - len(self.failed)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[Any]) -> None:
        self.collected = {_short(item.nodeid) for item in items}
        self.whole = config.args == ["."] and not config.option.keyword

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Generator[None, Any, Any]:
        report = yield
        if report.failed:
            test = _short(item.nodeid)
            self.failed.add(test)
            if test in self.reasons:
                report.outcome = "skipped"
                report.wasxfail = self.reasons[test]
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == 0 and self.surprises():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def surprises(self) -> list[str]:
        """Return a sentence for every listed test that did not fail, and for a wrong README."""
        passed = (self.reasons.keys() & self.collected) - self.failed
        numbers = f"{self.passed} of {len(self.collected)}"
        told = not self.whole or numbers in README.read_text("utf-8")
        gone = self.reasons.keys() - self.collected if self.whole else ()
        return (
            [f"{test} passes: take it off the list." for test in sorted(passed)]
            + [f"{test} is listed, and there is no such test." for test in sorted(gone)]
            + ([] if told else [f"The README has another number than {numbers}."])
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("Flask's tests against Erlen")
        for name, count in self.groups.most_common():
            terminalreporter.line(f"{count:4} {name}")
        for sentence in self.surprises():
            terminalreporter.line(sentence, red=True)
        terminalreporter.line(f"{self.passed} of {len(self.collected)} pass.", bold=True)


def _short(nodeid: str) -> str:
    return nodeid.removeprefix("tests/")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Expectations(tomllib.loads(LIST.read_text("utf-8"))))
