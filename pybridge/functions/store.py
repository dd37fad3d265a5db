"""Store: entities in an SQLite database, their files beside it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Union
from weakref import WeakSet

from pybridge.errors import BadArgument, HostError
from pybridge.functions import keys, states

__all__ = ["VARIABLE", "Store", "created", "enter", "now", "place", "unkept"]

VARIABLE = "PYBRIDGE_FUNCTIONS"
_APPLICATION = 0x70796266  # "pybf": what kind of file it is
_VERSION = 1
_PATIENCE = 60  # seconds that a write waits for those of other processes
_LONGEST = 120  # of a part of a path; file systems end at 255 bytes

_SCHEMA = """
create table if not exists entity (
  number integer primary key autoincrement,
  project text not null,
  type text not null,
  kind text not null,
  name text not null,
  id text not null,
  state text not null,
  function text,
  created real not null,
  head text not null,
  spec text not null,
  status text not null,
  unique (project, type, id));
create index if not exists entity_name
  on entity (project, type, name, created, number);
create index if not exists entity_function
  on entity (function) where function is not null;
create table if not exists secret (
  project text not null,
  name text not null,
  value text not null,
  primary key (project, name));
"""
_READ = "select head, spec, status from entity"
_INSERT = (
    "insert into entity (project, type, kind, name, id, state, function, created, "
    "head, spec, status) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "update entity set kind = ?, name = ?, state = ?, function = ?, head = ?, "
    "spec = ?, status = ? where project = ? and type = ? and id = ?"
)

_stores: dict[tuple[str, str], Store] = {}
_all: WeakSet[Store] = WeakSet()
_guard = threading.Lock()


def now() -> str:
    """Return the time as entities have it: ISO 8601 with the local offset."""
    return datetime.now(timezone.utc).astimezone().isoformat()


class Store:
    """Where entities are kept: a directory that several processes use at once.

    Each process has one connection. It is closed before a fork, as SQLite's locks do
    not outlive one, and opened again on use.
    """

    root: Path

    def __init__(self, root: Path, durability: str = "process") -> None:
        """Take the directory; see `open`."""
        self.root = root
        self._full = durability == "power"
        self.lock = threading.RLock()
        self._connection: Optional[sqlite3.Connection] = None
        self._path = str(root / "store.db")
        self._inode = 0
        _all.add(self)

    @classmethod
    def open(cls, root: Union[str, os.PathLike[str], None] = None) -> Store:
        """Return the store of a directory, made on first use.

        None is the one that PYBRIDGE_FUNCTIONS names, or `store` of [functions] in the
        settings, or `$XDG_DATA_HOME/pybridge/functions`.

        Raises:
            BadArgument: the directory cannot be made, or what is in it is no store.

        """
        settings = _settings()
        durability = str(settings.get("durability", "process"))
        if durability not in {"process", "power"}:
            raise BadArgument(
                f"durability '{durability}' in [functions] is neither 'process' nor "
                "'power'"
            )
        path = str(_absolute(root or _default(settings)))
        with _guard:
            found = _stores.get((path, durability))
            if found is None:
                found = cls(Path(path), durability)
                _stores[path, durability] = found
        with found.lock:
            found._connect()
        return found

    # Entities

    def create(self, entity: dict[str, Any]) -> None:
        """Keep a new entity.

        Raises:
            BadArgument: there is one with that id.

        """
        self.create_all([entity])

    def create_all(self, entities: Iterable[dict[str, Any]]) -> None:
        """Keep new entities: all of them, or none.

        Raises:
            BadArgument: there is one with the id of one of them.

        """
        rows = [_row(entity) for entity in entities]
        with self._writing() as connection:
            try:
                for row in rows:
                    connection.execute(_INSERT, row)
            except sqlite3.IntegrityError:
                raise BadArgument(_taken(row)) from None

    def put(self, entity: dict[str, Any]) -> None:
        """Keep an entity, new or not."""
        with self._writing() as connection:
            self._put(connection, entity)

    def get(self, key: str) -> Optional[dict[str, Any]]:
        """Return an entity, or None; a key without an id gives the newest.

        Raises:
            BadArgument: that is not a key.

        """
        with self.using() as connection:
            return self._get(connection, keys.parse(key))

    def find(
        self,
        project: str,
        type: str,  # noqa: A002 - the name that keys have for it
        *,
        kind: Optional[str] = None,
        name: Optional[str] = None,
        id: Optional[str] = None,  # noqa: A002 - the same
        states: Optional[Iterable[str]] = None,
        function: Optional[str] = None,
        newest: Optional[int] = None,
    ) -> list[dict[str, Any]]:
        """Return the entities of a project that fit, the oldest first.

        Only so many of the newest, where `newest` is given.
        """
        words, values = ["project = ?", "type = ?"], [project, type]
        given = {"kind": kind, "name": name, "id": id, "function": function}
        for column, value in given.items():
            if value is not None:
                words.append(f"{column} = ?")
                values.append(value)
        if states is not None:
            wanted = list(states)
            words.append(f"state in ({', '.join('?' * len(wanted))})")
            values += wanted
        sql = f"{_READ} where {' and '.join(words)} order by created"
        with self.using() as connection:
            if newest is None:
                rows = connection.execute(f"{sql}, number", values)
                return [_entity(*row) for row in rows]
            sql = f"{sql} desc, number desc limit ?"
            rows = connection.execute(sql, [*values, max(newest, 0)])
            return [_entity(*row) for row in reversed(rows.fetchall())]

    def beginning(self, type: str, start: str) -> list[str]:  # noqa: A002
        """Return the keys of entities of all projects whose id begins so."""
        sql = (
            "select project, kind, name, id from entity "
            "where type = ? and substr(id, 1, ?) = ?"
        )
        with self.using() as connection:
            rows = connection.execute(sql, (type, len(start), start))
            return [
                str(keys.Key(project, type, kind, name, identity))
                for project, kind, name, identity in rows
            ]

    def runs(self, wanted: Optional[Iterable[str]] = None) -> list[dict[str, Any]]:
        """Return the runs of all projects, the oldest first; those in such a state."""
        sql, values = f"{_READ} where type = 'run'", []
        if wanted is not None:
            values = list(wanted)
            sql += f" and state in ({', '.join('?' * len(values))})"
        with self.using() as connection:
            rows = connection.execute(f"{sql} order by created, number", values)
            return [_entity(*row) for row in rows]

    def run_states(self) -> dict[str, int]:
        """Return how many runs there are in each state, the most first."""
        sql = (
            "select state, count(*) from entity where type = 'run' "
            "group by state order by 2 desc"
        )
        with self.using() as connection:
            return dict(connection.execute(sql).fetchall())

    def projects(self) -> list[str]:
        """Return the names of the projects, in the order of the alphabet."""
        sql = "select project from entity where type = 'project' order by project"
        with self.using() as connection:
            return [name for (name,) in connection.execute(sql)]

    def change(
        self, key: str, edit: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Change an entity in one transaction: what edit leaves is kept and returned.

        Raises:
            BadArgument: there is no such entity.

        """
        parsed = keys.parse(key)
        with self._writing() as connection:
            entity = self._get(connection, parsed)
            if entity is None:
                raise BadArgument(f"there is no '{key}' in the store '{self.root}'")
            edit(entity)
            self._put(connection, entity)
            return entity

    def move(
        self, key: str, state: str, *, message: Optional[str] = None, **status: Any
    ) -> Optional[dict[str, Any]]:
        """Move an entity into a state, with what else is to be in its status.

        None, and nothing is changed, where the state that it has does not allow that.

        Raises:
            BadArgument: there is no such entity.

        """
        project, type_, _, _, identity = keys.parse(key)
        where = "where project = ? and type = ? and id = ?"
        place = (project, type_, identity)
        with self._writing() as connection:
            row = connection.execute(
                f"select state, head, spec, status from entity {where}", place
            ).fetchone()
            if row is None:
                raise BadArgument(f"there is no '{key}' in the store '{self.root}'")
            if not states.allows(row[0], state):
                return None
            entity = _entity(*row[1:])
            enter(entity["status"], state, message)
            entity["status"].update(status)
            connection.execute(
                f"update entity set state = ?, status = ? {where}",
                (state, _dumps(entity["status"], "status"), *place),
            )
            return entity

    def delete(self, key: str) -> bool:
        """Forget an entity; all of that name where the key has no id."""
        project, type_, _, name, identity = keys.parse(key)
        if type_ == "project":
            return self._delete_project(project)
        column, value = ("id", identity) if identity else ("name", name)
        with self._writing() as connection:
            gone = connection.execute(
                f"delete from entity where project = ? and type = ? and {column} = ?",
                (project, type_, value),
            )
            return gone.rowcount > 0

    # Secrets

    def secret(self, project: str, name: str) -> Optional[str]:
        """Return the value of a secret, or None."""
        with self.using() as connection:
            row = connection.execute(
                "select value from secret where project = ? and name = ?",
                (project, name),
            ).fetchone()
        return None if row is None else str(row[0])

    def set_secret(self, project: str, name: str, value: str) -> None:
        """Keep the value of a secret."""
        with self._writing() as connection:
            connection.execute(
                "insert or replace into secret values (?, ?, ?)",
                (project, name, value),
            )

    def delete_secret(self, project: str, name: str) -> bool:
        """Forget the value of a secret."""
        with self._writing() as connection:
            gone = connection.execute(
                "delete from secret where project = ? and name = ?", (project, name)
            )
            return gone.rowcount > 0

    # Files

    def files(self, project: str, type: str, name: str, id: str) -> Path:  # noqa: A002
        """Return the directory of an entity's files; who writes into it makes it."""
        parts = (_part(part) for part in (project, type, name, id))
        return self.root.joinpath("files", *parts)

    def run_directory(self, run_id: str) -> Path:
        """Return the directory of a run: its log, and where it works."""
        path = self.root / "runs" / _part(run_id)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self.lock:
            if self._connection is not None and not self._connection.in_transaction:
                self._connection.close()
                self._connection = None

    # What the above is made of

    def _delete_project(self, project: str) -> bool:
        """Forget a project and all that is in it."""
        with self._writing() as connection:
            gone = connection.execute(
                "delete from entity where project = ?", (project,)
            )
            connection.execute("delete from secret where project = ?", (project,))
            return gone.rowcount > 0

    def _get(
        self, connection: sqlite3.Connection, key: keys.Key
    ) -> Optional[dict[str, Any]]:
        """Return an entity inside a transaction, or None."""
        if key.type == "project":
            key = keys.Key(key.project, "project", "project", "", key.project)
        column, value = ("id", key.id) if key.id else ("name", key.name)
        row = connection.execute(
            f"{_READ} where project = ? and type = ? and {column} = ? and kind = ? "
            "order by created desc, number desc limit 1",
            (key.project, key.type, value, key.kind),
        ).fetchone()
        return None if row is None else _entity(*row)

    def _put(self, connection: sqlite3.Connection, entity: dict[str, Any]) -> None:
        """Keep an entity inside a transaction."""
        row = _row(entity)
        project, type_, kind, name, identity, state, function, _, *texts = row
        done = connection.execute(
            _UPDATE, (kind, name, state, function, *texts, project, type_, identity)
        )
        if not done.rowcount:
            connection.execute(_INSERT, row)

    @contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection, for this thread alone."""
        with self.lock:
            try:
                yield self._connect()
            except sqlite3.Error as exc:
                raise self._failure(exc) from exc

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for a transaction, kept if the block ends well."""
        with self.using() as connection:
            connection.execute("begin immediate")
            try:
                yield connection
                connection.execute("commit")
            except BaseException:
                with suppress(sqlite3.Error):
                    if connection.in_transaction:
                        connection.execute("rollback")
                raise

    def _connect(self) -> sqlite3.Connection:
        """Open the connection if it is not open yet, or to a file that is gone.

        What is written to a file that was deleted is acknowledged, and lost.
        """
        path = self.root / "store.db"
        if self._connection is not None:
            if self._connection.in_transaction or self._inode == _inode(self._path):
                return self._connection
            self.close()
        _make(self.root, path)
        connection: Optional[sqlite3.Connection] = None
        try:
            connection = sqlite3.connect(
                str(path),
                timeout=_PATIENCE,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
            )
            self._prepare(connection)
        except BaseException as exc:
            if connection is not None:
                connection.close()
            if isinstance(exc, sqlite3.Error):
                raise self._failure(exc) from exc
            raise
        self._connection = connection
        self._inode = _inode(self._path)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Set a connection up, and make the tables in a new file.

        Raises:
            BadArgument: the file is something else's, or of a later version.

        """
        if _form_of(connection) != (_APPLICATION, _VERSION):
            self._check(connection)
            connection.execute("pragma journal_mode = wal")
            connection.execute("begin immediate")
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"pragma application_id = {_APPLICATION}")
            connection.execute(f"pragma user_version = {_VERSION}")
            connection.execute("commit")
        level = "full" if self._full else "normal"
        connection.execute(f"pragma synchronous = {level}")

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse a database that is not ours to write into.

        All is read at one moment: another process may be making the store.
        """
        path = self.root / "store.db"
        connection.execute("begin")
        application, version = _form_of(connection)
        (tables,) = connection.execute("select count(*) from sqlite_schema").fetchone()
        connection.execute("commit")
        if application == _APPLICATION and version > _VERSION:
            raise BadArgument(
                f"'{path}' was made by a later version of pybridge ({version}, this "
                f"one knows {_VERSION}); use that version, or another directory"
            )
        if application != _APPLICATION and tables:
            raise BadArgument(
                f"'{path}' is a database of something else; name another directory "
                f"in {VARIABLE}"
            )

    def _failure(self, exc: sqlite3.Error) -> Exception:
        """Return what an error of SQLite means for who uses the store."""
        path = self.root / "store.db"
        text = str(exc)
        if "full" in text:
            return HostError(
                f"the disk of '{path}' is full ({text}); nothing of this write was "
                "kept; make room and do it again"
            )
        if "I/O" in text:
            return HostError(
                f"the disk did not take what was written to '{path}' ({text}): it is "
                "full, a limit on the size of files is reached, or it fails; nothing "
                "of this write was kept; see df and ulimit -f, and do it again"
            )
        if "not a database" in text or "malformed" in text:
            return BadArgument(
                f"'{path}' is damaged, or not a store ({text}); put a copy of it back, "
                f"or name another directory in {VARIABLE}"
            )
        if "locked" in text:
            return HostError(
                f"'{path}' was locked for {_PATIENCE} s by another process; "
                "see which one holds it, and do it again"
            )
        return HostError(f"the store '{path}' failed: {text}")


