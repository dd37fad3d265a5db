"""A real GT.M database for each test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pybridge.gtm.install import install

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pybridge.gtm.install import Database


@dataclass(frozen=True)
class M:
    """A database, and M programs that run on it."""

    database: Database

    def start(self, command: str, env: Mapping[str, str] | None = None) -> list[str]:
        """Return the words that run a command in the database's environment."""
        words = "".join(f"export {k}='{v}'; " for k, v in (env or {}).items())
        return [
            "/bin/sh",
            "-c",
            f". {self.database.environment}; {words}"
            # Where a job leaves what it prints.
            f"cd {self.database.directory}; exec {command}",
        ]

    def routine(self, name: str, text: str) -> None:
        """Write a routine: `text` is its lines, each without the leading blank."""
        body = "\n".join(
            line if line.startswith(";") or line == "" else f" {line}"
            for line in text.strip().splitlines()
        )
        path = self.database.routines / f"{name}.m"
        path.write_text(
            f'{name} ;\n set $etrap="write $zstatus,! zhalt 1"\n{body}\n quit\n',
            encoding="utf-8",
        )

    def run(
        self,
        text: str,
        env: Mapping[str, str] | None = None,
        status: int = 0,
        stdin: int = subprocess.DEVNULL,
    ) -> str:
        """Run the lines of a program and return what it printed.

        What it prints to stderr follows; another exit status is an assertion.
        """
        self.routine("test", text)
        done = subprocess.run(
            self.start("mumps -run test", env),
            stdin=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        printed = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
        assert status == done.returncode, printed
        return printed

    def begin(self, text: str) -> subprocess.Popen[bytes]:
        """Start a program that prints "go" when it has come so far, and wait for that.

        Its stdin is a pipe in which nothing ever comes.
        """
        self.routine("test", text)
        program = subprocess.Popen(
            self.start("mumps -run test"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert program.stdout is not None
        printed = b""
        while not printed.endswith(b"go"):
            byte = program.stdout.read(1)
            assert byte, printed
            printed += byte
        return program


def execute(code: str) -> str:
    """Return the M statements that run Python code, and print a failure."""
    lines = "_$char(10)_".join(
        f'"{line.replace(chr(34), 2 * chr(34))}"' for line in code.strip().splitlines()
    )
    return f"set sc=$$ExecuteCode^pybridge({lines}) write:'sc sc,!"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty database to copy: making one takes half a second."""
    return install(tmp_path_factory.mktemp("gtm")).directory


@pytest.fixture
def m(template: Path, tmp_path: Path) -> M:
    """Return a database of the test's own."""
    for name in ("database.gld", "database.dat"):
        shutil.copy(template / name, tmp_path / name)
    # Python finds its environment by the library, whatever the caller's says.
    assert sys.executable
    return M(install(tmp_path))


def mupip(m: M, command: str) -> str:
    """Return what GT.M's program for databases says, on stdout and stderr."""
    done = subprocess.run(
        ["/bin/sh", "-c", f". {m.database.environment}; mupip {command} 2>&1"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout.decode()
