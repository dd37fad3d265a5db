"""Function and Task: code that was declared, and what is done with it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Mapping, Optional, cast

from pybridge.errors import BadArgument
from pybridge.functions import keys, lookup, states
from pybridge.functions.entity import Entity, draft
from pybridge.functions.extras import models
from pybridge.functions.faults import Fault, Faults
from pybridge.functions.store import enter

if TYPE_CHECKING:
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["Function", "Task", "drafted", "new"]

# What a run takes over from its function, so that it can be executed by itself.
_OF_FUNCTION = (
    "source",
    "python_version",
    "image",
    "base_image",
    "requirements",
)
_OF_SOURCE = ("code", "base64", "code_src", "handler", "init_function")


class Task(Entity):
    """What is done with a function: `job`, `serve` or `build`; one for each."""

    TYPE = "task"
    SPEC = ("function",)

    @property
    def action(self) -> str:
        """What it does: `job`, `serve` or `build`."""
        return self.kind.partition("+")[2]

    @property
    def function(self) -> Function:
        """The function that it belongs to.

        Raises:
            BadArgument: it is not there any more.

        """
        key = keys.parse_executable(self.spec.function)
        found = lookup.get(self.store, key.project, "function", str(key))
        return cast("Function", found)

    def run(self, **given: Any) -> Run:
        """Run the task's function; see `Function.run`."""
        return self.function.run(self.action, **given)

    def new_run(self, **given: Any) -> Run:
        """Make a run without starting it; see `Function.new_run`."""
        return self.function.new_run(self.action, **given)

    def get_run(self, identifier: str) -> Run:
        """Return a run by its key or id.

        Raises:
            BadArgument: there is none.

        """
        return self.function.get_run(identifier)

    def delete_run(self, identifier: str) -> bool:
        """Delete a run, and tell whether it was there."""
        return self.get_run(identifier).delete()


class Function(Entity):
    """Code with a name, and what it needs to run."""

    TYPE = "function"
    SPEC = _OF_FUNCTION

    def __init__(self, data: dict[str, Any], store: Store) -> None:
        """Take the entry, and where it is kept."""
        super().__init__(data, store)
        self._tasks: dict[str, Task] = {}

    @property
    def executable(self) -> str:
        """What a run's spec names this version by."""
        return keys.executable(self.project, self.name, self.id, self.kind)

    def run(
        self,
        action: str = "job",
        *,
        wait: bool = False,
        log_info: bool = True,
        **given: Any,
    ) -> Run:
        """Run the function and return the run, also if the function fails.

        What may be given are the parameters of the action's task and of runs, among
        them `inputs`, `parameters`, `init_parameters` and `local_execution`. With
        `wait` the run has ended, or its service answers, when this returns.

        Raises:
            Faults: something given is unknown or wrong; there is no run then.

        """
        from pybridge.functions import engines

        run = self.new_run(action, **given)
        engines.of(run).submit(run)
        if wait:
            return run.wait(log_info=log_info)
        return run.refresh()

    def new_run(self, action: str = "job", **given: Any) -> Run:
        """Make a run, with all that is needed to execute it, without starting it.

        Raises:
            Faults: something given is unknown or wrong.

        """
        from pybridge.functions.run import Run

        specs = models()
        fields = specs.run_fields(action, given, self._missing_secrets)
        about = {k: fields.pop(k, None) for k in ("description", "labels")}
        identity = fields.pop("uuid", None)
        if fields.get("inputs"):
            from pybridge.functions.inputs import anchored

            fields["inputs"] = anchored(fields["inputs"], self.store, self.project)
        task = self.task(action)
        spec = {
            "action": action,
            "function": self.executable,
            "task": f"{task.kind}://{self.project}/{task.id}",
            **self._inherited(),
            **fields,
        }
        if spec.get("start_context") is not None:
            from pybridge.functions.start import needs

            if also := needs(spec):
                spec["requirements"] = [*(spec["requirements"] or ()), *also]
        relations = [{"type": "run_of", "dest": self.key}]
        made = draft(
            "run",
            f"{self.kind}+run",
            project=self.project,
            uuid=identity,
            spec=spec,
            metadata={**about, "relationships": relations},
            status=_beginning(),
        )
        self.store.create(made)
        return Run(made, self.store)

    def task(self, action: str = "job") -> Task:
        """Return the function's task of that action, made on first use."""
        found = self._tasks.get(action)
        if found is None:
            found = self._tasks[action] = self._task(action)
        return found

    def new_task(self, action: str) -> Task:
        """Return the function's task of that action: there is one for each."""
        return self.get_task(action)

    def update_task(self, task: Task) -> Task:
        """Write a task that was changed to the store.

        Raises:
            BadArgument: it is another function's.

        """
        if task.spec.function != self.executable:
            raise BadArgument(
                f"'{task.key}' is no task of '{self.key}'; give one that get_task "
                "returned"
            )
        return task.save()

    def get_task(self, action: str) -> Task:
        """Return the function's task of that action: `job`, or `python+job`.

        Raises:
            BadArgument: there is no such action.

        """
        return self.task(_action(action))

    def list_tasks(self) -> list[Task]:
        """Return the tasks that there are."""
        found = self.store.find(self.project, "task", function=self.executable)
        return [Task(entry, self.store) for entry in found]

    def delete_task(self, action: str) -> bool:
        """Delete the task of an action, and tell whether it was there."""
        action = _action(action)
        self._tasks.pop(action, None)
        return self.store.delete(self._task_key(action))

    def get_run(self, identifier: str) -> Run:
        """Return a run by its key or id.

        Raises:
            BadArgument: there is none.

        """
        found = lookup.get(self.store, self.project, "run", identifier)
        return cast("Run", found)

    def list_runs(self, **filters: Any) -> list[Run]:
        """Return the runs of this version, the oldest first, narrowed as a project's.

        Raises:
            Faults: there are filters that are none.

        """
        known = [one for one in lookup.FILTERS if one != "function"]
        lookup.check_filters("list_runs", filters, known)
        found = lookup.several(
            self.store, self.project, "run", function=self.executable, **filters
        )
        return cast("list[Run]", found)

    def delete_run(self, identifier: str) -> bool:
        """Delete a run, and tell whether it was there."""
        return self.get_run(identifier).delete()

    def _inherited(self) -> dict[str, Any]:
        """Return what a run has of its function."""
        spec = self._data["spec"]
        source = spec.get("source") or {}
        return {
            **{name: spec.get(name) for name in _OF_FUNCTION},
            "image": self._built() or spec.get("image"),
            "handler": source.get("handler"),
            "init_function": source.get("init_function"),
        }

    def _built(self) -> Optional[str]:
        """Return the image that a build has written into the store meanwhile."""
        if "build" not in self._tasks and not self._was_built():
            return None
        found = self.store.get(self.key)
        return None if found is None else found["spec"].get("image")

    def _was_built(self) -> bool:
        """Has another object, or process, made a task that builds?"""
        return self.store.get(self._task_key("build")) is not None

    def _task(self, action: str) -> Task:
        """Return a task from the store, made if it is not there."""
        key = self._task_key(action)
        found = self.store.get(key)
        if found is None:
            parsed = keys.parse(key)
            found = draft(
                "task",
                parsed.kind,
                project=self.project,
                uuid=parsed.id,
                spec={"function": self.executable},
            )
            self.store.put(found)
        return Task(found, self.store)

    def _task_key(self, action: str) -> str:
        """Return the key of the one task of that action."""
        kind = f"{self.kind}+{action}"
        identity = hashlib.sha256(f"{kind} {self.executable}".encode()).hexdigest()[:32]
        return str(keys.Key(self.project, "task", kind, "", identity))

    def _missing_secrets(self, names: list[str]) -> list[str]:
        """Return the names of secrets that the project has no value for."""
        return [n for n in names if self.store.secret(self.project, n) is None]


