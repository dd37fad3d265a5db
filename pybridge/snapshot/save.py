"""Saving a context."""

from __future__ import annotations

import io
import platform
from typing import TYPE_CHECKING

import cloudpickle  # type: ignore[import-untyped]

from pybridge import context as contexts
from pybridge.snapshot.catalog import opened
from pybridge.snapshot.items import entry_of, names_of, now
from pybridge.snapshot.mask import matcher
from pybridge.snapshot.report import Report
from pybridge.snapshot.store import FORMAT

if TYPE_CHECKING:
    from pybridge.snapshot.store import Store

__all__ = ["save"]


def save(
    context: str | None = None,
    name: str = "",
    mask: str = "*",
    max_length: int = 0,
    description: str = "",
    *,
    store: Store | None = None,
) -> Report:
    """Save the names of a context that the mask means, and report on each.

    max_length is the most bytes that the pickle of one name may have, with all its
    buffers; 0 is no limit. What cannot be saved is listed in `skipped`, with a reason.
    Without a name the snapshot gets that of its context.
    """
    at = contexts.get(context)
    meant = matcher(mask)
    with opened(store) as place, place.transaction():
        place.create()
        place.execute(
            "insert into pybridge_context (name, description, created, python, format,"
            " manifest, signature, key) values (?, ?, ?, ?, ?, '', '', '')",
            [name or at.name, description, now(), platform.python_version(), FORMAT],
        )
        ((which,),) = place.query("select max(id) from pybridge_context")
        report = Report(which, name or at.name)
        for number, (one, value) in enumerate(names_of(at).items()):
            if not meant(one):
                continue
            entry = entry_of(one, value)
            if entry.kind == "module":
                place.execute(
                    "insert into pybridge_module values (?, ?, ?, ?, '', '', '')",
                    [which, one, number, entry.module],
                )
                report.saved.append(entry)
                continue
            file = io.BytesIO()
            try:
                cloudpickle.CloudPickler(file, 5).dump(value)
            except Exception as exc:
                entry.reason = str(exc)
                report.skipped.append(entry)
                place.execute(
                    "insert into pybridge_skipped values (?, ?, ?, ?, 0, ?)",
                    [which, one, entry.kind, entry.type, entry.reason],
                )
                continue
            entry.size = len(file.getvalue())
            if max_length and entry.size > max_length:
                entry.reason = f"its pickle has {entry.size} bytes"
                report.skipped.append(entry)
                continue
            place.execute(
                "insert into pybridge_pickle values (?, ?, ?)",
                [which, number, file.getvalue()],
            )
            first = [which, one, number, entry.type, entry.size, entry.repr]
            if entry.kind == "variable":
                place.execute(
                    "insert into pybridge_variable "
                    "values (?, ?, ?, ?, ?, ?, null, null, ?, 0)",
                    [*first, number],
                )
            else:
                place.execute(
                    "insert into pybridge_function "
                    "values (?, ?, ?, ?, ?, ?, ?, '', '', '', ?, 0)",
                    [*first, entry.kind, number],
                )
            report.saved.append(entry)
    return report
