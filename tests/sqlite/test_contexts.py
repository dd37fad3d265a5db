"""py_save, py_restore and what lists saved contexts, in real connections."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from tests.sqlite.hosts import Driver, Shell, SqlError, quote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.hosts import Host

CODE = """
import math as m
from os.path import join as glue
rate = 41
rows = [1, 2, 3]
class Point:
    def __init__(self, x): self.x = x
point = Point(7)
def area(r):
    "Of a circle."
    return round(m.pi * r * r, 2)
"""


@pytest.fixture
def filled(host: Host) -> Host:
    """A host whose context has something of each kind."""
    host.run(CODE)
    return host


def elsewhere(host: Host, name: str = "elsewhere") -> None:
    """Go on in another, empty context."""
    host.rows(f"select py_context('{name}{time.monotonic_ns()}')")


def names(report: str, part: str = "restored") -> set[str]:
    """Return the names in a part of a report."""
    return {one["name"] for one in json.loads(report)[part]}


# ---- Saving and restoring -----------------------------------------------------------


def test_save_gives_a_number_and_restore_brings_all_back(filled: Host) -> None:
    """Modules, functions, classes, their instances and values, in another context."""
    number = filled.value("select py_save('first')")
    elsewhere(filled)

    report = filled.value(f"select py_restore({number})")

    assert 1 == number
    assert {"m", "glue", "rate", "rows", "Point", "point", "area"} == names(report)
    assert [(3.14, 7, "a/b", 41)] == filled.rows(
        "select py_call('area', 1), py_get('point.x'), py_eval('glue(\"a\", \"b\")'),"
        " py_get('rate')"
    )


def test_save_takes_a_mask_a_length_and_a_description(filled: Host) -> None:
    """As the arguments say; what is too long is listed with its reason."""
    filled.run("big = 'x' * 5000")

    filled.value("select py_save('a', 'ra*,big', 1000, 'why')")

    assert [("a", "why")] == filled.rows("select name, description from py_contexts")
    assert [("big", 0), ("rate", 1)] == filled.rows(
        "select name, saved from py_context_items('a') order by name"
    )
    assert filled.value("select reason from py_context_items('a') where not saved")


def test_save_without_arguments_takes_the_name_of_the_context(filled: Host) -> None:
    """All of the context, under its own name."""
    filled.value("select py_save()")

    assert filled.value("select name = py_context() from py_contexts")


def test_save_leaves_nothing_in_the_context(filled: Host) -> None:
    """Neither saving nor restoring adds names of their own."""
    before = filled.eval("str(sorted(globals()))")
    filled.value("select py_save('a')")
    filled.value("select py_restore('a')")

    assert before == filled.eval("str(sorted(globals()))")


def test_save_lists_what_cannot_be_saved(filled: Host) -> None:
    """With its reason, and the rest is saved."""
    filled.run("import threading; lock = threading.Lock()")

    filled.value("select py_save('a')")
    ((name, reason),) = filled.rows(
        "select name, reason from py_context_items('a') where not saved"
    )

    assert "lock" == name
    assert "_thread.lock" in reason


def test_restore_takes_a_mask(filled: Host) -> None:
    """For all kinds of names."""
    filled.value("select py_save('a')")
    elsewhere(filled)

    report = filled.value("select py_restore('a', 'm,r*')")

    assert {"m", "rate", "rows"} == names(report)
    assert 0 == filled.value("select py_info('area') ->> 'defined'")


def test_restore_clears_where_it_is_told_to(filled: Host) -> None:
    """What was not saved stays without, and goes with it."""
    filled.value("select py_save('a', 'rate')")
    filled.run("rate = 0; other = 1")

    filled.value("select py_restore('a')")
    kept = filled.eval("rate + other")
    filled.value("select py_restore('a', null, 1)")

    assert 42 == kept
    assert 41 == filled.eval("rate")
    assert 0 == filled.value("select py_info('other') ->> 'defined'")


def test_restore_that_fails_changes_nothing(filled: Host) -> None:
    """A value that does not load is an error with its name; lenient, it is listed."""
    filled.run(
        "class Refuses:\n"
        "    def __reduce__(self): return divide, (1, 0)\n"
        "def divide(a, b): return a / b\n"
        "bad = Refuses()"
    )
    filled.value("select py_save('a')")
    filled.run("rate = 0; del bad")

    message = filled.error("select py_restore('a', '*', 1)")
    untouched = filled.eval("rate")
    report = filled.value("""select py_restore('a', '*', 0, '{"strict": false}')""")

    assert "'bad'" in message
    assert 0 == untouched
    assert {"bad"} == names(report, "skipped")
    assert 41 == filled.eval("rate")


def test_snapshot_of_a_name_is_the_newest(filled: Host) -> None:
    """A number is that one, a name the last of that name."""
    filled.value("select py_save('a')")
    filled.run("rate = 42")
    filled.value("select py_save('a')")

    filled.value("select py_restore('a', 'rate')")
    newest = filled.eval("rate")
    filled.value("select py_restore(1, 'rate')")

    assert (42, 41) == (newest, filled.eval("rate"))


def test_transfer_carries_variables(filled: Host) -> None:
    """From one live context to another; NULL is the present one."""
    here = filled.value("select py_context()")
    there = f"{here}-there"

    report = filled.value(f"select py_transfer('ra*,area', null, '{there}')")
    filled.rows(f"select py_context('{there}')")

    assert {"rate", "area"} <= names(report)
    assert 41 == filled.eval("rate")


# ---- Looking ------------------------------------------------------------------------


def test_contexts_join_with_plain_tables(filled: Host) -> None:
    """The store is tables of this database, and the listings are tables too."""
    filled.value("select py_save('a')")
    filled.rows("create table wanted(id integer, who text)")
    filled.rows("insert into wanted values (1, 'me')")

    assert [("me", "a", "rate", 41)] == filled.rows(
        "select w.who, c.name, v.name, cast(v.repr as integer) from wanted w"
        " join py_contexts c using (id)"
        " join pybridge_variable v on v.context = c.id where v.name = 'rate'"
    )
    assert [("me", 7)] == filled.rows(
        "select w.who, count(*) from wanted w join py_context_items(w.id) i group by 1"
    )


def test_items_of_the_live_context_need_no_snapshot(filled: Host) -> None:
    """Without an argument they are those of the context as it is now."""
    found = dict(filled.rows("select name, kind from py_context_items"))

    assert ("module", "function", "class", "variable") == (
        found["m"], found["area"], found["Point"], found["rate"]
    )  # fmt: skip
    assert 0 == filled.value("select count(*) from py_contexts")


def test_display_tells_people(filled: Host) -> None:
    """In the layout of the original; of a snapshot, or of the context."""
    filled.value("select py_save('a', '*', 0, 'why')")

    stored = filled.value("select py_display('a')")
    live = filled.value("select py_display()")

    assert "Name: a\nDescription: why\n" in stored
    assert "math as m" in stored
    assert "    Name: rate\n    Type: int\n    Value: 41\n" in stored
    assert "area(r) - Of a circle." in live


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("py_search('r*')", {"rate", "rows"}),
        ("py_search(null, 'list')", {"rows"}),
        ("py_search where by_text = 'of a CIRCLE'", {"area"}),
        ("py_search where by_name = 'ra*' and after = '2000-01-01'", {"rate"}),
        ("py_search where before = '2000-01-01'", set()),
        ("py_search('rate') where type = 'int' and id = 1", {"rate"}),
    ],
)
def test_search_finds_items(filled: Host, where: str, found: set[str]) -> None:
    """By name, type, text and time of saving."""
    filled.value("select py_save('a')")

    assert found == {name for (name,) in filled.rows(f"select name from {where}")}


def test_diff_lists_what_differs(filled: Host) -> None:
    """From the first to the second."""
    filled.value("select py_save('a', 'r*,m')")
    filled.run("rate = 42; new = 1")
    filled.value("select py_save('b', 'r*,new')")

    assert {
        ("m", "removed", "math", None),
        ("new", "added", None, "1"),
        ("rate", "changed", "41", "42"),
    } == set(filled.rows('select name, "change", "before", "after" from py_diff(1, 2)'))


def test_delete_removes_all_of_it(filled: Host) -> None:
    """No table keeps anything of it."""
    filled.value("select py_save('a')")

    assert 1 == filled.value("select py_delete_context('a')")
    for (table,) in filled.rows(
        "select name from sqlite_master where type = 'table'"
        " and name glob 'pybridge_*' and name <> 'pybridge_memory'"
    ):
        assert 0 == filled.value(f"select count(*) from {table}"), table


def test_export_is_imported_into_another_database(filled: Host, tmp_path: Path) -> None:
    """One file has all of it."""
    filled.value("select py_save('a')")
    filled.rows(f"select py_export_context('a', {quote(str(tmp_path / 'a.pyb'))})")
    filled.open()

    number = filled.value(f"select py_import_context({quote(str(tmp_path / 'a.pyb'))})")
    filled.value(f"select py_restore({number})")

    assert 3.14 == filled.value("select py_call('area', 1)")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select py_restore(99)", "py_restore: pybridge.UnknownSnapshot: there is no"
                                  " saved context 99; saved here: 1 'a'"),
        ("select py_display('b')", "no saved context 'b'"),
        ("select py_restore()", "wrong number of arguments"),
        ("select py_restore(null)", "py_restore: snapshot is missing"),
        ("select py_restore('a' || char(0))", "NUL"),
        ("select * from py_diff(1)", "py_diff: b is missing"),
        ("select * from py_diff(1, 2, 3)", "too many arguments"),
        ("select * from py_inspect", "py_inspect: snapshot is missing"),
        ("select * from py_context_items('b' || char(0))", "NUL"),
        ("select py_save('b', '*', 'x')", "max_length is a number of bytes"),
        ("select py_save('b', '*', -1)", "max_length"),
        ("select py_restore('a', '*', 0, '[]')", "options want a JSON object"),
        ("select py_restore('a', '*', 0, '{')", "options: "),
        ("""select py_restore('a', '*', 0, '{"no": 1}')""", "mode, strict, trust"),
        ("""select py_restore('a', '*', 0, '{"trust": 1}')""", "true or false"),
        ("""select py_restore('a', '*', 0, '{"mode": "x"}')""", "full, safe"),
        ("select py_transfer(null, 'a', 'b')", "variables is missing"),
        ("select py_export_context('a', '/proc/nowhere/a')", "/proc/nowhere/a"),
        ("select py_import_context('/proc/nowhere/a')", "/proc/nowhere/a"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_was_wanted(filled: Host, sql: str, says: str) -> None:
    """The function, what came, and what would do."""
    filled.value("select py_save('a')")

    assert says in filled.error(sql)
    assert 1 == filled.value("select count(*) from py_contexts")


def test_functions_are_direct_only(filled: Host) -> None:
    """A view of a database from elsewhere cannot restore or list anything."""
    filled.value("select py_save('a')")
    filled.rows("create view v as select py_restore(1) as r")
    filled.rows("create view w as select * from py_contexts")

    assert "unsafe use of py_restore()" in filled.error("select * from v")
    assert 'unsafe use of virtual table "py_contexts"' in filled.error(
        "select * from w"
    )


# ---- The database -------------------------------------------------------------------


def test_save_is_part_of_the_callers_transaction(filled: Host) -> None:
    """A rollback takes it along, a commit keeps it."""
    filled.rows("begin")
    filled.value("select py_save('a')")
    seen = filled.value("select count(*) from py_contexts")
    filled.rows("rollback")
    gone = filled.value("select count(*) from py_contexts")
    filled.rows("begin")
    filled.value("select py_save('b')")
    filled.rows("commit")

    assert (1, 0) == (seen, gone)
    assert ["b"] == [name for (name,) in filled.rows("select name from py_contexts")]


def test_save_inside_a_statement_that_writes_is_refused(filled: Host) -> None:
    """SQLite cannot begin a savepoint there; nothing is half-written."""
    filled.rows("create table log(id)")

    message = filled.error("insert into log select py_save('a')")

    assert "inside a statement that writes itself" in message
    assert 0 == filled.value("select count(*) from log")
    assert 0 == filled.value("select count(*) from py_contexts")
    assert 0 == filled.value("select py_option('transaction')")


def test_save_may_stand_beside_its_own_listing(filled: Host) -> None:
    """A statement that reads the snapshots may make another for each."""
    filled.value("select py_save('a')")

    filled.rows("select py_save(name || '2') from py_contexts")

    assert {"a", "a2"} == {n for (n,) in filled.rows("select name from py_contexts")}


def test_save_into_a_database_that_is_not_to_be_written_is_an_error(
    filled: Host,
) -> None:
    """`pragma query_only` holds; the snapshots that are there can be restored."""
    filled.value("select py_save('a')")
    filled.rows("pragma query_only = 1")

    message = filled.error("select py_save('b')")
    report = filled.value("select py_restore('a')")

    assert "readonly" in message
    assert "rate" in names(report)


def test_snapshots_of_a_read_only_database_are_restored(
    shell: Shell, tmp_path: Path
) -> None:
    """Looking and restoring write nothing; an empty one has no snapshots."""
    shell.open(tmp_path / "empty.db")
    shell.rows("vacuum")
    shell.open(f"file:{tmp_path}/empty.db?mode=ro")
    empty = shell.rows("select name from py_contexts")
    shell.open(tmp_path / "a.db")
    shell.run(CODE)
    shell.value("select py_save('a')")
    shell.open(f"file:{tmp_path}/a.db?mode=ro")

    assert [] == empty
    assert [("a",)] == shell.rows("select name from py_contexts")
    assert "rate" in names(shell.value("select py_restore('a')"))
    assert "readonly" in shell.error("select py_save('b')")


def test_save_goes_to_the_main_database(filled: Host) -> None:
    """Not to one that is attached."""
    filled.rows("attach ':memory:' as other")

    filled.value("select py_save('a')")

    assert 1 == filled.value("select count(*) from main.pybridge_context")
    assert "no such table" in filled.error("select * from other.pybridge_context")


def test_temporary_table_of_the_same_name_is_an_error(filled: Host) -> None:
    """It would be written to in place of the store."""
    filled.rows("create temp table pybridge_context(id)")

    assert "'pybridge_context'" in filled.error("select py_save('a')")


def test_store_may_be_another_file(filled: Host, tmp_path: Path) -> None:
    """py_option('store') names it; NULL goes back to this database."""
    path = str(tmp_path / "store.db")
    filled.rows("pragma query_only = 1")

    filled.rows(f"select py_option('store', {quote(path)})")
    filled.value("select py_save('a')")
    there = filled.value("select count(*) from py_contexts")
    filled.rows("select py_option('store', null)")

    assert (1, 0) == (there, filled.value("select count(*) from py_contexts"))
    assert "path" in filled.error("select py_option('store', 5)")


def test_store_is_not_this_database_by_another_way(
    filled: Host, tmp_path: Path
) -> None:
    """Two copies of SQLite in one process would break each other's locks on it."""
    filled.open(tmp_path / "a.db")
    filled.rows("create table t(a)")
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")

    message = filled.error(f"select py_option('store', '{tmp_path}/link.db')")

    assert "this database" in message
    assert filled.value("select py_option('store')") is None


