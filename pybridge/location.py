"""Where the files of the installed package are."""

from __future__ import annotations

from pathlib import Path

__all__ = ["GTM", "HEADER", "INCLUDE", "LIBRARY", "PKGCONFIG", "PLACES", "PROBE"]

_PACKAGE = Path(__file__).resolve().parent

LIBRARY = _PACKAGE / "libpybridge.so"
INCLUDE = _PACKAGE / "include"
HEADER = INCLUDE / "pybridge.h"
PKGCONFIG = _PACKAGE
PROBE = _PACKAGE / "probe"
GTM = _PACKAGE / "gtm"  # routines and tables of the GT.M host

# The words of `python -m pybridge path`. A SQLite program loads the library itself;
# its entry point follows from the file's name.
PLACES = {
    "library": LIBRARY,
    "sqlite": LIBRARY,
    "header": HEADER,
    "include": INCLUDE,
    "pkgconfig": PKGCONFIG,
    "gtm": GTM,
}
