"""Packages that are imported to their end, whoever is stopped meanwhile."""

from __future__ import annotations

import _imp
import _thread
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import _packages

if TYPE_CHECKING:
    from pathlib import Path

SLOW = """
import sys, time
sys.begun = getattr(sys, "begun", 0) + 1
time.sleep(0.2)
ended = True
"""


def test_stop_leaves_the_import_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is stopped at once; the package is imported once, and whole."""
    (tmp_path / "slow_to_import.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    threading.Timer(0.05, _thread.interrupt_main).start()

    with pytest.raises(KeyboardInterrupt):
        _packages.load("slow_to_import")
    stopped = sys.modules["slow_to_import"]
    assert not hasattr(stopped, "ended")
    _packages.load("slow_to_import")

    assert stopped is sys.modules.pop("slow_to_import")
    assert stopped.ended
    assert 1 == vars(sys).pop("begun")


def test_import_lock_that_a_stop_left_taken_is_given_back(plane: Any) -> None:
    """Other threads can import, also after the failure of a call."""
    for give_back in (
        _packages.unlock,
        lambda: _packages.load("not_there_at_all"),
        lambda: plane.fail(KeyboardInterrupt(), "main"),
    ):
        _imp.acquire_lock()
        _imp.acquire_lock()

        give_back()

        assert not _imp.lock_held()


def test_import_lock_of_another_thread_is_left_alone() -> None:
    """It is in use there, and not for long."""
    taken, ended = threading.Event(), threading.Event()

    def work() -> None:
        _imp.acquire_lock()
        taken.set()
        ended.wait()
        _imp.release_lock()

    thread = threading.Thread(target=work)
    thread.start()
    taken.wait()
    _packages.unlock()
    held = _imp.lock_held()
    ended.set()
    thread.join()

    assert held


def test_what_fails_is_left_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised, nor printed: the caller's own import says what is wrong."""
    (tmp_path / "fails_to_import.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)

    _packages.load("fails_to_import", "not_there_at_all")

    assert "fails_to_import" not in sys.modules
