"""Functions that are declared once, and run as job, service or build.

Everything here is loaded on first use:

    >>> import pybridge.functions as dh
    >>> project = dh.get_or_create_project("demo")
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pybridge.functions.entity import Entity
    from pybridge.functions.function import Function, Task
    from pybridge.functions.marks import handler
    from pybridge.functions.material import Artifact, Dataitem, Model
    from pybridge.functions.project import Project, get_or_create_project
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

# Name -> the module that has it.
_HOMES = {
    "Artifact": "material",
    "Dataitem": "material",
    "Entity": "entity",
    "Function": "function",
    "Model": "material",
    "Project": "project",
    "Run": "run",
    "Store": "store",
    "Task": "function",
    "get_or_create_project": "project",
    "handler": "marks",
}

__all__ = [
    "Artifact",
    "Dataitem",
    "Entity",
    "Function",
    "Model",
    "Project",
    "Run",
    "Store",
    "Task",
    "get_or_create_project",
    "handler",
]

_NAMES = globals()


def __getattr__(name: str) -> Any:
    """Load a name's module on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{home}", fromlist=[name])
    value = _NAMES[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """Name also what is not loaded yet."""
    return sorted({*_NAMES, *__all__})
