"""py_frame: a frame as a table to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite.columns import COLUMNS, IMPORTS

if TYPE_CHECKING:
    from tests.sqlite.hosts import Driver, Host, Shell


def make(host: Host, code: str) -> None:
    """Run code that makes frames, and make the table `t` of `df`."""
    host.run(IMPORTS + code)
    host.rows("create virtual table temp.t using py_frame(df)")


@pytest.mark.parametrize(("column", "declared", "cells", "kind"), COLUMNS)
def test_frame_gives_each_type(
    driver: Driver, column: str, declared: str, cells: list[object], kind: str
) -> None:
    """Each type of a column has a declared type and cells that are exact."""
    make(driver, f"df = pd.DataFrame({{'x': {column}}})")

    read = driver.rows("select x from t order by rowid")
    kinds = driver.rows("select distinct typeof(x) from t where x is not null")
    types = driver.rows("select type from pragma_table_info('t')")

    assert [(cell,) for cell in cells] == read
    assert [(kind,)] == kinds or kind == "null"
    assert [(declared,)] == types


def test_frame_reads_in_the_shell(shell: Shell) -> None:
    """The same in a host that has no Python of its own."""
    make(
        shell, "df = pd.DataFrame({'a': [1, 2], 's': ['x', None], 'f': [0.5, np.nan]})"
    )

    assert [(1, 1, "x", 0.5), (2, 2, None, None)] == shell.rows(
        "select rowid, * from t"
    )


def test_frame_text_with_nul_is_whole(host: Host) -> None:
    """A NUL in a text is data."""
    make(host, "df = pd.DataFrame({'x': ['a\\0b']})")

    assert "610062" == host.value("select hex(x) from t")


@pytest.mark.parametrize(
    "kind",
    [
        "pa.table({'a': [1], 'b': ['x']})",
        "{'a': [1], 'b': ['x']}",
        "__import__('polars').DataFrame({'a': [1], 'b': ['x']})",
        "[{'a': 1, 'b': 'x'}]",
    ],
)
def test_frame_takes_other_frames(driver: Driver, kind: str) -> None:
    """Any frame will do, not only a DataFrame."""
    make(driver, f"df = {kind}")

    assert [(1, "x")] == driver.rows("select a, b from t")


def test_frame_of_many_batches_is_one_table(host: Host) -> None:
    """Batches, empty ones and slices among them, follow each other."""
    make(
        host,
        "one = pa.chunked_array([[0, None, 2], [], [3], [99, 4, 5, 99]])\n"
        "df = pa.table({'x': pa.chunked_array("
        "[*one.chunks[:3], one.chunks[3].slice(1, 2)])})",
    )

    assert [(0,), (None,), (2,), (3,), (4,), (5,)] == host.rows("select x from t")
    assert [(6, 5), (5, 4), (4, 3), (3, 2)] == host.rows(
        "select rowid, x from t where rowid >= 3 order by rowid desc"
    )
    assert [(3,)] == host.rows("select x from t where rowid = 4")


RANGES = [
    "rowid = 3",
    "rowid = 0",
    "rowid = 6",
    "rowid = 2.0",
    "rowid = 2.5",
    "rowid = '3'",
    "rowid = 'x'",
    "rowid = null",
    "rowid is 4",
    "rowid in (5, 1, 9)",
    "rowid > 2",
    "rowid >= 2",
    "rowid < 2",
    "rowid <= 2",
    "rowid > 1 and rowid < 4",
    "rowid between 2 and 3",
    "rowid > 1.5",
    "rowid < 4.5",
    "rowid > 'x'",
    "rowid > x'00'",
    "rowid > 9223372036854775807",
    "rowid >= -9223372036854775808",
    "rowid < -9223372036854775808",
    "rowid > 4 and rowid < 2",
    "not rowid = 2",
    "rowid = 2 or x = 50",
]


@pytest.mark.parametrize("order", ["", " order by rowid", " order by rowid desc"])
def test_frame_rowid_constraints_agree_with_a_table(host: Host, order: str) -> None:
    """A constraint on the rowid means what it means for a table."""
    make(host, "df = pd.DataFrame({'x': [10, 20, 30, 40, 50]})")
    host.rows("create table plain(x); insert into plain select x from t")

    for where in RANGES:
        tail = f"where {where}{order}"
        expected = host.rows(f"select rowid, x from plain {tail}")
        assert expected == host.rows(f"select rowid, x from t {tail}"), tail


def test_frame_rowid_is_searched_not_scanned(driver: Driver) -> None:
    """The plan of a search by rowid is not a full scan."""
    make(driver, "df = pd.DataFrame({'x': range(1000)})")

    (plan,) = driver.rows("explain query plan select x from t where rowid = 7")
    join = driver.rows(
        "explain query plan select a.x + b.x from t a join t b on a.x = b.rowid"
    )

    assert plan[-1].startswith("SCAN t VIRTUAL TABLE INDEX 1:")
    assert [] != [row for row in join if "SCAN b VIRTUAL TABLE INDEX 1:" in row[-1]]


WATCHED = """
touched = []
class Column:
    def __init__(self, name, cells):
        self.name, self.cells = name, cells
    def __len__(self):
        return len(self.cells)
    def __iter__(self):
        touched.append(self.name)
        return iter(self.cells)
