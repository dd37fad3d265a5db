"""Zip archives: taken apart without trusting a word of them, and put together."""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from pybridge.errors import BadArgument, BridgeError, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.functions.sources.staging import Staging

__all__ = ["pack", "unpack"]

# What zipfile and what it unpacks with raise when the bytes make no sense.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_OF_DATA = (None, errno.EINVAL)  # what an OSError is then; others are the disk's

_CHUNK = 64 * 1024
_ENCRYPTED = 0x1
_STAMP = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
# What the machines that pack leave behind, and nobody means.
_LEFTOVERS = ("__MACOSX/", ".DS_Store")


def unpack(path: Path, staging: Staging) -> None:
    """Take an archive apart into a staging directory.

    Raises:
        BadArgument: it is not a zip archive, is damaged, or has an entry to be refused.
        TooLarge: it is more than the limits allow.

    """
    staging.packed = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            _take(archive, staging)
    except BridgeError:
        raise
    except _DAMAGED as exc:
        if isinstance(exc, OSError) and exc.errno not in _OF_DATA:
            raise
        raise BadArgument(
            f"'{staging.what}' is not a zip archive that can be read: {exc}"
        ) from None


def _take(archive: zipfile.ZipFile, staging: Staging) -> None:
    """Take all entries; what is said of their size is believed only to refuse."""
    entries = archive.infolist()
    limits, what = staging.limits, staging.what
    if len(entries) > limits.max_files:
        raise TooLarge(
            f"'{what}' is refused: it has {len(entries)} entries, more than "
            f"{limits.max_files}; raise max_files in [functions.sources]"
        )
    said = sum(entry.file_size for entry in entries)
    if said > limits.max_bytes:
        raise TooLarge(
            f"'{what}' is refused: it unpacks to {said} bytes, more than "
            f"{limits.max_bytes}; raise max_bytes in [functions.sources]"
        )
    for entry in entries:
        if "\0" in entry.orig_filename:
            raise BadArgument(
                f"'{what}' is refused: its entry {entry.filename!r} has a NUL "
                "character in its name"
            )
        name = entry.filename.replace("\\", "/")
        if name.startswith(_LEFTOVERS[0]) or name.rpartition("/")[2] == _LEFTOVERS[1]:
            continue
        _take_entry(archive, entry, name, staging)


def _take_entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, staging: Staging
) -> None:
    """Take one entry."""
    if entry.flag_bits & _ENCRYPTED:
        raise BadArgument(
            f"'{staging.what}' is refused: its entry {name!r} is encrypted"
        )
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    kind = stat.S_IFMT(mode)
    if name.endswith("/"):
        staging.directory(name)
    elif kind == stat.S_IFLNK:
        if entry.file_size > staging.limits.max_path:
            raise BadArgument(
                f"'{staging.what}' is refused: its link {name!r} is longer than "
                f"{staging.limits.max_path} characters"
            )
        target = b"".join(_chunks(archive, entry))
        staging.link(name, target.decode(errors="surrogateescape"))
    elif kind in {0, stat.S_IFREG}:
        executable = bool(mode & 0o100)
        staging.file(name, _chunks(archive, entry), executable=executable)
    else:
        raise BadArgument(
            f"'{staging.what}' is refused: its entry {name!r} is not a file, directory "
            "or link"
        )


def _chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Give the bytes of an entry as they come out."""
    with archive.open(entry) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def pack(tree: Path, path: Path) -> None:
    """Put a tree into an archive that is always the same for the same tree."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(tree.rglob("*")):
            if not file.is_symlink() and file.is_dir():
                continue
            mode = file.lstat().st_mode
            entry = zipfile.ZipInfo(file.relative_to(tree).as_posix(), _STAMP)
            entry.create_system = _UNIX
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            if file.is_symlink():
                archive.writestr(entry, str(file.readlink()))
            else:
                with file.open("rb") as source, archive.open(entry, "w") as target:
                    while chunk := source.read(_CHUNK):
                        target.write(chunk)
