"""The host, as Python code sees it."""

# ruff: noqa: ARG002, PT012 - the stand-in has the real signatures

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

import pybridge
from pybridge import columnar, host
from pybridge.errors import HostError


class Database(ModuleType):
    """A plane that notes what it is asked: the real one needs a host process."""

    def __init__(self) -> None:
        super().__init__("pybridge._plane")
        self.log: list[Any] = []
        self.failing = ""

    def host_name(self) -> str:
        return "test"

    def host_query(self, sql: str, params: object) -> object:
        self.log.append((sql, params))
        return columnar.to_stream({"a": [1, 2], "b": ["x", None]}).__arrow_c_stream__()

    def host_execute(self, sql: str, params: object) -> int:
        if self.failing and self.failing in sql:
            raise HostError("no")
        self.log.append(sql)
        return 3

    def host_write(self, rows: Any, table: str, mode: str) -> int:
        self.log.append((table, mode))
        return columnar.load(rows)[1]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """Put a plane in place."""
    plane = Database()
    monkeypatch.setitem(sys.modules, "pybridge._plane", plane)
    return plane


@pytest.mark.parametrize(
    "call",
    [
        lambda: host.query("select 1"),
        lambda: host.execute("select 1"),
        lambda: host.write({"a": [1]}, "t"),
        lambda: host.transaction().__enter__(),
    ],
)
def test_without_a_host_each_call_says_so(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of a host there is a clear error."""
    monkeypatch.setitem(
        sys.modules, "pybridge._plane", None
    )  # others may have loaded it
    monkeypatch.delattr(pybridge, "_plane", raising=False)
    with pytest.raises(HostError, match="there is no host here"):
        call()

    assert not host.in_host()


def test_query_gives_a_frame(database: Database) -> None:
    """The rows come as a DataFrame, or as the type that is asked for."""
    frame = host.query("select", [1])
    rows = host.query("select", {"p": 1}, "list")
    nullable = host.query("select", dtype_backend="numpy_nullable")

    assert ["a", "b"] == list(frame.columns)
    assert [(1, "x"), (2, None)] == rows
    assert "Int64" == str(nullable.dtypes["a"])
    assert [("select", [1]), ("select", {"p": 1}), ("select", None)] == database.log
    assert host.in_host()


def test_execute_and_write_give_counts(database: Database) -> None:
    """Both tell how many rows."""
    assert 3 == host.execute("delete")
    assert 2 == host.write({"a": [1, 2]}, "t", "append")
    assert ["delete", ("t", "append")] == database.log


def test_transactions_nest_as_savepoints(database: Database) -> None:
    """Each has a name of its own; an exception rolls back its own part."""
    with host.transaction():
        host.execute("one")
        with pytest.raises(ValueError, match="x"), host.transaction():
            host.execute("two")
            raise ValueError("x")

    assert [
        "SAVEPOINT pybridge_1",
        "one",
        "SAVEPOINT pybridge_2",
        "two",
        "ROLLBACK TO pybridge_2",
        "RELEASE pybridge_2",
        "RELEASE pybridge_1",
    ] == database.log


def test_failure_inside_is_what_comes_out(database: Database) -> None:
    """A rollback that fails does not hide why there was one."""
    database.failing = "ROLLBACK"

    with pytest.raises(ValueError, match="why") as caught, host.transaction():
        raise ValueError("why")

    assert ["pybridge_1 could not be rolled back: no"] == caught.value.__notes__


@pytest.mark.parametrize("failing", ["SAVEPOINT", "RELEASE", "ROLLBACK"])
def test_transaction_that_fails_leaves_the_count(
    failing: str, database: Database
) -> None:
    """After a failure of the host the next transaction begins at one."""
    database.failing = failing
    with pytest.raises((HostError, ValueError)), host.transaction():
        raise ValueError("x")
    database.failing = ""
    database.log.clear()

    with host.transaction() as transaction:
        assert "pybridge_1" == transaction.name
