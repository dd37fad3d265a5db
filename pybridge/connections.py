"""Connections to other databases: what a namespace names, and those that are open.

A namespace is a name of `[connections.NAME]` in `pybridge.toml`, an ODBC connection
string (it has a "="), a variable of the context that is a connection, or, in Python,
the connection itself. Connections that pybridge opens are kept here, never in a
context, and used again.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from pybridge import context, settings
from pybridge.errors import BadArgument, Undefined
from pybridge.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Connect = Callable[["Source"], Any]

__all__ = ["Lease", "Source", "close", "find", "lease", "names"]

_SECTION = "connections"
_IDLE_PER_SOURCE = 2
_IDLE_IN_ALL = 8
_IDLE_SECONDS = 300.0
_COMMAND_SECONDS = 30.0
_READERS = ("auto", "pyodbc", "arrow-odbc")
_KINDS = ("odbc", "sqlite", "adbc", "driver")
_PASSWORDS = ("password_env", "password_file", "password_command")
_ALLOWED = {
    "odbc": {"reader", "readonly", "timeout", *_PASSWORDS},
    "sqlite": {"readonly", "timeout"},
    "adbc": {"uri", "options", *_PASSWORDS},
    "driver": {"uri", "options", *_PASSWORDS},
}
_TYPES: dict[str, tuple[type, str]] = {
    "readonly": (bool, "true or false"),
    "timeout": (int, "a whole number of seconds"),
    "options": (dict, "a table"),
    "password_command": (list, "a list of words"),
}


class Source:
    """Where a connection comes from: how it is spoken of, opened, and settled.

    To settle is to end the transaction that a query has begun, or has left open.
    """

    __slots__ = ("_connect", "_settle", "key", "name", "reader", "secrets", "twin")

    def __init__(
        self,
        name: str,
        key: object,
        connect: Connect,
        settle: Callable[[Any], object],
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.key = key  # the same for what may share a connection
        self._connect = connect
        self._settle = settle
        self.secrets = _SECRETS.get(key, secrets)
        # ODBC only: who reads results, and where its second way gets its sessions.
        self.reader = "pyodbc"
        self.twin: Source | None = None

    def __repr__(self) -> str:
        """Say which, without what is secret."""
        return f"<pybridge connection {self.name}>"

    def open(self) -> Any:
        """Return a new connection; the driver's exceptions are its own."""
        return self._connect(self)

    def hide(self, *secrets: str | None) -> None:
        """Note what no message may show."""
        new = [secret for secret in secrets if secret]
        self.secrets = tuple(dict.fromkeys([*self.secrets, *new]))
        _SECRETS[self.key] = self.secrets

    def mark_changed(self) -> None:
        """Note that a session of this source may not be as it was opened."""
        _CHANGED.add(self.key)

    def is_changed(self) -> bool:
        """May a session that is kept answer otherwise than a new one?"""
        return self.key in _CHANGED

    def settle(self, connection: Any) -> None:
        """End a transaction; the driver's exceptions are its own."""
        self._settle(connection)


# What is secret about the connections that have been opened, for messages about them.
_SECRETS: dict[object, tuple[str, ...]] = {}
# The keys of those of which a session was changed, since all were closed.
_CHANGED: set[object] = set()


# ---- What a namespace names ---------------------------------------------------------


def find(namespace: str, at: str | None = None) -> Source | Any:
    """Return the source that a text names, or the connection that a variable holds.

    Raises:
        BadArgument: the settings of that connection are wrong.
        Undefined: there is none of that name; lists those that there are.

    """
    if "=" in namespace:
        return _of_string(namespace)
    if "://" in namespace:
        raise BadArgument(
            "a URI is no namespace; name it in pybridge.toml: [connections.NAME] with "
            'adbc = "adbc_driver_postgresql" or driver = "psycopg", and uri = "..."'
        )
    tables = settings.section(_SECTION)
    if namespace in tables:
        return _of_settings(namespace, tables[namespace])
    value = context.get(at).namespace.get(namespace)
    if hasattr(value, "cursor"):
        return value
    known = ", ".join(f"'{name}'" for name in sorted(tables))
    path = settings.find()
    listed = (
        f"'{path}' has {known or 'none'}"
        if path is not None
        else "there is no pybridge.toml"
    )
    held = (
        f"the variable '{namespace}' is of type {type(value).__name__}"
        if value is not None
        else "no variable has that name"
    )
    raise Undefined(
        f"there is no connection '{namespace}': {listed}, and {held}; an ODBC "
        "connection string has a '='"
    )


