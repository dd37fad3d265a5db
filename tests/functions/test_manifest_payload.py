"""Manifests: the images and files that go with a run, and how all of it is written."""

from __future__ import annotations

import io
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pybridge.errors import BadArgument, TooLarge, Unsupported
from pybridge.functions import manifests
from tests.functions.rendered import (
    CODE,
    LOADER,
    container,
    declared,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.function import Function
    from pybridge.functions.project import Project


@pytest.fixture
def function(project: Project) -> Function:
    """A function, and secrets of its project."""
    return declared(project)


# ---- Images --------------------------------------------------------------------------


def test_image_is_the_one_that_was_given(function: Function, project: Project) -> None:
    """S-48, S-49: image, or base_image, or the official one of the Python."""
    given = {"kind": "python", "python_version": "PYTHON3_9", "code": CODE}

    def image(**more: str) -> str:
        made = project.new_function("g", handler="f", **given, **more)
        return str(container(made)["image"])

    assert "python:3.11-slim" == container(function)["image"]
    assert "python:3.9-slim" == image()
    assert "mine:1" == image(image="mine:1", base_image="base:1")
    assert "base:1" == image(base_image="base:1")


def test_requirements_are_installed_by_the_pod(project: Project) -> None:
    """S-50: where no image was built the pod installs them, before the function."""
    function = project.new_function(
        "g",
        kind="python",
        python_version="PYTHON3_11",
        code=CODE,
        handler="f",
        requirements=["numpy<3"],
    )
    run = function.new_run("serve")

    found = {one["metadata"]["name"][:1]: one for one in manifests.render(run)}

    assert found["c"]["data"]["requirements.txt"].startswith("numpy<3\nstarlette\n")
    made = found["d"]["spec"]["template"]["spec"]
    assert "--install" in made["initContainers"][0]["command"]


# ---- What goes with it ---------------------------------------------------------------


def test_config_map_has_run_and_source(project: Project, tmp_path: Path) -> None:
    """The run goes along as JSON, and the source that was taken from this machine."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/m.py").write_text(CODE)
    (tmp_path / "tree/other.py").write_text("y = 1\n")
    function = of_tree(project, tmp_path / "tree")
    run = function.new_run("job", parameters={"x": 3})

    made = objects_of(run)["c"]

    bundle = json.loads(made["data"]["run.json"])
    assert run.key == bundle["run"]["key"]
    assert {"x": 3} == bundle["run"]["spec"]["parameters"]
    assert [bundle["pack"]] == list(made["binaryData"])


def of_tree(project: Project, tree: Path) -> Any:
    """Return a function of the files of a directory."""
    return project.new_function(
        "g",
        kind="python",
        python_version="PYTHON3_11",
        code_src=str(tree),
        handler="m:f",
    )


def objects_of(run: Any) -> dict[str, Any]:
    """Return the objects of a run by the first letter of their names."""
    return {one["metadata"]["name"][:1]: one for one in manifests.render(run)}


def test_source_that_is_too_large_is_told(project: Project, tmp_path: Path) -> None:
    """A config map has a limit of 1 MiB: the error names the ways out."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/m.py").write_text(CODE)
    (tmp_path / "tree/data").write_bytes(os.urandom(1_100_000))
    function = of_tree(project, tmp_path / "tree")

    with pytest.raises(TooLarge, match=r"1,048,576 are allowed.*zip\+s3") as caught:
        manifests.render(function.new_run("job"))
    assert "push its context as an image" in str(caught.value)


def test_what_is_of_this_machine_is_refused(
    function: Function, project: Project
) -> None:
    """Builds, saved contexts and tables of local databases do not go to a cluster."""
    with pytest.raises(Unsupported, match="which is done on this machine"):
        manifests.render(function.new_run("build"))
    with pytest.raises(Unsupported, match="without start_context"):
        manifests.render(function.new_run("job", start_context="c"))
    project.new_dataitem("d", kind="table", path="sqlite:///a.db#t")
    with pytest.raises(Unsupported, match="of this machine"):
        manifests.render(function.new_run("job", inputs={"x": "d"}))


# ---- Written -------------------------------------------------------------------------


def test_manifests_are_the_same_each_time(function: Function) -> None:
    """The same run gives the same text, in YAML and in JSON."""
    run = function.new_run("serve", secrets=["PASSWORD"])

    for form in ("yaml", "json"):
        texts = {manifests.text(manifests.render(run), form) for _ in range(2)}
        assert 1 == len(texts)


def test_text_is_what_was_rendered(function: Function) -> None:
    """YAML and JSON are read back as the objects; what looks like numbers is text."""
    given = [{"name": "A", "value": "1e3"}, {"name": "B", "value": "no\nyes: "}]
    run = function.new_run("job", envs=given, secrets=["PASSWORD"])
    found = manifests.render(run)

    stream = io.StringIO()
    manifests.write(run, stream)

    assert found == list(yaml.load_all(stream.getvalue(), LOADER))
    assert found == json.loads(manifests.text(found, "json"))["items"]
    with pytest.raises(BadArgument, match="'toml' is unknown"):
        manifests.text(found, "toml")


def test_files_are_in_the_order_to_apply(function: Function, tmp_path: Path) -> None:
    """Each object is a file, applied in order; a secret only its owner can read."""
    run = function.new_run("serve", secrets=["PASSWORD"])

    paths = manifests.write(run, tmp_path / "out")
    again = manifests.write(run, tmp_path / "out")

    kinds = [path.name.split("-")[1] for path in paths]
    assert ["secret", "configmap", "configmap", "deployment", "service"] == kinds
    assert paths == again == sorted((tmp_path / "out").iterdir())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in paths[1:]}
    assert (0o600, {0o644}) == (stat.S_IMODE(paths[0].stat().st_mode), modes)
    read = [yaml.load(path.read_text(), LOADER) for path in paths]  # noqa: S506 (safe)
    assert manifests.render(run) == read


def test_objects_of_a_function_leave_no_run(
    function: Function, project: Project
) -> None:
    """What is written to be applied by others is nobody's run here."""
    found = manifests.of_function(function, "serve", replicas=2)

    assert [] == project.list_runs()
    assert 2 == found.workload["spec"]["replicas"]
    stream = io.StringIO()
    manifests.write(found.objects, stream, "json")
    assert found.objects == json.loads(stream.getvalue())["items"]
