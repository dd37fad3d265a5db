"""An SQLite database opened in this process, with pybridge as its extension."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pybridge.errors import HostError
from pybridge.location import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Result = TypeVar("Result")

__all__ = ["Beside", "Unloadable", "answer"]

_READ = 0x1
_WRITE = 0x2
_CREATE = 0x4
_ROW = 100
_ENABLE_LOADING = 1005
_BUSY_MS = 5000
# Found without a name in anybody's context.
_ANSWER = f"__import__(''sys'').modules[''{__name__}''].answer"

_questions: dict[int, Callable[[], Any]] = {}
_answers: dict[int, tuple[Any, BaseException | None]] = {}
_numbers = itertools.count(1)


class Unloadable(HostError):  # noqa: N818 - named as its neighbours are
    """There is no SQLite that loads extensions, or this Python cannot be loaded."""

    __module__ = "pybridge"


class Beside:
    """A connection of the C library that Python's own `sqlite3` module uses.

    The module itself is often built without the right to load extensions. While a call
    of it lasts, `pybridge.host` is this database.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, create: bool = True, write: bool = True
    ) -> None:
        """Open a file; where it is new only with create.

        Raises:
            Unloadable: there is no SQLite that loads extensions.
            HostError: it refuses the file.

        """
        self._sqlite = sqlite = _library()
        self._db = ctypes.c_void_p()
        flags = _WRITE | (_CREATE if create else 0) if write else _READ
        code = sqlite.sqlite3_open_v2(
            os.fsencode(path), ctypes.byref(self._db), flags, None
        )
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
            raise Unloadable(f"SQLite cannot load '{LIBRARY}': {said}")

    def integer(self, sql: str, texts: Sequence[str | None], what: str) -> int:
        """Return the number that a statement gives; it may have parameters, of text.

        Raises:
            HostError: SQLite refuses it; `what` is what the message begins with.

        """
        sqlite = self._sqlite
        statement = ctypes.c_void_p()
        self._check(
            sqlite.sqlite3_prepare_v2(
                self._db, sql.encode(), -1, ctypes.byref(statement), None
            ),
            what,
        )
        try:
            # SQLite makes no copy of them: all are kept until the statement has run.
            kept = [None if text is None else text.encode() for text in texts]
            for number, data in enumerate(kept, 1):
                size = 0 if data is None else len(data)
                sqlite.sqlite3_bind_text(statement, number, data, size, None)
            code = sqlite.sqlite3_step(statement)
            if code != _ROW:
                self._check(code, what)
            return int(sqlite.sqlite3_column_int(statement, 0))
        finally:
            sqlite.sqlite3_finalize(statement)

    def call(self, question: Callable[[], Result]) -> Result:
        """Return what a function gives that is called with this database as its host.

        Raises:
            HostError: the call could not be made.

        """
        token = next(_numbers)
        _questions[token] = question
        try:
            self.integer(
                f"select py_eval('{_ANSWER}({token})')",
                (),
                "the database cannot be used",
            )
        except HostError:
            if token not in _answers:
                raise
        finally:
            _questions.pop(token, None)
            result, exc = _answers.pop(token, (None, None))
        if exc is not None:
            raise exc
        return cast("Result", result)

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        self._sqlite.sqlite3_close_v2(self._db)
        self._db = ctypes.c_void_p()

    def __enter__(self) -> Beside:
        """Use it for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _check(self, code: int, what: str) -> None:
        if code:
            said = self._sqlite.sqlite3_errmsg(self._db) or b"out of memory"
            raise HostError(f"{what}: {said.decode('utf-8', 'replace')}")


def answer(token: int) -> int:
    """Answer the question of that number; what SQL calls."""
    try:
        _answers[token] = (_questions[token](), None)
    except BaseException as exc:
        _answers[token] = (None, exc)
    return 1


@functools.cache
def _library() -> ctypes.CDLL:
    """Return the C library of SQLite.

    Raises:
        Unloadable: there is none, or it cannot load extensions.

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
    raise Unloadable(
        "there is no SQLite library that loads extensions; install SQLite's shared "
        "library (Debian: libsqlite3-0), or run select py_shell() in the sqlite3 shell"
    )


def _names() -> Iterator[str]:
    """Yield where to look: what `sqlite3` is linked to, then the system's."""
    from importlib.util import find_spec

    spec = find_spec("_sqlite3")
    if spec is not None and spec.origin is not None and spec.origin.endswith(".so"):
        yield spec.origin  # its functions are found through it
    yield "libsqlite3.so.0"
    from ctypes.util import find_library  # which runs programs

    found = find_library("sqlite3")
    if found is not None:
        yield found
