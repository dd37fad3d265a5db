"""A GT.M database with Python in it."""

from __future__ import annotations

from pathlib import Path

import click

from pybridge.errors import BridgeError

__all__ = ["gtm_setup"]


@click.command("gtm-setup")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where the database is, or is to be.",
)
@click.option("--utf8", is_flag=True, help="Use GT.M's UTF-8 mode.")
def gtm_setup(*, directory: Path, utf8: bool) -> None:
    """Make a GT.M database that has Python, or give Python to one.

    Writes the table of call-outs and an environment file; the data stays as it is.
    """
    from pybridge.gtm.install import install

    try:
        database = install(directory, utf8=utf8)
    except (BridgeError, OSError) as exc:
        raise click.ClickException(str(exc)) from None
    click.echo(f". {database.environment}")
    click.echo("mumps -direct")
    click.echo('do ^zpy("1 + 1")')
