"""A process of its own for each call, with nothing of ours: what isolation costs.

`python -c "from benchmarks import bare; bare.main()"` answers each line with the time
of a call, in ms. So there is no file of a main module, which each process would run.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["main"]

EACH = 5


def answer(x: int, connection: Connection) -> None:
    """Be the call."""
    connection.send(x + 1)
    connection.close()


def main() -> None:
    """Answer requests until there are none."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pandas", __name__])

    def call() -> float:
        begun = time.perf_counter()
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=answer, args=(1, theirs))
        process.start()
        theirs.close()
        assert ours.recv() == 2
        process.join()
        return (time.perf_counter() - begun) * 1e3

    for _ in sys.stdin:
        print(statistics.median(call() for _ in range(EACH)), flush=True)
