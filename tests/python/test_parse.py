"""Declared types: text and numbers as booleans, dates, times and decimals."""

# ruff: noqa: RUF043 - times without a zone

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge._parse import declaration
from pybridge.columnar import load
from pybridge.errors import BadArgument

UTC = dt.UTC


def at(*args: int) -> dt.datetime:
    """Make a timestamp without a zone."""
    return dt.datetime(*args)  # type: ignore[arg-type]


def parsed(cells: list[Any], type_: str, kind: pa.DataType | None = None) -> list[Any]:
    """Parse one column by a named type and return its cells as Python objects."""
    table = pa.table({"c": pa.array(cells, kind)})
    return [row[0] for row in load(table, "list", {"parse": {"c": type_}})[0]]


def declared(cells: list[Any], type_: str, **options: Any) -> Any:
    """Return a DataFrame of one column with a declared type."""
    field = pa.field("c", pa.array(cells).type, metadata={"pybridge.declared": type_})
    table = pa.table([pa.array(cells)], schema=pa.schema([field]))
    return load(table, "dataframe", options)[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BOOLEAN", "boolean"),
        ("bool", "boolean"),
        ("DATE", "date"),
        ("TIME", "time"),
        ("DATETIME", "timestamp"),
        ("TIMESTAMP", "timestamp"),
        ("timestamp without time zone", "timestamp"),
        ("TIMESTAMP(6)", "timestamp"),
        ("DECIMAL", "decimal"),
        ("NUMERIC(10, 2)", "decimal"),
        (" Decimal ( 10 )", "decimal"),
        ("DECIMAL TEXT(5,2)", "decimal"),
        ("INTEGER", None),
        ("TEXT", None),
        ("DATES", None),
        ("", None),
    ],
)
def test_declaration_is_read(text: str, kind: str | None) -> None:
    """Which declared types have a Python type."""
    found = declaration(text)

    assert kind == (None if found is None else found.kind)


def test_precision_and_scale_are_read() -> None:
    """Those of a decimal."""
    found = declaration("NUMERIC(10, 2)")

    assert found is not None
    assert (10, 2) == (found.precision, found.scale)


@pytest.mark.parametrize(
    ("cells", "type_", "values"),
    [
        ([0, 1, None], "boolean", [False, True, None]),
        ([0.0, 1.0], "boolean", [False, True]),
        (
            ["true", "F", " yes ", "NO", "on", "0", None],
            "boolean",
            [True, False, True, False, True, False, None],
        ),
        (["2024-02-29", None], "date", [dt.date(2024, 2, 29), None]),
        (["0001-01-01", "9999-12-31"], "date", [dt.date.min, dt.date.max]),
        (
            ["2024-01-01 00:00:00", "2024-01-02"],
            "date",
            [dt.date(2024, 1, 1), dt.date(2024, 1, 2)],
        ),
        (
            [0, 86400, -86400],
            "date",
            [dt.date(1970, 1, 1), dt.date(1970, 1, 2), dt.date(1969, 12, 31)],
        ),
        ([2440587.5], "date", [dt.date(1970, 1, 1)]),
        (
            ["23:59:59.999999", "12:30", "01:02:03", None],
            "time",
            [dt.time(23, 59, 59, 999_999), dt.time(12, 30), dt.time(1, 2, 3), None],
        ),
        ([0, 86399], "time", [dt.time(0), dt.time(23, 59, 59)]),
        (
            [
                "2024-01-02 03:04:05",
                "2024-01-02T03:04:05.5",
                "2024-01-02",
                "2024-01-02 03:04",
                None,
            ],
            "timestamp",
            [
                at(2024, 1, 2, 3, 4, 5),
                at(2024, 1, 2, 3, 4, 5, 500_000),
                at(2024, 1, 2),
                at(2024, 1, 2, 3, 4),
                None,
            ],
        ),
        (
            ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"],
            "datetime",
            [dt.datetime.min, dt.datetime.max],
        ),
        (
            [
                "2024-01-01T00:00:00Z",
                "2024-01-01 02:00:00+02:00",
                None,
                "2024-01-01T00:00:00.5-0130",
            ],
            "timestamp",
            [
                dt.datetime(2024, 1, 1, tzinfo=UTC),
                dt.datetime(2024, 1, 1, tzinfo=UTC),
                None,
                dt.datetime(2024, 1, 1, 1, 30, 0, 500_000, tzinfo=UTC),
            ],
        ),
        (
            [0, -1, 1704067200],
            "timestamp",
            [at(1970, 1, 1), at(1969, 12, 31, 23, 59, 59), at(2024, 1, 1)],
        ),
        (
            [-62135596800, 253402300799],
            "timestamp",
            [dt.datetime.min, at(9999, 12, 31, 23, 59, 59)],
        ),
        ([2440587.5, 2460310.75], "timestamp", [at(1970, 1, 1), at(2024, 1, 1, 6)]),
        (
            ["1.50", "-0.1", None, " 2 "],
            "decimal(10,2)",
            [Decimal("1.50"), Decimal("-0.10"), None, Decimal("2.00")],
        ),
        ([1, 10**7], "decimal(10,2)", [Decimal("1.00"), Decimal("10000000.00")]),
        (
            [12.1, 0.5, 1e-2],
            "decimal(10,2)",
            [Decimal("12.10"), Decimal("0.50"), Decimal("0.01")],
        ),
        (["1", "2.345"], "decimal", [Decimal("1.000"), Decimal("2.345")]),
        ([1.5, 1e20], "numeric", [Decimal("1.5"), Decimal("1e20")]),
        ([2**63 - 1], "decimal", [Decimal(2**63 - 1)]),
        (["9" * 60], "decimal(60)", [Decimal("9" * 60)]),
        ([], "timestamp", []),
        ([None, None], "date", [None, None]),
        ([None], "decimal(4,1)", [None]),
    ],
)
def test_values_get_their_python_type(
    cells: list[Any], type_: str, values: list[Any]
) -> None:
    """Text, integers and floats, with NULL."""
    result = parsed(cells, type_, None if cells else pa.large_string())

    assert values == result
    assert [type(value) for value in values] == [type(value) for value in result]


