"""The one table of scalar values: every conversion is tested from it."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["FAILING", "SCALARS", "Scalar"]


@dataclass(frozen=True)
class Scalar:
    """A value on all sides of the bridge."""

    name: str
    python: object
    pyb: str  # the member of pyb_type, without PYB_
    storage: str  # what typeof() of SQLite says of it
    sql: str  # an SQL expression of the same value
    text: str  # str(), and below JSON
    json: str
    exact: bool = True  # does it come back from SQLite as it went?

    def __str__(self) -> str:
        """Name the test."""
        return self.name


def _text(name: str, python: str, json: str) -> Scalar:
    quoted = "'" + python.replace("'", "''") + "'"
    if "\0" in python:
        quoted = f"cast(x'{python.encode().hex()}' as text)"
    return Scalar(name, python, "TEXT", "text", quoted, python, json)


def _blob(name: str, python: bytes, json: str) -> Scalar:
    return Scalar(name, python, "BLOB", "blob", f"x'{python.hex()}'", str(python), json)


def _integer(name: str, python: int) -> Scalar:
    # SQLite has no literal for the least integer: it reads one as a float's negation.
    sql = f"({python + 1} - 1)" if python < 0 else str(python)
    return Scalar(name, python, "INT64", "integer", sql, str(python), str(python))


def _real(name: str, python: float, sql: str | None = None) -> Scalar:
    text = repr(python)
    return Scalar(name, python, "FLOAT64", "real", sql or text, text, text)


SCALARS = [
    Scalar("null", None, "NULL", "null", "NULL", "None", "null"),
    Scalar("true", True, "BOOL", "integer", "1", "True", "true", exact=False),
    Scalar("false", False, "BOOL", "integer", "0", "False", "false", exact=False),
    _integer("zero", 0),
    _integer("one", 1),
    _integer("minus_one", -1),
    _integer("int8_min", -128),
    _integer("int8_below", -129),
    _integer("minus_200", -200),
    _integer("minus_65535", -65535),
    _integer("minus_2_32", -(2**32)),
    _integer("int32_max", 2**31 - 1),
    _integer("above_float", 2**53 + 1),
    _integer("int64_max", 2**63 - 1),
    _integer("int64_min", -(2**63)),
    _real("half", 0.5),
    _real("zero_real", 0.0),
    _real("minus_zero", -0.0, "-0.0"),
    _real("third", 1 / 3),
    _real("tenth", 0.1),
    _real("minus_12_9", -12.9),
    _real("whole_real", 3.0),
    _real("largest", 1.7976931348623157e308),
    _real("smallest", 5e-324),
    Scalar("infinity", math.inf, "FLOAT64", "real", "9e999", "inf", "null"),
    Scalar("minus_infinity", -math.inf, "FLOAT64", "real", "-9e999", "-inf", "null"),
    # SQLite has no NaN: it stores NULL.
    Scalar("nan", math.nan, "FLOAT64", "null", "NULL", "nan", "null", exact=False),
    _text("empty_text", "", '""'),
    _text("ascii", "hello", '"hello"'),
    _text("quote", 'it\'s "x"', '"it\'s \\"x\\""'),
    _text("latin", "café ñ", '"café ñ"'),
    _text("cyrillic", "ПРИВЕТ", '"ПРИВЕТ"'),
    _text("beyond_bmp", "🐍𝄞", '"🐍𝄞"'),
    _text("combining", "e\u0301", '"e\u0301"'),
    _text("byte_order_mark", "\ufeffx", '"\ufeffx"'),
    _text("nul_inside", "a\0b", '"a\\u0000b"'),
    _text("only_nul", "\0", '"\\u0000"'),
    _text("lines", "a\r\nb\nc\t", '"a\\r\\nb\\nc\\t"'),
    _text("digits", "0123", '"0123"'),
    _text("long_text", "é" * 100_000, '"' + "é" * 100_000 + '"'),
    _blob("empty_blob", b"", '""'),
    _blob("nul_blob", b"\0\xff\0", '"AP8A"'),
    _blob("not_utf8", b"\x80\xfe", '"gP4="'),
    _blob("all_bytes", bytes(range(6)), '"AAECAwQF"'),
    Scalar(
        "date",
        dt.date(2024, 2, 29),
        "DATE",
        "text",
        "'2024-02-29'",
        "2024-02-29",
        '"2024-02-29"',
        exact=False,
    ),
    Scalar(
        "first_date",
        dt.date(1, 1, 1),
        "DATE",
        "text",
        "'0001-01-01'",
        "0001-01-01",
        '"0001-01-01"',
        exact=False,
    ),
    Scalar(
        "last_date",
        dt.date(9999, 12, 31),
        "DATE",
        "text",
        "'9999-12-31'",
        "9999-12-31",
        '"9999-12-31"',
        exact=False,
    ),
    Scalar(
        "time",
        dt.time(23, 59, 59),
        "TIME",
        "text",
        "'23:59:59'",
        "23:59:59",
        '"23:59:59"',
        exact=False,
    ),
    Scalar(
        "time_fraction",
        dt.time(0, 0, 0, 1),
        "TIME",
        "text",
        "'00:00:00.000001'",
        "00:00:00.000001",
        '"00:00:00.000001"',
        exact=False,
    ),
    Scalar(
        "timestamp",
        dt.datetime(2024, 2, 29, 23, 59, 59),
        "TIMESTAMP",
        "text",
        "'2024-02-29 23:59:59'",
        "2024-02-29 23:59:59",
        '"2024-02-29T23:59:59"',
        exact=False,
    ),
    Scalar(
        "timestamp_before_1970",
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999),
        "TIMESTAMP",
        "text",
        "'1969-12-31 23:59:59.999999'",
        "1969-12-31 23:59:59.999999",
        '"1969-12-31T23:59:59.999999"',
        exact=False,
    ),
    Scalar(
        "decimal",
        Decimal("-12.50"),
        "DECIMAL",
        "text",
        "'-12.50'",
        "-12.50",
        '"-12.50"',
        exact=False,
    ),
    Scalar(
        "long_decimal",
        Decimal("12345678901234567890.123456789"),
        "DECIMAL",
        "text",
        "'12345678901234567890.123456789'",
        "12345678901234567890.123456789",
        '"12345678901234567890.123456789"',
        exact=False,
    ),
]

# Python expressions whose value no host has a type for: an error, with the advice to
# name a serialization.
FAILING = [
    "2**63",
    "-2**63 - 1",
    "10**5000",
    "1 + 2j",
    "[1, 2]",
    "(1,)",
    "{}",
    "{1}",
    "object()",
    "len",
    "int",
    "'\\ud800'",
    "Exception()",
]
