"""What is known of snapshots as flat rows: what SQL tables and JSON are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pybridge.snapshot.report import (
        Description,
        Difference,
        Entry,
        Found,
        Import,
        Summary,
    )

    Row = dict[str, Any]

__all__ = ["description", "difference", "found", "imports", "summaries"]


def summaries(snapshots: Iterable[Summary]) -> list[Row]:
    """Return a row for each snapshot."""
    return [
        {
            "id": one.id,
            "name": one.name,
            "description": one.description,
            "created": one.created,
            "python": one.python,
            "modules": one.modules,
            "functions": one.functions,
            "variables": one.variables,
            "items": one.modules + one.functions + one.variables,
            "size": one.size,
            "signature": one.signature,
        }
        for one in snapshots
    ]


def description(described: Description) -> Row:
    """Return what a snapshot is, and a row for each of its items."""
    kept = [*described.modules, *described.functions, *described.variables]
    return {
        "id": described.id,
        "name": described.name,
        "description": described.description,
        "created": described.created,
        "python": described.python,
        "signature": described.signature,
        "items": [{**_item(one), "saved": True} for one in kept]
        + [{**_item(one), "saved": False} for one in described.skipped],
    }


def found(entries: Iterable[Found]) -> list[Row]:
    """Return a row for each item that was found, with the snapshot it is in."""
    return [
        {"id": one.id, "snapshot": one.context, "created": one.created}
        | _item(one.entry)
        for one in entries
    ]


def difference(between: Difference) -> list[Row]:
    """Return a row for each item that is not the same in both."""
    rows = [_change(one, "removed", _shown(one), None) for one in between.removed]
    rows += [_change(one, "added", None, _shown(one)) for one in between.added]
    rows += [_change(one, "changed", one.before, one.after) for one in between.changed]
    return sorted(rows, key=lambda row: (row["kind"], row["name"]))


def imports(globals_: Iterable[Import]) -> list[Row]:
    """Return a row for each thing that restoring an item would import."""
    rows = [
        {"item": item, "module": one.module, "name": one.name, "known": one.known}
        for one in globals_
        for item in one.items
    ]
    return sorted(rows, key=lambda row: (row["item"], row["module"], row["name"]))


def _item(entry: Entry) -> Row:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "type": entry.type,
        "size": entry.size,
        "preview": _shown(entry),
        "json": entry.json,
        "reason": entry.reason or None,
    }


def _shown(entry: Entry) -> str:
    """Return what is shown of an item where there is no room for all of it."""
    if entry.kind in {"function", "class"}:
        return entry.signature or entry.repr
    return entry.repr or entry.module


def _change(one: Any, change: str, before: str | None, after: str | None) -> Row:
    return {
        "kind": one.kind,
        "name": one.name,
        "change": change,
        "before": before,
        "after": after,
    }
