"""py_table: a table, a range of its rows, some of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sqlite.hosts import quote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.hosts import Host


def table(host: Host, name: str, *rest: object) -> list[dict[str, Any]]:
    """Return what py_table gets: start, end, columns, options may follow the name."""
    arguments = "".join(f", {quote(value)}" for value in rest)
    count = host.value(f"select py_table({quote(name)}, 'q', 'dicts'{arguments})")
    made: list[dict[str, Any]] = eval(host.eval("repr(q)"))
    assert count == len(made)
    return made


def values(host: Host, name: str, *rest: object) -> list[tuple[Any, ...]]:
    """Do the same, without the names."""
    return [tuple(row.values()) for row in table(host, name, *rest)]


@pytest.fixture
def filled(host: Host, tmp_path: Path) -> Host:
    """A file with a table of five rows, one of them missing in between."""
    host.open(tmp_path / "file.db")
    host.rows("create table t(a integer, bb text, b real, ab)")
    host.rows(
        "insert into t(rowid, a, bb, b, ab) values (1, 10, 'x', 0.5, null), "
        "(2, 20, null, 1.5, x'00'), (4, 40, 'é', null, 'y'), (5, 50, '', 4.5, 1), "
        "(-3, -30, 'm', -0.5, null)"
    )
    return host


def test_table_gets_all_rows_in_rowid_order(filled: Host) -> None:
    """A whole table, typed, with its columns."""
    count = filled.value("select py_table('t', 'q')")

    assert 5 == count
    assert "['a', 'bb', 'b', 'ab']" == filled.eval("repr(list(q.columns))")
    assert [-30, 10, 20, 40, 50] == [row[0] for row in values(filled, "t")]
    assert [("m", -0.5), ("x", 0.5), (None, 1.5), ("é", None), ("", 4.5)] == values(
        filled, "t", None, None, "bb, b"
    )


@pytest.mark.parametrize("pages", [0, 1])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, [-30, 10, 20, 40, 50]),
        (2, None, [20, 40, 50]),
        (None, 2, [-30, 10, 20]),
        (2, 4, [20, 40]),
        (3, 3, []),
        (4, 4, [40]),
        (-(2**63), -3, [-30]),
        (5, 2**63 - 1, [50]),
        (2**63 - 1, 2**63 - 1, []),
        (5, 2, []),
        (0, 0, []),
    ],
)
def test_table_gets_a_rowid_range(
    filled: Host, start: int | None, end: int | None, expected: list[int], pages: int
) -> None:
    """Both ends are included, NULL is open; a range turned round has no rows."""
    filled.rows(f"select py_option('pages', {pages})")

    got = values(filled, "t", start, end, "a")

    assert [(a,) for a in expected] == got


def test_table_keeps_columns_of_no_rows(filled: Host) -> None:
    """An empty range is a frame with its columns, by either way of reading."""
    for start, end in ((5, 2), (100, 200)):
        filled.rows(f"select py_table('t', 'q', null, {start}, {end}, 'bb, a')")

        assert "['a', 'bb']" == filled.eval("repr(list(q.columns))")


@pytest.mark.parametrize(
    ("patterns", "columns"),
    [
        (None, ["a", "bb", "b", "ab"]),
        ("*", ["a", "bb", "b", "ab"]),
        ("a", ["a"]),
        ("b,a", ["a", "b"]),
        (" AB ,  a ", ["a", "ab"]),
        ("b*", ["bb", "b"]),
        ("*b", ["bb", "b", "ab"]),
        ("?", ["a", "b"]),
        ("??", ["bb", "ab"]),
        ("?b", ["bb", "ab"]),
        ("*b*,a", ["a", "bb", "b", "ab"]),
        ("a*?", ["ab"]),
        ('"b"', ["b"]),
        ("[a],`b`", ["a", "b"]),
    ],
)
def test_table_chooses_columns(
    filled: Host, patterns: str | None, columns: list[str]
) -> None:
    """A comma list of names with * and ?; columns come once, in the table's order."""
    row = table(filled, "t", 1, 1, patterns)[0]

    assert columns == list(row)


