"""What could come next: names, attributes, keys, modules, and the shell's commands.

Nothing of the user's is run for it: attributes are looked up without properties and
`__getattr__`, except on objects of libraries that are known to do no harm.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import re
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pybridge.shell.console import Console

__all__ = ["Candidate", "complete"]

_NAME = re.compile(r"[^\W\d]\w*\Z|\Z")
_KEY = re.compile(r"\[\s*(?P<quote>['\"])(?P<start>[^'\"\n]*)\Z")
_IMPORT = re.compile(r"^\s*import\s+(?:[\w.]+(?:\s+as\s+\w+)?\s*,\s*)*(?P<at>[\w.]*)\Z")
_FROM = re.compile(r"^\s*from\s+(?P<at>[\w.]*)\Z")
_FROM_IMPORT = re.compile(
    r"^\s*from\s+(?P<module>[\w.]+)\s+import\s*\(?\s*"
    r"(?:\w+(?:\s+as\s+\w+)?\s*,\s*)*(?P<at>\w*)\Z"
)
# Their properties and item look-ups compute, and change nothing.
_HARMLESS = {"numpy", "pandas", "polars", "pyarrow", "datetime", "decimal", "pathlib"}
_MISSING = object()
_MANY = 2000


class Candidate(NamedTuple):
    """A text that replaces the last `length` characters, and how a list shows it."""

    text: str
    length: int
    shown: str


def complete(text: str, console: Console) -> list[Candidate]:
    """Return what could stand at the end of an input, in the order to show it."""
    if text.startswith(":"):
        from pybridge.shell import commands

        words = commands.completions(text, console)
        if words is not None:
            start = text.rpartition(" ")[2]
            return _matching(words, start)
        text = text.partition(" ")[2]
    line = text.rpartition("\n")[2]
    namespace = console.namespace
    return (
        _keys(line, namespace)
        or _modules(line)
        or _attributes(line, namespace)
        or _keywords(line, namespace) + _names(line, namespace)
    )


def _matching(
    words: Iterable[str], start: str, end: str = "", *, hide: bool = True
) -> list[Candidate]:
    """Return the words that begin so; private ones only where that is asked for."""
    found = sorted({word for word in words if word.startswith(start)})
    if hide and not start.startswith("_"):
        found = [word for word in found if not word.startswith("_")] or found
    return [Candidate(word + end, len(start), word) for word in found[:_MANY]]


# ---- Names --------------------------------------------------------------------------


def _names(line: str, namespace: dict[str, Any]) -> list[Candidate]:
    found = _NAME.search(line)
    start = found[0] if found else ""
    if not start:
        return []
    words = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}
    words |= set(map(str, namespace))
    return _matching(words - {"_"}, start)


def _keywords(line: str, namespace: dict[str, Any]) -> list[Candidate]:
    """Return the keyword arguments of the function whose call is being written."""
    found = re.search(r"(?P<path>[\w.]+)\([^()]*?(?P<start>\b[^\W\d]\w*)\Z", line)
    if found is None:
        return []
    function = _value(found["path"], namespace)
    if function is _MISSING or not callable(function):
        return []
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    names = [
        p.name
        for p in parameters
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return _matching(names, found["start"], "=")


# ---- Attributes and keys ------------------------------------------------------------


def _attributes(line: str, namespace: dict[str, Any]) -> list[Candidate]:
    before, dot, start = line.rpartition(".")
    if not dot or (start and not start.isidentifier()):
        return []
    owner = _value(_path_at_end(before), namespace)
    if owner is _MISSING:
        return []
    return _matching(_names_in(owner), start)


def _keys(line: str, namespace: dict[str, Any]) -> list[Candidate]:
    """Return the keys of a dict, or the columns of a frame."""
    found = _KEY.search(line)
    if found is None:
        return []
    owner = _value(_path_at_end(line[: found.start()]), namespace)
    quote = found["quote"]
    return _matching(
        (key for key in _keys_of(owner) if quote not in key and "\\" not in key),
        found["start"],
        quote + "]",
        hide=False,
    )


def _keys_of(owner: object) -> list[str]:
    keys: Any = ()
    if isinstance(owner, dict):
        keys = dict.keys(owner)
    elif _root(type(owner)) in ("pandas", "polars", "pyarrow"):
        keys = getattr(owner, "columns", None)
        if keys is None or _root(type(owner)) == "pyarrow":
            keys = getattr(owner, "column_names", None)
        if keys is None:
            keys = getattr(owner, "index", ())
    elif _root(type(owner)) == "numpy":
        keys = getattr(getattr(owner, "dtype", None), "names", None) or ()
    return [
        key for key, _ in zip(keys, range(_MANY), strict=False) if isinstance(key, str)
    ]


def _path_at_end(text: str) -> str:
    """Return the longest end of a text that is a path: `a.b[0]["k"].c`."""
    best = ""
    for start in range(len(text) - 1, -1, -1):
        if text[start] in " \t" and text[start + 1 :].count("[") == text[
            start + 1 :
        ].count("]"):
            break
        piece = text[start:]
        if not (piece[0].isidentifier() or piece[0] in "\"'([{0123456789"):
            continue
        try:
            node = ast.parse(piece, mode="eval").body
        except (SyntaxError, ValueError):
            continue
        if not isinstance(
            node, (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.JoinedStr)
        ):
            continue
        if start and (text[start - 1].isalnum() or text[start - 1] in "_."):
            continue
        best = piece
    return best


def _value(path: str, namespace: dict[str, Any]) -> Any:
    """Return the object of a path without running anybody's code, or _MISSING."""
    try:
        return _walk(ast.parse(path, mode="eval").body, namespace)
    except Exception:
        return _MISSING


