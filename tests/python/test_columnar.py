"""Arrow streams to frames, and functions of columns."""

# ruff: noqa: ARG005, SLF001 - functions of columns that ignore them; where the memory is

from __future__ import annotations

import datetime as dt
import gc
import math
import time
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge import _names, columnar
from pybridge.columnar import BACKENDS, TYPES, apply, load
from pybridge.errors import BadArgument, Unsupported

INT64 = st.integers(-(2**63), 2**63 - 1)
# The Arrow types that the bridge's own tables have.
CELLS: dict[pa.DataType, list[Any]] = {
    pa.int64(): [2**63 - 1, -(2**63), 0, 2**53 + 1],
    pa.float64(): [1.5, -0.0, math.inf, 5e-324],
    pa.large_string(): ["", "é🐍", "a\0b", "x" * 1_100_000],
    pa.large_binary(): [b"", b"\0\xff", b"x", b"y" * 10],
    pa.null(): [None] * 4,
}


def own(
    columns: dict[str, tuple[pa.DataType, list[Any]]] | list[tuple[str, pa.Array]],
    declared: dict[str, str] | None = None,
) -> pa.RecordBatchReader:
    """Make a stream as the library does: fresh buffers, NaN under NULL, one batch."""
    pairs = (
        [(name, fresh(kind, cells)) for name, (kind, cells) in columns.items()]
        if isinstance(columns, dict)
        else columns
    )
    fields = [
        pa.field(
            name,
            array.type,
            metadata={"pybridge.declared": declared[name]}
            if declared and name in declared
            else None,
        )
        for name, array in pairs
    ]
    schema = pa.schema(fields, metadata={"pybridge.private": "1"})
    batch = pa.RecordBatch.from_arrays([array for _, array in pairs], schema=schema)
    return pa.RecordBatchReader.from_batches(schema, [batch])


def fresh(kind: pa.DataType, cells: list[Any]) -> pa.Array:
    """Make an array whose buffers nobody shares, NaN under a NULL float."""
    array = pa.array(cells, kind)
    if kind == pa.float64() and array.null_count:
        values = np.array([math.nan if one is None else one for one in cells])
        array = pa.Array.from_buffers(
            kind, len(cells), [array.buffers()[0], pa.py_buffer(values)]
        )
    return array


def frame(stream: Any, **options: Any) -> Any:
    """Load a stream as a DataFrame."""
    return load(stream, "dataframe", options)[0]


def cells(column: Any) -> list[Any]:
    """Return cells as Python objects, None for NaN, NaT and NA."""
    return [None if pd.isna(one) else one for one in column.tolist()]


# ---- DataFrames ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "kind", "nulls", "dtype"),
    [
        ("default", pa.int64(), False, "int64"),
        ("default", pa.int64(), True, "Int64"),
        ("default", pa.float64(), False, "float64"),
        ("default", pa.float64(), True, "float64"),
        ("default", pa.large_string(), False, "str"),
        ("default", pa.large_string(), True, "str"),
        ("default", pa.large_binary(), True, "object"),
        ("default", pa.bool_(), False, "bool"),
        ("default", pa.bool_(), True, "boolean"),
        ("default", pa.timestamp("us"), True, "datetime64[us]"),
        ("default", pa.timestamp("us", "UTC"), True, "datetime64[us, UTC]"),
        ("default", pa.date32(), True, "object"),
        ("default", pa.time64("us"), True, "object"),
        ("default", pa.decimal128(9, 2), True, "object"),
        ("default", pa.null(), True, "object"),
        ("default", pa.int32(), False, "int32"),
        ("default", pa.uint8(), True, "UInt8"),
        ("default", pa.float32(), True, "float32"),
        ("default", pa.string(), True, "str"),
        ("numpy", pa.int64(), False, "int64"),
        ("numpy", pa.int64(), True, "float64"),
        ("numpy", pa.int16(), True, "float64"),
        ("numpy", pa.float64(), True, "float64"),
        ("numpy", pa.large_string(), True, "str"),
        ("numpy", pa.bool_(), True, "object"),
        ("numpy_nullable", pa.int64(), False, "Int64"),
        ("numpy_nullable", pa.int8(), True, "Int8"),
        ("numpy_nullable", pa.float64(), True, "Float64"),
        ("numpy_nullable", pa.float32(), True, "Float32"),
        ("numpy_nullable", pa.large_string(), True, "string"),
        ("numpy_nullable", pa.bool_(), False, "boolean"),
        ("numpy_nullable", pa.large_binary(), True, "object"),
        ("pyarrow", pa.int64(), True, "int64[pyarrow]"),
        ("pyarrow", pa.float64(), True, "double[pyarrow]"),
        ("pyarrow", pa.large_string(), True, "large_string[pyarrow]"),
        ("pyarrow", pa.date32(), True, "date32[day][pyarrow]"),
    ],
)
def test_dtype_follows_the_backend(
    backend: str, kind: pa.DataType, nulls: bool, dtype: str
) -> None:
    """Which dtype a column gets, with and without NULL."""
    array = pa.array([None, None] if nulls else [], kind)
    if not nulls:
        array = pa.array([1, 0], pa.int64()).cast(
            pa.int32() if kind == pa.bool_() else pa.int64()
        )
        array = array.cast(kind)

    df = frame(pa.table({"a": array}), dtype_backend=backend)

    assert dtype == str(df.dtypes["a"])
    assert 2 == len(df)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", CELLS, ids=str)
