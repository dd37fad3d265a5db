"""What is stored: lists, descriptions, searches, differences, deletions."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pybridge.errors import BadArgument
from pybridge.key import Key
from pybridge.snapshot.buffers import Folder
from pybridge.snapshot.inspection import globals_of
from pybridge.snapshot.manifest import read
from pybridge.snapshot.mask import matcher
from pybridge.snapshot.report import (
    Change,
    Description,
    Difference,
    Entry,
    Found,
    Import,
    Summary,
    Verification,
)
from pybridge.snapshot.store import TABLES, FileStore, Store
from pybridge.snapshot.trusted import manifest_of, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.snapshot.manifest import Contents

__all__ = [
    "collect",
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

_PREVIEW = 1000
_ADDRESS = re.compile(" at 0x[0-9a-fA-F]+(?=[ >])")  # in a repr; it means nothing


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
select c.id, c.name, c.description, c.created, c.python, c.signature <> '', c.key,
  (select count(*) from pybridge_module where context = c.id),
  (select count(*) from pybridge_function where context = c.id),
  (select count(*) from pybridge_variable where context = c.id),
  (select coalesce(sum(length(data)), 0) from pybridge_pickle where context = c.id)
    + (select coalesce(sum(size), 0) from pybridge_buffer where context = c.id)
from pybridge_context c order by c.id desc"""
        )
    key = _own_key() if rows else ""
    made = [Summary(*row[:5], *row[7:]) for row in rows]
    for one, row in zip(made, rows, strict=True):
        one.signature = _signer(bool(row[5]), row[6], key)
    return made


def _own_key() -> str:
    """Return the name of one's own key; where it cannot be used no name is its."""
    try:
        return Key.own().name
    except (BadArgument, OSError):
        return ""


def _signer(signed: bool, key: str, own: str) -> str:
    """Return whose key a signature names; whether it holds, `verify` tells."""
    if not signed:
        return "unsigned"
    return "own" if key == own else "another key"


# ---- What one holds -----------------------------------------------------------------


def describe(
    id: int | str | None = None,
    *,
    context: str | None = None,
    store: Store | None = None,
) -> Description:
    """Return what a snapshot holds; without an id, what the live context does.

    Raises:
        UnknownSnapshot: there is no such snapshot.

    """
    if id is None:
        from pybridge.snapshot.items import describe_live

        return describe_live(context)
    with opened(store) as at:
        which = at.resolve(id)
        found = entries(at, which)
        try:
            manifest = manifest_of(at, which)
            changed, _ = read(at, which).changes(manifest.items)
            found.signature, _ = state_of(manifest, changed)
        except BadArgument as exc:
            found.signature = str(exc)
    return found


