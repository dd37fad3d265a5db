"""Environments: what a function requires is there, made once; or it is said why not."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pybridge.errors import BadArgument, HostError
from pybridge.functions import environments, pythons, uv
from pybridge.functions.manager import client
from tests.functions.jobs import PATIENCE, job, log_of, nothing_left, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.functions.project import Project
    from pybridge.functions.store import Store

OTHERS = [v for v in pythons.installed() if v != pythons.own_version()]
SMALL = "iniconfig==2.0.0"
# The rules of environments are the same whatever is in them.
BASE: tuple[str, ...] = ()
STAMP = "environment.json"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments without what runs need: they are made in a moment."""
    monkeypatch.setattr(environments, "BASE", BASE)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An index of packages that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        monkeypatch.setenv("UV_NO_CACHE", "1")
        yield url


# ---- Which Python --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["PYTHON3_9", "python3.9", "3.9", " PYTHON3_9 ", "Python 3.9"]
)
def test_version_is_read_in_every_spelling(text: str) -> None:
    """The document's PYTHON3_9 and what people write for it mean 3.9 (S-46)."""
    assert "3.9" == pythons.version_of(text)


@pytest.mark.parametrize("text", ["PYTHON4_0", "3", "3.x", "java"])
def test_version_that_is_none_is_refused(text: str) -> None:
    """The message shows how one is written."""
    with pytest.raises(BadArgument, match="write it as 'PYTHON3_11'"):
        pythons.version_of(text)


