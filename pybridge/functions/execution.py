"""Execution: one run in this process, stage by stage, whatever it raises."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument
from pybridge.functions import (
    arguments,
    failure,
    keys,
    loading,
    outputs,
    running,
    sources,
)
from pybridge.functions.marks import marked
from pybridge.functions.start import saved
from pybridge.functions.states import allows, is_final, owner
from pybridge.functions.store import enter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from contextvars import Token

    from pybridge.functions.run import Run

__all__ = ["STAGES", "Execution", "execute"]

STAGES = ("source", "inputs", "compose", "execute", "outputs")


def execute(
    run: Run, *, context: Any = None, attempt: int = 1, last: bool | None = None
) -> bool:
    """Execute a run and tell whether it has completed; nothing is ever raised by it.

    The run is COMPLETED then, or in ERROR with what went wrong and where. An attempt
    that is not the last one (by itself: where `backoff_limit` allows more) leaves it
    RUNNING when it fails, and what went wrong in `status.attempts`.
    """
    return Execution(run, context=context, attempt=attempt, last=last).go()


class Execution:
    """One attempt of a run."""

    def __init__(
        self,
        run: Run,
        *,
        context: Any = None,
        attempt: int = 1,
        last: bool | None = None,
        engine: str | None = None,
    ) -> None:
        """Take the run; see `execute`."""
        self.run = run
        self.spec: Mapping[str, Any] = run.entry["spec"]
        self.context = context
        self.attempt = attempt
        limit = self.spec.get("backoff_limit") or 0
        self.last = attempt > limit if last is None else last
        self.engine = engine or ("inline" if self.spec.get("local_execution") else None)
        self.stage = STAGES[0]
        self.running = running.Running(run)
        self.tree: Any = None
        self._project: Any = None
        self.secrets: list[str] = []
        self.exc: BaseException | None = None  # what it failed with
        self.warnings: list[str] = []

    def go(self) -> bool:
        """Execute it; see `execute`."""
        with self.shielded():
            if not self.begin():
                return False
        token: Token[Any] = running.begin(self.running)
        process = os.getpid()
        try:
            collected = self.stages()
        except BaseException as exc:
            _leave_child_of(process)
            self.exc = exc
        finally:
            running.end(token)
        _leave_child_of(process)
        with self.shielded():
            if self.exc is None:
                try:
                    return self.complete(collected)
                except Exception as exc:  # a store without room, say
                    self.exc = exc
            self.fail(self.exc)
            return False

    def shielded(self) -> AbstractContextManager[None]:
        """Keep away what would come between the states of the run."""
        return nullcontext()

    # ---- Stages ----------------------------------------------------------------------

    def stages(self) -> outputs.Collected:
        """Do what there is to do, and return what came of it."""
        with _Environment(self.variables()) as environ:
            self.tree = sources.fetch(
                self.spec["source"], store=self.run.store, environ=environ
            )
            self.reach("source")
            start = self.spec.get("start_context")
            with loading.load(
                self.tree, self.spec.get("handler"), start and saved(start), self.lend
            ) as loaded:
                self.reach("inputs")
                inputs = self.inputs()
                self.reach("compose")
                function = loaded.function
                args, kwargs = self.compose(function, inputs)
                self.initialize(loaded)
                self.reach("execute", function)
                value = called(function, args, kwargs)
                self.reach("outputs")
                note = marked(function)
                return outputs.collect(
                    value,
                    None if note is None else note.outputs,
                    strict=note is not None and note.strict,
                    project=self.run.project,
                    run=self.running,
                )

    def reach(self, stage: str, function: object = None) -> None:
        """Begin a stage, in which a function of the user's may be called."""
        del function
        self.stage = stage

    def lend(self, name: str, module: str) -> None:
        """Do nothing: the process is not the run's alone, see `lending`."""

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the run: envs, and the secrets' values.

        Raises:
            BadArgument: a secret has no value.

        """
        found = {one["name"]: str(one["value"]) for one in self.spec.get("envs") or ()}
        for name in self.spec.get("secrets") or ():
            value = self.run.store.secret(self.run.project, name)
            if value is None:
                raise BadArgument(
                    f"the secret '{name}' of project '{self.run.project}' has no "
                    "value; set it with project.new_secret()"
                )
            self.secrets.append(value)
            found[name] = value
        return found

    def inputs(self) -> dict[str, Any]:
        """Return the entities that the run's inputs mean."""
        given = self.spec.get("inputs")
        if not given:
            return {}
        found = arguments.resolve(given, store=self.run.store, project=self.run.project)
        self.running.consumed = [one.key for one in found.values() if _is_kept(one)]
        return found

    @property
    def project(self) -> Any:
        """The project as the function gets it: what is logged there is the run's."""
        if self._project is None:
            self._project = self.bound_project()
        return self._project

    def bound_project(self) -> Any:
        """Return the project, from the store."""
        from pybridge.functions.project import Project

        data = self.run.store.get(str(keys.Key(self.run.project)))
        if data is None:
            raise BadArgument(f"project '{self.run.project}' is not in the store")
        project = Project(data, self.run.store)
        project.running = self.running
        return project

    def compose(
        self, function: Any, inputs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return what the function is called with."""
        plan = arguments.plan(function)
        parameters = decoded(self.spec.get("parameters"))
        wanted = plan.reserved
        reserved: dict[str, Any] = {"run": self.run}
        if "project" in wanted:
            reserved["project"] = self.project
        if "context" in wanted:
            reserved["context"] = parameters.pop("context", None) or self.lent_context()
        if wanted & {"event", "events"}:
            event = parameters.pop("event", None) or parameters.pop("events", None)
            reserved["event"] = reserved["events"] = event or self.event()
        return plan.compose(parameters, inputs, reserved)

    def lent_context(self) -> Any:
        """Return the context, made on first use."""
        if self.context is None:
            from pybridge.functions.nuclio import Context

            self.context = Context(project=self.project, run=self.run)
        return self.context

    def event(self) -> Any:
        """Return the event that a job is called with: its body is the run."""
        from pybridge.functions.nuclio import Event, TriggerInfo

        return Event(
            body=self.run.to_dict(),
            content_type="application/json",
            trigger=TriggerInfo("job", "job"),
            id=self.run.id,
        )

    def initialize(self, loaded: Any) -> None:
        """Call the init function, if there is one."""
        name = self.spec.get("init_function")
        if not name:
            return
        function = loaded.get(name)
        plan = arguments.plan(function)
        reserved = {
            "project": self.project,
            "run": self.run,
            "context": self.lent_context() if "context" in plan.reserved else None,
        }
        given = decoded(self.spec.get("init_parameters"))
        args, kwargs = plan.compose(given, {}, reserved, only=reserved)
        self.reach("init", function)
        called(function, args, kwargs)

    # ---- States ----------------------------------------------------------------------

    def begin(self) -> bool:
        """Move the run to RUNNING, as its owner; False where it is not to run."""
        run = self.run
        engine = self.engine or self.spec.get("engine") or "local"
        status: dict[str, Any] = {"engine": engine, "attempt": self.attempt}
        if engine != "local":  # there the manager leads it, which outlives attempts
            status["owner"] = owner(engine)
        moved = run.store.move(run.key, "RUNNING", **status)
        if moved is None:
            moved = run.store.move(run.key, "STOPPED") or run.store.get(run.key)
            run.entry = moved or run.entry
            return False
        run.entry = moved
        return True

    def complete(self, collected: outputs.Collected) -> bool:
        """Write what came of it; a stop that came before wins."""
        found = {**self.running.logged, **collected.outputs}
        self.warnings += collected.warnings
        message = "; ".join(self.warnings) or None
        return self.end(
            "COMPLETED",
            message,
            {"outputs": found, "results": collected.results},
        )

    def fail(self, exc: BaseException) -> None:
        """Write what went wrong."""
        told = failure.describe(
            exc,
            stage=self.stage,
            attempt=self.attempt,
            tree=self.tree,
            secrets=self.secrets,
        )
        self.log(told)
        attempts = [*(self.run.status.get("attempts") or ()), told]
        status: dict[str, Any] = {"attempts": attempts}
        if self.running.logged:
            status["outputs"] = dict(self.running.logged)
        if not self.last:
            self.note(status)
            return
        from pybridge.functions.manager import outcome

        self.end("ERROR", outcome.line(told), {"error": told, **status})

    def note(self, status: dict[str, Any]) -> None:
        """Write what is known of this attempt, unless it was ended from outside."""

        def edit(entity: dict[str, Any]) -> None:
            at = entity["status"]
            if at["state"] == "RUNNING" and at.get("attempt") == self.attempt:
                at.update(status)

        self.run.entry = self.run.store.change(self.run.key, edit)

    def end(self, state: str, message: str | None, status: dict[str, Any]) -> bool:
        """Move the run to its last state, with all that is known, at once."""
        run, consumed = self.run, self.running.consumed
        # Where it failed for being stopped, it is STOPPED.
        if consumed or state == "ERROR":
            return self.end_with(state, message, status, consumed)
        moved = run.store.move(run.key, state, message=message, **status)
        if moved is not None:
            run.entry = moved
            return state == "COMPLETED"
        return self.end_with(state, message, status, consumed)

    def end_with(
        self,
        state: str,
        message: str | None,
        status: dict[str, Any],
        consumed: list[str],
    ) -> bool:
        """Do the same where there is more to write, or where somebody stopped it."""

        def edit(entity: dict[str, Any]) -> None:
            relations = entity["metadata"].setdefault("relationships", [])
            for key in consumed:
                relation = {"type": "consumes", "dest": key}
                if relation not in relations:
                    relations.append(relation)
            at = entity["status"]["state"]
            if at == "STOP":
                enter(entity["status"], "STOPPED")
            elif is_final(at):  # what has ended it has told how
                return
            elif allows(at, state) and entity["status"].get("attempt") == self.attempt:
                enter(entity["status"], state, message)
                entity["status"].update(status)
            else:
                enter(entity["status"], "ERROR", message)

        self.run.entry = self.run.store.change(self.run.key, edit)
        return bool(self.run.state == "COMPLETED")

    def log(self, told: Mapping[str, Any]) -> None:
        """Write what went wrong where the run's output goes."""
        sys.stderr.write(told["traceback"] + "\n")


def _leave_child_of(process: int) -> None:
    """End here what user code has forked, and let run on: the run is its parent's."""
    if os.getpid() == process:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)


