"""The engine of the caller's process."""

from __future__ import annotations

import cProfile
import io
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import BadArgument, RunFailed
from pybridge.functions import engines
from tests.functions.calls import declared, ran
from tests.functions.jobs import VERSION

if TYPE_CHECKING:
    from pybridge.functions.project import Project
    from pybridge.functions.store import Store

SECRET = "hunter22"


def test_wait_raises_on_request_only(project: Project) -> None:
    """`wait(raise_on_error=True)` raises what the run failed with."""
    run = ran(project, "def f(): raise ValueError('boom 1')")

    assert run is run.wait()
    with pytest.raises(RunFailed, match="boom 1"):
        run.wait(raise_on_error=True)


@pytest.mark.parametrize("action", ["serve", "build"])
def test_services_and_builds_do_not_run_in_the_callers_process(
    project: Project, action: str
) -> None:
    """A service that gets here all the same ends in ERROR, and says why."""
    run = declared(project, "def f(): pass").new_run(action)

    engines.get("inline").submit(run)

    assert "ERROR" == run.state
    assert f"a {action} cannot run with local_execution" in run.status.message


def test_what_is_printed_is_in_the_log_and_where_it_goes(project: Project) -> None:
    """The log of a run has what it printed, and its traceback; so has the caller."""
    before = sys.stdout, sys.stderr
    with redirect_stdout(io.StringIO()) as seen:
        run = ran(
            project,
            """
            import sys
            def f():
                print("to stdout")
                print("no newline", end="", file=sys.stderr)
                raise ValueError("boom 1")
            """,
        )

    log = "\n".join(run.logs())
    assert "to stdout\n" == seen.getvalue()
    assert log.startswith("to stdout\nno newline")
    assert log.endswith("ValueError: boom 1")
    assert before == (sys.stdout, sys.stderr)


def test_a_quiet_run_has_no_log(project: Project) -> None:
    """A run that prints nothing leaves no file."""
    run = ran(project, "def f(): return 1")

    assert [] == list(run.logs())
    assert not (project.store.root / "runs" / run.id).exists()


def test_secrets_are_masked_in_the_log(project: Project) -> None:
    """A secret is not in the log, even if it was printed in pieces."""
    project.new_secret(name="TOKEN", secret_value=SECRET)

    run = ran(
        project,
        """
        import os
        def f():
            token = os.environ["TOKEN"]
            print(token[:4], end="")
            print(token[4:])
        """,
        secrets=["TOKEN"],
    )

    assert ["***"] == list(run.logs())


def test_logs_of_runs_at_once_are_their_own(project: Project) -> None:
    """Of threads that print at once, each run's log has its own lines."""
    function = declared(
        project,
        """
        def f(n):
            for i in range(50):
                print(f"{n} {i}")
        """,
    )
    runs: dict[int, Any] = {}

    def work(n: int) -> None:
        runs[n] = function.run(local_execution=True, parameters={"n": n})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for n, run in runs.items():
        assert [f"{n} {i}" for i in range(50)] == list(run.logs())


def test_attempts_follow_each_other(project: Project, tmp_path: Any) -> None:
    """S-54, C-9: backoff_limit makes it try again, also in the caller's process."""
    code = f"""
        import pathlib
        def f():
            path = pathlib.Path({str(tmp_path)!r}) / "count"
            count = int(path.read_text()) + 1 if path.exists() else 1
            path.write_text(str(count))
            if count < 3:
                raise ValueError(count)
            return count
        """

    run = ran(project, code, backoff_limit=2)

    assert ("COMPLETED", 3) == (run.state, run.result("output_0"))
    assert ["1", "2"] == [one["message"] for one in run.status.attempts]


@pytest.mark.parametrize("thread", [False, True])
def test_a_timeout_ends_a_run(project: Project, thread: bool) -> None:
    """A run that lasts too long ends in ERROR, also where it sleeps."""
    pause = "time.sleep(0.005)" if thread else "time.sleep(30)"
    code = f"import time\ndef f():\n  while True: {pause}"
    found: list[Any] = []

    def work() -> None:
        found.append(ran(project, code, timeout=0.2))

    if thread:
        worker = threading.Thread(target=work)
        worker.start()
        worker.join(20)
    else:
        work()

    (run,) = found
    assert ("ERROR", "TimeoutError") == (run.state, run.status.error["type"])
    assert "longer than its timeout of 0.2 s" in run.status.message


