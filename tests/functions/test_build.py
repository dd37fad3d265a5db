"""Builds: environments with a lock, contexts for registries, images written back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import HostError, Unsupported
from pybridge.functions import manifests, uv
from pybridge.functions.build import sorted_out
from tests.functions.jobs import PATIENCE, VERSION, log_of, nothing_left

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.project import Project
    from pybridge.functions.run import Run

CODE = """
import sys
def f():
    import colorama, six
    return sys.prefix
"""
INSTRUCTIONS = ["apt-get install -y git", "pip install six"]


def declared(project: Project, name: str, **given: Any) -> Function:
    """Declare a function."""
    given = {"python_version": VERSION, "code": CODE, "handler": "f", **given}
    return project.new_function(name, kind="python", **given)


def settings(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have settings for what is run from here on."""
    path = folder / "own.toml"
    path.write_text(f"[functions]\n{text}\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(path))


@pytest.fixture(scope="module")
def function(led: Project) -> Function:
    """A function with a requirement that is not pinned."""
    return declared(led, "built", requirements=["colorama"])


@pytest.fixture(scope="module")
def first(function: Function) -> Run:
    """Its first build."""
    run = function.run("build", instructions=INSTRUCTIONS)
    return run.wait(timeout=120)


def test_build_locks_what_it_installs(first: Run) -> None:
    """S-50: requirements without a version have one, with hashes, in the lock file."""
    assert "COMPLETED" == first.state, first.status
    lock = Path(first.status.build["lock"]).read_text()

    assert "colorama==" in lock
    assert "six==" in lock  # by an instruction
    assert "--hash=sha256:" in lock


def test_build_writes_the_image_back(first: Run, led: Project) -> None:
    """S-48: the function's image is the environment, for runs of any object of it."""
    found = led.get_function("built")

    assert first.status.build["image"] == found.spec.image
    assert f"pybridge.local/environment:{first.status.build['digest']}" == (
        found.spec.image
    )


def test_job_runs_in_what_was_built(first: Run, function: Function) -> None:
    """S-48: a job of the function runs in the environment of its image."""
    run = function.run("job").wait(timeout=PATIENCE)

    assert first.status.build["environment"] == run.result("output_0"), run.status


def test_second_build_is_the_first_one(first: Run, function: Function) -> None:
    """An identical build finds what the first one made, all of it."""
    run = function.run("build", instructions=INSTRUCTIONS).wait(timeout=PATIENCE)

    assert run.status.build["hit"]
    same = ("image", "digest", "environment", "lock", "context", "dockerfile")
    assert {name: first.status.build[name] for name in same} == {
        name: run.status.build[name] for name in same
    }


def test_instruction_that_needs_a_container_is_recorded(first: Run) -> None:
    """S-57: what cannot be done here is in the Dockerfile, and is said to be."""
    build = first.status.build

    assert ["apt-get install -y git"] == build["recorded"]
    assert ["pip install six"] == build["applied"]
    assert "'apt-get install -y git' is recorded in the Dockerfile only" in (
        first.status.message
    )
    assert "recorded in the Dockerfile only" in log_of(first)


def test_context_has_all_that_an_image_needs(first: Run) -> None:
    """The context has the source, the requirements with their lock, and the runtime."""
    context = Path(first.status.build["context"])

    assert CODE == next((context / "source").glob("*.py")).read_text()
    assert "colorama\nsix\n" == (context / "requirements.txt").read_text()
    lock = Path(first.status.build["lock"]).read_text()
    assert lock == (context / "requirements.lock").read_text()
    assert (context / "runtime/pybridge/functions/container.py").is_file()
    dockerfile = (context / "Dockerfile").read_text()
    assert "RUN apt-get update && apt-get install -y git\n" in dockerfile


def test_service_runs_in_what_was_built(first: Run, function: Function) -> None:
    """S-48: so does a service."""
    run = function.run("serve").wait(timeout=PATIENCE)
    assert "RUNNING" == run.state, run.status

    answer = run.invoke()
    run.stop()

    assert first.status.build["environment"] == answer.text


def test_instruction_is_run_where_that_is_allowed(
    led: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-57: with instructions = "run" a command is done in the environment."""
    settings(tmp_path, monkeypatch, 'instructions = "run"')
    function = declared(led, "commanded")

    run = function.run("build", instructions=["python -V > made && which python"])
    run.wait(timeout=120)

    assert "COMPLETED" == run.state, run.status
    environment = Path(run.status.build["environment"])
    assert (environment / "made").read_text().startswith("Python 3.")
    assert f"{environment}/bin/python" in log_of(run)


def test_instruction_that_fails_is_told(tmp_path: Path) -> None:
    """S-57: a command that fails fails the build, with its words."""
    said: list[str] = []
    tool = uv.Tool(said.append, lambda: False, ())

    with pytest.raises(HostError, match="with exit status 3: no such thing"):
        tool.instruct("RUN echo no such thing >&2; exit 3", tmp_path)

    assert "no such thing" == said[-1]


def test_instruction_is_refused_where_settings_say_so(
    led: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-57: with instructions = "refuse" the build says what there is instead."""
    settings(tmp_path, monkeypatch, 'instructions = "refuse"')
    function = declared(led, "refused")

    run = function.run("build", instructions=["apt-get install -y git"])
    run.wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "'apt-get install -y git' is for an image" in run.status.message


@pytest.mark.parametrize(
    ("mode", "state", "told"),
    [
        ("warn", "COMPLETED", "'debian:12' may be a root image"),
        ("allow", "COMPLETED", None),
        ("refuse", "ERROR", "root_image of [functions] is 'refuse'"),
    ],
)
def test_root_image_is_warned_of(  # noqa: PLR0917
    first: Run,
    led: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    state: str,
    told: str | None,
) -> None:
    """S-49, S-51: a base image that may be root is used with a warning, or refused."""
    settings(tmp_path, monkeypatch, f'root_image = "{mode}"')
    function = declared(
        led, "based", base_image="debian:12", requirements=["colorama", "six"]
    )

    run = function.run("build").wait(timeout=PATIENCE)

    assert (state, first.state) == (run.state, "COMPLETED"), run.status
    assert (told or "") in (run.status.message or "")
    assert told is not None or run.status.message is None


def test_requirement_that_is_not_there_fails_the_build(led: Project) -> None:
    """S-50: the error names the requirement; the function has no image then."""
    function = declared(led, "wanting", requirements=["no-such-package-of-anybody"])

    run = function.run("build").wait(timeout=120)

    assert "ERROR" == run.state
    assert "'no-such-package-of-anybody'" in run.status.message
    assert led.get_function("wanting").spec.image is None


def test_source_that_is_gone_fails_the_build(led: Project, tmp_path: Path) -> None:
    """A source that cannot be had ends the build in ERROR, in the stage 'source'."""
    function = declared(
        led, "absent", code=None, code_src=f"git+file://{tmp_path}/none", handler="m:f"
    )

    run = function.run("build").wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "source" == run.status.error["stage"]


def test_image_that_is_gone_is_told(led: Project) -> None:
    """S-48: a run whose image was removed from the store says that, and what to do."""
    image = "pybridge.local/environment:" + "0" * 32
    function = declared(led, "lost", image=image)

    run = function.run("job").wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "build the function again" in run.status.message


def test_user_image_is_replaced_by_a_build(
    first: Run, led: Project, function: Function
) -> None:
    """S-48: a successful build rewrites also an image that the function was given."""
    other = declared(led, "given", image="mine:1", requirements=["colorama"], code=CODE)

    run = other.run("build", instructions=INSTRUCTIONS).wait(timeout=PATIENCE)

    assert run.status.build["hit"], first.status
    assert first.status.build["image"] == led.get_function("given").spec.image
    assert first.status.build["image"] == other.new_run("job").spec.image
    assert function.name == "built"


def test_pip_instructions_are_locked_unless_they_have_options() -> None:
    """S-57: packages of a plain 'pip install' are locked with the requirements."""
    lines = ("pip install six", "uv pip install -e .", "RUN pip install a b==1", "make")

    found = sorted_out(lines, "record")

    assert ("six", "a", "b==1") == found.requirements
    assert ("uv pip install -e .",) == found.applied
    assert ("make",) == found.recorded
    with pytest.raises(Unsupported, match="'make' is for an image"):
        sorted_out(lines, "refuse")


def test_build_is_data(first: Run) -> None:
    """What the status says of a build is JSON."""
    assert first.status.build == json.loads(json.dumps(first.status.build))


def test_stopped_build_leaves_nothing(led: Project) -> None:
    """A build that is stopped is STOPPED, and no half environment is taken for one."""
    function = declared(led, "halted", requirements=["six", "colorama>0.1"])

    run = function.run("build").stop()

    assert "STOPPED" == run.state
    assert nothing_left(run)
    assert led.get_function("halted").spec.image is None
    stamps = led.store.root.glob("cache/environments/*/environment.json")
    made = [json.loads(one.read_text())["requirements"] for one in stamps]
    assert ["six", "colorama>0.1"] not in made


def test_image_of_a_build_is_its_registrys(
    first: Run,
    function: Function,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S-48: in a cluster a built function is its image, which has all that it needs."""
    settings(tmp_path, monkeypatch, 'kubernetes = {registry = "ghcr.io/me"}')

    found = manifests.render(function.new_run("job"))

    job = found[-1]["spec"]["template"]["spec"]
    tag = first.status.build["context_digest"][:16]
    assert f"ghcr.io/me/p/built:{tag}" == job["containers"][0]["image"]
    assert "initContainers" not in job
    assert ["ConfigMap", "Job"] == [one["kind"] for one in found]
    assert ["run.json"] == list(found[0]["data"])


def test_lock_of_a_build_is_installed_where_there_is_no_registry(
    first: Run, function: Function
) -> None:
    """S-50: without a registry pods install what the build has locked, no other."""
    found = manifests.render(function.new_run("job"))

    data = found[1]["data"]
    assert Path(first.status.build["lock"]).read_text() == data["requirements.lock"]
    assert "requirements.txt" not in data
