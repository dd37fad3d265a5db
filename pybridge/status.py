"""What is kept of a failure: strings and numbers, never a frame.

Recording must work for any exception whatever, and keep nothing of it alive.
"""

# ruff: noqa: SLF001 - whatever an exception does, recording it works

from __future__ import annotations

import sys

from pybridge import source
from pybridge.errors import BridgeError
from pybridge.masking import mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from pybridge.context import Context

    Frame = tuple[str, int, str, str | None]

__all__ = [
    "Status",
    "is_library",
    "is_own",
    "record",
    "remember",
    "type_name",
    "users_part",
]

_MAX_MESSAGE = 1000
_MAX_TEXT = 100_000
_MAX_FRAMES = 100
_MAX_CHAIN = 20
_REPEATED = 3
_HERE = __file__.rpartition("/")[0] + "/"


class Status:
    """The last failure of a context, and what its last captured call printed."""

    __slots__ = ("failure", "stderr", "stdout")

    def __init__(self) -> None:
        self.failure: _Failure | None = None
        self.stdout: str | None = None
        self.stderr: str | None = None

    def clear(self) -> None:
        """Forget everything."""
        self.failure = self.stdout = self.stderr = None

    def take(self) -> dict[str, Any] | None:
        """Return the report as JSON-ready values, and forget it; None = nothing."""
        failure, stdout, stderr = self.failure, self.stdout, self.stderr
        self.clear()
        if failure is None and stdout is None and stderr is None:
            return None
        report = _NOTHING.copy() if failure is None else failure.report()
        report["stdout"] = stdout
        report["stderr"] = stderr
        return report


_NOTHING: dict[str, Any] = {
    "type": None,
    "message": None,
    "file": None,
    "line": None,
    "traceback": None,
    "causes": [],
}


class _Failure:
    """One exception without the exception: what a report says about it."""

    __slots__ = (
        "after",
        "file",
        "frames",
        "line",
        "members",
        "message",
        "notes",
        "place",
        "relation",
        "text",
        "type",
    )

    def __init__(self) -> None:
        self.type = "Exception"
        self.message = ""  # one line
        self.text = ""  # whole
        self.file = ""
        self.line = 0
        self.place: tuple[str, int, str, int] | None = None  # of a SyntaxError
        self.frames: list[Frame] = []
        self.notes: list[str] = []
        self.members: list[_Failure] = []
        self.after: _Failure | None = None
        self.relation = ""  # what `after` is: "cause" or "context"

    def brief(self) -> dict[str, Any]:
        """Return what a list of causes says."""
        return {
            "type": self.type,
            "message": self.message,
            "file": self.file or None,
            "line": self.line or None,
        }

    def report(self) -> dict[str, Any]:
        """Return everything, as JSON-ready values."""
        report = self.brief()
        report["traceback"] = self.traceback()
        causes = report["causes"] = []
        one: _Failure | None = self
        while one is not None and one.after is not None:
            causes.append({"relation": one.relation, **one.after.brief()})
            one = one.after
        if self.notes:
            report["notes"] = self.notes
        if self.members:
            report["exceptions"] = [member.brief() for member in self.members]
        return report

    def traceback(self) -> str:
        """Return the text that Python would print, without the bridge's frames."""
        lines: list[str] = []
        chain: list[_Failure] = [self]
        while chain[-1].after is not None:
            chain.append(chain[-1].after)
        for failure in reversed(chain):
            failure._own_lines(lines)
            if failure is not self:
                below = chain[chain.index(failure) - 1]
                lines += ["", _RELATIONS[below.relation], ""]
        return "\n".join(lines) + "\n"

    def _own_lines(self, lines: list[str]) -> None:
        if self.frames:
            lines.append("Traceback (most recent call last):")
            _frame_lines(self.frames, lines)
        if self.place is not None:
            file, line, shown, offset = self.place
            lines.append(f'  File "{file}", line {line}')
            if shown.strip():
                stripped = shown.lstrip()
                lines.append("    " + stripped.rstrip())
                caret = offset - 1 - (len(shown) - len(stripped))
                if caret >= 0:
                    lines.append("    " + " " * caret + "^")
        lines.append(f"{self.type}: {self.text}" if self.text else self.type)
        lines += [line for note in self.notes for line in note.split("\n")]
        for number, member in enumerate(self.members, 1):
            lines.append(f"  +---------------- {number} ----------------")
            lines += ["  | " + line for line in member.traceback().splitlines()]


