"""Tables: frames of pandas, polars and Arrow, and the files that they are kept in."""

from __future__ import annotations

import io
import json
import os
from pathlib import PurePath
from typing import Any

from pybridge import _names
from pybridge.errors import BadArgument, BridgeError, Unsupported
from pybridge.functions import files, pickles

__all__ = [
    "FORMATS",
    "LIBRARIES",
    "converted",
    "dumps",
    "format_of",
    "is_table",
    "library_of",
    "made",
    "preview_of",
    "read",
    "save",
    "schema_of",
    "to_arrow",
    "write",
]

LIBRARIES = ("pandas", "polars", "arrow")
_ALIASES = {"pyarrow": "arrow", "pd": "pandas", "pl": "polars"}
FORMATS = ("parquet", "csv", "tsv", "json", "jsonl", "xlsx", "xls", "arrow", "pickle")
_SUFFIXES = {
    "txt": "csv",
    "pq": "parquet",
    "ndjson": "jsonl",
    "feather": "arrow",
    "ipc": "arrow",
    "pkl": "pickle",
}
_MANY = 1 << 20  # cells
_SHOWN = 10  # values a column in a preview
_LARGE = 64 << 20  # bytes of a table that is written and read with all means
_LARGEST = 64_000  # bytes of a preview's JSON


# ---- Frames --------------------------------------------------------------------------


def library_of(kind: Any) -> str:
    """Return whose table a class is: pandas, polars, arrow, numpy, or none."""
    if not isinstance(kind, type):
        return ""
    package, name = kind.__module__.partition(".")[0], kind.__name__
    if package in {"pandas", "polars"} and name in {"DataFrame", "Series", "LazyFrame"}:
        return package
    if package == "pyarrow" and name in {"Table", "RecordBatch"}:
        return "arrow"
    return "numpy" if (package, name) == ("numpy", "ndarray") else ""


def is_table(value: Any) -> bool:
    """Tell whether a value is what a dataitem is made of."""
    return library_of(type(value)) in LIBRARIES or _is_subclass(value)


def _is_subclass(value: Any) -> bool:
    """Tell whether a value's class is derived from a frame's, as GeoDataFrame's is."""
    return any(library_of(one) in LIBRARIES for one in type(value).__mro__[1:-1])


def checked(engine: str | None) -> str:
    """Return the library that is meant; None is pandas.

    Raises:
        BadArgument: there is no such.

    """
    name = _ALIASES.get(engine or "pandas", engine or "pandas")
    if name not in LIBRARIES:
        raise BadArgument(
            f"engine '{engine}' is unknown; known are {', '.join(LIBRARIES)}"
        )
    return name


def made(value: Any, library: str, *, series: bool = False) -> Any:
    """Return the frame that rows make: dicts, a dict of columns, another's frame.

    Raises:
        ValueError: they make none.
        TypeError: the same.

    """
    if library == "numpy":
        import numpy

        return numpy.asarray(value)
    if is_table(value):
        return converted(value, library)
    if library == "pandas":
        import pandas

        return pandas.Series(value) if series else pandas.DataFrame(value)
    if library == "polars":
        polars = _polars()
        return polars.Series(value) if series else polars.DataFrame(value)
    import pyarrow

    if isinstance(value, dict):
        return pyarrow.table(value)
    return pyarrow.Table.from_pylist(list(value))


def converted(frame: Any, library: str) -> Any:
    """Return a frame as one of another library."""
    if library_of(type(frame)) == library or (
        library == "pandas" and _is_subclass(frame)
    ):
        return frame
    return _from_arrow(to_arrow(frame), library)


def _from_arrow(table: Any, library: str) -> Any:
    """Return an Arrow table as a frame."""
    if library == "arrow":
        return table
    if library == "pandas":
        return _to_pandas(table)
    if library == "numpy":
        return _to_pandas(table).to_numpy()
    return _polars().from_arrow(table)


def _to_pandas(table: Any) -> Any:
    """Return an Arrow table as a frame of pandas in which every integer is exact.

    What pandas itself has written says which types its columns had.
    """
    frame = table.to_pandas()
    if table.schema.metadata and b"pandas" in table.schema.metadata:
        return frame
    from pyarrow import types

    for place, column in enumerate(table.columns):
        kind = column.type
        if not column.null_count:
            continue
        if types.is_integer(kind):
            name = "UI" if types.is_unsigned_integer(kind) else "I"
            dtype = f"{name}nt{kind.bit_width}"
        elif types.is_boolean(kind):
            dtype = "boolean"
        else:
            continue
        frame.isetitem(place, _nullable(column, dtype))
    return frame


