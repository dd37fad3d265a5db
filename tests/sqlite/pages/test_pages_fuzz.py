"""py_table below SQL beside SQL: with a writer, at random, and over damaged files."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT, run
from tests.sqlite.scans import ROWS, TABLE, HostError, compare, compare_query, scan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.scans import Database, Host

ADAPTERS = "hosts/sqlite"
CORE = ["error", "memory", "pool", "linux", "table", "value", "stream"]
ADAPTER = ["pages", "program", "constants", "plan", "conditions", "settings"]
ADAPTER += [
    "predicate",
    "members",
    "pattern",
    "btree",
    "wal",
    "leaf",
    "sorted",
    "order",
    "value",
]
# Seconds beside a writer, and of damaged images; `make soak` takes long ones.
SOAK = "PYB_SOAK" in os.environ
BESIDE, DAMAGED = (30, "120") if SOAK else (1.5, "2")


# ---- Against a writer in another process -------------------------------------------


WRITER = """
    import os, random, sqlite3, sys, time
    db = sqlite3.connect(sys.argv[1], timeout=20)
    db.isolation_level = None
    db.execute("pragma synchronous = off")
    db.execute("pragma cache_size = 5")
    db.execute("pragma wal_autocheckpoint = 20")
    pick = random.Random(5)
    while not os.path.exists(sys.argv[2]):
        db.execute("begin immediate")
        for _ in range(30):
            a, b, n = pick.randrange(3001), pick.randrange(3001), pick.randrange(99)
            have = db.execute("select count(*) from t where i in (?, ?)", (a, b))
            if have.fetchone() == (2,):
                move = "update t set amount = amount + ? where i = ?"
                db.execute(move, (n, a))
                db.execute(move, (-n, b))
            long = "update t set filler = hex(zeroblob(?)) where i = ?"
            db.execute(long, (pick.randrange(900), a))
        db.execute("commit")
        if pick.randrange(3) == 0:
            db.execute("pragma wal_checkpoint(truncate)")
        time.sleep(0.002)
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_scan_sees_whole_transactions_of_another_process(
    db: Database, tmp_path: Path, mode: str
) -> None:
    """While another process moves amounts between rows, every scan sees their sum.

    It is so for more than 20 scans by pages; `make soak` looks for half a minute.
    """
    db.sql("pragma page_size = 512; vacuum; pragma busy_timeout = 20000")
    db.sql(f"pragma journal_mode = {mode}")
    db.sql("create table t(i integer primary key, amount int, filler text)")
    db.sql(
        "insert into t with recursive n(i) as (select 1 union all select i + 1 from n"
        " where i < 3000) select i, 100, hex(zeroblob(i % 40)) from n"
    )
    code = textwrap.dedent(WRITER)
    stop = tmp_path / "stop"
    writer = subprocess.Popen([sys.executable, "-c", code, tmp_path / "t.db", stop])
    scanned = {"pages": 0, "query": 0}
    total = "py_eval('sum(by_pages.column(1).to_pylist())')"

    begun = time.monotonic()
    while writer.poll() is None:
        # So long, and on a slow machine until there are enough of them.
        passed = time.monotonic() - begun
        if (passed > BESIDE and scanned["pages"] > 20) or passed > 90:
            stop.touch()
        assert scan(db, "t", pages=True) is None
        how = str(db.sql("select py_option('scanned')")[0][0])
        scanned[how.partition(":")[0]] += 1
        assert [(300000, 3000)] == db.sql(f"select {total}, py_eval('len(by_pages)')")
        if sum(scanned.values()) % 5 == 0:
            # In one read transaction both ways must see the same state.
            db.sql("begin; select count(*) from sqlite_master")
            compare(db, "t")
            compare_query(db, "select filler, amount from t")
            compare_query(db, "select amount, i from t where amount > 100")
            db.sql("commit")

    assert 0 == writer.returncode
    assert scanned["pages"] > 20
    db.sql("pragma wal_checkpoint(truncate)")
    assert "pages" == compare(db, "t")


# ---- At random ---------------------------------------------------------------------

