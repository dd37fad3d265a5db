"""Named forms of a value: str, repr, json as text; pickle, dill, arrow as bytes."""

# ruff: noqa: ARG001, PLR0124 - all forms are called alike; NaN and NaT differ from themselves

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, TooLarge, Unsupported
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["SERIALIZATIONS", "dumps", "loads"]

SERIALIZATIONS = (
    "str",
    "repr",
    "json",
    "json:strict",
    "pickle",
    "pickle:N",
    "dill",
    "arrow",
)


def dumps(value: object, name: str) -> str | bytes:
    """Return a value in a named form.

    Raises:
        BadArgument: there is no such form.
        Unsupported: the value has no such form; says what in it has not.
        TooLarge: an integer in it has more digits than Python writes.

    """
    form, _, option = name.partition(":")
    make = _DUMPS.get(form)
    if make is None:
        raise BadArgument(_unknown(name))
    try:
        return make(value, option)
    except ValueError as exc:
        if "integer string conversion" in str(exc):
            raise TooLarge(
                f"{form}: an integer has more than {sys.get_int_max_str_digits()} "
                "digits; use pickle, or raise sys.set_int_max_str_digits"
            ) from None
        raise


def loads(data: str | bytes, name: str) -> Any:
    """Return the value of a named form; of str the text itself, of arrow a table.

    Raises:
        BadArgument: there is no such form, or the data is not of that form.

    """
    form, _, _ = name.partition(":")
    read = _LOADS.get(form)
    if read is None:
        raise BadArgument(_unknown(name))
    try:
        return read(data)
    except BadArgument:
        raise
    except Exception as exc:
        raise BadArgument(f"the data is not {form}: {exc}") from None


def _unknown(name: str) -> str:
    return (
        f"the serialization '{name}' is unknown; known are {', '.join(SERIALIZATIONS)}"
    )


def _no_option(form: str, option: str) -> None:
    if option:
        raise BadArgument(_unknown(f"{form}:{option}"))


# ---- Text ---------------------------------------------------------------------------


def _str(value: object, option: str) -> str:
    _no_option("str", option)
    return _utf8(str(value), "str")


def _repr(value: object, option: str) -> str:
    _no_option("repr", option)
    return _utf8(repr(value), "repr")


