"""py_query with IN and NOT IN is read below SQL, and finds what SQLite finds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.sqlite.pages.test_pages_where import NUMBER, TYPES, UNTOLD, VALUES
from tests.sqlite.scans import MORE, compare_query, fill

if TYPE_CHECKING:
    from tests.sqlite.scans import Database


@pytest.mark.parametrize(
    "query",
    [
        "select i from t where n in (1)",
        "select i from t where n not in (1, 4)",
        "select i, s from t where n in (1, 2, 3)",
        "select * from t where n not in (1, 2, 3, null)",
        "select i from t where n not in (null, 5) or n in (null, 5)",
        "select i from t where s in ('a', 'a t', 5, 'a text') and x = 2",
        "select i from t where s not in ('', 'a', 'a t') and r > 2.5",
        "select i from t where r in (1, 2.5, 1.1428571428571428, 3)",
        "select i from t where b in (x'', x'00', x'0000', 'a', null)",
        "select i from t where x in (1, 2, 3) or n in (4, 16) or s not in ('a', 'b')",
        "select i from t where not (x in (1, 2, 3, null) and n not in (4, 16, 64))",
        "select i from t where x not in (0, 1, 2) and x not in (3, null)",
        "select i from t where rowid not in (1, 4, 7, 10)",
        "select i from t where i in (1, 4) or n > 3",
        "select i from t where n in (1, -9223372036854775807, 9223372036854775807)",
        "select s from t where x in (1, 2, 3) order by s desc, i limit 9",
        "select s from t where x not in (1, 2, 3) limit 5 offset 4",
        "select number from (select n as number, x from t) where x in (1, 1, 1)",
        "select i from t where n in ('1', '16', 'x')",
    ],
)
def test_membership_is_read_by_pages(db: Database, query: str) -> None:
    """Lists of any length and type, joined with other comparisons in any way."""
    fill(db, 700)

    assert "pages" == compare_query(db, query)


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("select i from t where i in (1, 2, 3)", MORE),
        ("select i from t where n in (1, 2, 1 + 2)", MORE),
        ("select i from t where n + 1 in (1, 2, 3)", MORE),
        ("select i from t where n in (select x from t)", MORE),
        ("select i from t where n in (1, 2, '5.5')", MORE),
        ("select i from t where s in ('a', 'b', 1.5)", MORE),
        ("select i from t where (n in (1, 2, 3)) is null", MORE),
        ("select i from t where (n, x) in ((1, 2), (3, 4))", MORE),
        ("select i from t where s collate nocase in ('A', 'B', 'C')", MORE),
        ("select i from t where r not in (1.5, 2.5)", UNTOLD),
        ("select i from mixed where n in (5, 6, 7)", NUMBER),
        ("select b from t where i in (4, 7) and n in (1, 2, 3)", MORE),
    ],
)
def test_membership_that_wants_more_is_left_to_sql(
    db: Database, query: str, how: str
) -> None:
    """A list of what is computed, a seek by rowid, and what a text is as a number."""
    fill(db, 300)
    db.sql("create table mixed(i, n int); insert into mixed values (1, 7), (2, '2e1x')")

    actual = compare_query(db, query)

    # The newer SQLite does not ask for an affinity that the column has given before.
    assert actual == how or (how == NUMBER and actual == "pages")


@pytest.mark.parametrize("size", [1, 3, 90, 1000])
@pytest.mark.parametrize("bound", [False, True])
def test_membership_in_a_list_of_any_length(
    db: Database, size: int, bound: bool
) -> None:
    """Members are found among a thousand others, literals or parameters."""
    fill(db, 3000)
    values = [str(i * 7 - 400) for i in range(size - 1)] + ["'a text'"]
    marks = ["?"] * size if bound else values
    params = values if bound and size < 120 else []
    if bound and not params:  # an SQL function has no more arguments
        marks = [*values[:-100], *["?"] * 100]
        params = values[-100:]

    for column in ("x", "s", "n"):
        within = f"{column} in ({', '.join(marks)})"
        assert "pages" == compare_query(db, f"select i from t where {within}", *params)
        without = f"select i from t where not {within} and r > 5"
        assert "pages" == compare_query(db, without, *params)


def test_membership_in_a_list_of_literals_that_explain_does_not_show(
    db: Database,
) -> None:
    """Floats and long integers are asked for once more, as many as can be."""
    fill(db, 700)
    ratios = [repr(i / 7) for i in range(900)]
    long = [str(-(1 << 40) * (i + 1)) for i in range(700)]

    many = f"select i from t where r in ({', '.join(ratios)}) and n not in (1, 2, 3)"
    assert "pages" == compare_query(db, many)
    both = f"{many} and n not in ({', '.join(long)})"
    assert "pages" == compare_query(db, both)
    more = ", ".join(repr(-i / 7) for i in range(1, 900))
    assert UNTOLD == compare_query(db, f"{both} and r not in ({more})")


@pytest.mark.parametrize("seed", range(2))
def test_members_of_any_values_are_those_of_sql(db: Database, seed: int) -> None:
    """Columns of each affinity, lists of all values, NULL among them or not."""
    pick = random.Random(seed)  # noqa: S311 (no secrets)
    db.sql(f"create table t({', '.join(TYPES)})")
    names = [column.split()[0] for column in TYPES]
    for value in VALUES:
        db.sql(f"insert into t values ({', '.join([value] * len(names))})")
        others = ", ".join(pick.choices(VALUES, k=len(names)))
        db.sql(f"insert into t values ({others})")
    db.sql(f"create table plain({', '.join(TYPES)})")
    plain = " and ".join(f"typeof({name}) <> 'text'" for name in "irn")
    db.sql(f"insert into plain select * from t where {plain}")
    known = [v for v in VALUES if v not in ("'10'", "' 9'", "char(97, 0, 98)")]
    seen = {"pages": 0, "query": 0}

    for _ in range(40):
        name = pick.choice(names)
        values = pick.choices(known, k=pick.choice([1, 2, 3, 4, 9]))
        if pick.randrange(3):
            values = [value for value in values if value != "null"] or ["1"]
        bound = [value for value in values if pick.randrange(4) == 0]
        listed = ", ".join([v for v in values if v not in bound] + ["?"] * len(bound))
        params = [value for value in values if value in bound]
        marks = listed.count("?")
        how = pick.choice(["in", "not in"])
        source = "plain" if name in "irn" else "t"
        query = f"select rowid, * from {source} where {name} {how} ({listed})"
        if pick.randrange(3) == 0:
            query += f" or not ({pick.choice(names)} in (1, 'a', 2.5))"
        seen[compare_query(db, query, *params[:marks]).partition(":")[0]] += 1

    assert seen["pages"] > 15
    assert seen["query"] > 0


def test_membership_reads_overflow_pages_and_leaves_defaults(db: Database) -> None:
    """Long text is a member as a whole; a default that a row lacks is SQL's."""
    db.sql("pragma page_size = 512; vacuum")
    db.sql("create table t(a text, i int)")
    db.sql(
        "insert into t with recursive n(i) as (select 1 union all select i + 1 from n"
        " where i < 200) select hex(zeroblob(i * 7)), i from n"
    )
    long = ", ".join(f"'{'00' * (7 * n)}'" for n in (3, 90, 120, 400))
    assert "pages" == compare_query(db, f"select i from t where a in ({long})")
    assert "pages" == compare_query(db, f"select i from t where a not in ({long})")
    db.sql("alter table t add column d default 7; insert into t values ('a', 1, 2)")

    old = "query: a row from before ALTER TABLE wants a default"
    assert old == compare_query(db, "select i from t where d in (7, 8, 9)")
    assert old == compare_query(db, "select i from t where d not in (7, 8)")


def test_membership_by_a_collation_named_binary_is_left_to_sql(db: Database) -> None:
    """Somebody may give that name to a collation of their own."""
    fill(db, 30)
    db.do("collate", "BINARY")

    how = compare_query(db, "select i from t where s in ('A T', 'A', 'B')")

    assert 'query: the collation "BINARY" is not SQLite\'s own' == how
