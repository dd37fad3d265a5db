"""Functions from the command line: run, served, built, looked at and kept in order."""

from __future__ import annotations

import functools
import re
import sqlite3
import sys
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from pybridge.cli.groups import Listed, Told
from pybridge.errors import (
    BadArgument,
    BridgeError,
    NotTrusted,
    RunFailed,
    Undefined,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BROKEN",
    "FAILED",
    "STOPPED",
    "UNKNOWN",
    "WRONG",
    "as_options",
    "command",
    "function",
]

FAILED = 1  # the function failed
WRONG = 2  # click's own number for a wrong use
BROKEN = 3  # it could not be done
UNKNOWN = 4
STOPPED = 130  # as of a program that Ctrl-C has ended

# Verb -> its module here, and what `--help` says of it, in the order of a day's work.
_VERBS = {
    "run": ("running", "Run a function as a job, and show what it gives."),
    "serve": ("running", "Serve a function over HTTP."),
    "build": ("running", "Make the environment of a function, to be used again."),
    "invoke": ("invoking", "Send a request to a function that is served."),
    "logs": ("looking", "Print what a run has written."),
    "list": ("looking", "List runs, functions, data and more."),
    "show": ("looking", "Show all of a run, a function or data, and its lineage."),
    "status": ("looking", "Show the store and the manager, or how a run is."),
    "stop": ("keeping", "Stop runs."),
    "reload": ("keeping", "Replace the replicas of a service."),
    "resume": ("keeping", "Let a run that was stopped go on."),
    "delete": ("keeping", "Delete runs, functions, data."),
    "secret": ("keeping", "Give a secret its value."),
    "export": ("keeping", "Write something into a YAML file."),
    "import": ("keeping", "Read a YAML file that was exported."),
    "manifest": ("manifests", "Write Kubernetes objects that run a function."),
}


class _Group(Listed, Told):
    """The verbs, their errors, and the exit codes of those."""

    words = MappingProxyType({name: words for name, (_, words) in _VERBS.items()})
    codes = MappingProxyType(
        {
            Undefined: UNKNOWN,
            RunFailed: FAILED,
            BadArgument: WRONG,
            BridgeError: BROKEN,
            NotTrusted: BROKEN,
            sqlite3.Error: BROKEN,
            OSError: BROKEN,
            ImportError: BROKEN,
        }
    )

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of a verb."""
        if name in _VERBS and name not in self.commands:
            import_module(f"pybridge.cli.function.{_VERBS[name][0]}")
        return super().get_command(ctx, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C is an end like others."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(STOPPED)

    def sentence(self, exc: Exception) -> str:
        """Return what is said of an error; a package that is missing has a cure."""
        cure = "; pip install 'pybridge[functions]'"
        return as_options(f"{exc}{cure}" if isinstance(exc, ImportError) else str(exc))


# What is said in Python's form, and the same in that of a command line.
_FORMS = (
    (r"in parameters={'(\w+)': …}", r"with --param \1=…"),
    (r"in inputs={'(\w+)': …}", r"with --input \1=…"),
    (
        r"it with project\.new_secret(\([^)]*\))?",
        "it with: pybridge function secret NAME",
    ),
    (
        r"give it a token= \(([^)]*)\), or say insecure=True",
        r"give it a --token (\1), or --insecure",
    ),
)


def as_options(words: str) -> str:
    """Return a message with what it tells to do in the form of a command line."""
    for pattern, form in _FORMS:
        words = re.sub(pattern, form, words)
    return words


@click.group(cls=_Group)
def function() -> None:
    """Run Python functions as jobs, services and builds.

    \b
      pybridge function run train.py --param steps=3
      pybridge function serve train.py:predict --detach
      pybridge function invoke predict --param x=1.5

    FUNCTION is a file with the function in it, `train.py:predict` (the name may be
    left away where there is one function), or one that is stored: its key,
    `project/name`, or a name in the default project. RUN is the key of a run, its id
    or the beginning of that, or a function: its newest run.

    The exit code is 0 when all went well, 1 when the function failed, 2 for a wrong
    use, 3 when it could not be done, 4 when there is no such thing, 130 when the run
    was stopped.
    """  # noqa: D301 (\b is click's)


def command(name: str, **options: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of the group, with the options that all of them have."""

    def made(body: Callable[..., Any]) -> click.Command:
        @functools.wraps(body)
        def checked(*args: Any, store: str | None, **kwargs: Any) -> None:
            from pybridge.functions.store import Store

            body(Store.open(store), *args, **kwargs)

        shown = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        place = click.option(
            "--store",
            type=click.Path(file_okay=False),
            help="The folder of the store, instead of your own.",
        )
        options.setdefault("short_help", _VERBS[name][1])
        return function.command(name, **options)(place(shown(checked)))

    return made
