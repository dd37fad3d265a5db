"""What there is to say about callables, modules and paths; loaded on demand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument
from pybridge.status import type_name

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from pybridge.context import Context

__all__ = [
    "alias_of",
    "function_info",
    "import_module",
    "is_path",
    "load_module",
    "missing",
    "short_repr",
]

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
        "default": None
        if parameter.default is absent
        else short_repr(parameter.default),
        "annotation": None
        if parameter.annotation is absent
        else _annotation(parameter.annotation),
    }


def _annotation(annotation: object) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        return type_name(annotation)
    return short_repr(annotation)


def short_repr(value: object) -> str:
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
    _check_module(module)
    namespace = context.namespace
    before = alias_of(module, namespace)
    if before is not None and (alias is None or alias == before):
        return True, before
    loaded = load_module(module)
    if alias is not None:
        namespace[alias] = loaded
        return before is not None, alias
    top = module.partition(".")[0]
    namespace[top] = sys.modules[top]
    return False, module


def load_module(module: str) -> Any:
    """Import a module and return it, of "a.b" the inner one.

    Raises:
        BadArgument: the name cannot be a module's.
        ImportError: there is no such module, or it cannot be loaded.

    """
    _check_module(module)
    __import__(module)
    return sys.modules[module]


def _check_module(module: str) -> None:
    if not all(part.isidentifier() for part in module.split(".")):
        raise BadArgument(
            f"'{module}' is not the name of a module; a full name is wanted, as 'a.b'"
        )


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


def is_path(text: str) -> bool:
    """Is it names, attributes and subscripts, and nothing that is called?"""
    import _ast

    tree: Any = compile(text.lstrip(" \t"), "<path>", "eval", 0x400, True)
    allowed = (
        _ast.Name,
        _ast.Attribute,
        _ast.Subscript,
        _ast.Constant,
        _ast.UnaryOp,
        _ast.Tuple,
        _ast.Slice,
    )
    waiting = [tree.body]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, allowed):
            return False
        for field in ("value", "slice", "operand", "lower", "upper", "step"):
            child = getattr(node, field, None)
            if isinstance(child, _ast.expr):
                waiting.append(child)
        waiting += getattr(node, "elts", ())
    return True


def missing(path: str, trace: TracebackType, at: Context, exc: BaseException) -> str:
    """Say what of the path is missing, and what is there that looks like it."""
    code = trace.tb_frame.f_code
    text = path.lstrip(" \t")
    part = text.strip()
    for index, (line, last, start, end) in enumerate(code.co_positions()):
        if index == trace.tb_lasti // 2 and line == last == 1 and end is not None:
            part = text.split("\n")[0].encode()[start:end].decode()
    message = f"'{part}' is not defined in context '{at.name}'"
    name: Any = getattr(exc, "name", None)
    try:
        close = _close_to(name, _names_there(exc, at)) if name else None
    except Exception:  # __dir__ is the user's code, and a namespace takes any keys
        close = None
    if close:
        return f"{message}; is it '{part.removesuffix(name)}{close}'"
    if isinstance(exc, NameError) and name and _is_module(name):
        return f"{message}; it is a module: import it first"
    return message


def _is_module(name: str) -> bool:
    """Could a name be imported? Found without importing anything."""
    from importlib.util import find_spec

    try:
        return name.isidentifier() and find_spec(name) is not None
    except Exception:  # a finder is anybody's code
        return False


def _names_there(exc: BaseException, at: Context) -> list[str]:
    if isinstance(exc, NameError):
        return [*at.namespace, *dir(at.namespace.get("__builtins__"))]
    return dir(exc.obj) if isinstance(exc, AttributeError) else []


# Beyond this, looking for names that are alike takes longer than it is worth.
_MANY_NAMES = 2000
_LONG_NAME = 100


def _close_to(name: str, among: list[str]) -> str | None:
    if len(among) > _MANY_NAMES or len(name) > _LONG_NAME:
        return None
    from difflib import get_close_matches

    names = [one for one in among if not one.startswith("__")]
    found = get_close_matches(name, names, 1, 0.8)
    return found[0] if found else None
