"""py_query with a filter is read below SQL, and every comparison is SQLite's."""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.sqlite.scans import MORE, compare_query, fill

if TYPE_CHECKING:
    from tests.sqlite.scans import Database

UNTOLD = "query: the query compares with what cannot be told"
NUMBER = "query: a comparison takes text for a number"


@pytest.mark.parametrize(
    "query",
    [
        "select i, s from t where n > 5",
        "select * from t where not (n = 3 or s > 'a' and r is null)",
        "select s from t where r between 1.5 and 55.25 or r = 1.0000000000000002",
        "select s from t where r > -1.5e0 and r <> -.5 and r < 1e2 and r < 100.",
        "select s from t where s >= 'a t' and s < 'it''s -- ? 1' /* 2.5 */ or r > 2.5",
        'select s as "1.5 [" from t as [u 2.5] where r > 3.5 -- 4.5 ?',
        "select s from t where n < 9223372036854775807 and n > -9223372036854775808",
        "select s from t where n < 9223372036854775808 or n > 1e300",
        "select i from t where b = x'0000' or b > X'00000000'",
        "select i from t where x is 3 or x is null or x is not 4",
        "select i, x from t where n is not null and r is null",
        "select i from t where r",
        "select i from t where not n and i",
        "select i from t where r < n or x >= i",
        "select s from t where i between 100 and 200",
        "select s from t where i > 100 and i <= 1000 and n > 3",
        "select s from t where rowid >= 100 limit 5 offset 2",
        "select s from t where n > 3 limit -1 offset 4",
        "select s from t where x in (1, 2)",
        "select number from (select n as number, r from t where r > 2.5)",
        "select s from t where n > '5'",
        "select s from t where s = 12",
    ],
)
def test_filter_of_comparisons_is_read_by_pages(db: Database, query: str) -> None:
    """Columns, rowids and constants of any kind, AND, OR, NOT, LIMIT and OFFSET."""
    fill(db, 700)

    assert "pages" == compare_query(db, query)


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("select i from t where s collate nocase = 'A'", MORE),
        ("select i from t where n + 1 > 5", MORE),
        ("select i from t where n > 5 + 1", MORE),
        ("select i from t where s glob n", MORE),
        ("select i from t where n > (select 1)", MORE),
        ("select i from t where n > '5.5'", MORE),
        ("select i from t where cast(n as text) = 'x'", MORE),
        ("select i from t where (n, x) > (1, 2)", MORE),
        ("select i from t limit 0", MORE),
        ("select i from t where i > 1.5", MORE),
        ("select i from t where n > 0x7fffffffffff", UNTOLD),
        ("select * from v", UNTOLD),
        ("select i from t where s", NUMBER),
        ("select i from mixed where n > 5", NUMBER),
    ],
)
def test_filter_that_wants_more_is_left_to_sql(
    db: Database, query: str, how: str
) -> None:
    """What is not seen to be exact is asked of SQL, and said."""
    fill(db, 300)
    db.sql("create view v as select i from t where r > 1.5")
    db.sql("create table mixed(i, n int); insert into mixed values (1, ' 7 ')")
    db.sql("update mixed set n = n; insert into mixed values (2, '2e1x'), (3, 'x')")

    assert how == compare_query(db, query)


VALUES = [
    *("null", "0", "-0.0", "1", "-1", "2.5", "-2.5", "1e400", "-1e400", "''", "'a'"),
    *("'abc'", "'Abc'", "'é'", "'10'", "' 9'", "x''", "x'61'", "x'610062'", "'a b'"),
    *("9007199254740993", "9007199254740992.0", "9223372036854775807"),
    *("-9223372036854775808", "9223372036854775808.0", "-9223372036854775808.0"),
    *("9223372036854774784.0", "char(97, 0, 98)", "0.1", "0.30000000000000004", "0.3"),
]
TYPES = ("x", "i int", "r real", "s text", "b blob", "n numeric")


