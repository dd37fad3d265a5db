"""Shown: a run, its results and tables, for people; as JSON for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pybridge._words import counted
from pybridge.cli.function import as_options
from pybridge.cli.function.following import COLOURS, lasted
from pybridge.cli.output import print_json, print_pairs, print_rows

if TYPE_CHECKING:
    from pybridge.functions.run import Run

__all__ = ["ending", "failure", "outcome", "preview", "results"]

_WIDTH = 60  # characters of a value in a table


def ending(run: Run) -> str:
    """Say in one line how a run has ended."""
    from pybridge.functions import report

    told = report.summary(run.to_dict())
    state = click.style(run.state, fg=COLOURS.get(run.state), bold=True)
    time = lasted(told["seconds"])
    return f"{state}{f' in {time}' if time else ''}  {run.id}"


def outcome(run: Run, *, as_json: bool, traceback: bool = True) -> None:
    """Print what became of a run: results to stdout, the rest to stderr."""
    from pybridge.functions import report

    if as_json:
        told = {**report.summary(run.to_dict()), **report.outcome(run)}
        print_json(told)
        return
    click.echo(ending(run), err=True)
    if run.state == "COMPLETED":
        results(run)
    elif run.state == "ERROR":
        failure(run, traceback=traceback)


def failure(run: Run, *, traceback: bool = True) -> None:
    """Print what a run has failed with."""
    error = run.status.get("error") or {}
    words = run.status.get("message") or "it failed"
    stage = f" in stage '{error['stage']}'" if error.get("stage") else ""
    attempts = len(run.status.get("attempts") or ())
    if attempts > 1:
        stage += f", attempt {attempts}"
    if error.get("frames"):
        if traceback:  # else it stands above, in the log
            click.echo(error["traceback"], err=True)
    elif error.get("faults"):
        click.echo(as_options(error["message"]), err=True)
    else:
        click.echo(as_options(str(words)), err=True)
    click.echo(f"it failed{stage}; pybridge function show {run.id}", err=True)


def results(run: Run) -> None:
    """Print the results and outputs of a run, and the first rows of its tables."""
    values = run.results()
    made = run.outputs()
    rows = [(name, _short(value)) for name, value in values.items()]
    rows += [(name, entity.key) for name, entity in made.items()]
    built = run.status.get("build") or {}
    rows += [(name, value) for name, value in built.items() if isinstance(value, str)]
    if rows:
        print_pairs(rows)
    if sys.stdout.isatty():
        for name, entity in made.items():
            found = getattr(entity, "preview", None)
            if found:
                click.echo(f"\n{name}: {counted(found.get('rows') or 0, 'row')}")
                preview(found)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    if sys.stdout.isatty() and len(text) > _WIDTH * 5:
        return text[: _WIDTH * 5] + "…"
    return text


def preview(found: dict[str, Any]) -> None:
    """Print the first rows of a table."""
    columns = found.get("cols") or []
    height = max((len(one.get("value") or ()) for one in columns), default=0)
    names = {str(place): str(one["name"]) for place, one in enumerate(columns)}
    rows = [
        {
            str(place): _cell(one["value"][row] if row < len(one["value"]) else None)
            for place, one in enumerate(columns)
        }
        for row in range(height)
    ]
    print_rows(rows, names, right=())
    more = (found.get("rows") or 0) - height
    if more > 0:
        click.echo(f"… {more} more")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