def test_text_of_any_kind_comes_back_as_it_was(host: Host, tmp_path: Path) -> None:
    """Names and values beyond ASCII, quotes, and a database in UTF-16."""
    host.open(tmp_path / "utf16.db")
    host.rows("pragma encoding = 'utf-16'")
    host.run("é = 'ü\\0\\U0001f40d'; value = b'\\0\\xff'")

    host.value("select py_save('it''s \"ñ\"')")
    elsewhere(host)
    host.value("select py_restore('it''s \"ñ\"')")

    assert [('it\'s "ñ"',)] == host.rows("select name from py_contexts")
    assert host.eval("é == 'ü\\0\\U0001f40d' and value == b'\\0\\xff'")


def test_two_connections_see_what_is_committed(tmp_path: Path, library: Path) -> None:
    """One that saves blocks another's save, and shows nothing before it commits."""
    one, two = Driver(), Driver()
    one.open(tmp_path / "a.db")
    two.open(tmp_path / "a.db")
    one.run("x = 1")
    two.run("x = 2")
    one.value("select py_save('first')")
    one.rows("begin")
    one.value("select py_save('second')")

    seen = two.value("select count(*) from py_contexts")
    message = two.error("select py_save('third')")
    one.rows("commit")
    two.value("select py_save('third')")
    one.value("select py_restore('third')")

    assert 1 == seen
    assert "locked" in message
    assert 3 == two.value("select count(*) from py_contexts")
    assert 2 == one.eval("x")
    one.close()
    two.close()


