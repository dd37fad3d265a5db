"""One run in this process, from its source to its outputs."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.functions import execution
from pybridge.functions.run import Run
from tests.functions.calls import declared, ran

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project

INCREMENT = "def f(x: int): return x + 1"

SECRET = "hunter22"


def test_a_run_goes_through_its_states(project: Project) -> None:
    """S-4: CREATED, BUILT, READY, RUNNING, COMPLETED, with the owner noted."""
    run = ran(project, INCREMENT, parameters={"x": 1})

    stored = project.get_run(run.key)
    assert ["CREATED", "BUILT", "READY", "RUNNING", "COMPLETED"] == [
        one["status"] for one in stored.status.transitions
    ]
    assert ("inline", os.getpid()) == (
        stored.status.owner["engine"],
        stored.status.owner["pid"],
    )
    assert {"output_0": 2} == stored.results()


@pytest.mark.parametrize("spelling", ["local_execution", "loacal_execution"])
def test_local_execution_may_be_spelled_as_in_the_document(
    project: Project, spelling: str
) -> None:
    """S-58, C-2, C-13: both spellings, and the action's default."""
    function = declared(project, INCREMENT)

    given: dict[str, Any] = {spelling: True}
    run = function.run(**given, parameters={"x": 1})

    assert ("COMPLETED", "job") == (run.state, run.spec.action)


def test_a_run_without_inputs_and_parameters_runs(project: Project) -> None:
    """S-59, S-60: neither inputs nor parameters have to be given."""
    assert "COMPLETED" == ran(project, "def f(): pass").state


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("raise ValueError('boom 1')", "ValueError", "boom 1"),
        ("import sys; sys.exit(3)", "SystemExit", "3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("raise GeneratorExit", "GeneratorExit", ""),
        ("raise BaseException('x')", "BaseException", "x"),
    ],
)
def test_whatever_a_function_raises_ends_its_run(
    project: Project, code: str, kind: str, words: str
) -> None:
    """No exception reaches the caller, no run is stuck, and the run comes back."""
    run = ran(project, f"def f():\n    {code}")

    assert ("ERROR", kind, words) == (
        run.state,
        run.status.error["type"],
        run.status.error["message"],
    )
    assert "ERROR" == project.get_run(run.id).state


@pytest.mark.parametrize(
    ("given", "stage"),
    [
        ({"inputs": {"x": "nope"}}, "inputs"),
        ({"inputs": {"x": "store://p/dataitem/table/x:deadbeef"}}, "inputs"),
        ({"parameters": {"y": 1}}, "compose"),
        ({"parameters": {"x": "no number"}}, "compose"),
        ({}, "compose"),
    ],
)
def test_a_bad_input_ends_in_error(
    project: Project, given: dict[str, Any], stage: str
) -> None:
    """S-17: a run with a bad input is in ERROR, with the stage, never stuck RUNNING."""
    run = ran(project, INCREMENT, **given)

    assert ("ERROR", stage) == (run.state, run.status.error["stage"])
    assert "x" in run.status.message


def test_init_function_is_called_before_the_handler(project: Project) -> None:
    """S-16, S-61: init(context, …) with init_parameters; defaults are honoured."""
    code = """
        def init(context, param1, param2=5):
            setattr(context, "model", param1 * param2)
        def f(context):
            return context.model
        """

    good = ran(project, code, init="init", init_parameters={"param1": 2})
    bad = ran(project, code, init="init", init_parameters={"parma1": 2})

    assert 10 == good.result("output_0")
    assert ("ERROR", "compose") == (bad.state, bad.status.error["stage"])
    assert {"param1", "parma1"} == {one["field"] for one in bad.status.error["faults"]}


def test_what_fails_in_the_init_function_is_told_as_that(project: Project) -> None:
    """An init function is a stage of its own."""
    run = ran(project, "def init(context): 1 / 0\ndef f(): pass", init="init")

    assert ("init", "ZeroDivisionError") == (
        run.status.error["stage"],
        run.status.error["type"],
    )


def test_lineage_says_what_a_run_consumed_and_produced(project: Project) -> None:
    """A run is run_of its function and consumes its inputs."""
    import pandas as pd

    item = project.log_dataitem(name="in", kind="table", data=pd.DataFrame({"a": [1]}))
    run = ran(project, "def f(di): return di.as_df()", inputs={"di": "in"})

    relations = project.get_run(run.id).metadata.relationships
    assert [
        {"type": "run_of", "dest": project.get_function("f").key},
        {"type": "consumes", "dest": item.key},
    ] == relations
    assert [{"type": "produced_by", "dest": run.key}] == run.output(
        "output_0"
    ).metadata.relationships


def test_envs_and_secrets_are_there_while_it_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables are set for the run, and are as before afterwards."""
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("MADE", raising=False)
    project.new_secret(name="TOKEN", secret_value=SECRET)

    run = ran(
        project,
        "import os\ndef f(): return [os.environ[n] for n in ('KEPT', 'MADE', 'TOKEN')]",
        envs=[{"name": "KEPT", "value": "run"}, {"name": "MADE", "value": "1"}],
        secrets=["TOKEN"],
    )

    assert ["run", "1", "hunter22"] == run.result("output_0")
    assert ("before", None, None) == tuple(
        os.environ.get(name) for name in ("KEPT", "MADE", "TOKEN")
    )


def test_two_runs_cannot_have_two_values_of_one_variable(project: Project) -> None:
    """The environment is the process's: the second run says so, mixing nothing up."""
    function = declared(
        project,
        """
        def f(project, inner):
            if not inner:
                return None
            function = project.get_function("f")
            run = function.run("job", local_execution=True, parameters={"inner": False},
                               envs=[{"name": "SHARED", "value": inner}])
            return run.status.message
        """,
    )

    def message(inner: str) -> Any:
        return function.run(
            local_execution=True,
            parameters={"inner": inner},
            envs=[{"name": "SHARED", "value": "a"}],
        ).result("output_0")

    assert message("a") is None
    assert "has set 'SHARED' to another value" in message("b")
    assert "SHARED" not in os.environ


