"""The command line of functions, for tests: with a store and settings of its own."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from pybridge.cli import main
from tests.functions.conftest import IMPATIENT
from tests.programs import run
from tests.terminals import Terminal

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from click.testing import Result

__all__ = ["COMMAND", "Line"]

COMMAND = (sys.executable, "-m", "pybridge", "function")


class Line:
    """A command line with a store of its own, in whose folder the sources are.

    Its verbs run in this process, but those that have a terminal.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"
        settings = folder / "pybridge.toml"
        settings.write_text(IMPATIENT)
        self.env = {
            "PYBRIDGE_FUNCTIONS": str(self.root),
            "PYBRIDGE_SETTINGS": str(settings),
        }

    def run(self, *words: str, given: str | None = None) -> Result:
        """Run a verb to its end."""
        with contextlib.chdir(self.folder):
            return CliRunner().invoke(main, ["function", *words], input=given)

    def done(self, *words: str, given: str | None = None) -> str:
        """Run a verb that must go well, and return what it prints."""
        ended = self.run(*words, given=given)
        assert 0 == ended.exit_code, ended.stderr
        return ended.stdout

    def json(self, *words: str, given: str | None = None) -> Any:
        """Run a verb with --json and return what it prints."""
        return json.loads(self.done(*words, "--json", given=given))

    def process(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end in a process of its own."""
        return run(*COMMAND, *words, cwd=self.folder, env={**os.environ, **self.env})

    def terminal(self, *words: str, columns: int = 100) -> Terminal:
        """Run a verb on a terminal."""
        return Terminal(
            *COMMAND, *words, env=self.env, cwd=self.folder, columns=columns
        )
