"""What is run when a context is first made: modules, code, a file, functions.

from pybridge.initializer import Initializer

report = Initializer(modules=["math", ("numpy", "np")], code="tau = 2 * math.pi").run()
print(report.text())

`[initializer]` of pybridge.toml says it for every context that is made from then on.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybridge import context as contexts
from pybridge import main, settings, source, status
from pybridge.errors import BadArgument, BridgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pybridge.context import Context

__all__ = ["VARIABLE", "Initializer", "Report", "Step", "begin"]

VARIABLE = "PYBRIDGE_INITIALIZER"  # "off", or a file instead of the settings'

_KEYS = ("modules", "code", "file", "functions", "contexts")
_SHAPES = {
    "modules": 'a list of names and of {name = "numpy", alias = "np"}',
    "code": "text",
    "file": "the path of a Python file",
    "functions": 'a list such as ["package.module:function"]',
    "contexts": 'a list of names of contexts; "*" and "?" stand for any letters',
}


@dataclass
class Step:
    """One of the things that were to be done, and what became of it."""

    kind: str  # "module", "code", "file", "function", "settings"
    what: str
    when: str = ""  # local time, ISO 8601
    seconds: float = 0.0
    ok: bool = False
    error: dict[str, Any] | None = None  # as get_status tells it; None also if not run

    def text(self) -> str:
        """Return a line for people, and the user's lines where it failed."""
        done = f"{self.when.replace('T', ' ')} {self.kind} '{self.what}'"
        if self.ok:
            return f"{done}: completed with success ({self.seconds:.3f} s)"
        if self.error is None:
            return f"{done}: not run"
        return f"{done}: {self.brief()}"

    def brief(self) -> str:
        """Return the error alone, and where it was raised."""
        if self.error is None:
            return "not run"
        place = ""
        if self.error["file"]:
            place = f" ({self.error['file']}, line {self.error['line']})"
        return f"{self.error['type']}: {self.error['message']}{place}"


