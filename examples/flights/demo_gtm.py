"""Run session.m in one GT.M process on the flights, and show it as it runs.

Arguments: how many of the flights to take, all of them unless it is said; the directory
of the database, output/gtm unless it is said.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from terminal import END, Shell

from pybridge.errors import BadArgument
from pybridge.gtm.install import install

if TYPE_CHECKING:
    from pybridge.gtm.install import Database

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Terminal(Shell):
    """GT.M's direct mode, which does not end over an error, and writes empty lines."""

    def __init__(self, database: Database) -> None:
        self.failed = False
        self._printed = False
        words = f". {shlex.quote(str(database.environment))}; exec mumps -direct"
        end = f'write:\'$get(sc,1) sc,! write "{END}",!'
        super().__init__(["/bin/sh", "-c", words], "GTM>", ";", end)

    def show_line(self, line: str) -> None:
        """Show a line, and note what says that the statement failed."""
        if line.strip() in ("", "GTM>"):
            return
        self.failed |= line.startswith(("%GTM-E-", "%SYSTEM-E-", "Traceback", "0^"))
        super().show_line(line)


def main() -> int:
    """Make a database when it is not there, then run the session."""
    rows, directory = [*sys.argv[1:], *["", "output/gtm"][len(sys.argv) - 1 :]]
    os.chdir(ROOT)
    try:
        database = install(Path(directory))
    except BadArgument as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return 1
    print(f"$ . {directory}/environment.sh; mumps -direct")
    start = perf_counter()
    terminal = Terminal(database)
    # Direct mode writes its prompt behind each statement; we show it before.
    terminal.tell('set $zprompt=""')
    script = (HERE / "session.m").read_text(encoding="utf-8")
    if rows:
        script = script.replace("table('flights'", f"table('flights', {rows}")
    for statement in script.splitlines():
        if not statement or statement.startswith(";"):
            terminal.say(statement)
        elif not terminal.run(statement) or terminal.failed:
            break
    if terminal.close() != 0 or terminal.failed:
        print("demo: the session ended with the error above", file=sys.stderr)
        return 1
    size = database.file.stat().st_size / 1e6
    print(f"\nThat took {perf_counter() - start:.0f} s. Made:")
    print(f"  {directory}/{database.file.name}  ({size:.1f} MB): ", end="")
    print("^flights, ^airline, ^predicted, ^%pybridge")
    print("Go on by hand:")
    print(f"  . {directory}/environment.sh; mumps -direct")
    print('  GTM>set sc=$$ExecuteQuery^pybridge("select * from airline","df")')
    print('  GTM>do ^zpy("df")')
    print("Read: docs/gtm.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
