"""The library in a process where Python runs already: it is used, and left as it is."""

from __future__ import annotations

import sys

import pytest

from pybridge.location import LIBRARY
from tests.programs import run

# What every test's process begins with: the contract in ctypes, small.
PRELUDE = f"""
import ctypes, sys, threading, time
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_int32, c_int64
from ctypes import c_size_t, c_uint32, c_void_p

class Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("line", c_int32), ("type", c_char * 96),
                ("message", c_char * 1024), ("file", c_char * 256)]

class Value(ctypes.Structure):
    _fields_ = [("type", c_int), ("integer", c_int64), ("size", c_size_t),
                ("release", c_void_p)]

class Session(ctypes.Structure):
    _fields_ = [("context", c_char_p), ("services", c_void_p), ("host", c_void_p),
                ("deadline_ms", c_int64), ("flags", c_uint32), ("reserved", c_uint32),
                ("cache", c_void_p * 4)]

library = ctypes.LOADER({str(LIBRARY)!r})
library.pyb_live.restype = c_int64
NTS = c_size_t(-1)

def run(code, session=None):
    error = Error()
    status = library.pyb_execute_code(session and byref(session), code.encode(), NTS,
                                      None, byref(error))
    return status, error.type.decode(), error.message.decode()

def evaluate(expression, session=None):
    error, value = Error(), Value()
    status = library.pyb_evaluate(session and byref(session), expression.encode(), NTS,
                                  None, byref(value), byref(error))
    return value.integer if status == 0 else error.message.decode()
"""


def attached(loader: str, code: str) -> tuple[str, int]:
    """Run code in a new Python, after the prelude; return its output and exit code."""
    ended = run(sys.executable, "-c", PRELUDE.replace("LOADER", loader) + code)
    return ended.stdout + ended.stderr, ended.returncode


@pytest.fixture(params=["CDLL", "PyDLL"])
def loader(request: pytest.FixtureRequest) -> str:
    """The library's functions called without the GIL, and with it."""
    return str(request.param)


def test_attached_calls_work(loader: str) -> None:
    """Both planes run in the interpreter that is there."""
    code = """
x = object()
print(evaluate("6 * 7"), run("import sys; y = id(sys)"), evaluate("y") == id(sys))
print(run("1 / 0"), evaluate("nobody"))
print(library.pyb_finalize(None), library.pyb_setup(None, None), library.pyb_live())
"""
    said = (
        "42 (0, '', '') True\n"
        "(5, 'ZeroDivisionError', 'division by zero') "
        "name 'nobody' is not defined\n"
        "0 0 0\n"
    )

    assert (said, 0) == attached(loader, code)


def test_attached_process_is_left_as_it_is(loader: str) -> None:
    """Streams, `__main__`, arguments and signal handlers stay those of the program."""
    code = """
import signal
def state():
    return [sys.stdout, sys.stderr, sys.__stdout__, list(sys.argv), sys.executable,
            signal.getsignal(signal.SIGINT), threading.main_thread(),
            sorted(sys.modules["__main__"].__dict__), sys.excepthook, sys.flags]
before = None
before = state()
run("sys = 5; leaked = 1"); run("print('seen')"); evaluate("1")
library.pyb_finalize(None)
print(before == state(), "leaked" in globals())
"""

    assert ("seen\nTrue False\n", 0) == attached(loader, code)


def test_attached_threads_call(loader: str) -> None:
    """Python's own threads call at once, each in its own context, and come and go."""
    code = """
def work(n):
    session = Session(context=f"c{n}".encode())
    assert run(f"mine = {n}", session)[0] == 0
    for _ in range(300):
        assert evaluate("mine", session) == n
        assert run("1 / 0", session)[0] == 5
for _ in range(3):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [t.start() for t in threads]; [t.join() for t in threads]
print(threading.active_count(), library.pyb_live())
"""

    assert ("1 0\n", 0) == attached(loader, code)


@pytest.mark.alone
def test_attached_deadline_stops_the_main_thread(loader: str) -> None:
    """A deadline ends pure Python also on Python's own main thread, and on another."""
    code = """
evaluate("1")
def timed():
    session = Session(deadline_ms=50)
    start = time.monotonic()
    said = run("while True: pass", session)
    late = time.monotonic() - start - 0.05
    print(said[0], said[2], late < 0.1, evaluate("1 + 1"))
timed(); timed()
thread = threading.Thread(target=timed); thread.start(); thread.join()
for _ in range(200000): pass
print("the program goes on")
"""
    said = "10 the call ran longer than its deadline of 50 ms True 2\n"

    assert (said * 3 + "the program goes on\n", 0) == attached(loader, code)


