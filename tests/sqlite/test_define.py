"""py_define: Python callables as SQL functions."""

from __future__ import annotations

import ctypes
import gc
from typing import TYPE_CHECKING

import apsw
import pytest

from tests.sqlite.hosts import TESTED, load, quote
from tests.values import SCALARS

if TYPE_CHECKING:
    from tests.sqlite.hosts import Driver, Host
    from tests.values import Scalar

SUM = """
class Sum:
    def __init__(self): self.total = 0
    def step(self, x): self.total += x
    def inverse(self, x): self.total -= x
    def value(self): return self.total
    def finish(self): return self.total
"""


def define(
    host: Host, name: str, kind: str, code: str | None, options: str = ""
) -> None:
    """Call py_define."""
    host.rows(
        f"select py_define({quote(name)}, {quote(kind)}, {quote(code)}, "
        f"{quote(options)})"
    )


def numbers(
    host: Host, rows: str = "(1, 'a'), (2, 'b'), (3, 'a'), (null, 'b')"
) -> None:
    """Make the table t(x, g)."""
    host.rows(f"create table t(x, g); insert into t values {rows}")


# ---- Scalar ----


@pytest.mark.parametrize("scalar", [s for s in SCALARS if s.exact], ids=str)
def test_define_scalar_passes_each_type(driver: Driver, scalar: Scalar) -> None:
    """An SQL value goes in and the same one comes out."""
    define(driver, "same", "scalar", "lambda x: x", '{"null": "special"}')

    value = driver.rows(f"select same({scalar.sql}), typeof(same({scalar.sql}))")

    assert driver.rows(f"select {scalar.sql}, {quote(scalar.storage)}") == value


def test_define_scalar_in_queries(host: Host) -> None:
    """A defined function is a function like any other."""
    numbers(host)
    host.run("def double(x): return 2 * x")
    define(host, "double", "scalar", "double", '{"arity": 1}')

    assert [(2,), (4,), (6,), (None,)] == host.rows("select double(x) from t")
    assert [(3,)] == host.rows("select x from t where double(x) = 6")


def test_define_scalar_null_handling(host: Host) -> None:
    """By default NULL in gives NULL out without a call; special passes it on."""
    host.run("calls = []\ndef f(*a): calls.append(a); return len(a)")
    define(host, "f", "scalar", "f")
    define(host, "g", "scalar", "f", '{"null": "special"}')

    assert [(None, 2, 2, 0)] == host.rows("select f(1, null), f(1, 2), g(1, null), f()")
    assert "[(1, 2), (1, None), ()]" == host.eval("str(calls)")


@pytest.mark.parametrize("n", [0, 1, 28, 29, 31, 32, 33, 254, 255, 256, 70000])
@pytest.mark.parametrize("letter", ["a", "é", "\\0"], ids=["ascii", "other", "nul"])
def test_define_scalar_text_of_any_length(driver: Driver, n: int, letter: str) -> None:
    """Text comes whole, row after row, whatever SQL does with it."""
    define(driver, "f", "scalar", f"lambda n: '{letter}' * n + '.'", '{"arity": 1}')

    rows = driver.rows(
        "select hex(f(column1)), length(cast(f(column1) || 'x' as blob)) "
        f"from (values ({n}), (3), ({n}))"
    )

    text = letter.replace("\\0", "\0").encode()
    wanted = [((text * k + b".").hex().upper(), len(text) * k + 2) for k in (n, 3, n)]
    assert wanted == rows


KEEPERS = """
import functools, sys
kept, later = [], []
class Named: pass

def keep(x): kept.append(x); return -1
def capture(x): later.append(lambda: x); return -1
def fail(x):
    try: raise ValueError(x)
    except ValueError as error: kept.append(error.args[0])
    return -1
def values(x): yield x
def suspend(x):
    later.append(functools.partial(next, values(x)))
    return -1
@functools.lru_cache(None)
def remember(x): return x
def intern(x): kept.append(sys.intern(x)); return -1
def name(x):
    named = Named()
    setattr(named, x, x)
    kept.extend(vars(named))
    return -1
def forget(x):
    copy = ''.join(list(x))
    kept.append(copy if sys.intern(x) is sys.intern(copy + '') else 'two of them')
    return -1
def grow(x):
    x += '!'
    kept.append(x[:-1])
    return -1
"""