_RELATIONS = {
    "cause": "The above exception was the direct cause of the following exception:",
    "context": "During handling of the above exception, another exception occurred:",
}


def record(exc: BaseException, context: Context | None) -> tuple[str, str, str, int]:
    """Remember `exc` for get_status; return its type, message, file and line.

    Never raises, whatever the exception's own methods do, and lets go of its frames.
    """
    for _ in range(2):  # an interrupt may come in the middle; not twice
        try:
            failure = _failure(exc, 0, set())
            break
        except BaseException:
            failure = _bare_failure(exc)
    try:
        if context is not None:
            context.status.failure = failure
        _let_go(exc)
    except BaseException:  # noqa: S110  (there is nobody left to tell)
        pass
    return failure.type, failure.message, failure.file, failure.line


def type_name(cls: type) -> str:
    """Return a class's qualified name; builtins are bare."""
    try:
        module: object = cls.__module__
        name = cls.__qualname__
        bare = not isinstance(module, str) or module == "builtins"
        return str(name) if bare else f"{module}.{name}"
    except Exception:
        return type.__dict__["__name__"].__get__(cls)  # type: ignore[no-any-return]


def _bare_failure(exc: BaseException) -> _Failure:
    """Record next to nothing: for when recording itself failed."""
    failure = _Failure()
    failure.type = str(type.__dict__["__name__"].__get__(type(exc)))
    return failure


def _failure(exc: BaseException, depth: int, seen: set[int]) -> _Failure:
    failure = _Failure()
    seen.add(id(exc))
    failure.type = _clean(type_name(type(exc)), _MAX_MESSAGE)
    failure.text = _text(exc)
    failure.message = _one_line(failure.text)
    failure.notes = _notes(exc)
    failure.frames = _frames(exc.__traceback__)
    if isinstance(exc, SyntaxError):
        failure.place = _place(exc)
    if failure.place is not None and failure.place[0]:
        failure.file, failure.line = failure.place[0], failure.place[1]
    else:
        failure.file, failure.line = _where(failure.frames)
        if isinstance(exc, BridgeError) and is_library(failure.file):
            # It was raised by the bridge itself, which Python's library had called.
            failure.file, failure.line = "", 0
    if depth >= _MAX_CHAIN:
        return failure
    if isinstance(exc, BaseExceptionGroup):
        failure.members = [
            _failure(one, depth + 1, seen)
            for one in exc.exceptions[:_MAX_CHAIN]
            if id(one) not in seen
        ]
    after, relation = exc.__cause__, "cause"
    if after is None and not exc.__suppress_context__:
        after, relation = exc.__context__, "context"
    if after is not None and id(after) not in seen:
        failure.after = _failure(after, depth + 1, seen)
        failure.relation = relation
    return failure


def _text(exc: BaseException) -> str:
    """Return the whole message, whatever `__str__` does."""
    if isinstance(exc, SystemExit):
        return f"the code called sys.exit({_safe_repr(exc.code)})"
    try:
        # The message of a SyntaxError alone: str() adds the place, told elsewhere.
        text = exc.msg if isinstance(exc, SyntaxError) and exc.msg else str(exc)
    except Exception as failed:
        return f"<str() of the exception raised {type_name(type(failed))}>"
    if not isinstance(text, str):
        text = str(text)
    text += _crossing(exc)
    if not text and type(exc) is KeyboardInterrupt:
        return "the call was interrupted"
    if not text and isinstance(exc, MemoryError):
        return "out of memory"
    return _clean(text, _MAX_TEXT)


def _crossing(exc: BaseException) -> str:
    """Say what to do about text that could not come to Python, or go from it.

    No line of the user's has raised such an exception.
    """
    kind = type(exc)  # what isinstance() asks may be the user's code
    if kind is UnicodeDecodeError and not _frames(exc.__traceback__):
        return "; text comes as UTF-8: hand over other bytes as a blob"
    if kind is UnicodeEncodeError and not _frames(exc.__traceback__):
        return '; use serialization "json" or "repr"'
    return ""


def _safe_repr(value: object) -> str:
    if value is None:
        return ""
    try:
        return _clean(repr(value), _MAX_MESSAGE)
    except Exception:
        return "..."


