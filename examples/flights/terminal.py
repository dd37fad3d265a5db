"""A shell that is given one statement at a time, and shown as if it was typed."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["END", "Shell"]

END = "-- end of statement --"


class Shell:
    """A process that reads statements; `end` makes it print END behind each."""

    def __init__(self, command: list[str], prompt: str, comment: str, end: str) -> None:
        self._prompt, self._comment, self._end = prompt, comment, end
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(self, statement: str) -> bool:
        """Show `statement` and what it prints; False when the shell ended over it."""
        assert self._process.stdout is not None  # noqa: S101 (Popen was given pipes)
        self.say(statement)
        self.tell(f"{statement}\n{self._end}")
        for line in self._process.stdout:
            if line.rstrip("\n") == END:
                return True
            self.show_line(line)
        return False

    def tell(self, text: str) -> None:
        """Hand lines to the process."""
        assert self._process.stdin is not None  # noqa: S101 (Popen was given pipes)
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def show_line(self, line: str) -> None:
        """Show a line that the statement printed."""
        print(line, end="", flush=True)

    def say(self, statement: str) -> None:
        """Show a statement behind its prompt, and a comment as one."""
        bold, dim, plain = (
            ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("",) * 3
        )
        if not statement:
            print()
        elif statement.startswith(self._comment):
            print(f"{dim}{statement}{plain}")
        else:
            echo = statement.replace("\n", "\n   ...> ")
            print(f"{self._prompt}{bold}{echo}{plain}", flush=True)

    def close(self) -> int:
        """End the shell and return its exit code."""
        self._process.communicate()
        return self._process.returncode
