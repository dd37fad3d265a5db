"""py_query with ORDER BY is read below SQL, in SQLite's order to the last row."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.sqlite.scans import MORE, compare_query, fill

if TYPE_CHECKING:
    from tests.sqlite.scans import Database

# Columns of each type, with many rows that are equal in one of them or in most.
MANY = """
    create table m(i integer primary key, few int, many int, r real, word text,
        long text, bytes blob, blank, mixed);
    insert into m with recursive n(i) as (select 1 union all select i + 1 from n
    where i < {n}) select i, abs(random()) % 5, case when i % 13 = 0 then null else
    random() >> (i % 60) end, case i % 17 when 0 then null when 1 then -0.0 when 2
    then 0 else (random() >> 40) / 8.0 end, substr('alpha beta gamma', 1 +
    abs(random()) % 9, abs(random()) % 8), case when i % 11 = 0 then null else
    'the same beginning of all texts ' || char(97 + i % 3, i % 2) || hex(i % 700) end,
    randomblob(i % 10), null, case i % 3 when 0 then i else 'x' || i end from n;
"""


@pytest.mark.parametrize(
    "query",
    [
        "select * from t order by n, i limit 200",
        "select * from t order by x limit 50 offset 7",
        "select i, s from t order by x desc, s",
        "select s, n from t where n > 3 and r < 40.25 order by r desc, x",
        "select s as text from t order by text desc limit 7",
        "select n from t where n < 0 order by r limit 7",
        "select s, b, r from t order by b, s, x desc limit 100000",
        "select s from t where i between 0 and 900 order by s limit -1",
        "select x, x from t order by i, 1",
        "select a from (select s as a, n from t) order by n desc, a limit 20",
    ],
)
def test_sorted_query_is_read_by_pages(db: Database, query: str) -> None:
    """By columns of the result and by others, all rows and the first of them."""
    fill(db, 700)

    assert "pages" == compare_query(db, query)


@pytest.mark.parametrize(
    "query",
    [
        "select * from t order by i desc",
        "select i from t order by s collate nocase",
        "select i from t order by length(s)",
        "select i from t order by n nulls last",
        "select i from t order by r limit 0",
        "select distinct s from t order by s",
        "select x, count(*) from t group by x order by x",
        "select i from t union all select n from t order by 1",
        "select i, n + 1 from t order by r",
        "select i from indexed order by i",
    ],
)
def test_sorted_query_that_wants_more_is_left_to_sql(db: Database, query: str) -> None:
    """Expressions, collations, NULLs at the other end, and what an index can sort."""
    fill(db, 300)
    db.sql("create table indexed(i); create index by_i on indexed(i)")

    assert MORE == compare_query(db, query)


def test_sorted_query_says_why_it_is_left_to_sql(db: Database) -> None:
    """Values of several types, threads of the sorter, OFFSET alone."""
    db.sql(MANY.format(n=50))

    mixed = "query: a column to sort by holds values of more than one type"
    assert mixed == compare_query(db, "select i from m order by mixed")
    alone = "query: OFFSET has no LIMIT"
    query = "select i from m order by r limit -1 offset 3"
    assert alone == compare_query(db, query)
    db.sql("pragma threads = 2")
    threads = "query: the connection sorts in several threads"
    assert threads == compare_query(db, "select i from m order by r")


@pytest.mark.parametrize(("n", "limits"), [(60, 3), (3000, 2), (40_000, 1)])
def test_rows_that_are_equal_come_as_sql_has_them(
    db: Database, n: int, limits: int
) -> None:
    """Any columns in any direction, whether SQLite sorts in memory or in files."""
    pick = random.Random(n)  # noqa: S311 (no secrets)
    db.sql("pragma page_size = 1024; vacuum; pragma cache_size = 10")
    db.sql(MANY.format(n=n))
    names = ["few", "many", "r", "word", "long", "bytes", "blank"]

    keys = [[name] for name in names] + [pick.sample(names, 2) for _ in range(8)]
    keys.append(["blank", "few", "i"])
    for chosen in keys:
        order = ", ".join(name + pick.choice(["", " desc"]) for name in chosen)
        assert "pages" == compare_query(db, f"select i, word from m order by {order}")
        for _ in range(limits):
            most = pick.choice([1, 2, n // 9, n // 2, n - 1, n, n + 5])
            skip = pick.choice(["", f" offset {pick.randrange(n)}"])
            query = f"select i, mixed from m order by {order} limit {most}{skip}"
            assert "pages" == compare_query(db, query)


def test_first_rows_of_many_are_kept_while_others_are_dropped(db: Database) -> None:
    """More rows than are kept at once, the best of them first, last or anywhere."""
    db.sql("create table t(i integer primary key, a int, b real)")
    db.sql(
        "insert into t with recursive n(i) as (select 1 union all select i + 1 from n"
        " where i < 450000) select i, i % 1000, -i / 4.0 from n"
    )

    for order in ("a", "a desc", "b", "b desc, a", "a, b"):
        query = f"select * from t order by {order} limit 40 offset 3"
        assert "pages" == compare_query(db, query)
    query = "select i from t where a <> 7 order by a limit 1000"
    assert "pages" == compare_query(db, query)


def test_sorted_rows_may_go_on_in_other_pages(db: Database) -> None:
    """Long texts are sorted by, and come with the rows that are chosen."""
    db.sql("pragma page_size = 512; vacuum")
    db.sql("create table t(a text, i int, b text)")
    db.sql(
        "insert into t with recursive n(i) as (select 1 union all select i + 1 from n"
        " where i < 300) select hex(zeroblob(i % 97 * 9)), i, hex(zeroblob(i % 7 * 90))"
        " from n"
    )

    assert "pages" == compare_query(db, "select * from t order by a")
    assert "pages" == compare_query(db, "select i from t order by a desc, b limit 70")
    assert "pages" == compare_query(db, "select * from t order by b desc, a limit 90")
    assert "pages" == compare_query(db, "select a from t where b > '0' order by i desc")


def test_sorted_row_that_is_too_long_for_sql_is_its_error(db: Database) -> None:
    """The sorter's record holds the columns of the result, some of them twice."""
    db.sql("create table t(a text, n int)")
    db.sql("insert into t values (hex(zeroblob(400)), 1), ('b', 2)")
    db.do("limit_length", 1500)

    how = compare_query(db, "select a, n, a || '' as b from t order by n")
    assert how == MORE
    how = compare_query(db, "select a, n, a as b from t order by n")
    assert "query: a record is longer than the limit of the connection" == how
    assert "pages" == compare_query(db, "select a, n from t where n = 1")
