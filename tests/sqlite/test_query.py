"""py_query: a query on the caller's own connection as a frame."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sqlite.hosts import Shell, quote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.hosts import Driver, Host


def query(
    host: Host, sql: str, kind: str = "list", options: dict[str, object] | None = None
) -> int:
    """Run py_query into the variable `q`."""
    given_options = quote(json.dumps(options) if options else None)
    count: int = host.value(
        f"select py_query({quote(sql)}, 'q', {quote(kind)}, {given_options})"
    )
    return count


def rows(
    host: Host, sql: str, options: dict[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """Return the rows that py_query gets, as Python has them."""
    query(host, sql, "list", options)
    got: list[tuple[Any, ...]] = literal(host.eval("repr(q)"))
    return got


def literal(text: str) -> Any:
    """Return the value of Python's own literal, inf and nan included."""
    return eval(text, {"inf": math.inf, "nan": math.nan})


# ---- The forms ----------------------------------------------------------------------

FORMS = [
    (None, "pandas.DataFrame"),
    ("dataframe", "pandas.DataFrame"),
    ("arrow", "pyarrow.lib.Table"),
    ("polars", "polars.dataframe.frame.DataFrame"),
    ("list", "list"),
    ("dicts", "list"),
    ("numpy", "dict"),
]


@pytest.mark.parametrize(("kind", "name"), FORMS)
def test_query_makes_each_form(host: Host, kind: str | None, name: str) -> None:
    """The type names the form of the frame; the row count is returned."""
    count = host.value(
        "select py_query('values (1, ''x''), (2, null), (3, ''z'')', 'q', "
        f"{quote(kind)})"
    )
    info = json.loads(host.value("select py_info('q')"))

    assert 3 == count
    assert name == info["type"]


def test_query_makes_rows_of_lists_and_dicts(host: Host) -> None:
    """A list has tuples, dicts have the column names."""
    query(host, "select 1 as a, 'x' as b", "list")
    assert "[(1, 'x')]" == host.eval("repr(q)")

    query(host, "select 1 as a, 'x' as b", "dicts")
    assert "[{'a': 1, 'b': 'x'}]" == host.eval("repr(q)")

    query(host, "select 1 as a, 'x' as b", "numpy")
    assert "int64" == host.eval("str(q['a'].dtype)")


def test_query_refuses_an_unknown_form(host: Host) -> None:
    """It lists the known ones."""
    message = host.error("select py_query('select 1', 'q', 'frame')")

    assert "py_query: " in message
    assert "'frame'" in message
    assert "dataframe, arrow, polars, list, dicts, numpy" in message


# ---- Values -------------------------------------------------------------------------


def test_query_keeps_every_type_and_null(host: Host) -> None:
    """Each type of SQLite arrives as it is, NULL beside it."""
    host.rows("create table t(i, r, s, b, n)")
    host.rows(
        "insert into t values (9223372036854775807, 0.1, 'é\U0001f40d', x'00ff', null),"
        "(null, null, null, null, null), (-9223372036854775808, -1e308, '', x'', null)"
    )

    assert [
        (2**63 - 1, 0.1, "é\U0001f40d", b"\x00\xff", None),
        (None, None, None, None, None),
        (-(2**63), -1e308, "", b"", None),
    ] == rows(host, "select * from t")


def test_query_keeps_int64_extremes_in_a_dataframe(host: Host) -> None:
    """Beside NULL the column is nullable by default: no integer is rounded."""
    sql = "values (9223372036854775807), (null), (9007199254740993)"
    query(host, sql, "dataframe")

    assert "Int64" == host.eval("str(q.dtypes.iloc[0])")
    assert 2**63 - 1 == host.eval("int(q.iloc[0, 0])")
    assert 2**53 + 1 == host.eval("int(q.iloc[2, 0])")


def test_query_refuses_to_round_with_the_numpy_backend(host: Host) -> None:
    """Classic dtypes are an error where an integer would not be exact."""
    sql = "values (9007199254740993), (null)"
    message = host.error(
        f"select py_query('{sql}', 'q', null, '{{\"dtype_backend\":\"numpy\"}}')"
    )

    assert "column1" in message


