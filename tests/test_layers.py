"""The rooms of the house: who may include and import what."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

C_FILES = sorted(p for p in (ROOT / "c").rglob("*") if p.suffix in {".c", ".h"})
PYTHON_FILES = sorted((ROOT / "pybridge").rglob("*.py"))

# Foreign header -> the only folders that may know it.
FOREIGN = {
    "Python.h": ("c/python", "c/seam"),
    "sqlite3.h": ("c/hosts/sqlite",),
    "sqlite3ext.h": ("c/hosts/sqlite",),
    "gtmxc_types.h": ("c/hosts/gtm",),
    "postgres.h": ("c/hosts/postgres",),
}

# The floors of the package, from the ground up. A module imports from its own floor and
# from those below; a new module has to be given one.
FLOORS = (
    {
        "_names",
        "_programs",
        "_words",
        "errors",
        "key",
        "location",
        "masking",
        "pybridge",
    },
    {
        "source",
        "status",
        "serialization",
        "columnar",
        "detached",
        "moments",
        "_packages",
        "_parse",
        "_frames",
        "output",
        "progress",
        "redirect",
        "settings",
        "wire",
    },
    {"context"},
    {"beside", "connections", "elsewhere", "globals", "host"},
    {
        "snapshot",
        "proxy",
        "shell",
        "main",
        "_describe",
        "_listings",
        "initializer",
        "interop",
        "functions",
        "stubs",
        "gtm",
    },
    {"cli", "doctor", "_seam", "__main__", "zpy"},
)


def includes(path: Path) -> list[str]:
    """Return the headers that a C file includes, as `<name>` or `"name"`."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r'^\s*#\s*include\s+([<"][^>"]+[>"])', text, re.MULTILINE)


def name_of(path: Path) -> str:
    """Return the path inside the repository."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", C_FILES, ids=name_of)
def test_foreign_header_is_in_its_folder_only(path: Path) -> None:
    """Each foreign header is known in one place."""
    strangers = [
        header
        for header in (quoted[1:-1] for quoted in includes(path))
        if header in FOREIGN and not name_of(path).startswith(FOREIGN[header])
    ]

    assert [] == strangers


@pytest.mark.parametrize("path", C_FILES, ids=name_of)
def test_c_file_includes_nothing_from_above(path: Path) -> None:
    """A host adapter knows the contract and itself; the core knows no host."""
    own = {p.name for p in path.parent.iterdir()}
    folder = name_of(path.parent)
    if folder.startswith("c/hosts"):
        allowed = own | {"pybridge.h", "arrow_abi.h"}
    elif folder == "c/include":
        allowed = own
    else:
        # seam.h declares in plain C what the other side of the seam offers.
        core = {p.name for p in (ROOT / "c/core").iterdir()} | {"seam.h"}
        allowed = own | core | {"pybridge.h", "arrow_abi.h"}

    quoted = {header[1:-1] for header in includes(path) if header.startswith('"')}

    assert set() == {name.rsplit("/", 1)[-1] for name in quoted} - allowed


def test_arrow_abi_stands_alone() -> None:
    """The Arrow structs depend on nothing of ours."""
    assert ["<stdint.h>"] == includes(ROOT / "c/include/arrow_abi.h")


def floor_of(module: str) -> int:
    """Return the floor of a module of the package; each has to have one."""
    name = module.split(".")[1] if "." in module else module
    for floor, names in enumerate(FLOORS):
        if name in names:
            return floor
    raise AssertionError(f"module '{module}' has no floor yet; give it one in FLOORS")


def module_of(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Yield what a file imports when it runs, not what only a type checker reads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in only_typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "pybridge":
                yield from (f"pybridge.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_module_imports_from_its_floor_or_below(path: Path) -> None:
    """Lower may not know higher."""
    own = floor_of(module_of(path))
    modules = {p.stem for p in (ROOT / "pybridge").glob("*.py")} | {"_seam"}

    higher = [
        name
        for name in imported(path)
        if name.startswith("pybridge.")
        and name.split(".")[1] in modules
        and own < floor_of(name)
    ]

    assert [] == higher


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_cffi_is_known_in_the_seam_only(path: Path) -> None:
    """Only pybridge/_seam imports the cffi module."""
    crossing = [
        name
        for name in imported(path)
        if name.split(".")[0] in {"cffi", "_cffi_backend", "_pybridge"}
        or name == "pybridge._pybridge"
    ]

    assert [] == crossing or name_of(path).startswith("pybridge/_seam/")
