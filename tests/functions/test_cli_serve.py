"""`pybridge function serve`, `invoke`, `stop`, `reload`, `resume`, as they are used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pybridge.functions.store import Store
from tests.functions.conftest import end
from tests.functions.lines import Line
from tests.terminals import CTRL_C, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
def times(x: float, y: int = 2):
    return {"product": x * y}

def broken(x: int):
    raise ValueError("secret of the log")

import nowhere_at_all
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A command line whose function `times` is served."""
    made = Line(tmp_path_factory.mktemp("line"))
    good, _, bad = SOURCE.rpartition("\n\n")
    (made.folder / "served.py").write_text(good)
    (made.folder / "faulty.py").write_text(f"{bad}\n{good}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.env.items():
            patch.setenv(name, value)
        yield from _served(made)


def _served(made: Line) -> Iterator[Line]:
    served = made.run("serve", "served.py:times", "--detach")
    assert 0 == served.exit_code, served.stderr
    assert served.stdout.startswith("http://127.0.0.1:")
    assert "curl http://127.0.0.1:" in served.stderr
    assert "'{\"x\": 1.5}'" in served.stderr
    yield made
    assert 0 == made.run("stop", "--all").exit_code
    end(Store.open(made.root))


def test_reload_replaces_replicas_and_says_where(line: Line) -> None:
    """The service is where it was; what is none is refused."""
    first = line.done("reload", "times")
    told = line.json("reload", "times")

    assert first == line.done("reload", told["id"])
    assert first.startswith("http://127.0.0.1:")
    assert "RUNNING" == told["state"]
    assert '{"product":5.0}' == line.done("invoke", "times", "--param", "x=2.5")
    assert 4 == line.run("reload", "nothing").exit_code


def test_invoke_finds_the_service_of_a_function(line: Line) -> None:
    """Parameters become the body; what comes back is printed as it is."""
    answer = line.run("invoke", "times", "--param", "x=2.5")

    assert (0, '{"product":5.0}', "") == (
        answer.exit_code,
        answer.stdout,
        answer.stderr,
    )


def test_invoke_tells_a_refusal_by_its_exit_code(line: Line) -> None:
    """The status goes to standard error, its words to standard output."""
    answer = line.run("invoke", "times", "--json-body", '{"z": 1}')

    assert 1 == answer.exit_code
    assert "422 " in answer.stderr
    assert "'x', 'y'" in answer.stdout


def test_invoke_of_a_body_that_is_no_json_names_the_option(line: Line) -> None:
    """Any JSON will do as a body, also a list."""
    refused = line.run("invoke", "times", "--json-body", "{x: 1}")
    listed = line.run("invoke", "times", "--json-body", "[1]")

    assert 2 == refused.exit_code
    assert "--json-body is not JSON" in refused.stderr
    assert "4" == listed.stderr[:1]


def test_serve_takes_parameters_for_all_requests(line: Line) -> None:
    """What the command line gives, a request need not."""
    line.done("serve", "served.py:times", "--name", "given", "-p", "y=7", "--detach")

    answer = line.run("invoke", "given", "-p", "x=2")

    assert '{"product":14.0}' == answer.stdout
    line.done("stop", "given")


def test_example_with_a_token_lets_the_shell_fill_it_in(line: Line) -> None:
    """The secret's name is a variable that has to be expanded."""
    line.done("secret", "PASS", given="hush")

    told = line.run(
        "serve", "served.py:times", "--name", "closed", "--token", "PASS", "--detach"
    )

    assert '-H "authorization: Bearer $PASS"' in told.stderr
    line.done("stop", "closed")


def test_invoke_of_a_path_with_json(line: Line) -> None:
    """A method follows from the body, or is given; --json has status and headers."""
    answer = json.loads(
        line.run("invoke", "times", "--path", "/livez", "--json").stdout
    )

    assert 200 == answer["status"]
    assert "content-type" in answer["headers"]


def test_invoke_of_what_is_not_served_says_how_to(line: Line) -> None:
    """The exit code is 4, the cure a command."""
    line.run("run", "served.py:broken", "-p", "x=1", "--local", "--quiet")

    refused = line.run("invoke", "broken")

    assert 4 == refused.exit_code
    assert "is not served; pybridge function serve default/broken" in refused.stderr


def test_service_that_cannot_start_shows_why(line: Line) -> None:
    """The user's traceback, the exit code 1."""
    ended = line.run("serve", "faulty.py:times", "--name", "faulty", "--detach")

    assert (1, "") == (ended.exit_code, ended.stdout)
    assert "No module named 'nowhere_at_all'" in ended.stderr


def test_stopped_service_is_resumed(line: Line) -> None:
    """It answers again where it was."""
    first = line.run("serve", "served.py:times", "--name", "again", "--detach")
    url = first.stdout.strip()
    stopped = line.run("stop", "again")
    refused = line.run("invoke", "again", "-p", "x=1")
    resumed = line.run("resume", "again")

    assert stopped.stdout.startswith("STOPPED")
    assert 4 == refused.exit_code
    assert url == resumed.stdout.strip()
    assert '{"product":2.0}' == line.run("invoke", "again", "-p", "x=1").stdout
    assert 0 == line.run("stop", "again").exit_code


def test_terminal_follows_a_service_until_ctrl_c(line: Line) -> None:
    """Its log is shown once; Ctrl-C drains it, which is a good end."""
    terminal = line.terminal("serve", "served.py:times", "--name", "shown")

    terminal.expect("stop it  pybridge function stop ")
    terminal.expect("answering")
    line.run("invoke", "shown", "-p", "x=1")
    terminal.expect('"POST /" 200')
    terminal.type(CTRL_C)
    terminal.expect("draining shown")
    terminal.expect("STOPPED in")

    assert 1 == plain(terminal.raw).count("answers at http://")
    assert 0 == terminal.process.wait(10)
