"""Runtime: the part of this package that goes with a run into a container."""

from __future__ import annotations

import functools
import hashlib
import io
import shutil
import zipfile
from pathlib import Path
from typing import Iterator

__all__ = ["copy", "digest", "files", "packed"]

_ROOT = Path(__file__).resolve().parent.parent
# What a run uses of the rest of the package, and what it does not use of this one.
_OTHERS = (
    "__init__.py",
    "_names.py",
    "_programs.py",
    "_words.py",
    "detached.py",
    "errors.py",
    "host.py",
    "key.py",
    "location.py",
    "masking.py",
    "settings.py",
    "status.py",
    "wire.py",
)
_LEFT_OUT = (
    "manifests",
    "engines/kubernetes.py",
    "engines/workload.py",
    "build.py",
    "dockerfile.py",
    "runtime.py",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that zip knows: it says nothing


def files() -> Iterator[tuple[str, Path]]:
    """Yield the files, by their names in the package, in the order of those."""
    for name in _OTHERS:
        if (_ROOT / name).is_file():
            yield f"pybridge/{name}", _ROOT / name
    folder = _ROOT / "functions"
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(_LEFT_OUT):
            yield f"pybridge/functions/{name}", path


@functools.lru_cache(maxsize=1)
def packed() -> bytes:
    """Return them as a zip archive: the same bytes for the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in files():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return made.getvalue()


@functools.lru_cache(maxsize=1)
def digest() -> str:
    """Return what they are found by."""
    found = hashlib.sha256()
    for name, path in files():
        found.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def copy(target: Path) -> None:
    """Put them into a directory."""
    for name, path in files():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(path), str(place))
