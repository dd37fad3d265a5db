"""The local engine: a process for each run, led by the manager of the store."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Iterator, Optional

from pybridge.errors import BadArgument, BridgeError
from pybridge.functions import states
from pybridge.functions.engines.reader import Reader
from pybridge.functions.manager import client
from pybridge.functions.manager.policy import handed_on
from pybridge.functions.pythons import own_version

if TYPE_CHECKING:
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["Local"]


class Local:
    """Runs in processes of their own on this machine."""

    name = "local"

    def submit(self, run: Run) -> None:
        """Take a run that is READY in the store; return when it cannot be lost."""
        origin = [
            _handed_on(),
            sys.executable,
            own_version(),
            str(os.getpid()),
        ]
        client.of(run.store).ask("submit", key=run.key, origin=origin)

    def observe(self, run: Run, timeout: Optional[float]) -> bool:
        """Wait until a run is final or its service answers; False: it took too long."""
        answer = client.of(run.store).ask(
            "wait", timeout, key=run.key, by=_own_run(run)
        )
        return answer is not None

    def stop(self, run: Run) -> None:
        """End a run wherever it is: it is STOPPED then; a final one stays as it is."""
        if not states.is_final(run.state):
            client.of(run.store).ask("stop", key=run.key)

    def resume(self, run: Run) -> None:
        """Take up again a run that was stopped.

        Raises:
            BadArgument: it is not stopped.

        """
        if run.store.move(run.key, "RESUME") is None:
            raise BadArgument(
                f"run '{run.id}' is {run.state}, and only a STOPPED one can be resumed"
            )
        self.submit(run)

    def look(self, store: Store, entity: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Have a new manager take over from one that is gone; return what became."""
        try:
            client.of(store).ask("info")
        except BridgeError:
            return None
        return store.get(entity["key"]) or entity

    def forget(self, run: Run) -> None:
        """Do nothing: all that there is of a run is in the store."""

    def reload(self, run: Run, timeout: Optional[float]) -> Optional[dict[str, Any]]:
        """Replace the replicas of a service; return why the old ones go on, if so.

        Raises:
            HostError: it ended meanwhile.
            TimeoutError: that took longer.

        """
        answer = client.of(run.store).ask("reload", timeout, key=run.key)
        if answer is None:
            raise TimeoutError(
                f"the reload of run '{run.id}' goes on after {timeout:g} s"
            )
        failure: Optional[dict[str, Any]] = answer["failure"]
        return failure

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield what a run has written; with `follow` until it is final."""
        reader = Reader(run.store.run_directory(run.id) / "log")
        yield from reader.lines()
        while follow and not states.is_final(run.refresh().state):
            for _ in client.of(run.store).follow(run.key):
                yield from reader.lines()
        yield from reader.rest()


def _handed_on() -> dict[str, str]:
    """Return the variables that go on to a run, among them where the settings are."""
    from pybridge import settings

    if settings.READ in os.environ:  # inside a run, whose own are few
        return handed_on(os.environ)
    path = settings.find()
    if path is None:
        return handed_on(os.environ)
    also = _read(str(path), path.stat().st_mtime_ns)
    return {**handed_on(os.environ, also), settings.VARIABLE: str(path)}


@lru_cache(maxsize=8)
def _read(path: str, changed: int) -> tuple[str, ...]:
    """Read the settings; once, as long as they do not change."""
    del path, changed
    from pybridge.functions.manager.policy import Policy

    return Policy.from_settings().handed_on


def _own_run(run: Run) -> str:
    """Return the run that this process is of, if it has the same manager."""
    if os.environ.get("PYBRIDGE_FUNCTIONS") != str(run.store.root):
        return ""
    return os.environ.get("PYBRIDGE_RUN", "")