@pytest.mark.parametrize("keeper", ["keep", "capture", "fail", "suspend", "remember"])
def test_define_scalar_keeps_what_a_row_was(host: Host, keeper: str) -> None:
    """An argument that Python code keeps stays as it came, whatever rows follow."""
    host.run(KEEPERS)
    define(host, "f", "scalar", keeper, '{"arity": 1}')
    rows = "with s(x) as (select 1 union all select x + 700 from s limit 900)"

    came = host.rows(f"{rows} select x, f(x) from s")

    wanted = [x for x, _ in came]
    if keeper == "remember":
        assert wanted == [x for _, x in came]
    else:
        got = host.eval("str(sorted(kept or [one() for one in later]))")
        assert str(wanted) == got


TEXTS = [
    *(f"{'number ' * (n % 40)}{n}" for n in range(1, 400, 7)),
    *("straße", "x", "ab", "abc", "abcd", "seven77", "eight888", "nine99999"),
    *("é", "日本", "日本語テキスト", "a" * 255, "b" * 256, "c" * 255, "", "y", "yz"),
]


@pytest.mark.parametrize(
    "keeper",
    [
        "forget",  # before others have interned the same texts
        "keep",
        "capture",
        "fail",
        "suspend",
        "remember",
        "intern",
        "name",
        "grow",
    ],
)
def test_define_scalar_keeps_the_text_of_a_row(host: Host, keeper: str) -> None:
    """Text that Python code keeps stays as it came, whatever rows follow."""
    host.run(KEEPERS)
    define(host, "f", "scalar", keeper, '{"arity": 1}')
    host.rows("create table u (s)")
    values = ", ".join(f"({quote(text)})" for text in TEXTS)
    host.rows(f"insert into u values {values}")

    came = host.rows("select s, f(s) from u order by rowid")

    if keeper == "remember":
        assert [(x, x) for x in TEXTS] == came
    else:
        got = host.eval("repr(kept or [one() for one in later])")
        assert repr(TEXTS) == got


def test_define_scalar_text_is_what_it_was_in_every_way(host: Host) -> None:
    """Length, hash, equality and the characters are those of the row's own text."""
    host.run(
        "seen = []\n"
        "def f(s):\n"
        "    other = ''.join(list(s))\n"
        "    seen.append(s)\n"
        "    same = (s == other, hash(s) == hash(other), {other: 1}.get(s) == 1,\n"
        "            len(s) == len(other), s.encode() == other.encode(),\n"
        "            f'{s}' == other, s.isascii() == other.isascii())\n"
        "    seen.clear()\n"
        "    return 'yes' if all(same) else 'no'"
    )
    define(host, "f", "scalar", "f", '{"arity": 1}')
    define(host, "same", "scalar", "lambda s: s", '{"arity": 1}')
    values = ", ".join(f"({quote(text)})" for text in TEXTS)

    table = f"with t(s) as (values {values})"

    alone = host.rows(f"{table} select f(s) from t")
    mixed = host.rows(f"{table} select s, same(s), same(same(s)), f(same(s)) from t")

    assert [("yes",)] * len(TEXTS) == alone
    assert [(text, text, text, "yes") for text in TEXTS] == mixed


def test_define_scalar_text_with_nul(host: Host) -> None:
    """A NUL within text is a character, in what comes and in what goes."""
    define(host, "f", "scalar", "lambda s: s.upper()", '{"arity": 1}')
    rows = "with t(s) as (values (x'61620063'), (x'646566'), (x'006700'), (x'68'))"

    came = host.rows(f"{rows} select hex(f(cast(s as text))) from t")

    assert [("41420043",), ("444546",), ("004700",), ("48",)] == came


@pytest.mark.parametrize(
    "number", [256, 257, 1024, 1025, 2**15, 2**30 - 1, 2**30, 2**60, -(2**63)]
)
def test_define_scalar_any_int_after_any(host: Host, number: int) -> None:
    """An int comes as it is, small or large, after a small one and after a large."""
    host.run("def f(x): return f'{x} {type(x).__name__}'")
    define(host, "f", "scalar", "f", '{"arity": 1}')

    for other in (5, 300000, 2**40, -300000):
        rows = host.rows(
            f"select f(column1) from (values ({other}), ({number}), ({other}))"
        )
        assert [(f"{x} int",) for x in (other, number, other)] == rows


