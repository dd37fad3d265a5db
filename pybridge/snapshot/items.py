"""The names of a live context, and what is to be said of each."""

from __future__ import annotations

import datetime
from types import FunctionType, ModuleType
from typing import Any

from pybridge import context as contexts
from pybridge.snapshot.report import Description, Entry
from pybridge.status import type_name

__all__ = ["describe_live", "entry_of", "names_of", "now"]

# What every module has, and no user has put there.
_MODULE_NAMES = frozenset({
    "__annotations__", "__builtins__", "__cached__", "__doc__", "__file__",
    "__loader__", "__name__", "__package__", "__path__", "__spec__",
    "__warningregistry__",
})  # fmt: skip


def now() -> str:
    """Return the time: UTC, ISO 8601 with milliseconds."""
    time = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return time.isoformat(timespec="milliseconds") + "Z"


def names_of(context: contexts.Context) -> dict[str, Any]:
    """Return the user's names of a context."""
    return {
        name: value
        for name, value in list(context.namespace.items())
        if name not in _MODULE_NAMES
    }


def entry_of(name: str, value: object) -> Entry:
    """Return what there is to say about a name."""
    if isinstance(value, ModuleType):
        return Entry("module", name, "module", module=value.__name__)
    kind = "variable"
    if isinstance(value, FunctionType):
        kind = "function"
    elif isinstance(value, type):
        kind = "class"
    return Entry(kind, name, type_name(type(value)), repr=_repr(value))


def _repr(value: object) -> str:
    try:
        text = repr(value)
    except Exception as exc:
        text = f"<{type_name(type(value))}: its repr failed: {exc!r}>"
    return text if len(text) <= 1000 else text[:997] + "..."


def describe_live(name: str | None) -> Description:
    """Return what a live context holds, without touching it."""
    at = contexts.get(name)
    found = Description(None, at.name)
    for one, value in names_of(at).items():
        entry = entry_of(one, value)
        place = {"module": found.modules, "variable": found.variables}
        place.get(entry.kind, found.functions).append(entry)
    return found
