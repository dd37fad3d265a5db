"""Answers: what a function's return value becomes in HTTP.

A text and whatever is not mentioned here is text/plain; dicts, lists, models and
dataclasses are JSON; tables are what the client asks for, else JSON records; bytes are
sent as they are; a pair of a status and one of these has that status; what yields is
sent piece by piece. A `Response` says all of it itself.
"""

from __future__ import annotations

import json
import math
import re
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["JSON", "Answer", "ResponseError", "answer", "piece", "problem", "tidy"]

TEXT = (b"content-type", b"text/plain; charset=utf-8")
JSON = (b"content-type", b"application/json")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_FAULT = re.compile("[\0-\x08\x0a-\x1f\x7f]")
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "content-type"})
_STATUSES = range(100, 600)
_BODILESS = frozenset({204, 304})


class ResponseError(ValueError):
    """What a function has returned cannot be said in HTTP."""


class Answer:
    """A status, headers and a body, pieces of one, or an ASGI app that sends it."""

    __slots__ = ("asgi", "body", "headers", "pieces", "status")

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes = b"",
        pieces: Any = None,
        asgi: Any = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.pieces = pieces
        self.asgi = asgi


def problem(
    status: int,
    error: str,
    request: str,
    *headers: tuple[bytes, bytes],
    **more: Any,
) -> Answer:
    """Return the answer that says what was wrong, with the id that the log has."""
    told = {"error": error, **more, "request_id": request}
    return Answer(status, [JSON, *headers], dumps(told))


def answer(value: Any, accept: bytes = b"") -> Answer:
    """Return what `value` becomes; `accept` is the request's header of that name.

    Raises:
        ResponseError: a Response has a status or a header that HTTP does not know.
    """
    if isinstance(value, dict):
        return Answer(200, [JSON], dumps(value))
    if isinstance(value, str):
        return Answer(200, [TEXT], _encode(value))
    if isinstance(value, tuple) and len(value) == 2 and _is_status(value[0]):
        return _with_status(value[0], value[1], accept)
    told = _body(value, accept)
    if told is None:
        return Answer(200, [TEXT], _encode(str(value)))
    return told


def piece(value: Any) -> bytes:
    """Return the bytes of one piece of an answer that comes in pieces."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _encode(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    body = getattr(value, "body", None)
    if body is not None and hasattr(value, "status_code"):
        return piece(body)
    return dumps(value) + b"\n"  # so that a reader can tell one from the next


def tidy(told: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers with what depends on the body."""
    if told.status in _BODILESS or told.status < 200:
        told.body = b""
        told.pieces = None
        return [header for header in told.headers if header[0] != b"content-type"]
    if told.pieces is None:
        told.headers.append((b"content-length", b"%d" % len(told.body)))
    return told.headers


# ---- Kinds of values --------------------------------------------------------------


def _with_status(status: int, value: Any, accept: bytes) -> Answer:
    if isinstance(value, str):
        return Answer(status, [TEXT], _encode(value))
    told = _body(value, accept) or Answer(status, [JSON], dumps(value))
    told.status = status
    return told


