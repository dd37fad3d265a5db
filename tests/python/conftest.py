"""What the tests of the package share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from pybridge import context as contexts

if TYPE_CHECKING:
    from collections.abc import Iterator

# On a busy machine an example may take any time.
settings.register_profile("pybridge", deadline=None)
settings.load_profile("pybridge")


@pytest.fixture
def context() -> Iterator[contexts.Context]:
    """Give a context of its own; all are dropped afterwards."""
    contexts.reset()
    yield contexts.get("test")
    contexts.reset()
