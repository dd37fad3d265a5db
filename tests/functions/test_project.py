"""Project and library: entities made, found, listed, changed and deleted, by both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pybridge.functions as dh
from pybridge.errors import BadArgument
from tests.functions.calls import GIVEN

TYPES = ("function", "dataitem", "artifact", "model", "secret")


def make(door: Any, type_: str, file: Path, *words: Any, **more: Any) -> Any:
    """Make an entity of any type, by the project's method or the library's function."""
    if type_ == "function":
        return door.new_function(*words, name="it", **{**GIVEN, **more})
    if type_ == "secret":
        return door.new_secret(*words, name="it", **more)
    kind = {"dataitem": "table", "artifact": "artifact", "model": "model"}[type_]
    new = getattr(door, f"new_{type_}")
    return new(*words, name="it", kind=kind, path=str(file), **more)


# ---- Projects ------------------------------------------------------------------------


def test_project_is_made_once(store: dh.Store) -> None:
    """§2.4: get_or_create_project makes it, then returns it; `local` says nothing."""
    made = dh.get_or_create_project("q", local=True, description="words")

    assert "store://q" == made.key
    assert made == dh.get_or_create_project("q", context="./")
    assert made == dh.get_project("q") == dh.get_project("store://q")
    assert "words" == dh.get_project("q").metadata.description
    assert [made] == dh.list_projects()
    with pytest.raises(BadArgument, match="there is a project 'q' already"):
        dh.new_project("q")


def test_project_that_is_not_there_is_named_with_the_nearest(store: dh.Store) -> None:
    """An unknown project is an error, and not made by a slip."""
    dh.new_project("flights")

    with pytest.raises(BadArgument, match=r"no project 'flihgts'.*mean 'flights'\?"):
        dh.get_project("flihgts")
    with pytest.raises(BadArgument, match="no project 'nope'"):
        dh.new_function(project="nope", name="f", **GIVEN)


@pytest.mark.parametrize("name", ["", "a b", "a/b", None])
def test_project_name_is_a_name(store: dh.Store, name: Any) -> None:
    """The rule of names is told."""
    with pytest.raises(BadArgument, match="1 to 256"):
        dh.get_or_create_project(name)


def test_project_is_deleted_with_what_is_in_it(project: dh.Project, file: Path) -> None:
    """Entities, values of secrets, and files."""
    data = project.log_dataitem("t", kind="table", source=str(file))
    project.new_secret("s", secret_value="hush")

    assert dh.delete_project("p")

    assert not dh.delete_project("p")
    assert not data.files().exists()
    assert project.store.get(data.key) is None
    assert project.store.secret("p", "s") is None


# ---- Each type, by both doors --------------------------------------------------------


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("form", ["project", "library"])
def test_entity_is_made_found_listed_and_deleted(
    project: dh.Project, file: Path, type_: str, form: str
) -> None:
    """S-34, §2.3: new, get, get_versions, list and delete, as methods and functions."""
    door: Any = project if form == "project" else dh
    words: tuple[Any, ...] = () if form == "project" else ("p",)
    named: dict[str, Any] = {} if form == "project" else {"project": "p"}

    made = make(door, type_, file, *words, description="words")

    get = getattr(door, f"get_{type_}")
    assert made == get(made.key) == get("it", **named) == get(made.id, **named)
    assert made == get(f"it:{made.id}", **named)
    assert made == get("it", entity_id=made.id, **named)
    assert [made] == getattr(door, f"list_{type_}s")(**named)
    assert [made] == getattr(door, f"get_{type_}_versions")("it", **named)
    assert "words" == get("it", **named).metadata.description
    assert 1 == getattr(door, f"delete_{type_}")("it", **named)
    assert [] == getattr(door, f"list_{type_}s")(**named)
    with pytest.raises(BadArgument, match=f"there is no {type_} 'it' in project 'p'"):
        get("it", **named)


@pytest.mark.parametrize("form", ["project", "library"])
def test_entity_is_updated(project: dh.Project, file: Path, form: str) -> None:
    """§2.3: what was changed is written; what is of another project is refused."""
    door: Any = project if form == "project" else dh
    for type_ in TYPES:
        made = make(project, type_, file)
        made.metadata.description = "other"

        assert made == getattr(door, f"update_{type_}")(made)

        assert "other" == getattr(project, f"get_{type_}")("it").metadata.description
    stranger = make(dh.get_or_create_project("q"), "function", file)
    with pytest.raises(BadArgument, match="is no function of project 'p'"):
        project.update_function(stranger)


def test_library_form_wants_the_project(store: dh.Store) -> None:
    """S-34: project is required where the library's functions are used."""
    for call in (dh.new_function, dh.list_functions, dh.new_secret):
        with pytest.raises(BadArgument, match="project: missing; give the name"):
            call()
    with pytest.raises(BadArgument, match="project: missing"):
        dh.get_function("f")


def test_library_takes_the_project_of_a_key(project: dh.Project, file: Path) -> None:
    """§2.2: a key says its project."""
    made = make(project, "dataitem", file)

    assert made == dh.get_dataitem(made.key) == dh.get_entity(made.key)
    assert project == dh.get_entity("store://p")


def test_library_functions_tell_what_they_do() -> None:
    """Help shows a sentence, and the name that was asked for."""
    for name in dh.__all__:
        value = getattr(dh, name)
        assert value.__doc__, name
        assert name == value.__name__


# ---- Versions and filters ------------------------------------------------------------


