"""Saving a context: what it holds is pickled first, then written in one transaction."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pybridge import context as contexts
from pybridge.errors import BadArgument
from pybridge.key import Key
from pybridge.snapshot import arrow, exact
from pybridge.snapshot.buffers import Folder
from pybridge.snapshot.catalog import collect, opened
from pybridge.snapshot.graph import pickle_all
from pybridge.snapshot.items import Imports, entry_of, names_of, now, origin
from pybridge.snapshot.manifest import Contents, Stored, head, text_of
from pybridge.snapshot.mask import matcher
from pybridge.snapshot.pickler import Scope
from pybridge.snapshot.report import Entry, Report
from pybridge.snapshot.sources import Sources, source_of
from pybridge.snapshot.store import FORMAT
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.snapshot.graph import Pickled
    from pybridge.snapshot.store import Store

__all__ = ["save"]

# Of a package that has more of them, those that were imported are not told apart from
# those that it imports itself.
_SUBMODULES = 64


@dataclass
class _Made:
    """A snapshot that is ready to be written."""

    entries: dict[str, Entry]
    contents: Contents
    versions: dict[str, str]  # of modules, by the name that they have in the context
    views: list[tuple[int, memoryview]]  # the buffers, with the number of their pickle
    pickled: Pickled


def save(
    context: str | None = None,
    name: str = "",
    mask: str = "*",
    max_length: int = 0,
    description: str = "",
    *,
    store: Store | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Save the names of a context that the mask means, and report on each.

    max_length is the most bytes that the pickle of one name may have, with all its
    buffers; 0 is no limit. What cannot be saved is listed in `skipped`, with a reason.
    Without a name the snapshot gets that of its context. `progress` is called with how
    many bytes are written, and of how many; what it raises ends the save.
    """
    at = contexts.get(context)
    for text in (name, description):
        if not _is_text(text):
            raise BadArgument(f"{text!a} has a lone surrogate, which UTF-8 has not")
    key = Key.own()
    with opened(store) as place:
        folder = Folder(place.buffers, place.durable())
        settled = place.settled()
        made = _make(at, mask, max_length)
        # Before the store is locked: this takes longer than all else.
        done = _Done(made, progress)
        _name_buffers(made, folder, done.add)
        with place.transaction():
            created = now()
            which = _begin(place, name or at.name, description, created)
            _write_rows(place, which, made)
            module = str(at.namespace.get("__name__", ""))
            about = head(module, created, _packages(made))
            # Nobody else collects now. What was collected before is written again; its
            # name is the same.
            _write_again(made, folder)
            text = text_of(about, made.contents.listed())
            _sign(place, which, key, text)
            if settled:
                collect(place, folder)
        done.add(done.left)
    report = Report(which, name or at.name, bytes_written=folder.written)
    report.saved = [one for one in made.entries.values() if not one.reason]
    report.skipped = [one for one in made.entries.values() if one.reason]
    report.notes = made.pickled.notes
    return report


def _begin(place: Store, name: str, description: str, created: str) -> int:
    """Insert a context that is signed when all of it is there; return its number."""
    place.create()
    place.execute(
        "insert into pybridge_context (name, description, created, python, format, "
        "manifest, signature, key) values (?, ?, ?, ?, ?, '', '', '')",
        [name, description, created, platform.python_version(), FORMAT],
    )
    ((which,),) = place.query("select max(id) from pybridge_context")
    return int(which)


def _sign(place: Store, which: int, key: Key, text: str) -> None:
    place.execute(
        "update pybridge_context set manifest = ?, signature = ?, key = ? where id = ?",
        [text, key.sign(text), key.name, which],
    )


def _make(at: contexts.Context, mask: str, limit: int) -> _Made:
    """Pickle what the mask means."""
    meant = matcher(mask)
    imports = Imports()
    sources = Sources()
    scope = Scope(at.module, sources)
    values = {name: value for name, value in names_of(at).items() if meant(name)}
    unwritable = {name: values.pop(name) for name in list(values) if not _is_text(name)}
    entries = {name: entry_of(name, value, imports) for name, value in values.items()}
    kinds: dict[str, dict[str, Any]] = {"module": {}, "variable": {}, "": {}}
    for name, entry in entries.items():
        kinds.get(entry.kind, kinds[""])[name] = values[name]
    contents = Contents()
    versions = {}
    pickled = pickle_all(scope, kinds[""], kinds["variable"], limit)
    for name in list(pickled.failures):
        found = imports.anywhere(values[name])
        if found is not None:  # what cannot be pickled can be imported
            entries[name].kind = "module"
            entries[name].module = ".".join(found)
            kinds["module"][name] = values[name]
            del pickled.failures[name]
    found_at = {
        name: origin(value, imports) or imports.anywhere(value) or ("", "")
        for name, value in kinds["module"].items()
    }
    submodules = _submodules({one[0] for one in found_at.values() if not one[1]})
    for name, found in found_at.items():
        versions[name] = _version(found[0])
        below = json.dumps([] if found[1] else submodules.get(found[0], []))
        contents.modules.append((name, *found, below))
    for name, (size, reason) in pickled.failures.items():
        entries[name].size = size
        entries[name].reason = reason
    for name, value in unwritable.items():
        shown = name.encode(errors="backslashreplace").decode()
        entries[shown] = Entry("variable", shown, type_name(type(value)))
        entries[shown].reason = "its name has a lone surrogate, which UTF-8 has not"
    _list_items(contents, pickled, entries, values)
    contents.sources = sources.texts
    views = [
        (number, buffer.raw())
        for number, group in enumerate(pickled.groups)
        for buffer in group.buffers
    ]
    return _Made(entries, contents, versions, views, pickled)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _list_items(
    contents: Contents,
    pickled: Pickled,
    entries: dict[str, Entry],
    values: dict[str, Any],
) -> None:
    places = {
        name: (number, part)
        for number, group in enumerate(pickled.groups)
        for part, name in enumerate(group.names)
    }
    contents.pickles = {
        number: group.data for number, group in enumerate(pickled.groups)
    }
    functions, variables = [], []
    for name, entry in entries.items():
        if name not in places:
            continue
        entry.size = pickled.sizes[name]
        item = Stored(entry.kind, name, *places[name])
        if entry.kind == "variable":
            entry.json = item.json = exact.dumps(values[name])
            group = pickled.groups[item.pickle]
            views = [buffer.raw() for buffer in group.buffers]
            item.arrow = arrow.dumps(values[name], views)
            variables.append(item)
        else:
            item.source = source_of(values[name])
            functions.append(item)
    contents.items = functions + variables