def _clean(text: str, limit: int) -> str:
    """Cut a text, hide passwords, make it encodable: a surrogate becomes its escape."""
    # Asked here too, as one call more may be one too many where recursion has ended.
    lower = text.lower()
    if "pwd" in lower or "pass" in lower or "token" in lower or "://" in lower:
        text = mask(text)
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def _one_line(text: str) -> str:
    """Return a text without line ends and NULs, and not longer than an error takes."""
    if len(text) > 4 * _MAX_MESSAGE:
        text = text[: 4 * _MAX_MESSAGE]
    text = " ".join(text.replace("\0", "\\0").split())
    return _clean(text, _MAX_MESSAGE)


def _notes(exc: BaseException) -> list[str]:
    notes = getattr(exc, "__notes__", None)
    if not isinstance(notes, (list, tuple)):
        return []
    return [_clean(note, _MAX_TEXT) for note in notes[:_MAX_CHAIN] if type(note) is str]


def _place(exc: SyntaxError) -> tuple[str, int, str, int] | None:
    """Return file, line, text of the line and column of a SyntaxError."""
    file, line = exc.filename, exc.lineno
    if not isinstance(file, str) or not isinstance(line, int):
        return None
    shown = exc.text if isinstance(exc.text, str) else source.line_of(file, line) or ""
    offset = exc.offset if isinstance(exc.offset, int) else 0
    shown = shown.rstrip("\r\n").replace("\f", " ")
    if len(shown) > _MAX_MESSAGE:
        shown, offset = shown[:_MAX_MESSAGE], min(offset, _MAX_MESSAGE)
    return _clean(file, _MAX_MESSAGE), line, _clean(shown, _MAX_TEXT), offset


def _frames(trace: TracebackType | None) -> list[Frame]:
    """Return the user's frames, outermost first; of very many the first and last."""
    frames: list[Frame] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        name = code.co_filename
        if not is_own(name):
            line = trace.tb_lineno or 0
            frames.append(
                (_clean(name, 4096), line, _clean(code.co_qualname, 200), None)
            )
        trace = trace.tb_next
    if len(frames) > _MAX_FRAMES:
        # What is left out of a deep recursion is the same few lines again.
        left_out = len(frames) - _MAX_FRAMES
        half = _MAX_FRAMES // 2
        frames[half:-half] = [("", left_out, "", None)]
    return [
        (file, line, name, _clean(shown, _MAX_MESSAGE))
        if (shown := source.line_of(file, line)) is not None
        else (file, line, name, None)
        for file, line, name, _ in frames
    ]


def _where(frames: list[Frame]) -> tuple[str, int]:
    """Return the place to look at first: the innermost line that is the user's own."""
    for file, line, _, _ in reversed(frames):
        if file and not is_library(file):
            return file, line
    return frames[-1][:2] if frames else ("", 0)


def is_library(file: str) -> bool:
    """Is it a file of Python or of an installed package, and not the user's own?"""
    if "/site-packages/" in file or "/dist-packages/" in file:
        return True
    if file.startswith("<"):
        return not file.startswith("<pybridge:")
    return file.startswith(sys.modules["os"].__file__.rpartition("/")[0] + "/")  # type: ignore[union-attr]


def is_own(file: str) -> bool:
    """Is it a file of the bridge, or of what imports modules?"""
    return file.startswith((_HERE, "<frozen importlib"))


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the user's first frame on, None where there is none."""
    while trace is not None and is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def remember(exc: BaseException, trace: TracebackType | None) -> None:
    """Do as Python's own shell, so that pdb.pm() works."""
    sys.last_type, sys.last_value, sys.last_traceback = type(exc), exc, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = exc


def _frame_lines(frames: list[Frame], lines: list[str]) -> None:
    """Append two lines for each frame; the same frame again and again is counted."""
    import linecache

    repeated = 0
    for index, frame in enumerate(frames):
        file, line, name, shown = frame
        repeated = repeated + 1 if index and frame == frames[index - 1] else 0
        if repeated < _REPEATED:
            if not file:
                lines.append(f"  [{line} more frames]")
                continue
            lines.append(f'  File "{file}", line {line}, in {name}')
            shown = mask(linecache.getline(file, line) if shown is None else shown)
            shown = shown.strip()
            if shown:
                lines.append("    " + shown)
            continue
        if index + 1 == len(frames) or frames[index + 1] != frame:
            lines.append(
                f"  [Previous line repeated {repeated - _REPEATED + 1} more times]"
            )


def _let_go(exc: BaseException) -> None:
    """Break the cycles that exceptions make with the frames they went through."""
    waiting: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