def test_define_scalar_calls_itself_by_a_query(host: Host) -> None:
    """A function whose query calls it again still has its own argument afterwards."""
    host.run(
        "import pybridge.host\n"
        "def f(x):\n"
        "    inner = 0\n"
        "    if x % 2 == 0:\n"
        "        frame = pybridge.host.query(f'select f({x + 1}) as y')\n"
        "        inner = int(frame['y'][0])\n"
        "    return x * 10**7 + inner"
    )
    define(host, "f", "scalar", "f", '{"arity": 1}')

    assert [(20000_0000000 + 20001_0000000,), (30001_0000000,)] == host.rows(
        "select f(column1) from (values (20000), (30001))"
    )


def test_define_scalar_arity(host: Host) -> None:
    """Arity fixes the number of arguments; -1, the default, leaves it open."""
    define(host, "two", "scalar", "lambda *a: len(a)", '{"arity": 2}')
    define(host, "any", "scalar", "lambda *a: len(a)")

    assert "wrong number of arguments to function two()" in host.error("select two(1)")
    assert [(2, 0, 100)] == host.rows(
        f"select two(1, 2), any(), any({','.join('1' * 100)})"
    )


def test_define_scalar_with_state_of_the_context(host: Host) -> None:
    """A bound method keeps its object; a path is resolved when it is defined."""
    host.run(
        "class C:\n    n = 0\n    def f(self): self.n += 1; return self.n\nc = C()"
    )
    define(host, "tick", "scalar", "c.f", '{"arity": 0}')
    host.run("del c, C")

    assert [(1,), (2,), (3,)] == host.rows("select tick() from (values (1), (2), (3))")


def test_define_deterministic_is_factored_out(driver: Driver) -> None:
    """A deterministic function of constants is called once."""
    driver.run("calls = []\ndef f(x): calls.append(x); return x")
    numbers(driver)
    define(driver, "once", "scalar", "f", '{"deterministic": true, "arity": 1}')
    define(driver, "each", "scalar", "f", '{"arity": 1}')

    driver.rows("select once(1) from t")
    once = driver.eval("len(calls)")
    driver.rows("select each(1) from t")

    assert (1, 5) == (once, driver.eval("len(calls)"))


def test_define_is_for_direct_use_unless_innocuous(host: Host) -> None:
    """Views may use a function only where it was defined innocuous."""
    define(host, "direct", "scalar", "lambda: 1", '{"arity": 0}')
    define(host, "harmless", "scalar", "lambda: 1", '{"arity": 0, "innocuous": true}')
    host.rows("create view d as select direct(); create view h as select harmless()")

    assert "unsafe use of direct()" in host.error("select * from d")
    assert [(1,)] == host.rows("select * from h")


def test_define_from_python_called_from_python(host: Host) -> None:
    """The function may run SQL on the same connection, itself included."""
    host.run(
        "from pybridge import host\n"
        "def fact(n): return 1 if n < 2 else n * int("
        "host.query('select fact(?) as f', [n - 1]).f[0])"
    )
    define(host, "fact", "scalar", "fact", '{"arity": 1}')

    assert 3628800 == host.value("select fact(10)")


def test_define_scalar_takes_keyword_arguments(host: Host) -> None:
    """py_kw names an argument; a NULL one is a NULL argument."""
    define(host, "rounded", "scalar", "round")
    host.run("def pair(a, b=2, *, c=3): return f'{a} {b} {c}'")
    define(host, "pair", "scalar", "pair", '{"null": "special"}')

    rows = host.rows(
        "select rounded(1.26, py_kw('ndigits', 1)),"
        " rounded(1.5, py_kw('ndigits', null)),"
        " pair(1), pair(1, py_kw('c', 4), py_kw('b', null)),"
        " pair(py_kw('a', 1), py_kw('c', 'x'))"
    )

    assert [(1.3, None, "1 2 3", "1 None 4", "1 2 x")] == rows


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("f(py_kw('a', 1), 2)", 'keyword "a" has to stand behind all other arguments'),
        (
            "f(py_kw('a', 1), 2, py_kw('b', 3))",
            "argument 2 has no name",
        ),
        ("f(1, py_kw('z', 3))", "unexpected keyword argument 'z'"),
    ],
)
def test_define_refuses_keywords_in_other_places(
    host: Host, call: str, message: str
) -> None:
    """A keyword argument is never taken for NULL."""
    host.run("def f(a, b=0): return a + b")
    define(host, "f", "scalar", "f")

    assert message in host.error(f"select {call}")


