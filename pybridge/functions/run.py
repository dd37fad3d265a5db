"""Run: one execution of a function, as its status in the store tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional
from urllib.parse import urlsplit

from pybridge.errors import BadArgument, RunFailed
from pybridge.functions import keys, lookup, states
from pybridge.functions.metrics import Measured

if TYPE_CHECKING:
    import requests

    from pybridge.functions.store import Store

__all__ = ["Run", "look"]

_GONE = "the process that ran it is gone"
_BODIES = ("data", "json", "files")  # what of a request makes it one with a body


def look(store: Store, entity: dict[str, Any]) -> dict[str, Any]:
    """Return a run's entry as it is now: in ERROR if the process that led it is gone.

    Nothing else would ever move such a run on.
    """
    status = entity["status"]
    if states.is_final(status.get("state")) or states.lives(status.get("owner")):
        return entity
    # Between the reading and this look the owner may have ended it, and then itself.
    newest = store.get(entity["key"])
    if newest is None or states.is_final(newest["status"].get("state")):
        return newest or entity
    owner = newest["status"].get("owner")
    if owner != status.get("owner"):
        return newest
    from pybridge.functions import engines

    engine = engines.asked((owner or {}).get("engine"))
    looked = None if engine is None else engine.look(store, newest)
    return looked or _abandoned(store, newest)


def _abandoned(store: Store, entity: dict[str, Any]) -> dict[str, Any]:
    """Give a run up that nobody leads any more."""
    from pybridge.functions.manager import outcome

    status = entity["status"]
    pid = (status.get("owner") or {}).get("pid")
    message = f"{_GONE} (process {pid}, in state {status.get('state')}); run it again"
    stage = "execute" if status.get("state") == "RUNNING" else "start"
    attempt = len(status.get("attempts") or ()) + 1
    error = outcome.failure("HostError", message, stage, attempt)
    moved = store.move(entity["key"], "ERROR", message=message, error=error)
    return moved or store.get(entity["key"]) or entity


class Run(Measured):
    """One execution of a function."""

    TYPE = "run"
    SPEC = (
        "action",
        "function",
        "task",
        "local_execution",
        "source",
        "handler",
        "init_function",
        "python_version",
        "image",
        "base_image",
        "requirements",
        "inputs",
        "parameters",
        "init_parameters",
        "node_selector",
        "volumes",
        "resources",
        "affinity",
        "tolerations",
        "envs",
        "secrets",
        "profile",
        "runtime_class",
        "priority_class",
        "backoff_limit",
        "schedule",
        "timeout",
        "replicas",
        "service_type",
        "service_name",
        "instructions",
        "start_context",
        "engine",
    )
    STATUS = (
        *Measured.STATUS,
        "error",
        "attempts",
        "outputs",
        "results",
        "service",
        "reload",
        "owner",
        "engine",
        "k8s",
        "build",
    )

    @property
    def state(self) -> str:
        """The state, as it was when last read."""
        return str(self._data["status"].get("state"))

    @property
    def is_final(self) -> bool:
        """Has it come to its end, as far as was read?"""
        return states.is_final(self.state)

    @property
    def action(self) -> str:
        """What it is of the function: `job`, `serve` or `build`."""
        return str(self._data["spec"].get("action") or "job")

    @property
    def function_name(self) -> str:
        """The name of its function."""
        return keys.executed_name(self._data["spec"].get("function"))

    def refresh(self) -> Run:
        """Read it again from the store, and return it.

        Raises:
            BadArgument: it is not there any more.

        """
        super().refresh()
        self._data = look(self.store, self._data)
        return self

    # Its life

    def wait(
        self,
        timeout: Optional[float] = None,
        raise_on_error: bool = False,
        log_info: bool = True,
    ) -> Run:
        """Wait until it has ended, or its service answers, and return it.

        `timeout` is in seconds. With `log_info` the states are told to the log
        `pybridge.functions`.

        Raises:
            RunFailed: it ended in ERROR, and raise_on_error is true.
            TimeoutError: that took longer.

        """
        self.refresh()
        if not self.is_final:
            self._log(log_info)
            self._observe(timeout)
            self._log(log_info)
        if raise_on_error and self.state == "ERROR":
            raise self.failure()
        return self

    def _observe(self, timeout: Optional[float]) -> None:
        """Wait for its end, or its service.

        Raises:
            TimeoutError: that took longer.

        """
        from pybridge.functions import engines

        done = engines.of(self).observe(self, timeout)
        self.refresh()
        if not done and not self.is_final:
            raise TimeoutError(
                f"run '{self.id}' is {self.state} after {timeout:g} s; wait "
                "again, or stop() it"
            )

    def _log(self, wanted: bool) -> None:
        """Tell the state to the log."""
        if wanted:
            import logging

            log = logging.getLogger("pybridge.functions")
            log.info("run '%s' is %s", self.id, self.state)

    def failure(self) -> RunFailed:
        """Return what it failed with, as an exception that can be raised."""
        status = self._data["status"]
        error = status.get("error") or {}
        told = status.get("message") or "it failed"
        if error.get("type") and not str(told).startswith(error["type"]):
            told = f"{error['type']}: {error.get('message')}"
        stage = f" in stage '{error['stage']}'" if error.get("stage") else ""
        name = self.function_name
        return RunFailed(f"run '{self.id}' of '{name}' failed{stage}: {told}", error)

    def stop(self) -> Run:
        """End it wherever it is, and return it; one that has ended stays as it is."""
        from pybridge.functions import engines

        if self.refresh().is_final:
            return self
        if (self._data["status"].get("owner") or {}).get("engine") == "client":
            # No engine has it yet; one that takes it now finds it stopped.
            self.store.move(self.key, "STOP")
            self.store.move(self.key, "STOPPED")
        else:
            engines.of(self).stop(self)
        return self.refresh()

    def resume(self) -> Run:
        """Take it up again where it was stopped, and return it.

        A service answers again, at the address that it had; a job begins anew.

        Raises:
            BadArgument: it is not stopped, or cannot be resumed.

        """
        from pybridge.functions import engines

        if self.refresh().state != "STOPPED":
            raise BadArgument(
                f"run '{self.id}' is {self.state}; only one that is STOPPED can be "
                "resumed"
            )
        engines.of(self).resume(self)
        return self.refresh()

    def reload(self, timeout: Optional[float] = None) -> Run:
        """Replace the replicas of a service, one after the other, and return it.

        No request is lost. The new ones begin with what there is now: the values of
        secrets, the newest commit of a branch. It returns when they all answer.

        Raises:
            BadArgument: it is no service, or does not answer.
            RunFailed: a new one could not begin, and the old ones go on.
            TimeoutError: that took longer.

        """
        from pybridge.functions import engines

        self._service_url()
        failure = engines.of(self).reload(self, timeout)
        self.refresh()
        if failure:
            raise RunFailed(
                f"run '{self.id}' of '{self.function_name}' was not reloaded, and "
                f"goes on as it was: {failure.get('type')}: {failure.get('message')}",
                failure,
            )
        return self

    def logs(
        self, follow: bool = False, attempt: Optional[int] = None
    ) -> Iterator[str]:
        """Yield what it has written, line by line; with `follow` until it ends.

        With `attempt` it is what that one has written, from 1 on.

        Raises:
            BadArgument: it has not made that attempt.

        """
        from pybridge.functions import attempts, engines

        engine = engines.of(self.refresh())
        if attempt is None:
            return engine.logs(self, follow=follow)
        attempts.check(attempt, self._data["status"])
        return attempts.part(engine.logs(self, follow=follow), attempt)

    def delete(self) -> bool:
        """Stop it, and remove it with its log; tell whether it was there."""
        import shutil

        from pybridge.functions import engines

        if self.store.get(self.key) is None:
            return False
        if not self.refresh().is_final:
            self.stop()
        engine = engines.asked(self._data["status"].get("engine"))
        if engine is not None:
            engine.forget(self)
        gone = super().delete()
        shutil.rmtree(self.store.run_directory(self.id), ignore_errors=True)
        return gone

    # What it was given, and what it gave

    def inputs(self, as_key: bool = False, as_dict: bool = False) -> dict[str, Any]:
        """Return the entities that it was given, by name; as keys, or dicts.

        Raises:
            BadArgument: one of them is not there.

        """
        given = self._data["spec"].get("inputs") or {}
        return self._entities(given, as_key, as_dict)

    def outputs(self, as_key: bool = False, as_dict: bool = False) -> dict[str, Any]:
        """Return the entities that it made, by name; as keys, or dicts.

        Raises:
            BadArgument: one of them is not there any more.

        """
        made = self._data["status"].get("outputs") or {}
        return self._entities(made, as_key, as_dict)

    def output(self, name: str, as_key: bool = False, as_dict: bool = False) -> Any:
        """Return an entity that it made, None where there is none of that name.

        Raises:
            BadArgument: it is not there any more.

        """
        made = self._data["status"].get("outputs") or {}
        if name not in made:
            return None
        return self._entities({name: made[name]}, as_key, as_dict)[name]

    def results(self) -> dict[str, Any]:
        """Return the values that it gave, by name."""
        from pybridge.functions import results

        found = self._data["status"].get("results") or {}
        return {name: results.decode(form) for name, form in found.items()}

    def result(self, name: str) -> Any:
        """Return a value that it gave, None where there is none of that name."""
        from pybridge.functions import results

        return results.decode((self._data["status"].get("results") or {}).get(name))

    def values(self) -> dict[str, Any]:
        """Return outputs and results together, by name."""
        return {**self.outputs(), **self.results()}

    def _entities(
        self, named: Mapping[str, str], as_key: bool, as_dict: bool
    ) -> dict[str, Any]:
        """Return entities by name: themselves, or their keys, or as dicts."""
        found = {name: self._resolved(text) for name, text in named.items()}
        if as_key:
            return {name: getattr(one, "key", one) for name, one in found.items()}
        if as_dict:
            return {name: one.to_dict() for name, one in found.items()}
        return found

    def _resolved(self, text: str) -> Any:
        """Return the entity of a key, or of what else an input may be."""
        if keys.is_key(text):
            parsed = keys.parse(text)
            return lookup.get(self.store, parsed.project, parsed.type, text)
        from pybridge.functions import arguments

        given = arguments.resolve({"it": text}, store=self.store, project=self.project)
        return given["it"]

    # Its service

    def invoke(
        self, method: Optional[str] = None, url: Optional[str] = None, **given: Any
    ) -> requests.Response:
        """Send a request to the service of the run, and return the response.

        `url` may be a path of the service, or another URL; the rest is as for
        `requests.request`. The method is POST with a body and GET without, unless it
        is given.

        Raises:
            BadArgument: the run has no service, or not yet.

        """
        from pybridge.functions.serve.options import is_loopback

        session = _session()
        base = self._service_url()
        target = _target(base, url)
        if method is None:
            bodies = [given.get(name) for name in _BODIES]
            method = "GET" if all(body is None for body in bodies) else "POST"
        own = target == base or target.startswith(f"{base}/")
        if own:
            given["headers"] = self._authorized(given.get("headers"))
        with session:
            if own and is_loopback(urlsplit(target).hostname or ""):
                session.trust_env = False  # no proxy leads to this machine's own
            return session.request(method, target, **given)

    def _service_url(self) -> str:
        """Return where its service is.

        Raises:
            BadArgument: there is none, or not yet.

        """
        service = self._data["status"].get("service")
        if not service or self.is_final:
            self.refresh()
            service = self._data["status"].get("service")
        if service and service.get("url") and not self.is_final:
            url = str(service["url"])
            return (url if "://" in url else f"http://{url}").rstrip("/")
        if self.action != "serve":
            raise BadArgument(
                f"run '{self.id}' is a {self.action}, which has no service; run the "
                "function with action='serve'"
            )
        if self.is_final:
            told = self._data["status"].get("message")
            raise BadArgument(
                f"the service of run '{self.id}' is {self.state}"
                + (f": {told}" if told else "")
                + ("; resume() it" if self.state == "STOPPED" else "; run it again")
            )
        raise BadArgument(
            f"the service of run '{self.id}' does not answer yet, it is {self.state}; "
            "wait() for it first"
        )

    def _authorized(self, headers: Any) -> dict[str, Any]:
        """Return a request's headers with the token that the service asks for."""
        made = dict(headers or {})
        name = self._data["spec"].get("token")
        if name and not any(str(key).lower() == "authorization" for key in made):
            token = self.store.secret(self.project, name)
            if token is not None:
                made["Authorization"] = f"Bearer {token}"
        return made


def _session() -> requests.Session:
    """Return a session of the package that sends requests.

    Raises:
        HostError: it is not installed.

    """
    from pybridge.functions.extras import need

    session: requests.Session = need("requests", "run.invoke").Session()
    return session


def _target(base: str, url: Optional[str]) -> str:
    """Return where a request goes: the service, a path of it, or elsewhere."""
    if url is None:
        return base
    if "://" in url:
        return url
    return f"{base}/{url.lstrip('/')}"
