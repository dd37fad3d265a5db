"""Function and Task: code that was declared, and what is done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from pybridge.functions import keys, states
from pybridge.functions.entity import Entity, draft

if TYPE_CHECKING:
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["Function", "Task"]

# What a run takes over from its function, so that it can be executed by itself.
_OF_FUNCTION = (
    "source",
    "python_version",
    "image",
    "base_image",
    "requirements",
)


class Task(Entity):
    """What is done with a function: `job`, `serve` or `build`; one for each."""

    TYPE = "task"
    SPEC = ("function",)


class Function(Entity):
    """Code with a name, and what it needs to run."""

    TYPE = "function"
    SPEC = (*_OF_FUNCTION, "lang")

    @property
    def executable(self) -> str:
        """What a run's spec names this version by."""
        return keys.executable(self.project, self.name, self.id, self.kind)

    def task(self, action: str = "job") -> Task:
        """Return the function's task of that action, made on first use."""
        kind = f"{self.kind}+{action}"
        found = self.store.find(
            self.project, "task", kind=kind, function=self.executable
        )
        if found:
            return Task(found[0], self.store)
        made = draft(
            "task", kind, project=self.project, spec={"function": self.executable}
        )
        self.store.create(made)
        return Task(made, self.store)

    def run(
        self,
        action: str = "job",
        *,
        wait: bool = False,
        log_info: bool = True,
        **given: Any,
    ) -> Run:
        """Run the function and return the run, also if the function fails.

        Raises:
            Faults: something given is unknown or wrong; there is no run then.

        """
        from pybridge.functions.run import engine_of

        run = self._new_run(action, given)
        engine_of(run).submit(run)
        if wait:
            run.wait(log_info=log_info)
        return run

    def _new_run(self, action: str, given: Mapping[str, Any]) -> Run:
        """Make the run, with all that is needed to execute it, and store it."""
        from pybridge.functions import specs
        from pybridge.functions.run import Run

        fields = specs.run_fields(action, given)
        about = {k: fields.pop(k, None) for k in ("uuid", "labels", "description")}
        task = self.task(action)
        spec = {
            "action": action,
            "function": self.executable,
            "task": f"{task.kind}://{self.project}/{task.id}",
            **{k: self._data["spec"].get(k) for k in _OF_FUNCTION},
            **self._entrypoint(),
            **fields,
        }
        made = draft(
            "run",
            f"{self.kind}+run",
            project=self.project,
            uuid=about.pop("uuid"),
            spec=spec,
            metadata={
                **about,
                "relationships": [{"type": "run_of", "dest": self.key}],
            },
            status=self._beginning(),
        )
        self.store.create(made)
        return Run(made, self.store)

    def _entrypoint(self) -> dict[str, Any]:
        """Return what of the source is called."""
        source = self._data["spec"].get("source") or {}
        return {k: source.get(k) for k in ("handler", "init_function")}

    @staticmethod
    def _beginning() -> dict[str, Any]:
        """Return the status of a new run: ready, and this process's to hand over."""
        from pybridge.functions.store import enter

        status: dict[str, Any] = {"owner": states.owner("client")}
        for state in ("CREATED", "BUILT", "READY"):
            enter(status, state)
        return status


def new(store: Store, project: str, fields: Mapping[str, Any]) -> Function:
    """Make a function, checked, and store it.

    Raises:
        Faults: something given is unknown, missing or wrong.

    """
    from pybridge.functions import sources, specs

    given = specs.check("new_function", specs.FunctionFields, fields)
    spec = {k: given.get(k) for k in _OF_FUNCTION if k != "source"}
    of_source = ("code", "base64", "code_src", "handler", "init_function", "lang")
    spec["source"] = sources.check(**{k: given.get(k) for k in of_source}, store=store)
    made = draft(
        "function",
        given["kind"],
        project=project,
        name=given["name"],
        uuid=given.get("uuid"),
        spec=spec,
        metadata={k: given.get(k) for k in ("description", "labels", "embedded")},
    )
    store.create(made)
    return Function(made, store)
