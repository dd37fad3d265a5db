"""What can go wrong with a run, and what is left then: a state, words, no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.functions import processes, states
from tests.functions.jobs import PATIENCE, ended, job, log_of, nothing_left, until

if TYPE_CHECKING:
    from pybridge.functions.project import Project

# What the function does in its fourth line -> what the run says of it, and the line of
# the function where that was: where a process leaves no time to look, its first.
DIED, EXITED = (
    "ProcessDied: the process of the run ",
    "before the function had returned",
)
DEATHS: dict[str, tuple[str, str, int]] = {
    "sys.exit": ("sys.exit(3)", "SystemExit: 3", 4),
    "os._exit": ("os._exit(4)", f"{DIED}ended with exit status 4 {EXITED}", 3),
    "os._exit(0)": ("os._exit(0)", f"{DIED}ended with exit status 0 {EXITED}", 3),
    "segfault": ("ctypes.string_at(0)", f"{DIED}was ended by signal 11 (SIGSEGV", 4),
    "abort": ("os.abort()", f"{DIED}was ended by signal 6 (SIGABRT", 4),
    "kill": (
        "os.kill(os.getpid(), 9)",
        f"{DIED}was ended by signal 9 (SIGKILL): somebody killed it, or the system was",
        3,
    ),
    "kill its group": ("os.killpg(0, 9)", f"{DIED}was ended by signal 9 (SIGKILL)", 3),
    "terminate": (
        "os.kill(os.getpid(), 15); time.sleep(9)",
        "Terminated: the process was told to end (SIGTERM)",
        4,
    ),
    "interrupt": ("os.kill(os.getpid(), 2); time.sleep(9)", "KeyboardInterrupt", 4),
    "recursion": ("f()", "RecursionError: maximum recursion depth exceeded", 4),
}
DEATH = """
import ctypes, os, subprocess, sys, time
def f():
    {}
"""


@pytest.mark.parametrize("death", list(DEATHS))
def test_death_of_a_job_is_an_error(led: Project, death: str) -> None:
    """However its process ends, the run says how, in which stage, and where (S-58)."""
    does, words, line = DEATHS[death]
    # One, also where f calls itself until there is an end to that.
    orphan = "f.left = hasattr(f, 'left') or subprocess.Popen("
    orphan += "['sleep', '67'], start_new_session=True); "

    run = ended(led, DEATH.format(orphan + does))

    error = run.status.error
    assert ("ERROR", "execute", 1) == (run.state, error["stage"], error["attempt"])
    assert f"{error['type']}: {error['message']}".startswith(words)
    assert run.status.message.startswith(words)
    assert ("main.py", line, "f") == place(error)
    assert f'File "main.py", line {line}, in f' in error["traceback"]
    assert nothing_left(run)
    assert "COMPLETED" == ended(led, "def f():\n    return 1\n").state


def place(error: dict[str, Any]) -> tuple[str, int, str]:
    """Return where something happened, the innermost frame of the user's."""
    frame = error["frames"][-1]
    return frame["file"], frame["line"], frame["function"]


def test_death_while_the_source_is_loaded_has_that_stage(led: Project) -> None:
    """A process that ends when its module is imported never got to the function."""
    run = ended(led, "import os\nos._exit(5)\ndef f(): pass\n")

    assert ("ERROR", "source") == (run.state, run.status.error["stage"])
    assert "ended with exit status 5" in run.status.message
    assert nothing_left(run)


def test_death_while_the_outputs_are_kept_has_that_stage(led: Project) -> None:
    """What the function returned can end the process too."""
    run = ended(
        led,
        """
        import os
        class Trap:
            def __reduce__(self):
                os._exit(6)
        def f():
            return Trap()
        """,
    )

    assert ("ERROR", "outputs") == (run.state, run.status.error["stage"])
    assert nothing_left(run)


@pytest.mark.parametrize("deaf", [False, True])
def test_timeout_says_where_the_time_was_spent(led: Project, deaf: bool) -> None:
    """The frames of a timeout are those of the moment, also with SIGTERM ignored."""
    ignored = "signal.signal(15, signal.SIG_IGN)" if deaf else "pass"
    run = ended(
        led,
        f"""
        import signal, time
        def g():
            time.sleep(60)
        def f():
            {ignored}
            g()
        """,
        timeout=0.5,
    )

    error = run.status.error
    assert ("TimeoutError", "execute", 1) == (
        error["type"],
        error["stage"],
        error["attempt"],
    )
    assert [("f", 7), ("g", 4)] == [(f["function"], f["line"]) for f in error["frames"]]
    assert nothing_left(run)


