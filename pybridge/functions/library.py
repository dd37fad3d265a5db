"""Library: the functions of the package, for those who have no project object.

`new_function(project="p", …)` is `get_or_create_project("p").new_function(…)`; so for
every new_, log_, get_, list_, import_, update_ and delete_.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union, cast

from pybridge.errors import BadArgument
from pybridge.functions import keys, lookup
from pybridge.functions.entity import Entity, draft
from pybridge.functions.faults import Fault, Faults, nearest
from pybridge.functions.project import Project
from pybridge.functions.store import Store

if TYPE_CHECKING:
    import os
    from typing import Callable

T = TypeVar("T")
PathLike = Union[str, "os.PathLike[str]"]

# ---- Projects ------------------------------------------------------------------------


def new_project(
    name: str,
    *,
    context: str = "./",
    description: Optional[str] = None,
    labels: Optional[list[str]] = None,
    store: Optional[Store] = None,
) -> Project:
    """Make a project.

    Raises:
        BadArgument: there is one of that name, or it is no name.

    """
    entry = drafted(name, context=context, description=description, labels=labels)
    store = store or Store.open()
    store.create(entry)
    return Project(entry, store)


def drafted(
    name: str,
    *,
    context: str = "./",
    description: Optional[str] = None,
    labels: Optional[list[str]] = None,
) -> dict[str, Any]:
    """Return the entry of a new project; it is not stored yet.

    Raises:
        BadArgument: that is no name.

    """
    entry = draft(
        "project",
        "project",
        project=name,
        name=name,
        spec={"context": context},
        metadata={"description": description, "labels": labels},
    )
    entry.update(id=name, key=str(keys.Key(name)))
    entry["metadata"]["version"] = name
    return entry


def get_project(name: str, *, store: Optional[Store] = None) -> Project:
    """Return a project by its name or key.

    Raises:
        BadArgument: there is none.

    """
    store = store or Store.open()
    if keys.is_key(name):
        name = keys.parse(name).project
    found = store.get(str(keys.Key(keys.check_name(name, "project"))))
    if found is None:
        meant = nearest(name, store.projects())
        hint = f"; did you mean '{meant}'?" if meant else ""
        raise BadArgument(
            f"there is no project '{name}' in the store '{store.root}'{hint}; make it "
            "with get_or_create_project"
        )
    return Project(found, store)


def get_or_create_project(
    name: str,
    context: str = "./",
    *,
    local: bool = True,
    description: Optional[str] = None,
    labels: Optional[list[str]] = None,
    store: Optional[Store] = None,
) -> Project:
    """Return the project of a name, made on first use.

    `local` says nothing here: projects are on this machine.

    Raises:
        BadArgument: that is no name.

    """
    del local
    store = store or Store.open()
    keys.check_name(name, "project")
    found = store.get(str(keys.Key(name)))
    if found is not None:
        return Project(found, store)
    try:
        return new_project(
            name, context=context, description=description, labels=labels, store=store
        )
    except BadArgument:  # another process was faster
        return get_project(name, store=store)


def list_projects(*, store: Optional[Store] = None) -> list[Project]:
    """Return all projects, in the order of the alphabet."""
    store = store or Store.open()
    return [get_project(name, store=store) for name in store.projects()]


def import_project(
    file: PathLike, *, reset_id: bool = False, store: Optional[Store] = None
) -> Project:
    """Make a project, and all that is in it, of what `export` wrote.

    Raises:
        BadArgument: the file has none, or one that is here already.

    """
    from pybridge.functions import archive

    return archive.import_project(store or Store.open(), file, reset_id=reset_id)


def delete_project(name: str, *, store: Optional[Store] = None) -> bool:
    """Delete a project with all that is in it, and tell whether there was one."""
    store = store or Store.open()
    key = str(keys.Key(keys.check_name(name, "project")))
    found = store.get(key)
    return False if found is None else Project(found, store).delete()


# ---- What is in them -----------------------------------------------------------------


def _made(method: Callable[..., T]) -> Callable[..., T]:
    """Return a method that makes something as a function that is told the project."""
    name = method.__name__

    def function(project: Any = None, *given: Any, **named: Any) -> T:
        return method(_project(name, project), *given, **named)

    return _called(function, method, "The same, of a project that is named first.")


def _found(method: Callable[..., T]) -> Callable[..., T]:
    """Return a method that finds something as a function; a key says the project."""
    name = method.__name__

    def function(identifier: Any, project: Any = None, *given: Any, **named: Any) -> T:
        if project is None and keys.is_key(identifier):
            project = keys.parse(identifier).project
        elif project is None and isinstance(identifier, Entity):
            project = identifier.project
        return method(_project(name, project), identifier, *given, **named)

    return _called(function, method, "The same, by key, or with the project named.")


def _imported(type_: str) -> Callable[..., Any]:
    """Return the function that imports a type; the file says the project."""

    def function(
        file: PathLike, project: Optional[str] = None, reset_id: bool = False
    ) -> Entity:
        from pybridge.functions import archive

        store = Store.open()
        return archive.load(store, file, type_, project, reset_id=reset_id)

    method = cast("Callable[..., Any]", getattr(Project, f"import_{type_}"))
    return _called(function, method, "The project is the file's where none is named.")


def _called(
    function: Callable[..., T], method: Callable[..., T], more: str
) -> Callable[..., T]:
    """Give a function the name and the words of a method."""
    function.__name__ = function.__qualname__ = method.__name__
    first, _, rest = (method.__doc__ or "").partition("\n")
    function.__doc__ = f"{first}\n\n        {more}\n{rest}"
    return function


def _project(what: str, project: Any) -> Project:
    """Return the project that was named.

    Raises:
        Faults: none was.

    """
    if isinstance(project, Project):
        return project
    if project is None:
        told = "missing; give the name of the project, or call the project's method"
        raise Faults(what, [Fault("project", None, told)])
    return get_project(project)


new_function = _made(Project.new_function)
get_function = _found(Project.get_function)
get_function_versions = _found(Project.get_function_versions)
list_functions = _made(Project.list_functions)
import_function = _imported("function")
update_function = _found(Project.update_function)
delete_function = _found(Project.delete_function)

get_run = _found(Project.get_run)
list_runs = _made(Project.list_runs)
import_run = _imported("run")
update_run = _found(Project.update_run)
delete_run = _found(Project.delete_run)

new_dataitem = _made(Project.new_dataitem)
log_dataitem = _made(Project.log_dataitem)
get_dataitem = _found(Project.get_dataitem)
get_dataitem_versions = _found(Project.get_dataitem_versions)
list_dataitems = _made(Project.list_dataitems)
import_dataitem = _imported("dataitem")
update_dataitem = _found(Project.update_dataitem)
delete_dataitem = _found(Project.delete_dataitem)

new_artifact = _made(Project.new_artifact)
log_artifact = _made(Project.log_artifact)
get_artifact = _found(Project.get_artifact)
get_artifact_versions = _found(Project.get_artifact_versions)
list_artifacts = _made(Project.list_artifacts)
import_artifact = _imported("artifact")
update_artifact = _found(Project.update_artifact)
delete_artifact = _found(Project.delete_artifact)

new_model = _made(Project.new_model)
log_model = _made(Project.log_model)
get_model = _found(Project.get_model)
get_model_versions = _found(Project.get_model_versions)
list_models = _made(Project.list_models)
import_model = _imported("model")
update_model = _found(Project.update_model)
delete_model = _found(Project.delete_model)

new_secret = _made(Project.new_secret)
get_secret = _found(Project.get_secret)
get_secret_versions = _found(Project.get_secret_versions)
list_secrets = _made(Project.list_secrets)
import_secret = _imported("secret")
update_secret = _found(Project.update_secret)
delete_secret = _found(Project.delete_secret)

log_metric = _made(Project.log_metric)


def get_entity(key: str, *, store: Optional[Store] = None) -> Entity:
    """Return an entity of any type by its key.

    Raises:
        BadArgument: there is none.

    """
    store = store or Store.open()
    parsed = keys.parse(key)
    if parsed.type == "project":
        return get_project(key, store=store)
    return lookup.get(store, parsed.project, parsed.type, key)


_TYPES = ("function", "run", "dataitem", "artifact", "model", "secret")
__all__ = [  # noqa: PLE0604 - the names above, which are of one form
    "delete_project",
    "get_entity",
    "get_or_create_project",
    "get_project",
    "import_project",
    "list_projects",
    "log_metric",
    "new_project",
    *(f"{verb}_{t}" for t in _TYPES for verb in ("get", "import", "update", "delete")),
    *(f"list_{t}s" for t in _TYPES),
    *(f"get_{t}_versions" for t in _TYPES if t != "run"),
    *(f"new_{t}" for t in _TYPES if t != "run"),
    *(f"log_{t}" for t in ("dataitem", "artifact", "model")),
]
