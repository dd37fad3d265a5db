"""py_write and host.write: rows of a frame to a table, all or nothing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import apsw
import pytest

from tests.sqlite.columns import ARROW, COLUMNS, IMPORTS, ROUND_TRIPS, WRONG
from tests.sqlite.hosts import SqlError, load, quote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.hosts import Driver, Host

ABC = "import pandas as pd; df = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})"
# Writes any stream as it is, without the package's own conversions before it.
RAW = """
import itertools, pyarrow as pa, pybridge._plane as plane
def write(table, name='t', mode='fail'):
    return plane.host_write(table, name, mode)
"""


@pytest.mark.parametrize(("column", "declared", "cells", "kind"), COLUMNS)
def test_write_stores_each_type(
    driver: Driver, column: str, declared: str, cells: list[object], kind: str
) -> None:
    """What a table holds is what py_frame shows: type for type, cell for cell."""
    driver.run(IMPORTS + f"df = pd.DataFrame({{'x': {column}}})")

    count = driver.value("select py_write('df', 't')")

    assert 3 == count
    assert [(cell,) for cell in cells] == driver.rows("select x from t order by rowid")
    assert {(kind,), ("null",)} >= set(driver.rows("select typeof(x) from t"))
    assert declared == driver.value("select type from pragma_table_info('t')")


@pytest.mark.parametrize(("column", "dtype"), ROUND_TRIPS)
def test_write_then_query_gives_the_frame_back(
    driver: Driver, column: str, dtype: str
) -> None:
    """A frame that is written and read with its declared types is equal."""
    driver.run(IMPORTS + f"df = pd.DataFrame({{'x': {column}}})")

    driver.rows("select py_write('df', 't')")
    driver.rows("select py_query('select * from t', 'back', '', '{\"parse\": true}')")

    assert dtype == driver.eval("str(back.x.dtype)")
    assert driver.eval(
        "back.x.tolist() == df.x.tolist() or str(back.x.tolist()) == "
        "str(df.astype(back.x.dtype).x.tolist())"
    )


@pytest.mark.parametrize(("array", "declared", "cells"), ARROW)
def test_write_reads_each_arrow_type(
    driver: Driver, array: str, declared: str, cells: list[object]
) -> None:
    """Every type that an Arrow stream can have is stored exactly."""
    driver.run(IMPORTS + RAW + f"rows = pa.table({{'x': {array}}})")

    count = driver.eval("write(rows)")

    assert len(cells) == count
    assert [(cell,) for cell in cells] == driver.rows("select x from t order by rowid")
    assert declared == driver.value("select type from pragma_table_info('t')")


def test_write_reads_struct_offsets(driver: Driver) -> None:
    """A batch that is a slice of a larger one gives its own rows only."""
    driver.run(
        IMPORTS
        + RAW
        + "batch = pa.record_batch({'a': [1, 2, 3], 's': ['x', None, 'z']})\n"
        "rows = pa.RecordBatchReader.from_batches(batch.schema, "
        "[batch.slice(1, 2), batch.slice(0, 0), batch.slice(2)])"
    )

    assert 3 == driver.eval("write(rows)")
    assert [(2, None), (3, "z"), (3, "z")] == driver.rows("select * from t")


@pytest.mark.parametrize(("array", "words"), WRONG)
def test_write_refuses_what_is_not_exact(
    driver: Driver, array: str, words: str
) -> None:
    """What SQL cannot hold, and what no sound stream has, is an error."""
    driver.run(IMPORTS + RAW + f"rows = pa.table({{'x': {array}}})")

    message = driver.error("select py_eval('write(rows)')")

    assert words in message
    assert [] == driver.rows("select name from sqlite_master")


# ---- Modes ----


def test_write_modes(host: Host) -> None:
    """Fail refuses a table that exists, append adds to it, replace makes it anew."""
    host.run(ABC)
    host.rows("select py_write('df', 't')")

    message = host.error("select py_write('df', 't')")
    added = host.value("select py_write('df', 't', 'append')")
    four = host.value("select count(*) from t")
    host.run("df = pd.DataFrame({'z': [0.5]})")
    made = host.value("select py_write('df', 'T', 'replace')")

    assert 'py_write: table "t" exists; choose mode replace or append' == message
    assert (2, 4, 1) == (added, four, made)
    assert [(0.5,)] == host.rows("select z from t")


def test_write_appends_by_name(host: Host) -> None:
    """Columns go by name; one may miss that has a default or is made by itself."""
    host.run(ABC)
    host.rows(
        "create table t(id integer primary key, B text, c text default 'none', "
        "A integer, d as (a * 10), e integer generated always as (a + 1) stored)"
    )

    host.rows("select py_write('df', 't', 'append')")

    assert [(1, "x", "none", 1, 10, 2), (2, None, "none", 2, 20, 3)] == host.rows(
        "select * from t"
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            "a, b, c",
            'the frame has no column "c", which table "t" has without a default',
        ),
        ("a", 'table "t" has no column "b", which the frame has'),
        ("a, b as (a + 1)", 'column "b" of table "t" is generated'),
        ("a, B, b2 as (1), id integer", 'has no column "id"'),
        ("a, b, c integer, primary key (c, a)", 'has no column "c"'),
        ("a, b, c integer primary key desc", 'has no column "c"'),
        ("a, b, c integer primary key) without rowid --", 'has no column "c"'),
    ],
)
def test_write_append_refuses_other_columns(
    host: Host, columns: str, words: str
) -> None:
    """A column too many on either side is an error that names it."""
    host.run(ABC)
    host.rows(f"create table t({columns})")

    assert words in host.error("select py_write('df', 't', 'append')")
    assert [] == host.rows("select 1 from t")


@pytest.mark.parametrize("name", ["rowid", "_ROWID_", "oid"])
def test_write_append_takes_no_rowid_for_a_column(host: Host, name: str) -> None:
    """Names of the rowid are columns only where the table has columns called so."""
    host.run(f"import pandas as pd; df = pd.DataFrame({{'a': [1], {name!r}: [7]}})")
    host.rows(f"create table t(a); create table own(a, {name})")

    assert "of its own, which the frame has" in host.error(
        "select py_write('df', 't', 'append')"
    )
    assert 1 == host.value("select py_write('df', 'own', 'append')")


def test_write_keeps_the_target_s_types(host: Host) -> None:
    """Appended cells take the affinity of the table's columns, as in any insert."""
    host.run("import pandas as pd; df = pd.DataFrame({'a': [1, 2]})")
    host.rows("create table t(a text)")

    host.rows("select py_write('df', 't', 'append')")

    assert [("1", "text"), ("2", "text")] == host.rows("select a, typeof(a) from t")


