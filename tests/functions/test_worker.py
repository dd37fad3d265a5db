"""The forkserver and what it forks: whose process it is, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import wire
from pybridge.functions import (
    engines,
    environments,
    forkserver,
    processes,
    pythons,
    states,
    trail,
)
from pybridge.functions.manager.nursery import _PROGRAM, Child, Ended, _Server
from tests.functions.jobs import PATIENCE, job, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.functions.project import Project


class Server:
    """A forkserver, spoken to as the manager does."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.trail = -1
        self.sock, its = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        self.process = subprocess.Popen(
            [python, "-c", _PROGRAM, str(its.fileno())],
            env={**os.environ, processes.MARK: forkserver.placeholder()},
            pass_fds=[its.fileno()],
        )
        its.close()
        assert forkserver.READY == self.hear()[0]

    def hear(self) -> tuple[bytes, dict[str, Any]]:
        """Return the next word of it."""
        kind, payload, _ = wire.receive(self.sock)
        return kind, json.loads(payload)

    def fork(self, run: str, *words: str) -> tuple[int, int]:
        """Have a process forked that does what words say; return it, and its output."""
        reading, writing = os.pipe()
        request = {
            "number": 7,
            "run": run,
            "cwd": str(self.folder),
            "environ": {processes.MARK: run, "PATH": os.defpath},
            "argv": words,
            "limits": [None, None, ""],
            "groups": [],
        }
        fds = [writing, writing, trail.make()]
        wire.send(self.sock, forkserver.FORK, json.dumps(request).encode(), fds)
        os.close(writing)
        self.trail = fds[2]
        kind, fields = self.hear()
        assert (forkserver.STARTED, 7) == (kind, fields["number"])
        return fields["pid"], reading

    def close(self) -> None:
        """Go away, as a manager that is killed does."""
        self.sock.close()
        self.process.wait(PATIENCE)
        if self.trail >= 0:
            os.close(self.trail)
            self.trail = -1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A forkserver of this Python."""
    made = Server(tmp_path)
    yield made
    made.close()


def text_of(fd: int) -> str:
    """Read a pipe to its end."""
    with os.fdopen(fd) as file:
        return file.read()


def test_role_that_there_is_not_ends_with_its_error(server: Server) -> None:
    """What goes wrong before the run begins is written where its output goes."""
    _, reading = server.fork("r1", "--role", "nothing")

    kind, fields = server.hear()

    assert (forkserver.ENDED, 7, []) == (kind, fields["number"], fields["left"])
    assert "ended with exit status 1" == Ended(fields["status"]).words
    assert "ModuleNotFoundError" in text_of(reading)


@pytest.mark.parametrize("version", pythons.installed())
def test_every_python_runs_a_job(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Whichever Python of this machine a function asks for, its code runs (S-46)."""
    monkeypatch.setattr(environments, "BASE", ("pydantic", "eval_type_backport"))
    wanted = environments.Request(pythons.find(version), ())
    made = environments.make(wanted, store=project.store)
    code = (
        "import sys\ndef f(n: int):\n    return '%d.%d' % sys.version_info[:2], n + 1\n"
    )
    idle = SimpleNamespace(submit=lambda _: None)  # what is submitted is ours to run
    engines.register("idle", lambda: idle)
    run = job(project, code, engine="idle", parameters={"n": "1"})
    server = Server(tmp_path, str(made.python))

    store = str(project.store.root)
    words = ("--role", "job", "--store", store, "--run", run.key, "--attempt", "1")
    _, reading = server.fork(run.id, *words)
    server.hear()
    server.close()

    # All that it wrote is the word to the manager, here on the same pipe.
    assert ("COMPLETED", ".") == (run.refresh().state, text_of(reading))
    assert [version, 2] == [run.result(f"output_{i}") for i in range(2)]


def test_process_is_found_by_its_run(server: Server) -> None:
    """The system shows the run of what was forked, and none for the forkserver."""
    assert server.process.pid not in processes.marked()


def test_run_of_a_forked_process_is_written_over_the_placeholder(
    tmp_path: Path,
) -> None:
    """What forked a process has in /proc the environment of its own run."""
    code = """
import os, signal
from pybridge.functions import forkserver
if os.fork() == 0:
    forkserver._take_environment({"run": "my-run", "environ": {}})
    print("ready", flush=True)
    signal.pause()
else:
    os.wait()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, processes.MARK: forkserver.placeholder()},
        stdout=subprocess.PIPE,
        cwd=tmp_path,
    )
    with child:
        assert child.stdout is not None
        assert b"ready\n" == child.stdout.readline()

        found = processes.marked("my-run")

        left = processes.end("my-run")
        child.kill()
        assert (1, set()) == (len(found), left)
        assert child.pid not in found


def test_forkserver_without_its_manager_ends(tmp_path: Path) -> None:
    """It hears that nobody is there any more, and goes."""
    server = Server(tmp_path)
    pid = server.process.pid

    server.close()

    assert states.started(pid) is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with exit status 0"),
        (3 << 8, "ended with exit status 3"),
        (signal.SIGKILL, "was ended by signal 9 (SIGKILL)"),
        (signal.SIGSEGV | 0x80, "was ended by signal 11 (SIGSEGV, core dumped)"),
        (40, "was ended by signal 40 (an unknown one)"),
    ],
)
def test_ends_are_told_in_words(status: int, words: str) -> None:
    """Exit status and signal, by name where it has one."""
    assert words == processes.describe_exit(status)


def test_end_of_an_unknown_run_is_nothing() -> None:
    """No process belongs to a run that never was."""
    assert set() == processes.end("never-was")


def test_members_are_found_by_their_kin() -> None:
    """Group, session and parents tell what the environment does not."""
    script = "sleep 67 & env -i setsid sh -c 'sleep 68 & sleep 69'"
    leader = subprocess.Popen(
        ["sh", "-c", script],
        env={**os.environ, processes.MARK: "kin"},
        start_new_session=True,
    )
    until(lambda: len(processes.members("kin", leader.pid)) >= 3)

    left = processes.end("kin", leader.pid)

    assert set() == left
    leader.wait(PATIENCE)
    assert set() == processes.members("kin", leader.pid)


def test_processes_end_with_a_forkserver_whose_log_is_gone(tmp_path: Path) -> None:
    """Who removes a store while runs go on leaves none of them waited for."""
    gone: list[object] = []

    async def told() -> Ended:
        environ = dict(os.environ)
        log = tmp_path / "log"
        server = _Server(sys.executable, (), environ, str(log), gone.append)
        child = server.children[1] = Child("run")
        log.unlink()
        server.close()
        server.process.wait()
        return await child.ended

    ended = asyncio.run(told())

    assert ended.status is None
    assert "was ended with the process that had started it" == ended.words
    assert 1 == len(gone)
