"""Material: entities with files, which are dataitems, artifacts and models."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from pybridge.errors import BadArgument, Unsupported
from pybridge.functions import database, files, keys, running
from pybridge.functions.entity import Entity, draft
from pybridge.functions.faults import Fault, Faults, nearest, shown
from pybridge.functions.metrics import Measured
from pybridge.functions.store import unkept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pybridge.functions.store import Store

__all__ = [
    "CLASSES",
    "KINDS",
    "Artifact",
    "Dataitem",
    "Material",
    "Model",
    "drafted",
    "log",
    "new",
    "type_of_kind",
]

# Type -> its kinds; the first is the one that is meant where none is given.
KINDS = {
    "artifact": ("artifact",),
    "dataitem": ("table", "dataitem", "iceberg", "croissant"),
    "model": ("model", "mlflow", "sklearn", "huggingface"),
}
_ABOUT = ("description", "labels", "embedded")


class Material(Entity):
    """An entity with files: in the store's own place, or at a path or URL."""

    SPEC: ClassVar[tuple[str, ...]] = ("path",)
    STATUS: ClassVar[tuple[str, ...]] = (*Entity.STATUS, "files")

    @property
    def path(self) -> str:
        """Where its files are."""
        return str(self._data["spec"].get("path") or self.files())

    def as_file(self) -> list[str]:
        """Return paths of this machine that its files are at.

        What is elsewhere is copied into a temporary directory first.
        """
        place = self.local()
        if not place.is_dir():
            return [str(place)]
        return [str(one) for one in sorted(place.rglob("*")) if one.is_file()]

    def local(self) -> Path:
        """Return the path of its file, or directory, on this machine."""
        if files.is_url(self.path):
            directory = tempfile.mkdtemp(prefix="pybridge-")
            return files.fetch(self.path, Path(directory))
        place = files.local(self.path)
        if not place.exists():
            raise BadArgument(f"'{self.key}' has no file: there is no '{place}'")
        return place

    def download(
        self,
        destination: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> str:
        """Copy its files to a path of this machine and return that.

        Without a destination that is the name of the file, here.

        Raises:
            BadArgument: there is something already, and overwrite is false.

        """
        place = Path("." if destination is None else destination)
        if str(destination or "").endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        return str(files.fetch(self.path, place, overwrite))

    def upload(self, source: str | os.PathLike[str] | Sequence[str]) -> None:
        """Put a file, several, or a directory in the place of what it had."""
        self.change(state="READY", files=_stored(source, self.path))

    def as_object(self, trust: bool = False) -> Any:
        """Return the object of a pickle, which a function has returned.

        Raises:
            NotTrusted: it is not signed with one's own key, and trust is false.

        """
        from pybridge.functions import pickles

        return pickles.loads(files.read(self.path), name=self.path, trust=trust)


class Artifact(Material):
    """A file, or several, of any kind."""

    TYPE = "artifact"


class Dataitem(Material):
    """A table."""

    TYPE = "dataitem"
    SPEC: ClassVar[tuple[str, ...]] = (*Material.SPEC, "schema")
    STATUS: ClassVar[tuple[str, ...]] = (*Material.STATUS, "preview")

    @property
    def schema(self) -> Any:
        """The names and types of its columns, in Frictionless words."""
        return self._data["spec"].get("schema")

    @property
    def preview(self) -> Any:
        """The first values of its columns."""
        return self._data["status"].get("preview")

    def as_df(
        self,
        file_format: str | None = None,
        engine: str | None = None,
        **options: Any,
    ) -> Any:
        """Return the table as a frame of pandas, polars or arrow.

        Options are those of the library's own reader.
        """
        if database.is_database(self.path):
            return database.read(self.path, engine=engine, **options)
        from pybridge.functions import tables

        return tables.read(self.path, file_format=file_format, engine=engine, **options)

    def write_df(
        self,
        df: Any,
        extension: str | None = None,
        **options: Any,
    ) -> str:
        """Put a frame in the place of the table, and return where that is."""
        about = _written(df, self.path, extension, options)
        self._data["spec"].update(about.spec)
        self.save()
        self.change(state="READY", **about.status)
        return self.path

    def query(self, sql: str, params: Any = None, engine: str | None = None) -> Any:
        """Return the rows that SQL gives, as a frame.

        The table has its own name there, and is `dataitem` too; in a database the other
        tables of the file can be named as well.

        Raises:
            BadArgument: the query is refused.

        """
        from pybridge.functions import queries

        return queries.query(self, sql, params, engine)

    def local(self) -> Path:
        """Return the path of its file on this machine; a table of a database as one."""
        if not database.is_database(self.path):
            return super().local()
        directory = tempfile.mkdtemp(prefix="pybridge-")
        return Path(self.download(Path(directory) / f"{self.name}.parquet"))

    def download(
        self,
        destination: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> str:
        """Copy its file to a path of this machine and return that.

        A table of a database is written in the format of the destination's name.

        Raises:
            BadArgument: there is something already, and overwrite is false.

        """
        if not database.is_database(self.path):
            return super().download(destination, overwrite)
        from pybridge.functions import tables

        place = Path("." if destination is None else destination)
        if place.is_dir():
            place /= f"{self.name}.parquet"
        if place.exists() and not overwrite:
            raise BadArgument(
                f"'{place}' exists already; pass overwrite=True, or another path"
            )
        tables.write(self.as_df(engine="arrow"), str(place))
        return str(place)

    def upload(self, source: Any) -> None:
        """Put a file in the place of the table."""
        if not database.is_database(self.path):
            super().upload(source)
            return
        from pybridge.functions import tables

        self.write_df(tables.read(os.fspath(source), engine="arrow"))


class Model(Material, Measured):
    """A model, and what is known about it."""

    TYPE = "model"
    SPEC: ClassVar[tuple[str, ...]] = (
        *Material.SPEC,
        "framework",
        "algorithm",
        "base_model",
        "parameters",
        "metrics",
        # what single kinds have beside these
        "flavor",
        "model_config",
        "input_datasets",
        "signature",
        "model_id",
        "model_revision",
    )
    STATUS: ClassVar[tuple[str, ...]] = (*Material.STATUS, "metrics")


CLASSES: dict[str, type[Material]] = {
    "artifact": Artifact,
    "dataitem": Dataitem,
    "model": Model,
}


# ---- Making --------------------------------------------------------------------------


def type_of_kind(kind: str) -> str:
    """Return the type of entity that a kind is of.

    Raises:
        BadArgument: there is no such kind.

    """
    for type_, kinds in KINDS.items():
        if kind in kinds:
            return type_
    known = [one for kinds in KINDS.values() for one in kinds]
    near = nearest(str(kind), known)
    hint = f"did you mean '{near}'?" if near else f"known are {', '.join(known)}"
    raise BadArgument(f"there is no kind '{kind}' of data; {hint}")


def new(
    type_: str,
    store: Store,
    project: str,
    name: str,
    kind: str | None = None,
    *,
    path: str | None = None,
    uuid: str | None = None,
    stored: bool = True,
    **more: Any,
) -> Any:
    """Make an entity for files that are where they are, and store it unless told not.

    Raises:
        Faults: something given is unknown or wrong.

    """
    entity = drafted(type_, store, project, name, kind, path=path, uuid=uuid, **more)
    if stored:
        store.create(entity.to_dict())
    return entity


def log(
    type_: str,
    store: Store,
    project: Any,
    name: str,
    kind: str | None = None,
    *,
    source: Any = None,
    source_path: Any = None,
    data: Any = None,
    path: str | None = None,
    extension: str | None = None,
    uuid: str | None = None,
    run: running.Running | None = None,
    **more: Any,
) -> Any:
    """Keep files, or a table, as an entity: copied first, stored when they are there.

    `project` is a project or its name. What the code of a run logs is an output of it.

    Raises:
        Faults: something given is unknown or wrong.

    """
    if source is not None and source_path is not None:
        raise BadArgument("source and source_path are the same; give one of them")
    source = source_path if source is None else source
    if source is not None and not isinstance(source, (str, PurePath, list, tuple)):
        if data is not None:
            raise BadArgument("give either source or data")
        source, data = None, source
    if type_ == "dataitem" and (source is None) == (data is None):
        raise BadArgument("give either source, which is a file, or data, a frame")
    named = getattr(project, "name", project)
    if source is not None and path is None and _is_elsewhere(source):
        path, source = os.fspath(source), None
    entity = drafted(type_, store, named, name, kind, path=path, uuid=uuid, **more)
    path = entity.spec.get("path")
    status: dict[str, Any] = {"state": "READY"}
    if data is not None:
        about = _kept(entity, data, path, extension)
        entity.spec.update(about.spec)
        status.update(about.status)
    elif source is not None:
        target = path or str(entity.files() / _basename(source))
        entity.spec["path"] = target
        status["files"] = _stored(source, target)
        if type_ == "dataitem" and not isinstance(source, (list, tuple)):
            _describe(entity, target, status)
    elif path is None:
        raise BadArgument("give source, which is a file, or path, where files are")
    return finish(entity, status, run or running.current(project))


def finish(entity: Any, status: dict[str, Any], run: running.Running | None) -> Any:
    """Store an entity whose files are in their place; it is an output of the run."""
    entity.status.update(status)
    if run is not None:
        entity.relate("produced_by", run.run.key)
        run.note(entity.name, entity.key)
    entity.store.create(entity.to_dict())
    return entity


def drafted(
    type_: str,
    store: Store,
    project: str,
    name: str,
    kind: str | None,
    *,
    path: str | None,
    uuid: str | None,
    **more: Any,
) -> Any:
    """Return an entity that is checked, and not stored yet."""
    kind = kind or KINDS[type_][0]
    cls = CLASSES[type_]
    # All is found out now, and not when files are in the place of another's.
    faults = [
        *_misnamed(type_, store, project, name, kind, uuid),
        *_unknown([*cls.SPEC, *_ABOUT], more),
        *_unfit({**more, "path": path}),
        *_unkept({field: more[field] for field in cls.SPEC if field in more}),
    ]
    if faults:
        raise Faults(f"{type_} {shown(name)}", faults)
    spec = {field: one for field, one in more.items() if field not in _ABOUT}
    made = draft(
        type_,
        kind,
        project=project,
        name=name,
        uuid=uuid,
        spec={"path": _absolute(path), **spec},
        metadata={
            "embedded": True,
            **{field: more[field] for field in _ABOUT if field in more},
        },
    )
    return cls(made, store)


def _misnamed(
    type_: str, store: Store, project: str, name: str, kind: str, uuid: str | None
) -> Iterator[Fault]:
    """Yield the faults of what an entity is known by: kind, name, id."""
    if kind not in KINDS[type_]:
        known = ", ".join(KINDS[type_])
        yield Fault("kind", kind, f"'{kind}' is no kind of {type_}: {known}")
    try:
        keys.check_name(name)
    except BadArgument as exc:
        yield Fault("name", name, str(exc).removeprefix("name "))
    try:
        if uuid is not None and store.find(project, type_, id=keys.check_id(uuid)):
            yield Fault("uuid", uuid, f"there is a {type_} with id '{uuid}'")
    except BadArgument as exc:
        yield Fault("uuid", uuid, str(exc).removeprefix("uuid "))


def _unknown(known: list[str], given: dict[str, Any]) -> Iterator[Fault]:
    """Yield the faults of fields that there are not."""
    for field, value in given.items():
        if field not in known:
            near = nearest(field, known)
            hint = f"did you mean '{near}'?" if near else ", ".join(known)
            yield Fault(field, value, f"unknown; {hint}")


def _unkept(spec: dict[str, Any]) -> Iterator[Fault]:
    """Yield the faults of what is no JSON."""
    for field, value in spec.items():
        if told := unkept(value):
            yield Fault(field, value, told)


def _unfit(given: dict[str, Any]) -> list[Fault]:
    """Return the faults of what is not of its type."""
    faults = []
    for field, (kinds, wanted) in _WANTED.items():
        value = given.get(field)
        right = value is None or isinstance(value, kinds)
        if right and field == "labels":
            right = all(isinstance(one, str) for one in value or ())
        if not right:
            told = f"{shown(value)} is not {wanted}; give {wanted}"
            faults.append(Fault(field, value, told))
    return faults


_WANTED: dict[str, tuple[tuple[type, ...], str]] = {
    "path": ((str, os.PathLike), "a path or an address"),
    "description": ((str,), "a text"),
    "labels": ((list, tuple), "a list of texts"),
    "embedded": ((bool,), "True or False"),
}


def _absolute(path: Any) -> str | None:
    """Return a path as every process understands it."""
    if path is None:
        return None
    text = os.fspath(path)
    if database.is_database(text):
        return database.absolute(text)
    return text if files.is_url(text) else str(files.local(text).absolute())


def _basename(source: Any) -> str:
    """Return what a file is called where it is kept; several have a directory."""
    if isinstance(source, (list, tuple)):
        return "files"
    return Path(os.fspath(source).rstrip("/")).name or "files"


def _is_elsewhere(source: Any) -> bool:
    return isinstance(source, str) and files.is_url(source)


def _stored(source: Any, target: str) -> list[dict[str, Any]]:
    """Copy a file, several, or a directory to a path or URL, and describe them."""
    if not isinstance(source, (list, tuple)):
        return files.store(files.local(source), target)
    found = []
    names = [files.local(one).name for one in source]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadArgument(
            f"source has '{twice[0]}' twice, and one would take the place of the "
            "other; give them different names, or a directory with both"
        )
    for one in source:
        place = files.local(one)
        found += files.store(place, f"{target.rstrip('/')}/{place.name}")
    return found


# ---- Tables --------------------------------------------------------------------------


class About:
    """What is known of a table that was written: for the spec, and for the status."""

    def __init__(self, path: str) -> None:
        """Begin with where it is."""
        self.spec: dict[str, Any] = {"path": path}
        self.status: dict[str, Any] = {}

    def describe(self, table: Any) -> None:
        """Add what an Arrow table says: its schema and its first values."""
        from pybridge.functions import tables

        self.spec["schema"] = tables.schema_of(table)
        preview = tables.preview_of(table)
        if preview is not None:
            self.status["preview"] = preview


def _kept(entity: Any, data: Any, path: str | None, extension: str | None) -> About:
    """Write what is to be kept, a table or an object, and tell about it."""
    from pybridge.functions import tables

    if entity.TYPE == "dataitem":
        if not tables.is_table(data):
            data = tables.made(data, "pandas")
        form = tables.format_of("", extension or "parquet") if path is None else None
        target = path or str(entity.files() / f"{entity.name}.{form}")
        return _written(data, target, extension, {})
    target = path or str(entity.files() / f"{entity.name}.pickle")
    return _pickled(data, target)


def _pickled(data: Any, target: str) -> About:
    """Write an object as a signed pickle."""
    from pybridge.functions import pickles

    about = About(target)
    about.status["files"] = [files.store_bytes(pickles.dumps(data), target)]
    return about


def _written(
    frame: Any, target: str, extension: str | None, options: dict[str, Any]
) -> About:
    """Write a frame, and tell its schema and its first values.

    A table that Arrow has no types for is kept as a pickle: better than not at all.
    """
    from pybridge.functions import tables

    if database.is_database(target):
        return _inserted(frame, target, options)
    try:
        table = tables.to_arrow(frame)
        form = tables.format_of(target, extension)
        whole = table if form in {"parquet", "arrow"} else frame
        told = tables.save(whole, target, form)
    except Unsupported:
        if options or extension or not target.endswith(".parquet"):
            raise
        return _pickled(frame, target[: -len("parquet")] + "pickle")
    about = About(target)
    about.status["files"] = [told]
    about.describe(table)
    return about


def _inserted(frame: Any, target: str, options: dict[str, Any]) -> About:
    """Write a frame to a table of a database, and tell its schema."""
    from pybridge.functions import tables

    about = About(target)
    database.write(frame, target, **options)
    about.describe(tables.to_arrow(frame))
    return about


def _describe(entity: Any, target: str, status: dict[str, Any]) -> None:
    """Note the schema and the first values of a file that was copied, if it can be."""
    from pybridge.functions import tables

    try:
        table = tables.to_arrow(tables.read(target, engine="arrow"))
    except Exception:  # it is kept all the same, and said when it is read
        return
    about = About(target)
    about.describe(table)
    entity.spec.setdefault("schema", about.spec["schema"])
    status.update(about.status)