def names() -> list[str]:
    """Return the names of the connections in the settings, sorted."""
    return sorted(settings.section(_SECTION))


def _of_string(string: str) -> Source:
    from pybridge.elsewhere import odbc

    secrets = odbc.secrets(string)
    name = f"'{mask(string, secrets)}'"
    made = Source(name, string, lambda _: odbc.connect(string), _roll_back, secrets)
    made.reader = "auto"
    made.twin = _twin(made, lambda _: _session(string))
    return made


def _twin(source: Source, connect: Connect) -> Source:
    """Return where the sessions of arrow-odbc come from, which are kept likewise."""
    key = (source.key, "arrow-odbc")
    return Source(source.name, key, connect, _nothing, source.secrets)


def _session(
    string: str, password: str = "", readonly: bool = False, timeout: int = 0
) -> Any:
    from pybridge.elsewhere import bulk, odbc

    return bulk.connect(odbc.completed(string, password, readonly), timeout)


def _of_settings(name: str, table: Any) -> Source:
    """Return the source that a table of the settings describes.

    Raises:
        BadArgument: the table has not what it needs, or has what nobody knows.

    """
    kind = _checked(name, table)
    connect, settle = {
        "odbc": (_odbc, _roll_back),
        "sqlite": (_sqlite, _roll_back),
        "adbc": (_adbc, _nothing),  # is in autocommit
        "driver": (_driver, _commit),
    }[kind]

    def opened(source: Source) -> Any:
        password = _password(name, table)
        source.hide(password)
        return connect(source, table, password)

    key = (str(settings.find()), name, repr(sorted(table.items())))
    made = Source(f"'{name}'", key, opened, settle)
    if kind == "odbc":
        made.reader = table.get("reader", "auto")
        made.twin = _twin(
            made,
            lambda _: _session(
                table["odbc"],
                _password(name, table),
                table.get("readonly", False),
                table.get("timeout", 0),
            ),
        )
    return made


def _nothing(connection: Any) -> None:
    pass


def _commit(connection: Any) -> None:
    connection.commit()


def _roll_back(connection: Any) -> None:
    """Drop what a statement "begin" has begun; all else is committed already."""
    if getattr(connection, "in_transaction", True):
        connection.rollback()


def _checked(name: str, table: Any) -> str:
    """Return the kind of a connection: the one word of `_KINDS` that it has."""
    where = f"[connections.{name}]"
    if not isinstance(table, dict):
        raise BadArgument(f'{where} is not a table; write odbc = "..." below it')
    kinds = [kind for kind in _KINDS if kind in table]
    if len(kinds) != 1:
        has = " and ".join(kinds) or "none of them"
        raise BadArgument(
            f"{where} has to have one of {', '.join(_KINDS)}; it has {has}"
        )
    kind = kinds[0]
    for key, value in table.items():
        if key != kind and key not in _ALLOWED[kind]:
            known = ", ".join([kind, *sorted(_ALLOWED[kind])])
            raise BadArgument(
                f"{where} has '{key}', which is unknown; known are {known}"
            )
        wanted, words = _TYPES.get(key, (str, "text"))
        if not isinstance(value, wanted) or (wanted is int and value is True):
            raise BadArgument(f"{where}: {key} is {words}, not {type(value).__name__}")
    if table.get("reader", "auto") not in _READERS:
        raise BadArgument(
            f"{where}: reader is one of {', '.join(_READERS)}, not '{table['reader']}'"
        )
    if sum(key in table for key in _PASSWORDS) > 1:
        raise BadArgument(f"{where} has more than one of {', '.join(_PASSWORDS)}")
    return kind


