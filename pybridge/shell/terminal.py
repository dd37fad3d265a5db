"""The shell on a terminal: editing, history, completion and colours."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application.current import get_app
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, completion_is_selected, has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout.processors import HighlightMatchingBracketProcessor
from prompt_toolkit.lexers import DynamicLexer, PygmentsLexer
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

import pybridge
from pybridge import settings
from pybridge.errors import BadArgument
from pybridge.shell import completion, streams
from pybridge.shell.history import history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.lexers import Lexer

    from pybridge.shell.console import Console

__all__ = ["Terminal"]

_PROMPT = ">>> "
_CONTINUED = "... "
_INDENT = "    "
# The terminal's own sixteen colours: they fit its background.
_STYLE = {
    "prompt": "bold ansimagenta",
    "pygments.keyword": "bold ansiblue",
    "pygments.keyword.constant": "ansicyan",
    "pygments.name.builtin": "ansicyan",
    "pygments.name.class": "bold",
    "pygments.name.function": "bold",
    "pygments.name.decorator": "ansimagenta",
    "pygments.operator.word": "bold ansiblue",
    "pygments.literal.string": "ansigreen",
    "pygments.literal.number": "ansiyellow",
    "pygments.comment": "ansired",
    "matching-bracket.cursor": "bold underline",
    "matching-bracket.other": "bold underline",
}


class Terminal:
    """A console that is typed into."""

    def __init__(self, console: Console, *, banner: bool = True) -> None:
        """Edit at file descriptors 0 and 1, which are a terminal."""
        self._console = console
        self._banner = banner
        own = settings.section("shell")
        self._leaves_empty = _leaves_empty(own)
        self._input = Vt100Input(streams.opened(0))
        self._output = Vt100_Output.from_pty(streams.opened(1))
        coloured = streams.wants_colours(1)
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            prompt_continuation=FormattedText([("class:prompt", _CONTINUED)]),
            multiline=True,
            history=history() if own.get("history", True) else InMemoryHistory(),
            completer=_Completer(console),
            complete_while_typing=False,
            lexer=DynamicLexer(self._lexer) if coloured else None,
            style=Style.from_dict(_STYLE),
            include_default_pygments_style=False,
            color_depth=None if coloured else ColorDepth.DEPTH_1_BIT,
            input_processors=[HighlightMatchingBracketProcessor()],
            key_bindings=_bindings(console),
            enable_open_in_editor=True,
            tempfile_suffix=".py",
            input=self._input,
            output=self._output,
        )
        self._lexers: dict[str, Lexer] = {}

    def run(self) -> None:
        """Read inputs and run them until the user leaves.

        Raises:
            Leave: the user has said quit(), or the host ends the shell.

        """
        if self._banner:
            sys.stdout.write(_greeting(self._console.name))
        try:
            going = True
            while going:
                try:
                    going = self._step()
                except KeyboardInterrupt:
                    self._console.interrupted()
        finally:
            # Keys that were typed ahead are not for the next shell.
            clear_typeahead(self._input)

    def _step(self) -> bool:
        """Read one input and run it; False = the user wants to leave."""
        try:
            text = self._read()
        except EOFError:
            return False
        if not text.strip():
            return not self._leaves_empty
        self._console.run(text)
        sys.stdout.flush()
        return True

    def _read(self) -> str:
        """Return the next input.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C.

        """
        with streams.kept_terminal():
            return _completed(_Prompt(self._session).text())

    def _prompt(self) -> FormattedText:
        name = self._console.name
        shown = _PROMPT if name == "main" else f"{name} {_PROMPT}"
        return FormattedText([("class:prompt", shown)])

    def _lexer(self) -> Lexer:
        """Return the lexer for what is typed: Python, or SQL in a query."""
        query = self._session.default_buffer.text.startswith(":query")
        kind = "sql" if query else "python"
        if kind not in self._lexers:
            from pygments.lexers.python import PythonLexer
            from pygments.lexers.sql import SqlLexer

            self._lexers[kind] = PygmentsLexer(SqlLexer if query else PythonLexer)
        return self._lexers[kind]


class _Prompt:
    """One question to the user, asked on a thread of its own.

    prompt_toolkit would set handlers for signals on the thread that handles them, which
    in a host are the host's.
    """

    def __init__(self, session: PromptSession[str]) -> None:
        self._session = session
        self._done = threading.Event()
        self._text = ""
        self._failure: BaseException | None = None

    def text(self) -> str:
        """Return what was typed.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C, or a signal.

        """
        thread = threading.Thread(target=self._ask, name="pybridge shell", daemon=True)
        thread.start()
        interrupted = False
        while True:
            try:
                # One that came before it began is told again.
                while not self._done.wait(0.1 if interrupted else None):
                    self._stop()
                thread.join()
                break
            except KeyboardInterrupt:
                interrupted = True
                self._stop()
        if interrupted and not isinstance(self._failure, EOFError):
            raise KeyboardInterrupt
        if self._failure is not None:
            raise self._failure
        return self._text

    def _ask(self) -> None:
        try:
            self._text = self._session.prompt(handle_sigint=False)
        except BaseException as exc:
            self._failure = exc
        finally:
            self._done.set()

    def _stop(self) -> None:
        """End the question from outside."""
        app = self._session.app
        loop = app.loop
        if loop is not None and not self._done.is_set():
            with suppress(RuntimeError):  # it has just ended by itself
                loop.call_soon_threadsafe(_end, app)


def _end(app: Any) -> None:
    if app.is_running and not app.is_done:
        app.exit(exception=KeyboardInterrupt)


class _Completer(Completer):
    """The shell's completions in prompt_toolkit's words."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 (prompt_toolkit's)
    ) -> Iterator[Completion]:
        text = document.text_before_cursor
        try:
            found = completion.complete(text, self._console)
        except Exception:  # whatever the user's objects do, typing goes on
            return
        for one in found:
            yield Completion(one.text, -one.length, display=one.shown)


