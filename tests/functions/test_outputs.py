"""What becomes of what functions return."""

from __future__ import annotations

import datetime as dt
import json
import math
import subprocess
import sys
import uuid
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from pybridge.functions.outputs import spread
from pybridge.functions.results import NotPlain, decode, encode
from tests.functions.calls import declared, ran

if TYPE_CHECKING:
    from pybridge.functions.project import Project
    from pybridge.functions.store import Store


class Level(IntEnum):
    HIGH = 3


BERLIN = ZoneInfo("Europe/Berlin")

VALUES = [
    None,
    True,
    0,
    -1,
    2**53 + 1,
    2**64,
    2**9000,
    1.5,
    -0.0,
    math.inf,
    -math.inf,
    "",
    "ü€\U0001f600",
    "a\0b",
    "\ud800 alone",
    b"",
    b"\x00\xff",
    bytearray(b"ab"),
    1 + 2j,
    dt.date(2024, 2, 29),
    dt.time(1, 2, 3, 4),
    dt.time(2, 30, fold=1),
    dt.datetime(2024, 10, 27, 2, 30, fold=1),
    dt.timedelta(days=-1, microseconds=1),
    dt.datetime(2024, 2, 29, 1, 2, 3, 4),
    dt.datetime(2024, 2, 29, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5.5))),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    Decimal("1.10"),
    Decimal("-0.00"),
    uuid.UUID(int=5),
    Path("/a/b"),
    [1, [2, {"a": [None]}]],
    (1, "a", (2,)),
    {"a": 1, "b": {"c": [1.5]}},
    {1: "a", (1, 2): "b", None: 3},
    {"$bytes": "no tag"},
    {"a": {"$float": "nan"}},
    {1, 2},
    frozenset({"a"}),
    [],
    {},
    (),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_result_is_the_same_in_every_process(value: Any) -> None:
    """S-23: what goes through JSON comes back equal and of the same type."""
    found = decode(json.loads(json.dumps(encode(value))))

    assert value == found
    assert type(value) is type(found)
    assert value == 2**9000 or repr(value) == repr(found)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.int64(2**60 + 1), 2**60 + 1),
        (np.int8(-1), -1),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (Level.HIGH, 3),
    ],
    ids=repr,
)
def test_scalars_of_numpy_become_pythons(value: Any, wanted: Any) -> None:
    """S-22, S-23: numpy's numbers are results as Python's are."""
    found = decode(encode(value))

    assert wanted == found
    assert type(wanted) is type(found)


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64("2024-02-29T01:02:03.123456789"),
        np.datetime64("2024-02"),
        np.timedelta64(5, "ns"),
        pd.Timestamp("2024-02-29 01:02:03.123456789"),
        pd.Timestamp("2024-02-29 01:02:03", tz="Europe/Berlin"),
        pd.Timestamp("2024-02-29 01:02:03+05:30"),
        pd.Timedelta("1 days 00:00:00.000000001"),
    ],
    ids=repr,
)
def test_times_of_numpy_and_pandas_stay_exact(value: Any) -> None:
    """Nanoseconds and zones are kept."""
    found = decode(encode(value))

    assert value == found
    assert type(value) is type(found)
    assert str(value) == str(found)


def test_missing_values_stay_what_they_are() -> None:
    """NaN, NaT and NA are told apart."""
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode(pd.NaT)) is pd.NaT
    assert decode(encode(pd.NA)) is pd.NA
    assert np.isnat(decode(encode(np.datetime64("NaT"))))


@pytest.mark.parametrize(
    "value",
    [object(), lambda: 1, np.zeros(2), {"a": object()}, [pd.DataFrame()]],
    ids=["object", "function", "array", "dict of one", "list of frames"],
)
def test_objects_are_not_plain(value: Any) -> None:
    """What is no data is not made a text of."""
    with pytest.raises(NotPlain):
        encode(value)


def test_a_list_in_itself_is_not_plain() -> None:
    """A loop is found, not followed for ever."""
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(NotPlain, match="contains itself"):
        encode(loop)


@pytest.mark.parametrize(
    ("value", "names", "wanted"),
    [
        (None, 0, []),
        (None, 1, [None]),
        (None, 2, []),
        ("a", 0, ["a"]),
        ((1, 2), 0, [1, 2]),
        ((1,), 1, [1]),
        ([1, 2, 3], 0, [[1, 2, 3]]),
        ([1, 2, 3], 1, [[1, 2, 3]]),
        ([1, 2, 3], 3, [1, 2, 3]),
        ([1, 2, 3], 2, [[1, 2, 3]]),
        ([], 0, [[]]),
        ({"a": 1}, 2, [{"a": 1}]),
    ],
)
def test_values_are_one_or_several(value: Any, names: int, wanted: list[Any]) -> None:
    """S-24: a tuple is several values; a list, where there are as many names."""
    assert wanted == spread(value, names)


