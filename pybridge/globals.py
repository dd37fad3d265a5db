"""Globals of an M host as mappings, in Python code that the host calls.

from pybridge.host import globals

person = globals["^person"]
person[1] = "Ada^1815"
person[1, "city"] = "London"
for key, value in person.items(): ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Globals", "Node", "Subscript", "globals"]

Subscript = str | bytes | int | float | Decimal
"""What a subscript may be. M has no types: 1 and "1" are the same one."""

_NAME = re.compile(r"\^?[%A-Za-z][0-9A-Za-z]{0,30}")
# As M writes numbers: only then are they numbers to it.
_WHOLE = re.compile(rb"-?[1-9][0-9]*|0")
_FRACTION = re.compile(rb"-?(?:[1-9][0-9]*)?\.[0-9]*[1-9]")
_PLAIN = re.compile(rb"[ !#-~]+")
_SHORT = 15  # digits that a float64 tells apart


class Globals(Mapping[str, "Node"]):
    """The globals of the database that is calling, by name."""

    def __getitem__(self, name: str) -> Node:
        """Return the global of that name, with or without its circumflex."""
        if not _NAME.fullmatch(name):
            raise BadArgument(
                f"a global is named like '^person', with up to 31 letters and digits, "
                f"not {name!r}"
            )
        return Node("^" + name.removeprefix("^"))

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the globals that have data, in M's order."""
        name = _call("order", "^%", "1")
        if _call("data", "^%") != b"0":
            yield "^%"
        while name:
            yield name.decode()
            name = _call("order", name.decode(), "1")

    def __len__(self) -> int:
        """Count the globals that have data."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Tell whether the global has data."""
        return isinstance(name, str) and bool(self[name].data())

    def xecute(self, code: str) -> None:
        """Run a line of M code.

        Raises:
            HostError: M's error, with its $ZSTATUS.

        """
        _call("xecute", code)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an M expression, such as "$horolog"."""
        return load(_call("evaluate", expression))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all sets and kills of a block one transaction of M's.

        They are done at the end of the block, all or none; until then the block itself
        reads what was there before. An exception in the block drops them.
        """
        if Node.pending is not None:
            raise HostError("a transaction of globals does not nest")
        Node.pending = []
        try:
            yield
            writes = Node.pending
        finally:
            Node.pending = None
        if writes:
            _call("commit", b"".join(_packed(part) for one in writes for part in one))


class Node(MutableMapping[Any, Any]):
    """A node of a global: its value, and the nodes below it by their subscripts.

    A key is a subscript, or a tuple of several. Values come as int, float or Decimal
    where M holds them in its own form of a number, else as str, or as bytes where they
    are not UTF-8.
    """

    __slots__ = ("_reference",)

    # The writes of the transaction that is open.
    pending: list[tuple[bytes, bytes, bytes]] | None = None

    def __init__(self, reference: str) -> None:
        """Stand for what M would write so."""
        self._reference = reference

    def __repr__(self) -> str:
        """Write it as M does."""
        return f"<{self._reference}>"

    def node(self, *subscripts: Subscript) -> Node:
        """Return the node below, which need not be there."""
        return Node(self._at(subscripts))

    @property
    def value(self) -> Any:
        """The node's own value; None where it has none."""
        found = _call("get", self._reference)
        return load(found[1:]) if found[:1] == b"1" else None

    @value.setter
    def value(self, value: object) -> None:
        self._set(self._reference, value)

    def __getitem__(self, key: Any) -> Any:
        """Return the value of a node below.

        Raises:
            KeyError: it has none.

        """
        found = _call("get", self._at(key))
        if found[:1] != b"1":
            raise KeyError(key)
        return load(found[1:])

    def __setitem__(self, key: Any, value: object) -> None:
        """Set the value of a node below."""
        self._set(self._at(key), value)

    def __delitem__(self, key: Any) -> None:
        """Kill a node with all that is below it.

        Raises:
            KeyError: there is none.

        """
        if not self.data(key):
            raise KeyError(key)
        self._kill(self._at(key))

    def kill(self) -> None:
        """Kill this node, if it is there, with all that is below it."""
        self._kill(self._reference)

    def __contains__(self, key: object) -> bool:
        """Tell whether a node below has a value."""
        return self.data(key) % 10 == 1

    def __iter__(self) -> Iterator[Any]:
        """Yield the subscripts of the next level, in M's order."""
        subscript: Any = ""
        while (subscript := self.order(subscript)) != "":
            yield subscript

    def __len__(self) -> int:
        """Count the subscripts of the next level."""
        return sum(1 for _ in self)

    def items(self) -> Any:
        """Yield the subscripts of the next level that have a value, with it."""
        return ((key, self[key]) for key in self if key in self)

    def values(self) -> Any:
        """Yield the values of the next level."""
        return (value for _, value in self.items())

    def data(self, key: Any = ()) -> int:
        """Return M's $DATA: 0 = nothing, 1 = a value, 10 = nodes below, 11 = both."""
        return int(_call("data", self._at(key)))

    def order(self, key: Any = "", *, reverse: bool = False) -> Any:
        """Return the subscript after `key` ("" = the first), or "" at the end."""
        found = _call("order", self._at(key), "-1" if reverse else "1")
        return load(found) if found else ""

    def increment(self, key: Any = (), by: float = 1) -> Any:
        """Add to a node's value, in one step that no other process comes between."""
        if Node.pending is not None:
            raise HostError(
                "a transaction of globals sets and kills; it cannot increment"
            )
        return load(_call("increment", self._at(key), by))

    @contextmanager
    def lock(self, key: Any = (), timeout: float = 60) -> Iterator[None]:
        """Hold M's lock on a node during a block.

        Raises:
            HostError: another process held it for all of the timeout, in seconds.

        """
        reference = self._at(key)
        if _call("lock", reference, timeout) != b"1":
            raise HostError(f"'{reference}' is locked by another process")
        try:
            yield
        finally:
            _call("unlock", reference)

    def _at(self, key: Any) -> str:
        """Return the reference of a node below."""
        subscripts = key if isinstance(key, tuple) else (key,)
        if not subscripts:
            return self._reference
        below = ",".join(_quoted(one) for one in subscripts)
        if self._reference.endswith(")"):
            return f"{self._reference[:-1]},{below})"
        return f"{self._reference}({below})"

    def _set(self, reference: str, value: object) -> None:
        if Node.pending is None:
            _call("set", reference, _dumped(value))
        else:
            Node.pending.append((b"s", reference.encode(), _bytes(_dumped(value))))

    def _kill(self, reference: str) -> None:
        if Node.pending is None:
            _call("kill", reference)
        else:
            Node.pending.append((b"k", reference.encode(), b""))


