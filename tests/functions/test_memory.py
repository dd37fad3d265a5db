"""Memory limits without control groups: what all processes of a run take together."""

from __future__ import annotations

import mmap
import os
import signal
from typing import TYPE_CHECKING

from pybridge.functions import memory
from tests.functions.jobs import ended, nothing_left

if TYPE_CHECKING:
    from pybridge.functions.project import Project

SETTINGS = "control_groups = false\n"
MIB = 1 << 20
CHILDREN = """
import os, time
def g(size):
    held = bytearray(size << 20)
    for place in range(0, len(held), 4096):
        held[place] = 1
    time.sleep({seconds})
def f(count: int, size: int, own: int = 0):
    held = b"x" * (own << 20)
    started = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            g(size)
            os._exit(0)
        started.append(child)
    for child in started:
        os.waitpid(child, 0)
    return count
"""


def test_processes_of_a_run_share_its_limit(led: Project) -> None:
    """Four that take a third of it each are ended, as the system would do it."""
    run = ended(
        led,
        CHILDREN.format(seconds=60),
        parameters={"count": 4, "size": 50},
        resources={"mem": "150Mi"},
    )

    error = run.status.error
    assert ("ERROR", "ProcessDied") == (run.state, error["type"])
    assert "the memory limit of 150Mi was reached" in error["message"]
    assert ("execute", 1) == (error["stage"], error["attempt"])
    assert "os.waitpid(child, 0)" == error["frames"][-1]["text"]
    assert nothing_left(run)


def test_pages_that_processes_share_count_once(led: Project) -> None:
    """Children of a process that has much have it too, and take no more."""
    run = ended(
        led,
        CHILDREN.format(seconds=0.5),
        parameters={"count": 4, "size": 5, "own": 100},
        resources={"mem": "150Mi"},
    )

    assert ("COMPLETED", 4) == (run.state, run.result("output_0"))


def test_shared_memory_counts(led: Project) -> None:
    """Memory that no limit of a process counts is the run's all the same."""
    run = ended(
        led,
        """
        import mmap, time
        def f():
            shared = mmap.mmap(-1, 200 << 20)
            for place in range(0, len(shared), 4096):
                shared[place] = 1
            time.sleep(60)
        """,
        resources={"mem": "100Mi"},
    )

    assert "the memory limit of 100Mi was reached" in str(run.status.message)
    assert nothing_left(run)


def test_other_programs_count_with_all_that_they_take(led: Project) -> None:
    """What a run starts, and that by another program, has nothing that is not its."""
    run = ended(
        led,
        """
        import subprocess, sys
        EATS = "import time; held = b'x' * (60 << 20); time.sleep(60)"
        def f():
            words = ["sh", "-c", "'%s' -c \\"%s\\" & wait" % (sys.executable, EATS)]
            for one in [subprocess.Popen(words) for _ in range(3)]:
                one.wait()
        """,
        resources={"mem": "150Mi"},
    )

    assert "the memory limit of 150Mi was reached" in str(run.status.message)
    assert nothing_left(run)


def test_memory_is_what_was_added_since_the_base() -> None:
    """A process that has taken nothing more has taken nothing."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        base = memory.Base.here()
        first = memory.taken(os.getpid(), base)
        with mmap.mmap(-1, 64 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
            for place in range(0, len(held), 4096):
                held[place] = 1
            then = memory.taken(os.getpid(), base)
        os.write(writing, f"{first} {then}".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    first, then = map(int, os.read(reading, 100).split())
    os.close(reading)
    os.close(writing)

    assert first < 16 * MIB
    assert 48 * MIB < then < 80 * MIB
    assert 0 == memory.taken(pid, memory.Base())
