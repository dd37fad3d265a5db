"""What functions are called with."""

from __future__ import annotations

import datetime as dt
import functools
import pickle
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pandas as pd
import polars as pl
import pyarrow as pa  # noqa: TC002 - annotations are evaluated
import pytest
from pydantic import BaseModel, Field

from pybridge.functions.arguments import ArgumentErrors, compose, plan, resolve
from pybridge.functions.marks import handler
from tests.functions.calls import declared, ran

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.functions.project import Project


def called(function: Callable[..., Any], **parameters: Any) -> Any:
    """Return what a function gives for parameters."""
    args, kwargs = compose(function, parameters=parameters)
    return function(*args, **kwargs)


def faults(function: Callable[..., Any], **parameters: Any) -> dict[str, str]:
    """Return what is wrong with parameters, by field."""
    with pytest.raises(ArgumentErrors) as caught:
        compose(function, parameters=parameters)
    return {one["field"]: one["message"] for one in caught.value.faults}


# ---- Kinds of parameters -------------------------------------------------------------


def test_compose_passes_parameters_by_name() -> None:
    """S-18: parameters are passed by name, any JSON value as it is."""

    def f(a: Any, b: Any = 2, *, c: Any = 3) -> Any:
        return a, b, c

    assert (1, 2, 3) == called(f, a=1)
    assert ([1], {"x": None}, "c") == called(f, a=[1], b={"x": None}, c="c")


def test_compose_passes_positional_only_parameters() -> None:
    """S-18: what can be passed by position only, is."""

    def f(a: int, b: int = 2, /, c: int = 3) -> Any:
        return a, b, c

    assert (1, 2, 3) == called(f, a=1)
    assert (1, 2, 9) == called(f, a=1, c=9)
    assert (1, 7, 3) == called(f, b=7, a=1)


def test_compose_gives_the_rest_to_kwargs() -> None:
    """S-18: `**kw` receives all that no parameter is named as."""

    def f(a: int, **kw: Any) -> Any:
        return a, kw

    assert (1, {"b": 2, "project": 3}) == called(f, a=1, b=2, project=3)


def test_compose_spreads_a_list_over_args() -> None:
    """A list under the name of `*args` is spread; without one it gets nothing."""

    def f(a: int, b: int = 5, *more: int) -> Any:
        return a, b, more

    assert (1, 5, ()) == called(f, a=1)
    assert (1, 5, (7, 8)) == called(f, a=1, more=[7, "8"])


def test_compose_knows_methods_classes_partials_and_callables() -> None:
    """What is called may be anything that can be."""

    class K:
        def __init__(self, x: int) -> None:
            self.x = x

        def method(self, y: int) -> int:
            return self.x + y

        @classmethod
        def made(cls, x: int) -> K:
            return cls(x)

        def __call__(self, z: int) -> int:
            return self.x * z

    assert 3 == called(K, x="3").x
    assert 5 == called(K(3).method, y="2")
    assert 4 == called(K.made, x=4).x
    assert 6 == called(K(3), z="2")
    assert 9 == called(functools.partial(pow, 3), exp=2)


