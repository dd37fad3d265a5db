"""py_table and py_query below SQL beside the same by SQL, in two SQLites.

Each SQLite is in a process of its own, because the library serves one copy of SQLite in
a process; `python -m tests.sqlite.scans stock|apsw` is that process, and it answers to
calls that come pickled on its standard input.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import apsw

from tests.programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "HOSTS",
    "MORE",
    "ROWS",
    "TABLE",
    "Database",
    "Host",
    "HostError",
    "Value",
    "compare",
    "compare_query",
    "fill",
    "scan",
]

Value = None | int | float | str | bytes

HOSTS = ("stock", "apsw")

# What py_option('scanned') says of a query that only SQL can answer.
MORE = "query: the query wants more than columns of a rowid table"

LIBRARY = ROOT / "pybridge" / "libpybridge"
ENTRY = "sqlite3_pybridge_init"

# A table with most kinds of values, and n rows of it.
TABLE = "create table t(i integer primary key, n int, r real, x, s text, b blob);"
ROWS = """
    insert into t with recursive n(i) as (select 1 union all select i + 1 from n
    where i < {n}) select i * 3 - 500, case when i % 20 = 0 then null else i << (i % 62)
    end, case when i % 17 = 0 then null else i / 7.0 end, i % 5, case when i % 19 = 0
    then null else substr('a text that is not always as long', 1, i % 35) end,
    zeroblob(i % 9) from n;
"""


_ANSWERS = {
    None: apsw.SQLITE_OK,
    "deny": apsw.SQLITE_DENY,
    "ignore": apsw.SQLITE_IGNORE,
}


class HostError(Exception):
    """A statement failed in the host; the message is SQLite's."""


# ---- The process with the SQLite ---------------------------------------------------


