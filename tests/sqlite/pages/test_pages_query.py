"""py_query reads a plain table below SQL, where its query wants no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite.scans import MORE, HostError, compare_query, fill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.scans import Database, Host

OTHERS = """
    create view v as select s, n as number from t;
    create table other(a, b text default 'none', c real);
    insert into other values (1, 'x', 2), (null, 'y', 3.5);
    create table keyed(k text primary key, x) without rowid;
    create index by_a on other(a);
    create table old(a); insert into old values (1);
    alter table old add column b default 7; insert into old values (2, 3);
"""


@pytest.mark.parametrize(
    "query",
    [
        "select * from t",
        "SELECT b, s, x, r, n, i FROM t;",
        'select s as text, i as "a b" from main.t as u -- the end',
        "select rowid, c, b, a from other",
        "select * from v",
        "select number from (select * from v)",
        "with w as (select r, i from t) select r from w",
        "select * from t order by i",
        "select i from t where 1",
        "select * from t limit 3",
        "select a, b from other not indexed",
        "select n, n from t",
    ],
)
def test_query_of_plain_columns_is_read_by_pages(db: Database, query: str) -> None:
    """Columns of one table in any order and under any name; views are seen through."""
    fill(db, 300)
    db.sql(OTHERS)

    assert "pages" == compare_query(db, query)


@pytest.mark.parametrize(
    "query",
    [
        "select * from t where n > abs(5)",
        "select * from t where s like 'a%' escape 'x'",
        "select * from t where i = 4",
        "select * from t where i in (1, 2, 3)",
        "select * from t order by i desc",
        "select n + 1 from t",
        "select n, 1 from t",
        "select * from sqlite_master",
        "select cast(n as text) from t",
        "select count(*) from t",
        "select distinct x from t",
        "select a from other",
        "select t.i from t join other on a = i",
        "select i from t union all select a from other",
        "select sum(n) over (order by i) from t",
        "select * from keyed",
        "select * from json_each('[1, 2]')",
        "values (1)",
        "select 1",
        "pragma table_info(t)",
        "explain select * from t",
    ],
)
def test_query_that_wants_more_is_left_to_sql(db: Database, query: str) -> None:
    """Anything that SQLite would do beside taking columns row by row."""
    fill(db, 300)
    db.sql(OTHERS)

    how = compare_query(db, query)

    others = ["columns cannot be selected", "table is not found"]
    assert how in (MORE, *(f"query: the {other}" for other in others))


def test_query_leaves_old_rows_with_defaults_to_sql(db: Database) -> None:
    """A row from before ALTER TABLE ADD COLUMN has the default."""
    db.sql(OTHERS)

    how = compare_query(db, "select b, a from old")

    assert "query: a row from before ALTER TABLE wants a default" == how


def test_query_sees_rows_that_are_not_committed(db: Database) -> None:
    """What the connection itself has begun to write is not in the file yet."""
    fill(db, 10)
    db.sql("begin; insert into t(i) values (1000)")

    how = compare_query(db, "select i from t")

    assert "query: the connection has begun to write to the database" == how
    assert [(1000,)] == db.sql("select py_eval('max(by_pages.column(0).to_pylist())')")


def test_query_with_wrong_parameters_is_an_error_still(db: Database) -> None:
    """A value too many, or too few, is what it is without the pages."""
    fill(db, 10)

    with pytest.raises(HostError, match="0 parameters, 1 value came"):
        db.sql("select py_query('select * from t', 'q', 'list', null, 5)")
    with pytest.raises(HostError, match="parameter 1 of the statement has no value"):
        db.sql("select py_query('select * from t where n > ?', 'q', 'list')")


def test_query_by_pages_can_be_switched_off(db: Database) -> None:
    """py_option('pages', 0) leaves queries to SQL, too."""
    fill(db, 10)

    db.sql("select py_option('pages', 0)")
    db.sql("select py_query('select * from t', 'q')")

    assert [('query: option "pages" is 0',)] == db.sql("select py_option('scanned')")


def test_query_reads_attached_files(db: Database, tmp_path: Path) -> None:
    """The database that the program names is the one that is read."""
    fill(db, 50)
    db.sql(f"attach '{tmp_path / 'b.db'}' as \"second one\"")
    db.sql('create table "second one".t(z, y)')
    db.sql("insert into \"second one\".t values (1, 'b')")

    assert "pages" == compare_query(db, 'select y, z from "second one".t')
    assert [("b",)] == db.sql("select py_eval('by_pages.column(0)[0].as_py()')")
    assert "pages" == compare_query(db, "select n from t")


def test_query_knows_of_a_schema_that_another_connection_changed(
    host: Host, db: Database, tmp_path: Path
) -> None:
    """Names and rows are those of the schema in the file."""
    fill(db, 50)
    assert "pages" == compare_query(db, "select * from t")
    other = host.open(tmp_path / "t.db")
    other.sql("alter table t rename column n to renamed; create table later(a)")
    other.close()

    db.sql("select py_option('pages', 1)")
    db.sql("select py_query('select * from t', 'q', 'arrow')")

    assert [("renamed",)] == db.sql("select py_eval('q.schema.names[1]')")
    assert "pages" == compare_query(db, "select * from t")


def test_host_query_reads_pages(db: Database) -> None:
    """pybridge.host.query is a query as well."""
    fill(db, 50)
    db.sql("select py_option('pages', 1)")

    n = db.sql(
        'select py_eval(\'len(__import__("pybridge.host").host.query('
        '"select n, s from t"))\')'
    )

    assert [(50,)] == n
    assert [("pages",)] == db.sql("select py_option('scanned')")
