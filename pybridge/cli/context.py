"""Saved contexts from the command line: made, looked at, compared, brought back."""

from __future__ import annotations

import functools
import sqlite3
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from pybridge import main, moments
from pybridge._words import counted
from pybridge.cli.groups import Told
from pybridge.cli.output import busy, print_json, print_rows, size
from pybridge.errors import BadArgument, BridgeError, NotTrusted, UnknownSnapshot
from pybridge.progress import shown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["context"]

FAILED = 1
NOT_TRUSTED = 3
UNKNOWN = 4


class _Group(Told):
    """Its errors, and their exit codes."""

    codes = MappingProxyType(
        {
            NotTrusted: NOT_TRUSTED,
            UnknownSnapshot: UNKNOWN,
            BridgeError: FAILED,
            sqlite3.Error: FAILED,
            OSError: FAILED,
        }
    )


@click.group(cls=_Group)
def context() -> None:
    """Save contexts, look at them, compare them, bring them back.

    SNAPSHOT is the number of a saved context, or a name: the newest of that name. The
    exit code is 0 when all went well, 1 on an error (and for `diff` and `verify`, when
    something differs), 2 for a wrong use, 3 when a snapshot is not trusted, 4 when
    there is no such snapshot.
    """


# ---- What the commands share --------------------------------------------------------


class _Snapshot(click.ParamType):  # type: ignore[type-arg]
    """A number, or a name."""

    name = "snapshot"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 (click's)
        ctx: click.Context | None,  # noqa: ARG002 (click's)
    ) -> int | str:
        """Return a number where there are digits alone."""
        text = str(value)
        return int(text) if text.isascii() and text.isdecimal() else text


_SNAPSHOT = _Snapshot()

# What `--help` of all says of each; click would cut the first sentence off.
_VERBS = {
    "delete": "Remove snapshots.",
    "diff": "Show what differs between two.",
    "export": "Write one to a file of its own.",
    "import": "Read such a file.",
    "inspect": "List what restoring one would import.",
    "list": "List the snapshots, the newest first.",
    "restore": "Restore one, then run a program, or open a shell.",
    "save": "Run a program in a new context and save that.",
    "search": "Find items in all snapshots.",
    "show": "Show what is in one, and what could not be saved.",
    "trust": "Sign one, as it is now, with your own key.",
    "verify": "Say whether some, or all, are what was saved.",
}