def test_segfault_leaves_the_python_frames_in_the_log(led: Project) -> None:
    """Where a C library crashes, the log says from which line of the function."""
    run = ended(led, "import ctypes\ndef f():\n    ctypes.string_at(0)\n")

    assert "Fatal Python error: Segmentation fault" in log_of(run)
    assert "line 3 in f" in log_of(run)


def test_killed_worker_is_noticed(led: Project) -> None:
    """A worker that somebody kills with -9 is an ERROR; all that it started ends."""
    run = job(
        led,
        """
        import subprocess, time
        def f():
            subprocess.Popen(["sleep", "60"])
            subprocess.Popen(["sleep", "60"], start_new_session=True)
            print("up", flush=True)
            time.sleep(60)
        """,
    )
    until(lambda: "up" in log_of(run))
    worker = min(processes.marked(run.id))

    os.kill(worker, signal.SIGKILL)
    run.wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "SIGKILL" in run.status.message
    assert ("main.py", 3, "f") == place(run.status.error)
    assert nothing_left(run)


def test_bad_input_is_an_error_before_any_code_runs(led: Project) -> None:
    """A key that names nothing is told as it is (S-17)."""
    run = ended(
        led,
        "def f(di):\n    print('ran')\n",
        inputs={"di": "store://p/dataitem/table/no:1"},
    )

    assert "ERROR" == run.state
    assert "inputs" == run.status.error["stage"]
    assert "store://p/dataitem/table/no:1" in run.status.message
    assert "ran" not in log_of(run).splitlines()


def test_bad_parameter_is_an_error_before_any_code_runs(led: Project) -> None:
    """A parameter that the function has not is told with its name (S-18)."""
    run = ended(led, "def f(x: int):\n    print('ran')\n", parameters={"y": 1})

    assert "ERROR" == run.state
    assert "compose" == run.status.error["stage"]
    assert "ran" not in log_of(run).splitlines()


def test_timeout_ends_the_whole_group(led: Project) -> None:
    """Code that ignores SIGTERM, with children in other sessions, is over in time."""
    run = job(
        led,
        """
        import os, signal, subprocess, time
        def f():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.fork() == 0:
                os.setsid()
                os.environ.clear()
                os.execv("/bin/sleep", ["sleep", "61"])
            subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 62; sleep 63"])
            while True:
                time.sleep(1)
        """,
        timeout=0.6,
    )
    until(lambda: len(processes.marked(run.id)) > 1)
    all_of_it = processes.members(run.id, min(processes.marked(run.id)))

    run.wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "TimeoutError: attempt 1 took longer than its timeout of 0.6 s" == str(
        run.status.message
    )
    assert nothing_left(run)
    until(lambda: not any(states.started(pid) for pid in all_of_it))


def test_what_was_left_behind_is_found_with_what_it_started() -> None:
    """The parent of a daemon may end a moment after the run, and is to be its last."""
    code = """
        import os, signal
        from pybridge.functions import processes

        processes.adopt_orphans()
        reading, writing = os.pipe()
        if os.fork() == 0:
            if os.fork() == 0:  # what loses its parent
                if os.fork() == 0:  # a daemon, whose parent still lives
                    os.write(writing, b".")
                signal.pause()
            os._exit(0)
        os.read(reading, 1)
        os.wait()
        found = processes.left_behind(())
        print(len(found), processes.left_behind(found))
        for pid in found:
            os.kill(pid, signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "2 []\n" == done.stdout


def test_orphan_that_hides_is_ended_with_its_run(led: Project) -> None:
    """A daemon without the run's environment and session ends when the run does."""
    run = ended(
        led,
        """
        import os, time
        def f():
            reading, writing = os.pipe()
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.write(writing, str(os.getpid()).encode())
                    os.execve("/bin/sleep", ["sleep", "64"], {})
                os._exit(0)
            return int(os.read(reading, 20))
        """,
    )

    assert "COMPLETED" == run.state
    hidden = run.result("output_0")
    until(lambda: not states.started(hidden), patience=5)


