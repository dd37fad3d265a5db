"""How the library is loaded and ended: RTLD_LOCAL, closed, threads at the exit."""

from __future__ import annotations

from pathlib import Path

import pytest

import pybridge
from tests.programs import ROOT, build, flags, run

LIBRARY = Path(pybridge.__file__).parent / "libpybridge.so"
INCLUDE = ["-I", str(ROOT / "c/include"), "-ldl"]


def host(folder: Path, code: str) -> list[str]:
    """Return what the careful host printed, and its exit code, for some code."""
    program = build(ROOT / "tests/c/load_local.c", folder, INCLUDE)
    ended = run(program, LIBRARY, code)
    return [*ended.stdout.split("\n"), str(ended.returncode)]


@pytest.mark.parametrize("module", ["numpy", "pandas", "decimal", "ctypes", "pyarrow"])
def test_local_library_imports_extension_modules(module: str, tmp_path: Path) -> None:
    """A host that hides the library's symbols has Python with all its extensions."""
    assert ["ran", "", "0"] == host(tmp_path, f"import {module}")


def test_closed_library_stays(tmp_path: Path) -> None:
    """A host may close the library and load it again: what runs in it goes on."""
    code = "import atexit; atexit.register(print, 'the end', flush=True)"

    assert ["ran", "the end", "the end", "", "0"] == host(tmp_path, code)


THREADS = """
import threading, time
def work():
    while True: time.sleep(0.001)
{n} = [threading.Thread(target=work, daemon={daemon}) for _ in range(4)]
[t.start() for t in {n}]
"""


@pytest.mark.parametrize("daemon", [True, False])
def test_exit_is_clean_with_running_threads(daemon: bool, tmp_path: Path) -> None:
    """Python threads that never end do not keep the host from its own exit code."""
    code = THREADS.format(n="threads", daemon=daemon)

    assert ["ran", "", "0"] == host(tmp_path, code)


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import threading; threading.Event().wait()",
        "while True: exec('x = [i for i in range(100)]')",
    ],
)
def test_exit_is_clean_while_another_thread_calls(code: str, tmp_path: Path) -> None:
    """A host may end while a thread of its own is in Python: at once, and well."""
    program = build(ROOT / "tests/c/exit_in_call.c", tmp_path, flags())

    codes = [run(program, code).returncode for _ in range(5)]

    assert [7] * 5 == codes