df = {name: Column(name, [1, 2, 3]) for name in 'abcd'}
"""


@pytest.mark.parametrize(
    ("query", "used"),
    [
        ("select b from t", "b"),
        ("select a + d from t where c > 1", "acd"),
        ("select count(*) from t where d = 2", "d"),
        ("select x.a from t x join t y on x.a = y.a", "a"),
        ("select * from t", "abcd"),
        ("select rowid from t order by c", "c"),
    ],
)
def test_frame_touches_only_the_columns_in_use(
    driver: Driver, query: str, used: str
) -> None:
    """Columns that a query does not use are not read."""
    make(driver, WATCHED)
    driver.run("touched.clear()")

    driver.rows(query)

    assert used == driver.eval("''.join(sorted(set(touched)))")


def test_frame_cursors_of_a_statement_share_one_read(driver: Driver) -> None:
    """A self-join reads the frame once."""
    make(driver, WATCHED)
    driver.run("touched.clear()")

    assert 3 == driver.value("select count(*) from t x, t y where x.a = y.a")
    assert 1 == driver.eval("len(touched)")


def test_frame_cursors_may_use_different_columns(host: Host) -> None:
    """Each cursor gets the columns that it uses."""
    make(host, "df = pd.DataFrame({'a': [1, 2, 3], 'b': [3, 2, 1], 'c': list('xyz')})")

    assert [(1, "z"), (2, "y"), (3, "x")] == host.rows(
        "select x.a, y.c from t x join t y on x.a = y.b order by 1"
    )


def test_frame_is_read_anew_by_each_statement(host: Host) -> None:
    """A variable that has been assigned again shows its new rows."""
    make(host, "df = pd.DataFrame({'a': [1]})")
    before = host.rows("select * from t")

    host.run("df = pd.DataFrame({'a': [2, 3]})")

    assert [(1,)] == before
    assert [(2,), (3,)] == host.rows("select * from t")


def test_frame_stays_the_same_during_a_statement(host: Host) -> None:
    """Rows do not change under an open cursor."""
    make(host, "df = pd.DataFrame({'a': [1, 2, 3]})")

    rows = host.rows(
        "select t.a, py_eval('globals().__setitem__(''df'', "
        "pd.DataFrame({''a'': [9, 9, 9]}))') from t"
    )

    assert [(1, None), (2, None), (3, None)] == rows


def test_frame_refuses_another_type(host: Host) -> None:
    """A column that has changed its type is an error that says what to do."""
    make(host, "df = pd.DataFrame({'a': [1]})")
    host.run("df = pd.DataFrame({'a': ['x']})")

    message = host.error("select * from t")

    assert "t: column \"a\" of 'df' was INTEGER and is TEXT now" in message
    assert "drop the table and create it again" in message


def test_frame_refuses_a_lost_column(host: Host) -> None:
    """A column that is gone is an error that names it; the others are still there."""
    make(host, "df = pd.DataFrame({'a': [1], 'b': [2]})")
    host.run("del df['b']")

    message = host.error("select * from t")

    assert "the frame has no column 'b'; it has 'a'; drop the table and" in message
    assert [(1,)] == host.rows("select a from t")
    host.run("del df")
    assert "'df' is not defined" in host.error("select a from t")


def test_frame_refuses_a_lost_variable(host: Host) -> None:
    """A variable that is gone is an error; the table can be dropped."""
    make(host, "df = pd.DataFrame({'a': [1], 'b': [2]})")
    host.run("del df")

    assert "'df'" in host.error("select * from t")
    host.rows("drop table t")
    assert "no such table" in host.error("select * from t")


def test_frame_may_lose_all_its_values(host: Host) -> None:
    """A column of only None fits any type."""
    make(host, "df = pd.DataFrame({'a': ['x']})")
    host.run("df = pd.DataFrame({'a': [None, None]}, dtype=object)")

    assert [(None,), (None,)] == host.rows("select a from t")


def test_frame_belongs_to_the_context_it_was_created_in(host: Host) -> None:
    """Another context does not change what a table shows."""
    make(host, "df = pd.DataFrame({'a': [1]})")
    host.rows("select py_context('test-frame-other')")
    host.run("import pandas as pd; df = pd.DataFrame({'a': [2]})")
    host.rows("create virtual table temp.u using py_frame('df')")

    assert [(1, 2)] == host.rows("select t.a, u.a from t, u")


@pytest.mark.parametrize(
    "argument", ["d['df']", "'d[\"df\"]'", "\"d['df']\"", "o.df", "[df]"]
)
def test_frame_takes_a_path(host: Host, argument: str) -> None:
    """The argument is a path of the context, bare or in quotes."""
    host.run("import pandas as pd, types; d = {'df': pd.DataFrame({'a': [1]})}")
    host.run("o = types.SimpleNamespace(**d); df = d['df'].to_dict('records')")

    if argument == "[df]":
        assert host.error(f"create virtual table temp.t using py_frame({argument})")
    else:
        host.rows(f"create virtual table temp.t using py_frame({argument})")
        assert [(1,)] == host.rows("select * from t")


def test_frame_named_as_the_table_needs_no_argument(host: Host) -> None:
    """Without an argument the variable is the one named as the table."""
    host.run("import pandas as pd; df = pd.DataFrame({'a': [1]})")

    host.rows("create virtual table temp.df using py_frame")

    assert [(1,)] == host.rows("select * from df")


def test_frame_with_unusual_names(host: Host) -> None:
    """Names of columns are quoted; numbers become text; repeated ones are numbered."""
    make(
        host,
        "df = pd.DataFrame([[1, 2, 3, 4]], columns=['a\"b', 0, 'select', 'select'])",
    )

    rows = host.rows('select "a""b", "0", "select", "select_1" from t')

    assert [(1, 2, 3, 4)] == rows


def test_frame_without_rows_has_columns(host: Host) -> None:
    """No rows are no error."""
    make(
        host, "df = pd.DataFrame({'a': np.array([], 'i8'), 's': np.array([], object)})"
    )

    assert [] == host.rows("select a, s from t where rowid = 1")
    assert 0 == host.value("select count(*) from t")


def test_frame_of_two_thousand_columns(driver: Driver) -> None:
    """Columns beyond the bits of SQLite's mask are read too."""
    make(
        driver,
        "df = pd.DataFrame([range(2000)], columns=[f'c{i}' for i in range(2000)])",
    )

    assert [(62, 63, 1999)] == driver.rows("select c62, c63, c1999 from t")
    assert 2000 == len(driver.rows("select * from t")[0])


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("pd.to_timedelta([1], unit='s')", "seconds"),
        ("[[1, 2]]", "JSON"),
        ("[{'k': 1}]", "JSON"),
        ("[1 + 2j]", "column 'x'"),
        ("[1, 'a']", "mixed"),
        ("[2**64]", "column 'x'"),
    ],
)
def test_frame_refuses_what_sql_has_no_type_for(
    driver: Driver, column: str, words: str
) -> None:
    """A type without counterpart is refused at create, with the column and a cure."""
    driver.run(IMPORTS + f"df = pd.DataFrame({{'x': pd.Series({column})}})")

    message = driver.error("create virtual table temp.t using py_frame(df)")

    assert "x" in message
    assert words in message


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "select * from py_frame('df')",
            "create virtual table temp.t using py_frame(df)",
        ),
        ("select * from py_frame", "create virtual table temp.t using py_frame(df)"),
        ("create virtual table t using py_frame(df)", "temporary"),
        ("create virtual table temp.t using py_frame(df, x)", "one argument"),
        ("create virtual table temp.t using py_frame(nothing)", "'nothing'"),
        ("create virtual table temp.t using py_frame(number)", "frame"),
        ("create virtual table temp.t using py_frame(bare)", "no columns"),
        ("create virtual table temp.t using py_frame(twice)", '"a" and "A"'),
        ("create virtual table temp.t using py_frame(1 +)", "py_frame: "),
    ],
)
def test_frame_says_what_is_wrong(host: Host, sql: str, words: str) -> None:
    """Each wrong use has words of its own."""
    host.run(
        "import pandas as pd; df = pd.DataFrame({'a': [1]}); number = 5\n"
        "bare = pd.DataFrame(); twice = pd.DataFrame({'a': [1], 'A': [2]})"
    )

    assert words in host.error(sql)
    assert 1 == host.value("select 1")


