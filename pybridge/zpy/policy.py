"""What `[zpy]` in pybridge.toml says of sessions: how long they live, what is kept."""

from __future__ import annotations

import re
from typing import Any

from pybridge import settings
from pybridge.zpy.place import Refused

__all__ = ["Policy", "seconds"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KNOWN = ("idle", "save", "restore", "show")
_SAVES = ("ask", "always", "never")
_SHOWS = ("repr", "str", "json")


class Policy:
    """The settings of one session, read when it starts."""

    __slots__ = ("idle", "restore", "save", "show")

    def __init__(
        self,
        idle: float | None = 8 * 3600.0,
        save: str = "ask",
        restore: bool = False,
        show: str = "repr",
    ) -> None:
        """Take what is given; `idle` in seconds, None = it never ends by itself."""
        self.idle = idle
        self.save = save
        self.restore = restore
        self.show = show

    @classmethod
    def from_settings(cls) -> Policy:
        """Return what the settings file says.

        Raises:
            Refused: it says what there is not.

        """
        found = settings.section("zpy")
        for key in found:
            if key not in _KNOWN:
                raise Refused(f"[zpy] has no '{key}'; there are {', '.join(_KNOWN)}")
        policy = cls()
        if "idle" in found:
            policy.idle = seconds(found["idle"])
        policy.save = _choice(found, "save", _SAVES, policy.save)
        policy.show = _choice(found, "show", _SHOWS, policy.show)
        policy.restore = found.get("restore", policy.restore)
        if not isinstance(policy.restore, bool):
            raise Refused(f"[zpy] restore is true or false, not {policy.restore!r}")
        return policy

    def as_dict(self) -> dict[str, Any]:
        """Return it as what `Policy(**...)` takes."""
        return {name: getattr(self, name) for name in self.__slots__}


def seconds(value: object) -> float | None:
    """Return the seconds of "90s", "30m", "8h", "2d" or a number; None for "never".

    Raises:
        Refused: it is none of these.

    """
    if value == "never":
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return float(value)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(value).strip())
    if found is None or not float(found[1]):
        raise Refused(
            f'[zpy] idle is a time such as "30m" or "8h", or "never", not {value!r}'
        )
    return float(found[1]) * _UNITS[found[2]]


def _choice(
    found: dict[str, Any], key: str, known: tuple[str, ...], default: str
) -> str:
    value = found.get(key, default)
    if value not in known:
        raise Refused(f"[zpy] {key} is one of {', '.join(known)}, not {value!r}")
    return str(value)
