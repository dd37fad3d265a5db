"""The shared library as the system's loader sees it."""

from __future__ import annotations

import ctypes
import re
import sys
import tomllib

import pybridge
from pybridge.location import GTM, HEADER, LIBRARY
from tests.programs import ROOT, run

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PUBLIC = re.compile(r"pyb_[a-z]\w*|sqlite3_pybridge_init|PyInit__pybridge")


def exported() -> set[str]:
    """Return the names that the library defines for others."""
    table = run("nm", "-D", "--defined-only", LIBRARY)
    assert 0 == table.returncode, table.stderr
    return {line.split()[-1] for line in table.stdout.splitlines()}


def declared() -> set[str]:
    """Return the functions that the header declares."""
    text = HEADER.read_text(encoding="utf-8")
    return set(re.findall(r"^PYB_API\b[^;(]*?\b(pyb_\w+)\(", text, re.MULTILINE))


def test_library_exports_only_its_public_names() -> None:
    """What is not public is hidden."""
    strangers = {name for name in exported() if not PUBLIC.fullmatch(name)}

    assert set() == strangers


def called_by_gtm() -> set[str]:
    """Return the functions that GT.M's table of call-outs names."""
    text = (GTM / "pybridge.xc").read_text(encoding="utf-8")
    return set(re.findall(r"^\w+: gtm_long_t (pyb_gtm_\w+)\(", text, re.MULTILINE))


def test_library_exports_what_is_declared() -> None:
    """Every function of the contract and of GT.M's table is there, and no other."""
    functions = {name for name in exported() if name.startswith("pyb_")}

    assert declared() | called_by_gtm() == functions


def test_library_has_its_soname_and_one_libpython() -> None:
    """A program that is linked to it looks for this name, and for no sqlite3."""
    dynamic = run("readelf", "-d", "-W", LIBRARY).stdout

    soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)

    assert ["libpybridge.so"] == soname
    assert [f"libpython{PYTHON}.so.1.0"] == [
        name for name in needed if name.startswith("libpython")
    ]
    assert [] == [name for name in needed if "sqlite" in name]


def test_library_leaves_no_symbol_undefined() -> None:
    """Linked with -z defs: all it needs is in the libraries that it names."""
    report = run("ldd", "-r", LIBRARY)

    assert "undefined symbol" not in report.stdout + report.stderr
    assert "not found" not in report.stdout


def test_header_is_the_one_of_the_sources() -> None:
    """The installed header is the contract, byte for byte."""
    for name in ("pybridge.h", "arrow_abi.h"):
        source = (ROOT / "c/include" / name).read_bytes()
        assert source == (HEADER.parent / name).read_bytes()


def test_version_is_the_same_everywhere() -> None:
    """Library, header, package and project agree on the version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    header = re.search(r'PYB_VERSION "(.*)"', HEADER.read_text(encoding="utf-8"))
    library = ctypes.CDLL(str(LIBRARY))
    library.pyb_version.restype = ctypes.c_char_p
    library.pyb_python_version.restype = ctypes.c_char_p

    versions = {
        project["project"]["version"],
        header[1] if header else None,
        pybridge.__version__,
        library.pyb_version().decode(),
    }

    assert {pybridge.__version__} == versions
    assert PYTHON == library.pyb_python_version().decode()
