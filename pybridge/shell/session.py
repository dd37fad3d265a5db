"""One run of the shell, from the user's coming to leaving; nothing stays behind."""

from __future__ import annotations

import builtins
import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from pybridge.errors import HostError
from pybridge.shell import streams
from pybridge.shell.console import Console, Leave, forget
from pybridge.shell.wakeup import stopping_queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pybridge.shell.streams import Reader

__all__ = ["interact"]

_MISSING = object()
# A shell inside a shell must not take from the outer one what that keeps.
_open = 0


def interact(
    context: str | None = None,
    *,
    code: Sequence[str] = (),
    banner: bool = True,
    prompts: bool = False,
) -> int:
    """Run the shell on the process's standard streams until the user leaves.

    On a terminal it is edited with prompt_toolkit; over a pipe it reads line by line,
    prints results, and shows prompts only where they are asked for. With `code` it runs
    those texts instead of reading any. What comes back is an exit code: that of quit(),
    else 1 where input that was not typed on a terminal has failed, else 0.

    Raises:
        HostError: the process has no standard input or output.

    """
    for number, name in enumerate(("input", "output")):
        if not _is_open(number):
            raise HostError(
                f"the shell needs standard {name}, and this process has it closed"
            )
    with ExitStack() as stack:
        stack.enter_context(streams.kept_terminal())
        reader = stack.enter_context(streams.standard())
        stack.enter_context(_kept_builtins())
        stack.enter_context(stopping_queries())
        terminal = not code and streams.is_terminal()
        console = Console(context, colours=streams.wants_colours(2))
        console.terminal = streams.is_terminal()
        try:
            if code:
                _run_all(console, code)
            elif terminal:
                from pybridge.shell.terminal import Terminal

                Terminal(console, banner=banner).run()
                return 0
            else:
                _read_all(console, reader, prompts=prompts or os.isatty(0))
        except Leave as leave:
            return _exit_code(leave)
        return 1 if console.failures else 0


def _run_all(console: Console, texts: Sequence[str]) -> None:
    for text in texts:
        console.run(text)
        sys.stdout.flush()


def _read_all(console: Console, reader: Reader, *, prompts: bool) -> None:
    """Read lines until the end of input, and run each input that they make."""
    lines: list[str] = []
    while True:
        try:
            if prompts:
                sys.stdout.write("... " if lines else ">>> ")
            sys.stdout.flush()
            line = reader.line()
            if line:
                lines.append(line.removesuffix("\n").removesuffix("\r"))
            text = _joined(lines)
            if line and not console.is_complete(text):
                continue
            lines.clear()
            if text.strip():
                console.run(text)
            if not line:
                return
        except KeyboardInterrupt:
            lines.clear()
            console.interrupted()
            sys.stderr.write("KeyboardInterrupt\n")


def _joined(lines: Sequence[str]) -> str:
    """Return lines as one text; a command that goes on has a backslash at its end."""
    if lines and lines[0].startswith(":"):
        return "\n".join(
            line.removesuffix("\\") if line is not lines[-1] else line for line in lines
        )
    return "\n".join(lines)


@contextmanager
def _kept_builtins() -> Iterator[None]:
    """Lend quit(), exit() and `_` to the user, and take them back at the end.

    Those of Python close standard input, which is the host's.
    """
    global _open  # noqa: PLW0603 (of the process)
    before = {name: getattr(builtins, name, _MISSING) for name in ("quit", "exit", "_")}
    builtins.quit = builtins.exit = _Quit()  # type: ignore[assignment]
    _open += 1
    try:
        yield
    finally:
        _open -= 1
        for name, value in before.items():
            if value is not _MISSING:
                setattr(builtins, name, value)
            elif hasattr(builtins, name):
                delattr(builtins, name)
        if not _open:
            forget()


class _Quit:
    """What quit() and exit() are in the shell."""

    def __repr__(self) -> str:
        """Say what to do, as Python's own do."""
        return "quit() or Ctrl-D (end of input) leaves the shell"

    def __call__(self, code: object = None) -> NoReturn:
        """Leave the shell, and nothing but the shell."""
        raise Leave(code)


def _exit_code(leave: Leave) -> int:
    """Return the number of an exit code, as Python takes it; a text is printed."""
    code: Any = leave.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