def test_query_takes_dtype_backend_from_the_option(host: Host) -> None:
    """py_option sets the default, the call's own options come first."""
    host.rows("select py_option('dtype_backend', 'pyarrow')")
    query(host, "values (1), (2)", "dataframe")
    default = host.eval("str(q.dtypes.iloc[0])")

    query(host, "values (1), (2)", "dataframe", {"dtype_backend": "numpy"})
    given_dtype = host.eval("str(q.dtypes.iloc[0])")
    query(host, "values (1), (2)", "dataframe", {"dtype_backend": None})
    reset = host.eval("str(q.dtypes.iloc[0])")

    assert ("int64[pyarrow]", "int64", "int64") == (default, given_dtype, reset)


WIDENED = [
    ("values (1), (2.5)", [(1.0,), (2.5,)]),
    ("values (2.5), (null), (1)", [(2.5,), (None,), (1.0,)]),
    ("values (9007199254740993), (0.5)", [("9007199254740993",), ("0.5",)]),
    ("values (1), ('x')", [("1",), ("x",)]),
    ("values ('x'), (null), (-7)", [("x",), (None,), ("-7",)]),
    ("values (0.1), ('x')", [("0.1",), ("x",)]),
    ("values (1), (x'ff')", [(b"1",), (b"\xff",)]),
    ("values ('é'), (x'ff')", [("é".encode(),), (b"\xff",)]),
    ("values (null), (null)", [(None,), (None,)]),
]


@pytest.mark.parametrize(("sql", "widened"), WIDENED)
def test_query_widens_mixed_columns(host: Host, sql: str, widened: object) -> None:
    """A column of several types takes the one that holds them all, in any order."""
    assert widened == rows(host, sql)


cells = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-100, 100),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.binary(),
)


def widen(column: list[Any]) -> list[Any]:
    """State the rule of pybridge.h once more, in Python."""
    kinds = {type(cell) for cell in column} - {type(None)}
    if len(kinds) < 2:
        return column
    if kinds == {int, float} and all(
        cell is None or isinstance(cell, float) or int(float(cell)) == cell
        for cell in column
    ):
        return [None if cell is None else float(cell) for cell in column]
    texts = [
        cell if cell is None or isinstance(cell, (str, bytes)) else Number(cell)
        for cell in column
    ]
    if bytes not in kinds:
        return texts
    return [cell.encode() if isinstance(cell, str) else cell for cell in texts]


