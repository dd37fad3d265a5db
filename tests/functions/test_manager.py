"""The manager: who it serves, what waits, what is tried again, when it ends."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pybridge import wire
from pybridge.errors import BadArgument, HostError
from pybridge.functions import processes, states
from pybridge.functions.manager import client, policy, start
from pybridge.functions.manager.output import Masker
from tests.functions.conftest import end
from tests.functions.jobs import PATIENCE, ended, job, log_of, nothing_left, until

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project
    from pybridge.functions.store import Store

pytestmark = pytest.mark.usefixtures("light")

CLEANS = """
import time
def f():
    try:
        print("up", flush=True)
        time.sleep(60)
    finally:
        print("cleans", flush=True)
        time.sleep(0.3)
        print("cleaned", flush=True)
"""
WAITS = """
import time
def f(n=60):
    print("up", flush=True)
    time.sleep(n)
    return n
"""


# ---- Retries -------------------------------------------------------------------------


def test_backoff_limit_is_the_number_of_further_attempts(led: Project) -> None:
    """A job that fails twice and may be tried again three times succeeds (S-54)."""
    run = ended(
        led,
        """
        from pathlib import Path
        def f(run):
            tries = Path("tries")
            count = len(tries.read_text()) if tries.exists() else 0
            tries.write_text("x" * (count + 1))
            print("attempt", count + 1)
            if count < 2:
                raise ValueError(f"not yet {count}")
            return count
        """,
        backoff_limit=3,
    )

    assert ("COMPLETED", 2) == (run.state, run.result("output_0"))
    told = [(one["attempt"], one["message"]) for one in run.status.attempts]
    assert [(1, "not yet 0"), (2, "not yet 1")] == told
    assert 3 == run.status.attempt


def test_last_attempt_is_the_error(led: Project) -> None:
    """When none is left the run is in ERROR with the last failure; all are listed."""
    run = ended(led, "def f():\n    raise ValueError('no')\n", backoff_limit=2)

    assert ("ERROR", "ValueError: no") == (run.state, run.status.message)
    assert [1, 2, 3] == [one["attempt"] for one in run.status.attempts]
    assert 3 == run.status.error["attempt"]
    told = [t.get("message") for t in run.status.transitions]
    assert ["ValueError: no"] * 3 == [words for words in told if words]


def test_attempt_that_dies_is_tried_again(led: Project) -> None:
    """A process that is killed counts as a failed attempt."""
    run = ended(
        led,
        """
        import os, signal
        def f(run):
            if not os.path.exists("once"):
                open("once", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            return "second"
        """,
        backoff_limit=1,
    )

    assert ("COMPLETED", "second") == (run.state, run.result("output_0"))
    assert "SIGKILL" in run.status.attempts[0]["message"]


def test_each_attempt_has_its_part_of_the_log(led: Project) -> None:
    """The log has all attempts in order, with what the manager did between them."""
    run = ended(
        led,
        "def f():\n    print('here')\n    raise ValueError('no')\n",
        backoff_limit=1,
    )

    lines = log_of(run).splitlines()
    assert 2 == lines.count("here")
    between = next(line for line in lines if line.startswith("pybridge: attempt 1"))
    assert "failed (ValueError: no); the next one begins in 0.0 s" in between


def test_log_of_an_attempt_is_what_it_wrote(led: Project) -> None:
    """Each can be had alone; of one that there was not it says how many there were."""
    run = ended(
        led,
        """
        import pathlib, sys
        def f():
            count = len(list(pathlib.Path().iterdir()))
            pathlib.Path(str(count)).touch()
            sys.stdout.write(f"this is {count}, without an end")
            return 1 / (count // 2)
        """,
        backoff_limit=4,
    )

    parts = [list(run.logs(attempt=number)) for number in (1, 2, 3)]
    assert "COMPLETED" == run.state
    for number, lines in enumerate(parts):
        told = [line for line in lines if line.startswith("this is")]
        assert [f"this is {number}, without an end"] == told
    assert "pybridge: attempt 1 failed" in parts[0][-1]
    assert ["this is 2, without an end"] == parts[2]
    assert parts[1] == list(run.logs(follow=True, attempt=2))
    for number in (0, 4):
        with pytest.raises(BadArgument, match=rf"made 3 att.*no attempt {number}"):
            run.logs(attempt=number)


def test_timeout_is_that_of_each_attempt(led: Project) -> None:
    """An attempt that takes too long is tried again, with its time anew."""
    run = ended(led, WAITS, timeout=0.3, backoff_limit=1)

    assert "ERROR" == run.state
    assert ["TimeoutError", "TimeoutError"] == [
        one["type"] for one in run.status.attempts
    ]
    assert nothing_left(run)


def test_delays_double_up_to_the_longest() -> None:
    """The delay between attempts is exponential, capped, and shortened by chance."""
    rule = policy.Policy(retry_delay=1.0, retry_longest=10.0)

    assert [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] == [rule.delay(n, 0.0) for n in range(1, 7)]
    assert 3.2 == rule.delay(3, 1.0)


# ---- Stop and resume -----------------------------------------------------------------


def test_stop_while_it_runs(led: Project) -> None:
    """A job that runs is STOPPED at once, with all its processes."""
    run = job(led, WAITS)
    until(lambda: "up" in log_of(run))

    run.stop()

    assert "STOPPED" == run.state
    assert ["STOP", "STOPPED"] == [t["status"] for t in run.status.transitions[-2:]]
    assert nothing_left(run)


def test_stop_lets_the_function_clean_up(led: Project) -> None:
    """What is in `finally` is done, within the grace."""
    run = job(led, CLEANS)
    until(lambda: "up" in log_of(run))

    run.stop()

    assert "cleaned" in log_of(run)
    assert ("STOPPED", None) == (run.state, run.status.error)


def test_second_stop_leaves_the_function_its_time(led: Project) -> None:
    """Who asks again, as a host does that is interrupted again, cuts nothing short."""
    run = job(led, CLEANS)
    until(lambda: "up" in log_of(run))
    again = led.get_run(run.key)
    first = threading.Thread(target=run.stop)
    first.start()
    until(lambda: "cleans" in log_of(run))

    again.stop()
    assert "cleaned" in log_of(run)
    first.join()

    passed = [one["status"] for one in again.refresh().status.transitions]
    assert ["STOP", "STOPPED"] == passed[-2:]
    assert 1 == passed.count("STOP")


def test_stop_of_code_that_does_not_listen(led: Project) -> None:
    """After the grace it is killed."""
    run = job(
        led,
        """
        import signal, time
        def f():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("up", flush=True)
            while True:
                time.sleep(1)
        """,
    )
    until(lambda: "up" in log_of(run))

    run.stop()

    assert "STOPPED" == run.state
    assert nothing_left(run)


def test_stop_between_attempts(led: Project) -> None:
    """A run that waits for its next attempt is stopped without one."""
    run = job(led, "def f():\n    raise ValueError('no')\n", backoff_limit=40)
    until(lambda: len(run.refresh().status.attempts or ()) >= 3)

    run.stop()

    assert "STOPPED" == run.state
    attempts = len(run.status.attempts)
    time.sleep(0.3)
    assert attempts == len(run.refresh().status.attempts)
    assert "STOPPED" == run.state


def test_stop_of_a_run_that_waits_for_a_place(led: Project) -> None:
    """A run in the queue is PENDING, and stopped without ever having run."""
    places = client.of(led.store).ask("info")["places"]
    busy = [job(led, WAITS) for _ in range(places)]
    until(lambda: all(run.refresh().state == "RUNNING" for run in busy))
    waiting = job(led, WAITS)
    assert "PENDING" == waiting.refresh().state
    assert 1 == client.of(led.store).ask("info")["waiting"]

    waiting.stop()

    assert "STOPPED" == waiting.state
    assert "RUNNING" not in [t["status"] for t in waiting.status.transitions]
    for run in busy:
        run.stop()
    assert "COMPLETED" == ended(led, "def f():\n    return 1\n").state


def test_stop_of_a_final_run_changes_nothing(led: Project) -> None:
    """What is COMPLETED stays so."""
    run = ended(led, "def f():\n    return 1\n")

    run.stop()

    assert "COMPLETED" == run.state


def test_stop_twice_at_once(led: Project) -> None:
    """Both who stop a run come back when it is stopped."""
    run = job(led, WAITS)
    until(lambda: "up" in log_of(run))

    threads = [threading.Thread(target=run.stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert "STOPPED" == run.refresh().state


def test_resume_runs_a_stopped_job_again(led: Project) -> None:
    """A stopped job can be taken up again; the original cannot."""
    run = job(
        led,
        """
        import os, time
        def f():
            if os.path.exists("again"):
                return "resumed"
            open("again", "w").close()
            print("up", flush=True)
            time.sleep(60)
        """,
    )
    until(lambda: "up" in log_of(run))
    run.stop()

    run.resume().wait(timeout=PATIENCE)

    assert ("COMPLETED", "resumed") == (run.state, run.result("output_0"))
    assert "RESUME" in [t["status"] for t in run.status.transitions]


def test_resume_of_what_is_not_stopped_is_refused(led: Project) -> None:
    """Only a stopped run can be resumed."""
    run = ended(led, "def f():\n    return 1\n")

    with pytest.raises(BadArgument, match="only one that is STOPPED can be"):
        run.resume()


# ---- Queue ---------------------------------------------------------------------------


def test_job_that_waits_for_its_own_jobs_lends_them_its_place(led: Project) -> None:
    """Jobs that start jobs and wait for them never wait for each other for ever."""
    places = client.of(led.store).ask("info")["places"]
    code = """
    import pybridge.functions as dh
    def g():
        return 1
    def f(project):
        inner = project.get_function("g").run("job", wait=True)
        return inner.result("output_0")
    """
    import textwrap

    led.new_function(
        "g",
        kind="python",
        python_version=f"PYTHON3_{sys.version_info[1]}",
        code=textwrap.dedent(code),
        handler="g",
    )

    runs = [job(led, code) for _ in range(2 * places)]

    for run in runs:
        run.wait(timeout=PATIENCE)
    results = [(run.state, run.result("output_0")) for run in runs]
    assert [("COMPLETED", 1)] * len(runs) == results


def test_queue_serves_groups_in_turn() -> None:
    """A crowd of one client's runs does not keep another client's waiting."""
    import asyncio

    from pybridge.functions.manager.queue import Queue

    async def served() -> list[str]:
        queue, order = Queue(1), []

        async def one(group: str) -> None:
            await queue.take(group)
            order.append(group)
            queue.give()

        await queue.take("first")
        tasks = [asyncio.create_task(one(group)) for group in "aaaab"]
        await asyncio.sleep(0)
        tasks[2].cancel()
        queue.give()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert 1 == queue.free
        return order

    assert ["a", "b", "a", "a"] == asyncio.run(served())


def test_runs_at_once_do_not_touch_each_other(led: Project) -> None:
    """Each has its own directory, environment and result (bar: 200 of 200 right)."""
    code = """
    import os
    def f(n: int):
        with open("mine", "w") as file:
            file.write(str(n))
        assert "LEAK" not in os.environ
        os.environ["LEAK"] = str(n)
        with open("mine") as file:
            return int(file.read()), os.environ["PYBRIDGE_RUN"], os.environ["MARK"]
    """
    runs = [
        job(
            led,
            code,
            parameters={"n": n},
            envs=[{"name": "MARK", "value": f"m{n}"}],
        )
        for n in range(12)
    ]

    for n, run in enumerate(runs):
        run.wait(timeout=PATIENCE)
        assert [n, run.id, f"m{n}"] == [run.result(f"output_{i}") for i in range(3)]


# ---- Logs ----------------------------------------------------------------------------


def test_logs_follow_a_run_as_it_writes(led: Project) -> None:
    """Lines come when they are written, and the last one when the run is over."""
    run = job(
        led,
        """
        import os, time
        def f():
            print("one", flush=True)
            while not os.path.exists("go"):
                time.sleep(0.005)
            print("two")
            print("three", end="")
        """,
    )
    lines = run.logs(follow=True)

    assert "one" == next(lines)
    (run.store.run_directory(run.id) / "work" / "go").touch()
    assert ["two", "three"] == list(lines)
    assert "COMPLETED" == run.refresh().state


def test_secrets_are_given_to_the_run_and_nowhere_else(led: Project) -> None:
    """A secret is in the environment, and masked wherever it is written (S-53)."""
    secret = "s3cr3t/\"value'of mine"
    led.new_secret(name="TOKEN", secret_value=secret)
    run = ended(
        led,
        """
        import json, os, sys, time
        def f():
            token = os.environ["TOKEN"]
            print("plain", token)
            print("json", json.dumps(token))
            sys.stdout.write("half " + token[:9]); sys.stdout.flush()
            time.sleep(0.05)
            sys.stdout.write(token[9:] + " whole\\n"); sys.stdout.flush()
            raise ValueError("with " + token)
        """,
        secrets=["TOKEN"],
    )

    log = (run.store.run_directory(run.id) / "log").read_text()
    assert "plain ***" in log
    assert 'json "***"' in log
    assert "half *** whole" in log
    assert "s3cr3t" not in log + json.dumps(run.to_dict()) + str(run.to_yaml())
    assert "ValueError: with ***" == run.status.message


def test_missing_secret_is_named(led: Project) -> None:
    """A secret that the project has not any more is an error before anything runs."""
    led.new_secret(name="PASSING", secret_value="for a while")
    run = job(led, WAITS, secrets=["PASSING"])
    until(lambda: "up" in log_of(run))
    run.stop()
    led.store.delete_secret("p", "PASSING")

    run.resume().wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "has no secret 'PASSING'" in run.status.message
    assert "environment" == run.status.error["stage"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_masker_sees_secrets_across_any_border(size: int) -> None:
    """However a text is cut, nothing of a secret comes through, and all else does."""
    masker = Masker(["abcabd", "abcabdef", "xyz"])
    text = b"ab abcabc abcabd abcabdef abcab xyxyz xy abcabcabd"

    parts = [masker.feed(text[i : i + size]) for i in range(0, len(text), size)]

    shown = b"".join(parts) + masker.flush()
    assert b"ab abcabc *** *** abcab xy*** xy abc***" == shown


# ---- Clients and managers ------------------------------------------------------------


def test_client_that_is_killed_leaves_its_run_alone(led: Project) -> None:
    """A run goes on when the process that submitted it is gone."""
    code = f"""
import os, signal, sys
import pybridge.functions as dh
p = dh.get_or_create_project("p")
f = p.new_function("f", kind="python", python_version="PYTHON3_{sys.version_info[1]}",
    code="import time\\ndef f():\\n    time.sleep(0.3)\\n    return 8\\n", handler="f")
run = f.run("job")
print(run.key, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    told = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False
    )

    run = led.get_run(told.stdout.strip()).wait(timeout=PATIENCE)

    assert -signal.SIGKILL == told.returncode
    assert ("COMPLETED", 8) == (run.state, run.result("output_0"))


def test_wait_gives_up_after_its_timeout(led: Project) -> None:
    """A wait that is over leaves the run alone, and another one finds its end."""
    run = job(led, "import time\ndef f():\n    time.sleep(0.4)\n    return 9\n")

    with pytest.raises(TimeoutError):
        run.wait(timeout=0.05)
    run.wait(timeout=PATIENCE)

    assert 9 == run.result("output_0")


def test_many_threads_wait_at_once(led: Project) -> None:
    """Each thread gets the end of its own run."""
    found = {}

    def one(n: int) -> None:
        run = ended(led, "def f(n):\n    return n\n", parameters={"n": n})
        found[n] = run.result("output_0")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert {n: n for n in range(8)} == found


def test_many_clients_start_one_manager(store: Store) -> None:
    """However many want it at once, a store has one manager."""
    code = (
        "from pybridge.functions.manager import client\n"
        "from pybridge.functions.store import Store\n"
        "print(client.of(Store.open()).ask('info')['pid'])\n"
    )
    clients = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        for _ in range(4)
    ]

    pids = {one.communicate(timeout=PATIENCE)[0] for one in clients}

    assert 1 == len(pids)
    assert int(pids.pop()) == client.of(store).ask("info")["pid"]


def test_second_manager_of_a_store_ends_at_once(store: Store) -> None:
    """A manager that finds another one in its place leaves it alone."""
    first = client.of(store).ask("info")["pid"]
    folder = start.folder_of(store)
    with socket.socket(socket.AF_UNIX) as listener:
        told = {
            "store": str(store.root),
            "folder": folder,
            "policy": policy.Policy(),
            "listener": listener.fileno(),
        }

        second = subprocess.run(
            [sys.executable, "-c", start.PROGRAM, json.dumps(told)],
            pass_fds=[listener.fileno()],
            timeout=PATIENCE,
            check=False,
        )

    assert 0 == second.returncode
    assert first == client.of(store).ask("info")["pid"]


def test_manager_ends_when_nothing_is_asked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after its idle time, with its forkservers, and a new one comes."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text('[functions]\nidle = "0.2s"\n')
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))
    first = client.of(store).ask("info")["pid"]

    until(lambda: states.started(first) is None)

    assert not (store.root / "manager" / "socket").exists()
    assert first != client.of(store).ask("info")["pid"]


