"""Names and comments: what the writers of all targets have in common."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pybridge.stubs.survey import Function, Module

__all__ = [
    "Names",
    "Options",
    "call_text",
    "comment_lines",
    "expression",
    "functions_of",
    "legible",
]


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose: what names begin with, and how much of the docs is shown.

    docs is "full", "first" (their first paragraph) or "none".
    """

    package: str | None = None  # None = the target's own
    docs: str = "full"

    @property
    def prefix(self) -> str:
        """What stands before the name of a file."""
        return f"{self.package}_" if self.package else ""


class Names:
    """Names that have been given out, each once.

    A name that is taken, or one of the target's own, gets a number behind it.
    """

    def __init__(
        self,
        reserved: Collection[str] = (),
        *,
        fold: bool = False,
        size: int = 255,
        joint: str = "_",
    ) -> None:
        self._fold = fold  # names that differ in case alone are the same
        self._size = size
        self._joint = joint  # what stands before the number
        self._taken = {self._key(name) for name in reserved}

    def _key(self, name: str) -> str:
        return name.casefold() if self._fold else name

    def take(self, name: str) -> str:
        """Return the name, or one like it, that was not given out before."""
        number = 1
        unique = _cut(name, self._size)
        while self._key(unique) in self._taken:
            number += 1
            end = f"{self._joint}{number}"
            unique = _cut(name, self._size - len(end)) + end
        self._taken.add(self._key(unique))
        return unique


def _cut(name: str, size: int) -> str:
    """Return as much of the name as fits into so many bytes."""
    return name.encode()[:size].decode(errors="ignore")


def expression(module: str, path: str = "") -> str:
    """Return the Python expression for a module or what it has.

    It needs no import before it, and leaves no name behind.
    """
    base = f'__import__("{module}")'
    if "." in module:  # that would be the outermost package
        base = f'__import__("{module}", fromlist=["*"])'
    return f"{base}.{path}" if path else base


def functions_of(module: Module) -> Iterator[Function]:
    """Yield all that can be called, in the order in which it is to be written."""
    yield from module.functions
    for one in module.classes:
        if one.constructor is not None:
            yield one.constructor
        yield from one.members


def call_text(module: str, function: Function) -> str:
    """Return how Python code calls it: `random.randint(a, b)`."""
    if function.kind == "property":
        return f"{module}.{function.path}"
    return f"{module}.{function.path}({_parameters(function)})"


def _parameters(function: Function) -> str:
    if function.parameters is None:
        return "..."
    parts: list[str] = []
    positional = False
    for one in function.parameters:
        if positional and one.kind != "positional_only":
            parts.append("/")
        positional = one.kind == "positional_only"
        if one.kind == "keyword_only" and not any(part[0] == "*" for part in parts):
            parts.append("*")
        star = {"var_positional": "*", "var_keyword": "**"}.get(one.kind, "")
        default = "" if one.default is None else f"={_short(one.default)}"
        parts.append(f"{star}{one.name}{default}")
    return ", ".join([*parts, "/"] if positional else parts)


def _short(text: str) -> str:
    line = legible(text).replace("\n", " ")
    return line if len(line) <= 60 else line[:57] + "..."


def comment_lines(docs: str, options: Options) -> list[str]:
    """Return the lines of a comment; the target has yet to escape what ends it."""
    if options.docs == "none":
        return []
    if options.docs == "first":
        docs = docs.strip().partition("\n\n")[0]
    lines = [line.rstrip() for line in legible(docs).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def legible(text: str) -> str:
    """Return text without characters that end a line, hide, or turn their neighbours.

    Controls, formats, surrogates and private ones become their escapes.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return (
        "".join(
            char
            if char == "\n" or unicodedata.category(char) not in _HIDDEN
            else _escape(char)
            for char in text
        )
        if not text.isascii() or not text.replace("\n", "").isprintable()
        else text
    )


_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