def _utf8(text: str, form: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise Unsupported(
            f"{form}: the text has the lone surrogate {text[exc.start]!a} at position "
            f"{exc.start}, which UTF-8 has not; use json or pickle"
        ) from None
    return text


def _literal(data: str | bytes) -> Any:
    from ast import literal_eval

    return literal_eval(_text(data))


def _text(data: str | bytes) -> str:
    return data if isinstance(data, str) else bytes(data).decode()


# ---- Bytes --------------------------------------------------------------------------


def _pickle(value: object, option: str) -> bytes:
    import pickle

    protocol = pickle.DEFAULT_PROTOCOL
    if option:
        if not (option.isdecimal() and int(option) <= pickle.HIGHEST_PROTOCOL):
            raise BadArgument(
                f"pickle has no protocol '{option}'; known are 0 to "
                f"{pickle.HIGHEST_PROTOCOL}"
            )
        protocol = int(option)
    try:
        return pickle.dumps(value, protocol)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as exc:
        raise Unsupported(
            f"pickle: {_reason(exc)} (type {type_name(type(value))}); dill takes more "
            "types"
        ) from None


def _dill(value: object, option: str) -> bytes:
    _no_option("dill", option)
    dill = _import_dill()
    import pickle

    try:
        return bytes(dill.dumps(value))
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as exc:
        raise Unsupported(
            f"dill: {_reason(exc)} (type {type_name(type(value))})"
        ) from None


def _import_dill() -> Any:
    try:
        import dill
    except ImportError:
        raise BadArgument(
            "the serialization 'dill' needs the package dill, which is not installed"
        ) from None
    return dill


def _reason(exc: Exception) -> str:
    return " ".join(str(exc).split())


def _unpickle(data: str | bytes) -> Any:
    import pickle

    return pickle.loads(_bytes(data, "pickle"))


def _undill(data: str | bytes) -> Any:
    return _import_dill().loads(_bytes(data, "dill"))


def _bytes(data: str | bytes, form: str) -> bytes:
    if isinstance(data, str):
        raise BadArgument(f"{form} is bytes, this is text")
    return bytes(data)


def _arrow(value: object, option: str) -> bytes:
    _no_option("arrow", option)
    import pyarrow as pa

    from pybridge import columnar

    reader = pa.RecordBatchReader.from_stream(columnar.to_stream(value))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def _unarrow(data: str | bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(_bytes(data, "arrow")).read_all()


# ---- JSON ---------------------------------------------------------------------------


def _json(value: object, option: str) -> str:
    """Return JSON text: RFC 8259's, without NaN, and UTF-8."""
    import json

    if option not in ("", "strict"):
        raise BadArgument(_unknown(f"json:{option}"))
    tree = _Tree(strict=option == "strict")
    try:
        plain = tree.plain(value)
        text = json.dumps(
            plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                # A lone surrogate can stand in JSON as its escape only.
                return json.dumps(plain, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise Unsupported("json: the value is nested too deeply") from None
    return text


def _unjson(data: str | bytes) -> Any:
    import json

    def refuse(word: str) -> Any:
        raise BadArgument(f"{word} is not JSON; null is")

    return json.loads(_text(data), parse_constant=refuse)


class _Tree:
    """A value on its way to dicts, lists, texts, numbers, booleans and None."""

    __slots__ = ("above", "path", "strict")

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.path: list[str] = []
        self.above: set[int] = set()

    def plain(self, value: Any) -> Any:
        """Return the plain form of a value."""
        kind = type(value)
        if value is None or kind is str or kind is bool or kind is int:
            return value
        if kind is float:
            return value if value - value == 0 else self.not_finite(value)
        # What the class says of itself goes first, then what it is by its bases.
        for method, form in _METHODS.items():
            if kind is not type and callable(getattr(kind, method, None)):
                return self.inside(value, form)
        if hasattr(kind, "_member_map_"):  # an enum, whatever else it is
            return self.inside(value, _member)
        for one in kind.__mro__:
            found = _FORMS.get(f"{one.__module__}.{one.__qualname__}")
            if found is not None:
                return self.inside(value, found)
        return self.inside(value, _other)

    def inside(self, value: Any, form: Callable[[_Tree, Any], Any]) -> Any:
        """Return a form of a value that may hold others; notices cycles."""
        if id(value) in self.above:
            raise Unsupported(f"json: {self.where()} holds itself")
        self.above.add(id(value))
        try:
            return form(self, value)
        finally:
            self.above.discard(id(value))

    def child(self, step: str, value: Any) -> Any:
        """Return the plain form of what is one step further inside."""
        self.path.append(step)
        plain = self.plain(value)
        self.path.pop()
        return plain

    def not_finite(self, value: object) -> None:
        """Return None for NaN and the infinities, which JSON has not."""
        if self.strict:
            raise Unsupported(
                f"json:strict: {self.where()} is {value}; json makes it null"
            )

    def refuse(self, value: object) -> Unsupported:
        """Return the error for what has no form."""
        return Unsupported(
            f"json: {self.where()} is of type {type_name(type(value))}, which has no "
            "JSON form; give it a method __json__, or use repr, pickle or dill"
        )

    def where(self) -> str:
        """Return the path to the value: $.a[0]."""
        return "$" + "".join(self.path)

    def array(self, values: Iterable[Any]) -> list[Any]:
        """Return an array; of plain values at once."""
        cells = values if type(values) is list else list(values)
        kinds = set(map(type, cells))
        if kinds <= _PLAIN:
            return cells
        if kinds <= _PLAIN_OR_FLOAT and not self.strict:
            return [
                None if type(one) is float and one - one != 0 else one for one in cells
            ]
        return [self.child(f"[{i}]", one) for i, one in enumerate(cells)]

    def object(self, pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        """Return an object; keys that are no text become that of their JSON form."""
        plain: dict[str, Any] = {}
        for key, value in pairs:
            name = key if type(key) is str else self.key(key)
            if name in plain:
                raise Unsupported(
                    f"json: {self.where()} has two keys that become {name!r}"
                )
            step = f".{name}" if name.isidentifier() else f"[{name!r}]"
            plain[name] = self.child(step, value)
        return plain

    def key(self, key: Any) -> str:
        """Return a key as text."""
        import json

        plain = self.child(f"[{type_name(type(key))}]", key)
        if isinstance(plain, str):
            return plain
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


_PLAIN = {int, str, bool, type(None)}
_PLAIN_OR_FLOAT = {*_PLAIN, float}


def _mapping(tree: _Tree, value: Mapping[Any, Any]) -> Any:
    return tree.object(value.items())


def _array(tree: _Tree, value: Iterable[Any]) -> Any:
    return tree.array(list(value))


def _set(tree: _Tree, value: Iterable[Any]) -> Any:
    """Return a set sorted; where its values have no order, by type and repr."""
    try:
        cells = sorted(value)
    except TypeError:
        cells = sorted(value, key=lambda one: (type_name(type(one)), repr(one)))
    return tree.array(cells)


def _iso(tree: _Tree, value: Any) -> str | None:
    return None if value != value else str(value.isoformat())


def _duration(tree: _Tree, value: Any) -> float | None:
    return None if value != value else float(value.total_seconds())


def _as_text(tree: _Tree, value: object) -> str:
    return str(value)


def _number_text(tree: _Tree, value: Any) -> str | None:
    if value.is_finite():
        return str(value)
    tree.not_finite(value)
    return None


def _base64(tree: _Tree, value: Any) -> str:
    from base64 import b64encode

    return b64encode(bytes(value)).decode()  # a view may have gaps


def _complex(tree: _Tree, value: complex) -> dict[str, Any]:
    value = complex(value)
    return tree.object([("real", value.real), ("imag", value.imag)])


def _member(tree: _Tree, value: Any) -> Any:
    return tree.plain(value.value)


def _path(tree: _Tree, value: Any) -> Any:
    return tree.plain(value.__fspath__())


def _exception(tree: _Tree, value: BaseException) -> dict[str, Any]:
    args = [_or_repr(tree, i, one) for i, one in enumerate(value.args)]
    return {"error": type_name(type(value)), "args": args}


def _or_repr(tree: _Tree, i: int, value: object) -> Any:
    """Return an argument of an exception: one without a form must not hide it."""
    depth = len(tree.path)
    try:
        return tree.child(f".args[{i}]", value)
    except Unsupported:
        del tree.path[depth:]
        return repr(value)


def _nothing(tree: _Tree, value: object) -> None:
    return None


def _namespace(tree: _Tree, value: Any) -> Any:
    return tree.object(vars(value).items())


def _as_str(tree: _Tree, value: str) -> str:
    return str.__str__(value)


def _as_int(tree: _Tree, value: int) -> int:
    return int.__int__(value)


def _as_float(tree: _Tree, value: float) -> Any:
    return tree.plain(float.__float__(value))


def _numpy_scalar(tree: _Tree, value: Any) -> Any:
    if value.dtype.kind == "M":
        text = str(value)
        return None if text == "NaT" else text
    if value.dtype.kind == "m":
        import numpy as np

        return None if np.isnat(value) else float(value / np.timedelta64(1, "s"))
    plain = value.item()
    if type(plain) is type(value):  # a longdouble has no Python counterpart
        plain = complex(value) if value.dtype.kind == "c" else float(value)
        if plain != value and value == value:
            raise Unsupported(
                f"json: {tree.where()} is {value!s}, which has more digits than a "
                "float; make it one, or use str"
            )
    return tree.plain(plain)


def _ndarray(tree: _Tree, value: Any) -> Any:
    if value.dtype.kind in "Mm":
        return _nested(tree, value)
    plain = value.tolist()
    return tree.array(plain) if isinstance(plain, list) else tree.plain(plain)


def _nested(tree: _Tree, value: Any) -> Any:
    if value.ndim == 0:
        return tree.plain(value[()])
    return [tree.child(f"[{i}]", one) for i, one in enumerate(value)]


def _dataframe(tree: _Tree, frame: Any) -> Any:
    """Return the rows as objects; the parts of the index that have names go first."""
    index = frame.index
    columns = [
        (name, index.get_level_values(level))
        for level, name in enumerate(index.names)
        if name is not None
    ]
    columns += [(name, frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
    return _records(tree, [(name, one.tolist()) for name, one in columns])


def _records(tree: _Tree, columns: list[tuple[Any, list[Any]]]) -> list[Any]:
    """Return columns as a list of objects, one a row."""
    from pybridge import _names

    names = _names.unique([_names.text(name) for name, _ in columns])
    cells = []
    for name, (_, values) in zip(names, columns, strict=True):
        tree.path.append(f"[*].{name}")
        cells.append(tree.array(values))
        tree.path.pop()
    return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]


def _series(tree: _Tree, series: Any) -> Any:
    return tree.array(list(series.tolist()))


def _arrow_rows(tree: _Tree, table: Any) -> Any:
    columns = [one.to_pylist() for one in table.columns]
    return _records(tree, list(zip(table.schema.names, columns, strict=True)))


def _arrow_cells(tree: _Tree, array: Any) -> Any:
    return tree.array(array.to_pylist())


def _arrow_scalar(tree: _Tree, scalar: Any) -> Any:
    return tree.plain(scalar.as_py())


def _polars_rows(tree: _Tree, frame: Any) -> Any:
    return _records(tree, [(one.name, one.to_list()) for one in frame.get_columns()])


def _polars_cells(tree: _Tree, series: Any) -> Any:
    return tree.array(series.to_list())


def _other(tree: _Tree, value: Any) -> Any:
    """Return the form of what no table names: by its methods, fields or protocol."""
    kind = type(value)
    if isinstance(value, type):
        raise tree.refuse(value)
    make = getattr(kind, "to_json", None)
    if callable(make):
        form = make(value)
        # By custom it gives JSON text; a value where it does not.
        return tree.plain(_unjson(form) if isinstance(form, str) else form)
    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is not None:
        return tree.object((name, getattr(value, name)) for name in fields)
    if hasattr(kind, "__fspath__"):
        return _path(tree, value)
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):
        return tree.object((key, value[key]) for key in value.keys())  # noqa: SIM118
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    if isinstance(value, AbstractSet):
        return _set(tree, value)
    if isinstance(value, Sequence):
        return tree.array(list(value))
    raise tree.refuse(value)


_METHODS: dict[str, Callable[[_Tree, Any], Any]] = {
    "__json__": lambda tree, value: tree.plain(value.__json__()),
    "for_json": lambda tree, value: tree.plain(value.for_json()),
}

_FORMS: dict[str, Callable[[_Tree, Any], Any]] = {
    "builtins.dict": _mapping,
    "builtins.list": _array,
    "builtins.tuple": _array,
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "builtins.range": _array,
    "builtins.dict_keys": _array,
    "builtins.dict_values": _array,
    "builtins.dict_items": _array,
    "builtins.bytes": _base64,
    "builtins.bytearray": _base64,
    "builtins.memoryview": _base64,
    "builtins.complex": _complex,
    "builtins.BaseException": _exception,
    "builtins.str": _as_str,
    "builtins.int": _as_int,
    "builtins.float": _as_float,
    "array.array": _array,
    "collections.deque": _array,
    "types.SimpleNamespace": _namespace,
    "datetime.date": _iso,
    "datetime.time": _iso,
    "datetime.timedelta": _duration,
    "decimal.Decimal": _number_text,
    "fractions.Fraction": _as_text,
    "uuid.UUID": _as_text,
    "pathlib.PurePath": _path,
    "numpy.generic": _numpy_scalar,
    "numpy.ndarray": _ndarray,
    "numpy.ma.MaskedArray": _ndarray,
    "numpy.ma.core.MaskedConstant": _nothing,
    "pandas.DataFrame": _dataframe,
    "pandas.Series": _series,
    "pandas.Index": _series,
    "pandas.api.typing.NaTType": _nothing,
    "pandas.api.typing.NAType": _nothing,
    "pandas.Period": _as_text,
    "pandas.Interval": _as_text,
    "pandas.api.extensions.ExtensionArray": _series,
    "polars.dataframe.frame.DataFrame": _polars_rows,
    "polars.series.series.Series": _polars_cells,
    "pyarrow.lib.Scalar": _arrow_scalar,
    "pyarrow.lib.Table": _arrow_rows,
    "pyarrow.lib.RecordBatch": _arrow_rows,
    "pyarrow.lib.Array": _arrow_cells,
    "pyarrow.lib.ChunkedArray": _arrow_cells,
}

_DUMPS: dict[str, Callable[[object, str], str | bytes]] = {
    "str": _str,
    "repr": _repr,
    "json": _json,
    "pickle": _pickle,
    "dill": _dill,
    "arrow": _arrow,
}

_LOADS: dict[str, Callable[[str | bytes], Any]] = {
    "str": _text,
    "repr": _literal,
    "json": _unjson,
    "pickle": _unpickle,
    "dill": _undill,
    "arrow": _unarrow,
}
