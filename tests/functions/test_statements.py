"""Statements of the document that have no other place, and the table of all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pybridge.functions.faults import Faults
from tests.functions.calls import declared
from tests.programs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project

STATEMENTS = [f"S-{n}" for n in range(1, 67)] + [f"C-{n}" for n in range(1, 17)]


@pytest.mark.parametrize(
    "kind", ["ExternalName", "ClusterIP", "NodePort", "LoadBalancer"]
)
def test_service_types_are_the_four_of_the_code(project: Project, kind: str) -> None:
    """S-56, C-11: the document has three of them, and NodePort where none is given."""
    function = declared(project, "def f(): pass")

    named = function.new_run("serve", service_type=kind)
    unnamed = function.new_run("serve")

    assert (kind, "NodePort") == (named.spec.service_type, unnamed.spec.service_type)


def test_missing_file_is_told_when_the_function_is_made(
    project: Project, tmp_path: Path
) -> None:
    """C-15: not when it runs; nothing is stored."""
    path = tmp_path / "missing.py"

    with pytest.raises(Faults, match=r"code_src: .*missing\.py"):
        project.new_function(
            name="f",
            kind="python",
            code_src=str(path),
            handler="f",
            python_version="PYTHON3_11",
        )

    assert [] == project.list_functions()


def test_extras_of_the_code_are_taken(project: Project) -> None:
    """§1.7: what the code of 0.10 has beyond the document."""
    given = {
        "runtime_class": "gvisor",
        "priority_class": "high",
        "schedule": "@daily",
    }

    run = declared(project, "def f(): pass").new_run("job", **given)

    assert given == {name: run.to_dict()["spec"][name] for name in given}


def test_run_waits_where_it_is_told_to(led: Project) -> None:
    """§1.8: `wait=True` returns what has ended."""
    function = declared(led, "import time\ndef f(): time.sleep(0.05)")

    assert "COMPLETED" == function.run(wait=True, log_info=False).state


def test_parity_page_has_every_statement() -> None:
    """Each has one row, with what it is here and a test."""
    page = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| [SC]-\d+ \|", line)]

    assert STATEMENTS == [row.split(" | ")[0].removeprefix("| ") for row in rows]
    assert [] == [row for row in rows if row.count(" | ") != 3 or "::test_" not in row]
