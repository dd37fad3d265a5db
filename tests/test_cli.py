"""The command line, run as a person runs it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import pybridge
from pybridge.cli.output import print_json
from tests.programs import ROOT, run

COMMAND = (sys.executable, "-m", "pybridge")


def test_path_prints_files_that_exist() -> None:
    """Each word names a file or folder of the installed package."""
    for word, end in (
        ("library", "pybridge/libpybridge.so"),
        ("sqlite", "pybridge/libpybridge.so"),
        ("header", "pybridge/include/pybridge.h"),
        ("include", "pybridge/include"),
        ("pkgconfig", "pybridge"),
    ):
        said = run(*COMMAND, "path", word)

        assert 0 == said.returncode, said.stderr
        assert said.stdout.strip().endswith(end)
        assert Path(said.stdout.strip()).exists()


def test_path_sqlite_is_what_the_shell_loads() -> None:
    """The sqlite3 shell's .load takes the printed path as it is."""
    place = run(*COMMAND, "path", "sqlite").stdout.strip()

    said = run("sqlite3", ":memory:", f".load {place}", "select py_eval('6 * 7')")

    assert "42\n" == said.stdout, said.stderr


def test_path_of_an_unknown_word_names_the_known_ones() -> None:
    """A wrong word is answered with the right ones, and exit code 2."""
    said = run(*COMMAND, "path", "libary")

    assert 2 == said.returncode
    assert "'library', 'sqlite', 'header', 'include', 'pkgconfig'" in said.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cflags",), ["-I"]),
        (("--libs",), ["-L", "-Wl,-rpath,", "-lpybridge"]),
        (("--cflags", "--libs"), ["-I", "-L", "-Wl,-rpath,", "-lpybridge"]),
    ],
)
def test_config_prints_what_was_asked_for(
    options: tuple[str, ...], words: list[str]
) -> None:
    """The compiler's flags, the linker's, or both."""
    flags = run(*COMMAND, "config", *options).stdout.split()

    assert len(words) == len(flags)
    assert all(flag.startswith(word) for flag, word in zip(flags, words, strict=True))


def test_config_without_an_option_says_what_is_missing() -> None:
    """Nothing asked for is a mistake, not an empty line."""
    said = run(*COMMAND, "config")

    assert 2 == said.returncode
    assert "name --cflags, --libs or both" in said.stderr


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("confg", "there is no command 'confg'; did you mean 'config'?"),
        ("xyzzy", "there is no command 'xyzzy'; --help lists them all"),
    ],
)
def test_slip_in_a_command_is_answered_with_the_nearest(word: str, answer: str) -> None:
    """The exit code is 2."""
    said = run(*COMMAND, word)

    assert 2 == said.returncode
    assert answer in said.stderr


def test_version_names_the_package() -> None:
    """Both ways to ask give the version."""
    assert f"pybridge {pybridge.__version__} " in run(*COMMAND, "version").stdout
    assert pybridge.__version__ in run(*COMMAND, "--version").stdout


def doctor(**variables: str) -> tuple[int, dict[str, dict[str, Any]], bool]:
    """Run `doctor --json`; return its exit code, its findings and the verdict."""
    said = run(*COMMAND, "doctor", "--json", env={**os.environ, **variables})
    report = json.loads(said.stdout)
    findings = {finding["what"]: finding for finding in report["findings"]}
    return said.returncode, findings, report["healthy"]


def test_doctor_finds_nothing_wrong_here() -> None:
    """Where the tests run, Python starts in a host and every package is there."""
    code, findings, healthy = doctor()

    assert (0, True) == (code, healthy)
    assert sys.prefix in findings["starts"]["found"]
    for package in ("cffi", "numpy", "pandas", "pyarrow", "dill", "polars"):
        assert "ok" == findings[package]["state"]


def test_doctor_tells_people_the_same() -> None:
    """Without --json the findings are lines, and the last line is the verdict."""
    said = run(*COMMAND, "doctor")

    assert 0 == said.returncode, said.stdout
    assert "nothing is wrong" == said.stdout.splitlines()[-1]


def test_doctor_takes_an_empty_variable_for_none() -> None:
    """As the library does: a host starts with it."""
    code, findings, healthy = doctor(PYBRIDGE_PYTHON="")

    assert (0, True) == (code, healthy)
    assert findings["PYBRIDGE_PYTHON"]["found"].startswith("empty: ")


def test_doctor_names_a_missing_environment_and_its_cure() -> None:
    """PYBRIDGE_PYTHON that names nothing keeps Python from starting."""
    code, findings, healthy = doctor(PYBRIDGE_PYTHON="/nowhere/bin/python")

    assert (1, False) == (code, healthy)
    assert "wrong" == findings["PYBRIDGE_PYTHON"]["state"]
    assert "/nowhere/bin/python" in findings["PYBRIDGE_PYTHON"]["found"]
    assert "unset" in findings["PYBRIDGE_PYTHON"]["cure"]
    assert "/nowhere/bin/python" in findings["start"]["found"]


def test_doctor_notes_variables_that_mislead(tmp_path: Path) -> None:
    """PYTHONPATH is no error, but it is said."""
    code, findings, _ = doctor(PYTHONPATH=str(tmp_path))

    assert 0 == code
    assert "note" == findings["PYTHONPATH"]["state"]
    assert str(tmp_path) in findings["PYTHONPATH"]["found"]


def test_doctor_finds_a_module_that_hides_a_package(tmp_path: Path) -> None:
    """A package that cannot be imported inside a host is named with its error."""
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not the real one')")

    code, findings, _ = doctor(PYTHONPATH=str(tmp_path))

    assert 1 == code
    assert "wrong" == findings["pyarrow"]["state"]
    assert "not the real one" in findings["pyarrow"]["found"]


def test_doctor_finds_a_missing_library(tmp_path: Path) -> None:
    """A copy of the package without its library says how to get one."""
    shutil.copytree(
        ROOT / "pybridge",
        tmp_path / "pybridge",
        ignore=shutil.ignore_patterns("*.so", "probe", "include", "__pycache__"),
    )
    said = run(*COMMAND, "doctor", "--json", cwd=tmp_path)
    report = json.loads(said.stdout)
    findings = {finding["what"]: finding for finding in report["findings"]}

    assert 1 == said.returncode
    assert "wrong" == findings["library"]["state"]
    assert str(tmp_path) in findings["library"]["found"]
    assert "make build" in findings["library"]["cure"]


@pytest.mark.parametrize(
    ("mode", "healthy", "state"),
    [(None, True, "ok"), (0o644, False, "wrong")],
)
def test_doctor_looks_at_the_key_of_saved_contexts(
    tmp_path: Path, mode: int | None, healthy: bool, state: str
) -> None:
    """One that others can read is wrong; looking makes none."""
    key = tmp_path / "pybridge" / "key"
    if mode is not None:
        key.parent.mkdir()
        key.write_bytes(b"k" * 32)
        key.chmod(mode)

    _, findings, found = doctor(XDG_DATA_HOME=str(tmp_path))

    assert (healthy, state) == (found, findings["signing key"]["state"])
    assert str(key) in findings["signing key"]["found"]
    assert str(tmp_path) in findings["saved contexts"]["found"]
    assert key.exists() == (mode is not None)


def test_json_of_commands_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 8259 has neither NaN nor infinities: they are null, as in the library."""
    print_json({"a": [float("nan"), 1.5], "b": float("-inf"), "ü": (1, None)})

    said = capsys.readouterr().out
    assert {"a": [None, 1.5], "b": None, "ü": [1, None]} == json.loads(said)
