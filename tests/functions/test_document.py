"""The document that the function runtime is made from: each block of code in it runs.

Blocks stand here as their users write them; where the document has only a comment for
a body, there is a body. `{…}` is where a test puts what the block leaves open.
"""

from __future__ import annotations

import ast
import os
import tomllib
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import requests

import pybridge.functions as dh
from tests.functions.calls import declared, ran
from tests.functions.jobs import PATIENCE
from tests.programs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project
    from pybridge.functions.store import Store

INSTALL = "python -m pip install digitalhub-runtime-python"

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
   return f"{{di.name}} {{param1}}"


def init(context, param1, param2):
    context.greeting = f"{{param1}} {{param2}}"


def greet(context):
    return context.greeting
"""

WITH_INPUT = """
def func(di: Dataitem):
   return len(di.as_df())
"""

WITH_BOTH = """
def func(di: Dataitem, param1: str):
   return [len(di.as_df()), param1]
"""

WITH_OUTPUTS = """
import pandas as pd
from digitalhub_runtime_python import handler

@handler(outputs=["data", "string"])
def func(di: Dataitem, param1: str):
   frame = di.as_df()
   return {returned}, "some value"
"""

RUN_WITH_INPUT = """
sdk_function.run(inputs={"di": sdk_dataitem.key})
"""

RUN_WITH_BOTH = """
sdk_function.run(inputs={"di": sdk_dataitem.key},
                 parameters={"param1": "some value"})
"""

REFRESH = """
run.refresh()
run.status
"""

INVOKE = """
json = {
    "some-func-param": data
}

run.invoke(method="POST", json=json)
"""

REQUIREMENTS = """
requirements = ["numpy", 'pandas>1, <3', "scikit-learn==1.2.0"]
"""

FUNCTION = """
function = project.new_function(name="python-function",
                                kind="python",
                                code_src="main.py",
                                handler="function",
                                python_version="PYTHON3_9")

function = dh.new_function(project="my-project",
                           name="python-function",
                           kind="python",
                           code_src="main.py",
                           handler="function",
                           python_version="PYTHON3_9")
"""

INSTRUCTIONS = """
instructions = ["apt-get install -y git"]
"""

BUILD = """
run = function.run(
    action="build",
    instructions=["apt-get install -y git"]
)
"""

RUN = """
run = function.run(
    action="job",
    inputs={
        "dataitem": dataitem.key
    }
)
"""


def play(block: str, **names: Any) -> dict[str, Any]:
    """Run a block with the names that it takes for granted; return all that it has.

    What its last line gives is `_`.
    """
    tree = ast.parse(block)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.copy_location(
            ast.Assign([ast.Name("_", ast.Store())], last.value), last
        )
    exec(compile(ast.fix_missing_locations(tree), "block", "exec"), names)
    return names


def table(project: Project) -> Any:
    """Return a dataitem of two rows."""
    frame = pd.DataFrame({"a": [1, 2]})
    return project.log_dataitem(name="rows", kind="table", data=frame)


# ---- Installing ----------------------------------------------------------------------


def test_install_line_names_what_sources_import(project: Project) -> None:
    """S-2, S-3: the package of that line is there for sources, by our own extra."""
    name = INSTALL.rsplit(maxsplit=1)[-1].replace("-", "_")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    run = ran(project, f"import {name}\ndef f(): return {name}.handler.__name__")

    assert {"output_0": "handler"} == run.results()
    assert "functions" in extras["optional-dependencies"]


# ---- Defining ------------------------------------------------------------------------


def test_func1_undecorated_gives_output_0(project: Project) -> None:
    """S-10: a function that returns a text, undecorated."""
    run = ran(project, DEFINITIONS.format(file=""), "func1")

    assert {"output_0": "hello world"} == run.results()


def test_func2_names_its_result(project: Project) -> None:
    """S-9, S-11: the same with `@handler(outputs=["result"])`."""
    run = ran(project, DEFINITIONS.format(file=""), "func2")

    assert "hello world" == run.result("result")


def test_func3_logs_through_the_project(project: Project, tmp_path: Path) -> None:
    """S-5, S-12, S-13: `source_path` is taken; the unknown method is named."""
    file = tmp_path / "file"
    file.write_text("content")

    run = ran(project, DEFINITIONS.format(file=file), "func3")

    assert "content" == project.get_artifact("example").local().read_text()
    assert "ERROR" == run.state
    assert "AttributeError" == run.status.error["type"]
    assert "some_method_not_from_sdk" in run.status.message
    assert "project.some_method_not_from_sdk()" in run.status.error["traceback"]


def test_func4_logs_through_the_context(project: Project) -> None:
    """S-6, S-14: `context` and `events` are nuclio's, in jobs too."""
    run = ran(project, DEFINITIONS.format(file=""), "func4")

    assert "COMPLETED" == run.state
    assert "Some log" in "\n".join(run.logs())


