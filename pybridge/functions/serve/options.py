"""Options of a service: what of a run's spec says how it is served."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NAMES", "Options", "exposed", "is_loopback", "read"]

_LARGEST_PORT = 65535


@dataclass(frozen=True)
class Options:
    """How a service listens, what it takes at once and for how long; seconds, bytes."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: one that is free
    replicas: int = 1
    concurrency: int = 1  # requests that one replica works on at once, as nuclio's
    queue_limit: int = 128  # requests that wait in one replica for one of those
    queue_timeout: float = 10.0  # how long each of them waits: nuclio's figure
    request_timeout: float | None = None
    body_limit: int = 16 * 2**20
    header_limit: int = 64 * 2**10
    read_timeout: float = 20.0  # for the head of a request, and again for its body
    keep_alive: float = 75.0
    start_timeout: float = 300.0  # for a replica: imports and init_function
    drain_timeout: float = 30.0
    access_log: bool = True
    docs: bool = True
    insecure: bool = False
    token: str | None = None  # the name of the project's secret
    crash_limit: int = 5  # more than so many crashes
    crash_window: float = 60.0  # in so many seconds end the run

    @property
    def loopback(self) -> bool:
        """Return whether only this machine can reach the service."""
        return is_loopback(self.host)


NAMES = tuple(field.name for field in fields(Options))


def read(spec: Mapping[str, Any], **over: Any) -> Options:
    """Return the options in a run's spec, those given by name before them.

    Raises:
        BadArgument: values cannot be used; all of them are named.
    """
    given = {name: spec[name] for name in NAMES if spec.get(name) is not None}
    given.update({name: value for name, value in over.items() if value is not None})
    faults = []
    for name, value in given.items():
        wanted = _RULES[name](value)
        if wanted:
            faults.append(f'"{name}" must be {wanted}, not {value!r}')
    if faults:
        raise BadArgument("; ".join(faults))
    options = Options(**given)
    if not options.loopback and options.token is None and not options.insecure:
        raise BadArgument(f"the service {exposed(options.host)}")
    return options


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def exposed(host: str) -> str:
    """Say what is wrong with a service that everybody may ask."""
    return (
        f"would listen on '{host}' for everybody who can reach it; give it a token= "
        "(the name of a secret of the project), or say insecure=True"
    )


# ---- What each may be: a rule answers with what is wanted, or with nothing ---------


def _whole(least: int, most: int | None = None) -> Callable[[Any], str]:
    def rule(value: Any) -> str:
        right = isinstance(value, int) and not isinstance(value, bool)
        if right and value >= least and (most is None or value <= most):
            return ""
        upper = "" if most is None else f" to {most}"
        return f"a whole number from {least}{upper}"

    return rule


def _seconds(value: Any) -> str:
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "" if right and value > 0 else "seconds, more than 0"


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value else "a text"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "True or False"


_RULES: dict[str, Callable[[Any], str]] = {
    "host": _text,
    "port": _whole(0, _LARGEST_PORT),
    "replicas": _whole(1),
    "concurrency": _whole(1),
    "queue_limit": _whole(0),
    "queue_timeout": _seconds,
    "request_timeout": _seconds,
    "body_limit": _whole(0),
    "header_limit": _whole(1024),
    "read_timeout": _seconds,
    "keep_alive": _seconds,
    "start_timeout": _seconds,
    "drain_timeout": _seconds,
    "access_log": _flag,
    "docs": _flag,
    "insecure": _flag,
    "token": _text,
    "crash_limit": _whole(0),
    "crash_window": _seconds,
}