@pytest.mark.parametrize("seed", range(4))
def test_comparisons_of_any_two_values_are_those_of_sql(
    db: Database, seed: int
) -> None:
    """Columns of each affinity that hold values of all kinds, against all of them."""
    pick = random.Random(seed)  # noqa: S311 (no secrets)
    db.sql(f"create table t({', '.join(TYPES)})")
    names = [column.split()[0] for column in TYPES]
    for value in VALUES:
        db.sql(f"insert into t values ({', '.join([value] * len(names))})")
        others = ", ".join(pick.choices(VALUES, k=len(names)))
        db.sql(f"insert into t values ({others})")
    seen = {"pages": 0, "query": 0}

    operators = ("<", "<=", ">", ">=", "=", "<>", "is", "is not")
    cases = list(product(names, operators, [*VALUES, *names]))
    for name, operator, value in pick.sample(cases, 120):
        # Text among numbers would end most scans.
        whole = name in "irn" and pick.randrange(3)
        source = "t" if not whole else "plain"
        if whole:
            db.sql("drop table if exists plain")
            db.sql(f"create table plain({', '.join(TYPES)})")
            db.sql(f"insert into plain select * from t where typeof({name}) <> 'text'")
        query = f"select rowid, * from {source} where {name} {operator} "
        if value in VALUES and pick.randrange(2):
            how = compare_query(db, query + "?", value)
        else:
            how = compare_query(db, query + value)
        seen[how.partition(":")[0]] += 1

    assert seen["pages"] > 40


def test_parameters_are_those_that_were_bound(db: Database) -> None:
    """By position, by number and by name, beside literals that EXPLAIN cannot show."""
    fill(db, 500)
    query = "select i, r from t where r > ? and r < 60.25 and n <> ?2 and i < :most"
    values = ("2.5", "4", "py_kw('most', 600)")

    assert "pages" == compare_query(db, query, *values)
    limited = query + " and s > @s limit :few"
    more = ("py_kw('s', 'a t')", "py_kw('few', 5)")
    assert "pages" == compare_query(db, limited, *values, *more)
    named = ("py_kw('most', 900)", "py_kw('a', 1.25)")
    again = "select i from t where i < :most and r > :a and r > 1.5 and n < :most"
    assert "pages" == compare_query(db, again, *named)


def test_parameters_that_may_choose_an_index_are_left_to_sql(db: Database) -> None:
    """A partial index may be taken for one value and not for another."""
    fill(db, 500)
    db.sql("create index p on t(r) where n > 5")

    how = compare_query(db, "select i from t where n > ?", "7")

    assert how == "query: an index may be taken for the values of the parameters"
    assert "pages" == compare_query(db, "select i from t where n < 7")


def test_filter_reads_overflow_pages_only_where_it_must(db: Database) -> None:
    """Rows whose record goes on in other pages are compared as a whole."""
    db.sql("pragma page_size = 512; vacuum")
    db.sql("create table t(a text, i int, b text, c int)")
    db.sql(
        "insert into t with recursive n(i) as (select 1 union all select i + 1 from n"
        " where i < 200) select hex(zeroblob(i * 7)), i, hex(zeroblob(i * 3)), -i"
        " from n"
    )

    assert "pages" == compare_query(db, "select c, i from t where a is null or i > 9")
    assert "pages" == compare_query(db, "select c from t where c < -50")
    assert "pages" == compare_query(db, "select i from t where b < '0000' or c > -3")
    assert "pages" == compare_query(db, "select a from t where i between 150 and 160")


def test_filter_leaves_defaults_of_old_rows_to_sql(db: Database) -> None:
    """A row from before ALTER TABLE ADD COLUMN is compared with the default."""
    db.sql("create table t(a); insert into t values (1), (2)")
    db.sql("alter table t add column b default 7; insert into t values (3, 4)")
    db.sql("alter table t add column c")

    old = "query: a row from before ALTER TABLE wants a default"
    assert old == compare_query(db, "select a from t where b > 5")
    assert "pages" == compare_query(db, "select a from t where c is null")
    assert "pages" == compare_query(db, "select b from t where a > 2")


def test_filter_by_a_collation_named_binary_is_left_to_sql(db: Database) -> None:
    """Somebody may give that name to a collation of their own."""
    fill(db, 30)
    db.do("collate", "BINARY")

    how = compare_query(db, "select i from t where s > 'A T'")

    assert 'query: the collation "BINARY" is not SQLite\'s own' == how
