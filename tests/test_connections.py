"""Connections to other databases: names, errors, passwords, those that are kept."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sqlite3
import sys
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import adbc_driver_sqlite.dbapi
import pyarrow as pa
import pyodbc
import pytest

from pybridge import connections, context, host, main, masking, status
from pybridge.errors import (
    BadArgument,
    DatabaseError,
    HostError,
    Undefined,
)
from tests.databases import LITE, PASSWORD, error, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.databases import MariaDB, Postgres

UTC = pa.timestamp("us", "UTC")


pytestmark = pytest.mark.usefixtures("_own_connections")


# ---- Namespaces ---------------------------------------------------------------------


def test_outside_a_host_there_is_no_host() -> None:
    """The default namespace says so."""
    if "pybridge._plane" in sys.modules:
        wanted = "no call of a host|no host"
    else:
        wanted = "there is no host here"

    with pytest.raises(HostError, match=wanted):
        main.execute_query("select 1", "q")


def test_named_connections_are_those_of_the_settings(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Each kind of connection is opened as its table says."""
    sqlite3.connect(tmp_path / "b.db").execute("create table t (a)").connection.close()
    (tmp_path / "pybridge.toml").write_text(
        f"""
        [connections]
        lite = {{ sqlite = "b.db" }}
        only = {{ sqlite = "b.db", readonly = true }}
        pg = {{ odbc = '''{postgres.string()}''', readonly = true }}
        adbc = {{ adbc = "adbc_driver_sqlite", uri = "{tmp_path / "b.db"}" }}
        api = {{ driver = "sqlite3", uri = "{tmp_path / "b.db"}",
                 options = {{ check_same_thread = false }} }}
        """.replace(",\n", ", ")
    )

    assert 2 == main.execute_query("insert into t values (1), (2)", "q", None, "lite")
    assert 1 == main.execute_query("insert into t values (3)", "q", None, "api")
    for name in ("lite", "only", "adbc", "api"):
        assert [1, 2, 3] == table("select a from t", name)["a"].to_pylist(), name
    assert [5] == table("select 5 as x", "pg")["x"].to_pylist()
    assert "readonly" in error("insert into t values (1)", "only")
    assert "read-only" in error("create table v (a int)", "pg").lower().replace(
        "readonly", "read-only"
    )
    assert ["adbc", "api", "lite", "only", "pg"] == connections.names()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            "[connections.c]",
            "has to have one of odbc, sqlite, adbc, driver; it has none",
        ),
        ("[connections.c]\nodbc='a=b'\nsqlite='x'", "it has odbc and sqlite"),
        ("[connections.c]\nsqlite='x'\nodd=1", "has 'odd', which is unknown"),
        ("[connections.c]\nsqlite=5", "sqlite is text, not int"),
        ("[connections.c]\nodbc='a=b'\ntimeout=true", "timeout is a whole number"),
        ("[connections]\nc=5", "is not a table"),
        (
            "[connections.c]\ndriver='no_such_driver'",
            "'no_such_driver' cannot be impor",
        ),
        ("[connections.c]\ndriver='json'", "has no connect()"),
        ("[connections.c]\nodbc='a=b'\npassword_env='NIX'", "no variable 'NIX'"),
        ("[connections.c]\nodbc='a=b'\npassword_file='nix'", "nix' cannot be read"),
        ("[connections.c]\nodbc='a=b'\npassword_command=['/nix']", "cannot be run"),
        ("[connections.c]\nodbc='a=b'\npassword_command=['false']", "exit code 1"),
        (
            "[connections.c]\nodbc='a=b'\npassword_env='A'\npassword_file='b'",
            "more than one of password_env",
        ),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: str, words: str) -> None:
    """What is wrong in a table is said, with its name."""
    (tmp_path / "pybridge.toml").write_text(settings)

    assert words in error("select 1", "c", BadArgument)


