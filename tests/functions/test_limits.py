"""Limits: what a run may have of the machine, and what it says at the limit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.functions import cgroups, limits
from tests.functions.jobs import ended, until

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, limits.Limits()),
        ({}, limits.Limits()),
        ({"mem": {"requests": "64Mi", "limits": "200Mi"}}, (200 << 20, None, "200Mi")),
        ({"mem": "1Gi"}, (1 << 30, None, "1Gi")),
        ({"mem": {"requests": "64Mi"}}, limits.Limits()),
        ({"cpu": {"limits": "500m"}}, (None, 0.5, "")),
        ({"cpu": "2"}, (None, 2.0, "")),
        ({"cpu": 1, "mem": 1000}, (1000, 1.0, "1000")),
        ({"gpu": "1"}, limits.Limits()),
    ],
)
def test_limits_are_read_in_both_spellings(given: Any, wanted: tuple[Any, ...]) -> None:
    """The document's form and the flat one set limits; requests alone do not (S-53)."""
    assert wanted == tuple(limits.of(given))
    assert bool(limits.of(given)) == any(value is not None for value in wanted[:2])


def test_cpu_limit_keeps_a_run_on_so_many_processors(led: Project) -> None:
    """A job with one processor is put onto one, and its children with it."""
    run = ended(
        led,
        """
        import os, subprocess, sys
        def f():
            code = "import os; print(len(os.sched_getaffinity(0)))"
            child = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE)
            return len(os.sched_getaffinity(0)), int(child.stdout)
        """,
        resources={"cpu": {"limits": "500m"}},
    )

    assert [1, 1] == [run.result(f"output_{i}") for i in range(2)]


def test_memory_below_the_limit_is_there(led: Project) -> None:
    """A run has what its limit says, besides what Python and pandas take."""
    run = ended(
        led,
        """
        import pandas as pd
        def f():
            frame = pd.DataFrame({"a": range(1_000_000)})
            return int((frame * 2).sum().iloc[0]), len(bytearray(50_000_000))
        """,
        resources={"mem": "128Mi"},
    )

    assert [999_999_000_000, 50_000_000] == [
        run.result(f"output_{i}") for i in range(2)
    ]


def test_later_run_has_no_limit_of_an_earlier_one(led: Project) -> None:
    """A limit ends with its run."""
    code = "def f():\n    return len(bytearray(300_000_000))\n"

    limited = ended(led, code, resources={"mem": "100Mi"})
    free = ended(led, code)

    assert ["ERROR", "COMPLETED"] == [limited.state, free.state]


def test_limited_attempts_are_tried_again(led: Project) -> None:
    """Running into the limit is a failed attempt like others."""
    run = ended(
        led,
        """
        import os
        def f():
            once = os.path.exists("once")
            open("once", "w").close()
            return len(bytearray(300_000_000 if not once else 3))
        """,
        resources={"mem": "100Mi"},
        backoff_limit=1,
    )

    assert ("COMPLETED", 3) == (run.state, run.result("output_0"))
    assert "memory limit of 100Mi" in run.status.attempts[0]["message"]


def test_words_are_empty_without_a_limit() -> None:
    """Only a process with a limit explains a MemoryError with it."""
    assert "" == limits.explain(MemoryError())
    assert "memory limit of 2Gi" == limits.words(limits.of({"mem": "2Gi"}))


# ---- Control groups ------------------------------------------------------------------


def test_groups_are_removed_with_their_run(led: Project) -> None:
    """Nothing is left in the system's tree."""
    run = ended(led, "def f():\n    return 1\n", resources={"mem": "1Gi", "cpu": "1"})

    assert "COMPLETED" == run.state
    until(
        lambda: (
            not [
                folder
                for folder, _, _ in os.walk("/sys/fs/cgroup")
                if f"pybridge-{run.id}" in folder
            ]
        )
    )


def tree(root: Path, monkeypatch: pytest.MonkeyPatch, own: str, *folders: str) -> None:
    """Lay out a tree of groups as the second version of them shows it."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "cgroup.subtree_control").write_text("")
    (root / "self").write_text(own)
    monkeypatch.setattr(cgroups, "_ROOT", root)
    monkeypatch.setattr(cgroups, "_OWN", root / "self")


def test_group_is_made_below_what_lends_the_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the second version, that is where the user's part of the tree begins."""
    tree(
        tmp_path, monkeypatch, "0::/user/app/x.scope\n", "user/app/x.scope", "user", "."
    )
    (tmp_path / "user" / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "user/app/cgroup.subtree_control").write_text("")

    group = cgroups.make("r1", limits.of({"mem": "1Mi", "cpu": "1500m"}))

    place = tmp_path / "user" / "pybridge-r1"
    assert [place] == group.paths
    assert "1048576" == (place / "memory.max").read_text()
    assert "150000 100000" == (place / "cpu.max").read_text()
    cgroups.join([str(place)])
    assert "0" == (place / "cgroup.procs").read_text()
    (place / "memory.events").write_text("low 0\noom_kill 2\n")
    assert group.killed_for_memory()


def test_group_that_is_not_lent_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing may be made there is no group, and nothing fails."""
    tree(tmp_path, monkeypatch, "0::/user\n3:memory:/gone\n", "user", ".")

    group = cgroups.make("r1", limits.of({"mem": "1Mi"}))

    assert not group
    assert set() == group.processes()
    assert not group.killed_for_memory()
    group.remove()


def test_own_processors_are_as_before() -> None:
    """Nothing of a run's limits is ever set in the process that asks for it."""
    before = os.sched_getaffinity(0)

    limits.of({"cpu": "1"})

    assert before == os.sched_getaffinity(0)