class Number:
    """Equal to any text or bytes that are the number again."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, (str, bytes))
        return type(self.number)(other) == self.number

    def __hash__(self) -> int:
        return hash(self.number)

    def __repr__(self) -> str:
        return f"text of {self.number!r}"


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    table=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.tuples(*[cells] * n), min_size=1, max_size=40)
    ),
    sort=st.booleans(),
)
def test_query_gets_any_table_by_the_rule(
    driver: Driver, table: list[tuple[Any, ...]], sort: bool
) -> None:
    """Whatever the cells are, both ways of collecting give the stated types."""
    width = len(table[0])
    driver.rows("drop table if exists t")
    names = ", ".join(f"c{i}" for i in range(width))
    driver.rows(f"create table t({names})")
    driver.db.executemany(f"insert into t values ({', '.join('?' * width)})", table)
    columns = zip(*table, strict=True)
    expected = list(zip(*[widen(list(column)) for column in columns], strict=True))

    got = rows(driver, "select * from t" + (" order by rowid" if sort else ""))

    assert expected == got
    assert [
        [type(cell) for cell in row if not isinstance(cell, Number)] for row in expected
    ] == [
        [
            type(cell)
            for cell, wanted in zip(row, other, strict=True)
            if not isinstance(wanted, Number)
        ]
        for row, other in zip(got, expected, strict=True)
    ]


def test_query_keeps_columns_of_no_rows(host: Host) -> None:
    """Zero rows are a frame with its columns."""
    host.rows("create table t(a integer, b text)")

    assert 0 == query(host, "select * from t", "dataframe")
    assert "['a', 'b']" == host.eval("repr(list(q.columns))")


def test_query_numbers_repeated_names(host: Host) -> None:
    """Columns of the same name get _1, _2 in a frame."""
    query(host, "select 1 as x, 2 as x, 3 as x", "dicts")

    assert "[{'x': 1, 'x_1': 2, 'x_2': 3}]" == host.eval("repr(q)")


@pytest.mark.parametrize("width", [1, 126, 127, 128, 999, 1000, 2000])
def test_query_takes_as_many_columns_as_sqlite(host: Host, width: int) -> None:
    """One collector takes as many columns as a function has arguments; then two, ..."""
    columns = ", ".join(f"{i} + a" for i in range(width))

    got = rows(host, f"select {columns} from (select 1 as a union all select 2 as a)")
    flat = rows(host, f"with t(a) as (values (1)) select {columns} from t where a = 1")

    assert [tuple(range(1, width + 1)), tuple(range(2, width + 2))] == got
    assert [tuple(range(1, width + 1))] == flat


def test_query_takes_long_text_and_blobs(host: Host) -> None:
    """Text and blobs of megabytes arrive whole, NUL characters in text included."""
    host.rows(
        "create table t as select printf('%.*c', 3000000, 'x') as s, "
        "zeroblob(2000000) as b, 'a' || char(0) || 'b' as z"
    )
    query(host, "select * from t")

    assert "(3000000, 2000000, 'a\\x00b')" == host.eval(
        "repr((len(q[0][0]), len(q[0][1]), q[0][2]))"
    )


def test_query_reads_a_utf16_database(host: Host) -> None:
    """The encoding of the database does not matter."""
    host.rows("pragma encoding = 'UTF-16le'")
    host.rows("create table t(s)")
    host.rows("insert into t values ('é\U0001f40d'), ('x'), ('')")

    assert [("é\U0001f40d",), ("x",), ("",)] == rows(host, "select s from t")
    assert "é\U0001f40d" == host.value(
        "select py_call('str.strip', s) from t where rowid = 1"
    )


def test_query_refuses_text_that_is_not_utf8(host: Host) -> None:
    """SQLite takes any bytes as text; Python does not. The message names the place."""
    host.rows("create table t(s)")
    host.rows("insert into t values ('fine'), (cast(x'61ff' as text))")

    message = host.error("select py_query('select s from t', 'q')")

    assert "'s', row 1" in message
    assert "not UTF-8" in message
    assert [(b"fine",), (b"a\xff",)] == rows(host, "select cast(s as blob) from t")


# ---- Declared types -----------------------------------------------------------------


def test_query_parses_declared_types_where_asked(host: Host) -> None:
    """With parse, declared types become Python's; an expression has none."""
    host.rows(
        "create table t(a boolean, b date, c time, d timestamp, e decimal(6, 2),"
        " f date)"
    )
    host.rows(
        "insert into t values (1, '2024-02-29', '23:59:59', '2024-02-29 01:02:03', 1.5,"
        " null)"
    )

    parsed = "select a, b, c, d, e, f, b || '' as g from t"
    query(host, parsed, "list", {"parse": True})

    assert (
        "[(True, datetime.date(2024, 2, 29), datetime.time(23, 59, 59), "
        "datetime.datetime(2024, 2, 29, 1, 2, 3), Decimal('1.50'), None, "
        "'2024-02-29')]"
    ) == host.eval("repr(q)")
    assert [(1, "2024-02-29")] == rows(host, "select a, b from t")


def test_query_takes_parse_from_the_option(host: Host) -> None:
    """py_option('parse', 1) is the default of the calls that follow."""
    host.rows("create table t(a boolean)")
    host.rows("insert into t values (1)")
    host.rows("select py_option('parse', 1)")

    assert [(True,)] == rows(host, "select a from t")
    assert [(1,)] == rows(host, "select a from t", {"parse": False})


# ---- Order and kinds of statements --------------------------------------------------

