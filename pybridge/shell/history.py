"""What was typed, kept across sessions in one file that only its user can read."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.history import FileHistory, InMemoryHistory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.history import History

__all__ = ["history", "place"]

# Beyond the one it is cut to the other, with the newest inputs.
_MOST_BYTES = 4 * 1024 * 1024
_KEPT_BYTES = 2 * 1024 * 1024


def place() -> Path:
    """Return the path of the file: `$XDG_STATE_HOME/pybridge/history`."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "pybridge" / "history"


def history() -> History:
    """Return the history; where the file cannot be written, one for this time only."""
    path = place()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path) as file:
            _cut(file)
    except OSError as exc:
        sys.stderr.write(f"the history is not kept: {exc}\n")
        return InMemoryHistory()
    return _Shared(str(path))


class _Shared(FileHistory):
    """prompt_toolkit's file, written in whole entries that shells do not mix up."""

    def store_string(self, string: str) -> None:
        lines = "".join(f"+{line}\n" for line in string.split("\n"))
        entry = f"\n# {datetime.now()}\n{lines}".encode("utf-8", "replace")
        try:
            with _locked(Path(os.fsdecode(self.filename))) as file:
                os.write(file, entry)
        except OSError as exc:
            sys.stderr.write(f"the history is not kept: {exc}\n")


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the file for appending while no other shell writes to it."""
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_mode & 0o077:
            os.fchmod(file, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)  # which unlocks it


def _cut(file: int) -> None:
    """Drop the oldest inputs of a file that has grown too long."""
    size = os.fstat(file).st_size
    if size <= _MOST_BYTES:
        return
    text = os.pread(file, _KEPT_BYTES, size - _KEPT_BYTES)
    text = text[text.find(b"\n# ") :]  # from the first whole input on
    os.ftruncate(file, 0)
    os.write(file, text)