@pytest.mark.parametrize("private", [True, False])
def test_cells_are_exact(backend: str, kind: pa.DataType, private: bool) -> None:
    """Extremes of every type come through every backend as they were."""
    column = {"a": (kind, CELLS[kind])}
    stream = own(column) if private else pa.table({"a": pa.array(CELLS[kind], kind)})

    df = frame(stream, dtype_backend=backend)

    assert repr(CELLS[kind]) == repr(cells(df["a"]))


@pytest.mark.parametrize("backend", ["default", "numpy_nullable", "pyarrow"])
@pytest.mark.parametrize("kind", CELLS, ids=str)
def test_nulls_stand_where_they_stood(backend: str, kind: pa.DataType) -> None:
    """NULL in every type, first, last and beyond the first byte of the bitmap."""
    values = [None, *CELLS[kind], None, *CELLS[kind], None, None]

    df = frame(own({"a": (kind, values)}), dtype_backend=backend)

    assert repr(values) == repr(cells(df["a"]))
    assert [one is None for one in values] == df["a"].isna().tolist()


@given(st.lists(st.none() | INT64, max_size=40))
def test_integers_with_nulls_are_exact(values: list[int | None]) -> None:
    """Whatever integers, whatever NULLs."""
    df = frame(own({"a": (pa.int64(), values)}))

    assert values == cells(df["a"])


def test_numpy_backend_refuses_to_round() -> None:
    """An integer that a float has not is an error, one that it has is not."""
    exact = own({"a": (pa.int64(), [2**53, -(2**53), 2**60, None, -(2**63)])})
    odd = own({"n": (pa.int64(), [1, None, 2**53 + 1])})
    largest = own({"n": (pa.int64(), [None, 2**63 - 1])})

    df = frame(exact, dtype_backend="numpy")

    assert [2.0**53, -(2.0**53), 2.0**60, None, -(2.0**63)] == cells(df["a"])
    with pytest.raises(
        Unsupported, match="column 'n', row 2: 9007199254740993 would be rounded"
    ):
        frame(odd, dtype_backend="numpy")
    with pytest.raises(Unsupported, match="9223372036854775807 would be rounded"):
        frame(largest, dtype_backend="numpy")


@pytest.mark.parametrize(
    ("declared", "dtype"),
    [
        ("INTEGER", "int64"),
        ("bigint", "int64"),
        ("REAL", "float64"),
        ("DOUBLE PRECISION", "float64"),
        ("TEXT", "str"),
        ("VARCHAR(20)", "str"),
        ("BLOB", "object"),
        ("NUMERIC", "object"),
        (None, "object"),
    ],
)
def test_no_rows_keep_the_columns(declared: str | None, dtype: str) -> None:
    """A column without a cell has its declared type; with NULLs only, likewise."""
    types = {"a": declared} if declared else None

    empty = frame(own({"a": (pa.null(), [])}, types))
    nulls = frame(own({"a": (pa.null(), [None, None])}, types))

    assert dtype == str(empty.dtypes["a"])
    assert 0 == len(empty)
    assert {"int64": "Int64"}.get(dtype, dtype) == str(nulls.dtypes["a"])
    assert [None, None] == cells(nulls["a"])


