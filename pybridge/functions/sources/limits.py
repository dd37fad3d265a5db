"""What a source may cost: the bytes, files, names and seconds that it takes."""

from __future__ import annotations

from typing import Any, NamedTuple

from pybridge.errors import BadArgument

__all__ = ["Limits", "limits"]

_MIB = 1024 * 1024


class Limits(NamedTuple):
    """How much of a source is taken; `[functions.sources]` of the settings says more.

    The ratio is that of an archive's unpacked bytes to its packed ones, and is looked
    at from 16 MiB on: short files of one letter are no bomb.
    """

    max_download: int = 256 * _MIB
    max_bytes: int = 1024 * _MIB
    max_files: int = 20_000
    max_ratio: int = 200
    max_path: int = 512
    max_depth: int = 32
    connect_timeout: float = 10
    read_timeout: float = 30
    timeout: float = 600
    retries: int = 3


def limits() -> Limits:
    """Return the limits in force: those of the settings, the defaults elsewhere.

    Raises:
        BadArgument: a setting is unknown, or not a number that can be one.

    """
    told = _told()
    fields = Limits._field_defaults
    for name, value in told.items():
        if name not in fields:
            raise BadArgument(
                f"'{name}' in [functions.sources] is unknown; known: "
                + ", ".join(fields)
            )
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or value < 0:
            raise BadArgument(
                f"'{name}' in [functions.sources] is {value!r}; give a number from 0 on"
            )
    return Limits(**told)


def _told() -> dict[str, Any]:
    """Return the table of the settings."""
    from pybridge import settings

    table = settings.section("functions").get("sources", {})
    if not isinstance(table, dict):
        raise BadArgument("'functions.sources' in the settings is not a table")
    return table
