"""pybridge.host: Python code that reaches back to the connection that called it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sqlite.hosts import Driver, Host


@pytest.fixture
def filled(host: Host) -> Host:
    """A host with a table of two rows, and `pybridge.host` in Python."""
    host.rows("create table t(a integer, b text)")
    host.rows("insert into t values (1, 'x'), (2, null)")
    host.run("from pybridge import host")
    return host


def test_host_query_returns_a_frame(filled: Host) -> None:
    """A DataFrame by default; types and options as for py_query."""
    filled.run("q = host.query('select * from t order by a desc')")
    filled.run("rows = host.query('select * from t', type='list')")

    assert "DataFrame" == filled.eval("type(q).__name__")
    assert "[2, 1]" == filled.eval("repr(list(q.a))")
    assert "[(1, 'x'), (2, None)]" == filled.eval("repr(rows)")


def test_host_query_binds_typed_parameters(filled: Host) -> None:
    """By position or by name, of every type."""
    filled.run(
        "import datetime, decimal\n"
        "def q(sql, p): return repr(host.query(sql, p, type='list')[0])\n"
        "kinds = q('select ?, ?, ?, ?, ?, typeof(?)', "
        "[None, 2**63 - 1, 0.1, 'é', b'\\x00', True])\n"
        "named = q('select :a, @b, $a', {'a': 1, 'b': 'x'})\n"
        "times = q('select ?, ?, ?, ?', [datetime.date(2024, 2, 29), "
        "datetime.time(1, 2, 3), datetime.datetime(2024, 2, 29, 1, 2, 3, 4), "
        "decimal.Decimal('1.50')])"
    )

    assert "(None, 9223372036854775807, 0.1, 'é', b'\\x00', 'integer')" == filled.eval(
        "kinds"
    )
    assert "(1, 'x', 1)" == filled.eval("named")
    assert (
        "('2024-02-29', '01:02:03', '2024-02-29 01:02:03.000004', '1.50')"
        == filled.eval("times")
    )


def test_host_execute_returns_changes(filled: Host) -> None:
    """The rows that one or more statements have changed."""
    filled.run(
        "n = [host.execute('insert into t values (?, ?)', [3, 'z']),\n"
        "     host.execute('update t set b = 1; delete from t where a < 3'),\n"
        "     host.execute('create table u(x)'),\n"
        "     host.execute('select * from t'),\n"
        "     host.execute('insert into u select a from t; ; -- done')]"
    )

    assert "[1, 5, 0, 0, 1]" == filled.eval("repr(n)")
    assert [(3, "1")] == filled.rows("select * from t")


def test_host_runs_inside_the_callers_transaction(filled: Host) -> None:
    """It sees uncommitted rows, and what it does can be rolled back."""
    filled.rows("begin")
    filled.rows("insert into t values (3, 'new')")
    seen = filled.eval("int(host.query('select count(*) as n from t').n[0])")
    filled.run("host.execute('delete from t')")
    filled.rows("rollback")

    assert 3 == seen
    assert [(2,)] == filled.rows("select count(*) from t")


def test_host_transaction_keeps_all_or_nothing(filled: Host) -> None:
    """An exception inside takes the statements back, and goes on."""
    filled.run(
        "def move(fail):\n"
        "    with host.transaction():\n"
        "        host.execute('delete from t where a = 1')\n"
        "        if fail: raise KeyError('no')\n"
    )

    assert "KeyError" in filled.error("select py_call('move', 1)")
    assert 2 == filled.value("select count(*) from t")
    filled.rows("select py_call('move', 0)")
    assert 1 == filled.value("select count(*) from t")


def test_host_is_reentrant(filled: Host) -> None:
    """SQL calls Python, which queries, which calls Python, which queries."""
    filled.run(
        "def down(n):\n"
        "    if n == 0:\n"
        "        return host.query('select sum(a) as s from t').s[0]\n"
        "    q = f'select py_call(?, {n - 1}) + 1 as v'\n"
        "    return int(host.query(q, ['down']).v[0])\n"
    )

    assert 13 == filled.value("select py_call('down', 10)")


def test_host_works_in_the_middle_of_a_query(filled: Host) -> None:
    """A function that is called per row may use the connection each time."""
    filled.run(
        "def other(a):\n"
        "    return host.query('select max(a) as m from t where a <> ?', [a]).m[0]\n"
    )

    assert [(1, 2), (2, 1)] == filled.rows("select a, py_call('other', a) from t")


def test_host_error_is_a_python_exception(filled: Host) -> None:
    """SQLite's message; Python may catch it and go on."""
    filled.run(
        "from pybridge.errors import HostError\n"
        "def attempt(sql, *p):\n"
        "    try:\n"
        "        host.query(sql, p)\n"
        "    except HostError as e:\n"
        "        return str(e)\n"
    )

    assert "no such table: u" in filled.value(
        "select py_call('attempt', 'select * from u')"
    )
    assert "syntax error" in filled.value("select py_call('attempt', 'selec')")
    assert [("x",)] == filled.rows("select b from t where a = 1")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("host.query('select 1; select 2')", "more than one statement"),
        ("host.query('create table u(a)')", "returns no columns"),
        ("host.query('select ?')", "parameter 1 of the statement has no value"),
        ("host.query('select 1', [2])", "0 parameters, 1 value came"),
        ("host.query('select :a', {'b': 2})", 'no parameter "b"'),
        ("host.query('select ?', [2**64])", "64 bits"),
        ("host.query('select ?', [[1]])", "list"),
        ("host.query('select \\0')", "NUL"),
        ("host.query(5)", "the query is text, not of type int"),
        ("host.query('select ?', {1: 2})", "the name of a parameter is text, not 1"),
        (
            "host.query('delete from t returning a', type='x')",
            "the type 'x' is unknown",
        ),
        ("host.execute(None)", "the statement is text, not of type NoneType"),
        ("host.write([1], 5)", "the table's name is text, not of type int"),
        ("host.write([1], 'w', 5)", "the mode is text, not of type int"),
        ("host.execute('select 1; selec')", "syntax error"),
        ("host.execute('')", "there is no statement"),
        ("host.execute('select ?; select ?', [1])", "parameters go with one statement"),
        ("host.execute('insert into t values (1, 2, 3)')", "2 columns but 3 values"),
        ("host.execute('delete from t\\0 where a = 1')", "NUL"),
    ],
)
def test_host_refuses_what_it_cannot_do(filled: Host, code: str, says: str) -> None:
    """Each with its reason, and the host goes on."""
    quoted = code.replace("'", "''")
    message = filled.error(f"select py_exec('{quoted}')")

    assert says in message
    assert 2 == filled.value("select count(*) from t")