def _odbc(source: Source, table: dict[str, Any], password: str) -> Any:
    from pybridge.elsewhere import odbc

    source.hide(*odbc.secrets(table["odbc"]))
    return odbc.connect(
        table["odbc"],
        password=password,
        readonly=table.get("readonly", False),
        timeout=table.get("timeout", 0),
    )


def _sqlite(_source: Source, table: dict[str, Any], _password: str) -> Any:
    import sqlite3

    path = _beside_settings(table["sqlite"])
    return sqlite3.connect(
        f"{path.as_uri()}?mode={'ro' if table.get('readonly') else 'rw'}",
        timeout=table.get("timeout", 5),
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )


def _adbc(source: Source, table: dict[str, Any], password: str) -> Any:
    uri, options = _uri(source, table, password)
    module = _module(f"{table['adbc']}.dbapi")
    more = {"db_kwargs": options} if options else {}
    return module.connect(uri, autocommit=True, **more)


def _driver(source: Source, table: dict[str, Any], password: str) -> Any:
    uri, options = _uri(source, table, password)
    return _module(table["driver"]).connect(*([] if uri is None else [uri]), **options)


def _uri(
    source: Source, table: dict[str, Any], password: str
) -> tuple[str | None, dict[str, Any]]:
    """Return the URI with the password in its place, or the password as an option."""
    from urllib.parse import quote, unquote, urlsplit

    uri = table.get("uri")
    options = dict(table.get("options", {}))
    if password and uri is not None and "{password}" in uri:
        uri = uri.replace("{password}", quote(password, safe=""))
    elif password:
        options["password"] = password
    source.hide(
        *(str(options[key]) for key in ("password", "passwd") if key in options)
    )
    try:
        inside = urlsplit(uri or "").password
    except ValueError:  # it is no URI, and the driver will say so
        inside = None
    if inside:
        source.hide(inside, unquote(inside))
    return uri, options


def _module(name: str) -> Any:
    """Import the module of a driver.

    Raises:
        BadArgument: it cannot be imported, or has no connect().

    """
    import importlib

    try:
        module = importlib.import_module(name)
    except ImportError as exc:
        package = name.partition(".")[0]
        raise BadArgument(
            f"the driver '{package}' cannot be imported: {exc}; install it with pip"
        ) from None
    if not hasattr(module, "connect"):
        raise BadArgument(f"the module '{name}' has no connect(), as drivers have")
    return module


# ---- Passwords ----------------------------------------------------------------------


def _password(name: str, table: dict[str, Any]) -> str:
    """Return the password that the settings point to; '' where they point to none."""
    where = f"[connections.{name}]"
    if "password_env" in table:
        variable = table["password_env"]
        value = os.environ.get(variable)
        if value is None:
            raise BadArgument(
                f"{where}: the environment has no variable '{variable}', which "
                "password_env names"
            )
        return value
    if "password_file" in table:
        return _password_file(where, _beside_settings(table["password_file"]))
    if "password_command" in table:
        return _password_command(where, table["password_command"])
    return ""