def test_memory_limit_is_a_memory_error_with_its_line(led: Project) -> None:
    """400 MB under a limit of 200Mi fail where they are asked for (S-53)."""
    run = ended(
        led,
        "def f():\n    return len(bytearray(400_000_000))\n",
        resources={"mem": {"limits": "200Mi"}},
    )

    assert "ERROR" == run.state
    assert "MemoryError" in run.status.message
    assert "memory limit of 200Mi" in run.status.message
    assert 2 == run.status.error["frames"][-1]["line"]


def test_memory_that_no_process_limit_counts_ends_the_run(led: Project) -> None:
    """The processes of a run share its memory limit, where the system has groups."""
    run = ended(
        led,
        """
        import mmap
        def f():
            shared = mmap.mmap(-1, 400_000_000)
            for place in range(0, len(shared), 4096):
                shared[place] = 1
            return "all of it"
        """,
        resources={"mem": "100Mi"},
    )

    told: Any = run.status.message
    assert ("ERROR", True) == (run.state, "memory limit of 100Mi" in str(told))
    assert "execute" == run.status.error["stage"]
    assert "f" == place(run.status.error)[2]
    assert nothing_left(run)
    assert "COMPLETED" == ended(led, "def f():\n    return 1\n").state


def test_stdout_closed_by_the_function_does_not_matter(led: Project) -> None:
    """Code that closes its streams, or their descriptors, still returns its value."""
    run = ended(
        led,
        """
        import os, sys
        def f():
            sys.stdout.close()
            os.close(1)
            os.close(2)
            return 5
        """,
    )

    assert ("COMPLETED", 5) == (run.state, run.result("output_0"))


def test_descriptors_closed_by_the_function_do_not_matter(led: Project) -> None:
    """Code that closes all it does not know has its files for itself."""
    run = ended(
        led,
        """
        import os
        def f():
            os.closerange(3, 64)
            files = [open(f"file{n}", "w+") for n in range(8)]
            for file in files:
                file.write("mine")
                file.flush()
            globals()["kept"] = files
            assert all(open(file.name).read() == "mine" for file in files)
            return [file.fileno() for file in files]
        """,
    )

    assert ("COMPLETED", None) == (run.state, run.status.message)
    assert {3, 4} <= set(run.result("output_0"))
    assert "COMPLETED" == ended(led, "def f():\n    return 1\n").state


def test_grandchild_that_holds_the_pipe_delays_nothing(led: Project) -> None:
    """A run is over when its function has returned, whoever still has its output."""
    run = ended(
        led,
        """
        import subprocess
        def f():
            subprocess.Popen(["sleep", "65"], start_new_session=True)
            return 6
        """,
    )

    assert ("COMPLETED", 6) == (run.state, run.result("output_0"))
    assert nothing_left(run)


def test_fork_in_user_code_is_not_a_second_run(led: Project) -> None:
    """A child that user code forks, and that returns like its parent, ends alone."""
    run = ended(
        led,
        """
        import os
        def f():
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            return "child" if child == 0 else "parent"
        """,
    )

    assert ("COMPLETED", "parent") == (run.state, run.result("output_0"))
    assert nothing_left(run)


def test_log_of_fifty_megabytes_without_a_newline_is_kept(led: Project) -> None:
    """Much output in one line neither stops the run nor is any of it lost."""
    run = ended(
        led,
        """
        import sys
        def f():
            for _ in range(50):
                sys.stdout.write("x" * 1_000_000)
            return "done"
        """,
    )

    assert ("COMPLETED", "done") == (run.state, run.result("output_0"))
    assert 50_000_000 == (run.store.run_directory(run.id) / "log").stat().st_size


def test_binary_output_is_no_trouble(led: Project) -> None:
    """What is no text is in the log as it is, and read as well as it can be."""
    run = ended(
        led,
        """
        import os
        def f():
            os.write(1, bytes(range(256)) + b"\\nend\\n")
        """,
    )

    assert "COMPLETED" == run.state
    assert "end" == log_of(run).splitlines()[-1]
    log = run.store.run_directory(run.id) / "log"
    assert bytes(range(256)) + b"\nend\n" == log.read_bytes()


def test_thread_that_never_ends_does_not_hold_the_run(led: Project) -> None:
    """The result is there at once, and the process is ended after the grace."""
    run = ended(
        led,
        """
        import threading, time
        def f():
            threading.Thread(target=time.sleep, args=(60,)).start()
            return 7
        """,
    )

    assert ("COMPLETED", 7) == (run.state, run.result("output_0"))
    assert nothing_left(run)
