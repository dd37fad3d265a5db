"""States: what may follow what, and who still lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from pybridge.functions import states

ORIGINAL = [  # §3: from, to
    ("CREATED", "BUILT"),
    ("CREATED", "ERROR"),
    ("CREATED", "DELETING"),
    ("BUILT", "READY"),
    ("READY", "RUNNING"),
    ("READY", "PENDING"),
    ("PENDING", "RUNNING"),
    ("RUNNING", "RUNNING"),
    ("RUNNING", "COMPLETED"),
    ("RUNNING", "STOP"),
    ("RUNNING", "ERROR"),
    ("STOP", "STOPPED"),
    ("STOPPED", "RESUME"),
    ("RESUME", "RUNNING"),
    ("COMPLETED", "DELETING"),
    ("ERROR", "DELETING"),
    ("DELETING", "DELETED"),
]


@pytest.mark.parametrize(("state", "following"), ORIGINAL)
def test_move_of_the_original_is_allowed(state: str, following: str) -> None:
    """§3: the state machine of runs."""
    assert states.allows(state, following)


@pytest.mark.parametrize(
    ("state", "following"),
    [
        ("COMPLETED", "RUNNING"),
        ("COMPLETED", "ERROR"),
        ("ERROR", "RUNNING"),
        ("ERROR", "COMPLETED"),
        ("STOP", "COMPLETED"),
        ("STOP", "RUNNING"),
        ("STOPPED", "RUNNING"),
        ("STOPPED", "COMPLETED"),
        ("CREATED", "COMPLETED"),
        ("READY", "COMPLETED"),
        ("DELETED", "RUNNING"),
        ("NO SUCH", "RUNNING"),
    ],
)
def test_move_that_would_lie_is_refused(state: str, following: str) -> None:
    """§3: what has ended has ended, and a stop wins."""
    assert not states.allows(state, following)


@pytest.mark.parametrize(
    "state", ["CREATED", "BUILT", "READY", "PENDING", "RUNNING", "RESUME"]
)
def test_what_has_not_ended_can_fail_and_be_stopped(state: str) -> None:
    """§3: nothing is ever stuck: each state has a way to ERROR and to STOP."""
    assert states.allows(state, "ERROR")
    assert states.allows(state, "STOP")


def test_what_is_being_stopped_is_not_stopped_again() -> None:
    """A second stop has nothing to do but to wait."""
    assert not states.allows("STOP", "STOP")


def test_states_have_the_names_of_the_original() -> None:
    """§3: the names, and every state of a move is one of them."""
    used = set(states.MOVES).union(*states.MOVES.values())

    assert set() == used - set(states.NAMES)
    assert {"COMPLETED", "ERROR", "STOPPED", "DELETED"} == states.FINAL


def test_own_process_lives() -> None:
    """An owner is alive as long as its process is."""
    assert states.lives(states.owner("inline"))


def test_process_that_has_ended_lives_no_more() -> None:
    """An owner that ended is dead, also while nobody has waited for it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as child:
        who = {"pid": child.pid, "started": states.started(child.pid)}
        assert states.lives(who)
        child.kill()
        while states.started(child.pid) is not None:  # until it is a zombie
            time.sleep(0.01)

        assert not states.lives(who)


def test_other_process_of_the_same_number_is_another() -> None:
    """A process number that was given again is not the owner."""
    began = states.started(os.getpid())
    assert began is not None

    assert not states.lives({"pid": os.getpid(), "started": began - 1})


@pytest.mark.parametrize("who", [None, {}, {"pid": None}, {"pid": "1"}])
def test_nobody_does_not_live(who: dict[str, object] | None) -> None:
    """A run without an owner has none that lives."""
    assert not states.lives(who)