def test_define_scalar_takes_and_gives_json(host: Host) -> None:
    """With the option json, JSON is what it describes, and plain text is text."""
    define(host, "mean", "scalar", "__import__('statistics').mean", '{"json": true}')
    define(host, "kind", "scalar", "lambda x: type(x).__name__", '{"json": true}')
    define(host, "plain", "scalar", "lambda x: type(x).__name__")
    define(host, "parts", "scalar", "lambda x, n: x.split()[:n]", '{"json": true}')
    define(host, "big", "scalar", "lambda n: 2 ** n", '{"json": true}')

    rows = host.rows(
        "select mean(json_array(1, 2, 6)), mean(json('[0.5, 1]')),"
        " kind(json_object('a', 1)), kind('[1]'), plain(json_array(1)),"
        " kind(parts('a b', 1)), json_array(parts('a b c', py_kw('n', 2))),"
        " big(3), big(64), kind(null)"
    )

    assert [
        (3, 0.75, "dict", "str", "str", "list", '[["a","b"]]', 8, str(2**64), None)
    ] == rows


def test_define_json_says_what_has_no_form(host: Host) -> None:
    """A result that not even JSON has is an error; other kinds have no such option."""
    define(host, "f", "scalar", "lambda: (i for i in 'ab')", '{"json": true}')

    assert "generator" in host.error("select f()")
    assert 'option "json" is for kind scalar' in host.error(
        "select py_define('g', 'aggregate', 'len', '{\"json\": true}')"
    )


# ---- Aggregate ----


@pytest.mark.parametrize("kind", ["aggregate", "window"])
def test_define_aggregate_class(host: Host, kind: str) -> None:
    """A class makes one instance a group; rows with NULL are passed over."""
    numbers(host)
    host.run(SUM)
    define(host, "added", kind, "Sum", '{"arity": 1}')

    assert [("a", 4), ("b", 2)] == host.rows("select g, added(x) from t group by g")
    assert [(0, 0)] == host.rows(
        "select added(x), added(x) filter (where x > 1) from t where x > 9"
    )
    assert [(3,)] == host.rows("select added(distinct x % 3) from t")


def test_define_aggregate_class_with_null_special(host: Host) -> None:
    """With null special the step sees every row."""
    numbers(host)
    host.run(
        "class N:\n    n = 0\n    def step(self, *a): self.n += a[0] is None\n"
        "    def finish(self): return self.n"
    )
    define(host, "nulls", "aggregate", "N", '{"null": "special"}')

    assert 1 == host.value("select nulls(x) from t")


def test_define_aggregate_of_whole_columns(host: Host) -> None:
    """A function gets each group's columns as numpy arrays, NULL rows left out."""
    numbers(host)
    host.run("import numpy as np\ndef dot(x, y): return (x * y).sum()")
    define(host, "dot", "aggregate", "dot", '{"arity": 2}')
    define(host, "middle", "aggregate", "lambda x: float(np.median(x))")

    assert [("a", 10, 2.0), ("b", 4, 2.0)] == host.rows(
        "select g, dot(x, x), middle(x) from t group by g"
    )
    assert [(None, None)] == host.rows("select dot(x, x), middle(x) from t where x > 9")


def test_define_aggregate_of_whole_columns_of_each_type(driver: Driver) -> None:
    """Columns are int64, float64 or objects; with null special they are masked."""
    driver.run(
        "import numpy as np\ndef kind(x): return f'{x.dtype} {x.tolist()}'\n"
        "def masked(x): return f'{type(x).__name__} {x.tolist()}'"
    )
    define(driver, "kind", "aggregate", "kind")
    define(driver, "masked", "aggregate", "masked", '{"null": "special"}')
    data = (
        "with d(i, f, s, b, m) as "
        "(values (1, .5, 'x', x'00', 1), (2, 1.5, 'y', x'', .5))"
    )

    assert [
        (
            "int64 [1, 2]",
            "float64 [0.5, 1.5]",
            "object ['x', 'y']",
            "object [b'\\x00', b'']",
            "float64 [1.0, 0.5]",
        )
    ] == driver.rows(data + "select kind(i), kind(f), kind(s), kind(b), kind(m) from d")
    assert [("MaskedArray [None, 2]",)] == driver.rows(
        data + "select masked(nullif(i, 1)) from d"
    )


