"""What the tests of calls share: a function made of text, and run in this process."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

from tests.functions.jobs import VERSION

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.project import Project
    from pybridge.functions.run import Run

__all__ = ["GIVEN", "declared", "ran"]

# What a function can be made with, beside its name.
GIVEN = {
    "kind": "python",
    "code": "def f():\n    return 1\n",
    "handler": "f",
    "python_version": "PYTHON3_11",
}


def declared(project: Project, code: str, handler: str = "f", **given: Any) -> Function:
    """Return a function of that code."""
    return project.new_function(
        name=given.pop("name", "f"),
        kind="python",
        code=dedent(code),
        handler=handler,
        python_version=VERSION,
        **given,
    )


def ran(project: Project, code: str, handler: str = "f", **given: Any) -> Run:
    """Return a run of that code in this process."""
    function = declared(project, code, handler, init_function=given.pop("init", None))
    return function.run("job", local_execution=True, **given)
