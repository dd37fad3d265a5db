"""Tables and previews, on a terminal as wide as it, over a pipe as wide as they are."""

from __future__ import annotations

import reprlib
import sys
from typing import TYPE_CHECKING, Any

from pybridge._words import counted
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pybridge.shell.console import Console

__all__ = ["described", "frame", "line", "seconds", "table"]

_ROWS = 20
_PREVIEW = 60
_WIDE = 500
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def line(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


def table(
    console: Console,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[bool] = (),
) -> None:
    """Print rows of text under their heads; columns of numbers stand to the right."""
    from rich import box
    from rich.console import Console as Printer
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, head in enumerate(heads):
        right = i < len(numbers) and numbers[i]
        # Where the terminal is too narrow, the last column gives way.
        last = i + 1 == len(heads)
        shown.add_column(
            Text(_printable(head), no_wrap=True, overflow="ellipsis"),
            justify="right" if right else "left",
            no_wrap=not (last or numbers),
        )
    for row in rows:
        cells = (Text(_printable(c), no_wrap=True, overflow="ellipsis") for c in row)
        shown.add_row(*cells)
    printer = Printer(
        file=sys.stdout,
        width=None if console.terminal else _WIDE,
        highlight=False,
        legacy_windows=False,
    )
    if console.terminal:
        printer.print(shown)
        return
    with printer.capture() as captured:
        printer.print(shown)
    for text in captured.get().splitlines():
        line(text.rstrip())


def frame(console: Console, rows: Any, name: str = "") -> None:
    """Print the first rows of a DataFrame, and how large it is."""
    columns = [str(column) for column in rows.columns]
    most = _columns_that_fit(console)
    numbers = [getattr(kind, "kind", "O") in "iufc" for kind in rows.dtypes][:most]
    head = rows.iloc[:_ROWS, :most]
    cells = [[_cell(value) for value in row] for row in head.itertuples(index=False)]
    if columns:
        table(console, columns[:most], cells, numbers)
    size = f"{counted(len(rows), 'row')}, {counted(len(columns), 'column')}"
    if head.shape != rows.shape:
        size += f"; {head.shape[0]} x {head.shape[1]} of them shown"
    line(f"{name}: {size}" if name else size)


def _columns_that_fit(console: Console) -> int:
    from shutil import get_terminal_size

    return max(1, get_terminal_size().columns // 9) if console.terminal else _WIDE // 9


def described(value: object) -> tuple[str, str, str, str]:
    """Return type, shape, size and preview of a value, whatever that value does."""
    parts = []
    for part in (_shape, _size, _preview):
        try:
            parts.append(part(value))
        except Exception as exc:
            parts.append(f"<{type(exc).__name__}>")
    return type_name(type(value)), parts[0], parts[1], parts[2]


def seconds(duration: float) -> str:
    """Return a duration in the unit that fits it."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if duration * factor >= 1:
            return f"{duration * factor:.3g} {unit}"
    return f"{duration * 1e9:.0f} ns"


def _shape(value: Any) -> str:
    if isinstance(value, type):
        return ""
    shape = getattr(value, "shape", None) if _is_array(value) else None
    if isinstance(shape, tuple):
        return " x ".join(map(str, shape))
    if isinstance(value, (str, bytes, bytearray, list, tuple, set, frozenset, dict)):
        return str(len(value))
    return ""


def _size(value: Any) -> str:
    """Return how much memory a value takes; of containers, without what is in them."""
    size = sys.getsizeof(value)
    if _is_array(value):
        used = getattr(value, "memory_usage", None)
        if callable(used):
            total = used()
            size = int(total.sum() if hasattr(total, "sum") else total)
        else:
            size = int(getattr(value, "nbytes", size))
    amount, unit = float(size), 0
    while amount >= 1024 and unit + 1 < len(_UNITS):
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.0f} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def _preview(value: Any) -> str:
    columns = getattr(value, "columns", None) if _is_array(value) else None
    if columns is not None:
        return _short("columns " + ", ".join(map(str, columns)))
    if isinstance(value, type(sys)):
        return _short(str(getattr(value, "__file__", None) or "built in"))
    if callable(value) and hasattr(value, "__code__"):
        import inspect

        return _short(f"{value.__name__}{inspect.signature(value)}")
    return _short(" ".join(_REPR.repr(value).split()))


class _Repr(reprlib.Repr):
    """Short texts of long values; what has no short form is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _PREVIEW
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 8


_REPR = _Repr()


def _short(text: str) -> str:
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 3] + "..."


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 (NaN)
        return ""
    if isinstance(value, bytes):
        return _short(f"x'{value[:_PREVIEW].hex()}'")
    text = str(value)
    return "" if text in ("<NA>", "NaT") else text


def _printable(text: str) -> str:
    """Return a text that stands on one line and moves no cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _is_array(value: object) -> bool:
    return type(value).__module__.partition(".")[0] in (
        "numpy",
        "pandas",
        "polars",
        "pyarrow",
    )
