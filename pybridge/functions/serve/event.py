"""The event of a request, as functions for nuclio know it."""

from __future__ import annotations

from datetime import datetime, timezone
from time import time
from typing import TYPE_CHECKING, Any

from pybridge.functions import nuclio

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TRIGGER", "Headers", "event"]

TRIGGER = nuclio.TriggerInfo("http", "http")


# What is the same in all events.
_COMMON = vars(
    nuclio.Event(
        trigger=TRIGGER,
        shard_id=0,
        num_shards=1,
        type="",
        type_version="",
        version="",
        topic="",
    )
)
_NEW: Any = nuclio.Event.__new__
_MOST = 256  # names of headers that are kept with their case
_names: dict[bytes, str] = {}


class Headers(dict[str, str]):
    """Headers under the names that HTTP/1 writes, found whatever their case."""

    def __missing__(self, name: str) -> str:
        title = name.title()
        if title == name:
            raise KeyError(name)
        return self[title]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and dict.__contains__(self, name.title())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or the default."""
        return dict.get(self, name.title(), default)


def _title(name: bytes) -> str:
    if len(_names) >= _MOST:
        _names.clear()
    title = _names[name] = name.decode("latin-1").title()
    return title


def event(
    scope: dict[str, Any],
    body: bytes,
    document: Any,
    fields: Iterable[tuple[str, str]],
    request: str,
) -> Any:
    """Return the event: `document` is its body, where that is JSON, else the bytes."""
    headers = Headers()
    given = scope["headers"]
    for name, value in given:
        headers[_names.get(name) or _title(name)] = value.decode("latin-1")
    if len(headers) < len(given):
        _join(headers, given)
    lookup = dict.get
    path = scope["path"]
    query = scope["query_string"]
    target = f"{path}?{query.decode('latin-1')}" if query else path
    # Its own __init__ would take longer than all of this.
    made = _NEW(nuclio.Event)
    made.__dict__.update(
        _COMMON,
        body=document,
        content_type=lookup(headers, "Content-Type", ""),
        fields=dict(fields),
        headers=headers,
        id=request,
        method=scope["method"],
        path=path,
        size=len(body),
        timestamp=_utc(time()),
        url=f"{scope['scheme']}://{lookup(headers, 'Host', '')}{target}",
    )
    return made


def _utc(seconds: float) -> datetime:
    """Return the time as nuclio has it: UTC, and without saying so."""
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)


def _join(headers: Headers, given: Iterable[tuple[bytes, bytes]]) -> None:
    """Put the values of a header that came several times into one, as HTTP allows."""
    several: dict[str, list[str]] = {}
    for name, value in given:
        several.setdefault(_title(name), []).append(value.decode("latin-1"))
    for title, values in several.items():
        headers[title] = ", ".join(values)
