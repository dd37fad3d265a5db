"""The forkserver: what it forks in advance is one run's, or nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from pybridge.functions import processes
from pybridge.functions.manager import client
from tests.functions.jobs import PATIENCE, ended, until

if TYPE_CHECKING:
    from pybridge.functions.project import Project

OWN = "import os, random\ndef f(): return [os.getpid(), os.getsid(0), random.random()]"


def warm(project: Project) -> None:
    """Have runs come from the forkserver that has loaded all."""
    ended(project, OWN)
    until(lambda: client.of(project.store).ask("info")["warm"])
    ended(project, OWN)


def waiting(project: Project) -> psutil.Process:
    """Return the process that was forked in advance."""
    pid = client.of(project.store).ask("info")["pid"]

    def found() -> list[psutil.Process]:
        try:
            servers = psutil.Process(pid).children()
            every = [each for server in servers for each in server.children()]
            asleep = [each for each in every if each.status() == "sleeping"]
        except psutil.NoSuchProcess:  # one of them has just ended
            return []
        runs = processes.marked()
        return [each for each in asleep if each.pid not in runs]

    process: psutil.Process = until(found)[0]
    return process


def test_next_run_is_the_process_that_waits(led: Project) -> None:
    """It is there before its run, in a session of its own; each is used once."""
    warm(led)
    first = waiting(led)
    one = ended(led, OWN).result("output_0")
    second = waiting(led)
    two = ended(led, OWN).result("output_0")

    assert [first.pid, first.pid] == one[:2]
    assert [second.pid, second.pid] == two[:2]
    assert one[2] != two[2]


def test_run_goes_on_without_the_process_that_waited(led: Project) -> None:
    """One that somebody has killed is nobody's loss."""
    warm(led)
    for _ in range(3):
        victim = waiting(led)
        victim.kill()
        victim.wait(PATIENCE)

        assert "COMPLETED" == ended(led, OWN).state