def _form_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return what a database says it is, and of which version."""
    (application,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    return application, version


def _taken(row: tuple[Any, ...]) -> str:
    """Return the message about a row whose id another one has."""
    project, type_, kind, name, identity = row[:5]
    if type_ == "project":
        return f"there is a project '{project}' already; use it, or another name"
    return (
        f"there is a {type_} with id '{identity}' already in project '{project}'; give "
        f"another uuid, or none, for '{name or kind}'"
    )


def enter(status: dict[str, Any], state: str, message: Optional[str] = None) -> None:
    """Write a state into a status, and into the list of its transitions."""
    status["state"] = state
    step: dict[str, Any] = {"status": state, "time": now()}
    if message is not None:
        step["message"] = status["message"] = message
    else:
        status.pop("message", None)
    status.setdefault("transitions", []).append(step)


def _settings() -> dict[str, Any]:
    """Return [functions] of the settings."""
    from pybridge import settings

    return settings.section("functions")


def place() -> Path:
    """Return the directory of the store where none is named, there or not."""
    return _absolute(_default(_settings()))


def _absolute(path: Union[str, os.PathLike[str]]) -> Path:
    return Path(path).expanduser().absolute()


def _default(settings: dict[str, Any]) -> str:
    """Return where the store is when nobody says."""
    named = os.environ.get(VARIABLE) or settings.get("store")
    if named:
        return str(named)
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return f"{home}/pybridge/functions"


def _make(root: Path, path: Path) -> None:
    """Make the directory and the file, for the user's eyes only.

    Raises:
        BadArgument: they cannot be made.

    """
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if root.stat().st_mode & 0o077:
            root.chmod(0o700)
        os.close(os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise BadArgument(
            f"the store '{root}' cannot be made ({exc.strerror}); name another "
            f"directory in {VARIABLE}"
        ) from None


def _inode(path: str) -> int:
    """Return what tells a file from another one of its name; 0 if there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a hot path
    except OSError:
        return 0