def entries(at: Store, which: int) -> Description:
    """Return what the rows of a snapshot say, without a look at its signature."""
    ((name, description, created, python),) = at.query(
        "select name, description, created, python from pybridge_context where id = ?",
        [which],
    )
    found = Description(which, name, description, created, python)
    for one, module, attribute in at.query(
        "select name, module, attribute from pybridge_module where context = ? "
        "order by position, name",
        [which],
    ):
        origin = f"{module}.{attribute}" if attribute else module
        found.modules.append(Entry("module", one, "module", module=origin))
    found.functions = [
        Entry(kind, one, type, size, "", shown, signature, docs)
        for kind, one, type, size, shown, signature, docs in at.query(
            "select kind, name, type, size, repr, signature, docs "
            "from pybridge_function where context = ? order by position, name",
            [which],
        )
    ]
    found.variables = [
        Entry("variable", one, type, size, "", shown, json=text)
        for one, type, size, shown, text in at.query(
            "select name, type, size, repr, cast(json as text) from pybridge_variable "
            "where context = ? order by position, name",
            [which],
        )
    ]
    found.skipped = [
        Entry(kind, one, type, size, reason)
        for kind, one, type, size, reason in at.query(
            "select kind, name, type, size, reason from pybridge_skipped "
            "where context = ? order by name",
            [which],
        )
    ]
    return found


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
    sources; after and before bound the time of saving, as ISO dates or times in UTC:
    after is the first that fits, before the first that does not.
    """
    by_name = matcher(name) if name else lambda _: True
    by_type = matcher(type) if type else lambda _: True
    wanted = text.casefold() if text else ""
    found = []
    with opened(store) as at:
        for one in contexts(at):
            if (after and one.created < after) or (before and one.created >= before):
                continue
            whole = entries(at, one.id)
            sources = _sources(at, one.id) if wanted else {}
            for entry in [*whole.modules, *whole.functions, *whole.variables]:
                words = (
                    _ADDRESS.sub("", entry.repr), entry.docs, entry.json or "",
                    entry.module, sources.get(entry.name, ""),
                )  # fmt: skip
                if (
                    by_name(entry.name)
                    and by_type(entry.type)
                    and (not wanted or any(wanted in w.casefold() for w in words))
                ):
                    found.append(Found(one.id, one.name, one.created, entry))
    return found


def _sources(at: Store, which: int) -> dict[str, str]:
    rows = at.query(
        "select name, source from pybridge_function where context = ?", [which]
    )
    return {name: text for name, text in rows if text}


# ---- Differences --------------------------------------------------------------------


def diff(a: int | str, b: int | str, store: Store | None = None) -> Difference:
    """Return what it takes to get from snapshot a to snapshot b.

    Names are compared by their JSON or source where they have one, and otherwise by
    their pickles.

    Raises:
        UnknownSnapshot: there is no such snapshot.

    """
    with opened(store) as at:
        before, after = (_compared(at, at.resolve(one)) for one in (a, b))
    made = Difference()
    made.added = [one for name, (one, _, _) in after.items() if name not in before]
    made.removed = [one for name, (one, _, _) in before.items() if name not in after]
    for name, (_, old, shown) in before.items():
        if name in after and after[name][1] != old:
            entry, _, now = after[name]
            made.changed.append(Change(entry.kind, name, shown, now))
    return made


def _compared(at: Store, which: int) -> dict[str, tuple[Entry, object, str]]:
    """Return each entry with what it is compared by, and its preview."""
    whole = entries(at, which)
    contents = read(at, which)
    items = {one.name: one for one in contents.items}
    found: dict[str, tuple[Entry, object, str]] = {}
    for one in whole.modules:
        found[one.name] = one, one.module, one.module
    for one in [*whole.functions, *whole.variables]:
        item = items[one.name]
        if item.json is not None:
            key: object = ("json", one.type, _canonical(item.json))
            shown = item.json
        elif item.source:
            key, shown = (one.kind, item.source, one.signature), item.source
        else:
            key, shown = (one.kind, _fingerprint(contents, item.pickle)), one.repr
        found[one.name] = one, key, shown[:_PREVIEW]
    return found


def _canonical(text: str) -> str:
    """Return a JSON text as it would have been saved."""
    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return ""


def _fingerprint(contents: Contents, pickle: int) -> str:
    found = hashlib.sha256(contents.pickles.get(pickle, b""))
    found.update(repr(contents.buffers.get(pickle, [])).encode())
    return found.hexdigest()


# ---- Deleting -----------------------------------------------------------------------


def delete(id: int | str, store: Store | None = None) -> int:
    """Delete a snapshot and return its id; buffers that no other needs go too.

    In a host they go when the next snapshot is saved or deleted outside a transaction:
    until the host commits, the deletion may still be taken back.

    Raises:
        UnknownSnapshot: there is no such snapshot.

    """
    with opened(store) as at:
        which = at.resolve(id)
        settled = at.settled()
        with at.transaction():
            if settled:
                # Before the rows go: this very deletion may fail yet.
                at.execute("update pybridge_context set id = id where id = ?", [which])
                collect(at, Folder(at.buffers))
            for table in TABLES:
                at.execute(f"delete from {table} where context = ?", [which])
            at.execute("delete from pybridge_context where id = ?", [which])
        if isinstance(at, FileStore):  # its deletion is committed by now
            with at.transaction():
                collect(at, Folder(at.buffers))
    return which


def collect(at: Store, folder: Folder) -> None:
    """Delete the buffers that no snapshot needs; under the write lock of the store."""
    folder.collect({row[0] for row in at.query("select hash from pybridge_buffer")})


# ---- Trust --------------------------------------------------------------------------


def inspect(id: int | str, store: Store | None = None) -> list[Import]:
    """Return the globals that a snapshot would import, without loading any of it.

    Raises:
        UnknownSnapshot: there is no such snapshot.

    """
    with opened(store) as at:
        contents = read(at, at.resolve(id))
    found: dict[tuple[str, str, bool], Import] = {}

    def note(module: str, name: str, known: bool, items: list[str]) -> None:
        one = found.setdefault((module, name, known), Import(module, name, [], known))
        one.items += [item for item in items if item not in one.items]

    for name, module, attribute, below in contents.modules:
        note(module, attribute, True, [name])
        for one in _listed(below):
            note(one, "", True, [name])
    for number, data in contents.pickles.items():
        items = [one.name for one in contents.items if one.pickle == number]
        for module, name, known in globals_of(data):
            note(module, name, known, items)
    return sorted(found.values(), key=lambda one: (one.known, one.module, one.name))


def _listed(text: str) -> list[str]:
    try:
        names = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return [str(one) for one in names] if isinstance(names, list) else []


def verify(id: int | str, store: Store | None = None) -> Verification:
    """Read all of a snapshot, and say what of it is not what was saved.

    Raises:
        UnknownSnapshot: there is no such snapshot.

    """
    with opened(store) as at:
        which = at.resolve(id)
        contents = read(at, which)
        manifest = manifest_of(at, which)
        folder = Folder(at.buffers)
    changed, edited = contents.changes(manifest.items)
    state, problems = state_of(manifest, changed)
    made = Verification(which, state, problems=problems, edited=sorted(edited))
    for found in contents.buffers.values():
        for name, size in found:
            made.buffers += 1
            made.size += size
            problem = folder.check(name, size)
            if problem:
                made.problems.append(problem)
    return made


def trust(id: int | str, store: Store | None = None) -> int:
    """Sign a snapshot as it is now with one's own key, and return its id.

    Raises:
        UnknownSnapshot: there is no such snapshot.

    """
    key = Key.own()
    with opened(store) as at:
        which = at.resolve(id)
        with at.transaction():
            manifest = manifest_of(at, which)
            contents = read(at, which)
            about = json.loads(manifest.text)
            about["items"] = contents.listed()
            # An edited JSON stays edited: that it differs is why it is restored.
            _, edited = contents.changes(manifest.items)
            saved = {row[0]: row for row in manifest.items.get("variables", [])}
            about["items"]["variables"] = [
                saved[row[0]] if row[0] in edited else row
                for row in about["items"]["variables"]
            ]
            text = json.dumps(about, sort_keys=True)
            at.execute(
                "update pybridge_context set manifest = ?, signature = ?, key = ? "
                "where id = ?",
                [text, key.sign(text), key.name, which],
            )
    return which
