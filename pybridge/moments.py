"""Moments: times that were noted, as people read them: in their own zone."""

from __future__ import annotations

from datetime import datetime

__all__ = ["clock", "dated", "since"]


def dated(text: str | None) -> str:
    """Return day and time to the second."""
    moment = _local(text)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""


def since(text: str | None) -> str:
    """Return the time of something of today, the day of what is older."""
    moment = _local(text)
    if moment is None:
        return ""
    today = datetime.now(moment.tzinfo).date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%Y-%m-%d}"


def clock(text: str | None) -> str:
    """Return the time alone, to the millisecond."""
    moment = _local(text)
    return f"{moment:%H:%M:%S.%f}"[:-3] if moment else ""


def _local(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone() if text else None
