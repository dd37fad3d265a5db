"""Source texts that saved code was compiled from: shown, searched, compiled anew."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import types
from typing import TYPE_CHECKING, Any

from pybridge import source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    Key = tuple[int, str, int, int]

__all__ = ["Sources", "compiled", "find_class", "source_of", "text_of"]

# A text that is longer is not kept: it is generated.
_LONGEST = 4 * 1024 * 1024
_SHORT = 64 * 1024


class Sources:
    """The texts of one snapshot, each once, by number."""

    def __init__(self, texts: list[str] | None = None) -> None:
        """Begin with the texts that were saved, or with none."""
        self.texts = texts if texts is not None else []
        self._numbers = {text: number for number, text in enumerate(self.texts)}
        self._codes: dict[str, list[CodeType]] = {}

    def key(self, code: CodeType) -> Key:
        """Return what a code object is found by: text, name, line and column.

        The number is -1 where the text is not known.
        """
        text = text_of(code.co_filename)
        if text is None or len(text) > _LONGEST:
            return -1, code.co_name, code.co_firstlineno, 0
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        # Only these are often twice on a line.
        column = _column(code) if code.co_name.startswith("<") else 0
        return number, code.co_name, code.co_firstlineno, column

    def find(self, key: Key) -> CodeType | None:
        """Return a code object, compiled by this Python."""
        number, name, line, column = key
        if not 0 <= number < len(self.texts):
            return None
        same = self._same(self.texts[number], name, line)
        if column and len(same) > 1:
            same = [one for one in same if _column(one) == column]
        return same[0] if same else None

    def _same(self, text: str, name: str, line: int) -> list[CodeType]:
        codes = self._codes.get(text)
        if codes is None:
            whole = compiled(text)
            codes = [] if whole is None else list(_inside(whole))
            self._codes[text] = codes
        return [
            one for one in codes if (one.co_name, one.co_firstlineno) == (name, line)
        ]


def _column(code: CodeType) -> int:
    """Return where in its first line the body of a lambda begins."""
    columns = (
        column
        for line, _, column, _ in code.co_positions()
        if column and line == code.co_firstlineno
    )
    return min(columns, default=0)


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _inside(one)


def compiled(text: str, filename: str = "<pybridge>") -> CodeType | None:
    """Return the code of a text; None where this Python cannot compile it."""
    for attempt in (text, text.lstrip(" \t")):
        try:
            code: CodeType = compile(attempt, filename, "exec", 0, True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return code
    return None


def text_of(filename: str) -> str | None:
    """Return the text of a file name, of ours or any that `linecache` knows."""
    text = source.text_of(filename)
    if text is not None:
        return text
    if filename == "<string>":
        return None
    try:
        return "".join(linecache.getlines(filename)) or None
    except Exception:
        return None


def source_of(value: Any) -> str:
    """Return the definition of a function or a class as its user has written it."""
    try:
        if isinstance(value, type):
            return _class_source(value)
        code = inspect.unwrap(value).__code__
        text = text_of(code.co_filename)
        if text is None or len(text) > _LONGEST:
            return ""
        if len(text) <= _SHORT:
            found = _definitions(text).get(code.co_firstlineno)
            if found is not None:
                return found
        lines = text.splitlines(keepends=True)[code.co_firstlineno - 1 :]
        return "".join(inspect.getblock(lines))
    except Exception:
        return ""


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module:
    """Return the tree of a text; one text may have many definitions."""
    return ast.parse(text)


@functools.lru_cache(maxsize=8)
def _definitions(text: str) -> dict[int, str]:
    """Return the text of each function by its first line."""
    lines = text.splitlines(keepends=True)
    found = {}
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found[first] = "".join(lines[first - 1 : node.end_lineno])
    return found


def _class_source(one: type) -> str:
    codes = [
        function.__code__
        for function in (
            getattr(value, "__func__", getattr(value, "fget", value))
            for value in vars(one).values()
        )
        if isinstance(function, types.FunctionType)
        and function.__module__ == one.__module__
    ]
    for code in codes:
        text = text_of(code.co_filename)
        if text is not None and len(text) <= _LONGEST:
            found = find_class(text, one.__name__, code.co_firstlineno)
            if found:
                return found
    for filename in reversed(source.filenames()):
        text = source.text_of(filename) or ""
        if f"class {one.__name__}" in text and len(text) <= _LONGEST:
            found = find_class(text, one.__name__, 0)
            if found:
                return found
    return ""


def find_class(text: str, name: str, line: int) -> str:
    """Return the last top-level definition of a class; of a line, the one around it."""
    try:
        tree = _parsed(text)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    found = ""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if not line or first <= line <= (node.end_lineno or line):
                lines = text.splitlines(keepends=True)[first - 1 : node.end_lineno]
                found = "".join(lines)
    return found
