"""The life of a process: signals, its end, its children, M's traps."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.gtm.conftest import execute, mupip

if TYPE_CHECKING:
    from tests.gtm.conftest import M

SIGNALS = 'zsystem "grep -E ""Sig(Cgt|Ign)"" /proc/"_$job_"/status"'

THREADS = """
import atexit, threading
def work():
    while True: sum(range(1000))
for i in range(3): threading.Thread(target=work, daemon=True).start()
atexit.register(lambda: print('bye', flush=True))
"""


def test_signals_are_ms_after_python(m: M) -> None:
    """What is caught and ignored is the same before and after Python's work."""
    printed = m.run(f"""
{SIGNALS}
set sc=$$Setup^pybridge()
{execute("import asyncio, numpy, pandas, pyarrow; asyncio.run(asyncio.sleep(0))")}
for i=1:1:500 set sc=$$ExecuteCode^pybridge("x="_i)
{SIGNALS}
{
        execute('''
import signal
for s in signal.valid_signals() - {9, 19, 32, 33}: signal.signal(s, lambda *a: 0)''')
    }
{SIGNALS}
""")

    # All but those of realtime, of which C's library has one.
    seen = [int(mask, 16) & 0x7FFFFFFF for mask in re.findall(r":\s*(\w+)", printed)]
    assert 6 == len(seen)
    assert seen[:2] == seen[2:4] == seen[4:6]


@pytest.mark.alone
def test_time_is_exact_after_python_took_the_clock(m: M) -> None:
    """READ, HANG and nested M keep time, whoever has set SIGALRM's handler."""
    clock = (
        "set t=$zut read x:.5 set a(1)=$zut-t set t=$zut hang .5 set a(2)=$zut-t\n"
        'for i=1,2 write a(i)<500000," ",a(i)>900000,!'
    )
    took = execute("""
import signal, time
from pybridge.host import globals as g
n = []
signal.signal(signal.SIGALRM, lambda *a: n.append(1))
signal.setitimer(signal.ITIMER_REAL, .02, .02)
time.sleep(.2)
t = time.monotonic(); g.xecute('hang .5'); print(.5 <= time.monotonic() - t < .9)
print(len(n) > 3)""")
    stopped = execute("signal.setitimer(signal.ITIMER_REAL, 0)")
    silent, end = os.pipe()

    printed = m.run(f"{took}\n{clock}\n{stopped}\n{clock}", stdin=silent)
    os.close(silent)
    os.close(end)

    assert "True\nTrue\n" + 4 * "0 0\n" == printed


@pytest.mark.parametrize(
    ("code", "how", "status", "said"),
    [
        (THREADS, "halt", 0, "bye\n"),
        (THREADS, "zhalt 7", 7, "bye\n"),
        ("from pybridge.host import globals as g; g.xecute('zhalt 5')", "", 5, ""),
        (
            THREADS + "import os, signal, time\n"
            "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
            "",
            241,
            "bye\n%GTM-F-FORCEDHALT, Image HALTed by MUPIP STOP\n",
        ),
    ],
)
def test_process_ends_whatever_python_does(
    m: M, code: str, how: str, status: int, said: str
) -> None:
    """HALT, ZHALT and SIGTERM end it, with its status and its hooks."""
    assert said == m.run(f"set ^x=1\n{execute(code)}\n{how}", status=status)
    assert "No errors detected" in mupip(m, "integ -file $pybridge_gtm/database.dat")


def test_sigterm_ends_a_process_that_hangs_or_computes(m: M) -> None:
    """In M; and in Python code that allocates and has BLAS compute, which can hang."""
    waits = m.begin(
        f"""{
            execute("import atexit; atexit.register(lambda: print('bye'))")
        } write "go" hang 60"""
    )
    waits.send_signal(signal.SIGTERM)
    assert waits.communicate(timeout=60)[0].endswith(b"bye\n")
    for _ in range(10):
        computes = m.begin(
            execute(
                "import numpy as np\na = np.random.rand(300, 300)\n"
                "print('go', end='')\nwhile True: np.linalg.svd(a)"
            )
        )
        computes.send_signal(signal.SIGTERM)
        computes.communicate(timeout=60)
        assert 241 == computes.returncode


