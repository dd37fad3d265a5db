"""Columns of every type, as frames and as raw Arrow arrays, and what SQL sees."""

from __future__ import annotations

__all__ = ["ARROW", "COLUMNS", "IMPORTS", "ROUND_TRIPS", "WRONG"]

# What the expressions need.
IMPORTS = """
import datetime as dt, numpy as np, pandas as pd, pyarrow as pa
from decimal import Decimal as D
"""

# Python expression of a column, its declared type, what SQL reads, typeof of that.
COLUMNS = [
    (
        "pd.array([1, 2**63 - 1, -2**63])",
        "INTEGER",
        [1, 2**63 - 1, -(2**63)],
        "integer",
    ),
    ("pd.array([1, None, -5], dtype='Int64')", "INTEGER", [1, None, -5], "integer"),
    ("np.array([-128, 0, 127], dtype='i1')", "INTEGER", [-128, 0, 127], "integer"),
    ("np.array([0, 1, 255], dtype='u1')", "INTEGER", [0, 1, 255], "integer"),
    (
        "np.array([-32768, 0, 32767], dtype='i2')",
        "INTEGER",
        [-32768, 0, 32767],
        "integer",
    ),
    ("np.array([0, 1, 65535], dtype='u2')", "INTEGER", [0, 1, 65535], "integer"),
    (
        "np.array([-2**31, 0, 2**31 - 1], dtype='i4')",
        "INTEGER",
        [-(2**31), 0, 2**31 - 1],
        "integer",
    ),
    (
        "np.array([0, 1, 2**32 - 1], dtype='u4')",
        "INTEGER",
        [0, 1, 2**32 - 1],
        "integer",
    ),
    (
        "np.array([0, 1, 2**63 - 1], dtype='u8')",
        "INTEGER",
        [0, 1, 2**63 - 1],
        "integer",
    ),
    ("np.array([True, False, True])", "BOOLEAN", [1, 0, 1], "integer"),
    (
        "pd.array([True, None, False], dtype='boolean')",
        "BOOLEAN",
        [1, None, 0],
        "integer",
    ),
    (
        "np.array([0.1, -1.5e300, np.inf])",
        "REAL",
        [0.1, -1.5e300, float("inf")],
        "real",
    ),
    ("np.array([1.0, np.nan, 2.0])", "REAL", [1.0, None, 2.0], "real"),
    ("np.array([0.5, 65504, -2.0], dtype='f2')", "REAL", [0.5, 65504.0, -2.0], "real"),
    ("np.array([0.5, 1.25, -2.0], dtype='f4')", "REAL", [0.5, 1.25, -2.0], "real"),
    ("['', None, 'Größe \U0001f40d']", "TEXT", ["", None, "Größe \U0001f40d"], "text"),
    ("[b'', None, b'\\x00\\xff']", "BLOB", [b"", None, b"\x00\xff"], "blob"),
    (
        "[dt.date(2024, 2, 29), None, dt.date(1, 1, 1)]",
        "DATE",
        ["2024-02-29", None, "0001-01-01"],
        "text",
    ),
    (
        "[dt.time(1, 2, 3), None, dt.time(23, 59, 59, 7)]",
        "TIME",
        ["01:02:03", None, "23:59:59.000007"],
        "text",
    ),
    (
        (
            "pd.to_datetime(['1969-12-31 23:59:59.999999', None, '2024-01-02'], "
            "format='ISO8601')"
        ),
        "TIMESTAMP",
        ["1969-12-31 23:59:59.999999", None, "2024-01-02 00:00:00"],
        "text",
    ),
    (
        (
            "pd.to_datetime(['2024-07-01 12:00', None, '2024-01-01 12:00'])"
            ".tz_localize('Europe/Berlin')"
        ),
        "TIMESTAMP",
        ["2024-07-01 10:00:00+00:00", None, "2024-01-01 11:00:00+00:00"],
        "text",
    ),
    (
        "[D('-12.50'), None, D('12345678901234567890123.05')]",
        "DECIMAL TEXT(25,2)",
        ["-12.50", None, "12345678901234567890123.05"],
        "text",
    ),
    ("pd.Categorical(['b', None, 'a'])", "TEXT", ["b", None, "a"], "text"),
    ("pd.Categorical([30, 10, 30])", "INTEGER", [30, 10, 30], "integer"),
    ("[None, None, None]", "", [None, None, None], "null"),
]