NAMES = [
    ("t", "main", "t"),
    ("main.t", "main", "t"),
    ("temp.t", "temp", "t"),
    ("other.t", "other", "t"),
    ('"other"."t"', "other", "t"),
    ("[other].`t`", "other", "t"),
    ('"a.b"', "main", "a.b"),
    ('"a""b"', "main", 'a"b'),
    ("two words", "main", "two words"),
    ("select", "main", "select"),
    ("Größe", "main", "Größe"),
    ("it's", "main", "it's"),
    ("[a]]", None, None),
]


@pytest.mark.parametrize(("given", "schema", "table"), NAMES)
def test_write_takes_any_name(
    host: Host, given: str, schema: str | None, table: str | None
) -> None:
    """A table may be qualified and quoted, and have any name."""
    host.run(ABC)
    host.rows("attach ':memory:' as other")
    call = f"select py_write('df', {quote(given)}, 'replace')"

    if schema is None or table is None:
        assert "is no name of a table" in host.error(call)
        return
    host.rows(call)
    host.rows(call)

    quoted = table.replace('"', '""')
    assert [(1, "x"), (2, None)] == host.rows(f'select * from {schema}."{quoted}"')


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'df', 'nowhere.t'", 'no database "nowhere" is attached'),
        ("'df', 't', 'upsert'", 'mode "upsert" is not known'),
        ("'df', 'v'", '"v" is a view'),
        ("'df', 'v', 'replace'", '"v" is a view'),
        ("'df', 'sqlite_x'", "reserved"),
        ("'nothing', 't'", "'nothing'"),
        ("'number', 't'", "frame"),
        ("'bare', 't'", "no columns"),
        ("'twice', 't'", '"a" and "A" have one name'),
        ("'twice', 'one', 'append'", '"a" and "A"'),
        ("'df', ''", "table is missing"),
        ("'', 't'", "variable is missing"),
        ("'df', null", "table is missing"),
        ("'df', 'seen', 'append'", "may not be modified"),
    ],
)
def test_write_says_what_is_wrong(host: Host, arguments: str, words: str) -> None:
    """Each wrong call has words of its own, and the next statement works."""
    host.run(
        ABC + "\nnumber = 5; bare = df[[]]; twice = pd.DataFrame({'a': [1], 'A': [2]})"
    )
    host.rows("create view v as select 1; create table one(a)")
    host.rows("create virtual table temp.seen using py_frame(df)")

    message = host.error(f"select py_write({arguments})")

    assert message.startswith("py_write: ")
    assert words in message
    assert 2 == host.value("select py_write('df', 't')")


