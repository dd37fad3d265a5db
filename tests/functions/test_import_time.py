"""What importing the package loads: nothing that takes long."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pybridge.functions import pythons
from tests.programs import ROOT, run

HEAVY = (
    "cloudpickle",
    "dulwich",
    "fsspec",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "requests",
    "sqlite3",
    "starlette",
    "yaml",
)
PYENV = Path("~/.pyenv/versions").expanduser()
OLDER = [
    version / "bin/python"
    for start in ("3.9.", "3.10.")
    for version in sorted(PYENV.glob(f"{start}*"))
]
# What is imported in the environments of runs, and needs nothing that they have not.
PLAIN = (
    "entity",
    "faults",
    "function",
    "imports",
    "keys",
    "library",
    "lookup",
    "metrics",
    "project",
    "run",
    "secret",
    "states",
    "store",
)


def loaded(code: str) -> set[str]:
    """Return the modules that are loaded after some code, in a new process."""
    printed = run(sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)")
    assert 0 == printed.returncode, printed.stderr
    return set(printed.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    """The bar: `import pybridge.functions` is lazy; names are there all the same."""
    modules = loaded("import pybridge.functions as dh\nassert 'Run' in dir(dh)")

    assert set() == modules.intersection(HEAVY)
    ours = {name for name in modules if name.startswith("pybridge.")}
    assert {"pybridge.functions"} == ours


def test_reading_loads_no_models() -> None:
    """Who looks at projects and runs does not load what checks new ones."""
    modules = loaded(
        "import pybridge.functions as dh\ndh.get_project; dh.Run; dh.Store"
    )

    assert set() == modules.intersection(HEAVY) - {"sqlite3"}


@pytest.mark.parametrize("python", OLDER, ids=[path.parts[-3] for path in OLDER])
def test_package_is_imported_by_older_pythons(python: Path) -> None:
    """S-2: functions may ask for Python 3.9, so what runs beside them is fit for it."""
    names = [f"pybridge.functions.{name}" for name in PLAIN]

    printed = run(
        python,
        "-c",
        f"import pybridge.functions, {', '.join(names)}",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert (0, "") == (printed.returncode, printed.stderr)


EVERY = """
import importlib, pkgutil
import pybridge.functions as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as exc:
            assert exc.name in {"pydantic", "uvicorn", "dulwich"}, (module.name, exc)
"""


@pytest.mark.parametrize("version", pythons.installed())
def test_every_module_is_imported_by_every_python(version: str) -> None:
    """S-2: nothing but packages that an environment has is ever missing."""
    printed = run(
        pythons.interpreter(version),
        "-W",
        "error",
        "-c",
        EVERY,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert (0, "") == (printed.returncode, printed.stderr)


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("pydantic", "project.new_function('f', 'python')"),
        ("yaml", "project.to_yaml()"),
        ("requests", "_session()"),
        ("pydantic", "__import__('pybridge.main').main.job('f')"),
    ],
)
def test_package_that_is_missing_is_told(
    tmp_path: Path, package: str, code: str
) -> None:
    """What is needed, for what, and how it is installed."""
    printed = run(
        sys.executable,
        "-c",
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "import pybridge.functions as dh\n"
        "from pybridge.functions.run import _session\n"
        "project = dh.get_or_create_project('p')\n"
        f"try: {code}\n"
        "except Exception as exc: print(exc)\n",
        env={**os.environ, "PYBRIDGE_FUNCTIONS": str(tmp_path)},
    )

    assert f"needs the package '{package}'; pip install" in printed.stdout
    assert "'pybridge[functions]'" in printed.stdout
