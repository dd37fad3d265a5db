"""A typed stub: what a type checker and an editor read of a module.

What is known of a type is what its annotation says in plain words; all else is Any.
Classes do not derive from each other, as the signatures of what they override need not
fit; each lists what it inherits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybridge.stubs.words import Names, comment_lines, legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.stubs.survey import Class, Constant, Function, Module, Parameter
    from pybridge.stubs.words import Options

__all__ = ["write"]

_PLAIN = frozenset(
    ("bool", "bytearray", "bytes", "complex", "float", "int", "object", "str")
)


def write(module: Module, options: Options) -> str:
    """Return the text of the stub."""
    return "\n".join(_Writer(module, options).lines()) + "\n"


class _Writer:
    def __init__(self, module: Module, options: Options) -> None:
        self._module = module
        self._options = options

    def lines(self) -> Iterator[str]:
        """Yield the lines of the stub."""
        module = self._module
        yield f"# The Python module {module.name}."
        yield "# Written by: pybridge stubs --target pyi"
        yield from self._docs(module.docs, "")
        # A module may have names such as Any and int itself.
        yield "import builtins as _builtins"
        yield "from typing import Any as _Any"
        yield ""
        yield from self._all()
        for constant in module.constants:
            yield f"{constant.path}: {_type(constant.type)}"
        for function in module.functions:
            yield ""
            yield from self._function(function, "")
        for one in module.classes:
            yield ""
            yield from self._class(one)
        if module.aliases:
            yield ""
        for alias, path in module.aliases:
            yield f"{alias} = {path}"

    def _all(self) -> Iterator[str]:
        module = self._module
        names = [
            *(one.path for one in module.constants),
            *(one.path for one in module.functions),
            *(one.path for one in module.classes),
            *(alias for alias, _ in module.aliases),
        ]
        yield "__all__ = ["
        for name in sorted(names):
            yield f'    "{name}",'
        yield "]"
        yield ""

    def _docs(self, docs: str, indent: str) -> Iterator[str]:
        lines = comment_lines(docs, self._options)
        if not lines:
            return
        text = "\n".join(f"{indent}{line}".rstrip() for line in lines).strip()
        text = text.replace("\\", "\\\\").replace('"""', r"\"\"\"")
        if text.endswith('"'):
            text = text[:-1] + r"\""
        yield from f'{indent}"""{text}"""'.split("\n")

    def _function(self, function: Function, indent: str) -> Iterator[str]:
        first = {"classmethod": "cls", "staticmethod": ""}.get(function.kind, "self")
        decorator = function.kind if first != "self" else ""
        if function.kind == "property":
            decorator = "property"
        name, returns = function.name, _type(function.returns)
        if not indent:
            first = decorator = ""
        if function.kind == "constructor":
            name, returns = "__init__", "None"
        if decorator:
            yield f"{indent}@_builtins.{decorator}"
        head = f"{indent}def {name}({_signature(function, first)}) -> {returns}:"
        docs = list(self._docs(function.docs, indent + "    "))
        if not docs or function.kind == "constructor":  # the class shows those
            yield f"{head} ..."
            return
        yield head
        yield from docs

    def _class(self, one: Class) -> Iterator[str]:
        base = "(_builtins.Exception)" if one.raised else ""
        yield f"class {one.path}{base}:"
        docs = list(self._docs(one.docs, "    "))
        yield from docs
        empty = not docs
        if one.constructor is not None and not one.raised:
            empty = False
            yield from self._function(one.constructor, "    ")
        for constant in one.constants:
            empty = False
            yield f"    {_last(constant)}: {_type(constant.type)}"
        for member in one.members:
            empty = False
            yield from self._function(member, "    ")
        if empty:
            yield "    ..."


def _last(constant: Constant) -> str:
    return constant.path.rpartition(".")[2]


def _signature(function: Function, first: str) -> str:
    """Return the parameters with their types; without a signature, any."""
    if function.parameters is None:
        anything = ["*args: _Any", "**kwargs: _Any"]
        return ", ".join([first, *anything] if first else anything)
    parts = [_parameter(one) for one in function.parameters]
    kinds = [one.kind for one in function.parameters]
    if "keyword_only" in kinds and "var_positional" not in kinds:
        parts.insert(kinds.index("keyword_only"), "*")
    if "positional_only" in kinds:
        parts.insert(kinds.count("positional_only"), "/")
    elif first and parts and first in {one.name for one in function.parameters}:
        parts.insert(0, "/")
    names = Names([one.name for one in function.parameters])
    return ", ".join([names.take(first), *parts] if first else parts)


def _parameter(one: Parameter) -> str:
    star = {"var_positional": "*", "var_keyword": "**"}.get(one.kind, "")
    default = "" if one.default is None else " = ..."
    return f"{star}{one.name}: {_type(one.annotation)}{default}"


def _type(annotation: str | None) -> str:
    """Return a type that any module knows, or Any."""
    words = legible(annotation or "").strip("'\"").split(" | ")
    known = [
        "None"
        if word in {"None", "NoneType"}
        else f"_builtins.{word}"
        if word in _PLAIN
        else ""
        for word in words
    ]
    return " | ".join(known) if all(known) else "_Any"