def _part(text: str) -> str:
    """Return a name as a part of a path, where it cannot lead elsewhere."""
    if text.strip(".") and len(text) <= _LONGEST and "/" not in text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    kept = text.replace("/", "_").strip(".")[: _LONGEST - 40]
    return f"{kept}~{digest}"


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _dumps(value: Any, field: str) -> str:
    """Return a part of an entity as JSON text.

    Raises:
        BadArgument: something in it is not JSON.

    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        raise BadArgument(f"{field} cannot be kept: {unkept(value)}") from None


def unkept(value: Any) -> str:
    """Return why the store cannot keep a value, as it is no JSON; "" where it can."""
    try:
        _encode(value)
    except RecursionError:
        return "it is nested too deeply; give JSON values"
    except (TypeError, ValueError) as exc:
        with suppress(RecursionError):  # it may contain itself as well
            if found := _not_finite(value):
                return f"{found}, which JSON has not; leave it away, or give None"
        told = str(exc)
        return f"{told[:1].lower()}{told[1:]}; give JSON values"
    return ""


def _not_finite(value: Any, place: str = "") -> str:
    """Return which number is not finite, if one is: JSON has neither NaN nor those."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{place.lstrip('.') or 'it'} is {value}"
    if isinstance(value, Mapping):
        inside = ((f"{place}.{key}", one) for key, one in value.items())
    elif isinstance(value, (list, tuple)):
        inside = ((f"{place}[{i}]", one) for i, one in enumerate(value))
    else:
        return ""
    return next((told for at, one in inside if (told := _not_finite(one, at))), "")