def _command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of the group, with the options that all of them have."""

    def made(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def checked(*args: Any, store: str | None, **kwargs: Any) -> None:
            if store and name not in {"save", "import"} and not Path(store).is_file():
                raise BadArgument(f"there is no store '{store}'")
            function(*args, store=store, **kwargs)

        shown = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        place = click.option(
            "--store",
            type=click.Path(dir_okay=False),
            help="The SQLite file of the snapshots, instead of your own.",
        )
        its = context.command(name, short_help=_VERBS[name])
        return its(place(shown(checked)))

    return made


def _say_skipped(report: dict[str, Any], what: str) -> None:
    for one in report["skipped"]:
        click.echo(f"{what}: {one['kind']} {one['name']}: {one['reason']}", err=True)
    for note in report["notes"]:
        click.echo(f"note: {note}", err=True)


# ---- Code that is run ---------------------------------------------------------------


def _code(file: str | None, code: str | None) -> tuple[str, str] | None:
    """Return the text to be run and the name of its file; None = there is none."""
    if file is not None and code is not None:
        raise click.UsageError("give a FILE or -c CODE, not both")
    if code is not None:
        return code, "<string>"
    if file is None:
        return None
    if file == "-":
        return sys.stdin.read(), "<stdin>"
    if not Path(file).exists():
        raise click.UsageError(f"there is no file '{file}'")
    return Path(file).read_text(encoding="utf-8"), file


def _run(text: str, file: str, *, as_json: bool) -> None:
    """Run code in the context "main"; a failure is shown, and ends with its code.

    Where the command prints JSON, what the code prints goes to standard error.
    """
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        _execute(text, file)


def _execute(text: str, file: str) -> None:
    from pybridge import status
    from pybridge.context import get

    at = get()
    try:
        exec(compile(text, file, "exec"), at.namespace)  # noqa: S102 (the command)
    except SystemExit as exc:
        if exc.code not in {None, 0}:
            raise
    except BaseException as exc:
        status.record(exc, at)
        report = at.status.take() or {}
        click.echo(report.get("traceback") or report.get("message"), err=True, nl=False)
        sys.exit(130 if isinstance(exc, KeyboardInterrupt) else FAILED)


# ---- Saving and restoring -----------------------------------------------------------


@_command("save")
@click.argument("name")
@click.argument("file", required=False)
@click.option("-c", "code", help="The code to run, instead of a FILE.")
@click.option("--mask", default="*", help='Which names to save: "a,b*".')
@click.option(
    "--max-length",
    type=click.IntRange(min=0),
    default=0,
    help="Leave out names whose pickle has more bytes; 0 = none.",
)
@click.option("--description", default="", help="What to remember it by.")
def _save(
    name: str,
    file: str | None,
    *,
    code: str | None,
    mask: str,
    max_length: int,
    description: str,
    store: str | None,
    as_json: bool,
) -> None:
    """Run FILE ("-" is the standard input) in a new context and save that as NAME.

    A program that fails is shown, and nothing is saved.
    """
    given = _code(file, code)
    if given is None:
        raise click.UsageError("there is nothing to run; give a FILE or -c CODE")
    _run(*given, as_json=as_json)
    with shown(f"saving {name}") as progress:
        report = main.save_context(
            name, mask, max_length, description, store=store, progress=progress
        )
    if as_json:
        print_json(report)
        return
    total = size(sum(one["size"] for one in report["saved"]))
    click.echo(
        f"saved '{report['name']}' as {report['id']}: "
        f"{counted(len(report['saved']), 'name')}, {total}"
    )
    _say_skipped(report, "not saved")


@_command("restore")
@click.argument("snapshot", type=_SNAPSHOT)
@click.argument("file", required=False)
@click.option("-c", "code", help="The code to run, instead of a FILE.")
@click.option("--mask", default="*", help='Which names to restore: "a,b*".')
@click.option("--safe", is_flag=True, help="Only data: nothing that could run code.")
@click.option("--lenient", is_flag=True, help="Leave out what does not load.")
@click.option("--trust", is_flag=True, help="Also where the signature is not yours.")
def _restore(
    snapshot: int | str,
    file: str | None,
    *,
    code: str | None,
    mask: str,
    safe: bool,
    lenient: bool,
    trust: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Restore SNAPSHOT, then run FILE, or -c CODE, or open a shell.

    With --json the report is printed, and a shell is not opened.
    """
    given = _code(file, code)
    with shown(f"restoring {snapshot}") as progress:
        report = main.restore_context(
            snapshot,
            mask,
            mode="safe" if safe else "full",
            strict=not lenient,
            trust=trust,
            store=store,
            progress=progress,
        )
    if as_json:
        print_json(report)
    else:
        _say_skipped(report, "not restored")
    if given is not None:
        _run(*given, as_json=as_json)
    elif not as_json:
        from pybridge.shell import interact

        click.echo(
            f"restored {counted(len(report['restored']), 'name')} of "
            f"'{report['name']}' ({report['id']})",
            err=True,
        )
        sys.exit(interact())


# ---- Looking ------------------------------------------------------------------------


@_command("list")
def _list(*, store: str | None, as_json: bool) -> None:
    """List the snapshots, the newest first."""
    rows = main.list_contexts(store=store)
    if as_json:
        print_json(rows)
    elif not rows and sys.stdout.isatty():
        click.echo("nothing is saved yet")
    else:
        print_rows(
            _dated(rows),
            {
                "id": "id",
                "name": "name",
                "created": "created",
                "items": "names",
                "size": "size",
                "python": "python",
                "signature": "signature",
                "description": "description",
            },
            spare="python",
            cut="description",
        )


def _dated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with times as people read them, where people do."""
    if not sys.stdout.isatty():
        return rows
    return [{**row, "created": moments.dated(row["created"])} for row in rows]


@_command("show")
@click.argument("snapshot", type=_SNAPSHOT)
def _show(snapshot: int | str, *, store: str | None, as_json: bool) -> None:
    """Show what is in SNAPSHOT, and what could not be saved; nothing is loaded."""
    described = main.describe_context(snapshot, store=store)
    if as_json:
        print_json(described)
        return
    head = ("id", "name", "description", "created", "python", "signature")
    for name in head:
        if described[name] not in {"", None}:
            click.echo(f"{name + ':':<13}{described[name]}")
    click.echo()
    print_rows(
        described["items"],
        {
            "kind": "kind",
            "name": "name",
            "type": "type",
            "size": "size",
            "preview": "value",
            "reason": "not saved because",
        },
    )


@_command("search")
@click.argument("name", required=False)
@click.option("--type", "type_", help='Of these types: "DataFrame,int*".')
@click.option("--text", help="With this in a value, a docstring or a source.")
@click.option("--after", help="Saved at or after this: 2024-02-29.")
@click.option("--before", help="Saved before this.")
def _search(
    name: str | None,
    *,
    type_: str | None,
    text: str | None,
    after: str | None,
    before: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Find items in all snapshots; NAME is a mask such as "model*"."""
    rows = main.search_contexts(name, type_, text, after, before, store=store)
    if as_json:
        print_json(rows)
        return
    print_rows(
        _dated(rows),
        {
            "id": "id",
            "snapshot": "snapshot",
            "created": "created",
            "kind": "kind",
            "name": "name",
            "type": "type",
            "size": "size",
            "preview": "value",
        },
        cut="preview",
    )


