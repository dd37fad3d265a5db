"""Archive: entities and whole projects as YAML files, and back.

A file says all of an entity but the values of secrets. A function's code is in it, also
where that is many files. Data stays where it is: a file has its path.
"""

from __future__ import annotations

import base64
import copy
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional, Union, cast

from pybridge.errors import BadArgument
from pybridge.functions import keys, lookup
from pybridge.functions.entity import draft
from pybridge.functions.extras import need
from pybridge.functions.faults import Fault, Faults, shown

if TYPE_CHECKING:
    from pybridge.functions.entity import Entity
    from pybridge.functions.project import Project
    from pybridge.functions.store import Store

__all__ = [
    "dumps",
    "export",
    "export_project",
    "import_project",
    "load",
    "load_any",
    "loads",
    "portable",
]

PathLike = Union[str, "os.PathLike[str]"]
_LISTS = ("functions", "artifacts", "dataitems", "models", "secrets")  # of a project
_PARTS = ("metadata", "spec", "status")
_LARGEST = 1_000_000  # values in a file


def dumps(data: Mapping[str, Any]) -> str:
    """Return an entry of the store as YAML text."""
    yaml = need("yaml", "exporting to YAML")

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Writes what is there twice twice: people read it."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base's
            return True

    return str(yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def loads(text: str, where: str = "the text") -> dict[str, Any]:
    """Return what YAML text says: one entry.

    Raises:
        BadArgument: it is not YAML, or no entry.

    """
    yaml = need("yaml", "importing from YAML")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(text, Loader=loader)
        size = _size(data, {})
    except RecursionError:
        raise BadArgument(
            f"{where} is nested too deeply; give a file that export wrote"
        ) from None
    except (yaml.YAMLError, ValueError) as exc:
        told = " ".join(str(exc).split())
        raise BadArgument(f"{where} is not YAML: {told}") from None
    if size > _LARGEST:
        raise BadArgument(
            f"{where} has more than {_LARGEST:,} values in it, or itself; write out "
            "what its aliases (*) stand for"
        )
    if not isinstance(data, dict):
        raise BadArgument(
            f"{where} has no entity in it but {shown(data)}; give a file that export "
            "wrote"
        )
    return data


def _size(data: Any, known: dict[int, float]) -> float:
    """Return how many values there are when all aliases are written out.

    A few lines can stand for more than any memory holds, or for themselves.
    """
    if not isinstance(data, (dict, list)):
        return 1
    if id(data) not in known:
        known[id(data)] = float("inf")  # until it is known: it is in itself
        inner = data.values() if isinstance(data, dict) else data
        known[id(data)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(data)]


def portable(entity: Entity) -> dict[str, Any]:
    """Return an entry with all that another store needs to have it too."""
    data = entity.to_dict()
    source = data["spec"].get("source")
    if isinstance(source, dict) and source.get("path"):
        pack = entity.store.root / source["path"]
        data["spec"]["source"] = {
            **{k: v for k, v in source.items() if k not in {"path", "digest"}},
            "zip": base64.b64encode(pack.read_bytes()).decode("ascii"),
        }
    return data


def export(entity: Entity, filename: Optional[PathLike] = None) -> str:
    """Write an entity into a YAML file and return its path.

    Raises:
        BadArgument: the file cannot be written.

    """
    path = Path(filename or f"{entity.TYPE}s-{entity.id}.yaml")
    _write(path, dumps(portable(entity)))
    return str(path)


def export_project(project: Project, filename: Optional[PathLike] = None) -> str:
    """Write a project, and all versions of what is in it, and return the file's path.

    What is embedded stands in the project's file; the rest has files beside it, which
    `ref` names.

    Raises:
        BadArgument: a file cannot be written.

    """
    path = Path(filename or f"projects-{project.name}.yaml")
    data = project.to_dict()
    for name in _LISTS:
        found = project.store.find(project.name, name[:-1])
        entities = [lookup.entity_of(entry, project.store) for entry in found]
        written = [_part_of_project(entity, path.parent) for entity in entities]
        if written:
            data["spec"][name] = written
    _write(path, dumps(data))
    return str(path)


def _part_of_project(entity: Entity, directory: Path) -> dict[str, Any]:
    """Return what a project's file says of an entity."""
    if entity.metadata.get("embedded", True):
        return portable(entity)
    name = f"{entity.TYPE}s-{entity.id}.yaml"
    export(entity, directory / name)
    data = entity.to_dict()
    data["metadata"]["ref"] = name
    return {key: data[key] for key in data if key not in {"spec", "status"}}


def load(
    store: Store,
    file: PathLike,
    type_: str,
    project: Optional[str] = None,
    *,
    reset_id: bool = False,
) -> Entity:
    """Make an entity of a YAML file, and store it.

    Raises:
        BadArgument: the file has none of that type, or one that is here already.

    """
    data = _read(file)
    entry = _checked(store, data, type_, project, os.fspath(file), reset_id)
    _ensure_project(store, entry["project"])
    store.create(entry)
    return lookup.entity_of(entry, store)


def load_any(
    store: Store,
    file: PathLike,
    project: Optional[str] = None,
    *,
    reset_id: bool = False,
) -> Entity:
    """Make what a YAML file has, of whatever type that is, and store it.

    Raises:
        BadArgument: the file has nothing known, or something that is here already.

    """
    data = _read(file)
    type_ = _type_of(data)
    if type_ == "project":
        return import_project(store, file, reset_id=reset_id)
    return load(store, file, type_, project, reset_id=reset_id)


def import_project(store: Store, file: PathLike, *, reset_id: bool = False) -> Project:
    """Make a project and all that is in it; nothing of it if a part is wrong.

    Raises:
        BadArgument: the file has none, or something that is here already.

    """
    from pybridge.functions import library

    path = Path(file)
    data = _read(path)
    spec = data.get("spec") or {}
    name = str(data.get("name") or (data.get("metadata") or {}).get("name") or "")
    if data.get("kind") != "project" or not isinstance(spec, dict):
        raise BadArgument(
            f"'{path}' has no project in it but kind {shown(data.get('kind'))}; import "
            "it with the function of its type, such as import_function"
        )
    keys.check_name(name, "project")
    entries = [
        _checked(store, _referred(one, path.parent), type_, name, str(path), reset_id)
        for type_, one in _members(spec)
    ]
    about = data.get("metadata") or {}
    if store.get(str(keys.Key(name))) is None:
        own = library.drafted(
            name,
            context=str(spec.get("context") or "./"),
            description=about.get("description"),
            labels=about.get("labels"),
        )
        entries.insert(0, own)
    store.create_all(entries)
    project = lookup.get(store, name, "project", str(keys.Key(name)))
    return cast("Project", project)


def _members(spec: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield type and entry of what is in a project's spec."""
    for name in _LISTS:
        for one in spec.get(name) or ():
            yield name[:-1], one


def _referred(entry: Any, directory: Path) -> Any:
    """Return an entry, from the file that it refers to if it does."""
    ref = (entry.get("metadata") or {}).get("ref") if isinstance(entry, dict) else None
    if not ref or "spec" in entry:
        return entry
    return _read(directory / str(ref))


def _checked(
    store: Store,
    data: Any,
    type_: str,
    project: Optional[str],
    where: str,
    reset_id: bool,
) -> dict[str, Any]:
    """Return the entry that a file's data makes, checked as if it were made anew.

    Raises:
        BadArgument: it is not of that type, or something in it is wrong.

    """
    if not isinstance(data, dict):
        raise BadArgument(f"'{where}' has no {type_} in it but {shown(data)}")
    faults = [
        Fault(part, data[part], f"{shown(data[part])} is not a dict")
        for part in _PARTS
        if not isinstance(data.get(part) or {}, dict)
    ]
    if faults:
        raise Faults(f"import of '{where}'", faults)
    found = _type_of(data)
    if found != type_:
        raise BadArgument(
            f"'{where}' has a {found or 'thing of no known kind'} in it, not a {type_}"
            + (f"; import it with import_{found}" if found else "")
        )
    about = data.get("metadata") or {}
    owner = keys.check_name(
        project or data.get("project") or about.get("project"), "project"
    )
    identity = None if reset_id else data.get("id") or about.get("version")
    entry = _DRAFTS.get(type_, _plain)(store, data, owner, identity, where)
    own = {*_OWN, "created"} if reset_id else _OWN
    kept = {k: v for k, v in about.items() if k not in own and v is not None}
    entry["metadata"].update(copy.deepcopy(kept))
    entry["user"] = data.get("user") or entry["user"]
    if data.get("status") and type_ not in {"function", "secret"}:
        entry["status"] = copy.deepcopy(data["status"])
    return entry


# What of the metadata is said by the entry itself.
_OWN = frozenset({"project", "name", "version", "ref"})


def _type_of(data: Mapping[str, Any]) -> str:
    """Return the type of an entry, from its key or its kind."""
    if keys.is_key(data.get("key")):
        return keys.parse(data["key"]).type
    kind = str(data.get("kind"))
    if kind.endswith((":run", "+run")):
        return "run"
    if kind in _TYPES:
        return _TYPES[kind]
    from pybridge.functions.material import KINDS

    return next((type_ for type_, kinds in KINDS.items() if kind in kinds), "")


# Kind -> type, of what has only one.
_TYPES = {"project": "project", "python": "function", "secret": "secret"}


def _function(
    store: Store, data: Mapping[str, Any], project: str, identity: Any, where: str
) -> dict[str, Any]:
    """Return the entry of a function; its code is checked, and taken into the store."""
    from pybridge.functions.function import drafted

    spec = dict(data.get("spec") or {})
    source = spec.pop("source", None) or {}
    if isinstance(source, str):
        source = {"source": source}
    pack = source.get("zip")
    given = {
        **_about(data, identity),
        **{k: v for k, v in spec.items() if v is not None},
        **{
            k: source.get(k)
            for k in ("base64", "handler", "init_function")
            if source.get(k) is not None
        },
    }
    if source.get("lang") and source["lang"] != "python":
        given["lang"] = source["lang"]
    if pack is not None:
        return _with_pack(store, project, given, source, where)
    if not source.get("base64"):
        given["code_src"] = source.get("source")
    entry = drafted(store, project, given, f"import of '{where}'")
    return _named_as(entry, source)


def _with_pack(
    store: Store,
    project: str,
    given: dict[str, Any],
    source: Mapping[str, Any],
    where: str,
) -> dict[str, Any]:
    """Return the entry of a function whose files are in the file as an archive."""
    from pybridge.functions.function import drafted

    with tempfile.TemporaryDirectory(dir=store.root) as directory:
        path = Path(directory) / "source.zip"
        try:
            path.write_bytes(base64.b64decode(source["zip"], validate=True))
        except (ValueError, TypeError) as exc:
            told = f"cannot be decoded ({exc}); export the function again"
            raise Faults(
                f"import of '{where}'", [Fault("spec.source.zip", None, told)]
            ) from None
        given["code_src"] = str(path)
        entry = drafted(store, project, given, f"import of '{where}'")
    return _named_as(entry, source)


def _named_as(entry: dict[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Let a source be called as it was: its handler is looked for by that name."""
    if source.get("source"):
        entry["spec"]["source"]["source"] = source["source"]
    return entry


def _about(data: Mapping[str, Any], identity: Any) -> dict[str, Any]:
    """Return what an entry says about itself, under the names that it is made with."""
    metadata = data.get("metadata") or {}
    given = {
        "name": data.get("name") or metadata.get("name"),
        "kind": data.get("kind"),
        "uuid": identity,
        **{k: metadata.get(k) for k in ("description", "labels", "embedded")},
    }
    return {k: v for k, v in given.items() if v is not None}


def _material(
    store: Store, data: Mapping[str, Any], project: str, identity: Any, where: str
) -> dict[str, Any]:
    """Return the entry of a dataitem, an artifact or a model."""
    from pybridge.functions import material

    del where
    spec = {k: v for k, v in (data.get("spec") or {}).items() if v is not None}
    about = {"name": None, "kind": None, **spec, **_about(data, identity)}
    made: Entity = material.new(_type_of(data), store, project, stored=False, **about)
    return made.to_dict()


def _secret(
    store: Store, data: Mapping[str, Any], project: str, identity: Any, where: str
) -> dict[str, Any]:
    """Return the entry of a secret; its value is given to it anew."""
    from pybridge.functions.secret import drafted

    del store
    spec = {k: v for k, v in (data.get("spec") or {}).items() if v is not None}
    given = {**spec, **_about(data, identity)}
    return drafted(project, given, f"import of '{where}'")


def _plain(
    store: Store, data: Mapping[str, Any], project: str, identity: Any, where: str
) -> dict[str, Any]:
    """Return the entry of a run: it is over, or else nobody here runs it."""
    from pybridge.functions import states

    del store
    entry = draft(
        "run",
        str(data.get("kind") or "python+run"),
        project=project,
        uuid=None if identity is None else str(identity),
        spec=copy.deepcopy(data.get("spec") or {}),
    )
    state = (data.get("status") or {}).get("state")
    if not states.is_final(state):
        raise BadArgument(
            f"'{where}' has a run in state {state}; only one that has ended can be "
            "imported"
        )
    return entry


_DRAFTS = {
    "function": _function,
    "artifact": _material,
    "dataitem": _material,
    "model": _material,
    "secret": _secret,
}


def _ensure_project(store: Store, name: str) -> None:
    """Make a project if it is not there."""
    from pybridge.functions.library import get_or_create_project

    get_or_create_project(name, store=store)


def _read(file: PathLike) -> dict[str, Any]:
    """Return the entry of a YAML file.

    Raises:
        BadArgument: it cannot be read, or has none.

    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        told = getattr(exc, "strerror", None) or exc
        raise BadArgument(
            f"'{path}' cannot be read: {told}; give a YAML file"
        ) from None
    return loads(text, f"'{path}'")


def _write(path: Path, text: str) -> None:
    """Write a file, whole or not at all.

    Raises:
        BadArgument: it cannot be written.

    """
    part: Optional[str] = None
    try:
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(part).replace(path)
    except OSError as exc:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise BadArgument(f"'{path}' cannot be written: {exc.strerror}") from None
