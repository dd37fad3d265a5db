"""Methods as functions of their object: what the SQL wrappers of classes call."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["method", "value"]


def method(module: str, cls: str, name: str) -> Callable[..., Any]:
    """Return a function that calls a method of its first argument.

    The argument is an object of the class, or what the class makes one of: a list is
    the arguments of its constructor, anything else the one argument; text in ISO form
    will do where the class reads that.
    """
    owner = _owner(module, cls, name)

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self is None:
            return None
        return getattr(_object(owner, self), name)(*args, **kwargs)

    return call


def value(module: str, cls: str, name: str) -> Callable[[Any], Any]:
    """Return a function that reads an attribute of its argument, as `method`."""
    owner = _owner(module, cls, name)

    def read(self: Any, /) -> Any:
        return None if self is None else getattr(_object(owner, self), name)

    return read


def _owner(module: str, cls: str, name: str) -> Any:
    """Return the class; one that has no such name is an error when it is defined."""
    owner = getattr(import_module(module), cls)
    if not any(name in base.__dict__ for base in owner.__mro__):
        raise AttributeError(f"{module}.{cls} has no '{name}'")
    return owner


def _object(owner: Any, given: Any) -> Any:
    if isinstance(given, owner):
        return given
    if isinstance(given, list):
        return owner(*given)
    if isinstance(given, str) and hasattr(owner, "fromisoformat"):
        return owner.fromisoformat(given)
    return owner(given)
