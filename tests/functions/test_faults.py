"""Faults: all of them in one message, and as data."""

from __future__ import annotations

import pickle

from pybridge.errors import BadArgument
from pybridge.functions.faults import Fault, Faults, nearest, shown


def test_one_fault_is_one_line() -> None:
    """What was asked for, the field, and what is wrong."""
    error = Faults("run", [Fault("a.b", 3, "3 is not a text")])

    assert "run: a.b: 3 is not a text" == str(error)
    assert [{"field": "a.b", "value": 3, "message": "3 is not a text"}] == error.faults
    assert isinstance(error, BadArgument)


def test_several_faults_are_a_line_each() -> None:
    """Their number first."""
    error = Faults("run", [Fault("a", 1, "x"), Fault("b", 2, "y")])

    assert "run: 2 faults\n  a: x\n  b: y" == str(error)


def test_faults_go_to_other_processes() -> None:
    """Pickled with all of them, whatever the values are."""
    error = Faults("run", [Fault("a", lambda: 1, "x"), Fault("b", 2, "y")])

    twin = pickle.loads(pickle.dumps(error))

    assert str(error) == str(twin)
    assert ["a", "b"] == [fault["field"] for fault in twin.faults]


def test_value_is_shown_short_whatever_it_is() -> None:
    """A long one is cut, and one that cannot be shown is named by its type."""

    class Bad:
        def __repr__(self) -> str:
            raise KeyError("no")

    assert "'a'" == shown("a")
    assert 80 == len(shown("x" * 1000))
    assert "<Bad>" == shown(Bad())


def test_nearest_is_what_was_most_likely_meant() -> None:
    """None where nothing is like it."""
    assert "handler" == nearest("handlr", ["handler", "name"])
    assert nearest("xyzzy", ["handler", "name"]) is None