@pytest.mark.parametrize("main", [False, True])
def test_a_run_can_be_stopped_from_another_thread(project: Project, main: bool) -> None:
    """`stop` ends a run of this process, wherever it is; the caller goes on."""
    code = "import time\ndef f():\n  print('begun')\n  while True: time.sleep(0.005)"
    run = declared(project, code).new_run("job", local_execution=True)

    def stop() -> None:
        end = time.monotonic() + 20
        while not list(run.logs()) and time.monotonic() < end:
            time.sleep(0.01)
        project.get_run(run.id).stop()

    def submit() -> None:
        engines.get("inline").submit(run)

    first, second = (stop, submit) if main else (submit, stop)
    other = threading.Thread(target=first)
    other.start()
    second()
    other.join(20)

    assert "STOPPED" == project.get_run(run.id).state


def test_a_run_in_process_cannot_be_resumed(project: Project) -> None:
    """What ran in a caller that has gone on is not taken up again."""
    run = ran(project, "def f(run): run.store.move(run.key, 'STOP')")

    with pytest.raises(BadArgument, match="cannot be resumed"):
        run.resume()


INTERRUPTED = """
import os, signal, sys, threading, time
from pybridge.functions.library import get_or_create_project
project = get_or_create_project("p")
function = project.get_function("f")
try:
    function.run(local_execution=True)
except KeyboardInterrupt:
    print("interrupted", project.list_runs()[0].state, flush=True)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


def test_ctrl_c_ends_the_run_and_reaches_the_caller(
    project: Project, store: Store
) -> None:
    """SIGINT: the run is in ERROR first, then KeyboardInterrupt goes on."""
    declared(
        project,
        "import time\ndef f():\n  print('begun', flush=True)\n  time.sleep(60)",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYBRIDGE_FUNCTIONS": str(store.root)},
    )
    assert process.stdout is not None
    assert "begun\n" == process.stdout.readline()

    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)

    assert ("interrupted ERROR\n", 0) == (out, process.returncode)
    (run,) = project.list_runs()
    assert "KeyboardInterrupt" == run.status.error["type"]


def test_the_handler_of_sigint_is_as_before(project: Project) -> None:
    """A run in the main thread leaves signals as they were."""
    before = signal.getsignal(signal.SIGINT)

    ran(project, "def f(): pass")

    assert before is signal.getsignal(signal.SIGINT)


def test_a_run_leaves_nothing_pending_in_its_thread(project: Project) -> None:
    """After a run its caller can be profiled: nothing makes Python look for ever."""
    ran(project, "def f(): return 1")

    with cProfile.Profile() as profile:
        run = ran(project, "def f(): return 1")

    assert 1 == run.result("output_0")
    assert profile.getstats()


@pytest.mark.parametrize("kind", ["Interrupted", "DeadlineExceeded"])
def test_what_a_host_ends_its_call_with_reaches_the_caller(
    project: Project, kind: str
) -> None:
    """A stop that a host wants is for the whole call: the run is in ERROR first."""
    code = f"import pybridge\ndef f(): raise pybridge.{kind}"
    function = declared(project, code)

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - neither is an Exception
        function.run(local_execution=True)

    assert kind == type(caught.value).__name__
    assert ["ERROR"] == [run.state for run in project.list_runs()]


def test_what_does_not_hold_in_process_is_said(project: Project) -> None:
    """S-46, S-50: another Python, and requirements, are for processes of their own."""
    other = "PYTHON3_9" if VERSION != "PYTHON3_9" else "PYTHON3_10"
    function = project.new_function(
        name="f",
        kind="python",
        code="def f(): return 5",
        handler="f",
        python_version=other,
        requirements=["numpy"],
    )

    run = function.run(local_execution=True)

    assert 5 == run.result("output_0")
    log = "\n".join(run.logs())
    assert f"this is {VERSION}, its caller's, not {other}" in log
    assert "requirements" in log


def test_attempts_have_their_parts_of_the_log(project: Project) -> None:
    """Those in the caller's process do, too."""
    code = (
        "seen = []\n"
        "import builtins\n"
        "def f():\n"
        "    count = builtins.count = getattr(builtins, 'count', 0) + 1\n"
        "    print('number', count, end='')\n"
        "    if count == 1: raise ValueError('no')\n"
    )
    run = ran(project, code, backoff_limit=2)

    import builtins

    del builtins.count  # type: ignore[attr-defined]
    assert ["number 1"] == [line[:8] for line in list(run.logs(attempt=1))[:1]]
    assert ["number 2"] == [line.strip() for line in run.logs(attempt=2)]
