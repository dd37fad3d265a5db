"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say on which Pythons the C tests ran, whichever way they ended."""
    ran = [
        report.nodeid.partition("[")[2].rstrip("]")
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if "test_c_programs_pass_on_every_python" in report.nodeid
    ]
    if ran:
        terminalreporter.write_line(f"C tests ran on Python {', '.join(ran)}")