STATEMENTS = [
    "select * from t",
    "select * from t order by s",
    "select * from t order by s desc, i",
    "select i from t order by r desc",
    "select s from t order by i % 7, i desc",
    "select i, s from t order by s limit 10",
    "select i, s from t order by s desc limit 10 offset 5",
    "select i from t where i > 50 order by i desc",
    "select i from t order by abs(i - 50), i",
    "select distinct s from t order by s desc",
    "select distinct i % 5 from t",
    "select s, count(*), sum(i), avg(r) from t group by s order by 2 desc, s",
    "select count(*) from t",
    "select max(i), s from t",
    "select i from t union select i + 1 from t order by 1 desc",
    "select i from t union all select -i from t order by 1 limit 20",
    "select i from t except select i from t where i % 2 order by 1 desc",
    "select i from t intersect select i * 2 from t",
    "select a.i, b.i from t a join t b on a.i = b.i + 1 order by b.i desc",
    "select a.i, b.s from t a left join t b on b.i = a.i * 50",
    "select * from (select * from t order by i desc limit 30) order by s, i",
    "select i, row_number() over (order by s, i) from t",
    "select i, sum(i) over (order by i rows 2 preceding) from t order by i desc",
    "with a as (select i from t where i < 9) select * from a order by i desc",
    "with recursive n as (select 1 x union select x+1 from n limit 50) select x from n",
    "with recursive n as (select 1 x union select x%9+2 from n) select x from n",
    "values (3, 'c'), (1, 'a'), (2, 'b')",
    "select * from w",
    "select * from w order by i desc",
    "select name, type from pragma_table_info('t')",
    "select value from json_each('[3, 1, 2]')",
    "pragma table_info(t)",
    "select i from t indexed by by_s where s > '' order by s",
    "select s from t where s > 'k'",
    "select (select s from t b where b.i = a.i) from t a order by i desc",
    "select x'41' || i, i / 2.0, -i, not i, i is null from t",
    "select 1 where 0",
    "select random() is null from t",
    "select 1;",
    "select 1 ; ; ",
    "select 1 -- a comment",
    "select 1 -- a comment;",
    "select 1; -- a comment",
    "select 1 /* a comment; */;",
    "select ';' as \"a;b\"; ",
    "-- first\nselect /* ( */ 1 -- )",
    "select ')', '(' -- ) select",
    "\n\t select 1\r\n",
]


def fill(host: Host) -> None:
    """Make a table, a view and an index that a query may use."""
    host.rows("create table t(i integer, s text, r real)")
    host.rows(
        "with recursive n(x) as (select 1 union all select x + 1 from n where x < 100)"
        "insert into t select x * 37 % 101, char(97 + x * 7 % 26) || x % 3,"
        " x * 13 % 29 / 4.0 from n"
    )
    host.rows("create index by_s on t(s)")
    host.rows("create view w as select s, i from t order by r, i")


@pytest.mark.parametrize(
    "setting",
    ["analyze", "pragma automatic_index = 0", "pragma case_sensitive_like = 1"],
)
def test_query_has_the_rows_of_the_host_in_its_order(host: Host, setting: str) -> None:
    """Every kind of query gives Python what it gives SQL, row by row."""
    fill(host)
    host.rows(setting)

    for sql in STATEMENTS:
        expected = host.rows(sql)

        got = rows(host, sql)

        assert expected == got, sql


def test_query_keeps_order_where_a_covering_index_is_cheaper(host: Host) -> None:
    """What the planner prefers without ORDER BY does not matter with it."""
    fill(host)
    expected = [row[0] for row in host.rows("select s from t order by rowid")]

    got = [row[0] for row in rows(host, "select s from t order by rowid")]

    assert expected == got


def test_query_takes_a_comment_that_does_not_end(host: Host) -> None:
    """As SQLite does at the end of a text, though it would swallow the wrapper."""
    assert [(1,)] == rows(host, "select 1 /* open;")


def test_query_explains(host: Host) -> None:
    """EXPLAIN is a statement that returns rows."""
    fill(host)

    plan = rows(host, "explain query plan select i from t where s = 'x'")
    program = rows(host, "explain select 1")

    assert "by_s" in plan[0][3]
    assert "Init" == program[0][1]


