"""M: a GT.M routine of extrinsic functions, `$$randint^pyrandom(1,6)`.

M names have no underscores and at most 31 characters: `get_random_bits` is
`getRandomBits`, the method `sqrt` of `Decimal` is `DecimalSqrt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybridge.stubs.words import (
    Names,
    call_text,
    comment_lines,
    expression,
    functions_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.stubs.survey import Constant, Function, Module, Parameter
    from pybridge.stubs.words import Options

__all__ = ["routine", "write"]

_SIZE = 31  # characters of a name that count
_FORMALS = 31  # of a label
_MORE = 8  # arguments behind the named ones, where there may be any number
_LINE = 2000  # characters of a comment

# What begins with % no Python name becomes. A gap in the arguments would move those
# behind it, so it is an error.
_SERVICE = """\
%call(%f) ; call Python with the caller's %a and %k
 new %r,%s
 do %whole
 set %s=$$ExecuteFunction^pybridge(%f,.%a,.%k,"",$get(%form,"value"),.%r)
 do:'%s %fail(%s)
 quit $get(%r)
 ;
%make(%f,%v) ; the same, and keep the object as the variable %v
 new %r,%s
 do %whole
 set %s=$$ExecuteFunction^pybridge(%f,.%a,.%k,%v,"repr",.%r)
 do:'%s %fail(%s)
 quit %v
 ;
%get(%f) ; what the Python path names
 new %r,%s
 set %s=$$GetVariable^pybridge(%f,$get(%form,"value"),.%r)
 do:'%s %fail(%s)
 quit $get(%r)
 ;
%whole ; each argument before the last one has to be given
 new %i
 for %i=1:1:+$order(%a(""),-1) do:'$data(%a(%i)) %fail("0^argument "_%i_" is missing")
 quit
 ;