def test_no_columns_at_all() -> None:
    """A stream without columns is an empty frame."""
    assert (0, 0) == frame(pa.table({})).shape


def test_repeated_names_are_numbered() -> None:
    """The second x becomes x_1, and no name is given twice."""
    assert ["x", "x_1", "y"] == _names.unique(["x", "x", "y"])
    assert ["x", "x_2", "x_1"] == _names.unique(["x", "x", "x_1"])
    assert ["", "_1"] == _names.unique(["", ""])
    stream = pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])

    for type_ in ("dataframe", "arrow", "polars", "dicts", "numpy"):
        made = load(stream, type_)[0]
        made = made[0] if type_ == "dicts" else made
        assert 2 == int(
            made["x_1"][0].as_py()
            if type_ == "arrow"
            else made["x_1"]
            if type_ == "dicts"
            else made["x_1"][0]
        )


@given(st.lists(st.sampled_from(["x", "x_1", "x_2", "y", ""])))
def test_numbered_names_are_unique(names: list[str]) -> None:
    """Each name once, and a name that stood once stays."""
    unique = _names.unique(names)

    assert len(names) == len(set(unique))
    assert all(
        b == a for a, b in zip(names, unique, strict=True) if names.count(a) == 1
    )


def test_two_thousand_columns() -> None:
    """Wide is no trouble, and no warning comes."""
    wide = own([(f"c{i}", pa.array([i, i + 1])) for i in range(2000)])
    start = time.perf_counter()

    df = frame(wide)

    assert (2, 2000) == df.shape
    assert 1999 == df["c1999"][0]
    assert 2 > time.perf_counter() - start


def test_text_that_is_not_utf8_is_told() -> None:
    """Hosts store any bytes as text; the error names the column and the row."""
    offsets = pa.py_buffer(np.array([0, 1, 2, 3], np.int64))
    bad = pa.Array.from_buffers(
        pa.large_string(), 3, [None, offsets, pa.py_buffer(b"a\xffb")]
    )

    for type_ in TYPES:
        with pytest.raises(Unsupported, match=r"column 't', row 1: .*byte 0xff at 0"):
            load(own([("t", bad)]), type_)


def test_character_torn_by_an_offset_is_told() -> None:
    """Bytes that are UTF-8 as a whole need not be so cell by cell."""
    offsets = pa.py_buffer(np.array([0, 1, 2], np.int64))
    torn = pa.Array.from_buffers(
        pa.large_string(), 2, [None, offsets, pa.py_buffer("é".encode())]
    )

    with pytest.raises(Unsupported, match="column 't', row 0"):
        load(own([("t", torn)]), "list")


def test_sliced_and_chunked_streams() -> None:
    """Offsets within buffers, bitmaps included, and several batches."""
    values = [None, 1, 2, None, 4, 5, None, 7, 8, 9, None]
    table = pa.table(
        {"i": values, "s": [None if v is None else str(v) for v in values]}
    )
    floats = pa.array([float(v or 0) for v in values])
    table = table.append_column("f", floats)
    parts = pa.concat_tables([table.slice(3, 5), table.slice(0, 0), table.slice(9)])

    df = frame(parts.to_reader(max_chunksize=2))
    one = frame(table.slice(3, 5).to_batches()[0])

    assert [None, 4, 5, None, 7, 9, None] == cells(df["i"])
    assert [None, "4", "5", None, "7", "9", None] == cells(df["s"])
    assert [0.0, 4.0, 5.0, 0.0, 7.0, 9.0, 0.0] == cells(df["f"])
    assert [None, 4, 5, None, 7] == cells(one["i"])


# ---- In place, and without copies ---------------------------------------------------


