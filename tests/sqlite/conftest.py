"""The hosts of the SQLite adapter as fixtures.

`host` is both of them in turn: the `sqlite3` shell as a process of its own, and apsw in
this process, which brings a newer SQLite. `shell` and `driver` are one of them each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite.hosts import TESTED, Driver, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sqlite.hosts import Host

MISSING = f"{TESTED} is missing: build it first"


@pytest.fixture(scope="session")
def library() -> Path:
    """The library under test."""
    assert TESTED.exists(), MISSING
    return TESTED


@pytest.fixture(scope="session")
def _shell() -> Iterator[Shell]:
    assert TESTED.exists(), MISSING
    started = Shell()
    yield started
    started.close()


@pytest.fixture(scope="session")
def _driver() -> Iterator[Driver]:
    assert TESTED.exists(), MISSING
    opened = Driver()
    yield opened
    opened.close()


@pytest.fixture
def shell(_shell: Shell) -> Shell:
    """The `sqlite3` shell with a new connection and a new Python context."""
    _shell.open()
    return _shell


@pytest.fixture
def driver(_driver: Driver) -> Driver:
    """An apsw connection, new, with a new Python context."""
    _driver.open()
    return _driver


@pytest.fixture(params=["shell", "apsw"])
def host(request: pytest.FixtureRequest) -> Host:
    """Both hosts in turn, with a new connection and a new Python context."""
    opened: Host = request.getfixturevalue(
        "_shell" if request.param == "shell" else "_driver"
    )
    opened.open()
    return opened
