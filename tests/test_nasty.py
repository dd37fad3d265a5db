"""Python code at its worst: each is an error, and the next call works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT, build, flags, run
from tests.sqlite.hosts import Shell, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Program = Callable[..., list[str]]

# Code that must fail, and a part of what the error says.
FAILS = {
    "exit": ("import sys; sys.exit()", "SystemExit"),
    "exit code": ("import sys; sys.exit(3)", "sys.exit(3)"),
    "exit text": ("raise SystemExit('bye')", "bye"),
    "quit": ("quit()", "SystemExit"),
    "exit by a strange code": (
        "class C:\n  def __repr__(self): raise SystemExit(4)\nraise SystemExit(C())",
        "SystemExit",
    ),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "BaseException": ("raise BaseException('base')", "base"),
    "StopIteration": ("raise StopIteration(5)", "StopIteration"),
    "group": (
        "raise BaseExceptionGroup('many', [ValueError(1), KeyboardInterrupt()])",
        "many",
    ),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "recursion in C": (
        "import json\nx = []\nfor _ in range(100000): x = [x]\njson.dumps(x)",
        "RecursionError",
    ),
    "recursion in repr": (
        "class C:\n  def __repr__(self): return repr(self)\nrepr(C())",
        "RecursionError",
    ),
    "recursion in str of the exception": (
        "class E(Exception):\n  def __str__(self): return str(self)\nraise E",
        "E",
    ),
    "parser": ("eval('(' * 10000)", "Error"),
    "compiler": ("eval('-' * 100000 + '1')", "Error"),
    "memory": ("'x' * 10**15", "MemoryError"),
    "memory of a list": ("[0] * 10**14", "MemoryError"),
    "str that raises": (
        "class E(Exception):\n  def __str__(self): raise ValueError('in str')\nraise E",
        "ValueError",
    ),
    "str that exits": (
        "class E(Exception):\n  def __str__(self): raise SystemExit(1)\nraise E",
        "E",
    ),
    "str that is no str": (
        "class E(Exception):\n  def __str__(self): return 5\nraise E",
        "E",
    ),
    "str that is a strange str": (
        "class S(str):\n  def __len__(self): return -1\n"
        "  def __str__(self): raise OSError\n  def replace(self, *a): raise OSError\n"
        "class E(Exception):\n  def __str__(self): return S('x')\nraise E",
        "E",
    ),
    "surrogate in the message": ("raise ValueError('\\ud800')", "ValueError"),
    "surrogate in the name": (
        "class E(Exception): pass\nE.__qualname__ = E.__module__ = '\\udfff'\n"
        "raise E('named')",
        "named",
    ),
    "NUL in the message": ("raise ValueError('a\\0b')", "ValueError"),
    "huge message": ("raise ValueError('x' * 10**7)", "xxx..."),
    "many lines": ("raise ValueError('a\\n' * 10**5)", "a a a"),
    "no class but a broken one": (
        "class M(type):\n"
        "  def __getattribute__(cls, name): raise OSError(name)\n"
        "  def __repr__(cls): raise OSError\n"
        "  def __instancecheck__(cls, x): raise OSError\n"
        "class E(Exception, metaclass=M): pass\n"
        "raise E('broken')",
        "E",
    ),
    "attributes that raise": (
        "class E(Exception):\n"
        "  def __getattribute__(self, name): raise SystemExit(name)\n"
        "raise E('attributes')",
        "E",
    ),
    "cause that is a cycle": (
        "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\n"
        "raise a",
        "a",
    ),
    "chain without end": (
        "e = None\n"
        "for i in range(100000):\n  n = ValueError(i); n.__context__ = e; e = n\n"
        "raise e",
        "99999",
    ),
    "notes that are none": ("e = ValueError('n')\ne.__notes__ = 5\nraise e", "n"),
    "syntax error that is none": (
        "e = SyntaxError('s')\ne.filename, e.lineno, e.text = 5, 'x', object()\n"
        "raise e",
        "s",
    ),
    "exception that is none": ("raise 5", "TypeError"),
    "assertion": ("assert False", "AssertionError"),
    "deleted name": ("x = 1\ndel x\nx", "NameError"),
    "context manager": (
        "class C:\n  def __enter__(self): return 1\n"
        "  def __exit__(self, *a): raise ValueError('at exit')\n"
        "with C(): raise KeyError('inside')",
        "at exit",
    ),
    "await outside": ("await f()", "SyntaxError"),
    "return outside": ("return 5", "SyntaxError"),
    "tabs and blanks": ("if 1:\n\tx = 1\n        y = 2", "TabError"),
    "unknown character": ("x = \\u00bf", "SyntaxError"),
    "broken import": ("import json.no_such_module", "ModuleNotFoundError"),
    "trace that raises": (
        "import sys\ndef trace(*a): raise ValueError('trace')\nsys.settrace(trace)\n"
        "(lambda: 1)()",
        "trace",
    ),
    "fork that raises": (
        "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)\n"
        "raise ValueError('after the fork')",
        "after the fork",
    ),
}

# Code that does no harm to the host, whatever it does.
WORKS = {
    "del that raises": (
        "class C:\n  def __del__(self): raise ValueError('in del')\nC()",
        "x = C(); del x",
    ),
    "del that exits": ("class C:\n  def __del__(self): raise SystemExit(1)\nC()",),
    "closed output": ("import sys\nsys.stdout.close(); sys.stderr.close()", "print(1)"),
    "no output": ("import sys\nsys.stdout = sys.stderr = None", "print(1)"),
    "deleted output": ("import sys\ndel sys.stdout, sys.stderr",),
    "output that raises": (
        "import sys\nclass C:\n  def write(self, text): raise ValueError\n"
        "sys.stderr = C()\nclass D:\n  def __del__(self): 1 / 0\nD()",
    ),
    "no modules of ours": (
        "import sys\nours = [n for n in sys.modules if n.startswith('pybridge')]\n"
        "for name in ours: del sys.modules[name]",
        "x = 1",
    ),
    "wrong module of ours": ("import sys\nsys.modules['pybridge'] = None", "x = 1"),
    "no modules at all": (
        "import sys\nkeep = dict(sys.modules)\nsys.modules.clear()\n"
        "sys.modules.update(keep)",
    ),
    "trace": (
        "import sys\ndef trace(*a): return trace\nsys.settrace(trace)",
        "import sys\nsys.settrace(None)",
    ),
    "profile": (
        "import sys\nseen = []\nsys.setprofile(lambda *a: seen.append(1))",
        "sys.setprofile(None)",
    ),
    "threading hooks": (
        "import threading\nthreading.settrace(lambda *a: None)\n"
        "t = threading.Thread(target=lambda: 1 / 0)\n"
        "threading.excepthook = lambda *a: 1 / 0\nt.start(); t.join()",
    ),
    "recursion limit": (
        "import sys\nsys.setrecursionlimit(60)",
        "def f(n): return n and f(n - 1)\ntry: f(100)\nexcept RecursionError: pass",
    ),
    "switch interval": ("import sys\nsys.setswitchinterval(1e-6)", "x = 1"),
    "collector": ("import gc\ngc.set_threshold(1)", "x = [[] for _ in range(99)]"),
    "unraisable hook": (
        "import sys\nsys.unraisablehook = sys.excepthook = None",
        "class C:\n  def __del__(self): raise ValueError\nC()",
    ),
    "threads that outlive the call": (
        "import threading, time\ndef work():\n  time.sleep(0.05); print('late')\n"
        "[threading.Thread(target=work).start() for _ in range(4)]",
        "time.sleep(0.1)",
    ),
    "atexit": ("import atexit\natexit.register(print, 'at exit')",),
    "atexit that raises": ("import atexit\natexit.register(lambda: 1 / 0)",),
    "atexit that exits": ("import atexit, sys\natexit.register(sys.exit, 9)",),
    "executor": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(4)\nassert sum(pool.map(abs, range(10))) == 45",
    ),
    "process by spawn": (
        "import multiprocessing as m\np = m.get_context('spawn').Pool(2)\n"
        "assert p.map(abs, [-1, -2]) == [1, 2]\np.terminate(); p.join()",
    ),
    "process by fork": (
        "import multiprocessing as m\np = m.get_context('fork').Pool(2)\n"
        "assert p.map(abs, [-1, -2]) == [1, 2]\np.terminate(); p.join()",
    ),
    "subprocess": (
        "import subprocess\nassert subprocess.run(['true']).returncode == 0",
    ),
    "asyncio": (
        "import asyncio\nasync def f(): await asyncio.sleep(0.001); return 5\n"
        "assert asyncio.run(f()) == 5",
    ),
    "generator left open": ("def g():\n  try: yield 1\n  finally: 1 / 0\nnext(g())",),
    "signal handlers": (
        "import signal\nsignal.signal(signal.SIGUSR1, lambda *a: None)\n"
        "signal.raise_signal(signal.SIGUSR1)",
    ),
    "alarm": (
        "import signal, time\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(0.05)",
    ),
    "own name": ("__name__ = 5\n__builtins__ = {}\nglobals().pop('__doc__', None)",),
    "a namespace with other keys": ("globals()[5] = 6\nglobals()[None] = 7", "x = 1"),
    "stack overflow of a thread": (
        "import threading\ndef f(): f()\ndef g():\n  try: f()\n"
        "  except RecursionError: pass\n"
        "t = threading.Thread(target=g)\nt.start(); t.join()",
    ),
    "a reset from within": ("import pybridge\npybridge.main.finalize()",),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The C host: runs each code, returns what it says of each."""
    source = ROOT / "tests/c/run_code.c"
    built = build(source, tmp_path_factory.mktemp("nasty"), flags())

    def call(*codes: str) -> list[str]:
        ended = run(built, *codes)
        assert 7 == ended.returncode, ended.stdout + ended.stderr
        return ended.stdout.splitlines()

    return call


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """One sqlite3 shell for all that only fails."""
    started = Shell()
    started.open()
    yield started
    assert 1 == started.close()  # the shell's own way to say that statements failed


