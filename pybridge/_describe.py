"""What there is to say about callables and modules; loaded when somebody asks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument
from pybridge.status import type_name

if TYPE_CHECKING:
    from types import ModuleType

    from pybridge.context import Context

__all__ = ["alias_of", "function_info", "import_module"]

_LONG = 2000


def function_info(name: str, function: Any, defined: bool) -> dict[str, Any]:
    """Return {"defined", "type", "docs", "signature", "arguments"} of a callable.

    arguments is None where there is no signature to be had, as for some builtins.

    Raises:
        BadArgument: it cannot be called.

    """
    if not defined:
        return {
            "defined": False,
            "type": None,
            "docs": None,
            "signature": None,
            "arguments": None,
        }
    if not callable(function):
        raise BadArgument(
            f"'{name}' cannot be called: it is of type {type_name(type(function))}"
        )
    import inspect

    signature: inspect.Signature | None
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        signature = None
    return {
        "defined": True,
        "type": type_name(type(function)),
        "docs": inspect.getdoc(function),
        "signature": None if signature is None else _signature(signature),
        "arguments": None
        if signature is None
        else [_argument(one) for one in signature.parameters.values()],
    }


def _signature(signature: Any) -> str | None:
    try:
        return str(signature)
    except Exception:  # the repr of a default is the user's code
        return None


def _argument(parameter: Any) -> dict[str, Any]:
    absent = parameter.empty
    return {
        "name": parameter.name,
        "kind": parameter.kind.name.lower(),
        "default": None if parameter.default is absent else _repr(parameter.default),
        "annotation": None
        if parameter.annotation is absent
        else _annotation(parameter.annotation),
    }


def _annotation(annotation: object) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        return type_name(annotation)
    return _repr(annotation)


def _repr(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        return f"<{type_name(type(value))}>"
    return text if len(text) <= _LONG else text[: _LONG - 3] + "..."


def import_module(module: str, alias: str | None, context: Context) -> tuple[bool, str]:
    """Import a module into a context; return whether it was there, and its name.

    Raises:
        BadArgument: the name cannot be a module's.
        ImportError: there is no such module, or it cannot be loaded.

    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise BadArgument(
            f"'{module}' is not the name of a module; a full name is wanted, as 'a.b'"
        )
    namespace = context.namespace
    before = alias_of(module, namespace)
    if before is not None and (alias is None or alias == before):
        return True, before
    __import__(module)
    loaded = sys.modules[module]
    if alias is not None:
        namespace[alias] = loaded
        return before is not None, alias
    top = module.partition(".")[0]
    namespace[top] = sys.modules[top]
    return False, module


def alias_of(module: str, namespace: dict[str, Any]) -> str | None:
    """Return the path under which a namespace has a module: "np", "os.path"."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return None
    for name, value in list(namespace.items()):
        if value is loaded and not name.startswith("__"):
            return name
    parent, _, child = module.rpartition(".")
    if not parent or _child(sys.modules.get(parent), child) is not loaded:
        return None
    path = alias_of(parent, namespace)
    return None if path is None else f"{path}.{child}"


def _child(parent: ModuleType | None, name: str) -> object:
    return None if parent is None else getattr(parent, name, None)
