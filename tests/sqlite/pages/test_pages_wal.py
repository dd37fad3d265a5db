"""Pages of a database in WAL mode are read where they are, in the log or the file."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from tests.sqlite.scans import (
    ROWS,
    TABLE,
    HostError,
    compare,
    compare_query,
    fill,
    scan,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sqlite.scans import Database, Host

WAL = "pragma journal_mode = wal; pragma wal_autocheckpoint = 0"
EMPTY = "pragma wal_checkpoint(truncate)"
UNKNOWN = "query: the write-ahead log is not empty, and what is seen of it is not known"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return where the log of the test's database is."""
    return tmp_path / "t.db-wal"


def compare_all(db: Database) -> set[str]:
    """Return how the table t was read: whole, in part, filtered, and sorted."""
    return {
        compare(db, "t"),
        compare(db, "t", ", 100, 900, 'n,s'"),
        compare_query(db, "select b, i from t where n > 5 or s < 'a u'"),
        compare_query(db, "select * from t order by s desc, n"),
        compare_query(db, "select b, s from t where n < 9 order by r limit 90"),
    }


# ---- What the log may be -----------------------------------------------------------


@pytest.mark.parametrize("size", [512, 2048, 4096, 65536])
def test_scan_reads_a_table_that_is_only_in_the_log(
    db: Database, tmp_path: Path, size: int
) -> None:
    """The file has nothing but its first page; all others come from the log."""
    db.sql(f"pragma page_size = {size}; vacuum; {WAL}")
    fill(db, 3000)
    db.sql("insert into t(s) values (hex(zeroblob(90000)))")

    assert {"pages"} == compare_all(db)
    assert size == (tmp_path / "t.db").stat().st_size


@pytest.mark.parametrize("vacuum", [0, 1, 2])
def test_scan_reads_changes_of_a_table_that_is_in_the_file(
    db: Database, log: Path, vacuum: int
) -> None:
    """Some pages are in the log, some in both, some in the file."""
    db.sql(f"pragma page_size = 1024; pragma auto_vacuum = {vacuum}; vacuum; {WAL}")
    fill(db, 5000)
    db.sql(EMPTY)

    for change in [
        "update t set n = -n where i % 500 = 1",
        "delete from t where i between 3000 and 6000",
        "insert into t(i, n, s) select i + 1, n, s from t where i % 6 = 4",
        "update t set s = s || s || s || s where i % 50 = 4",
        "alter table t add column d text; update t set d = 'd' where i > 9000",
        "create table u as select * from t; delete from t where i < 2000",
        "drop table u; pragma incremental_vacuum",
        "vacuum",
        "update t set b = null",
        "delete from t",
        "insert into t(n) values (1)",
    ]:
        db.sql(change)
        assert {"pages"} == compare_all(db), change
        assert log.stat().st_size > 0


def test_scan_reads_the_last_of_many_frames_of_a_page(db: Database, log: Path) -> None:
    """The index has a table for each 4096 frames; the last one with the page counts."""
    db.sql(f"pragma page_size = 512; vacuum; {WAL}")
    fill(db, 10000)
    for i in range(12):
        db.sql(f"update t set n = {i} where i > {i * 1000}")

    assert {"pages"} == compare_all(db)
    db.sql("update t set n = 10 where i % 100 = 1")
    assert {"pages"} == compare_all(db)
    assert (log.stat().st_size - 32) // (24 + 512) > 4062 + 4096


def test_scan_reads_an_empty_log(host: Host, db: Database, tmp_path: Path) -> None:
    """With nothing in the log all pages are in the file, until the next commit."""
    fill(db)
    db.sql(f"{WAL}; update t set n = n / 2")
    written = compare(db, "t")
    db.sql(EMPTY)
    emptied = compare(db, "t")
    db.sql("begin; select count(*) from t")
    within = compare(db, "t")
    other = host.open(tmp_path / "t.db")
    other.sql("update t set n = 7")
    # The log has grown behind the back of this transaction, which does not see it.
    behind = compare(db, "t")
    db.sql("commit")
    other.close()

    assert ["pages", "pages", "pages", UNKNOWN] == [written, emptied, within, behind]


