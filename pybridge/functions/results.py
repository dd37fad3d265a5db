"""Results as JSON and back: the same value in every process.

What JSON has no form for is a dict with one key that begins with "$", such as
`{"$bytes": "AAE="}`; a user's dict with such a key is tagged itself.
"""

# ruff: noqa: C901, PLR0911, PLR0912 - one line a type

from __future__ import annotations

import base64
import datetime as dt
import math
import sys
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from typing import Callable

__all__ = ["NotPlain", "decode", "encode"]

_DIGITS = 8192  # bits; Python refuses to write longer numbers as decimal digits
_AS_IS = frozenset({str, bool, type(None)})


class NotPlain(TypeError):  # noqa: N818 - it is an answer
    """The value is an object that only a pickle can keep."""


def encode(value: Any) -> Any:
    """Return a value as JSON has it, with tags where it has no such type.

    Raises:
        NotPlain: there is something in it that is no data.

    """
    try:
        return _encode(value)
    except RecursionError:
        raise NotPlain("it is nested too deeply, or contains itself") from None


def decode(form: Any) -> Any:
    """Return the value of what `encode` gave."""
    kind = type(form)
    if kind is dict:
        for key in form:
            if key[:1] == "$":
                tagged = _DECODERS.get(key)
                return form if tagged is None else tagged(form[key], form)
            break
        return {key: decode(one) for key, one in form.items()}
    if kind is list:
        return [decode(one) for one in form]
    return form


