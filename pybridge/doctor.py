"""What a host will load, why, and what is wrong with it.

The proof is a child process: the program `probe` loads the library as a careful host
does, and evaluates `facts()` in the Python that starts there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

import pybridge
from pybridge._programs import said
from pybridge.errors import BadArgument
from pybridge.functions import health
from pybridge.location import HEADER, LIBRARY, PROBE

__all__ = ["Examination", "Finding", "examine", "facts"]

_PATIENCE = 120  # seconds; a cold import of pandas on a slow disk takes a while
_OPTIONAL = frozenset({"polars"})
_REBUILD = "install it again from its sources: python -m pip install ."

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `cure` says what to do when it is not ok."""

    what: str
    state: State
    found: str
    cure: str = ""


@dataclass
class Examination:
    """All findings, in the order in which things are loaded."""

    findings: list[Finding] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return all(finding.state != "wrong" for finding in self.findings)

    def ok(self, what: str, found: object) -> None:
        """Add what is as it should be."""
        self.findings.append(Finding(what, "ok", str(found)))

    def note(self, what: str, found: object, cure: str) -> None:
        """Add what may surprise, though nothing fails."""
        self.findings.append(Finding(what, "note", str(found), cure))

    def wrong(self, what: str, found: object, cure: str) -> None:
        """Add what keeps the package from working."""
        self.findings.append(Finding(what, "wrong", str(found), cure))

    def json(self) -> str:
        """Return the findings as JSON text."""
        findings = [asdict(finding) for finding in self.findings]
        return json.dumps({"healthy": self.healthy, "findings": findings}, indent=2)

    def show(self) -> None:
        """Print the findings for people; over a pipe a line each, of any length."""
        if not sys.stdout.isatty():
            self._print_lines()
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        marks = {"ok": ("ok", "green"), "note": ("note", "yellow")}
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for finding in self.findings:
            mark, colour = marks.get(finding.state, ("WRONG", "bold red"))
            words = Text(finding.found, overflow="fold")
            if finding.cure:
                words.append(f"\n{finding.cure}", style=colour)
            table.add_row(Text(mark, style=colour), finding.what, words)
        console = Console(highlight=False)
        console.print(table)
        console.print(self._verdict(), style="green" if self.healthy else "bold red")

    def _print_lines(self) -> None:
        for one in self.findings:
            mark = one.state if one.state != "wrong" else "WRONG"
            cure = f"; {one.cure}" if one.cure else ""
            line = f"{mark:<6}{one.what:<17}{one.found}{cure}".replace("\n", "; ")
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"{self._verdict()}\n")

    def _verdict(self) -> str:
        if self.healthy:
            return "nothing is wrong"
        count = sum(finding.state == "wrong" for finding in self.findings)
        return f"{count} {'thing is' if count == 1 else 'things are'} wrong"


def examine() -> Examination:
    """Look at everything that starting Python in a host depends on."""
    examination = Examination()
    _examine_files(examination)
    _examine_variables(examination)
    if LIBRARY.exists():
        _examine_libpython(examination)
        _examine_start(examination)
    _examine_shell(examination)
    _examine_gtm(examination)
    _examine_snapshots(examination)
    health.examine(examination)
    return examination


def facts() -> str:
    """Return, as JSON text, what the running Python is; evaluated inside the probe."""
    packages = {}
    for name, _ in _requirements():
        try:
            import_module(name)
        except Exception as exc:
            packages[name] = {"error": f"{type(exc).__name__}: {exc}"}
        else:
            packages[name] = {"version": metadata.version(name)}
    return json.dumps(
        {
            "version": sys.version.split()[0],
            "executable": sys.executable,
            "prefix": sys.prefix,
            "package": str(Path(pybridge.__file__).parent),
            "libpython": _mapped_libpython(),
            "packages": packages,
        }
    )


def _examine_files(examination: Examination) -> None:
    examination.ok("package", f"{pybridge.__version__} in {LIBRARY.parent}")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    examination.ok("doctor runs on", f"Python {python}, {sys.executable}")
    for what, path in (("library", LIBRARY), ("header", HEADER), ("probe", PROBE)):
        if path.exists():
            examination.ok(what, path)
        else:
            examination.wrong(
                what,
                f"'{path}' is missing",
                f"{_REBUILD} (in a checkout: make build)",
            )


