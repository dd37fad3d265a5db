"""Every allocation that SQLite makes for queries and calls, failing in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite.failing import Failing

if TYPE_CHECKING:
    from collections.abc import Iterator

SETUP = [
    "create table t(x integer, s text)",
    "insert into t values (1, 'a'), (2, null), (3, 'some longer text'), (null, 'd')",
    "create view w as select x from t",
    "select py_exec('from pybridge import host')",
    "select py_exec('def f(*a, **k): return len(a) + len(k)')",
    "select py_query('select * from t', 'q', 'list'), py_eval('f.__name__')",
    'select py_exec(\'there = type("There", (), {"cursor": lambda s: s, '
    '"execute": lambda s, *a: None, "description": None, "close": lambda s: 0})()\')',
]
STATEMENTS = [
    "select py_query('select * from t', 'q', 'list')",
    "select py_query('select x, s from t order by s;', 'q', 'list')",
    "select py_query('pragma table_info(t)', 'q', 'list')",
    "select py_query('select ?, :b from t', 'q', 'list', null, x'00', py_kw('b', 1))",
    "select py_query('select :a', 'q', 'list', '{\"params\":{\"a\":\"x\"}}')",
    "select py_query('x', 'q', 'list', '{\"namespace\":\"there\"}', 1, x'00')",
    "select py_table('t', 'q', 'list')",
    "select py_table('file.t', 'q', 'list'), py_option('scanned')",
    "select py_table('log.t', 'q', 'list'), py_option('scanned')",
    "select py_query('select s from file.t where x > .5 or s = ?', 'q', null, null, 1)",
    "select py_query('select x from file.t where s in (''a'', ''b'', x''00'', ?) or "
    "x in (.5, 1.5, 2) or s not in (''c'', ''d'', null)', 'q', null, null, 1)",
    "select py_query('select x from file.t where s like ''a%'' or s glob ''?''', 'q')",
    "select py_query('select x from file.t order by s, x desc', 'q', 'list')",
    "select py_query('select s from file.t where x < 9.5 order by x limit 2', 'q')",
    "select py_table('main.\"t\"', 'q', 'list', 2, null, 's,x*', '{\"parse\":false}')",
    "select py_table('w', 'q', 'list', null, null, '[x]')",
    "select py_eval('''text'''), py_eval('b''blob'''), py_get('q', 'json')",
    "select py_call('f', 1, 'two', x'03', py_kw('four', 4)), py_set('v', 'text')",
    "select py_call('f',1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,py_kw('a',1))",
    "select py_apply('f', '[1]', '{\"a\":1}', 'v'), py_info('v'), py_context('main')",
    'select py_exec(\'host.query("select * from t where x > ?", [1], type="list")\')',
    'select py_exec(\'host.execute("update t set x = x where s = ?; ", ["a"])\')',
    "select py_option('timeout_ms', 0), py_version(), py_status()",
]


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    """The program that makes allocations fail; it ends well."""
    folder = tmp_path_factory.mktemp("memory")
    file = [
        f"attach '{folder / 'file.db'}' as file",
        "drop table if exists file.t",
        "create table file.t as select * from t where x is not null",
        "insert into file.t select x + 4, s from t where x is not null",
        f"attach '{folder / 'log.db'}' as log",
        "pragma log.journal_mode = wal",
        "drop table if exists log.t",
        "create table log.t as select x, s || hex(zeroblob(9000)) as s from t",
    ]
    program = Failing(folder, SETUP + file)
    yield program
    assert (0, "") == program.close()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_memory_for_queries_is_an_error_and_leaves_nothing(
    failing: Failing, statement: str
) -> None:
    """Without memory a statement fails, nothing leaks, and it works the next time."""
    assert "" == failing.trouble(statement)