def test_host_failure_has_the_error_beneath_as_its_text(filled: Host) -> None:
    """An error that crosses both ways keeps its words, and the place in the code."""
    filled.run("def f(): return host.query('select py_eval(?)', ['1/0'])")

    message = filled.error("select py_call('f')")
    status = json.loads(filled.value("select py_status()"))

    assert "py_eval: ZeroDivisionError: division by zero" in message
    assert "HostError" in status["type"]


def test_host_is_absent_outside_a_call(driver: Driver) -> None:
    """Without a host's call in progress there is nothing to ask."""
    from pybridge import host
    from pybridge.errors import HostError

    driver.run("import pybridge.host")

    assert not host.in_host()
    with pytest.raises(HostError, match="host"):
        host.query("select 1")


def test_host_of_two_connections_is_the_one_that_calls(driver: Driver) -> None:
    """Each call reaches its own connection, also one inside the other."""
    from tests.sqlite.hosts import Driver as Another

    other = Another()
    other.open()
    context = driver.value("select py_context()")
    other.rows(f"select py_context('{context}')")
    driver.rows("create table t as select 'first' as name")
    other.rows("create table t as select 'second' as name")
    driver.run(
        "from pybridge import host\n"
        "def name(): return host.query('select name from t').name[0]\n"
    )

    def ask_other(*_: object) -> str:
        answer: str = other.value("select py_call('name')")
        return answer

    driver.db.create_scalar_function("ask_other", ask_other, 0)

    assert [("first", "second", "first")] == driver.rows(
        "select py_call('name'), ask_other(), py_call('name')"
    )
    other.close()


def test_host_write_makes_a_table(filled: Host) -> None:
    """Write goes through the same connection and transaction."""
    filled.run("n = host.write(host.query('select * from t'), 'u')")

    assert 2 == filled.eval("n")
    assert [(1, "x"), (2, None)] == filled.rows("select * from u")


ENDLESS = "with n as (select 1 as x union all select x + 1 from n) select max(x) from n"


