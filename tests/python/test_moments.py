"""Moments: times as people read them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pybridge import moments

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _zone() -> Iterator[None]:
    """Two hours east of Greenwich, without a summer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "XXX-2")
        time.tzset()
        yield
    time.tzset()


def test_times_are_those_of_the_readers_zone() -> None:
    """What was noted in UTC is read where the reader is."""
    noted = "2024-02-29T23:30:00.123456+00:00"

    assert "2024-03-01 01:30:00" == moments.dated(noted)
    assert "2024-03-01 01:30:00" == moments.dated("2024-02-29T23:30:00.123Z")
    assert "01:30:00.123" == moments.clock(noted)


def test_what_is_old_has_its_day_and_what_is_new_its_time() -> None:
    """A list is narrow that way, and says what one wants to know."""
    now = datetime.now(UTC)

    assert "2024-03-01" == moments.since("2024-02-29T23:30:00+00:00")
    assert f"{now.astimezone():%H:%M:%S}" == moments.since(now.isoformat())


def test_no_time_is_no_text() -> None:
    """Something that has not begun has none."""
    assert ["", "", ""] == [
        told(None) for told in (moments.dated, moments.since, moments.clock)
    ]