def test_scan_reads_beside_a_log_that_is_copied_in_part(
    host: Host, db: Database, tmp_path: Path
) -> None:
    """A reader of an old version keeps the rest of the log from being copied."""
    db.sql(f"pragma page_size = 1024; vacuum; {WAL}")
    fill(db, 3000)
    db.sql("update t set n = 1 where i < 3000; update t set s = 'old' where i < 300")
    old = host.open(tmp_path / "t.db")
    old.sql("begin")
    before = old.sql("select count(*), max(n), max(s) from t")
    db.sql("update t set n = 2 where i < 1000; insert into t(s) values ('more')")

    ((_, frames, copied),) = db.sql("pragma wal_checkpoint")

    assert 0 < int(str(copied)) < int(str(frames))
    assert {"pages"} == compare_all(db)
    # A version that is older than the copied frames is read as SQL reads it.
    assert UNKNOWN == compare(old, "t")
    assert before == old.sql("select count(*), max(n), max(s) from t")
    old.sql("commit")
    assert {"pages"} == compare_all(old)
    old.close()


def test_scan_reads_the_file_where_all_of_the_log_is_copied(
    db: Database, log: Path
) -> None:
    """Frames that the file has are not read again, whatever becomes of them."""
    db.sql(WAL)
    fill(db, 3000)
    db.sql("delete from t where i > 4000; pragma wal_checkpoint(full)")
    log.write_bytes(bytes(log.stat().st_size))

    assert {"pages"} == compare_all(db)


def test_scan_reads_a_log_that_has_begun_anew(db: Database, log: Path) -> None:
    """Behind the last frame are those of before, which count no more."""
    db.sql(WAL)
    fill(db, 3000)
    db.sql("update t set n = 1")
    size = log.stat().st_size
    db.sql("pragma wal_checkpoint(restart)")
    for i in range(4):
        db.sql(f"update t set n = {i + 2}, s = 'new' where i = {i * 600 + 1}")
        assert {"pages"} == compare_all(db)

    assert size == log.stat().st_size


def test_scan_passes_over_frames_that_are_not_committed(
    host: Host, db: Database, tmp_path: Path, log: Path
) -> None:
    """A large transaction writes frames before it ends, and may be rolled back."""
    db.sql(f"{WAL}; pragma cache_size = 3")
    fill(db, 5000)
    other = host.open(tmp_path / "t.db")
    size = log.stat().st_size
    db.sql("begin; update t set n = 0, s = 'half'")

    assert log.stat().st_size > size
    assert {"pages"} == compare_all(other)
    assert "query: the connection has begun to write to the database" == compare(
        db, "t"
    )
    db.sql("rollback")
    assert {"pages"} == compare_all(other) == compare_all(db)
    db.sql("update t set n = 5 where i % 9 = 1")
    assert {"pages"} == compare_all(other) == compare_all(db)
    other.close()


