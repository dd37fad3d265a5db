"""Files of entities: at a path of this machine, or at a URL that fsspec knows."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from errno import ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pybridge.errors import BadArgument, HostError
from pybridge.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "copy",
    "describe",
    "digest_of",
    "fetch",
    "is_url",
    "local",
    "name_of",
    "read",
    "replacing",
    "store",
    "store_bytes",
]

_PIECE = 1 << 20
_PATIENCE = 60  # seconds that a web server may be silent
_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".pickle": "application/octet-stream",
    ".pkl": "application/octet-stream",
    ".csv": "text/csv",
    ".json": "application/json",
    ".txt": "text/plain",
}


def is_url(path: str) -> bool:
    """Tell whether a path leads out of this machine's file system."""
    return "://" in path and not path.startswith("file://")


def name_of(path: str) -> str:
    """Return what a file at a path or URL is called; what signs a URL is no name."""
    if path.startswith(("http://", "https://")):
        path = unquote(urlsplit(path).path)
    return path.rstrip("/").rpartition("/")[2]


def local(path: str | os.PathLike[str]) -> Path:
    """Return a path of this machine, also where it is written as `file://`."""
    text = os.fspath(path)
    if text.startswith("file://"):
        from urllib.request import url2pathname

        text = url2pathname(urlsplit(text).path)
    return Path(text).expanduser()


