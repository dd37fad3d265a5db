"""The other drivers, one of them per process, doing what they are told.

Runs in .venv-bench: `python peers.py DATABASE PEER`. Each line of input is a JSON
object, each line of output the JSON answer to it; `seconds` is the time from the text
of the query to the DataFrame, or from the DataFrame to the committed table.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[str], Any]
    Write = Callable[[Any, str], float]

# pandas says that it has not been tested with pyodbc, every time.
warnings.filterwarnings("ignore", category=UserWarning)

# Longer than any text in the data: what ODBC drivers allocate for each cell.
TEXT = 64
ODBC = "Driver=SQLite3;Database={}"


def module(name: str) -> Any:
    """Import a peer's module; it is no dependency of the project."""
    return importlib.import_module(name)


# ---- Reading ----------------------------------------------------------------------


def read_pandas(path: str, _: dict[str, Any]) -> Read:
    """pandas.read_sql on the sqlite3 module."""
    connection = module("sqlite3").connect(path)
    pandas = module("pandas")
    return lambda sql: pandas.read_sql(sql, connection)


def read_pyodbc(path: str, _: dict[str, Any]) -> Read:
    """pandas.read_sql on pyodbc."""
    connection = module("pyodbc").connect(ODBC.format(path))
    pandas = module("pandas")
    return lambda sql: pandas.read_sql(sql, connection)


def read_adbc(path: str, options: dict[str, Any]) -> Read:
    """adbc-driver-sqlite; options: batch."""
    connection = module("adbc_driver_sqlite.dbapi").connect(path)
    batch = str(options.get("batch", 1024))

    def read(sql: str) -> Any:
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": batch})
            cursor.execute(sql)
            return cursor.fetch_df()

    return read


def read_connectorx(path: str, options: dict[str, Any]) -> Read:
    """connectorx; options: arrow (its other way out), partition (column, number)."""
    connectorx = module("connectorx")
    uri = f"sqlite://{path}"
    if "partition" in options:
        column, number = options["partition"]
        return lambda sql: connectorx.read_sql(
            uri, sql, partition_on=column, partition_num=number
        )
    if options.get("arrow"):
        return lambda sql: connectorx.read_sql(
            uri, sql, return_type="arrow"
        ).to_pandas()
    return lambda sql: connectorx.read_sql(uri, sql)


def read_arrow_odbc(path: str, _: dict[str, Any]) -> Read:
    """arrow-odbc, fetching the next batch on another thread."""
    arrow_odbc = module("arrow_odbc")
    pyarrow = module("pyarrow")

    def read(sql: str) -> Any:
        reader = arrow_odbc.read_arrow_batches_from_odbc(
            query=sql,
            connection_string=ODBC.format(path),
            batch_size=65535,
            max_text_size=TEXT,
            fetch_concurrently=True,
        )
        return pyarrow.Table.from_batches(reader, schema=reader.schema).to_pandas()

    return read


def read_turbodbc(path: str, _: dict[str, Any]) -> Read:
    """Turbodbc's Arrow results, with reading and converting side by side."""
    turbodbc = module("turbodbc")
    options = turbodbc.make_options(
        read_buffer_size=turbodbc.Megabytes(8),
        varchar_max_character_limit=TEXT,
        prefer_unicode=False,
        use_async_io=True,
    )
    connection = turbodbc.connect(
        driver="SQLite3", database=path, turbodbc_options=options
    )

    def read(sql: str) -> Any:
        cursor = connection.cursor()
        cursor.execute(sql)
        frame = cursor.fetchallarrow().to_pandas()
        cursor.close()
        return frame

    return read


READERS: dict[str, Callable[[str, dict[str, Any]], Read]] = {
    "pandas": read_pandas,
    "pyodbc": read_pyodbc,
    "adbc": read_adbc,
    "connectorx": read_connectorx,
    "arrow-odbc": read_arrow_odbc,
    "turbodbc": read_turbodbc,
}


# ---- Writing ----------------------------------------------------------------------


def write_pandas(frame: Any, path: str) -> float:
    """DataFrame.to_sql on the sqlite3 module."""
    connection = module("sqlite3").connect(path)
    connection.execute("pragma synchronous = off")
    begun = time.perf_counter()
    frame.to_sql("w", connection, index=False)
    connection.commit()
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds


