"""Frames of any library as Arrow streams."""

# ruff: noqa: PYI024, PLR0124, RUF043 - times without a zone; both kinds of named tuples are met

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import math
import time
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge.columnar import load, to_schema, to_stream
from pybridge.errors import BadArgument, Undefined, Unsupported
from tests.values import FAILING, SCALARS

if TYPE_CHECKING:
    from tests.values import Scalar

# All that a host has to know.
KNOWN = {
    "null",
    "bool",
    "int64",
    "double",
    "large_string",
    "large_binary",
    "date32[day]",
    "time64[us]",
    "timestamp[us]",
    "timestamp[us, tz=UTC]",
}
DAY = dt.datetime(2024, 1, 2, 3, 4, 5, 678)


def table(frame: Any, columns: list[str] | None = None) -> pa.Table:
    """Return the stream of a frame as a table, which it must match the schema of."""
    made = pa.RecordBatchReader.from_stream(to_stream(frame, columns)).read_all()
    for kind in made.schema.types:
        assert str(kind) in KNOWN or pa.types.is_decimal128(kind)
    return made


def series(data: Any, dtype: Any = None) -> pd.DataFrame:
    """Make a DataFrame of one column."""
    return pd.DataFrame({"c": pd.Series(data, dtype=dtype)})


def one_batch(columns: Any) -> pa.RecordBatchReader:
    """Make a stream of one batch."""
    return pa.table(columns).to_reader()


@dataclasses.dataclass
class Point:
    x: int
    y: str


Named = collections.namedtuple("Named", "p q")