globals = Globals()  # noqa: A001 (the name that `pybridge.host` offers)
"""The globals of the database that is calling."""


def load(data: bytes) -> Any:
    """Return what M's string stands for."""
    if _WHOLE.fullmatch(data):
        return int(data)
    if _FRACTION.fullmatch(data):
        digits = len(data.lstrip(b"-.0").replace(b".", b""))
        return float(data) if digits <= _SHORT else Decimal(data.decode())
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _call(verb: str, *args: object) -> bytes:
    from pybridge.host import call

    found = call(verb, *args)
    return found if isinstance(found, bytes) else b""


def _dumped(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, (str, bytes, bool, int, float, Decimal)):
        return value
    from pybridge.status import type_name

    raise BadArgument(
        f"M has no value for an object of type {type_name(type(value))}; make it text "
        "or a number"
    )


def _bytes(value: object) -> bytes:
    """Return a value as M will hold it."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, (int, float, Decimal)):
        return number(value)
    return str(value).encode()


def number(value: float | Decimal) -> bytes:
    """Return a number in M's form: no exponent, no zero that can be left out."""
    text = format(Decimal(repr(value) if isinstance(value, float) else value), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    digits = digits.lstrip("0") or "0"
    return (sign + digits if digits != "0" else "0").encode()


def _packed(part: bytes) -> bytes:
    """Put the length before a part, so that any bytes may be in it."""
    return b"%d:%s" % (len(part), part)


def _quoted(subscript: object) -> str:
    """Return a subscript as M source."""
    if isinstance(subscript, (int, float, Decimal)) and not isinstance(subscript, bool):
        return number(subscript).decode()
    if not isinstance(subscript, (str, bytes)):
        raise BadArgument(
            f"a subscript is text or a number, not {type(subscript).__name__}"
        )
    data = subscript.encode() if isinstance(subscript, str) else subscript
    if not data:
        return '""'
    parts = []
    at = 0
    # Bytes that are not plain text are named by number, in runs.
    while at < len(data):
        plain = _PLAIN.match(data.replace(b'"', b" "), at)
        if plain:
            piece = data[at : plain.end()].replace(b'"', b'""').decode()
            parts.append(f'"{piece}"')
            at = plain.end()
        else:
            end = at
            while end < len(data) and not _PLAIN.match(data, end) and data[end] != 0x22:
                end += 1
            codes = ",".join(str(byte) for byte in data[at:end])
            parts.append(f"$ZCHAR({codes})")
            at = end
    return "_".join(parts)
