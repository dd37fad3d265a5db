"""SQLite files opened from Python with pybridge as their host."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from pybridge import beside, context, host
from pybridge.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.apart


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a table."""
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("create table t (a)")
        connection.execute("insert into t values (1), (2)")
    connection.close()
    return tmp_path / "x.db"


def test_a_function_is_called_with_the_file_as_host(path: Path) -> None:
    """While the call lasts, `pybridge.host` is that database, and no name is left."""
    names = set(context.get().namespace)

    with beside.Beside(path) as database:
        found = database.call(lambda: host.query("select sum(a) as s from t"))
        again = database.call(host.in_host)

    assert ([3], True) == (found["s"].tolist(), again)
    assert not host.in_host()
    assert names == set(context.get().namespace)


def test_what_the_function_raises_is_raised(path: Path) -> None:
    """An exception is the function's own, also one that ends programs."""
    with beside.Beside(path) as database:
        for kind in (ValueError, SystemExit, KeyboardInterrupt):

            def fail(kind: type[BaseException] = kind) -> None:
                raise kind("its own")

            with pytest.raises(kind, match="its own"):
                database.call(fail)
        assert 1 == database.integer("select 1", (), "it works on")


def test_calls_nest(path: Path) -> None:
    """A function may open another file, and goes on with its own."""

    def inner() -> int:
        with beside.Beside(path.with_name("y.db")) as other:
            other.call(lambda: host.execute("create table u (b)"))
        return int(host.query("select count(*) as n from t")["n"][0])

    with beside.Beside(path) as database:
        assert 2 == database.call(inner)


def test_a_file_that_cannot_be_opened_is_told(path: Path) -> None:
    """What is missing, or no database, is an error that names it."""
    with pytest.raises(HostError, match=r"cannot open .*nope\.db"):
        beside.Beside(path.with_name("nope.db"), create=False)
    path.with_name("text.db").write_text("no database at all, but long enough")
    with pytest.raises(HostError, match="not a database"):
        beside.Beside(path.with_name("text.db"))


def test_a_file_may_be_opened_for_reading_only(path: Path) -> None:
    """With write=False nothing is written."""
    with (
        beside.Beside(path, create=False, write=False) as database,
        pytest.raises(HostError, match="readonly"),
    ):
        database.call(lambda: host.execute("insert into t values (3)"))


def test_texts_of_a_statement_live_as_long_as_it(path: Path) -> None:
    """Each parameter is its own until the statement has run."""
    texts = [letter * 50 for letter in "abcdefgh"]
    same = " and ".join(f"?{n} = '{text}'" for n, text in enumerate(texts, 1))

    with beside.Beside(path) as database:
        assert 1 == database.integer(f"select {same}", texts, "the texts")
