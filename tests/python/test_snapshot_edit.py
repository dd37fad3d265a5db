"""Edits of snapshots in plain SQL: the JSON of a value is what is restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pybridge import context as contexts
from pybridge import main, snapshot
from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep store and key in a folder of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("PYBRIDGE_STORE", raising=False)
    monkeypatch.delenv("PYBRIDGE_KEY", raising=False)
    return tmp_path


@pytest.fixture
def live(home: Path) -> Iterator[None]:
    """Give empty contexts; all are dropped afterwards."""
    contexts.reset()
    yield
    contexts.reset()


def run(code: str, context: str = "a") -> None:
    """Run code."""
    main.execute_code(code, context=context)


def get(name: str, context: str = "b") -> Any:
    """Return a variable."""
    return contexts.get(context).namespace[name]


def edit(home: Path, sql: str, *params: object) -> None:
    """Do what a user does with the sqlite3 shell."""
    import sqlite3

    connection = sqlite3.connect(home / "pybridge" / "contexts.db")
    with connection:
        connection.execute(sql, params)
    connection.close()


def test_edited_json_is_what_is_restored(live: None, home: Path) -> None:
    """An UPDATE in plain SQL counts, and the report says so."""
    run("x = {'a': [1, 2]}\ny = 5\nz = (1,)")
    number = snapshot.save("a").id

    edit(home, "update pybridge_variable set json = '{\"a\": [3]}' where name = 'x'")
    edit(home, "update pybridge_variable set json = '[\"new\"]' where name = 'z'")
    report = snapshot.restore(number, context="b")

    assert {"a": [3]} == get("x")
    assert (5, ["new"]) == (get("y"), get("z"))
    assert ["x", "z"] == [one.name for one in report.restored if one.reason]
    assert ["x", "z"] == snapshot.verify(number).edited


@pytest.mark.parametrize("name", ["x", "y"])
def test_edited_json_is_seen_by_who_shares_the_value(
    name: str, live: None, home: Path
) -> None:
    """Names of one object stay names of one object."""
    run("x = [1]\ny = x\nz = {'x': x}")
    number = snapshot.save("a").id

    edit(home, "update pybridge_variable set json = '[7, 8]' where name = ?", name)
    snapshot.restore(number, context="b")

    assert [7, 8] == get("x")
    assert get("y") is get("x") is get("z")["x"]


def test_edited_json_that_is_none_is_an_error(live: None, home: Path) -> None:
    """The message says whose."""
    run("x = 1")
    number = snapshot.save("a").id

    edit(home, "update pybridge_variable set json = '{' where name = 'x'")

    with pytest.raises(
        BadArgument, match="'x' cannot be restored: its JSON was edited"
    ):
        snapshot.restore(number, context="b")


@pytest.mark.parametrize(
    ("expression", "json"),
    [
        ("1", "1"),
        ("[1, 'a', None, True, 0.5]", '[1, "a", null, true, 0.5]'),
        ("{'a': {}}", '{"a": {}}'),
        ("(1,)", None),
        ("{1: 2}", None),
        ("float('nan')", None),
        ("b'x'", None),
        ("'\\ud800'", '"\\ud800"'),
        ("True", "true"),
        ("10 ** 5000", None),
        ("__import__('enum').IntEnum('E', 'A').A", None),
    ],
)
def test_json_is_there_where_it_is_exact(
    expression: str, json: str | None, live: None
) -> None:
    """Only what comes back as the same from JSON has it."""
    run(f"x = {expression}")

    found = snapshot.describe(snapshot.save("a", mask="x").id).variables

    assert [json] == [one.json for one in found]