def test_func5_gets_inputs_and_parameters(project: Project) -> None:
    """S-8, S-15, S-19: `Dataitem` is there for annotations without an import."""
    run = ran(
        project,
        DEFINITIONS.format(file=""),
        "func5",
        inputs={"di": table(project).key},
        parameters={"param1": "x"},
    )

    assert {"output_0": "rows x"} == run.results()


def test_init_runs_before_the_handler(project: Project) -> None:
    """S-16, S-45, S-61: with the context, and what `init_parameters` says."""
    run = ran(
        project,
        DEFINITIONS.format(file=""),
        "greet",
        init="init",
        init_parameters={"param1": "a", "param2": "b"},
    )

    assert {"output_0": "a b"} == run.results()


# ---- Parameters ----------------------------------------------------------------------


def test_inputs_block(led: Project) -> None:
    """S-17, S-20, C-2: an input by key, and no action: a job in its own process."""
    function = declared(led, WITH_INPUT, "func")
    item = table(led)

    run = play(RUN_WITH_INPUT, sdk_function=function, sdk_dataitem=item)["_"]

    assert "job" == run.action
    assert {"output_0": 2} == run.wait(PATIENCE).results()


def test_creating_a_dataitem_as_the_block_does(led: Project, tmp_path: Path) -> None:
    """S-17: `sdk.new_dataitem(...)` is the library's, with the project named."""
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n2\n3\n")

    item = dh.new_dataitem("p", name="file", kind="table", path=str(file))
    run = play(
        RUN_WITH_INPUT,
        sdk_function=declared(led, WITH_INPUT, "func"),
        sdk_dataitem=item,
    )["_"]

    assert {"output_0": 3} == run.wait(PATIENCE).results()


def test_inputs_and_parameters_block(led: Project) -> None:
    """S-18, S-19: the same with a parameter beside the input."""
    function = declared(led, WITH_BOTH, "func")

    run = play(RUN_WITH_BOTH, sdk_function=function, sdk_dataitem=table(led))["_"]

    assert {"output_0": [2, "some value"]} == run.wait(PATIENCE).results()


def test_outputs_block(led: Project) -> None:
    """S-21, S-24, S-26: a table is an output, a text a result, named by position."""
    code = WITH_OUTPUTS.format(returned="pd.DataFrame(frame * 10)")
    function = declared(led, code, "func")

    run = play(RUN_WITH_BOTH, sdk_function=function, sdk_dataitem=table(led))["_"]
    run.wait(PATIENCE)

    assert isinstance(run.output("data"), dh.Dataitem)
    assert [10, 20] == run.output("data").as_df()["a"].to_list()
    assert "some value" == run.result("string")


def test_outputs_block_to_the_letter(led: Project) -> None:
    """S-27: it returns the class itself, which is kept, with a word of warning."""
    code = WITH_OUTPUTS.format(returned="pd.DataFrame")
    function = declared(led, code, "func")

    run = play(RUN_WITH_BOTH, sdk_function=function, sdk_dataitem=table(led))["_"]
    run.wait(PATIENCE)

    assert "'data' is the class DataFrame, not an instance" in run.status.message
    assert run.output("data").as_object() is pd.DataFrame
    assert "some value" == run.result("string")


# ---- Serving -------------------------------------------------------------------------