@pytest.fixture
def own() -> Iterator[Shell]:
    """A sqlite3 shell for one test alone."""
    started = Shell()
    started.open()
    yield started
    if started.process.poll() is None:
        started.close()


def test_c_host_gets_errors_and_goes_on(program: Program) -> None:
    """In a C host each is an error with its text, and both planes work on."""
    said = program(*(code for code, _ in FAILS.values()))

    assert len(FAILS) == len(said)
    wrong = {
        name: line
        for (name, (_, part)), line in zip(FAILS.items(), said, strict=True)
        if line.startswith("0") or part not in line
    }
    assert {} == wrong


@pytest.mark.parametrize("name", FAILS)
def test_shell_gets_errors_and_goes_on(shell: Shell, name: str) -> None:
    """In SQL each is an error, run as code, called per row, or in an aggregate."""
    code, part = FAILS[name]
    wrapped = f"lambda *a: exec({code!r}, {{}})"

    assert part in shell.error(f"select py_exec({quote(code)})")
    assert 2 == shell.eval("1 + 1")
    if "SyntaxError" not in part and "TabError" not in part:
        for kind in ("scalar", "aggregate"):
            shell.rows(f"select py_define('of_{kind}', '{kind}', {quote(wrapped)})")
            rows = "from json_each('[1, 2]')"
            assert part in shell.error(f"select of_{kind}(value) {rows}")
    assert 2 == shell.eval("1 + 1")
    assert [(1,), (2,)] == shell.rows("select value from json_each('[1, 2]')")


