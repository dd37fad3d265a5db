"""The process of a run: its role, and the word to the manager that something is new."""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pybridge.functions import spare, trail
from pybridge.functions.execution import Execution
from pybridge.functions.lending import Lent, lend
from pybridge.functions.run import Run
from pybridge.functions.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CHANNEL", "TRAIL", "Attempt", "Terminated", "changed", "heed", "main"]

CHANNEL = 3  # the descriptor on which the manager listens, in what it has forked
TRAIL = 4  # the descriptor of what is left when the process has died
_channel, _inode = -1, 0


def changed() -> None:
    """Tell the manager that the store has news of this run; nothing without one."""
    # User code may have closed it, and have another file there.
    if _channel >= 0 and trail.inode(_channel) == _inode:
        try:
            os.write(_channel, b".")
        except OSError:  # it is gone, or has not read the last ones yet
            return


def main(argv: Sequence[str]) -> int:
    """Do what the words say: one attempt of a job, a service, or a build."""
    global _channel, _inode
    _channel, _inode = CHANNEL, trail.inode(CHANNEL)
    faulthandler.enable(2)  # what crashes says where, in the log
    words = list(argv)
    role = words[words.index("--role") + 1]
    if role != "serve":  # the replicas of a service say themselves how they end
        trail.take(TRAIL)
    # What the forkserver has registered is not for its children to do.
    atexit._clear()  # noqa: SLF001
    code = _job(words) if role == "job" else _other(role, words)
    _say_farewell()
    return code


class Terminated(BaseException):
    """Raised in a job that is told to end, so that what it has begun is cleaned up."""

    __module__ = "pybridge"


class Attempt(Execution):
    """An attempt in a process of its own."""

    def reach(self, stage: str, function: object = None) -> None:
        """Begin a stage, and leave word of it."""
        super().reach(stage, function)
        if function is not None:
            # A database whose descriptors user code closes, and has files of its own
            # in, would be written to these: one that is not open cannot be broken.
            self.run.store.close()
        trail.note(stage, getattr(self.tree, "path", ""), function)

    def lend(self, name: str, module: str) -> None:
        """Have the processes that the run spawns find its modules."""
        tree, start = self.tree, self.spec.get("start_context")
        lent = Lent(name, str(tree.path), tree.digest, module, start)
        lend(lent, self.run.store.root / "cache" / "lent")

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Keep the word to end away, where the state of the run is written."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def end(self, *given: Any) -> bool:
        """Move the run to its last state, also where the disk is full."""
        return spare.kept(self.run.store, lambda: super(Attempt, self).end(*given))

    def note(self, status: dict[str, Any]) -> None:
        """Write what is known of the attempt, also where the disk is full."""
        spare.kept(self.run.store, lambda: super(Attempt, self).note(status))


def _job(words: list[str]) -> int:
    """Make an attempt of a job."""
    heed()
    given = dict(zip(words[::2], words[1::2]))
    store = Store.open(given["--store"])
    entity = store.get(given["--run"])
    if entity is None:  # it was deleted meanwhile
        return 0
    attempt = Attempt(
        Run(entity, store), attempt=int(given["--attempt"]), last="--more" not in words
    )
    done = attempt.go()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _flush()
    changed()
    return 0 if done else 1


def heed() -> None:
    """Have SIGTERM raise `Terminated` in this process; what it forks just ends."""
    process = os.getpid()

    def terminate(*_: object) -> None:
        if os.getpid() != process:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        raise Terminated("the process was told to end (SIGTERM)")

    signal.signal(signal.SIGTERM, terminate)


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