def test_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    """The message has the names of the settings; a URI is told from a name."""
    (tmp_path / "pybridge.toml").write_text(
        "[connections.a]\nsqlite='x'\n[connections.b]\nsqlite='y'"
    )
    main.set_variable("number", 5)

    assert "has 'a', 'b', and no variable has that name" in error(
        "select 1", "nix", Undefined
    )
    assert "variable 'number' is of type int" in error("select 1", "number", Undefined)
    secret = error("select 1", "postgresql://u:hidden@h/d", BadArgument)
    assert "a URI is no namespace" in secret
    assert "hidden" not in secret
    assert "has a method cursor()" in error("select 1", object(), BadArgument)


def test_connection_objects_and_variables_are_used_as_they_are(
    postgres: Postgres,
) -> None:
    """pyodbc, ADBC, sqlite3: nothing is committed, closed, or set for good."""
    odbc = pyodbc.connect(postgres.string())
    odbc.decimal_mode = "binary"
    lite = sqlite3.connect(":memory:")
    adbc = adbc_driver_sqlite.dbapi.connect()
    main.execute_code("", context="c")
    main.set_variable("mine", lite, context="c")

    table("create table mine (a int)", odbc)
    big = table("select repeat('9', 50)::numeric as x", odbc)["x"]
    odbc.rollback()
    main.execute_query("select 1 as a, 2 as a", "q", "dicts", "mine", context="c")

    assert Decimal("9" * 50) == big[0].as_py()
    assert "binary" == odbc.decimal_mode
    assert odbc.get_output_converter(-155) is None
    assert "does not exist" in error("select * from mine", odbc)
    assert [{"a": 1, "a_1": 2}] == main.get_variable("q", context="c")
    assert [("x", 1.5)] == host.query("select 'x' as t, 1.5 as f", None, "list", adbc)
    assert [] == host.query("create table t (a)", None, "list", adbc)
    for connection in (odbc, lite, adbc):
        connection.cursor().close()  # they are open
        connection.close()


# ---- Errors -------------------------------------------------------------------------


def test_error_has_the_words_and_the_state_of_the_driver(postgres: Postgres) -> None:
    """The variable is as it was, and the connection string is masked."""
    main.set_variable("q", 1)

    with pytest.raises(DatabaseError) as caught:
        main.execute_query("select * from nix", "q", None, postgres.string())

    assert "42P01" == caught.value.sqlstate
    assert '[42P01] ERROR: relation "nix" does not exist' in str(caught.value)
    assert "PWD=***" in str(caught.value)
    assert 1 == main.get_variable("q")


def test_error_in_the_middle_of_the_rows_leaves_the_variable(
    postgres: Postgres,
) -> None:
    """A row that fails after thousands is an error of the whole."""
    main.set_variable("q", 1)

    with pytest.raises(DatabaseError) as caught:
        main.execute_query(
            "select 1 / (20000 - i) as x from generate_series(1, 30000) i",
            "q",
            None,
            postgres.string(),
        )

    assert "22012" == caught.value.sqlstate
    assert 1 == main.get_variable("q")
    assert [1] == table("select 1 as x", postgres.string())["x"].to_pylist()


def test_missing_driver_says_which_there_are() -> None:
    """A driver and a data source that are not there, and a string that names none."""
    driver = error("select 1", "Driver=nix;PWD=hidden")
    source = error("select 1", "DSN=nix;PWD=hidden")
    garbage = error("select 1", "=;;=")

    for message in (driver, source, garbage):
        assert "installed drivers: 'MariaDB Unicode', 'PostgreSQL ANSI'" in message
        assert "hidden" not in message
    assert "[01000]" in driver
    assert "[IM002]" in source


def test_nothing_listens_there(tmp_path: Path) -> None:
    """A server that is not there is told in the driver's words."""
    message = error(
        "select 1",
        f"Driver={{PostgreSQL Unicode}};Servername={tmp_path};UID=u;PWD=hidden",
    )

    assert "[08001] connection to server" in message
    assert "hidden" not in message


def test_options_are_checked_before_anything_runs(postgres: Postgres) -> None:
    """A wrong type or option is an error, and the statement was not run."""
    string = postgres.string()
    table("create table if not exists once (a int)", string)

    for bad in ({"type": "cube"}, {"dtype_backend": "x"}, {"odd": 1}):
        with pytest.raises(BadArgument):
            host.query("insert into once values (1)", namespace=string, **bad)

    assert 0 == table("select * from once", string).num_rows


