"""A GT.M database that has Python: its table of call-outs, environment and global file.

Facts are those of GT.M's Administration and Programmer's Guides.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from string import Template

from pybridge._programs import said
from pybridge.errors import BadArgument
from pybridge.location import GTM, LIBRARY

__all__ = ["Database", "find_gtm", "install", "version_of"]

# The name of the file goes by the environment, so that a database can be moved.
_GDE = """\
change -segment DEFAULT -file_name="$pybridge_gtm/database.dat"
change -segment DEFAULT -block_size=4096 -allocation=5000 -extension=20000
change -segment DEFAULT -global_buffer_count=10000
change -region DEFAULT -record_size=1048576 -key_size=255 -stdnull
exit
"""

_ENVIRONMENT = """\
# The environment of this GT.M database with Python in it; read it with: . {path}
export pybridge_gtm={directory}
export gtm_dist={gtm}
export gtmgbldir={directory}/database.gld
export gtmroutines="{objects}({routines} {package}) {gtm}/libgtmutil.so"
export gtm_tmp={directory} gtm_log={directory}
export GTMXC_pybridge={directory}/pybridge.xc
export GTMCI={package}/pybridge.ci
export PATH={gtm}:$PATH
"""

# GT.M's own mode for texts in UTF-8: its programs are others, and so are object files.
_UTF8 = """\
export gtm_chset=UTF-8
export gtm_icu_version={icu}
export LC_ALL=C.UTF-8
"""


@dataclass(frozen=True)
class Database:
    """Where the files of an installation are."""

    directory: Path
    gtm: Path
    utf8: bool = False

    @property
    def environment(self) -> Path:
        """What a shell reads before it runs GT.M."""
        return self.directory / "environment.sh"

    @property
    def global_directory(self) -> Path:
        """GT.M's description of the database."""
        return self.directory / "database.gld"

    @property
    def file(self) -> Path:
        """The database."""
        return self.directory / "database.dat"

    @property
    def routines(self) -> Path:
        """Where the user's own routines are found."""
        return self.directory / "routines"

    @property
    def objects(self) -> Path:
        """Where GT.M puts what it compiles."""
        return self.directory / ("objects-utf8" if self.utf8 else "objects")


def find_gtm() -> Path:
    """Return the directory of GT.M: what $gtm_dist names, else Debian's newest.

    Raises:
        BadArgument: there is none.

    """
    named = os.environ.get("gtm_dist")  # noqa: SIM112 (GT.M's own spelling)
    if named and (Path(named) / "mumps").exists():
        return Path(named.removesuffix("/").removesuffix("/utf8"))
    if named:
        raise BadArgument(f"gtm_dist names '{named}', which has no program mumps")
    found = sorted(Path("/usr/lib/x86_64-linux-gnu/fis-gtm").glob("*/mumps"))
    if not found:
        raise BadArgument(
            "GT.M was not found; install it (Debian: apt-get install fis-gtm), or "
            "name its directory in gtm_dist"
        )
    return found[-1].parent


def version_of(gtm: Path) -> str:
    """Return what GT.M says of its version, "V7.0-005 Linux x86_64"."""
    found = said(
        [str(gtm / "mumps"), "-run", "%XCMD", "write $zversion"],
        {"gtm_dist": str(gtm), "gtmroutines": f"{gtm / 'libgtmutil.so'} {gtm}"},
    )
    return found.removeprefix("GT.M ") or "of a version it does not tell"


def _find_icu() -> str:
    """Return the version of the ICU that GT.M in UTF-8 mode is to load."""
    found = [
        path.name.removeprefix("libicuio.so.")
        for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib")
        for pattern in ("libicuio.so.*.*", "*/libicuio.so.*.*")
        for path in Path(folder).glob(pattern)
    ]
    if not found:
        raise BadArgument(
            "GT.M's UTF-8 mode needs ICU's libicuio, which was not found; install it "
            "(Debian: apt-get install libicu-dev)"
        )
    return max(found, key=lambda version: [int(n) for n in version.split(".")])


def install(directory: Path, *, utf8: bool = False) -> Database:
    """Write what a database with Python needs, and make the database if there is none.

    Files that are there are written anew, but for the database, its global directory
    and the user's routines.

    Raises:
        BadArgument: GT.M, or what its UTF-8 mode needs, was not found, or it does not
            make the database.

    """
    gtm = find_gtm()
    database = Database(directory.resolve(), gtm / "utf8" if utf8 else gtm, utf8)
    if not (database.gtm / "mumps").exists():
        raise BadArgument(f"this GT.M has no UTF-8 mode: '{database.gtm}' is missing")
    for folder in (database.routines, database.objects):
        folder.mkdir(parents=True, exist_ok=True)
    table = Template((GTM / "pybridge.xc").read_text(encoding="utf-8"))
    (database.directory / "pybridge.xc").write_text(
        table.substitute(library=LIBRARY), encoding="utf-8"
    )
    database.environment.write_text(
        _ENVIRONMENT.format(
            path=shlex.quote(str(database.environment)),
            gtm=database.gtm,
            directory=database.directory,
            objects=database.objects,
            routines=database.routines,
            package=GTM,
        )
        + (_UTF8.format(icu=_find_icu()) if utf8 else ""),
        encoding="utf-8",
    )
    if not database.global_directory.exists():
        _run(database, "mumps -run ^GDE", _GDE)
    if not database.file.exists():
        _run(database, "mupip create")
    return database


def _run(database: Database, command: str, text: str = "") -> None:
    """Run a program of GT.M in the database's environment."""
    done = subprocess.run(
        ["/bin/sh", "-c", f". {shlex.quote(str(database.environment))}; {command}"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr + done.stdout).strip()
        raise BadArgument(f"'{command}' failed in '{database.directory}': {words}")
