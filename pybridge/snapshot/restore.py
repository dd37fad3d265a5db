"""Restoring a context: trust first, then modules, definitions, variables; or nothing.

What is restored becomes visible to the user's code as it is loaded, because an object's
own `__setstate__` may call a function of the context; when anything fails, each name
gets back what it was.
"""

from __future__ import annotations

import importlib
import json
import platform
import sys
from contextlib import suppress
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Any

from pybridge import context as contexts
from pybridge import source
from pybridge.errors import BadArgument, DeadlineExceeded
from pybridge.snapshot import arrow, exact, loader
from pybridge.snapshot.buffers import Folder
from pybridge.snapshot.catalog import entries as entries_of
from pybridge.snapshot.catalog import opened
from pybridge.snapshot.items import names_of
from pybridge.snapshot.manifest import read
from pybridge.snapshot.mask import matcher
from pybridge.snapshot.report import Report
from pybridge.snapshot.sources import Sources, compiled
from pybridge.snapshot.trusted import manifest_of, require

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType

    from pybridge.snapshot.manifest import Contents, Stored
    from pybridge.snapshot.report import Entry
    from pybridge.snapshot.store import Store
    from pybridge.snapshot.trusted import Manifest

__all__ = ["restore"]

_MISSING: Any = object()


def restore(
    id: int | str,
    mask: str = "*",
    clear: bool = False,
    *,
    context: str | None = None,
    mode: str = "full",
    strict: bool = True,
    trust: bool = False,
    store: Store | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Put the saved names that the mask means back into a context.

    clear drops all other names of the context. mode "safe" restores only what is data:
    JSON and Arrow values. With strict a name that cannot be restored is an error, and
    the context is as it was; without, it is listed in `skipped`; so is, either way,
    what another version of Python cannot load. trust restores also what is not signed
    with one's own key, or was changed since. `progress` is called with how many bytes
    are restored, and of how many; what it raises ends the restore.

    Raises:
        NotTrusted: the snapshot is unsigned, changed or signed by another key.
        BadArgument: a name cannot be restored.
        UnknownSnapshot: there is no such snapshot.

    """
    if mode not in {"full", "safe"}:
        raise BadArgument(f"the mode '{mode}' is unknown; known are full, safe")
    meant = matcher(mask)
    at = contexts.get(context)
    with opened(store) as place:
        which = place.resolve(id)
        whole = entries_of(place, which)
        contents = read(place, which)
        manifest = manifest_of(place, which)
        changed, edited = contents.changes(manifest.items)
        if mode == "full" and not trust:
            require(manifest, changed)
        items = _Loader(contents, at.module, manifest, Folder(place.buffers))
        items.edited = edited
        items.strict = strict
    report = Report(which, whole.name)
    entries = [*whole.modules, *whole.functions, *whole.variables]
    entries = [entry for entry in entries if meant(entry.name)]
    done, total = 0, sum(entry.size for entry in entries)
    work = _Work(items, at.namespace, report)
    with work:
        for entry in entries:
            work.put(entry, mode == "safe")
            done += entry.size
            if progress is not None:
                progress(done, total)
        if clear:
            kept = {one.name for one in report.restored}
            for name in names_of(at):
                if name not in kept:
                    work.drop(name)
    report.notes += items.notes()
    return report


class _Work:
    """Names being put into a namespace; all are put back on an exception."""

    def __init__(
        self, items: _Loader, namespace: dict[str, Any], report: Report
    ) -> None:
        self.items = items
        self.namespace = namespace
        self.report = report
        self.before: dict[str, Any] = {}

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            return
        for name, value in self.before.items():
            if value is _MISSING:
                self.namespace.pop(name, None)
            else:
                self.namespace[name] = value

    def put(self, entry: Entry, safe: bool) -> None:
        """Restore one name, or note why not."""
        name = entry.name
        try:
            value = self.items.safe(name) if safe else self.items.value(name)
        except (KeyboardInterrupt, DeadlineExceeded):
            raise
        except _NotSafe as exc:
            self.skip(entry, str(exc))
            return
        except BaseException as exc:
            if self.items.strict and not self.items.foreign:
                raise BadArgument(
                    f"'{name}' cannot be restored: {_reason(exc)}; the context is as "
                    "it was; strict=False restores the rest"
                ) from exc
            self.skip(entry, _reason(exc))
            return
        self.before.setdefault(name, self.namespace.get(name, _MISSING))
        self.namespace[name] = value
        if self.items.is_edited(name):
            entry.reason = "restored from its edited JSON"
        self.report.restored.append(entry)

    def skip(self, entry: Entry, reason: str) -> None:
        entry.reason = reason
        self.report.skipped.append(entry)

    def drop(self, name: str) -> None:
        """Delete a name that was not restored."""
        self.before.setdefault(name, self.namespace.get(name, _MISSING))
        self.namespace.pop(name, None)


class _NotSafe(Exception):  # noqa: N818  (no error: what the mode is for)
    """The value has neither a JSON nor an Arrow form."""


def _reason(exc: BaseException) -> str:
    try:
        text = " ".join(str(exc).split())
    except Exception:
        text = ""
    if isinstance(exc, BadArgument):
        return text
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


# ---- Values -------------------------------------------------------------------------


class _Loader(loader.Definitions):
    """Gives the value of each name, each pickle loaded once and when it is needed."""

    def __init__(
        self,
        contents: Contents,
        module: ModuleType,
        manifest: Manifest,
        folder: Folder,
    ) -> None:
        self.contents = contents
        self.target = module
        self.manifest = manifest
        self.module = manifest.module
        self.folder = folder
        self.folder.expect(contents.buffers)
        self.foreign = manifest.magic != MAGIC_NUMBER.hex()
        self.edited: set[str] = set()
        self.strict = True
        self._items = {one.name: one for one in contents.items}
        self._modules = {one[0]: one for one in contents.modules}
        self._sources = Sources(list(contents.sources))
        self._filenames: dict[int, str] = {}
        self._groups: dict[int, Any] = {}  # a list, or the exception
        self._rebuilt: dict[str, Any] = {}
        self._globals: dict[int, dict[str, Any]] = {}
        self._notes: list[str] = []

    def is_edited(self, name: str) -> bool:
        """Is the JSON of this name another than the one that was saved?"""
        return name in self.edited and self._items[name].json is not None

    def safe(self, name: str) -> Any:
        """Return a value that is data, from its JSON or Arrow form."""
        item = self._items.get(name)
        if item is not None and item.json is not None:
            return self._json(item)
        if item is not None and item.arrow is not None:
            buffers = self.contents.buffers.get(item.pickle, [])
            return arrow.loads(item.arrow, self.folder.open(buffers))
        raise _NotSafe('it is no JSON or Arrow value; mode "full" restores it')

    def value(self, name: str) -> Any:
        """Return what a name is bound to."""
        if name in self._modules:
            return self._module(*self._modules[name][1:])
        return self.item(name)

    def item(self, name: str) -> Any:
        """Return the object that is saved under a name."""
        item = self._items.get(name)
        if item is None:
            if name in self._modules:
                return self.value(name)
            return getattr(self.target, name)
        if name in self._rebuilt:
            return self._rebuilt[name]
        if self.is_edited(name) and self._alone(item):
            return self._json(item)
        if self.foreign and item.kind != "variable":
            return self._rebuild(item)
        return self._group(item.pickle)[item.part]

    def _alone(self, item: Stored) -> bool:
        return sum(one.pickle == item.pickle for one in self.contents.items) == 1

    def _json(self, item: Stored) -> Any:
        try:
            return exact.loads(item.json or "")
        except BadArgument as exc:
            raise BadArgument(f"its JSON was edited, and {exc}") from None

    def _group(self, number: int) -> list[Any]:
        found = self._groups.get(number)
        if found is None:
            data = self.contents.pickles.get(number)
            if data is None:
                raise BadArgument("its pickle is missing")
            # What asks for itself while it is loaded finds this.
            self._groups[number] = BadArgument("it needs itself to be made")
            try:
                buffers = self.folder.open(self.contents.buffers.get(number, []))
                found = loader.load(data, buffers, self.target, self)
                if not isinstance(found, list):
                    raise BadArgument("its pickle is no list of values")
                self._edit(number, found)
            except BaseException as exc:
                self._groups[number] = exc
                raise
            self._groups[number] = found
        if isinstance(found, BaseException):
            raise found
        return found

    def _edit(self, number: int, values: list[Any]) -> None:
        """Put edited values in the place of those that were saved together."""
        for item in self.contents.items if self.edited else ():
            if item.pickle != number or not self.is_edited(item.name):
                continue
            old, new = values[item.part], self._json(item)
            if type(old) is list and type(new) is list:
                old[:] = new  # who else holds it sees the new values too
            elif type(old) is dict and type(new) is dict:
                old.clear()
                old.update(new)
            else:
                values[:] = [new if one is old else one for one in values]

    def _module(self, module: str, attribute: str, below: str) -> Any:
        found = importlib.import_module(module)
        for one in json.loads(below or "[]"):
            if isinstance(one, str) and one not in sys.modules:
                with suppress(Exception):
                    importlib.import_module(one)
        return loader.attribute(module, attribute) if attribute else found

    # ---- Code ------------------------------------------------------------------------

    def _rebuild(self, item: Stored) -> Any:
        """Return a function or class that another Python has compiled."""
        failure: BaseException | None = None
        steps = [self._from_source, self._from_pickle]
        for step in steps if item.kind == "class" else reversed(steps):
            try:
                self._rebuilt[item.name] = step(item)
            except (KeyboardInterrupt, DeadlineExceeded):
                raise
            except BaseException as exc:
                failure = failure or exc
            else:
                return self._rebuilt[item.name]
        raise failure or BadArgument("it cannot be made")

    def _from_pickle(self, item: Stored) -> Any:
        return self._group(item.pickle)[item.part]

    def _from_source(self, item: Stored) -> Any:
        code = compiled(item.source) if item.source else None
        if code is None:
            raise BadArgument(
                f"the code of '{item.name}' was compiled by Python "
                f"{self.manifest.python}, and its source is not known; define it again"
            )
        names = _Names(self)
        exec(source.adopt(item.source, code), self.target.__dict__, names)  # noqa: S102
        for value in reversed(list(names.values())):
            return value
        raise BadArgument("its source defines nothing")

    def code(self, key: tuple[int, str, int, int]) -> CodeType | None:
        """Compile a code object anew from its source; None where there is none."""
        found = self._sources.find(key)
        return None if found is None else self.adopt(found, key[0])

    def adopt(self, code: CodeType, number: int) -> CodeType:
        """Return a code object with a file name under which its source is known."""
        if not 0 <= number < len(self.contents.sources):
            return code
        if not code.co_filename.startswith("<"):
            return code  # a file: tracebacks read it from there
        text = self.contents.sources[number]
        known = source.adopt(text, code, self._filenames.get(number, ""))
        self._filenames[number] = known.co_filename
        return known

    def globals(self, key: int) -> dict[str, Any]:
        """Return the globals that are nobody's but some functions'."""
        return self._globals.setdefault(key, {"__builtins__": __builtins__})

    # ---- What is to be said ----------------------------------------------------------

    def notes(self) -> list[str]:
        """Return in what the versions of then and now differ."""
        notes = list(self._notes)
        if self.foreign:
            without = [
                one.name
                for one in self.contents.items
                if one.kind != "variable"
                and not one.source
                and one.name not in self._rebuilt
            ]
            may_not = f"; without source: {', '.join(without)}" if without else ""
            notes.append(
                f"saved by Python {self.manifest.python}, this is "
                f"{platform.python_version()}: functions and classes are compiled anew "
                f"from their source{may_not}"
            )
        for name, version in self.manifest.packages.items():
            now = getattr(sys.modules.get(name), "__version__", version)
            if now != version:
                notes.append(f"saved with {name} {version}, this is {now}")
        return notes


class _Names(dict[str, Any]):
    """What a definition is executed with: asks for others as they are needed."""

    def __init__(self, items: _Loader) -> None:
        super().__init__()
        self._from = items

    def __missing__(self, name: str) -> Any:
        if name in self._from._items or name in self._from._modules:  # noqa: SLF001
            return self._from.value(name)
        raise KeyError(name)
