"""Rows read past pyodbc: they are those that pyodbc gives, and trouble is an error."""

from __future__ import annotations

import ctypes
import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pybridge import host
from pybridge.elsewhere import direct, odbc
from pybridge.elsewhere.columns import Column
from pybridge.errors import DatabaseError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.databases import Postgres

# As long as the pieces in which text is read, and one more and less; also in UTF-16.
LENGTHS = (0, 1, 2, 254, 255, 256, 257, 510, 511, 512, 513, 4606, 4607, 4608, 4609)
POSTGRES = (
    "select i, i * 1000000007::int8 as k, i / 7::float8 as f, i % 3 = 0 as b, "
    "(i * 0.01)::numeric(12, 2) as n, i * 0.001::numeric as u, "
    "date '0001-01-01' + i * 365 as d, "
    "timestamp '0001-01-01' + i * interval '1000001.000001 s' as m, "
    "time '00:00' + i * interval '10.000001 s' as c, "
    "case when i % 9 > 0 then (4294967295 - i)::oid end as o, "
    "case when i % 5 > 0 then repeat('\u00e9', i % 700) || '\U0001f600' end as t, "
    "repeat('x', i % 1100)::varchar(2000) as v, "
    "case when i % 2 = 0 then decode(repeat('00ff', i % 600), 'hex') end as y "
    "from generate_series(1, 9000) i"
)


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Any]:
    """Return a connection to a file with a table t."""
    with sqlite3.connect(tmp_path / "t.db") as made:
        made.execute("create table t (i integer, r real, s text, x blob, d date)")
    made.close()
    connection = odbc.connect(f"Driver=SQLite3;Database={tmp_path / 't.db'}")
    yield connection
    connection.close()


def insert(connection: Any, rows: list[tuple[object, ...]]) -> None:
    """Insert by Python's own sqlite3, which changes nothing."""
    path = connection.execute("pragma database_list").fetchone()[2]
    with sqlite3.connect(path) as made:
        made.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
    made.close()


def read(connection: Any, sql: str) -> list[tuple[object, ...]] | None:
    """Return the rows as they are read past pyodbc, None where they cannot."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        columns = odbc.columns(connection, cursor)
        if not odbc.fill(connection, cursor, columns):
            return None
    return list(zip(*(c.finish().to_pylist() for c in columns), strict=True))


def test_postgres_rows_are_those_of_pyodbc(postgres: Postgres) -> None:
    """Thousands of rows of all types, with NULLs, cell by cell."""
    connection = odbc.connect(postgres.string())
    fetched = connection.execute(POSTGRES).fetchall()
    # pyodbc takes an oid for signed.
    wanted = [
        (*row[:9], row[9] and row[9] % 2**32, *row[10:]) for row in map(tuple, fetched)
    ]

    got = read(connection, POSTGRES)

    connection.close()
    assert wanted == got


def test_postgres_uuids_are_written_as_the_server_does(postgres: Postgres) -> None:
    """In small letters, and NULL stays NULL."""
    sql = (
        "select case when i > 1 then md5(i::text)::uuid end as u, "
        "md5(i::text)::uuid::text as t from generate_series(1, 5000) i"
    )
    connection = odbc.connect(postgres.string())

    got = read(connection, sql)

    connection.close()
    assert got is not None
    assert [None, *[t for _, t in got[1:]]] == [u for u, _ in got]


def test_sqlite_rows_are_those_of_pyodbc(lite: Any) -> None:
    """Thousands of rows of all types, with NULLs, cell by cell."""
    insert(
        lite,
        [
            (i * 10**14, i / 7, "\u00e9" * (i % 700), b"\0\xff" * (i % 600), None)
            if i % 5
            else (None, None, None, None, "2024-02-29")
            for i in range(9000)
        ],
    )
    wanted = list(map(tuple, lite.execute("select * from t").fetchall()))

    got = read(lite, "select * from t")

    assert wanted == got


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\u20ac", "\U0001f600"])
def test_text_of_any_length_is_whole(
    postgres: Postgres, lite: Any, letter: str
) -> None:
    """Wherever the pieces of a text end it is put together again."""
    texts = [letter * n for n in (*LENGTHS, 300_000)]
    insert(lite, [(i, None, text, text.encode(), "") for i, text in enumerate(texts)])
    lengths = ", ".join(f"({len(text)})" for text in texts)
    connection = odbc.connect(postgres.string())

    from_lite = read(lite, "select s, x from t order by i")
    from_postgres = read(
        connection,
        f"select repeat('{letter}', n) as t, repeat('{letter}', n)::bytea as b "
        f"from (values {lengths}) v(n)",
    )

    connection.close()
    assert [(text, text.encode()) for text in texts] == from_lite
    assert [(text, text.encode()) for text in texts] == from_postgres


def test_result_without_rows_has_its_types(postgres: Postgres) -> None:
    """Nothing is read, and the columns are those that the driver tells."""
    connection = odbc.connect(postgres.string())

    got = host.query(f"{POSTGRES} where false", None, "arrow", connection)

    connection.close()
    assert 0 == got.num_rows
    assert pa.decimal128(12, 2) == got.schema.field("n").type
    assert pa.date32() == got.schema.field("d").type


def test_date_that_python_has_not_is_an_error(postgres: Postgres) -> None:
    """A moment before the year 1 is not made another one."""
    sql = "select case when i = 5000 then timestamp '0044-03-15 BC' end as m "

    with pytest.raises(Unsupported) as caught:
        host.query(
            f"{sql} from generate_series(1, 5001) i", None, "arrow", postgres.string()
        )

    assert (
        "column 'm', row 4999 has a date or time that Python has not; "
        "cast the column in the query"
    ) == str(caught.value)


def test_text_that_is_no_unicode_is_an_error(lite: Any) -> None:
    """Bytes that are no UTF-8 are never text."""
    with pytest.raises(Unsupported, match=r"column 's': .*UTF8.*cast it to a blob"):
        host.query("select cast(x'ff41' as text) as s", None, "list", lite)


def test_failure_in_the_middle_has_the_words_of_the_driver(postgres: Postgres) -> None:
    """What fails in a later row fails with its SQLSTATE."""
    with pytest.raises(DatabaseError) as caught:
        host.query(
            "select 1 / (7000 - i) as x from generate_series(1, 9000) i",
            None,
            "arrow",
            postgres.string(),
        )

    assert "[22012] ERROR: division by zero" in str(caught.value)
    assert "22012" == caught.value.sqlstate


def test_converter_of_the_owner_is_asked(lite: Any) -> None:
    """Where a connection has a converter its values are the converter's."""
    for code in (1, 12, -1):
        lite.add_output_converter(code, lambda data: data.decode() + "!")

    got = host.query("select 'a' as s", None, "list", lite)

    assert [("a!",)] == got


