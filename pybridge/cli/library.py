"""Where the library is, how to link it, and what is wrong with it."""

from __future__ import annotations

import shlex
import sys

import click

import pybridge
from pybridge.location import INCLUDE, LIBRARY, PLACES

__all__ = ["config", "doctor", "path", "version"]


@click.command()
@click.argument("what", type=click.Choice(tuple(PLACES)))
def path(what: str) -> None:
    """Print where a file is.

    library: libpybridge.so; sqlite: what the sqlite3 shell's .load takes; header:
    pybridge.h; include: its folder; pkgconfig: the folder for PKG_CONFIG_PATH;
    gtm: the folder of GT.M's routines and tables.
    """
    place = PLACES[what]
    click.echo(place)
    if not place.exists():
        click.echo(
            "there is no such file yet; run: python -m pybridge doctor", err=True
        )
        sys.exit(1)


@click.command()
@click.option("--cflags", is_flag=True, help="What the compiler needs.")
@click.option("--libs", is_flag=True, help="What the linker needs, rpath included.")
def config(*, cflags: bool, libs: bool) -> None:
    """Print the flags that a C program is built with.

    cc program.c $(python -m pybridge config --cflags --libs) -o program
    """
    if not cflags and not libs:
        raise click.UsageError("nothing to print; name --cflags, --libs or both")
    flags = [f"-I{INCLUDE}"] if cflags else []
    if libs:
        folder = LIBRARY.parent
        flags += [f"-L{folder}", f"-Wl,-rpath,{folder}", "-lpybridge"]
    click.echo(shlex.join(flags))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def doctor(*, as_json: bool) -> None:
    """Show what a host will load and why, and what is wrong with it.

    The exit code is 1 when something is wrong that keeps Python from starting or the
    package from working.
    """
    from pybridge.doctor import examine

    examination = examine()
    if as_json:
        click.echo(examination.json())
    else:
        examination.show()
    sys.exit(0 if examination.healthy else 1)


@click.command()
def version() -> None:
    """Print the version of the package and the Python that it runs on."""
    click.echo(f"pybridge {pybridge.__version__} (Python {sys.version.split()[0]})")