def test_compose_follows_wrappers_that_pass_everything_on() -> None:
    """S-9: the signature of a wrapped function is its own, if its wrapper has none."""

    def passing(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    def giving(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(x: int) -> Any:
            return function("given", x)

        return inner

    @passing
    def f(x: int) -> int:
        return x

    @giving
    def g(first: str, x: int) -> Any:
        return first, x

    assert {"y"} == set(faults(f, x=1, y=2))
    assert 2 == called(f, x="2")
    assert ("given", 2) == called(g, x=2)


def test_compose_knows_builtins_that_do_not_tell() -> None:
    """A builtin without a signature gets what there is."""
    assert ([], {"x": 1}) == compose(dict, parameters={"x": 1})


# ---- Faults --------------------------------------------------------------------------


def test_compose_tells_all_faults_at_once() -> None:
    """Missing, unknown and wrong ones are told together, each with its value."""

    def f(count: int, name: str, day: dt.date) -> None: ...

    with pytest.raises(ArgumentErrors) as caught:
        compose(f, parameters={"count": "x", "nome": "y", "day": "nope"})

    found = {one["field"]: one for one in caught.value.faults}
    assert {"count", "name", "nome", "day"} == set(found)
    assert "x" == found["count"]["value"]
    assert "should be a valid integer" in found["count"]["message"]
    assert "is missing" in found["name"]["message"]
    assert "did you mean 'name'?" in found["nome"]["message"]
    assert "f() cannot be called" in str(caught.value)


def test_compose_names_the_place_inside_a_value() -> None:
    """The field of a fault leads into lists and models."""

    def f(points: list[Point]) -> None: ...

    told = faults(f, points=[{"x": 1, "y": 2}, {"x": "a"}])

    assert {"points.1.x", "points.1.y"} == set(told)
    assert "is missing" == told["points.1.y"]


def test_compose_tells_where_an_entity_belongs() -> None:
    """A missing table is to be given in inputs, a missing number in parameters."""

    def f(df: pd.DataFrame, n: int) -> None: ...

    told = faults(f)

    assert "inputs={'df'" in told["df"]
    assert "parameters={'n'" in told["n"]


def test_faults_are_pickled_with_all_they_say() -> None:
    """Another process gets the same faults."""

    def f(x: int) -> None: ...

    with pytest.raises(ArgumentErrors) as caught:
        compose(f, parameters={})

    copied = pickle.loads(pickle.dumps(caught.value))

    assert str(caught.value) == str(copied)
    assert caught.value.faults == copied.faults


def test_no_code_of_the_function_runs_on_a_bad_call(project: Project) -> None:
    """S-59: what is wrong with a call is told before the function runs."""
    run = ran(
        project,
        """
        def f(x: int):
            open("was_called", "w")
        """,
        parameters={"x": "no number", "y": 1},
    )

    assert "ERROR" == run.state
    assert "compose" == run.status.error["stage"]
    assert ["x", "y"] == [one["field"] for one in run.status.error["faults"]]
    assert not Path("was_called").exists()


# ---- Annotations ---------------------------------------------------------------------


class Point(BaseModel):
    x: int
    y: int


class Color(Enum):
    RED = "red"


@dataclass
class Pair:
    a: int
    b: float


@pytest.mark.parametrize(
    ("annotation", "given", "wanted"),
    [
        (int, "5", 5),
        (int, 5.0, 5),
        (float, 3, 3.0),
        (bool, "true", True),
        (str, "x", "x"),
        (bytes, "x", b"x"),
        (dt.date, "2024-02-29", dt.date(2024, 2, 29)),
        (dt.datetime, "2024-02-29T10:00:00", dt.datetime(2024, 2, 29, 10)),
        (list[int], ["1", 2], [1, 2]),
        (dict[str, float], {"a": "1.5"}, {"a": 1.5}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (Optional[int], None, None),  # noqa: UP045 - the older form
        (int | None, "7", 7),
        (Literal["a", "b"], "b", "b"),
        (Annotated[int, Field(gt=0)], "3", 3),
        (Color, "red", Color.RED),
        (Pair, {"a": "1", "b": 2}, Pair(1, 2.0)),
        (Path, "/x", Path("/x")),
        (Any, [1], [1]),
        (object, 5, 5),
        ("no such type", 5, 5),
        (3, 5, 5),
    ],
)
def test_compose_coerces_to_the_annotation(
    annotation: Any, given: Any, wanted: Any
) -> None:
    """S-59: values become what the annotation says; one without sense is ignored."""

    def f(x: Any) -> Any:
        return x

    f.__annotations__["x"] = annotation
    found = called(f, x=given)

    assert wanted == found
    assert type(wanted) is type(found)


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (int, "x"),
        (int, 5.5),
        (int, None),
        (str, 5),
        (list[int], [1, "x"]),
        (Literal["a"], "b"),
        (Annotated[int, Field(gt=0)], 0),
        (Pair, {"a": 1}),
        (Color, "blue"),
    ],
)
def test_compose_refuses_what_the_annotation_does_not_take(
    annotation: Any, given: Any
) -> None:
    """S-59: what cannot become what is wanted is a fault."""

    def f(x: Any) -> Any:
        return x

    f.__annotations__["x"] = annotation

    assert all(name.partition(".")[0] == "x" for name in faults(f, x=given))


def test_compose_takes_the_default_whatever_its_type() -> None:
    """`x: int = None` takes None: that is what its author has written."""

    def f(x: int = None) -> Any:  # type: ignore[assignment] # noqa: RUF013
        return x

    assert called(f, x=None) is None


def test_compose_evaluates_annotations_that_are_text() -> None:
    """With `from __future__ import annotations`, types are text: each by itself."""
    code = """
from __future__ import annotations
class Own: pass
def f(a: int, b: list[int], c: Unknown, d: Own = None,
      e: "dict[str, int] | None" = None):
    return a, b, c, e
"""
    names: dict[str, Any] = {}
    exec(compile(code, "main.py", "exec"), names)

    assert (1, [2], "3", {"x": 4}) == called(
        names["f"], a="1", b=["2"], c="3", e={"x": "4"}
    )
    assert {"a", "d"} == set(faults(names["f"], a="x", b=[], c=1, d=5))


def test_compose_makes_frames_of_rows() -> None:
    """`df: pd.DataFrame` takes rows as JSON has them, as services get them."""

    def f(a: pd.DataFrame, b: pl.DataFrame, c: pa.Table, d: pd.Series) -> Any:
        return a, b, c, d

    rows = [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
    a, b, c, d = called(f, a=rows, b={"x": [1, 2]}, c=rows, d=[1.5, 2.5])

    assert [1, 2] == a["x"].tolist()
    assert pl.DataFrame({"x": [1, 2]}).equals(b)
    assert rows == c.to_pylist()
    assert [1.5, 2.5] == d.tolist()


# ---- Reserved names ------------------------------------------------------------------


def test_reserved_names_are_given_whatever_was_passed(project: Project) -> None:
    """S-5, S-6, S-7, C-1: project, run, context, event and events."""
    run = ran(
        project,
        """
        def f(project, run, context, event, events):
            context.logger.info("hello %s", "log")
            return [project.name, run.key, event is events, event.body["id"],
                    type(context).__name__, event.trigger.kind]
        """,
        parameters={"project": "iamstring"},
    )

    assert ["p", run.key, True, run.id, "Context", "job"] == run.result("output_0")
    assert any("hello log" in line for line in run.logs())


def test_event_and_context_of_the_caller_are_honoured_in_a_job(
    project: Project,
) -> None:
    """S-6: what is passed as event reaches a function that is tried out as a job."""
    run = ran(
        project,
        "def f(event, context): return [event, context]",
        parameters={"event": {"body": 1}, "context": "mine"},
    )

    assert [{"body": 1}, "mine"] == run.result("output_0")


def test_reserved_names_are_not_passed_to_those_who_have_them_not() -> None:
    """S-5: who does not ask for a project gets none."""

    def f(**kw: Any) -> Any:
        return kw

    assert ([], {}) == compose(f, project="p", run="r", context="c", event="e")
    assert set() == plan(f).reserved


def test_a_handler_is_composed_as_any_other_function() -> None:
    """S-8: the decorator changes nothing about the arguments."""

    @handler(outputs=["y"])
    def f(x: int) -> int:
        return x

    assert 5 == called(f, x="5")


# ---- Inputs --------------------------------------------------------------------------


@pytest.fixture
def table(project: Project) -> Any:
    """A dataitem with two rows."""
    return project.log_dataitem(
        name="trips", kind="table", data=pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    )


def test_inputs_are_found_by_key_entity_name_and_version(
    project: Project, table: Any
) -> None:
    """S-17: an input is a key, an entity, a name, or name:id."""
    for given in (table.key, table, "trips", f"trips:{table.id}", {"key": table.key}):
        found = resolve({"di": given}, store=project.store, project="p")
        assert table.key == found["di"].key


def test_inputs_that_are_no_data_are_told_all_at_once(
    project: Project, table: Any
) -> None:
    """S-17: each wrong input is named, with what it could have been."""
    function = project.new_function(
        name="g",
        kind="python",
        code="def g(): 1",
        handler="g",
        python_version="PYTHON3_11",
    )
    given = {
        "a": "tripz",
        "b": "store://p/dataitem/table/trips:deadbeef",
        "c": function.key,
        "d": "store://p/dataitem",
        "e": 5,
        "f": f"store://other/dataitem/table/trips:{table.id}",
    }

    with pytest.raises(ArgumentErrors) as caught:
        resolve(given, store=project.store, project="p")

    told = {one["field"]: one["message"] for one in caught.value.faults}
    assert set(given) == set(told)
    assert "did you mean 'trips'?" in told["a"]
    assert "is a function" in told["c"]
    assert "is not a key" in told["d"]
    assert "is int 5" in told["e"]


def test_an_input_wins_over_a_parameter_of_its_name(
    project: Project, table: Any
) -> None:
    """S-8: inputs win."""
    run = ran(
        project,
        "def f(di): return di.name",
        inputs={"di": table.key},
        parameters={"di": "text"},
    )

    assert "trips" == run.result("output_0")


def test_an_input_is_the_entity_where_that_is_wanted(
    project: Project, table: Any
) -> None:
    """S-15, S-17, S-19: `di: Dataitem` is there without an import."""
    run = ran(
        project,
        """
        def f(di: Dataitem, param1: str):
            return [type(di).__name__, di.key, param1]
        """,
        inputs={"di": table.key},
        parameters={"param1": "some value"},
    )

    assert ["Dataitem", table.key, "some value"] == run.result("output_0")


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        ("pd.DataFrame", "DataFrame"),
        ("Optional[pd.DataFrame]", "DataFrame"),
        ("pl.DataFrame", "DataFrame"),
        ("pl.LazyFrame", "LazyFrame"),
        ("pa.Table", "Table"),
        ("pa.RecordBatch", "RecordBatch"),
        ("np.ndarray", "ndarray"),
        ("list", "list"),
        ("list[dict]", "list"),
        ("Path", "PosixPath"),
        ("str", "str"),
        ("bytes", "bytes"),
        ("Any", "Dataitem"),
    ],
)
def test_an_input_is_had_as_its_annotation_says(
    project: Project, table: Any, annotation: str, shown: str
) -> None:
    """S-17: `di: pd.DataFrame` gets the frame; so do other libraries, paths, rows."""
    run = ran(
        project,
        f"""
        from typing import Any, Optional
        from pathlib import Path
        import numpy as np, pandas as pd, polars as pl, pyarrow as pa
        def f(di: {annotation}):
            return type(di).__name__
        """,
        inputs={"di": table.key},
    )

    assert (None, shown) == (run.status.message, run.result("output_0"))


