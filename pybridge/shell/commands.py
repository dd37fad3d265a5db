"""The commands of the shell: lines that begin with a colon, which Python never has."""

from __future__ import annotations

import fnmatch
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pybridge import context, host, moments, source
from pybridge._words import counted
from pybridge.errors import BadArgument
from pybridge.progress import shown
from pybridge.shell import show
from pybridge.shell.console import Leave

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.shell.console import Console

    Body = Callable[[Console, str], None]
    Words = Callable[[Console], list[str]]

__all__ = ["COMMANDS", "completions", "run"]


class Command(NamedTuple):
    """What is done, and what `:help` says of it."""

    run: Body
    usage: str
    help: str
    words: Words | None  # what could follow it


COMMANDS: dict[str, Command] = {}


def run(console: Console, text: str) -> None:
    """Run a command, written with its colon.

    Raises:
        BadArgument: there is no such command, or its arguments are not what it takes.

    """
    name, rest = _split(text)
    found = [known for known in COMMANDS if known.startswith(name)] if name else []
    if name in COMMANDS:
        found = [name]
    if len(found) != 1:
        what = f"could be :{' or :'.join(found)}" if found else "is no command"
        raise BadArgument(f"':{name}' {what}; :help lists them all")
    COMMANDS[found[0]].run(console, rest.strip())


def completions(text: str, console: Console) -> list[str] | None:
    """Return the words that could end a command's line; None = Python code could."""
    name, rest = _split(text)
    if not rest:
        return [f":{known}" for known in COMMANDS]
    command = COMMANDS.get(name)
    if command is None or command.words is None:
        return None
    return command.words(console)


def _split(text: str) -> tuple[str, str]:
    """Return the name of a command and what follows it, blanks included."""
    words = text[1:]
    end = next((i for i, c in enumerate(words) if c.isspace()), len(words))
    return words[:end], words[end:]


def _command(usage: str, words: Words | None = None) -> Callable[[Body], Body]:
    """Make a function a command: `usage` is its name and arguments."""

    def keep(body: Body) -> Body:
        name = usage.split(maxsplit=1)[0][1:]
        COMMANDS[name] = Command(body, usage, str(body.__doc__), words)
        return body

    return keep


def _none(_console: Console) -> list[str]:
    return []


def _options(
    rest: str, known: dict[str, type], most: int, name: str
) -> tuple[list[str], dict[str, Any]]:
    """Return the words of a command, and its options: `--mask a*` or `--clear`.

    Raises:
        BadArgument: an option is unknown or lacks its value, or there are more words.

    """
    try:
        words = shlex.split(rest)
    except ValueError as exc:
        raise BadArgument(f":{name}: {exc}") from None
    plain: list[str] = []
    options: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            plain.append(word)
            continue
        option, equals, value = word[2:].partition("=")
        key = option.replace("-", "_")
        if key not in known:
            listed = ", ".join(f"--{one.replace('_', '-')}" for one in known)
            raise BadArgument(f":{name} has no '--{option}'; it has {listed or 'none'}")
        if known[key] is bool:
            options[key] = True
            continue
        if not equals:
            if not words:
                raise BadArgument(f":{name}: '--{option}' lacks its value")
            value = words.pop(0)
        try:
            options[key] = known[key](value)
        except ValueError:
            raise BadArgument(f":{name}: '--{option}' takes a number") from None
    if len(plain) > most:
        raise BadArgument(f":{name} takes {most or 'no'} name, here are {len(plain)}")
    return plain, options


# ---- The context --------------------------------------------------------------------


@_command(":vars [MASK]")
def _vars(console: Console, rest: str) -> None:
    """List the variables of the context: name, type, shape, size and a preview.

    MASK is a comma list of names with * and ?, such as x*,data.
    """
    rows = [
        (name, *show.described(console.namespace[name]))
        for name in _named(console, rest)
    ]
    if not rows:
        matching = f" match '{rest}'" if rest else ""
        show.line(f"no variables in context '{console.name}'{matching}")
        return
    show.table(console, ("name", "type", "shape", "size", "preview"), rows)


def _named(console: Console, mask: str) -> list[str]:
    """Return the sorted names of variables that a mask means; "" means all."""
    masks = [one.strip() for one in (mask or "*").split(",")]
    return sorted(
        name
        for name in map(str, console.namespace)
        if not (name.startswith("__") and name.endswith("__"))
        and any(fnmatch.fnmatchcase(name, one) for one in masks)
        and name in console.namespace
    )


@_command(":context [NAME]", lambda _console: context.names())
def _context(console: Console, rest: str) -> None:
    """Show the context, or switch to another; it is made where it is new."""
    if rest:
        console.name = context.get(rest).name
    show.line(f"context '{console.name}'")


@_command(":contexts", _none)
def _contexts(console: Console, _rest: str) -> None:
    """List the contexts of this process and how many variables each has."""
    rows = [
        ("*" if name == console.name else "", name, str(_count(name)))
        for name in sorted({*context.names(), console.name})
    ]
    show.table(console, ("", "context", "variables"), rows)


def _count(name: str) -> int:
    names = context.get(name).namespace
    return sum(not str(one).startswith("__") for one in names)


@_command(":clear [MASK]")
def _clear(console: Console, rest: str) -> None:
    """Delete the variables that MASK names, as for :vars; without it, all."""
    names = _named(console, rest)
    for name in names:
        console.namespace.pop(name, None)
    show.line(f"{len(names)} deleted")


