"""Where snapshots are kept: tables of an SQLite database, the host's or a file's."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sqlite3
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybridge import host
from pybridge.errors import BadArgument, HostError, UnknownSnapshot
from pybridge.key import data_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Row = tuple[Any, ...]

__all__ = ["FORMAT", "VARIABLE", "Store"]

FORMAT = 1
_PATIENCE = 60  # seconds that a save waits for another to end
_READING = 5000  # milliseconds that a reader waits for a writer to commit
VARIABLE = "PYBRIDGE_STORE"

_ITEM = """
  context integer not null references pybridge_context on delete cascade,
  name text not null,
  position integer not null,
  type text not null,
  size integer not null,
  repr text not null,
"""
_SCHEMA = [
    """
create table if not exists pybridge_context (
  id integer primary key autoincrement,
  name text not null,
  description text not null,
  created text not null,
  python text not null,
  format integer not null,
  manifest text not null,
  signature text not null,
  key text not null)""",
    """
create table if not exists pybridge_module (
  context integer not null references pybridge_context on delete cascade,
  name text not null,
  position integer not null,
  module text not null,
  attribute text not null,
  version text not null,
  submodules text not null,
  primary key (context, name))""",
    f"""
create table if not exists pybridge_function ({_ITEM}
  kind text not null,
  signature text not null,
  docs text not null,
  source text not null,
  pickle integer not null,
  part integer not null,
  primary key (context, name))""",
    f"""
create table if not exists pybridge_variable ({_ITEM}
  json text,
  arrow blob,
  pickle integer not null,
  part integer not null,
  primary key (context, name))""",
    """
create table if not exists pybridge_pickle (
  context integer not null references pybridge_context on delete cascade,
  number integer not null,
  data blob not null,
  primary key (context, number))""",
    """
create table if not exists pybridge_buffer (
  context integer not null references pybridge_context on delete cascade,
  pickle integer not null,
  position integer not null,
  hash text not null,
  size integer not null,
  primary key (context, pickle, position))""",
    """
create table if not exists pybridge_source (
  context integer not null references pybridge_context on delete cascade,
  number integer not null,
  text text not null,
  primary key (context, number))""",
    """
