"""Companions: the files beside a source file that it imports, and those they import."""

from __future__ import annotations

import ast
import importlib.util
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["find"]


def find(path: Path) -> list[Path]:
    """Return the modules and packages beside a file that it cannot be run without.

    They are found by the imports in the text, as Python would find them if the file
    was run as a script: what lies beside it comes first.
    """
    found: dict[Path, None] = {}
    waiting = [path]
    while waiting:
        for name in _imported(waiting.pop()):
            companion = _beside(path.parent, name)
            if companion is not None and companion != path and companion not in found:
                found[companion] = None
                waiting.extend(
                    companion.rglob("*.py") if companion.is_dir() else [companion]
                )
    return list(found)


def _beside(directory: Path, name: str) -> Path | None:
    """Return the module or package of that name in a directory."""
    package, module = directory / name, directory / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    if module.is_file():
        return module
    holds = package.is_dir() and any(package.glob("*.py"))
    return package if holds and not _is_installed(name) else None


def _is_installed(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _imported(path: Path) -> Iterator[str]:
    """Give the first names of what a file imports, none where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):  # from . import a, b
            yield from (alias.name for alias in node.names)
