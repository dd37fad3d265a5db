"""Programs: what others write when they are asked, within a limit of time."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PATIENCE", "said"]

PATIENCE = 10.0  # seconds


def said(
    words: Sequence[str],
    environ: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> str:
    """Return what a program writes; "" where it fails, or does not end in time."""
    try:
        done = subprocess.run(  # noqa: S603 - a program that was found, and fixed words
            words,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE if seconds is None else seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()
