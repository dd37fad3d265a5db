"""Calls that are stopped: Ctrl-C, time limits, and the host's own interrupt."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.sqlite.hosts import TESTED, Shell, SqlError, quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sqlite.hosts import Driver, Host

ENDLESS = {
    "loop": "while True: pass",
    "sleep": "import time\ntime.sleep(60)",
    "clean-up": "while True:\n    try:\n        while True: pass\n    finally: x = 1",
    "function": "def f():\n    while True: pass\nf()",
}

COUNTING = "with n as (select 1 as x union all select x + 1 from n) select x from n"
ASKING = f"host.query('select max(x) from ({COUNTING})')"


@pytest.fixture
def own(library: object) -> Iterator[Shell]:
    """A shell for one test alone: its Python starts in the test."""
    started = Shell()
    started.open()
    yield started
    started.close()


def begin(shell: Shell, code: str) -> None:
    """Have a shell run code, and return when it runs; "<stopped>" comes after it."""
    begun = quote(f"print('<be' + 'gun>', flush=True)\n{code}")
    shell.send(f"select py_exec({begun});\n.print '<stopped>'\n")
    shell.read_until("<begun>\n")


@pytest.mark.alone
@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_ctrl_c_stops_python_and_the_shell_lives(own: Shell, code: str) -> None:
    """SIGINT becomes an error of the statement; the next statement works."""
    begin(own, code)

    began = time.monotonic()
    own.interrupt()
    printed = own.read_until("<stopped>\n")
    took = time.monotonic() - began

    assert "py_exec: KeyboardInterrupt" in printed
    assert 0.5 > took
    assert 2 == own.eval("1 + 1")


def test_ctrl_c_works_again_and_again(own: Shell) -> None:
    """Each SIGINT stops the call that is running, and none that follows."""
    for _ in range(3):
        begin(own, ENDLESS["loop"])
        own.interrupt()

        assert "KeyboardInterrupt" in own.read_until("<stopped>\n")
        assert 2 == own.eval("1 + 1")


def test_ctrl_c_between_calls_is_the_shells_own(own: Shell) -> None:
    """SQL that is not Python is stopped by the shell, also after Python ran."""
    own.run("import time\ntime.sleep(0.1)")
    own.send(f".print '<begun>'\nselect max(x) from ({COUNTING});\n")
    own.read_until("<begun>\n")
    time.sleep(0.3)

    own.interrupt()

    # A shell that reads no terminal ends then, by its own rule.
    assert "error" in own.read_until("interrupted (9)\n")


def test_ctrl_c_stops_a_query_for_python(own: Shell) -> None:
    """While py_query collects its rows, the shell's own interrupt works."""
    own.run("1")  # which starts Python
    own.send(f"select py_query('select max(x) from ({COUNTING})', 'q');\n")
    time.sleep(0.3)

    own.interrupt()

    assert "error" in own.read_until("py_query: interrupted (9)\n")


def test_ctrl_c_stops_a_query_that_python_runs(own: Shell) -> None:
    """Also inside pybridge.host, where the statement itself has to be stopped."""
    own.run("from pybridge import host")
    begin(own, ASKING)
    time.sleep(0.3)

    own.interrupt()

    assert "nterrupt" in own.read_until("<stopped>\n")
    assert 2 == own.eval("1 + 1")


