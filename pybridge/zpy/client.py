"""The command `zpy`: hand the code and the terminal to the session, and wait.

It has to start as fast as Python itself: what is not needed to run one line is
imported only where it is used.
"""

from __future__ import annotations

import os
import sys
from _signal import (
    SIG_DFL,
    SIG_IGN,
    SIGALRM,
    SIGINT,
    SIGWINCH,
    alarm,
    getsignal,
    signal,
)

from pybridge import __version__
from pybridge.zpy import place, wire
from pybridge.zpy.place import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import NoReturn

__all__ = ["Options", "call", "main", "open_session", "say"]

USAGE = 2
_FAILED = 1
_TRIES = 3
# So long is an interrupt given before the user is told what else there is.
_PATIENCE = 3


class Options:
    """What the words of the command line ask for."""

    __slots__ = (
        "action",
        "all",
        "context",
        "json",
        "name",
        "save",
        "session",
        "show",
        "text",
    )

    def __init__(self) -> None:
        self.action = ""
        self.session = "main"
        self.context = "main"
        self.show = ""
        self.text: str | None = None
        self.name = ""
        self.json = self.all = False
        self.save = ""


# Word -> what it sets; those that take a value have the name of the field it goes to.
_VALUES = {
    "-s": "session",
    "--session": "session",
    "-c": "context",
    "--context": "context",
    "-f": "file",
    "--file": "file",
    "--save": "save",
    "--restore": "restore",
}
_FLAGS = frozenset(
    ("--json", "--str", "--repr", "--list", "--stop", "--all", "--keep", "--discard")
)


def main() -> NoReturn:
    """Run the command, and end this process with the code's exit code."""
    _fill()
    try:
        code = _run(sys.argv[1:])
    except Refused as exc:
        say(str(exc))
        code = _FAILED
    except KeyboardInterrupt:
        _die_of_interrupt()
        code = 130
    # Nothing is left to clean up, and not doing so is a tenth of the time.
    os._exit(code)


def say(text: str) -> None:
    """Tell the user something that is not the code's own output."""
    data = b"".join(
        b"zpy: " + line.encode("utf-8", "surrogateescape") + b"\n"
        for line in text.splitlines()
    )
    try:
        os.write(2, data)
    except OSError:
        pass


def _run(words: list[str]) -> int:
    try:
        options = _parse(words)
    except _WrongWords as exc:
        say(str(exc))
        return USAGE
    place.check_name(options.session)
    if options.action in {"list", "stop", "help", "version"}:
        from pybridge.zpy import manage

        return manage.run(options)
    if options.text is None and not options.action:
        if os.isatty(0):
            options.action = "shell"
        else:
            options.text = _read_stdin()
    return call(options)


class _WrongWords(Exception):  # noqa: N818 (what the user is told)
    """The command line is not understood."""


def _parse(words: list[str]) -> Options:
    """Return what the words ask for.

    Raises:
        _WrongWords: they ask for nothing that there is.

    """
    options = Options()
    words = words.copy()
    while words:
        word = words.pop(0)
        if word != "--" and word.startswith("-") and _is_option(word):
            _option(options, word, words)
            continue
        if word == "--":
            if not words:
                break
            code = words.pop(0)
        else:
            code = _read_stdin() if word == "-" else word
        if options.text is not None:
            raise _WrongWords(
                f"one piece of code at a time, but '{code}' follows; "
                "put all of it in quotes"
            )
        options.text = code
    return options


def _option(options: Options, word: str, words: list[str]) -> None:
    """Take an option, and its value from the words that follow."""
    if word in {"-h", "--help", "--version"}:
        options.action = "version" if word == "--version" else "help"
        return
    name, equals, value = word.partition("=")
    field = _VALUES.get(name)
    if field is None:
        if word not in _FLAGS:
            raise _WrongWords(f"the option '{word}' is unknown; {_meant(word)}")
        _set(options, word[2:])
        return
    if not equals:
        if not words:
            raise _WrongWords(f"{name} wants a value; see zpy --help")
        value = words.pop(0)
    if field in {"file", "save", "restore"}:
        options.action, options.name = field, value
    else:
        setattr(options, field, value)


def _meant(word: str) -> str:
    """Say which option was meant, or where they are told."""
    from difflib import get_close_matches

    near = get_close_matches(word, [*_VALUES, *_FLAGS], 1)
    return f"did you mean '{near[0]}'?" if near else "see zpy --help"


def _is_option(word: str) -> bool:
    """Tell an option from a negative number, or the negation of something."""
    return word.startswith("--") or word[1:].isalpha()


def _set(options: Options, flag: str) -> None:
    if flag in {"json", "str", "repr"}:
        options.show = flag
        options.json = flag == "json"
    elif flag in {"list", "stop"}:
        options.action = flag
    elif flag == "all":
        options.all = True
    else:
        options.save = flag


