"""What the shell does with each input, whether it was typed or came through a pipe."""

from __future__ import annotations

import ast
import codeop
import sys
import warnings
from typing import TYPE_CHECKING, Any

from pybridge import context, source, status

if TYPE_CHECKING:
    from pybridge.context import Context

__all__ = ["Console", "Leave", "forget"]

_LAST = ("last_exc", "last_type", "last_value", "last_traceback")


class Leave(SystemExit):
    """Raised to leave the shell; `code` is its exit code."""


class Console:
    """One shell: the context that it is on, and how its inputs are run."""

    def __init__(self, name: str | None = None, *, colours: bool = False) -> None:
        """Work on the context of that name; none is "main"."""
        self.name = name or context.MAIN
        self.colours = colours
        # Are lines and tables to fit the width of a terminal?
        self.terminal = False
        self.failures = 0
        self._flags = 0

    @property
    def context(self) -> Context:
        """The context; asked for each time, as a reset makes a new one."""
        return context.get(self.name)

    @property
    def namespace(self) -> dict[str, Any]:
        """The namespace of the context."""
        return self.context.namespace

    def is_complete(self, text: str) -> bool:
        """Tell whether an input can be run, or more lines are wanted.

        A block ends with a blank line, as in Python's own shell; what cannot become
        Python any more is complete too, so that its error is shown.
        """
        if not text.strip():
            return True
        if text.startswith(":"):
            return not text.endswith("\\")
        try:
            code = codeop.compile_command(text, symbol="exec")
        except (SyntaxError, ValueError, OverflowError):
            return True
        blank = text.endswith("\n")
        if code is None:
            return blank and _lacks_block(text)
        return blank or not _ends_in_block(text)

    def run(self, text: str) -> bool:
        """Run one input and tell whether it went well; what failed has been shown.

        Raises:
            Leave: the user wants to leave, or the host wants the shell to end.

        """
        # A Ctrl-C may raise twice: what it stops in the host, and Python itself. The
        # second one comes at any step of what is done about the first.
        try:
            try:
                self._run(text)
                return True
            except Leave:
                raise
            except BaseException as exc:
                self._report(exc)
        except Leave:
            raise
        except BaseException as exc:
            self._report(exc)
        self.failures += 1
        return False

    def execute(self, text: str) -> None:
        """Run code and show the values of its expressions."""
        source.share()
        code, self._flags = source.compile_shown(text, self._flags)
        exec(code, self.namespace)

    def interrupted(self) -> None:
        """Go on after an interrupt: it was for the input, not for the shell.

        Raises:
            Leave: the host itself wants the call to end.

        """
        # CPython notes an interrupt in exec() of a text, and would end the process by
        # the signal; the next exec() of one makes it forget.
        exec("")
        plane = sys.modules.get("pybridge._plane")
        if plane is not None and not plane.recover():
            self.failures += 1
            sys.stderr.write("the host has ended the shell\n")
            raise Leave(1)

    def _run(self, text: str) -> None:
        plain = text.strip()
        if plain.startswith(":"):
            from pybridge.shell import commands

            commands.run(self, plain)
        elif plain in ("quit", "exit") and plain not in self.namespace:
            raise Leave(0)
        elif plain:
            self.execute(text)

    def _report(self, exc: BaseException) -> None:
        """Show a failure and remember it, whatever it is."""
        if isinstance(exc, KeyboardInterrupt):
            self.interrupted()
        try:
            self._show(exc)
        except KeyboardInterrupt as again:
            self.interrupted()
            self._show(again)

    def _show(self, exc: BaseException) -> None:
        trace = status.users_part(exc.__traceback__)
        at = self.context
        status.record(exc, at)
        failure = at.status.failure
        # What was recorded has let go of its frames; pdb.pm() wants them.
        exc.__traceback__ = trace
        status.remember(exc, trace)
        hook = sys.excepthook
        if hook is not sys.__excepthook__ and not _says_all(exc):
            hook(type(exc), exc, trace)
            return
        text = failure.traceback() if failure is not None else f"{exc!r}\n"
        if trace is None and failure is not None and _says_all(exc):
            text = failure.text + "\n"
        sys.stderr.write(self._coloured(text))
        sys.stderr.flush()
        if isinstance(exc, SystemExit):
            sys.stderr.write("the shell goes on; quit() leaves it\n")

    def _coloured(self, text: str) -> str:
        if not self.colours:
            return text
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers.python import PythonTracebackLexer

        return str(highlight(text, PythonTracebackLexer(), TerminalFormatter()))


def forget() -> None:
    """Let go of what shells keep for the user: the last value and the last failure."""
    for name in _LAST:
        if hasattr(sys, name):
            delattr(sys, name)


def _says_all(exc: BaseException) -> bool:
    """Is it a sentence of the bridge's, which says all by itself?"""
    from pybridge.errors import BridgeError, Interrupted

    return isinstance(exc, (BridgeError, Interrupted))


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come when the code is run
        return ast.parse(text)


def _ends_in_block(text: str) -> bool:
    """Is the last statement one to which lines can still be added?"""
    body = _parsed(text).body
    return bool(body) and (hasattr(body[-1], "body") or hasattr(body[-1], "cases"))


def _lacks_block(text: str) -> bool:
    """Is a blank line where a block, or its other half, had to come?"""
    try:
        _parsed(text)
    except SyntaxError as exc:
        return str(exc.msg).startswith("expected ")
    return False