def test_scan_reads_the_log_of_a_process_that_died(
    host: Host, tmp_path: Path, log: Path
) -> None:
    """Who comes next makes a new index of the log."""
    db = host.open(tmp_path / "t.db")
    fill(db, 3000)
    db.sql("pragma journal_mode = wal")
    db.close()
    code = f"""
        import os, sqlite3
        db = sqlite3.connect({str(tmp_path / "t.db")!r}, isolation_level=None)
        db.execute("update t set n = 4")
        db.execute("pragma cache_size = 3")
        db.execute("begin")
        db.execute("update t set n = 5, s = 'half'")
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    assert b"half" in log.read_bytes()

    again = host.open(tmp_path / "t.db")
    first = scan(again, "t", pages=True)
    ways = {str(again.sql("select py_option('scanned')")[0][0])} | compare_all(again)
    values = again.sql("select distinct n from t")
    again.close()

    assert first is None
    assert {"pages"} == ways
    assert [(4,)] == values


def test_scan_reads_attached_logs(db: Database, tmp_path: Path) -> None:
    """Each database has a log of its own, or none."""
    db.sql(f"attach '{tmp_path / 'other.db'}' as o; pragma o.journal_mode = wal")
    fill(db)
    db.sql("create table o.x as select * from t; update o.x set n = 3 where i > 100")

    assert "pages" == compare(db, "o.x")
    assert "pages" == compare(db, "t")
    assert "pages" == compare_query(db, "select n, s from o.x where i > 50")


# ---- What the connection may be ----------------------------------------------------


def test_scan_begins_the_transaction_of_the_caller(db: Database) -> None:
    """After BEGIN the first to read may be the scan; who comes later reads by SQL."""
    db.sql(WAL)
    fill(db)

    db.sql("begin")
    ((rows,),) = db.sql("select py_query('select * from t', 'by_pages')")
    first = db.sql("select py_option('scanned')")
    second = compare(db, "t")
    db.sql("commit")

    assert 1000 == rows
    assert [("pages",)] == first
    assert UNKNOWN == second
    assert "pages" == compare(db, "t")


def test_scan_leaves_to_sql_a_transaction_that_reads_already(
    host: Host, db: Database, tmp_path: Path
) -> None:
    """What it sees may be older than the log."""
    db.sql(WAL)
    fill(db)
    other = host.open(tmp_path / "t.db")
    db.sql("begin; select count(*) from t")
    other.sql("update t set n = 3")

    ways = compare_all(db)
    three = db.sql("select count(*) from t where n = 3")
    outer = compare_query(other, "select n from t")
    db.sql("commit")
    other.close()

    assert {UNKNOWN} == ways
    assert three[0][0] != 1000
    assert "pages" == outer
    assert "pages" == compare(db, "t")


def test_scan_leaves_to_sql_a_log_that_the_connection_has_for_itself(
    host: Host, tmp_path: Path
) -> None:
    """In exclusive mode transactions take no locks, and the index may be in memory."""
    db = host.open(tmp_path / "t.db")
    db.sql(WAL)
    fill(db)
    db.sql("pragma locking_mode = exclusive; update t set n = 4")
    shared = compare(db, "t")
    db.sql("pragma locking_mode = normal")
    begun = compare(db, "t")
    later = compare(db, "t")
    db.close()
    alone = host.open(tmp_path / "t.db")
    alone.sql("pragma locking_mode = exclusive; update t set n = 5")
    heap = compare(alone, "t")
    alone.sql("pragma locking_mode = normal")
    after = compare(alone, "t")
    (mode,) = alone.sql("pragma main.locking_mode")
    alone.close()

    assert [UNKNOWN, "pages", "pages", UNKNOWN] == [shared, begun, later, heap]
    assert after == ("pages" if mode == ("normal",) else UNKNOWN)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("mode=ro", "pages"),
        ("readonly_shm=1", UNKNOWN),
        ("immutable=1", "query: the database file is not locked"),
    ],
)
def test_scan_of_a_log_wants_shared_memory(
    host: Host, tmp_path: Path, query: str, wanted: str
) -> None:
    """Whoever opens the file in another way gets what SQL gives there."""
    # The connections of one process have one map of shared memory: so this one is here.
    kept = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    for statement in f"{WAL};{TABLE}{ROWS.format(n=1000)}{EMPTY}".split(";"):
        kept.execute(statement)
    kept.execute("update t set n = 3 where i < 100")

    db = host.open(f"file:{tmp_path / 't.db'}?{query}")
    how = compare(db, "t")
    db.close()
    kept.close()

    assert wanted == how


def test_scan_of_a_log_shares_no_page_cache(host: Host, tmp_path: Path) -> None:
    """In a shared cache another connection's transaction decides what is seen."""
    if "apsw" == host.kind:
        return  # built without shared caches, so every file is read like any other
    uri = f"file:{tmp_path / 't.db'}?cache=shared"
    a, b = host.open(uri), host.open(uri)
    a.sql(WAL)
    fill(a, 100)
    a.sql("begin; select count(*) from t")
    c = host.open(tmp_path / "t.db")
    c.sql("update t set n = -8")

    how = compare(b, "t")
    seen = b.sql("select count(*) from t where n = -8")
    a.sql("commit")
    for database in (a, b, c):
        database.close()

    assert "query: the page cache may be shared with another connection" == how
    assert [(0,)] == seen


# ---- Damage ------------------------------------------------------------------------


@pytest.fixture
def logged(host: Host, tmp_path: Path) -> Iterator[Database]:
    """A connection that keeps the index of a log of many frames."""
    db = host.open(tmp_path / "t.db")
    db.sql(f"pragma page_size = 512; vacuum; {WAL}")
    fill(db, 900)
    db.sql("pragma wal_checkpoint; update t set n = n / 3, s = s || s where i % 9 = 1")
    db.sql("insert into t(s) values (hex(zeroblob(3000)))")
    yield db
    db.close()