TYPES = [
    "",
    "int",
    "integer",
    "real",
    "text",
    "blob",
    "numeric",
    "varchar(9)",
    "double",
]


def random_value(pick: random.Random) -> str:
    """Return a literal of any type and length."""
    number = pick.getrandbits(pick.randrange(1, 63)) * pick.choice([1, -1])
    length = pick.choice([100, 300, 600, 3000, 9000])
    text = "".join(pick.choices("abcé €", k=pick.randrange(9)))
    literals = [
        "null",
        str(pick.randrange(-3, 4)),
        str(number),
        repr(pick.choice([0.5, 1.0, -2.25, 1e18, 3e-9, pick.random()])),
        f"x'{pick.randbytes(pick.randrange(12)).hex()}'",
        f"hex(zeroblob({length}))" if pick.randrange(12) == 0 else "''",
        f"'{text}'",
        f"'{text}'",
    ]
    return pick.choice(literals)


def random_table(pick: random.Random, db: Database) -> list[str]:
    """Create a table and return the names of its columns."""
    columns = [f"c{i}" for i in range(pick.randrange(1, 9))]
    defined = [f"{name} {pick.choice(TYPES)}" for name in columns]
    if pick.randrange(2):
        columns.insert(where := pick.randrange(len(columns)), "id")
        defined.insert(where, "id integer primary key")
    db.sql(f"create table t({', '.join(defined)})")
    return columns


def random_change(pick: random.Random, db: Database, columns: list[str]) -> None:
    """Insert, update, delete, add a column, or vacuum."""
    values = [name for name in columns if name != "id"]
    match pick.randrange(12):
        case 0:
            db.sql(f"delete from t where rowid % {pick.randrange(2, 9)} = 0")
        case 1:
            value = random_value(pick)
            db.sql(f"update t set {pick.choice(values)} = {value} where rowid % 5 = 1")
        case 2 if len(columns) < 14:
            value = random_value(pick)
            default = "" if "(" in value else f" default {value}"
            name = f"c{len(columns)}x"
            db.sql(f"alter table t add column {name} {pick.choice(TYPES)}{default}")
            columns.append(name)
        case 3 if pick.randrange(3) == 0:
            db.sql("vacuum")
        case 4 if pick.randrange(2) == 0:
            db.sql("create index if not exists i on t(" + pick.choice(values) + ")")
        case _:
            rows = [
                "(" + ", ".join(random_value(pick) for _ in values) + ")"
                for _ in range(pick.choice([1, 5, 60, 200]))
            ]
            db.sql(f"insert into t({', '.join(values)}) values {', '.join(rows)}")


# A query may go by an index, or meet a row that is older than one of its columns.
DECLINED = (
    "query: the query wants more than columns of a rowid table",
    "query: a row from before ALTER TABLE wants a default",
    "query: a comparison takes text for a number",
    "query: a comparison takes a number for text",
    "query: the query compares with what cannot be told",
    "query: a pattern is matched with what is not text",
    "query: an index may be taken for the values of the parameters",
    "query: a column to sort by holds values of more than one type",
    "query: OFFSET has no LIMIT",
)


def random_condition(pick: random.Random, value: str) -> str:
    """Return what a column is compared with: a value, a list of some, a pattern."""
    if pick.randrange(3) == 0:
        n = pick.choice([0, 1, 2, 3, 9])
        listed = [value, *(random_value(pick) for _ in range(n))]
        return f"{pick.choice(['in', 'not in'])} ({', '.join(listed)})"
    if pick.randrange(3) == 0 and value != "?":
        pattern = "".join(pick.choices("%%__**??abcé €[^-]1", k=pick.randrange(6)))
        how = pick.choice(["like", "not like", "glob", "not glob"])
        return f"{how} '{pattern}'"
    how = pick.choice(["<", "<=", ">", ">=", "=", "<>", "is", "is not"])
    return f"{how} {value}"


