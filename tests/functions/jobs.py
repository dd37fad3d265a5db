"""What the tests of jobs share: declaring one, waiting for it, and looking after it."""

from __future__ import annotations

import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

from pybridge.functions import processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.functions.project import Project
    from pybridge.functions.run import Run

VERSION = f"PYTHON3_{sys.version_info.minor}"  # of this process
PATIENCE = 30  # seconds after which a test has failed


def job(project: Project, code: str, *, handler: str = "f", **given: Any) -> Run:
    """Run a function of that code as a job, and return the run at once."""
    function = project.new_function(
        "f",
        kind="python",
        python_version=given.pop("python_version", VERSION),
        code=textwrap.dedent(code),
        handler=handler,
        **{k: given.pop(k) for k in ("requirements",) if k in given},
    )
    return function.run("job", **given)


def ended(project: Project, code: str, **given: Any) -> Run:
    """Run a job to its end."""
    return job(project, code, **given).wait(timeout=PATIENCE)


def until(holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait until something holds, and return what it gave."""
    end = time.monotonic() + patience
    while not (found := holds()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
    return found


def log_of(run: Run) -> str:
    """Return what a run has written."""
    return "\n".join(run.logs())


def nothing_left(run: Run) -> bool:
    """Wait until no process of a run is left on this machine, and tell so."""
    until(lambda: not processes.marked(run.id), patience=5)
    return True
