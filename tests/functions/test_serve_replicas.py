"""Replicas: several of them, replaced one by one, and what is lost by that: nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.functions.services import PATIENCE, Service, replicas, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = """
import os
import pathlib
import signal
import time

def init(context):
    marker = pathlib.Path(os.environ["PYBRIDGE_FUNCTIONS"]) / "init-fails"
    if marker.exists():
        raise RuntimeError("no init today")
    context.platform.set_termination_callback(lambda: print("goodbye", flush=True))

def f(event, context):
    what = event.path.strip("/")
    if what == "slow":
        time.sleep(float(event.fields["seconds"]))
    elif what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "leave":
        os._exit(5)
    return {"pid": os.getpid(), "worker": context.worker_id}
"""


@pytest.fixture
def root(tmp_path: Any) -> Any:
    """A directory for the store."""
    return tmp_path


@pytest.fixture
def service(root: Any) -> Iterator[Service]:
    """A service of two replicas."""
    with Service(root, CODE, replicas=2, init_function="init") as service:
        yield service


class Load:
    """Clients that ask without a pause, some on connections that they keep."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.url = url
        self.failures: list[str] = []
        self.pids: list[int] = []  # of each answer to what was asked in this turn
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=self.ask, args=(number % 2 == 0,))
            for number in range(clients)
        ]

    def ask(self, keep: bool) -> None:
        """Ask until told to stop."""
        session: Any = requests.Session() if keep else requests
        while not self.stop.is_set():
            pids = self.pids
            try:
                answer = session.post(self.url, json={}, timeout=PATIENCE)
                answer.raise_for_status()
                pids.append(answer.json()["pid"])
            except requests.RequestException as exc:
                self.failures.append(repr(exc))

    def begin_turn(self) -> None:
        """Forget the answers, also those that are still to come to what was asked."""
        self.pids = []

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def pids(service: Service) -> set[int]:
    """Return the replicas that answer, each on a connection of its own."""
    found = set()
    for _ in range(40):
        found.add(requests.get(service.url, timeout=PATIENCE).json()["pid"])
    return found


def metrics(service: Service) -> str:
    """Return the metrics, of whichever replica has them."""
    return requests.get(f"{service.url}/metrics", timeout=PATIENCE).text


def test_reload_drops_no_request(service: Service) -> None:
    """§9-19: under load, two rolling restarts: new replicas, no failure."""
    with Load(service.url) as load:
        for turn in (1, 2):
            wait_for(lambda: len(load.pids) > 50)
            # Not those that have answered: of what was asked before the restart, some
            # is answered by a new one.
            before = replicas(service)
            service.process.send(signal.SIGHUP)
            wait_for(lambda n=2 * turn: service.log().count("goodbye") == n)
            load.begin_turn()
            wait_for(lambda: len(load.pids) > 50)
            assert set() == before.intersection(load.pids)

    assert [] == load.failures


def test_reload_keeps_the_old_where_the_new_fails(service: Service, root: Any) -> None:
    """A reload that cannot begin is given up; the service goes on."""
    before = pids(service)
    (root / "init-fails").touch()

    os.kill(service.process.pid, signal.SIGHUP)

    service.logged("the others stay, and the restart is given up")
    assert before == pids(service)
    assert "no init today" in service.log()
    assert "RUNNING" == service.run.refresh().state


def test_reloads_and_crashes_at_once_leave_the_number_of_replicas(
    service: Service,
) -> None:
    """Whatever comes in the middle of a restart: two replicas, and no old one."""
    before = replicas(service)
    for number in (signal.SIGHUP, signal.SIGHUP):
        service.process.send(number)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):  # replaced already
        os.kill(min(before), signal.SIGKILL)
    service.process.send(signal.SIGHUP)

    wait_for(lambda: not before & replicas(service) and len(replicas(service)) == 2)
    time.sleep(0.3)
    assert 2 == len(replicas(service)) == len(pids(service))