# ---- A driver of this file's own, for what no driver here does ----------------------

GET = ctypes.CFUNCTYPE(
    ctypes.c_int16, ctypes.c_void_p, ctypes.c_uint16, ctypes.c_int16,
    ctypes.c_void_p, ctypes.c_ssize_t, ctypes.POINTER(ctypes.c_ssize_t),
)  # fmt: skip
FETCH = ctypes.CFUNCTYPE(ctypes.c_int16, ctypes.c_void_p)


def column_of(get: Callable[..., int], rows: int) -> Column:
    """Return a column of text that is read by a function in SQLGetData's place."""
    left = iter([0] * rows)
    library = SimpleNamespace(
        SQLFetch=FETCH(lambda _: next(left, 100)),
        SQLGetData=GET(get),
        SQLGetDiagRecW=lambda *_: 100,
    )
    connection = SimpleNamespace(get_output_converter=lambda _: None)
    cursor = SimpleNamespace(
        hstmt=ctypes.c_void_p(1),
        connection=connection,
        description=[("t", str)],
    )
    column = Column("t", pa.large_string())
    assert direct.fill(library, "psqlodbcw.so", cursor, [column])
    return column


def test_driver_that_does_not_know_how_long_a_text_is() -> None:
    """Pieces are asked for until there are no more."""
    text = "\u00e9\U0001f600" * 5000
    data, told = text.encode("utf-16le"), [0]

    def get(_s: int, _c: int, _t: int, room: int, size: int, length: Any) -> int:
        piece = data[told[0] : told[0] + size - 2]
        if not piece:
            return 100
        ctypes.memmove(room, piece, len(piece))
        told[0] += len(piece)
        length[0] = -4 if told[0] < len(data) else len(piece)
        return 1

    assert [text] == column_of(get, 1).finish().to_pylist()


@pytest.mark.parametrize("data", [b"\x00\xd8", b"\x00\xdc", b"\x00\xd8a\x00"])
def test_lone_surrogate_is_an_error(data: bytes) -> None:
    """Half a pair is no letter."""

    def get(_s: int, _c: int, _t: int, room: int, _size: int, length: Any) -> int:
        ctypes.memmove(room, data, len(data))
        length[0] = len(data)
        return 0

    with pytest.raises(Unsupported, match="column 't', row 0 has a lone surrogate"):
        column_of(get, 1)


def test_driver_that_fails_without_a_word() -> None:
    """There is an error also where the driver says nothing."""
    with pytest.raises(Exception, match=r"\[HY000\] the driver has failed"):
        column_of(lambda *_: -1, 1)