def _examine_variables(examination: Examination) -> None:
    chosen = os.environ.get("PYBRIDGE_PYTHON")
    if not chosen:  # an empty one is none for the library too
        how = "not set" if chosen is None else "empty"
        examination.ok(
            "PYBRIDGE_PYTHON", f"{how}: the environment that the library is in"
        )
    elif os.access(chosen, os.X_OK) and Path(chosen).is_file():
        examination.ok("PYBRIDGE_PYTHON", f"{chosen}, instead of the library's own")
    else:
        examination.wrong(
            "PYBRIDGE_PYTHON",
            f"'{chosen}' is no program",
            "name the python of an environment, such as /path/to/venv/bin/python, "
            "or unset the variable",
        )
    traps = {
        "PYTHONHOME": "it names another standard library; a host should not have it: "
        "unset PYTHONHOME",
        "PYTHONPATH": "modules there hide those of the environment: unset PYTHONPATH "
        "unless this is meant",
        "LD_PRELOAD": "it is loaded before the library: unset LD_PRELOAD unless this "
        "is meant",
    }
    for variable, cure in traps.items():
        if os.environ.get(variable):
            examination.note(variable, f"set to '{os.environ[variable]}'", cure)


def _examine_libpython(examination: Examination) -> None:
    """Ask the system's loader which libpython the library gets."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return
    listing = said([ldd, str(LIBRARY)])
    for name, target in re.findall(r"(\S+) => (not found|\S+)", listing):
        if target == "not found":
            examination.wrong(
                "needs",
                f"'{name}' is not found by the loader",
                f"put back the Python that the library was built with, or {_REBUILD}",
            )
        elif name.startswith("libpython"):
            examination.ok("needs", f"{name}, found as {target}")


def _examine_start(examination: Examination) -> None:
    """Start Python in the probe and look at what came up."""
    if not PROBE.exists():
        return
    try:
        run = subprocess.run(  # noqa: S603 (a program of this package)
            [
                str(PROBE),
                str(LIBRARY),
                "__import__('pybridge.doctor', fromlist=['facts']).facts()",
            ],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        examination.wrong("start", f"the probe did not end well: {exc}", _REBUILD)
        return
    lines = [line.partition(" ")[::2] for line in run.stdout.splitlines()]
    answers = dict(lines)
    if "library" in answers:
        _examine_build(examination, answers["library"].split())
    if "result" in answers:
        _examine_facts(examination, json.loads(answers["result"]))
        return
    words = answers.get("error") or f"the probe ended with code {run.returncode}"
    complaint = "\n".join(filter(None, (words, run.stderr.strip())))
    examination.wrong("start", complaint, _cure_of_start())


def _cure_of_start() -> str:
    variables = ("PYTHONHOME", "PYTHONPATH", "PYBRIDGE_PYTHON", "LD_PRELOAD")
    suspects = [name for name in variables if os.environ.get(name)]
    if suspects:
        return f"try again without {' and '.join(suspects)}"
    return _REBUILD


def _examine_build(examination: Examination, words: list[str]) -> None:
    version, abi, python = words
    built = f"pybridge {version}, ABI {abi}, for Python {python}"
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version != pybridge.__version__:
        examination.wrong(
            "built as",
            f"{built}, but the package is {pybridge.__version__}",
            f"{_REBUILD} (in a checkout: make build)",
        )
    elif python != running:
        examination.note(
            "built as",
            f"{built}, while this is {running}",
            f"hosts will use Python {python}; for {running} build it with that Python",
        )
    else:
        examination.ok("built as", built)


def _examine_facts(examination: Examination, found: dict[str, Any]) -> None:
    examination.ok("starts", f"Python {found['version']} in {found['prefix']}")
    examination.ok("as", found["executable"])
    for path in found["libpython"]:
        examination.ok("libpython", path)
    if len(found["libpython"]) > 1:
        examination.wrong(
            "libpython",
            "two of them are in one process",
            "unset LD_LIBRARY_PATH and LD_PRELOAD",
        )
    if Path(found["package"]) != LIBRARY.parent:
        examination.note(
            "imports",
            f"pybridge from {found['package']}",
            f"the library is in {LIBRARY.parent}: two copies are installed",
        )
    if not found["packages"]:
        examination.note(
            "packages",
            "pybridge is not installed there, so it is not known what it needs",
            _REBUILD,
        )
    for name, least in _requirements():
        _examine_package(examination, name, least, found["packages"].get(name, {}))


def _examine_package(
    examination: Examination, name: str, least: str, found: dict[str, str]
) -> None:
    cure = f"install it there: python -m pip install '{name}>={least}'"
    if "version" in found:
        if _numbers(found["version"]) >= _numbers(least):
            examination.ok(name, found["version"])
        else:
            examination.wrong(name, f"{found['version']}, older than {least}", cure)
    elif name in _OPTIONAL:
        examination.note(
            name,
            "not installed",
            f"only for type 'polars'; to have it: pip install {name}",
        )
    else:
        examination.wrong(name, found.get("error", "not looked at"), cure)


def _examine_shell(examination: Examination) -> None:
    """Look for a sqlite3 shell, which is one host among others."""
    shell = shutil.which("sqlite3")
    if shell is None:
        examination.note(
            "sqlite3 shell",
            "not on PATH",
            "only to try things: apt-get install sqlite3",
        )
        return
    version, *_ = said([shell, "--version"]).split() or ["?"]
    examination.ok("sqlite3 shell", f"{version}, {shell}")


def _examine_gtm(examination: Examination) -> None:
    """Look for GT.M, and at what tells it where the library is."""
    from pybridge.gtm.install import find_gtm, version_of

    cure = "python -m pybridge gtm-setup --dir D, then read its environment.sh"
    try:
        place = find_gtm()
        examination.ok("GT.M", f"{version_of(place)}, {place}")
    except BadArgument as exc:
        named = "gtm_dist" in os.environ
        (examination.wrong if named else examination.note)(
            "GT.M", str(exc), "unset gtm_dist" if named else "only to have it as a host"
        )
        return
    for name, first in (("GTMXC_pybridge", str(LIBRARY)), ("GTMCI", "pybridge:")):
        table = Path(os.environ.get(name, ""))
        if not os.environ.get(name):
            examination.note(name, "not set", cure)
        elif not table.is_file():
            examination.wrong(name, f"'{table}' is missing", cure)
        elif not table.read_text(encoding="utf-8").startswith(first):
            examination.wrong(name, f"'{table}' is not this package's", cure)
        else:
            examination.ok(name, table)


def _examine_snapshots(examination: Examination) -> None:
    """Look at where saved contexts are, and at the key that signs them."""
    try:
        from pybridge import key
        from pybridge.snapshot import store
    except ImportError:
        return  # what is missing is among the packages
    place = Path(os.environ.get(store.VARIABLE) or key.data_home() / "contexts.db")
    buffers = place.with_name(place.name + "-buffers")
    if place.exists():
        examination.ok("saved contexts", f"{place}, large buffers in {buffers}")
    else:
        examination.ok("saved contexts", f"none yet; they will be in {place}")
    file = key.data_home() / "key"
    if os.environ.get(key.VARIABLE):
        examination.ok("signing key", f"that of {key.VARIABLE}")
    elif not file.exists():
        examination.ok("signing key", f"none yet; the first save makes {file}")
    else:
        try:
            key.Key.own()
        except BadArgument as exc:
            examination.wrong(
                "signing key", exc, "without it nothing is saved or restored"
            )
        else:
            examination.ok("signing key", f"{file}, readable by you alone")


def _requirements() -> list[tuple[str, str]]:
    """Return the packages that the package says it needs, with their least version."""
    found = []
    try:
        lines = metadata.requires("pybridge") or []
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        lines = []
    for line in lines:
        match = re.match(r"([\w-]+)>=([\d.]+)(?:; extra == .(\w+).)?$", line.strip())
        if match and match[3] in (None, *_OPTIONAL):
            found.append((match[1], match[2]))
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _mapped_libpython() -> list[str]:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    text = maps.read_text(encoding="utf-8", errors="replace")
    return sorted(set(re.findall(r"\S*/libpython\d\S*", text)))