FRAMES = {
    "pandas": pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
    "polars": pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
    "polars_lazy": pl.LazyFrame({"a": [1, 2], "b": ["x", None]}),
    "arrow": pa.table({"a": [1, 2], "b": ["x", None]}),
    "batch": pa.record_batch({"a": [1, 2], "b": ["x", None]}),
    "dict": {"a": [1, 2], "b": ["x", None]},
    "dict_of_arrays": {"a": np.array([1, 2]), "b": np.array(["x", None], object)},
    "dict_of_series": {"a": pd.Series([1, 2]), "b": pl.Series(["x", None])},
    "dicts": [{"a": 1, "b": "x"}, {"a": 2}],
    "mapping": collections.UserDict({"a": (1, 2), "b": pa.array(["x", None])}),
    "generator": ({"a": i, "b": "x" if i == 1 else None} for i in (1, 2)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_library_gives_the_same_rows(name: str) -> None:
    """Frames, dicts of columns and lists of rows."""
    made = table(FRAMES[name])

    assert {"a": [1, 2], "b": ["x", None]} == made.to_pydict()
    assert ["int64", "large_string"] == list(map(str, made.schema.types))


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        ([(1, "x"), (2, None)], {"c0": [1, 2], "c1": ["x", None]}),
        ([[1, "x"], [2, None]], {"c0": [1, 2], "c1": ["x", None]}),
        ([Named(1, 2.5)], {"p": [1], "q": [2.5]}),
        ([Point(1, "x")], {"x": [1], "y": ["x"]}),
        ([1, None, 3], {"c0": [1, None, 3]}),
        (["a", "b"], {"c0": ["a", "b"]}),
        ([dt.date(2024, 1, 1)], {"c0": [dt.date(2024, 1, 1)]}),
        (range(3), {"c0": [0, 1, 2]}),
        ({1, 2}, {"c0": [1, 2]}),
        ({"a": 1, "b": "x"}, {"a": [1], "b": ["x"]}),
        ({"a": memoryview(b"ab")}, {"a": [b"ab"]}),
        ({"a": np.array(5), "b": [1, 2]}, {"a": [5, 5], "b": [1, 2]}),
        (np.array([[1, 2], [3, 4]]).view(np.matrix), {"c0": [1, 3], "c1": [2, 4]}),
        (
            pd.MultiIndex.from_tuples([(1, "x")], names=["k", None]),
            {"k": [1], "1": ["x"]},
        ),
        (
            {"a": [1, 2], "k": "x", "n": None},
            {"a": [1, 2], "k": ["x"] * 2, "n": [None] * 2},
        ),
        ({}, {}),
        (np.array([1, 2]), {"c0": [1, 2]}),
        (np.array([[1, 2], [3, 4]]), {"c0": [1, 3], "c1": [2, 4]}),
        (np.array([(1, "x")], [("i", "i4"), ("s", "U3")]), {"i": [1], "s": ["x"]}),
        (np.rec.array(np.array([(1,)], [("i", "i8")])), {"i": [1]}),
        (pd.Series([1], name="s"), {"s": [1]}),
        (pd.Series([1]), {"c0": [1]}),
        (pd.Index(["a"], name="k"), {"k": ["a"]}),
        (pl.Series("s", [1]), {"s": [1]}),
        (pa.array([1]), {"c0": [1]}),
        (pa.chunked_array([[1], [2]]), {"c0": [1, 2]}),
        (pd.DataFrame({"a": []}), {"a": []}),
        (pd.DataFrame(), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_shapes_have_stated_columns(frame: Any, columns: Any) -> None:
    """What has no names gets c0, c1."""
    assert columns == table(frame).to_pydict()


@pytest.mark.parametrize("wrong", [3, "text", None, b"x", object(), len, 1.5])
def test_what_is_no_frame_is_refused(wrong: object) -> None:
    """The error names the type, and what frames there are."""
    with pytest.raises(
        BadArgument, match="a frame is wanted, this is of type .*pandas"
    ):
        to_stream(wrong)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([], "an empty list has no columns"),
        ([(1, 2), (3,)], "row 1 has 1 cell, row 0 has 2"),
        ([(1,), 5], "row 1 is of type int, row 0 is a tuple"),
        ([{"a": 1}, 5], "row 1 is of type int, row 0 is a dict"),
        ([Point(1, "x"), 5], "the rows are not alike"),
        ({"a": [1, 2], "b": [1]}, "column 'b' has 1 rows and column 'a' has 2"),
        (np.zeros((2, 2, 2)), "an array of 3 dimensions is no frame"),
        ({"a": {"i": 1, "j": 2}}, "column 'a' is a dict, whose cells have no order"),
        ({"a": [1], "b": {2}}, "column 'b' is a set, whose cells have no order"),
    ],
)
def test_rows_that_are_not_alike_are_refused(frame: Any, message: str) -> None:
    """The error names the row or the column."""
    with pytest.raises(BadArgument, match=message):
        to_stream(frame)


# ---- Types --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "kind", "cells"),
    [
        (series([1, 2]), "int64", [1, 2]),
        (series([1, -1], "int8"), "int64", [1, -1]),
        (series([2**63 - 1], "uint64"), "int64", [2**63 - 1]),
        (series([1, None], "Int64"), "int64", [1, None]),
        (series([2**63 - 1, None], "Int64"), "int64", [2**63 - 1, None]),
        (series([1, None], "int64[pyarrow]"), "int64", [1, None]),
        (series([1.5, None]), "double", [1.5, None]),
        (series([1.5, math.inf], "float32"), "double", [1.5, math.inf]),
        (series([1.5, None], "Float64"), "double", [1.5, None]),
        (series([True, False]), "bool", [True, False]),
        (series([True, None], "boolean"), "bool", [True, None]),
        (series([True, None], object), "bool", [True, None]),
        (series(["é", None]), "large_string", ["é", None]),
        (series(["é", None], object), "large_string", ["é", None]),
        (series(["é", None], "string"), "large_string", ["é", None]),
        (series(["é", None], "string[python]"), "large_string", ["é", None]),
        (series(["é", math.nan], object), "large_string", ["é", None]),
        (series([b"\0", None], object), "large_binary", [b"\0", None]),
        (series(["a", None, "a"], "category"), "large_string", ["a", None, "a"]),
        (series([1, 2, 1], "category"), "int64", [1, 2, 1]),
        (series([DAY, None]), "timestamp[us]", [DAY, None]),
        (
            series(["2024-01-02", None], "datetime64[s]"),
            "timestamp[us]",
            [dt.datetime(2024, 1, 2), None],
        ),
        (
            series(["2024-01-02 00:00:00.000001"], "datetime64[ns]"),
            "timestamp[us]",
            [dt.datetime(2024, 1, 2, 0, 0, 0, 1)],
        ),
        (
            series(pd.to_datetime(["2024-01-02"]).tz_localize("Europe/Berlin")),
            "timestamp[us, tz=UTC]",
            [dt.datetime(2024, 1, 1, 23, tzinfo=dt.UTC)],
        ),
        (
            series([dt.date(2024, 1, 2), None], object),
            "date32[day]",
            [dt.date(2024, 1, 2), None],
        ),
        (
            series([dt.time(1, 2, 3), None], object),
            "time64[us]",
            [dt.time(1, 2, 3), None],
        ),
        (
            series([Decimal("1.50"), None], object),
            "decimal128(3, 2)",
            [Decimal("1.50"), None],
        ),
        (series([None, None], object), "null", [None, None]),
        (series([1, None], object), "int64", [1, None]),
        (series([1, 2.5], object), "double", [1.0, 2.5]),
        (series([np.int8(1), pd.NA], object), "int64", [1, None]),
        (series(pd.arrays.SparseArray([1.5, math.nan])), "double", [1.5, None]),
        ({"c": np.array([1.5, math.nan])}, "double", [1.5, math.nan]),
        ({"c": np.array([1, 2], ">i4")}, "int64", [1, 2]),
        ({"c": np.array([1.5], np.float16)}, "double", [1.5]),
        ({"c": np.ma.masked_array([1, 2], [False, True])}, "int64", [1, None]),
        (
            {"c": np.ma.masked_array(["a", "b"], [False, True])},
            "large_string",
            ["a", None],
        ),
        (
            {"c": np.ma.masked_array(["a", 1], [False, True], object)},
            "large_string",
            ["a", None],
        ),
        ({"c": np.array([b"a\xff"])}, "large_binary", [b"a\xff"]),
        (
            {"c": np.array(["2024-01-02"], "M8[D]")},
            "date32[day]",
            [dt.date(2024, 1, 2)],
        ),
        ({"c": np.array(["2024-02"], "M8[M]")}, "date32[day]", [dt.date(2024, 2, 1)]),
        (
            {"c": np.array(["2024-01-02T03"], "M8[h]")},
            "timestamp[us]",
            [dt.datetime(2024, 1, 2, 3)],
        ),
        ({"c": np.array(["NaT"], "M8[us]")}, "timestamp[us]", [None]),
        (
            {"c": np.array([1, 2], "M8[3D]")},
            "date32[day]",
            ["1970-01-04", "1970-01-07"],
        ),
        ({"c": np.array([1], "M8[25s]")}, "timestamp[us]", ["1970-01-01 00:00:25"]),
        (
            {"c": list(np.array([1], "M8[25s]"))},
            "timestamp[us]",
            ["1970-01-01 00:00:25"],
        ),
        (
            {"c": [None, np.datetime64("2024-02", "M"), np.datetime64("NaT", "M")]},
            "date32[day]",
            [None, "2024-02-01", None],
        ),
        (
            {"c": np.array(["1970-01-01T00:00:00.5"], "M8[ps]")},
            "timestamp[us]",
            ["1970-01-01 00:00:00.500000"],
        ),
        (
            {"c": [dt.date(2024, 1, 2), pd.NaT]},
            "date32[day]",
            ["2024-01-02", None],
        ),
        ({"c": [np.ma.masked, 1]}, "int64", [None, 1]),
        (
            pl.DataFrame({"c": ["a", None]}, schema={"c": pl.Categorical}),
            "large_string",
            ["a", None],
        ),
        (pl.DataFrame({"c": [2**40]}, schema={"c": pl.UInt64}), "int64", [2**40]),
        (pl.DataFrame({"c": [DAY]}), "timestamp[us]", [DAY]),
        (pl.DataFrame({"c": [b"x"]}), "large_binary", [b"x"]),
        (pl.DataFrame({"c": [Decimal("1.5")]}), "decimal128(38, 1)", [Decimal("1.5")]),
        (pa.table({"c": pa.array(["a"], pa.string_view())}), "large_string", ["a"]),
        (pa.table({"c": pa.array([b"ab"], pa.binary(2))}), "large_binary", [b"ab"]),
        (
            pa.table({"c": pa.array([1], pa.time32("s"))}),
            "time64[us]",
            [dt.time(0, 0, 1)],
        ),
        (
            pa.table({"c": pa.array([86400000], pa.date64())}),
            "date32[day]",
            [dt.date(1970, 1, 2)],
        ),
        (
            pa.table({"c": pa.array(["a", "a"]).dictionary_encode()}),
            "large_string",
            ["a", "a"],
        ),
        (
            pa.table({"c": pa.RunEndEncodedArray.from_arrays([2], ["a"])}),
            "large_string",
            ["a", "a"],
        ),
        (
            pa.table({"c": pa.array([Decimal("1.5")], pa.decimal256(10, 1))}),
            "decimal128(10, 1)",
            [Decimal("1.5")],
        ),
    ],
)
def test_types_are_those_that_hosts_know(frame: Any, kind: str, cells: Any) -> None:
    """Each dtype's type in the stream, and its cells."""
    made = table(frame)

    assert kind == str(made.schema.types[0])
    assert list(map(str, cells)) == list(map(str, made.column(0).to_pylist()))
    assert kind == str(to_schema(frame).types[0])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (series([1, "a"], object), r"int \(row 0\) and str \(row 1\) are mixed"),
        (
            series([None, "a", b"b"], object),
            r"str \(row 1\) and bytes \(row 2\) are mixed",
        ),
        (series([True, 1], object), r"bool \(row 0\) and int \(row 1\) are mixed"),
        (series([2**63], object), "row 0: an integer of 64 bits does not fit into 64"),
        (series([1, 2**70], object), "row 1: an integer of 71 bits"),
        (
            series([1, 2**63], "uint64"),
            "row 1: 9223372036854775808 of uint64 cannot be made int64 exactly; make",
        ),
        (series([Decimal(1), Decimal("Infinity")], object), "row 1: Infinity is no"),
        (series([Decimal("1e100")], object), "more than 76 digits; make them text"),
        ({"c": np.array(["a", "\ud800"])}, "row 1: the text has the lone surrogate"),
        (series([1.5, 2**60 + 1], object), "float .* and int .* are mixed"),
        (series([1 + 2j]), "complex128 has no counterpart; take .real and .imag"),
        (series([object()], object), "object has no counterpart"),
        (series([[1]], object), "row 0: list has no counterpart; turn it into JSON"),
        (
            series([{"a": 1}], object),
            "row 0: dict has no counterpart; turn it into JSON",
        ),
        (series([uuid.UUID(int=1)], object), "has no counterpart; turn it into text"),
        (series([dt.timedelta(1)]), "a duration has no counterpart"),
        (
            series([dt.timedelta(1)], object),
            "duration.*turn it into a number of seconds",
        ),
        (series(pd.period_range("2024", periods=1, freq="M")), "period.*astype"),
        (series(pd.interval_range(0, 1)), "interval.*astype"),
        (
            series(["2024-01-02 00:00:00.000000001"], "datetime64[ns]"),
            "row 0: 2024-01-02 00:00:00.000000001 .*cannot be made .*; round it",
        ),
        (
            series([pd.Timestamp("2024-01-02 00:00:00.000000001")], object),
            "row 0: 2024.*no exact counterpart",
        ),
        (
            {"c": [DAY, pd.Timestamp(np.datetime64("20000-01-01", "s"))]},
            "row 1: 20000-01-01.*no exact counterpart",
        ),
        (
            {"c": [dt.time(1), dt.time(2, tzinfo=dt.UTC)]},
            "row 1: a time .* with a zone",
        ),
        ({"c": np.array([0, 2**40], "M8[D]")}, "row 1: .* no exact counterpart"),
        ({"c": np.array([2**40], "M8[Y]")}, "row 0: .* no exact counterpart"),
        ({"c": np.array([2**62], "M8[h]")}, "no exact counterpart|Overflow"),
        ({"c": np.array([1], "M8[as]")}, "row 0: .* no exact counterpart"),
        (
            {"c": [np.datetime64(1, "s"), np.datetime64(1, "D")]},
            r"datetime64\[D\] and datetime64\[s\] are mixed",
        ),
        (
            {"c": [DAY, np.datetime64(1, "us")]},
            "datetime.datetime .* and numpy.datetime64 .* are mixed",
        ),
        (series(pd.cut([1, 2], 2)), "interval.*astype"),
        (series(["\ud800"], object), "row 0: .*lone surrogate '.ud800'"),
        (
            series([dt.date(2024, 1, 1), DAY], object),
            "date .* and datetime.datetime .* are mixed",
        ),
        (
            series([DAY, dt.date(2024, 1, 1)], object),
            "datetime .* and datetime.date .*",
        ),
        (series([dt.date(2024, 1, 1), 5], object), "date .* and int .* are mixed"),
        (series([DAY, DAY.replace(tzinfo=dt.UTC)], object), "with and without a zone"),
        ({"c": np.zeros((2, 2))}, "an array of 2 dimensions is no column"),
        (
            {"c": np.array([1, 1 / np.longdouble(3)])},
            "row 1: 0.333.* has more digits than a float64; round it",
        ),
        (
            pl.DataFrame({"c": pl.Series([2**70], dtype=pl.Int128)}),
            "Int128 has no counterpart; turn it into text",
        ),
        ({"c": pl.Series([[1]])}, "has no counterpart; turn it into JSON text"),
        (pl.DataFrame({"c": [dt.timedelta(1)]}), "turn it into a number of seconds"),
        (
            pl.DataFrame({"c": [object()]}, schema={"c": pl.Object}),
            "object has no counterpart",
        ),
        (
            pa.table({"c": pa.array([1], pa.decimal256(76, 0))}),
            "decimal256.*no counterpart",
        ),
    ],
)
def test_what_has_no_counterpart_is_told(frame: Any, message: str) -> None:
    """The error names the column, what is wrong, and what to do."""
    with pytest.raises(Unsupported, match=f"column 'c'.*{message}"):
        table(frame)


