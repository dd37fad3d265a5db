"""What comes from other databases: types, frames, parameters, results."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyodbc
import pytest

from pybridge import host, main
from pybridge.errors import (
    BadArgument,
    BridgeError,
    DatabaseError,
    Unsupported,
)
from tests.databases import error, table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.databases import MariaDB, Postgres

UTC = pa.timestamp("us", "UTC")


pytestmark = pytest.mark.usefixtures("_own_connections")


# ---- Types --------------------------------------------------------------------------

TEXT = pa.large_string()
POSTGRES: list[tuple[str, pa.DataType, Any]] = [
    ("(-32768)::int2", pa.int64(), -32768),
    ("(-2147483648)::int4", pa.int64(), -(2**31)),
    ("9223372036854775807::int8", pa.int64(), 2**63 - 1),
    ("4294967295::oid", pa.int64(), 2**32 - 1),
    ("0.1::float4", pa.float64(), 0.1),
    ("(0.1 + 0.2::float8)::float8", pa.float64(), 0.1 + 0.2),
    ("'infinity'::float8", pa.float64(), float("inf")),
    ("true", pa.bool_(), True),
    ("1.50::numeric(10,3)", pa.decimal128(10, 3), Decimal("1.500")),
    ("(-12345678901234567890.5)::numeric", pa.decimal128(28, 1), None),
    ("repeat('9', 70)::numeric(76, 2)", pa.decimal256(76, 2), Decimal("9" * 70)),
    ("'h\u00e9 \U0001f600'::text", TEXT, "h\u00e9 \U0001f600"),
    ("'ab'::char(4)", TEXT, "ab  "),
    ("''::varchar(3)", TEXT, ""),
    ("'\\x00ff'::bytea", pa.large_binary(), b"\x00\xff"),
    ("''::bytea", pa.large_binary(), b""),
    ("'2024-02-29'::date", pa.date32(), dt.date(2024, 2, 29)),
    ("'23:59:59.123456'::time", pa.time64("us"), dt.time(23, 59, 59, 123456)),
    (
        "'2024-02-29 23:59:59.123456'::timestamp",
        pa.timestamp("us"),
        dt.datetime(2024, 2, 29, 23, 59, 59, 123456),
    ),
    (
        "'2024-07-01 12:00:00.000001+02:30'::timestamptz",
        UTC,
        dt.datetime(2024, 7, 1, 9, 30, 0, 1, dt.UTC),
    ),
    ("'10:00:00+02'::timetz", TEXT, "10:00:00+02"),
    (
        "'5C401FE3-B360-4400-BC15-0C86F7C46F08'::uuid",
        TEXT,
        "5c401fe3-b360-4400-bc15-0c86f7c46f08",
    ),
    ("'{\"a\": 1}'::jsonb", TEXT, '{"a": 1}'),
    ("array[1, null]", TEXT, "{1,NULL}"),
    ("'1 day 02:00'::interval", TEXT, "1 day 02:00:00"),
]


@pytest.mark.parametrize(
    ("expression", "kind", "value"), POSTGRES, ids=[row[0] for row in POSTGRES]
)
def test_postgres_type_is_exact(
    postgres: Postgres, expression: str, kind: pa.DataType, value: Any
) -> None:
    """Each type has its column, with a value, with NULL beside it, and without rows."""
    sql = f"select {expression} as x"
    both = (
        f"select case when i = 1 then {expression} end as x from (values (1), (2)) v(i)"
    )

    one = table(sql, postgres.string())["x"]
    two = table(both, postgres.string())["x"]
    none = table(f"{both} where false", postgres.string())["x"]

    if value is None:
        value = Decimal("-12345678901234567890.5")
        assert [value, None] == two.to_pylist()
        return
    assert (kind, [value]) == (one.type, one.to_pylist())
    assert [value, None] == two.to_pylist()
    assert 0 == len(none)
    if not pa.types.is_decimal(kind):
        assert (kind, kind) == (two.type, none.type)


def test_postgres_long_text_and_binary_come_whole(postgres: Postgres) -> None:
    """No length that a driver tells cuts a value."""
    sql = (
        "select repeat('\u00e9\U0001f600', 300000) as t, "
        "decode(repeat('00ff', 300000), 'hex') as b, repeat('x', 70000)::varchar as v"
    )

    row = table(sql, postgres.string()).to_pylist()[0]

    assert "\u00e9\U0001f600" * 300_000 == row["t"]
    assert b"\x00\xff" * 300_000 == row["b"]
    assert "x" * 70_000 == row["v"]


def test_postgres_decimals_widen_as_rows_come(postgres: Postgres) -> None:
    """Digits that appear late, after many batches, are kept; the first rows agree."""
    sql = (
        "select (case when i > 20000 then 1.23456789 else i end)::numeric as x "
        "from generate_series(1, 20001) i"
    )

    column = table(sql, postgres.string())["x"]

    assert Decimal("1.23456789") == column[20_000].as_py()
    assert [Decimal(1), Decimal(20_000)] == [column[i].as_py() for i in (0, 19_999)]


def test_postgres_decimal_nan_is_an_error(postgres: Postgres) -> None:
    """NaN is not silently NULL."""
    sql = (
        "select case i when 2 then 'NaN'::numeric else 1 end x "
        "from generate_series(1, 2) i"
    )

    assert "column 'x', row 1: Decimal('NaN') has no decimal" in error(
        sql, postgres.string(), Unsupported
    )


def test_postgres_moments_are_told_in_utc_by_any_session(postgres: Postgres) -> None:
    """A zone of the session changes nothing; what it makes ambiguous is an error."""
    connection = pyodbc.connect(postgres.string(), autocommit=True)
    connection.execute("set time zone 'Europe/Berlin'")

    summer = table("select '2024-07-01 12:00+00'::timestamptz x", connection)["x"]
    twice = error(
        "select '2024-10-27 00:30+00'::timestamptz x", connection, Unsupported
    )

    assert dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC) == summer[0].as_py()
    assert UTC == summer.type
    assert "column 'x': the driver tells moments" in twice
    connection.close()


def test_postgres_driver_without_wide_text_is_exact_too(postgres: Postgres) -> None:
    """The ANSI driver gives and takes UTF-8."""
    sql = "select 'h\u00e9 \U0001f600' as t, true as b, 1.50::numeric(5,2) as n, ? as p"

    row = table(sql, postgres.string(driver="PostgreSQL ANSI"), params=["\u00fc"])

    assert [("h\u00e9 \U0001f600", True, Decimal("1.50"), "\u00fc")] == [
        tuple(one.values()) for one in row.to_pylist()
    ]


MARIADB: list[tuple[str, str, pa.DataType, Any]] = [
    ("tinyint unsigned", "255", pa.int64(), 255),
    ("smallint unsigned", "65535", pa.int64(), 65535),
    ("mediumint", "-8388608", pa.int64(), -8388608),
    ("int unsigned", "4294967295", pa.int64(), 2**32 - 1),
    ("bigint", "-9223372036854775808", pa.int64(), -(2**63)),
    ("bigint unsigned", "18446744073709551615", pa.uint64(), 2**64 - 1),
    ("decimal(65,30)", f"{'9' * 35}.{'8' * 30}", pa.decimal256(65, 30), None),
    ("double", "0.1", pa.float64(), 0.1),
    ("bit(1)", "1", pa.bool_(), True),
    ("date", "'2024-02-29'", pa.date32(), dt.date(2024, 2, 29)),
    ("time(6)", "'23:59:59.123456'", pa.time64("us"), dt.time(23, 59, 59, 123456)),
    (
        "datetime(6)",
        "'2024-02-29 23:59:59.123456'",
        pa.timestamp("us"),
        dt.datetime(2024, 2, 29, 23, 59, 59, 123456),
    ),
    ("varchar(20) character set utf8mb4", "?", TEXT, "a\0\U0001f600b"),
    (
        "longtext character set utf8mb4",
        "repeat('\u00e9\U0001f600', 100000)",
        TEXT,
        "\u00e9\U0001f600" * 100_000,
    ),
    ("longblob", "repeat(x'00ff', 100000)", pa.large_binary(), b"\x00\xff" * 100_000),
    ("uuid", "'5c401fe3-b360-4400-bc15-0c86f7c46f08'", TEXT, None),
]


@pytest.mark.parametrize(
    ("declared", "literal", "kind", "value"), MARIADB, ids=[row[0] for row in MARIADB]
)
def test_mariadb_type_is_exact(
    mariadb: MariaDB, declared: str, literal: str, kind: pa.DataType, value: Any
) -> None:
    """Each type has its column, with NULL beside a value."""
    if value is None:
        value = Decimal(literal) if "decimal" in declared else literal.strip("'")
    params = [value] if literal == "?" else None
    table(f"create or replace table t (x {declared}, i int)", mariadb.string())
    main.execute_query(
        f"insert into t values ({literal}, 1), (null, 2)",
        "n",
        None,
        mariadb.string(),
        params=params,
    )

    column = table("select x from t order by i", mariadb.string())["x"]

    assert (kind, [value, None]) == (column.type, column.to_pylist())


def test_mariadb_duration_is_no_time(mariadb: MariaDB) -> None:
    """A TIME of more than a day is an error that says what helps."""
    assert "the time '25:00:00' is no time of day; cast it to char" in error(
        "select cast('25:00:00' as time) x", mariadb.string()
    )


def test_sqlite_driver_is_exact(tmp_path: Path) -> None:
    """The SQLite driver by its name and by its file: 64 bits, text, blobs, dates."""
    file = "/usr/lib/x86_64-linux-gnu/odbc/libsqlite3odbc.so"
    with sqlite3.connect(tmp_path / "t.db") as made:
        made.execute(
            "create table t (i integer, b bigint, r real, t text, x blob, d date, "
            "m timestamp, o boolean)"
        )
        row = (2**63 - 1, -(2**63), 0.1, "\u00e9\U0001f600" * 40_000, b"\x00\xff" * 9)
        made.execute(
            "insert into t values (?, ?, ?, ?, ?, "
            "'2024-02-29', '2024-02-29 01:02:03.5', 1)",
            row,
        )
        made.execute(f"insert into t values ({', '.join(['null'] * 8)})")
    made.close()
    dates = (dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 1, 2, 3, 500_000), True)

    for driver in ("SQLite3", file):
        string = f"Driver={driver};Database={tmp_path / 't.db'}"
        got = host.query("select * from t", None, "list", string)
        assert [(*row, *dates), (None,) * 8] == got
        text = "select '\U0001f600' as a, ? as b, count(*) as n from t"
        assert [("\U0001f600", "\u00fc", 2)] == host.query(
            text, ["\u00fc"], "list", string
        )


def test_cells_of_a_driver_without_types_follow_the_rule_of_tables() -> None:
    """Mixed columns widen whatever the order of the rows, as pybridge.h states."""
    connection = sqlite3.connect(":memory:")

    def cells(*values: str) -> list[Any]:
        union = " union all ".join(f"select {value} as x" for value in values)
        column: list[Any] = table(union, connection)["x"].to_pylist()
        return column

    assert [1.0, 2.5, None] == cells("1", "2.5", "null")
    assert ["9007199254740993", "2.5"] == cells("9007199254740993", "2.5")
    assert ["2.5", "9007199254740993"] == cells("2.5", "9007199254740993")
    assert ["1", "x", "2.5"] == cells("1", "'x'", "2.5")
    assert [b"1", b"\xff", b"x"] == cells("1", "x'ff'", "'x'")
    assert ["a\0b"] == cells("'a' || char(0) || 'b'")
    late = ["1"] * 70 + ["'x'"]
    assert ["1"] * 70 + ["x"] == cells(*late)
    connection.close()


def test_python_values_of_drivers_have_their_columns() -> None:
    """UUIDs, zones, decimals and durations, which only Python drivers give."""
    berlin = dt.timezone(dt.timedelta(hours=2))
    import uuid

    one = uuid.uuid4()
    rows = [
        (
            one,
            dt.datetime(2024, 7, 1, 12, tzinfo=berlin),
            Decimal("1.25"),
            dt.timedelta(days=-1, microseconds=1),
            2**64 - 1,
            10**30,
            bytearray(b"x"),
            [1, None],
            dt.time(1, tzinfo=berlin),
        ),
        (None,) * 9,
    ]

    got = table("select", Driver(rows))

    assert [
        TEXT, UTC, pa.decimal128(3, 2), pa.duration("us"), pa.uint64(),
        pa.decimal128(31, 0), pa.large_binary(), pa.list_(pa.int64()), TEXT,
    ] == got.schema.types  # fmt: skip
    assert (str(one), dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)) == tuple(
        got.to_pylist()[0].values()
    )[:2]
    assert "01:00:00+02:00" == got.column(8)[0].as_py()
    assert (None,) * 9 == tuple(got.to_pylist()[1].values())


class Driver:
    """A driver that gives the rows it was made with."""

    def __init__(self, rows: list[tuple[Any, ...]], width: int = 0) -> None:
        self.rows = rows
        width = width or len(rows[0])
        self.description = [(f"c{i}", None, *(None,) * 5) for i in range(width)]

    def cursor(self) -> Driver:
        return self

    def execute(self, sql: str) -> None:
        if sql == "fail":
            raise RuntimeError("no")

    def fetchmany(self, n: int) -> list[tuple[Any, ...]]:
        rows, self.rows = self.rows[:n], self.rows[n:]
        return rows

    def close(self) -> None:
        pass


def test_value_without_a_column_is_an_error() -> None:
    """An object of no known kind is refused with its column; so is half a letter."""
    strange = error("select", Driver([(object(),)]), Unsupported)
    half = error("select", Driver([("x",), ("\ud800",)]), Unsupported)

    assert "column 'c0': values of type object have no counterpart" in strange
    assert "column 'c0', row 1: '\\ud800' has a lone surrogate" in half


def test_every_error_here_is_the_bridges() -> None:
    """A driver's own exception never leaves: it may hold what is secret."""
    with pytest.raises(BridgeError) as caught:
        table("fail", Driver([(1,)]))

    assert isinstance(caught.value, DatabaseError)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# ---- Frames, parameters, results ----------------------------------------------------


