"""Project: the entities that belong together, and the door to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional, Union, cast

from pybridge.errors import BadArgument
from pybridge.functions import keys, lookup
from pybridge.functions.entity import Entity
from pybridge.functions.faults import Fault, Faults, nearest

if TYPE_CHECKING:
    import os

    from pybridge.functions.function import Function
    from pybridge.functions.material import Artifact, Dataitem, Model
    from pybridge.functions.run import Run
    from pybridge.functions.secret import Secret

__all__ = ["Project"]

PathLike = Union[str, "os.PathLike[str]"]
MISSING: Any = object()
_FILTERS = ("kind", "name", "state", "labels", "function", "all_versions")


class Project(Entity):
    """Entities that belong together."""

    TYPE = "project"
    SPEC = ("context", "functions", "artifacts", "dataitems", "models", "secrets")
    STATUS = (*Entity.STATUS, "metrics")

    @property
    def key(self) -> str:
        """The key: `store://` and the name."""
        return str(keys.Key(self.name))

    # Functions

    def new_function(
        self, name: Any = MISSING, kind: Any = MISSING, **given: Any
    ) -> Function:
        """Make a function and store it; what it may have is in `docs/functions.md`.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        from pybridge.functions import function

        return function.new(self.store, self.name, _named(name, kind, given))

    def get_function(
        self, identifier: str, entity_id: Optional[str] = None
    ) -> Function:
        """Return a function by its key, name (the newest), name:id or id.

        Raises:
            BadArgument: there is none.

        """
        found = lookup.get(self.store, self.name, "function", identifier, entity_id)
        return cast("Function", found)

    def get_function_versions(self, identifier: str) -> list[Function]:
        """Return all versions of a name, the oldest first."""
        found = lookup.versions(self.store, self.name, "function", identifier)
        return cast("list[Function]", found)

    def list_functions(self, **filters: Any) -> list[Function]:
        """Return the newest of each name, narrowed by name, kind, state or labels."""
        found = self._list("function", filters)
        return cast("list[Function]", found)

    def import_function(self, file: PathLike, reset_id: bool = False) -> Function:
        """Make a function of a YAML file, and store it; with another id if wanted.

        Raises:
            BadArgument: the file has none, or one that is here already.

        """
        return cast("Function", self._import("function", file, reset_id))

    def update_function(self, entity: Function) -> Function:
        """Write a function that was changed to the store.

        Raises:
            BadArgument: it is no function of this project.

        """
        return cast("Function", self._update("function", entity))

    def delete_function(
        self,
        identifier: str,
        entity_id: Optional[str] = None,
        delete_all_versions: bool = False,
    ) -> int:
        """Delete a function and return how many that were.

        Raises:
            BadArgument: there is none, or it is not said which.

        """
        return lookup.delete(
            self.store,
            self.name,
            "function",
            identifier,
            entity_id,
            delete_all_versions,
        )

    # Runs

    def get_run(self, identifier: str, entity_id: Optional[str] = None) -> Run:
        """Return a run by its key or id.

        Raises:
            BadArgument: there is none.

        """
        found = lookup.get(self.store, self.name, "run", identifier, entity_id)
        return cast("Run", found)

    def list_runs(self, **filters: Any) -> list[Run]:
        """Return the runs, narrowed by function, kind, state or labels."""
        found = self._list("run", filters)
        return cast("list[Run]", found)

    def import_run(self, file: PathLike, reset_id: bool = False) -> Run:
        """Make a run of a YAML file, and store it; with another id if wanted.

        Raises:
            BadArgument: the file has none, or one that is here already.

        """
        return cast("Run", self._import("run", file, reset_id))

    def update_run(self, entity: Run) -> Run:
        """Write a run that was changed to the store.

        Raises:
            BadArgument: it is no run of this project.

        """
        return cast("Run", self._update("run", entity))

    def delete_run(
        self,
        identifier: str,
        entity_id: Optional[str] = None,
        delete_all_versions: bool = False,
    ) -> int:
        """Delete a run and return how many that were.

        Raises:
            BadArgument: there is none, or it is not said which.

        """
        return lookup.delete(
            self.store,
            self.name,
            "run",
            identifier,
            entity_id,
            delete_all_versions,
        )

    # Dataitems

    def new_dataitem(
        self, name: Any = MISSING, kind: Any = MISSING, **given: Any
    ) -> Dataitem:
        """Make a dataitem of what lies at a path already, and store it.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        made = self._new("dataitem", _named(name, kind, given))
        return cast("Dataitem", made)

    def log_dataitem(
        self, name: Any = MISSING, kind: Any = MISSING, source: Any = None, **given: Any
    ) -> Dataitem:
        """Make a dataitem of a table or a file, and store both.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        made = self._log("dataitem", _named(name, kind, given), source)
        return cast("Dataitem", made)

    def get_dataitem(
        self, identifier: str, entity_id: Optional[str] = None
    ) -> Dataitem:
        """Return a dataitem by its key, name (the newest), name:id or id.

        Raises:
            BadArgument: there is none.

        """
        found = lookup.get(self.store, self.name, "dataitem", identifier, entity_id)
        return cast("Dataitem", found)

    def get_dataitem_versions(self, identifier: str) -> list[Dataitem]:
        """Return all versions of a name, the oldest first."""
        found = lookup.versions(self.store, self.name, "dataitem", identifier)
        return cast("list[Dataitem]", found)

    def list_dataitems(self, **filters: Any) -> list[Dataitem]:
        """Return the newest of each name, narrowed by name, kind, state or labels."""
        found = self._list("dataitem", filters)
        return cast("list[Dataitem]", found)

    def import_dataitem(self, file: PathLike, reset_id: bool = False) -> Dataitem:
        """Make a dataitem of a YAML file, and store it; with another id if wanted.

        Raises:
            BadArgument: the file has none, or one that is here already.

        """
        return cast("Dataitem", self._import("dataitem", file, reset_id))

    def update_dataitem(self, entity: Dataitem) -> Dataitem:
        """Write a dataitem that was changed to the store.

        Raises:
            BadArgument: it is no dataitem of this project.

        """
        return cast("Dataitem", self._update("dataitem", entity))

    def delete_dataitem(
        self,
        identifier: str,
        entity_id: Optional[str] = None,
        delete_all_versions: bool = False,
    ) -> int:
        """Delete a dataitem and return how many that were.

        Raises:
            BadArgument: there is none, or it is not said which.

        """
        return lookup.delete(
            self.store,
            self.name,
            "dataitem",
            identifier,
            entity_id,
            delete_all_versions,
        )

    # Artifacts

    def new_artifact(
        self, name: Any = MISSING, kind: Any = MISSING, **given: Any
    ) -> Artifact:
        """Make an artifact of what lies at a path already, and store it.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        made = self._new("artifact", _named(name, kind, given))
        return cast("Artifact", made)

    def log_artifact(
        self, name: Any = MISSING, kind: Any = MISSING, source: Any = None, **given: Any
    ) -> Artifact:
        """Make an artifact of a file or directory, and store both.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        made = self._log("artifact", _named(name, kind, given), source)
        return cast("Artifact", made)

    def get_artifact(
        self, identifier: str, entity_id: Optional[str] = None
    ) -> Artifact:
        """Return an artifact by its key, name (the newest), name:id or id.

        Raises:
            BadArgument: there is none.

        """
        found = lookup.get(self.store, self.name, "artifact", identifier, entity_id)
        return cast("Artifact", found)

    def get_artifact_versions(self, identifier: str) -> list[Artifact]:
        """Return all versions of a name, the oldest first."""
        found = lookup.versions(self.store, self.name, "artifact", identifier)
        return cast("list[Artifact]", found)

    def list_artifacts(self, **filters: Any) -> list[Artifact]:
        """Return the newest of each name, narrowed by name, kind, state or labels."""
        found = self._list("artifact", filters)
        return cast("list[Artifact]", found)

    def import_artifact(self, file: PathLike, reset_id: bool = False) -> Artifact:
        """Make an artifact of a YAML file, and store it; with another id if wanted.

        Raises:
            BadArgument: the file has none, or one that is here already.

        """
        return cast("Artifact", self._import("artifact", file, reset_id))

    def update_artifact(self, entity: Artifact) -> Artifact:
        """Write an artifact that was changed to the store.

        Raises:
            BadArgument: it is no artifact of this project.

        """
        return cast("Artifact", self._update("artifact", entity))

    def delete_artifact(
        self,
        identifier: str,
        entity_id: Optional[str] = None,
        delete_all_versions: bool = False,
    ) -> int:
        """Delete an artifact and return how many that were.

        Raises:
            BadArgument: there is none, or it is not said which.

        """
        return lookup.delete(
            self.store,
            self.name,
            "artifact",
            identifier,
            entity_id,
            delete_all_versions,
        )

    # Models

    def new_model(
        self, name: Any = MISSING, kind: Any = MISSING, **given: Any
    ) -> Model:
        """Make a model of what lies at a path already, and store it.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        made = self._new("model", _named(name, kind, given))
        return cast("Model", made)

    def log_model(
        self, name: Any = MISSING, kind: Any = MISSING, source: Any = None, **given: Any
    ) -> Model:
        """Make a model of a file or directory, and store both.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        made = self._log("model", _named(name, kind, given), source)
        return cast("Model", made)

    def get_model(self, identifier: str, entity_id: Optional[str] = None) -> Model:
        """Return a model by its key, name (the newest), name:id or id.

        Raises:
            BadArgument: there is none.

        """
        found = lookup.get(self.store, self.name, "model", identifier, entity_id)
        return cast("Model", found)

    def get_model_versions(self, identifier: str) -> list[Model]:
        """Return all versions of a name, the oldest first."""
        found = lookup.versions(self.store, self.name, "model", identifier)
        return cast("list[Model]", found)

    def list_models(self, **filters: Any) -> list[Model]:
        """Return the newest of each name, narrowed by name, kind, state or labels."""
        found = self._list("model", filters)
        return cast("list[Model]", found)

    def import_model(self, file: PathLike, reset_id: bool = False) -> Model:
        """Make a model of a YAML file, and store it; with another id if wanted.

        Raises:
            BadArgument: the file has none, or one that is here already.

        """
        return cast("Model", self._import("model", file, reset_id))

    def update_model(self, entity: Model) -> Model:
        """Write a model that was changed to the store.

        Raises:
            BadArgument: it is no model of this project.

        """
        return cast("Model", self._update("model", entity))

    def delete_model(
        self,
        identifier: str,
        entity_id: Optional[str] = None,
        delete_all_versions: bool = False,
    ) -> int:
        """Delete a model and return how many that were.

        Raises:
            BadArgument: there is none, or it is not said which.

        """
        return lookup.delete(
            self.store,
            self.name,
            "model",
            identifier,
            entity_id,
            delete_all_versions,
        )

    # Secrets

    def new_secret(
        self, name: Any = MISSING, secret_value: Optional[str] = None, **given: Any
    ) -> Secret:
        """Make a secret and store it, with its value if there is one.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        from pybridge.functions import secret

        fields = _named(name, given.pop("kind", "secret"), given)
        return secret.new(self.store, self.name, fields, secret_value)

    def get_secret(self, identifier: str, entity_id: Optional[str] = None) -> Secret:
        """Return a secret by its key, name (the newest), name:id or id.

        Raises:
            BadArgument: there is none.

        """
        found = lookup.get(self.store, self.name, "secret", identifier, entity_id)
        return cast("Secret", found)

    def get_secret_versions(self, identifier: str) -> list[Secret]:
        """Return all versions of a name, the oldest first."""
        found = lookup.versions(self.store, self.name, "secret", identifier)
        return cast("list[Secret]", found)

    def list_secrets(self, **filters: Any) -> list[Secret]:
        """Return the newest of each name, narrowed by name, kind, state or labels."""
        found = self._list("secret", filters)
        return cast("list[Secret]", found)

    def import_secret(self, file: PathLike, reset_id: bool = False) -> Secret:
        """Make a secret of a YAML file, and store it; with another id if wanted.

        Raises:
            BadArgument: the file has none, or one that is here already.

        """
        return cast("Secret", self._import("secret", file, reset_id))

    def update_secret(self, entity: Secret) -> Secret:
        """Write a secret that was changed to the store.

        Raises:
            BadArgument: it is no secret of this project.

        """
        return cast("Secret", self._update("secret", entity))

    def delete_secret(
        self,
        identifier: str,
        entity_id: Optional[str] = None,
        delete_all_versions: bool = False,
    ) -> int:
        """Delete a secret and return how many that were.

        Raises:
            BadArgument: there is none, or it is not said which.

        """
        return lookup.delete(
            self.store,
            self.name,
            "secret",
            identifier,
            entity_id,
            delete_all_versions,
        )

    # All of them

    def run(
        self, function: Union[str, Function], action: str = "job", **given: Any
    ) -> Run:
        """Run a function of the project; see `Function.run`.

        Raises:
            BadArgument: there is no such function.

        """
        if isinstance(function, str):
            function = self.get_function(function)
        return function.run(action, **given)

    def log_metric(
        self,
        key: str,
        value: Any,
        overwrite: bool = False,
        single_value: bool = False,
    ) -> None:
        """Add a number to the project's metrics.

        Raises:
            BadArgument: it is no number.

        """
        from pybridge.functions.metrics import logged

        self.edit_status(
            lambda status: status.update(
                metrics=logged(
                    status.get("metrics") or {}, key, value, overwrite, single_value
                )
            )
        )

    def search_entity(self, text: str) -> list[Entity]:
        """Return the entities with a text in name, description or labels."""
        wanted = text.lower()
        found = []
        for type_ in keys.TYPES[1:]:
            for entry in self.store.find(self.name, type_):
                about = entry["metadata"]
                words = [entry.get("name"), about.get("description")]
                words += about.get("labels") or []
                if any(wanted in str(word).lower() for word in words if word):
                    found.append(lookup.entity_of(entry, self.store))
        return found

    def export(self, filename: Optional[PathLike] = None) -> str:
        """Write the project and what is in it as YAML, and return the file's path.

        What is not `embedded` gets a file of its own beside it.
        """
        from pybridge.functions import archive

        return archive.export_project(self, filename)

    def delete(self) -> bool:
        """Stop what runs in it, and remove it with all that is in it, files too."""
        import shutil

        for run in self.list_runs():
            run.delete()
        gone = self.store.delete(self.key)
        files = self.store.files(self.name, "type", "name", "id").parents[2]
        shutil.rmtree(files, ignore_errors=True)
        return gone

    # What the above is made of

    def _new(self, type_: str, fields: Mapping[str, Any]) -> Entity:
        """Make an entity with a path, and store it."""
        from pybridge.functions import material

        rest = dict(fields)
        name = rest.pop("name", None)
        made = material.new(type_, self.store, self.name, name, **rest)
        return cast("Entity", made)

    def _log(self, type_: str, fields: Mapping[str, Any], source: Any) -> Entity:
        """Make an entity of a file or data, and store it."""
        from pybridge.functions import material

        rest = dict(fields)
        name = rest.pop("name", None)
        made = material.log(type_, self.store, self, name, source=source, **rest)
        return cast("Entity", made)

    def _list(self, type_: str, filters: Mapping[str, Any]) -> list[Entity]:
        """Return the entities of a type that fit.

        Raises:
            Faults: there are filters that are none.

        """
        faults = [
            Fault(name, value, _unknown_filter(name))
            for name, value in filters.items()
            if name not in _FILTERS
        ]
        if faults:
            raise Faults(f"list_{type_}s", faults)
        given = dict(filters)
        function = given.get("function")
        if isinstance(function, Entity):
            given["function"] = cast("Function", function).executable
        elif isinstance(function, str) and "://" not in function:
            given["function"] = self.get_function(function).executable
        elif keys.is_key(function):
            key = keys.parse(function)
            given["function"] = keys.executable(key.project, key.name, key.id, key.kind)
        return lookup.several(self.store, self.name, type_, **given)

    def _import(self, type_: str, file: PathLike, reset_id: bool) -> Entity:
        """Make an entity of a YAML file."""
        from pybridge.functions import archive

        return archive.load(self.store, file, type_, self.name, reset_id=reset_id)

    def _update(self, type_: str, entity: Entity) -> Entity:
        """Write an entity to the store.

        Raises:
            BadArgument: it is not of this type, or not of this project.

        """
        if entity.TYPE != type_ or entity.project != self.name:
            raise BadArgument(
                f"'{entity.key}' is no {type_} of project '{self.name}'; give one "
                f"that get_{type_} returned"
            )
        return entity.save(update=True)


def _named(name: Any, kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that was given, under names."""
    fields = dict(given)
    for key, value in (("kind", kind), ("name", name)):
        if value is not MISSING:
            fields = {key: value, **fields}
    return fields


def _unknown_filter(name: str) -> str:
    """Return the message about a filter that is none."""
    meant = nearest(name, _FILTERS)
    hint = f"did you mean '{meant}'?" if meant else f"there are {', '.join(_FILTERS)}"
    return f"unknown; {hint}"