def _is_kept(entity: Any) -> bool:
    """Tell whether an input is in the store, not only somewhere."""
    return entity.store.get(entity.key) is not None


def decoded(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameters as they were given, from the form that they are stored in."""
    found = parameters or {}
    return {name: outputs.decode(form) for name, form in found.items()}


# ---- Calling -------------------------------------------------------------------------


def called(function: Any, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what a function gives in the end: awaited, its items if it gives some."""
    value = function(*args, **kwargs)
    if inspect.isgenerator(value):
        return list(value)
    if inspect.isasyncgen(value):
        return _awaited(_listed(value))
    if inspect.isawaitable(value):
        return _awaited(value)
    return value


async def _listed(items: Any) -> list[Any]:
    return [one async for one in items]


async def _waited(value: Any) -> Any:
    return await value


def _awaited(value: Any) -> Any:
    """Return what an awaitable gives, also where a loop runs in this thread."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_waited(value))
    import contextvars
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(
            contextvars.copy_context().run, asyncio.run, _waited(value)
        ).result()


# ---- The environment's variables -----------------------------------------------------


class _Environment:
    """Variables of a run, in the process's environment as long as it lasts.

    The environment is the process's: two runs at once cannot have two values of one
    variable, and the second says so.
    """

    _lock = threading.Lock()
    _lent: dict[str, tuple[str, str | None, int]] = {}  # noqa: RUF012 - the process's

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables

    def __enter__(self) -> Mapping[str, str]:
        if self.variables:
            with self._lock:
                for name, value in self.variables.items():
                    other = self._lent.get(name)
                    if other is not None and other[0] != value:
                        raise BadArgument(
                            f"another run in this process has set '{name}' to another "
                            "value; run it without local_execution"
                        )
                for name, value in self.variables.items():
                    _, before, count = self._lent.get(
                        name, (value, os.environ.get(name), 0)
                    )
                    self._lent[name] = (value, before, count + 1)
                    os.environ[name] = value
        return os.environ

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for name in self.variables:
                value, before, count = self._lent[name]
                if count > 1:
                    self._lent[name] = (value, before, count - 1)
                    continue
                del self._lent[name]
                if before is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = before
