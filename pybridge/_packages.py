"""Packages that cannot be imported a second time, once their import was stopped."""

from __future__ import annotations

import _imp
import sys

__all__ = ["load", "unlock"]

_TICK = 0.05  # seconds, after which a stop is noticed


def load(*names: str) -> None:
    """Import packages in a thread of its own, which no stop reaches.

    Ctrl-C or a deadline may stop the caller, as anywhere; the import goes on to its end
    then, without which numpy and pandas would be lost to the process. What fails fails
    again where the caller imports the package itself, and is reported there.
    """
    wanted = [name for name in names if not _is_there(name)]
    if not wanted:
        return
    unlock()
    import threading  # here also for its main thread to be the right one

    def work() -> None:
        for name in wanted:
            try:
                __import__(name)
            except BaseException:  # noqa: S112 (the caller's own import tells)
                continue

    thread = threading.Thread(target=work, name=f"import {wanted[0]}", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_TICK)


def unlock() -> None:
    """Give Python's import lock back, if this thread has it.

    Nothing runs under it but a few lines of importlib. A stop that comes between two of
    them leaves it taken, and all other threads would wait for ever where they import.
    """
    while _imp.lock_held():
        try:
            _imp.release_lock()
        except RuntimeError:  # it is another thread's
            return


def _is_there(name: str) -> bool:
    """Is a package imported to its end?"""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)
