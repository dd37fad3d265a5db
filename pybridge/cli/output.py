"""What commands print: JSON, rows, sizes, and that something takes its time."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pybridge import serialization

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["busy", "print_json", "print_pairs", "print_rows", "size"]

_SHORTEST = 12  # characters that stay of a cell that is cut
_TO_THE_RIGHT = frozenset({"id", "size"})


def print_json(value: object) -> None:
    """Print a value as JSON for programs; NaN and the infinities are null in it."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        plain = json.loads(serialization.dumps(value, "json"))
        text = json.dumps(plain, indent=2, ensure_ascii=False)
    click.echo(text)


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    right: Collection[str] = _TO_THE_RIGHT,
    styles: Mapping[str, str] | None = None,
    spare: str = "",
    cut: str = "",
) -> None:
    """Print rows: a table on a terminal, else a line each with tabs between.

    columns are the members that are shown, with the heads of their columns; styles say
    in which colour a cell with such a text is shown. On a terminal that is too narrow
    the column `spare` is left out, and then the cells of `cut` end early.
    """
    cells = [[_cell(name, row[name]) for name in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(columns.values()), *cells]:
            click.echo("\t".join(cell.replace("\t", " ") for cell in line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns, cells = _fitting(columns, cells, Console().width, spare, cut)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, head in columns.items():
        table.add_column(head, justify="right" if name in right else "left")
    for line in cells:
        table.add_row(
            *(
                Text(cell, overflow="fold", style=(styles or {}).get(cell, ""))
                for cell in line
            )
        )
    Console(highlight=False).print(table)


def _fitting(
    columns: Mapping[str, str], cells: list[list[str]], width: int, spare: str, cut: str
) -> tuple[Mapping[str, str], list[list[str]]]:
    """Return columns and cells that have room, as far as `spare` and `cut` allow it."""
    widths = {
        name: max(map(len, [head, *(line[at] for line in cells)]))
        for at, (name, head) in enumerate(columns.items())
    }
    excess = sum(widths.values()) + 2 * len(widths) - width
    if excess > 0 and spare in columns:
        at = list(columns).index(spare)
        cells = [line[:at] + line[at + 1 :] for line in cells]
        columns = {name: head for name, head in columns.items() if name != spare}
        excess -= widths[spare] + 2
    if excess > 0 and cut in columns:
        at = list(columns).index(cut)
        longest = max(widths[cut] - excess, _SHORTEST)
        for line in cells:
            if len(line[at]) > longest:
                line[at] = f"{line[at][: longest - 1]}…"
    return columns, cells


def print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values: on a terminal long values go on in the next line whole.

    So they can be copied, as they could not be out of a table that breaks them.
    """
    lines = [("name", "value"), *((_line(name), _line(value)) for name, value in rows)]
    if not sys.stdout.isatty():
        for pair in lines:
            click.echo("\t".join(pair))
        return
    wide = max(len(name) for name, _ in lines)
    for at, (name, value) in enumerate(lines):
        text = f"{name:<{wide}}  {value}"
        click.echo(click.style(text, bold=True) if at == 0 else text)


def _line(text: str) -> str:
    return " ".join(text.replace("\t", " ").split("\n"))


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "size" and isinstance(value, int) and sys.stdout.isatty():
        return size(value)
    return " ".join(str(value).split("\n"))


def size(count: int) -> str:
    """Return a number of bytes for people."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


@contextmanager
def busy(words: str) -> Iterator[None]:
    """Show on a terminal that something takes its time."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(words):
            yield
    else:
        yield
