"""Lending: what a run starts as another Python finds the modules of its function."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from pybridge.functions import lending
from tests.functions.jobs import PATIENCE, VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.function import Function
    from pybridge.functions.project import Project

MAIN = """
import helper
import near
import multiprocessing, subprocess, sys
from concurrent.futures import ProcessPoolExecutor

def own(x):
    import late
    return helper.Point(near.M * x + late.N)

def pool(method: str):
    with multiprocessing.get_context(method).Pool(1) as processes:
        found = processes.map(own, [1, 2])
    assert all(isinstance(one, helper.Point) for one in found)
    return [one.x for one in found]

def executor(method: str):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return list(processes.map(helper.square, [1, 2]))

def program(code: str):
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
"""
TREE = {
    "helper.py": (
        "class Point:\n    def __init__(self, x): self.x = x\n"
        "def square(x): return x * x\n"
    ),
    "late.py": "N = 100\n",
    "package/__init__.py": "",
    "package/main.py": MAIN,
    "package/near.py": "M = 7\n",
    "data/deep/word.py": "HERE = 'namespace'\n",
}


def function(project: Project, folder: Path, name: str, **more: str) -> Function:
    """Declare a function of that tree."""
    for file, text in (TREE | more).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return project.new_function(
        "f",
        kind="python",
        python_version=VERSION,
        code_src=str(folder),
        handler=f"package.main:{name}",
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_find_the_modules(
    led: Project, tmp_path: Path, method: str
) -> None:
    """Functions and objects of the tree travel by pickle in both directions."""
    found = function(led, tmp_path, "pool").run("job", parameters={"method": method})

    found.wait(PATIENCE)

    assert ([107, 114], "COMPLETED") == (found.result("output_0"), found.state)


def test_processes_of_an_executor_find_the_modules(
    led: Project, tmp_path: Path
) -> None:
    """So they do in those of concurrent.futures."""
    run = function(led, tmp_path, "executor").run("job", parameters={"method": "spawn"})

    assert [1, 4] == run.wait(PATIENCE).result("output_0")


def test_other_programs_find_the_modules_by_their_names(
    led: Project, tmp_path: Path
) -> None:
    """A Python that the run starts imports what the handler imports."""
    code = (
        "import helper, near, package.main, data.deep.word as w; print(near.M, w.HERE)"
    )
    run = function(led, tmp_path, "program").run("job", parameters={"code": code})

    assert "7 namespace\n" == run.wait(PATIENCE).result("output_0")


def test_tree_never_hides_pythons_own_modules(led: Project, tmp_path: Path) -> None:
    """A module called as one of Python's is the tree's alone, not of other programs."""
    broken = {"queue.py": "raise ValueError('not that one')\n"}
    run = function(led, tmp_path, "executor", **broken).run(
        "job", parameters={"method": "spawn"}
    )

    assert [1, 4] == run.wait(PATIENCE).result("output_0")


def test_service_lends_too(led: Project, tmp_path: Path) -> None:
    """What a request spawns finds the modules as a job's processes do."""
    run = function(led, tmp_path, "executor").run("serve").wait(PATIENCE)
    try:
        assert [1, 4] == run.invoke(json={"method": "spawn"}).json()
    finally:
        run.stop()


def test_pool_that_ends_says_nothing(led: Project, tmp_path: Path) -> None:
    """Processes that are forked end at SIGTERM, without a traceback in the log."""
    run = function(led, tmp_path, "pool").run("job", parameters={"method": "fork"})

    assert [] == list(run.wait(PATIENCE).logs())


def test_run_in_process_lends_nothing(led: Project, tmp_path: Path) -> None:
    """The path and the environment of the caller stay as they are."""
    before = list(sys.path), dict(os.environ)

    run = function(led, tmp_path, "program").run(
        "job", local_execution=True, parameters={"code": "print(1)"}
    )

    assert ("1\n", before) == (
        run.result("output_0"),
        (list(sys.path), dict(os.environ)),
    )


def test_package_without_a_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was not started by the run cannot have its modules."""
    monkeypatch.delenv("PYBRIDGE_MODULES", raising=False)

    with pytest.raises(ImportError, match="this process is of no run that has 'x_1'"):
        lending.adopt("x_1")