def test_query_makes_each_form(postgres: Postgres) -> None:
    """The types and options are those of py_query."""
    sql = "select 1 as x, 'a' as t, 2 as x union all select 3, null, 4 order by 1"

    frame = host.query(sql, namespace=postgres.string())
    nullable = host.query(sql, namespace=postgres.string(), dtype_backend="pyarrow")
    parsed = host.query(
        "select '2024-02-29' as d", None, "list", postgres.string(), parse={"d": "DATE"}
    )

    assert ["x", "t", "x_1"] == list(frame.columns)
    assert ["int64", "str", "int64"] == [str(kind) for kind in frame.dtypes]
    assert "int64[pyarrow]" == str(nullable.dtypes["x"])
    frame.loc[0, "x"] = 7  # the memory is the frame's own
    assert [7, 3] == list(frame["x"])
    assert [(1, "a", 2), (3, None, 4)] == host.query(
        sql, None, "list", postgres.string()
    )
    assert {"x": 3, "t": None, "x_1": 4} == host.query(
        sql, None, "dicts", postgres.string()
    )[1]
    assert [1, 3] == host.query(sql, None, "polars", postgres.string())["x"].to_list()
    assert [2, 4] == host.query(sql, None, "numpy", postgres.string())["x_1"].tolist()
    assert [(dt.date(2024, 2, 29),)] == parsed


