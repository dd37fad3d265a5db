"""Staging: a directory that is being filled, file by file, within the limits.

Every source goes through it, so that no source can write where it should not: names are
checked before anything is made of them, nothing is written through a link, and the
bytes are counted as they come, not as an archive says that they will.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from typing import TYPE_CHECKING

from pybridge.errors import BadArgument, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pybridge.functions.sources.limits import Limits

__all__ = ["STAMP", "Staging", "digest_of_file", "parts_of"]

# The time that all files of a tree have: whoever changes a tree changes that.
STAMP = 315_532_800  # the first second of 1980, the first one of zip
_NAME_MAX = 255
_RATIO_FROM = 16 * 1024 * 1024


def parts_of(name: str, what: str, limits: Limits) -> tuple[str, ...]:
    """Return the components of a file's name in a source.

    Raises:
        BadArgument: the name leads out of the tree, or cannot be a file's.

    """
    wrong = _fault(name)
    if wrong is None and len(name) > limits.max_path:
        wrong = f"is longer than {limits.max_path} characters"
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if wrong is None and len(parts) > limits.max_depth:
        wrong = f"is deeper than {limits.max_depth} directories"
    if wrong is None and not parts:
        wrong = "is empty"
    if wrong is not None:
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        raise BadArgument(f"'{what}' is refused: its entry {shown!r} {wrong}")
    return parts


def _fault(name: str) -> str | None:  # noqa: PLR0911 - one for each fault
    """Say what is wrong with a name; None where nothing is."""
    if name.startswith("/"):
        return "is an absolute path"
    if len(name) > 1 and name[1] == ":" and name[0].isalpha():
        return "is an absolute path of Windows"
    if ".." in name.split("/"):
        return "leads out of the archive"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "has a control character in its name"
    try:
        encoded = [part.encode() for part in name.split("/")]
    except UnicodeEncodeError:
        return "has a name that is not Unicode"
    if any(len(part) > _NAME_MAX for part in encoded):
        return f"has a name of more than {_NAME_MAX} bytes"
    return None


def digest_of_file(name: str, content: bytes) -> str:
    """Return the digest of the tree that is this one file."""
    return _digest({name: ("f", hashlib.sha256(content).hexdigest())})


def _digest(entries: dict[str, tuple[str, str]]) -> str:
    """Return the digest of a tree: the kinds, digests and names of its files."""
    digest = hashlib.sha256()
    for name in sorted(entries):
        kind, content = entries[name]
        digest.update(f"{kind} {content} {name}\0".encode())
    return digest.hexdigest()


class Staging:
    """A directory that becomes a tree.

    `strict` is for archives: there, two names that differ only in case are refused, as
    what comes out of them depends on the machine.
    """

    def __init__(
        self, path: Path, what: str, limits: Limits, *, strict: bool = False
    ) -> None:
        self.path = path
        self.what = what
        self.limits = limits
        self.strict = strict
        self.packed: int | None = None  # the bytes that an archive is long
        self._bytes = 0
        self._seen: dict[str, str] = {}
        self._directories: set[tuple[str, ...]] = {()}
        self._entries: dict[str, tuple[str, str]] = {}
        self._links: dict[str, str] = {}

    def directory(self, name: str) -> None:
        """Take a directory; one that stays empty is no part of the tree."""
        self._make(parts_of(name, self.what, self.limits))

    def file(
        self, name: str, chunks: Iterable[bytes], *, executable: bool = False
    ) -> None:
        """Write one file.

        Raises:
            BadArgument: the name is refused, or there already.
            TooLarge: this is more than the limits allow.

        """
        parts = self._claim(name)
        digest = hashlib.sha256()
        target = self.path.joinpath(*parts)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(target, flags, 0o600), "wb") as file:  # noqa: PTH123
            for chunk in chunks:
                self._count(len(chunk))
                digest.update(chunk)
                file.write(chunk)
        kind = "x" if executable else "f"
        self._entries["/".join(parts)] = (kind, digest.hexdigest())

    def link(self, name: str, target: str) -> None:
        """Take a symbolic link; it is made when all files are there.

        Raises:
            BadArgument: the name is refused, or the target is an absolute path.

        """
        parts = self._claim(name)
        if target.startswith("/") or not target or "\0" in target:
            raise BadArgument(
                f"'{self.what}' is refused: its link {name!r} points to {target!r}; "
                "links have to stay inside"
            )
        self._links["/".join(parts)] = target
        digest = hashlib.sha256(target.encode(errors="surrogateescape"))
        self._entries["/".join(parts)] = ("l", digest.hexdigest())

    def finish(self) -> str:
        """Make the links, make all read-only, and return the digest of the content.

        Raises:
            BadArgument: a link leads out of the tree, or there is no file.

        """
        if not self._entries:
            raise BadArgument(f"'{self.what}' is refused: there is no file in it")
        for name, target in self._links.items():
            (self.path / name).symlink_to(target)
        inside = os.path.realpath(self.path)
        for name, target in self._links.items():
            real = os.path.realpath(self.path / name)
            if real != inside and not real.startswith(inside + os.sep):
                raise BadArgument(
                    f"'{self.what}' is refused: its link {name!r} points to "
                    f"{target!r}; links have to stay inside"
                )
        self._seal()
        return _digest(self._entries)

    def _claim(self, name: str) -> tuple[str, ...]:
        """Take a name for a file or link, and make the directories it stands in."""
        parts = parts_of(name, self.what, self.limits)
        self._make(parts[:-1])
        self._take(parts, name)
        if parts in self._directories:
            self._collides(name, "/".join(parts) + "/")
        if len(self._entries) >= self.limits.max_files:
            raise TooLarge(
                f"'{self.what}' is refused: it has more than {self.limits.max_files} "
                "files; raise max_files in [functions.sources]"
            )
        return parts

    def _make(self, parts: tuple[str, ...]) -> None:
        """Make a directory with those above it."""
        if parts in self._directories:
            return
        self._make(parts[:-1])
        self._take(parts, "/".join(parts))
        if len(self._directories) > self.limits.max_files:
            raise TooLarge(
                f"'{self.what}' is refused: it has more than {self.limits.max_files} "
                "directories; raise max_files in [functions.sources]"
            )
        self._directories.add(parts)
        self.path.joinpath(*parts).mkdir()

    def _take(self, parts: tuple[str, ...], name: str) -> None:
        """Refuse what is there already, if only on another machine."""
        whole = "/".join(parts)
        key = whole
        if self.strict:
            key = unicodedata.normalize("NFC", whole).casefold()
        if key in self._seen:
            self._collides(name, self._seen[key])
        self._seen[key] = whole

    def _collides(self, name: str, other: str) -> None:
        raise BadArgument(
            f"'{self.what}' is refused: its entry {name!r} collides with {other!r}"
        )

    def _count(self, size: int) -> None:
        """Count bytes that come out.

        Raises:
            TooLarge: they are more than the limits allow.

        """
        self._bytes += size
        if self._bytes > self.limits.max_bytes:
            raise TooLarge(
                f"'{self.what}' is refused: it has more than {self.limits.max_bytes} "
                "bytes; raise max_bytes in [functions.sources]"
            )
        packed = self.packed
        if packed is None or self._bytes <= _RATIO_FROM:
            return
        if self._bytes > packed * self.limits.max_ratio:
            raise TooLarge(
                f"'{self.what}' is refused: it unpacks to more than "
                f"{self.limits.max_ratio} times its size; raise max_ratio in "
                "[functions.sources]"
            )

    def _seal(self) -> None:
        """Make the tree read-only, and give all of it the one time."""
        for name, (kind, _) in self._entries.items():
            path = self.path / name
            if kind == "l":
                os.utime(path, (STAMP, STAMP), follow_symlinks=False)
                continue
            path.chmod(0o555 if kind == "x" else 0o444)
            os.utime(path, (STAMP, STAMP))
        for parts in sorted(self._directories, key=len, reverse=True):
            path = self.path.joinpath(*parts)
            path.chmod(0o555)
            os.utime(path, (STAMP, STAMP))
