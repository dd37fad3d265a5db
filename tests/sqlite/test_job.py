"""py_job and py_runs: stored functions run by SQL, on tables of its connection."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.functions.library import get_or_create_project
from pybridge.functions.store import Store
from tests.functions.conftest import IMPATIENT, end
from tests.sqlite.hosts import Driver, Shell, quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.functions.project import Project
    from tests.sqlite.hosts import Host

SOURCE = """
import os
import time
import pandas as pd

def total(t: pd.DataFrame, k: int = 1):
    return {"rows": len(t), "sum": int(t.a.sum()) * k}

def doubled(t: pd.DataFrame):
    return t * 2

def bad():
    raise ValueError("boom")

def slow():
    time.sleep(60)

def mine(pid: int):
    return pid == os.getpid()
"""
NAMES = ("total", "doubled", "bad", "slow", "mine")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with functions, in a store that the hosts of this file have too."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "pybridge.toml").write_text(f'{IMPATIENT}\nproject = "p"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYBRIDGE_FUNCTIONS", str(folder / "functions"))
        patch.setenv("PYBRIDGE_SETTINGS", str(folder / "pybridge.toml"))
        store = Store.open()
        made = get_or_create_project("p")
        version = f"PYTHON3_{sys.version_info.minor}"
        for name in NAMES:
            made.new_function(
                name=name,
                kind="python",
                code=SOURCE,
                handler=name,
                python_version=version,
            )
        yield made
        end(store)


@pytest.fixture(scope="module")
def hosts(project: Project) -> Iterator[dict[str, Host]]:
    """Both hosts, started once, with the store of this file."""
    root = str(project.store.root)
    settings = os.environ["PYBRIDGE_SETTINGS"]
    shell = Shell(env={"PYBRIDGE_FUNCTIONS": root, "PYBRIDGE_SETTINGS": settings})
    driver = Driver()
    yield {"shell": shell, "apsw": driver}
    shell.close()
    driver.close()


@pytest.fixture(params=["shell", "apsw"])
def host(
    request: pytest.FixtureRequest, hosts: dict[str, Host], tmp_path: Path
) -> Host:
    """Both hosts in turn, with a file that has a table."""
    opened = hosts[request.param]
    opened.open(tmp_path / "host.db")
    opened.rows("create table t (a integer, b real)")
    opened.rows("insert into t values (1, 2), (3, 4)")
    return opened


def job(host: Host, *given: object) -> Any:
    """Run a job and return what it answers."""
    words = ", ".join(
        quote(one if isinstance(one, str) else json.dumps(one)) for one in given
    )
    return json.loads(host.value(f"select py_job({words})"))


def test_job_of_a_table_of_the_host_sees_what_is_not_committed(host: Host) -> None:
    """The run has the rows of the open transaction, and waits for none of its locks."""
    host.rows("begin immediate")
    host.rows("insert into t values (100, 1)")

    told = job(host, "total", {"t": "#t"}, {"k": 2})
    host.rows("rollback")

    assert "COMPLETED" == told["state"]
    assert {"output_0": {"rows": 3, "sum": 208}} == told["results"]
    assert told["key"].startswith("store://p/run/python+run/")


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    "table", ["t", "main.t", '#main."t"', "sqlite:///{folder}/host.db#t", "#temp.u"]
)
def test_tables_of_the_host_have_many_names(
    host: Host, tmp_path: Path, table: str, *, local: bool
) -> None:
    """Plain, with a schema, in quotes, by the file; temporary ones too."""
    host.rows("create temp table u as select * from t")
    place = table.replace("{folder}", str(tmp_path))

    told = job(host, "p/total", {"t": place}, {}, {"local": local})

    assert {"rows": 2, "sum": 4} == told["results"]["output_0"]


def test_job_runs_in_its_own_process_or_in_thehosts(host: Host) -> None:
    """`local` is the host's."""
    pid = host.eval("__import__('os').getpid()")

    own = job(host, "mine", {}, {"pid": pid})
    local = job(host, "mine", {}, {"pid": pid}, {"local": True})

    assert (False, True) == (own["results"]["output_0"], local["results"]["output_0"])