def test_null_floats_are_nan_in_a_frame(postgres: Postgres) -> None:
    """What lies under a NULL is NaN, also across batches."""
    sql = (
        "select case when i % 2 = 0 then i::float8 end as x "
        "from generate_series(0, 9999) i"
    )

    column = host.query(sql, namespace=postgres.string())["x"]

    assert (5000, 0.0, 24_995_000.0) == (column.isna().sum(), column[0], column.sum())


def test_execute_query_assigns_and_counts(postgres: Postgres) -> None:
    """Rows are counted; a statement without any says how many it has changed."""
    string = postgres.string()

    assert 3 == main.execute_query(
        "select * from generate_series(1, 3) x", "q", "list", string
    )
    assert [(1,), (2,), (3,)] == main.get_variable("q")
    assert 0 == main.execute_query("create temp table t (a int)", "q", "list", string)
    assert [] == main.get_variable("q")
    assert 2 == main.execute_query("insert into t values (1), (2)", "q", None, string)
    assert (0, 0) == main.get_variable("q").shape


def test_parameters_are_bound(postgres: Postgres) -> None:
    """A list, in the call or in the options; ODBC has no names."""
    string = postgres.string()
    options = {"params": [5, None], "namespace": string}

    main.execute_query("select ?::int as a, ?::text as b", "q", "list", options=options)

    assert [(5, None)] == main.get_variable("q")
    with pytest.raises(BadArgument, match="ODBC knows \\? only"):
        host.query("select ?", {"a": 1}, namespace=string)
    with pytest.raises(BadArgument, match="given twice"):
        main.execute_query("select ?", "q", options=options, params=[1])
    with pytest.raises(BadArgument, match="a list, a tuple or a dict"):
        host.query("select ?", "x", namespace=string)
    with sqlite3.connect(":memory:") as given:
        assert [(7,)] == host.query("select :a", {"a": 7}, "list", given)
    given.close()


def test_one_result_is_wanted(postgres: Postgres) -> None:
    """Counts are passed over, a second result with columns is an error."""
    string = postgres.string()
    main.set_variable("q", 1)

    counted = table(
        "create temp table u (a int); insert into u values (7); select * from u", string
    )
    with pytest.raises(Unsupported, match="more than one result with columns"):
        main.execute_query("select 1 as a; select 2 as b", "q", "list", string)

    assert [7] == counted["a"].to_pylist()
    assert 1 == main.get_variable("q")