# Column, and the dtype that it has after py_write and py_query with option parse.
ROUND_TRIPS = [
    ("[1, 2**63 - 1, -2**63]", "int64"),
    ("pd.array([1, None, -5], dtype='Int64')", "Int64"),
    ("[0.1, np.nan, -np.inf]", "float64"),
    ("['', None, 'a\\0b\U0001f40d']", "str"),
    ("[True, False, True]", "bool"),
    ("pd.array([True, None, False], dtype='boolean')", "boolean"),
    ("[b'', None, b'\\x00\\xff']", "object"),
    ("[dt.date(2024, 2, 29), None, dt.date(1, 1, 1)]", "object"),
    ("[dt.time(1, 2, 3), None, dt.time(23, 59, 59, 7)]", "object"),
    (
        (
            "pd.to_datetime(['1969-12-31 23:59:59.999999', None, '2024-01-02'],"
            " format='ISO8601')"
        ),
        "datetime64[us]",
    ),
    (
        (
            "pd.to_datetime(['2024-07-01 12:00', None, '2024-01-01 12:00'])"
            ".tz_localize('UTC')"
        ),
        "datetime64[us, UTC]",
    ),
    ("[D('-12.50'), None, D('12345678901234567890123.05')]", "object"),
    ("[D('1.10'), D('0.00'), D('-0.01')]", "object"),
    ("[None, None, None]", "object"),
]

# Raw Arrow array, declared type, cells.
ARROW = [
    ("pa.array([1, None, 255], pa.uint8())", "INTEGER", [1, None, 255]),
    ("pa.array([-1, None, 127], pa.int8())", "INTEGER", [-1, None, 127]),
    ("pa.array([1, None, 65535], pa.uint16())", "INTEGER", [1, None, 65535]),
    ("pa.array([-32768, None, 1], pa.int16())", "INTEGER", [-32768, None, 1]),
    ("pa.array([1, None, 2**32 - 1], pa.uint32())", "INTEGER", [1, None, 2**32 - 1]),
    ("pa.array([-2**31, None, 1], pa.int32())", "INTEGER", [-(2**31), None, 1]),
    ("pa.array([1, None, 2**63 - 1], pa.uint64())", "INTEGER", [1, None, 2**63 - 1]),
    ("pa.array([-2**63, None, 1], pa.int64())", "INTEGER", [-(2**63), None, 1]),
    ("pa.array([True, None, False])", "BOOLEAN", [1, None, 0]),
    ("pa.array([1.5, None, -2.0], pa.float32())", "REAL", [1.5, None, -2.0]),
    (
        "pa.array(np.array([1.5, 6e-8, -65504, np.inf, 2**-14], 'f2'))",
        "REAL",
        [1.5, 2**-24, -65504.0, float("inf"), 2**-14],
    ),
    ("pa.array(['a', None, ''], pa.string())", "TEXT", ["a", None, ""]),
    (
        "pa.array(['a', None, 'x' * 99], pa.string_view())",
        "TEXT",
        ["a", None, "x" * 99],
    ),
    (
        "pa.array(['0123456789ab', '0123456789abc', ''], pa.string_view())",
        "TEXT",
        ["0123456789ab", "0123456789abc", ""],
    ),
    ("pa.array([b'a', None, b''], pa.binary())", "BLOB", [b"a", None, b""]),
    (
        "pa.array([b'a', None, b'x' * 99], pa.binary_view())",
        "BLOB",
        [b"a", None, b"x" * 99],
    ),
    (
        "pa.array([b'abc', None, b'\\0\\0\\0'], pa.binary(3))",
        "BLOB",
        [b"abc", None, b"\0\0\0"],
    ),
    ("pa.array([b'', None], pa.binary(0))", "BLOB", [b"", None]),
    (
        "pa.array([0, None, -719162], pa.date32())",
        "DATE",
        ["1970-01-01", None, "0001-01-01"],
    ),
    (
        "pa.array([86400000, None, -86400000], pa.date64())",
        "DATE",
        ["1970-01-02", None, "1969-12-31"],
    ),
    (
        "pa.array([0, None, 86399], pa.time32('s'))",
        "TIME",
        ["00:00:00", None, "23:59:59"],
    ),
    (
        "pa.array([1, None, 86399999], pa.time32('ms'))",
        "TIME",
        ["00:00:00.001000", None, "23:59:59.999000"],
    ),
    (
        "pa.array([1, None, 86399999999], pa.time64('us'))",
        "TIME",
        ["00:00:00.000001", None, "23:59:59.999999"],
    ),
    (
        "pa.array([1, None, 1001, 86399999999999], pa.time64('ns'))",
        "TIME",
        ["00:00:00.000000001", None, "00:00:00.000001001", "23:59:59.999999999"],
    ),
    (
        "pa.array([-1, None, 253402300799], pa.timestamp('s'))",
        "TIMESTAMP",
        ["1969-12-31 23:59:59", None, "9999-12-31 23:59:59"],
    ),
    (
        "pa.array([-1, None, 1], pa.timestamp('ms'))",
        "TIMESTAMP",
        ["1969-12-31 23:59:59.999000", None, "1970-01-01 00:00:00.001000"],
    ),
    (
        "pa.array([-1, None, 1], pa.timestamp('us', '+02:00'))",
        "TIMESTAMP",
        ["1969-12-31 23:59:59.999999+00:00", None, "1970-01-01 00:00:00.000001+00:00"],
    ),
    (
        "pa.array([-1, None, 2**63 - 1, -2**63], pa.timestamp('ns', 'Asia/Tokyo'))",
        "TIMESTAMP",
        [
            "1969-12-31 23:59:59.999999999+00:00",
            None,
            "2262-04-11 23:47:16.854775807+00:00",
            "1677-09-21 00:12:43.145224192+00:00",
        ],
    ),
    (
        "pa.array([D('0.05'), None, D('-999.99')], pa.decimal128(5, 2))",
        "DECIMAL TEXT(5,2)",
        ["0.05", None, "-999.99"],
    ),
    (
        "pa.array([D('9' * 38), None, D('-' + '9' * 38), D(0)], pa.decimal128(38, 0))",
        "DECIMAL TEXT(38,0)",
        ["9" * 38, None, "-" + "9" * 38, "0"],
    ),
    (
        "pa.array([D('1.' + '7' * 75), None, D('-1e-75')], pa.decimal256(76, 75))",
        "DECIMAL TEXT(76,75)",
        ["1." + "7" * 75, None, "-0." + "0" * 74 + "1"],
    ),
    (
        "pa.array([D('12300'), None, D(0)], pa.decimal128(5, -2))",
        "DECIMAL TEXT(5,-2)",
        ["12300", None, "0"],
    ),
    ("pa.nulls(3)", "", [None, None, None]),
    (
        "pa.array(['x', None, 'y', 'x']).dictionary_encode()",
        "TEXT",
        ["x", None, "y", "x"],
    ),
    (
        (
            "pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.uint8()), "
            "pa.array([None, 7]))"
        ),
        "INTEGER",
        [None, None, 7],
    ),
    (
        (
            "pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int64()), "
            "pa.array([D('1.5'), D('2.5')]))"
        ),
        "DECIMAL TEXT(2,1)",
        ["2.5", "1.5"],
    ),
    ("pa.array(['a', None, 'bc', '', 'd']).slice(1, 3)", "TEXT", [None, "bc", ""]),
    ("pa.array([True, False, None] * 5).slice(7, 3)", "BOOLEAN", [0, None, 1]),
    (
        "pa.array(['a', 'bcd', None] * 9, pa.large_string()).slice(13, 2)",
        "TEXT",
        ["bcd", None],
    ),
]

