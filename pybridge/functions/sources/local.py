"""Local sources: a file, a directory with all that lies in it, a zip archive."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.functions.sources.staging import Staging

__all__ = ["find", "take_directory", "take_files"]

_CHUNK = 64 * 1024
# What tools put beside a source; it is no part of it.
_TOOLS = {
    ".git",
    ".hg",
    ".svn",
    ".tox",
    ".nox",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".idea",
    ".vscode",
    ".DS_Store",
    "__pycache__",
    "node_modules",
}
_ENVIRONMENT = "pyvenv.cfg"  # the file by which a directory is a virtual environment


def find(path: str) -> Path:
    """Return the file or directory that a local `code_src` names.

    Raises:
        BadArgument: there is none, or it cannot be read.

    """
    found = Path(path).expanduser()
    try:
        mode = found.stat().st_mode
    except OSError as exc:
        raise BadArgument(
            f"code_src '{path}' cannot be read: {exc.strerror}; "
            f"the working directory is '{_here()}'"
        ) from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise BadArgument(f"code_src '{path}' is neither a file nor a directory")
    if not os.access(found, os.R_OK):
        raise BadArgument(f"code_src '{path}' cannot be read: Permission denied")
    return found


def take_directory(path: Path, staging: Staging, *, without: Path) -> None:
    """Take a directory with all that is in it, but what tools put there.

    `without` is the store, which may lie in it.

    Raises:
        BadArgument: a file cannot be read, or a link leads out of the directory.
        TooLarge: this is more than the limits allow.

    """
    # A directory that is a package keeps its name, so that it can import itself.
    package = (path / "__init__.py").is_file() and path.resolve().name.isidentifier()
    with _told(staging):
        _visit(path, f"{path.resolve().name}/" if package else "", staging, without)


def take_files(paths: list[Path], staging: Staging, *, without: Path) -> None:
    """Take files, and directories by their names.

    Raises:
        BadArgument: one cannot be read, or a link leads out of them.
        TooLarge: this is more than the limits allow.

    """
    with _told(staging):
        for path in paths:
            if path.is_dir():
                _visit(path, f"{path.name}/", staging, without)
            else:
                staging.file(path.name, read(path))


def _visit(directory: Path, prefix: str, staging: Staging, without: Path) -> None:
    """Take what is in a directory."""
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.name in _TOOLS or entry.name.endswith((".pyc", ".pyo")):
            continue
        name = prefix + entry.name
        if entry.is_symlink():
            staging.link(name, str(Path(entry.path).readlink()))
        elif entry.is_dir():
            inner = Path(entry.path)
            own = os.path.realpath(inner) == os.path.realpath(without)
            if not own and not (inner / _ENVIRONMENT).exists():
                _visit(inner, f"{name}/", staging, without)
        elif entry.is_file():
            executable = bool(entry.stat().st_mode & 0o100)
            staging.file(name, read(Path(entry.path)), executable=executable)


@contextlib.contextmanager
def _told(staging: Staging) -> Iterator[None]:
    """Tell what of a source cannot be read."""
    try:
        yield
    except OSError as exc:
        raise BadArgument(
            f"'{exc.filename}' of code_src '{staging.what}' cannot be taken: "
            f"{exc.strerror}"
        ) from None


def read(path: Path) -> Iterator[bytes]:
    """Give the bytes of a file."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "gone"
