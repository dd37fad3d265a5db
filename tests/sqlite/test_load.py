"""Loading: what it starts, what it leaves, how many connections there may be."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from tests.sqlite.hosts import TESTED, Shell, load

if TYPE_CHECKING:
    from tests.sqlite.hosts import Driver

STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]


def maps(shell: Shell) -> str:
    """Return what is mapped into the shell's memory."""
    return Path(f"/proc/{shell.process.pid}/maps").read_text(encoding="utf-8")


def tasks(shell: Shell) -> int:
    """Return how many threads the shell has."""
    return len(list(Path(f"/proc/{shell.process.pid}/task").iterdir()))


def test_load_starts_no_python() -> None:
    """Python, and cffi, start with the first call that needs them, not before."""
    shell = Shell()
    try:
        shell.output(f".mode quote\n.load {TESTED.with_suffix('')}")
        shell.value("select py_version()")
        shell.value("select py_context()")
        shell.value("select py_option('timeout_ms', 100)")
        loaded = maps(shell)
        before = tasks(shell)
        shell.eval("1")
        started, after = maps(shell), tasks(shell)
        shell.value("select py_exec('1')")
        crossed = maps(shell)
    finally:
        code = shell.close()

    assert TESTED.name in loaded
    assert "_cffi_backend" not in started
    assert "_cffi_backend" in crossed
    assert (1, 2) == (before, after)
    assert 0 == code


def test_shell_ends_well_after_use() -> None:
    """With frames in Python, a thread of its own and an open transaction."""
    shell = Shell()
    shell.open()
    shell.rows("begin")
    shell.rows("create table t(a)")
    shell.rows("select py_query('select 1', 'q')")
    shell.run(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), "
        "daemon=True).start()"
    )

    assert 0 == shell.close()


def test_connections_come_and_go(driver: Driver) -> None:
    """A hundred connections, opened, used and closed, leave nothing behind."""
    live = ctypes.CDLL(str(TESTED)).pyb_live
    live.restype = ctypes.c_int64
    driver.rows("select py_query('select 1', 'q', 'list')")
    driver.run("del q")
    before = live()

    for _ in range(100):
        db = apsw.Connection(":memory:")
        load(db)
        list(db.execute("select py_eval('1'), py_query('select 1', 'q', 'list')"))
        db.close()

    assert before == live()


def test_threads_have_connections_of_their_own(driver: Driver) -> None:
    """Eight threads, each with its connection and context, at the same time."""
    driver.eval("1")
    results: dict[int, int] = {}

    def work(number: int) -> None:
        db = apsw.Connection(":memory:")
        load(db)
        db.execute("select py_context(?)", (f"thread {number}",))
        db.execute("select py_set('k', ?)", (number,))
        ((total,),) = db.execute(
            "with recursive n(x) as (select 1 union all select x + 1 from n "
            "where x < 2000) select sum(py_eval('k') + py_call('abs', x)) from n"
        )
        results[number] = total
        db.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {i: 2000 * i + 2_001_000 for i in range(8)} == results


def test_program_with_many_threads_and_connections(tmp_path: Path) -> None:
    """A C program: 4 threads open, use and close 60 connections, nothing is left."""
    program = tmp_path / "connections"
    source = Path(__file__).parent / "connections.c"
    subprocess.run(
        ["gcc", *STRICT, source, "-o", program, "-lsqlite3", "-lpthread", "-ldl"],
        check=True,
    )

    done = subprocess.run(
        [program, TESTED, "4", "15"], capture_output=True, text=True, check=False
    )
    numbers, ok = done.stdout.splitlines()
    before, after = numbers.split()

    assert "ok" == ok, done.stderr
    assert before == after


def test_second_copy_of_sqlite_is_refused() -> None:
    """One process has one copy of SQLite that uses the bridge; the other is told so."""
    program = f"""
import apsw, ctypes
first = apsw.Connection(":memory:")
first.enable_load_extension(True)
first.load_extension({str(TESTED)!r})
sqlite = ctypes.CDLL("libsqlite3.so.0")
db = ctypes.c_void_p()
message = ctypes.c_char_p()
sqlite.sqlite3_open(b":memory:", ctypes.byref(db))
sqlite.sqlite3_enable_load_extension(db, 1)
code = sqlite.sqlite3_load_extension(
    db, {str(TESTED)!r}.encode(), None, ctypes.byref(message))
print(code, message.value.decode())
print(list(first.execute("select py_eval('1 + 1')")))
"""

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("1 "), done.stderr
    assert "by another copy of SQLite" in done.stdout
    assert done.stdout.endswith("[(2,)]\n")


def test_extension_is_loaded_by_a_statement() -> None:
    """By load_extension() in SQL too, while no function can be registered twice."""
    db = apsw.Connection(":memory:")
    db.enable_load_extension(True)

    db.execute(f"select load_extension('{TESTED}')").fetchall()

    assert [(2,)] == db.execute("select py_eval('1 + 1')").fetchall()


def test_extension_keeps_no_statement_open(tmp_path: Path) -> None:
    """A connection can be closed at any time after use."""
    db = apsw.Connection(str(tmp_path / "file.db"))
    load(db)
    db.execute("create table t(a)")
    list(db.execute("select py_query('select * from t', 'q'), py_table('t', 'q')"))

    db.close()

    assert not list(tmp_path.glob("*-journal"))
