"""Snapshots: contexts saved in an SQLite database, looked at, compared, restored.

from pybridge import snapshot

report = snapshot.save("main", name="before the change")
print(snapshot.describe(report.id).text())
snapshot.restore(report.id, clear=True)

An id is a number; wherever one is wanted a name is taken too, and means the newest
snapshot of that name.

Decisions, and where they are explained: what is pickled together so that identity is
kept (`graph`), what stands for a function's globals (`pickler`, `loader`), what is
signed and which edits count (`manifest`), how large buffers are kept (`buffers`), what
mode "safe" restores (`exact`, `arrow`), what happens when a restore fails (`restore`).
"""

from __future__ import annotations

from pybridge.snapshot.archive import export, load
from pybridge.snapshot.catalog import (
    contexts,
    delete,
    describe,
    diff,
    inspect,
    search,
    trust,
    verify,
)
from pybridge.snapshot.report import (
    Change,
    Description,
    Difference,
    Entry,
    Found,
    Import,
    Report,
    Summary,
    Verification,
)
from pybridge.snapshot.restore import restore
from pybridge.snapshot.save import save
from pybridge.snapshot.store import Store
from pybridge.snapshot.transfer import transfer

__all__ = [
    "Change",
    "Description",
    "Difference",
    "Entry",
    "Found",
    "Import",
    "Report",
    "Store",
    "Summary",
    "Verification",
    "contexts",
    "delete",
    "describe",
    "diff",
    "export",
    "inspect",
    "load",
    "restore",
    "save",
    "search",
    "transfer",
    "trust",
    "verify",
]
