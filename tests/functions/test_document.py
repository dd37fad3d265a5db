"""The document's own code: every block of it, run as its users would.

Comments that stand for a body have one here; paths and data are the test's. All else is
written as in the document, and does what the document says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import pybridge.functions as dh
from tests.functions.jobs import PATIENCE, VERSION

if TYPE_CHECKING:
    from pathlib import Path

DEFINITIONS = """
from digitalhub_runtime_python import handler

def func1():
   return "hello world"

@handler(outputs=["result"])
def func2():
   return "hello world"

def func3(project):
   project.log_artifact(name="example",
                        kind="artifact",
                        source_path="{file}")
   project.some_method_not_from_sdk()

def func4(context, events):
   context.logger.info("Some log")

def func5(di: Dataitem, param1: str):
   return len(di.as_df()), param1

def init(context, param1, param2):
   context.given = (param1, param2)

def after_init(context):
   return list(context.given)
"""

OUTPUTS = """
import pandas as pd
from digitalhub_runtime_python import handler

@handler(outputs=["data", "string"])
def func(di: Dataitem, param1: str):
   return pd.DataFrame({"n": [len(di.as_df())]}), "some value"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file, where the document has /path/to/file."""
    path = tmp_path / "file"
    path.write_text("content")
    return path


@pytest.fixture
def item(led: dh.Project) -> dh.Dataitem:
    """A dataitem of three rows."""
    return led.log_dataitem("t", kind="table", data=pd.DataFrame({"a": [1, 2, 3]}))


def declared(project: dh.Project, code: str, handler: str, **more: Any) -> dh.Function:
    """Return a function of some code."""
    return project.new_function(
        name=handler.replace("_", "-"),
        kind="python",
        code=code,
        handler=handler,
        python_version=VERSION,
        **more,
    )


def done(run: dh.Run) -> dh.Run:
    """Return a run when it has ended."""
    return run.wait(timeout=PATIENCE)


# ---- Function definition example -----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "result"), [("func1", "output_0"), ("func2", "result")]
)
def test_function_returns_a_string(
    led: dh.Project, file: Path, name: str, result: str
) -> None:
    """S-9, S-10, S-11: plain and decorated; the result has its name."""
    code = DEFINITIONS.replace("{file}", str(file))

    run = done(declared(led, code, name).run())

    assert ("COMPLETED", {result: "hello world"}) == (run.state, run.results())


def test_project_argument_is_the_project(led: dh.Project, file: Path) -> None:
    """S-5, S-12, S-13: what is allowed is done, what is not raises its own error."""
    code = DEFINITIONS.replace("{file}", str(file))

    run = done(declared(led, code, "func3").run())

    assert "ERROR" == run.state
    assert "some_method_not_from_sdk" in run.status.message
    assert "AttributeError" == run.status.error["type"]
    (logged,) = run.outputs().values()
    assert ("example", "artifact") == (logged.name, logged.kind)


def test_context_and_events_are_given(led: dh.Project, file: Path) -> None:
    """S-6, S-14: remote execution has both; the log has what was logged."""
    code = DEFINITIONS.replace("{file}", str(file))

    run = done(declared(led, code, "func4").run())

    assert "COMPLETED" == run.state
    assert "Some log" in "\n".join(run.logs())


def test_init_function_gets_its_parameters(led: dh.Project, file: Path) -> None:
    """S-16, S-61: called before the handler, with init_parameters."""
    code = DEFINITIONS.replace("{file}", str(file))
    function = declared(led, code, "after_init", init_function="init")

    run = done(function.run(init_parameters={"param1": 1, "param2": "b"}))

    assert [1, "b"] == run.result("output_0")


# ---- Parameters composition ----------------------------------------------------------


def test_inputs_and_parameters_are_composed(
    led: dh.Project, file: Path, item: dh.Dataitem
) -> None:
    """S-15, S-17, S-18, S-19, S-20: without an action, as in the document."""
    code = DEFINITIONS.replace("{file}", str(file))
    sdk_function, sdk_dataitem = declared(led, code, "func5"), item

    run = sdk_function.run(
        inputs={"di": sdk_dataitem.key}, parameters={"param1": "some value"}
    )

    assert {"output_0": 3, "output_1": "some value"} == done(run).results()
    assert {"di": item} == run.inputs()


def test_outputs_are_collected_by_name(led: dh.Project, item: dh.Dataitem) -> None:
    """S-21, S-23, S-24, S-26: a Dataitem by `output`, a str by `result`."""
    sdk_function, sdk_dataitem = declared(led, OUTPUTS, "func"), item

    run = sdk_function.run(
        inputs={"di": sdk_dataitem.key}, parameters={"param1": "some value"}
    )

    done(run)
    assert isinstance(run.output("data"), dh.Dataitem)
    assert {"n": [3]} == run.output("data").as_df().to_dict("list")
    assert "some value" == run.result("string")


# ---- Serving -------------------------------------------------------------------------


def test_service_is_refreshed_and_invoked(led: dh.Project) -> None:
    """S-28, S-29, S-30, S-33: `service` in the status, then invoke with a JSON body."""
    code = "def func(some_func_param):\n   return some_func_param * 2\n"
    function = declared(led, code, "func")

    run = function.run(action="serve")
    run.wait(timeout=PATIENCE)
    run.refresh()
    try:
        assert "service" in run.status
        response = run.invoke(method="POST", json={"some_func_param": 21})
    finally:
        run.stop()

    assert (200, "42") == (response.status_code, response.text)


# ---- Function, task and run examples -------------------------------------------------


def test_function_is_made_from_project_or_sdk(
    led: dh.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-34 … S-46: the document's function example, with its requirements."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").write_text("def function():\n   return 1\n")
    dh.get_or_create_project("my-project")
    requirements = ["numpy", "pandas>1, <3", "scikit-learn==1.2.0"]
    given: dict[str, Any] = {
        "name": "python-function",
        "kind": "python",
        "code_src": "main.py",
        "handler": "function",
        "python_version": "PYTHON3_9",
    }

    functions = [
        led.new_function(**given),
        dh.new_function(project="my-project", **given),
        led.new_function(requirements=requirements, **given),
    ]

    assert ["p", "my-project", "p"] == [one.project for one in functions]
    assert requirements == functions[2].spec.requirements


def test_run_example_runs_a_job(led: dh.Project, item: dh.Dataitem) -> None:
    """S-52, S-59: `run(action="job", inputs={"dataitem": dataitem.key})`."""
    code = "def func(dataitem):\n   return dataitem.as_df().a.sum()\n"
    function, dataitem = declared(led, code, "func"), item

    run = function.run(action="job", inputs={"dataitem": dataitem.key})

    assert 6 == done(run).result("output_0")


def test_task_example_is_a_build(led: dh.Project) -> None:
    """S-57: `run(action="build", instructions=[…])` is taken as it stands."""
    function = declared(led, "def func():\n   return 1\n", "func")

    run = function.new_run(action="build", instructions=["apt-get install -y git"])

    assert ["apt-get install -y git"] == run.spec.instructions
    assert "python+build" == function.get_task("build").kind
    run.stop()


def test_local_execution_is_this_process(led: dh.Project) -> None:
    """S-58: in both spellings."""
    code = "import os\ndef func():\n   return os.getpid()\n"
    function = declared(led, code, "func")

    first = function.run(local_execution=True)
    second = function.run(loacal_execution=True)
    third = done(function.run())

    assert first.results() == second.results()
    assert first.results() != third.results()