def random_test(pick: random.Random, columns: list[str], params: list[str]) -> str:
    """Return a comparison, or some of them; the values of parameters go to `params`."""
    column = pick.choice([*columns, "rowid"])
    value = random_value(pick)
    if pick.randrange(4) == 0:
        params.append(value)
        value = "?"
    match pick.randrange(11):
        case 0:
            return f"{column} is {pick.choice(['', 'not '])}null"
        case 1:
            return f"{column} between {value} and {pick.choice(columns)}"
        case 2:
            return pick.choice([column, f"not {column}"])
        case 3:
            return f"{column} {pick.choice(['<', '=', 'is'])} {pick.choice(columns)}"
        case 4 | 5:
            # The first test comes first in the text, and so do its parameters.
            first = f"{column} {pick.choice(['<', '>='])} {value}"
            second = random_test(pick, columns, params)
            joined = f"({first} {pick.choice(['and', 'or'])} {second})"
            return pick.choice(["", "not "]) + joined
        case _:
            return f"{column} {random_condition(pick, value)}"


def random_query(pick: random.Random, columns: list[str], params: list[str]) -> str:
    """Return a query for some columns, in any order, some under another name."""
    chosen = pick.sample([*columns, "rowid"], pick.randrange(1, len(columns) + 2))
    named = [n if pick.randrange(3) else f'{n} as "n {n}"' for n in chosen]
    rest = pick.choice(["", "", "", "not indexed", "where 1", "order by rowid", ";"])
    source = pick.choice(["t", "t", "main.t as u", "(select *, rowid from t)"])
    if source.startswith("("):
        rest = ""
    elif pick.randrange(3):
        rest = f"where {random_test(pick, columns, params)}"
    if rest.startswith(("where", "not")) and pick.randrange(3) == 0:
        order = pick.choices([*columns, "rowid"], k=pick.randrange(1, 4))
        order = [name + pick.choice(["", " desc"]) for name in order]
        rest += f" order by {', '.join(order)}"
    if pick.randrange(4) == 0 and rest != ";":
        rest += f" limit {pick.choice([1, 7, 50, -1])}"
        rest += pick.choice(["", f" offset {pick.randrange(9)}"])
    return f"select {', '.join(named)} from {source} {rest}"


@pytest.mark.parametrize("seed", range(40))
def test_scan_equals_sql_on_random_tables(
    host: Host, tmp_path: Path, seed: int
) -> None:
    """Any schema, any rows, any history of changes, any columns and any range."""
    pick = random.Random(f"{host.kind} {seed}")  # noqa: S311 (no secrets)
    db = host.open(tmp_path / "t.db")
    vacuum = pick.choice([0, 0, 0, 1, 2])
    db.sql(f"pragma page_size = {512 << pick.randrange(8)}")
    db.sql(f"pragma auto_vacuum = {vacuum}")
    if pick.randrange(2):
        db.sql("pragma journal_mode = wal")
        db.sql(f"pragma wal_autocheckpoint = {pick.choice([0, 7, 100])}")
    columns = random_table(pick, db)

    for _ in range(12):
        random_change(pick, db, columns)
        if pick.randrange(4) == 0:  # nothing without a log
            db.sql(f"pragma wal_checkpoint({pick.choice(['passive', 'restart'])})")
        chosen = ",".join(name for name in columns if pick.randrange(3)) or "*"
        ends = sorted(pick.randrange(-5, 900) for _ in range(2))
        limits = pick.choice(
            ["null, null", f"{ends[0]}, {ends[1]}", f"{ends[0]}, null"]
        )
        how = compare(db, "t", f", {limits}, '{chosen}'")
        if vacuum == 0:
            assert "pages" == how
        for _ in range(4):
            params: list[str] = []
            query = random_query(pick, columns, params)
            how = compare_query(db, query, *params)
            if vacuum == 0:
                assert how == "pages" or how in DECLINED, query

    db.close()


