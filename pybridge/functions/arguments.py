"""What a function is called with: composed, validated and coerced before it runs."""

from __future__ import annotations

import inspect
import sys
import typing
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from pybridge.errors import BadArgument
from pybridge.functions.faults import Fault, Faults, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Callable

__all__ = ["RESERVED", "ArgumentErrors", "Plan", "compose", "plan", "resolve"]

RESERVED = ("project", "run", "context", "event", "events")
_EMPTY = inspect.Parameter.empty
_POSITIONAL = inspect.Parameter.POSITIONAL_ONLY
_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD
_ARGS = inspect.Parameter.VAR_POSITIONAL
_KWARGS = inspect.Parameter.VAR_KEYWORD
_UNIONS: tuple[Any, ...] = (Union, getattr(sys.modules["types"], "UnionType", Union))
_SHOWN = 200  # characters of a value in a fault


class ArgumentErrors(Faults):
    """A function cannot be called with what it was given; `faults` has all of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with all of it."""
        return ArgumentErrors, (self.what, [Fault(**one) for one in self.faults])


# ---- Composing -----------------------------------------------------------------------


def compose(
    function: Callable[..., Any],
    *,
    project: Any = None,
    run: Any = None,
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    context: Any = None,
    event: Any = None,
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments to call a function with.

    Inputs are entities, and win over parameters of the same name. The reserved names
    are given whatever was passed under them, if the function has them.

    Raises:
        ArgumentErrors: something is missing, unknown or of the wrong type; all at once.

    """
    reserved = {
        "project": project,
        "run": run,
        "context": context,
        "event": event,
        "events": event,
    }
    return plan(function).compose(parameters or {}, inputs or {}, reserved)


class Parameter(NamedTuple):
    """One parameter of a function."""

    name: str
    kind: Any
    default: Any
    annotation: Any  # what it was evaluated to; _EMPTY where there is none to go by


class Plan:
    """How a function is called; made once where it is called often."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Look at the signature."""
        self.name = getattr(function, "__name__", type(function).__name__)
        self.parameters: list[Parameter] = []
        self.known = True
        try:
            signature = _signature(function)
        except (ValueError, TypeError):  # a builtin that does not tell
            self.known = False
            return
        names = _Names(function)
        self.parameters = [
            Parameter(one.name, one.kind, one.default, names.evaluate(one.annotation))
            for one in signature.parameters.values()
        ]

    @property
    def reserved(self) -> set[str]:
        """The reserved names that the function has."""
        return {
            one.name
            for one in self.parameters
            if one.name in RESERVED and one.kind not in {_ARGS, _KWARGS}
        }

    def compose(
        self,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Any],
        reserved: Mapping[str, Any],
        only: Iterable[str] | None = None,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and named arguments; see the function `compose`.

        `only` are the reserved names to be given; all where it is None.

        Raises:
            ArgumentErrors: something is missing, unknown or of the wrong type.

        """
        given = {**parameters, **inputs}
        if not self.known:
            return [], given
        work = _Composing(self, given, inputs)
        own = self.reserved if only is None else self.reserved.intersection(only)
        for name in own:
            given[name] = reserved[name]
        work.all(own)
        if work.faults:
            raise ArgumentErrors(f"{self.name}() cannot be called", work.faults)
        return work.args, work.kwargs

    def names(self) -> list[str]:
        """Return the names that values can be given under."""
        return [
            one.name
            for one in self.parameters
            if one.kind not in {_ARGS, _KWARGS} and one.name not in RESERVED
        ]

    def prepare(self) -> None:
        """Make now what would be made when the first values come."""
        for one in self.parameters:
            if one.annotation is not _EMPTY and one.name not in RESERVED:
                _adapter(one.annotation)

    def wanted(self) -> str:
        """Say which parameters there are."""
        names = [f"'{name}'" for name in self.names()]
        return f"it takes {', '.join(names)}" if names else "it takes none"


def plan(function: Callable[..., Any]) -> Plan:
    """Return how a function is called."""
    return Plan(function)


class _Composing:
    """Arguments being put together."""

    def __init__(
        self, plan: Plan, given: dict[str, Any], inputs: Mapping[str, Any]
    ) -> None:
        self.plan = plan
        self.given = given
        self.inputs = inputs
        self.faults: list[Fault] = []
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}

    def all(self, reserved: set[str]) -> None:
        """Take each parameter in turn, then what is left."""
        given = self.given
        by_position, rest = self.kinds()
        for one in self.plan.parameters:
            if one.kind in {_ARGS, _KWARGS}:
                continue
            if one.name in reserved:
                self.put(one, given.pop(one.name), by_position)
            elif one.name in given:
                value = given.pop(one.name)
                self.put(one, self.accepted(one, one.name, value), by_position)
            elif one.default is _EMPTY:
                self.missing(one)
            elif one.kind is _POSITIONAL or (by_position and one.kind is _NAMED):
                self.args.append(one.default)
        spread, several = by_position, None
        if spread is not None:
            several = given.pop(spread.name)
            self.args += [
                self.accepted(spread, f"{spread.name}.{place}", value)
                for place, value in enumerate(several)
            ]
        for name in list(given):
            if rest is None:
                self.unknown(name)
            else:
                self.kwargs[name] = self.accepted(rest, name, given[name])

    def kinds(self) -> tuple[Parameter | None, Parameter | None]:
        """Return the `*args` that values were given for, and the `**kwargs`."""
        rest = spread = None
        for one in self.plan.parameters:
            if one.kind is _KWARGS:
                rest = one
            elif one.kind is _ARGS and isinstance(
                self.given.get(one.name), (list, tuple)
            ):
                spread = one
        # With **kwargs, that name is one of those.
        return (None if rest is not None else spread), rest

    def put(self, one: Parameter, value: Any, by_position: object) -> None:
        if one.kind is _POSITIONAL or (by_position and one.kind is _NAMED):
            self.args.append(value)
        else:
            self.kwargs[one.name] = value

    def missing(self, one: Parameter) -> None:
        where = "inputs" if _wants_entity(one.annotation) else "parameters"
        self.fault(one.name, f"is missing; give it in {where}={{'{one.name}': …}}")
        if one.kind is _POSITIONAL:
            self.args.append(None)

    def unknown(self, name: str) -> None:
        near = nearest(name, self.plan.names())
        hint = f"did you mean '{near}'?" if near else self.plan.wanted()
        self.fault(name, f"is not a parameter; {hint}", self.given[name])

    def fault(self, field: str, message: str, value: Any = None) -> None:
        self.faults.append(Fault(field, _shown(value), message))

    def accepted(self, one: Parameter, field: str, value: Any) -> Any:
        """Return a value as the annotation wants it, or note why it cannot be."""
        annotation = one.annotation
        if annotation is _EMPTY or type(value) is annotation or value is one.default:
            return value
        try:
            if field in self.inputs:
                return _input_as(value, annotation)
            return _value_as(value, annotation)
        except _Refused as refused:
            for place, message, found in refused.faults:
                self.fault(f"{field}{place}", message, found)
        except Exception as exc:  # a validator of the user's own
            self.fault(field, f"cannot be had as wanted: {exc}", value)
        return None


class _Refused(Exception):  # noqa: N818 - it is data: places, messages and values
    """A value is not what its annotation wants."""

    def __init__(self, faults: list[tuple[str, str, Any]]) -> None:
        super().__init__(faults)
        self.faults = faults


def _shown(value: Any) -> Any:
    """Return a value of a fault as JSON has it, shortened."""
    if value is None or type(value) in {bool, int, float}:
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


# ---- Values and annotations ----------------------------------------------------------


def _choices(annotation: Any) -> list[Any]:
    """Return what an annotation allows: the members of unions, without notes."""
    origin = typing.get_origin(annotation)
    if origin in _UNIONS:
        return [one for part in typing.get_args(annotation) for one in _choices(part)]
    if hasattr(annotation, "__metadata__"):
        return _choices(annotation.__origin__)
    return [annotation]


def _entity_class(choice: Any) -> bool:
    from pybridge.functions.entity import Entity

    return isinstance(choice, type) and issubclass(choice, Entity)


def _wants_entity(annotation: Any) -> bool:
    if annotation is _EMPTY:
        return False
    from pybridge.functions import tables

    return any(
        _entity_class(one) or tables.library_of(one) for one in _choices(annotation)
    )


def _input_as(entity: Any, annotation: Any) -> Any:
    """Return an input as the annotation wants it: itself, its table or its file."""
    from pybridge.functions import inputs as inputs_of

    choices = _choices(annotation)
    try:
        return inputs_of.given(entity, choices)
    except inputs_of.Unfit as exc:
        raise _Refused([("", str(exc), getattr(entity, "key", None))]) from None


def _value_as(value: Any, annotation: Any) -> Any:
    """Return a parameter as the annotation wants it."""
    from pybridge.functions import tables

    choices = _choices(annotation)
    for choice in choices:
        library = tables.library_of(choice)
        if library and not isinstance(value, choice):
            if value is None or isinstance(value, str):
                continue
            try:
                return tables.made(value, library, series=choice.__name__ == "Series")
            except (ValueError, TypeError) as exc:
                told = f"makes no {choice.__name__}: {exc}"
                raise _Refused([("", told, value)]) from None
    if any(_entity_class(one) for one in choices) and isinstance(value, str):
        raise _Refused(
            [("", "is an entity; give it in inputs={…} instead of parameters", value)]
        )
    return _validated(value, annotation)


def _validated(value: Any, annotation: Any) -> Any:
    """Return what pydantic makes of a value."""
    adapter = _adapter(annotation)
    if adapter is None:
        return value
    from pydantic import ValidationError

    try:
        return adapter.validate_python(value)
    except ValidationError as exc:
        raise _Refused(
            [
                (
                    "".join(f".{part}" for part in one["loc"]),
                    _message(one["msg"], one["input"]),
                    one["input"],
                )
                for one in exc.errors(include_url=False, include_context=False)
            ]
        ) from None


def _message(words: str, value: Any) -> str:
    """Return pydantic's words as a half-sentence behind the name of the field."""
    if words == "Field required":
        return "is missing"
    start = "Input should be "
    shown = f"{_shown(value)!r:.80} ({type(value).__name__})"
    if words.startswith(start):
        return f"should be {words[len(start) :]}, not {shown}"
    return f"is refused: {words[:1].lower()}{words[1:]}; it is {shown}"


_adapters: dict[Any, Any] = {}
_MOST = 256  # adapters that are kept


def _adapter(annotation: Any) -> Any:
    """Return what validates for an annotation; None where nothing can."""
    try:
        return _adapters[annotation]
    except KeyError:
        made = _adapters[annotation] = _new_adapter(annotation)
        if len(_adapters) > _MOST:
            # The classes of a user's module should not live on because of this.
            _adapters.clear()
        return made
    except TypeError:  # not hashable, as Annotated[int, [1]]
        return _new_adapter(annotation)


def _new_adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        try:
            return TypeAdapter(
                annotation, config=ConfigDict(arbitrary_types_allowed=True)
            )
        except PydanticUserError:  # a model brings its own configuration
            return TypeAdapter(annotation)
    except Exception:  # an annotation that is no type says nothing about values
        return None


# ---- Signatures and annotations ------------------------------------------------------


def _signature(function: Any) -> inspect.Signature:
    """Return how a function is called.

    That of a wrapped function is taken only where its wrapper passes everything on.
    """
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):
        import annotationlib

        options["annotation_format"] = annotationlib.Format.FORWARDREF
    if hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        own = inspect.signature(function, follow_wrapped=False, **options)
        kinds = {one.kind for one in own.parameters.values()}
        if not {_ARGS, _KWARGS} <= kinds:
            return own
    return inspect.signature(function, **options)


