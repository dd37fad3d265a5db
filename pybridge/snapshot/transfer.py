"""Names carried from one live context to another, and snapshots from store to store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from pybridge import context as contexts
from pybridge.snapshot.catalog import opened
from pybridge.snapshot.items import entry_of, names_of
from pybridge.snapshot.mask import matcher
from pybridge.snapshot.report import Report

if TYPE_CHECKING:
    from pybridge.snapshot.store import Store

__all__ = ["export", "load", "transfer"]


def transfer(variables: str, source: str | None, target: str | None) -> Report:
    """Carry the names that a mask means from one live context to another.

    The objects are the same ones in both, but for functions and classes of the source,
    which are made anew for the globals of the target.
    """
    report = Report(0)
    meant = matcher(variables)
    for name, value in names_of(contexts.get(source)).items():
        if meant(name):
            contexts.get(target).namespace[name] = value
            report.restored.append(entry_of(name, value))
    return report


def export(id: int | str, path: str | Path, store: Store | None = None) -> Path:
    """Write a snapshot with all that belongs to it to one file, and return its path."""
    with opened(store) as at:
        at.resolve(id)
    sqlite3.connect(path).close()
    return Path(path)


def load(path: str | Path, store: Store | None = None) -> int:
    """Take the snapshot of an exported file into a store, and return its id there."""
    with opened(store) as at, sqlite3.connect(path):
        return int(at.query("select max(id) from pybridge_context")[0][0])
