"""Target: the function that a verb works on, stored, or declared of a file."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybridge.cli.function import options

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.store import Store

__all__ = ["find"]

_FILES = {".py", ".zip"}


def find(
    store: Store,
    text: str,
    *,
    project: str | None = None,
    name: str | None = None,
    handler: str | None = None,
    init: str | None = None,
    python: str | None = None,
    requirements: tuple[str, ...] = (),
    base_image: str | None = None,
) -> Function:
    """Return the function that a text means; one of a file is declared by that.

    Raises:
        UsageError: it is a source, and what in it is meant is not said.
        Undefined: it is stored, and is not there.

    """
    source, named = _source(text)
    if source is None:
        given = (name, handler, init, python, base_image, *requirements)
        if any(one is not None for one in given):
            raise click.UsageError(
                f"'{text}' is stored; --name, --handler, --init, --python, "
                "--requirement and --base-image are for a file"
            )
        from pybridge.functions import references

        return references.function(store, text, project)
    handler = handler or named or _only_function(source, text)
    fields = {
        "name": name or _name(handler),
        "kind": "python",
        "code_src": source,
        "handler": handler,
        "init_function": init,
        "python_version": options.python_version(python),
        "requirements": options.requirements(requirements) or None,
        "base_image": base_image,
    }
    return _declared(store, project, {k: v for k, v in fields.items() if v is not None})


def _declared(store: Store, project: str | None, fields: dict[str, Any]) -> Function:
    """Return the function of a declaration: the newest one of its name, if it is that.

    So a file that is run twice is stored once.
    """
    from pybridge.functions import function, references
    from pybridge.functions.library import get_or_create_project

    home = get_or_create_project(project or references.default_project(), store=store)
    made = function.drafted(store, home.name, fields)
    known = store.find(home.name, "function", name=made["name"], newest=1)
    if known and _same(known[0]["spec"], made["spec"]):
        return function.Function(known[0], store)
    store.create(made)
    return function.Function(made, store)


def _same(known: dict[str, Any], made: dict[str, Any]) -> bool:
    """Are two functions one, but for what a build has added?"""
    return {k: v for k, v in known.items() if k != "image"} == made


def _source(text: str) -> tuple[str | None, str | None]:
    """Return the source of `source:handler`, and the handler; None = it is stored.

    Raises:
        UsageError: it looks like a file that is not there.

    """
    if text.startswith("store://") or re.match(r"python(\+\w+)?://", text):
        return None, None
    if "://" in text:
        start, hash_, ref = text.partition("#")
        if hash_:
            ref, _, handler = ref.partition(":")
            return f"{start}#{ref}", handler or None
        folder, _, last = text.rpartition("/")
        last, _, handler = last.partition(":")
        return f"{folder}/{last}", handler or None
    path, _, handler = text.partition(":")
    place = Path(path).expanduser()
    if place.suffix in _FILES or place.is_dir():
        if not place.exists():
            raise click.UsageError(f"there is no file '{path}'")
        return str(place), handler or None
    if place.is_file():
        raise click.UsageError(
            f"'{path}' is no source of functions; give a .py file, a .zip or a folder"
        )
    if path.startswith((".", "/", "~")):
        raise click.UsageError(f"there is no file '{path}'")
    return None, None


def _name(handler: str) -> str:
    """Return the name of a function: that of its handler."""
    return re.sub(r"[^a-zA-Z0-9._+-]", "-", handler.rpartition(":")[2])


def _only_function(source: str, text: str) -> str:
    """Return the one function of a file that can be meant.

    Raises:
        UsageError: there are several, or none.

    """
    path = Path(source).expanduser()
    if path.suffix != ".py":
        raise click.UsageError(f"say what in '{text}' to run: {text}:module:function")
    try:
        tree = ast.parse(path.read_bytes(), filename=source)
    except (SyntaxError, ValueError) as exc:
        raise click.UsageError(f"'{source}' cannot be read: {exc}") from None
    functions = {
        node.name: _is_marked(node)
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and not node.name.startswith("_")
    }
    marked = [name for name, is_marked in functions.items() if is_marked]
    for found in (marked, list(functions)):
        if len(found) == 1:
            return found[0]
    if not functions:
        raise click.UsageError(f"'{source}' has no function")
    names = ", ".join(functions)
    first = next(iter(functions))
    raise click.UsageError(
        f"'{source}' has several functions: {names}; name one, as {source}:{first}"
    )


def _is_marked(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Has it the decorator `handler`?"""
    for one in node.decorator_list:
        called = one.func if isinstance(one, ast.Call) else one
        if isinstance(called, ast.Name) and called.id == "handler":
            return True
        if isinstance(called, ast.Attribute) and called.attr == "handler":
            return True
    return False
