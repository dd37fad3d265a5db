"""py_query with a namespace: another database's rows in the host's process."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from pybridge import host as plain
from tests.databases import PASSWORD
from tests.sqlite.hosts import Shell, SqlError, quote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.databases import Postgres
    from tests.sqlite.hosts import Host

SQLITE_DRIVER = "/usr/lib/x86_64-linux-gnu/odbc/libsqlite3odbc.so"


def query(host: Host, sql: str, namespace: str, *more: str, kind: str = "list") -> int:
    """Run py_query on another database into the variable `q`."""
    options = quote(json.dumps({"namespace": namespace}))
    behind = "".join(f", {one}" for one in more)
    count: int = host.value(
        f"select py_query({quote(sql)}, 'q', {quote(kind)}, {options}{behind})"
    )
    return count


def failure(host: Host, sql: str, namespace: str) -> str:
    """Return the message of a query that must fail."""
    with pytest.raises(SqlError) as caught:
        query(host, sql, namespace)
    return str(caught.value)


def test_query_reads_another_database(host: Host, postgres: Postgres) -> None:
    """Rows of PostgreSQL become the frame; the count is returned."""
    sql = "select i, i * 1.5::numeric(8,2) as n from generate_series(1, 3) i"

    count = query(host, sql, postgres.string(), kind="dataframe")

    assert 3 == count
    assert 9 == host.eval("float(q['n'].sum())")
    assert ["int64", "object"] == json.loads(
        host.eval("__import__('json').dumps([str(x) for x in q.dtypes])")
    )


def test_query_reads_sqlite_by_odbc_inside_sqlite(host: Host, tmp_path: Path) -> None:
    """The driver has an SQLite of its own, or shares the host's: both work."""
    with sqlite3.connect(tmp_path / "other.db") as made:
        made.execute("create table t (a integer, b text)")
        made.execute("insert into t values (9223372036854775807, '\u00e9\U0001f600')")
    made.close()
    string = f"Driver={SQLITE_DRIVER};Database={tmp_path / 'other.db'}"
    host.rows("create temp table here (a)")

    assert 1 == query(host, "select * from t", string)
    assert "[(9223372036854775807, '\u00e9\U0001f600')]" == host.eval("repr(q)")
    assert 0 == host.value("select count(*) from here")


def test_parameters_reach_another_database(host: Host, postgres: Postgres) -> None:
    """As arguments and in the options; names are for drivers that know them."""
    options = quote(
        json.dumps({"namespace": postgres.string(), "params": [7, "x", None, 1.5]})
    )
    sql = "select ?::int, ?::text, ?::int, ?::float8"

    query(host, "select ?::int8 as a, ?::text as b", postgres.string(), "5", "'y'")
    assert "[(5, 'y')]" == host.eval("repr(q)")

    host.rows(f"select py_query({quote(sql)}, 'q', 'list', {options})")
    assert "[(7, 'x', None, 1.5)]" == host.eval("repr(q)")

    host.run("import sqlite3; mine = sqlite3.connect(':memory:')")
    query(host, "select :a + :b", "mine", "py_kw('a', 1)", "py_kw('b', 2)")
    assert "[(3,)]" == host.eval("repr(q)")
    assert "parameters have all a name of their own" in host.error(
        "select py_query('select ?', 'q', null, '{\"namespace\": \"mine\"}', 1, "
        "py_kw('b', 2))"
    )


def test_empty_namespace_is_the_host(host: Host) -> None:
    """NULL and '' are the caller's own connection; other things are refused."""
    host.rows("create temp table here (a); insert into here values (5)")

    for namespace in ("null", '""'):
        options = quote(f'{{"namespace": {namespace}}}')
        assert 1 == host.value(
            f"select py_query('select a from here', 'q', 'list', {options})"
        )
        assert "[(5,)]" == host.eval("repr(q)")
    assert "options.namespace: a text is wanted" in host.error(
        "select py_query('select 1', 'q', null, '{\"namespace\": 5}')"
    )
    assert "is unknown" in host.error(
        "select py_table('here', 'q', null, null, null, null, '{\"namespace\": \"x\"}')"
    )