def test_a_stop_that_came_before_wins(project: Project) -> None:
    """A run that was stopped while it ran is STOPPED, whatever it returns."""
    run = ran(
        project,
        """
        def f(project, run):
            run.store.move(run.key, "STOP")
            return 5
        """,
    )

    assert ("STOPPED", {}) == (run.state, run.results())


def test_a_run_that_has_been_stopped_stays_so(project: Project) -> None:
    """STOPPED is not made an ERROR by what the end of the function raises."""
    run = ran(
        project,
        """
        def f(project, run):
            run.store.move(run.key, "STOP")
            run.store.move(run.key, "STOPPED")
            raise ValueError("too late")
        """,
    )

    assert ("STOPPED", None) == (run.refresh().state, run.status.error)


def test_a_run_that_was_stopped_before_is_not_begun(project: Project) -> None:
    """Nothing of the function runs after a stop."""
    run = declared(project, "def f(): open('/nonexistent/x')").new_run(
        "job", local_execution=True
    )
    run.store.move(run.key, "STOP")

    assert not execution.execute(run)
    assert "STOPPED" == run.refresh().state


def test_a_run_that_is_over_is_not_run_again(project: Project) -> None:
    """A run is executed once: COMPLETED stays what it is."""
    run = ran(project, INCREMENT, parameters={"x": 1})

    assert not execution.execute(run)
    assert ("COMPLETED", {"output_0": 2}) == (run.refresh().state, run.results())


def test_an_attempt_that_is_not_the_last_leaves_the_run_running(
    project: Project,
) -> None:
    """S-54: what went wrong is in `attempts`, and who leads the run tries again."""
    run = declared(project, "def f(): 1 / 0").new_run("job", backoff_limit=1)

    assert not execution.execute(run, attempt=1)
    first = Run(project.store.get(run.key) or {}, project.store)
    assert ("RUNNING", 1) == (first.state, len(first.status.attempts))

    assert not execution.execute(first, attempt=2)
    ended = project.get_run(run.id)
    assert ("ERROR", [1, 2]) == (
        ended.state,
        [one["attempt"] for one in ended.status.attempts],
    )
    assert 2 == ended.status.error["attempt"]


def test_four_functions_at_once_never_mix(project: Project) -> None:
    """4 threads, 50 runs each of four functions: 200 of 200 are right."""
    functions = [
        declared(
            project,
            f"MINE = {number}\ndef f(x, run): return [MINE, x, run.id]",
            name=f"f{number}",
        )
        for number in range(4)
    ]
    wrong: list[Any] = []

    def work(number: int) -> None:
        for x in range(50):
            which = (number + x) % 4
            run = functions[which].run(local_execution=True, parameters={"x": x})
            if [which, x, run.id] != run.result("output_0"):
                wrong.append((run.state, run.status.message, run.results()))

    threads = [threading.Thread(target=work, args=(one,)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == wrong
    assert 200 == len(project.list_runs())


def test_async_functions_run_inside_a_running_loop(project: Project) -> None:
    """A caller that has an event loop, as a notebook has, can run them too."""
    import asyncio

    async def caller() -> Any:
        run = ran(
            project,
            "import asyncio\nasync def f():\n  return await asyncio.sleep(0, 5)",
        )
        return run.result("output_0")

    assert 5 == asyncio.run(caller())


def test_a_saved_context_is_what_a_function_starts_with(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`start_context`: its names are there before the source is loaded."""
    from pybridge import context, main, snapshot

    monkeypatch.setenv("PYBRIDGE_STORE", str(tmp_path / "contexts.db"))
    main.execute_code("base = 40\ndef add(x): return base + x", context="c")
    saved = snapshot.save("c", name="begin")
    before = context.names()
    function = declared(project, "total = add(2)\ndef f(): return total, base")

    for which in ("begin", str(saved.id)):
        run = function.run(local_execution=True, start_context=which)
        assert {"output_0": 42, "output_1": 40} == run.results()
    assert before == context.names()
    wrong = function.run(local_execution=True, start_context="nope")
    assert ("source", "UnknownSnapshot") == (
        wrong.status.error["stage"],
        wrong.status.error["type"],
    )
    context.drop("c")


def test_a_context_of_another_python_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`start_context` of another version says which Python it needs."""
    import platform

    from pybridge import context, main, snapshot

    monkeypatch.setenv("PYBRIDGE_STORE", str(tmp_path / "contexts.db"))
    main.execute_code("x = 1", context="c")
    with monkeypatch.context() as patched:
        patched.setattr(platform, "python_version", lambda: "3.8.1")
        snapshot.save("c", name="old")

    run = ran(project, "def f(): return x", start_context="old")

    assert "ERROR" == run.state
    assert "needs Python 3.8.1" in run.status.message
    context.drop("c")