def _password_file(where: str, path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise BadArgument(
                f"{where}: the password file '{path}' is open to others; run: "
                f"chmod 600 '{path}'"
            )
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadArgument(
            f"{where}: the password file '{path}' cannot be read: "
            f"{getattr(exc, 'strerror', None) or 'it is not UTF-8'}"
        ) from None


def _password_command(where: str, command: list[Any]) -> str:
    """Return the first line that a command prints; nothing of it is ever shown."""
    import subprocess

    words = [str(word) for word in command]
    shown = f"{where}: the password command '{words[0] if words else ''}'"
    try:
        done = subprocess.run(  # noqa: S603 (the user's own words)
            words,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, IndexError) as exc:
        words_of = getattr(exc, "strerror", None) or "there are no words in it"
        raise BadArgument(f"{shown} cannot be run: {words_of}") from None
    except subprocess.TimeoutExpired:
        raise BadArgument(f"{shown} took longer than {_COMMAND_SECONDS:g} s") from None
    if done.returncode:
        raise BadArgument(f"{shown} failed with exit code {done.returncode}")
    return done.stdout.decode("utf-8", "replace").partition("\n")[0].rstrip("\r")


def _beside_settings(text: str) -> Path:
    """Return a path; a relative one counts from the folder of the settings."""
    from pathlib import Path

    path = Path(text).expanduser()
    found = settings.find()
    if found is not None:
        path = found.parent / path
    return path.absolute()


# ---- Open connections ---------------------------------------------------------------


class _Pool:
    """Connections that wait for their next query, of this process only."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[tuple[float, object, Any]] = []  # the latest last
        self.process = os.getpid()

    def take(self, key: object) -> Any | None:
        """Return the connection that waits since the shortest time, or None."""
        closing = []
        with self.lock:
            self._check_process()
            old = time.monotonic() - _IDLE_SECONDS
            closing = [one for since, _, one in self.idle if since < old]
            self.idle = [entry for entry in self.idle if entry[0] >= old]
            found = None
            for i in reversed(range(len(self.idle))):
                if self.idle[i][1] == key:
                    found = self.idle.pop(i)[2]
                    break
        _close_all(closing)
        return found

    def give(self, key: object, connection: Any) -> None:
        """Keep a connection; the oldest are closed where there are too many."""
        with self.lock:
            self._check_process()
            self.idle.append((time.monotonic(), key, connection))
            same = [entry for entry in self.idle if entry[1] == key]
            many = same[: max(0, len(same) - _IDLE_PER_SOURCE)]
            rest = [entry for entry in self.idle if entry not in many]
            many += rest[: max(0, len(rest) - _IDLE_IN_ALL)]
            self.idle = [entry for entry in self.idle if entry not in many]
        _close_all([connection for _, _, connection in many])

    def clear(self) -> None:
        """Close all."""
        with self.lock:
            self._check_process()
            idle, self.idle = self.idle, []
        _close_all([connection for _, _, connection in idle])

    def _check_process(self) -> None:
        """Forget, after a fork, what is the parent's: to close it would end it there.

        What is forgotten is never destroyed either, which would close it.
        """
        if self.process == os.getpid():
            return
        import ctypes

        for entry in self.idle:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(entry[2]))
        self.idle = []
        self.process = os.getpid()


_POOL = _Pool()


def _after_fork() -> None:
    _POOL.lock = threading.Lock()
    _POOL._check_process()  # noqa: SLF001 (its own)


os.register_at_fork(after_in_child=_after_fork)


class Lease:
    """A connection for one query; given back at its end, closed after a failure."""

    __slots__ = ("connection", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.connection: Any = None

    def __enter__(self) -> Any:
        """Return a connection that answers: one that is open, or a new one."""
        while (connection := _POOL.take(self.source.key)) is not None:
            if _is_alive(connection):
                break
            _close_all([connection])
        self.connection = self.source.open() if connection is None else connection
        return self.connection

    def __exit__(self, kind: object, *_: object) -> None:
        """Settle, and keep the connection; close it where anything failed."""
        connection, self.connection = self.connection, None
        try:
            if kind is None:
                self.source.settle(connection)
                _POOL.give(self.source.key, connection)
                connection = None
        finally:
            _close_all([connection])


def lease(source: Source) -> Lease:
    """Return a context manager that lends a connection of the source."""
    return Lease(source)


def close() -> None:
    """Close all connections that wait for their next query."""
    _POOL.clear()
    _SECRETS.clear()
    _CHANGED.clear()


def _close_all(connections: list[Any]) -> None:
    for connection in connections:
        try:
            if connection is not None:
                connection.close()
        except Exception:  # noqa: S110  (it is broken, or closed already)
            pass


def _is_alive(connection: Any) -> bool:
    """Does the server answer? A complaint about the question is an answer too."""
    if hasattr(connection, "answers"):
        return bool(connection.answers())
    try:
        cursor = connection.cursor()
        try:
            cursor.execute("select 1")
            cursor.fetchall()
        finally:
            cursor.close()
    except Exception as exc:
        return str(exc.args[0] if exc.args else "").startswith("42")
    return True