def test_frame_can_be_changed_in_place() -> None:
    """What users do to a DataFrame works, and stays."""
    df = frame(
        own(
            {
                "i": (pa.int64(), [1, 2, 3]),
                "n": (pa.int64(), [1, None, 3]),
                "f": (pa.float64(), [1.5, None, 2.5]),
                "s": (pa.large_string(), ["a", None, "c"]),
            }
        )
    )

    df.loc[0, "i"] = 10
    df["i"] += 1
    df.loc[1, "n"] = 20
    df.loc[df["f"].isna(), "f"] = 0.0
    df.loc[1, "s"] = "b"
    df.iloc[2, 0] = -1
    df["f"].to_numpy(copy=True)[0] = 99

    assert [11, 3, -1] == df["i"].tolist()
    assert [1, 20, 3] == df["n"].tolist()
    assert [1.5, 0.0, 2.5] == df["f"].tolist()
    assert ["a", "b", "c"] == df["s"].tolist()


def test_own_buffers_are_not_copied() -> None:
    """The arrays of a frame are the stream's own memory."""
    integers, floats = pa.array([1, 2]), pa.array([1.5, 2.5])
    addresses = [one.buffers()[1].address for one in (integers, floats)]

    df = frame(own([("i", integers), ("f", floats)]))
    arrays = load(own([("i", integers), ("f", floats)]), "numpy")[0]

    for name, address in zip("if", addresses, strict=True):
        assert address == df[name].array._ndarray.ctypes.data
        assert address == arrays[name].ctypes.data
        assert arrays[name].flags.writeable


def test_buffers_of_others_are_copied() -> None:
    """Changing a frame does not change the table that it was made of."""
    table = pa.table({"i": [1, 2], "n": [1, None], "f": [1.5, 2.5], "b": [True, False]})

    df = frame(table)
    df.loc[0, ["i", "n", "f"]] = 9
    df.loc[0, "b"] = False
    arrays = load(table, "numpy")[0]
    arrays["i"][0] = arrays["f"][0] = 9
    arrays["n"][0] = 9
    nullable = frame(table, dtype_backend="numpy_nullable")
    nullable.loc[0, "i"] = 9

    assert pa.table(
        {"i": [1, 2], "n": [1, None], "f": [1.5, 2.5], "b": [True, False]}
    ).equals(table)


def test_columns_outlive_their_frame() -> None:
    """One column keeps the memory that it lies in."""
    series = frame(own({"a": (pa.int64(), list(range(1000)))}))["a"]
    array = series.to_numpy()
    del series
    gc.collect()
    noise = [np.full(1000, 7) for _ in range(100)]

    assert list(range(1000)) == array.tolist()
    assert 100 == len(noise)


def test_memory_is_released_with_the_frame() -> None:
    """Nothing keeps the stream's buffers after the frame is gone."""
    before = pa.total_allocated_bytes()
    stream = own({"a": (pa.int64(), [0] * 1_000_000)})
    df = frame(stream)
    del stream
    assert 8_000_000 <= pa.total_allocated_bytes() - before

    del df
    gc.collect()

    assert 1_000_000 > pa.total_allocated_bytes() - before


def million() -> list[tuple[str, pa.Array]]:
    """Make a million rows of ten columns, 5 % NULL."""
    size = 1_000_000
    rng = np.random.default_rng(1)
    mask = rng.random(size) < 0.05
    floats = rng.random(size)
    floats[mask] = np.nan
    validity = pa.array(floats, mask=mask).buffers()[0]
    text = pa.array(np.char.add("name", (np.arange(size) % 100).astype(str)))
    columns = [pa.array(rng.integers(0, 2**40, size), mask=mask) for _ in range(4)]
    columns += [
        pa.Array.from_buffers(
            pa.float64(), size, [validity, pa.py_buffer(floats.copy())]
        )
        for _ in range(3)
    ]
    columns += [text.cast(pa.large_string())] * 3
    return [(f"c{i}", column) for i, column in enumerate(columns)]


def test_million_rows_cost_next_to_nothing() -> None:
    """A DataFrame over a million rows is made in milliseconds, without their memory."""
    columns = million()
    frame(own(columns[:1]))
    times = []
    tracemalloc.start()
    for _ in range(3):
        stream = own(columns)
        tracemalloc.reset_peak()
        base, _ = tracemalloc.get_traced_memory()
        start = time.perf_counter()
        df = frame(stream)
        times.append(time.perf_counter() - start)
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.5 > min(times)  # 2 ms on a quiet machine
    # Of its own it has the masks of four columns: a byte a cell.
    assert 8_000_000 > peak - base
    assert (1_000_000, 10) == df.shape