def test_end_waits_where_processes_cannot_be_opened(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some sandboxes have no pidfd_open: the manager is gone all the same."""

    def refused(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    pid = client.of(store).ask("info")["pid"]
    monkeypatch.setattr(os, "pidfd_open", refused)

    client.of(store).end()

    assert states.started(pid) is None


def test_manager_takes_its_place_back(led: Project) -> None:
    """A socket that somebody removed is there again; manager and runs are the same."""
    run = job(led, WAITS)
    pid = client.of(led.store).ask("info")["pid"]
    client.of(led.store).close()
    (led.store.root / "manager" / "socket").unlink()

    told = client.of(led.store).ask("info")

    assert pid == told["pid"]
    assert run.id in told["runs"]
    run.stop()
    assert "STOPPED" == run.state


def test_manager_ends_with_its_store(tmp_path: Path) -> None:
    """A store that is removed takes its manager with it."""
    import shutil

    from pybridge.functions.store import Store

    store = Store.open(tmp_path / "gone")
    pid = client.of(store).ask("info")["pid"]
    client.of(store).close()

    shutil.rmtree(store.root)

    until(lambda: states.started(pid) is None)


def test_manager_of_another_user_is_refused(led: Project) -> None:
    """The socket's other end has to be the same user's: the system says who it is."""
    ours, its = socket.socketpair()
    with ours, its:
        assert (os.getpid(), True) == wire.own_peer(its)
    mode = (led.store.root / "manager" / "socket").stat().st_mode
    assert 0 == mode & 0o077


def test_settings_that_are_wrong_are_told(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manager is not started with settings that say what there is not."""
    settings = tmp_path / "pybridge.toml"
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))
    for words, told in (
        ("parallel = 0", "parallel is a number from 1, not 0"),
        ('grace = "soon"', 'grace is a time such as "30m"'),
        ('log_size = "much"', "log_size 'much' is not a quantity"),
        ('environment = "PATH"', "environment is a list of names, such as"),
        ("preload = 1", "preload is a list of names, such as"),
        ("control_groups = 1", "control_groups is true or false, not 1"),
    ):
        settings.write_text(f"[functions]\n{words}\n")
        with pytest.raises(BadArgument, match=told):
            client.of(store).ask("info")