# ---- Columns and index --------------------------------------------------------------


def test_index_goes_along_where_it_has_a_name() -> None:
    """An unnamed index is dropped; a named one is a column, level by level."""
    plain = pd.DataFrame({"a": [1]}, index=["i"])
    named = pd.DataFrame({"a": [1]}, index=pd.Index(["i"], name="k"))
    levels = pd.MultiIndex.from_tuples([("i", 2)], names=["k", None])
    multi = pd.DataFrame({"a": [1]}, index=levels)
    same = pd.DataFrame({"k": [1]}, index=pd.Index(["i"], name="k"))

    assert {"a": [1]} == table(plain).to_pydict()
    assert {"k": ["i"], "a": [1]} == table(named).to_pydict()
    assert {"k": ["i"], "a": [1]} == table(multi).to_pydict()
    assert {"k": ["i"], "k_1": [1]} == table(same).to_pydict()
    assert ["k", "a"] == to_schema(named).names


def test_column_names_become_text() -> None:
    """Numbers as they are written, tuples joined, repeated ones numbered."""
    frame = pd.DataFrame([[1, 2, 3, 4, 5]], columns=[0, "x", "x", None, 1.5])
    multi = pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("c", "")])
    )

    assert ["0", "x", "x_1", "None", "1.5"] == table(frame).column_names
    assert ["a_b", "c"] == table(multi).column_names
    assert ["1", "b"] == table({1: [1], "b": [2]}).column_names