create table if not exists pybridge_skipped (
  context integer not null references pybridge_context on delete cascade,
  name text not null,
  kind text not null,
  type text not null,
  size integer not null,
  reason text not null,
  primary key (context, name))""",
    "create index if not exists pybridge_context_name on pybridge_context (name)",
    "create index if not exists pybridge_buffer_hash on pybridge_buffer (hash)",
]
TABLES = (
    "pybridge_module",
    "pybridge_function",
    "pybridge_variable",
    "pybridge_pickle",
    "pybridge_buffer",
    "pybridge_source",
    "pybridge_skipped",
)


class Store:
    """A database with snapshots, and the folder of their large buffers beside it."""

    buffers: Path  # where the folder is, or would be

    @staticmethod
    def open(path: str | Path | None = None, durable: bool = False) -> Store:
        """Return a store: of the host's own connection, or of a file.

        None is the host's where it has SQL, and otherwise the file that PYBRIDGE_STORE
        names, or `$XDG_DATA_HOME/pybridge/contexts.db`. What a save has written
        outlives any end of the process; durable makes it outlive a power cut too, which
        takes as long as the disk does. Without, the first save into a new file waits
        for no disk at all, and later ones only so that a power cut does not damage what
        the file holds. On a host's connection its `pragma synchronous` decides that.

        Raises:
            BadArgument: the file cannot be opened, or is no SQLite database.

        """
        if path is None and host.in_host():
            try:
                return HostStore()
            except HostError:
                pass  # a host without SQL
        return FileStore(Path(path) if path is not None else _default(), durable)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a query."""
        raise NotImplementedError

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement."""
        raise NotImplementedError

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert whole rows into one of the tables."""
        for row in rows:
            self.execute(_into(table, row), row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all statements inside, or none on an exception; writers wait."""
        raise NotImplementedError
        yield

    def settled(self) -> bool:
        """Tell whether what was deleted before cannot come back by a rollback."""
        raise NotImplementedError

    def durable(self) -> bool:
        """Tell whether what is saved has to outlive a power cut."""
        return bool(self.query("select synchronous from pragma_synchronous")[0][0] >= 2)

    def close(self) -> None:
        """Let go of the database."""

    def __enter__(self) -> Store:
        """Use the store for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the database."""
        self.close()

    # ---- What all stores do ----------------------------------------------------------

    def create(self) -> None:
        """Make the tables that are not there yet; inside a transaction."""
        for statement in _SCHEMA:
            self.execute(statement)

    def has_tables(self) -> bool:
        """Tell whether anything was ever saved here."""
        return bool(
            self.query(
                "select 1 from sqlite_master where type = 'table' and name = ?",
                ["pybridge_context"],
            )
        )

    def resolve(self, which: int | str) -> int:
        """Return the id of a context: of an id, or of the newest with that name.

        Raises:
            UnknownSnapshot: there is no such context; says which there are.

        """
        if self.has_tables():
            by_id = not isinstance(which, str)
            rows = self.query(
                "select max(id) from pybridge_context where "
                + ("id = ?" if by_id else "name = ?"),
                [which],
            )
            if rows[0][0] is None and not by_id and str(which).strip().isdecimal():
                return self.resolve(int(which))
            if rows[0][0] is not None:
                return int(rows[0][0])
        raise UnknownSnapshot(f"there is no saved context {which!r}; {self._newest()}")

    def _newest(self) -> str:
        """Say which contexts are saved, the newest of them by name."""
        if not self.has_tables():
            return "nothing is saved here"
        rows = self.query(
            "select id, name, count(*) over () from pybridge_context "
            "order by id desc limit 5"
        )
        if not rows:
            return "nothing is saved here"
        more = ", …" if rows[0][2] > len(rows) else ""
        return (
            "saved here: " + ", ".join(f"{id} '{name}'" for id, name, _ in rows) + more
        )


def _into(table: str, row: Sequence[object]) -> str:
    return f"insert into {table} values ({', '.join('?' * len(row))})"


def _default() -> Path:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else data_home() / "contexts.db"


# ---- A file -------------------------------------------------------------------------


class FileStore(Store):
    """A database file of our own."""

    def __init__(self, path: Path, durable: bool = False) -> None:
        """Open the file; made on the first save, in a folder of the user's own."""
        self.path = path.absolute()
        self.buffers = self.path.with_name(self.path.name + "-buffers")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = not self.path.exists()
            self.connection = sqlite3.connect(
                self.path,
                timeout=_READING / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            if new:
                self.path.chmod(stat.S_IRUSR | stat.S_IWUSR)
            self.connection.execute("pragma foreign_keys = on")
            self._level = "full" if durable else "normal"
            self.connection.execute(f"pragma synchronous = {self._level}")
            self._empty = not durable and not self._any()
        except (OSError, sqlite3.Error) as exc:
            raise BadArgument(f"the store '{self.path}' cannot be opened: {exc}") from (
                None
            )

    def _any(self) -> bool:
        """Tell whether the database holds anything at all."""
        found = self.connection.execute("select 1 from sqlite_master limit 1")
        return found.fetchone() is not None

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a query."""
        try:
            return self.connection.execute(sql, params).fetchall()
        except sqlite3.Error as exc:
            raise BadArgument(
                f"the store '{self.path}' cannot be read: {exc}"
            ) from None

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement."""
        try:
            self.connection.execute(sql, params)
        except sqlite3.Error as exc:
            raise BadArgument(
                f"the store '{self.path}' cannot be written: {exc}"
            ) from None

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert whole rows into one of the tables."""
        try:
            if rows:
                self.connection.executemany(_into(table, rows[0]), rows)
        except sqlite3.Error as exc:
            raise BadArgument(
                f"the store '{self.path}' cannot be written: {exc}"
            ) from None

    def _begin(self) -> None:
        """Wait for the write lock, in steps between which the call can be stopped."""
        if self._empty:
            # What is written into a database that holds nothing has nothing beside it
            # that a power cut could damage, and need not wait for the disk.
            self._empty = not self._any()
            if self._empty:
                self.execute("pragma synchronous = off")
        end = time.monotonic() + _PATIENCE
        self.execute("pragma busy_timeout = 50")
        try:
            while True:
                try:
                    self.connection.execute("begin immediate")
                    return
                except sqlite3.OperationalError as exc:
                    busy = exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                    if not busy or time.monotonic() > end:
                        raise BadArgument(
                            f"the store '{self.path}' cannot be written: {exc}"
                        ) from None
        finally:
            self.execute(f"pragma busy_timeout = {_READING}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all statements inside, or none on an exception; writers wait."""
        try:
            self._begin()
            try:
                yield
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("rollback")
                raise
            self.execute("commit")
        finally:
            if self._empty:
                self.execute(f"pragma synchronous = {self._level}")

    def settled(self) -> bool:
        """Tell whether what was deleted before cannot come back by a rollback."""
        return True

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


# ---- The host's own connection ------------------------------------------------------


class HostStore(Store):
    """The connection that the host calls from."""

    def __init__(self) -> None:
        """Find out whether the host has SQLite, and where its database is.

        Raises:
            HostError: it has no SQL, or not SQLite's.

        """
        ((file, hiding),) = self.query(
            "select (select file from pragma_database_list where name = 'main'),"
            " (select name from sqlite_temp_master where name glob 'pybridge_*')"
        )
        if hiding:
            raise BadArgument(
                f"temporary '{hiding}' hides what belongs to saved contexts; rename it"
            )
        self._token = ""
        if file:
            self.buffers = Path(file + "-buffers")
            return
        # A database in memory has no place of its own, and nobody else knows it: its
        # buffers go with the process.
        if self.query("select 1 from sqlite_master where name = 'pybridge_memory'"):
            self._token = str(self.query("select token from pybridge_memory")[0][0])
        if not re.fullmatch(r"[0-9]+-[0-9a-f]{32}", self._token):
            self._token = f"{os.getpid()}-{secrets.token_hex(16)}"
        self.buffers = data_home() / "buffers" / self._token

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a query."""
        table = host.query(sql, list(params), "arrow")
        columns = [one.to_pylist() for one in table.columns]
        return list(zip(*columns, strict=True)) if table.num_rows else []

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement."""
        host.execute(sql, list(params))

    def create(self) -> None:
        """Make the tables that are not there yet; inside a transaction."""
        super().create()
        if self._token:
            self.execute("create table if not exists pybridge_memory (token text)")
            self.execute("delete from pybridge_memory")
            self.execute("insert into pybridge_memory values (?)", [self._token])
            _forget_ended(self.buffers.parent)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all statements inside, or none on an exception."""
        with host.transaction():
            yield

    def settled(self) -> bool:
        """Tell whether what was deleted before cannot come back by a rollback."""
        # Not by trying to begin one: a stop might come before that is ended.
        return not self.query("select py_option('transaction')")[0][0]


def _forget_ended(folder: Path) -> None:
    """Delete the buffers that databases in memory of ended processes had."""
    with suppress(OSError):
        for one in folder.iterdir():
            process = one.name.partition("-")[0]
            if process.isdecimal() and not Path("/proc", process).exists():
                shutil.rmtree(one, ignore_errors=True)
