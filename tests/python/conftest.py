"""What the tests of the package share."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from pybridge import context as contexts
from pybridge.location import LIBRARY

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


@pytest.fixture(scope="session")
def plane() -> Any:
    """What the data plane calls: there only in a process that has the library."""
    assert 0 == ctypes.CDLL(str(LIBRARY)).pyb_setup(None, None)
    from pybridge._seam import plane

    return plane