@pytest.mark.parametrize(
    ("make", "name", "what"),
    [
        (pd.DataFrame, "a\0b", "a NUL"),
        (pa.table, "a\0b", "a NUL"),
        (one_batch, "a\0b", "a NUL"),
        (dict, "a\0b", "a NUL"),
        (dict, "\ud800", "a lone surrogate"),
    ],
)
def test_names_that_no_host_takes_are_told(make: Any, name: str, what: str) -> None:
    """A name that would be cut, and so be that of another column, is an error."""
    with pytest.raises(Unsupported, match=f"the name has {what} in it; rename it"):
        table(make({name: [1]}))
    with pytest.raises(Unsupported, match="rename it"):
        to_schema(make({name: [1]}))


@pytest.mark.parametrize("rows", [iter([(1,)]), map(abs, [1]), ((i,) for i in (1, 2))])
def test_schema_of_an_iterator_leaves_its_rows(rows: Any) -> None:
    """What can be read only once is not read for its types."""
    with pytest.raises(BadArgument, match="can be had once only; make a list of it"):
        to_schema(rows)

    assert table(rows).num_rows


def test_columns_are_chosen_in_order() -> None:
    """Only the named ones, in that order, by the names that they have in the stream."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "b"])

    assert {"b_1": [3], "a": [1]} == table(frame, ["b_1", "a"]).to_pydict()
    assert {"a": [1], "b": [2]} == table(
        pl.DataFrame({"b": 2, "a": 1}), ["a", "b"]
    ).to_pydict()


def test_no_columns_keep_the_rows() -> None:
    """A count needs no column."""
    for frame in (
        pd.DataFrame({"a": [1, 2, 3]}),
        [1, 2, 3],
        pa.table({"a": [1, 2, 3]}),
    ):
        made = pa.RecordBatchReader.from_stream(to_stream(frame, []))
        assert 3 == sum(batch.num_rows for batch in made)


def test_unknown_column_is_told() -> None:
    """The error lists those that there are."""
    for frame in (pd.DataFrame({"a": [1]}), pa.table({"a": [1]}).to_reader()):
        with pytest.raises(Undefined, match="the frame has no column 'x'; it has 'a'"):
            to_stream(frame, ["x"])


def test_only_the_chosen_columns_are_touched() -> None:
    """A column that has no counterpart does no harm where it is not asked for."""
    frame = pd.DataFrame({"a": [1], "bad": [object()]})

    assert {"a": [1]} == table(frame, ["a"]).to_pydict()
    with pytest.raises(Unsupported, match="column 'bad'"):
        table(frame)


def test_reader_is_streamed() -> None:
    """A stream goes through batch by batch: it need not fit in memory."""
    schema = pa.schema([("s", pa.string()), ("i", pa.int32())])
    made: list[int] = []

    def batches() -> Any:
        for i in range(3):
            made.append(i)
            yield pa.record_batch([["x"], pa.array([i], pa.int32())], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    stream = to_stream(reader, ["i"])
    first = stream.read_next_batch()

    assert {"i": [0]} == first.to_pydict()
    assert 2 >= len(made)
    assert [1, 2] == stream.read_all()["i"].to_pylist()


def test_schema_of_a_reader_leaves_its_rows() -> None:
    """Asking for the columns takes no row away."""
    reader = pa.table({"a": pa.array([1], pa.int8())}).to_reader()

    assert "int64" == str(to_schema(reader).types[0])
    assert {"a": [1]} == table(reader).to_pydict()


def test_rows_of_a_reader_are_had_once() -> None:
    """Whoever asks a second time is told so, and does not get a frame of no rows."""
    reader = pa.table({"a": [1]}).to_reader()

    assert {"a": [1]} == table(reader).to_pydict()
    with pytest.raises(BadArgument, match=r"once only, and they were; .*read_all"):
        table(reader)


@pytest.mark.parametrize(
    "make",
    [
        "x = []; x.append(x)",
        "x = {}; x['a'] = x",
        "x = []\nfor _ in range(100_000): x = [x]",
        "x = np.empty(1, object); x[0] = x",
        "x = [1]; x.append({2, 3})",
    ],
)
def test_cells_that_hold_themselves_are_refused(make: str) -> None:
    """Arrow would go down into them until the process dies."""
    names: dict[str, Any] = {"np": np}
    exec(make, names)

    for frame in ({"a": [None, names["x"]]}, [(None,), (names["x"],)]):
        with pytest.raises(Unsupported, match="row 1: .* has no counterpart"):
            table(frame)
        with pytest.raises(Unsupported, match="turn it into JSON text"):
            to_schema(frame)


def test_longer_floats_are_exact_or_refused() -> None:
    """A column of them is one of floats where no digit is lost; NaN and NULL count."""
    cells = np.ma.array(
        [0.5, np.nan, np.inf, 1], np.longdouble, mask=[False, False, False, True]
    )

    assert ["0.5", "nan", "inf", "None"] == list(
        map(str, table({"a": cells}).column(0).to_pylist())
    )


def test_integers_of_several_widths_are_one_column() -> None:
    """Numpy's integers in a list are integers, as they are alone."""
    cells = [np.int8(1), np.uint64(2), 3, None]

    assert [1, 2, 3, None] == table({"a": cells}).column(0).to_pylist()