def filesystem(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        BadArgument: the package that knows such URLs is not installed.

    """
    url = url.replace("s3a://", "s3://", 1).replace("s3n://", "s3://", 1)
    try:
        import fsspec.core

        found = fsspec.core.url_to_fs(url, **_options(url))
    except ImportError as exc:
        scheme = url.partition("://")[0]
        cure = "; pip install 'pybridge[s3]'" if scheme == "s3" else ""
        raise BadArgument(f"'{url}' cannot be reached: {exc}{cure}") from None
    except ValueError as exc:
        raise BadArgument(f"'{url}' cannot be reached: {exc}") from None
    return found[0], str(found[1])


def _options(url: str) -> dict[str, Any]:
    """Return what the environment says about a kind of URL."""
    if url.startswith("s3://"):
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get(
            "S3_ENDPOINT_URL"
        )
        # What is written by one process is looked for by the next.
        options: dict[str, Any] = {"use_listings_cache": False}
        return {**options, "endpoint_url": endpoint} if endpoint else options
    return {}


# ---- Writing -------------------------------------------------------------------------


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a path to write to; what is there at the end takes the place of `path`.

    Who reads meanwhile sees the old file, or the new one, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}")
    try:
        yield part
        try:
            part.replace(path)
        except OSError:
            if not part.is_dir():
                raise
            _swap(part, path)
    except BaseException as exc:
        with suppress(OSError):
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink()
        if isinstance(exc, OSError) and exc.filename in {None, str(part)}:
            raise _failure(exc, path) from exc
        raise


def _swap(part: Path, path: Path) -> None:
    """Put a directory in the place of another, or of a file."""
    old = part.with_name(part.name + ".old")
    path.rename(old)
    part.rename(path)
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink()


def _failure(exc: OSError, path: Path) -> Exception:
    cure = "; make room and do it again" if exc.errno == ENOSPC else ""
    return HostError(f"'{path}' cannot be written: {exc.strerror or exc}{cure}")


def store_bytes(data: Any, target: str) -> dict[str, Any]:
    """Write bytes to a path or URL, all or nothing, and describe the file."""
    if is_url(target):
        system, place = filesystem(target)
        with suppress(NotImplementedError, FileExistsError):
            system.makedirs(place.rpartition("/")[0], exist_ok=True)
        system.pipe_file(place, bytes(data))
    else:
        path = local(target)
        with replacing(path) as part:
            part.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return _entry(target, name_of(target), len(data), digest)


def store(source: Path, target: str) -> list[dict[str, Any]]:
    """Copy a file or a directory to a path or URL, and describe its files.

    Raises:
        BadArgument: there is no such file.

    """
    if not source.exists():
        raise BadArgument(f"there is no file '{source}'")
    if is_url(target):
        system, place = filesystem(target)
        system.put(str(source), place, recursive=source.is_dir())
    else:
        path = local(target)
        if path.absolute() != source.absolute():
            copy(source, path)
    return describe(str(source), named=target)


def copy(source: Path, path: Path) -> None:
    """Copy a file or a directory, all or nothing."""
    with replacing(path) as part:
        if source.is_dir():
            shutil.copytree(source, part)
        else:
            shutil.copyfile(source, part)


# ---- Reading -------------------------------------------------------------------------


def read(path: str) -> bytes:
    """Return the bytes of a file at a path or URL.

    Raises:
        BadArgument: there is none.

    """
    if path.startswith(("http://", "https://")):
        return _downloaded(path)
    try:
        if is_url(path):
            system, place = filesystem(path)
            return bytes(system.cat_file(place))
        return local(path).read_bytes()
    except FileNotFoundError:
        raise BadArgument(f"there is no file '{path}'") from None


def _downloaded(url: str) -> bytes:
    """Return what a web server gives.

    Raises:
        BadArgument: it gives nothing.

    """
    import requests

    try:
        answer = requests.get(url, timeout=_PATIENCE)
        answer.raise_for_status()
    except requests.RequestException as exc:
        signed = urlsplit(url).query
        told = f"'{url}' cannot be read: {exc}"
        raise BadArgument(mask(told.replace(f"?{signed}", ""))) from None
    return bytes(answer.content)


def fetch(path: str, destination: Path, overwrite: bool = False) -> Path:
    """Copy what is at a path or URL to a path of this machine, and return that.

    A destination that is a directory takes it under its own name.

    Raises:
        BadArgument: there is nothing, or the destination exists and is to stay.

    """
    name = name_of(path) or "data"
    if destination.is_dir():
        destination /= name
    if destination.exists() and not overwrite:
        raise BadArgument(
            f"'{destination}' exists already; pass overwrite=True, or another path"
        )
    if not is_url(path):
        source = local(path)
        if not source.exists():
            raise BadArgument(f"there is no file '{source}'")
        if source.absolute() != destination.absolute():
            copy(source, destination)
        return destination
    if path.startswith(("http://", "https://")):
        store_bytes(_downloaded(path), str(destination))
        return destination
    system, place = filesystem(path)
    if not system.exists(place):
        raise BadArgument(f"there is no file '{path}'")
    with replacing(destination) as part:
        if system.isdir(place):
            _refuse_ways_out(path, system.find(place))
            part.mkdir(mode=0o700)
            system.get(place.rstrip("/") + "/", str(part) + "/", recursive=True)
        else:
            system.get_file(place, str(part))
    return destination


def _refuse_ways_out(path: str, names: Iterable[str]) -> None:
    """Refuse a directory elsewhere in which a name leads out of it.

    Raises:
        BadArgument: one does.

    """
    for name in names:
        if ".." in name.split("/"):
            raise BadArgument(
                f"'{path}' is refused: its file '{name}' leads out of the directory"
            )


# ---- Describing ----------------------------------------------------------------------


def describe(path: str, named: str | None = None) -> list[dict[str, Any]]:
    """Return the entries of files at a path of this machine: size, hash, type."""
    root = local(path)
    name = name_of(named or path)
    if not root.is_dir():
        return [_entry(named or path, name, root.stat().st_size, digest_of(root))]
    found = sorted(one for one in root.rglob("*") if one.is_file())
    return [
        _entry(
            one.relative_to(root).as_posix(),
            one.name,
            one.stat().st_size,
            digest_of(one),
        )
        for one in found
    ]


def digest_of(path: Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while True:
            piece = file.read(_PIECE)
            if not piece:
                return digest.hexdigest()
            digest.update(piece)


def _entry(path: str, name: str, size: int, digest: str) -> dict[str, Any]:
    now = datetime.now(timezone.utc)
    return {
        "path": path if not path.startswith("/") and not is_url(path) else name,
        "name": name,
        "content_type": _content_type(name),
        "size": size,
        "hash": f"sha256:{digest}",
        "last_modified": now.isoformat(timespec="seconds"),
    }


def _content_type(name: str) -> str:
    known = _TYPES.get(os.path.splitext(name)[1].lower())  # noqa: PTH122 - a name only
    if known is not None:
        return known
    import mimetypes

    return mimetypes.guess_type(name)[0] or "application/octet-stream"
