"""The log of a replica: lines on its standard output, where the run's log begins."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["say", "write"]


def say(text: str) -> None:
    """Write lines to the log at once, after what was printed before."""
    sys.stdout.flush()
    write(text.encode("utf-8", "backslashreplace") + b"\n")


def write(data: bytes) -> None:
    """Write bytes to the log."""
    with contextlib.suppress(OSError):  # that nobody reads it must not end a service
        while data:
            data = data[os.write(1, data) :]
