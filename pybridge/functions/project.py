"""Project: the entities that belong together, and the door to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional, Union, cast

from pybridge.errors import BadArgument
from pybridge.functions import keys, lookup, verbs
from pybridge.functions.entity import Entity
from pybridge.functions.metrics import Measured

if TYPE_CHECKING:
    import os

    from pybridge.functions.function import Function
    from pybridge.functions.material import Artifact, Dataitem, Model
    from pybridge.functions.run import Run
    from pybridge.functions.running import Running
    from pybridge.functions.secret import Secret

__all__ = ["Project"]

PathLike = Union[str, "os.PathLike[str]"]


class Project(Measured):
    """Entities that belong together."""

    TYPE = "project"
    running: Optional[Running] = None  # the run that it was given to
    SPEC = ("context", "functions", "artifacts", "dataitems", "models", "secrets")

    @property
    def key(self) -> str:
        """The key: `store://` and the name."""
        return str(keys.Key(self.name))

    # Functions

    def new_function(
        self, name: Any = verbs.MISSING, kind: Any = verbs.MISSING, **given: Any
    ) -> Function:
        """Make a function and store it; what it may have is in `docs/functions.md`.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        from pybridge.functions import function

        return function.new(self.store, self.name, verbs.fields_of(name, kind, given))

    get_function: verbs.Get[Function] = verbs.gets("function")
    get_function_versions: verbs.Versions[Function] = verbs.versions("function")
    list_functions: verbs.List[Function] = verbs.lists("function")
    import_function: verbs.Import[Function] = verbs.imports("function")
    update_function: verbs.Update[Function] = verbs.updates("function")
    delete_function: verbs.Delete = verbs.deletes("function")

    # Runs

    get_run: verbs.Get[Run] = verbs.gets("run", "key or id")
    list_runs: verbs.List[Run] = verbs.lists(
        "run", "Return the runs, narrowed by function, kind, state or labels."
    )
    import_run: verbs.Import[Run] = verbs.imports("run")
    update_run: verbs.Update[Run] = verbs.updates("run")
    delete_run: verbs.Delete = verbs.deletes("run")

    # Dataitems

    new_dataitem: verbs.New[Dataitem] = verbs.makes("dataitem")
    log_dataitem: verbs.Log[Dataitem] = verbs.logs("dataitem", "a table or a file")
    get_dataitem: verbs.Get[Dataitem] = verbs.gets("dataitem")
    get_dataitem_versions: verbs.Versions[Dataitem] = verbs.versions("dataitem")
    list_dataitems: verbs.List[Dataitem] = verbs.lists("dataitem")
    import_dataitem: verbs.Import[Dataitem] = verbs.imports("dataitem")
    update_dataitem: verbs.Update[Dataitem] = verbs.updates("dataitem")
    delete_dataitem: verbs.Delete = verbs.deletes("dataitem")

    # Artifacts

    new_artifact: verbs.New[Artifact] = verbs.makes("artifact")
    log_artifact: verbs.Log[Artifact] = verbs.logs("artifact", "a file or directory")
    get_artifact: verbs.Get[Artifact] = verbs.gets("artifact")
    get_artifact_versions: verbs.Versions[Artifact] = verbs.versions("artifact")
    list_artifacts: verbs.List[Artifact] = verbs.lists("artifact")
    import_artifact: verbs.Import[Artifact] = verbs.imports("artifact")
    update_artifact: verbs.Update[Artifact] = verbs.updates("artifact")
    delete_artifact: verbs.Delete = verbs.deletes("artifact")

    # Models

    new_model: verbs.New[Model] = verbs.makes("model")
    log_model: verbs.Log[Model] = verbs.logs("model", "a file or directory")
    get_model: verbs.Get[Model] = verbs.gets("model")
    get_model_versions: verbs.Versions[Model] = verbs.versions("model")
    list_models: verbs.List[Model] = verbs.lists("model")
    import_model: verbs.Import[Model] = verbs.imports("model")
    update_model: verbs.Update[Model] = verbs.updates("model")
    delete_model: verbs.Delete = verbs.deletes("model")

    # Secrets

    def new_secret(
        self,
        name: Any = verbs.MISSING,
        secret_value: Optional[str] = None,
        **given: Any,
    ) -> Secret:
        """Make a secret and store it, with its value if there is one.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        from pybridge.functions import secret

        fields = verbs.fields_of(name, given.pop("kind", "secret"), given)
        return secret.new(self.store, self.name, fields, secret_value)

    get_secret: verbs.Get[Secret] = verbs.gets("secret")
    get_secret_versions: verbs.Versions[Secret] = verbs.versions("secret")
    list_secrets: verbs.List[Secret] = verbs.lists("secret")
    import_secret: verbs.Import[Secret] = verbs.imports("secret")
    update_secret: verbs.Update[Secret] = verbs.updates("secret")
    delete_secret: verbs.Delete = verbs.deletes("secret")

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
        lookup.check_filters(f"list_{type_}s", filters)
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