# ---- Trust --------------------------------------------------------------------------


def test_changed_snapshot_is_refused_until_it_is_trusted(filled: Host) -> None:
    """A pickle is code: the error has its own type and says what to do."""
    filled.value("select py_save('a')")
    filled.rows("update pybridge_pickle set data = data || x'2e'")

    message = filled.error("select py_restore('a')")
    status = json.loads(filled.value("select py_status()"))
    once = filled.value("""select py_restore('a', '*', 0, '{"trust": true}')""")
    filled.rows("select py_trust_context('a')")
    after = filled.value("select py_restore('a')")

    assert "py_restore: pybridge.NotTrusted: " in message
    assert "trust" in message
    assert "pybridge.NotTrusted" == status["type"]
    assert "area" in names(once)
    assert "area" in names(after)


def test_edited_json_is_what_is_restored(filled: Host) -> None:
    """The original gateway ignores edits; data is no code, so it needs no trust."""
    filled.value("select py_save('a')")
    filled.rows("update pybridge_variable set json = '[4, 5]' where name = 'rows'")

    report = json.loads(filled.value("select py_restore('a')"))
    first = filled.value("select py_get('rows', 'repr')")
    filled.rows("select py_trust_context('a')")
    filled.value("select py_restore('a')")

    assert ("[4, 5]", "[4, 5]") == (
        first,
        filled.value("select py_get('rows', 'repr')"),
    )
    assert ["restored from its edited JSON"] == [
        one["reason"] for one in report["restored"] if one["name"] == "rows"
    ]


