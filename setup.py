"""Build libpybridge, cffi's half and ours in one shared library, and librows."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "c" / "seam"))
from build import generate  # noqa: E402 (it is beside the C files that it reads)

GENERATED = ROOT / "build" / "_pybridge.c"
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("core", "python", "hosts/sqlite", "hosts/gtm")
    for path in (ROOT / "c" / folder).glob("*.c")
)
HEADERS = sorted(path.relative_to(ROOT) for path in (ROOT / "c").rglob("*.[ch]"))
LIBRARY_DIR = sysconfig.get_config_var("LIBDIR")

WARN = ["-Wall", "-Wextra"]
# In a checkout a warning is an error; where it is only installed, a compiler that is
# newer than we know must not stop it.
STRICT = ["-Werror"]

COMPILE = [
    "-std=gnu11",
    "-O2",
    "-fvisibility=hidden",
    "-fno-semantic-interposition",
    "-fno-plt",
    *WARN,
    f'-DPYB_BUILD_PYTHON="{sys.executable}"',
]
LINK = [
    "-Wl,-z,defs",
    # Threads and handlers at exit live in it: a host that closes it must not unmap it.
    "-Wl,-z,nodelete",
    "-Wl,-soname,libpybridge.so",
    f"-Wl,-rpath,{LIBRARY_DIR}",
    # Says which entry points leave the library; a test reads the symbol table.
    f"-Wl,--version-script={ROOT / 'c' / 'seam' / 'exports.map'}",
]
# The folder is the one that the file is in, wherever that was installed.
PKGCONFIG = """\
Name: pybridge
Description: Python inside the process that holds the data
Version: {version}
Cflags: -I${{pcfiledir}}/include
Libs: -L${{pcfiledir}} -Wl,-rpath,${{pcfiledir}} -lpybridge
"""


class BuildLibrary(build_ext):
    """Generate the seam, then build the library under its own plain name."""

    def get_ext_filename(self, fullname: str) -> str:
        """Name it as hosts load it, not as Python imports it."""
        return f"{fullname.replace('.', '/')}.so"

    def get_export_symbols(self, ext: Extension) -> list[str]:  # noqa: ARG002 (setuptools gives it)
        """Leave the symbols to the version script."""
        return []

    def run(self) -> None:
        """Refuse a Python that has no shared library, then build."""
        if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
            raise SystemExit(
                f"{sys.executable} has no shared libpython; use a Python that was "
                "built with --enable-shared, such as Debian's python3"
            )
        if sysconfig.get_config_var("Py_GIL_DISABLED"):
            raise SystemExit(
                f"{sys.executable} is free-threaded, which is not supported; use the "
                "usual build of the same version"
            )
        if self.inplace:
            for extension in self.extensions:
                extension.extra_compile_args += STRICT
        generate(GENERATED)
        super().run()
        package = ROOT if self.inplace else Path(self.build_lib)
        self.add_files(package / "pybridge")

    def add_files(self, package: Path) -> None:
        """Put beside the library what programs need to use it."""
        include = package / "include"
        include.mkdir(parents=True, exist_ok=True)
        for name in ("pybridge.h", "arrow_abi.h"):
            shutil.copy(ROOT / "c" / "include" / name, include)
        version = self.distribution.get_version()
        (package / "pybridge.pc").write_text(PKGCONFIG.format(version=version))
        objects = self.compiler.compile(
            ["c/hosts/probe/probe.c"],
            output_dir=self.build_temp,
            include_dirs=["c/include"],
            extra_postargs=["-std=gnu11", "-O1", *WARN],
        )
        self.compiler.link_executable(
            objects, "probe", output_dir=str(package), libraries=["dl"]
        )


# Test builds say so: faults can be injected, sanitizers see everything.
FLAGS = os.environ.get("PYBRIDGE_CFLAGS", "").split()

setup(
    ext_modules=[
        Extension(
            "pybridge.libpybridge",
            sources=[str(GENERATED.relative_to(ROOT)), *map(str, SOURCES)],
            depends=list(map(str, HEADERS)),
            include_dirs=["c/include"],
            libraries=[f"python{sysconfig.get_config_var('LDVERSION')}"],
            library_dirs=[LIBRARY_DIR],
            extra_compile_args=COMPILE + FLAGS,
            extra_link_args=LINK + FLAGS,
        ),
        # Reads rows of ODBC; knows neither Python nor the library above.
        Extension(
            "pybridge.elsewhere.librows",
            sources=["c/elsewhere/rows.c"],
            extra_compile_args=COMPILE + FLAGS,
            extra_link_args=["-Wl,-z,defs", *FLAGS],
        ),
    ],
    cmdclass={"build_ext": BuildLibrary},
)
