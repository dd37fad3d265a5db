"""The shell beside an SQLite database, in this process, through its own SQLite."""

from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING

from pybridge.errors import HostError
from pybridge.location import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["interact"]

_OPEN = 0x2 | 0x4  # for reading and writing, made where it is new
_ROW = 100
_ENABLE_LOADING = 1005
_BUSY_MS = 5000


def interact(
    path: Path,
    context: str | None = None,
    *,
    code: Sequence[str] = (),
    banner: bool = True,
    prompts: bool = False,
) -> int:
    """Open a database and run the shell with it as its host; return the exit code.

    Raises:
        HostError: there is no SQLite that loads extensions, or it refuses the file.

    """
    options = {"code": list(code), "banner": banner, "prompts": prompts}
    connection = _Connection(path)
    try:
        return connection.shell(context, json.dumps(options))
    finally:
        connection.close()


class _Connection:
    """A connection of the C library that Python's own `sqlite3` module uses.

    The module itself is often built without the right to load extensions.
    """

    def __init__(self, path: Path) -> None:
        self._sqlite = sqlite = _library()
        self._db = ctypes.c_void_p()
        code = sqlite.sqlite3_open_v2(bytes(path), ctypes.byref(self._db), _OPEN, None)
        try:
            self._check(code, f"SQLite cannot open '{path}'")
            sqlite.sqlite3_busy_timeout(self._db, _BUSY_MS)
            # The file says what it is only when it is read.
            self._check(
                sqlite.sqlite3_exec(
                    self._db, b"pragma schema_version", None, None, None
                ),
                f"SQLite cannot open '{path}'",
            )
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        """Load pybridge into the connection, through C alone, not through SQL."""
        on = ctypes.c_int(1)
        self._sqlite.sqlite3_db_config(self._db, _ENABLE_LOADING, on, None)
        message = ctypes.c_char_p()
        code = self._sqlite.sqlite3_load_extension(
            self._db, bytes(LIBRARY), None, ctypes.byref(message)
        )
        if code:
            said = (message.value or b"").decode("utf-8", "replace")
            self._sqlite.sqlite3_free(message)
            raise HostError(f"SQLite cannot load '{LIBRARY}': {said}")

    def shell(self, context: str | None, options: str) -> int:
        """Run `select py_shell(context, options)` and return its value."""
        sqlite = self._sqlite
        statement = ctypes.c_void_p()
        self._check(
            sqlite.sqlite3_prepare_v2(
                self._db, b"select py_shell(?, ?)", -1, ctypes.byref(statement), None
            ),
            "the shell cannot be started",
        )
        try:
            for number, text in enumerate((context, options), 1):
                data = None if text is None else text.encode()
                size = 0 if data is None else len(data)
                sqlite.sqlite3_bind_text(statement, number, data, size, None)
            code = sqlite.sqlite3_step(statement)
            if code != _ROW:
                self._check(code, "the shell has ended")
            return int(sqlite.sqlite3_column_int(statement, 0))
        finally:
            sqlite.sqlite3_finalize(statement)

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        self._sqlite.sqlite3_close_v2(self._db)
        self._db = ctypes.c_void_p()

    def _check(self, code: int, what: str) -> None:
        if code:
            said = self._sqlite.sqlite3_errmsg(self._db) or b"out of memory"
            raise HostError(f"{what}: {said.decode('utf-8', 'replace')}")


def _library() -> ctypes.CDLL:
    """Return the C library of SQLite.

    Raises:
        HostError: there is none, or it cannot load extensions.

    """
    for name in _names():
        try:
            library = ctypes.CDLL(name)
            # Bound here, so that one that lacks a function is not taken.
            library.sqlite3_errmsg.restype = ctypes.c_char_p
            library.sqlite3_load_extension.restype = ctypes.c_int
            library.sqlite3_open_v2.restype = ctypes.c_int
            pointer = ctypes.c_void_p
            library.sqlite3_bind_text.argtypes = (
                pointer,
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_int,
                pointer,
            )
            library.sqlite3_prepare_v2.argtypes = (
                pointer,
                ctypes.c_char_p,
                ctypes.c_int,
                pointer,
                pointer,
            )
        except (OSError, AttributeError):
            continue
        return library
    raise HostError(
        "there is no SQLite library that loads extensions; install SQLite's shared "
        "library (Debian: libsqlite3-0), or run select py_shell() in the sqlite3 shell"
    )


def _names() -> list[str]:
    """Return where to look: what `sqlite3` is linked to, then the system's."""
    from ctypes.util import find_library
    from importlib.util import find_spec

    names = ["libsqlite3.so.0"]
    spec = find_spec("_sqlite3")
    if spec is not None and spec.origin is not None and spec.origin.endswith(".so"):
        names.insert(0, spec.origin)  # its functions are found through it
    found = find_library("sqlite3")
    return names if found is None else [*names, found]