def _nullable(column: Any, dtype: str) -> Any:
    """Return an Arrow column as one of pandas that has a place for NULL."""
    import pandas

    known: Any = pandas.api.types.pandas_dtype(dtype)
    return known.__from_arrow__(column)


def _polars() -> Any:
    """Return the package.

    Raises:
        BadArgument: it is not installed.

    """
    try:
        import polars
    except ImportError:
        raise BadArgument(
            "polars is not installed; pip install 'pybridge[polars]'"
        ) from None
    return polars


def to_arrow(frame: Any) -> Any:
    """Return a frame as an Arrow table, its index too where that says something.

    Raises:
        Unsupported: a column has no Arrow type; names it.

    """
    import pyarrow

    kind = type(frame).__name__
    package = type(frame).__module__.partition(".")[0]
    if package == "pyarrow":
        if kind == "RecordBatch":
            frame = pyarrow.Table.from_batches([frame])
        names = _names.unique(frame.column_names)
        # Renaming loses what pandas has noted of the index.
        return frame if names == frame.column_names else frame.rename_columns(names)
    if package == "polars":
        if kind == "LazyFrame":
            frame = frame.collect()
        elif kind == "Series":
            frame = frame.to_frame(frame.name or "value")
        return frame.to_arrow()
    return _from_pandas(frame, pyarrow)


def _from_pandas(frame: Any, pyarrow: Any) -> Any:
    """Return a frame or a series of pandas as an Arrow table."""
    if not hasattr(frame, "columns"):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    names = _names.unique([_names.text(one) for one in frame.columns])
    plain = _is_plain_index(frame.index)
    if not names and len(frame):
        raise Unsupported("the table has rows without columns")
    try:
        if plain and names and all(one.kind in "iufb" for one in frame.dtypes):
            # What pandas would write down about these is what Arrow knows anyway.
            arrays = [
                pyarrow.array(frame.iloc[:, place], from_pandas=True)
                for place in range(len(names))
            ]
            return pyarrow.Table.from_arrays(arrays, names)
        if names != list(frame.columns):
            frame = frame.set_axis(names, axis=1)
        return pyarrow.Table.from_pandas(
            frame, preserve_index=None if plain else True, nthreads=1
        )
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as exc:
        raise Unsupported(f"the table has no Arrow form: {exc}") from None


def _is_plain_index(index: Any) -> bool:
    """Tell whether an index is 0, 1, 2 …, which needs not be kept."""
    return (
        type(index).__name__ == "RangeIndex"
        and index.name is None
        and index.start == 0
        and index.step == 1
    )


# ---- What is known of a table --------------------------------------------------------


def schema_of(table: Any) -> dict[str, Any]:
    """Return the schema of an Arrow table in Frictionless words."""
    return {
        "fields": [
            {"name": field.name, "type": _frictionless(field.type)}
            for field in table.schema
        ]
    }


def _frictionless(kind: Any) -> str:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _frictionless(kind.value_type)
    if isinstance(getattr(kind, "storage_type", None), type(kind).__mro__[-2]):
        return _frictionless(kind.storage_type)
    for known, name in (
        (types.is_boolean, "boolean"),
        (types.is_integer, "integer"),
        (types.is_floating, "number"),
        (types.is_decimal, "number"),
        (types.is_date, "date"),
        (types.is_timestamp, "datetime"),
        (types.is_time, "time"),
        (types.is_duration, "duration"),
        (types.is_struct, "object"),
        (types.is_map, "object"),
        (types.is_null, "any"),
    ):
        if known(kind):
            return name
    text = str(kind)
    if "list" in text:
        return "array"
    return "string"


def preview_of(table: Any) -> dict[str, Any] | None:
    """Return the first values of each column; None where they are large."""
    first = table.slice(0, _SHOWN)
    preview = {
        "cols": [
            {"name": name, "value": [_shown(one) for one in column.to_pylist()]}
            for name, column in zip(first.column_names, first.columns)
        ],
        "rows": table.num_rows,
    }
    try:
        text = json.dumps(preview)
    except (TypeError, ValueError, RecursionError):
        return None
    return preview if len(text) < _LARGEST else None


