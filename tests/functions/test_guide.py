"""docs/functions.md: what it shows works, and what may be set is there."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pybridge.cli import main
from pybridge.functions.manager.policy import Policy
from pybridge.functions.store import Store
from tests.functions.conftest import IMPATIENT, end
from tests.programs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = (ROOT / "docs/functions.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the guide's blocks in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    return [str(one) for one in found]


def test_five_minutes_are_as_they_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command works, one after the other, and answers what is shown."""
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "store"))
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(tmp_path / "pybridge.toml"))
    (tmp_path / "pybridge.toml").write_text(IMPATIENT)
    (tmp_path / "trips.py").write_text(blocks("python")[0])
    made = re.search(
        r"^\$ printf '(.*)' > trips.csv$", blocks("console")[0], re.MULTILINE
    )
    assert made is not None
    (tmp_path / "trips.csv").write_text(made[1].replace("\\n", "\n"))
    commands = re.findall(r"^\$ pybridge (.*)$", blocks("console")[0], re.MULTILINE)

    said = ""
    with contextlib.chdir(tmp_path):
        for command in commands:
            ended = CliRunner().invoke(main, command.split())
            assert 0 == ended.exit_code, ended.output
            said += ended.stdout
    end(Store.open(tmp_path / "store"))

    assert 5 == len(commands)
    assert "output_0\tstore://default/dataitem/table/output_0:" in said
    assert '{"minutes":30.0}' in said


@pytest.mark.parametrize(
    "name",
    [
        *("store", "project", "durability", "instructions", "root_image"),
        *("environment" if one == "handed_on" else one for one in Policy._fields),
    ],
)
def test_setting_is_in_the_table(name: str) -> None:
    """All that the code reads of [functions] is told with its default."""
    table = GUIDE[GUIDE.index("\n## Settings") : GUIDE.index("\n## Safety")]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]

    assert any(f"`{name}`" in cell for cell in cells)
