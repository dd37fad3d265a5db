"""`zpy`, the one-line command: Python whose state lives between calls.

`client` is what a terminal runs, and must start as fast as Python itself; `keeper`
holds a session's socket; `worker` is the process with the state.
"""

from __future__ import annotations

__all__: list[str] = []