def _shown(value: Any) -> Any:
    """Return a cell as JSON has it, for people to look at."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if kind is float:
        return value if value - value == 0 else str(value)
    if kind is dict:
        return {str(key): _shown(one) for key, one in value.items()}
    if kind is list:
        return [_shown(one) for one in value]
    if kind is bytes:
        return value.hex()
    return str(value)


# ---- Files ---------------------------------------------------------------------------


def format_of(path: str, given: str | None = None) -> str:
    """Return the format of a file, by its name where it is not said.

    Raises:
        BadArgument: it is unknown.

    """
    suffix = (given or PurePath(files.name_of(path)).suffix).lower().lstrip(".")
    found = _SUFFIXES.get(suffix, suffix)
    if found not in FORMATS:
        what = f"'{given}'" if given else f"of '{path}'"
        raise BadArgument(
            f"the format {what} is unknown; known are {', '.join(FORMATS)}; "
            "give file_format="
        )
    return found


def read(
    path: str,
    *,
    file_format: str | None = None,
    engine: str | None = None,
    **options: Any,
) -> Any:
    """Return the table of a file, or of a directory of parquet files.

    Options are those of the library's own reader.

    Raises:
        BadArgument: there is no such file, it is damaged, or its format is unknown.

    """
    library = checked(engine)
    place = files.local(path) if not files.is_url(path) else None
    if place is not None and not place.exists():
        raise BadArgument(f"there is no file '{place}'")
    if place is not None and place.is_dir():
        if next(place.rglob("*.parquet"), None) is None and not file_format:
            raise BadArgument(f"'{place}' has no parquet file in it")
        form = file_format or "parquet"
    else:
        form = format_of(path, file_format)
    source: Any = str(place) if place is not None else io.BytesIO(files.read(path))
    reader = _READERS.get((form, library))
    try:
        if reader is not None:
            return reader(source, options)
        return converted(_READERS[form, "pandas"](source, options), library)
    except (BridgeError, ImportError, MemoryError, OSError, TypeError):
        raise
    except Exception as exc:  # each library has its own
        raise BadArgument(
            f"'{path}' cannot be read as {form}: {exc}; give file_format= if it is "
            "something else"
        ) from exc


def _read_parquet(library: str) -> Any:
    def reader(source: Any, options: dict[str, Any]) -> Any:
        if options and library == "pandas":
            import pandas

            return pandas.read_parquet(source, **options)
        if options and library == "polars":
            return _polars().read_parquet(source, **options)
        import pyarrow.parquet

        if isinstance(source, str) and os.path.isdir(source):  # noqa: PTH112
            table = pyarrow.parquet.read_table(source, **options)
        else:
            # The reader of datasets takes three times as long for a small file.
            columns = options.pop("columns", None)
            with pyarrow.parquet.ParquetFile(source, **options) as file:
                cells = file.metadata.num_rows * file.metadata.num_columns
                # Threads cost more than they bring where there is little to read.
                table = file.read(columns=columns, use_threads=cells > _MANY)
        return _from_arrow(table, library)

    return reader


def _read_csv(separator: str) -> Any:
    def reader(source: Any, options: dict[str, Any]) -> Any:
        import pandas

        return pandas.read_csv(source, **{"sep": separator, **options})

    return reader


def _read_csv_polars(separator: str) -> Any:
    def reader(source: Any, options: dict[str, Any]) -> Any:
        return _polars().read_csv(source, **{"separator": separator, **options})

    return reader


def _read_csv_arrow(separator: str) -> Any:
    def reader(source: Any, options: dict[str, Any]) -> Any:
        import pyarrow.csv

        parse = pyarrow.csv.ParseOptions(delimiter=separator)
        return pyarrow.csv.read_csv(source, **{"parse_options": parse, **options})

    return reader


def _read_json(source: Any, options: dict[str, Any]) -> Any:
    import pandas

    return pandas.read_json(source, **options)


def _read_jsonl(source: Any, options: dict[str, Any]) -> Any:
    import pandas

    return pandas.read_json(source, **{"lines": True, **options})


def _read_excel(source: Any, options: dict[str, Any]) -> Any:
    import pandas

    try:
        return pandas.read_excel(source, **options)
    except ImportError as exc:
        raise BadArgument(f"the spreadsheet cannot be read: {exc}") from None


def _read_arrow(library: str) -> Any:
    def reader(source: Any, options: dict[str, Any]) -> Any:
        import pyarrow.feather

        return _from_arrow(pyarrow.feather.read_table(source, **options), library)

    return reader


def _read_pickle(source: Any, options: dict[str, Any]) -> Any:
    data = source.getvalue() if isinstance(source, io.BytesIO) else files.read(source)
    name = source if isinstance(source, str) else "the table"
    return pickles.loads(data, name=name, trust=bool(options.get("trust")))


_READERS: dict[tuple[str, str], Any] = {
    **{("parquet", library): _read_parquet(library) for library in LIBRARIES},
    **{("arrow", library): _read_arrow(library) for library in LIBRARIES},
    ("csv", "pandas"): _read_csv(","),
    ("csv", "polars"): _read_csv_polars(","),
    ("csv", "arrow"): _read_csv_arrow(","),
    ("tsv", "pandas"): _read_csv("\t"),
    ("tsv", "polars"): _read_csv_polars("\t"),
    ("tsv", "arrow"): _read_csv_arrow("\t"),
    ("json", "pandas"): _read_json,
    ("jsonl", "pandas"): _read_jsonl,
    ("xlsx", "pandas"): _read_excel,
    ("xls", "pandas"): _read_excel,
    ("pickle", "pandas"): _read_pickle,
}


def dumps(frame: Any, form: str, **options: Any) -> Any:
    """Return the bytes of a file with a table in it; options are those of the writer.

    Raises:
        BadArgument: nothing writes that format.
        Unsupported: the table has no form in it.

    """
    writer = _WRITERS.get(form)
    if writer is None:
        raise BadArgument(
            f"tables are not written as {form}; written are {', '.join(_WRITERS)}"
        )
    try:
        return writer(frame, options)
    except UnicodeEncodeError as exc:
        raise Unsupported(f"a text of the table is no Unicode: {exc}") from None


def write(
    frame: Any, path: str, *, file_format: str | None = None, **options: Any
) -> dict[str, Any]:
    """Write a table to a path or URL, all or nothing, and describe the file."""
    return save(frame, path, format_of(path, file_format), **options)


def save(frame: Any, path: str, form: str, **options: Any) -> dict[str, Any]:
    """Write a table in a format; see `write`. A large one is never in memory twice."""
    size = getattr(frame, "nbytes", 0)
    if form != "parquet" or files.is_url(path) or size < _LARGE:
        return files.store_bytes(dumps(frame, form, **options), path)
    import pyarrow.parquet

    with files.replacing(files.local(path)) as part:
        try:
            pyarrow.parquet.write_table(to_arrow(frame), str(part), **options)
        except (pyarrow.ArrowException, NotImplementedError) as exc:
            raise Unsupported(f"the table has no parquet form: {exc}") from None
    return files.describe(str(files.local(path)))[0]


def _write_parquet(frame: Any, options: dict[str, Any]) -> Any:
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    try:
        pyarrow.parquet.write_table(to_arrow(frame), sink, **options)
    except (pyarrow.ArrowException, NotImplementedError) as exc:
        raise Unsupported(f"the table has no parquet form: {exc}") from None
    return sink.getvalue()


def _write_csv(separator: str) -> Any:
    def writer(frame: Any, options: dict[str, Any]) -> bytes:
        pandas_frame = converted(frame, "pandas")
        if not hasattr(pandas_frame, "columns"):
            pandas_frame = pandas_frame.to_frame()
        index = not _is_plain_index(pandas_frame.index)
        told = {"index": index, "sep": separator, **options}
        return bytes(pandas_frame.to_csv(**told).encode())

    return writer


def _write_json(lines: bool) -> Any:
    def writer(frame: Any, options: dict[str, Any]) -> bytes:
        told = {"orient": "records", "date_format": "iso", "lines": lines, **options}
        return bytes(converted(frame, "pandas").to_json(**told).encode())

    return writer


def _write_excel(frame: Any, options: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pandas_frame = converted(frame, "pandas")
    index = not _is_plain_index(pandas_frame.index)
    try:
        pandas_frame.to_excel(sink, **{"index": index, "engine": "openpyxl", **options})
    except ImportError as exc:
        raise BadArgument(f"the spreadsheet cannot be written: {exc}") from None
    return sink.getvalue()


def _write_arrow(frame: Any, options: dict[str, Any]) -> Any:
    import pyarrow.feather

    sink = pyarrow.BufferOutputStream()
    pyarrow.feather.write_feather(to_arrow(frame), sink, **options)
    return sink.getvalue()


def _write_pickle(frame: Any, _: dict[str, Any]) -> bytes:
    return pickles.dumps(frame)


_WRITERS: dict[str, Any] = {
    "parquet": _write_parquet,
    "csv": _write_csv(","),
    "tsv": _write_csv("\t"),
    "json": _write_json(lines=False),
    "jsonl": _write_json(lines=True),
    "xlsx": _write_excel,
    "arrow": _write_arrow,
    "pickle": _write_pickle,
}
