"""Run session.sql in one sqlite3 shell on the flights, and show it as it runs."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from load import load
from terminal import END, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATABASE = Path("output", "flights.db")
MADE = (DATABASE, Path("output", "correlations.png"))
NEXT = f"""Go on by hand:
  sqlite3 {DATABASE} -cmd '.load pybridge/libpybridge'
  sqlite> select py_query('select * from flights', 'df');
  sqlite> select py_shell();
  >>> df.groupby("origin").dep_delay.mean()
Then: make demo-functions, make demo-gtm, docs/sqlite.md"""


def main() -> int:
    """Load the flights when they are not there, then run the session."""
    os.chdir(ROOT)
    if not DATABASE.exists():
        print("Loading the flights of 2013 into SQLite …", flush=True)
        start = perf_counter()
        counts = load(DATABASE)
        print(f"{sum(counts.values()):,} rows in {perf_counter() - start:.1f} s")
    print(f"\n$ sqlite3 {DATABASE}")
    command = ["sqlite3", "-bail", "-batch", str(DATABASE)]
    shell = Shell(command, "sqlite> ", "--", f".print {END}")
    for statement in statements((HERE / "session.sql").read_text(encoding="utf-8")):
        if not shell.run(statement):
            break
    if shell.close() != 0:
        print("demo: the session ended with the error above", file=sys.stderr)
        return 1
    print("\nMade:")
    for path in MADE:
        print(f"  {path}  ({path.stat().st_size / 1e6:.1f} MB)")
    print(NEXT)
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


if __name__ == "__main__":
    sys.exit(main())