@pytest.mark.parametrize("patterns", ["c", "a,zz*", "???", '"b*"', "a,", ",", "?a"])
def test_table_names_the_columns_there_are(filled: Host, patterns: str) -> None:
    """A pattern without a match is an error that lists the columns."""
    message = filled.error(f"select py_table('t', 'q', null, null, null, '{patterns}')")

    assert "py_table: no column of 't' matches '" in message
    assert "columns: a, bb, b, ab" in message


NAMES = ['a"b', "a.b", "a b", "a'b", "select", "a[b", "é", "%", "a`b", "1a"]


@pytest.mark.parametrize("name", NAMES)
def test_table_takes_any_name(host: Host, name: str) -> None:
    """A name in double quotes may hold anything; so may a column's."""
    quoted = '"' + name.replace('"', '""') + '"'
    host.rows(f"create table {quoted}({quoted} int, other int)")
    host.rows(f"insert into {quoted} values (7, 8)")

    for pages in (1, 0):
        host.rows(f"select py_option('pages', {pages})")

        assert [{name: 7, "other": 8}] == table(host, quoted)
        assert [{name: 7}] == table(host, f"main.{quoted}", None, None, quoted)


def test_table_takes_a_plain_name_unquoted(host: Host) -> None:
    """Quotes are needed only where there is a dot, or quotes at the front."""
    host.rows('create table "my table, 1"(a)')

    assert [] == table(host, "my table, 1")


def test_table_finds_a_name_as_sqlite_does(host: Host, tmp_path: Path) -> None:
    """A schema may come first; without one temp comes before main and the others."""
    host.rows(f"attach '{tmp_path / 'other.db'}' as other")
    for schema in ("main", "temp", "other"):
        host.rows(f"create table {schema}.t as select '{schema}' as s")
    host.rows("create table other.only as select 1 as s")

    assert [("temp",)] == values(host, "t")
    assert [("main",)] == values(host, "main.t")
    assert [("other",)] == values(host, "OTHER.T")
    assert [(1,)] == values(host, "only")
    assert "there is no table 'main.only'" in host.error(
        "select py_table('main.only', 'q')"
    )


MISSING = ["nothing", "main.nothing", "nowhere.t", "main.", ".t", "a.b.c", '"t"x']


@pytest.mark.parametrize("name", MISSING)
def test_table_refuses_what_is_no_table(host: Host, name: str) -> None:
    """It names what it was given, and leaves the variable."""
    host.rows("create table t(a)")
    host.run("q = 'before'")

    message = host.error(f"select py_table({quote(name)}, 'q')")

    assert message.startswith("py_table: ")
    assert "before" == host.eval("q")


def test_table_says_where_no_database_is(host: Host) -> None:
    """A dot parts the schema from the table; temp is one before it has a table."""
    message = host.error("select py_table('nowhere.t', 'q')")

    assert 'no database "nowhere" is attached' in message
    assert 'quote it: "nowhere.t"' in message
    assert "no table 'temp.t'" in host.error("select py_table('temp.t', 'q')")


def test_table_reads_views_and_virtual_tables(filled: Host) -> None:
    """What can be selected from can be read, as a whole."""
    filled.rows("create view w as select a, bb from t where a > 20 order by a desc")
    filled.rows("create virtual table v using fts5(x)")
    filled.rows("insert into v values ('words')")

    assert [(50, ""), (40, "é")] == values(filled, "w")
    assert [("words",)] == values(filled, "v", None, None, "x")
    assert [("t",)] == [
        row for row in values(filled, "sqlite_master", 1, 1, "name") if row == ("t",)
    ]


def test_table_without_rowid_takes_no_range(filled: Host) -> None:
    """Start and end are rowids; where there are none they are an error."""
    filled.rows("create table k(a primary key, b) without rowid")
    filled.rows("insert into k values (2, 'x'), (1, 'y')")
    filled.rows("create view w as select * from t")

    assert [(1, "y"), (2, "x")] == values(filled, "k")
    for name in ("k", "w"):
        message = filled.error(f"select py_table('{name}', 'q', null, 1)")

        assert f"'{name}' has none" in message