@pytest.mark.parametrize(
    ("cells", "type_", "row", "shown"),
    [
        ([0, 1, 2], "boolean", 2, "2"),
        (["yes", "maybe"], "boolean", 1, "'maybe'"),
        (["2024-01-01", "2024-02-30"], "date", 1, "'2024-02-30'"),
        (["2024-01-01 12:00:00"], "date", 0, "'2024-01-01 12:00:00'"),
        ([0, 5], "date", 1, "5"),
        ([2440588.0], "date", 0, "2440588.0"),
        (["12:00", None, "24:00"], "time", 2, "'24:00'"),
        ([0, 86400], "time", 1, "86400"),
        (["2024-01-01", "", "x"], "timestamp", 1, "''"),
        (
            ["2024-01-01 00:00:00.1234567"],
            "timestamp",
            0,
            "'2024-01-01 00:00:00.1234567'",
        ),
        ([2**62], "timestamp", 0, str(2**62)),
        ([1e300], "timestamp", 0, "1e\\+300"),
        (["1", "1.005"], "decimal(10,2)", 1, "'1.005'"),
        ([100, 1000], "decimal(3)", 1, "1000"),
        (["x"], "decimal", 0, "'x'"),
        (["1e5", "NaN"], "decimal", 1, "'NaN'"),
        ([0.1, 0.125], "decimal(10,2)", 1, "0.125"),
    ],
)
def test_value_that_does_not_fit_is_told(
    cells: list[Any], type_: str, row: int, shown: str
) -> None:
    """The error names the column, the row, the value, and what to do."""
    with pytest.raises(
        BadArgument,
        match=rf"column 'c', row {row}: {shown} is not a .*leave the column out",
    ):
        parsed(cells, type_)


def test_first_wrong_row_is_found_far_down() -> None:
    """Also among very many, and quickly."""
    cells = ["2024-01-01"] * 300_000
    cells[123_456] = cells[200_000] = "wrong"
    start = time.perf_counter()

    with pytest.raises(BadArgument, match="row 123456: 'wrong'"):
        parsed(cells, "date")

    assert 5 > time.perf_counter() - start


def test_offsets_in_some_rows_only_are_refused() -> None:
    """Moments and wall clocks do not mix: either all rows have an offset or none."""
    cells = ["2024-01-01 00:00:00", "2024-01-01 00:00:00Z"]

    with pytest.raises(
        BadArgument, match="do not go together.*an offset in all rows or in none"
    ):
        parsed(cells, "timestamp")


def test_blobs_are_refused() -> None:
    """A column of bytes holds no dates."""
    with pytest.raises(
        BadArgument, match="column 'c' is declared date and holds binary"
    ):
        parsed([b"x"], "date")


def test_time_of_floats_is_refused() -> None:
    """A float has no stated meaning as a time of day."""
    with pytest.raises(
        BadArgument, match="column 'c' is declared time and holds floats"
    ):
        parsed([0.5], "time")


