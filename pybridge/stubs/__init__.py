"""Wrappers for the functions and classes of Python modules, in other languages.

`survey` says what a module has; each writer makes the text of one target of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pybridge.errors import BadArgument
from pybridge.stubs.survey import Masks, survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.stubs.survey import Module
    from pybridge.stubs.words import Options

__all__ = ["TARGETS", "Masks", "filename", "survey", "write"]

# Target -> what ends the name of its file.
TARGETS = {"sql": ".sql", "m": ".m", "pyi": ".pyi", "c": ".h"}


def write(module: Module, target: str, options: Options) -> str:
    """Return the text of the wrappers of a module for one target.

    Raises:
        BadArgument: the target is unknown.

    """
    if target not in TARGETS:
        raise BadArgument(
            f"target '{target}' is unknown; choose one of: {', '.join(TARGETS)}"
        )
    writer: Callable[[Module, Options], str]
    writer = import_module(f"pybridge.stubs.{target}").write
    return writer(module, options)


def filename(module: Module, target: str, options: Options) -> str:
    """Return the path of the file, below a folder, that holds a module's wrappers."""
    if target == "pyi":
        end = "/__init__" if module.package else ""
        return f"{module.name.replace('.', '/')}{end}.pyi"
    if target == "m":
        from pybridge.stubs.m import routine

        return f"{routine(module.name, options)}.m"
    # math.h and string.h are the C library's.
    prefix = f"{options.package or 'py'}_" if target == "c" else options.prefix
    return f"{prefix}{module.name.replace('.', '_')}{TARGETS[target]}"
