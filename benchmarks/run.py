"""make bench: measure everything and write the table of benchmarks/README.md.

Run: python -m benchmarks.run [--quick] [--only NAME ...] [--json FILE]
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks import (
    calls,
    faults,
    functions,
    gtm,
    memory,
    odbc,
    read,
    runs,
    serve,
    snapshot,
    start,
    write,
    zpy,
)
from benchmarks.data import BUILD, ROOT
from benchmarks.harness import PEERS

__all__ = ["main"]

README = ROOT / "benchmarks" / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
FILES = {
    "read": read,
    "write": write,
    "functions": functions,
    "calls": calls,
    "start": start,
    "zpy": zpy,
    "snapshot": snapshot,
    "gtm": gtm,
    "memory": memory,
    "odbc": odbc,
    "serve": serve,
    "runs": runs,
    "faults": faults,
}
ROUNDS = {
    "read": 7,
    "write": 7,
    "functions": 11,
    "calls": 15,
    "start": 15,
    "zpy": 15,
    "snapshot": 9,
    "gtm": 7,
    "memory": 3,
    "odbc": 7,
    "serve": 45,
    "runs": 9,
    "faults": 5,
}

# ---- The machine ------------------------------------------------------------------

_VERSIONS = """
import importlib.metadata as m, json, sqlite3, sys
names = sys.argv[1:]
found = {}
for name in names:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        found[name] = "missing"
print(json.dumps(found | {"SQLite of sqlite3": sqlite3.sqlite_version}))
"""


def _versions(python: str | Path, *names: str) -> dict[str, str]:
    done = subprocess.run(
        [str(python), "-c", _VERSIONS, *names],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    release = platform.freedesktop_os_release()
    shell = subprocess.run(
        ["sqlite3", "--version"], capture_output=True, text=True, check=True
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return {
        "when": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit.stdout.strip(),
        "cpu": cpu.group(1) if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "system": release.get("PRETTY_NAME", platform.platform()),
        "python": platform.python_version(),
        "sqlite": shell.stdout.split()[0],
        "ours": _versions(sys.executable, "pandas", "numpy", "pyarrow"),
        "peers": _versions(
            PEERS, "pandas", "numpy", "pyarrow", "adbc-driver-sqlite", "connectorx",
            "arrow-odbc", "turbodbc", "pyodbc", "apsw",
        ),
        "load": os.getloadavg()[0],
    }  # fmt: skip


# ---- The table --------------------------------------------------------------------


def _verdict(bar: dict[str, Any]) -> str:
    words = {True: "pass", False: "**miss**", None: "not measured"}
    return words[bar["pass"]] if bar["limit"] or bar["pass"] is None else "-"


def _bars(results: dict[str, Any]) -> list[str]:
    lines = [
        "| what | bar | measured | rounds | against | |",
        "|---|---|---|---|---|---|",
    ]
    for group in results["groups"]:
        for bar in group["bars"]:
            unit = bar.get("unit", "x")
            ratio = f"{bar['ratio']:.2f} {unit}" if "ratio" in bar else ""
            span = f"{bar['low']:.2f}-{bar['high']:.2f}" if "ratio" in bar else ""
            words = [bar["what"], bar["limit"], ratio, span, bar["against"]]
            lines.append("| " + " | ".join([*words, _verdict(bar)]) + " |")
    return lines


def _cases(group: dict[str, Any]) -> list[str]:
    unit = group["unit"]
    lines = [
        "",
        f"#### {group['title']}",
        "",
        f"| | median, {unit} | min-max | of the first | |",
        "|---|--:|--:|--:|---|",
    ]
    first = group["cases"][0]["median"]
    for case in group["cases"]:
        if case["median"] is None:
            lines.append(f"| {case['name']} | - | | | {case['failure']} |")
            continue
        low, high = min(case["figures"]), max(case["figures"])
        of_first = f"{case['median'] / first:.2f}" if first else ""
        lines.append(
            f"| {case['name']} | {case['median']:.4g} | {low:.4g}-{high:.4g} | "
            f"{of_first} | {case['note']} |"
        )
    return [*lines, "", *group["notes"]] if group["notes"] else lines


def markdown(results: dict[str, Any]) -> str:
    """Return the part of the README that is measured."""
    about = results["machine"]
    ours = ", ".join(f"{name} {version}" for name, version in about["ours"].items())
    peers = ", ".join(f"{name} {version}" for name, version in about["peers"].items())
    quick = ", quick" if results["quick"] else ""
    measured = (
        f"Measured {about['when']} at commit {about['commit']}{quick}: "
        f"{about['cores']} x {about['cpu']}, {about['system']}, "
        f"CPython {about['python']}, SQLite {about['sqlite']}; "
        f"load before and after {about['load']:.1f} and {results['load after']:.1f}; "
        f"{results['minutes']:.0f} minutes."
    )
    lines = [
        measured,
        "",
        f"Ours: {ours}. Peers: {peers}.",
        "",
        *_bars(results),
    ]
    missing = BUILD / "missing.txt"
    if missing.exists():
        lines += [
            "",
            "Could not be had: " + "; ".join(missing.read_text().splitlines()),
        ]
    for group in results["groups"]:
        lines += _cases(group)
    return "\n".join(lines)


def rewrite(text: str) -> None:
    """Put the measured part between the marks of the README."""
    readme = README.read_text()
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


# ---- The command ------------------------------------------------------------------


def measure(names: tuple[str, ...], rows: int, rounds: int, console: Console) -> Any:
    """Measure the groups of the named files."""
    begun = time.perf_counter()
    results: dict[str, Any] = {
        "machine": machine(),
        "quick": bool(rounds),
        "groups": [],
    }
    with Progress(console=console, transient=True) as progress:
        for name in names:
            task = progress.add_task(f"preparing {name}", total=None)
            for group in FILES[name].groups(rows):
                progress.update(task, visible=False)
                group.measure(rounds or ROUNDS[name], progress)
                group.close()
                results["groups"].append(group.as_json())
                for bar in results["groups"][-1]["bars"]:
                    console.print(
                        f"{bar['what']}: {bar.get('ratio', float('nan')):.2f} "
                        f"({bar['limit']}, against {bar['against'] or 'itself'}) "
                        f"{_verdict(bar).strip('*')}"
                    )
                progress.update(task, visible=True)
            progress.remove_task(task)
    results["minutes"] = (time.perf_counter() - begun) / 60
    results["load after"] = os.getloadavg()[0]
    return results


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rows and rounds; README untouched.")
@click.option(
    "--only", multiple=True, type=click.Choice(list(FILES)), help="Repeatable."
)
@click.option("--rows", default=0, help="Rows of the table; 1,000,000 or 200,000.")
@click.option(
    "--json", "file", type=click.Path(path_type=Path), help="Write all figures."
)
@click.option("--show", is_flag=True, help="Print the tables too.")
def main(
    quick: bool, only: tuple[str, ...], rows: int, file: Path | None, show: bool
) -> None:
    """Compare pybridge's speed with the peers' and write the table of the README."""
    console = Console()
    for tool in ("sqlite3", "git"):
        if shutil.which(tool) is None:
            raise click.ClickException(f"'{tool}' is not installed")
    results = measure(
        only or tuple(FILES),
        rows or (200_000 if quick else 1_000_000),
        3 * quick,
        console,
    )
    if file is not None:
        file.write_text(json.dumps(results, indent=1) + "\n")
    text = markdown(results)
    if show:
        console.print(text, markup=False)
    if not quick and not only:
        rewrite(text)
        console.print(f"written: {README.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
