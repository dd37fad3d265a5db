"""Declared types: columns of text and numbers as booleans, dates, times and decimals.

SQL hosts such as SQLite keep these types as text or numbers. All of it is done by
columns in Arrow's own code; a value that does not fit is named with its row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.columnar import Rows

    Convert = Callable[[pa.Array], pa.Array]

__all__ = ["parse"]

_US = 1_000_000
_DAY = 86_400
_MOST_DIGITS = 76  # of Arrow's decimals
_DIGITS = 38  # of the smaller ones
_SHOWN = 10  # names in a message
# The years 1 to 9999, which Python's datetime has.
_FIRST = -62_135_596_800
_LAST = 253_402_300_799
_JULIAN_EPOCH = 2440587.5
_OFFSET = r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_TRUE = ["1", "true", "t", "yes", "y", "on"]
_FALSE = ["0", "false", "f", "no", "n", "off"]
_DECLARATION = re.compile(
    r"\s*(BOOLEAN|BOOL|DATETIME|TIMESTAMP|DATE|TIME|DECIMAL|NUMERIC)\b"
    r"(?:\s+TEXT)?(?:\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?",
    re.IGNORECASE,
)
_WANTED = {
    "boolean": "0 or 1, or a text such as 'true', 'no'",
    "date": "ISO 8601 text such as '2024-12-31', Unix seconds or a Julian day, of "
    "midnight",
    "time": "ISO 8601 text such as '23:59:59.5', or seconds since midnight",
    "timestamp": "ISO 8601 text such as '2024-12-31 23:59:59.5', with an offset in all "
    "rows or in none, Unix seconds or a Julian day",
    "decimal": "a number that fits",
}


class Declared:
    """A declared type that has a Python type: its kind, precision and scale."""

    __slots__ = ("kind", "precision", "scale", "text")

    def __init__(self, text: str, kind: str, precision: int | None, scale: int) -> None:
        """Keep the text for messages."""
        self.text = text
        self.kind = kind
        self.precision = precision
        self.scale = scale


def parse(rows: Rows, wanted: object) -> None:
    """Replace columns of `rows` by typed ones, in place.

    wanted: None or False for none, True for all that are declared so, the names of
    columns, or a mapping from names to types.

    Raises:
        BadArgument: a column is unknown, has no such type, or a value does not fit.

    """
    if wanted is None or wanted is False:
        return
    if wanted is True:
        pairs = [
            (i, declared)
            for i, text in enumerate(rows.declared)
            if text is not None and (declared := declaration(text)) is not None
        ]
    else:
        pairs = _named(rows, wanted)
    for i, declared in pairs:
        rows.columns[i] = _typed(rows.names[i], rows.columns[i], declared)


def declaration(text: str) -> Declared | None:
    """Return what a declared type means here; None where it means nothing."""
    match = _DECLARATION.match(text)
    if match is None:
        return None
    word, precision, scale = match.groups()
    kind = {"BOOL": "boolean", "DATETIME": "timestamp", "NUMERIC": "decimal"}.get(
        word.upper(), word.lower()
    )
    return Declared(text, kind, int(precision) if precision else None, int(scale or 0))


def _named(rows: Rows, wanted: Any) -> list[tuple[int, Declared]]:
    """Return the columns that the caller named, with their types."""
    if isinstance(wanted, str):
        wanted = [wanted]
    if not hasattr(wanted, "__iter__"):
        raise BadArgument(
            "parse is true, a list of columns or an object of columns and types, not "
            f"{wanted!r}"
        )
    mapping = wanted if hasattr(wanted, "items") else dict.fromkeys(wanted)
    pairs = []
    for name, text in mapping.items():
        if name not in rows.names:
            raise BadArgument(
                f"parse names the column '{name}', which is not there; there are "
                f"{_some(rows.names)}"
            )
        i = rows.names.index(name)
        named = rows.declared[i] if text is None else text
        declared = declaration(named) if isinstance(named, str) else None
        if declared is None:
            is_type = f"'{named}'" if named else "not declared with a type"
            raise BadArgument(
                f"column '{name}' is {is_type}, which parse does not know; known are "
                'boolean, date, time, timestamp, decimal: name it as {"column": "type"}'
            )
        pairs.append((i, declared))
    return pairs


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _typed(name: str, column: pa.Array, declared: Declared) -> pa.Array:
    convert = _converter(column.type, declared)
    if convert is None:
        raise BadArgument(
            f"column '{name}' is declared {declared.text} and holds {_held(column)}, "
            "of which it cannot be made; leave it out of parse"
        )
    try:
        return convert(column)
    except (pa.ArrowInvalid, ValueError):
        row = _first_wrong(column, convert)
        if row is None:  # no single value is wrong, but all of them together
            raise BadArgument(
                f"column '{name}': the values do not go together as {declared.text}; "
                f"wanted is {_WANTED[declared.kind]}"
            ) from None
        raise BadArgument(
            f"column '{name}', row {row}: {column[row].as_py()!r:.100} is not a "
            f"{declared.text}; wanted is {_WANTED[declared.kind]}; correct it, or "
            "leave the column out of parse"
        ) from None


def _held(column: pa.Array) -> str:
    """Return what a column holds, in the words of the guides."""
    kind = str(column.type)
    return {"double": "floats", "int64": "integers", "large_binary": "blobs"}.get(
        kind, kind
    )


def _first_wrong(column: pa.Array, convert: Convert) -> int | None:
    """Return the first row that cannot be converted by itself."""
    low, high = 0, len(column)
    if not _fails(column, convert):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _fails(column.slice(low, middle - low), convert):
            high = middle
        else:
            low = middle
    return low if _fails(column.slice(low, 1), convert) else None


def _fails(column: pa.Array, convert: Convert) -> bool:
    try:
        convert(column)
    except (pa.ArrowInvalid, ValueError):
        return True
    return False


def _converter(kind: pa.DataType, declared: Declared) -> Convert | None:
    """Return what makes the declared type of a column of that kind."""
    types = pa.types
    if declared.kind == "decimal" and not (
        declared.scale <= (declared.precision or _DIGITS) <= _MOST_DIGITS
    ):
        return None
    if types.is_null(kind):
        target = _target(declared)
        return lambda column: column.cast(target)
    if types.is_integer(kind):
        form = "integer"
    elif types.is_floating(kind):
        form = "float"
    elif types.is_string(kind) or types.is_large_string(kind):
        form = "text"
    else:
        return None
    if declared.kind == "decimal":
        return lambda column: _decimal(column, declared)
    return _CONVERTERS.get((declared.kind, form))


def _target(declared: Declared) -> pa.DataType:
    if declared.kind == "decimal":
        return _decimal_type(declared.precision or _DIGITS, declared.scale)
    return {
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
    }[declared.kind]


# ---- Booleans -----------------------------------------------------------------------


def _boolean_of_number(column: pa.Array) -> pa.Array:
    _all(pc.or_(pc.equal(column, 0), pc.equal(column, 1)))
    return pc.equal(column, 1)


def _boolean_of_text(column: pa.Array) -> pa.Array:
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    true = pc.is_in(text, pa.array(_TRUE, text.type))
    false = pc.is_in(text, pa.array(_FALSE, text.type))
    _all(pc.or_(pc.or_(true, false), column.is_null()))
    return pc.if_else(column.is_valid(), true, pa.scalar(None, pa.bool_()))


# ---- Timestamps, dates, times -------------------------------------------------------


def _timestamp_of_text(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column)
    return _of_our_time(_timestamp_of_trimmed(text))


def _of_our_time(timestamps: pa.Array) -> pa.Array:
    """Refuse the year 0, which ISO 8601 has and Python has not."""
    _between(timestamps.cast(pa.int64()), _FIRST * _US, _LAST * _US + _US - 1)
    return timestamps


def _timestamp_of_trimmed(text: pa.Array) -> pa.Array:
    try:
        return text.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        with_offset = pc.match_substring_regex(text, _OFFSET)
        # A date ends in what looks like an offset: only texts with a time have one.
        with_offset = pc.and_(with_offset, pc.match_substring(text, ":"))
        if not pc.all(with_offset).as_py():
            raise
        return text.cast(pa.timestamp("us", "UTC"))


def _timestamp_of_seconds(column: pa.Array) -> pa.Array:
    column = column.cast(pa.int64())
    _between(column, _FIRST, _LAST)
    return pc.multiply(column, _US).cast(pa.timestamp("us"))


def _timestamp_of_julian(column: pa.Array) -> pa.Array:
    # A float64 Julian day of our time is exact to some 40 microseconds: milliseconds.
    days = pc.subtract(column.cast(pa.float64()), _JULIAN_EPOCH)
    milliseconds = pc.round(pc.multiply(days, 1000.0 * _DAY))
    _between(milliseconds, _FIRST * 1000, _LAST * 1000)
    return pc.multiply(milliseconds.cast(pa.int64()), 1000).cast(pa.timestamp("us"))


def _date_of_text(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column)
    try:
        dates = text.cast(pa.date32())
    except pa.ArrowInvalid:
        return _midnight(_of_our_time(text.cast(pa.timestamp("us"))))
    _between(dates.cast(pa.int32()), _FIRST // _DAY, _LAST // _DAY)
    return dates


def _date_of_seconds(column: pa.Array) -> pa.Array:
    return _midnight(_timestamp_of_seconds(column))


def _date_of_julian(column: pa.Array) -> pa.Array:
    return _midnight(_timestamp_of_julian(column))


def _midnight(timestamps: pa.Array) -> pa.Array:
    """Return timestamps as dates; arrow refuses one with a time of day."""
    dates = timestamps.cast(pa.date32(), safe=False)
    _all(pc.equal(dates.cast(pa.timestamp("us")), timestamps))
    return dates


def _time_of_text(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column)
    day = pa.scalar("1970-01-01T", text.type)
    return (
        pc.binary_join_element_wise(day, text, pa.scalar("", text.type))
        .cast(pa.timestamp("us"))
        .cast(pa.time64("us"))
    )


def _time_of_seconds(column: pa.Array) -> pa.Array:
    column = column.cast(pa.int64())
    _between(column, 0, _DAY - 1)
    return pc.multiply(column, _US).cast(pa.time64("us"))


# ---- Decimals -----------------------------------------------------------------------


def _decimal(column: pa.Array, declared: Declared) -> pa.Array:
    """Return decimals; a float counts as its shortest decimal text."""
    text = column.cast(pa.large_string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(text)
    precision, scale = declared.precision, declared.scale
    if precision is None:
        precision, scale = _digits(text)
    return text.cast(_decimal_type(precision, scale))


def _decimal_type(precision: int, scale: int) -> pa.DataType:
    if not 1 <= precision <= _MOST_DIGITS or scale > precision:
        raise ValueError(f"more than {_MOST_DIGITS} digits")
    make = pa.decimal128 if precision <= _DIGITS else pa.decimal256
    return make(precision, scale)


def _digits(text: pa.Array) -> tuple[int, int]:
    """Return the precision and scale that all of the numbers need."""
    from decimal import Decimal, InvalidOperation

    if pc.any(pc.match_substring_regex(text, "[eE]")).as_py():
        scale = whole = 0
        for one in text.drop_null().unique().to_pylist():
            try:
                _, digits, exponent = Decimal(one).as_tuple()
            except InvalidOperation:
                raise ValueError(one) from None
            if not isinstance(exponent, int):
                raise ValueError(one)  # noqa: TRY004
            scale = max(scale, -exponent)
            whole = max(whole, len(digits) + exponent)
    else:
        point = pc.find_substring(text, ".")
        length = pc.utf8_length(text)
        after = pc.if_else(
            pc.less(point, 0), 0, pc.subtract(length, pc.add(point, 1)).cast(pa.int64())
        )
        scale = pc.max(after).as_py() or 0
        before = pc.if_else(pc.less(point, 0), length, point)
        whole = pc.max(before).as_py() or 0
    return max(_DIGITS, whole + scale), scale


# ---- Checks -------------------------------------------------------------------------


def _all(conditions: pa.Array) -> None:
    if pc.all(conditions).as_py() is False:
        raise ValueError("a value does not fit")


def _between(column: pa.Array, low: int, high: int) -> None:
    _all(pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high)))


_CONVERTERS: dict[tuple[str, str], Convert] = {
    ("boolean", "integer"): _boolean_of_number,
    ("boolean", "float"): _boolean_of_number,
    ("boolean", "text"): _boolean_of_text,
    ("date", "integer"): _date_of_seconds,
    ("date", "float"): _date_of_julian,
    ("date", "text"): _date_of_text,
    ("time", "integer"): _time_of_seconds,
    ("time", "text"): _time_of_text,
    ("timestamp", "integer"): _timestamp_of_seconds,
    ("timestamp", "float"): _timestamp_of_julian,
    ("timestamp", "text"): _timestamp_of_text,
}
