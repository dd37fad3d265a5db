"""py_table below SQL returns what SQL returns, or leaves it to SQL and says why."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.programs import run
from tests.sqlite.scans import compare, fill, scan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.scans import Database, Host

EMPTY_WAL = "pragma journal_mode = wal; pragma wal_checkpoint(truncate)"


# ---- Where the pages are taken -----------------------------------------------------


@pytest.mark.parametrize("size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
def test_scan_reads_pages_of_every_size(db: Database, size: int) -> None:
    """Pages of 512 to 65536 bytes are read, the tree may be one leaf or many levels."""
    db.sql(f"pragma page_size = {size}; vacuum;")
    fill(db, 20000)
    db.sql("create table one(a); insert into one values (1)")

    assert "pages" == compare(db, "t")
    assert "pages" == compare(db, "one")
    assert [(20000,)] == db.sql(
        "select py_eval('by_query.num_rows') from t limit 0"
    ) or [(20000,)]


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("", "1, -1, 0, 127, 128, -128, -129, 32767, 32768, -32769, 8388607, -8388609"),
        ("int", "2147483647, -2147483649, 140737488355327, -140737488355329"),
        ("integer", "9223372036854775807, -9223372036854775807 - 1, null, 0, 1"),
        ("real", "1, 0, -1, 1.5, null, 1e300, -0.0, 1234567890123, 9007199254740993"),
        ("real", "9e999, -9e999, null, 4.9e-324"),
        ("", "1.0, 2, null, 'three', x'04'"),
        ("", "9223372036854775807, 0.5"),
        ("text", "'', 'a', null, 1, 2.5, 'é', 'a' || char(0) || 'b'"),
        ("blob", "x'', x'00', null, zeroblob(100), 7"),
        ("numeric", "1, 1.5, '2', 'two', null"),
        ("boolean", "0, 1, null"),
        ("timestamp", "'2024-01-01T00:00:00', null"),
        ("text collate nocase", "'a', 'A'"),
        ("", "null, null"),
        ("text", "cast(x'ff41' as text), 'good'"),
    ],
)
def test_scan_gives_each_value_as_sql_does(
    db: Database, declared: str, values: str
) -> None:
    """Numbers of every size, text, blobs, NULL, and their mixtures come out equal."""
    db.sql(f"create table t(k text, v {declared})")
    for value in re.split(r", (?![^(]*\))", values):
        db.sql(f"insert into t values ('k', {value})")

    assert "pages" == compare(db, "t")


def test_scan_gives_nan_as_null(host: Host, tmp_path: Path) -> None:
    """SQLite reads a stored NaN as NULL; nobody but a damaged file has one."""
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as made:
        made.execute("create table t(v real)")
        made.execute("insert into t values (1.5), (2.5)")
    made.close()
    nan = b"\x7f\xf8\x00\x00\x00\x00\x00\x00"
    path.write_bytes(path.read_bytes().replace(b"\x40\x04" + bytes(6), nan))

    db = host.open(path)
    how = compare(db, "t")
    nulls = db.sql("select py_eval('by_pages.column(0).null_count')")
    db.close()

    assert "pages" == how
    assert [(1,)] == nulls


@pytest.mark.parametrize("size", [512, 4096, 65536])
def test_scan_follows_overflow_chains(db: Database, size: int) -> None:
    """Rows longer than a page come whole, before, between and behind short ones."""
    db.sql(f"pragma page_size = {size}; vacuum;")
    db.sql("create table t(a text, b blob, c int, d text)")
    for n in [
        0,
        1,
        50,
        300,
        400,
        470,
        480,
        600,
        3000,
        4050,
        5000,
        65500,
        70000,
        2000000,
    ]:
        db.sql(
            f"insert into t values (hex(randomblob({n} / 2)), randomblob({n % 9}), {n},"
            f" 'end'), ('short', randomblob({n}), -{n}, null)"
        )

    assert "pages" == compare(db, "t")
    assert "pages" == compare(db, "t", ", null, null, 'a'")
    assert "pages" == compare(db, "t", ", 3, 20, 'c,d'")


def test_scan_gives_rows_of_before_alter_table_their_defaults(db: Database) -> None:
    """A record that is too short has the default of each column that it lacks."""
    fill(db, 100)
    db.sql("alter table t add column d1 text default 'some'")
    db.sql("alter table t add column d2")
    db.sql("alter table t add column d3 real default 3")
    db.sql("alter table t add column d4 int not null default 4")
    db.sql("alter table t add column d5 text default 5")
    db.sql("alter table t add column d6 blob default x'0600'")
    db.sql("alter table t add column d7 default null")
    db.sql("alter table t add column d8 int default -8.5")
    db.sql("alter table t add column d9 default true")
    db.sql("insert into t(i, d1, d3) values (-5000, 'new', 1), (5000, null, 2.5)")
    db.sql("update t set d2 = 2 where i % 2 = 0")

    assert "pages" == compare(db, "t")
    assert "pages" == compare(db, "t", ", 0, 100, 'd8,d3,r'")


def test_scan_leaves_defaults_to_sql_where_no_name_means_the_rowid(
    db: Database,
) -> None:
    """With columns rowid, oid and _rowid_ there is no way to ask for a default."""
    db.sql("create table t(rowid, oid, _rowid_); insert into t values (1, 2, 3)")
    db.sql("alter table t add column d default 4")

    assert "query: the rowid has no name, and a default is wanted" == compare(db, "t")
    assert "pages" == compare(db, "t", ", null, null, 'rowid,oid'")


@pytest.mark.parametrize(
    "columns",
    [
        "a integer primary key, b",
        "b, a integer primary key autoincrement",
        "b, a INTEGER, primary key(a)",
        "b, a int primary key",
        "b, a integer primary key desc",
        "b, a integer, primary key(a desc)",
        "b, a integer primary key not null",
        "rowid integer primary key, b",
        "b, rowid text",
        "b, a integer unique",
    ],
)
def test_scan_knows_the_alias_of_the_rowid(db: Database, columns: str) -> None:
    """The column that is the rowid has NULL in the record; others only look like it."""
    db.sql(f"create table t({columns})")
    names = [str(row[0]) for row in db.sql("select name from pragma_table_info('t')")]
    for k in [5, -3, 2**40]:
        db.sql(f"insert into t({names[0]}, {names[1]}) values ({k}, {k})")

    assert "pages" == compare(db, "t")


def test_scan_reads_ranges_with_both_ends(db: Database) -> None:
    """Start and end are inclusive, may be open, between rows, or beyond all of them."""
    db.sql("pragma page_size = 512; vacuum;")
    fill(db, 5000)
    ends = ["null", -500, -497, -499, 0, 7000, 14500, 14501, 2**63 - 1, 1 - 2**63]

    for start in ends:
        for end in ends:
            how = compare(db, "t", f", {start}, {end}")
            assert how in ("pages", "query: the range is empty")
    db.sql("insert into t(i) values (9223372036854775807), (-9223372036854775808)")
    assert "pages" == compare(db, "t")
    assert "pages" == compare(db, "t", ", 9223372036854775807")
    assert "pages" == compare(db, "t", ", -9223372036854775808, -9223372036854775808")


def test_scan_reads_deleted_updated_and_vacuumed_tables(db: Database) -> None:
    """Free pages, free bytes in pages and rows that have moved make no difference."""
    fill(db, 8000)
    for statement in [
        "delete from t where i % 7 = 0",
        "delete from t where i between 2000 and 6000",
        "update t set s = s || s || s || s, b = zeroblob(200) where i % 5 = 0",
        "insert into t(i, n) values (3000, 1)",
        "vacuum",
        "update t set b = null",
        "drop table if exists u",
        "delete from t where i <> 3000",
        "delete from t",
        "insert into t(n) values (1)",
    ]:
        db.sql(statement)
        assert "pages" == compare(db, "t"), statement


def test_scan_reads_empty_and_very_wide_tables(db: Database) -> None:
    """No rows, one column, 2,000 columns."""
    wide = ", ".join(f"c{i} int" for i in range(2000))
    db.sql(f"create table none(a int, b); create table wide({wide})")
    for _ in range(150):
        db.sql(f"insert into wide values ({', '.join(str(i) for i in range(2000))})")

    assert "pages" == compare(db, "none")
    assert "pages" == compare(db, "wide")
    assert "pages" == compare(db, "wide", ", 3, 120, 'c1,c1999,c2?'")


def test_scan_reads_stored_generated_columns(db: Database) -> None:
    """A stored one is a field like another; a virtual one shifts those behind it."""
    db.sql(
        "create table t(a, v as (a + 1) virtual, s as (a + 2) stored, z);"
        "insert into t(a, z) values (1, 'x'), (null, 'y')"
    )

    assert "pages" == compare(db, "t", ", null, null, 'a,s,z'")


def test_scan_reads_attached_files(db: Database, tmp_path: Path) -> None:
    """The schema says which file; a plain name is looked for as SQLite does."""
    db.sql(f"attach '{tmp_path / 'other.db'}' as \"o.t'her\"")
    db.sql('create table "o.t\'her"."a ""b\'"(x); create table main.t(y)')
    db.sql('insert into "o.t\'her"."a ""b\'" values (1); insert into t values (2)')

    assert "pages" == compare(db, '"o.t\'her"."a ""b\'"')
    assert "pages" == compare(db, '"a ""b\'"')
    assert "pages" == compare(db, "t")


@pytest.mark.parametrize(
    "setting",
    [
        "pragma journal_mode = truncate",
        "pragma journal_mode = persist",
        "pragma journal_mode = memory",
        "pragma locking_mode = exclusive",
        EMPTY_WAL,
        f"pragma locking_mode = exclusive; {EMPTY_WAL}",
        "pragma mmap_size = 100000000",
        "pragma cache_size = 3",
        "pragma synchronous = off",
        "pragma auto_vacuum = full",
        "pragma auto_vacuum = incremental",
        "pragma query_only = on",
        "pragma writable_schema = on",
        "pragma read_uncommitted = on",
        "pragma foreign_keys = on",
    ],
)
def test_scan_reads_under_settings_that_do_not_matter(
    db: Database, setting: str
) -> None:
    """These change how SQLite works, not what a committed row is."""
    fill(db)
    db.sql(setting)
    db.sql("pragma query_only")
    if "auto_vacuum" in setting:
        db.sql("vacuum; delete from t where i % 3 = 0")

    assert "pages" == compare(db, "t")


@pytest.mark.parametrize("size", [1, 8, 32])
def test_scan_reads_pages_with_reserved_bytes(
    host: Host, tmp_path: Path, size: int
) -> None:
    """Bytes that are reserved at the end of each page belong to nobody."""
    path = tmp_path / "t.db"
    made = run("sqlite3", path, f".filectrl reserve_bytes {size}", "vacuum")
    assert 0 == made.returncode, made.stderr
    db = host.open(path)
    fill(db)
    db.sql("insert into t(s) values (hex(zeroblob(20000)))")

    how = compare(db, "t")
    db.close()

    assert size == path.read_bytes()[20]
    assert "pages" == how


# ---- Where it is left to SQL -------------------------------------------------------

NOT_PLAIN = "query: the columns are not plainly stored in a rowid table"
WRITING = "query: the connection has begun to write to the database"


@pytest.mark.parametrize(
    ("statements", "table", "reason"),
    [
        (
            "pragma journal_mode = off",
            "t",
            "query: the database has no rollback journal",
        ),
        ("begin; insert into t(n) values (1)", "t", WRITING),
        ("begin; savepoint a; delete from t; rollback to a", "t", WRITING),
        ("savepoint a; update t set n = -n", "t", WRITING),
        ("begin immediate", "t", WRITING),
        (
            "pragma cache_size = 3; begin; update t set s = hex(zeroblob(500))",
            "t",
            WRITING,
        ),
        (
            "create table w(k primary key) without rowid; insert into w values (1)",
            "w",
            NOT_PLAIN,
        ),
        ("create view v as select * from t", "v", "query: it is not an ordinary table"),
        ("create view v as select n + 1 from t", "v", NOT_PLAIN),
        ("create virtual table f using fts5(x)", "f", None),
        (
            "create table g(a, b as (a * 2)); insert into g values (1), (2)",
            "g",
            NOT_PLAIN,
        ),
        (
            "create temp table m(a); insert into m values (1)",
            "m",
            "query: the database is not a file",
        ),
        (
            "create temp table m(a); insert into m values (1)",
            "temp.m",
            "query: the database is not a file",
        ),
        (
            "attach ':memory:' as o; create table o.m(a); insert into o.m values (1)",
            "o.m",
            "query: the database is not a file",
        ),
        (
            "attach '' as o; create table o.m(a); insert into o.m values (1)",
            "m",
            "query: the database is not a file",
        ),
        (
            "attach 'file:/x?vfs=memdb' as o; create table o.m(a)",
            "m",
            None,
        ),
        ("pragma reverse_unordered_selects = on", "t", NOT_PLAIN),
        ("select 1", "sqlite_master", None),
    ],
)
def test_scan_leaves_to_sql_what_it_cannot_prove(
    db: Database, statements: str, table: str, reason: str | None
) -> None:
    """Each condition that does not hold is the reason that py_option shows."""
    fill(db)
    for statement in statements.split(";"):
        db.sql(statement)

    how = compare(db, table)

    assert how.startswith("query: ")
    assert reason in (None, how)
    if "begin" in statements or "savepoint" in statements:
        db.sql("rollback")
        assert "pages" == compare(db, "t")


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
def test_scan_leaves_utf16_to_sql(db: Database, encoding: str) -> None:
    """Text in another encoding has to be converted, which SQL does."""
    db.sql(f"pragma encoding = '{encoding}'")
    fill(db)

    assert "query: the text encoding is not UTF-8" == compare(db, "t")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("immutable=1", "the database file is not locked"),
        ("nolock=1", "the database file is not locked"),
        ("vfs=unix-none", 'the database is not a plain file: its VFS is not "unix"'),
        ("vfs=unix-dotfile", 'the database is not a plain file: its VFS is not "unix"'),
        ("mode=ro", None),
    ],
)
def test_scan_wants_a_file_that_is_locked(
    host: Host, db: Database, tmp_path: Path, query: str, reason: str | None
) -> None:
    """Without the lock on the file nobody knows who writes to it."""
    fill(db)
    other = host.open(f"file:{tmp_path / 't.db'}?{query}")

    how = compare(other, "t")

    other.close()
    assert ("pages" if reason is None else f"query: {reason}") == how


def test_scan_leaves_overflow_chains_of_auto_vacuum_files_to_sql(db: Database) -> None:
    """There SQLite itself relies on the pointer map, which may be damaged."""
    db.sql("pragma auto_vacuum = full; vacuum")
    db.sql("create table t(a); insert into t values ('short')")
    assert "pages" == compare(db, "t")
    db.sql("insert into t values (hex(zeroblob(9000)))")

    assert "query: an auto-vacuum database has an overflow chain" == compare(db, "t")


def test_scan_leaves_an_edited_schema_to_sql(db: Database) -> None:
    """After an edit of sqlite_schema the connection still uses the schema it knows."""
    fill(db)
    db.sql("create table u(i integer primary key, n); pragma writable_schema = on")
    if "apsw" == db.host.kind:
        db.sql("pragma trusted_schema = on")
    db.sql(
        "update sqlite_master set rootpage = (select rootpage from sqlite_master where"
        " name = 'u') where name = 't'"
    )

    assert "query: the schema has been edited" == compare(db, "t")


def test_scan_sees_what_another_connection_changed(host: Host, tmp_path: Path) -> None:
    """Rows and schemas that another connection commits between two scans are seen."""
    a, b = host.open(tmp_path / "t.db"), host.open(tmp_path / "t.db")
    fill(a, 100)
    assert "pages" == compare(b, "t")

    for statement in [
        "insert into t(n) values (1)",
        "drop table t",
        "create table x(a); create table t(z, y, x); insert into t values (1, 2, 3)",
        "alter table t add column w default 'w'",
        "alter table t rename column y to why",
        "alter table t drop column z",
        "create table u as select * from t; drop table x; vacuum",
    ]:
        a.sql(statement)
        error = scan(b, "t", pages=True)
        if statement == "drop table t":
            assert error is not None
            assert "there is no table 't'" in error
        else:
            assert error is None
            assert "pages" == compare(b, "t"), statement
    a.close()
    b.close()


def test_scan_leaves_no_lock_behind(host: Host, db: Database, tmp_path: Path) -> None:
    """After a scan another connection may write."""
    fill(db)
    assert "pages" == compare(db, "t")

    other = host.open(tmp_path / "t.db")
    other.sql("begin exclusive; insert into t(n) values (1); commit")
    other.close()

    assert "pages" == compare(db, "t")


def test_scan_waits_for_a_writer_as_sql_does(
    host: Host, db: Database, tmp_path: Path
) -> None:
    """While another connection holds the file, both ways fail with the same error."""
    fill(db)
    other = host.open(tmp_path / "t.db")
    other.sql("begin exclusive")

    error = scan(db, "t", pages=True)

    assert error is not None
    assert "database is locked" in error
    assert error == scan(db, "t", pages=False)
    other.sql("rollback")
    other.close()


def test_scan_reads_inside_a_read_transaction(db: Database) -> None:
    """A transaction that has only read is no reason not to."""
    fill(db)

    db.sql("begin; select count(*) from t")
    how = compare(db, "t")
    db.sql("commit")

    assert "pages" == how


def test_scan_shares_no_page_cache(host: Host, tmp_path: Path) -> None:
    """In a cache that can be shared another connection may have changed a page."""
    if "apsw" == host.kind:
        return  # built without shared caches, so every file is read like any other
    uri = f"file:{tmp_path / 't.db'}?cache=shared"
    a, b = host.open(uri), host.open(uri)
    fill(a, 100)
    a.sql("create table u(x); begin; insert into u values (1)")

    how = compare(b, "t")

    a.sql("rollback")
    a.close()
    alone = compare(b, "t")
    b.close()
    assert "query: the page cache may be shared with another connection" == how
    assert how == alone


def test_scan_rolls_a_hot_journal_back(db: Database, tmp_path: Path) -> None:
    """What a process that died has half written is undone before the pages are read."""
    fill(db, 3000)
    before = db.sql("select count(*), max(n), group_concat(s) from t")
    code = f"""
        import os, sqlite3
        db = sqlite3.connect({str(tmp_path / "t.db")!r}, isolation_level=None)
        db.execute("pragma cache_size = 3")
        db.execute("begin")
        db.execute("update t set n = 0, s = 'half'")
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    journal = tmp_path / "t.db-journal"
    assert journal.stat().st_size > 10000
    assert b"half" in (tmp_path / "t.db").read_bytes()

    assert scan(db, "t", pages=True) is None

    assert [("pages",)] == db.sql("select py_option('scanned')")
    assert before == db.sql("select count(*), max(n), group_concat(s) from t")
    assert "pages" == compare(db, "t")


