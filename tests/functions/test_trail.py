"""The trail of an attempt: what a process leaves of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

from pybridge.functions import trail
from tests.functions.jobs import until


def left_by(code: str) -> trail.Trail:
    """Return the trail of a process that runs some code and dies."""
    fd = trail.make()
    text = f"from pybridge.functions import trail; trail.take({fd})\n"
    try:
        subprocess.run(
            [sys.executable, "-c", text + textwrap.dedent(code)],
            pass_fds=[fd],
            check=False,
        )
        return trail.read(fd)
    finally:
        os.close(fd)


def test_trail_has_the_last_stage() -> None:
    """Each stage takes the place of the one before, whatever comes then."""
    found = left_by(
        """
        import os
        trail.note("source")
        trail.note("inputs", "/root")
        os.kill(os.getpid(), 9)
        """
    )

    assert trail.Trail("inputs", "/root") == found


def test_trail_has_the_function_that_was_called() -> None:
    """Of what a decorator has wrapped, the function itself."""
    found = left_by(
        """
        import functools
        def f(): pass
        @functools.wraps(f)
        def g(): pass
        trail.note("execute", "/root", g)
        """
    )

    assert [trail.Place("<string>", 4, "f")] == list(found.places)


def test_trail_is_not_written_by_what_the_process_forks() -> None:
    """A child that user code has forked is not the run."""
    found = left_by(
        """
        import os
        trail.note("execute")
        if os.fork() == 0:
            trail.note("outputs")
        else:
            os.wait()
        """
    )

    assert "execute" == found.stage


def test_empty_trail_says_nothing() -> None:
    """A process that died before its first stage leaves none."""
    assert trail.Trail() == left_by("import os; os._exit(1)")


def test_process_says_where_it_is_when_asked() -> None:
    """Its stack is there a moment later, the outermost place first; it goes on."""
    fd = trail.make()
    code = (
        f"from pybridge.functions import trail; trail.take({fd})\n"
        "import time\n"
        "def f():\n    time.sleep(60)\n"
        "trail.note('execute', '/root', f)\n"
        "f()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[fd])
    try:
        until(lambda: trail.read(fd).stage and trail.answers(process.pid))

        process.send_signal(trail.ASK)
        places = until(lambda: trail.read(fd).places[1:] and trail.read(fd).places)

        assert [("<module>", 6), ("f", 4)] == [(p.function, p.line) for p in places]
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        os.close(fd)


def test_process_that_would_die_of_the_question_does_not_answer() -> None:
    """Only one that has its trail is asked; of one that is gone nobody knows."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert not trail.answers(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not trail.answers(process.pid)
    assert not trail.answers(None)


def test_crash_is_read_from_the_end_of_a_log() -> None:
    """The thread that crashed counts, and no other stack that a log may have."""
    log = (
        "Stack (most recent call first):\n"
        '  File "x.py", line 1 in other\n'
        "Fatal Python error: Segmentation fault\n\n"
        "Thread 0x1 (most recent call first):\n"
        '  File "x.py", line 2 in waits\n\n'
        "Current thread 0x2 (most recent call first):\n"
        '  File "x.py", line 3 in inner\n'
        '  File "x.py", line 4 in outer\n\n'
        "Extension modules: numpy\n"
    )

    places = trail.of_crash(log)

    assert [("outer", 4), ("inner", 3)] == [(p.function, p.line) for p in places]
    assert () == trail.of_crash(log.partition("Fatal")[0])
