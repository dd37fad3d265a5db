"""Build C programs with the flags that the package prints, and run them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROOT", "build", "c_tests", "flags", "run"]

ROOT = Path(__file__).resolve().parent.parent

# They hold what is late to 100 ms, which another test beside them might take.
_ALONE = ("test_deadline", "test_signals")
_STRICT = ["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror"]


def run(
    *command: str | Path,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    given: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed, whatever its exit code."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def flags(python: str | Path = sys.executable) -> list[str]:
    """Return the compiler's and linker's flags that the package of `python` prints."""
    printed = run(python, "-m", "pybridge", "config", "--cflags", "--libs", cwd="/")
    assert 0 == printed.returncode, printed.stderr
    return shlex.split(printed.stdout)


def build(source: Path, folder: Path, words: list[str]) -> Path:
    """Compile one C file with `words` as flags and return the program in `folder`."""
    program = folder / source.stem
    compiled = run("gcc", *_STRICT, source, *words, "-lpthread", "-o", program)
    assert 0 == compiled.returncode, compiled.stderr
    return program


def c_tests() -> list[object]:
    """Return the names of the programs tests/c/test_*.c as parameters of a test."""
    names = sorted(path.stem for path in (ROOT / "tests/c").glob("test_*.c"))
    return [
        pytest.param(name, marks=pytest.mark.alone) if name in _ALONE else name
        for name in names
    ]
