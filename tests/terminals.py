"""Programs on a terminal, typed into and read as a person would."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

__all__ = ["CTRL_C", "CTRL_D", "Terminal", "plain"]

CTRL_C = "\x03"
CTRL_D = "\x04"
_ESCAPES = re.compile(
    r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>()][B0]?|\x1b\][^\x07]*\x07|[\x07\r]"
)


def plain(text: str) -> str:
    """Return what a program has written without colours and cursor movements."""
    return _ESCAPES.sub("", text)


class Terminal:
    """One program that has a new terminal as its controlling one."""

    def __init__(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        columns: int = 100,
    ) -> None:
        """Start it; in `env`, "" takes a variable away."""
        self.terminal, self.slave = pty.openpty()
        size = struct.pack("HHHH", 40, columns, 0, 0)
        _set_size(self.terminal, size)
        words = {
            **os.environ,
            "TERM": "xterm",
            # No question to a terminal that does not answer.
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "NO_COLOR": "",
            **(env or {}),
        }
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={name: value for name, value in words.items() if value},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 (no threads here)
        )
        self.seen = ""  # and not yet expected
        self.raw = ""  # all of it, as it came

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.terminal, text.encode())

    def expect(self, mark: str, seconds: float = 10) -> str:
        """Return what is written up to a mark, and go on behind it."""
        end = time.monotonic() + seconds
        while mark not in plain(self.seen):
            ready, _, _ = select.select(
                [self.terminal], [], [], max(0.0, end - time.monotonic())
            )
            assert ready, f"no {mark!r} within {seconds} s: {plain(self.seen)!r}"
            try:
                piece = os.read(self.terminal, 1 << 16)
            except OSError:
                piece = b""
            assert piece, f"it has ended without {mark!r}: {plain(self.seen)!r}"
            self._take(piece)
        before, _, self.seen = plain(self.seen).partition(mark)
        return before

    def enter(self, text: str) -> None:
        """Type a line, and wait until it has been taken."""
        self.type(text + "\r")
        self.expect(text)
        self.expect("\n")

    def ask(self, text: str, prompt: str = ">>> ") -> str:
        """Type a line and return what is written until the next prompt."""
        self.enter(text)
        return self.expect(prompt).replace("\n\n", "\n").strip("\n")

    def attributes(self) -> list[object]:
        """Return the terminal's modes."""
        return list(termios.tcgetattr(self.slave))

    def wait(self, seconds: float = 10) -> int:
        """Return the exit code of the program, once it has ended."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end: {plain(self.seen)!r}"
            ready, _, _ = select.select([self.terminal], [], [], 0.05)
            if ready:
                self._take(os.read(self.terminal, 1 << 16))
        return int(self.process.returncode)

    def _take(self, piece: bytes) -> None:
        text = piece.decode(errors="replace")
        self.raw += text
        self.seen += text

    def close(self) -> None:
        """End the program, if it still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for file in (self.terminal, self.slave):
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _take_terminal() -> None:
    """Make standard input the controlling terminal, so that Ctrl-C is a signal."""
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _set_size(file: int, size: bytes) -> None:
    import fcntl

    fcntl.ioctl(file, termios.TIOCSWINSZ, size)