def test_serving_blocks(led: Project) -> None:
    """S-28, S-29, S-30, S-33, S-65: refresh, `status.service`, invoke with JSON."""
    function = declared(
        led, "def f(**given): return {'twice': 2 * given['some-func-param']}"
    )
    run = function.run(action="serve")
    try:
        run.wait(PATIENCE)
        status = play(REFRESH, run=run)["_"]
        answer = play(INVOKE, run=run, data=21)["_"]

        assert status.service["url"].startswith("http://127.0.0.1:")
        assert isinstance(answer, requests.Response)
        assert {"twice": 42} == answer.json()
    finally:
        run.stop()


# ---- Functions -----------------------------------------------------------------------


def test_requirements_block(project: Project) -> None:
    """S-50: the list of the document is taken as it stands."""
    given = play(REQUIREMENTS)["requirements"]

    function = declared(project, "def f(): pass", requirements=given)

    assert given == function.spec.requirements


def test_function_block(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-34 to S-46: of a project, and of the library."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").write_text("def function():\n    return 1\n")
    project = dh.get_or_create_project("my-project")

    function = play(FUNCTION, project=project, dh=dh)["function"]

    versions = store.find("my-project", "function", name="python-function")
    assert [True, True] == [one["spec"]["source"]["base64"] != "" for one in versions]
    assert ("PYTHON3_9", "function") == (
        function.spec.python_version,
        function.spec.source["handler"],
    )


def test_build_block(led: Project) -> None:
    """S-57: the instructions of the document are taken as they stand."""
    given = play(INSTRUCTIONS)["instructions"]
    function = declared(led, "def f(): return 1")

    run = play(BUILD, function=function)["run"]

    assert given == run.spec.instructions
    assert "python+build" == function.get_task("build").kind
    run.stop()


def test_run_block(led: Project) -> None:
    """S-52, S-58 to S-60: an action and an input by key."""
    function = declared(led, "def f(dataitem): return dataitem.as_df()['a'].sum()")

    run = play(RUN, function=function, dataitem=table(led))["run"]

    assert {"output_0": 3} == run.wait(PATIENCE).results()


def test_local_execution_is_this_process(led: Project) -> None:
    """S-58, C-13: in both spellings; without it there is a process for each run."""
    function = declared(led, "import os\ndef f(): return os.getpid()")

    first = function.run(local_execution=True)
    second = function.run(loacal_execution=True)
    third = function.run().wait(PATIENCE)

    assert {"output_0": os.getpid()} == first.results() == second.results()
    assert first.results() != third.results()


def test_run_methods(project: Project) -> None:
    """S-62 to S-64: output, outputs, result, results; as entity, key and dict."""
    code = WITH_OUTPUTS.format(returned="frame")
    run = ran(
        project,
        code,
        "func",
        inputs={"di": table(project).key},
        parameters={"param1": ""},
    )

    item = run.output("data")
    assert item.key == run.output("data", as_key=True)
    assert item.to_dict() == run.output("data", as_dict=True)
    assert {"data": item.key} == run.outputs(as_key=True)
    assert {"string": "some value"} == run.results()
    assert (None, None) == (run.output("string"), run.result("data"))


# ---- What it links to ----------------------------------------------------------------

