"""What is said of snapshots: entries, reports, descriptions, differences."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "Change",
    "Description",
    "Difference",
    "Entry",
    "Found",
    "Import",
    "Report",
    "Summary",
    "Verification",
]

# As much of a repr as the original shows.
_SHOWN = 100


@dataclass
class Entry:
    """One name of a context: a module, a function, a class or a variable.

    size is that of its pickle with all buffers, in bytes; of what was never pickled, 0.
    """

    kind: str  # "module", "function", "class", "variable"
    name: str
    type: str = ""
    size: int = 0
    reason: str = ""  # why it was skipped, or what is special about it
    repr: str = ""
    signature: str = ""
    docs: str = ""
    module: str = ""  # where a module, or what is known by reference, comes from
    json: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass
class Report:
    """What a save or a restore has done, name by name."""

    id: int
    name: str = ""
    saved: list[Entry] = field(default_factory=list)
    restored: list[Entry] = field(default_factory=list)
    skipped: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bytes_written: int = 0  # of buffers; those that were there already are not

    def json(self) -> dict[str, Any]:
        """Return plain data: what its JSON text is made of."""

        def short(entries: list[Entry]) -> list[dict[str, Any]]:
            names = ("kind", "name", "type", "size", "reason")
            return [{name: getattr(one, name) for name in names} for one in entries]

        return {
            "id": self.id,
            "name": self.name,
            "saved": short(self.saved),
            "restored": short(self.restored),
            "skipped": short(self.skipped),
            "notes": list(self.notes),
        }


@dataclass
class Description:
    """What a stored or a live context holds; `id` of a live one is None."""

    id: int | None
    name: str
    description: str = ""
    created: str = ""  # UTC, ISO 8601 with milliseconds
    python: str = ""
    signature: str = ""  # "own", "unsigned", "changed", "another key"; "" of a live one
    modules: list[Entry] = field(default_factory=list)
    functions: list[Entry] = field(default_factory=list)  # and classes
    variables: list[Entry] = field(default_factory=list)
    skipped: list[Entry] = field(default_factory=list)

    def text(self) -> str:
        """Return the description in the layout of the original gateway."""
        lines = [
            f"Name: {self.name}",
            f"Description: {self.description}",
            f"CreatedOn: {self.created}",
            "Modules:",
            *(f"    {_origin(one)} as {one.name}" for one in self.modules),
            "Variables:",
        ]
        for one in self.variables:
            cut = " (truncated)" if len(one.repr) > _SHOWN else ""
            shown = one.repr[:_SHOWN].replace("\n", "\n        ")
            lines += [
                f"    Name: {one.name}",
                f"    Type: {one.type}",
                f"    Value{cut}: {shown}",
                "",
            ]
        lines.append("Functions:")
        for one in self.functions:
            docs = " ".join(one.docs.split())
            lines.append(
                f"    {'class ' * (one.kind == 'class')}{one.name}{one.signature}"
                + (f" - {docs}" if docs else "")
            )
        if self.skipped:
            lines.append("Not saved:")
            lines += [f"    {one.name}: {one.reason}" for one in self.skipped]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def _origin(entry: Entry) -> str:
    return entry.module or entry.name


@dataclass
class Summary:
    """One line of the list of contexts."""

    id: int
    name: str
    description: str
    created: str
    python: str
    modules: int
    functions: int
    variables: int
    size: int  # of all pickles with their buffers, in bytes
    signature: str = ""  # whose key it names: "own", "another key", "unsigned"

    def json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass
class Found:
    """An entry that a search has found, and where."""

    id: int
    context: str
    created: str
    entry: Entry

    def json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass
class Change:
    """A name that two contexts have differently."""

    kind: str
    name: str
    before: str  # previews
    after: str


@dataclass
class Difference:
    """What it takes to get from one context to another."""

    added: list[Entry] = field(default_factory=list)
    removed: list[Entry] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass
class Import:
    """A global that a pickle would import when loaded."""

    module: str
    name: str
    items: list[str] = field(default_factory=list)  # the names whose pickle it is
    known: bool = True  # False: the pickle makes the name up while it is loaded

    def json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass
class Verification:
    """Whether the buffers of a context hold what was saved."""

    id: int
    signature: str = ""
    buffers: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)  # names whose JSON was edited

    def json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)