def test_safe_mode_restores_data_only(filled: Host) -> None:
    """Also of a snapshot that is not trusted."""
    filled.value("select py_save('a')")
    filled.rows("update pybridge_context set signature = ''")
    elsewhere(filled)

    report = filled.value(
        """select py_restore('a', 'r*,area', 0, '{"mode": "safe", "strict": false}')"""
    )

    assert {"rate", "rows"} == names(report)
    assert {"area"} == names(report, "skipped")


def test_inspect_lists_what_would_be_imported(filled: Host) -> None:
    """Nothing is loaded for it."""
    filled.run("from fractions import Fraction\nthird = Fraction(1, 3)")
    filled.value("select py_save('a', 'third')")

    assert [("fractions", "Fraction")] == filled.rows(
        "select module, name from py_inspect('a')"
        " where item = 'third' and module = 'fractions'"
    )


def test_verify_finds_what_was_changed(filled: Host) -> None:
    """Before and after a byte of a pickle was changed."""
    filled.value("select py_save('a')")
    whole = json.loads(filled.value("select py_verify('a')"))
    filled.rows("update pybridge_pickle set data = zeroblob(length(data))")
    broken = json.loads(filled.value("select py_verify('a')"))

    assert [] == whole["problems"]
    assert broken["problems"]


