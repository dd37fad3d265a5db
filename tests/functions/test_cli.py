"""`pybridge function`, run as a person runs it: jobs, and looking at them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from pybridge.functions.store import Store
from tests.functions.conftest import end
from tests.functions.lines import COMMAND, Line
from tests.terminals import CTRL_C

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SOURCE = """
import os
import sys
import time

import pandas as pd

def add(x: int, y: int = 1):
    print("adding")
    return x + y

def bad():
    raise ValueError("boom 1")

def slow():
    print("begun", flush=True)
    time.sleep(60)

def flaky(project):
    raise OSError("never")

def doubled(df: pd.DataFrame):
    return df * 2

def seen():
    return [os.environ["COLOUR"], os.environ["TOKEN"] == "hush", os.environ["TOKEN"]]
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A command line; all tests of the file share its store and its manager."""
    made = Line(tmp_path_factory.mktemp("line"))
    (made.folder / "jobs.py").write_text(SOURCE)
    (made.folder / "one.py").write_text("def only(n=2):\n    return n\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.env.items():
            patch.setenv(name, value)
        yield made
        end(Store.open(made.root))


def rows(printed: str) -> list[list[str]]:
    """Return the lines of a list, split at their tabs, without the heads."""
    return [text.split("\t") for text in printed.splitlines()][1:]


def test_run_prints_results_on_stdout_and_the_rest_on_stderr(line: Line) -> None:
    """What it gave can be piped; its state and id are beside that."""
    ended = line.process("run", "jobs.py:add", "-p", "x=3")

    assert (0, [["output_0", "4"]]) == (ended.returncode, rows(ended.stdout))
    assert ended.stderr.startswith("COMPLETED in ")


def test_run_takes_json_and_text_parameters(line: Line) -> None:
    """A value is JSON where it parses; --param wins over --params-json."""
    told = line.json(
        "run", "jobs.py:add", "--params-json", '{"x": 1, "y": 5}', "-p", "x=10"
    )

    assert ("COMPLETED", {"output_0": 15}) == (told["state"], told["results"])


def test_run_of_a_file_with_one_function_needs_no_name(line: Line) -> None:
    """Which one is meant is clear."""
    assert [["output_0", "2"]] == rows(line.done("run", "one.py"))


def test_run_of_a_file_with_several_functions_lists_them(line: Line) -> None:
    """The error shows how to name one, and is a wrong use."""
    ended = line.run("run", "jobs.py")

    assert 2 == ended.exit_code
    assert "several functions: add, bad," in ended.stderr
    assert "name one, as jobs.py:add" in ended.stderr


def test_a_file_that_is_run_twice_is_stored_once(line: Line) -> None:
    """Only what differs is a new version; a stored function runs by its name."""
    (line.folder / "twice.py").write_text("def twice():\n    return 1\n")
    first = line.json("run", "twice.py")
    second = line.json("run", "twice.py")
    (line.folder / "twice.py").write_text("def twice():\n    return 2\n")
    line.done("run", "twice.py")

    by_name = line.json("run", "default/twice")

    assert first["id"] != second["id"]
    assert 2 == len([
        row for row in rows(line.done("list", "functions", "--versions"))
        if row[1] == "twice"
    ])  # fmt: skip
    assert {"output_0": 2} == by_name["results"]


def test_failure_has_the_users_frames_and_exit_code_1(line: Line) -> None:
    """Nothing of ours stands in the traceback."""
    ended = line.run("run", "jobs.py:bad")

    assert 1 == ended.exit_code
    assert 'File "jobs.py", line 13, in bad' in ended.stderr
    assert "ValueError: boom 1\nit failed in stage 'execute'" in ended.stderr
    assert "pybridge/" not in ended.stderr


def test_arguments_that_do_not_fit_are_said_as_options(line: Line) -> None:
    """All faults at once, in the words of the command line."""
    ended = line.run("run", "jobs.py:add", "-p", "z=1")

    assert 1 == ended.exit_code
    assert "x: is missing; give it with --param x=…" in ended.stderr
    assert "z: is not a parameter" in ended.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "none.py"], 2, "there is no file 'none.py'"),
        (["run", "nothing"], 4, "there is no function 'nothing'"),
        (["run", "jobs.py:add", "-p", "x"], 2, "not of the form NAME=VALUE"),
        (["run", "jobs.py:ad"], 2, "functions there: add, bad"),
        (["run", "jobs.py:add", "--memory", "much"], 2, "mem"),
        (["run", "jobs.py:add", "--timeout", "soon"], 2, "--timeout is a time"),
        (["run", "jobs.py:add", "--secret", "NONE"], 2, "'NONE' has no value"),
        (["list", "--state", "bogus"], 2, "'bogus' is not one of"),
        (["run", "jobs.py:doubled", "-i", "df=no.csv"], 2, "no file 'no.csv'"),
        (["logs", "abcdef0123"], 4, "neither the id of a run nor a function"),
        (["show", "store://x"], 4, "there is no project 'x'"),
        (["rnu", "jobs.py"], 2, "did you mean 'run'?"),
        (["run", "./none"], 2, "there is no file './none'"),
        (["run", "pybridge.toml"], 2, "'pybridge.toml' is no source of functions;"),
        (["run", "one.py", "--secret", "NO"], 2, ": pybridge function secret NAME"),
        (["list", "runs", "--state", "ERRR"], 2, "'ERRR' is not one of 'created'"),
        (["list", "--project", "nix"], 4, "there is no project 'nix'; there "),
        (["list", "--limit", "-1"], 2, "--limit"),
        (["logs", "x", "--tail", "-1"], 2, "--tail"),
        (["import", "jobs.py"], 2, "jobs.py"),
    ],
)
def test_errors_are_sentences_with_their_exit_code(
    line: Line, words: list[str], code: int, said: str
) -> None:
    """2 is a wrong use, 4 that there is no such thing; never a traceback."""
    ended = line.run(*words)

    assert (code, "") == (ended.exit_code, ended.stdout)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_inputs_are_files_and_tables_and_outputs_are_tables(line: Line) -> None:
    """A path is found wherever the run works; the output is a key that can be shown."""
    (line.folder / "data.csv").write_text("a,b\n1,2\n3,4\n")
    with sqlite3.connect(line.folder / "data.db") as database:
        database.execute("create table t (a integer)")
        database.execute("insert into t values (21)")
    database.close()

    of_file = line.json("run", "jobs.py:doubled", "-i", "df=data.csv")
    of_table = line.json("run", "jobs.py:doubled", "-i", "df=sqlite:///data.db#t")

    shown = line.done("show", of_file["outputs"]["output_0"])
    assert "a\tb\n2\t4\n6\t8\n" in shown
    assert "produced_by store://default/run/" in shown
    assert "a\n42\n" in line.done("show", of_table["outputs"]["output_0"])


def test_envs_and_secrets_are_passed_and_secrets_never_shown(line: Line) -> None:
    """A secret is read from standard input; the run has it, no export has."""
    line.done("secret", "TOKEN", given="hush\n")

    told = line.json("run", "jobs.py:seen", "-e", "COLOUR=red", "--secret", "TOKEN")

    assert ["red", True] == told["results"]["output_0"][:2]
    assert "hush" not in line.done("export", "TOKEN", "-")
    key = line.json("secret", "OTHER", given="hush\n")["key"]
    assert [key] == line.json("secret", "OTHER", "--delete")
    assert 4 == line.run("secret", "OTHER", "--delete").exit_code


def test_list_and_show_tell_of_runs(line: Line) -> None:
    """The newest first; a run is found by the beginning of its id, or its function."""
    told = line.json("run", "jobs.py:add", "-p", "x=1")

    newest = rows(line.done("list", "--function", "add"))[0]
    shown = line.done("show", told["id"][:10])

    assert [told["id"], "default/add", "job", "COMPLETED"] == newest[:4]
    assert f"key:          {told['key']}" in shown
    assert "COMPLETED" in shown
    assert "run_of      store://default/function/python/add:" in shown
    assert "adding\n" == line.done("logs", "add")
    assert "COMPLETED\n" == line.done("status", told["id"])


def test_lists_have_a_line_each_on_a_narrow_terminal(line: Line) -> None:
    """What went wrong ends early, and keys are left out, before a row is broken."""
    line.run("run", "jobs.py:add", "-p", "nothing=1", "--local")
    runs, functions = (
        line.terminal("list", *words, columns=80) for words in ([], ["functions"])
    )

    head, row = runs.expect("\n"), runs.expect("\n")
    assert head.split()[::6] == ["id", "message"]
    assert "ERROR" in row
    assert row.rstrip().endswith("…")
    assert 80 >= max(len(head), len(row))
    head, row = functions.expect("\n"), functions.expect("\n")
    assert ["project", "name", "handler", "python", "created"] == head.split()
    assert 80 >= max(len(head), len(row))
    for one in (runs, functions):
        one.close()


def test_keys_of_outputs_are_whole_on_a_terminal(line: Line) -> None:
    """They are not broken into two lines of a table: they can be copied."""
    (line.folder / "t.csv").write_text("a\n1\n")
    terminal = line.terminal("run", "jobs.py:doubled", "-i", "df=t.csv", columns=60)

    key = terminal.expect("store://default/dataitem/table/output_0:")
    shown = terminal.expect("\n")

    assert 0 == terminal.wait()
    assert "output_0  " in key
    assert 32 == len(shown)


def test_stop_of_what_has_ended_says_so(line: Line) -> None:
    """It is no error, and is not told as if it had failed now."""
    ended = line.run("run", "jobs.py:bad", "--local", "--json")
    run_id = json.loads(ended.stdout)["id"]

    told = line.run("stop", run_id)

    assert (0, "") == (told.exit_code, told.stdout)
    assert f"{run_id} has ended already: ERROR\n" == told.stderr


def test_stop_of_a_function_means_the_run_that_goes_on(line: Line) -> None:
    """A run that was begun later, and has ended, is not the one that is meant."""
    detached = line.done("run", "jobs.py:slow", "--detach").strip()
    refused = line.run("run", "slow", "-p", "no=1", "--local")

    told = line.done("stop", "slow")

    assert 1 == refused.exit_code
    assert told.startswith("STOPPED ")
    assert detached.endswith(told.split()[-1])


def test_json_is_all_that_is_printed(line: Line) -> None:
    """Also where the verb has something of another form to say."""
    line.done("secret", "GONE", given="x")
    line.done("run", "one.py")

    gone = line.json("secret", "GONE", "--delete")
    assert ["store://default/secret/secret/GONE"] == [
        key.partition(":")[0] + ":" + key.split(":")[1] for key in gone
    ]
    exported = line.json("export", "only", "-")
    assert "kind: python" in exported["yaml"]
    assert exported["key"].startswith("store://default/function/python/only:")


def test_import_of_what_is_here_says_how_to(line: Line, tmp_path: Path) -> None:
    """The cure is an option of the verb."""
    line.done("run", "one.py")
    file = line.done("export", "only", str(tmp_path / "only.yaml")).strip()

    refused = line.run("import", file)

    assert 2 == refused.exit_code
    assert "already in project 'default'; --new-id makes a new version" in (
        refused.stderr
    )


def test_file_of_parameters_that_is_not_there_is_a_wrong_use(line: Line) -> None:
    """As any other file that is not there."""
    refused = line.run("run", "one.py", "--params-json", "@nowhere.json")

    assert 2 == refused.exit_code
    assert "there is no file 'nowhere.json'" in refused.stderr


def test_detached_run_is_stopped_by_its_id(line: Line) -> None:
    """The key is printed at once; after stop its status is told by the exit code."""
    key = line.done("run", "jobs.py:slow", "--detach").strip()

    stopped = line.done("stop", key)
    status = line.run("status", key)

    assert stopped.startswith("STOPPED")
    assert (130, "STOPPED\n") == (status.exit_code, status.stdout)


def test_run_in_this_process_keeps_what_it_prints_from_stdout(line: Line) -> None:
    """With --local too, standard output has the results alone."""
    ended = line.run("run", "jobs.py:add", "-p", "x=1", "--local", "--json")

    assert {"output_0": 2} == json.loads(ended.stdout)["results"]
    assert "adding\n" in ended.stderr


def test_retries_are_made_and_told(line: Line) -> None:
    """The message says which attempt was the last."""
    ended = line.run("run", "jobs.py:flaky", "--retries", "1", "--quiet")

    assert 1 == ended.exit_code
    assert "in stage 'execute', attempt 2" in ended.stderr


def test_export_and_import_carry_a_function(line: Line, tmp_path: Path) -> None:
    """What was exported from one store runs in another."""
    line.done("run", "one.py")
    file = tmp_path / "only.yaml"
    line.done("export", "only", str(file))
    other = ("--store", str(tmp_path / "other"))

    key = line.done("import", str(file), *other).strip()
    told = line.json("run", key, "--local", *other)

    assert {"output_0": 2} == told["results"]


def test_delete_removes_runs_and_asks_before_a_project_goes(line: Line) -> None:
    """A project goes only where somebody says so."""
    told = line.json("run", "one.py", "--project", "gone")

    line.done("delete", told["id"])
    refused = line.run("delete", "store://gone")
    line.done("delete", "store://gone", "--yes")

    assert 4 == line.run("show", told["id"]).exit_code
    assert (2, True) == (refused.exit_code, "say --yes" in refused.stderr)
    assert 4 == line.run("show", "store://gone").exit_code


def test_terminal_shows_lines_above_a_spinner_and_ctrl_c_stops(line: Line) -> None:
    """The line at the bottom says how long it has lasted; Ctrl-C ends the run: 130."""
    terminal = line.terminal("run", "jobs.py:slow")

    terminal.expect("begun")
    terminal.expect("slow: running")
    terminal.type(CTRL_C)
    terminal.expect("stopping slow; Ctrl-C once more leaves it running")
    terminal.expect("STOPPED in")

    assert 130 == terminal.process.wait(10)


def test_help_of_every_verb_says_what_it_does(line: Line) -> None:
    """Each has a sentence, and the group lists it."""
    listed = line.done("--help")
    verbs = [
        row.split()[0] for row in listed.partition("Commands:")[2].splitlines()[1:]
    ]

    for verb in verbs:
        assert "Usage:" in line.done(verb, "--help")
    assert {"run", "serve", "build", "invoke", "logs", "list", "show"} <= set(verbs)


def test_build_prints_the_image_and_a_second_one_finds_it(line: Line) -> None:
    """What was built is named; nothing is made twice."""
    first = line.done("build", "one.py", "--name", "built")
    again = line.json("build", "default/built")

    image = dict(rows(first))["image"]
    assert image.startswith("pybridge.local/environment:")
    assert image == again["build"]["image"]
    assert f"image:        {image}" in line.done("show", "built")


def test_manifest_is_what_kubectl_takes_and_leaves_no_run(
    line: Line, tmp_path: Path
) -> None:
    """YAML on standard output, files in a folder; a service is a Deployment."""
    before = len(line.json("list"))

    job = list(yaml.safe_load_all(line.done("manifest", "one.py", "-p", "n=3")))
    files = line.done(
        *("manifest", "one.py", "--action", "serve", "--replicas", "2"),
        *("-o", str(tmp_path / "out")),
    )

    assert "Job" == job[-1]["kind"]
    assert {"apiVersion", "kind", "metadata"} <= set(job[0])
    assert {"deployment", "service"} <= {
        name.split("-")[1] for name in (p.name for p in (tmp_path / "out").iterdir())
    }
    assert files.count("\n") == len(list((tmp_path / "out").iterdir()))
    assert before == len(line.json("list"))


def test_logs_follow_a_run_to_its_end(line: Line) -> None:
    """They end by themselves when the run has; -n is the end of them."""
    (line.folder / "lines.py").write_text(
        "import time\n\n\ndef lines():\n    for n in range(4):\n"
        "        print('line', n, flush=True)\n        time.sleep(0.1)\n"
    )
    key = line.done("run", "lines.py", "--detach").strip()

    followed = line.done("logs", "-f", key)

    assert "line 0\nline 1\nline 2\nline 3\n" == followed
    assert "line 2\nline 3\n" == line.done("logs", "lines", "-n", "2")


def test_sigterm_stops_the_run(line: Line) -> None:
    """A command that `timeout` ends leaves nothing running."""
    command = subprocess.Popen(
        [*COMMAND, "run", "jobs.py:slow", "--follow"],
        cwd=line.folder,
        env={**os.environ, **line.env},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stderr is not None
    while command.stderr.readline() != "begun\n":
        pass

    command.terminate()
    said = command.communicate(timeout=30)[1]

    assert 130 == command.returncode
    assert "STOPPED in" in said


def test_second_ctrl_c_leaves_the_run_running(tmp_path: Path) -> None:
    """Where the run takes long to stop, the command need not wait for it."""
    line = Line(tmp_path)
    (tmp_path / "pybridge.toml").write_text('[functions]\ngrace = "60s"\n')
    (tmp_path / "deaf.py").write_text(
        "import signal, time\n\n\ndef deaf():\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    print('begun', flush=True)\n    time.sleep(60)\n"
    )
    terminal = line.terminal("run", "deaf.py")

    terminal.expect("begun")
    terminal.type(CTRL_C)
    terminal.expect("deaf: stopping")
    terminal.type(CTRL_C)
    terminal.expect("left running; pybridge function logs -f ")
    code = terminal.process.wait(10)
    end(Store.open(tmp_path / "store"))

    assert 130 == code