def test_ctrl_c_of_a_terminal_stops_python(library: object) -> None:
    """The key itself, typed into an interactive shell."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("sqlite3", ["sqlite3", "-interactive", "-init", "/dev/null"])  # noqa: S606
    seen = b""

    def expect(mark: bytes, seconds: float = 10) -> None:
        nonlocal seen
        end = time.monotonic() + seconds
        while mark not in seen:
            ready, _, _ = select.select(
                [terminal], [], [], max(0, end - time.monotonic())
            )
            assert ready, f"no {mark!r}: {seen!r}"
            seen += os.read(terminal, 4096)
        seen = seen[seen.index(mark) + len(mark) :]

    try:
        expect(b"sqlite> ")
        os.write(terminal, f".load {TESTED.with_suffix('')}\n".encode())
        expect(b"sqlite> ")
        os.write(terminal, b"select py_exec('print(123 * 1000)\nwhile True: pass');\n")
        expect(b"123000")
        time.sleep(0.3)
        os.write(terminal, b"\x03")
        expect(b"KeyboardInterrupt")
        expect(b"sqlite> ")
        os.write(terminal, b"select py_eval('6 * 7000');\n")
        expect(b"42000")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.alone
@pytest.mark.parametrize("code", [ENDLESS["loop"], ENDLESS["function"]])
def test_timeout_stops_a_call(host: Host, code: str) -> None:
    """py_option('timeout_ms') is the deadline of each call that follows."""
    host.rows("select py_option('timeout_ms', 200)")

    began = time.monotonic()
    message = host.error(f"select py_exec({quote(code)})")
    took = time.monotonic() - began

    assert "py_exec: " in message
    assert "deadline" in message.lower()
    assert 0.2 <= took < 0.5
    assert 2 == host.eval("1 + 1")


@pytest.mark.alone
def test_timeout_cuts_a_sleep_short(own: Shell) -> None:
    """On the thread that started Python a sleep ends at the deadline."""
    own.rows("select py_option('timeout_ms', 200)")

    began = time.monotonic()
    message = own.error("select py_exec('import time\ntime.sleep(60)')")
    took = time.monotonic() - began

    assert "deadline" in message.lower()
    assert 0.2 <= took < 0.6


def test_timeout_of_the_first_query_leaves_numpy_whole(own: Shell) -> None:
    """The packages of frames, whose import takes longer, can be had afterwards."""
    own.rows("select py_option('timeout_ms', 30)")

    message = own.error("select py_query('select 1 a', 'df')")
    own.rows("select py_option('timeout_ms', 0)")

    assert "DeadlineExceeded" in message
    assert 1 == own.value("select py_query('select 1 a', 'df')")
    assert 1 == own.eval("int(df.a.sum())")


def test_timeout_is_of_each_call(host: Host) -> None:
    """Many short calls may take longer together than one may alone."""
    host.rows("select py_option('timeout_ms', 300)")
    host.run("import time\ndef nap(n):\n    time.sleep(0.02)\n    return n")

    total = host.value(
        "with recursive n(x) as (select 1 union all select x + 1 from n where x < 30) "
        "select sum(py_call('nap', x)) from n"
    )

    assert 465 == total


def test_timeout_stops_a_function_inside_a_query(host: Host) -> None:
    """The statement fails, as with any error of a row."""
    host.run("def slow(n):\n    while n > 2: pass\n    return n")
    host.rows("select py_option('timeout_ms', 100)")

    message = host.error("select py_call('slow', value) from json_each('[1, 2, 3]')")

    assert "deadline" in message.lower()


@pytest.mark.alone
def test_timeout_stops_a_query_that_python_runs(host: Host) -> None:
    """The deadline holds also while Python waits for a statement."""
    host.run("from pybridge import host")
    host.rows("select py_option('timeout_ms', 300)")

    began = time.monotonic()
    message = host.error(f"select py_exec({quote(ASKING)})")
    took = time.monotonic() - began

    assert "py_exec: " in message
    assert 0.3 <= took < 1
    assert 2 == host.eval("1 + 1")


@pytest.mark.alone
@pytest.mark.parametrize("code", [ENDLESS["loop"], ENDLESS["function"]])
def test_sqlite_interrupt_stops_python(driver: Driver, code: str) -> None:
    """sqlite3_interrupt() from another thread is seen where SQLite is 3.41 or newer."""
    timer = threading.Timer(0.3, driver.db.interrupt)
    timer.start()

    began = time.monotonic()
    message = driver.error(f"select py_exec({quote(code)})")
    took = time.monotonic() - began

    assert "nterrupt" in message
    assert 0.3 <= took < 0.6
    assert 2 == driver.eval("1 + 1")


FOREVER = "with recursive n(i) as (select 1 union all select i + 1 from n) "


@pytest.mark.parametrize(
    "statement",
    [
        f"py_query('{FOREVER} select count(*) from n', 'df')",
        f"py_query('{FOREVER} select i from n where i < 0', 'df')",
        "py_table('endless', 'df')",
    ],
)
def test_deadline_stops_the_statement_behind_a_frame(
    host: Host, statement: str
) -> None:
    """Also while SQLite runs, and the variable stays as it was."""
    host.run("df = 'as it was'")
    host.rows(f"create temp view endless as {FOREVER} select i from n where i < 0")
    host.rows("select py_option('timeout_ms', 50)")

    message = host.error(f"select {statement}")

    host.rows("select py_option('timeout_ms', 0)")
    assert "DeadlineExceeded: the call ran longer than its deadline of 50 ms" in message
    assert "as it was" == host.value("select py_get('df')")


@pytest.mark.parametrize(
    "call",
    [
        "py_table('{}', 'df')",
        "py_query('table {}', 'df')",
        "py_query('table {} where rowid < 60001 and b is not null', 'df')",
    ],
)
def test_deadline_stops_the_scan_below_sql(
    host: Host, tmp_path: Path, call: str
) -> None:
    """Pages are read for as long as there is time, and all of them the next time."""
    call = call.replace("table {}", "select b from {}").format("large")
    host.rows(f"attach '{tmp_path / 'large.db'}' as far")
    host.rows("create table far.large(b)")
    host.rows(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 60000) "
        "insert into large select zeroblob(3000) from n"
    )
    host.rows("select py_option('timeout_ms', 1)")

    message = host.error(f"select {call}")

    host.rows("select py_option('timeout_ms', 0)")
    assert "DeadlineExceeded: the call ran longer than its deadline of 1 ms" in message
    assert 60000 == host.value(f"select {call}")
    assert "pages" == host.value("select py_option('scanned')")


def test_deadline_stops_a_write_and_takes_it_back(host: Host) -> None:
    """Nothing of a frame stays behind when the time is over."""
    host.run(
        "import numpy as np, pandas as pd\n"
        "many = pd.DataFrame({c: np.arange(2_000_000) for c in 'abcdef'})"
    )
    assert 2_000_000 == host.value("select py_write('many', 'whole')")
    host.rows("select py_option('timeout_ms', 60)")

    message = host.error("select py_write('many', 'part')")

    host.rows("select py_option('timeout_ms', 0)")
    assert "DeadlineExceeded" in message
    assert 0 == host.value("select count(*) from sqlite_master where name = 'part'")
    assert 2_000_000 == host.value("select py_write('many', 'part')")


def test_interrupted_call_has_sqlites_own_code(driver: Driver) -> None:
    """A driver sees its own kind of error for an interrupt."""
    import apsw

    timer = threading.Timer(0.2, driver.db.interrupt)
    timer.start()

    with pytest.raises(SqlError) as caught:
        driver.run("while True: pass")

    assert isinstance(caught.value.__cause__, apsw.InterruptError)


@pytest.mark.parametrize(
    "options",
    [
        "{" + ", ".join(['"batch": 1'] * 5000) + "}",
        json.dumps({"columns": [f"c{i}" for i in range(5000)]}),
    ],
    ids=["members", "columns"],
)
def test_interrupt_while_options_are_read_has_sqlites_own_code(
    driver: Driver, options: str
) -> None:
    """Options are read by SQLite, which can be stopped there; none are lost then."""
    import apsw

    driver.run("many = lambda x: x")
    driver.db.set_progress_handler(lambda: True, 1000)

    with pytest.raises(SqlError) as caught:
        driver.rows(f"select py_define('many', 'vectorized', 'many', {quote(options)})")

    driver.db.set_progress_handler(None)
    assert isinstance(caught.value.__cause__, apsw.InterruptError)
    assert "no such" in driver.error("select * from many('select 1')")


def test_signal_handlers_of_the_host_stay(own: Shell) -> None:
    """After calls, imports and an interrupt, SIGINT is the shell's again."""
    handlers = (
        "import re\ndef caught():\n    with open('/proc/self/status') as f:\n"
        "        return re.search(r'SigCgt:\\s+(\\w+)', f.read())[1]"
    )
    own.run(handlers)
    before = own.eval("caught()")

    own.run("import asyncio, numpy, pandas, signal")
    with contextlib.suppress(SqlError):
        own.rows("select py_option('timeout_ms', 100), py_exec('while True: pass')")

    assert before == own.eval("caught()")


def test_host_program_with_its_own_handler_keeps_it(library: object) -> None:
    """A Python program that uses apsw gets its KeyboardInterrupt as ever."""
    program = (
        "import apsw, os, signal, sys\n"
        "db = apsw.Connection(':memory:')\n"
        "db.enable_load_extension(True)\n"
        f"db.load_extension({str(TESTED)!r})\n"
        "def handler(*_): raise KeyError('mine')\n"
        "signal.signal(signal.SIGINT, handler)\n"
        "print(list(db.execute(\"select py_eval('1 + 1')\")))\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyError as e:\n"
        "    print(e)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert "[(2,)]\n'mine'\n" == done.stdout, done.stderr