def test_define_aggregate_gives_dates_as_they_are(host: Host) -> None:
    """A date of numpy is what py_eval makes of it: a day alone, and never cut."""
    host.run("import numpy as np")
    define(host, "day", "aggregate", "lambda x: np.datetime64('2024-02-29')")
    define(host, "hour", "aggregate", "lambda x: np.datetime64('2024-02-29T05')")
    define(host, "fine", "aggregate", "lambda x: np.datetime64(1, 'ns')")

    assert [("2024-02-29", "2024-02-29 05:00:00")] == host.rows(
        "select day(1), hour(1)"
    )
    assert "finer than a microsecond" in host.error("select fine(1)")


def test_define_refuses_a_name_that_is_too_long(host: Host) -> None:
    """SQLite's limit is told in bytes."""
    define(host, "x" * 255, "scalar", "lambda: 1")

    assert "py_define: a name of 256 bytes is too long, SQLite takes 255" == host.error(
        f"select py_define('{'é' * 128}', 'scalar', 'len')"
    )


def test_define_aggregate_of_no_rows_with_null_special(driver: Driver) -> None:
    """With null special and an arity a function of columns sees columns of no rows."""
    define(
        driver,
        "size",
        "aggregate",
        "lambda x: x.size",
        '{"null": "special", "arity": 1}',
    )

    assert 0 == driver.value("select size(1) where 0")


def test_define_aggregate_of_many_columns(driver: Driver) -> None:
    """Any number of columns up to SQLite's own limit."""
    define(driver, "width", "aggregate", "lambda *x: len(x) * 1000 + int(sum(x)[0])")

    for n in (1, 4, 5, 100):
        columns = ",".join(str(i) for i in range(n))
        assert n * 1000 + sum(range(n)) == driver.value(f"select width({columns})")


def test_define_aggregate_of_many_groups(driver: Driver) -> None:
    """Each group has columns of its own."""
    define(driver, "top", "aggregate", "lambda x: x.max()")

    rows = driver.rows(
        "with recursive n(i) as "
        "(select 0 union all select i + 1 from n where i < 9999) "
        "select i % 1000, top(i) from n group by 1"
    )

    assert [(i, 9000 + i) for i in range(1000)] == rows


def test_define_aggregate_is_no_window(host: Host) -> None:
    """An aggregate with over is an error that says which kind would do."""
    numbers(host)
    host.run(SUM)
    define(host, "added", "aggregate", "Sum")
    define(host, "whole", "aggregate", "lambda x: x.sum()")

    for name in ("added", "whole"):
        message = host.error(f"select {name}(x) over (order by x) from t")
        assert f"{name}: is an aggregate; define it with kind window" in message


# ---- Window ----


@pytest.mark.parametrize(
    "frame",
    [
        "order by rowid rows between 1 preceding and 1 following",
        "order by rowid rows between 2 following and 3 following",
        "order by rowid",
        "partition by g order by rowid rows 1 preceding",
        (
            "order by rowid rows between unbounded preceding and unbounded following "
            "exclude current row"
        ),
        "",
    ],
)
def test_define_window_agrees_with_sum(host: Host, frame: str) -> None:
    """A window function slides as a built-in one does."""
    numbers(host, "(1,'a'),(2,'b'),(3,'a'),(null,'b'),(5,'a'),(8,'b'),(13,'a')")
    host.run(SUM)
    define(host, "slide", "window", "Sum", '{"arity": 1}')

    assert host.rows(f"select coalesce(sum(x) over ({frame}), 0) from t") == host.rows(
        f"select slide(x) over ({frame}) from t"
    )


# ---- Errors in every callback ----

FAILING = """
class Fails:
    where = None
    def _at(self, place):
        if Fails.where == place: raise ValueError(place)
    def __init__(self): self._at('init')
    def step(self, x): self._at('step')
    def inverse(self, x): self._at('inverse')
    def value(self): self._at('value'); return 1
    def finish(self): self._at('finish'); return 1
    def __del__(self): self._at('del')
def scalar(x): raise ValueError('scalar')
"""