def test_schema_is_cheap() -> None:
    """Typing a large frame does not read its rows."""
    size = 2_000_000
    frame = pd.DataFrame({"i": np.arange(size), "s": pd.Series(["x"] * size)})
    frame["c"] = frame["s"].astype("category")
    start = time.perf_counter()

    schema = to_schema(frame)

    assert 0.5 > time.perf_counter() - start
    assert "int64" == str(to_schema(series([2**63], "uint64")).types[0])
    assert ["int64", "large_string", "large_string"] == list(map(str, schema.types))


def test_numbers_are_not_copied() -> None:
    """The stream of a DataFrame lies in the frame's own memory."""
    values = np.arange(1000)
    frame = pd.DataFrame({"a": values}, copy=False)

    buffer = table(frame).column(0).chunk(0).buffers()[1]

    assert values.ctypes.data == buffer.address


CELLS = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
    st.lists(st.none() | st.text()),
    st.lists(st.none() | st.binary()),
    st.lists(st.none() | st.booleans()),
    st.lists(st.none() | st.floats(allow_nan=False)),
    st.lists(st.none() | st.dates()),
    st.lists(st.none() | st.datetimes()),
)


@pytest.mark.parametrize("scalar", SCALARS, ids=str)
@pytest.mark.parametrize("rows", [1, 9])
def test_scalars_are_cells(scalar: Scalar, rows: int) -> None:
    """Every value of the table is a cell that comes back, alone and after NULLs."""
    cells = [None] * (rows - 1) + [scalar.python]

    back = load(to_stream({"a": cells}), "list")[0]
    through = load(to_stream(load(to_stream({"a": cells}))[0]), "list")[0]

    assert repr([(cell,) for cell in cells]) == repr(back)
    if scalar.name != "nan":  # which a DataFrame does not tell from NULL
        assert repr(back) == repr(through)