def test_server_that_dies_in_the_middle_is_an_error(postgres: Postgres) -> None:
    """The running query fails in the driver's words; the next one has a new session."""
    string = postgres.string()
    main.set_variable("q", 1)
    killer = pyodbc.connect(string, autocommit=True)

    def kill() -> None:
        sql = (
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
        )
        end = time.monotonic() + 60
        while not killer.execute(sql).fetchall() and time.monotonic() < end:
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(DatabaseError) as caught:
        main.execute_query("select pg_sleep(60)", "q", None, string)
    thread.join()
    killer.close()

    assert "terminating connection" in str(caught.value)
    assert 1 == main.get_variable("q")
    assert [2] == table("select 2 as x", string)["x"].to_pylist()


# ---- Stopping -----------------------------------------------------------------------


@pytest.fixture
def _no_garbage_collection() -> Iterator[None]:
    """Keep the garbage collector out: it calls Python code, that of hypothesis too.

    Python drops what is raised in a callback of it, or in one of a weak reference to
    what it collects (each thread has one): a KeyboardInterrupt that comes just then.
    """
    kept = gc.callbacks[:]
    gc.callbacks.clear()
    gc.disable()
    yield
    gc.enable()
    gc.callbacks.extend(kept)


def interrupted(sql: str, namespace: object) -> float:
    """Run a query that is interrupted as by Ctrl-C; return how long it took after."""
    at = []

    def interrupt() -> None:
        time.sleep(0.3)
        at.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        main.execute_query(sql, "q", None, namespace)
    thread.join()
    return time.monotonic() - at[0]


ENDLESS = (
    "with recursive r(i) as (select 1 union all select i + 1 from r) select {} from r"
)


@pytest.mark.usefixtures("_no_garbage_collection")
def test_interrupt_cancels_the_query_on_the_server(postgres: Postgres) -> None:
    """The server works no longer, the variable is as it was, the next query works."""
    main.set_variable("q", 1)

    took = interrupted("select pg_sleep(60)", postgres.string())

    left = table(
        "select count(*) as n from pg_stat_activity "
        "where query like '%pg_sleep(60)%' and pid <> pg_backend_pid() "
        "and state = 'active'",
        postgres.string(),
    )
    assert took < 30
    assert [0] == left["n"].to_pylist()
    assert 1 == main.get_variable("q")


@pytest.mark.usefixtures("_no_garbage_collection")
def test_interrupt_cancels_other_drivers(tmp_path: Path, mariadb: MariaDB) -> None:
    """MariaDB, SQLite by ODBC and by Python's module, between rows and within them."""
    free = sqlite3.connect(":memory:", check_same_thread=False)
    bound = sqlite3.connect(":memory:")

    assert interrupted("select sleep(60)", mariadb.string()) < 30
    assert interrupted(ENDLESS.format("count(*)"), f"{LITE}{tmp_path / 'x.db'}") < 30
    assert interrupted(ENDLESS.format("count(*)"), free) < 30
    assert interrupted(ENDLESS.format("i"), bound) < 30
    free.close()
    bound.close()


def test_other_threads_run_while_a_query_waits(postgres: Postgres) -> None:
    """The driver waits without the interpreter lock."""
    counted = []
    done = threading.Event()

    def count() -> None:
        while not done.wait(0.01):
            counted.append(1)

    thread = threading.Thread(target=count)
    thread.start()
    table("select pg_sleep(0.5)", postgres.string())
    done.set()
    thread.join()

    assert len(counted) > 5


# ---- Kept connections ---------------------------------------------------------------

PID = "select pg_backend_pid() as x"


def pid(namespace: object) -> int:
    """Return the number of the session at the server."""
    return int(table(PID, namespace)["x"][0].as_py())


def test_connection_is_used_again_and_only_while_it_lives(postgres: Postgres) -> None:
    """One session serves until it dies, fails, or all is forgotten."""
    string = postgres.string()
    first = pid(string)
    assert first == pid(string)

    with pyodbc.connect(string, autocommit=True) as other:
        other.execute(f"select pg_terminate_backend({first})").fetchall()
    other.close()
    second = pid(string)
    assert first != second

    error("select * from nix", string)
    third = pid(string)
    assert second != third

    main.finalize()
    assert third != pid(string)


