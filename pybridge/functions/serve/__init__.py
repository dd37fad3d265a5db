"""The process of a service: a function answers HTTP requests until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REQUIREMENTS", "main"]

# What the environment of a service needs beside what all functions do.
REQUIREMENTS = (
    "starlette",
    "uvicorn",
    "httptools",
    "uvloop",
    "python-multipart",
    "nuclio-sdk",
    "prometheus-client",
)


def main(argv: Sequence[str]) -> int:
    """Serve the run that the words name; return the exit status."""
    from pybridge.functions.serve.__main__ import main

    return main(argv)