# Raw Arrow array that is refused, and words of the error.
WRONG = [
    ("pa.array([1, 2**63], pa.uint64())", 'column "x", row 2: an integer above'),
    ("pa.array([0, 86400], pa.time32('s'))", 'column "x", row 2: a time of day'),
    ("pa.array([-1], pa.time64('ns'))", 'column "x", row 1: a time of day'),
    ("pa.array([2**62], pa.timestamp('s'))", 'column "x", row 1: a moment too far'),
    (
        "pa.Array.from_buffers(pa.date64(), 1, [None, pa.py_buffer(b'1234567' * 2)])",
        'column "x", row 1: a date that is not a whole day',
    ),
    (
        (
            "pa.DictionaryArray.from_arrays(pa.array([0, 0, 0]), "
            "pa.array([2**63], pa.uint64()))"
        ),
        'column "x", row 1: an integer above',
    ),
    (
        "pa.DictionaryArray.from_arrays(pa.array([0, 5]), ['a'], safe=False)",
        'column "x", row 2: malformed index',
    ),
    (
        "pa.DictionaryArray.from_arrays(pa.array([-1]), ['a'], safe=False)",
        'column "x", row 1: malformed index',
    ),
    (
        (
            "pa.Array.from_buffers(pa.large_string(), 2, [None, pa.py_buffer("
            "np.array([0, 9, 3], 'i8')), pa.py_buffer(b'abc')])"
        ),
        'column "x", row 1: malformed',
    ),
    (
        (
            "pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer("
            "np.array([0, -9, 3], 'i4')), pa.py_buffer(b'abc')])"
        ),
        'column "x", row 1: malformed',
    ),
    (
        (
            "pa.Array.from_buffers(pa.string_view(), 1, [None, pa.py_buffer("
            "np.array([99, 0, 0, 1 << 30], 'i4')), pa.py_buffer(bytes(99))])"
        ),
        'column "x", row 1: malformed view',
    ),
    (
        (
            "pa.Array.from_buffers(pa.string_view(), 1, [None, pa.py_buffer("
            "np.array([99, 0, 7, 0], 'i4')), pa.py_buffer(bytes(99))])"
        ),
        'column "x", row 1: malformed view',
    ),
    (
        (
            "pa.Array.from_buffers(pa.string_view(), 1, [None, pa.py_buffer("
            "np.array([-1, 0, 0, 0], 'i4'))])"
        ),
        'column "x", row 1: malformed view',
    ),
    ("pa.array([[1]])", 'column "x": SQL has no type for Arrow\'s list'),
    ("pa.array([{'a': 1}])", 'column "x": SQL has no type for Arrow\'s struct'),
    (
        "pa.array([1], pa.duration('s'))",
        'column "x": SQL has no type for Arrow\'s duration',
    ),
    ("pa.array([(1, 2, 3)], pa.month_day_nano_interval())", "Arrow's interval"),
    ("pa.array([[('a', 1)]], pa.map_(pa.string(), pa.int8()))", "Arrow's map"),
    ("pa.RunEndEncodedArray.from_arrays([2], ['a'])", "Arrow's run-end encoded"),
]
