"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.databases import MariaDB, Postgres


@pytest.fixture(scope="session", autouse=True)
def _own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep stores, keys and histories of the tests away from those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.delenv("PYBRIDGE_STORE", raising=False)
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say on which Pythons the C tests ran, whichever way they ended."""
    ran = [
        report.nodeid.partition("[")[2].rstrip("]")
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if "test_c_programs_pass_on_every_python" in report.nodeid
    ]
    if ran:
        terminalreporter.write_line(f"C tests ran on Python {', '.join(ran)}")
