"""The cache of trees: read-only directories, named by the digest of what is in them.

A tree is filled under another name and then renamed, so that no process ever sees half
of one; who comes second drops his own. All files of a tree carry one and the same time:
a tree whose files have another was written to, and is made anew.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybridge.functions.sources.staging import STAMP, Staging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.functions.sources.limits import Limits

__all__ = ["PARTIAL", "Cache", "remove"]

_STAGING = ".staging-"
PARTIAL = ".partial-"  # how the names of what is being fetched begin
_ABANDONED = 24 * 3600  # seconds after which a staging directory has no owner
_SMALL = 64  # so many entries are looked at on each use, more only on the first one


class Cache:
    """The trees below `<root>/cache/sources`, and what is known of their origins."""

    def __init__(self, root: Path) -> None:
        self.path = root / "cache" / "sources"
        self.trees = self.path / "trees"
        self._origins = self.path / "origins"
        self._locks = self.path / "locks"
        self._trusted: set[str] = set()
        self._swept = False

    def find(self, digest: str) -> Path | None:
        """Return the tree of a digest; None where there is none, or no whole one."""
        path = self.trees / digest
        if digest in self._trusted and path.is_dir():
            return path
        entries = _entries_as_made(path)
        if entries is None:
            if path.is_dir():
                self._discard(path)
            return None
        if entries > _SMALL:
            self._trusted.add(digest)
        return path

    @contextlib.contextmanager
    def staging(
        self, what: str, limits: Limits, *, strict: bool = False
    ) -> Iterator[Staging]:
        """Give a directory to fill; what is not kept is removed."""
        self.trees.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._swept = True
            self._sweep()
        path = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.trees))
        try:
            yield Staging(path, what, limits, strict=strict)
        finally:
            if path.exists():
                remove(path)

    def keep(self, staging: Staging) -> str:
        """Make a tree of what was filled, and return its digest."""
        digest = staging.finish()
        target = self.trees / digest
        while True:
            try:
                staging.path.rename(target)
            except OSError as exc:
                if exc.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                    raise
                if self.find(digest) is None:  # written to by somebody: was discarded
                    continue
                remove(staging.path)
            return digest

    def recall(self, origin: str) -> dict[str, Any]:
        """Return what was noted of an origin; empty where nothing was."""
        try:
            noted = json.loads(self._origin(origin).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def note(self, origin: str, facts: dict[str, Any]) -> None:
        """Note what is known of an origin, such as its digest and its ETag."""
        path = self._origin(origin)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(facts, file)
        Path(name).replace(path)

    @contextlib.contextmanager
    def alone(self, origin: str) -> Iterator[None]:
        """Let one process at a time fetch from an origin: the others find it here."""
        self._locks.mkdir(parents=True, exist_ok=True)
        with (self._locks / _name(origin)).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _origin(self, origin: str) -> Path:
        return self._origins / f"{_name(origin)}.json"

    def _discard(self, path: Path) -> None:
        """Take away a tree that was written to; another process may be doing so too."""
        aside = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.trees))
        with contextlib.suppress(OSError):
            path.rename(aside / "tree")
        remove(aside)

    def _sweep(self) -> None:
        """Remove what processes that were killed have left behind."""
        left = (*self.trees.glob(f"{_STAGING}*"), *self.path.glob(f"{PARTIAL}*"))
        for path in left:
            with contextlib.suppress(OSError):
                if path.stat().st_ctime < time.time() - _ABANDONED:
                    remove(path)


def remove(path: Path) -> None:
    """Remove a file, or a directory, also one that is read-only."""
    for directory, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            Path(directory).chmod(0o700)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _name(origin: str) -> str:
    return hashlib.sha256(origin.encode(errors="surrogateescape")).hexdigest()


def _entries_as_made(path: Path) -> int | None:
    """Count the entries of a tree; None where one of them was written to since."""
    count = 0
    waiting = [os.fspath(path)]
    try:
        if os.stat(path).st_mtime != STAMP:  # noqa: PTH116 - on the way of every run
            return None
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_mtime != STAMP:
                        return None
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
                    count += 1
    except OSError:
        return None
    return count
