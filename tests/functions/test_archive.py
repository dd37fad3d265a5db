"""Archive: what is exported as YAML is imported as it was, and nothing else is."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

import pybridge.functions as dh
from pybridge.errors import BadArgument
from tests.functions.calls import GIVEN

# Ten lines that stand for ten to the tenth power of values.
BOMB = "a0: &a0 [0]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(10)
)


def entities(project: dh.Project, file: Path) -> dict[str, Any]:
    """Return an entity of each type that is imported."""
    return {
        "function": project.new_function(
            name="f", description="words", labels=["a"], requirements=["x"], **GIVEN
        ),
        "dataitem": project.log_dataitem("t", kind="table", source=str(file)),
        "artifact": project.log_artifact("t", kind="artifact", source=str(file)),
        "model": project.log_model("t", "sklearn", str(file), framework="own"),
        "secret": project.new_secret("s", secret_value="hush"),
        "run": project.get_function("f").run(local_execution=True),
    }


def test_entity_comes_back_from_its_file(
    project: dh.Project, file: Path, tmp_path: Path
) -> None:
    """§2, export and import of each type: all of it, under the same key."""
    for type_, made in entities(project, file).items():
        before = made.refresh().to_dict()
        path = made.export(tmp_path / f"{type_}.yaml")
        project.store.delete(made.key)

        again = getattr(project, f"import_{type_}")(path)

        assert before == again.to_dict(), type_
        assert before == getattr(project, f"get_{type_}")(made.key).to_dict()


def test_library_imports_into_the_project_of_the_file(
    project: dh.Project, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§2: `dh.import_…(file)`, also in a store that has no such project yet."""
    made = entities(project, file)
    paths = {name: one.export(tmp_path / f"{name}.yaml") for name, one in made.items()}
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "other"))

    for name, one in made.items():
        again = getattr(dh, f"import_{name}")(paths[name])

        assert one.key == again.key
        assert tmp_path / "other" == again.store.root
    assert ["p"] == [project.name for project in dh.list_projects()]


def test_file_has_the_originals_name(
    project: dh.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§7.5: `functions-<id>.yaml`, `projects-<name>.yaml`, in the working directory."""
    monkeypatch.chdir(tmp_path)
    made = project.new_function(name="f", **GIVEN)

    assert f"functions-{made.id}.yaml" == made.export()
    assert "projects-p.yaml" == project.export()
    assert made.to_dict() == yaml.safe_load(Path(made.export()).read_text())
    assert made.to_dict() == yaml.safe_load(made.to_yaml())


def test_import_of_what_is_here_is_refused(project: dh.Project, tmp_path: Path) -> None:
    """The one that is here stays; with another id it is a new version."""
    made = project.new_function(name="f", **GIVEN)
    path = made.export(tmp_path / "f.yaml")

    with pytest.raises(BadArgument, match=f"a function with id '{made.id}' already"):
        project.import_function(path)
    again = project.import_function(path, reset_id=True)

    assert made.id != again.id
    assert made.spec == again.spec
    assert again == project.get_function("f")


def test_import_into_another_project(project: dh.Project, tmp_path: Path) -> None:
    """The project that is asked for is the one that has it then."""
    path = project.new_function(name="f", **GIVEN).export(tmp_path / "f.yaml")

    again = dh.get_or_create_project("q").import_function(path)

    assert ("q", "q") == (again.project, again.metadata.project)
    assert again.key.startswith("store://q/")
    assert again == dh.get_function("f", project="q")


def test_function_of_many_files_comes_back(
    project: dh.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code is in the file, so that another store has all of it."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").write_text("import helper\ndef f():\n    return helper.V\n")
    (source / "helper.py").write_text("V = 42\n")
    fields = {**GIVEN, "code": None, "code_src": str(source), "handler": "main:f"}
    made = project.new_function(name="f", **fields)
    path = made.export(tmp_path / "f.yaml")
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "other"))

    again = dh.import_function(path)

    assert made.spec.source.digest == again.spec.source.digest
    assert 42 == again.run(local_execution=True).result("output_0")


def test_function_of_an_address_keeps_it(project: dh.Project, tmp_path: Path) -> None:
    """What lies elsewhere is fetched when it runs, there too."""
    fields = {
        **GIVEN,
        "code": None,
        "code_src": "git+https://example.com/repo.git#v1",
        "handler": "main:f",
    }
    made = project.new_function(name="f", **fields)
    path = made.export(tmp_path / "f.yaml")
    project.delete_function("f")

    assert made.spec == project.import_function(path).spec


def test_file_written_by_hand_is_enough(project: dh.Project, tmp_path: Path) -> None:
    """Kind, name and spec make a function; nothing else has to be there."""
    code = base64.b64encode(b"def f():\n    return 7\n").decode()
    (tmp_path / "f.yaml").write_text(
        "kind: python\nname: f\n"
        "spec:\n  python_version: PYTHON3_11\n"
        f"  source: {{base64: {code}, handler: f}}\n"
    )

    made = project.import_function(tmp_path / "f.yaml")

    assert 7 == made.run(local_execution=True).result("output_0")


# ---- Projects ------------------------------------------------------------------------


def test_project_comes_back_with_what_is_in_it(
    project: dh.Project, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§2, whole projects: all versions of functions and data; secrets have no value."""
    made = entities(project, file)
    made.pop("run")
    older = project.new_function(name="f", **GIVEN)
    path = project.export(tmp_path / "project.yaml")
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "other"))

    again = dh.import_project(path)

    assert project.key == again.key
    for one in (*made.values(), older):
        assert one.to_dict() == dh.get_entity(one.key).to_dict()
    with pytest.raises(BadArgument, match="has no value yet"):
        again.get_secret("s").read_secret_value()