@pytest.mark.parametrize(
    ("place", "query"),
    [
        ("init", "select fails(x) from t"),
        ("init", "select fails(x) from t where 0"),
        ("init", "select slides(x) over () from t"),
        ("step", "select fails(x) from t group by g"),
        ("step", "select slides(x) over (order by x) from t"),
        ("inverse", "select slides(x) over (order by x rows 1 preceding) from t"),
        ("value", "select slides(x) over (order by x) from t"),
        ("finish", "select fails(x) from t group by g"),
        ("finish", "select slides(x) from t"),
        ("scalar", "select each(x) from t"),
        ("scalar", "select whole(x) from t group by g"),
        ("scalar", "select * from batch('select x from t')"),
    ],
)
@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("ValueError(place)", "ValueError: "),
        ("SystemExit(3)", "SystemExit"),
        ("KeyboardInterrupt()", "interrupt"),
        ("RecursionError('deep')", "RecursionError: deep"),
        ("MemoryError()", "MemoryError"),
        ("ZeroDivisionError('\\udcff')", "ZeroDivisionError"),
    ],
)
def test_define_errors_in_each_callback(
    driver: Driver, place: str, query: str, raised: str, words: str
) -> None:
    """An exception anywhere is an SQL error with the function's name; nothing leaks."""
    numbers(driver)
    code = FAILING.replace("ValueError(place)", raised)
    driver.run(
        code.replace("ValueError('scalar')", raised).replace("(place)", "('it')")
    )
    define(driver, "fails", "aggregate", "Fails")
    define(driver, "slides", "window", "Fails")
    define(driver, "each", "scalar", "scalar")
    define(driver, "whole", "aggregate", "scalar")
    define(driver, "batch", "vectorized", "scalar")
    before = live()
    driver.run(f"Fails.where = '{place}'")

    message = driver.error(query)

    driver.run("Fails.where = None")
    assert words.lower() in message.lower()
    assert any(
        name in message for name in ("fails", "slides", "each", "whole", "batch")
    )
    assert before == live()
    assert [(1,)] == driver.rows("select fails(x) from t")


def live() -> int:
    """Return what pyb_live counts in this process."""
    gc.collect()
    library = ctypes.CDLL(str(TESTED))
    library.pyb_live.restype = ctypes.c_int64
    return int(library.pyb_live())


def test_define_a_destructor_that_fails_is_no_error(driver: Driver) -> None:
    """What __del__ raises has nowhere to go; the query is whole."""
    numbers(driver)
    driver.run(FAILING + "import sys\nsys.unraisablehook = lambda *a: None")
    define(driver, "fails", "aggregate", "Fails")
    driver.run("Fails.where = 'del'")

    try:
        assert [(1,), (1,)] == driver.rows("select fails(x) from t group by g")
    finally:
        driver.run("sys.unraisablehook = sys.__unraisablehook__")


@pytest.mark.parametrize(
    "result", ["2**63", "object()", "1j", "[1]", "'\\udcff'", "(x for x in ())"]
)
@pytest.mark.parametrize("kind", ["scalar", "aggregate"])
def test_define_results_without_counterpart(
    driver: Driver, kind: str, result: str
) -> None:
    """A result that SQL cannot hold is an error with the function's name."""
    define(driver, "f", kind, f"lambda x: {result}")

    assert driver.error("select f(1)").startswith("f: ")


def test_define_a_statement_given_up_releases_its_groups(driver: Driver) -> None:
    """A query that is not read to its end leaves no instance behind."""
    numbers(driver)
    driver.run(SUM)
    define(driver, "slide", "window", "Sum")
    define(driver, "vec", "vectorized", "lambda x: x", '{"batch": 1}')
    before = live()

    for query in (
        "select slide(x) over (order by x) from t",
        "select * from vec('select x from t')",
    ):
        rows = driver.db.execute(query)
        next(rows)
        rows.close(True)

    assert before == live()


def test_define_leaves_nothing_behind() -> None:
    """A closed connection releases what was defined on it."""
    before = live()
    connection = apsw.Connection(":memory:")
    load(connection)
    for kind, code in [("scalar", "len"), ("aggregate", "len"), ("vectorized", "abs")]:
        for _ in range(3):
            connection.execute(
                f"select py_define('f_{kind}', '{kind}', '{code}')"
            ).fetchall()
    assert 3 == live() - before

    connection.close()

    assert before == live()


