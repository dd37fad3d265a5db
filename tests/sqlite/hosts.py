"""The hosts that the tests of the SQLite adapter drive."""

from __future__ import annotations

import itertools
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from pybridge.location import LIBRARY

__all__ = ["TESTED", "Driver", "Host", "Shell", "SqlError", "load", "quote"]

# Another build of the library, with sanitizers or faults, is tested by naming it here.
TESTED = Path(os.environ.get("PYBRIDGE_TEST_LIBRARY", LIBRARY))

_CONTEXTS = itertools.count(1)
_LITERAL = re.compile(
    r"(?P<null>NULL)|X'(?P<blob>[0-9a-fA-F]*)'|'(?P<text>(?:[^']|'')*)'"
    r"|(?P<real>[-+]?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+|1e999|Inf))"
    r"|(?P<integer>[-+]?\d+)"
)
_ERROR = re.compile(
    r"^(?:(?:Runtime|Parse) error(?: near line \d+)?|Error): (.*)", re.MULTILINE
)


class SqlError(Exception):
    """What the host says of a statement that failed."""


def _loaded(literal: re.Match[str]) -> object:
    """Return the Python value of an SQL literal."""
    if literal["text"] is not None:
        return literal["text"].replace("''", "'")
    if literal["blob"] is not None:
        return bytes.fromhex(literal["blob"])
    if literal["integer"] is not None:
        return int(literal["integer"])
    if literal["real"] is not None:
        return float(literal["real"])
    return None


def _rows(text: str) -> list[tuple[Any, ...]]:
    """Return the rows that the shell has printed in its mode "quote"."""
    rows: list[tuple[Any, ...]] = []
    row: list[object] = []
    at = 0
    while at < len(text):
        literal = _LITERAL.match(text, at)
        assert literal is not None, f"no SQL literal: {text[at : at + 200]!r}"
        row.append(_loaded(literal))
        at = literal.end()
        if text.startswith("\n", at) or at == len(text):
            rows.append(tuple(row))
            row = []
        at += 1
    return rows


class Host:
    """What both hosts can do."""

    name = ""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run statements and return all their rows; raise SqlError."""
        raise NotImplementedError

    def value(self, sql: str) -> Any:
        """Return the one value that a query gives."""
        ((value,),) = self.rows(sql)
        return value

    def error(self, sql: str) -> str:
        """Return the message of a statement that must fail."""
        with pytest.raises(SqlError) as caught:
            self.rows(sql)
        return str(caught.value)

    def run(self, code: str) -> None:
        """Run Python code in the host."""
        self.rows(f"select py_exec({quote(code)})")

    def eval(self, expression: str) -> Any:
        """Evaluate a Python expression in the host."""
        return self.value(f"select py_eval({quote(expression)})")

    def open(self, path: str | Path = ":memory:") -> None:
        """Go on with a new connection, in a new Python context."""
        raise NotImplementedError

    def load(self) -> None:
        """Load the extension into the connection."""
        raise NotImplementedError

    def _begin(self) -> None:
        self.rows(f"select py_context('test{next(_CONTEXTS)}')")


class Shell(Host):
    """One `sqlite3` process, fed through a pipe; what it prints goes to a terminal.

    That keeps its output in order: stdio writes to a terminal line by line.
    """

    name = "shell"

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        """Start the process."""
        self._output, slave = pty.openpty()
        mode = termios.tcgetattr(slave)
        mode[1] &= ~termios.OPOST  # "\n" stays "\n"
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        self._marks = itertools.count(1)
        self.process = subprocess.Popen(
            ["sqlite3", "-init", "/dev/null", *arguments],
            stdin=subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        os.close(slave)

    def send(self, text: str) -> None:
        """Write to the shell's input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def read_until(self, mark: str, seconds: float = 60) -> str:
        """Return what is printed up to a mark."""
        read = b""
        end = time.monotonic() + seconds
        while mark.encode() not in read:
            left = max(0, end - time.monotonic())
            ready, _, _ = select.select([self._output], [], [], left)
            assert ready, f"no {mark!r} within {seconds} s: {read[-2000:]!r}"
            try:
                piece = os.read(self._output, 1 << 16)
            except OSError:  # the other end is closed
                piece = b""
            assert piece, f"the shell has ended: {read[-2000:]!r}"
            read += piece
        return read[: read.index(mark.encode())].decode(errors="replace")

    def output(self, statements: str, seconds: float = 60) -> str:
        """Run statements or a dot command and return all that is printed."""
        end = f"<end {next(self._marks)}>"
        self.send(f"{statements}\n.print '{end}'\n")
        return self.read_until(end + "\n", seconds)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run statements and return all their rows; raise SqlError."""
        printed = self.output(sql.rstrip().rstrip(";") + "\n;")
        if error := _ERROR.search(printed):
            raise SqlError(error[1])
        return _rows(printed)

    def open(self, path: str | Path = ":memory:") -> None:
        """Go on with a new connection, in a new Python context."""
        self.output(f".open {path}\n.mode quote")
        self.load()
        self._begin()

    def load(self) -> None:
        """Load the extension into the connection."""
        printed = self.output(f".load {TESTED.with_suffix('')}")
        if printed:
            raise SqlError(printed)

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def close(self) -> int:
        """End the process and return its exit code."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.close()
        try:
            code = self.process.wait(timeout=20)
        finally:
            self.process.kill()
            os.close(self._output)
        return code


class Driver(Host):
    """An apsw connection in this process, whose Python the library finds running."""

    name = "apsw"

    def __init__(self) -> None:
        """Open nothing yet."""
        self.db = apsw.Connection(":memory:")

    def rows(self, sql: str, bindings: Any = None) -> list[tuple[Any, ...]]:
        """Run statements and return all their rows; raise SqlError."""
        try:
            return list(self.db.execute(sql, bindings))
        except apsw.Error as error:
            raise SqlError(str(error)) from error

    def open(self, path: str | Path = ":memory:") -> None:
        """Go on with a new connection, in a new Python context."""
        self.db.close()
        self.db = apsw.Connection(str(path))
        self.load()
        self._begin()

    def load(self) -> None:
        """Load the extension into the connection."""
        load(self.db)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()


def quote(value: object) -> str:
    """Return a value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return repr(value)


def load(db: apsw.Connection) -> None:
    """Load the extension into an apsw connection."""
    db.enable_load_extension(True)
    db.load_extension(str(TESTED))
    db.enable_load_extension(False)