def write_adbc(frame: Any, path: str) -> float:
    """ADBC's bulk ingest of an Arrow table made of the frame."""
    pyarrow = module("pyarrow")
    connection = module("adbc_driver_sqlite.dbapi").connect(path, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("pragma synchronous = off")
    begun = time.perf_counter()
    with connection.cursor() as cursor:
        rows = pyarrow.Table.from_pandas(frame, preserve_index=False)
        cursor.adbc_ingest("w", rows, mode="create")  # one transaction of its own
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds


WRITERS: dict[str, Write] = {"pandas": write_pandas, "adbc": write_adbc}


# ---- Functions --------------------------------------------------------------------


def connect_sqlite3(function: Callable[..., Any]) -> Any:
    """Return the sqlite3 module's connection with `f` in it."""
    connection = module("sqlite3").connect(":memory:", isolation_level=None)
    connection.create_function("f", 1, function, deterministic=True)
    return connection


def connect_apsw(function: Callable[..., Any]) -> Any:
    """Return apsw's connection with `f` in it."""
    connection = module("apsw").Connection(":memory:")
    connection.create_scalar_function("f", function, 1, deterministic=True)
    return connection


def connect_threaded(function: Callable[..., Any]) -> Any:
    """Return apsw's connection with `f` in it, in a process with a second thread."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return connect_apsw(function)


def connect_attached(_: Callable[..., Any]) -> Any:
    """Return apsw's connection for the library to be loaded into."""
    connection = module("apsw").Connection(":memory:")
    connection.enable_load_extension(True)
    return connection


CONNECTIONS = {
    "sqlite3": connect_sqlite3,
    "apsw": connect_apsw,
    "threaded": connect_threaded,
    "attached": connect_attached,
}


# ---- What is asked for ------------------------------------------------------------


class Worker:
    """One peer on one database."""

    def __init__(self, path: str, peer: str) -> None:
        self.path = path
        self.peer = peer
        self.frame: Any = None
        self.read: Read | None = None
        self.connection: Any = None

    def do_open(self, options: dict[str, Any]) -> dict[str, Any]:
        """Connect, ready to read."""
        self.read = READERS[self.peer](self.path, options)
        return {}

    def do_read(self, sql: str, save: str = "") -> dict[str, Any]:
        """Read once; with `save`, pickle the frame there."""
        assert self.read is not None
        begun = time.perf_counter()
        frame = self.read(sql)
        seconds = time.perf_counter() - begun
        if save:
            frame.to_pickle(save)
        del frame
        gc.collect()
        return {"seconds": seconds}

    def do_peak(self, warm: str, sql: str) -> dict[str, Any]:
        """Read once and return the memory at the peak above that before."""
        assert self.read is not None
        self.read(warm)
        gc.collect()
        base = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        frame = self.read(sql)
        return {
            "peak": status("VmHWM") - base,
            "frame": int(frame.memory_usage(deep=True).sum()),
        }

    def do_load(self, pickle: str) -> dict[str, Any]:
        """Take the frame that is to be written."""
        self.frame = module("pandas").read_pickle(pickle)
        return {}

    def do_write(self, path: str) -> dict[str, Any]:
        """Write the frame to table `w` of a new database."""
        return {"seconds": WRITERS[self.peer](self.frame, path)}

    def do_define(self, source: str, setup: list[str]) -> dict[str, Any]:
        """Connect to an empty database in memory, with the function `f`."""
        names: dict[str, Any] = {}
        exec(source, names)  # noqa: S102 (the benchmark's own words)
        self.connection = CONNECTIONS[self.peer](names["f"])
        for sql in setup:
            self.connection.execute(sql).fetchall()
        return {}

    def do_sql(self, sql: str) -> dict[str, Any]:
        """Run one query and return its first cell."""
        begun = time.perf_counter()
        row = self.connection.execute(sql).fetchone()
        return {"seconds": time.perf_counter() - begun, "value": row[0]}


def status(name: str) -> int:
    """Return a line of this process's status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def main() -> None:
    """Answer line by line until the input ends."""
    worker = Worker(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, f"do_{request.pop('do')}")(**request)
        except Exception as problem:
            answer = {"error": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