@pytest.mark.parametrize(
    ("cells", "type_", "dtypes"),
    [
        ([1, 0], "BOOLEAN", ("bool", "bool", "boolean", "bool[pyarrow]")),
        ([1, None], "BOOLEAN", ("boolean", "object", "boolean", "bool[pyarrow]")),
        (
            ["2024-01-01", None],
            "DATE",
            ("object", "object", "object", "date32[day][pyarrow]"),
        ),
        (
            ["12:00", None],
            "TIME",
            ("object", "object", "object", "time64[us][pyarrow]"),
        ),
        (
            ["2024-01-01", None],
            "DATETIME",
            (
                "datetime64[us]",
                "datetime64[us]",
                "datetime64[us]",
                "timestamp[us][pyarrow]",
            ),
        ),
        (
            ["2024-01-01 00:00:00Z", None],
            "TIMESTAMP",
            (*["datetime64[us, UTC]"] * 3, "timestamp[us, tz=UTC][pyarrow]"),
        ),
        (
            ["1.5", None],
            "DECIMAL(4,1)",
            ("object", "object", "object", "decimal128(4, 1)[pyarrow]"),
        ),
    ],
)
def test_dtype_of_parsed_columns(
    cells: list[Any], type_: str, dtypes: tuple[str, ...]
) -> None:
    """What a DataFrame makes of each, by backend."""
    backends = ("default", "numpy", "numpy_nullable", "pyarrow")

    found = [
        str(declared(cells, type_, parse=True, dtype_backend=one).dtypes["c"])
        for one in backends
    ]

    assert list(dtypes) == found


def test_parse_is_off_unless_asked_for() -> None:
    """The host's values come as they are stored."""
    assert "str" == str(declared(["2024-01-01"], "DATE").dtypes["c"])
    assert "str" == str(declared(["2024-01-01"], "DATE", parse=False).dtypes["c"])


@pytest.mark.parametrize("parse", [True, ["c"], "c", {"c": "DATE"}, {"c": None}])
def test_parse_chooses_columns(parse: object) -> None:
    """All that are declared so, some by name, or some by name and type."""
    df = declared(["2024-01-01"], "DATE", parse=parse)

    assert dt.date(2024, 1, 1) == df["c"][0]


def test_parse_of_all_leaves_other_types() -> None:
    """True concerns only the declared types that have a Python type."""
    assert "int64" == str(declared([1], "INTEGER", parse=True).dtypes["c"])


@pytest.mark.parametrize(
    ("parse", "message"),
    [
        (["d"], "the column 'd', which is not there; there are 'c'"),
        (["c"], "column 'c' is 'INTEGER', which parse does not know"),
        ({"c": "money"}, "column 'c' is 'money', which parse does not know"),
        ({"c": 3}, "column 'c' is '3', which parse does not know"),
        (
            {"c": "decimal(99)"},
            "declared decimal.99. and holds integers, of which it cannot",
        ),
        (3, "parse is"),
    ],
)
def test_parse_of_what_is_not_there_is_refused(parse: object, message: str) -> None:
    """A column or a type that is unknown."""
    with pytest.raises(BadArgument, match=message):
        declared([1], "INTEGER", parse=parse)


@given(st.lists(st.none() | st.datetimes(), max_size=20))
def test_any_timestamp_comes_back_from_its_text(
    values: list[dt.datetime | None],
) -> None:
    """With a blank or a T, with and without a fraction."""
    for separator in " T":
        cells = [None if one is None else one.isoformat(separator) for one in values]

        assert values == parsed(cells, "timestamp", pa.large_string())


@given(
    st.lists(
        st.none()
        | st.decimals(
            allow_nan=False,
            allow_infinity=False,
            places=3,
            min_value=-(10**15),
            max_value=10**15,
        ),
        max_size=20,
    )
)
def test_any_decimal_comes_back_from_its_text(values: list[Decimal | None]) -> None:
    """Exactly."""
    cells = [None if one is None else str(one) for one in values]

    assert values == parsed(cells, "decimal", pa.large_string())


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("0000-01-01", "date"),
        ("0000-12-31 00:00", "date"),
        ("0000-12-31", "timestamp"),
        ("0001-01-01 00:00+01:00", "timestamp"),
        ("9999-12-31 23:59:59-01:00", "timestamp"),
    ],
)
def test_years_are_those_of_python(cell: str, kind: str) -> None:
    """The year 0 is one of ISO 8601 and none of datetime's; the row is named."""
    with pytest.raises(BadArgument, match=f"column 'c', row 1: '{cell[:10]}"):
        parsed(["2024-01-01", cell] if len(cell) < 11 else [None, cell], kind)


def test_digits_of_decimal_text_are_kept_to() -> None:
    """The type that decimals are written with tells its digits behind TEXT."""
    assert [Decimal("1.10")] == parsed(["1.1"], "DECIMAL TEXT(5,2)")
    with pytest.raises(BadArgument, match="'1.101' is not a DECIMAL TEXT"):
        parsed(["1.101"], "DECIMAL TEXT(5,2)")
