"""The client's other half: list the sessions, end them, explain the command."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pybridge import __version__
from pybridge.zpy import place, wire
from pybridge.zpy.client import Conversation, open_session, request, say

if TYPE_CHECKING:
    from _socket import socket

    from pybridge.zpy.client import Options

__all__ = ["run"]

HELP = """\
Usage: zpy [OPTIONS] [CODE]

Run Python code in a session whose variables, open files and modules live between
calls. The value of a last expression is shown. Without CODE: a shell on the same
context on a terminal, otherwise the code that comes over stdin ("-" says so).

  zpy "import random"
  zpy "x = random.random()"
  zpy "x"

Options:
  -s, --session NAME   the session, a process of its own; "main" where none is named
  -c, --context NAME   the namespace inside the session; "main" where none is named
  -f, --file FILE      run a file
  --json, --str, --repr
                       show the value as JSON, by str(), or as Python's shell does
  --save NAME          save the context under a name
  --restore NAME|ID    bring a saved context back
  --list               list the sessions (--json: for programs)
  --stop               end the session, or with --all every one;
                       --keep saves its contexts first, --discard does not
  --version, -h, --help
"""


def run(options: Options) -> int:
    """Do what the options ask for, and return the exit code."""
    if options.action == "help":
        sys.stdout.write(HELP)
    elif options.action == "version":
        print(f"zpy {__version__} (Python {sys.version.split()[0]})")
    elif options.action == "list":
        _list(as_json=options.json)
    else:
        return _stop(options)
    sys.stdout.flush()
    return 0


def _running() -> list[str]:
    """Return the names of the sessions that have a socket."""
    at = place.folder()
    try:
        return sorted(
            name.removesuffix(".sock")
            for name in os.listdir(at)
            if name.endswith(".sock")
        )
    finally:
        os.close(at)


def _ask(name: str) -> dict[str, Any] | None:
    """Return what a session says of itself; None where it does not answer."""
    sock, token = open_session(name, start=False)
    if sock is None:
        return None
    with_limit(sock)
    try:
        wire.send(sock, wire.REQUEST, request(token, "info"))
        while True:
            kind, payload, _ = wire.receive(sock)
            if kind == wire.OUTPUT:
                found: dict[str, Any] = json.loads(payload)
                return found
    except (wire.Gone, TimeoutError):
        return None
    finally:
        sock.close()


def with_limit(sock: socket) -> None:
    """Let a session that hangs not hang the caller."""
    sock.settimeout(10)


def _list(*, as_json: bool) -> None:
    found = [info for info in map(_ask, _running()) if info is not None]
    if as_json:
        print(json.dumps(found))
        return
    if not found:
        say("no session runs")
        return
    rows = [("NAME", "PID", "STATE", "FOR", "STARTED", "NAMES", "PYTHON", "")]
    rows += [
        (
            info["name"],
            str(info["pid"]),
            info["state"],
            _span(info["seconds"]),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(info["started"])),
            str(info["names"]),
            info["version"].split()[1],
            info["code"] or info["action"] or "",
        )
        for info in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        print(line.rstrip())


def _span(seconds: float) -> str:
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{letter}"
    return f"{seconds:.0f}s"


def _stop(options: Options) -> int:
    names = _running() if options.all else [options.session]
    worst = 0
    stopped = False
    for name in names:
        info = _ask(name)
        sock, token = open_session(name, start=False)
        if sock is None:
            if not options.all:
                say(f"session '{name}' does not run")
            continue
        stopped = True
        text = _what_to_keep(options.save, info)
        code = Conversation(sock, name).run(request(token, "stop", text))
        worst = max(worst, code or 0)
    if options.all and not stopped:
        say("no session runs")
    return worst


def _what_to_keep(wanted: str, info: dict[str, Any] | None) -> str:
    """Return "save" or "discard"; ask where it was not said and somebody is there."""
    if wanted:
        return "save" if wanted == "keep" else "discard"
    if info is None or not info["names"] or info["save"] == "never":
        return "discard"
    if info["save"] == "ask" and os.isatty(0) and os.isatty(2):
        count = info["names"]
        sys.stderr.write(
            f"zpy: session '{info['name']}' has {count} name{'s' * (count != 1)}; "
            "save them? [Y/n] "
        )
        sys.stderr.flush()
        return "discard" if sys.stdin.readline().strip()[:1] in {"n", "N"} else "save"
    return "save"
