"""How much of a save or a restore is done, shown on a terminal while it lasts."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Progress = Callable[[int, int], object]

__all__ = ["shown"]

_STEP = 0.05  # seconds between two pictures


@contextmanager
def shown(words: str) -> Iterator[Progress | None]:
    """Give what is to be told how many bytes of how many are done.

    None where nobody looks: where stdout or stderr is no terminal.
    """
    if not (_is_terminal(sys.stdout) and _is_terminal(sys.stderr)):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
    )
    # Drawn by the thread that does the work: another one would take time from it.
    with Bar(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as bar:
        task = bar.add_task(words, total=None)
        drawn = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal drawn
            now = time.monotonic()
            if done >= total or now - drawn >= _STEP:
                drawn = now
                bar.update(task, completed=done, total=total, refresh=True)

        yield tell


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except Exception:
        return False
