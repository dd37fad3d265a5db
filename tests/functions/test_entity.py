"""Entity: the view of one entry of the store."""

from __future__ import annotations

import copy
import getpass
import pickle
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from pybridge.errors import BadArgument
from pybridge.functions.entity import Record, draft
from tests.functions.calls import GIVEN

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.project import Project


@pytest.fixture
def function(project: Project) -> Function:
    """A function."""
    return project.new_function(
        "f", description="what it does", labels=["a", "b"], **GIVEN
    )


def test_entity_has_the_parts_of_the_original(function: Function) -> None:
    """§2.1: key, id, name, kind, project, user, metadata, spec, status."""
    key = f"store://p/function/python/f:{function.id}"

    assert key == function.key
    assert ("f", "python", "p") == (function.name, function.kind, function.project)
    assert "what it does" == function.metadata.description
    assert ["a", "b"] == function.metadata.labels
    assert function.id == function.metadata.version
    assert "PYTHON3_11" == function.spec.python_version
    assert "CREATED" == function.status.state
    assert function.user == function.metadata.created_by == getpass.getuser()


def test_times_are_iso_with_the_local_offset(function: Function) -> None:
    """§2.1: created and updated."""
    created = datetime.fromisoformat(function.metadata.created)

    assert created.tzinfo is not None
    assert function.metadata.created == function.metadata.updated


def test_field_that_is_not_set_is_none(function: Function) -> None:
    """A field of the type that this one has not is None; any other name is an error."""
    assert function.spec.image is None
    assert function.metadata.updated_by is None
    with pytest.raises(AttributeError, match=r"there is no 'imgae' here; there are"):
        _ = function.spec.imgae


def test_record_is_dict_and_attributes() -> None:
    """What is set one way is there the other way, also deeper down."""
    record = Record({"a": {"b": 1}}, ("c",))

    record.c = 2
    del record.d

    assert {"a": {"b": 1}, "c": 2} == record == record.to_dict()
    assert 1 == record.a.b
    assert {"a", "c"} <= set(dir(record))
    for twin in (copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert record == twin
        assert 1 == twin.a.b
        twin.pop("c")
        assert twin.c is None


def test_change_inside_a_record_is_the_entitys(function: Function) -> None:
    """An attribute that was reached through others belongs to the entity."""
    function.spec.source.handler = "g"

    assert "g" == function.to_dict()["spec"]["source"]["handler"]


def test_save_writes_metadata_and_spec(function: Function) -> None:
    """§2.1: they are the user's to edit; unknown keys of the metadata are kept."""
    function.metadata.description = "other"
    function.metadata["own"] = {"kept": True}
    function.spec.image = "image:1"

    function.save()

    found = function.store.get(function.key)
    assert found is not None
    assert ("other", {"kept": True}) == (
        found["metadata"]["description"],
        found["metadata"]["own"],
    )
    assert "image:1" == found["spec"]["image"]
    assert found["metadata"]["created"] < found["metadata"]["updated"]
    assert getpass.getuser() == found["metadata"]["updated_by"]


def test_save_leaves_the_status_to_who_writes_it(function: Function) -> None:
    """What others wrote into the status meanwhile stays."""
    function.store.change(function.key, lambda entity: entity["status"].update(n=1))

    function.save()

    assert 1 == function.refresh().status.n


def test_save_without_update_is_for_what_is_new(function: Function) -> None:
    """One that is there already is refused."""
    with pytest.raises(BadArgument, match="already"):
        function.save(update=False)


def test_refresh_reads_what_others_wrote(project: Project, function: Function) -> None:
    """§3: it replaces metadata, spec and status, and returns the entity."""
    other = project.get_function("f")
    other.spec.image = "image:1"
    other.save()

    assert function is function.refresh()
    assert "image:1" == function.spec.image


def test_refresh_of_what_is_gone_says_so(project: Project, function: Function) -> None:
    """The key is named."""
    project.delete_function("f")

    with pytest.raises(BadArgument, match=r"f:.*is not in the store any more"):
        function.refresh()


def test_relationship_is_noted_once(function: Function) -> None:
    """§2.1: a list of type and dest."""
    function.relate("produced_by", "store://p/run/python+run/a")
    function.relate("produced_by", "store://p/run/python+run/a")

    expected = [{"type": "produced_by", "dest": "store://p/run/python+run/a"}]
    assert expected == function.save().refresh().metadata.relationships


def test_entity_equals_that_of_the_same_key(
    project: Project, function: Function
) -> None:
    """Two views of one entry are the same; others, and other things, are not."""
    twin = project.get_function(function.key)

    assert function == twin
    assert 1 == len({function, twin})
    assert function != project
    assert "f" != function


def test_repr_tells_key_and_state(function: Function) -> None:
    """It is short, and says what it is."""
    assert f"<Function '{function.key}' CREATED>" == repr(function)


@pytest.mark.parametrize(
    ("project", "name", "uuid"),
    [("a b", "f", None), ("p", "a/b", None), ("p", "f", "a b")],
)
def test_draft_refuses_names_and_ids_that_are_none(
    project: str, name: str, uuid: str | None
) -> None:
    """S-35, S-37: whoever makes entities, their keys can be read."""
    with pytest.raises(BadArgument):
        draft("artifact", "artifact", project=project, name=name, uuid=uuid, spec={})
