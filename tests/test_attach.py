"""A library that is loaded where Python runs already."""

from __future__ import annotations

import os
import subprocess
import sys

from pybridge.location import LIBRARY

SETUP = f"""
import ctypes, datetime
hasattr(datetime.datetime_CAPI, "attribute")
library = ctypes.CDLL({str(LIBRARY)!r})
library.pyb_setup.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
print(library.pyb_setup(None, None))
"""


def test_attach_works_after_python_has_looked_at_a_capsule() -> None:
    """The type of capsules, on which cffi's lock is, may have been in use before."""
    ended = subprocess.run(
        [sys.executable, "-c", SETUP],
        capture_output=True,
        text=True,
        timeout=60,  # it waited for ever
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )

    assert ("0\n", "", 0) == (ended.stdout, ended.stderr, ended.returncode)