def test_environment_of_the_client_is_handed_on_as_far_as_named(
    led: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run sees what it declares, and of its client what is usual or named."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text('[functions]\nenvironment = ["NAMED_*"]\n')
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))
    monkeypatch.setenv("NAMED_HERE", "1")
    monkeypatch.setenv("MY_OWN_SECRET", "1")
    monkeypatch.setenv("GIT_TOKEN", "t")
    monkeypatch.setenv("LC_MONETARY", "C")
    run = ended(
        led,
        "import os\ndef f():\n    return sorted(os.environ)\n",
        envs=[{"name": "DECLARED", "value": "2"}],
    )

    seen = set(run.result("output_0"))
    assert {"DECLARED", "GIT_TOKEN", "LC_MONETARY", "NAMED_HERE", "RUN_ID"} <= seen
    assert "MY_OWN_SECRET" not in seen


def test_settings_of_the_client_are_those_of_its_runs(
    led: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are found in the directory that the client works in."""
    monkeypatch.delenv("PYBRIDGE_SETTINGS")
    (tmp_path / "pybridge.toml").write_text('[functions]\nproject = "mine"\n')
    monkeypatch.chdir(tmp_path)

    run = ended(
        led,
        """
        from pybridge import settings
        def f():
            return settings.section("functions")
        """,
    )

    assert {"project": "mine"} == run.result("output_0")


def test_preloaded_modules_are_there_before_a_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the settings name is loaded once, for all jobs."""
    from pybridge.functions.library import get_or_create_project

    settings = tmp_path / "pybridge.toml"
    settings.write_text('[functions]\npreload = ["colorsys"]\n')
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))
    until(lambda: client.of(store).ask("info")["warm"])

    run = ended(
        get_or_create_project("p", store=store),
        "import sys\ndef f():\n    return {'colorsys', 'pandas'} <= set(sys.modules)\n",
    )

    assert run.result("output_0") is True