def test_query_takes_statements_that_write_and_return(host: Host) -> None:
    """INSERT ... RETURNING and the like run once, and give their rows."""
    host.rows("create table t(i integer primary key, s)")

    inserted = rows(host, "insert into t(s) values ('a'), ('b') returning i, s")
    updated = rows(host, "update t set s = s || i returning s")
    deleted = rows(host, "delete from t where i = 1 returning *")

    assert [(1, "a"), (2, "b")] == inserted
    assert [("a1",), ("b2",)] == updated
    assert [(1, "a1")] == deleted
    assert [(2, "b2")] == host.rows("select * from t")


def test_query_does_not_mix_its_names_with_the_querys(host: Host) -> None:
    """Tables and parameters that are named like the wrapper's own are told apart."""
    host.rows('create table "pyb rows"(c0)')
    host.rows('insert into "pyb rows" values (5)')

    assert [(5,)] == rows(host, 'select c0 from "pyb rows"')
    assert [(6,)] == rows(
        host, 'select 1 union select c0 + 1 from "pyb rows" order by 1 desc limit 1'
    )
    assert [(7,)] == rows(
        host, "select :pyb_collector_0", {"params": {"pyb_collector_0": 7}}
    )


REFUSED = [
    ("select 1; select 2", 'more than one statement, from "select 2"'),
    ("select 1; drop table t", 'more than one statement, from "drop table t"'),
    ("select 1; nonsense", 'more than one statement, from "nonsense"'),
    ("", "sql is missing"),
    (" -- nothing", "the query is empty"),
    (";", "the query is empty"),
    ("create table u(a)", "returns no columns"),
    ("delete from t", "returns no columns"),
    ("begin", "returns no columns; it was not run"),
    ("-- it\n /* is */ pragma cache_size = 77", "it may have taken effect"),
    ("selec 1", 'near "selec": syntax error'),
    ("select 1 )", 'near ")": syntax error'),
    ("select 1) select (1", 'near ")": syntax error'),
    ("select ?", "parameter 1 of the statement has no value"),
    ("select :a", 'parameter 1 ":a" of the statement has no value'),
]


@pytest.mark.parametrize(("sql", "says"), REFUSED)
def test_query_refuses_what_is_not_one_query(host: Host, sql: str, says: str) -> None:
    """It must be one statement that returns columns; nothing else is run."""
    host.rows("create table t(a)")
    host.rows("insert into t values (1)")

    message = host.error(f"select py_query({quote(sql)}, 'q')")

    assert message.startswith("py_query: ")
    assert says in message
    assert [(1, 0)] == host.rows(
        "select count(*), (select count(*) from sqlite_master where name = 'u') from t"
    )


# ---- Parameters ---------------------------------------------------------------------

BOUND = [
    ("select ?, ?", [1, "x"], [(1, "x")]),
    ("select ?2, ?1", [1, "x"], [("x", 1)]),
    ("select ?1, ?1", [None], [(None, None)]),
    ("select :a, @b, $c", {"c": 2.5, "a": True, "b": False}, [(1, 0, 2.5)]),
    ("select :a + :a", {"a": 2}, [(4,)]),
    ("select ? order by 1", ["é"], [("é",)]),
    ("select 1", [], [(1,)]),
    ("select 1", {}, [(1,)]),
    ("pragma table_info(t)", [], [(0, "a", "", 0, None, 0)]),
]


@pytest.mark.parametrize(("sql", "params", "expected"), BOUND)
def test_query_binds_params(
    host: Host, sql: str, params: object, expected: object
) -> None:
    """An array binds by position, an object by name, without its prefix."""
    host.rows("create table t(a)")

    assert expected == rows(host, sql, {"params": params})


def test_query_binds_arguments(host: Host) -> None:
    """Arguments behind the options are parameters, and keep their types."""
    host.value(
        "select py_query('select ?, typeof(?), ?3, :d', 'q', 'list', null,"
        " x'00ff', 1, null, py_kw('d', 9223372036854775807))"
    )

    assert [(b"\x00\xff", "integer", None, 2**63 - 1)] == literal(host.eval("repr(q)"))


