"""Metrics: entities that have some, and how a number joins those of its name."""

from __future__ import annotations

import math
from typing import Any, List, Mapping, Union

from pybridge.errors import BadArgument
from pybridge.functions.entity import Entity
from pybridge.functions.faults import shown

__all__ = ["Measured", "Value", "logged"]

Value = Union[float, int, List[Union[float, int]]]


class Measured(Entity):
    """An entity that numbers are logged of."""

    STATUS = (*Entity.STATUS, "metrics")

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers that were logged, by name."""
        return dict(self._data["status"].get("metrics") or {})

    def log_metric(
        self,
        key: str,
        value: Any,
        overwrite: bool = False,
        single_value: bool = False,
    ) -> None:
        """Log a number, or several: appended to those of that name; see `logged`.

        Raises:
            BadArgument: it is no number.

        """

        def edit(entity: dict[str, Any]) -> None:
            status, spec = entity["status"], entity["spec"]
            before = status.get("metrics") or spec.get("metrics") or {}
            status["metrics"] = logged(before, key, value, overwrite, single_value)

        self._data = self.store.change(self.key, edit)


def logged(
    metrics: Mapping[str, Any],
    key: Any,
    value: Any,
    overwrite: bool = False,
    single_value: bool = False,
) -> dict[str, Any]:
    """Return the metrics with a value more.

    A number is appended to the list under its key, a list extends it; `overwrite`
    begins a new list. With `single_value` the number stands by itself, and one that is
    there already stays unless `overwrite` is true.

    Raises:
        BadArgument: the key is no text, or the value neither a number nor a list of
            numbers.

    """
    if not key or not isinstance(key, str):
        raise BadArgument(f"{shown(key)} is not the name of a metric; give a text")
    made = dict(metrics)
    before = made.get(key)
    if single_value:
        if isinstance(value, (list, tuple)):
            raise BadArgument(
                f"metric '{key}': {shown(value)} is not a single value; leave "
                "single_value away for a list"
            )
        if before is None or overwrite:
            made[key] = _number(key, value)
        return made
    several = value if isinstance(value, (list, tuple)) else [value]
    numbers = [_number(key, one) for one in several]
    if before is None or overwrite:
        made[key] = numbers
    else:
        made[key] = [*(before if isinstance(before, list) else [before]), *numbers]
    return made


def _number(key: str, value: Any) -> Union[float, int]:
    """Return a number as JSON has it; one of numpy's becomes Python's."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 0) == 0:
        value = item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadArgument(
            f"metric '{key}': {shown(value)} is not a number; give one, or a list"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise BadArgument(
            f"metric '{key}': {value} is not a finite number; leave it away"
        )
    return value
