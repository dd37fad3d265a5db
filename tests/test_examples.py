"""The examples run as their first lines say."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from pybridge.functions.manager import client
from pybridge.functions.store import Store
from tests.programs import ROOT, build, flags, run

if TYPE_CHECKING:
    from pathlib import Path

MEAN = ROOT / "examples/c/mean.c"


def test_c_example_runs_with_the_printed_flags(tmp_path: Path) -> None:
    """The C program builds with `config --cflags --libs` and finds the library."""
    program = build(MEAN, tmp_path, flags())

    ended = run(program, cwd=tmp_path)

    assert "mean of 10000 rows: 2499.75\n" == ended.stdout
    assert "ZeroDivisionError: division by zero (" in ended.stderr
    assert "line 2)" in ended.stderr
    assert 0 == ended.returncode


def test_c_example_builds_with_pkg_config(tmp_path: Path) -> None:
    """What pkg-config says does as well."""
    folder = run(sys.executable, "-m", "pybridge", "path", "pkgconfig").stdout.strip()
    said = run(
        "pkg-config", "--cflags", "--libs", "pybridge", env={"PKG_CONFIG_PATH": folder}
    )
    assert 0 == said.returncode, said.stderr
    program = build(MEAN, tmp_path, shlex.split(said.stdout))

    ended = run(program, cwd=tmp_path)

    assert 0 == ended.returncode, ended.stderr


def test_c_example_is_short() -> None:
    """A reader takes it in at a glance."""
    lines = MEAN.read_text(encoding="utf-8").splitlines()

    assert 70 > len(lines)


def test_flights_demo_makes_its_table_and_picture() -> None:
    """The demo runs through, in a pipe, and leaves what it says."""
    picture = ROOT / "output/correlations.png"
    picture.unlink(missing_ok=True)

    ended = run(sys.executable, "examples/flights/demo.py", cwd=ROOT)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert "equal frames" in ended.stdout
    assert "output/correlations.png" in ended.stdout
    assert b"\x89PNG" == picture.read_bytes()[:4]
    rows = run(
        "sqlite3", "output/flights.db", "select count(*) from predictions", cwd=ROOT
    )
    assert 60_000 < int(rows.stdout)


def test_functions_demo_trains_serves_and_draws() -> None:
    """Jobs on a table, from Python and from SQL, then a service with their model."""
    picture = ROOT / "output/functions/delays.png"
    picture.unlink(missing_ok=True)

    ended = run(sys.executable, "examples/functions/demo.py", cwd=ROOT)
    client.of(Store.open(ROOT / "output/functions/store")).end()

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert "R² = 0.83" in ended.stdout
    assert "train    │ COMPLETED" in ended.stdout
    assert "120 minutes late at departure: 11" in ended.stdout
    assert "422: " in ended.stdout
    assert b"\x89PNG" == picture.read_bytes()[:4]


def test_flights_demo_in_gtm_leaves_predictions_in_a_global(tmp_path: Path) -> None:
    """The session runs through on some of the flights, and M has what it made."""
    ended = run(
        sys.executable, "examples/flights/demo_gtm.py", "4000", tmp_path, cwd=ROOT
    )

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert "\n4000 records; the first is: 2013|1|1|517|" in ended.stdout
    assert "Frontier Airlines Inc." in ended.stdout
    environment = tmp_path / "environment.sh"
    script = f". {environment}; mumps -run %XCMD 'write $order(^predicted(\"\"),-1)'"
    assert "4000" == run("/bin/sh", "-c", script).stdout.strip()


def test_flights_demo_in_gtm_stops_at_an_error(tmp_path: Path) -> None:
    """A statement that fails ends it, with an exit code."""
    ended = run(
        sys.executable, "examples/flights/demo_gtm.py", "'none'", tmp_path, cwd=ROOT
    )

    assert 1 == ended.returncode
    assert ended.stdout.endswith("'nrows' must be an integer >=0\n")
    assert "demo: the session ended with the error above\n" == ended.stderr