@pytest.mark.parametrize("seed", range(6))
def test_scan_of_a_damaged_log_equals_sql(
    host: Host, logged: Database, tmp_path: Path, log: Path, seed: int
) -> None:
    """Bytes of frames are changed behind the back of the index."""
    pick = random.Random(seed)  # noqa: S311 (no secrets)
    good = log.read_bytes()
    ways = {compare(logged, "t")}

    for _ in range(8):
        with log.open("r+b") as file:
            for _ in range(pick.randrange(1, 9)):
                file.seek(pick.randrange(32, len(good)))
                file.write(pick.randbytes(1))
            if pick.randrange(4) == 0:
                file.truncate(pick.randrange(len(good) // 2, len(good)))
        db = host.open(tmp_path / "t.db")
        with contextlib.suppress(HostError):  # a schema that cannot be read
            ways |= compare_all(db)
        db.close()
        log.write_bytes(good)

    assert "pages" in ways


def test_scan_leaves_frames_of_another_log_to_sql(
    host: Host, logged: Database, tmp_path: Path, log: Path
) -> None:
    """A frame says of which page it is, and has the salts of the log."""
    good = log.read_bytes()
    size = 24 + 512
    reason = "query: the file cannot be read to its end"
    ways = set()

    for place in (3, 8, 15):
        data = bytearray(good)
        for frame in range(32 + size, len(data), size):
            data[frame + place] ^= 1
        log.write_bytes(data)
        db = host.open(tmp_path / "t.db")
        ways.add(compare(db, "t"))
        db.close()
    log.write_bytes(good)

    assert {reason} >= ways - {"query: the file has no header"}
    assert "pages" == compare(logged, "t")


# ---- A writer in another process ---------------------------------------------------

WRITER = """
    import os, random, sqlite3, sys
    db = sqlite3.connect(sys.argv[1], timeout=20)
    db.isolation_level = None
    db.execute("pragma synchronous = off")
    db.execute("pragma wal_autocheckpoint = 0")
    db.execute("pragma cache_size = 9")
    pick = random.Random(7)
    now = 0
    reader = os.getppid()
    while os.getppid() == reader and not os.path.exists(sys.argv[2]):
        now += 1
        db.execute("begin immediate")
        db.execute("update t set now = ?", (now,))
        part = f"i % {pick.randrange(2, 9)} = 1"
        long = f"update t set filler = hex(zeroblob({pick.randrange(200)})) where "
        db.execute(long + part)
        if pick.randrange(3) == 0:
            db.execute("delete from t where i > 600")
        if pick.randrange(3) == 0:
            db.execute("insert into t(now, filler) select now, 'x' from t limit 300")
        db.execute("rollback" if pick.randrange(5) == 0 else "commit")
        how = pick.choice(["passive", "passive", "full", "restart", "truncate", ""])
        if how:
            try:
                db.execute(f"pragma wal_checkpoint({how})")
            except sqlite3.OperationalError:
                pass
"""


def test_scan_sees_the_version_of_its_transaction_while_another_process_writes(
    db: Database, tmp_path: Path
) -> None:
    """What is read by pages is what SQL reads next, in the same transaction."""
    db.sql("pragma page_size = 512; vacuum; pragma journal_mode = wal")
    db.sql("pragma busy_timeout = 20000")
    db.sql("create table t(i integer primary key, now int, filler text)")
    db.sql(
        "insert into t with recursive n(i) as (select 1 union all select i + 1 from n"
        " where i < 600) select i, 0, 'some' from n"
    )
    stop = tmp_path / "stop"
    code = textwrap.dedent(WRITER)
    writer = subprocess.Popen([sys.executable, "-c", code, tmp_path / "t.db", stop])
    seen: set[object] = set()
    ways = {"pages": 0, "query": 0}
    read = "select py_option('pages', {}), py_query('select * from t', '{}', 'arrow')"

    begun = time.monotonic()
    try:
        while writer.poll() is None:
            passed = time.monotonic() - begun
            if (passed > 1.5 and len(seen) > 20) or passed > 60:
                stop.touch()
            db.sql(f"begin; {read.format(1, 'by_pages')}")
            how = str(db.sql("select py_option('scanned')")[0][0])
            db.sql(f"{read.format(0, 'by_query')}; commit")
            ways[how.partition(":")[0]] += 1
            assert [(1,)] == db.sql("select py_eval('by_pages.equals(by_query)')"), how
            # Every commit gives all rows the same number.
            now = "by_pages.column(1).unique()"
            ((count, number),) = db.sql(
                f"select py_eval('len({now})'), py_eval('{now}[0].as_py()')"
            )
            assert 1 == count
            seen.add(number)
    finally:
        stop.touch()
        writer.wait()

    assert 0 == writer.returncode
    assert len(seen) > 20
    assert ways["pages"] > ways["query"]
    assert "pages" == compare(db, "t")