def test_attached_interrupt_stops_the_call(loader: str) -> None:
    """pyb_interrupt from a thread ends the call, and only the call."""
    code = """
session = Session()
def soon():
    while not hasattr(sys, "begun"): time.sleep(0.01)
    time.sleep(0.1)
    library.pyb_interrupt(byref(session))
thread = threading.Thread(target=soon); thread.start()
print(run("import sys; sys.begun = 1\\nwhile True: pass", session)[0]); thread.join()
library.pyb_interrupt(byref(session))
for _ in range(200000): pass
print(evaluate("1 + 1", session))
"""

    assert ("9\n2\n", 0) == attached(loader, code)


@pytest.mark.alone
def test_attached_sigint_is_pythons_own(loader: str) -> None:
    """Ctrl-C is raised by the Python that is there, in the call, and is its error."""
    code = """
import os, signal
def soon():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
for body in ("while True: pass", "import time; time.sleep(60)"):
    thread = threading.Thread(target=soon); thread.start()
    start = time.monotonic()
    print(run(body)[:2], time.monotonic() - start < 1); thread.join()
print(evaluate("1 + 1"), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""

    assert ("(9, 'KeyboardInterrupt') True\n" * 2 + "2 True\n", 0) == attached(
        loader, code
    )


def test_attached_exit_is_the_programs(loader: str) -> None:
    """sys.exit in a call is an error; the program's own exit code counts."""
    code = """
print(run("import sys; sys.exit(3)"))
import atexit
atexit.register(lambda: print("program's end", evaluate("2 + 2")))
sys.exit(5)
"""
    said = "(5, 'SystemExit', 'the code called sys.exit(3)')\nprogram's end 4\n"

    assert (said, 5) == attached(loader, code)


def test_attached_call_after_the_end_is_an_error(loader: str) -> None:
    """What calls when Python is going gets an error, or an answer, and never hangs."""
    code = """
import os
class Last:
    def __del__(self, evaluate=evaluate, write=os.write):
        write(1, b"answered " + str(evaluate("1 + 1")).encode())
sys.last_of_all = Last()
def forever():
    while True:
        evaluate("1 + 1")
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
evaluate("1")
"""
    said, code_of_exit = attached(loader, code)

    assert 0 == code_of_exit, said
    assert said.startswith("answered "), said


def test_attached_rows_until_the_end(loader: str) -> None:
    """A row is answered up to Python's end, and is answered or an error in it."""
    code = """
import atexit, os
session = Session()
def say(when, evaluate=evaluate, session=session, write=os.write):
    write(1, when + b" " + str(evaluate("1 + 1", session)).encode() + b"\\n")
class Last:
    def __del__(self, say=say):
        say(b"last")
sys.last_of_all = Last()
atexit.register(say, b"first at exit")
say(b"called")
atexit.register(say, b"second at exit")
def forever():
    mine = Session()
    while True:
        evaluate("1 + 1", mine)
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
say(b"beside threads")
"""
    said, code_of_exit = attached(loader, code)

    *lines, last = said.splitlines()
    assert 0 == code_of_exit, said
    assert ["called 2", "beside threads 2", "second at exit 2", "first at exit 2"] == (
        lines
    )
    assert last.startswith("last "), said


def test_attached_fork_is_refused_in_the_child(loader: str) -> None:
    """os.fork after the first use: the child's calls are errors, the parent's work."""
    code = """
import os, warnings
warnings.simplefilter("ignore")  # of CPython 3.12 on, about forks with threads
evaluate("1")
pid = os.fork()
if pid == 0:
    print(run("1")[0], flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(evaluate("1 + 1"))
"""

    assert ("4\n2\n", 0) == attached(loader, code)


def test_attached_output_is_the_programs(loader: str) -> None:
    """What is printed goes where sys.stdout goes; captured, it goes nowhere else."""
    code = """
import io
sys.stdout, real = io.StringIO(), sys.stdout
run("print('one')")
run("print('two')", Session(flags=1))
text, sys.stdout = sys.stdout.getvalue(), real
print(repr(text))
"""

    assert ("'one\\n'\n", 0) == attached(loader, code)
