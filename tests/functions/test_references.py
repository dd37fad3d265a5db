"""What a short text means: functions, runs, anything; and a run as JSON."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pybridge.errors import BadArgument, Undefined
from pybridge.functions import references, report
from tests.functions.calls import declared

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.function import Function
    from pybridge.functions.project import Project


def named(project: Project, name: str, code: str = "def f(): return 1") -> Function:
    """Declare a function."""
    return declared(project, code, name=name)


def test_function_is_meant_by_key_executable_or_name(project: Project) -> None:
    """A bare name is the newest version of the project given."""
    old, new = named(project, "a"), named(project, "a")
    store = project.store

    assert new == references.function(store, "a", "p")
    assert new == references.function(store, "p/a")
    assert old == references.function(store, f"p/a:{old.id}")
    assert old == references.function(store, old.key)
    assert old == references.function(store, old.executable)


def test_default_project_is_that_of_the_settings(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one it is "default"."""
    made = named(project, "a")
    with pytest.raises(Undefined, match="no function 'a' in project 'default'"):
        references.function(project.store, "a")

    (tmp_path / "own.toml").write_text('[functions]\nproject = "p"\n')
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(tmp_path / "own.toml"))

    assert made == references.function(project.store, "a")


def test_run_is_meant_by_the_beginning_of_its_id_or_its_function(
    project: Project,
) -> None:
    """A function means its newest run, of whatever version."""
    function = named(project, "a")
    first = function.run(local_execution=True)
    second = named(project, "a").run(local_execution=True)
    store = project.store

    assert first == references.run(store, first.id[:10])
    assert first == references.run(store, first.key)
    assert second == references.run(store, "p/a")
    assert function == references.function(store, first.key)
    with pytest.raises(Undefined, match="neither the id of a run nor a function"):
        references.run(store, "abcdef", "p")


def test_beginning_of_several_ids_is_refused(project: Project) -> None:
    """More of it has to be given."""
    function = named(project, "a")
    for identity in ("same-1", "same-2"):
        function.run(local_execution=True, uuid=identity)

    with pytest.raises(BadArgument, match="the beginning of 2 runs"):
        references.run(project.store, "same")
    assert "same-1" == references.run(project.store, "same-1").id


def test_name_of_a_function_wins_over_ids_that_begin_so(project: Project) -> None:
    """Names such as "f" and "face" are the beginnings of ids by chance."""
    for name in ("f", "face"):
        own = named(project, name).run(local_execution=True, uuid=f"1-{name}")
        for number in (1, 2):
            named(project, "other").run(
                local_execution=True, uuid=f"face-{name}-{number}"
            )

        assert own == references.run(project.store, name, "p")
    assert "face-f-1" == references.run(project.store, "face-f-1", "p").id


def test_name_of_several_things_is_refused(project: Project) -> None:
    """An entity of any type is meant by its name, where one alone has it."""
    named(project, "both")
    item = project.new_dataitem("item", "table", path="/nowhere/t.csv")
    project.new_dataitem("both", "table", path="/nowhere/t.csv")

    assert item == references.entity(project.store, "p/item")
    assert project == references.entity(project.store, "store://p")
    with pytest.raises(BadArgument, match="is a function and a dataitem"):
        references.entity(project.store, "p/both")


def test_newest_run_is_the_last_also_when_clocks_are_put_back(
    project: Project,
) -> None:
    """Times are compared, not their texts: an hour is there twice a year."""
    runs = []
    for time in ("2026-10-25T02:50:00+02:00", "2026-10-25T02:10:00+01:00"):
        runs.append(named(project, "a").new_run())
        entry = runs[-1].to_dict()
        entry["metadata"]["created"] = time
        project.store.delete(entry["key"])
        project.store.create(entry)

    assert runs[1] == references.run(project.store, "a", "p")


def test_newest_are_the_last_of_all(project: Project) -> None:
    """So many, the oldest of them first."""
    function = named(project, "a")
    ids = [function.run(local_execution=True).id for _ in range(3)]

    found = project.store.find("p", "run", newest=2)

    assert ids[1:] == [one["id"] for one in found]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1),
        (float("nan"), None),
        (b"\xff", "/w=="),
        (dt.date(2024, 2, 29), "2024-02-29"),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        (np.int64(7), 7),
        (1j, "1j"),
    ],
)
def test_result_is_plain_json(value: Any, shown: Any) -> None:
    """What JSON has no form for is a text, or null."""
    assert shown == report.plain(value)


def test_report_has_what_became_of_a_run(project: Project) -> None:
    """State, times, and what went wrong."""
    code = "def f():\n    raise ValueError('boom')"
    run = named(project, "bad", code).run(local_execution=True)

    line, told = report.summary(run.to_dict()), report.outcome(run)

    assert ("bad", "job", "ERROR") == (line["function"], line["action"], line["state"])
    assert line["created"] <= line["started"] <= line["ended"]
    assert 0 <= line["seconds"] < 60
    assert ("ERROR", "ValueError") == (told["state"], told["error"]["type"])