def test_an_input_that_is_not_what_is_wanted_is_a_fault(
    project: Project, table: Any
) -> None:
    """An input of the wrong type is told before the function runs."""
    run = ran(
        project,
        "def f(m: Model, n: int): pass",
        inputs={"m": table.key, "n": table.key},
    )

    told = {one["field"]: one["message"] for one in run.status.error["faults"]}
    assert "should be Model, and is a dataitem" == told["m"]
    assert "should be int, and is a dataitem" == told["n"]


def test_an_input_may_be_where_data_is(project: Project, tmp_path: Path) -> None:
    """A path that was never logged is an input too."""
    (tmp_path / "a.csv").write_text("x,y\n1,a\n")

    run = ran(
        project,
        "import pandas as pd\ndef f(di: pd.DataFrame): return di.x.tolist()",
        inputs={"di": str(tmp_path / "a.csv")},
    )

    assert [1] == run.result("output_0")


@pytest.mark.parametrize("given", ["a.csv", "./a.csv", Path("a.csv")])
def test_a_relative_path_means_the_same_wherever_the_run_works(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any
) -> None:
    """A path is the caller's: a run has a directory of its own."""
    (tmp_path / "a.csv").write_text("x\n1\n")
    monkeypatch.chdir(tmp_path)

    run = declared(project, "def f(di): pass").new_run(
        "job", inputs={"di": given, "db": "sqlite:///x.db#t", "name": "b.csv"}
    )

    assert {
        "di": str(tmp_path / "a.csv"),
        "db": f"sqlite:///{tmp_path}/x.db#t",
        "name": "b.csv",
    } == run.spec.inputs


def test_a_name_wins_over_a_file_of_that_name(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is called `trips` in the project is meant, not a file that lies there."""
    project.log_dataitem(name="trips", data=pd.DataFrame({"x": [1]}))
    (tmp_path / "trips").write_text("a file")
    monkeypatch.chdir(tmp_path)

    run = ran(project, "def f(di): return di.name", inputs={"di": "trips"})

    assert "trips" == run.result("output_0")
    assert {"di": "trips"} == run.spec.inputs
