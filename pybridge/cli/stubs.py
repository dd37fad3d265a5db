"""Wrappers of Python modules for other languages."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pybridge.errors import BadArgument
from pybridge.stubs import TARGETS, Masks, filename, survey, write
from pybridge.stubs.survey import EXCLUDE, INCLUDE
from pybridge.stubs.words import Options

if TYPE_CHECKING:
    from pybridge.stubs.survey import Module

__all__ = ["stubs"]


@click.command()
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
@click.option("--target", type=click.Choice(tuple(TARGETS)), help="What to write.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A file, or a folder for a file each module; otherwise standard output.",
)
@click.option(
    "--include",
    default=INCLUDE,
    show_default=True,
    help="Names that are wanted: a comma list in which * and ? are wild.",
)
@click.option(
    "--exclude", default=EXCLUDE, show_default=True, help="Names that are not."
)
@click.option("--package", metavar="PREFIX", help="What the names begin with.")
@click.option(
    "--docs",
    type=click.Choice(("full", "first", "none")),
    default="full",
    show_default=True,
    help="How much of each docstring becomes a comment: first is its first paragraph.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the modules have.")
def stubs(
    *,
    modules: tuple[str, ...],
    target: str | None,
    output: Path | None,
    include: str,
    exclude: str,
    package: str | None,
    docs: str,
    as_json: bool,
) -> None:
    """Write wrappers of Python modules for SQL, M, C or a typed stub.

    pybridge stubs random math --target sql --output wrappers/
    """
    if (target is None) != as_json:
        raise click.UsageError("name --target or --json, one of them")
    if package is not None and not (package.isascii() and package.isidentifier()):
        raise click.UsageError(f"'{package}' cannot be what names begin with")
    options = Options(package, docs)
    masks = Masks(include, exclude)
    surveys = [_survey(name, masks) for name in modules]
    if target is None:
        text = json.dumps([one.data() for one in surveys], indent=2) + "\n"
        _put(text, output)
    elif output is not None and (len(surveys) > 1 or output.is_dir()):
        for one in surveys:
            _put(write(one, target, options), output / filename(one, target, options))
    elif len(surveys) > 1 and target in {"m", "pyi"}:
        raise click.UsageError("several modules want a folder; name it with --output")
    else:
        _put("\n".join(write(one, target, options) for one in surveys), output)


def _survey(name: str, masks: Masks) -> Module:
    if "" not in sys.path:
        sys.path.append("")  # a module of the working directory, where none hides it
    try:
        with redirect_stdout(sys.stderr):  # some modules print
            return survey(name, masks)
    except BadArgument as exc:
        raise click.ClickException(str(exc)) from None


def _put(text: str, path: Path | None) -> None:
    if path is None:
        click.echo(text, nl=False)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise click.ClickException(f"'{path}' cannot be written: {exc}") from None
    click.echo(path)