MISBOUND = [
    ("select ?", '{"params":[1, 2]}', "has 1 parameter, 2 values came"),
    ("select ?, ?", '{"params":[1]}', "parameter 2 of the statement has no value"),
    ("select :a", '{"params":{"b":1}}', 'no parameter "b"'),
    ("select ?", '{"params":[[1]]}', "array came"),
    ("select ?", '{"params":[9223372036854775808]}', "64 bits"),
    ("select ?", '{"params":7}', "an array or an object is wanted, integer came"),
    ("select ?", "[1]", "a JSON object is wanted, array came"),
    ("select ?", "{", "malformed JSON"),
    (
        "select 1",
        '{"color":1}',
        "'color' is unknown; known are dtype_backend, namespace",
    ),
    (
        "select :a",
        '{"params":{"a":1, "a":2}}',
        'parameter 1 ":a" of the statement has two values',
    ),
]


@pytest.mark.parametrize(("sql", "options", "says"), MISBOUND)
def test_query_refuses_wrong_options(
    host: Host, sql: str, options: str, says: str
) -> None:
    """Each parameter gets one value and each value one parameter."""
    message = host.error(f"select py_query('{sql}', 'q', null, {quote(options)})")

    assert says in message


# ---- The transaction ----------------------------------------------------------------


def test_query_sees_uncommitted_rows(host: Host, tmp_path: Path) -> None:
    """It runs on the caller's own connection, inside its transaction."""
    host.open(tmp_path / "file.db")
    host.rows("create table t(a)")
    host.rows("begin")
    host.rows("insert into t values (1)")

    inside = rows(host, "select a from t")
    host.rows("rollback")

    assert [(1,)] == inside
    assert [] == rows(host, "select a from t")


def test_query_sees_temporary_and_attached_tables(host: Host, tmp_path: Path) -> None:
    """What the connection knows, the query knows."""
    host.rows(f"attach '{tmp_path / 'other.db'}' as other")
    host.rows("create temp table a as select 1 as x")
    host.rows("create table other.b as select 2 as x")

    assert [(1, 2)] == rows(host, "select a.x, b.x from a, other.b as b")


def test_query_may_call_python_itself(host: Host) -> None:
    """A query may use the functions of the bridge, py_query among them."""
    assert [(3, 1, 1)] == rows(
        host,
        "select py_eval('1 + 2'), py_query('select 4', 'inner'), py_call('len', '4')",
    )
    assert "[4]" == host.eval("str(list(inner.iloc[0]))")


# ---- Failures -----------------------------------------------------------------------

FAILING = [
    "select nope from t",
    "select * from nothing",
    "select abs(-9223372036854775808)",
    "select a, abs(a) from t",
    "select a, abs(a) from t order by a desc",
    "select py_eval('1/0')",
    "select a, py_eval('[1][' || a || ']') from t",
    "select a, py_eval('[1][' || a || ']') from t order by a",
]


@pytest.mark.parametrize("sql", FAILING)
def test_failed_query_leaves_the_variable(host: Host, sql: str) -> None:
    """The variable keeps what it had, and the next statement works."""
    host.rows("create table t(a)")
    host.rows("insert into t values (0), (-9223372036854775808)")
    host.run("q = 'before'")

    host.error(f"select py_query({quote(sql)}, 'q')")

    assert "before" == host.eval("q")
    assert 1 == query(host, "select 1")


