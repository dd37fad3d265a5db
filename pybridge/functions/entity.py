"""Entity: what functions, tasks, runs and data have in common; a view of the store."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Iterable,
    Mapping,
    Optional,
    TypeVar,
    Union,
)

from pybridge.errors import BadArgument
from pybridge.functions import keys
from pybridge.functions.store import now

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from pybridge.functions.store import Store

__all__ = ["Entity", "Record", "draft", "plain"]

_METADATA = (
    "project",
    "name",
    "version",
    "description",
    "labels",
    "created",
    "created_by",
    "updated",
    "updated_by",
    "embedded",
    "relationships",
    "ref",
)

E = TypeVar("E", bound="Entity")


class Record(dict[str, Any]):
    """A part of an entity: a dict whose items are attributes too.

    A field that entities of the type have, and this one has not, is None.
    """

    __slots__ = ("_known",)

    def __init__(self, data: Mapping[str, Any], known: Iterable[str] = ()) -> None:
        """Take the items, and the names of fields that there may be."""
        super().__init__(data)
        object.__setattr__(self, "_known", frozenset(known))

    def __getattr__(self, name: str) -> Any:
        """Return an item."""
        try:
            value = self[name]
        except KeyError:
            if name in self._known:
                return None
            raise AttributeError(
                f"there is no '{name}' here; there are "
                f"{', '.join(sorted({*self, *self._known}))}"
            ) from None
        if type(value) is dict:
            value = self[name] = Record(value)  # what is changed in it is changed here
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an item."""
        self[name] = value

    def __delattr__(self, name: str) -> None:
        """Remove an item."""
        self.pop(name, None)

    def __dir__(self) -> list[str]:
        """Name the fields too."""
        return sorted({*super().__dir__(), *self, *self._known})

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as what it is."""
        return (Record, (dict(self), tuple(self._known)))

    def to_dict(self) -> dict[str, Any]:
        """Return a copy that is a plain dict."""
        found: dict[str, Any] = plain(self)
        return found


def plain(value: Any) -> Any:
    """Return a copy of what is in an entity, of dicts and lists only."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def draft(
    type_: str,
    kind: str,
    *,
    project: str,
    name: str = "",
    uuid: Optional[str] = None,
    spec: Mapping[str, Any],
    metadata: Optional[Mapping[str, Any]] = None,
    status: Optional[Mapping[str, Any]] = None,
) -> dict[str, Any]:
    """Return a new entity as the store keeps it; nothing is stored yet.

    Raises:
        BadArgument: a name or an id is none.

    """
    keys.check_name(project, "project")
    identity = keys.new_id() if uuid is None else keys.check_id(uuid)
    if type_ not in keys.NAMELESS:
        keys.check_name(name)
    key = str(keys.Key(project, type_, kind, name, identity))
    made = now()
    given = {k: v for k, v in (metadata or {}).items() if v is not None}
    user = _user()
    return {
        "kind": kind,
        "metadata": {
            "project": project,
            "name": name or identity,
            "version": identity,
            "created": made,
            "created_by": user,
            "updated": made,
            **given,
        },
        "spec": {k: v for k, v in spec.items() if v is not None},
        "status": dict(status or {"state": "CREATED"}),
        "user": user,
        "key": key,
        "project": project,
        "id": identity,
        "name": name or identity,
    }


_who: Optional[str] = None


def _user() -> str:
    """Return the name of who runs this process."""
    global _who  # noqa: PLW0603 - asked for at each entity
    if _who is None:
        import getpass

        try:
            _who = getpass.getuser()
        except (KeyError, OSError):  # a user without a name, as in some containers
            _who = "unknown"
    return _who