def _body(value: Any, accept: bytes) -> Answer | None:  # noqa: PLR0911 - a table
    """Return the answer for a value of a known kind, 200 unless it says otherwise."""
    if isinstance(value, (dict, list)):
        return Answer(200, [JSON], dumps(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Answer(200, [TEXT], bytes(value))
    if value is None or isinstance(value, (int, float, str, tuple)):
        return None
    if hasattr(value, "status_code"):
        if hasattr(value, "content_type"):
            return _response(value, accept)
        if callable(value) and hasattr(value, "raw_headers"):  # one of Starlette's
            return Answer(int(value.status_code), [], asgi=value)
    if _is_stream(value):
        return Answer(200, [TEXT], pieces=value)
    table = _table(value, accept)
    if table is not None:
        return table
    if _is_record(value):
        return Answer(200, [JSON], dumps(value))
    return None


def _response(value: Any, accept: bytes) -> Answer:
    status = value.status_code
    if not _is_status(status):
        raise ResponseError(f"a Response has the status {status!r}; wanted: 100 to 599")
    body = value.body
    kind = str(value.content_type)
    told = _body(body, accept) if kind == "text/plain" else None
    if told is None or isinstance(body, (bytes, bytearray, memoryview)):
        told = Answer(200, [TEXT])
        if isinstance(body, (dict, list)):
            told.body = dumps(body)
        elif _is_stream(body):
            told.pieces = body
        elif body is not None:
            told.body = piece(body if isinstance(body, (bytes, str)) else str(body))
        if kind != "text/plain":
            mime = b"application/json" if isinstance(body, dict) else _latin(kind)
            told.headers = [(b"content-type", mime)]
    told.status = int(status)
    told.headers.extend(_headers(value.headers, told))
    return told


def _headers(given: Mapping[Any, Any], told: Answer) -> Iterable[tuple[bytes, bytes]]:
    for name, value in (given or {}).items():
        lower = str(name).lower()
        if not _HEADER_NAME.fullmatch(lower):
            raise ResponseError(f"a Response has a header with the name {name!r}")
        if lower == "content-type":
            told.headers[0] = (b"content-type", _latin(value))
        if lower in _OURS:
            continue
        for one in value if isinstance(value, (list, tuple)) else [value]:
            yield lower.encode(), _latin(one)


def _latin(value: Any) -> bytes:
    text = str(value)
    if _HEADER_FAULT.search(text):
        raise ResponseError(f"a Response has a header with the value {text!r}")
    return text.encode("latin-1", "xmlcharrefreplace")


def _is_status(value: Any) -> bool:
    right = isinstance(value, int) and not isinstance(value, bool)
    return right and value in _STATUSES


def _is_stream(value: Any) -> bool:
    return isinstance(value, (types.GeneratorType, types.AsyncGeneratorType)) or (
        hasattr(value, "__next__") or hasattr(value, "__anext__")
    )


def _is_record(value: Any) -> bool:
    if isinstance(value, type):
        return False
    kind = type(value)
    return (
        hasattr(kind, "model_dump")
        or hasattr(kind, "__dataclass_fields__")
        or isinstance(value, (set, frozenset))
        or (kind.__module__ == "numpy" and kind.__name__ == "ndarray")
    )


# ---- Tables -----------------------------------------------------------------------


def _table(value: Any, accept: bytes) -> Answer | None:
    """Return the answer for a DataFrame, a Series or a table of Arrow."""
    module, name = type(value).__module__.partition(".")[0], type(value).__name__
    if module == "pandas" and name in {"DataFrame", "Series"}:
        writers = _of_pandas(value)
    elif module == "polars" and name in {"DataFrame", "LazyFrame", "Series"}:
        writers = _of_arrow(_polars_table(value))
    elif module == "pyarrow" and name in {"Table", "RecordBatch"}:
        writers = _of_arrow(value)
    else:
        return None
    kind = _best(accept, list(writers))
    return Answer(200, [(b"content-type", kind.encode())], writers[kind]())


ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


def _of_pandas(value: Any) -> dict[str, Callable[[], bytes]]:
    def frame() -> Any:
        return value if hasattr(value, "columns") else value.to_frame()

    def records() -> bytes:
        text = value.to_json(orient="records", date_format="iso")
        return bytes(text.encode())

    def table() -> Any:
        import pyarrow

        return pyarrow.Table.from_pandas(frame())

    return {
        "application/json": records,
        ARROW: lambda: _stream(table()),
        PARQUET: lambda: _parquet(table()),
        "text/csv": lambda: bytes(frame().to_csv(index=False).encode()),
    }


def _of_arrow(value: Any) -> dict[str, Callable[[], bytes]]:
    import pyarrow

    table = value if hasattr(value, "to_batches") else pyarrow.table(value)

    def csv() -> bytes:
        from pyarrow import csv

        sink = pyarrow.BufferOutputStream()
        csv.write_csv(table, sink)
        return bytes(sink.getvalue().to_pybytes())

    return {
        "application/json": lambda: dumps(table.to_pylist()),
        ARROW: lambda: _stream(table),
        PARQUET: lambda: _parquet(table),
        "text/csv": csv,
    }


def _polars_table(value: Any) -> Any:
    if hasattr(value, "collect"):
        value = value.collect()
    return (value if hasattr(value, "columns") else value.to_frame()).to_arrow()


def _stream(table: Any) -> bytes:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _parquet(table: Any) -> bytes:
    import pyarrow
    from pyarrow import parquet

    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


_ALIASES = {
    "application/parquet": PARQUET,
    "application/x-parquet": PARQUET,
    "application/arrow": ARROW,
    "application/x-arrow": ARROW,
}


def _best(accept: bytes, offered: list[str]) -> str:
    """Return the media type that is wanted most; the first one if none is."""
    wanted = []
    for word in accept.decode("latin-1").lower().split(","):
        kind, _, parameters = word.partition(";")
        weight = re.search(r"\bq\s*=\s*([\d.]+)", parameters)
        try:
            quality = float(weight[1]) if weight else 1.0
        except ValueError:
            quality = 0.0
        kind = kind.strip()
        wanted.append((quality, _ALIASES.get(kind, kind)))
    wanted.sort(key=lambda pair: -pair[0])
    for quality, kind in wanted:
        if quality > 0 and kind in offered:
            return kind
        if kind in {"*/*", "application/*"}:
            break
    return offered[0]


# ---- JSON -------------------------------------------------------------------------


def dumps(value: Any) -> bytes:
    """Return JSON that every reader takes, whatever is in `value`."""
    try:
        return _ENCODER.encode(value).encode()
    except (ValueError, TypeError, RecursionError):
        return _ASCII_ENCODER.encode(_plain(value, ())).encode()


def _default(value: Any) -> Any:  # noqa: PLR0911 - a table
    """Return what stands in JSON for a value that JSON does not know."""
    kind = type(value)
    if hasattr(kind, "model_dump") and not isinstance(value, type):
        return value.model_dump(mode="json")
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__}
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if kind.__module__ in {"datetime", "pandas._libs.tslibs.timestamps"}:
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    if kind.__module__ in {"decimal", "uuid", "pathlib", "pathlib._local"}:
        return str(value)
    return repr(value)


_ENCODER = json.JSONEncoder(
    allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_default
)
_ASCII_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_default)


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    """Return `value` with what JSON cannot say said in words: NaN, loops, odd keys."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124
    if value is None or isinstance(value, (str, int, float)):
        return value
    if id(value) in above or len(above) > 200:
        return "..."
    inside = (*above, id(value))
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(key): _plain(one, inside)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(one, inside) for one in value]
    return _plain(_default(value), inside)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
