"""Source text of the user: compiled once, and remembered for tracebacks.

A text is remembered under its file name, "<pybridge:3>", exactly as long as some code
that was compiled from it lives: as long as a traceback can need it.
"""

# ruff: noqa: PLW0603 - the caches are the process's

from __future__ import annotations

import sys
from _weakref import ref

from pybridge.errors import BadArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, TypeVar

    Compiled = TypeVar("Compiled")

__all__ = [
    "EXPRESSIONS",
    "adopt",
    "clear",
    "compile_code",
    "compile_expression",
    "compile_file",
    "compile_shown",
    "compile_value",
    "filenames",
    "line_of",
    "share",
    "text_of",
]

# The caches are bounded twice: by entries, and by characters of source text.
_MAX_ENTRIES = 2048
_MAX_CHARACTERS = 32 * 1024 * 1024
_LONG_TEXT = 4096
_ONLY_AST = 0x400
_FUTURE_FLAGS = 0x1FF0000


def _compile(text: str, filename: str, expression: bool, /) -> CodeType:
    code: CodeType = compile(text, filename, "eval" if expression else "exec", 0, True)
    return code


# What compiles text. The library has a quicker way than this, and sets it.
COMPILE: Callable[[str, str, bool], CodeType] = _compile

EXPRESSIONS: dict[str, CodeType] = {}
_CODES: dict[str, CodeType] = {}
_VALUES: dict[str, tuple[CodeType | None, CodeType]] = {}

# File name -> source; emptied by the weak references in each source.
_SOURCES: dict[str, _Source] = {}
# next() of it is one step, also where several threads compile.
_numbers = iter(range(1, sys.maxsize))
_shared = False


