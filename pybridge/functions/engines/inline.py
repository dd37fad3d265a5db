"""The engine of the caller's own process: `local_execution=True`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pybridge.errors import BadArgument
from pybridge.functions.execution import Execution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.functions.run import Run

__all__ = ["Inline"]


class Inline:
    """Executes a run where it is submitted, before `submit` returns."""

    name = "inline"

    def submit(self, run: Run) -> None:
        """Execute a job."""
        attempt = 1
        while True:
            execution = Execution(run, attempt=attempt, engine=self.name)
            if execution.go() or execution.last or run.is_final:
                return
            attempt += 1

    def observe(self, run: Run, timeout: float | None) -> bool:
        """Wait for a run of another thread or process."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.001
        while not run.refresh().is_final:
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
        return True

    def stop(self, run: Run) -> None:
        """End a run."""
        run.store.move(run.key, "STOP")

    def resume(self, run: Run) -> None:
        """Refuse: what ran in a caller that has gone on cannot be taken up again.

        Raises:
            BadArgument: always.

        """
        raise BadArgument(
            f"'{run.key}' ran in its caller's process and cannot be resumed; run the "
            "function again"
        )

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield what it has written."""
        del follow
        path = run.store.run_directory(run.id) / "log"
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from file