# ---- The other types ----------------------------------------------------------------


def sample(*, private: bool = True) -> Any:
    """Make a stream with a column of each type."""
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "i": (pa.int64(), [1, None, 2**63 - 1]),
        "f": (pa.float64(), [1.5, None, math.inf]),
        "s": (pa.large_string(), ["é", None, ""]),
        "b": (pa.large_binary(), [b"\0", None, b""]),
        "n": (pa.null(), [None, None, None]),
        "t": (pa.timestamp("us"), [dt.datetime(2024, 1, 1), None, None]),
        "d": (pa.date32(), [dt.date(2024, 1, 1), None, None]),
        "y": (pa.bool_(), [True, None, False]),
    }
    if private:
        return own(columns)
    return pa.table({name: pa.array(v, k) for name, (k, v) in columns.items()})


ROWS = [
    (1, 1.5, "é", b"\0", None, dt.datetime(2024, 1, 1), dt.date(2024, 1, 1), True),
    (None,) * 8,
    (2**63 - 1, math.inf, "", b"", None, None, None, False),
]


@pytest.mark.parametrize("private", [True, False])
def test_list_is_of_tuples(private: bool) -> None:
    """Plain Python objects, None for NULL."""
    rows, count = load(sample(private=private), "list")

    assert ROWS == rows
    assert 3 == count
    assert {int, float, str, bytes, type(None), dt.datetime, dt.date, bool} == {
        type(cell) for row in rows for cell in row
    }


def test_dicts_are_named() -> None:
    """The same, with the names of the columns."""
    assert [dict(zip("ifsbntdy", row, strict=True)) for row in ROWS] == load(
        sample(), "dicts"
    )[0]


def test_arrow_is_a_table_without_notes() -> None:
    """The schema is the user's: what the bridge noted in it is gone."""
    table, count = load(sample(), "arrow")

    assert isinstance(table, pa.Table)
    assert 3 == count
    assert table.schema.metadata is None
    assert ROWS == list(zip(*[column.to_pylist() for column in table], strict=True))


def test_polars_is_a_polars_frame() -> None:
    """With the same cells."""
    made = load(sample(), "polars")[0]

    assert isinstance(made, pl.DataFrame)
    assert ROWS == made.rows()


def test_numpy_is_a_dict_of_arrays() -> None:
    """Masked where there is a NULL; plain where there is none."""
    arrays = load(sample(), "numpy")[0]
    plain = load(own({"i": (pa.int64(), [1, 2])}), "numpy")[0]["i"]

    assert {"i": "int64", "f": "float64", "s": "object", "b": "object"}.items() <= {
        name: str(array.dtype) for name, array in arrays.items()
    }.items()
    assert "datetime64[us]" == str(arrays["t"].dtype)
    assert "datetime64[D]" == str(arrays["d"].dtype)
    assert "bool" == str(arrays["y"].dtype)
    for array in arrays.values():
        assert np.ma.isMaskedArray(array)
    assert [False, True, False] == arrays["i"].mask.tolist()
    assert [True] * 3 == arrays["n"].mask.tolist()
    assert not np.ma.isMaskedArray(plain)


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_takes_no_rows(type_: str) -> None:
    """Zero rows are no special case."""
    made, count = load(own({"a": (pa.null(), []), "b": (pa.int64(), [])}), type_)

    assert 0 == count
    assert 0 == len(made["a"] if type_ == "numpy" else made)


def test_list_is_made_with_the_collector_left_as_it_was() -> None:
    """The collector is off while the rows are made, and on again, also on failure."""
    load(sample(), "list")
    assert gc.isenabled()
    gc.disable()
    try:
        load(sample(), "dicts")
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("wrong", [3, None, "x", [1]])
def test_what_is_no_stream_is_refused(wrong: object) -> None:
    """The error names the type that came."""
    with pytest.raises(BadArgument, match="an Arrow stream is wanted"):
        load(wrong)