# ---- Snapshots ----------------------------------------------------------------------


@_command(":save [NAME] [--mask MASK] [--max-length BYTES] [--description TEXT]", _none)
def _save(console: Console, rest: str) -> None:
    """Save the context, under a name where one is given; say what was not saved."""
    from pybridge import snapshot

    known = {"mask": str, "max_length": int, "description": str}
    words, options = _options(rest, known, 1, "save")
    name = words[0] if words else ""
    with shown(f"saving {name or console.name}") as progress:
        report = snapshot.save(console.name, name, **options, progress=progress)
    show.line(f"saved {counted(len(report.saved), 'name')} as {report.id}")
    _show_skipped(console, report)


@_command(
    ":restore ID|NAME [--mask MASK] [--clear] [--safe] [--lenient] [--trust]", _none
)
def _restore(console: Console, rest: str) -> None:
    """Bring back what was saved, by its number or name (then the newest of it).

    --clear drops all other names of the context; --safe takes only what cannot be code;
    --lenient lists what cannot be restored, where else nothing would be; --trust takes
    also what is not signed with your own key, or was changed since.
    """
    from pybridge import snapshot

    known = {
        "mask": str,
        "clear": bool,
        "safe": bool,
        "lenient": bool,
        "trust": bool,
    }
    words, options = _options(rest, known, 1, "restore")
    if not words:
        raise BadArgument(":restore wants the number or name of a save; see :saved")
    which = int(words[0]) if words[0].isdecimal() else words[0]
    mode = "safe" if options.pop("safe", False) else "full"
    options["strict"] = not options.pop("lenient", False)
    with shown(f"restoring {which}") as progress:
        report = snapshot.restore(
            which, context=console.name, mode=mode, **options, progress=progress
        )
    show.line(f"restored {counted(len(report.restored), 'name')}")
    _show_skipped(console, report)


@_command(":saved", _none)
def _saved(console: Console, _rest: str) -> None:
    """List what was saved, the newest first."""
    from pybridge import snapshot

    heads = ("id", "name", "created", "names", "signature", "description")
    rows = [
        (
            str(one.id),
            one.name,
            moments.dated(one.created),
            str(one.modules + one.functions + one.variables),
            one.signature,
            one.description,
        )
        for one in snapshot.contexts()
    ]
    if rows:
        show.table(console, heads, rows)
    else:
        show.line("nothing is saved here")


def _show_skipped(console: Console, report: Any) -> None:
    if report.skipped:
        rows = [
            (one.kind, one.name, str(one.type), str(one.reason))
            for one in report.skipped
        ]
        show.table(console, ("skipped", "name", "type", "reason"), rows)


# ---- Work ---------------------------------------------------------------------------


@_command(":query [NAME =] SQL")
def _query(console: Console, rest: str) -> None:
    """Run a query of the host and show its rows, or assign them as a DataFrame.

    Lines end in a backslash where the query goes on.
    """
    name, sql = _assigned(rest)
    if not sql:
        raise BadArgument(":query wants SQL, such as :query df = select * from t")
    if not host.in_host():
        raise BadArgument(
            "there is no host to ask: start the shell with --db FILE, or by "
            "select py_shell() in one"
        )
    frame = host.query(sql)
    if name:
        console.namespace[name] = frame
    show.frame(console, frame, name)


def _assigned(rest: str) -> tuple[str, str]:
    """Split `df = select 1` into the name, "" where there is none, and the SQL."""
    name, equals, sql = rest.partition("=")
    if equals and name.strip().isidentifier() and not sql.startswith("="):
        return name.strip(), sql.strip()
    return "", rest


@_command(":time CODE")
def _time(console: Console, rest: str) -> None:
    """Run code, show its values, then how long it took, on the clock and the CPU."""
    if not rest:
        raise BadArgument(":time wants code, such as :time sum(range(10**6))")
    source.compile_shown(rest)  # not timed, and an error of it is told at once
    clock, cpu = time.perf_counter(), time.process_time()
    try:
        console.execute(rest)
    finally:
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
        show.line(f"{show.seconds(clock)} ({show.seconds(cpu)} of CPU)")


@_command(":load FILE", _none)
def _load(console: Console, rest: str) -> None:
    """Run a file of Python code in the context."""
    from pybridge import main

    words, _ = _options(rest, {}, 1, "load")
    if not words:
        raise BadArgument(":load wants the path of a file")
    path = Path(words[0]).expanduser()
    try:
        code = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadArgument(f":load cannot read '{path}': {exc}") from None
    main.execute_code(code, context=console.name)


# ---- The shell ----------------------------------------------------------------------


@_command(":help [COMMAND]", lambda _console: list(COMMANDS))
def _help(console: Console, rest: str) -> None:
    """List the commands, or say what one does."""
    name = rest.removeprefix(":")
    if name:
        command = COMMANDS.get(name)
        if command is None:
            raise BadArgument(f"':{name}' is no command; :help lists them all")
        lines = [line.strip() for line in command.help.strip().splitlines()]
        show.line("\n".join([command.usage, *(f"  {line}".rstrip() for line in lines)]))
        return
    rows = [(one.usage, one.help.splitlines()[0]) for one in COMMANDS.values()]
    show.table(console, ("command", "does"), sorted(rows))
    show.line("A beginning that is no other's is enough, as :v. All else is Python.")


@_command(":quit", _none)
def _quit(_console: Console, _rest: str) -> None:
    """Leave the shell, as quit() and Ctrl-D do."""
    raise Leave(0)