def _entity(head: str, spec: str, status: str) -> dict[str, Any]:
    """Return an entity from its row."""
    entity: dict[str, Any] = json.loads(head)
    entity["spec"] = json.loads(spec)
    entity["status"] = json.loads(status)
    return entity


def _row(entity: dict[str, Any]) -> tuple[Any, ...]:
    """Return the row of an entity."""
    project, type_, kind, name, identity = keys.parse(entity["key"])
    spec, status = entity.get("spec") or {}, entity.get("status") or {}
    head = {k: v for k, v in entity.items() if k not in {"spec", "status"}}
    return (
        project,
        type_,
        kind or "project",
        name or entity.get("name") or "",
        identity or entity["id"],
        status.get("state") or "CREATED",
        spec.get("function") if type_ in keys.NAMELESS else None,
        created(entity),
        _dumps(head, "metadata"),
        _dumps(spec, "spec"),
        _dumps(status, "status"),
    )


def created(entity: Mapping[str, Any]) -> float:
    """Return when an entity was made, by its own account if that can be read."""
    given = (entity.get("metadata") or {}).get("created")
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(str(given)).timestamp()
    return time.time()


def _before_fork() -> None:
    """Close what must not be open on both sides of a fork."""
    for store in list(_all):
        store.lock.acquire()
        with suppress(Exception):
            store.close()


def _after_fork_in_parent() -> None:
    """Let the threads of the parent go on."""
    for store in list(_all):
        with suppress(RuntimeError):
            store.lock.release()


def _after_fork_in_child() -> None:
    """Begin with new locks: those of threads that are not here stay locked for ever."""
    global _guard  # noqa: PLW0603 - the same
    _guard = threading.Lock()
    for store in list(_all):
        store.lock = threading.RLock()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
