"""Functions from the command line: run, served, built, looked at and kept in order."""

from __future__ import annotations

import functools
import sqlite3
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from pybridge.errors import (
    BadArgument,
    BridgeError,
    NotTrusted,
    RunFailed,
    Undefined,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BROKEN", "FAILED", "STOPPED", "UNKNOWN", "WRONG", "command", "function"]

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
    "resume": ("keeping", "Let a run that was stopped go on."),
    "delete": ("keeping", "Delete runs, functions, data."),
    "secret": ("keeping", "Give a secret its value."),
    "export": ("keeping", "Write something into a YAML file."),
    "import": ("keeping", "Read a YAML file that was exported."),
    "manifest": ("manifests", "Write Kubernetes objects that run a function."),
}


class _Group(click.Group):
    """A group whose errors are a sentence and an exit code, and which loads on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Return the verbs."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of a verb."""
        if name in _VERBS and name not in self.commands:
            import_module(f"pybridge.cli.function.{_VERBS[name][0]}")
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which verb may have been meant."""
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            from pybridge.functions.faults import nearest

            meant = nearest(args[0], list(_VERBS))
            hint = f"; did you mean '{meant}'?" if meant else ""
            ctx.fail(f"there is no '{args[0]}'{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's)
        formatter: click.HelpFormatter,
    ) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _VERBS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Undefined as exc:
            _fail(ctx, exc, UNKNOWN)
        except RunFailed as exc:
            _fail(ctx, exc, FAILED)
        except BadArgument as exc:
            _fail(ctx, exc, WRONG)
        except KeyboardInterrupt:
            sys.exit(STOPPED)
        except BrokenPipeError:
            sys.stderr.close()  # nobody reads on; Python would say so at its end
            sys.exit(BROKEN)
        except (BridgeError, NotTrusted, sqlite3.Error, OSError) as exc:
            _fail(ctx, exc, BROKEN)
        except ImportError as exc:
            missing = f"{exc}; pip install 'pybridge[functions]'"
            _fail(ctx, ImportError(missing), BROKEN)


def _fail(ctx: click.Context, exc: Exception, code: int) -> None:
    verb = ctx.invoked_subcommand or ""
    click.echo(f"pybridge function {verb}: {exc}", err=True)
    sys.exit(code)


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
