"""zpy on a terminal: keys, sizes, waiting; played through a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

from tests.zpy.conftest import COMMAND, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.zpy.conftest import Zpy


class Terminal:
    """A terminal with a `zpy` in front."""

    def __init__(self, zpy: Zpy, *words: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=zpy.here,
            env=zpy.env,
            # It has to be the terminal that Ctrl-C comes from.
            preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509 (no threads here)
            pass_fds=(slave,),
        )
        os.close(slave)
        self.shown = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def reads(self, text: str) -> None:
        """Wait until that has been shown."""
        until(lambda: text in self.look())

    def look(self) -> str:
        """Return all that has been shown until now, without carriage returns."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.shown += os.read(self.master, 4096).decode()
            except OSError:  # the other end is closed
                break
        return self.shown.replace("\r", "")

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and all that was shown."""
        until(lambda: (self.look(), self.process.poll() is not None)[1])
        return self.process.returncode, self.look()

    def close(self) -> None:
        """Hang up."""
        os.close(self.master)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def terminals(zpy: Zpy) -> Iterator[list[Terminal]]:
    """Close the terminals of a test."""
    opened: list[Terminal] = []
    yield opened
    for one in opened:
        one.close()
    assert zpy.folder.exists()


def test_ctrl_c_interrupts_the_code_and_not_the_session(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """The call ends as Ctrl-C ends programs; what there was is still there."""
    zpy.says("import time; x = 1")
    terminal = Terminal(zpy, "print('now')\ntime.sleep(60)")
    terminals.append(terminal)
    terminal.reads("now")

    terminal.type("\x03")
    code, shown = terminal.end()

    assert -signal.SIGINT == code
    assert "    time.sleep(60)\nKeyboardInterrupt" in shown
    assert "1\n" == zpy.says("x")


def test_ctrl_c_reaches_programs_that_the_code_runs(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """As in a shell, the program in front is interrupted with the code."""
    zpy.says("import subprocess")
    terminal = Terminal(zpy, "subprocess.run(['sh', '-c', 'echo now; exec sleep 60'])")
    terminals.append(terminal)
    terminal.reads("now")

    terminal.type("\x03")
    code, shown = terminal.end()

    assert -signal.SIGINT == code
    assert "KeyboardInterrupt" in shown
    assert "1\n" == zpy.says("1")


def test_second_ctrl_c_interrupts_the_clean_up(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """Each Ctrl-C is one KeyboardInterrupt."""
    zpy.says("import time")
    terminal = Terminal(
        zpy,
        "try:\n print('one')\n time.sleep(60)\n"
        "except KeyboardInterrupt:\n print('two')\n time.sleep(60)",
    )
    terminals.append(terminal)
    terminal.reads("one")
    terminal.type("\x03")
    terminal.reads("two")
    terminal.type("\x03")

    code, shown = terminal.end()

    assert -signal.SIGINT == code
    assert 2 == shown.count("    time.sleep(60)\nKeyboardInterrupt")


def test_code_that_does_not_stop_is_explained(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """Where an interrupt does not help the user is told what does."""
    terminal = Terminal(
        zpy,
        "while True:\n try:\n  print('now')\n  while True: pass\n"
        " except KeyboardInterrupt: pass",
    )
    terminals.append(terminal)
    terminal.reads("now")
    terminal.type("\x03")
    terminal.reads("does not stop; Ctrl-\\ leaves it, zpy --stop -s main ends")

    terminal.type("\x1c")
    code, _ = terminal.end()
    stopping = zpy.start("--stop", "--discard")
    zpy("--stop", "--discard")
    stopping.communicate()

    assert -signal.SIGQUIT == code


def test_waiting_is_said_and_can_be_given_up(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """The second terminal learns why nothing happens; Ctrl-C there leaves the first."""
    zpy.says("import time")
    first = zpy.start("print(flush=True); time.sleep(60)")
    assert first.stdout is not None
    first.stdout.readline()
    terminal = Terminal(zpy, "1 + 1")
    terminals.append(terminal)

    terminal.reads("session 'main' is busy; waiting (Ctrl-C gives up)")
    terminal.type("\x03")
    code, _ = terminal.end()

    assert -signal.SIGINT == code
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    first.communicate()


def test_terminal_is_the_callers(zpy: Zpy, terminals: list[Terminal]) -> None:
    """The code sees a terminal of the right size, asks on it; lines come at once."""
    terminal = Terminal(
        zpy,
        "import os, sys\nprint(sys.stdin.isatty(), sys.stdout.isatty())\n"
        "print(*os.get_terminal_size())\nname = input('who? ')\nname",
    )
    terminals.append(terminal)
    terminal.reads("True True\n111 33\nwho? ")

    terminal.type("me\n")
    code, shown = terminal.end()

    assert 0 == code
    assert shown.endswith("'me'\n")
    assert "False\n" == zpy.says("sys.stdout.isatty()")


def test_new_size_reaches_the_code(zpy: Zpy, terminals: list[Terminal]) -> None:
    """A change of the window is a SIGWINCH in the session."""
    zpy.says("import os, signal, time; seen = []")
    zpy.says("h = signal.signal(signal.SIGWINCH, lambda *_: seen.append(1))")
    terminal = Terminal(
        zpy, "print('now')\nwhile not seen: time.sleep(0.01)\nos.get_terminal_size()"
    )
    terminals.append(terminal)
    terminal.reads("now")

    size = struct.pack("HHHH", 44, 55, 0, 0)
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, size)
    code, shown = terminal.end()

    assert 0 == code
    assert "os.terminal_size(columns=55, lines=44)" in shown


def test_closed_terminal_interrupts_the_code(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """Closing the window ends what ran in it, not the session."""
    zpy.says("import time; x = 1")
    terminal = Terminal(zpy, "print('now')\nwhile True: time.sleep(0.01)")
    terminal.reads("now")

    terminal.close()

    assert "1\n" == zpy.says("x")


def test_stop_offers_to_save(zpy: Zpy, terminals: list[Terminal]) -> None:
    """On a terminal the user is asked, and may say no."""
    zpy.says("x = 1")
    terminal = Terminal(zpy, "--stop")
    terminals.append(terminal)
    terminal.reads("session 'main' has 1 name; save them? [Y/n] ")

    terminal.type("n\n")
    code, shown = terminal.end()

    assert 0 == code
    assert shown.endswith("zpy: session 'main' was stopped\n")


def test_stopped_command_leaves_the_code_running(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """Ctrl-Z stops the command as it does a remote shell: what runs there goes on."""
    zpy.says("import time")
    code = "print('now')\ntime.sleep(0.2)\nopen('done', 'w').close()"
    terminal = Terminal(zpy, code)
    terminals.append(terminal)
    terminal.reads("now")

    os.kill(terminal.process.pid, signal.SIGTSTP)
    until((zpy.here / "done").exists)
    os.kill(terminal.process.pid, signal.SIGCONT)

    assert 0 == terminal.end()[0]


def test_alone_it_opens_the_shell_on_the_same_context(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """What one line made is there in the shell, and the other way round."""
    zpy.says("x = 41; import time")
    terminal = Terminal(zpy)
    terminals.append(terminal)
    terminal.reads("context 'main'")
    terminal.type("x + 1\r")
    terminal.reads("42")
    # Not as it is typed, but as it is printed.
    terminal.type("print('n' + 'ow'); time.sleep(60)\r")
    terminal.reads("now")
    assert "shell" == zpy.session()["action"]

    terminal.type("\x03")
    terminal.reads("KeyboardInterrupt")
    terminal.type("y = x\r\x04")
    code, _ = terminal.end()

    assert 0 == code
    assert "41\n" == zpy.says("y")


def test_shell_of_a_closed_terminal_frees_the_session(
    zpy: Zpy, terminals: list[Terminal]
) -> None:
    """Closing the window with a shell in it leaves the session to the next call."""
    zpy.says("x = 1")
    terminal = Terminal(zpy)
    terminal.reads("context 'main'")

    terminal.close()

    assert "1\n" == zpy.says("x")
    assert terminals == []
