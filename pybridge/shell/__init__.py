"""An interactive Python over a context: on a terminal, or line by line over a pipe."""

from __future__ import annotations

from pybridge.shell.session import interact

__all__ = ["interact"]
