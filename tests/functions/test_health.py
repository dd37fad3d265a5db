"""What the doctor says of functions."""

from __future__ import annotations

import os
import signal
import sqlite3
from typing import TYPE_CHECKING

import pytest

import pybridge
from pybridge import _programs
from pybridge.doctor import Examination
from pybridge.functions import health
from pybridge.functions.library import get_or_create_project
from pybridge.functions.manager import client
from tests.functions.jobs import ended, until

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.doctor import Finding
    from pybridge.functions.project import Project
    from pybridge.functions.store import Store

TRIVIAL = "def f():\n    return 1\n"


def findings() -> dict[str, Finding]:
    """Return what was looked at."""
    examination = Examination()
    health.examine(examination)
    return {finding.what: finding for finding in examination.findings}


def test_doctor_makes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none it says where it will be."""
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "none"))

    found = findings()["functions"]

    assert ("ok", True) == (found.state, str(tmp_path / "none") in found.found)
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("light")
def test_doctor_tells_store_manager_and_programs(project: Project) -> None:
    """Where the store is, its size and version, its runs; who leads them; the rest."""
    before = findings()
    ended(project, TRIVIAL)
    after = findings()

    assert "none; the first run starts it" == before["manager"].found
    words = after["functions"].found
    assert words.startswith(f"{project.store.root}, ")
    assert words.endswith("MiB, version 1; runs: 1 COMPLETED")
    pid = client.of(project.store).ask("info")["pid"]
    assert after["manager"].found.startswith(f"process {pid} since ")
    assert f"at {project.store.root}/manager/socket" in after["manager"].found
    states = [one.state for one in after.values()]
    assert ["ok"] * 5 == states
    assert "uv " in after["uv"].found
    assert "git version" in after["git"].found
    assert "3.11" in after["Pythons"].found


@pytest.mark.usefixtures("light")
def test_doctor_knows_what_is_left_of_a_killed_manager(project: Project) -> None:
    """Its lock and socket are nobody's trouble: the next one takes them."""
    pid = client.of(project.store).ask("info")["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not client.of(project.store).is_there())

    found = findings()["manager"]

    assert ("ok", "none; the next run starts it") == (found.state, found.found)


@pytest.mark.usefixtures("light")
def test_doctor_finds_a_manager_that_does_not_answer(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, with what to do about it."""
    pid = client.of(project.store).ask("info")["pid"]
    monkeypatch.setattr(health, "_PATIENCE", 0.2)
    os.kill(pid, signal.SIGSTOP)
    try:
        found = findings()["manager"]
    finally:
        os.kill(pid, signal.SIGCONT)

    assert ("wrong", f"kill -9 {pid}") == (found.state, found.cure.partition(";")[0])


@pytest.mark.usefixtures("light")
def test_doctor_notes_a_manager_of_another_version(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that goes on after an update is of the version before."""
    pid = client.of(project.store).ask("info")["pid"]
    monkeypatch.setattr(pybridge, "__version__", "99.0")

    found = findings()["manager"]

    assert ("note", True) == (found.state, found.found.endswith("this is 99.0"))
    assert found.cure.startswith(f"kill {pid} while")


def test_doctor_finds_a_store_that_others_can_look_into(store: Store) -> None:
    """Secrets are in it."""
    store.root.chmod(0o755)

    found = findings()["functions"]

    assert ("wrong", f"chmod 700 '{store.root}'") == (found.state, found.cure)


def test_doctor_finds_a_store_of_a_later_version(store: Store) -> None:
    """It is told with both versions, and is not touched."""
    get_or_create_project("p", store=store)
    store.close()
    with sqlite3.connect(store.root / "store.db") as connection:
        connection.execute("pragma user_version = 77")
    connection.close()

    found = findings()["functions"]

    assert ("wrong", True) == (found.state, "77, this one knows 1" in found.found)


def test_doctor_finds_a_disk_without_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is told before a run fails for it."""
    get_or_create_project("p", store=store)
    monkeypatch.setattr(health, "_LITTLE", 1 << 60)

    found = findings()["functions"]

    assert ("wrong", True) == (found.state, "are left on its disk" in found.found)


def test_doctor_notes_environments_that_nobody_makes(store: Store) -> None:
    """Half of one, of a process that was killed, only takes room."""
    get_or_create_project("p", store=store)
    half = store.root / "cache" / "environments" / "abc"
    (half / "bin").mkdir(parents=True)

    found = findings()["environments"]

    assert ("note", f"rm -r '{half}'") == (found.state, found.cure)


def test_doctor_finds_settings_that_are_wrong(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manager would not start with them."""
    del store
    settings = tmp_path / "wrong.toml"
    settings.write_text("[functions]\nparallel = 0\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))

    found = findings()["[functions]"]

    assert ("wrong", f"correct it in '{settings}'") == (found.state, found.cure)


def test_doctor_waits_for_no_program_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that does not tell its version in time is there all the same."""
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(_programs, "PATIENCE", 0.2)

    found = findings()["git"]

    assert ("ok", f"of a version it does not tell, {program}") == (
        found.state,
        found.found,
    )


def test_disk_of_a_directory_is_known() -> None:
    """The longest mount point that it is below counts."""
    from pathlib import Path

    assert "proc" == health.kind_of_disk(Path("/proc/self"))
