"""Handlers: which module of a tree, and which name in it, a text like `a.b:f` means."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, NamedTuple

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DEFAULT",
    "Shape",
    "Target",
    "absent",
    "explain",
    "locate",
    "parse",
    "shape",
]

DEFAULT = "main"  # the module that is meant where a tree has several and none is named
_DYNAMIC = {"exec", "eval", "globals", "locals", "vars", "setattr", "__import__"}


class Target(NamedTuple):
    """Where a handler is: the directory imports start from, its module, its name."""

    root: Path
    module: str
    name: str


class Shape(NamedTuple):
    """What a module's text says about the names in it.

    `open` is true where names may come from elsewhere, such as by a star import.
    """

    functions: list[str]
    names: set[str]
    open: bool


def parse(handler: str) -> tuple[str, str]:
    """Return the dotted module, "" where none is named, and the name in it.

    `src/jobs/top.py:g` is taken as `src.jobs.top:g`.

    Raises:
        BadArgument: this is no handler.

    """
    text = handler.strip()
    module, colon, name = text.rpartition(":")
    module, name = module.strip(), name.strip()
    if colon and not module:
        raise BadArgument(f"handler '{handler}' names no module; write 'module:{name}'")
    if not name:
        raise BadArgument(f"handler '{handler}' names no function; {_WANTED}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise BadArgument(f"'{name}' of handler '{handler}' is not a name; {_WANTED}")
    if not colon:
        return "", name
    return _dotted(module, handler), name


_WANTED = "write 'function', 'module:function' or 'package.module:function'"


def _dotted(module: str, handler: str) -> str:
    """Return a module's dotted name also where it is given as a file."""
    module = module.replace("\\", "/")
    while module.startswith("./"):
        module = module[2:]
    module = module.removesuffix(".py")
    module = module.strip("/")
    module = module.removesuffix("/__init__")
    parts = module.replace("/", ".").split(".")
    if not all(parts) or any(not part.isprintable() for part in parts):
        raise BadArgument(
            f"'{module}' of handler '{handler}' is not a module; {_WANTED}"
        )
    return ".".join(parts)


def locate(
    handler: str, root: Path, *, default: str | None = None, what: str
) -> Target:
    """Return where in a tree a handler is.

    A tree with one single file has no other module: `main:f` means that one, or the
    file that was given where it was taken along with those it imports. A module
    that is not there is looked for in the tree's one directory, as archives often have
    all in one; a handler without a module means `default`, `main` or the only one.

    Raises:
        BadArgument: there is no such module, or several come into question.

    """
    module, name = parse(handler)
    roots = [(root, ""), *_only_directory(root)]
    if not module:
        return _unnamed(name, roots, default, handler, what)
    for start, prefix in roots:
        if _file_of(start, prefix + module) is not None:
            return Target(start, prefix + module, name)
    if module == DEFAULT and default and _file_of(root, default) is not None:
        return Target(root, default, name)
    single = _single(root)
    if single is not None and module.rpartition(".")[2] in {single, DEFAULT, default}:
        return Target(root, single, name)
    known = _modules(roots[-1][0])
    raise BadArgument(
        f"module '{module}' of handler '{handler}' is not in '{what}'; "
        + (f"there are: {_list(known)}" if known else "there is no Python file")
    )


def _unnamed(
    name: str,
    roots: list[tuple[Path, str]],
    default: str | None,
    handler: str,
    what: str,
) -> Target:
    """Return where a handler is that names no module."""
    single = _single(roots[0][0])
    if single is not None:
        return Target(roots[0][0], single, name)
    head, _, rest = name.rpartition(".")
    for start, prefix in roots:
        if head and _file_of(start, prefix + head) is not None:  # module.function
            return Target(start, prefix + head, rest)
        top = sorted(path.stem for path in _inside(start, prefix).glob("*.py"))
        for module in (default, DEFAULT, *(top if len(top) == 1 else ())):
            if module is not None and _file_of(start, prefix + module) is not None:
                return Target(start, prefix + module, name)
    known = _modules(roots[-1][0])
    if not known:
        raise BadArgument(f"'{what}' of handler '{handler}' has no Python file")
    raise BadArgument(
        f"handler '{handler}' names no module, and '{what}' has several; write "
        f"'module:{name}' with one of: {_list(known)}"
    )


def _file_of(root: Path, module: str) -> Path | None:
    """Return the file of a module, or None."""
    if "\0" in module:
        return None
    base = root.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if path.is_file():
            return path
    return None


def _only_directory(root: Path) -> list[tuple[Path, str]]:
    """Return where the one directory is that all of a tree is in: start and prefix.

    One whose name cannot stand in an import is where imports start.
    """
    entries = list(root.iterdir())
    if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
        return []
    if "." in entries[0].name:
        return [(entries[0], "")]
    return [(root, f"{entries[0].name}.")]


def _inside(root: Path, prefix: str) -> Path:
    """Return the directory of a prefix such as `a.b.`."""
    return root.joinpath(*prefix.split("."))


def _single(root: Path) -> str | None:
    """Return the module of a tree that is one file."""
    entries = list(root.iterdir())
    if len(entries) != 1 or not entries[0].is_file() or entries[0].suffix != ".py":
        return None
    return None if "." in entries[0].stem else entries[0].stem


def _modules(root: Path) -> list[str]:
    """Return the modules of a tree, those on top first."""
    found = []
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts:
            found.append(".".join(parts))
    return sorted(found, key=lambda name: (name.count("."), name))


def _list(names: list[str], most: int = 10) -> str:
    """Return names as a text, not too many of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shape(target: Target) -> Shape | None:
    """Return what a handler's module says about its names; None where it has faults.

    Faults are left to the run: its Python may know more than this one.
    """
    path = _file_of(target.root, target.module)
    if path is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    functions = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and not node.name.startswith("_")
    ]
    return Shape(functions, _bound(tree), _is_open(tree))


def _bound(tree: ast.Module) -> set[str]:
    """Return all names bound anywhere in a module: more than it has, not less."""
    names = {"__name__", "__doc__", "__file__"}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        else:  # the names of match statements, which Python 3.9 does not have
            for field in ("name", "rest"):
                value = getattr(node, field, None)
                if isinstance(value, str):
                    names.add(value)
    return names


def _is_open(tree: ast.Module) -> bool:
    """May names come into a module in other ways than those that are seen?"""
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and node.name == "*":
            return True
        if isinstance(node, ast.Name) and node.id in _DYNAMIC:
            return True
        if isinstance(node, ast.Attribute) and node.attr in {"modules", "__dict__"}:
            return True
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            return True
    return False


def explain(name: str, target: Target, what: str, field: str) -> str | None:
    """Say that a name is surely not in a handler's module; None where it may be."""
    found = shape(target)
    if found is None or found.open or name.partition(".")[0] in found.names:
        return None
    return absent(name, found.functions, what, field)


def absent(name: str, functions: list[str], what: str, field: str) -> str:
    """Say that a name is not in a module, and which functions are."""
    from difflib import get_close_matches

    near = get_close_matches(name, functions, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    there = (
        f"functions there: {_list(functions)}" if functions else "it has no function"
    )
    return f"{field} '{name}' is not in '{what}'; {hint}{there}"
