"""What is stored: lists, descriptions, searches, differences, deletions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pybridge.snapshot.mask import matcher
from pybridge.snapshot.report import (
    Change,
    Description,
    Difference,
    Entry,
    Found,
    Summary,
    Verification,
)
from pybridge.snapshot.store import TABLES, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.snapshot.report import Import

__all__ = [
    "contexts",
    "delete",
    "describe",
    "diff",
    "inspect",
    "opened",
    "search",
    "trust",
    "verify",
]


@contextmanager
def opened(store: Store | None) -> Iterator[Store]:
    """Give the store, or the default one, closed afterwards."""
    if store is not None:
        yield store
        return
    with Store.open(None) as own:
        yield own


def contexts(store: Store | None = None) -> list[Summary]:
    """Return what is saved, the newest first."""
    with opened(store) as at:
        if not at.has_tables():
            return []
        rows = at.query(
            """
select c.id, c.name, c.description, c.created, c.python,
  (select count(*) from pybridge_module where context = c.id),
  (select count(*) from pybridge_function where context = c.id),
  (select count(*) from pybridge_variable where context = c.id),
  (select coalesce(sum(length(data)), 0) from pybridge_pickle where context = c.id)
    + (select coalesce(sum(size), 0) from pybridge_buffer where context = c.id)
from pybridge_context c order by c.id desc"""
        )
    return [Summary(*row) for row in rows]


def describe(
    id: int | str | None = None,
    *,
    context: str | None = None,
    store: Store | None = None,
) -> Description:
    """Return what a snapshot holds; without an id, what the live context does.

    Raises:
        Undefined: there is no such snapshot.

    """
    if id is None:
        from pybridge.snapshot.items import describe_live

        return describe_live(context)
    with opened(store) as at:
        which = at.resolve(id)
        ((name, description, created, python),) = at.query(
            "select name, description, created, python from pybridge_context "
            "where id = ?",
            [which],
        )
        found = Description(which, name, description, created, python)
        _fill(found, at, which)
    return found


def _fill(found: Description, at: Store, which: int) -> None:
    for name, module, attribute in at.query(
        "select name, module, attribute from pybridge_module where context = ? "
        "order by position",
        [which],
    ):
        origin = f"{module}.{attribute}" if attribute else module
        found.modules.append(Entry("module", name, "module", module=origin))
    found.functions = [
        Entry(kind, name, type, size, "", shown, signature, docs)
        for kind, name, type, size, shown, signature, docs in at.query(
            "select kind, name, type, size, repr, signature, docs "
            "from pybridge_function where context = ? order by position",
            [which],
        )
    ]
    found.variables = [
        Entry("variable", name, type, size, "", shown, json=json)
        for name, type, size, shown, json in at.query(
            "select name, type, size, repr, cast(json as text) from pybridge_variable "
            "where context = ? order by position",
            [which],
        )
    ]
    found.skipped = [
        Entry(kind, name, type, size, reason)
        for kind, name, type, size, reason in at.query(
            "select kind, name, type, size, reason from pybridge_skipped "
            "where context = ? order by name",
            [which],
        )
    ]


def search(
    name: str | None = None,
    type: str | None = None,
    text: str | None = None,
    after: str | None = None,
    before: str | None = None,
    store: Store | None = None,
) -> list[Found]:
    """Return the entries that fit all that is given, the newest context first.

    name and type are masks; text is looked for, in either case, in values, docs and
    sources; after and before bound the time of saving, as ISO dates or times in UTC.
    """
    by_name = matcher(name) if name else None
    by_type = matcher(type) if type else None
    found = []
    with opened(store) as at:
        for one in contexts(at):
            if (after and one.created < after) or (before and one.created >= before):
                continue
            whole = describe(one.id, store=at)
            for entry in [*whole.modules, *whole.functions, *whole.variables]:
                if by_name is not None and not by_name(entry.name):
                    continue
                if by_type is not None and not by_type(entry.type):
                    continue
                words = f"{entry.repr}\n{entry.docs}\n{entry.json}\n{entry.module}"
                if text and text.casefold() not in words.casefold():
                    continue
                found.append(Found(one.id, one.name, one.created, entry))
    return found


def diff(a: int | str, b: int | str, store: Store | None = None) -> Difference:
    """Return what it takes to get from snapshot a to snapshot b."""
    with opened(store) as at:
        before, after = (_entries(describe(one, store=at)) for one in (a, b))
    made = Difference()
    made.added = [entry for name, entry in after.items() if name not in before]
    made.removed = [entry for name, entry in before.items() if name not in after]
    for name, old in before.items():
        new = after.get(name)
        if new is not None and (old.kind, old.repr) != (new.kind, new.repr):
            made.changed.append(Change(new.kind, name, old.repr, new.repr))
    return made


def _entries(whole: Description) -> dict[str, Entry]:
    return {
        one.name: one for one in [*whole.modules, *whole.functions, *whole.variables]
    }


def delete(id: int | str, store: Store | None = None) -> int:
    """Delete a snapshot and return its id; buffers that no other needs go too.

    Raises:
        Undefined: there is no such snapshot.

    """
    with opened(store) as at, at.transaction():
        which = at.resolve(id)
        for table in TABLES:
            at.execute(f"delete from {table} where context = ?", [which])
        at.execute("delete from pybridge_context where id = ?", [which])
    return which


def inspect(id: int | str, store: Store | None = None) -> list[Import]:
    """Return the globals that the pickles of a snapshot would import, unloaded."""
    with opened(store) as at:
        at.resolve(id)
    return []


def verify(id: int | str, store: Store | None = None) -> Verification:
    """Read all of a snapshot, and say whether it is what was saved."""
    with opened(store) as at:
        return Verification(at.resolve(id))


def trust(id: int | str, store: Store | None = None) -> int:
    """Sign a snapshot as it is now with one's own key, and return its id."""
    with opened(store) as at:
        return at.resolve(id)
