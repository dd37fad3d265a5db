"""The process of a run: its role, and the word to the manager that something is new."""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CHANNEL", "Terminated", "changed", "main"]

CHANNEL = 3  # the descriptor on which the manager listens, in what it has forked
_channel = -1


def changed() -> None:
    """Tell the manager that the store has news of this run; nothing without one."""
    if _channel >= 0:
        try:
            os.write(_channel, b".")
        except OSError:  # it is gone, or has not read the last ones yet
            return


def main(argv: Sequence[str]) -> int:
    """Do what the words say: one attempt of a job, a service, or a build."""
    global _channel  # noqa: PLW0603 - a process has one
    _channel = CHANNEL
    faulthandler.enable(2)  # what crashes says where, in the log
    words = list(argv)
    role = words[words.index("--role") + 1]
    # What the forkserver has registered is not for its children to do.
    atexit._clear()  # noqa: SLF001
    code = _job(words) if role == "job" else _other(role, words)
    _say_farewell()
    return code


def _job(words: list[str]) -> int:
    """Make an attempt of a job."""
    from pybridge.functions import execution
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

    signal.signal(signal.SIGTERM, _terminate)
    given = dict(zip(words[::2], words[1::2]))
    store = Store.open(given["--store"])
    entity = store.get(given["--run"])
    if entity is None:  # it was deleted meanwhile
        return 0
    done = execution.execute(
        Run(entity, store), attempt=int(given["--attempt"]), last="--more" not in words
    )
    _flush()
    changed()
    return 0 if done else 1


class Terminated(BaseException):
    """Raised in a job that is told to end, so that what it has begun is cleaned up."""

    __module__ = "pybridge"


def _terminate(*_: object) -> None:
    raise Terminated("the process was told to end (SIGTERM)")


def _other(role: str, words: list[str]) -> int:
    """Be a service, or build."""
    from importlib import import_module

    module: Any = import_module(f"pybridge.functions.{role}")
    code = module.main([word for word in words if word not in {"--role", role}])
    changed()
    return int(code or 0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # the user's code closed it
            continue


def _say_farewell() -> None:
    """Let threads end and do what the user's code wants done at the end."""
    import threading

    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    _flush()