def test_write_finds_an_unqualified_name_where_sql_does(host: Host) -> None:
    """Temp goes before main, main before what is attached; a new table is in main."""
    host.run(ABC)
    host.rows("create temp table t(a, b)")

    host.rows("select py_write('df', 't', 'append')")

    assert 2 == host.value("select count(*) from temp.t")
    assert [] == host.rows("select name from main.sqlite_master")


# ---- All or nothing ----

MANY = """
import numpy as np, pandas as pd
df = pd.DataFrame({'a': np.arange(200_000)})
df.loc[150_000, 'a'] = 7
"""


@pytest.mark.parametrize("begin", ["", "begin; insert into t values (-1);"])
def test_write_undoes_a_broken_constraint(host: Host, begin: str) -> None:
    """A row that breaks a constraint undoes all rows, and no more than them."""
    host.run(MANY)
    host.rows("create table t(a integer unique)")
    host.rows(begin + "select 1")

    message = host.error("select py_write('df', 't', 'append')")

    assert "py_write: row 150001: UNIQUE constraint failed: t.a" == message
    assert ([(-1,)] if begin else []) == host.rows("select * from t")
    if begin:
        host.rows("commit")
        assert [(-1,)] == host.rows("select * from t")


FAILING = (
    RAW
    + """
schema = pa.schema({'a': pa.int64()})
def batches():
    for i in range(5):
        yield pa.record_batch({'a': list(range(1000))}, schema=schema)
    raise KeyError('batch five')
"""
)


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("begin", [False, True])
def test_write_undoes_a_stream_that_fails(host: Host, mode: str, begin: bool) -> None:
    """A stream that fails half-way leaves the table as it was: not replaced either."""
    host.run(FAILING + "rows = pa.RecordBatchReader.from_batches(schema, batches())")
    host.rows("create table t(a integer); insert into t values (42)")
    if begin:
        host.rows("begin; insert into t values (43)")

    message = host.error(f"select py_eval('write(rows, ''t'', ''{mode}'')')")

    assert "batch five" in message
    assert [(42,), (43,)][: 1 + begin] == host.rows("select * from t")
    if begin:
        host.rows("rollback")
        assert [(42,)] == host.rows("select * from t")


def test_write_undoes_a_deferred_violation(host: Host) -> None:
    """A foreign key that is checked at the end is checked before the rows are kept."""
    host.run("import pandas as pd; df = pd.DataFrame({'a': [1, 2]})")
    host.rows("pragma foreign_keys = on; create table p(id integer primary key)")
    host.rows("create table t(a integer references p deferrable initially deferred)")

    assert "FOREIGN KEY" in host.error("select py_write('df', 't', 'append')")
    assert [] == host.rows("select * from t")
    assert 1 == host.value("select py_eval('1')")


def test_write_undoes_a_full_disk(driver: Driver) -> None:
    """A database that may not grow refuses all rows."""
    driver.run(MANY)
    driver.rows("pragma max_page_count = 50")

    message = driver.error("select py_write('df', 't')")

    assert "full" in message
    assert [] == driver.rows("select name from sqlite_master")
    driver.rows("pragma max_page_count = 100000")
    assert 200_000 == driver.value("select py_write('df', 't')")


def test_write_undoes_an_interrupt(driver: Driver) -> None:
    """An interrupt undoes all rows. Inside a transaction SQLite undoes that as well."""
    driver.run(
        RAW + "schema = pa.schema({'a': pa.int64()})\n"
        "def batches():\n"
        "    for i in itertools.count():\n"
        "        if i == 3: stop()\n"
        "        yield pa.record_batch({'a': list(range(1000))}, schema=schema)\n"
    )
    stop = driver.db.interrupt
    context = driver.value("select py_context()")
    import pybridge.context

    pybridge.context.get(context).namespace["stop"] = stop
    driver.run("rows = pa.RecordBatchReader.from_batches(schema, batches())")
    driver.rows("create table t(a)")

    message = driver.error("select py_eval('write(rows, ''t'', ''append'')')")

    assert "interrupt" in message.lower()
    assert [] == driver.rows("select * from t")
    assert driver.db.in_transaction is False