# ---- Redefinition, drop ----


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("scalar", "f(1)"),
        ("aggregate", "f(1)"),
        ("vectorized", "(select value from f('select 1'))"),
    ],
)
def test_define_again_replaces(host: Host, kind: str, call: str) -> None:
    """The newest definition holds, also for prepared statements and other arities."""
    one = "[0]" if kind == "aggregate" else ""
    define(host, "f", kind, f"lambda x: (x + 1){one}")
    first = host.value(f"select {call}")

    define(host, "F", kind, f"lambda x: (x + 2){one}", '{"arity": 1}')

    assert (2, 3) == (first, host.value(f"select {call}"))


def test_define_again_with_other_columns(host: Host) -> None:
    """A prepared statement is prepared again when the columns have changed."""
    query = "select * from f('select 1 as k, 2 as x')"
    define(host, "f", "vectorized", "lambda k, x: x")
    first = host.rows(query)

    define(
        host,
        "f",
        "vectorized",
        "lambda x: {'p': x, 'q': -x}",
        '{"keep": ["k"], "columns": ["p", "q"]}',
    )

    assert [(2,)] == first
    assert [(1, 2, -2)] == host.rows(query)


def test_define_again_while_it_runs(driver: Driver) -> None:
    """A scan that has begun goes on as it was; the next one is of the newest."""
    define(driver, "f", "vectorized", "lambda x: x + 1", '{"batch": 1}')
    rows = driver.db.execute("select * from f('select 1 union select 2')")
    first = next(rows)

    define(driver, "f", "vectorized", "lambda x: x * 100", '{"batch": 1}')

    assert [(2,), (3,)] == [first, *rows]
    assert [(100,)] == driver.rows("select * from f('select 1')")


def test_define_again_with_another_arity(host: Host) -> None:
    """A name has one definition: the one before is not called with its arity."""
    define(host, "f", "scalar", "lambda a: 1", '{"arity": 1}')
    define(host, "f", "scalar", "lambda a, b: 2", '{"arity": 2}')

    assert 2 == host.value("select f(1, 1)")
    assert "f: is defined with 2 arguments, 1 came" in host.error("select f(1)")


def test_define_again_as_window(host: Host) -> None:
    """An aggregate may become a window function, and the other way round."""
    numbers(host)
    host.run(SUM)
    define(host, "f", "aggregate", "lambda x: -1")
    define(host, "f", "window", "Sum")

    assert 6 == host.value("select f(x) from t")
    assert 24 == host.value("select sum(x) from (select f(x) over () as x from t)")


def test_define_again_with_other_flags_is_refused(host: Host) -> None:
    """What SQLite cannot change while a statement runs is an error that says so."""
    host.run(SUM)
    define(host, "f", "scalar", "lambda x: 1")

    for kind, code, options in [
        ("aggregate", "Sum", ""),
        ("scalar", "abs", '{"deterministic": true}'),
        ("scalar", "abs", '{"innocuous": true}'),
    ]:
        message = host.error(
            f"select py_define('f', '{kind}', '{code}', {quote(options)})"
        )
        assert "SQLite is busy with a statement" in message
    assert 1 == host.value("select f(5)")


def test_define_inside_its_own_call(driver: Driver) -> None:
    """A function may define itself anew while it runs."""
    driver.run(
        "from pybridge import host\n"
        "def f(x):\n"
        "    host.query(\"select py_define('f', 'scalar', 'lambda x: -x')\")\n"
        "    return x"
    )
    define(driver, "f", "scalar", "f")

    assert [(1,), (-2,)] == driver.rows("select f(column1) from (values (1), (2))")


def test_define_drop(host: Host) -> None:
    """A dropped function is an error, and may be defined again."""
    for kind, call in [
        ("scalar", "select s(1)"),
        ("vectorized", "select * from v('select 1')"),
    ]:
        name = kind[0]
        define(host, name, kind, "abs")
        define(host, name, kind, None)
        assert name in host.error(call)
        define(host, name, kind, "abs")
        assert [(1,)] == host.rows(call)