@pytest.mark.parametrize("expression", FAILING)
def test_what_is_no_scalar_is_no_cell(expression: str) -> None:
    """What no host has a type for is refused as a cell too."""
    with pytest.raises(Unsupported, match="column 'a'"):
        table({"a": [eval(expression)]})


@given(CELLS)
def test_cells_come_back_as_they_went(cells: list[Any]) -> None:
    """A list to a stream and back to a list."""
    back = load(to_stream({"a": cells}), "list")[0]

    assert [(cell,) for cell in cells] == back


@given(CELLS)
def test_cells_come_back_through_a_dataframe(cells: list[Any]) -> None:
    """A stream to a DataFrame and back to a stream."""
    frame = load(to_stream({"a": cells}))[0]

    assert cells == table(frame).column(0).to_pylist()


@given(
    st.lists(
        st.none()
        | st.integers()
        | st.text()
        | st.binary()
        | st.booleans()
        | st.floats()
        | st.dates()
        | st.datetimes()
        | st.decimals()
    )
)
def test_mixtures_are_exact_or_refused(cells: list[Any]) -> None:
    """No value is changed silently."""
    try:
        made = table({"a": cells}).column(0).to_pylist()
    except Unsupported:
        return
    for before, after in zip(cells, made, strict=True):
        if before is None or (
            isinstance(before, (float, Decimal)) and "nan" in str(before).lower()
        ):
            assert after is None or after != after
        else:
            assert before == after
            assert type(before) is type(after) or isinstance(after, (float, Decimal))
