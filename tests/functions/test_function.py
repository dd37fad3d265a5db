"""Function and Task: made by both forms, run, and what a run takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import pybridge.functions as dh
from pybridge.errors import BadArgument
from tests.functions.calls import declared

if TYPE_CHECKING:
    from pathlib import Path

CODE = "def function(x=1):\n    return x\n"


@pytest.fixture
def function(project: dh.Project) -> dh.Function:
    """A function."""
    return project.new_function(
        name="python-function",
        kind="python",
        code=CODE,
        handler="function",
        python_version="PYTHON3_11",
        requirements=["numpy"],
        image="image:1",
    )


def test_function_is_made_from_project_and_from_library(
    project: dh.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-1, S-34: the document's two examples; local, relative code_src."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").write_text(CODE)
    dh.get_or_create_project("my-project")

    first = project.new_function(
        name="python-function",
        kind="python",
        code_src="main.py",
        handler="function",
        python_version="PYTHON3_9",
    )
    second = dh.new_function(
        project="my-project",
        name="python-function",
        kind="python",
        code_src="main.py",
        handler="function",
        python_version="PYTHON3_9",
    )

    assert ["p", "my-project"] == [first.project, second.project]
    assert first.spec == second.spec
    assert first.key.startswith("store://p/function/python/python-function:")


def test_id_is_made_where_none_is_given(function: dh.Function) -> None:
    """S-37: 32 hexadecimal digits; a name may have many versions."""
    assert 32 == len(function.id)


def test_run_has_all_that_is_needed_to_execute_it(function: dh.Function) -> None:
    """S-4: function's and run's fields are in the run's spec; it outlives changes."""
    run = function.new_run("job", parameters={"x": 2}, backoff_limit=1)

    spec = run.refresh().spec
    assert "job" == spec.action == run.action
    assert f"python://p/python-function:{function.id}" == spec.function
    assert ("function", None) == (spec.handler, spec.init_function)
    assert function.spec.source == spec.source
    assert ("PYTHON3_11", ["numpy"], "image:1") == (
        spec.python_version,
        spec.requirements,
        spec.image,
    )
    assert ({"x": 2}, 1, False) == (
        spec.parameters,
        spec.backoff_limit,
        spec.local_execution,
    )


def test_run_is_ready_and_belongs_to_its_function(function: dh.Function) -> None:
    """§2.1, §3: CREATED, BUILT, READY; `run_of` the function; kind python+run."""
    run = function.new_run()

    steps = [step["status"] for step in run.status.transitions]
    assert ["CREATED", "BUILT", "READY"] == steps
    assert [{"type": "run_of", "dest": function.key}] == run.metadata.relationships
    assert "python+run" == run.kind
    assert f"store://p/run/python+run/{run.id}" == run.key


def test_run_has_uuid_labels_and_description(function: dh.Function) -> None:
    """§1.8: what else may be said of a run."""
    run = function.new_run(uuid="my-run", labels=["a"], description="words")

    assert ("my-run", ["a"], "words") == (
        run.id,
        run.metadata.labels,
        run.metadata.description,
    )
    with pytest.raises(BadArgument, match="there is a run with id 'my-run' already"):
        function.new_run(uuid="my-run")


def test_one_task_serves_all_runs_of_an_action(function: dh.Function) -> None:
    """§1.7: a task for each function and action, found or made; K8s stays in runs."""
    runs = [function.new_run(action) for action in ("job", "job", "serve", "build")]

    tasks = [run.spec.task for run in runs]
    assert tasks[0] == tasks[1]
    assert 3 == len(set(tasks))
    assert tasks[0].startswith("python+job://p/")
    kinds = [task.kind for task in function.list_tasks()]
    assert ["python+job", "python+serve", "python+build"] == kinds
    job = function.get_task("python+job")
    assert {"function": function.executable} == job.spec
    assert "job" == job.action


def test_task_of_another_process_is_the_same(
    project: dh.Project, function: dh.Function
) -> None:
    """Two objects of one function do not make two tasks."""
    other = project.get_function(function.key)

    assert function.task("job") == other.task("job")
    assert 1 == len(function.list_tasks())


def test_task_is_got_run_and_deleted(function: dh.Function) -> None:
    """§2.3: get_task, run, delete_task; an action that is none is told."""
    run = function.get_task("job").run(local_execution=True, parameters={"x": 3})

    assert {"output_0": 3} == run.results()
    assert function.delete_task("job")
    assert not function.delete_task("job")
    with pytest.raises(BadArgument, match="'jobs' is unknown; did you mean 'job'"):
        function.get_task("jobs")


