"""Start: the names of a saved context, for a function to begin with."""

from __future__ import annotations

import itertools
import os
import platform
import re
import sys
from typing import TYPE_CHECKING, Any, Union

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["needs", "saved"]

_numbers = itertools.count(1)


def saved(which: Union[int, str]) -> dict[str, Any]:
    """Return the names of a saved context, by its id or name, restored for one run.

    Raises:
        BadArgument: it was saved by another version of Python, or a name of it cannot
            be restored.
        UnknownSnapshot: there is no such.
        NotTrusted: it is not signed with one's own key.

    """
    if sys.version_info < (3, 11):
        raise BadArgument(
            f"the saved context '{which}' needs Python 3.11 or newer, this is "
            f"{platform.python_version()}; declare the function with that version"
        )
    try:
        from pybridge import context, snapshot
    except ImportError as exc:
        raise BadArgument(
            f"the saved context '{which}' cannot be restored: {exc}; add "
            f"'{exc.name}' to the function's requirements"
        ) from None
    _require_same_python(snapshot, which, platform.python_version())
    name = f"function-{os.getpid()}-{next(_numbers)}"
    try:
        snapshot.restore(which, context=name)
        at = context.get(name)
        own = {"__builtins__", "__name__", "__doc__", "__loader__", "__spec__"}
        own |= {"__package__", "__file__", "__path__", "__annotations__"}
        return {key: value for key, value in at.namespace.items() if key not in own}
    finally:
        context.drop(name)


def needs(spec: Mapping[str, Any]) -> list[str]:
    """Return what a run's own environment has to have for the context it begins with.

    What a name of the context is from has to be there in the version that it is of now,
    unless the run requires another one.

    Raises:
        BadArgument: the context was saved by another version of Python.
        UnknownSnapshot: there is none.

    """
    which = spec.get("start_context")
    if which is None or spec.get("local_execution"):
        return []
    from pybridge.functions import environments, pythons

    if spec.get("engine") not in {None, "local"} or not environments.is_needed(spec):
        return []
    from pybridge import snapshot

    version = pythons.version_of(spec.get("python_version") or pythons.own_version())
    _require_same_python(snapshot, which, version)
    modules = {one.module.partition(".")[0] for one in snapshot.inspect(which)}
    given = tuple(spec.get("requirements") or ())
    return list(_distributions(modules, (*environments.BASE, *given)))


def _distributions(modules: set[str], there: Sequence[str]) -> Iterator[str]:
    """Yield the distributions that modules are from, but those that are there."""
    from importlib import metadata

    known = metadata.packages_distributions()
    names = {_plain(re.split(r"[^\w.-]", one.strip())[0]) for one in there}
    for module in sorted(modules - set(sys.stdlib_module_names)):
        for name in known.get(module, ())[:1]:
            if _plain(name) not in names | {"pybridge"}:
                yield f"{name}=={metadata.version(name)}"


def _plain(name: str) -> str:
    """Return the name of a distribution in the one form that all spellings have."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _require_same_python(snapshot: Any, which: Union[int, str], own: str) -> None:
    """Refuse a context of another version: its code would be compiled anew at best."""
    version = snapshot.describe(which).python
    if version.split(".")[:2] != own.split(".")[:2]:
        raise BadArgument(
            f"the saved context '{which}' needs Python {version}, this is {own}; "
            "declare the function with that python_version, or save the context anew"
        )