def test_transaction_that_a_statement_begins_is_rolled_back(postgres: Postgres) -> None:
    """A kept connection has no transaction open."""
    string = postgres.string()

    first = pid(string)
    table("begin; create table never (a int)", string)

    assert first == pid(string)
    assert '"never" does not exist' in error("select * from never", string)


def test_two_threads_have_a_connection_each(postgres: Postgres) -> None:
    """Not more are kept than two of a namespace."""
    string = postgres.string()
    pids: list[int] = []

    holder = pyodbc.connect(string, autocommit=True)
    holder.execute("select pg_advisory_lock(1)").fetchall()
    waiting = (
        "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    )

    def one() -> None:
        sql = "select pg_backend_pid() as x, pg_advisory_lock_shared(1)::text"
        pids.append(table(sql, string)["x"][0].as_py())

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 60
    while [(4,)] != [tuple(row) for row in holder.execute(waiting)]:
        assert time.monotonic() < end
        time.sleep(0.02)
    holder.close()
    for thread in threads:
        thread.join()

    assert 4 == len(set(pids))
    assert pid(string) in pids
    sessions = "select count(*) as n from pg_stat_activity where application_name <> ''"
    for _ in range(100):
        left = table(
            "select count(*) as n from pg_stat_activity where backend_type = "
            "'client backend'",
            string,
        )["n"][0].as_py()
        if left <= 2:
            break
        time.sleep(0.05)
    assert left <= 2, sessions


def test_child_of_a_fork_opens_its_own(postgres: Postgres) -> None:
    """The child's queries and its end leave the parent's session alone."""
    string = postgres.string()
    first = pid(string)

    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if pid(string) != first else 2
            connections.close()
            gc.collect()
        finally:
            os._exit(code)
    _, ended = os.waitpid(child, 0)

    assert 0 == os.waitstatus_to_exitcode(ended)
    assert first == pid(string)


# ---- Passwords ----------------------------------------------------------------------

SECRETS = (PASSWORD, PASSWORD.replace("}", "}}"), "s3cret")


def everything(exc: BaseException) -> str:
    """Return all that can be shown of a failure."""
    at = context.get("shown")
    said = status.record(exc, at)
    chain, one = [], exc
    while one is not None:
        chain += [repr(one), repr(one.args), repr(vars(one))]
        one = one.__cause__ or one.__context__  # type: ignore[assignment]
    return repr(said) + repr(at.status.take()) + repr(chain)


MASKED = [
    ("Driver=x;PWD=hidden;UID=u", "Driver=x;PWD=***;UID=u"),
    ("pwd={hid;d}}en};x=1", "pwd=***;x=1"),
    ("f('DSN=x; Password=hidden more')", "f('DSN=x; Password=***')"),
    ("host=h password=hidden dbname=d", "host=h password=*** dbname=d"),
    ("postgresql://u:hidden@h/d", "postgresql://u:***@h/d"),
    ("""connect(password='hid"den', user='u')""", "connect(password='***', user='u')"),
    ("""{"password": "hid\\"den", "a": 1}""", """{"password": "***", "a": 1}"""),
    ("connect(host, password=word)", "connect(host, password=word)"),
    ("password = read()", "password = read()"),
    ("if passwd == other:", "if passwd == other:"),
    ("http://h:80/x?a=b", "http://h:80/x?a=b"),
    ("plain", "plain"),
]


@pytest.mark.parametrize(("text", "shown"), MASKED, ids=[row[0] for row in MASKED])
def test_mask_hides_what_looks_like_a_password(text: str, shown: str) -> None:
    """Only what is spelled out is hidden; code around it stays."""
    assert shown == masking.mask(text)


def test_mask_hides_known_secrets_in_any_form() -> None:
    """As it is, encoded, with doubled braces, in a literal; not very short ones."""
    forms = "a;b}c'  a%3Bb%7Dc%27  a;b}}c'  a;b}c\\'"

    assert {"***", ""} == set(masking.mask(forms, ("a;b}c'",)).split(" "))
    assert "a plain text" == masking.mask("a plain text", ("a", ""))


@pytest.mark.parametrize("source", ["env", "file", "command"])
def test_password_of_the_settings_opens_and_is_never_shown(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Each way to give a password works; nothing shows it, right or wrong."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    monkeypatch.setenv("SECRET", PASSWORD)
    ways = {
        "env": "password_env = 'SECRET'",
        "file": "password_file = 'secret'",
        "command": f"password_command = ['cat', '{secret}']",
    }
    (tmp_path / "pybridge.toml").write_text(
        f"[connections.pg]\nodbc = '''{postgres.string(None)}'''\n{ways[source]}\n"
    )

    assert [1] == table("select 1 as x", "pg")["x"].to_pylist()
    with pytest.raises(DatabaseError) as caught:
        table(f"select '{PASSWORD.replace(chr(39), chr(39) * 2)}' from nix", "pg")
    shown = everything(caught.value)
    shown += repr(connections.find("pg")) + repr(connections._POOL)  # noqa: SLF001

    assert not any(word in shown for word in SECRETS)
    assert "connection 'pg'" in shown


def test_wrong_password_is_not_shown(postgres: Postgres) -> None:
    """The server's refusal comes in its words, without what was tried."""
    wrong = "wr0ng" * 2
    with pytest.raises(DatabaseError) as caught:
        table("select 1", postgres.string(wrong))

    assert "password authentication failed" in str(caught.value)
    assert wrong not in everything(caught.value)


def test_password_that_the_driver_repeats_is_masked(tmp_path: Path) -> None:
    """A driver whose errors have the whole string, as text and percent-encoded."""
    (tmp_path / "echo_driver.py").write_text(
        "def connect(uri, **options):\n    raise RuntimeError(uri + repr(options))\n"
    )
    (tmp_path / "pybridge.toml").write_text(
        "[connections.a]\ndriver = 'echo_driver'\nuri = 'x://u:{password}@h/d'\n"
        "password_env = 'SECRET'\n"
        "[connections.b]\ndriver = 'echo_driver'\nuri = 'x'\npassword_env = 'SECRET'\n"
        "[connections.c]\ndriver = 'echo_driver'\nuri = 'x://u:pa%3Bss@h/d'\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        patch.setenv("SECRET", PASSWORD)
        messages = [error("select 1", name) for name in "abc"]

    assert not any(word in repr(messages) for word in (*SECRETS, "pa%3Bss", "pa;ss"))
    assert "x://u:***@h/d" in messages[0]
    assert "'password': '***'" in messages[1].replace('"', "'")


def test_password_file_is_the_owners_only(tmp_path: Path) -> None:
    """One that others may read is refused."""
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o644)
    (tmp_path / "pybridge.toml").write_text(
        "[connections.c]\nodbc = 'a=b'\npassword_file = 'secret'"
    )

    assert "is open to others; run: chmod 600" in error("select 1", "c", BadArgument)


def test_traceback_hides_a_password_in_the_users_own_line(tmp_path: Path) -> None:
    """The status of a failure shows the line without what is secret in it."""
    code = (
        "from pybridge import host\n"
        "host.query('select 1', namespace='Driver=nix;UID=u;PWD=hidden')\n"
    )
    with pytest.raises(DatabaseError) as caught:
        main.execute_code(code, context="shown")

    status.record(caught.value, context.get("shown"))
    shown = main.get_status(context="shown") or {}

    assert "namespace='Driver=nix;UID=u;PWD=***" in shown["traceback"]
    assert "hidden" not in repr(shown)


def test_no_connection_is_in_a_saved_context(
    postgres: Postgres, tmp_path: Path
) -> None:
    """What is saved of a context has neither connections nor passwords."""
    from pybridge import snapshot

    main.execute_query(
        "select 1 as x", "q", "dataframe", postgres.string(), context="s"
    )

    store = snapshot.Store.open(tmp_path / "contexts.db")
    snapshot.save("s", store=store)
    store.close()

    saved = b"".join(
        p.read_bytes() for p in tmp_path.rglob("contexts.db*") if p.is_file()
    )
    assert b"q" in saved
    assert not any(word.encode() in saved for word in (*SECRETS, "Servername"))
    assert b"Servername" not in pickle.dumps(context.get("s").namespace["q"])
