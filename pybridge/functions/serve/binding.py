"""The binding of a function to requests: which of its arguments come from where."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from typing import TYPE_CHECKING, Any, Callable

from pybridge.functions import arguments
from pybridge.functions.serve.request import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Binding"]

_EVENTS = frozenset({"event", "events"})
_SEQUENCES = (list, tuple, set, frozenset, collections.abc.Sequence)


class Binding:
    """What a function takes; made once, asked at each request."""

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Look at the signature of `function`.

        `inputs` are the same for all requests; `parameters` are what they are where a
        request does not say otherwise.
        """
        self.inputs = dict(inputs or {})
        self.given = dict(parameters or {})
        self.function = function
        self.plan = arguments.plan(function)
        ordinary = [
            one
            for one in self.plan.parameters
            if one.name not in arguments.RESERVED
            and one.name not in self.inputs
            and one.kind not in {one.kind.VAR_POSITIONAL, one.kind.VAR_KEYWORD}
        ]
        keywords = any(one.kind is one.kind.VAR_KEYWORD for one in self.plan.parameters)
        self.ordinary = ordinary
        self.returned = _returned(function)
        self.plan.prepare()
        self.event = bool(self.plan.reserved & _EVENTS)
        self.parameters = bool(ordinary) or (keywords and not self.event)
        self.sequences = {one.name for one in ordinary if _is_sequence(one.annotation)}

    def bind(
        self, parameters: Mapping[str, Any], reserved: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments for one call.

        Raises:
            BadRequest: some are missing, unknown or of the wrong type; it says which.

        """
        try:
            if self.given:
                parameters = {**self.given, **parameters}
            return self.plan.compose(parameters, self.inputs, reserved)
        except arguments.ArgumentErrors as exc:
            fields = [_field(fault) for fault in exc.faults]
            told = "; ".join(f'"{one["field"]}" {one["message"]}' for one in fields)
            raise BadRequest(422, told, fields=fields) from None

    def told(self) -> str:
        """Return the names of the parameters, as a sentence shows them."""
        return ", ".join(f'"{one.name}"' for one in self.ordinary)


def _field(fault: dict[str, Any]) -> dict[str, Any]:
    # Where a parameter is given in a run's arguments is of no use to a client.
    return {**fault, "message": fault["message"].partition("; give it in ")[0]}


def _returned(function: Callable[..., Any]) -> Any:
    """Return what a function says that it returns; empty where it says nothing."""
    try:
        return typing.get_type_hints(function).get("return", inspect.Parameter.empty)
    except Exception:  # one that cannot be resolved says nothing
        return inspect.Parameter.empty


def _is_sequence(annotation: Any) -> bool:
    if hasattr(annotation, "__metadata__"):
        return _is_sequence(annotation.__origin__)
    kind = typing.get_origin(annotation) or annotation
    if kind is typing.Union or type(annotation).__name__ == "UnionType":
        return any(_is_sequence(one) for one in typing.get_args(annotation))
    return (
        isinstance(kind, type)
        and issubclass(kind, _SEQUENCES)
        and not issubclass(kind, (str, bytes))
    )
