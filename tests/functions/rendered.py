"""What the tests of manifests share: a function, and the objects that it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from pybridge.functions import manifests
from tests.functions.schemas import check

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.project import Project

__all__ = ["CODE", "LOADER", "SECRET", "container", "declared", "objects", "pod"]

CODE = "def f(x=1):\n    return x\n"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SECRET = "not-to-be-seen-anywhere"


def declared(project: Project) -> Function:
    """Declare a function, and secrets of its project."""
    project.new_secret("PASSWORD", secret_value=SECRET)
    project.new_secret("a+b", secret_value="x" + SECRET)
    return project.new_function(
        "f", kind="python", python_version="PYTHON3_11", code=CODE, handler="f"
    )


def objects(function: Function, action: str = "job", **given: Any) -> dict[str, Any]:
    """Return the objects of a run by kind, each of them valid."""
    found = manifests.render(function.new_run(action, **given))
    for one in found:
        check(one)
    return {one["kind"]: one for one in found}


def pod(function: Function, action: str = "job", **given: Any) -> Any:
    """Return what the pods of a run are."""
    found = objects(function, action, **given)
    kind = "Deployment" if action == "serve" else "Job"
    return found[kind]["spec"]["template"]["spec"]


def container(function: Function, action: str = "job", **given: Any) -> Any:
    """Return the container that the function runs in."""
    return pod(function, action, **given)["containers"][0]