def stopped_at(driver: Driver, step: int, sql: str) -> bool:
    """Run a statement, which the host's progress handler stops once; was it?"""
    steps = itertools.count()
    driver.db.set_progress_handler(lambda: next(steps) == step, 1)
    try:
        driver.rows(sql)
    except SqlError as error:
        if "interrupt" not in str(error).lower():
            raise
        return True
    else:
        return False
    finally:
        driver.db.set_progress_handler(None)


@pytest.mark.parametrize("begin", [False, True])
@pytest.mark.parametrize("how", ["write", "transaction"])
def test_write_stopped_at_any_step_is_all_or_nothing(
    driver: Driver, how: str, begin: bool
) -> None:
    """An error means that nothing was written, and that no savepoint is left.

    In a transaction SQLite undoes that as well, at some of the steps.
    """
    driver.run(
        "import pandas as pd; from pybridge import host\n"
        "df = pd.DataFrame({'a': [1, 2]})\n"
        "def transaction():\n"
        "    with host.transaction():\n"
        "        host.execute('insert into t values (1)')\n"
        "        host.execute('insert into t values (2)')"
    )
    driver.rows("create table t(a)")
    sql = (
        "py_write('df', 't', 'append')" if how == "write" else "py_call('transaction')"
    )

    for step in itertools.count():
        if begin:
            driver.rows("begin; insert into t values (0)")
        if not stopped_at(driver, step, f"select {sql}"):
            break
        rows = driver.rows("select a from t")
        assert rows in ([], [(0,)]), step
        if driver.db.in_transaction:
            assert begin, step
            driver.rows("rollback")

    wanted = [(0,), (1,), (2,)] if begin else [(1,), (2,)]
    assert wanted == driver.rows("select a from t")
    assert begin == driver.db.in_transaction
    if begin:
        driver.rows("commit")


def test_write_can_be_rolled_back(host: Host) -> None:
    """The rows belong to the caller's transaction."""
    host.run(ABC)
    host.rows("begin")
    host.rows("select py_write('df', 't')")

    host.rows("rollback")

    assert [] == host.rows("select name from sqlite_master")


def test_write_inside_a_writing_statement_is_refused(host: Host) -> None:
    """SQLite cannot open a savepoint while a statement writes: that is said."""
    host.run(ABC)
    host.rows("create table log(n)")

    message = host.error("insert into log select py_write('df', 't')")

    assert "inside a statement that writes itself" in message
    assert [] == host.rows("select * from log")


def test_write_replace_while_a_statement_reads_is_refused(host: Host) -> None:
    """A table cannot be dropped under a reader; append can go on."""
    host.run(ABC)
    host.rows("select py_write('df', 't')")

    message = host.error("select py_write('df', 't', 'replace') from t")
    host.rows("select py_write('df', 'copies', 'append') from t")

    assert "while a statement on this connection reads" in message
    assert 4 == host.value("select count(*) from copies")
    assert 2 == host.value("select count(*) from t")


def test_write_to_a_locked_file_says_so(driver: Driver, tmp_path: Path) -> None:
    """Another connection's lock is SQLite's own error, and nothing is left behind."""
    path = tmp_path / "locked.db"
    driver.open(path)
    driver.run(ABC)
    driver.rows("create table t(a, b)")
    other = apsw.Connection(str(path))
    other.execute("begin immediate")

    message = driver.error("select py_write('df', 't', 'append')")
    other.execute("rollback")

    assert "locked" in message
    assert driver.db.in_transaction is False
    assert 2 == driver.value("select py_write('df', 't', 'append')")


def test_write_to_a_read_only_file_says_so(host: Host) -> None:
    """A database that is not to be written is an error."""
    host.run(ABC)
    host.rows("pragma query_only = on")

    assert "readonly" in host.error("select py_write('df', 't')")
    host.rows("pragma query_only = off")


def test_write_runs_triggers_and_counts_rows(host: Host) -> None:
    """Triggers run for each row; the count is of the frame's rows."""
    host.run(ABC)
    host.rows(
        "create table t(a, b); create table log(a);"
        "create trigger tr after insert on t begin insert into log values (new.a); end"
    )

    assert 2 == host.value("select py_write('df', 't', 'append')")
    assert [(1,), (2,)] == host.rows("select * from log")


def test_write_from_python_inside_a_write(host: Host) -> None:
    """A stream that is read may write another table on the same connection."""
    host.run(
        RAW + "from pybridge import host\n"
        "schema = pa.schema({'a': pa.int64()})\n"
        "def batches():\n"
        "    for i in range(3):\n"
        "        host.query('select 1')\n"
        "        yield pa.record_batch({'a': [i]}, schema=schema)\n"
        "rows = pa.RecordBatchReader.from_batches(schema, batches())"
    )

    assert 3 == host.eval("write(rows)")
    assert [(0,), (1,), (2,)] == host.rows("select * from t")