def test_a_list_of_tables_is_several_values() -> None:
    """S-24: a list that JSON cannot hold is unpacked."""
    one, two = pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [2]})

    assert [id(one), id(two)] == [id(each) for each in spread([one, two], 0)]


# ---- In runs -------------------------------------------------------------------------


def test_names_are_given_by_position(project: Project) -> None:
    """S-10, S-11, S-24: the decorator's names, then output_N."""
    plain = ran(project, "def f(): return 'hello world'")
    named = ran(
        project,
        """
        from digitalhub_runtime_python import handler
        @handler(outputs=["a", "b"])
        def f(): return 1, 2, 3
        """,
    )

    assert {"output_0": "hello world"} == plain.results()
    assert {"a": 1, "b": 2, "output_2": 3} == named.results()
    assert "3 values were returned for 2 names" in named.status.message
    assert 1 == named.result("a")
    assert named.result("nope") is None


def test_more_names_than_values_are_told(project: Project) -> None:
    """S-24: names that nothing came for are said, and no error."""
    run = ran(
        project,
        """
        from digitalhub_runtime_python import handler
        @handler(outputs=["a", "b"])
        def f(): return 1
        """,
    )

    assert ("COMPLETED", {"a": 1}) == (run.state, run.results())
    assert "1 value was returned for 2 names: 'a', 'b'" == run.status.message


@pytest.mark.parametrize("value", ["1", "(1, 2, 3)"])
def test_a_strict_handler_wants_as_many_values_as_names(
    project: Project, value: str
) -> None:
    """A strict handler's run ends in ERROR when the number differs."""
    run = ran(
        project,
        f"""
        from digitalhub_runtime_python import handler
        @handler(outputs=["a", "b"], strict=True)
        def f(): return {value}
        """,
    )

    assert ("ERROR", "outputs") == (run.state, run.status.error["stage"])
    assert "the handler is strict" in run.status.message


def test_an_unnamed_value_does_not_take_anothers_name(project: Project) -> None:
    """A name is given once: `output_1` may be the first value's."""
    run = ran(
        project,
        """
        from digitalhub_runtime_python import handler
        @handler(outputs=["output_1"])
        def f(): return 1, 2
        """,
    )

    assert "ERROR" == run.state
    assert "'output_1' is taken" in run.status.message


@pytest.mark.parametrize(
    "code",
    [
        "pd.DataFrame({'a': [1, 2]})",
        "pl.DataFrame({'a': [1, 2]})",
        "pl.LazyFrame({'a': [1, 2]})",
        "pa.table({'a': [1, 2]})",
        "pa.RecordBatch.from_pydict({'a': [1, 2]})",
        "pd.Series([1, 2], name='a')",
        "pl.Series('a', [1, 2])",
    ],
)
def test_tables_become_dataitems(project: Project, code: str) -> None:
    """S-21: tables of every library are dataitems of kind table, as parquet."""
    run = ran(
        project,
        f"""
        import pandas as pd, polars as pl, pyarrow as pa
        from digitalhub_runtime_python import handler
        @handler(outputs=["data"])
        def f(): return {code}
        """,
    )

    item = run.output("data")
    assert ("dataitem", "table") == (item.TYPE, item.kind)
    assert [1, 2] == item.as_df()["a"].tolist()
    assert {"fields": [{"name": "a", "type": "integer"}]} == item.schema
    assert {"cols": [{"name": "a", "value": [1, 2]}], "rows": 2} == item.preview
    (file,) = item.status.files
    assert Path(item.path).stat().st_size == file["size"]
    assert ("data.parquet", 71) == (file["name"], len(file["hash"]))


OBJECTS = """
    import math
    from digitalhub_runtime_python import handler
    FACTOR = 10
    class K:
        def __init__(self, x):
            self.x = x
        def times(self):
            return math.floor(self.x * FACTOR)
    @handler(outputs=["k", "area", "items"])
    def f(x):
        return K(x), lambda r: r * FACTOR, {"k": [K(1)]}
"""


