"""The interactive Python over a context."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["shell"]


@click.command()
@click.option("--context", metavar="NAME", help='The context; "main" without it.')
@click.option(
    "--db",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An SQLite database to have beside it, for :query and pybridge.host.",
)
@click.option("-c", "code", metavar="CODE", multiple=True, help="Run this, and leave.")
@click.option("--prompts", is_flag=True, help="Show prompts also over a pipe.")
@click.option("--quiet", "-q", is_flag=True, help="Greet nobody.")
def shell(
    *,
    context: str | None,
    db: Path | None,
    code: tuple[str, ...],
    prompts: bool,
    quiet: bool,
) -> None:
    """Open an interactive Python over a context.

    On a terminal it is edited, with history, completion and colours; over a pipe it
    runs each line, or block of lines, and prints the values. The exit code is that of
    quit(); without it 0, or 1 where input that was not typed has failed.
    """
    from pybridge.errors import BridgeError
    from pybridge.shell import interact

    if "" not in sys.path:
        sys.path.insert(0, "")  # modules of the working directory, as for python itself
    try:
        if db is None:
            ended = interact(context, code=code, banner=not quiet, prompts=prompts)
        else:
            from pybridge.shell.database import interact as interact_beside

            ended = interact_beside(
                db, context, code=code, banner=not quiet, prompts=prompts
            )
    except BridgeError as exc:
        raise click.ClickException(str(exc)) from None
    sys.exit(ended)
