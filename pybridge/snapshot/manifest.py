"""What is signed: a list of all that can be code, each with its hash.

The rows of a snapshot are compared with the manifest when it is restored. A JSON text
that differs from the one that was saved is an edit of the user's, and is what gets
restored, because JSON is data: that is the one change that needs no new signature. All
others do: to names, to modules, to pickles, to sources, to which buffer is whose.
Labels (the name and description of the context, types, previews, docs) are not signed;
nothing is done with them.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import dataclass, field
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Any

from pybridge.snapshot.store import FORMAT

if TYPE_CHECKING:
    from pybridge.snapshot.store import Store

__all__ = ["Contents", "Stored", "head", "read", "text_of"]


def head(module: str, created: str, packages: dict[str, str]) -> dict[str, Any]:
    """Return what a manifest says of where it was made."""
    return {
        "format": FORMAT,
        "created": created,
        "python": platform.python_version(),
        "magic": MAGIC_NUMBER.hex(),
        "module": module,
        "packages": packages,
        "path": list(sys.path),
    }


def text_of(about: dict[str, Any], items: dict[str, Any]) -> str:
    """Return the manifest as text: what is signed."""
    return json.dumps({**about, "items": items}, sort_keys=True)


@dataclass
class Stored:
    """A function, class or variable as it is stored."""

    kind: str
    name: str
    pickle: int  # -1: there is none
    part: int
    source: str = ""
    json: str | None = None
    arrow: bytes | None = None


@dataclass
class Contents:
    """All rows of a snapshot that can be code."""

    modules: list[tuple[str, str, str, str]] = field(default_factory=list)
    items: list[Stored] = field(default_factory=list)
    pickles: dict[int, bytes] = field(default_factory=dict)
    buffers: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)

    def listed(self) -> dict[str, Any]:
        """Return the hashes of everything."""
        return {
            "modules": [list(one) for one in self.modules],
            "functions": [
                [one.kind, one.name, one.pickle, one.part, _hash(one.source)]
                for one in self.items
                if one.kind != "variable"
            ],
            "variables": [
                [one.name, one.pickle, one.part, _hash(one.json), _hash(one.arrow)]
                for one in self.items
                if one.kind == "variable"
            ],
            "pickles": [[number, _hash(data)] for number, data in self.pickles.items()],
            "buffers": self.listed_buffers(),
            "sources": [_hash(text) for text in self.sources],
        }

    def listed_buffers(self) -> list[Any]:
        """Return which buffers each pickle has."""
        return [
            [number, [list(one) for one in found]]
            for number, found in self.buffers.items()
        ]

    def changes(self, signed: dict[str, Any]) -> tuple[list[str], set[str]]:
        """Return what differs from a manifest, and whose JSON was edited."""
        now = self.listed()
        changed: list[str] = []
        edited: set[str] = set()
        for part, found in now.items():
            wanted = signed.get(part)
            if found == wanted:
                continue
            before = _by_name(part, wanted)
            after = _by_name(part, found)
            for name in [*before, *(one for one in after if one not in before)]:
                old, new = before.get(name), after.get(name)
                if old == new:
                    continue
                if part == "variables" and old and new and _but_json(old, new):
                    edited.add(name)
                else:
                    change = (
                        "is changed"
                        if old and new
                        else "is missing"
                        if old
                        else ("was added")
                    )
                    changed.append(f"{part[:-1]} '{name}' {change}")
        return changed, edited


def _by_name(part: str, rows: Any) -> dict[str, Any]:
    if not isinstance(rows, list):
        return {}
    place = {"functions": 1}.get(part, 0)
    if part == "sources":
        return {str(number): row for number, row in enumerate(rows)}
    return {str(row[place]): row for row in rows if isinstance(row, list) and row}


def _but_json(old: list[Any], new: list[Any]) -> bool:
    return len(old) == len(new) == 5 and old[:3] == new[:3] and old[4] == new[4]


def _hash(data: str | bytes | None) -> str | None:
    if data is None:
        return None
    if isinstance(data, str):
        data = data.encode(errors="surrogatepass")
    return hashlib.sha256(data).hexdigest()


# Anybody may have edited the tables: what is read is of the type that is expected.
_PLACE = "cast(pickle as integer), cast(part as integer)"


def _texts(*columns: str) -> str:
    return ", ".join(f"cast({one} as text)" for one in columns)


def _items(store: Store, which: int) -> list[Stored]:
    """Return the functions and the variables of a snapshot."""
    functions = store.query(
        f"select {_texts('kind', 'name')}, {_PLACE}, {_texts('source')} "
        "from pybridge_function where context = ? order by position, name",
        [which],
    )
    variables = store.query(
        f"select {_texts('name')}, {_PLACE}, {_texts('json')}, cast(arrow as blob) "
        "from pybridge_variable where context = ? order by position, name",
        [which],
    )
    return [
        *(Stored(kind, name, *place) for kind, name, *place in functions),
        *(
            Stored("variable", name, pickle, part, "", text, arrow)
            for name, pickle, part, text, arrow in variables
        ),
    ]


def read(store: Store, which: int) -> Contents:
    """Return the rows of a snapshot."""
    made = Contents()
    made.items = _items(store, which)
    rows = store.query(
        f"select {_texts('name', 'module', 'attribute', 'submodules')} "
        "from pybridge_module "
        "where context = ? order by position, name",
        [which],
    )
    made.modules = [(row[0], row[1], row[2], row[3]) for row in rows]
    rows = store.query(
        "select cast(number as integer), cast(data as blob) from pybridge_pickle "
        "where context = ? order by number",
        [which],
    )
    made.pickles = dict(rows)
    for number, name, size in store.query(
        "select cast(pickle as integer), cast(hash as text), cast(size as integer) "
        "from pybridge_buffer where context = ? "
        "order by pickle, position",
        [which],
    ):
        made.buffers.setdefault(number, []).append((name, size))
    rows = store.query(
        "select cast(text as text) from pybridge_source "
        "where context = ? order by number",
        [which],
    )
    made.sources = [str(row[0]) for row in rows]
    return made