def test_objects_of_users_classes_work_in_a_new_process(
    project: Project, store: Store
) -> None:
    """S-22, C-14: a class of the function's own source goes along with its object."""
    run = ran(project, OBJECTS, parameters={"x": 1.55})
    assert (None, "COMPLETED") == (run.status.message, run.state)

    code = f"""
from pybridge.functions.store import Store
from pybridge.functions.library import get_run
run = get_run({run.key!r})
print(type(run.output("k")).__name__, run.output("k").as_object().times())
print(run.output("area").as_object()(2), run.output("items").as_object()["k"][0].x)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert "Artifact 15\n20 1\n" == done.stdout, done.stderr


def test_dicts_and_lists_are_results(project: Project) -> None:
    """S-22, S-23: data of any depth is a result, bytes and numpy's numbers too."""
    run = ran(
        project,
        """
        import numpy as np
        def f(): return {"a": [1, {"b": b"x"}], "n": np.int64(5)}, [1, 2], None
        """,
    )

    assert {
        "output_0": {"a": [1, {"b": b"x"}], "n": 5},
        "output_1": [1, 2],
        "output_2": None,
    } == run.results()
    assert {} == run.outputs()


def test_a_function_without_a_result_has_none(project: Project) -> None:
    """A function that returns nothing has neither outputs nor results."""
    run = ran(project, "def f(): pass")

    assert ("COMPLETED", {}, {}) == (run.state, run.results(), run.outputs())


def test_returned_entities_are_outputs_with_lineage(project: Project) -> None:
    """S-25: an entity that is returned is the output, produced by the run."""
    run = ran(
        project,
        """
        import pandas as pd
        from digitalhub_runtime_python import handler
        @handler(outputs=["mine"])
        def f(project):
            return project.log_dataitem(name="made", kind="table",
                                        data=pd.DataFrame({"a": [1]}))
        """,
    )

    assert {"made", "mine"} == set(run.outputs())
    item = run.output("mine")
    assert ("made", item.key) == (item.name, run.output("made", as_key=True))
    assert [{"type": "produced_by", "dest": run.key}] == item.metadata.relationships
    assert {"type": "run_of", "dest": project.get_function("f").key} in (
        run.metadata.relationships
    )


def test_what_the_function_logs_is_an_output(project: Project, tmp_path: Path) -> None:
    """S-12, C-3: project.log_* with source_path; it appears under its own name."""
    (tmp_path / "file.txt").write_text("text")

    run = ran(
        project,
        """
        def f(project, path):
            project.log_artifact(name="example", kind="artifact", source_path=path)
            project.log_model(name="m", kind="sklearn", source=path, framework="x")
        """,
        parameters={"path": str(tmp_path / "file.txt")},
    )

    assert (None, {"example", "m"}) == (run.status.message, set(run.outputs()))
    assert "text" == Path(run.output("example").as_file()[0]).read_text()
    assert "x" == run.output("m").spec.framework


def test_what_a_failing_function_has_logged_is_not_lost(
    project: Project, tmp_path: Path
) -> None:
    """Outputs that were there before the error stay outputs of the run."""
    run = ran(
        project,
        """
        import pandas as pd
        def f(project):
            table = pd.DataFrame({"a": [1]})
            project.log_dataitem(name="first", kind="table", data=table)
            raise ValueError("boom 1")
        """,
    )

    assert ("ERROR", {"first"}) == (run.state, set(run.outputs()))


def test_a_class_that_is_returned_is_warned_of(project: Project) -> None:
    """S-27: `return pd.DataFrame, …` is most likely a mistake, and is said to be."""
    run = ran(
        project,
        """
        import pandas as pd
        from digitalhub_runtime_python import handler
        @handler(outputs=["data", "string"])
        def f(): return pd.DataFrame, "some value"
        """,
    )

    assert "COMPLETED" == run.state
    assert "'data' is the class DataFrame, not an instance" in run.status.message
    assert "some value" == run.result("string")
    assert "artifact" == run.output("data").TYPE


def test_outputs_may_declare_their_kind(project: Project, tmp_path: Path) -> None:
    """The later versions' {"name", "kind", "spec_kwargs"}: logged as that kind."""
    (tmp_path / "model.bin").write_bytes(b"m")
    run = ran(
        project,
        """
        import pandas as pd
        from digitalhub_runtime_python import handler
        @handler(outputs=[
            {"name": "model", "kind": "sklearn", "spec_kwargs": {"algorithm": "svm"}},
            {"name": "table", "kind": "table"},
            {"name": "object", "kind": "model"},
            "plain",
        ])
        def f(path):
            return path, pd.DataFrame({"a": [1]}), {"weights": [1, 2]}, 5
        """,
        parameters={"path": str(tmp_path / "model.bin")},
    )

    assert (None, "COMPLETED") == (run.status.message, run.state)
    assert ("sklearn", "svm") == (
        run.output("model").kind,
        run.output("model").spec.algorithm,
    )
    assert [1] == run.output("table").as_df()["a"].tolist()
    assert {"weights": [1, 2]} == run.output("object").as_object()
    assert {"plain": 5} == run.results()