def test_stop_answers_what_is_in_progress(service: Service) -> None:
    """Drain: SIGTERM ends the service after the last answer, none is dropped."""
    answers: list[int] = []
    url = service.url

    def ask() -> None:
        slow = f"{url}/slow?seconds=0.5"
        answers.append(requests.get(slow, timeout=PATIENCE).status_code)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    wait_for(
        lambda: (
            "in_progress 5.0" in requests.get(f"{service.url}/metrics", timeout=9).text
        )
    )

    service.process.send(signal.SIGTERM)

    assert 0 == service.ended()
    for thread in asking:
        thread.join()
    assert [200] * 4 == answers
    assert "STOPPED" == service.run.state
    assert 2 == service.log().count("goodbye")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=PATIENCE)


def test_replica_that_crashes_is_started_again(service: Service) -> None:
    """A crash costs the request that made it, and no other."""
    before = pids(service)

    for path in ("/die", "/leave"):
        with pytest.raises(requests.ConnectionError):
            requests.get(service.url + path, timeout=PATIENCE)

    wait_for(lambda: len(pids(service) - before) == 2)
    log = service.log()
    assert "was ended by signal 9 (SIGKILL)" in log
    assert "ended with exit status 5" in log
    text = requests.get(f"{service.url}/metrics", timeout=PATIENCE).text
    assert 'pybridge_replica_restarts_total{reason="crash"} 2.0' in text


def test_replicas_that_crash_too_often_end_the_run(root: Any) -> None:
    """More than `crash_limit` crashes in `crash_window` seconds: ERROR."""
    with Service(root, CODE, crash_limit=1) as service:
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{service.url}/die", timeout=PATIENCE)

        assert 1 == service.ended()

    assert "ERROR" == service.run.state
    assert "replicas ended 2 times in 60 s" in service.run.status.message
    error = service.run.status.error
    assert ("ProcessDied", "serve") == (error["type"], error["stage"])
    assert service.run.status.service is None


def test_metrics_are_those_of_all_replicas(service: Service) -> None:
    """Whichever replica is asked, it has the numbers of all, also of those gone."""
    assert 2 == len(pids(service))  # 40 requests
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{service.url}/die", timeout=PATIENCE)

    def counted(text: str) -> int:
        found = 'pybridge_requests_total{method="GET",status="200"} '
        return int(float(text.partition(found)[2].partition("\n")[0]))

    wait_for(lambda: counted(metrics(service)) >= 41)  # one was the service's own
    time.sleep(0.1)  # replicas write their numbers down a moment later
    before = counted(metrics(service))
    time.sleep(0.1)
    text = metrics(service)

    assert before + 1 == counted(text)
    assert f"pybridge_request_duration_seconds_count {before + 1}.0" in text


def test_connections_go_to_the_replica_with_the_least_to_do(service: Service) -> None:
    """One that is busy leaves new connections to the others."""
    slow: list[int] = []

    def ask() -> None:
        url = f"{service.url}/slow?seconds=1"
        slow.append(requests.get(url, timeout=PATIENCE).json()["pid"])

    busy = threading.Thread(target=ask)
    busy.start()
    wait_for(lambda: "in_progress 2.0" in metrics(service))
    quick: list[int] = []
    while busy.is_alive() and len(quick) < 20:
        quick.append(requests.get(service.url, timeout=PATIENCE).json()["pid"])
    busy.join()

    assert quick
    assert set(quick[:-1]).isdisjoint(slow)  # during the last it may have ended


def test_replicas_end_with_their_master(service: Service) -> None:
    """No orphans: a master that is killed takes its replicas along."""
    before = pids(service)

    service.process.send(signal.SIGKILL)
    service.process.wait()

    def gone(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
            return stat.rpartition(b")")[2].split()[0] == b"Z"
        except OSError:
            return True

    wait_for(lambda: all(gone(pid) for pid in before))


def test_stop_while_the_service_begins(root: Any) -> None:
    """A stop before the service answers ends it at once."""
    code = "import time\ndef init(context):\n    time.sleep(600)\ndef f(): pass"
    with Service(root, code, init_function="init", patience=0.01) as service:
        service.logged("service: 1 replica on")
        assert "READY" == service.run.refresh().state
        service.process.send(signal.SIGTERM)

        assert 0 == service.ended()
    assert "STOPPED" == service.run.state