@dataclass
class Report:
    """What an initializer has done in one context, step by step."""

    context: str
    source: str = ""  # the file that asked for it
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every step succeeded."""
        return all(step.ok for step in self.steps)

    def json(self) -> dict[str, Any]:
        """Return plain data: what its JSON text is made of."""
        return {**asdict(self), "ok": self.ok}

    def text(self) -> str:
        """Return a line for each step."""
        return "\n".join(step.text() for step in self.steps)


class Initializer:
    """Modules to import, then code, then a file, then functions, in this order.

    Every step is tried, whatever became of those before it. Running it a second time in
    the same context does nothing.
    """

    def __init__(  # noqa: PLR0913 (each is one key of the settings)
        self,
        modules: Iterable[str | Sequence[str] | dict[str, str]] = (),
        code: str = "",
        file: str | Path | None = None,
        functions: Iterable[str] = (),
        *,
        contexts: Iterable[str] = ("*",),
        source: str = "",
    ) -> None:
        """Take what is to be done.

        modules are names, or name and alias; functions are "package.module:function",
        or a name that the code or the file defines. One that wants an argument is given
        the namespace of the context.

        Raises:
            BadArgument: one of them is not of that form.

        """
        self.modules = [_module(entry) for entry in _listed(modules, "modules")]
        if not isinstance(code, str):
            raise BadArgument(_wrong("code", code))
        self.code = code
        if file is not None and not isinstance(file, (str, Path)):
            raise BadArgument(_wrong("file", file))
        self.file = None if file is None else Path(file)
        self.functions = _texts(functions, "functions")
        self.contexts = _texts(contexts, "contexts")
        self.source = source

    @classmethod
    def from_settings(cls, path: str | Path | None = None) -> Initializer | None:
        """Return what a file says; None where it says nothing.

        The file is one with the table [initializer], or Python code (`.py`); without a
        path, the one that PYBRIDGE_INITIALIZER names, else pybridge.toml.

        Raises:
            BadArgument: there is no such file, or it says what there is not.

        """
        named = path or os.environ.get(VARIABLE)
        if not path and named == "off":
            return None
        if not named:
            found = settings.find()
            if found is None:
                return None
            table = settings.section("initializer")
        else:
            found = Path(named)
            if not found.is_file():
                by = "" if path else f"{VARIABLE} names "
                raise BadArgument(f"{by}'{named}', which is not a file")
            if found.suffix == ".py":
                return cls(file=found.absolute(), source=str(found))
            table = _table(found)
        if not table:
            return None
        for key in table:
            if key not in _KEYS:
                raise BadArgument(
                    f"[initializer] of '{found}' has no '{key}'; "
                    f"there are {', '.join(_KEYS)}"
                )
        if isinstance(table.get("file"), str):
            table = {**table, "file": found.absolute().parent / table["file"]}
        return cls(**table, source=str(found))

    def wants(self, context: str) -> bool:
        """Tell whether a context of that name is one to be initialized."""
        return any(fnmatchcase(context, mask) for mask in self.contexts)

    def run(self, context: str | Context | None = None) -> Report:
        """Do every step in a context, once; return what became of each.

        An interrupt is not a failure of a step: it ends the run and goes on to the
        caller, and the report that the context keeps says what was not run.
        """
        at = context if isinstance(context, contexts.Context) else contexts.get(context)
        key = self._key()
        done: dict[str, Report] = at.initialized
        if key in done:
            return done[key]
        report = done[key] = Report(at.name, self.source)
        todo = list(self._steps(at))
        report.steps = [step for step, _ in todo]
        for step, action in todo:
            _do(step, action, at)
        return report

    def _steps(self, at: Context) -> Iterable[tuple[Step, Callable[[], object]]]:
        """Yield each step with what it does."""
        for name, alias in self.modules:
            shown = f"{name} as {alias}" if alias else name
            do = partial(main.import_module, name, alias, context=at.name)
            yield Step("module", shown), do
        if self.code.strip():
            shown = self.code.strip().partition("\n")[0]
            yield Step("code", shown), partial(_run_code, self.code, at)
        if self.file is not None:
            yield Step("file", str(self.file)), partial(_run_file, self.file, at)
        for name in self.functions:
            yield Step("function", name), partial(_call, name, at)

    def _key(self) -> str:
        """Return what is the same for the same steps; a changed file is another."""
        text = ""
        if self.file is not None and self.file.is_file():
            text = self.file.read_text("utf-8", "replace")
        whole = [self.modules, self.code, str(self.file), text, self.functions]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def begin(at: Context) -> None:
    """Initialize a context that was just made, as the settings say; called by `main`.

    What fails is said on stderr and kept for get_status: the context is there anyway.
    """
    try:
        found = Initializer.from_settings()
        if found is None or not found.wants(at.name):
            return
    except BridgeError as exc:
        step = Step("settings", "[initializer]", _now())
        step.error = _record(exc, at)
        report = at.initialized[""] = Report(at.name, steps=[step])
    else:
        report = found.run(at)
    for step in report.steps:
        if not step.ok:
            print(  # noqa: T201 (it is for people)
                f"pybridge: initializer: {step.kind} '{step.what}': {step.brief()}",
                file=sys.stderr,
            )


# ---- Steps --------------------------------------------------------------------------


class _Holder:
    """Has a status as a context has one."""

    def __init__(self) -> None:
        self.status = status.Status()


def _do(step: Step, action: Callable[[], object], at: Context) -> None:
    """Do one step, and write down what became of it."""
    step.when = _now()
    begun = time.perf_counter()
    try:
        action()
        step.ok = True
    except (Exception, SystemExit) as exc:
        step.error = _record(exc, at)
    except BaseException as exc:
        step.error = _record(exc, at)
        raise
    finally:
        step.seconds = round(time.perf_counter() - begun, 6)


def _record(exc: BaseException, at: Context) -> dict[str, Any] | None:
    """Return what get_status says of an error, and let the context say it too."""
    trace = exc.__traceback__
    holder: Any = _Holder()
    status.record(exc, holder)
    at.status.failure = holder.status.failure
    exc.__traceback__ = trace
    found: dict[str, Any] | None = holder.status.take()
    return found


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def _run_code(code: str, at: Context) -> None:
    source.share()
    exec(source.compile_code(code), at.namespace)


def _run_file(path: Path, at: Context) -> None:
    exec(source.compile_file(str(path)), at.namespace)


def _call(name: str, at: Context) -> None:
    """Call a function of a module, or of the context."""
    module, colon, path = name.partition(":")
    if colon:
        from importlib import import_module

        function: Any = import_module(module)
        for part in path.split("."):
            function = getattr(function, part)
    else:
        function = main.resolve(name, at.name)
    if not callable(function):
        raise BadArgument(
            f"'{name}' cannot be called: it is of type "
            f"{status.type_name(type(function))}"
        )
    if _wants_argument(function):
        function(at.namespace)
    else:
        function()


def _wants_argument(function: Callable[..., object]) -> bool:
    """Is there a positional argument without a default?"""
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        one.default is one.empty
        and one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}
        for one in parameters
    )


# ---- What the settings say ----------------------------------------------------------


def _table(path: Path) -> dict[str, Any]:
    """Return [initializer] of a file."""
    import tomllib

    try:
        found = tomllib.loads(path.read_text("utf-8")).get("initializer", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadArgument(f"'{path}' is not TOML: {exc}") from None
    if not isinstance(found, dict):
        raise BadArgument(
            f"'initializer' in '{path}' is not a table; write [initializer]"
        )
    return found


def _wrong(key: str, value: object) -> str:
    return f"initializer: {key} is {_SHAPES[key]}, not {value!r}"


def _listed(value: Any, key: str) -> list[Any]:
    if isinstance(value, (str, bytes, dict)):
        raise BadArgument(_wrong(key, value))
    try:
        return list(value)
    except TypeError:
        raise BadArgument(_wrong(key, value)) from None


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadArgument(_wrong(key, value))
    return value


def _texts(value: Any, key: str) -> list[str]:
    return [_text(item, key) for item in _listed(value, key)]


def _module(entry: object) -> tuple[str, str | None]:
    """Return name and alias of a module that was given in any of three forms."""
    if isinstance(entry, dict):
        if not {"name"} <= entry.keys() <= {"name", "alias"}:
            raise BadArgument(_wrong("modules", entry))
        parts = [entry["name"], entry["alias"]] if "alias" in entry else [entry["name"]]
    elif isinstance(entry, str):
        parts = [entry]
    else:
        parts = _listed(entry, "modules")
    if not 1 <= len(parts) <= 2:
        raise BadArgument(_wrong("modules", entry))
    name, *alias = (_text(part, "modules") for part in parts)
    return name, alias[0] if alias else None
