"""Sources given as text: Python code, plain or in base64, one file."""

from __future__ import annotations

import base64
import binascii
import io
import tokenize
from pathlib import PurePosixPath

from pybridge.errors import BadArgument

__all__ = ["NAME", "decode", "encode", "filename", "verify"]

NAME = "main.py"  # the file that code without one is written to


def encode(content: bytes) -> str:
    """Return the bytes of a file as base64."""
    return base64.b64encode(content).decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes of a file that is given as base64; line ends in it are fine.

    Raises:
        BadArgument: this is not base64.

    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BadArgument(f"base64 cannot be decoded: {exc}") from None


def verify(content: bytes, what: str) -> None:
    """Look whether a file's bytes can be Python source; faults in it are the run's.

    Raises:
        BadArgument: it is empty, no text, or has a NUL character in it.

    """
    if not content.strip():
        raise BadArgument(f"{what} is empty; give Python code")
    if b"\0" in content:
        raise BadArgument(f"{what} is not Python source: it has a NUL character in it")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as exc:
        raise BadArgument(f"{what} is not Python source: {exc}") from None


def filename(source: str | None) -> str:
    """Return the name that the file of a source text has in its tree."""
    name = PurePosixPath(source or NAME).name
    stem = name[: -len(".py")]
    usual = name.endswith(".py") and stem and "." not in stem and name.isprintable()
    return name if usual and "\\" not in name and len(name.encode()) < 256 else NAME
