"""Functions that are declared once, and run as job, service or build.

Everything here is loaded on first use:

    >>> import pybridge.functions as dh
    >>> project = dh.get_or_create_project("demo")
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pybridge.errors import RunFailed
    from pybridge.functions.entity import Entity
    from pybridge.functions.faults import Fault, Faults
    from pybridge.functions.function import Function, Task
    from pybridge.functions.library import (
        delete_artifact,
        delete_dataitem,
        delete_function,
        delete_model,
        delete_project,
        delete_run,
        delete_secret,
        get_artifact,
        get_artifact_versions,
        get_dataitem,
        get_dataitem_versions,
        get_entity,
        get_function,
        get_function_versions,
        get_model,
        get_model_versions,
        get_or_create_project,
        get_project,
        get_run,
        get_secret,
        get_secret_versions,
        import_artifact,
        import_dataitem,
        import_function,
        import_model,
        import_project,
        import_run,
        import_secret,
        list_artifacts,
        list_dataitems,
        list_functions,
        list_models,
        list_projects,
        list_runs,
        list_secrets,
        log_artifact,
        log_dataitem,
        log_metric,
        log_model,
        new_artifact,
        new_dataitem,
        new_function,
        new_model,
        new_project,
        new_secret,
        update_artifact,
        update_dataitem,
        update_function,
        update_model,
        update_run,
        update_secret,
    )
    from pybridge.functions.marks import handler
    from pybridge.functions.material import Artifact, Dataitem, Model
    from pybridge.functions.project import Project
    from pybridge.functions.run import Run
    from pybridge.functions.secret import Secret
    from pybridge.functions.store import Store

# Name -> the module that has it; all others are in `library`.
_HOMES = {
    "Artifact": "pybridge.functions.material",
    "Dataitem": "pybridge.functions.material",
    "Entity": "pybridge.functions.entity",
    "Fault": "pybridge.functions.faults",
    "Faults": "pybridge.functions.faults",
    "Function": "pybridge.functions.function",
    "Model": "pybridge.functions.material",
    "Project": "pybridge.functions.project",
    "Run": "pybridge.functions.run",
    "RunFailed": "pybridge.errors",
    "Secret": "pybridge.functions.secret",
    "Store": "pybridge.functions.store",
    "Task": "pybridge.functions.function",
    "handler": "pybridge.functions.marks",
}

__all__ = [
    "Artifact",
    "Dataitem",
    "Entity",
    "Fault",
    "Faults",
    "Function",
    "Model",
    "Project",
    "Run",
    "RunFailed",
    "Secret",
    "Store",
    "Task",
    "delete_artifact",
    "delete_dataitem",
    "delete_function",
    "delete_model",
    "delete_project",
    "delete_run",
    "delete_secret",
    "get_artifact",
    "get_artifact_versions",
    "get_dataitem",
    "get_dataitem_versions",
    "get_entity",
    "get_function",
    "get_function_versions",
    "get_model",
    "get_model_versions",
    "get_or_create_project",
    "get_project",
    "get_run",
    "get_secret",
    "get_secret_versions",
    "handler",
    "import_artifact",
    "import_dataitem",
    "import_function",
    "import_model",
    "import_project",
    "import_run",
    "import_secret",
    "list_artifacts",
    "list_dataitems",
    "list_functions",
    "list_models",
    "list_projects",
    "list_runs",
    "list_secrets",
    "log_artifact",
    "log_dataitem",
    "log_metric",
    "log_model",
    "new_artifact",
    "new_dataitem",
    "new_function",
    "new_model",
    "new_project",
    "new_secret",
    "update_artifact",
    "update_dataitem",
    "update_function",
    "update_model",
    "update_run",
    "update_secret",
]

_NAMES = globals()


def __getattr__(name: str) -> Any:
    """Load a name's module on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "pybridge.functions.library")
    value = _NAMES[name] = getattr(__import__(home, fromlist=[name]), name)
    return value


def __dir__() -> list[str]:
    """Name also what is not loaded yet."""
    return sorted({*_NAMES, *__all__})