def test_interrupt_and_exit_are_failures_of_the_call(m: M) -> None:
    """Code that interrupts or leaves ends its call, and M goes on."""
    printed = m.run(f"""
{execute("import os, signal, time")}
{execute("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)")}
{execute("import sys; sys.exit(4)")}
write "on",!
""")

    assert (
        "0^KeyboardInterrupt: the call was interrupted (<pybridge:2>:1)\n"
        "0^SystemExit: the code called sys.exit(4) (<pybridge:3>:1)\n"
        "on\n"
    ) == printed


def test_python_starts_processes(m: M) -> None:
    """Children run, pools too; a forked one ends with the code and has no M."""
    printed = m.run(f"""
set ^x=1
{
        execute('''
import math, os, subprocess, sys
import multiprocessing as mp
from pybridge.host import globals as g
print(subprocess.run(['echo', 'hi'], capture_output=True, text=True).stdout, end='')
for kind in ('spawn', 'fork'):
    with mp.get_context(kind).Pool(1) as pool: print(pool.map(math.sqrt, [4, 9]))
pid = os.fork()
if not pid:
    try: g['^x']['child'] = 1
    except Exception as e: print(e, flush=True)
    sys.exit(3)
print(os.waitpid(pid, 0)[1] >> 8)
pid = os.fork()
if pid: print(os.waitpid(pid, 0)[1] >> 8)''')
    }
write "on",!
zwrite ^x
""")

    assert (
        "hi\n[2.0, 3.0]\n[2.0, 3.0]\n"
        "M cannot be called in a process that Python has forked\n3\n0\non\n^x=1\n"
    ) == printed
    assert "No errors detected" in mupip(m, "integ -file $pybridge_gtm/database.dat")


def test_m_starts_processes(m: M) -> None:
    """JOB, ZSYSTEM and pipes work when Python is there, and a job has its own."""
    m.routine(
        "child",
        "set sc=$$ExecuteCode^pybridge(\"x=x+1 if 'x' in dir() else 2\")\n"
        'set sc=$$Evaluate^pybridge("x",,.x),^job=x',
    )
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("x=1")
zsystem "echo hi; exit 3"
write $zsystem,!
set p="p" open p:(command="cat")::"PIPE" use p write "piped",! write /eof read x
use $principal close p write x,!
job ^child
for i=1:1:600 quit:$data(^job)  hang .1
write ^job,!
""")

    assert "hi\n3\npiped\n2\n" == printed


def test_traps_of_m_work_around_python(m: M) -> None:
    """A failure of Python's traps nothing; M errors trap, also where Python calls M."""
    printed = m.run(f"""
set no=""
{execute("from pybridge.host import globals as g; g.xecute('set y=1')")}
set $ztimeout="1:write ""late"",!"
{execute("import time; time.sleep(1.1)")}
hang .1
do
. new $etrap set $etrap="write ""trapped"",! set $ecode=no quit"
. set sc=$$ExecuteCode^pybridge("1/0") write +sc,!
. set x=1/0
do
. new $ztrap set $ztrap="write ""again"",! quit"
. set sc=$$ExecuteCode^pybridge("1/0") write +sc,!
. set x=1/0
{
        execute('''
g.xecute('new $etrap set $etrap="write ""inner"",! set $ecode=no quit" set x=1/0')
try: g.xecute('set x=1/0')
except Exception as e: print('DIVZERO' in str(e))''')
    }
""")

    assert "late\n0\ntrapped\n0\nagain\ninner\nTrue\n" == printed


def test_thread_of_python_has_no_globals_but_prints(m: M) -> None:
    """M is one thread: another one gets a clear error, and its text is not lost."""
    printed = m.run(
        execute("""
import threading
from pybridge.host import globals as g
def work():
    try: g['^x'][1] = 1
    except Exception as e: print(type(e).__name__, e)
t = threading.Thread(target=work); t.start(); t.join()""")
        + "\nhalt"
    )

    assert (
        'HostError no host is calling: "call" works only while a host process runs '
        "this code\n"
    ) == printed
