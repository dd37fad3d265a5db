"""Start contexts: where runs find them, and what runs need for them."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from pybridge import context, main, snapshot
from pybridge.errors import BadArgument, UnknownSnapshot
from tests.functions.jobs import PATIENCE, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.functions.function import Function
    from pybridge.functions.project import Project

CODE = """
import multiprocessing
def base_of(_):
    return base
def f(n: int = 1):
    return base + n
def spawned():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(base_of, [0])[0]
def styled():
    return text.plain
"""


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A saved context, in a store that a variable names."""
    monkeypatch.setenv("PYBRIDGE_STORE", str(tmp_path / "contexts.db"))
    monkeypatch.setenv("PYBRIDGE_KEY", "a key of these tests")
    code = "import re\nfrom rich.text import Text\nbase = 40\ntext = Text('red')"
    main.execute_code(code, context="start")
    snapshot.save("start", name="begin")
    yield "begin"
    context.drop("start")


def function(project: Project, handler: str = "f", **given: object) -> Function:
    """Declare a function that needs the context."""
    fields = {"python_version": VERSION, "handler": handler, "code": CODE, **given}
    return project.new_function("f", kind="python", **fields)


def test_job_begins_with_the_context_of_its_client(led: Project, begin: str) -> None:
    """Saved contexts and key are those that the client's variables name."""
    run = function(led).run("job", start_context=begin).wait(PATIENCE)

    assert (41, None) == (run.result("output_0"), run.status.message)


def test_process_that_a_run_spawns_begins_with_it_too(led: Project, begin: str) -> None:
    """The function's module is the same one there."""
    run = function(led, "spawned").run("job", start_context=begin).wait(PATIENCE)

    assert (40, None) == (run.result("output_0"), run.status.message)


def test_service_begins_with_it(led: Project, begin: str) -> None:
    """Each replica has the names of the context."""
    run = function(led).run("serve", start_context=begin).wait(PATIENCE)
    try:
        assert 42 == run.invoke(json={"n": 2}).json()
    finally:
        run.stop()


def test_key_is_masked_in_the_log(led: Project, begin: str) -> None:
    """The key that signs is a secret as the others are."""
    code = "import os\ndef f():\n    print(os.environ['PYBRIDGE_KEY'])\n"
    run = function(led, code=code).run("job", start_context=begin).wait(PATIENCE)

    assert "COMPLETED" == run.state
    assert "a key of these tests" not in "\n".join(run.logs())


def test_environment_has_what_the_context_is_from(led: Project, begin: str) -> None:
    """A run with packages of its own gets those of the context besides."""
    from importlib.metadata import version

    run = function(led, "styled", requirements=["six"]).run("job", start_context=begin)

    assert ["six", f"rich=={version('rich')}"] == run.spec.requirements
    assert ("red", None) == (
        run.wait(60).result("output_0"),
        run.status.message,
    )


def test_requirement_of_the_user_counts(project: Project, begin: str) -> None:
    """Which version there is, the function says where it says anything."""
    made = function(project, requirements=["Rich>=13"])

    assert ["Rich>=13"] == made.new_run("job", start_context=begin).spec.requirements


def test_environment_without_its_own_packages_adds_none(
    project: Project, begin: str
) -> None:
    """A run that has the packages of its client needs nothing."""
    assert (
        function(project).new_run("job", start_context=begin).spec.requirements is None
    )


def test_unknown_context_is_told_before_an_environment_is_made(
    project: Project, begin: str
) -> None:
    """A minute of installing for nothing is not an answer."""
    del begin
    with pytest.raises(UnknownSnapshot, match="'nope'"):
        function(project, requirements=["six"]).run("job", start_context="nope")


def test_context_of_another_python_is_told_before_an_environment_is_made(
    project: Project, begin: str
) -> None:
    """The cure is a function of that version."""
    other = f"PYTHON3_{int(platform.python_version_tuple()[1]) - 1}"

    with pytest.raises(BadArgument, match="declare the function with that python_ver"):
        function(project, python_version=other).run("job", start_context=begin)