def test_an_unknown_kind_of_output_is_an_error(project: Project) -> None:
    """A kind that there is not is told with what was meant."""
    run = ran(
        project,
        """
        from digitalhub_runtime_python import handler
        @handler(outputs=[{"name": "a", "kind": "tabel"}])
        def f(): return 1
        """,
    )

    assert "ERROR" == run.state
    assert "did you mean 'table'?" in run.status.message


def test_a_name_that_no_entity_can_have_is_told(project: Project) -> None:
    """A result may have any name, what is kept as an entity may not."""
    code = """
        import pandas as pd
        from digitalhub_runtime_python import handler
        @handler(outputs=["my data/x"])
        def f(table): return pd.DataFrame({"a": [1]}) if table else 5
    """
    function = declared(project, code)

    good = function.run("job", local_execution=True, parameters={"table": False})
    bad = function.run("job", local_execution=True, parameters={"table": True})

    assert {"my data/x": 5} == good.results()
    assert ("ERROR", "outputs") == (bad.state, bad.status.error["stage"])
    assert "'my data/x' is not a name" in bad.status.message


def test_a_path_that_is_returned_is_kept(project: Project, tmp_path: Path) -> None:
    """A file that the function has written is an artifact."""
    run = ran(
        project,
        """
        from pathlib import Path
        def f(folder):
            path = Path(folder) / "made.txt"
            path.write_text("made")
            return path
        """,
        parameters={"folder": str(tmp_path)},
    )

    (tmp_path / "made.txt").unlink()
    assert "made" == Path(run.output("output_0").as_file()[0]).read_text()


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("async def f():\n    return 5", 5),
        ("def f():\n    yield 1\n    yield 2", [1, 2]),
        ("async def f():\n    yield 1\n    yield 2", [1, 2]),
        ("class K:\n    def __call__(self): return 5\nf = K()", 5),
        ("class f:\n    def __new__(cls): return 7", 7),
        ("import functools\nf = functools.partial(max, 1, 2)", 2),
    ],
    ids=["async", "generator", "async generator", "callable", "class", "partial"],
)
def test_functions_may_be_of_any_kind(project: Project, code: str, wanted: Any) -> None:
    """What is called gives its value in the end: awaited, its items in a list."""
    run = ran(project, code)

    assert (None, wanted) == (run.status.message, run.result("output_0"))


def test_outputs_are_had_as_entities_keys_and_dicts(project: Project) -> None:
    """S-26, S-62, S-63, S-64: output, outputs, result, results."""
    run = ran(
        project,
        """
        import pandas as pd
        from digitalhub_runtime_python import handler
        @handler(outputs=["data", "string"])
        def f(): return pd.DataFrame({"a": [1]}), "some value"
        """,
    )

    key = run.output("data", as_key=True)
    assert key == run.output("data").key == run.output("data", as_dict=True)["key"]
    assert {"data": key} == run.outputs(as_key=True)
    assert run.output("nope") is None
    assert ("some value", None) == (run.result("string"), run.result("data"))
    assert {"data", "string"} == set(run.values())


def test_an_object_that_cannot_be_pickled_is_told(project: Project) -> None:
    """What cannot be kept is named, with what to do."""
    run = ran(project, "import threading\ndef f(): return threading.Lock()")

    assert ("ERROR", "outputs") == (run.state, run.status.error["stage"])
    assert "output 'output_0': lock cannot be pickled" in run.status.message


def test_threads_of_the_function_log_for_its_run_too(project: Project) -> None:
    """What a thread logs through the project is an output of the run."""
    run = ran(
        project,
        """
        import threading
        def f(project):
            def work():
                project.log_dataitem(name="made", data=[{"a": 1}])
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        """,
    )

    assert {"made"} == set(run.outputs())
    assert run.key == run.output("made").metadata.relationships[0]["dest"]


def test_a_run_that_is_returned_is_named(project: Project) -> None:
    """An entity that is no data is a result: its key."""
    run = ran(project, "def f(run, project): return run, project")

    assert {"output_0": run.key, "output_1": "store://p"} == run.results()