def test_write_into_a_utf16_database(driver: Driver) -> None:
    """Text is stored in the encoding of the database."""
    driver.rows("pragma encoding = 'UTF-16le'")
    driver.run("import pandas as pd; df = pd.DataFrame({'a': ['Größe\U0001f40d', '']})")

    driver.rows("select py_write('df', 't')")

    assert [("Größe\U0001f40d",), ("",)] == driver.rows("select a from t")


def test_write_of_two_thousand_columns(driver: Driver) -> None:
    """A frame as wide as a table may be is written."""
    driver.run(
        "import pandas as pd\n"
        "df = pd.DataFrame([range(2000)], columns=[f'c{i}' for i in range(2000)])"
    )

    assert 1 == driver.value("select py_write('df', 't')")
    assert [(0, 1999)] == driver.rows("select c0, c1999 from t")


def test_write_without_rows_makes_the_table(host: Host) -> None:
    """No rows: the table is there, with its types."""
    host.run(
        "import numpy as np; df = {'a': np.array([], 'i8'), 'b': np.array([], 'f8')}"
    )

    assert 0 == host.value("select py_write('df', 't')")
    assert [("INTEGER",), ("REAL",)] == host.rows(
        "select type from pragma_table_info('t')"
    )


def test_write_too_long_text_is_an_error(driver: Driver) -> None:
    """A text above the limit of the host is refused, with all rows."""
    driver.run("df = {'a': ['x' * 2000, 'y']}")
    before = driver.db.limit(apsw.SQLITE_LIMIT_LENGTH, 1000)

    try:
        message = driver.error("select py_write('df', 't')")
    finally:
        driver.db.limit(apsw.SQLITE_LIMIT_LENGTH, before)

    assert "too big" in message
    assert [] == driver.rows("select name from sqlite_master")


def test_write_a_million_rows(driver: Driver, tmp_path: Path) -> None:
    """A large frame is written to a file whole, and the file is sound."""
    path = tmp_path / "large.db"
    driver.open(path)
    driver.run(
        IMPORTS + "r = np.random.default_rng(1); n = 1_000_000\n"
        "df = pd.DataFrame({'i': r.integers(-2**62, 2**62, n), 'f': r.random(n),"
        " 's': pd.Series([None if i % 20 == 0 else f'x{i}' for i in range(n)])})"
    )

    count = driver.value("select py_write('df', 't')")
    driver.rows("select py_query('select * from t', 'back')")

    assert 1_000_000 == count
    assert driver.eval("int(back.equals(df))")
    assert "ok" == driver.value("pragma integrity_check")


def test_write_leaves_nothing_behind(driver: Driver) -> None:
    """Neither success nor failure keeps a savepoint or rows."""
    driver.run(FAILING + ABC)

    for _ in range(3):
        driver.run("rows = pa.RecordBatchReader.from_batches(schema, batches())")
        driver.error("select py_eval('write(rows)')")
        driver.rows("select py_write('df', 't', 'replace')")

    assert driver.db.in_transaction is False
    assert "no rows at hand" in driver.error('select * from "pybridge rows 2"')


def test_write_leaves_running_statements_alone(host: Host) -> None:
    """A statement that runs may still open tables after a write."""
    host.run(ABC)
    host.rows("create table o(x); insert into o values (1), (2), (3)")

    rows = host.rows(
        "select x, py_write('df', 't' || x), "
        "(select count(*) from o i where i.x <= o.x) from o"
    )

    assert [(1, 2, 1), (2, 2, 2), (3, 2, 3)] == rows


def test_write_works_on_every_connection(tmp_path: Path) -> None:
    """Two connections write to one file in turn."""
    path = str(tmp_path / "shared.db")
    connections = [apsw.Connection(path) for _ in range(2)]
    for connection in connections:
        load(connection)
        connection.execute("select py_context('write-both')").fetchall()

    for connection, first in zip(connections, itertools.count(1), strict=False):
        connection.execute(f"select py_exec('df = {{''a'': [{first}]}}')").fetchall()
        connection.execute("select py_write('df', 't', 'append')").fetchall()

    assert [(1,), (2,)] == list(connections[0].execute("select a from t"))
    for connection in connections:
        connection.close()
