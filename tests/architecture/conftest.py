"""Says at the end of a run what grew longer than we aim for. An aim, not a gate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.floors import FUNCTION_AIM, MODULE_AIM, over_size

SOURCE = Path(__file__).parents[2] / "src" / "erlen"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = over_size(SOURCE)
    if lines:
        aim = f"longer than we aim for (module {MODULE_AIM}, function {FUNCTION_AIM})"
        terminalreporter.section(aim)
        for line in lines:
            terminalreporter.write_line(line)