def test_host_and_another_database_in_one_piece_of_code(
    host: Host, postgres: Postgres
) -> None:
    """pybridge.host.query and execute_query go to either."""
    host.rows("create temp table here (a); insert into here values (5)")
    host.run(
        "from pybridge import host, main\n"
        f"pg = {postgres.string()!r}\n"
        "here = host.query('select a from here', type='list')\n"
        "there = host.query('select 6 as a', type='list', namespace=pg)\n"
        "n = main.execute_query('select a from here', 'both', 'list')\n"
    )

    assert "([(5,)], [(6,)], 1)" == host.eval("repr((here, there, n))")


def test_named_connection_and_password_in_the_shell(
    tmp_path: Path, postgres: Postgres
) -> None:
    """The settings name it; no error, status or traceback shows the password."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text(
        f"[connections.pg]\nodbc = '''{postgres.string(None)}'''\n"
        "password_env = 'SECRET'\n"
    )
    shell = Shell(env={"PYBRIDGE_SETTINGS": str(settings), "SECRET": PASSWORD})
    try:
        shell.open()
        assert 1 == query(shell, "select 1 as x", "pg")
        wrong = failure(shell, "select * from nix", "pg")
        unknown = failure(shell, "select 1", "nix")
        direct = failure(shell, "select * from nix", postgres.string())
        report = shell.value("select py_status()")
        kept = "list(map(repr, pybridge.connections._POOL.idle))"
        shell.run("import pybridge.connections")
        held = shell.eval(f"repr({kept}) + repr(dict(globals()))")
    finally:
        shell.close()

    assert "connection 'pg': [42P01] ERROR: relation \"nix\" does not exist" in wrong
    assert "has 'pg', and no variable has that name" in unknown
    assert "PWD=***" in direct
    assert "s3cret" not in wrong + unknown + direct + report
    assert "pyodbc" not in held.split("__builtins__")[1]


def test_failed_query_leaves_the_variable(host: Host, postgres: Postgres) -> None:
    """Nothing is half set."""
    host.run("q = 1")

    failure(
        host, "select 1 / (200 - i) from generate_series(1, 300) i", postgres.string()
    )

    assert 1 == host.eval("q")


def test_deadline_cancels_a_query_elsewhere(host: Host, postgres: Postgres) -> None:
    """The call ends, the server stops working, the next call works."""
    host.rows("select py_option('timeout_ms', 500)")
    try:
        said = failure(host, "select pg_sleep(60)", postgres.string())
    finally:
        host.rows("select py_option('timeout_ms', 0)")

    busy = (
        "select count(*) from pg_stat_activity where state = 'active' "
        "and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
    )
    assert "deadline" in said
    query(host, busy, postgres.string())
    assert "[(0,)]" == host.eval("repr(q)")


def test_interrupt_cancels_a_query_elsewhere(shell: Shell, postgres: Postgres) -> None:
    """Ctrl-C in the shell, while PostgreSQL sleeps."""
    shell.run("q = 1")
    options = quote(json.dumps({"namespace": postgres.string()}))
    shell.send(
        f"select py_query('select pg_sleep(60)', 'q', null, {options});\n.print after\n"
    )
    busy = (
        "select count(*) as n from pg_stat_activity where state = 'active' "
        "and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
    )
    end = time.monotonic() + 60
    while plain.query(busy, None, "list", postgres.string()) == [(0,)]:
        assert time.monotonic() < end
    os.kill(shell.process.pid, 2)

    said = shell.read_until("after")

    assert "interrupted" in said
    assert 1 == shell.eval("q")


def test_reset_closes_the_connections(shell: Shell, postgres: Postgres) -> None:
    """After py_reset the next query has a new session."""
    sql = "select pg_backend_pid() as p"
    query(shell, sql, postgres.string())
    first = shell.eval("q[0][0]")
    query(shell, sql, postgres.string())
    assert first == shell.eval("q[0][0]")

    # What other tests have left in the process may print as it goes.
    shell.output("select py_reset();")

    query(shell, sql, postgres.string())
    assert first != shell.eval("q[0][0]")