%fail(%why) ; an error of M; %error says what it was
 set %error=$zpiece(%why,"^",2,999),$ecode=",U-PYBRIDGE,"
 quit"""


def routine(module: str, options: Options) -> str:
    """Return the name of the routine, which is that of its file too."""
    return (_mapped(options.package or "py") + _mapped(module))[:_SIZE]


def write(module: Module, options: Options) -> str:
    """Return the text of the routine."""
    return "\n".join(_Writer(module, options).lines()) + "\n"


def _mapped(name: str) -> str:
    """Return a Python name as an M name: in place of an underscore a capital."""
    first, *others = name.replace(".", "_").split("_")
    joined = first + "".join(part[:1].upper() + part[1:] for part in others)
    kept = "".join(char for char in joined if char.isascii() and char.isalnum())
    return kept if kept[:1].isalpha() else f"x{kept}"


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


class _Writer:
    def __init__(self, module: Module, options: Options) -> None:
        self._module = module
        self._options = options
        self._routine = routine(module.name, options)
        self._labels = Names((self._routine,), size=_SIZE, joint="")

    def lines(self) -> Iterator[str]:
        """Yield the lines of the routine."""
        name = self._module.name
        yield f"{self._routine} ; the Python module {name} as M functions"
        yield " ;"
        yield " ; Written by: pybridge stubs --target m"
        yield " ; An argument that is left out has its default in Python. The object of"
        yield " ; a class is a variable of the context: self is its name. Results are"
        yield " ; values of M; with %form set, that serialization of them. Failing sets"
        yield " ; $ecode to ,U-PYBRIDGE, and %error to what went wrong."
        yield from self._comment(self._module.docs)
        yield " quit"
        yield " ;"
        for function in functions_of(self._module):
            yield from self._function(function)
        for constant in self._constants():
            yield from self._constant(constant)
        yield from self._aliases()
        yield from _SERVICE.split("\n")

    def _comment(self, docs: str) -> Iterator[str]:
        lines = comment_lines(docs, self._options)
        if lines:
            yield " ;"
        for line in lines:
            yield f" ; {line[:_LINE]}".rstrip()

    def _constants(self) -> Iterator[Constant]:
        yield from self._module.constants
        for one in self._module.classes:
            yield from one.constants

    def _function(self, function: Function) -> Iterator[str]:
        yield from self._label(function, function.path)
        yield from self._comment(function.docs)
        yield from self._body(function)
        yield " ;"

    def _aliases(self) -> Iterator[str]:
        functions = {one.path: one for one in functions_of(self._module)}
        for alias, path in self._module.aliases:
            if path in functions:
                yield from self._label(functions[path], alias)
                yield from self._body(functions[path])
                yield " ;"

    def _label(self, function: Function, path: str) -> Iterator[str]:
        label = self._labels.take(_mapped(path))
        formals = ",".join(_formals(function).values())
        yield f"{label}({formals}) ; {call_text(self._module.name, function)}"

    def _constant(self, constant: Constant) -> Iterator[str]:
        label = self._labels.take(_mapped(constant.path))
        yield f"{label}() ; {self._module.name}.{constant.path}, {constant.type}"
        yield f" quit $$%get({_quote(expression(self._module.name, constant.path))})"
        yield " ;"

    def _body(self, function: Function) -> Iterator[str]:
        if function.kind == "property":
            yield f" quit $$%get(self_{_quote('.' + function.name)})"
            return
        formals = _formals(function)
        yield " new %a,%k"
        merges = list(_merges(function, formals))
        for at in range(0, len(merges), 8):
            yield f" merge {','.join(merges[at : at + 8])}"
        path = _quote(expression(self._module.name, function.path))
        if function.kind == "method":
            path = f"self_{_quote('.' + function.name)}"
        made = function.kind == "constructor"
        yield f" quit $${f'%make({path},self)' if made else f'%call({path})'}"


def _parameters(function: Function) -> list[Parameter]:
    """Return the parameters; of what has no signature any number and any names."""
    from pybridge.stubs.survey import Parameter

    if function.parameters is not None:
        return list(function.parameters)
    return [
        Parameter("args", "var_positional", None, None),
        Parameter("kwargs", "var_keyword", None, None),
    ]


def _formals(function: Function) -> dict[str, str]:
    """Return the formal list: Python's parameter -> its name in M.

    Where a label would have too many, those that come last and have defaults are left
    to `kwargs`.
    """
    names = Names((), size=_SIZE, joint="")
    formals: dict[str, str] = {}
    if function.kind in {"constructor", "method", "property"}:
        formals["self "] = names.take("self")
    parameters = _parameters(function)
    rest = any(one.kind == "var_keyword" for one in parameters)
    room = _FORMALS - len(formals)
    if sum(_width(one) for one in parameters) > room:
        rest, room = True, room - 1
    for one in parameters:
        room -= _width(one)
        if one.kind == "var_keyword" or room < 0:
            continue
        if one.kind == "var_positional":
            for number in range(1, _MORE + 1):
                formals[f"*{number}"] = names.take(f"{_mapped(one.name)}{number}")
        else:
            formals[one.name] = names.take(_mapped(one.name))
    if rest:
        formals["**"] = names.take("kwargs")
    return formals


def _width(parameter: Parameter) -> int:
    return _MORE if parameter.kind == "var_positional" else 1


def _merges(function: Function, formals: dict[str, str]) -> Iterator[str]:
    """Yield what brings the arguments into %a and %k; one not given brings nothing."""
    parameters = _parameters(function)
    more = any(one.kind == "var_positional" for one in parameters)
    place = 0
    for one in parameters:
        formal = formals.get(one.name)
        if one.kind == "var_positional":
            for number in range(1, _MORE + 1):
                if f"*{number}" in formals:
                    yield f"%a({place + number})={formals[f'*{number}']}"
        elif formal is None:
            pass
        elif one.kind == "positional_only" or (
            one.kind == "positional_or_keyword" and (one.required or more)
        ):
            place += 1
            yield f"%a({place})={formal}"
        else:
            yield f"%k({_quote(one.name)})={formal}"
    if "**" in formals:
        yield f"%k={formals['**']}"