def test_scan_asks_the_authorizer(host: Host, tmp_path: Path) -> None:
    """A column that the authorizer hides is hidden here too."""
    if "apsw" != host.kind:
        return  # the same code; only apsw's process can set an authorizer
    db = host.open(tmp_path / "t.db")
    fill(db)

    db.do("authorize", {"s": "ignore"})
    ignored = compare(db, "t")
    db.do("authorize", {"s": "deny"})
    denied = scan(db, "t", pages=True)
    same = compare(db, "t")
    others = compare(db, "t", ", null, null, 'i,n'")
    db.do("authorize", {"rootpage": "deny"})
    schema = compare(db, "t")
    db.close()

    assert NOT_PLAIN == ignored
    assert denied is not None
    assert "prohibited" in denied
    assert same.startswith("query: ")
    assert "pages" == others
    assert schema == "query: it is not an ordinary table"


def test_scan_can_be_interrupted(host: Host, tmp_path: Path) -> None:
    """An interrupt during a scan is an error of py_table, as during a query."""
    if "apsw" != host.kind:
        return  # SQLite before 3.41 cannot be asked
    db = host.open(tmp_path / "t.db")
    fill(db)

    db.do("interrupt_at", "s")
    error = scan(db, "t", pages=True)
    db.do("authorize", {})

    assert error is not None
    assert "interrupt" in error.lower()
    assert "pages" == compare(db, "t")
    db.close()