def _beginning() -> dict[str, Any]:
    """Return the status of a new run: ready, and this process's to hand over."""
    status: dict[str, Any] = {"owner": states.owner("client")}
    for state in ("CREATED", "BUILT", "READY"):
        enter(status, state)
    return status


def _action(text: str) -> str:
    """Return the action that is named, also by a task's kind.

    Raises:
        Faults: there is none of that name.

    """
    from pybridge.functions.fields import one_of

    specs = models()
    action = str(text).rpartition("+")[2]
    if action not in specs.ACTIONS:
        told = one_of(action, specs.ACTIONS)
        raise Faults("get_task", [Fault("action", text, told)])
    return action


def new(store: Store, project: str, fields: Mapping[str, Any]) -> Function:
    """Make a function, checked, and store it.

    Raises:
        Faults: something given is unknown, missing or wrong.

    """
    made = drafted(store, project, fields)
    store.create(made)
    return Function(made, store)


def drafted(
    store: Store,
    project: str,
    fields: Mapping[str, Any],
    what: str = "new_function",
) -> dict[str, Any]:
    """Return the entry of a new function, checked; it is not stored yet.

    Raises:
        Faults: something given is unknown, missing or wrong.

    """
    specs = models()
    more: list[Fault] = []
    rest = dict(fields)
    if "project" in rest:
        told = "is the one that the method is called on; leave it away"
        more.append(Fault("project", rest.pop("project"), told))
    source, faults = _source(rest, store)
    given = specs.check(what, specs.FunctionFields, rest, more=[*more, *faults])
    source["lang"] = given.get("lang") or source.get("lang")
    source["init_function"] = given.get("init_function")
    spec = {name: given.get(name) for name in _OF_FUNCTION if name != "source"}
    return draft(
        "function",
        given["kind"],
        project=project,
        name=given["name"],
        uuid=given.get("uuid"),
        spec={"source": {k: v for k, v in source.items() if v is not None}, **spec},
        metadata={k: given.get(k) for k in ("description", "labels", "embedded")},
    )


def _source(
    given: Mapping[str, Any], store: Store
) -> tuple[dict[str, Any], list[Fault]]:
    """Return the source of a function's spec, and what is wrong with it."""
    from pybridge.functions import sources

    try:
        made = sources.check(
            store=store, **{name: given.get(name) for name in _OF_SOURCE}
        )
    except BadArgument as exc:
        found = getattr(exc, "faults", None)
        if found is None:
            raise
        return {}, [
            Fault(
                one["field"],
                one["value"],
                one["message"].removeprefix(f"{one['field']} is "),
            )
            for one in found
        ]
    return made, []