# ---- Keys ---------------------------------------------------------------------------


def _bindings(console: Console) -> KeyBindings:
    """Return what Enter, Tab and Backspace do in Python code."""
    bindings = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @Condition
    def indenting() -> bool:
        return _before_cursor_is_blank(get_app().current_buffer)

    @bindings.add("enter", filter=typing & ~completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        document = buffer.document
        at_end = not document.text_after_cursor.strip()
        one_line = "\n" not in buffer.text
        if (at_end or one_line) and console.is_complete(_completed(buffer.text)):
            buffer.validate_and_handle()
        elif event.app.key_processor.input_queue:
            buffer.insert_text("\n")  # pasted: it brings its own indentation
        else:
            buffer.insert_text("\n" + _indentation(document.current_line_before_cursor))

    @bindings.add("enter", filter=typing & completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @bindings.add("tab", filter=typing & indenting)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(_INDENT)

    @bindings.add("backspace", filter=typing & indenting)
    def _(event: KeyPressEvent) -> None:
        before = event.current_buffer.document.current_line_before_cursor
        excess = len(before) % len(_INDENT) or len(_INDENT)
        event.current_buffer.delete_before_cursor(excess if before else 1)

    return bindings


def _before_cursor_is_blank(buffer: Buffer) -> bool:
    document = buffer.document
    before = document.current_line_before_cursor
    first = document.cursor_position_row == 0
    return not before.strip(" ") and (bool(before) or not first)


def _indentation(line: str) -> str:
    """Return how the next line begins."""
    indent = line[: len(line) - len(line.lstrip())]
    words = line.split("#", maxsplit=1)[0].split()
    if line.split("#", maxsplit=1)[0].rstrip().endswith(":"):
        return indent + _INDENT
    if words and words[0] in {"return", "pass", "break", "continue", "raise"}:
        return indent[: -len(_INDENT)]
    return indent


def _completed(text: str) -> str:
    """Return an input without the indentation of a last line that is blank."""
    head, newline, last = text.rpartition("\n")
    return head + newline + last.rstrip() if newline else text.rstrip()


# ---- Settings -----------------------------------------------------------------------


def _leaves_empty(own: dict[str, Any]) -> bool:
    leave = own.get("leave", "ctrl-d")
    if leave not in ("ctrl-d", "empty-line"):
        raise BadArgument(
            f"'leave' in [shell] of pybridge.toml is {leave!r}; "
            'it takes "ctrl-d" or "empty-line"'
        )
    return bool(leave == "empty-line")


def _greeting(name: str) -> str:
    version = sys.version.split()[0]
    return (
        f"pybridge {pybridge.__version__}, Python {version}, context '{name}'\n"
        "Type :help for commands; Ctrl-D or quit() leaves.\n"
    )
