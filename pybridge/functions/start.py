"""Start: the names of a saved context, for a function to begin with."""

from __future__ import annotations

import itertools
import os
import platform
import sys
from typing import Any, Union

from pybridge.errors import BadArgument

__all__ = ["saved"]

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
    _require_same_python(snapshot, which)
    name = f"function-{os.getpid()}-{next(_numbers)}"
    try:
        snapshot.restore(which, context=name)
        at = context.get(name)
        own = {"__builtins__", "__name__", "__doc__", "__loader__", "__spec__"}
        own |= {"__package__", "__file__", "__path__", "__annotations__"}
        return {key: value for key, value in at.namespace.items() if key not in own}
    finally:
        context.drop(name)


def _require_same_python(snapshot: Any, which: Union[int, str]) -> None:
    """Refuse a context of another version: its code would be compiled anew at best."""
    version = snapshot.describe(which).python
    own = platform.python_version()
    if version.split(".")[:2] != own.split(".")[:2]:
        raise BadArgument(
            f"the saved context '{which}' needs Python {version}, this is {own}; "
            "declare the function with that python_version, or save the context anew"
        )
