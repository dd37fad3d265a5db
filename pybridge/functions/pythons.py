"""The Pythons of this machine, by the versions that functions ask for."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Optional

from pybridge._programs import said
from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Python", "installed", "interpreter", "own_version", "version_of"]

_VERSION = re.compile(r"(?:PYTHON|python|Python)?\s*3[._](\d+)")
_QUESTION = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.base_prefix)"
_PATIENCE = 20


class Python(NamedTuple):
    """An interpreter: its program, version and home."""

    program: Path
    version: str
    home: str


def own_version() -> str:
    """Return the version of this process's Python, such as "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def version_of(text: Optional[str]) -> str:
    """Return "3.9" for "PYTHON3_9", "python3.9" or "3.9"; None is the Python at hand.

    Raises:
        BadArgument: it is no version.

    """
    if not text:
        return own_version()
    found = _VERSION.fullmatch(str(text).strip())
    if found is None:
        raise BadArgument(
            f"python_version '{text}' is not one; write it as 'PYTHON3_11'"
        )
    return f"3.{found[1]}"


def interpreter(version: Optional[str]) -> Path:
    """Return the program of a Python of that version.

    Raises:
        BadArgument: there is none; the message names those that there are.

    """
    return find(version).program


def find(version: Optional[str]) -> Python:
    """Return a Python of that version: of the settings, this one, PATH, pyenv's, uv's.

    Raises:
        BadArgument: there is none; the message names those that there are.

    """
    wanted = version_of(version)
    for program in _candidates(wanted):
        python = _look(str(program))
        if python is not None and python.version.startswith(f"{wanted}."):
            return python
    names = ", ".join(installed()) or "none"
    raise BadArgument(
        f"Python {wanted} is not installed here; there are {names}. Install it "
        f"('uv python install {wanted}', or pyenv), or name its program in "
        f'[functions.pythons] of pybridge.toml: "{wanted}" = "/path/to/python{wanted}"'
    )


def installed() -> list[str]:
    """Return the versions that functions can have on this machine."""
    found = []
    for minor in range(9, 20):
        version = f"3.{minor}"
        if any(
            python is not None and python.version.startswith(f"{version}.")
            for python in (_look(str(program)) for program in _candidates(version))
        ):
            found.append(version)
    return found


def _candidates(version: str) -> Iterator[Path]:
    """Yield where a Python of that version may be."""
    named = _settings().get(version) or _settings().get(
        f"PYTHON{version.replace('.', '_')}"
    )
    if named:
        yield Path(str(named)).expanduser()
    name = f"python{version}"
    if version == own_version():
        yield Path(getattr(sys, "_base_executable", None) or sys.executable)
    found = shutil.which(name)
    if found:
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
    for pattern, place in ((f"versions/{version}.*", pyenv), (f"*-{version}.*", uv)):
        for folder in sorted(place.glob(pattern), key=_newest, reverse=True):
            yield folder / "bin" / name
    yield Path("/usr/local/bin", name)
    yield Path("/usr/bin", name)


def _newest(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _look(program: str) -> Optional[Python]:
    """Return what a program says of itself, or None where it is no Python."""
    try:
        changed = Path(program).stat().st_mtime_ns
    except OSError:
        return None
    return _asked(program, changed)


@functools.lru_cache(maxsize=64)
def _asked(program: str, changed: int) -> Optional[Python]:
    """Ask a program; once, as long as it does not change."""
    del changed
    answer = said([program, "-I", "-c", _QUESTION], seconds=_PATIENCE)
    version, _, home = answer.partition(" ")
    return Python(Path(program), version, home) if home else None


def _settings() -> dict[str, object]:
    """Return [functions.pythons] of the settings."""
    from pybridge import settings

    found = settings.section("functions").get("pythons", {})
    if not isinstance(found, dict):
        raise BadArgument("[functions.pythons] is a table: version = program")
    return found