@pytest.mark.parametrize("seed", range(30))
def test_scan_of_a_damaged_file_equals_sql(
    host: Host, tmp_path: Path, seed: int
) -> None:
    """Bytes changed or cut off: the values are SQL's, or the error is SQL's."""
    pick = random.Random(seed)  # noqa: S311 (no secrets)
    path = tmp_path / "t.db"
    with sqlite3.connect(path, isolation_level=None) as made:
        made.execute(f"pragma page_size = {pick.choice([512, 1024, 4096])}")
        made.execute(TABLE)
        made.execute(ROWS.format(n=600))
        made.execute("insert into t(s) values (hex(zeroblob(9000)))")
    made.close()
    good = path.read_bytes()

    for _ in range(8):
        damaged = bytearray(good)
        for _ in range(pick.randrange(1, 5)):
            damaged[pick.randrange(len(damaged))] = pick.randrange(256)
        if pick.randrange(4) == 0:
            del damaged[pick.randrange(len(damaged) // 2, len(damaged)) :]
        path.write_bytes(damaged)
        db = host.open(path)
        try:
            compare(db, "t")
            compare(db, "t", ", 100, 900, 'n,s'")
            compare_query(db, "select s, r as ratio, rowid from t")
            compare_query(db, "select b, i from t where n > 5 or s < 'a u'")
            compare_query(db, "select * from t where s >= 'a' limit 200")
            compare_query(db, "select * from t order by s desc, n")
            compare_query(db, "select b, x from t where n < 9 order by r limit 90")
        except HostError:
            pass  # a schema that cannot be read has no options either
        db.close()


def test_range_of_a_tree_out_of_order_equals_sql(host: Host, tmp_path: Path) -> None:
    """SQLite halves a page to find where a range begins, and so sees other keys."""
    path = tmp_path / "t.db"
    with sqlite3.connect(path, isolation_level=None) as made:
        made.execute("pragma page_size = 512")
        made.execute("create table t(i integer primary key, s text)")
        made.execute(
            "insert into t with recursive n(i) as (select 1 union all select i + 1"
            " from n where i < 1500) select i, 'some text' from n"
        )
    made.close()
    damaged = bytearray(path.read_bytes())
    root = damaged[512:1024]
    assert root[0] == 5
    cells = int.from_bytes(root[3:5], "big")
    for cell in range(cells // 2 - 1, cells // 2 + 1):
        damaged[524 + 2 * cell : 526 + 2 * cell] = root[12:14]
    path.write_bytes(damaged)

    db = host.open(path)
    for start in range(1, 1500, 60):
        compare(db, "t", f", {start}, {start + 70}")
        compare_query(db, f"select s from t where i between {start} and {start + 9}")
    db.close()


def test_scan_withstands_damaged_images_under_the_sanitizers(tmp_path: Path) -> None:
    """Damaged images make no read beyond what is there, and nothing that SQL is not.

    As many of each kind as are counted at the end; `make soak` tries for two minutes.
    """
    program = tmp_path / "fuzz_pages"
    command: list[str | Path] = ["gcc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra"]
    command += ["-Werror", "-DSQLITE_CORE", "-DPYB_TEST", "-fno-sanitize-recover=all"]
    command += ["-fsanitize=address,undefined", "-o", program]
    command += [f"-I{ROOT / 'c' / folder}" for folder in ("include", "core", ADAPTERS)]
    command += [ROOT / "tests/c/fuzz_pages.c"]
    command += [ROOT / "c/core" / f"{name}.c" for name in CORE]
    command += [ROOT / "c" / ADAPTERS / f"{name}.c" for name in ADAPTER]
    compiled = run(*command, "-lsqlite3", "-ldl", "-lm", "-lpthread")
    assert 0 == compiled.returncode, compiled.stderr

    ended = run(program, DAMAGED, str(time.time_ns() % 10**9), tmp_path)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    counts = dict(re.findall(r"(\w+) (\d+)", ended.stdout))
    assert int(counts["scanned"]) > 500
    assert int(counts["filtered"]) > 200
    assert int(counts["sorted"]) > 100
    assert int(counts["declined"]) > 100
    assert int(counts["starved"]) > 50
    assert int(counts["walked"]) > 50
    assert int(counts["logged"]) > 100
    assert int(counts["looked"]) > 100
    assert int(counts["found"]) > 1000
    assert 0 == int(counts["live"])
