"""Tests in a process of their own: those that load pybridge by Python's own SQLite.

A process can load it by one copy of SQLite alone, and the hosts of tests/sqlite load it
by that of apsw. All such tests of a file run in one process, once.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT
from tests.programs import run as run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HERE", "is_here", "run", "tell"]

_REPORT = "PYBRIDGE_TESTS_APART"
HERE = os.environ.get(_REPORT)  # the file to write to, in such a process

_reports: dict[Path, dict[str, list[tuple[str, str]]]] = {}  # file -> test -> phases


def is_here(item: pytest.Item) -> bool:
    """Tell whether a test runs in this process."""
    return bool(HERE) or item.get_closest_marker("apart") is None


def run(item: pytest.Item) -> None:
    """Fail, skip or pass as a test does in the process of its file."""
    if item.path not in _reports:
        _reports[item.path] = _run_file(item)
    phases = _reports[item.path].get(item.nodeid, [])
    for outcome, text in phases:
        if outcome == "failed":
            pytest.fail(text, pytrace=False)
    assert ["passed"] * 3 == [outcome for outcome, _ in phases], "it did not run"


def tell(report: pytest.TestReport) -> None:
    """Write down how a phase of a test went."""
    if HERE:
        line = (report.nodeid, report.outcome, report.longreprtext)
        with Path(HERE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _run_file(item: pytest.Item) -> dict[str, list[tuple[str, str]]]:
    """Run all tests of a file that were asked for, and return how they went."""
    with tempfile.TemporaryDirectory(prefix="pybridge-") as directory:
        report = Path(directory) / "report"
        tests = sorted(_beside(item))
        ended = run_program(
            sys.executable, "-m", "pytest", "-q", "-p", "no:xdist",
            "-p", "no:cacheprovider", "--basetemp", Path(directory) / "tmp", *tests,
            cwd=ROOT, env={**os.environ, _REPORT: str(report)},
        )  # fmt: skip
        assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
        found: dict[str, list[tuple[str, str]]] = {}
        for line in report.read_text("utf-8").splitlines():
            test, outcome, text = json.loads(line)
            found.setdefault(test, []).append((outcome, text))
        return found


def _beside(item: pytest.Item) -> Iterator[str]:
    """Yield the tests of the file of a test that are to run."""
    for one in item.session.items:
        if one.path == item.path and not is_here(one):
            yield one.nodeid