def test_define_after_reset_is_an_error(host: Host) -> None:
    """py_reset drops the callables: the function says so, and can be defined again."""
    define(host, "f", "scalar", "lambda: 1")
    define(host, "a", "aggregate", "lambda x: 1")
    define(host, "v", "vectorized", "lambda x: x")
    host.rows("select py_reset()")

    for call in ("select f()", "select a(1)", "select * from v('select 1')"):
        assert "define it again" in host.error(call)
    define(host, "f", "scalar", "lambda: 2")
    assert 2 == host.value("select f()")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'f', 'scaler', 'abs'", 'kind "scaler" is not known'),
        ("'f', 'scalar', 'nothing'", "'nothing'"),
        (
            "'f', 'scalar', 'number'",
            "'number' cannot be called; a function or class is wanted",
        ),
        ("'f', 'scalar', '1 +'", "SyntaxError"),
        (
            "'f', 'aggregate', 'Half'",
            "'Half' has no finish; an aggregate is a function of columns, or",
        ),
        (
            "'f', 'window', 'Whole'",
            "'Whole' has no inverse; a window function is a class with",
        ),
        (
            "'f', 'window', 'abs'",
            "'abs' has no step; a window function is a class with",
        ),
        ("'', 'scalar', 'abs'", "name is missing"),
        ("'f', null, 'abs'", "kind is missing"),
        ("'f'", "kind is missing"),
        ("'f', 'scalar', null", "'f' is not defined"),
        ("'upper', 'scalar', 'abs'", "'upper' is a function of this"),
        ("'py_eval', 'scalar', 'abs'", "'py_eval' is a function"),
        ("'py_frame', 'vectorized', 'abs'", "'py_frame' is a function"),
        ("'f', 'scalar', 'abs', '['", "options want a JSON object"),
        ("'f', 'scalar', 'abs', '[1]'", "options want a JSON object"),
        ("'f', 'scalar', 'abs', '{'", "malformed JSON"),
        ("'f', 'scalar', 'abs', '{\"arety\": 1}'", 'option "arety" is not known'),
        ("'f', 'scalar', 'abs', '{\"arity\": 1.5}'", "a whole number from -1 to"),
        ("'f', 'scalar', 'abs', '{\"arity\": -2}'", "a whole number from -1 to"),
        ("'f', 'scalar', 'abs', '{\"arity\": 1000000}'", "a whole number from -1 to"),
        ("'f', 'scalar', 'abs', '{\"null\": 1}'", '"default" or "special"'),
        ("'f', 'scalar', 'abs', '{\"deterministic\": 1}'", "true or false"),
        ("'f', 'scalar', 'abs', '{\"innocuous\": \"yes\"}'", "true or false"),
        ("'f', 'scalar', 'abs', '{\"batch\": 1}'", "is for kind vectorized"),
        ("'f', 'vectorized', 'abs', '{\"batch\": 0}'", "a whole number from 1 to"),
        ("'f', 'vectorized', 'abs', '{\"columns\": \"x\"}'", "an array of names"),
        ("'f', 'vectorized', 'abs', '{\"columns\": [1]}'", "an array of names"),
        ("'f', 'vectorized', 'abs', '{\"keep\": [null]}'", "an array of names"),
    ],
)
def test_define_says_what_is_wrong(host: Host, arguments: str, words: str) -> None:
    """Each wrong definition has words of its own, and defines nothing."""
    host.run(
        "number = 5\nclass Half:\n    def step(self): pass\n"
        "class Whole(Half):\n    def finish(self): pass"
    )

    message = host.error(f"select py_define({arguments})")

    assert message.startswith("py_define: ")
    assert words in message
    assert host.error("select f()")


def test_define_a_million_rows(driver: Driver) -> None:
    """Each kind gets through a million rows and gives what numpy gives."""
    driver.rows(
        "create table big as with recursive n(i) as (select 1 union all "
        "select i + 1 from n where i < 1000000) select i from n"
    )
    driver.run(SUM)
    define(driver, "plus", "scalar", "lambda x: x + 1", '{"arity": 1}')
    define(driver, "added", "aggregate", "lambda x: x.sum()", '{"arity": 1}')
    define(driver, "summed", "window", "Sum", '{"arity": 1}')
    define(driver, "vec", "vectorized", "lambda x: x + 1")
    before = live()

    assert 500001500000 == driver.value("select sum(plus(i)) from big")
    assert 500000500000 == driver.value("select added(i) from big")
    assert 500000500000 == driver.value("select summed(i) from big")
    assert 500001500000 == driver.value(
        "select sum(value) from vec('select i from big')"
    )
    assert before == live()
