"""Imports: the names of the original's packages, which its users' code has, as ours.

`resolve` gives a module for `digitalhub`, `digitalhub_runtime_python` and what is in
them, where they are not installed. Such a module is in nobody's `sys.modules`: only the
code that asked for it sees it.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any, Optional

__all__ = ["PACKAGES", "resolve"]

PACKAGES = ("digitalhub", "digitalhub_runtime_python")

# The original's class for each kind of entity, by our class for the type.
_CLASSES = {
    "ArtifactArtifact": "Artifact",
    "DataitemDataitem": "Dataitem",
    "DataitemTable": "Dataitem",
    "FunctionPython": "Function",
    "ModelModel": "Model",
    "ProjectProject": "Project",
    "RunPythonRun": "Run",
    "RunPythonRunJob": "Run",
    "SecretSecret": "Secret",
    "TaskPythonBuild": "Task",
    "TaskPythonJob": "Task",
    "TaskPythonServe": "Task",
}
_TYPES = "artifact|dataitem|function|model|project|run|secret|task"
_KNOWN = re.compile(
    rf"digitalhub(?:\.(?:entities(?:\.(?:{_TYPES}|_base|_commons)(?:\.\w+)*)?"
    r"|factory|context|stores|utils|runtimes)(?:\.\w+)*)?"
    r"|digitalhub_runtime_python(?:\.(?:entities|utils|runtimes)(?:\.\w+)*)?"
)
_made: dict[str, ModuleType] = {}
_installed: dict[str, bool] = {}


class _Module(ModuleType):
    """A module of the original's whose names are ours."""

    def __getattr__(self, name: str) -> Any:
        """Return what the name is with us."""
        from pybridge import functions

        if not name.startswith("__"):
            inner = resolve(f"{self.__name__}.{name}") if name.islower() else None
            found = getattr(functions, _CLASSES.get(name, name), None)
            for value in (found, inner):
                if value is not None:
                    return value
        raise AttributeError(
            f"module '{self.__name__}' has no '{name}' in pybridge's form of it; "
            f"install {self.__name__.partition('.')[0].replace('_', '-')} to have all"
        )

    def __dir__(self) -> list[str]:
        """Name what is there."""
        from pybridge import functions

        return sorted({*functions.__all__, *_CLASSES})


def resolve(name: str) -> Optional[ModuleType]:
    """Return the module that a name of the original's stands for, or None.

    None is the answer for all other names, and for these where the original is
    installed. `import a.b` wants `resolve("a")`, on which `b` is an attribute.
    """
    found = _made.get(name)
    if found is not None:
        return found
    package = name.partition(".")[0]
    if package not in PACKAGES or not _KNOWN.fullmatch(name) or _is_installed(package):
        return None
    module = _Module(name, f"What user code imports as '{name}'.")
    module.__path__ = []
    module.__package__ = name
    return _made.setdefault(name, module)


def _is_installed(package: str) -> bool:
    """Tell whether the original is there itself."""
    if package not in _installed:
        from importlib.util import find_spec

        try:
            _installed[package] = find_spec(package) is not None
        except (ImportError, ValueError):
            _installed[package] = False
    return _installed[package]