class Entity:
    """Something that has a key: the view of one entry of the store."""

    TYPE: ClassVar[str] = ""
    SPEC: ClassVar[tuple[str, ...]] = ()  # the fields that there may be
    STATUS: ClassVar[tuple[str, ...]] = ("state", "message", "transitions")

    def __init__(self, data: dict[str, Any], store: Store) -> None:
        """Take the entry, and where it is kept."""
        self._data = data
        self.store = store

    @property
    def entry(self) -> dict[str, Any]:
        """The entry as it was read: for what has to be quick, and to be set anew."""
        return self._data

    @entry.setter
    def entry(self, data: dict[str, Any]) -> None:
        self._data = data

    @property
    def key(self) -> str:
        """The key: `store://…`."""
        return str(self._data["key"])

    @property
    def id(self) -> str:
        """What tells this version from others of its name."""
        return str(self._data["id"])

    @property
    def name(self) -> str:
        """The name; of a run or task its id."""
        return str(self._data.get("name") or self._data["id"])

    @property
    def kind(self) -> str:
        """What it is among those of its type."""
        return str(self._data["kind"])

    @property
    def project(self) -> str:
        """The name of its project."""
        return str(self._data["project"])

    @property
    def user(self) -> str:
        """The name of who made it."""
        return str(self._data.get("user") or "")

    @property
    def metadata(self) -> Record:
        """What people say about it; written to the store by `save`."""
        return self._record("metadata", _METADATA)

    @property
    def spec(self) -> Record:
        """What it is; written to the store by `save`."""
        return self._record("spec", self.SPEC)

    @property
    def status(self) -> Record:
        """What became of it."""
        return self._record("status", self.STATUS)

    def refresh(self: E) -> E:
        """Read it again from the store, and return it.

        Raises:
            BadArgument: it is not there any more.

        """
        found = self.store.get(self.key)
        if found is None:
            raise BadArgument(f"'{self.key}' is not in the store any more")
        self._data = found
        return self

    def save(self: E, update: bool = True) -> E:
        """Write it to the store, and return it; without update only if it is new.

        The status that the store has stays: others may have moved it on.

        Raises:
            BadArgument: it is there already, and update is false.

        """
        self.metadata.update(updated=now(), updated_by=_user())
        if not update or self.store.get(self.key) is None:
            self.store.create(self.to_dict())
            return self
        mine = self.to_dict()

        def keep(entity: dict[str, Any]) -> None:
            status = entity["status"]
            entity.clear()
            entity.update(mine, status=status)

        self._data = self.store.change(self.key, keep)
        return self

    def change(self: E, **status: Any) -> E:
        """Write fields of the status to the store, beside what others write there."""
        self._data = self.store.change(
            self.key, lambda entity: entity["status"].update(status)
        )
        return self

    def relate(self, type_: str, dest: str) -> None:
        """Note how it came from another entity; `save` writes it to the store."""
        known = self.metadata.setdefault("relationships", [])
        relation = {"type": type_, "dest": dest}
        if relation not in known:
            known.append(relation)

    def files(self) -> Path:
        """Return the directory of its files; it may not be there yet."""
        return self.store.files(self.project, self.TYPE, self.name, self.id)

    def delete(self) -> bool:
        """Remove it from the store, with its files; tell whether it was there."""
        import shutil

        gone = self.store.delete(self.key)
        if self.TYPE not in keys.NAMELESS:
            shutil.rmtree(self.files(), ignore_errors=True)
        return gone

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of all of it, as plain dicts."""
        data: dict[str, Any] = plain(self._data)
        return data

    def to_yaml(self) -> str:
        """Return all of it as YAML text, as `export` writes it."""
        from pybridge.functions import archive

        return archive.dumps(archive.portable(self))

    def export(self, filename: Union[str, os.PathLike[str], None] = None) -> str:
        """Write it into a YAML file and return the file's path."""
        from pybridge.functions import archive

        return archive.export(self, filename)

    def _record(self, part: str, known: Iterable[str]) -> Record:
        """Return a part of the entry as a record that is the entry's own."""
        found = self._data[part]
        if type(found) is not Record:
            found = self._data[part] = Record(found, known)
        return found

    def __repr__(self) -> str:
        """Tell what it is, and its state."""
        state = self._data["status"].get("state")
        return f"<{type(self).__name__} '{self.key}' {state}>"

    def __eq__(self, other: object) -> bool:
        """The same entry of the same store is the same."""
        if not isinstance(other, Entity):
            return NotImplemented
        return self.key == other.key and self.store is other.store

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.key)
