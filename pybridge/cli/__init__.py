"""The command line: each command is a module of this folder, loaded when it is used."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType

import click

import pybridge
from pybridge.cli.groups import Listed

__all__ = ["main"]

# Command -> its module here, where it has the same name, and what `--help` says of it.
# Only the command that is used is imported: some bring large libraries with them.
COMMANDS = {
    "config": ("library", "Print the flags that a C program is built with."),
    "context": ("context", "Save contexts, look at them, bring them back."),
    "doctor": ("library", "Show what a host will load and why, and what is wrong."),
    "function": ("function", "Run functions as jobs, services and builds."),
    "gtm-setup": ("gtm", "Make a GT.M database that has Python."),
    "path": ("library", "Print where a file of the installed package is."),
    "stubs": (
        "stubs",
        "Write wrappers of Python modules for SQL, M, C or a typed stub.",
    ),
    "shell": ("shell", "Open an interactive Python over a context."),
    "version": ("library", "Print the version of the package and of its Python."),
}


class _Commands(Listed):
    """The commands, in the order of the alphabet."""

    words = MappingProxyType({name: COMMANDS[name][1] for name in sorted(COMMANDS)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 (click's)
        """Return the command of that name."""
        if name not in COMMANDS:
            return None
        module = import_module(f"pybridge.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pybridge.__version__, prog_name="pybridge")
def main() -> None:
    """Python inside the process that holds the data."""
