"""What all tests share."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import apart

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.databases import MariaDB, Postgres


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Begin with what others wait for, then with the tests that are alone.

    Among long ones they would wait long.
    """
    if hasattr(config, "workerinput"):
        items.sort(
            key=lambda item: (
                item.get_closest_marker("first") is None,
                item.get_closest_marker("alone") is None,
            )
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked "alone" have the machine, where several workers run.

    All others run beside each other. Who waits for its turn stands in the gate, so
    that no test begins before it.
    """
    if not hasattr(item.config, "workerinput"):
        return (yield)  # there is one process
    alone = item.get_closest_marker("alone") is not None
    gate = os.open(Path(__file__).parent, os.O_RDONLY)
    turn = os.open(__file__, os.O_RDONLY)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(turn, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        return (yield)
    finally:
        fcntl.flock(turn, fcntl.LOCK_UN)  # also where a child holds a copy
        os.close(turn)
        os.close(gate)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Let another process run a test that is marked "apart", see tests/apart.py."""
    if apart.is_here(pyfuncitem):
        return None
    apart.run(pyfuncitem)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell the process that asked for this one how a test went."""
    apart.tell(report)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """See that only tests that are marked "apart" load pybridge by that SQLite."""
    beside = sys.modules.get("pybridge.beside")
    if beside is None or apart.HERE:
        return
    library = beside._library  # noqa: SLF001 - nothing else tells whether it was asked
    if library.cache_info().currsize:
        library.cache_clear()
        pytest.fail('this loads pybridge by Python\'s own SQLite: mark it "apart"')


@pytest.fixture(scope="session", autouse=True)
def _own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep stores, keys and histories of the tests away from those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.delenv("PYBRIDGE_STORE", raising=False)
        patch.delenv("PYBRIDGE_FUNCTIONS", raising=False)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this run."""
    from tests.databases import Postgres

    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server of this run."""
    from tests.databases import MariaDB

    server = MariaDB()
    yield server
    server.close()


@pytest.fixture
def _own_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without settings, and leave no connection behind."""
    from pybridge import connections, main

    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(tmp_path / "pybridge.toml"))
    (tmp_path / "pybridge.toml").touch()
    yield
    connections.close()
    main.finalize()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say on which Pythons the C tests ran, whichever way they ended."""
    ran = set()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            test, _, words = report.nodeid.partition("[")
            if test.endswith("test_c_programs_pass_on_every_python"):
                ran.add(words.partition("-")[0])
            elif test.endswith("test_c_program_passes"):
                ran.add(platform.python_version())
    if ran:
        said = ", ".join(sorted(ran))
        terminalreporter.write_line(f"C tests ran on Python {said}")
