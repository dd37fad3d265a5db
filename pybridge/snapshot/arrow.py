"""Arrays and frames as data: where their columns lie in the raw buffers, and no pickle.

A large frame is not written twice: its layout names the bytes of the buffers that its
pickle keeps out of band. What is small stands in the layout itself. Tables of Arrow and
polars are kept as an Arrow stream, where they are small enough.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["dumps", "loads"]

# As many bytes of a value as may stand in its layout.
_INLINE = 256 * 1024
_FEW = 1000  # texts
_DTYPE = re.compile(r"[<>|=](?:[biufc][0-9]{1,2}|[mM]8\[[0-9]{0,4}[a-zA-Zμ]{1,2}\])")


class _NoForm(Exception):  # noqa: N818  (an answer, no error)
    """The value has no form that is data and comes back exactly."""


def dumps(value: Any, buffers: Sequence[memoryview]) -> bytes | None:
    """Return the layout of an array or a frame; None where it has none.

    buffers are those that its pickle has left out, in their order.
    """
    package = type(value).__module__.partition(".")[0]
    write = _WRITERS.get((package, type(value).__name__))
    if write is None:
        return None
    try:
        layout = write(value, _Bytes(buffers))
    except _NoForm:
        return None
    return json.dumps(layout).encode()


def loads(data: bytes, buffers: Sequence[Any]) -> Any:
    """Return the array or frame of a layout.

    Raises:
        BadArgument: the layout is none, or says more than there is.

    """
    try:
        layout = json.loads(data)
        return _READERS[layout["is"]](layout, buffers)
    except BadArgument:
        raise
    except Exception as exc:  # a row of a database may say anything
        raise BadArgument(
            f"its layout cannot be read: {type(exc).__name__}: {exc}"
        ) from None


class _Bytes:
    """Finds memory in the buffers; what is not there goes into the layout."""

    def __init__(self, buffers: Sequence[memoryview]) -> None:
        self.room = _INLINE
        self.places = []
        self.views = buffers
        self.sizes = [view.nbytes for view in buffers]
        if buffers:
            import numpy as np

            for number, view in enumerate(buffers):
                start = np.frombuffer(view, np.uint8).ctypes.data
                self.places.append((start, start + view.nbytes, number))

    def find(self, start: int, size: int) -> tuple[int, int] | None:
        for first, end, number in self.places:
            if first <= start and start + size <= end:
                return number, start - first
        return None

    def copy_of(self, array: Any) -> int:
        """Return the buffer that was made for what does not lie in one piece."""
        import numpy as np

        for number, size in enumerate(self.sizes):
            if size == array.nbytes:
                there = np.frombuffer(self.views[number], array.dtype)
                same = there.view("u1") == np.ascontiguousarray(array).ravel().view(
                    "u1"
                )
                if same.all():
                    return number
        raise _NoForm

    def inline(self, data: Any) -> str:
        self.room -= len(data)
        if self.room < 0:
            raise _NoForm
        return b64encode(data).decode()


# ---- Columns ------------------------------------------------------------------------


def _array(array: Any, place: _Bytes) -> dict[str, Any]:
    """Return where the elements of a plain numpy array are."""
    import numpy as np

    if array.dtype.kind not in "biufcmM" or _DTYPE.fullmatch(array.dtype.str) is None:
        raise _NoForm
    column = {"dtype": array.dtype.str, "shape": list(array.shape)}
    size = array.nbytes
    if size and all(stride > 0 for stride in array.strides):
        span = array.itemsize + sum(
            (length - 1) * stride
            for length, stride in zip(array.shape, array.strides, strict=True)
        )
        found = place.find(array.ctypes.data, span)
        if found is not None:
            return {
                **column,
                "buffer": found[0],
                "offset": found[1],
                "strides": list(array.strides),
            }
    if size <= place.room:
        return {**column, "inline": place.inline(array.tobytes())}
    number = place.copy_of(array)
    strides = list(np.cumprod([array.itemsize, *array.shape[:0:-1]])[::-1].tolist())
    return {**column, "buffer": number, "offset": 0, "strides": strides}


def _read_array(column: Any, buffers: Sequence[Any]) -> Any:
    import numpy as np

    if _DTYPE.fullmatch(column["dtype"]) is None:
        raise BadArgument(f"'{column['dtype']}' is no dtype of plain data")
    dtype, shape = np.dtype(column["dtype"]), tuple(map(int, column["shape"]))
    if "inline" in column:
        data = bytearray(b64decode(column["inline"]))
        return np.frombuffer(data, dtype).reshape(shape)
    # numpy refuses what would reach outside of the buffer.
    return np.ndarray(
        shape,
        dtype,
        buffers[int(column["buffer"])],
        int(column["offset"]),
        tuple(map(int, column["strides"])),
    )


def _texts(column: Any, place: _Bytes) -> dict[str, Any]:
    """Return where the texts of a `str` column of pandas are."""
    import pyarrow as pa

    # The public ways to it copy.
    array = getattr(column.array, "_pa_array", None)
    if not isinstance(array, pa.ChunkedArray):
        raise _NoForm
    return {
        "texts": str(array.type),
        "chunks": [_chunk(one, place) for one in array.chunks],
    }


def _chunk(chunk: Any, place: _Bytes) -> dict[str, Any]:
    import pyarrow as pa

    if len(chunk) <= _FEW:  # it may be a slice of much more
        chunk = pa.array(chunk.to_pylist(), chunk.type)
    return {
        "length": len(chunk),
        "offset": chunk.offset,
        "parts": [_part(one, place) for one in chunk.buffers()],
    }


def _part(buffer: Any, place: _Bytes) -> Any:
    if buffer is None:
        return None
    # A pickle leaves out what of a buffer is not used.
    found = place.find(buffer.address, 1)
    if found is not None:
        number, offset = found
        return [number, offset, min(buffer.size, place.sizes[number] - offset)]
    if buffer.size > place.room:
        raise _NoForm
    return place.inline(buffer.to_pybytes())


def _read_texts(column: Any, buffers: Sequence[Any]) -> Any:
    import pandas as pd
    import pyarrow as pa

    kind = {"string": pa.string(), "large_string": pa.large_string()}[column["texts"]]

    def part(one: Any) -> Any:
        if one is None or isinstance(one, str):
            return None if one is None else pa.py_buffer(b64decode(one))
        number, offset, size = map(int, one)
        if min(offset, size) < 0:
            raise BadArgument("a part of a buffer begins before it")
        return pa.py_buffer(memoryview(buffers[number])[offset : offset + size])

    chunks = []
    for one in column["chunks"]:
        parts = [part(two) for two in one["parts"]]
        chunk = pa.Array.from_buffers(
            kind, int(one["length"]), parts, offset=int(one["offset"])
        )
        chunk.validate(full=True)  # before anybody follows an offset
        chunks.append(chunk)
    array = pa.chunked_array(chunks, kind)
    dtype = pd.StringDtype("pyarrow", na_value=float("nan"))
    return pd.array(array, dtype=dtype)


def _column(series: Any, place: _Bytes) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    if isinstance(series.dtype, np.dtype):
        return _array(series.to_numpy(), place)
    if series.dtype == pd.StringDtype("pyarrow", na_value=float("nan")):
        return _texts(series, place)
    raise _NoForm


def _read_column(column: Any, buffers: Sequence[Any]) -> Any:
    read = _read_texts if "texts" in column else _read_array
    return read(column, buffers)


# ---- Values -------------------------------------------------------------------------


def _name(name: Any) -> str | None:
    if name is None or type(name) is str:
        return name
    raise _NoForm


def _index(index: Any, place: _Bytes) -> dict[str, Any]:
    import pandas as pd

    name = {"name": _name(index.name)}
    if type(index) is pd.RangeIndex:
        return {**name, "range": [index.start, index.stop, index.step]}
    if type(index) is pd.Index or (
        type(index) is pd.DatetimeIndex and index.tz is None and index.freq is None
    ):
        return {**name, "values": _column(index.to_series(), place)}
    raise _NoForm


def _read_index(index: Any, buffers: Sequence[Any]) -> Any:
    import pandas as pd

    if "range" in index:
        start, stop, step = map(int, index["range"])
        return pd.RangeIndex(start, stop, step, name=index["name"])
    values = _read_column(index["values"], buffers)
    return pd.Index(values, name=index["name"], copy=False)


def _write_frame(frame: Any, place: _Bytes) -> dict[str, Any]:
    names = [_name(one) for one in frame.columns]
    if frame.attrs or None in names or len(set(names)) != len(names):
        raise _NoForm
    return {
        "is": "frame",
        "names": names,
        "title": _name(frame.columns.name),
        "index": _index(frame.index, place),
        "columns": [_column(frame[one], place) for one in names],
    }


def _read_frame(layout: Any, buffers: Sequence[Any]) -> Any:
    import pandas as pd

    columns = [_read_column(one, buffers) for one in layout["columns"]]
    frame = pd.DataFrame(
        dict(enumerate(columns)), _read_index(layout["index"], buffers), copy=False
    )
    frame.columns = pd.Index(layout["names"], name=layout["title"], dtype="str")
    return frame


def _write_series(series: Any, place: _Bytes) -> dict[str, Any]:
    if series.attrs:
        raise _NoForm
    return {
        "is": "series",
        "name": _name(series.name),
        "index": _index(series.index, place),
        "column": _column(series, place),
    }


def _read_series(layout: Any, buffers: Sequence[Any]) -> Any:
    import pandas as pd

    values = _read_column(layout["column"], buffers)
    index = _read_index(layout["index"], buffers)
    return pd.Series(values, index, name=layout["name"], copy=False)


def _write_array(array: Any, place: _Bytes) -> dict[str, Any]:
    return {"is": "array", **_array(array, place)}


def _write_table(table: Any, place: _Bytes) -> dict[str, Any]:
    if table.nbytes > place.room:
        raise _NoForm
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {"is": "table", "stream": place.inline(sink.getvalue().to_pybytes())}


def _read_table(layout: Any, buffers: Sequence[Any]) -> Any:  # noqa: ARG001
    import pyarrow as pa

    table = pa.ipc.open_stream(b64decode(layout["stream"])).read_all()
    table.validate(full=True)
    return table


def _write_polars(frame: Any, place: _Bytes) -> dict[str, Any]:
    if frame.estimated_size() > place.room or "Object" in map(str, frame.dtypes):
        raise _NoForm
    import io

    file = io.BytesIO()
    frame.write_ipc_stream(file)
    return {"is": "polars", "stream": place.inline(file.getvalue())}


def _read_polars(layout: Any, buffers: Sequence[Any]) -> Any:
    import polars

    return polars.from_arrow(_read_table(layout, buffers))


_WRITERS = {
    ("numpy", "ndarray"): _write_array,
    ("pandas", "DataFrame"): _write_frame,
    ("pandas", "Series"): _write_series,
    ("pyarrow", "Table"): _write_table,
    ("polars", "DataFrame"): _write_polars,
}
_READERS = {
    "array": _read_array,
    "frame": _read_frame,
    "series": _read_series,
    "table": _read_table,
    "polars": _read_polars,
}