# Parameter -> what the pages that the document links to show, and what is kept of it.
LINKED: dict[str, tuple[Any, Any]] = {
    "node_selector": (
        {"key": "disktype", "value": "ssd"},
        [{"key": "disktype", "value": "ssd"}],
    ),
    "volumes": (
        [
            {
                "volume_type": "persistent_volume_claim",
                "name": "my-pvc",
                "mount_path": "/data",
                "spec": {"claim_name": "my-pvc"},
            },
            {"volume_type": "config_map", "name": "my-map", "mount_path": "/map"},
            {
                "volume_type": "empty_dir",
                "name": "my-dir",
                "mount_path": "/dir",
                "spec": {"size_limit": "64Mi"},
            },
        ],
        [
            {
                "volume_type": "persistent_volume_claim",
                "name": "my-pvc",
                "mount_path": "/data",
                "spec": {"claimName": "my-pvc"},
            },
            {"volume_type": "config_map", "name": "my-map", "mount_path": "/map"},
            {
                "volume_type": "empty_dir",
                "name": "my-dir",
                "mount_path": "/dir",
                "spec": {"sizeLimit": "64Mi"},
            },
        ],
    ),
    "resources": (
        {
            "cpu": {"requests": "1", "limits": "2"},
            "mem": {"requests": "64Mi", "limits": "2Gi"},
        },
        {
            "cpu": {"requests": "1", "limits": "2"},
            "mem": {"requests": "64Mi", "limits": "2Gi"},
        },
    ),
    "envs": ([{"name": "MY_ENV", "value": "v"}], [{"name": "MY_ENV", "value": "v"}]),
    "secrets": (["my-secret"], ["my-secret"]),
    "affinity": (
        {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "zone", "operator": "In", "values": ["a"]}
                            ]
                        }
                    ]
                }
            }
        },
        None,  # as it was given
    ),
    "tolerations": (
        [{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}],
        [{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}],
    ),
    "profile": ("template", "template"),
    "backoff_limit": (3, 3),
}


@pytest.mark.parametrize("name", list(LINKED))
def test_linked_examples_are_taken(project: Project, name: str) -> None:
    """S-53, S-54, C-5 to C-9: what the original refused, lost or emptied is kept."""
    given, kept = LINKED[name]
    project.new_secret(name="my-secret", secret_value="hunter22")
    function = declared(project, "def f(): pass")

    run = function.new_run("job", **{name: given})

    assert (kept or given) == run.to_dict()["spec"][name]


# ---- Code that was written for the original ------------------------------------------


def test_program_for_the_original_runs(project: Project) -> None:
    """S-3, S-22, C-14: the original's imports, a class of one's own, dicts, lists."""
    run = ran(
        project,
        """
        import digitalhub as dh
        import pandas as pd
        from digitalhub_runtime_python import handler

        class Summary:
            def __init__(self, rows):
                self.rows = rows

        @handler(outputs=["dataset", "summary", "columns"])
        def prepare(project, url):
            frame = pd.DataFrame({"x": [1.0, 2.0, None]}).dropna()
            project.log_model(name="m", kind="model", source=__file__)
            assert dh.get_project(project.name).key == project.key
            return frame, Summary(len(frame)), list(frame.columns)
        """,
        "prepare",
        parameters={"url": "https://example.org"},
    )

    assert "COMPLETED" == run.state, run.status.message
    assert [1.0, 2.0] == run.output("dataset").as_df()["x"].to_list()
    assert 2 == run.output("summary").as_object().rows
    assert ["x"] == run.result("columns")
    assert "m" in run.outputs()


def test_service_for_the_original_runs(led: Project) -> None:
    """S-14, S-16, S-33: init leaves a model; bodies that may be bytes; a list whole."""
    function = declared(
        led,
        """
        import json
        from digitalhub_runtime_python import handler

        def init(context, model_name="none"):
            context.logger.info("loading")
            setattr(context, "model", {"name": model_name, "step": 2})

        def serve(context, event):
            if isinstance(event.body, bytes):
                body = json.loads(event.body)
            else:
                body = event.body
            context.logger.info(f"input {body}")
            start, steps = body["start"], int(body["steps"])
            step = context.model["step"]
            return [
                {"at": i, "value": start + step * i, "model": context.model["name"]}
                for i in range(steps)
            ]
        """,
        "serve",
        init_function="init",
    )
    run = function.run("serve", init_parameters={"model_name": "m"})
    try:
        run.wait(PATIENCE, raise_on_error=True)
        wanted = [
            {"at": 0, "value": 5, "model": "m"},
            {"at": 1, "value": 7, "model": "m"},
        ]
        body = {"start": 5, "steps": 2}

        parsed = run.invoke(json=body)
        raw = run.invoke(
            data=b'{"start": 5, "steps": 2}',
            headers={"content-type": "application/octet-stream"},
        )

        assert (wanted, wanted) == (parsed.json(), raw.json())
        assert "input {'start': 5, 'steps': 2}" in "\n".join(run.logs())
    finally:
        run.stop()
