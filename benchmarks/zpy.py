"""zpy: a whole call, from the terminal's point of view."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Bar, CaseError, Group
from benchmarks.start import PYTHON, case

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["groups"]

OURS = '`zpy "x"`, the session runs'
FRAME = "df.a.sum()"
MAKE = "import pandas as pd; df = pd.DataFrame({'a': range(1000)})"


def groups(rows: int) -> Iterable[Group]:  # noqa: ARG001 (each file's has it)
    """Return the group of this file."""
    group = Group("zpy", "one line of Python", "ms")
    command = str(Path(sys.executable).parent / "zpy")
    folder = tempfile.mkdtemp(prefix="zpy-")
    env = {
        **os.environ,
        **dict.fromkeys(("XDG_RUNTIME_DIR", "XDG_STATE_HOME"), folder),
        "PYBRIDGE_INITIALIZER": "off",
    }

    def zpy(*words: str) -> None:
        done = subprocess.run([command, *words], env=env, check=False)
        if done.returncode != 0:
            raise CaseError(f"zpy {' '.join(words)}: ended with {done.returncode}")

    def close() -> None:
        zpy("--stop", "--discard")
        shutil.rmtree(folder)

    zpy(f"x = 1; {MAKE}")
    group.cases = [
        case(OURS, command, "x", env=env),
        case('`zpy "x = 1"`', command, "x = 1", env=env),
        case(
            "`zpy` with an expression of a frame that is there", command, FRAME, env=env
        ),
        case(PYTHON, sys.executable, "-c", "pass"),
        case(
            "`python -c` that makes the frame",
            sys.executable,
            "-c",
            f"{MAKE}; {FRAME}",
            each=1,
        ),
    ]
    group.cases[0].close = close
    group.bars = [Bar("a second call of `zpy`", OURS, (PYTHON,), 1.5, faster=False)]
    yield group