class Apsw:
    """The newest SQLite, the one that apsw carries."""

    def __init__(self, path: str) -> None:
        """Open a file, or a URI that begins with file:."""
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self.connection = apsw.Connection(path, flags | apsw.SQLITE_OPEN_URI)
        self.connection.enable_load_extension(True)
        self.connection.load_extension(str(LIBRARY), ENTRY)

    def sql(self, text: str) -> list[tuple[Value, ...]]:
        """Run statements and return the rows of all of them."""
        try:
            return list(self.connection.execute(text))
        except apsw.Error as error:
            raise HostError(str(error)) from None

    def authorize(self, answers: dict[str, str]) -> None:
        """Answer "ignore" or "deny" where one of these columns is to be read."""

        def answer(action: int, *names: str | None) -> int:
            asked = answers.get(names[1] or "") if action == apsw.SQLITE_READ else None
            return _ANSWERS[asked]

        self.connection.authorizer = answer

    def interrupt_at(self, column: str) -> None:
        """Interrupt the connection as soon as this column is to be read."""

        def answer(action: int, *names: str | None) -> int:
            if action == apsw.SQLITE_READ and names[1] == column:
                self.connection.interrupt()
            return apsw.SQLITE_OK

        self.connection.authorizer = answer

    def collate(self, name: str) -> None:
        """Make a collation that does not tell cases apart."""

        def compare(a: str, b: str) -> int:
            return (a.lower() > b.lower()) - (a.lower() < b.lower())

        self.connection.create_collation(name, compare)

    def define(self, name: str, arity: int) -> None:
        """Make a function that is always 1."""
        self.connection.create_scalar_function(name, lambda *_: 1, arity)

    def limit_length(self, size: int) -> None:
        """Let no text, blob or record be longer."""
        self.connection.limit(apsw.SQLITE_LIMIT_LENGTH, size)

    def limit_pattern(self, size: int) -> None:
        """Let no pattern be longer."""
        self.connection.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, size)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class Stock:
    """The distribution's libsqlite3, by ctypes: its API as any C program has it."""

    _c = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
    _c.sqlite3_errmsg.restype = ctypes.c_char_p
    _c.sqlite3_column_text.restype = ctypes.c_void_p
    _c.sqlite3_column_int64.restype = ctypes.c_int64
    _c.sqlite3_column_double.restype = ctypes.c_double
    _OPEN = 0x02 | 0x04 | 0x40  # read and write, create, URI

    def __init__(self, path: str) -> None:
        """Open a file, or a URI that begins with file:."""
        self.handle = ctypes.c_void_p()
        self._check(
            self._c.sqlite3_open_v2(
                path.encode(), ctypes.byref(self.handle), self._OPEN, None
            )
        )
        self._check(self._c.sqlite3_enable_load_extension(self.handle, 1))
        self._check(
            self._c.sqlite3_load_extension(
                self.handle, str(LIBRARY).encode(), ENTRY.encode(), None
            )
        )

    def _check(self, code: int) -> None:
        if code != 0:
            raise HostError(self._message())

    def _message(self) -> str:
        # In a damaged file the name of a table may be any bytes.
        message: bytes = self._c.sqlite3_errmsg(self.handle)
        return message.decode(errors="replace")

    def _cell(self, statement: ctypes.c_void_p, i: int) -> Value:
        match self._c.sqlite3_column_type(statement, i):
            case 1:
                return int(self._c.sqlite3_column_int64(statement, i))
            case 2:
                return float(self._c.sqlite3_column_double(statement, i))
            case 5:
                return None
            case kind:
                data = self._c.sqlite3_column_text(statement, i)
                size = self._c.sqlite3_column_bytes(statement, i)
                raw = ctypes.string_at(data, size) if size else b""
                return raw if kind == 4 else raw.decode()

    def _rows(self, statement: ctypes.c_void_p) -> Iterator[tuple[Value, ...]]:
        while (code := self._c.sqlite3_step(statement)) == 100:
            n = self._c.sqlite3_column_count(statement)
            yield tuple(self._cell(statement, i) for i in range(n))
        if code != 101:
            raise HostError(self._message())

    def sql(self, text: str) -> list[tuple[Value, ...]]:
        """Run statements and return the rows of all of them."""
        rest = ctypes.c_char_p(text.encode())
        rows: list[tuple[Value, ...]] = []
        while rest.value:
            statement = ctypes.c_void_p()
            self._check(
                self._c.sqlite3_prepare_v2(
                    self.handle, rest, -1, ctypes.byref(statement), ctypes.byref(rest)
                )
            )
            try:
                if statement.value:
                    rows.extend(self._rows(statement))
            finally:
                self._c.sqlite3_finalize(statement)
        return rows

    def collate(self, name: str) -> None:
        """Make a collation that does not tell cases apart."""
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int,
            *(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p),
            *(ctypes.c_int, ctypes.c_void_p),
        )

        def compare(_: int, n: int, a: int, m: int, b: int) -> int:
            left = ctypes.string_at(a, n).lower() if n else b""
            right = ctypes.string_at(b, m).lower() if m else b""
            return (left > right) - (left < right)

        self._kept = kind(compare)
        self._check(
            self._c.sqlite3_create_collation(
                self.handle, name.encode(), 1, None, self._kept
            )
        )

    def define(self, name: str, arity: int) -> None:
        """Make a function that is always 1."""
        kind = ctypes.CFUNCTYPE(
            None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p)
        )
        result = self._c.sqlite3_result_int

        def call(context: int, _: int, __: object) -> None:
            result(ctypes.c_void_p(context), 1)

        self._defined = kind(call)
        none = ctypes.c_void_p()
        self._check(
            self._c.sqlite3_create_function(
                *(self.handle, name.encode(), arity, 1, none),
                *(self._defined, none, none),
            )
        )

    def limit_length(self, size: int) -> None:
        """Let no text, blob or record be longer."""
        self._c.sqlite3_limit(self.handle, 0, size)

    def limit_pattern(self, size: int) -> None:
        """Let no pattern be longer."""
        self._c.sqlite3_limit(self.handle, 8, size)

    def close(self) -> None:
        """Close the connection."""
        self._check(self._c.sqlite3_close(self.handle))


