"""What the tests of the function runtime share: a store of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pybridge.functions.library import get_or_create_project
from pybridge.functions.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that is empty, and the one that is meant where none is named."""
    root = tmp_path / "functions"
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(root))
    return Store.open(root)


@pytest.fixture
def project(store: Store) -> Project:
    """A project in that store."""
    return get_or_create_project("p", store=store)