@pytest.mark.parametrize(
    ("sql", "arguments"),
    [
        ("insert into t values (2) returning a", "'q', 'nope'"),
        ("insert into t values (2) returning a", "'q', null, '{\"nope\": 1}'"),
        ("insert into t values (2) returning a", "'no name'"),
        ("-- it\n replace into t values (1) returning cast(x'ff' as text)", "'q'"),
        ("with n as (select 2) insert into t select * from n returning a", "'q', 'x'"),
        ("update t set a = a / 0 + 5 returning a", "'q', null, '{\"parse\": [\"z\"]}'"),
        ("delete from t returning a", "'q', 'nope'"),
        ("insert into child values (7) returning a", "'q'"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_failed_query_that_writes_leaves_the_table(
    host: Host, sql: str, arguments: str, begun: bool
) -> None:
    """Rows that were written are taken back where no frame can be made of them."""
    host.rows("pragma foreign_keys = on")
    host.rows("create table t(a primary key)")
    host.rows(
        "create table child(a references t on delete restrict"
        + (")" if begun else " deferrable initially deferred)")
    )
    host.run("q = 'before'")
    if begun:
        host.rows("begin")
    host.rows("insert into t values (1)")

    assert host.error(f"select py_query({quote(sql)}, {arguments})")

    assert [(1, 0)] == host.rows("select a, (select count(*) from child) from t")
    assert "before" == host.eval("q")
    assert int(begun) == host.value("select py_option('transaction')")
    if begun:
        host.rows("commit")
    assert 1 == host.value("select a from t")


def test_query_that_writes_is_kept(host: Host) -> None:
    """Alone, in a transaction, and inside a statement that writes itself."""
    host.rows("create table t(a)")

    host.value("select py_query('insert into t values (1) returning a', 'q')")
    host.rows("begin")
    host.value("select py_query('insert into t values (2) returning a', 'q')")
    host.rows("commit")
    host.rows(
        "insert into t select py_query('insert into t values (3) returning a', 'q')"
    )

    assert [(1,), (1,), (2,), (3,)] == host.rows("select a from t order by a")
    assert 0 == host.value("select py_option('transaction')")


def test_query_says_where_a_statement_is_wrong(host: Host) -> None:
    """SQLite's own message, and the offset in the statement's text."""
    message = host.error("select py_query('select 1, nope', 'q')")

    assert "py_query: no such column: nope (at byte 10 of the statement)" == message


def test_query_says_what_failed_inside(host: Host) -> None:
    """An error that a function raises in the query is the query's error."""
    message = host.error("select py_query('select py_eval(''1/0'')', 'q')")

    assert "py_query: py_eval: ZeroDivisionError: division by zero" in message


def test_query_refuses_a_variable_that_is_no_name(host: Host) -> None:
    """The variable is a plain name."""
    assert "py_query: " in host.error("select py_query('select 1', 'a.b')")
    assert "py_query: variable is missing" == host.error(
        "select py_query('select 1', null)"
    )
    assert "py_query: variable is missing" == host.error("select py_query('select 1')")


def test_collector_is_of_no_use_alone(host: Host) -> None:
    """The aggregate behind py_query takes no part in a user's query."""
    assert "own use" in host.error("select py_collect(1, 2)")
    assert "own use" in host.error("select py_collect() from (select 1)")


# ---- Memory -------------------------------------------------------------------------


def test_query_needs_little_more_memory_than_its_frame() -> None:
    """The peak above the process's base is at most 1.2 times the frame.

    A process of its own, because what others have freed would hide it.
    """
    shell = Shell()
    try:
        shell.open()
        shell.rows(
            "create temp table t as with recursive n(x) as "
            "(values (1) union all select x + 1 from n where x < 300000) select "
            "x, x * 2 as y, x / 3.0 as f, iif(x % 20, x / 7.0, null) as g, "
            "'name' || x % 1000 as s, datetime(1600000000 + x, 'unixepoch') as d from n"
        )
        query(shell, "select * from t limit 10", "dataframe")
        shell.run(
            "del q\nimport gc, re\ngc.collect()\ndef kb(name):\n"
            "    with open('/proc/self/status') as f:\n"
            "        return int(re.search(name + r':\\s+(\\d+)', f.read())[1])\n"
            "with open('/proc/self/clear_refs', 'w') as f:\n"
            "    f.write('5')\n"
            "base = kb('VmRSS')"
        )

        query(shell, "select * from t", "dataframe")
        peak = 1024 * shell.eval("kb('VmHWM') - base")
        frame = shell.eval("int(q.memory_usage(deep=True, index=False).sum())")
    finally:
        shell.close()

    assert 1.2 * frame >= peak