def test_name_means_the_newest_version(project: dh.Project, file: Path) -> None:
    """§2.4: by name the newest; all versions are listed, the oldest first."""
    old = make(project, "artifact", file, uuid="old")
    new = make(project, "artifact", file, uuid="new")

    assert new == project.get_artifact("it")
    assert [old, new] == project.get_artifact_versions("it")
    assert [old, new] == project.get_artifact_versions(old.key)
    assert [new] == project.list_artifacts()
    assert [old, new] == project.list_artifacts(all_versions=True)


def test_delete_of_several_versions_is_said(project: dh.Project, file: Path) -> None:
    """§2.4: which version, or that all of them: nothing is guessed."""
    for identity in ("one", "two", "three"):
        make(project, "function", file, uuid=identity)

    with pytest.raises(BadArgument, match=r"3 versions; .*delete_all_versions=True"):
        project.delete_function("it")
    assert 1 == project.delete_function("it", entity_id="one")
    assert 2 == project.delete_function("it", delete_all_versions=True)
    assert [] == project.list_functions()


def test_name_with_an_id_in_it_names_no_version(
    project: dh.Project, file: Path
) -> None:
    """A bare name means no version, also where the newest one's id is a part of it."""
    make(project, "function", file, uuid="x")
    make(project, "function", file, uuid="it")
    make(project, "function", file, uuid="t")

    with pytest.raises(BadArgument, match="3 versions"):
        project.delete_function("it")
    assert 1 == project.delete_function("it:t")
    assert 1 == project.delete_function("x")


def test_list_is_narrowed_by_filters(project: dh.Project, file: Path) -> None:
    """Name, kind, state and labels; an unknown filter is told."""
    made = make(project, "model", file, labels=["a", "b"])
    sklearn = project.new_model(name="other", kind="sklearn", path=str(file))

    assert [made] == project.list_models(labels=["a"])
    assert [made] == project.list_models(labels="b")
    assert [sklearn] == project.list_models(kind="sklearn")
    assert [sklearn] == project.list_models(name="other")
    assert [] == project.list_models(state="ERROR")
    with pytest.raises(BadArgument, match="stat: unknown; did you mean 'state'"):
        project.list_models(stat="ERROR")
    with pytest.raises(BadArgument, match=r"state: 'EROR' is no state; .*'ERROR'"):
        project.list_models(state="EROR")


def test_key_of_another_type_is_refused(project: dh.Project, file: Path) -> None:
    """§7.4: a function's key is no dataitem's."""
    made = make(project, "function", file)

    with pytest.raises(BadArgument, match="is the key of a function, not of a datai"):
        project.get_dataitem(made.key)


def test_absent_entity_is_named_with_the_nearest(
    project: dh.Project, file: Path
) -> None:
    """§9.4: the known ones, and the nearest match."""
    project.log_dataitem("flights", kind="table", source=str(file))

    with pytest.raises(BadArgument, match=r"no dataitem 'flihgts' .*is 'flights'"):
        project.get_dataitem("flihgts")
    with pytest.raises(BadArgument, match=r"no dataitem 'x' .*there are flights"):
        project.get_dataitem("x")
    with pytest.raises(BadArgument, match=r"no model 'x' .*it has none"):
        project.get_model("x")
    with pytest.raises(BadArgument, match="the nearest is 'flights'"):
        project.get_dataitem("store://p/dataitem/table/flights:zzz")


def test_search_finds_words(project: dh.Project, file: Path) -> None:
    """In names, descriptions and labels."""
    made = make(project, "model", file, description="About Flights")
    other = make(project, "artifact", file, labels=["flights"])

    assert [other, made] == project.search_entity("flight")
    assert [] == project.search_entity("ships")


# ---- Logging -------------------------------------------------------------------------


def test_log_takes_source_and_source_path(project: dh.Project, file: Path) -> None:
    """S-12, C-3: both words for the same; not both at once."""
    first = project.log_artifact(name="a", kind="artifact", source=str(file))
    second = project.log_artifact(name="a", kind="artifact", source_path=str(file))
    third = dh.log_artifact(project="p", name="b", kind="artifact", source=str(file))

    for made in (first, second, third):
        assert "a,b\n1,2\n" == _text(made)
    with pytest.raises(BadArgument, match="source_path"):
        project.log_artifact("a", "artifact", source=str(file), source_path=str(file))


def test_log_of_each_type_keeps_the_file(project: dh.Project, file: Path) -> None:
    """§2.3: log_dataitem, log_artifact and log_model; the file is copied."""
    made = [
        project.log_dataitem("x", "table", str(file)),
        project.log_artifact("x", "artifact", str(file)),
        project.log_model("x", "model", str(file), framework="own"),
    ]
    file.unlink()

    assert ["a,b\n1,2\n"] * 3 == [_text(one) for one in made]
    assert "own" == project.get_model("x").spec.framework


def test_log_metric_joins_numbers(project: dh.Project) -> None:
    """§2.3: of the project, by method and function."""
    project.log_metric("loss", 0.5)
    dh.log_metric("p", "loss", [0.25, 1])

    assert {"loss": [0.5, 0.25, 1]} == project.refresh().status.metrics


def test_function_of_the_project_is_run(project: dh.Project, file: Path) -> None:
    """By its name, with the parameters of Function.run."""
    make(project, "function", file)

    run = project.run("it", local_execution=True)

    assert {"output_0": 1} == run.results()


def _text(entity: Any) -> str:
    """Return the text of an entity's one file."""
    (path,) = entity.as_file()
    return Path(path).read_text(encoding="utf-8")
