"""Build the package for every installed Python and run the C tests on each.

Run: make matrix. A Python is taken when it is 3.11 to 3.14, has a shared libpython and
its headers, and can make a venv; one of each version, the first that is found. The
environments are kept in .venv-matrix/ and made anew only for another Python.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["environment", "main", "pythons"]

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-matrix"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")

# The same question that tools/setup.sh asks; prints the full version.
_QUESTION = """
import ensurepip, os, sys, sysconfig, venv
var = sysconfig.get_config_var
folders = (var("LIBDIR"), var("LIBPL"), "/usr/lib/" + (var("MULTIARCH") or ""))
library = any(os.path.exists(os.path.join(d, var("LDLIBRARY"))) for d in folders)
header = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
if var("Py_ENABLE_SHARED") and not var("Py_GIL_DISABLED") and library and header:
    print(sys.version.split()[0])
"""

# Compiles what is imported, once: to compile all of every package takes far longer than
# to build ours.
_COMPILE = """
import sys
sys.dont_write_bytecode = False
import cloudpickle, dill, numpy, pandas, pyarrow, pydantic
import pybridge.functions, pybridge.host, pybridge.main
"""


def pythons() -> dict[str, Path]:
    """Return the suitable Pythons of this machine by version ("3.12.1")."""
    found: dict[str, Path] = {}
    for version in VERSIONS:
        for program in _candidates(version):
            answer = subprocess.run(
                [program, "-I", "-c", _QUESTION],
                capture_output=True,
                text=True,
                check=False,
            )
            if answer.stdout.startswith(f"{version}."):
                found[answer.stdout.strip()] = program
                break
    return found


def _candidates(version: str) -> list[Path]:
    program = f"python{version}"
    places = [
        Path(getattr(sys, "_base_executable", sys.executable)),
        *(Path(place) for place in [shutil.which(program)] if place),
        *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{program}")),
        Path("/usr/local/bin", program),
        Path("/usr/bin", program),
    ]
    return [place for place in places if place.exists()]


def environment(version: str, base: Path) -> Path:
    """Return the python of an environment with the package built from the sources.

    For the Python that runs this it is its own environment. Two cannot build at once
    from the same sources: the second waits.

    Raises:
        RuntimeError: making the environment or the build failed; with its output.

    """
    if version == platform.python_version():
        return Path(sys.executable)
    folder = HOME / version
    python = folder / "bin" / "python"
    if _is_fresh(folder):
        return python
    with (ROOT / "setup.py").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not python.exists():
            _run(base, "-m", "venv", "--without-pip", folder)
        if not _is_fresh(folder):
            pip = (sys.executable, "-m", "pip", "--python", python)
            _run(*pip, "install", "--no-compile", f"{ROOT}[functions]")
            _run(python, "-c", _COMPILE)
            (folder / ".stamp").touch()
    return python


def _is_fresh(folder: Path) -> bool:
    stamp = folder / ".stamp"
    return stamp.exists() and _sources_changed_at() <= stamp.stat().st_mtime


def _sources_changed_at() -> float:
    names = ("setup.py", "pyproject.toml", "c/**/*", "pybridge/**/*.py")
    paths = [path for name in names for path in ROOT.glob(name)]
    return max(path.stat().st_mtime for path in paths)


def _run(*words: str | Path) -> None:
    ended = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"'{words[0]} {words[1]} {words[2]}':\n{ended.stdout}")


def main() -> int:
    """Build and test on every Python; say which were there and which were not."""
    import pytest

    found = pythons()
    missing = [v for v in VERSIONS if not any(f.startswith(f"{v}.") for f in found)]
    for version, program in found.items():
        print(f"Python {version}: {program}", flush=True)
    print(f"not on this machine: {', '.join(missing) or 'none'}", flush=True)
    os.chdir(ROOT)
    return int(pytest.main(["-v", "tests/test_c.py", "tests/test_matrix.py"]))


if __name__ == "__main__":
    sys.exit(main())