def test_what_is_not_embedded_has_its_own_file(
    project: dh.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-40, C-4: embedded is in the project's file, by default; else it has a ref."""
    inside = project.new_function(name="inside", **GIVEN)
    outside = project.new_function(name="outside", embedded=False, **GIVEN)

    path = Path(project.export(tmp_path / "project.yaml"))

    first, second = yaml.safe_load(path.read_text())["spec"]["functions"]
    assert inside.to_dict() == first
    assert f"functions-{outside.id}.yaml" == second["metadata"]["ref"]
    assert "spec" not in second
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "other"))
    again = dh.import_project(path)
    assert outside.to_dict() == again.get_function("outside").to_dict()


def test_project_is_imported_whole_or_not_at_all(
    project: dh.Project, tmp_path: Path
) -> None:
    """A fault in one part leaves nothing of the others."""
    project.new_function(name="a", uuid="a", **GIVEN)
    project.new_function(name="b", uuid="b", **GIVEN)
    path = Path(project.export(tmp_path / "project.yaml"))
    project.delete_function("a")

    with pytest.raises(BadArgument, match="id 'b' already"):
        dh.import_project(path)
    assert ["b"] == [one.name for one in project.list_functions()]
    path.write_text(path.read_text().replace("PYTHON3_11", "PYTHON2"))
    project.delete_function("b")
    with pytest.raises(BadArgument, match="python_version: 'PYTHON2' is unknown"):
        dh.import_project(path)
    assert [] == project.list_functions()


def test_project_that_cannot_be_imported_is_not_made(
    project: dh.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a part like the others: all of them are stored at once, or none."""
    project.new_function(name="a", uuid="a", **GIVEN)
    path = Path(project.export(tmp_path / "project.yaml"))
    data = yaml.safe_load(path.read_text())
    data["spec"]["functions"] *= 2
    path.write_text(yaml.safe_dump(data))
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "other"))

    with pytest.raises(BadArgument, match="id 'a' already"):
        dh.import_project(path)
    assert [] == dh.list_projects()


# ---- What is wrong with files --------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no entity in it but None"),
        ("[1, 2]", r"has no entity in it but \[1, 2\]"),
        ("a: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("kind: table\nname: t\n", "has a dataitem in it, not a function; .*import_da"),
        ("kind: workflow\nname: t\n", "has a thing of no known kind in it"),
        ("kind: python\nname: f\nspec: 3\n", "spec: 3 is not a dict"),
        ("a: &a\n- *a\n", "in it, or itself; write out what its aliases"),
        (BOMB, "has more than 1,000,000 values in it"),
        ("a: " + "[" * 900 + "]" * 900, "is nested too deeply"),
        ("kind: python\nname: a b\n", "name: 'a b' is not one"),
        ("kind: python\nname: f\n", "2 faults|3 faults"),
        (
            "kind: python\nname: f\nspec:\n  source: {zip: '@@'}\n",
            "zip: cannot be decoded",
        ),
    ],
)
def test_file_that_is_wrong_is_refused(
    project: dh.Project, tmp_path: Path, text: str, told: str
) -> None:
    """What is wrong is said, with the file's name; nothing is stored, or run."""
    path = tmp_path / "f.yaml"
    path.write_text(text)

    with pytest.raises(BadArgument, match=told) as caught:
        project.import_function(path)

    assert str(path) in str(caught.value)
    assert [] == project.list_functions()


def test_file_that_cannot_be_read_or_written_is_told(
    project: dh.Project, tmp_path: Path
) -> None:
    """Its path, and the reason; nothing is left of what was begun."""
    with pytest.raises(BadArgument, match=r"nope\.yaml' cannot be read: No such file"):
        project.import_function(tmp_path / "nope.yaml")
    with pytest.raises(BadArgument, match="cannot be written: No such file"):
        project.export(tmp_path / "nope" / "p.yaml")
    (tmp_path / "taken.yaml").mkdir()
    with pytest.raises(BadArgument, match="cannot be written"):
        project.export(tmp_path / "taken.yaml")

    assert [] == list(tmp_path.glob(".taken*"))


def test_run_that_goes_on_is_not_imported(project: dh.Project, tmp_path: Path) -> None:
    """Nobody would lead it here."""
    run = project.new_function(name="f", **GIVEN).new_run()
    path = run.export(tmp_path / "run.yaml")
    run.delete()

    with pytest.raises(
        BadArgument, match="run in state READY; only one that has ended"
    ):
        project.import_run(path)