def serve(kind: type[Apsw | Stock]) -> None:
    """Answer calls (connection, method, arguments) until there are no more."""
    connections: dict[int, Apsw | Stock] = {}
    answers = sys.stdout.buffer
    while True:
        try:
            number, method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: tuple[bool, object]
        try:
            if method == "open":
                connections[number] = kind(*arguments)
                answer = True, None
            else:
                answer = True, getattr(connections[number], method)(*arguments)
        except HostError as error:
            answer = False, str(error)
        pickle.dump(answer, answers)
        answers.flush()


# ---- The tests' end ----------------------------------------------------------------


class Host:
    """A process with one SQLite."""

    def __init__(self, kind: str) -> None:
        """Start it."""
        self.kind = kind
        self._opened = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sqlite.scans", kind],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def call(self, number: int, method: str, *arguments: object) -> Any:
        """Call a method of a connection.

        Raises:
            HostError: what SQLite says.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((number, method, arguments), self._process.stdin)
        self._process.stdin.flush()
        good, result = pickle.load(self._process.stdout)
        if not good:
            raise HostError(result)
        return result

    def open(self, path: str | Path) -> Database:
        """Open a connection: a file, or a URI that begins with file:."""
        self._opened += 1
        self.call(self._opened, "open", str(path))
        return Database(self, self._opened)

    def stop(self) -> int:
        """End the process and return its exit code."""
        self._process.communicate(timeout=60)
        return self._process.returncode


class Database:
    """A connection in a host, with the extension loaded."""

    def __init__(self, host: Host, number: int) -> None:
        """Name a connection that has been opened."""
        self.host = host
        self._number = number

    def sql(self, text: str) -> list[tuple[Value, ...]]:
        """Run statements and return the rows of all of them."""
        rows: list[tuple[Value, ...]] = self.host.call(self._number, "sql", text)
        return rows

    def do(self, method: str, *arguments: object) -> None:
        """Call what only one kind of host has."""
        self.host.call(self._number, method, *arguments)

    def close(self) -> None:
        """Close it."""
        self.host.call(self._number, "close")


def fill(db: Database, n: int = 1000) -> None:
    """Make the table t of n rows."""
    db.sql(f"{TABLE} begin; {ROWS.format(n=n)} commit;")


def quote(text: str) -> str:
    """Return an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def scan(db: Database, table: str, arguments: str = "", *, pages: bool) -> str | None:
    """Run py_table into a variable; return its error, None where there is none."""
    return _read(db, f"py_table({quote(table)}, {{}}, 'arrow'{arguments})", pages)


def _read(db: Database, call: str, pages: bool) -> str | None:
    db.sql(f"select py_option('pages', {int(pages)})")
    name = "'by_pages'" if pages else "'by_query'"
    try:
        db.sql("select " + call.replace("{}", name, 1))
    except HostError as error:
        return str(error)
    return None


def compare(db: Database, table: str, arguments: str = "") -> str:
    """Return how py_table has read a table, after SQL has given the very same.

    `arguments` go behind the type: ", start, end, 'columns'".

    Raises:
        AssertionError: what came is not what SQL gives: values, types, names, errors.
    """
    return _compare(db, f"py_table({quote(table)}, {{}}, 'arrow'{arguments})")


def compare_query(db: Database, query: str, *params: str) -> str:
    """Return how py_query has read, after SQL has given the very same.

    `params` are literals of SQL, the values of the query's parameters.
    """
    arguments = "".join(f", {value}" for value in ("null", *params) if params)
    return _compare(db, f"py_query({quote(query)}, {{}}, 'arrow'{arguments})")


def _compare(db: Database, call: str) -> str:
    by_query = _read(db, call, False)
    by_pages = _read(db, call, True)
    how = str(db.sql("select py_option('scanned')")[0][0])

    assert by_query == by_pages, how
    if by_query is None:
        same = db.sql(
            "select py_eval('by_pages.equals(by_query, check_metadata=True)')"
        )
        assert [(1,)] == same, how
    return how


if __name__ == "__main__":
    serve(Apsw if sys.argv[1] == "apsw" else Stock)
