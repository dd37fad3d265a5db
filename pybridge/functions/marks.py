"""The mark of a handler: the names of what a function returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, TypeVar

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Named = str | Mapping[str, Any]

__all__ = ["MARK", "Declared", "Marked", "handler", "marked"]

MARK = "__pybridge_handler__"

F = TypeVar("F", bound=Callable[..., Any])


class Declared(NamedTuple):
    """One output as it was declared: its name, and how it is to be kept."""

    name: str
    kind: str = ""
    spec: dict[str, Any] = {}  # noqa: RUF012 - never written to


class Marked(NamedTuple):
    """What `handler` has noted of a function."""

    outputs: tuple[Declared, ...]
    strict: bool


def handler(
    outputs: Sequence[Named] | str | None = None, *, strict: bool = False
) -> Callable[[F], F]:
    """Name what a function returns, by position.

    An output is a name, or `{"name": …, "kind": …, "spec_kwargs": {…}}` where it is to
    be kept as a certain kind: artifact, model, sklearn, table … With strict, any other
    number of values than of names is an error.

    The function stays what it is: called by anybody else, nothing of this happens.

    Raises:
        BadArgument: a name is repeated, or is none.

    """
    if callable(outputs):  # @handler without parentheses
        return handler()(outputs)
    note = Marked(_declared(outputs), strict)

    def mark(function: F) -> F:
        if not callable(function):
            raise BadArgument(
                f"handler marks what can be called, not {type(function).__name__} "
                f"{function!r:.60}"
            )
        try:
            setattr(function, MARK, note)
        except (AttributeError, TypeError):  # builtin, or with slots
            carrier: F = _carrier(function, note)
            return carrier
        return function

    return mark


def marked(function: object) -> Marked | None:
    """Return what `handler` has noted of a function, of a method, or of a callable."""
    found = getattr(function, MARK, None)
    return found if isinstance(found, Marked) else None


def _carrier(function: Any, note: Marked) -> Any:
    """Return a function that does the same and can carry a mark."""
    import functools

    @functools.wraps(function, updated=())
    def carrier(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    setattr(carrier, MARK, note)
    return carrier


def _declared(outputs: Sequence[Named] | str | None) -> tuple[Declared, ...]:
    """Return the outputs, checked."""
    if outputs is None:
        return ()
    given = [outputs] if isinstance(outputs, (str, dict)) else outputs
    try:
        found = tuple(_one(place, item) for place, item in enumerate(given))
    except TypeError:
        raise BadArgument(
            f"outputs are a list of names, not {type(outputs).__name__}"
        ) from None
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadArgument(
            f"the output '{twice[0]}' is named twice in {names}; each has its own name"
        )
    return found


def _one(place: int, item: Named) -> Declared:
    """Return one output, checked."""
    if isinstance(item, str) and item:
        return Declared(item)
    if isinstance(item, dict):
        name = item.get("name")
        spec = item.get("spec_kwargs") or {}
        unknown = sorted(set(item) - {"name", "kind", "spec_kwargs"})
        if unknown:
            raise BadArgument(
                f"output {place}: '{unknown[0]}' is unknown; known are name, kind, "
                "spec_kwargs"
            )
        kind = item.get("kind")
        if not (isinstance(name, str) and name):
            raise BadArgument(f"output {place}: 'name' is missing in {item!r:.80}")
        if not (isinstance(kind, str) and kind):
            raise BadArgument(
                f"output '{name}': 'kind' is missing; it is artifact, table, model …, "
                f"or write the name alone: '{name}'"
            )
        if not isinstance(spec, dict):
            raise BadArgument(
                f"output '{name}': 'spec_kwargs' is a dict, not {type(spec).__name__}"
            )
        return Declared(name, kind, dict(spec))
    raise BadArgument(f"output {place} is a name, not {type(item).__name__} {item!r}")