def test_each_installed_python_is_found_and_is_what_it_says() -> None:
    """What `interpreter` returns runs, and is of that version."""
    for version in pythons.installed():
        told = subprocess.run(
            [environments.interpreter(version), "--version"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.startswith(f"Python {version}.")


def test_version_that_is_not_installed_names_those_that_are(led: Project) -> None:
    """The run is in ERROR with the versions that there are, and the cure."""
    with pytest.raises(BadArgument) as caught:
        environments.interpreter("3.19")

    for words in (
        "Python 3.19 is not installed here; there are ",
        pythons.own_version(),
        "uv python install 3.19",
        "[functions.pythons]",
    ):
        assert words in str(caught.value)


def test_settings_name_a_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[functions.pythons] comes first."""
    link = tmp_path / "my-python"
    link.symlink_to(Path(sys.executable).resolve())
    settings = tmp_path / "pybridge.toml"
    settings.write_text(f'[functions.pythons]\n"{pythons.own_version()}" = "{link}"\n')
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))

    assert link == environments.interpreter(pythons.own_version())


# ---- Making --------------------------------------------------------------------------


def wanted(
    *requirements: str, instructions: tuple[str, ...] = ()
) -> environments.Request:
    """Return what an environment of this Python is made from."""
    python = pythons.find(None)
    return environments.Request(python, requirements, instructions=instructions)


@pytest.mark.usefixtures("bare")
def test_environment_has_the_requirements_and_this_package(store: Store) -> None:
    """What is required can be imported, and pybridge too; the lock says all (S-50)."""
    told: list[str] = []
    made = environments.make(wanted(SMALL), store=store, progress=told.append)

    code = "import iniconfig, pybridge.functions as f; print(f.__file__)"
    there = subprocess.run(
        [made.python, "-c", code], capture_output=True, text=True, check=True
    )
    assert str(Path(environments.__file__).parent) in there.stdout
    assert "iniconfig==2.0.0" in made.lock
    assert "--hash=sha256:" in made.lock
    assert any("iniconfig==2.0.0" in line for line in told)
    again: list[str] = []
    same = environments.make(wanted(SMALL), store=store, progress=again.append)
    assert (made, []) == (same, again)


@pytest.mark.usefixtures("bare")
def test_digest_is_that_of_what_it_is_made_from() -> None:
    """The order and the spaces of requirements do not matter, all else does."""

    def digest(*requirements: str, **given: object) -> str:
        python = pythons.find(None)
        return environments.Request(python, requirements, **given).digest  # type: ignore[arg-type]

    assert digest("a", "b  >1") == digest("b >1", "a", "a")
    others = {
        digest("a"),
        digest("a==1"),
        digest("a", extra=("b",)),
        digest("a", instructions=("pip install b",)),
        digest("a", base_image="debian"),
    }
    assert 5 == len(others)


def test_many_processes_make_it_once(store: Store) -> None:
    """However many want an environment at once, one makes it and all have it."""
    code = (
        "import sys\n"
        "from pybridge.functions import environments, pythons\n"
        "from pybridge.functions.store import Store\n"
        "environments.BASE = ()\n"
        "told = []\n"
        f"wanted = environments.Request(pythons.find(None), ('{SMALL}',))\n"
        "environments.make(wanted, store=Store.open(), progress=told.append)\n"
        "print(sum('was made in' in line for line in told))\n"
    )
    builders = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        for _ in range(3)
    ]

    made = [int(one.communicate(timeout=PATIENCE)[0]) for one in builders]

    assert [0, 0, 1] == sorted(made)


@pytest.mark.usefixtures("bare")
def test_half_an_environment_is_made_anew(store: Store) -> None:
    """What a process that was killed has left is not taken for an environment."""
    made = environments.make(wanted(), store=store)
    (made.path / "environment.json").unlink()
    (made.path / "rubbish").touch()

    assert environments.find(wanted(), store=store) is None
    again = environments.make(wanted(), store=store)

    assert made == again
    assert not (made.path / "rubbish").exists()


@pytest.mark.usefixtures("bare")
def test_requirement_that_cannot_be_had_is_named(store: Store) -> None:
    """The message has the requirement and uv's words, and nothing is left behind."""
    with pytest.raises(HostError) as caught:
        environments.make(wanted(SMALL, "iniconfig>=99"), store=store)

    assert "the environment cannot be made for requirement" in str(caught.value)
    assert "iniconfig" in str(caught.value)
    assert "unsatisfiable" in str(caught.value)
    folder = store.root / "cache" / "environments"
    assert [] == _folders(folder)


@pytest.mark.usefixtures("bare")
def test_instructions_are_done_in_the_environment(store: Store) -> None:
    """`pip install` is uv's, other lines the shell's; one that fails is told (S-57)."""
    lines = (f"RUN pip3 install {SMALL}", 'python -c \'open("made", "x")\'')
    made = environments.make(wanted(instructions=lines), store=store)
    assert list(made.path.glob("lib/*/site-packages/iniconfig"))
    assert (made.path / "made").exists()

    with pytest.raises(HostError, match="instruction 'false' failed with exit status"):
        environments.make(wanted(instructions=("false",)), store=store)


@pytest.mark.usefixtures("bare")
def test_image_of_a_build_is_its_environment(store: Store) -> None:
    """A function whose image was built here runs in it; others are not ours (S-48)."""
    made = environments.make(wanted(SMALL), store=store)

    assert made == environments.of_image(made.image, store=store)
    assert environments.of_image("docker.io/python:3.11", store=store) is None
    again = environments.request({"image": made.image}, store=store)
    assert made.digest == again.digest
    with pytest.raises(BadArgument, match="build the function again"):
        environments.of_image(f"{environments.IMAGE}:gone", store=store)


@pytest.mark.usefixtures("bare")
def test_without_a_network_what_was_seen_before_is_enough(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uv's cache is used where nothing can be reached."""
    environments.make(wanted(SMALL), store=store)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    told: list[str] = []

    made = environments.make(
        wanted(SMALL, "iniconfig>=1"), store=store, progress=told.append
    )

    assert "iniconfig==2.0.0" in made.lock


def test_settings_of_pip_are_those_of_uv(tmp_path: Path) -> None:
    """Where pip is told to look for packages, uv does, or where it is told itself."""
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://packages.example/simple\n"
        f"find-links = {tmp_path}\nextra-index-url = file:///not/there\n"
    )

    ours = uv.settings({"PIP_CONFIG_FILE": str(config), "VIRTUAL_ENV": "x"})
    own = uv.settings(
        {"PIP_CONFIG_FILE": str(config), "UV_DEFAULT_INDEX": "https://mine.example"}
    )

    assert "https://packages.example/simple" == ours["UV_DEFAULT_INDEX"]
    assert str(tmp_path) in ours["UV_FIND_LINKS"]
    assert "/not/there" not in json.dumps(ours)
    assert "VIRTUAL_ENV" not in ours
    assert "https://mine.example" == own["UV_DEFAULT_INDEX"]


# ---- Jobs ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", OTHERS[:1])
def test_job_runs_on_the_python_it_asks_for(led: Project, version: str) -> None:
    """Version and requirements are honoured (S-46); the settings are known there."""
    run = job(
        led,
        """
        import sys
        import iniconfig
        from pybridge import settings
        def f(n: int):
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            return version, n + 1, settings.section("functions")["grace"]
        """,
        python_version=f"PYTHON{version.replace('.', '_')}",
        requirements=[SMALL],
        parameters={"n": 1},
    ).wait(timeout=300)

    assert ("COMPLETED", None) == (run.state, run.status.message)
    found = [run.result(f"output_{i}") for i in range(3)]
    assert [version, 2, "0.5s"] == found
    assert "making an environment of Python" in log_of(run)


def test_environment_that_cannot_be_made_is_the_runs_error(led: Project) -> None:
    """The run is in ERROR at the stage "environment"; uv's words are in its log."""
    run = job(led, "def f():\n    return 1\n", requirements=["iniconfig>=99"]).wait(
        timeout=PATIENCE
    )

    assert ("ERROR", "environment") == (run.state, run.status.error["stage"])
    assert "iniconfig>=99" in run.status.message
    assert "pybridge: " in log_of(run)
    assert "unsatisfiable" in log_of(run)


@pytest.mark.usefixtures("silence")
def test_stop_while_the_environment_is_made(led: Project) -> None:
    """A run whose packages never come is PENDING, and stopped at once."""
    run = job(led, "def f():\n    return 1\n", requirements=["never-comes"])
    until(lambda: "making an environment" in log_of(run))
    assert "PENDING" == run.refresh().state
    assert "its environment is being made" == run.status.message

    run.stop()

    assert "STOPPED" == run.state
    until(lambda: not _uvs(led.store.root))
    folder = led.store.root / "cache" / "environments"
    until(lambda: not [p for p in _folders(folder) if not (p / STAMP).exists()])


@pytest.mark.usefixtures("light", "silence")
def test_manager_killed_while_the_environment_is_made(project: Project) -> None:
    """What made it ends too; the run has lost nothing, and the next manager goes on."""
    run = job(project, "def f():\n    return 1\n", requirements=["never-comes"])
    until(lambda: _uvs(project.store.root))
    pid = client.of(project.store).ask("info")["pid"]

    os.kill(pid, signal.SIGKILL)

    until(lambda: not _uvs(project.store.root))
    assert "PENDING" == run.refresh().state
    until(lambda: client.of(project.store).ask("info")["runs"])
    run.stop()
    assert ("STOPPED", None) == (run.state, run.status.attempts)
    assert nothing_left(run)


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def _uvs(root: Path) -> list[str]:
    """Return the processes of uv that work in a store."""
    import psutil

    return [
        " ".join(words)
        for words in (one.info["cmdline"] for one in psutil.process_iter(["cmdline"]))
        if words and words[0].endswith("/uv") and str(root) in " ".join(words)
    ]
