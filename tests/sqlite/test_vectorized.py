"""py_define of kind vectorized: a table-valued function that is called per batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite.test_define import define, numbers

if TYPE_CHECKING:
    from tests.sqlite.hosts import Driver, Host


def test_define_vectorized(host: Host) -> None:
    """A table-valued function of a query is called with arrays."""
    numbers(host)
    host.run("def twice(x): return x * 2")
    define(host, "twice", "vectorized", "twice")

    assert [(2,), (4,), (6,), (None,)] == host.rows(
        "select * from twice('select x from t')"
    )
    assert 12 == host.value("select sum(value) from twice('select x from t')")


def test_define_vectorized_keeps_and_names_columns(host: Host) -> None:
    """Kept columns come first, as they are; those returned have the names asked for."""
    numbers(host)
    host.run("def f(x, y): return {'s': x + y, 'p': x * y}")
    define(host, "f", "vectorized", "f", '{"columns": ["p", "s"], "keep": ["g", "id"]}')

    rows = host.rows("select *, rowid from f('select rowid as id, x, x + 1, g from t')")

    assert [
        ("a", 1, 2, 3, 1),
        ("b", 2, 6, 5, 2),
        ("a", 3, 12, 7, 3),
        ("b", 4, None, None, 4),
    ] == rows


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 1000])
def test_define_vectorized_in_batches(host: Host, batch: int) -> None:
    """The callable sees a batch at a time; the rows are the same."""
    numbers(host, ",".join(f"({i if i % 3 else 'null'}, 'k{i}')" for i in range(1, 11)))
    host.run("sizes = []\ndef f(x): sizes.append(len(x)); return x + 0.5")
    define(host, "f", "vectorized", "f", f'{{"batch": {batch}, "keep": ["g"]}}')

    rows = host.rows("select g, value from f('select x, g from t')")

    assert [(f"k{i}", i + 0.5 if i % 3 else None) for i in range(1, 11)] == rows
    assert batch >= host.eval("max(sizes)")
    assert 7 == host.eval("sum(sizes)")


def test_define_vectorized_with_null_special(host: Host) -> None:
    """With null special the arrays are masked, and any number of rows may come back."""
    numbers(host)
    host.run("import numpy as np\ndef f(x): return np.repeat(np.ma.filled(x, -1), 2)")
    define(host, "f", "vectorized", "f", '{"null": "special", "batch": 3}')

    assert [(v,) for v in (1, 1, 2, 2, 3, 3, -1, -1)] == host.rows(
        "select value from f('select x from t')"
    )
    assert 8 == host.value("select count(distinct rowid) from f('select x from t')")


def test_define_vectorized_may_drop_all_rows(host: Host) -> None:
    """A batch that comes back empty is passed over."""
    numbers(host)
    define(
        host,
        "big",
        "vectorized",
        "lambda x: x[x > 2]",
        '{"null": "special", "batch": 1}',
    )

    assert [(3,)] == host.rows("select * from big('select x from t where x > 0')")


def test_define_vectorized_kept_cells_are_exact(driver: Driver) -> None:
    """What is kept is not converted, however mixed."""
    define(driver, "f", "vectorized", "lambda x: x", '{"keep": ["k"]}')

    rows = driver.rows(
        "select k, typeof(k) from f('select 1 as x, column1 as k from "
        "(values (1), (2.0), (''x''), (x''00''), (null), (9223372036854775807))')"
    )

    assert [
        (1, "integer"),
        (2.0, "real"),
        ("x", "text"),
        (b"\0", "blob"),
        (None, "null"),
        (2**63 - 1, "integer"),
    ] == rows


def test_define_vectorized_results_of_each_kind(driver: Driver) -> None:
    """An array, a Series, a tuple, a dict and a frame are columns."""
    driver.run("import numpy as np, pandas as pd, pyarrow as pa")
    for number, result in enumerate(
        [
            "x",
            "pd.Series(x)",
            "(x,)",
            "{'value': x}",
            "pd.DataFrame({'y': x})",
            "pa.table({'value': x})",
            "x.tolist()",
        ]
    ):
        define(driver, f"f{number}", "vectorized", f"lambda x: {result}")
        assert [(1,), (2,)] == driver.rows(
            f"select * from f{number}('select 1 union select 2')"
        )


def test_define_vectorized_joins_and_sorts(host: Host) -> None:
    """Its rows may be joined, sorted and aggregated; text outlives its batch."""
    numbers(host)
    host.run(
        "def f(x): return np.array([f'v{i}' for i in x], object)\nimport numpy as np"
    )
    define(host, "f", "vectorized", "f", '{"batch": 1, "keep": ["x"]}')
    query = "f('select x, x from t where x is not null')"

    assert [("v1", "v3", 3)] == host.rows(
        f"select min(value), max(value), count(*) from {query}"
    )
    assert [("v3",), ("v2",), ("v1",)] == host.rows(
        f"select value from {query} order by value desc"
    )
    assert [("a", "v1"), ("b", "v2"), ("a", "v3")] == host.rows(
        f"select g, value from {query} v join t on t.x = v.x order by t.x"
    )


def test_define_vectorized_query_may_depend_on_a_row(host: Host) -> None:
    """The query is an expression: it may come from a table beside it."""
    numbers(host)
    define(host, "f", "vectorized", "lambda x: x * 10")

    assert [(1, 10), (2, 20), (3, 30)] == host.rows(
        "select t.x, value from t, f('select ' || t.x) where t.x is not null"
    )
    assert [] == host.rows("select * from f(null)")


def test_define_vectorized_of_no_rows_is_not_called(host: Host) -> None:
    """No rows, no call."""
    define(host, "f", "vectorized", "lambda x: 1 / 0")

    assert [] == host.rows("select * from f('select 1 where 0')")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("f", "f: the query is missing: select * from f('select ...')"),
        ("f()", "the query is missing"),
        ("f('selec 1')", 'f: near "selec"'),
        ("f('delete from t')", "one statement that reads is wanted"),
        ("f('')", "one statement that reads is wanted"),
        ("f('select 1; select 2')", "one statement that reads is wanted"),
        ("f('select ?')", "parameters"),
        ("f('select * from nowhere')", "no such table"),
        ("f('select abs(-9223372036854775807 - 1)')", "integer overflow"),
        ("kept('select 1 as x')", 'no column "k" to keep'),
        ("kept('select 1 as k')", "0 columns to pass on"),
        ("one('select 1, 2')", "2 columns to pass on, wanted 1"),
        ("short('select 1 union select 2')", "returned 1 row for 2"),
        ("long('select 1 union select 2')", "returned 4 rows for 2"),
        ("wide('select 1')", 'returned 2 columns, option "columns" names 1'),
        ("uneven('select 1')", "uneven: "),
        ("text('select 1')", "text: "),
    ],
)
def test_define_vectorized_says_what_is_wrong(
    host: Host, call: str, words: str
) -> None:
    """Each wrong use has words of its own, and the next statement works."""
    numbers(host)
    host.run("import numpy as np")
    for name, code, options in [
        ("f", "lambda x: x", ""),
        ("kept", "lambda x: x", '{"keep": ["k"]}'),
        ("one", "lambda x: x", '{"arity": 1}'),
        ("short", "lambda x: x[:1]", ""),
        ("long", "lambda x: np.tile(x, 2)", ""),
        ("wide", "lambda x: (x, x)", ""),
        ("uneven", "lambda x: (x, [1, 2, 3])", '{"columns": ["a", "b"]}'),
        ("text", "lambda x: 5j", ""),
    ]:
        define(host, name, "vectorized", code, options)

    message = host.error(f"select * from {call}")

    assert words in message
    assert [(1,)] == host.rows("select * from f('select 1')")