def test_frame_is_not_written_through(host: Host) -> None:
    """The table is to be read only."""
    make(host, "df = pd.DataFrame({'a': [1]})")

    assert "may not be modified" in host.error("insert into t values (2)")
    assert "may not be modified" in host.error("delete from t")


def test_frames_join_with_tables_and_frames(host: Host) -> None:
    """Frames join with each other and with tables."""
    make(host, "df = pd.DataFrame({'k': [1, 2, 3], 'v': list('abc')})")
    host.run("other = pa.table({'k': [2, 3, 4], 'w': [0.5, None, 1.5]})")
    host.rows("create virtual table temp.u using py_frame(other)")
    host.rows("create table plain(k integer, z text)")
    host.rows("insert into plain values (3, 'z3'), (4, 'z4')")

    rows = host.rows(
        "select t.k, v, w, z from t left join u using (k) "
        "left join plain using (k) order by t.k"
    )

    assert [(1, "a", None, None), (2, "b", 0.5, None), (3, "c", None, "z3")] == rows


JOINED = """
import numpy as np, pandas as pd, pyarrow as pa
df = pa.concat_tables([
    pa.table({
        'i': pa.array([i % 7 if i % 5 else None for i in range(j, j + 40)], pa.int64()),
        'f': pa.array([i / 2 % 9 for i in range(j, j + 40)]),
        's': pa.array([f'{i % 11}' if i % 4 else 'A' for i in range(j, j + 40)]),
        'b': pa.array([bytes([65 + i % 3]) for i in range(j, j + 40)]),
        'd': pa.array([i % 6 for i in range(j, j + 40)], pa.date32()),
        'big': pa.array([2**53 + i % 3 for i in range(j, j + 40)], pa.int64()),
    })
    for j in (0, 40, 80)
])
"""
CONDITIONS = [
    "x.i = y.i",
    "x.i = y.f",
    "x.f = y.i",
    "x.f = y.f",
    "x.s = y.s",
    "x.s = y.s collate nocase",
    "x.s = lower(y.s) collate nocase",
    "x.i = y.s",
    "x.s = y.i",
    "x.b = y.b",
    "x.b = y.s",
    "x.d = y.d",
    "x.d = date('1970-01-01', '+' || y.i || ' days')",
    "x.big = y.big",
    "x.big = y.big * 1.0",
    "x.i = -0.0 and x.i = y.i",
    "x.i = y.i and x.s = y.s",
    "x.i is y.i",
    "x.i in (y.i, y.f)",
    "x.i = y.i and x.rowid > 50",
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_frame_joins_agree_with_tables(driver: Driver, condition: str) -> None:
    """A join by any columns gives what it gives for tables, in the order asked for."""
    make(driver, JOINED)
    driver.rows("select py_write('df', 'plain')")

    for order in ("x.rowid, y.rowid", "y.rowid, x.rowid", "x.rowid desc, y.rowid"):
        query = (
            "select x.rowid, y.rowid from {0} y left join {0} x on "
            f"{condition} order by {order}"
        )
        assert driver.rows(query.format("plain")) == driver.rows(query.format("t"))


def test_frame_joins_of_large_frames_are_quick(driver: Driver) -> None:
    """A join looks rows up rather than to compare each with each."""
    make(
        driver,
        "df = pd.DataFrame({'k': np.arange(100_000)})\ndf['s'] = df.k.astype(str)",
    )

    assert 100_000 == driver.value("select count(*) from t x join t y on x.k = y.k")
    assert 100_000 == driver.value("select count(*) from t x join t y on x.s = y.s")


def test_frame_values_outlive_their_batch(host: Host) -> None:
    """min, max, group by and sorting hold on to text of any batch."""
    make(
        host,
        "df = pa.table({'s': pa.chunked_array("
        "[[f'{i:05d}' for i in range(j, 1000, 10)] for j in range(10)])})",
    )

    assert [("00000", "00999", 1000)] == host.rows(
        "select min(s), max(s), count(distinct s) from t"
    )
    assert [("00999",), ("00998",)] == host.rows(
        "select s from t order by s desc limit 2"
    )


def test_frame_of_a_million_rows(driver: Driver) -> None:
    """A large frame gives the same sums as numpy."""
    make(
        driver,
        "r = np.random.default_rng(1); n = 1_000_000\n"
        "df = pd.DataFrame({'i': r.integers(-2**40, 2**40, n), 'f': r.random(n),"
        " 's': pd.Series([f'x{i % 997}' for i in range(n)])})",
    )

    rows = driver.rows("select count(*), sum(i), max(f), count(distinct s) from t")

    assert [
        tuple(driver.eval(f"df.{name}") for name in ("shape[0]", "i.sum().item()"))
    ] == [rows[0][:2]]
    assert [(driver.eval("df.f.max().item()"), 997)] == [rows[0][2:]]


def test_frame_lets_go_of_its_rows(driver: Driver) -> None:
    """When no cursor is open the rows are the variable's alone."""
    make(
        driver,
        "import gc, weakref\nclass Frame(list): pass\n"
        "df = Frame([{'a': 1}, {'a': 2}]); ref = weakref.ref(df)",
    )
    driver.rows("select * from t")

    driver.run("del df; gc.collect()")

    assert 1 == driver.eval("int(ref() is None)")


def test_frame_of_a_reader_is_read_once(driver: Driver) -> None:
    """A second statement is told that the rows are gone, and sees no empty table."""
    make(driver, "import pyarrow as pa; df = pa.table({'a': [1]}).to_reader()")

    assert [(1,)] == driver.rows("select * from t")
    assert "make a table of it with read_all()" in driver.error("select * from t")