def test_task_is_made_changed_and_makes_runs(
    project: dh.Project, function: dh.Function
) -> None:
    """§2.3: new_task, update_task; a task's new_run, get_run and delete_run."""
    task = function.new_task("serve")
    task.metadata.description = "words"

    assert task == function.update_task(task)

    assert "words" == function.get_task("serve").refresh().metadata.description
    run = task.new_run(replicas=2)
    assert ("serve", 2) == (run.action, run.spec.replicas)
    assert run == task.get_run(run.id)
    assert task.delete_run(run.id)
    assert function == task.function
    other = declared(project, CODE, "function", name="other")
    with pytest.raises(BadArgument, match="is no task of"):
        other.update_task(task)


def test_action_is_job_where_none_is_given(function: dh.Function) -> None:
    """S-20, C-2: `run(...)` of the document's examples has no action."""
    run = function.run(local_execution=True, parameters={"x": 2})

    assert ("job", "COMPLETED", 2) == (run.action, run.state, run.result("output_0"))


def test_inputs_are_keys_names_or_entities(
    project: dh.Project, function: dh.Function, tmp_path: Path
) -> None:
    """S-8, S-17: an entity stands for its key."""
    (tmp_path / "t.csv").write_text("a\n1\n")
    item = project.log_dataitem("t", kind="table", source=str(tmp_path / "t.csv"))

    run = function.new_run(inputs={"a": item, "b": item.key, "c": "t"})

    assert {"a": item.key, "b": item.key, "c": "t"} == run.spec.inputs
    assert {"a": item, "b": item, "c": item} == run.inputs()
    assert {item.key} == set(run.inputs(as_key=True).values())
    assert {"t"} == {one["name"] for one in run.inputs(as_dict=True).values()}


def test_parameters_keep_what_json_has_no_form_for(
    project: dh.Project,
) -> None:
    """S-18: any data; the function gets what was given."""
    code = "def f(x):\n    return type(x).__name__, x == b'\\0\\xff'\n"
    function = declared(project, code)

    run = function.run(local_execution=True, parameters={"x": b"\0\xff"})

    assert {"output_0": "bytes", "output_1": True} == run.results()


def test_secrets_of_the_project_are_taken(
    project: dh.Project, function: dh.Function
) -> None:
    """S-53: secrets are named; their values are not in the run."""
    project.new_secret("TOKEN", secret_value="hush-hush")

    run = function.new_run(secrets=["TOKEN"])

    assert ["TOKEN"] == run.spec.secrets
    assert "hush-hush" not in str(run.to_dict())


def test_runs_are_listed_by_function(
    project: dh.Project, function: dh.Function
) -> None:
    """§2.3: get_run, list_runs and delete_run, of the function and of the project."""
    other = declared(project, CODE, "function", name="other")
    mine = [function.new_run(), function.new_run()]
    others = other.new_run()

    assert mine == function.list_runs() == project.list_runs(function=function)
    assert mine == project.list_runs(function="python-function")
    assert mine == project.list_runs(function=function.key)
    assert [*mine, others] == project.list_runs()
    assert mine == function.list_runs(state="READY")
    with pytest.raises(dh.Faults, match=r"stat: unknown; did you mean 'state'\?"):
        function.list_runs(stat="READY")
    with pytest.raises(dh.Faults, match="function: unknown"):
        function.list_runs(function="other")
    assert mine[0] == function.get_run(mine[0].id) == project.get_run(mine[0].key)
    assert function.delete_run(mine[0].id)
    assert [mine[1]] == function.list_runs()


def test_image_of_a_build_is_used_without_refreshing(
    project: dh.Project, store: dh.Store
) -> None:
    """S-48: what a build has written into the store counts for the next run."""
    function = declared(project, CODE, "function")
    function.new_run("build")

    def write(entity: dict[str, Any]) -> None:
        entity["spec"]["image"] = "built:1"

    store.change(function.key, write)

    assert "built:1" == function.new_run().spec.image


def test_run_comes_back_also_when_the_function_fails(function: dh.Function) -> None:
    """§7.4: the caller gets a run, in ERROR, and no exception."""
    run = function.run(local_execution=True, wait=True, parameters={"y": 1})

    assert "ERROR" == run.state
    assert [run] == function.list_runs(state="ERROR")
