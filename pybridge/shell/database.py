"""The shell beside an SQLite database, in this process, through its own SQLite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pybridge.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["interact"]


def interact(
    path: Path,
    context: str | None = None,
    *,
    code: Sequence[str] = (),
    banner: bool = True,
    prompts: bool = False,
) -> int:
    """Open a database and run the shell with it as its host; return the exit code.

    Raises:
        HostError: there is no SQLite that loads extensions, or it refuses the file.

    """
    options = json.dumps({"code": list(code), "banner": banner, "prompts": prompts})
    with Beside(path) as database:
        return database.integer(
            "select py_shell(?, ?)", [context, options], "the shell has ended"
        )
