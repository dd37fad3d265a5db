"""Scalars of other libraries as the plain values that hosts know."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pybridge.errors import Unsupported

DAY = dt.datetime(2024, 2, 29, 23, 59, 59, 500_000)
MICROSECONDS = 1_709_251_199_500_000


class Color(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError


@pytest.mark.parametrize(
    ("value", "kind", "plain"),
    [
        (np.int8(-3), "INT64", -3),
        (np.float16(1.5), "FLOAT64", 1.5),
        (np.longdouble(1.5), "FLOAT64", 1.5),
        (np.bool_(True), "BOOL", 1),
        (np.str_("a\0"), "TEXT", "a\0"),
        (np.bytes_(b"a\0b"), "BLOB", b"a\0b"),
        (np.array(5), "INT64", 5),
        (np.array(None, object), "NULL", None),
        (np.ma.masked, "NULL", None),
        (np.datetime64("NaT", "us"), "NULL", None),
        (np.datetime64("2024-03", "M"), "DATE", 19783),
        (np.array([1], "M8[3D]")[0], "DATE", 3),
        (np.array([1], "M8[25s]")[0], "TIMESTAMP", 25_000_000),
        (np.datetime64(-1000, "ns"), "TIMESTAMP", -1),
        (np.datetime64(2**40, "s"), "TIMESTAMP", 10**6 * 2**40),
        (pd.NA, "NULL", None),
        (pd.NaT, "NULL", None),
        (pd.Timestamp(DAY), "TIMESTAMP", MICROSECONDS),
        (pd.Timestamp(DAY, tz="UTC"), "TEXT", "2024-02-29 23:59:59.500000+00:00"),
        (
            pd.Timestamp(np.datetime64("20000-01-01", "s")),
            "TIMESTAMP",
            568_971_820_800_000_000,
        ),
        (pa.scalar(5, pa.uint8()), "INT64", 5),
        (pa.scalar(None, pa.string()), "NULL", None),
        (pa.scalar(DAY), "TIMESTAMP", MICROSECONDS),
        (Decimal("-0.50"), "DECIMAL", "-0.50"),
        (dt.time(1, 2, tzinfo=dt.UTC), "TEXT", "01:02:00+00:00"),
        (memoryview(b"abcd")[::2], "BLOB", b"ac"),
        (Color.RED, "INT64", 1),
        (Text("x"), "TEXT", "x"),
    ],
)
def test_scalars_of_others_are_plain_values(
    plane: Any, value: Any, kind: str, plain: Any
) -> None:
    """The value is the same one, and of a type that hosts have."""
    assert (getattr(plane, kind), plain) == plane.simplify(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.longdouble(1) / 3, "more digits than a float"),
        (np.longdouble("1e4000"), "more digits than a float"),
        (np.datetime64(2**62, "h"), "too far from today"),
        (np.datetime64(2**62, "s"), "too far from today"),
        (np.datetime64(2**62, "W"), "too far from today"),
        (np.datetime64(2**62, "Y"), "too far from today"),
        (np.datetime64(1, "ns"), "finer than a microsecond"),
        (np.datetime64(1, "as"), "finer than a microsecond"),
        (pd.Timestamp(1, unit="ns"), "finer than a microsecond"),
        (pa.scalar(1, pa.timestamp("ns")), "finer than a microsecond"),
        (np.timedelta64(1, "s"), "has no counterpart"),
        (np.complex64(1), "has no counterpart"),
        (np.void(b"ab"), "has no counterpart"),
        (np.array([1]), "has no counterpart"),
        (pa.scalar([1]), "has no counterpart"),
    ],
)
def test_scalars_that_would_change_are_refused(
    plane: Any, value: Any, words: str
) -> None:
    """What cannot be exact is an error, never another value."""
    with pytest.raises(Unsupported, match=words):
        plane.simplify(value)
