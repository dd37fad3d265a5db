"""The program memory.c: statements, while each allocation of theirs fails in turn."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.programs import build
from tests.sqlite.hosts import TESTED

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Failing"]

_SAFETY = 600
_COUNTS = re.compile(r"\d+ of \d+ failed: ")


class Failing:
    """One process for many statements, and another after one that went wrong."""

    def __init__(self, folder: Path, setup: Iterable[str]) -> None:
        """Build the program in `folder`; `setup` are the statements to begin with."""
        source = Path(__file__).with_name("memory.c")
        self._program = build(source, folder, ["-lsqlite3", "-ldl"])
        self._setup = list(setup)
        self._process: subprocess.Popen[str] | None = None

    def trouble(self, statement: str) -> str:
        """Return what went wrong with a statement; "" is nothing."""
        if self._process is None:
            self._process = self._start()
            for sql in self._setup:
                if said := self._answer(self._process, f"setup {sql}"):
                    return said
        return self._answer(self._process, f"fails {statement}")

    def close(self) -> tuple[int, str]:
        """End the process; return its exit code and what it still had to say."""
        if self._process is None:
            return 0, ""
        said, _ = self._process.communicate(timeout=_SAFETY)
        code = self._process.returncode
        self._process = None
        return code, said

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._program, TESTED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _answer(self, process: subprocess.Popen[str], line: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        safety = threading.Timer(_SAFETY, process.kill)
        safety.start()
        process.stdin.write(line + "\n")
        process.stdin.flush()
        said = []
        for answer in process.stdout:
            said.append(answer)
            if answer in {"good\n", "bad\n"}:
                break
        safety.cancel()
        good = said[-1:] == ["good\n"]
        unexpected = [answer for answer in said[:-1] if not _COUNTS.match(answer)]
        if good and not unexpected:
            return ""
        code, rest = self.close()
        return f"{line}:\n{''.join(said)}{rest}exit code {code}"
