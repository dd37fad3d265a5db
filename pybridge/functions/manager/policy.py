"""What `[functions]` in pybridge.toml says of the manager: how many, how long."""

from __future__ import annotations

import fnmatch
import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEY", "Policy", "handed_on"]

KEY = "PYBRIDGE_KEY"  # the name of `pybridge.key`, which is not needed here

# Of the environment of who submits a run, what the run gets to see: the rest of it is
# what the function declares. Sources are fetched and packages installed with these.
_HANDED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TZ",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "XDG_*",
    "LD_LIBRARY_PATH",
    "*_PROXY",
    "*_proxy",
    "SSL_CERT_*",
    "*_CA_BUNDLE",
    "PIP_*",
    "UV_*",
    "GIT_*",
    "AWS_*",
    "S3_*",
    "PYBRIDGE_SETTINGS*",
    # Of saved contexts, which runs begin with, and of the pickles that they make.
    "PYBRIDGE_STORE",
    KEY,
)


class Policy(NamedTuple):
    """The settings of a manager, read when it starts."""

    parallel: int = 0  # jobs at once; 0: two for each processor
    idle: Optional[float] = 600.0  # seconds without work after which it ends
    grace: float = 5.0  # seconds between SIGTERM and SIGKILL
    drain: float = 30.0  # the same, of a service
    retry_delay: float = 1.0  # seconds before the second attempt; doubled for each more
    retry_longest: float = 60.0
    log_size: int = 256 << 20  # bytes of a run's output that are kept
    handed_on: tuple[str, ...] = ()
    preload: Optional[tuple[str, ...]] = ()  # loaded once for all jobs; None: nothing
    control_groups: bool = True  # limits by them, where they may be made

    @classmethod
    def from_settings(cls) -> Policy:
        """Return what the settings file says.

        Raises:
            BadArgument: a value is not one.

        """
        from pybridge import settings

        found = settings.section("functions")
        given: dict[str, Any] = {}
        if "parallel" in found:
            given["parallel"] = _count(found["parallel"])
        for name in ("idle", "grace", "drain", "retry_delay", "retry_longest"):
            if name in found:
                value = settings.seconds(found[name], f"[functions] {name}")
                if value is None and name != "idle":
                    raise BadArgument(f"[functions] {name} cannot be 'never'")
                given[name] = value
        if "log_size" in found:
            given["log_size"] = _size(found["log_size"])
        if "environment" in found:
            given["handed_on"] = _names("environment", found["environment"], "MY_*")
        if "control_groups" in found:
            given["control_groups"] = _switch("control_groups", found["control_groups"])
        if found.get("preload") is False:
            given["preload"] = None
        elif "preload" in found:
            given["preload"] = _names("preload", found["preload"], "sklearn")
        return cls(**given)

    @property
    def slots(self) -> int:
        """How many jobs run at once."""
        return self.parallel or 2 * len(os.sched_getaffinity(0))

    def delay(self, attempt: int, chance: float) -> float:
        """Return the seconds between an attempt and the next.

        They double, up to the longest; `chance`, from 0 to 1, shortens them by up to a
        fifth, so that what failed together does not come back together.
        """
        whole = min(self.retry_delay * 2.0 ** (attempt - 1), self.retry_longest)
        return whole * (1.0 - 0.2 * chance)


def handed_on(environ: Mapping[str, str], also: tuple[str, ...] = ()) -> dict[str, str]:
    """Return what of an environment goes on to runs."""
    pattern = _pattern((*_HANDED_ON, *also))
    return {name: value for name, value in environ.items() if pattern.match(name)}


@lru_cache(maxsize=4)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(name) for name in names))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadArgument(f"[functions] parallel is a number from 1, not {value!r}")
    return value


def _switch(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadArgument(f"[functions] {field} is true or false, not {value!r}")
    return value


def _size(value: object) -> int:
    from pybridge.functions.resources import quantity

    try:
        return int(quantity(str(value)))
    except ValueError as exc:
        raise BadArgument(f"[functions] log_size {value!r} {exc}") from None


def _names(field: str, value: object, example: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadArgument(
            f"[functions] {field} is a list of names, such as ['{example}'], not "
            f"{value!r}"
        )
    return tuple(value)
