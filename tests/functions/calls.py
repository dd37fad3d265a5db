"""What the tests of calls share: a function made of text, and run in this process."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.project import Project
    from pybridge.functions.run import Run

__all__ = ["PYTHON", "declared", "ran"]

PYTHON = f"PYTHON3_{sys.version_info.minor}"


def declared(project: Project, code: str, handler: str = "f", **given: Any) -> Function:
    """Return a function of that code."""
    return project.new_function(
        name=given.pop("name", "f"),
        kind="python",
        code=dedent(code),
        handler=handler,
        python_version=PYTHON,
        **given,
    )


def ran(project: Project, code: str, handler: str = "f", **given: Any) -> Run:
    """Return a run of that code in this process."""
    function = declared(project, code, handler, init_function=given.pop("init", None))
    return function.run("job", local_execution=True, **given)
