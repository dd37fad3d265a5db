"""Arrow cells in SQL: each is exact, and what is broken in a stream is not followed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pybridge.context
from tests.sqlite.hosts import SqlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sqlite.hosts import Driver

QUICK = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
INT64 = st.integers(-(2**63), 2**63 - 1)


class Writer:
    """Writes raw arrays to the table t and reads them back."""

    def __init__(self, driver: Driver) -> None:
        """Go on in the context that the driver is in."""
        self.driver = driver
        driver.run(
            "import pybridge._plane as plane\n"
            "def write(rows): return plane.host_write(rows, 't', 'replace')"
        )
        context = pybridge.context.get(driver.value("select py_context()"))
        self.namespace = context.namespace

    def cells(self, array: Any) -> list[Any]:
        """Return what SQL has of an array, or raise SqlError."""
        self.namespace["rows"] = pa.table({"x": array})
        self.driver.rows("select py_eval('write(rows)')")
        return [cell for (cell,) in self.driver.rows("select x from t order by rowid")]

    def cells_or_error(self, array: Any) -> list[Any] | str:
        """Return what SQL has of an array, or why it has nothing."""
        try:
            return self.cells(array)
        except SqlError as error:
            return str(error)


@pytest.fixture
def writer(driver: Driver) -> Iterator[Writer]:
    """A writer on a new connection."""
    yield Writer(driver)
    driver.close()


@QUICK
@given(data=st.data())
def test_cells_of_decimals_are_exact(writer: Writer, data: st.DataObject) -> None:
    """A decimal of any precision and scale is the text of the same number."""
    precision = data.draw(st.integers(1, 76))
    scale = data.draw(st.integers(0, precision))
    digits = st.integers(-(10**precision) + 1, 10**precision - 1)
    numbers = [
        Decimal((int(one < 0), tuple(map(int, str(abs(one)))), -scale))
        for one in data.draw(st.lists(digits, min_size=1, max_size=5))
    ]
    kind = pa.decimal128 if precision <= 38 else pa.decimal256

    cells = writer.cells(pa.array(numbers, kind(precision, scale)))

    assert [f"{one:f}" for one in numbers] == cells


@QUICK
@given(moments=st.lists(INT64, min_size=1), unit=st.sampled_from(["ms", "us", "ns"]))
def test_cells_of_timestamps_agree_with_numpy(
    writer: Writer, moments: list[int], unit: str
) -> None:
    """Each moment of the years 0 to 9999 has the text that numpy gives it."""
    years = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit] * 86400 * 365
    moments = [one % (8000 * years) - 1900 * years for one in moments]
    moments = [one for one in moments if -(2**63) < one < 2**63] or [0]

    cells = writer.cells(pa.array(moments, pa.timestamp(unit)))

    for moment, cell in zip(moments, cells, strict=True):
        assert np.array([moment], f"M8[{unit}]")[0] == np.datetime64(cell)
        assert len(cell) in (19, 26, 29)
    assert sorted(zip(moments, cells, strict=True)) == sorted(
        zip(moments, cells, strict=True), key=lambda pair: pair[1]
    )


@QUICK
@given(bits=st.lists(st.integers(0, 65535), min_size=1))
def test_cells_of_half_floats_are_exact(writer: Writer, bits: list[int]) -> None:
    """A float of 16 bits is the same number; NaN is NULL."""
    halves = np.array(bits, "u2").view("f2")

    cells = writer.cells(pa.array(halves))

    assert [None if np.isnan(half) else float(half) for half in halves] == cells


@QUICK
@given(
    kind=st.sampled_from(["string", "large_binary"]),
    offsets=st.lists(st.integers(-5, 40), min_size=1, max_size=20),
)
def test_cells_of_broken_offsets_are_refused(
    writer: Writer, kind: str, offsets: list[int]
) -> None:
    """Offsets that do not rise are an error; none is followed outside the bytes."""
    data = bytes(range(65, 97))
    ends = np.array([0, *offsets, len(data)], "i8" if "large" in kind else "i4")
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    array = pa.Array.from_buffers(getattr(pa, kind)(), len(ends) - 1, buffers)

    cells = writer.cells_or_error(array)

    if isinstance(cells, str):
        assert "malformed" in cells
    else:
        assert sorted(ends) == list(ends)
        assert data == b"".join(
            one.encode() if isinstance(one, str) else one for one in cells
        )


@QUICK
@given(words=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=4, max_size=16))
def test_cells_of_broken_views_are_refused(writer: Writer, words: list[int]) -> None:
    """A view is followed only into its own bytes, or into a block that is there."""
    words = words[: len(words) // 4 * 4]
    views = pa.py_buffer(np.array(words, "i4"))
    block = pa.py_buffer(b"x" * 50)
    array = pa.Array.from_buffers(
        pa.binary_view(), len(words) // 4, [None, views, block]
    )

    cells = writer.cells_or_error(array)

    if isinstance(cells, str):
        assert "malformed view" in cells
    else:
        assert words[::4] == [len(cell) for cell in cells]


@QUICK
@given(indexes=st.lists(INT64, min_size=1), size=st.integers(1, 5))
def test_cells_of_broken_indexes_are_refused(
    writer: Writer, indexes: list[int], size: int
) -> None:
    """An index outside the dictionary is an error."""
    values = [f"v{i}" for i in range(size)]
    array = pa.DictionaryArray.from_arrays(
        pa.array([one % 9 if one % 3 else one for one in indexes]), values, safe=False
    )

    cells = writer.cells_or_error(array)

    if isinstance(cells, str):
        assert "malformed index" in cells
    else:
        assert [values[i] for i in array.indices.to_pylist()] == cells