# What breaks the package, or Python itself, so that nothing can work afterwards.
BREAKS = {
    "no report": "import pybridge.status as s\ns.record = lambda *a: 1 / 0",
    "no status": "import pybridge._seam.plane as p\np.status = None",
    "no main": "import pybridge.main as m\nm.execute_code = m.evaluate = None",
    "no builtins": "import builtins\nfor n in ('isinstance', 'len', 'str', 'getattr',\n"
    "  'type', 'int', 'tuple', 'BaseException'): delattr(builtins, n)",
    "all builtins": "import builtins\nvars(builtins).clear()",
    "no modules for good": "import sys\nsys.modules.clear()",
    "no seam": "import pybridge._seam.entry as e\ne._plane = e.lib = None",
}


def test_sql_and_python_that_call_each_other_without_end(own: Shell) -> None:
    """It is an error before the C stack ends, also with Python's own limit raised."""
    own.run(
        "import sys\nfrom pybridge import _plane\n"
        "def down(n):\n"
        "  return _plane.host_execute(f\"select py_call('down', {n + 1})\", None)"
    )

    for limit in (1000, 10**6):
        own.run(f"sys.setrecursionlimit({limit})")
        assert "HostError" in own.error("select py_call('down', 0)")
    assert 2 == own.eval("1 + 1")


@pytest.mark.parametrize("name", BREAKS)
def test_shell_outlives_a_broken_python(own: Shell, name: str) -> None:
    """Each later failure is an error with its text; the shell's SQL goes on."""
    own.output(f"select py_exec({quote(BREAKS[name])});")

    for sql in ("py_eval('1 / 0')", "py_exec('1 / 0')", "py_call('nobody')"):
        message = own.error(f"select {sql}")
        assert message.partition(": ")[2]
        assert "cannot be had" not in message
    assert [(2,)] == own.rows("select 1 + 1")
    assert 1 == own.close()


@pytest.mark.parametrize("name", WORKS)
def test_c_host_is_not_harmed(program: Program, name: str) -> None:
    """In a C host the call succeeds, what follows works, and the exit is the host's."""
    said = program(*WORKS[name])

    assert ["0"] == [line for line in said if line[:1] in "012345689"][:1]


@pytest.mark.parametrize("name", WORKS)
def test_shell_is_not_harmed(own: Shell, name: str) -> None:
    """In SQL the statements succeed, what follows works, and the shell ends well."""
    for code in WORKS[name]:
        own.output(f"select py_exec({quote(code)});")

    assert [(3,), (3,)] == own.rows("select py_eval('1 + 2') from json_each('[1, 2]')")
    # The shell's exit code would tell of a statement that has failed.
    assert 0 == own.close()
