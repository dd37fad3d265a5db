"""Generate the C file of the seam with cffi's embedding API."""

from __future__ import annotations

import os
from pathlib import Path

import cffi

SEAM = Path(__file__).resolve().parent


def generate(target: Path) -> None:
    """Write the generated C file to `target`."""
    builder = cffi.FFI()
    # What a host calls is declared in pybridge.h and written in C, so that a failed
    # start is an error: the embedding API itself gets no function.
    builder.embedding_api("")
    builder.cdef((SEAM / "seam.cdef").read_text())
    builder.set_source("_pybridge", f'#include "{SEAM / "seam.c"}"')
    builder.embedding_init_code("import pybridge._seam.entry")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Another build may read it at the same time: it is whole at any moment.
    made = target.with_suffix(f".{os.getpid()}")
    builder.emit_c_code(str(made))
    # Warnings are errors for our C; what cffi writes is not ours to mend.
    quiet = '#pragma GCC diagnostic ignored "-Wunused-parameter"\n'
    made.write_text(quiet + made.read_text())
    made.replace(target)
