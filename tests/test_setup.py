"""The set-up that `make test` and `make demo` begin with."""

from __future__ import annotations

import os
import shutil
from time import perf_counter
from typing import TYPE_CHECKING

from tests.programs import ROOT, run

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


def test_setup_of_an_unknown_goal_names_the_known_ones() -> None:
    """A mistyped goal is answered with those that exist."""
    said = run(SETUP, "tset", env=dict(os.environ))

    assert 1 == said.returncode
    assert (
        "known: build, demo, demo-functions, demo-gtm, test, dev, bench, valgrind"
        in said.stderr
    )