class _Names:
    """The names that annotations are evaluated with, where they are text."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.globals: dict[str, Any] | None = None

    def evaluate(self, annotation: Any) -> Any:
        """Return the type that an annotation means; _EMPTY where it means none."""
        if annotation is _EMPTY or annotation is Any or annotation is object:
            return _EMPTY
        if annotation is None:
            return type(None)
        if isinstance(annotation, type) and typing.get_origin(annotation) is None:
            return annotation
        if self.globals is None:
            self.globals = _globals(self.function)
        found = _evaluated(annotation, self.globals)
        return _EMPTY if found is Any or found is object else found


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    """Return the type of an annotation in which there may be text."""

    class Holder:
        __annotations__ = {"it": annotation}

    with suppress(Exception):
        return typing.get_type_hints(Holder, names, {}, include_extras=True)["it"]
    try:  # X | Y and list[X] on Pythons that have not got them
        from eval_type_backport import eval_type_backport

        if isinstance(annotation, str):
            annotation = typing.ForwardRef(annotation)
        return eval_type_backport(annotation, names, {})
    except Exception:
        return _EMPTY


def _globals(function: Any) -> dict[str, Any]:
    """Return the names of the module that a function is of."""
    import functools

    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif hasattr(function, "__func__"):
            function = function.__func__
        else:
            break
    if not hasattr(function, "__globals__"):
        kind = function if isinstance(function, type) else type(function)
        name = "__init__" if isinstance(function, type) else "__call__"
        function = getattr(kind, name, function)
    return dict(getattr(function, "__globals__", {}))


# ---- Inputs --------------------------------------------------------------------------


def resolve(
    inputs: Mapping[str, Any] | None, *, store: Any, project: str
) -> dict[str, Any]:
    """Return the entities that a run's inputs mean.

    An input is a key, an entity, a name, `name:id`, or where data is: a path or URL,
    `sqlite:///file.db#table`.

    Raises:
        ArgumentErrors: some cannot be found, or are no data; all at once.

    """
    from pybridge.functions import inputs as inputs_of

    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, given in (inputs or {}).items():
        try:
            found[name] = inputs_of.find(given, store=store, project=project)
        except (BadArgument, LookupError) as exc:  # noqa: PERF203 - all are told
            faults.append(Fault(name, _shown(given), str(exc)))
    if faults:
        raise ArgumentErrors("the inputs cannot be had", faults)
    return found
