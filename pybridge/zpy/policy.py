"""What `[zpy]` in pybridge.toml says of sessions: how long they live, what is kept."""

from __future__ import annotations

from typing import Any

from pybridge import settings
from pybridge.zpy.place import Refused

__all__ = ["Policy"]

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
            policy.idle = settings.seconds(found["idle"], "[zpy] idle")
        policy.save = _choice(found, "save", _SAVES, policy.save)
        policy.show = _choice(found, "show", _SHOWS, policy.show)
        policy.restore = found.get("restore", policy.restore)
        if not isinstance(policy.restore, bool):
            raise Refused(f"[zpy] restore is true or false, not {policy.restore!r}")
        return policy

    def as_dict(self) -> dict[str, Any]:
        """Return it as what `Policy(**...)` takes."""
        return {name: getattr(self, name) for name in self.__slots__}


def _choice(
    found: dict[str, Any], key: str, known: tuple[str, ...], default: str
) -> str:
    value = found.get(key, default)
    if value not in known:
        raise Refused(f"[zpy] {key} is one of {', '.join(known)}, not {value!r}")
    return str(value)
