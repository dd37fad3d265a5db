"""The set-up that `make test` and `make demo` begin with."""

from __future__ import annotations

import os
import shutil
from time import perf_counter
from typing import TYPE_CHECKING

from tests.programs import ROOT, run
from tests.terminals import Terminal

if TYPE_CHECKING:
    from pathlib import Path

SETUP = ROOT / "tools/setup.sh"


def test_second_setup_has_nothing_to_do() -> None:
    """What is there is left alone, without a word, in no time."""
    first = run(SETUP, "test")
    assert 0 == first.returncode, first.stdout + first.stderr
    start = perf_counter()

    second = run(SETUP, "test")

    assert ("", "", 0) == (second.stdout, second.stderr, second.returncode)
    assert 10 > perf_counter() - start


def test_setup_without_rights_names_the_packages(tmp_path: Path) -> None:
    """Who may not install is told in one sentence what to install."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "apt-get", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "id").write_text("#!/bin/bash\necho 1000\n", encoding="utf-8")
    (tools / "id").chmod(0o755)

    said = run(SETUP, "valgrind", env={"PATH": str(tools), "HOME": str(tmp_path)})

    assert 1 == said.returncode
    assert 1 == len(said.stderr.splitlines())
    assert "sudo apt-get install " in said.stderr
    for package in ("gcc", "sqlite3", "pkg-config", "valgrind"):
        assert f" {package}" in said.stderr


PIP = """#!/bin/bash
case "$*" in
-) cat >/dev/null ;;
*install*)
  echo "Collecting thing"
  echo "Requirement already satisfied: another"
  echo "ERROR: there is no thing"
  exit 1
  ;;
esac
"""


def test_setup_says_on_a_terminal_in_one_line_what_pip_does(tmp_path: Path) -> None:
    """What pip says is in a file, and its end is shown where it fails."""
    for folder in ("tools", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(SETUP, tmp_path / "tools")
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / ".venv/bin/python"
    python.write_text(PIP, encoding="utf-8")
    python.chmod(0o755)

    with Terminal("tools/setup.sh", "build", cwd=tmp_path, columns=80) as terminal:
        terminal.expect("setup: pip failed; all that it said is in .venv/setup.log")
        code = terminal.wait()

    before, _, after = terminal.raw.partition("\033[K   Collecting thing\r\n")
    assert 1 == code
    assert "already satisfied" not in before
    assert "ERROR: there is no thing" in after
    log = (tmp_path / ".venv/setup.log").read_text(encoding="utf-8")
    assert "already satisfied" in log


def test_setup_of_an_unknown_goal_names_the_known_ones() -> None:
    """A mistyped goal is answered with those that exist."""
    said = run(SETUP, "tset", env=dict(os.environ))

    assert 1 == said.returncode
    assert (
        "known: build, demo, demo-functions, demo-gtm, test, dev, bench, valgrind"
        in said.stderr
    )