def _encode(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is int:
        return value if value.bit_length() < _DIGITS else {"$int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind is list:
        return [_encode(one) for one in value]
    if kind is dict:
        return _encode_dict(value)
    if kind is tuple:
        return {"$tuple": [_encode(one) for one in value]}
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    return _encode_other(value)


def _encode_dict(value: dict[Any, Any]) -> Any:
    if all(type(key) is str and key[:1] != "$" for key in value):
        return {key: _encode(one) for key, one in value.items()}
    return {"$dict": [[_encode(key), _encode(one)] for key, one in value.items()]}


def _encode_other(value: Any) -> Any:
    """Return what is less common, subclasses and what other packages have."""
    module = type(value).__module__.partition(".")[0]
    if module == "pandas":
        return _encode_pandas(value)
    if module == "numpy":
        return _encode_numpy(value)
    for base in (str, bool, int, float, bytes):
        if isinstance(value, base):  # of an enumeration, say
            plain: Any = base
            return _encode(plain(value))
    if isinstance(value, dt.datetime):
        return _encode_datetime(value)
    for kind, tag in _ISO.items():
        if type(value) is kind:
            fold = {"fold": 1} if getattr(value, "fold", 0) else {}
            return {tag: value.isoformat(), **fold}
    if isinstance(value, dt.timedelta):
        return {"$timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, (Decimal, UUID)):
        return {f"${type(value).__name__.lower()}": str(value)}
    if isinstance(value, PurePath):
        return {"$path": str(value)}
    if isinstance(value, complex):
        return {"$complex": [_encode(value.real), _encode(value.imag)]}
    if isinstance(value, (bytearray, memoryview)):
        return {"$bytearray": base64.b64encode(bytes(value)).decode()}
    if type(value) in {set, frozenset}:
        return {f"${type(value).__name__}": [_encode(one) for one in value]}
    if module == "collections":
        if isinstance(value, dict):
            return _encode_dict(dict(value))
        return [_encode(one) for one in value]  # a deque
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"$tuple": [_encode(one) for one in value]}
    raise NotPlain(f"{type(value).__qualname__} is no data")


def _encode_datetime(value: dt.datetime) -> Any:
    made: dict[str, Any] = {"$datetime": value.isoformat()}
    if value.fold:
        made["fold"] = 1
    zone = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
    if isinstance(zone, str):
        made["zone"] = zone
    return made


def _encode_numpy(value: Any) -> Any:
    numpy = sys.modules["numpy"]
    if isinstance(value, (numpy.datetime64, numpy.timedelta64)):
        unit, count = numpy.datetime_data(value.dtype)
        tag = "$datetime64" if isinstance(value, numpy.datetime64) else "$timedelta64"
        return {tag: int(value.astype("int64")), "unit": f"{count}{unit}"}
    plain = value.item() if isinstance(value, numpy.generic) else value
    if type(plain).__module__ != "builtins" or isinstance(plain, tuple):
        raise NotPlain(f"numpy.{type(value).__name__} is no scalar")
    return _encode(plain)


def _encode_pandas(value: Any) -> Any:
    pandas = sys.modules["pandas"]
    if value is pandas.NaT or value is pandas.NA:
        return {"$pandas": "NaT" if value is pandas.NaT else "NA"}
    if isinstance(value, pandas.Timestamp):
        zone = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
        text = (value if value.tz is None else value.tz_convert("UTC")).isoformat()
        return {"$timestamp": text, "unit": value.unit, "zone": zone or str(value.tz)}
    if isinstance(value, pandas.Timedelta):
        number = value.asm8.astype("int64").item()
        return {"$pandas_timedelta": number, "unit": value.unit}
    raise NotPlain(f"pandas.{type(value).__name__} is no scalar")


def _decode_datetime(text: str, whole: dict[str, Any]) -> dt.datetime:
    value = dt.datetime.fromisoformat(text).replace(fold=whole.get("fold", 0))
    zone = whole.get("zone")
    if zone is None:
        return value
    import zoneinfo

    try:
        zoned = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):  # the offset is still right
        return value
    return value.replace(tzinfo=zoned)


def _decode_numpy(kind: str) -> Callable[[Any, dict[str, Any]], Any]:
    def made(number: int, whole: dict[str, Any]) -> Any:
        import numpy

        return numpy.array(number, "int64").astype(f"{kind}[{whole['unit']}]")[()]

    return made


def _decode_timestamp(text: str, whole: dict[str, Any]) -> Any:
    import pandas

    value = pandas.Timestamp(text).as_unit(whole["unit"])
    zone = whole.get("zone")
    return value if zone in {None, "None"} else value.tz_convert(zone)


def _decode_pandas(name: str, _: dict[str, Any]) -> Any:
    import pandas

    return pandas.NaT if name == "NaT" else pandas.NA


def _decode_pandas_timedelta(number: int, whole: dict[str, Any]) -> Any:
    import pandas

    return pandas.Timedelta(number, whole["unit"]).as_unit(whole["unit"])


_ISO: dict[Any, str] = {dt.date: "$date", dt.time: "$time"}
_DECODERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "$bytes": lambda text, _: base64.b64decode(text),
    "$bytearray": lambda text, _: bytearray(base64.b64decode(text)),
    "$float": lambda text, _: float(text),
    "$int": lambda text, _: int(text, 16),
    "$tuple": lambda items, _: tuple(decode(one) for one in items),
    "$dict": lambda pairs, _: {decode(key): decode(one) for key, one in pairs},
    "$set": lambda items, _: {decode(one) for one in items},
    "$frozenset": lambda items, _: frozenset(decode(one) for one in items),
    "$complex": lambda parts, _: complex(decode(parts[0]), decode(parts[1])),
    "$decimal": lambda text, _: Decimal(text),
    "$uuid": lambda text, _: UUID(text),
    "$path": lambda text, _: Path(text),
    "$date": lambda text, _: dt.date.fromisoformat(text),
    "$time": lambda text, whole: dt.time.fromisoformat(text).replace(
        fold=whole.get("fold", 0)
    ),
    "$timedelta": lambda parts, _: dt.timedelta(*parts),
    "$datetime": _decode_datetime,
    "$datetime64": _decode_numpy("datetime64"),
    "$timedelta64": _decode_numpy("timedelta64"),
    "$timestamp": _decode_timestamp,
    "$pandas_timedelta": _decode_pandas_timedelta,
    "$pandas": _decode_pandas,
}