@_command("diff")
@click.argument("a", type=_SNAPSHOT)
@click.argument("b", type=_SNAPSHOT)
def _diff(a: int | str, b: int | str, *, store: str | None, as_json: bool) -> None:
    """Show what differs from A to B; the exit code is 1 when something does."""
    rows = main.diff_contexts(a, b, store=store)
    if as_json:
        print_json(rows)
    elif rows:
        names = ("kind", "name", "change", "before", "after")
        print_rows(rows, {name: name for name in names})
    sys.exit(1 if rows else 0)


# ---- Keeping order ------------------------------------------------------------------


@_command("delete")
@click.argument("snapshots", type=_SNAPSHOT, nargs=-1, required=True)
def _delete(
    snapshots: tuple[int | str, ...], *, store: str | None, as_json: bool
) -> None:
    """Remove SNAPSHOTS."""
    gone = [main.delete_context(one, store=store) for one in snapshots]
    if as_json:
        print_json(gone)
    else:
        click.echo(f"deleted {', '.join(str(one) for one in gone)}")


@_command("export")
@click.argument("snapshot", type=_SNAPSHOT)
@click.argument("file", type=click.Path(dir_okay=False))
def _export(
    snapshot: int | str, file: str, *, store: str | None, as_json: bool
) -> None:
    """Write SNAPSHOT with all that belongs to it to FILE, which must be new."""
    if Path(file).exists():
        raise BadArgument(f"'{file}' is there already; name a new file")
    with busy(f"writing {file}"):
        main.export_context(snapshot, file, store=store)
    if as_json:
        print_json({"file": file, "size": Path(file).stat().st_size})


@_command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def _import(file: str, *, store: str | None, as_json: bool) -> None:
    """Read a FILE that `export` has written, and print its number here.

    It keeps its signature: restoring what somebody else has signed wants `trust`.
    """
    with busy(f"reading {file}"):
        number = main.import_context(file, store=store)
    if as_json:
        print_json({"id": number})
    else:
        click.echo(f"imported as {number}")


# ---- Trust --------------------------------------------------------------------------


@_command("inspect")
@click.argument("snapshot", type=_SNAPSHOT)
def _inspect(snapshot: int | str, *, store: str | None, as_json: bool) -> None:
    """List what restoring SNAPSHOT would import, without loading anything."""
    rows = main.inspect_context(snapshot, store=store)
    if as_json:
        print_json(rows)
        return
    names = ("item", "module", "name", "known")
    print_rows(rows, {name: name for name in names})


@_command("verify")
@click.argument("snapshots", type=_SNAPSHOT, nargs=-1)
def _verify(
    snapshots: tuple[int | str, ...], *, store: str | None, as_json: bool
) -> None:
    """Read all of SNAPSHOTS, or of every one, and say whether it is what was saved."""
    wanted = snapshots or tuple(one["id"] for one in main.list_contexts(store=store))
    with busy("reading") if not as_json else nullcontext():
        checked = [main.verify_context(one, store=store) for one in wanted]
    whole = all(not one["problems"] for one in checked)
    if as_json:
        print_json(checked)
    else:
        for one in checked:
            problems = "; ".join(one["problems"]) or "whole"
            signed = f"signature: {one['signature']}" if one["signature"] else ""
            click.echo("\t".join(filter(None, [str(one["id"]), problems, signed])))
    sys.exit(0 if whole else 1)


@_command("trust")
@click.argument("snapshot", type=_SNAPSHOT)
def _trust(snapshot: int | str, *, store: str | None, as_json: bool) -> None:
    """Sign SNAPSHOT, as it is now, with your own key.

    Look at it before: `pybridge context inspect SNAPSHOT` lists what it would import.
    """
    number = main.trust_context(snapshot, store=store)
    if as_json:
        print_json({"id": number})
    else:
        click.echo(f"{number} is signed with your key")