def test_a_capsule_is_taken() -> None:
    """A bare capsule of the C interface, and an object that gives one."""
    table = pa.table({"a": [1]})

    assert [(1,)] == load(table.__arrow_c_stream__(), "list")[0]
    assert [(1,)] == load(pl.DataFrame({"a": [1]}), "list")[0]


# ---- Functions of columns -----------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "value", "kind"),
    [
        (np.sum, 6, int),
        (lambda a: a.mean(), 2.0, float),
        (lambda a: np.array(5), 5, int),
        (lambda a: np.float32(1.5), 1.5, float),
        (lambda a: np.ma.masked, None, type(None)),
        (lambda a: "text", "text", str),
        (lambda a: None, None, type(None)),
        (lambda a: np.bool_(True), True, bool),
        # A date keeps its unit: what is too fine, or a date alone, is seen later.
        (
            lambda a: np.datetime64("2024-01-01T00:00:00.000000001", "ns"),
            np.datetime64("2024-01-01T00:00:00.000000001", "ns"),
            np.datetime64,
        ),
    ],
)
def test_apply_gives_a_plain_scalar(function: Any, value: object, kind: type) -> None:
    """Numpy's own scalars become Python's."""
    result = apply(function, own({"a": (pa.int64(), [1, 2, 3])}))

    assert value == result
    assert kind is type(result)


def test_apply_gives_one_argument_a_column() -> None:
    """Arrays; masked where NULL; text as objects."""
    seen: list[Any] = []

    apply(lambda *columns: seen.extend(columns), sample())

    assert 8 == len(seen)
    assert 1.5 == seen[1][0]
    assert "é" == seen[2][0]
    assert seen[2].mask.tolist() == [False, True, False]


def test_apply_over_no_rows() -> None:
    """An empty column is an empty array."""
    assert 0 == apply(np.sum, own({"a": (pa.int64(), [])}))


def test_apply_wants_a_function() -> None:
    """The error names what came instead."""
    with pytest.raises(BadArgument, match="a function is wanted, this is of type int"):
        apply(3, own({"a": (pa.int64(), [])}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "columns"),
    [
        (lambda a: a * 2, {"c0": [2, 4]}),
        (lambda a: (a, a * 0.5), {"c0": [1, 2], "c1": [0.5, 1.0]}),
        (lambda a: {"x": a, "y": list("pq")}, {"x": [1, 2], "y": ["p", "q"]}),
        (lambda a: pd.Series(a, name="s"), {"s": [1, 2]}),
        (lambda a: pd.DataFrame({"q": a}), {"q": [1, 2]}),
        (lambda a: pl.DataFrame({"q": a}), {"q": [1, 2]}),
        (lambda a: pa.table({"q": a}), {"q": [1, 2]}),
        (lambda a: [None, "z"], {"c0": [None, "z"]}),
        (lambda a: 5, {"c0": [5]}),
        (lambda a: (a, "k"), {"c0": [1, 2], "c1": ["k", "k"]}),
        (lambda a: np.ma.masked_equal(a, 1), {"c0": [None, 2]}),
        (lambda a: a[:1], {"c0": [1]}),
        (lambda a: a[:0], {"c0": []}),
        (lambda a: np.array(["x", "y"]), {"c0": ["x", "y"]}),
    ],
)
def test_map_gives_columns(function: Any, columns: dict[str, list[Any]]) -> None:
    """An array, a Series, a tuple of them, a dict or a frame; a scalar for each row."""
    stream = columnar.map(function, own({"a": (pa.int64(), [1, 2])}))

    assert columns == pa.RecordBatchReader.from_stream(stream).read_all().to_pydict()


def test_map_refuses_columns_of_two_lengths() -> None:
    """The error names both columns and their lengths."""
    with pytest.raises(
        BadArgument, match="column 'c1' has 1 rows and column 'c0' has 2"
    ):
        columnar.map(lambda a: (a, a[:1]), own({"a": (pa.int64(), [1, 2])}))


def test_exceptions_of_the_function_come_through() -> None:
    """What the function raises is not dressed up."""
    with pytest.raises(ZeroDivisionError):
        apply(lambda a: 1 / 0, own({"a": (pa.int64(), [1])}))