@pytest.mark.parametrize("nested", [False, True])
def test_interrupted_transaction_is_taken_back(filled: Host, nested: bool) -> None:
    """Where a statement in it was stopped, no savepoint stays open with half of it."""
    if nested:
        filled.rows("begin")
        filled.rows("insert into t values (3, 'before')")
    filled.run(
        "def move(sql):\n"
        "    with host.transaction():\n"
        "        host.execute('delete from t where a = 1')\n"
        "        with host.transaction():\n"
        "            host.execute('delete from t where a = 2')\n"
        "            host.query(sql)\n"
    )
    filled.rows("select py_option('timeout_ms', 200)")

    message = filled.error(f"select py_call('move', '{ENDLESS}')")
    filled.rows("begin")  # which fails inside a transaction
    filled.rows("rollback")
    filled.rows("select py_option('timeout_ms', 0)")
    filled.rows("select py_call('move', 'select 1')")

    assert "deadline" in message.lower()
    assert 0 == filled.value("select count(*) from t")


def test_interrupted_transaction_of_one_level_is_taken_back(filled: Host) -> None:
    """The exception that stops Python may come before its rollback."""
    filled.run(
        "def move(sql):\n"
        "    with host.transaction():\n"
        "        host.execute('delete from t where a = 1')\n"
        "        host.query(sql)\n"
    )
    filled.rows("select py_option('timeout_ms', 200)")

    for _ in range(3):
        assert (
            "deadline" in filled.error(f"select py_call('move', '{ENDLESS}')").lower()
        )
        assert 2 == filled.value("select count(*) from t")
        filled.rows("begin")
        filled.rows("commit")


def test_transaction_that_cannot_be_kept_is_taken_back(filled: Host) -> None:
    """A deferred constraint that does not hold at its end undoes it."""
    filled.rows("pragma foreign_keys = 1")
    filled.rows("create table p(id integer primary key)")
    filled.rows("create table c(p references p deferrable initially deferred)")
    filled.run(
        "def fill():\n"
        "    with host.transaction():\n"
        "        host.execute('insert into c values (1)')\n"
    )

    message = filled.error("select py_call('fill')")
    filled.rows("begin")
    filled.rows("commit")

    assert "FOREIGN KEY constraint failed" in message
    assert 0 == filled.value("select count(*) from c")


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_transaction_that_is_ended_inside_is_told(filled: Host, ends: str) -> None:
    """By the user's own COMMIT; the error says so, and what was kept is kept."""
    filled.run(
        "def end():\n"
        "    with host.transaction():\n"
        "        host.execute('delete from t where a = 1')\n"
        f"        host.execute('{ends}')\n"
    )

    message = filled.error("select py_call('end')")
    filled.run("with host.transaction(): host.execute('insert into t values (3, 4)')")

    assert "ended inside, by COMMIT, ROLLBACK" in message
    assert "rolled back the whole" not in message
    assert (2 if ends == "commit" else 3) == filled.value("select count(*) from t")


def test_transaction_that_fails_may_be_followed_by_others(filled: Host) -> None:
    """A caught failure takes back the inner transaction alone."""
    filled.run(
        "with host.transaction():\n"
        "    host.execute('delete from t where a = 1')\n"
        "    for wrong in ('insert into t values (1, 2, 3)', 'bad'):\n"
        "        try:\n"
        "            with host.transaction():\n"
        "                host.execute('delete from t')\n"
        "                host.execute(wrong)\n"
        "        except host.HostError: pass\n"
    )

    assert [(2, None)] == filled.rows("select * from t")


def test_transaction_inside_a_statement_that_writes_is_refused(filled: Host) -> None:
    """SQLite cannot begin one there; the error says so, and nothing is rolled back."""
    filled.run("def begin():\n    with host.transaction(): pass\n")

    alone = filled.error("insert into t select 3, py_call('begin')")
    filled.rows("begin; insert into t values (4, 'kept')")
    message = filled.error("insert into t select 3, py_call('begin')")
    filled.rows("commit")

    assert "inside a statement that writes itself" in message
    assert "rolled back" not in message + alone
    assert 3 == filled.value("select count(*) from t")


@pytest.mark.parametrize("nested", [False, True])
def test_transaction_that_was_not_left_is_taken_back(
    filled: Host, nested: bool
) -> None:
    """A stop may come between its beginning and the block that would end it."""
    if nested:
        filled.rows("begin")
    filled.run(
        "def move():\n"
        "    host.transaction().__enter__()\n"
        "    host.execute('delete from t where a = 1')\n"
        "    host.transaction().__enter__()\n"
        "    host.execute('delete from t where a = 2')\n"
        "    raise ValueError('stopped')\n"
    )

    for statement in ("select py_call('move')", "select py_exec('move()')"):
        assert "stopped" in filled.error(statement)
        assert 2 == filled.value("select count(*) from t")
    if nested:
        filled.rows("commit")
    filled.rows("begin")  # which fails inside a transaction
    filled.rows("rollback")
