"""Each SQLite in a process of its own, and a new database file in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite.scans import HOSTS, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sqlite.scans import Database


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """One process with each SQLite for all tests."""
    host = Host(request.param)
    yield host
    assert 0 == host.stop()


@pytest.fixture
def db(host: Host, tmp_path: Path) -> Iterator[Database]:
    """A connection to a new database file."""
    db = host.open(tmp_path / "t.db")
    yield db
    db.close()
