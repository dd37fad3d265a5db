"""Run session.sql in one sqlite3 shell on the flights, and show it as it runs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from load import load

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATABASE = Path("output", "flights.db")
MADE = (DATABASE, Path("output", "correlations.png"))

_END = "-- end of statement --"


class Shell:
    """A sqlite3 shell that is given one statement at a time."""

    def __init__(self, database: Path) -> None:
        self._process = subprocess.Popen(
            ["sqlite3", "-bail", "-batch", str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(self, statement: str) -> bool:
        """Show `statement` and what it prints; False when the shell ended over it."""
        assert self._process.stdin is not None  # noqa: S101 (Popen was given pipes)
        assert self._process.stdout is not None  # noqa: S101
        _show_statement(statement)
        self._process.stdin.write(f"{statement}\n.print {_END}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.rstrip("\n") == _END:
                return True
            print(line, end="", flush=True)
        return False

    def close(self) -> int:
        """End the shell and return its exit code."""
        self._process.communicate()
        return self._process.returncode


def main() -> int:
    """Load the flights when they are not there, then run the session."""
    os.chdir(ROOT)
    if not DATABASE.exists():
        print("Loading the flights of 2013 into SQLite …", flush=True)
        start = perf_counter()
        counts = load(DATABASE)
        print(f"{sum(counts.values()):,} rows in {perf_counter() - start:.1f} s")
    print(f"\n$ sqlite3 {DATABASE}")
    shell = Shell(DATABASE)
    for statement in statements((HERE / "session.sql").read_text(encoding="utf-8")):
        if not shell.run(statement):
            break
    if shell.close() != 0:
        print("demo: the session ended with the error above", file=sys.stderr)
        return 1
    print("\nMade:")
    for path in MADE:
        print(f"  {path}  ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"Go on by hand:\n  sqlite3 {DATABASE} -cmd '.load pybridge/libpybridge'")
    return 0


def statements(script: str) -> Iterator[str]:
    """Split a script of the sqlite3 shell into statements, commands and comments."""
    pending = ""
    for line in script.splitlines():
        if not pending and (not line or line.startswith((".", "--"))):
            yield line
            continue
        pending = f"{pending}\n{line}" if pending else line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _show_statement(statement: str) -> None:
    bold, dim, plain = (
        ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("",) * 3
    )
    if not statement:
        print()
    elif statement.startswith("--"):
        print(f"{dim}{statement}{plain}")
    else:
        echo = statement.replace("\n", "\n   ...> ")
        print(f"sqlite> {bold}{echo}{plain}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
