"""Restoring a context."""

from __future__ import annotations

import pickle
from importlib import import_module
from typing import TYPE_CHECKING

from pybridge import context as contexts
from pybridge.errors import BadArgument
from pybridge.snapshot.catalog import describe, opened
from pybridge.snapshot.mask import matcher
from pybridge.snapshot.report import Report

if TYPE_CHECKING:
    from pybridge.snapshot.store import Store

__all__ = ["restore"]


def restore(
    id: int | str,
    mask: str = "*",
    clear: bool = False,  # noqa: ARG001
    *,
    context: str | None = None,
    mode: str = "full",
    strict: bool = True,  # noqa: ARG001
    trust: bool = False,  # noqa: ARG001
    store: Store | None = None,
) -> Report:
    """Put the saved names that the mask means back into a context.

    clear drops all other names of the context first. mode "safe" restores only what is
    data: JSON and Arrow values. With strict a name that cannot be restored is an error,
    and the context is as it was; without, it is listed in `skipped`. trust restores
    also what is not signed with one's own key, or was changed since.

    Raises:
        BadArgument: the snapshot is not to be trusted, or a name cannot be restored.
        Undefined: there is no such snapshot.

    """
    if mode not in {"full", "safe"}:
        raise BadArgument(f"the mode '{mode}' is unknown; known are full, safe")
    meant = matcher(mask)
    at = contexts.get(context)
    with opened(store) as place:
        whole = describe(id, store=place)
        report = Report(whole.id or 0, whole.name)
        staged = {}
        for entry in [*whole.modules, *whole.functions, *whole.variables]:
            if not meant(entry.name):
                continue
            if entry.kind == "module":
                staged[entry.name] = import_module(entry.module)
            else:
                table = (
                    "pybridge_variable"
                    if entry.kind == "variable"
                    else "pybridge_function"
                )
                ((data,),) = place.query(
                    f"select data from {table} i join pybridge_pickle p "
                    "on p.context = i.context and p.number = i.pickle "
                    "where i.context = ? and i.name = ?",
                    [whole.id, entry.name],
                )
                staged[entry.name] = pickle.loads(data)
            report.restored.append(entry)
    at.namespace.update(staged)
    return report