def _walk(node: ast.expr, namespace: dict[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.JoinedStr():
            return ""
        case ast.Name():
            return namespace.get(node.id, vars(builtins).get(node.id, _MISSING))
        case ast.Attribute():
            return _attribute(_walk(node.value, namespace), node.attr)
        case ast.Subscript():
            owner = _walk(node.value, namespace)
            key = ast.literal_eval(node.slice)
            if type(owner) in (dict, list, tuple, str) or _is_harmless(owner):
                return owner[key]
    return _MISSING


def _attribute(owner: Any, name: str) -> Any:
    if owner is _MISSING:
        return _MISSING
    if _is_harmless(owner):
        return getattr(owner, name)
    value = inspect.getattr_static(owner, name, _MISSING)
    kind = type(value)
    if isinstance(value, (staticmethod, classmethod)):
        return value.__func__
    if kind.__name__ in ("getset_descriptor", "member_descriptor"):
        return getattr(owner, name)  # of a type written in C, or a slot
    if isinstance(value, property) or (
        hasattr(kind, "__get__") and not inspect.isroutine(value)
    ):
        return _MISSING
    return value


def _names_in(owner: object) -> list[str]:
    """Return the attributes of an object; a `__dir__` of the user's is not called."""
    own = inspect.getattr_static(type(owner), "__dir__", None)
    if not inspect.isfunction(own) or _is_harmless(owner):
        return dir(owner)
    names = dict.fromkeys(dir(type(owner)))
    held = inspect.getattr_static(owner, "__dict__", None)
    if held is not None:
        with suppress(AttributeError):
            names.update(dict.fromkeys(object.__getattribute__(owner, "__dict__")))
    return list(names)


def _is_harmless(owner: object) -> bool:
    return _root(type(owner)) in _HARMLESS


def _root(cls: type) -> str:
    module: object = cls.__module__  # which a class may make anything
    return module.partition(".")[0] if isinstance(module, str) else ""


# ---- Modules ------------------------------------------------------------------------


def _modules(line: str) -> list[Candidate]:
    """Return modules and their names in an import; none of them is imported."""
    found = _FROM_IMPORT.search(line)
    if found is not None:
        return _matching(_names_of_module(found["module"]), found["at"])
    found = _IMPORT.search(line) or _FROM.search(line)
    if found is None:
        return []
    package, _, start = found["at"].rpartition(".")
    names = _submodules(package) if package else _top_level(tuple(sys.path))
    return _matching(names, start)


@cache
def _top_level(path: tuple[str, ...]) -> frozenset[str]:
    import pkgutil

    found = {module.name for module in pkgutil.iter_modules(list(path))}
    return frozenset(found | set(sys.builtin_module_names) | sys.stdlib_module_names)


def _places(package: str) -> list[str]:
    """Return the folders of a package, found without importing it."""
    from importlib.machinery import PathFinder

    module = sys.modules.get(package)
    if module is not None:
        return [str(place) for place in getattr(module, "__path__", ())]
    parent, _, _ = package.rpartition(".")
    spec = PathFinder.find_spec(package, _places(parent) if parent else None)
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _submodules(package: str) -> Iterator[str]:
    import pkgutil

    for module in pkgutil.iter_modules(_places(package)):
        yield module.name


def _names_of_module(name: str) -> set[str]:
    """Return what `from name import` could take: from the module, or from its text."""
    names = set(_submodules(name))
    module = sys.modules.get(name)
    if module is not None:
        return names | set(vars(module))
    from importlib.machinery import PathFinder

    parent = name.rpartition(".")[0]
    spec = PathFinder.find_spec(name, _places(parent) if parent else None)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return names
    with open(spec.origin, encoding="utf-8") as file:  # noqa: PTH123 (a name, not a path)
        tree = ast.parse(file.read())
    return names | set(_bound(tree.body))


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name
            case ast.Assign():
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        yield target.id
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Import() | ast.ImportFrom():
                for alias in statement.names:
                    yield (alias.asname or alias.name).partition(".")[0]
            case ast.If() | ast.Try():
                yield from _bound(statement.body)
