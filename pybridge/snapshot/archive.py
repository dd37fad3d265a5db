"""Snapshots in one file each: taken out of a store, and into another.

The file is a zip of members that are not compressed: the rows as JSON, each pickle,
each buffer. What it says is signed as it was in the store.
"""

from __future__ import annotations

import json
import secrets
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument
from pybridge.snapshot.buffers import Folder
from pybridge.snapshot.catalog import opened
from pybridge.snapshot.store import FORMAT, TABLES

if TYPE_CHECKING:
    from pybridge.snapshot.store import Store

__all__ = ["export", "load"]

_COLUMNS = (
    "name", "description", "created", "python", "format", "manifest", "signature",
    "key",
)  # fmt: skip
_ROWS = "rows.json"
# An edit may have made a text of it.
_SELECTED = {"pybridge_pickle": "context, number, cast(data as blob)"}


def export(id: int | str, path: str | Path, store: Store | None = None) -> Path:
    """Write a snapshot with all that belongs to it to one file, and return its path.

    The file is there when it is whole; one of that name is replaced.

    Raises:
        UnknownSnapshot: there is no such snapshot.
        BadArgument: a buffer is missing, or the file cannot be written.

    """
    target = Path(path)
    with opened(store) as at:
        which = at.resolve(id)
        (head,) = at.query(
            f"select {', '.join(_COLUMNS)} from pybridge_context where id = ?", [which]
        )
        tables = {
            table: at.query(
                f"select {_SELECTED.get(table, '*')} from {table} where context = ?",
                [which],
            )
            for table in TABLES
        }
        folder = Folder(at.buffers)
    part = target.with_name(f".{target.name}-{secrets.token_hex(8)}.part")
    try:
        with zipfile.ZipFile(part, "x", zipfile.ZIP_STORED) as archive:
            _write(archive, head, tables)
            wanted = {(row[3], row[4]) for row in tables["pybridge_buffer"]}
            for name, size in sorted(wanted):
                (data,) = folder.open([(name, size)])
                with archive.open(
                    f"buffers/{name}-{size}", "w", force_zip64=True
                ) as to:
                    to.write(data)
        part.chmod(0o600)
        part.replace(target)
    except OSError as exc:
        raise BadArgument(f"'{target}' cannot be written: {exc.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
    return target


def _write(archive: zipfile.ZipFile, head: Any, tables: dict[str, Any]) -> None:
    blobs = 0

    def plain(value: Any) -> Any:
        nonlocal blobs
        if not isinstance(value, bytes):
            return value
        archive.writestr(f"blobs/{blobs}", value)
        blobs += 1
        return {"blob": blobs - 1}

    rows = {
        table: [[plain(one) for one in row[1:]] for row in found]
        for table, found in tables.items()
    }
    whole = {"pybridge": FORMAT, "context": list(head), "tables": rows}
    archive.writestr(_ROWS, json.dumps(whole))


def load(path: str | Path, store: Store | None = None) -> int:
    """Take the snapshot of an exported file into a store, and return its id there.

    It is not loaded by that, and still signed by whoever has saved it.

    Raises:
        BadArgument: the file is not one that `export` has written.

    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _load(archive, store)
    except (
        zipfile.BadZipFile,
        OSError,
        KeyError,
        ValueError,
        TypeError,
        EOFError,
    ) as exc:
        if isinstance(exc, BadArgument):
            raise
        raise BadArgument(
            f"'{path}' is no exported snapshot: {type(exc).__name__}: {exc}"
        ) from None


def _load(archive: zipfile.ZipFile, store: Store | None) -> int:
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:
            # Ours are not: what is small and becomes huge when it is read is no guest.
            raise BadArgument(f"its member '{member.filename}' is compressed")
    whole = json.loads(archive.read(_ROWS))
    if whole.get("pybridge") != FORMAT:
        raise BadArgument(
            f"the file has the format {whole.get('pybridge')!r}, this pybridge reads "
            f"{FORMAT}"
        )
    head = [_cell(one, archive) for one in whole["context"]]
    tables = {
        table: [[_cell(one, archive) for one in row] for row in whole["tables"][table]]
        for table in TABLES
    }
    with opened(store) as at:
        folder = Folder(at.buffers, at.durable())
        wanted = sorted(
            {(str(row[2]), int(row[3])) for row in tables["pybridge_buffer"]}
        )
        with at.transaction():
            at.create()
            marks = ", ".join("?" * len(_COLUMNS))
            into = f"pybridge_context ({', '.join(_COLUMNS)})"
            at.execute(f"insert into {into} values ({marks})", head)
            ((which,),) = at.query("select max(id) from pybridge_context")
            for name, size in wanted:
                _take(archive, folder, name, size)
            for table, rows in tables.items():
                at.insert(table, [[which, *row] for row in rows])
    return int(which)


def _take(archive: zipfile.ZipFile, folder: Folder, name: str, size: int) -> None:
    """Write one buffer, which has to be what its name says."""
    if folder.has(name, size):
        return
    member = archive.getinfo(f"buffers/{name}-{size}")
    if member.file_size != size:
        raise BadArgument(
            f"the buffer '{name}' has {member.file_size} bytes, not {size}"
        )
    (written,) = folder.write_all([memoryview(archive.read(member))])
    if written != name:
        raise BadArgument(f"the buffer '{name}' holds something else")


def _cell(value: Any, archive: zipfile.ZipFile) -> Any:
    if isinstance(value, dict):
        return archive.read(f"blobs/{int(value['blob'])}")
    if value is None or isinstance(value, str | int):
        return value
    raise BadArgument(f"a cell is of type {type(value).__name__}")
