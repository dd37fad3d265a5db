"""Imports: the original's names in user code, and nowhere else."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

import pybridge.functions as dh
from pybridge.functions import imports

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [  # module, name in it, what that is with us
    ("digitalhub_runtime_python", "handler", "handler"),
    ("digitalhub_runtime_python.utils", "handler", "handler"),
    ("digitalhub", "get_or_create_project", "get_or_create_project"),
    ("digitalhub", "new_function", "new_function"),
    ("digitalhub.entities.dataitem._base.entity", "Dataitem", "Dataitem"),
    ("digitalhub.entities.dataitem.table.entity", "DataitemTable", "Dataitem"),
    ("digitalhub.entities.artifact._base.entity", "Artifact", "Artifact"),
    ("digitalhub.entities.model._base.entity", "Model", "Model"),
    ("digitalhub.entities.project._base.entity", "Project", "Project"),
    ("digitalhub.entities.run._base.entity", "Run", "Run"),
    (
        "digitalhub_runtime_python.entities.run.python_run.entity",
        "RunPythonRun",
        "Run",
    ),
]


@pytest.mark.parametrize(("module", "name", "ours"), NAMES)
def test_name_of_the_original_is_ours(module: str, name: str, ours: str) -> None:
    """S-3: what user code imports from the original is ours."""
    found = imports.resolve(module)

    assert found is not None
    assert getattr(dh, ours) is getattr(found, name)
    assert found is imports.resolve(module)


@pytest.mark.parametrize(
    "module",
    ["digital", "digitalhub_core", "digitalhub.nope", "digitalhub_runtime_dbt", "os"],
)
def test_other_modules_are_not_ours(module: str) -> None:
    """S-3: only these two packages, and what is known to be in them."""
    assert imports.resolve(module) is None


def test_name_that_we_have_not_is_told() -> None:
    """The way out is to install the original."""
    module = imports.resolve("digitalhub_runtime_python")

    with pytest.raises(AttributeError, match="install digitalhub-runtime-python"):
        _ = module.nope  # type: ignore[union-attr]


def test_nothing_is_left_for_others_to_import() -> None:
    """S-3: not in sys.modules, so other code sees that it is not installed."""
    for module, name, _ in NAMES:
        getattr(imports.resolve(module), name)

    assert [] == [name for name in sys.modules if name.startswith("digitalhub")]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("digitalhub")


def test_original_that_is_installed_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-3: ours are for those who have not the originals."""
    (tmp_path / "digitalhub.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "_installed", {})
    monkeypatch.setattr(imports, "_made", {})

    assert imports.resolve("digitalhub") is None
    assert imports.resolve("digitalhub_runtime_python") is not None


def test_user_code_imports_them_in_every_way(project: dh.Project) -> None:
    """S-3: `import a`, `import a.b`, `import a as b`, `from a.b import c`, in calls."""
    code = (
        "from digitalhub_runtime_python import handler\n"
        "import digitalhub as dh\n"
        "import digitalhub.entities.dataitem\n"
        "from digitalhub.entities.run._base.entity import Run as R\n"
        "@handler(outputs=['a', 'b', 'c', 'd'])\n"
        "def f(project):\n"
        "    import digitalhub_runtime_python.utils as utils\n"
        "    return (dh.get_project('p') == project, R is Run,\n"
        "            digitalhub.entities.dataitem.Dataitem is Dataitem,\n"
        "            utils.handler is handler)\n"
    )
    function = project.new_function(
        name="f", kind="python", code=code, handler="f", python_version="PYTHON3_11"
    )

    run = function.run(local_execution=True)

    assert dict.fromkeys("abcd", True) == run.results()
    assert [] == [name for name in sys.modules if name.startswith("digitalhub")]
