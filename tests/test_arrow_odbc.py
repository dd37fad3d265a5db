"""Results that arrow-odbc reads: the same values as by pyodbc, and all else by that."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import connections, host, main
from pybridge.elsewhere import bulk
from pybridge.errors import BadArgument, DatabaseError, Unsupported
from tests.databases import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from tests.databases import MariaDB, Postgres

    Named = Callable[[str, str], str]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without settings, and leave no connection behind."""
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(tmp_path / "pybridge.toml"))
    (tmp_path / "pybridge.toml").touch()
    yield
    connections.close()
    main.finalize()


@pytest.fixture
def by(tmp_path: Path) -> Named:
    """Return what names a connection that is read in one way."""

    def name(string: str, reader: str) -> str:
        whole = string.replace("\\", "\\\\").replace('"', '\\"')
        with (tmp_path / "pybridge.toml").open("a") as file:
            file.write(f'[connections."{reader}"]\nodbc = "{whole}"\n')
            file.write(f'reader = "{reader}"\n')
        return reader

    return name


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the queries that arrow-odbc runs, as it runs them."""
    seen: list[str] = []
    batches = bulk.Session.batches

    def noted(self: bulk.Session, sql: str, kinds: Any) -> Any:
        if kinds is not None:
            seen.append(sql)
        return batches(self, sql, kinds)

    monkeypatch.setattr(bulk.Session, "batches", noted)
    return seen


def table(sql: str, namespace: str, params: Any = None) -> pa.Table:
    """Return the rows of a query as Arrow has them."""
    return host.query(sql, params, "arrow", namespace)


# ---- Values -------------------------------------------------------------------------

# Expressions, and whether arrow-odbc is to read them.
POSTGRES = [
    ("(-32768)::int2", True),
    ("2147483647::int4", True),
    ("(-9223372036854775808)::int8", True),
    ("4294967295::oid", False),
    ("0.1::float4", True),
    ("(0.1 + 0.2::float8)::float8", True),
    ("'nan'::float8", True),
    ("'-infinity'::float8", True),
    ("false", True),
    ("(-1.50)::numeric(10,3)", True),
    ("repeat('9', 36)::numeric(38, 2)", True),
    ("1.5::numeric", False),
    ("repeat('9', 70)::numeric(76, 2)", False),
    ("'h\u00e9 \U0001f600'::varchar(4)", True),
    ("repeat('\U0001f600', 200)::varchar(200)", True),
    ("''::varchar(3)", True),
    ("'ab'::char(4)", True),
    ("repeat('x', 300)::varchar", False),
    ("repeat('x', 9000)::text", False),
    ("'\\x00ff'::bytea", False),
    ("'2024-02-29'::date", True),
    ("'0001-01-01'::date", True),
    ("'9999-12-31'::date", True),
    ("'23:59:59.123456'::time", False),
    ("'2024-02-29 23:59:59.123456'::timestamp", True),
    ("'0001-01-01 00:00:00'::timestamp", True),
    ("'2024-02-29 23:59:59.5'::timestamp(3)", True),
    ("'2024-07-01 12:00:00.000001+02:30'::timestamptz", False),
    ("'5C401FE3-B360-4400-BC15-0C86F7C46F08'::uuid", False),
    ("'1 day 02:00'::interval", False),
]
MARIADB = [
    ("tinyint", "-128", True),
    ("tinyint unsigned", "255", False),
    ("smallint", "-32768", True),
    ("mediumint", "-8388608", True),
    ("int", "-2147483648", True),
    ("int unsigned", "4294967295", False),
    ("bigint", "-9223372036854775808", True),
    ("bigint unsigned", "18446744073709551615", False),
    ("float", "0.1", False),
    ("double", "0.30000000000000004", True),
    ("double", "1e308", True),
    ("decimal(12,2)", "-1234567890.12", True),
    ("decimal(38,10)", "1234567890123456789012345678.0123456789", True),
    ("decimal(65,30)", "1.5", False),
    ("decimal(12,2) unsigned", "9999999999.99", True),
    ("varchar(20)", "'h\u00e9 \U0001f600'", True),
    ("varchar(20)", "'a\\0b'", True),
    ("varchar(200)", "repeat('\U0001f600', 200)", True),
    ("varchar(5000)", "repeat('x', 5000)", False),
    ("varchar(20) character set latin1", "'h\u00e9'", True),
    ("char(4)", "'ab'", True),
    ("enum('a','bc')", "'bc'", True),
    ("text", "repeat('x', 60000)", False),
    ("json", "'{\"a\": 1}'", False),
    ("varbinary(4)", "x'00ff'", False),
    ("date", "'2024-02-29'", True),
    ("date", "'9999-12-31'", True),
    ("datetime", "'2024-02-29 23:59:59'", True),
    ("datetime(6)", "'2024-02-29 23:59:59.123456'", False),
    ("datetime(3)", "'2024-02-29 23:59:59.5'", False),
    ("timestamp", "'2024-02-29 23:59:59'", True),
    ("time", "'23:59:59'", False),
    ("bit(1)", "b'1'", False),
    ("bit(8)", "b'11111111'", False),
    ("year", "2024", False),
]


def same(one: pa.Table, two: pa.Table) -> None:
    """Compare types, values and NULLs, also those that are no numbers."""
    assert one.schema == two.schema
    assert repr(one.to_pydict()) == repr(two.to_pydict())


def compare(kinds: list[Any], forced: str, other: str, done: list[str]) -> None:
    """Read a column at a time both ways, or find that it cannot be read so."""
    for i, (kind, *_, is_read) in enumerate(kinds):
        sql = f"select x{i} as x, 1 as n from kinds order by x{i} is null"
        none = f"select x{i} as x from kinds where 1 = 0"
        done.clear()
        if is_read:
            same(table(sql, other), table(sql, forced))
            same(table(none, other), table(none, forced))
        else:
            with pytest.raises(Unsupported, match="column 'x' is of the type"):
                table(sql, forced)

        assert (2 if is_read else 0) == len(done), kind


def test_postgres_values_are_those_of_pyodbc(
    postgres: Postgres, by: Named, done: list[str]
) -> None:
    """What arrow-odbc reads is equal by value and type; all else it is not let near."""
    forced, other = by(postgres.string(), "arrow-odbc"), by(postgres.string(), "pyodbc")
    cells = ", ".join(f"{one} as x{i}" for i, (one, _) in enumerate(POSTGRES))
    table(f"create table kinds as select {cells}", other)
    table("insert into kinds default values", other)

    compare(POSTGRES, forced, other, done)

    table("drop table kinds", other)


@pytest.mark.parametrize("reader", ["arrow-odbc", "auto"])
def test_mariadb_values_are_those_of_pyodbc(
    mariadb: MariaDB, by: Named, done: list[str], reader: str
) -> None:
    """What arrow-odbc reads is equal by value and type; all else it is not let near."""
    ours, other = by(mariadb.string(), reader), by(mariadb.string(), "pyodbc")
    columns = ", ".join(f"x{i} {kind}" for i, (kind, _, _) in enumerate(MARIADB))
    values = ", ".join(value for _, value, _ in MARIADB)
    nulls = ", ".join("null" for _ in MARIADB)
    table("drop table if exists kinds", other)
    table(f"create table kinds({columns}) character set utf8mb4", other)
    table(f"insert into kinds values ({values}), ({nulls})", other)

    if reader == "arrow-odbc":
        compare(MARIADB, ours, other, done)
        return
    for i, (kind, _, is_read) in enumerate(MARIADB):
        sql = f"select x{i} as x from kinds order by x{i} is null"
        done.clear()
        same(table(sql, other), table(sql, ours))
        assert [sql] * is_read == done, kind


def test_many_rows_and_batches_are_whole(
    mariadb: MariaDB, by: Named, done: list[str]
) -> None:
    """Rows beyond one batch, text as long as its column, NULL in the last of them."""
    auto, other = by(mariadb.string(), "auto"), by(mariadb.string(), "pyodbc")
    sql = (
        "select cast(repeat('\u00e9', seq % 200) as char(200)) as text, "
        "nullif(cast(seq as signed), 30000) as n from seq_1_to_30000"
    )

    same(table(sql, other), table(sql, auto))

    assert [sql] == done


# ---- What pyodbc reads --------------------------------------------------------------


def test_date_that_is_none_is_read_by_pyodbc(
    mariadb: MariaDB, by: Named, done: list[str]
) -> None:
    """The process lives, the value is the usual one, and what follows too."""
    auto, other = by(mariadb.string(), "auto"), by(mariadb.string(), "pyodbc")
    table("drop table if exists zero", other)
    table("create table zero(d date, t datetime)", other)
    table("insert ignore into zero values ('0000-00-00', '0000-00-00')", other)

    for sql in ("select d from zero", "select t from zero"):
        same(table(sql, other), table(sql, auto))

    assert ["select d from zero"] == done  # then no longer


def test_what_knows_its_session_stays_in_it(
    mariadb: MariaDB, by: Named, done: list[str]
) -> None:
    """Variables, temporary tables and parameters are never asked of another session."""
    auto = by(mariadb.string(), "auto")
    table("drop table if exists numbers", auto)
    table("create table numbers(id int auto_increment primary key, n int)", auto)
    table("insert into numbers(n) values (7)", auto)

    identity = table("select last_insert_id() as n", auto)
    with_params = table("select n from numbers where n = ?", auto, [7])
    table("create temporary table numbers(id int, n int)", auto)
    hidden = table("select n from numbers", auto)

    assert [1] == identity["n"].to_pylist()
    assert [7] == with_params["n"].to_pylist()
    assert [] == hidden["n"].to_pylist()
    assert [] == done


def test_driver_that_nobody_has_measured_is_refused(tmp_path: Path, by: Named) -> None:
    """SQLite's driver says of text what is not so, and arrow-odbc would cut it."""
    string = f"Driver=SQLite3;Database={tmp_path / 'x.db'}"
    table("create table t(x varchar(3))", by(string, "pyodbc"))

    with pytest.raises(Unsupported, match=r"'sqlite3odbc\.so'.*reader = \"auto\""):
        table("select x from t", by(string, "arrow-odbc"))