def test_table_finds_the_rowid_behind_columns_of_its_names(host: Host) -> None:
    """A column may be called rowid; the table's own then has another name."""
    host.rows("create table t(rowid text, _rowid_ text)")
    host.rows("insert into t(oid, rowid, _rowid_) values (7, 'a', 'b'), (8, 'c', 'd')")
    host.rows("create table u(rowid, _rowid_, oid)")

    assert [("c", "d")] == values(host, "t", 8)
    assert "'u' has none" in host.error("select py_table('u', 'q', null, 1)")
    assert [] == values(host, "u")


def test_table_of_generated_and_hidden_columns(host: Host) -> None:
    """Generated columns are columns; hidden ones of virtual tables are not."""
    host.rows("create table t(a, b as (a * 2), c as (a * 3) stored)")
    host.rows("insert into t values (1)")
    host.rows("create virtual table v using fts5(x)")

    assert [{"a": 1, "b": 2, "c": 3}] == table(host, "t")
    assert [{"c": 3}] == table(host, "t", None, None, "c")
    assert "columns: x" in host.error(
        "select py_table('v', 'q', null, null, null, 'rank')"
    )


def test_table_sees_uncommitted_rows(filled: Host) -> None:
    """It reads what the connection sees, not what the file holds."""
    filled.rows("begin")
    filled.rows("insert into t(rowid, a) values (9, 90)")
    filled.rows("delete from t where rowid = 1")

    inside = values(filled, "t", 0, None, "a")
    filled.rows("rollback")

    assert [(20,), (40,), (50,), (90,)] == inside
    assert [(10,), (20,), (40,), (50,)] == values(filled, "t", 0, None, "a")


def test_table_keeps_its_order_when_scans_are_reversed(filled: Host) -> None:
    """Rows come in the order of their rowid, whatever the connection prefers."""
    filled.rows("create index i on t(a desc, bb)")
    filled.rows("pragma reverse_unordered_selects = 1")
    filled.rows("select py_option('pages', 0)")

    assert [(-30,), (10,), (20,), (40,), (50,)] == values(filled, "t", None, None, "a")


def test_table_takes_options(host: Host) -> None:
    """dtype_backend and parse, as for py_query."""
    host.rows("create table t(d date)")
    host.rows("insert into t values ('2024-02-29')")
    host.rows("select py_table('t', 'q', 'list', null, null, null, '{\"parse\":true}')")

    assert "[(datetime.date(2024, 2, 29),)]" == host.eval("repr(q)")


@pytest.mark.parametrize("wrong", ["'one'", "1.5", "x'01'", "'1'"])
def test_table_refuses_a_range_that_is_no_rowid(filled: Host, wrong: str) -> None:
    """An end is an integer or NULL."""
    for place, arguments in (("start", wrong), ("end", f"null, {wrong}")):
        message = filled.error(f"select py_table('t', 'q', null, {arguments})")

        assert f"py_table: {place}: a rowid (an integer) or NULL is wanted" in message


def test_table_says_how_it_has_read(filled: Host) -> None:
    """py_option('scanned') tells whether it was the pages, or why it was the query."""
    filled.rows("select py_option('pages', 0)")
    values(filled, "t")

    assert 'query: option "pages" is 0' == filled.value("select py_option('scanned')")


def test_table_of_many_columns(host: Host) -> None:
    """Up to SQLite's 2,000 columns."""
    names = ", ".join(f"c{i}" for i in range(2000))
    host.rows(f"create table t({names})")
    host.rows(f"insert into t values ({', '.join(map(str, range(2000)))})")

    for pages in (1, 0):
        host.rows(f"select py_option('pages', {pages})")

        assert [tuple(range(2000))] == values(host, "t")
        assert [(1990,)] == values(host, "t", None, None, "c1990")
