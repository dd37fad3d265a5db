"""Where the files of the installed package are."""

from __future__ import annotations

from pathlib import Path

__all__ = ["HEADER", "INCLUDE", "LIBRARY", "PKGCONFIG", "PLACES", "PROBE"]

_PACKAGE = Path(__file__).resolve().parent

LIBRARY = _PACKAGE / "libpybridge.so"
INCLUDE = _PACKAGE / "include"
HEADER = INCLUDE / "pybridge.h"
PKGCONFIG = _PACKAGE
PROBE = _PACKAGE / "probe"

# The words of `python -m pybridge path`. A SQLite program loads the library itself;
# its entry point follows from the file's name.
PLACES = {
    "library": LIBRARY,
    "sqlite": LIBRARY,
    "header": HEADER,
    "include": INCLUDE,
    "pkgconfig": PKGCONFIG,
}