def test_without_arrow_odbc_pyodbc_reads(
    mariadb: MariaDB, by: Named, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not installed is not used; who asks for it is told what to install."""
    monkeypatch.setattr(bulk, "_is_installed", lambda: False)
    auto, forced = by(mariadb.string(), "auto"), by(mariadb.string(), "arrow-odbc")

    assert [1] == table("select 1 as x", auto)["x"].to_pylist()
    with pytest.raises(BadArgument, match=r"pip install \"pybridge\[odbc\]\""):
        table("select 1 as x", forced)
    assert [] == done


def test_unknown_reader_is_an_error(by: Named) -> None:
    """The settings know three words."""
    with pytest.raises(BadArgument, match="reader is one of auto, pyodbc, arrow-odbc"):
        table("select 1", by("Driver=SQLite3;Database=x", "turbo"))


# ---- Errors and stops ---------------------------------------------------------------


def test_errors_are_the_drivers_words(mariadb: MariaDB, by: Named) -> None:
    """Whoever reads: what the query does wrong is told with its SQLSTATE."""
    said = []
    for reader in ("auto", "pyodbc", "arrow-odbc"):
        with pytest.raises(DatabaseError) as caught:
            table("select n from nowhere", by(mariadb.string(), reader))
        said.append(str(caught.value).replace(f"'{reader}'", "it"))

    assert "42S02" in said[0]
    assert [said[0]] * 3 == said


def test_error_in_the_middle_has_its_sqlstate_and_no_password(
    postgres: Postgres, by: Named
) -> None:
    """A query that fails as it runs is an error with what the server says."""
    forced = by(postgres.string(), "arrow-odbc")

    with pytest.raises(DatabaseError, match="division by zero") as caught:
        table("select 1 / (5 - i) as x from generate_series(1, 9) i", forced)

    assert caught.value.sqlstate == "22012"
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_interrupt_ends_the_query_on_the_server(
    server: str, by: Named, request: pytest.FixtureRequest
) -> None:
    """A stop reaches the session that arrow-odbc waits for."""
    forced = by(request.getfixturevalue(server).string(), "arrow-odbc")
    sql, left = {
        "postgres": (
            "select count(*) as endless from generate_series(1, 10000000000)",
            "select count(*) as n from pg_stat_activity where state = 'active' and "
            "pid <> pg_backend_pid() and query like '%endless%'",
        ),
        "mariadb": (
            "select sleep(60) as endless",
            "select count(*) as n from information_schema.processlist where "
            "id <> connection_id() and info like '%endless%'",
        ),
    }[server]
    me = threading.main_thread().ident or 0
    threading.Timer(0.5, signal.pthread_kill, (me, signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        main.execute_query(sql, "q", None, forced)

    end = time.monotonic() + 30
    while table(left, forced)["n"].to_pylist() != [0] and time.monotonic() < end:
        time.sleep(0.05)
    assert [0] == table(left, forced)["n"].to_pylist()