# ---- Stopped, captured, killed ------------------------------------------------------


def test_output_of_pickling_is_captured(filled: Host) -> None:
    """What the user's own code prints while it is saved is part of the call."""
    filled.run(
        "class Talks:\n"
        "    def __reduce__(self):\n"
        "        print('saving')\n"
        "        return str, ('x',)\n"
        "talks = Talks()"
    )
    filled.rows("select py_option('capture', 1)")

    filled.value("select py_save('a', 'talks')")
    status = json.loads(filled.value("select py_status()"))
    filled.rows("select py_option('capture', 0)")

    assert "saving\n" in status["stdout"]


STUCK = """
class Stuck:
    def __reduce__(self):
        while True: pass
class StuckLater:
    def __reduce__(self):
        return wait, ()
def wait():
    while True: pass
"""


def test_save_that_runs_too_long_leaves_nothing(filled: Host) -> None:
    """A deadline stops it; no part of the snapshot stays."""
    filled.run(STUCK + "\nstuck = Stuck()")
    filled.value("select py_save('before', 'rate')")
    filled.rows("select py_option('timeout_ms', 300)")

    message = filled.error("select py_save('a')")
    filled.rows("select py_option('timeout_ms', 0)")

    assert "deadline" in message.lower()
    assert [("before",)] == filled.rows("select name from py_contexts")
    assert 1 == filled.value("select count(distinct context) from pybridge_variable")
    filled.rows("begin")  # which fails inside a transaction
    filled.rows("rollback")