def test_request_that_is_unknown_is_refused(led: Project) -> None:
    """A client of another version is told, and the manager goes on."""
    with pytest.raises(HostError, match="does not know what 'dance' is"):
        client.of(led.store).ask("dance")
    with pytest.raises(HostError, match="unexpected keyword argument 'steps'"):
        client.of(led.store).ask("info", steps=1)

    assert client.of(led.store).ask("info")["pid"]


def test_jobs_have_the_python_of_their_client(led: Project, tmp_path: Path) -> None:
    """A client of another environment gets jobs in that one, with the same manager."""
    import venv

    venv.create(tmp_path / "other", system_site_packages=True, symlinks=True)
    site = next((tmp_path / "other").glob("lib/*/site-packages"))
    (site / "our.pth").write_text("\n".join(path for path in sys.path if path))
    (site / "only_there.py").write_text("value = 3\n")
    code = f"""
import pybridge.functions as dh
p = dh.get_or_create_project("p")
f = p.new_function("f", kind="python", python_version="PYTHON3_{sys.version_info[1]}",
    code="def f():\\n    import only_there\\n    return only_there.value\\n",
    handler="f")
run = f.run("job", wait=True)
print(run.state, run.status.message, run.results())
"""

    told = subprocess.run(
        [tmp_path / "other" / "bin" / "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "COMPLETED None {'output_0': 3}\n" == told.stdout


def test_ended_manager_ends_its_processes(store: Store) -> None:
    """What runs ends with the manager that is told to end; the next one takes it up."""
    from pybridge.functions.library import get_or_create_project

    project = get_or_create_project("p", store=store)
    run = job(project, WAITS, backoff_limit=1)
    until(lambda: "up" in log_of(run))

    end(store)

    assert {} == processes.marked(run.id)
    until(lambda: log_of(run).count("up") == 2)
    run.stop()
    assert "STOPPED" == run.state


@pytest.mark.usefixtures("light")
def test_client_may_have_many_files_open(store: Store, project: Project) -> None:
    """Descriptors beyond those that select knows, 1,024, are as good as any."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        run = job(project, "def f(): return 1", wait=True)
        end(store)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))

    assert "COMPLETED" == run.state
