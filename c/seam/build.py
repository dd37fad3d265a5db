"""Generate the C file of the seam with cffi's embedding API."""

from __future__ import annotations

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
    builder.emit_c_code(str(target))
    # Warnings are errors for our C; what cffi writes is not ours to mend.
    quiet = '#pragma GCC diagnostic ignored "-Wunused-parameter"\n'
    target.write_text(quiet + target.read_text())
