"""The client: what it imports, and that it is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.programs import ROOT, run

# Each would cost more than the whole call.
HEAVY = {
    "argparse", "ast", "click", "collections", "contextlib", "dataclasses", "enum",
    "fcntl", "functools", "inspect", "json", "pathlib", "re", "select", "selectors",
    "signal", "socket", "subprocess", "tempfile", "threading", "traceback", "typing",
}  # fmt: skip


def test_client_imports_nothing_heavy() -> None:
    """It has to start as fast as Python itself."""
    code = "import sys; sys.path.insert(0, '.'); import pybridge.zpy.client; "

    done = subprocess.run(
        [sys.executable, "-S", "-c", code + "print(*sys.modules)"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert set() == HEAVY & set(done.stdout.split())


def test_command_is_installed_as_it_is() -> None:
    """Not behind a wrapper of pip's, which may import what the client does not."""
    installed = Path(sys.executable).parent / "zpy"

    lines = installed.read_text(encoding="utf-8").splitlines()

    assert (ROOT / "bin/zpy").read_text(encoding="utf-8").splitlines()[1:] == lines[1:]
    assert run(installed, "--version").stdout.startswith("zpy ")
