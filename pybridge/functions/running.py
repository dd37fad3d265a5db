"""The run that the code at hand is part of: what is logged there belongs to it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument
from pybridge.functions import keys

if TYPE_CHECKING:
    from contextvars import Token

__all__ = ["Running", "begin", "current", "end", "service_url"]


class Running:
    """A run that is being executed, and what its code has logged so far."""

    def __init__(self, run: Any) -> None:
        """Take the run."""
        self.run = run
        self.logged: dict[str, str] = {}  # name -> key
        self.consumed: list[str] = []  # keys of its inputs

    def note(self, name: str, key: str) -> None:
        """Note an entity that was logged: an output of the run."""
        self.logged[name] = key


_current: ContextVar[Running | None] = ContextVar("pybridge_run", default=None)


def begin(running: Running) -> Token[Running | None]:
    """Make it the run that the code of this thread is part of."""
    return _current.set(running)


def end(token: Token[Running | None]) -> None:
    """Let the code of this thread be part of what it was part of before."""
    _current.reset(token)


def current(project: Any = None) -> Running | None:
    """Return the run at hand; in threads of the user's own, that of a project."""
    return _current.get() or getattr(project, "running", None)


def service_url(project: Any, name: str) -> str:
    """Return where a function of a project is served.

    Raises:
        BadArgument: it is not.

    """
    for run in reversed(project.store.find(project.name, "run", states=["RUNNING"])):
        function = keys.executed_name(run["spec"].get("function"))
        service = run["status"].get("service") or {}
        if function == name and service.get("url"):
            return str(service["url"]).rstrip("/")
    raise BadArgument(
        f"'{name}' is not served in project '{project.name}'; run it "
        'with action="serve" first'
    )
