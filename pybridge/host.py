"""The host that Python runs in: SQL on the caller's own connection and transaction.

from pybridge import host

df = host.query("select * from t where x > ?", [3])
"""

# ruff: noqa: A002 - names are those of the contract

from __future__ import annotations

from pybridge.errors import BadArgument, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    Params = Sequence[object] | Mapping[str, object] | None

__all__ = [
    "Transaction",
    "call",
    "execute",
    "frame",
    "in_host",
    "query",
    "transaction",
    "write",
]


def query(
    sql: str,
    params: Params = None,
    type: str = "dataframe",
    namespace: object = None,
    **options: object,
) -> Any:
    """Return the rows of a query as a frame; types and options as for `py_query`.

    A namespace is another database: the name of a connection, an ODBC connection
    string, or a connection.

    Raises:
        BadArgument: the query is no text, or the type or an option is unknown.
        DatabaseError: the other database refuses the query.
        HostError: the host refuses the query, or no call of a host is in progress.

    """
    return frame(sql, params, type, options, namespace)[0]


def frame(
    sql: str,
    params: Any,
    type: str,
    options: Mapping[str, object],
    namespace: object = None,
    context: str | None = None,
) -> tuple[Any, int]:
    """Return the rows of a query as a frame, and how many they are.

    A statement on another database that gives no rows returns how many it has changed.
    """
    if not isinstance(sql, str):
        raise BadArgument(_no_text("the query", sql))
    plane = _plane() if namespace is None or namespace == "" else None
    if plane is None or type != "dataframe" or options:  # else there is no fault
        from pybridge import columnar

        columnar.check(type, options)  # before a database does anything
    if plane is not None:
        rows: object = plane.host_query(sql, params)
        from pybridge import columnar

        return columnar.load(rows, type, options)
    from pybridge import elsewhere

    rows, count = elsewhere.query(sql, params, namespace, context)
    made, length = columnar.load(rows, type, options)
    return made, length or count


def execute(sql: str, params: Params = None) -> int:
    """Run one or more statements and return how many rows they changed.

    Raises:
        HostError: the host refuses it, or no call of a host is in progress.

    """
    if not isinstance(sql, str):
        raise BadArgument(_no_text("the statement", sql))
    return int(_plane().host_execute(sql, params))


def write(frame: object, table: str, mode: str = "fail") -> int:
    """Write a frame to a table, all or nothing, and return how many rows.

    mode is what to do where the table exists: "fail", "replace" it or "append" to it.

    Raises:
        HostError: the host refuses it, or no call of a host is in progress.

    """
    plane = _plane()
    from pybridge import columnar

    for what, name in ("the table's name", table), ("the mode", mode):
        if not isinstance(name, str):
            raise BadArgument(_no_text(what, name))
    return int(plane.host_write(columnar.to_stream(frame), table, mode))


def call(verb: str, *args: object) -> Any:
    """Return what the host answers to a word of its own, such as "get" of an M host.

    Raises:
        HostError: the host refuses it, or no call of a host is in progress.

    """
    return _plane().host_call(verb, args)


def __getattr__(name: str) -> Any:
    """Load what only some hosts have: `globals` of M."""
    if name == "globals":
        from pybridge.globals import globals as found

        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def in_host() -> bool:
    """Tell whether a call of a host is in progress: whether this module works now."""
    try:
        return _plane().host_name() is not None
    except HostError:
        return False


def transaction() -> Transaction:
    """Return a context manager: its statements are all kept, or none on an exception.

    with host.transaction():
        host.execute("insert into t values (1)")
        host.execute("insert into t values (2)")

    They nest, also in a transaction that the caller began.
    """
    return Transaction()


class Transaction:
    """A savepoint, released at the end or rolled back to on an exception."""

    __slots__ = ("name",)

    _depth = 0

    def __init__(self) -> None:
        """Do nothing yet."""
        self.name = ""

    def __enter__(self) -> Self:
        """Set the savepoint."""
        Transaction._depth += 1
        self.name = f"pybridge_{Transaction._depth}"
        try:
            execute(f"SAVEPOINT {self.name}")
        except BaseException:
            Transaction._depth -= 1
            raise
        return self

    def __exit__(self, kind: object, exc: BaseException | None, *_: object) -> None:
        """Keep the changes, or drop them where an exception came."""
        Transaction._depth -= 1
        if exc is None:
            execute(f"RELEASE {self.name}")
            return
        try:
            execute(f"ROLLBACK TO {self.name}")
            execute(f"RELEASE {self.name}")
        except HostError as failed:
            # The host may have rolled back everything by itself; what led there is what
            # the caller wants to see.
            exc.add_note(f"{self.name} could not be rolled back: {failed}")


def _no_text(what: str, given: object) -> str:
    from pybridge.status import type_name

    return f"{what} is text, not of type {type_name(given.__class__)}"


def _plane() -> Any:
    """Return the C side.

    Raises:
        HostError: Python does not run inside a host.

    """
    try:
        from pybridge import _plane as plane
    except ImportError:
        raise HostError(
            "there is no host here: pybridge.host works in Python code that a host "
            "process calls"
        ) from None
    return plane
