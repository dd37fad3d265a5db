"""An exception as data: its type and words, and the user's own frames."""

from __future__ import annotations

import linecache
import os
from typing import TYPE_CHECKING, Any

from pybridge.functions import limits
from pybridge.functions.loading import plain
from pybridge.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, TracebackType

__all__ = ["describe", "located", "text", "type_of", "words_of"]

_LONGEST = 16_384  # characters of a message that are kept
_FRAMES = 40  # of a traceback that are kept, half of them from either end
_CAUSES = 5


def describe(
    exc: BaseException,
    *,
    stage: str,
    attempt: int = 1,
    tree: Any = None,
    secrets: Sequence[str] = (),
) -> dict[str, Any]:
    """Return an exception as a dict of JSON values.

    `frames` are those of files of the tree, the outermost first, and `traceback` is
    their text, as Python would have written it; so are those of its causes. What the
    secrets are is nowhere in it.
    """
    root = "" if tree is None else str(getattr(tree, "path", tree))
    found = _Describer(root, tuple(one for one in secrets if one)).one(exc, _CAUSES)
    found["stage"] = stage
    found["attempt"] = attempt
    return found


def located(
    places: Sequence[tuple[str, int, str]], *, tree: Any, secrets: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return those of some places, the outermost first, that are in a tree, as frames.

    A place is a path, a line and the name of a function.
    """
    describer = _Describer(str(tree), tuple(one for one in secrets if one))
    return [
        describer.frame(path, file, line, function)
        for path, line, function in places
        if (file := describer.own(path)) is not None
    ]


class _Describer:
    """What all exceptions of one failure are described with."""

    def __init__(self, root: str, secrets: tuple[str, ...]) -> None:
        self.root = os.path.realpath(root) + "/" if root else ""
        self.given = root + "/" if root else ""
        self.secrets = secrets

    def one(self, exc: BaseException, depth: int) -> dict[str, Any]:
        """Return one exception, and what led to it."""
        kind, message = type_of(exc), mask(plain(words_of(exc)), self.secrets)
        if told := limits.explain(exc):
            message = f"{message}; {told}" if message else told
        frames = self.frames(exc)
        found: dict[str, Any] = {
            "type": kind,
            "message": message,
            "frames": frames,
            "traceback": text(frames, f"{kind}: {message}" if message else kind),
        }
        faults = getattr(exc, "faults", None)
        if isinstance(faults, list):
            found["faults"] = self.jsonable(faults)
        inner = _cause(exc)
        if inner is not None and depth:
            found["cause"] = self.one(inner, depth - 1)
        several = getattr(exc, "exceptions", None)
        if isinstance(several, tuple) and depth:
            found["exceptions"] = [
                self.one(one, depth - 1)
                for one in several[:10]
                if isinstance(one, BaseException)
            ]
        return found

    def jsonable(self, value: Any) -> Any:
        """Return faults as they can be stored, without secrets."""
        if isinstance(value, dict):
            return {str(key): self.jsonable(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.jsonable(one) for one in value]
        if value is None or type(value) in {bool, int, float}:
            return value
        return mask(value if isinstance(value, str) else repr(value), self.secrets)

    def frames(self, exc: BaseException) -> list[dict[str, Any]]:
        """Return the user's frames, the outermost first."""
        found = []
        for code, line in _walk(exc.__traceback__):
            file = self.own(code.co_filename)
            if file is not None:
                found.append(self.frame(code.co_filename, file, line, code.co_name))
        if isinstance(exc, SyntaxError) and exc.filename:
            file = self.own(exc.filename)
            if file is not None:
                line = exc.lineno or 0
                found.append(self.frame(exc.filename, file, line, "<module>"))
        if len(found) > _FRAMES:
            half = _FRAMES // 2
            left = {"left_out": len(found) - 2 * half}
            found = [*found[:half], left, *found[-half:]]
        return found

    def own(self, filename: str) -> str | None:
        """Return the name of a file inside the tree; None where it is elsewhere."""
        if not self.root:
            return None
        for root in (self.given, self.root):
            if filename.startswith(root):
                return filename[len(root) :]
        return None

    def frame(self, path: str, file: str, line: int, function: str) -> dict[str, Any]:
        text = linecache.getline(path, line).strip() if line else ""
        return {
            "file": file,
            "line": line,
            "function": function,
            "text": mask(text, self.secrets)[:200],
        }


def _walk(traceback: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code, traceback.tb_lineno or 0
        traceback = traceback.tb_next


def text(frames: Sequence[dict[str, Any]], last: str) -> str:
    """Return frames as the text that Python writes."""
    lines = []
    if frames:
        lines.append("Traceback (most recent call last):")
    for frame in frames:
        if "left_out" in frame:
            lines.append(f"  [{frame['left_out']} frames left out]")
            continue
        lines.append(
            f'  File "{frame["file"]}", line {frame["line"]}, in {frame["function"]}'
        )
        if frame["text"]:
            lines.append(f"    {frame['text']}")
    lines.append(last)
    return "\n".join(lines)


def _cause(exc: BaseException) -> BaseException | None:
    if exc.__cause__ is not None:
        return exc.__cause__
    return None if exc.__suppress_context__ else exc.__context__


def type_of(exc: BaseException) -> str:
    """Return the name of an exception's class as its user knows it."""
    kind = type(exc)
    module, name = plain(str(kind.__module__)), kind.__qualname__
    if module.partition(".")[0] in {"", "builtins", "__main__", "pybridge"}:
        return name
    return f"{module}.{name}"


def words_of(exc: BaseException) -> str:
    """Return an exception's message with its notes; one that fails to give any too."""
    try:
        words = str(exc)
        if isinstance(exc, KeyError) and len(exc.args) == 1:
            words = repr(exc.args[0])
        notes = getattr(exc, "__notes__", None)
        if isinstance(notes, list):
            words = "\n".join([words, *(str(note) for note in notes)])
    except BaseException as failed:
        return f"<its message cannot be had: {type(failed).__name__}>"
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST]}… ({len(words):,} characters)"
    return words
