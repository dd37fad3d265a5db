"""Every allocation that SQLite makes for the adapter, failing in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite.failing import Failing
from tests.sqlite.hosts import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

SETUP = [
    "create table t(x integer, s text)",
    "insert into t values (1, 'a'), (2, null), (3, 'some longer text'), (null, 'd')",
    "select py_exec('import pandas as pd, numpy as np, pyarrow as pa')",
    "select py_exec('from pybridge import host; echo = lambda a, b=1: str(b)')",
    "select py_exec('df = pd.DataFrame({''a'': [1, 2], ''s'': [''x'', None]})')",
    "create virtual table temp.v using py_frame(df)",
    "create table log(a, s)",
    "select py_exec('few = [1]'), py_save('s', 'few')",
    "select py_define('plus', 'scalar', 'lambda x: x + 1')",
    "select py_define('text', 'scalar', 'lambda x: str(x) * 100')",
    "select py_define('whole', 'aggregate', 'lambda x, s: len(x)')",
    "select py_exec('exec(" + '"class Sum:\\n def __init__(self): self.n = 0\\n'
    " def step(self, x): self.n += x\\n def inverse(self, x): self.n -= x\\n"
    " def value(self): return self.n\\n def finish(self): return self.n\")')",
    "select py_define('slide', 'window', 'Sum')",
    "select py_exec('import pybridge.functions as dh; "
    'dh.get_or_create_project("memory").new_function("f", "python", handler="f", '
    'code="def f(): return 1", python_version="PYTHON3_11")\')',
    "select py_job('memory/f', null, '{}', '{\"local\": true}')",
    "select py_define('vec', 'vectorized', 'lambda x: x * 2', "
    + quote('{"keep": ["s"], "batch": 2}')
    + ")",
]
STATEMENTS = [
    "select py_eval('1 + 1'), py_eval('\"text\" * 9'), py_eval('[1]', 'json')",
    "select py_exec('y = 1'), py_run('y = 2', 'y', 'repr'), py_get('df', 'str')",
    "select py_call('echo', x, py_kw('b', s)) from t",
    "select py_apply('echo', '[1]', '{\"b\": [2]}', 'kept', 'json')",
    "select py_set('v', s), py_set('v', zeroblob(9)), py_info('v') from t",
    "select py_import('math', 'm'), py_module_info('math'), py_function_info('echo')",
    "select py_status(), py_version(), py_context(), py_option('timeout_ms', 9000)",
    "select py_query('select * from t where x > ?', 'r', 'list', '{\"params\": [0]}')",
    "select py_query('select * from t', 'r', 'dicts')",
    "select py_table('t', 'r', 'list', 1, 3, 's,x*')",
    'select py_exec(\'host.query("select * from t where x > :a", {"a": 0})\')',
    "select py_exec('host.execute(\"update t set x = x where x = ?\", [1])')",
    "select py_write('df', 'w', 'replace')",
    "select py_write('df', 'main.\"log\"', 'append')",
    "select * from v",
    "select s, rowid from v where rowid >= 1 order by rowid desc",
    "drop table if exists u; create virtual table temp.u using py_frame(df)",
    "select py_save('t', 'few', 5000, 'd')",
    "select state, key from py_runs('memory')",
    "select py_job('memory/f', null, '{}', '{\"local\": true}')",
    "select name, snapshot from py_context_items",
    "select py_display(), py_transfer('few', null, 'other')",
    "select py_option('store', 'x'), py_option('store', null)",
    "select plus(x), text(x), text(s) from t",
    "select whole(x, s) from t group by x % 2",
    "select slide(x), plus(1) from t",
    "select slide(x) over (order by x rows 1 preceding) from t",
    "select * from vec('select x, s from t')",
    "select py_define('plus', 'scalar', 'lambda x: x + 2')",
    "select py_value(py_object('Sum'), 'str'), py_method(py_object('Sum()'), 'value')",
    "select py_len(py_object('echo', x, py_kw('b', py_object('[1]')))) from t",
    "select py_len(py_loads('[1, 2]', 'json')), py_method('a', 'upper')",
    "select py_method(py_module('math'), 'dist', py_object('[0]'), py_object('[1]'))",
    "select py_setattr(py_object('echo'), 'x', 'y'), py_attr(py_object('echo'), 'x'), "
    "py_delattr(py_object('echo'), 'x')",
    "select py_setitem(py_object('[1]'), 0, 'text'), py_item('text', 1), "
    "py_contains('text', 'e'), py_compare(1, '<', 2), py_dir('text'), "
    "py_info(py_object('echo')), py_apply(py_object('str'), '[1]', '{}')",
    "select py_release(py_keep(py_object('[1]'))), py_release(py_keep('text'))",
    "select value, py_value(value, 'repr') from py_iter(py_object('[1, \"x\", [2]]'))",
    "select row, c1, c2 from py_rows(py_object('df'), 's, a')",
    "select py_define('vec2', 'vectorized', 'abs', "
    + quote('{"keep": ["a", "b"], "columns": ["c", "d"], "batch": 5, "arity": 1}')
    + "); select py_define('vec2', 'vectorized', null)",
]


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    """The program that makes allocations fail; it ends well."""
    program = Failing(tmp_path_factory.mktemp("memory"), SETUP)
    yield program
    assert (0, "") == program.close()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_memory_each_failure_is_an_error_and_leaves_nothing(
    failing: Failing, statement: str
) -> None:
    """Without memory a statement fails, nothing leaks, and it works the next time."""
    assert "" == failing.trouble(statement)