class _Done:
    """Counts the bytes that are done of a save, and tells who wants to know."""

    def __init__(
        self, made: _Made, tell: Callable[[int, int], object] | None = None
    ) -> None:
        sizes = [view.nbytes for _, view in made.views]
        self.left = self._total = sum(sizes) + sum(
            len(data) for data in made.contents.pickles.values()
        )
        self._tell = tell

    def add(self, count: int) -> None:
        """Note that so many bytes more are done."""
        self.left -= count
        if self._tell is not None:
            self._tell(self._total - self.left, self._total)


def _name_buffers(made: _Made, folder: Folder, note: Callable[[int], object]) -> None:
    """Write the buffers, and note their names."""
    names = folder.write_all([view for _, view in made.views], note)
    for (number, view), name in zip(made.views, names, strict=True):
        made.contents.buffers.setdefault(number, []).append((name, view.nbytes))


def _write_again(made: _Made, folder: Folder) -> None:
    """Write the buffers that somebody has collected since."""
    known = [one for found in made.contents.buffers.values() for one in found]
    for (_, view), one in zip(made.views, known, strict=True):
        if not folder.has(*one):
            folder.write_all([view])


def _write_rows(place: Store, which: int, made: _Made) -> None:
    contents = made.contents
    _write_named(place, which, made)
    place.insert("pybridge_pickle", [[which, *one] for one in contents.pickles.items()])
    place.insert(
        "pybridge_source", [[which, *one] for one in enumerate(contents.sources)]
    )
    place.insert(
        "pybridge_buffer",
        [
            [which, number, position, *one]
            for number, found in contents.buffers.items()
            for position, one in enumerate(found)
        ],
    )
    place.insert(
        "pybridge_skipped",
        [
            [which, name, one.kind, one.type, one.size, one.reason]
            for name, one in made.entries.items()
            if one.reason
        ],
    )


def _write_named(place: Store, which: int, made: _Made) -> None:
    """Write what has a name: modules, variables, functions."""
    contents = made.contents
    positions = {name: number for number, name in enumerate(made.entries)}

    def first(item: Stored) -> list[object]:
        entry = made.entries[item.name]
        return [
            which, item.name, positions[item.name], entry.type, entry.size, entry.repr,
        ]  # fmt: skip

    place.insert(
        "pybridge_module",
        [
            [which, name, positions[name], module, of, made.versions[name], below]
            for name, module, of, below in contents.modules
        ],
    )
    place.insert(
        "pybridge_variable",
        [
            [*first(item), item.json, item.arrow, item.pickle, item.part]
            for item in contents.items
            if item.kind == "variable"
        ],
    )
    place.insert(
        "pybridge_function",
        [
            [
                *first(item), item.kind, made.entries[item.name].signature,
                made.entries[item.name].docs, item.source, item.pickle, item.part,
            ]
            for item in contents.items
            if item.kind != "variable"
        ],
    )  # fmt: skip


# ---- Modules ------------------------------------------------------------------------


def _version(module: str) -> str:
    found = getattr(sys.modules.get(module.partition(".")[0]), "__version__", "")
    return found if isinstance(found, str) else ""


def _packages(made: _Made) -> dict[str, str]:
    """Return the versions of the packages that the context uses."""
    tops = {module.partition(".")[0] for _, module, _, _ in made.contents.modules}
    tops |= {one.type.partition(".")[0] for one in made.entries.values()}
    found = {top: _version(top) for top in sorted(tops) if top}
    return {top: version for top, version in found.items() if version}


def _submodules(packages: set[str]) -> dict[str, list[str]]:
    """Return what was imported below packages: `import xml.dom` binds only `xml`."""
    below: dict[str, list[str]] = {one: [] for one in packages if "." not in one}
    for name in list(sys.modules) if below else ():
        package = name.partition(".")[0]
        if package in below and package != name and "._" not in name:
            below[package].append(name)
    return {
        package: sorted(names)
        for package, names in below.items()
        if len(names) <= _SUBMODULES
    }