def test_output_is_written_into_a_table_of_the_host(host: Host) -> None:
    """All or nothing, inside the caller's transaction."""
    host.rows("begin")
    told = job(host, "doubled", {"t": "#t"}, {}, {"write": {"output_0": "twice"}})
    written = host.rows("select * from twice")
    host.rows("rollback")

    assert [(2, 4.0), (6, 8.0)] == written
    assert told["outputs"]["output_0"].startswith("store://p/dataitem/table/output_0:")
    assert "no such table" in host.error("select * from twice")


def test_error_of_the_function_is_an_error_of_the_statement(host: Host) -> None:
    """With type, message and stage; with raise false it is in the answer."""
    said = host.error("select py_job('bad')")
    told = job(host, "bad", {}, {}, {"raise": False})

    assert "py_job: pybridge.RunFailed: run '" in said
    assert said.endswith("of 'bad' failed in stage 'execute': ValueError: boom")
    assert ("ERROR", "ValueError") == (told["state"], told["error"]["type"])
    assert 2 == host.eval("1 + 1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("'none'", "there is no function 'none' in project 'p'"),
        ("null", "function is missing"),
        ("'total', '[1]'", "inputs is not an object"),
        ("'total', null, '{'", "parameters is not JSON"),
        ("'total', null, null, '{\"loacl\": 1}'", "did you mean 'local'?"),
        ("'total', null, null, '{\"raise\": \"no\"}'", "'raise' is true or false"),
        ("'total', '{\"t\": \"#none\"}'", "no such table: none"),
        ("'total', null, null, '{\"write\": [1]}'", "'write' is an object"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_to_do(
    host: Host, given: str, said: str
) -> None:
    """There is no run then."""
    before = host.value("select count(*) from py_runs")

    assert said in host.error(f"select py_job({given})")
    assert before == host.value("select count(*) from py_runs")


def test_argument_that_is_missing_is_told_in_the_form_of_json(host: Host) -> None:
    """What to do is said as one writes it in SQL."""
    said = host.error("select py_job('total', null, null, '{\"local\": true}')")

    assert said.endswith('t: is missing; give it in the inputs: {"t": …}')


def test_job_that_is_not_waited_for_is_found_among_the_runs(host: Host) -> None:
    """The key comes at once; py_runs tells what became of it."""
    key = job(host, "slow", {}, {}, {"wait": False})["key"]
    state = f"select state from py_runs('p') where key = {quote(key)}"
    before = host.value(state)
    host.run(f"import pybridge.functions as dh; dh.get_run({key!r}).stop()")

    assert before in {"READY", "PENDING", "RUNNING"}
    assert "STOPPED" == host.value(state)


def test_runs_of_a_project_that_is_not_there_are_an_error(host: Host) -> None:
    """A misspelt name is no empty table."""
    said = host.error("select count(*) from py_runs('other')")

    assert "there is no project 'other'; there are p" in said


def test_deadline_of_the_host_stops_the_run(host: Host) -> None:
    """Nothing goes on that nobody waits for."""
    host.rows("select py_option('timeout_ms', 500)")
    said = host.error("select py_job('slow')")
    host.rows("select py_option('timeout_ms', 0)")

    assert "DeadlineExceeded" in said
    newest = "select function, state from py_runs limit 1"
    assert [("slow", "STOPPED")] == host.rows(newest)


def test_table_that_has_not_changed_is_kept_once(host: Host, project: Project) -> None:
    """The data of a run is a copy, for its lineage, but not one for each run."""
    for _ in range(3):
        job(host, "total", {"same": "#t", "t": "#t"}, {}, {"raise": False})

    kept = project.list_dataitems(name="same", all_versions=True)
    assert 1 == len(kept)
    assert [1, 3] == kept[0].as_df().a.tolist()
    kept[0].delete()


def test_ctrl_c_stops_the_run(hosts: dict[str, Host], tmp_path: Path) -> None:
    """The statement ends in an error, the run in STOPPED, and the shell goes on."""
    shell = hosts["shell"]
    assert isinstance(shell, Shell)
    shell.open(tmp_path / "own.db")
    shell.rows("select py_version()")
    shell.send("select py_job('slow'); \n.print '<stopped>'\n")
    state = "select state from py_runs limit 1"
    store = Store.open()
    while not store.find("p", "run", states=["RUNNING"]):
        time.sleep(0.02)

    shell.interrupt()
    printed = shell.read_until("<stopped>\n")

    assert "py_job: KeyboardInterrupt" in printed
    while "STOP" == (found := shell.value(state)):
        time.sleep(0.02)
    assert "STOPPED" == found
