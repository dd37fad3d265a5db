"""What the tests of the function runtime share: a store of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pybridge.functions import loading, processes, sources
from pybridge.functions.library import get_or_create_project
from pybridge.functions.manager import client
from pybridge.functions.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pybridge.functions.project import Project


# Settings under which nothing that a test waits for takes long.
IMPATIENT = """
[functions]
idle = "never"
grace = "0.5s"
drain = "2s"
retry_delay = "0.05s"
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that is empty, and the one that is meant where none is named."""
    root = tmp_path / "functions"
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(root))
    store = Store.open(root)
    yield store
    end(store)


def end(store: Store) -> None:
    """End the manager of a store, if a test has had one started, and let go of it."""
    if (store.root / "manager").exists():
        client.of(store).end()
    store.close()


@pytest.fixture
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have managers that are started here wait for nothing, and load nothing."""
    settings = tmp_path / "light.toml"
    settings.write_text(f"{IMPATIENT}preload = false\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))


@pytest.fixture(scope="module")
def led(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """A project whose runs are led by one manager for the whole file, an impatient one.

    `SETTINGS` of the file are added to its [functions].
    At the end nothing of any run is left on the machine.
    """
    folder = tmp_path_factory.mktemp("led")
    settings = folder / "pybridge.toml"
    settings.write_text(IMPATIENT + getattr(request.module, "SETTINGS", ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYBRIDGE_FUNCTIONS", str(folder / "functions"))
        patch.setenv("PYBRIDGE_SETTINGS", str(settings))
        store = Store.open(folder / "functions")
        yield get_or_create_project("p", store=store)
        end(store)
    mine = {run["id"] for run in store.runs()}
    left = {pid: run for pid, run in processes.marked().items() if run in mine}
    assert {} == left


@pytest.fixture
def project(store: Store) -> Project:
    """A project in that store."""
    return get_or_create_project("p", store=store)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to log."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    return path


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server of this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def call(store: Store) -> Callable[..., object]:
    """A function that fetches and calls a handler, and returns what that returns."""

    def caller(
        code_src: str, handler: str = "main:f", environ: Mapping[str, str] | None = None
    ) -> object:
        source = sources.check(code_src=code_src, handler=handler, store=store)
        tree = sources.fetch(source, store=store, environ=environ or {})
        with loading.load(tree) as loaded:
            return loaded.function()

    return caller
