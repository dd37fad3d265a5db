"""Settings: what `pybridge.toml` says, a table for each room that has any.

The file is the one that PYBRIDGE_SETTINGS names; otherwise `pybridge.toml` of the
working directory, where it is the user's own; otherwise that of
`$XDG_CONFIG_HOME/pybridge`. A Python without TOML, which only runs of functions can
have, is told by who starts it what is in the file (READ).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from pybridge.errors import BadArgument

__all__ = ["READ", "VARIABLE", "find", "read", "seconds", "section"]

VARIABLE = "PYBRIDGE_SETTINGS"
READ = "PYBRIDGE_SETTINGS_READ"
_NAME = "pybridge.toml"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def find() -> Path | None:
    """Return the path of the settings file, or None where there is none.

    Raises:
        BadArgument: PYBRIDGE_SETTINGS names a file that is not there.

    """
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise BadArgument(
                f"{VARIABLE} names '{named}', which is not a file; correct or unset it"
            )
        return path
    here = Path(_NAME)  # the working directory itself may be gone
    if here.is_file() and _is_own(here):
        return here.absolute()
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    there = Path(home) / "pybridge" / _NAME
    return there if there.is_file() else None


def section(name: str) -> dict[str, Any]:
    """Return the table of that name; empty where there is none, or no file.

    Raises:
        BadArgument: the file is not TOML, or what has that name is not a table.

    """
    told, path = os.environ.get(READ), None
    if told is None:
        path = find()
        whole = {} if path is None else read(path)
    else:
        whole = json.loads(told)
    table = whole.get(name, {})
    if not isinstance(table, dict):
        raise BadArgument(
            f"'{name}' in '{path}' is not a table but {table!r}; write [{name}]"
        )
    return table


def read(path: Path) -> dict[str, Any]:
    """Return all that a settings file says; nothing where Python has no TOML.

    Raises:
        BadArgument: the file is not TOML.

    """
    try:
        import tomllib
    except ImportError:  # before Python 3.11
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadArgument(f"'{path}' is not TOML: {exc}") from None


def seconds(value: object, name: str) -> float | None:
    """Return the seconds of "90s", "30m", "8h", "2d" or a number; None for "never".

    `name` is what the setting is called in messages.

    Raises:
        BadArgument: it is none of these.

    """
    if value == "never":
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return float(value)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(value).strip())
    if found is None or not float(found[1]):
        raise BadArgument(
            f'{name} is a time such as "30m" or "8h", or "never", not {value!r}'
        )
    return float(found[1]) * _UNITS[found[2]]


def _is_own(path: Path) -> bool:
    """Is the file the user's, and nobody else's to write? It may name code to run."""
    found = path.stat()
    return found.st_uid in {os.getuid(), 0} and not found.st_mode & 0o022