def test_save_that_waits_for_another_is_stopped(shell: Host, tmp_path: Path) -> None:
    """A store that somebody else is writing to keeps no call beyond its deadline."""
    path = str(tmp_path / "store.db")
    shell.rows(f"select py_option('store', {quote(path)})")
    shell.value("select py_save('a')")
    other = apsw.Connection(path)
    other.execute("begin immediate")
    shell.rows("select py_option('timeout_ms', 300)")

    message = shell.error("select py_save('b')")
    shell.rows("select py_option('timeout_ms', 0)")
    other.execute("rollback")
    other.close()

    assert "deadline" in message.lower()
    assert 2 == shell.value("select py_save('c')")


def test_restore_that_runs_too_long_changes_nothing(filled: Host) -> None:
    """The context is as it was."""
    filled.run(STUCK + "\nstuck = StuckLater()")
    filled.value("select py_save('a')")
    filled.run("del stuck; rate = 0")
    filled.rows("select py_option('timeout_ms', 300)")

    message = filled.error("select py_restore('a', '*', 1)")
    filled.rows("select py_option('timeout_ms', 0)")

    assert "deadline" in message.lower()
    assert 0 == filled.eval("rate")


def test_save_is_interrupted(shell: Shell) -> None:
    """Ctrl-C ends it with an error, and the shell goes on."""
    shell.run(STUCK + "\nstuck = Stuck()")
    shell.send("select py_save('a');\n.print '<after>'\n")
    time.sleep(0.5)
    shell.interrupt()
    printed = shell.read_until("<after>\n")

    assert "interrupt" in printed.lower()
    assert 0 == shell.value("select count(*) from py_contexts")
    assert 42 == shell.eval("6 * 7")


def big(name: str) -> str:
    """Return code that makes a frame of 40 MB under that name."""
    return (
        "import numpy as np, pandas as pd\n"
        f"{name} = pd.DataFrame(np.random.default_rng(1).random((500_000, 10)))"
    )


@pytest.mark.parametrize("after", [0.0, 0.03, 0.08])
def test_killed_save_leaves_the_last_whole_one(tmp_path: Path, after: float) -> None:
    """`kill -9` of the process at any moment."""
    dying = Shell()
    dying.open(tmp_path / "a.db")
    dying.run("x = 1")
    dying.value("select py_save('whole')")
    dying.run(big("df") + "\nx = 2")
    dying.send(".print '<go>'\nselect py_save('large');\n")
    dying.read_until("<go>\n")

    time.sleep(after)
    os.killpg(dying.process.pid, signal.SIGKILL)
    dying.close()
    then = Shell()
    then.open(tmp_path / "a.db")
    saved = [name for (name,) in then.rows("select name from py_contexts")]
    for name in saved:
        then.value(f"select py_restore('{name}')")
    then.run(big("df"))
    again = then.value("select py_save('again')")
    problems = json.loads(then.value(f"select py_verify({again})"))["problems"]
    integrity = then.value("pragma integrity_check")
    then.close()

    assert saved in (["whole"], ["large", "whole"])
    assert [] == problems
    assert "ok" == integrity


def test_memory_of_nothing_is_kept(driver: Driver) -> None:
    """Listing again and again keeps no statement: the connection can be closed."""
    driver.run(CODE)
    driver.value("select py_save('a')")
    for _ in range(20):
        driver.rows("select * from py_contexts, py_context_items(id) limit 3")
        with pytest.raises(SqlError):
            driver.rows("select * from py_contexts, py_context_items(id || 'x')")
    statements = list(driver.db.execute("select 1"))

    assert [(1,)] == statements


def test_listing_that_is_left_halfway_is_let_go(driver: Driver) -> None:
    """A cursor that is closed in the middle frees what it had."""
    driver.run("a = b = c = 1")
    driver.value("select py_save('a')")

    cursor: Any = driver.db.execute("select name from py_context_items('a')")
    first = next(cursor)
    cursor.close()
    driver.close()
    driver.db = apsw.Connection(":memory:")

    assert first[0] in {"a", "b", "c"}