class _Source:
    """A text and weak references to the code objects made from it."""

    __slots__ = ("codes", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.codes: set[_Ref] = set()


def compile_expression(text: str) -> CodeType:
    """Return the code of one expression; the same text is compiled once.

    Raises:
        SyntaxError: the text is not an expression; says where.

    """
    code = EXPRESSIONS.get(text)
    if code is None:
        code = _compiled(text, "eval", _expression)
        _keep(EXPRESSIONS, text, code)
    return code


def compile_code(text: str) -> CodeType:
    """Return the code of any number of statements; the same text is compiled once.

    Raises:
        SyntaxError: the text is not Python; says where.

    """
    code = _CODES.get(text)
    if code is None:
        code = _compiled(text, "exec", _statements)
        _keep(_CODES, text, code)
    return code


def compile_value(text: str) -> tuple[CodeType | None, CodeType]:
    """Return the code of all but the last statement, and of the last, an expression.

    Raises:
        BadArgument: the last statement is not an expression.
        SyntaxError: the text is not Python; says where.

    """
    codes = _VALUES.get(text)
    if codes is None:
        codes = _compiled(text, "exec", _split)
        _keep(_VALUES, text, codes)
    return codes


def compile_shown(text: str, flags: int = 0) -> tuple[CodeType, int]:
    """Return code that shows the value of each expression in it, and its flags.

    It is what an interactive Python compiles: sys.displayhook gets the values. The
    flags are those of `from __future__` statements, for the texts that follow.

    Raises:
        SyntaxError: the text is not Python; says where.

    """

    def make(text: str, filename: str, _mode: str) -> CodeType:
        import _ast

        tree: Any = compile(text, filename, "exec", _ONLY_AST | flags, True)
        shown = _ast.Interactive(body=tree.body)
        code: CodeType = compile(shown, filename, "single", flags, True)
        return code

    code = _compiled(text, "single", make)
    return code, flags | (code.co_flags & _FUTURE_FLAGS)


def compile_file(path: str) -> CodeType:
    """Return the code of a file; tracebacks name the file.

    Raises:
        BadArgument: it cannot be read.
        SyntaxError: it is not Python; says where.

    """
    import os
    import tokenize

    try:
        with tokenize.open(path) as file:
            text = file.read()
    except OSError as exc:
        raise BadArgument(f"'{path}' cannot be read: {exc.strerror}") from None
    place = os.path.abspath(path)  # noqa: PTH100 (pathlib is not loaded at start)
    code: CodeType = compile(text, place, "exec", 0, True)
    return code


def text_of(filename: str) -> str | None:
    """Return the text that was compiled under a file name, where it still lives."""
    # Also asked where recursion has ended: a call more may be one too many.
    if _gone:
        try:  # noqa: SIM105 (contextlib is not loaded at start)
            _sweep()
        except RecursionError:
            pass  # the next one sweeps
    source = _SOURCES.get(filename)
    return None if source is None else source.text


def filenames() -> list[str]:
    """Return the file names of the texts that are remembered, the oldest first."""
    _sweep()
    return list(_SOURCES)


def adopt(text: str, code: CodeType, filename: str = "") -> CodeType:
    """Return code that was compiled elsewhere from a text, which is remembered here.

    A file name that an earlier call has given to the same text is used again.
    """
    if text_of(code.co_filename) != text:
        if text_of(filename) != text:
            filename = f"<pybridge:{next(_numbers)}>"
            _SOURCES[filename] = _Source(text)
        code = _renamed(code, filename)
    name = code.co_filename
    _watch(code, _SOURCES.setdefault(name, _Source(text)), name)
    if _shared:
        _publish(name, text)
    return code


def line_of(filename: str, line: int) -> str | None:
    """Return one line of a remembered text, without its end."""
    text = text_of(filename)
    if text is None or line < 1:
        return None
    start = 0
    # Walks rather than splits: a text may be 10 MB, and one line of it is wanted.
    text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
        if start == 0:
            return None
    end = text.find("\n", start)
    return text[start:] if end < 0 else text[start:end]


def share() -> None:
    """Let `linecache` know the texts, so that the user's own tracebacks show them.

    Not done for expressions alone, because the import costs more than the start.
    """
    global _shared
    if not _shared:
        import linecache  # noqa: F401  (its being loaded is what matters)

        _shared = True
        for filename, source in list(_SOURCES.items()):
            _publish(filename, source.text)


def clear() -> None:
    """Forget all compiled code."""
    EXPRESSIONS.clear()
    _CODES.clear()
    _VALUES.clear()
    _sweep()


def _compiled(
    text: str, mode: str, make: Callable[[str, str, str], Compiled]
) -> Compiled:
    """Make code with a file name of its own, and remember the text under it."""
    filename = f"<pybridge:{next(_numbers)}>"
    _check(text, filename)
    source = _SOURCES[filename] = _Source(text)
    try:
        made = make(text, filename, mode)
    except SyntaxError:
        del _SOURCES[filename]
        raise
    except BaseException:
        _SOURCES.pop(filename, None)
        raise
    for code in made if isinstance(made, tuple) else (made,):
        if code is not None:
            _watch(code, source, filename)  # type: ignore[arg-type]
    if _shared:
        _publish(filename, text)
    return made


def _expression(text: str, filename: str, _mode: str) -> CodeType:
    """Compile an expression; blanks before it are no indentation, as for eval()."""
    try:
        return COMPILE(text.lstrip(" \t"), filename, True)
    except SyntaxError as exc:
        if not text.strip():
            exc.msg = "the expression is empty"
        elif _is_statement(text):
            exc.msg += (
                "; it is a statement where an expression is wanted: run it as code"
            )
        raise


def _is_statement(text: str) -> bool:
    """Would a text that is no expression be code?"""
    try:
        compile(text, "<text>", "exec", _ONLY_AST, True)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _statements(text: str, filename: str, _mode: str) -> CodeType:
    return COMPILE(text, filename, False)


def _split(text: str, filename: str, mode: str) -> tuple[CodeType | None, CodeType]:
    """Compile all but the last statement, and the last as an expression."""
    import _ast

    tree: Any = compile(text, filename, mode, _ONLY_AST, True)
    if not tree.body or not isinstance(tree.body[-1], _ast.Expr):
        raise BadArgument(_no_value(tree.body))
    last = tree.body.pop().value
    first: CodeType | None = None
    flags = 0
    if tree.body:
        first = compile(tree, filename, "exec", 0, True)
        flags = first.co_flags & _FUTURE_FLAGS
    value = compile(_ast.Expression(body=last), filename, "eval", flags, True)
    return first, value


def _no_value(body: list[Any]) -> str:
    if not body:
        return (
            "the code is empty, so it has no value to assign; end it in an expression"
        )
    kind = type(body[-1]).__name__
    return (
        f"the code does not end in an expression but in {kind} at line "
        f"{body[-1].lineno}, so it has no value to assign; end it in an expression, "
        "or leave the variable out"
    )


def _check(text: str, filename: str) -> None:
    """Refuse what the compiler refuses without saying where."""
    position = text.find("\0")
    message = "source code cannot contain null bytes"
    if position < 0:
        if text.isascii():
            return
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            position = exc.start
            message = (
                f"source code cannot contain the lone surrogate {text[position]!a}"
            )
        else:
            return
    line = text.count("\n", 0, position) + 1
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    shown = text[max(start, position - 100) : position + 100 if end < 0 else end]
    shown = shown.encode(errors="backslashreplace").decode().replace("\0", "\\0")
    raise SyntaxError(message, (filename, line, position - start + 1, shown[:200]))


class _Ref(ref):  # type: ignore[type-arg]
    """A weak reference to a code object that knows where its text is."""

    __slots__ = ("filename", "source")

    source: _Source
    filename: str


# Code that has gone. What is called as it goes is C's append and not a function: a
# stop, such as Ctrl-C, that Python raises in a callback would be lost.
_gone: list[_Ref] = []


def _watch(code: CodeType, source: _Source, filename: str) -> None:
    """Let the text be forgotten with the last of the code objects made from it."""
    if _gone:
        _sweep()
    waiting = [code]
    while waiting:
        one = waiting.pop()
        watched = _Ref(one, _gone.append)
        watched.source, watched.filename = source, filename
        source.codes.add(watched)
        waiting.extend(c for c in one.co_consts if isinstance(c, type(code)))


def _sweep() -> None:
    """Forget the texts of which no code is left."""
    while _gone:
        try:
            dead = _gone.pop()
        except IndexError:  # another thread was first
            return
        dead.source.codes.discard(dead)
        if not dead.source.codes:
            _forget(dead.filename)


def _renamed(code: CodeType, filename: str) -> CodeType:
    """Return the code under another file name, with all code inside it."""
    inner = tuple(
        _renamed(one, filename) if isinstance(one, type(code)) else one
        for one in code.co_consts
    )
    return code.replace(co_filename=filename, co_consts=inner)


def _forget(filename: str) -> None:
    _SOURCES.pop(filename, None)
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        linecache.cache.pop(filename, None)


def _publish(filename: str, text: str) -> None:
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        # No time of change: then linecache.checkcache() leaves the entry alone.
        lines = text.splitlines(keepends=True)
        linecache.cache[filename] = (len(text), None, lines, filename)


def _keep(cache: dict[str, Any], text: str, code: object) -> None:
    """Remember code, and drop the older half of the cache where it grew too large."""
    cache[text] = code
    if len(cache) <= _MAX_ENTRIES and len(text) < _LONG_TEXT:
        return
    # Sums up only for long texts or a full cache, so that it costs little per entry.
    while len(cache) > 1 and (
        len(cache) > _MAX_ENTRIES or sum(map(len, list(cache))) > _MAX_CHARACTERS
    ):
        for old in list(cache)[: max(1, len(cache) // 2)]:
            cache.pop(old, None)