def _read_stdin() -> str:
    """Return all of stdin as text."""
    parts = []
    while part := os.read(0, 1 << 20):
        parts.append(part)
    return b"".join(parts).decode("utf-8", "surrogateescape")


# ---- A call -------------------------------------------------------------------------


def open_session(name: str, *, start: bool = True) -> tuple[socket | None, bytes]:
    """Return a connection to a session and its token; start it where it is not there.

    Raises:
        Refused: it cannot be started, or is not the user's.

    """
    at = place.folder()
    try:
        sock = place.connect(at, name)
        if sock is None and start:
            from pybridge.zpy import begin

            sock = begin.begin(at, name)
        return sock, place.read_token(at, name)
    finally:
        os.close(at)


def request(
    token: bytes, action: str, text: str = "", context: str = "main", show: str = ""
) -> bytes:
    """Return the payload of a request."""
    try:
        folder = os.getcwd()
    except OSError:
        folder = ""
    version = f"{__version__} {sys.version.partition(' ')[0]} {sys.prefix}"
    fields = (version, action, context, show, folder, text)
    return b"\0".join(
        (token, *(field.encode("utf-8", "surrogateescape") for field in fields))
    )


def call(options: Options) -> int:
    """Have the session do it, and return its exit code.

    Raises:
        Refused: the session cannot be started, or is not the user's.

    """
    text = options.name if options.action else options.text or ""
    for _ in range(_TRIES):
        sock, token = open_session(options.session)
        assert sock is not None  # noqa: S101 (it is started where it is not there)
        payload = request(
            token, options.action or "run", text, options.context, options.show
        )
        conversation = Conversation(sock, options.session)
        # Ctrl-C in the shell ends a line of it, not the call.
        conversation.patient = options.action == "shell"
        code = conversation.run(payload)
        if code is not None:
            return code
        # It ended between the connection and the request.
    from pybridge.zpy import begin

    raise Refused(begin.why(options.session))


class Conversation:
    """One request and what comes back."""

    __slots__ = ("interrupts", "name", "patient", "sock", "started")

    def __init__(self, sock: socket, name: str) -> None:
        self.sock = sock
        self.name = name
        self.started = self.patient = False
        self.interrupts = 0

    def run(self, payload: bytes) -> int | None:
        """Return the exit code; None where the session ended before it was begun."""
        if getsignal(SIGINT) != SIG_IGN:  # as a shell does for what is in background
            signal(SIGINT, self.interrupt)
        signal(SIGWINCH, self.resized)
        try:
            wire.send(self.sock, wire.REQUEST, payload, (0, 1, 2))
            return self.listen()
        except wire.Gone:
            if not self.started:
                return None
            say(
                f"session '{self.name}' was killed, and what it had is gone; "
                "the next call starts a new one"
            )
            return _FAILED
        finally:
            alarm(0)
            self.sock.close()

    def listen(self) -> int:
        """Read frames until the last one."""
        while True:
            kind, payload, _ = wire.receive(self.sock)
            if kind == wire.EXIT:
                code = int(payload)
                if code == 130 and self.interrupts:
                    _die_of_interrupt()
                return code
            if kind == wire.ACCEPTED:
                if os.isatty(2):
                    signal(SIGALRM, self.tell_waiting)
                    alarm(1)
            elif kind == wire.STARTED:
                self.started = True
                if not self.interrupts:
                    alarm(0)
            elif kind == wire.NOTE:
                say(payload.decode("utf-8", "surrogateescape"))
            elif kind == wire.OUTPUT:
                os.write(1, payload)

    def tell_waiting(self, *_: object) -> None:
        """Say why nothing happens."""
        if not self.started:
            say(f"session '{self.name}' is busy; waiting (Ctrl-C gives up)")

    def interrupt(self, *_: object) -> None:
        """Pass Ctrl-C on, and say what else there is where that does not help."""
        self.interrupts += 1
        try:
            wire.send(self.sock, wire.INTERRUPT)
        except wire.Gone:
            return
        if not (self.patient and self.started):
            signal(SIGALRM, self.tell_stuck)
            alarm(_PATIENCE)

    def tell_stuck(self, *_: object) -> None:
        """Say that the code does not stop."""
        say(
            f"the code in session '{self.name}' does not stop; Ctrl-\\ leaves it, "
            f"zpy --stop -s {self.name} ends the session"
        )

    def resized(self, *_: object) -> None:
        """Pass on that the terminal has another size."""
        try:
            wire.send(self.sock, wire.RESIZED)
        except wire.Gone:
            pass


def _fill() -> None:
    """Let 0, 1 and 2 be open, so that nothing of ours gets one of these numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _die_of_interrupt() -> None:
    """End as a program that Ctrl-C ended, so that a shell's loop stops too."""
    signal(SIGINT, SIG_DFL)
    os.kill(os.getpid(), SIGINT)
