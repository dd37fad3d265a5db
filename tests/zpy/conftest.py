"""Sessions of a test's own, and nothing of them left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

COMMAND = (sys.executable, str(ROOT / "bin" / "zpy"))
_SAFETY = 60


class Zpy:
    """The command, with folders of its own for everything that it keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = folder / "run"
        self.here = folder / "here"
        for path in (self.runtime, self.here):
            path.mkdir(mode=0o700)
        self.env = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        for name in ("PYBRIDGE_STORE", "PYBRIDGE_SETTINGS", "PYBRIDGE_INITIALIZER"):
            self.env.pop(name, None)

    def __call__(
        self, *words: str, given: str | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `zpy` to its end."""
        return subprocess.run(
            [*COMMAND, *words],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            cwd=cwd or self.here,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=_SAFETY,
            check=False,
        )

    def says(self, *words: str, given: str | None = None) -> str:
        """Run `zpy`, which must succeed and have nothing to complain of."""
        ended = self(*words, given=given)
        assert ("", 0) == (ended.stderr, ended.returncode)
        return ended.stdout

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start `zpy`, and leave it running."""
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.here,
            env=self.env,
            text=True,
            **{**streams, **options},
        )

    def sessions(self) -> list[dict[str, Any]]:
        """Return what `zpy --list --json` says."""
        found: list[dict[str, Any]] = json.loads(self.says("--list", "--json"))
        return found

    def session(self, name: str = "main") -> dict[str, Any]:
        """Return what the list says of one session; empty where it does not run."""
        return next((one for one in self.sessions() if one["name"] == name), {})

    def settings(self, text: str) -> None:
        """Write pybridge.toml."""
        path = self.here / "pybridge.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)

    def log(self, name: str = "main") -> str:
        """Return what a session has written where nobody called."""
        path = self.folder / "state" / "pybridge" / f"zpy-{name}.log"
        return path.read_text(encoding="utf-8")

    def processes(self) -> list[psutil.Process]:
        """Return the keepers and workers that run."""
        return list(_marked("XDG_RUNTIME_DIR", str(self.runtime)))


def _marked(name: str, value: str) -> Iterator[psutil.Process]:
    """Yield processes with a variable of that value."""
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                environ: Mapping[str, str] = process.environ()
                if environ.get(name) == value:
                    yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def until(condition: Callable[[], object]) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + _SAFETY
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def zpy() -> Iterator[Zpy]:
    """Give the command with no session; afterwards none runs, by its own means."""
    yield from _zpy()


@pytest.fixture(scope="module")
def shared() -> Iterator[Zpy]:
    """Give the command with sessions that the tests of a file share."""
    yield from _zpy()


def _zpy() -> Iterator[Zpy]:
    with tempfile.TemporaryDirectory(prefix="zpy-") as folder:
        command = Zpy(Path(folder))
        yield command
        command("--stop", "--all", "--discard")
        end = time.monotonic() + 10
        while (left := command.processes()) and time.monotonic() < end:
            time.sleep(0.02)
        words = [process.cmdline() for process in left]
        for process in left:
            os.kill(process.pid, signal.SIGKILL)
        assert [] == words
