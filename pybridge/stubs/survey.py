"""What a module has: its functions, classes and constants, as plain data.

Nothing is called and no property is read. What is left out stands in `skipped`, each
with its reason.
"""

from __future__ import annotations

import inspect
import re
import warnings
from dataclasses import asdict, dataclass
from functools import partialmethod, singledispatchmethod
from importlib import import_module
from keyword import iskeyword
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pybridge import _describe
from pybridge.errors import BadArgument
from pybridge.snapshot.mask import matcher
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EXCLUDE",
    "INCLUDE",
    "Class",
    "Constant",
    "Function",
    "Masks",
    "Module",
    "Parameter",
    "survey",
]

# The masks of the original gateway's generator.
INCLUDE = "*,__init__"
EXCLUDE = "_*,*_"

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; kind is that of inspect, in lower case."""

    name: str
    kind: str
    default: str | None  # its repr; None = there is none
    annotation: str | None

    @property
    def required(self) -> bool:
        """Has a caller to give it?"""
        return self.default is None and not self.kind.startswith("var_")


@dataclass(frozen=True, slots=True)
class Function:
    """A function, a method, a constructor, or a property that is read.

    path is below the module, "randint" or "Random.choice". parameters are without self
    and cls; None = there is no signature to be had.
    """

    path: str
    kind: str  # function, constructor, method, classmethod, staticmethod, property
    parameters: tuple[Parameter, ...] | None
    returns: str | None
    docs: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is no function, class or module."""

    path: str
    type: str
    docs: str


@dataclass(frozen=True, slots=True)
class Class:
    """A class with what it has and inherits."""

    path: str
    docs: str
    raised: bool  # is it an exception?
    constructor: Function | None
    members: tuple[Function, ...]
    constants: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """A module; aliases are (name, path of what it names)."""

    name: str
    package: bool  # has it modules inside?
    docs: str
    functions: tuple[Function, ...]
    classes: tuple[Class, ...]
    constants: tuple[Constant, ...]
    aliases: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]

    def data(self) -> dict[str, Any]:
        """Return it as dicts and lists, for JSON."""
        return asdict(self)


class Masks:
    """Which names are wanted: comma lists of names, in which `*` and `?` are wild.

    A name that stands in `include` as it is, is wanted; one that stands in `exclude` as
    it is, is not; any other has to match one of the first and none of the second.
    """

    def __init__(self, include: str = INCLUDE, exclude: str = EXCLUDE) -> None:
        self.named = _words(include)
        self._unnamed = _words(exclude)
        self._wanted = matcher(include)
        self._unwanted = matcher(exclude)

    def __call__(self, *names: str) -> bool:
        """Is it wanted? The names are the ways to call it: choice, Random.choice."""
        if any(name in self.named for name in names):
            return True
        if any(name in self._unnamed for name in names):
            return False
        return any(self._wanted(name) for name in names) and not any(
            self._unwanted(name) for name in names
        )


def _words(mask: str) -> frozenset[str]:
    return frozenset(word.strip() for word in mask.split(",") if word.strip())


def survey(module: str, masks: Masks | None = None) -> Module:
    """Return what a module has, in the order of its names.

    Raises:
        BadArgument: there is no such module, or it cannot be imported.

    """
    return _Survey(module, _imported(module), masks or Masks()).module()


def _imported(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise BadArgument(
            f"'{name}' is not the name of a module; a full name is wanted, as 'a.b'"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except BaseException as exc:  # a module is code, and may do anything
        if isinstance(exc, KeyboardInterrupt):
            raise
        raise BadArgument(
            f"module '{name}' cannot be imported: {type(exc).__name__}: {exc}"
        ) from None


class _Survey:
    """A module while it is being looked at."""

    def __init__(self, name: str, module: ModuleType, masks: Masks) -> None:
        self.found = module
        self.name = name  # os.path is another module on each system
        self.masks = masks
        self.skipped: list[tuple[str, str]] = []

    def module(self) -> Module:
        values = dict(self._public())
        aliases = _aliases(values)
        functions: list[Function] = []
        classes: list[Class] = []
        constants: list[Constant] = []
        for name, value in values.items():
            if name in aliases:
                continue
            if inspect.isclass(value):
                if (found := self._class(name, value)) is not None:
                    classes.append(found)
            elif isinstance(value, ModuleType):
                self.skipped.append((name, "a module; name it to have it wrapped"))
            elif not self.masks(name):
                pass
            elif _is_callable(value):
                functions.append(describe(name, value, "function"))
            else:
                constants.append(Constant(name, type_name(type(value)), ""))
        kept = {one.path for one in functions} | {one.path for one in classes}
        return Module(
            self.name,
            hasattr(self.found, "__path__"),
            _docs(self.found),
            tuple(functions),
            tuple(classes),
            tuple(constants),
            tuple(
                (name, of)
                for name, of in aliases.items()
                if of in kept and self.masks(name)
            ),
            tuple(sorted(self.skipped)),
        )

    def _public(self) -> Iterable[tuple[str, Any]]:
        """Yield the names of the module and what they name, in order."""
        listed = getattr(self.found, "__all__", None)
        names = {name for name in listed or dir(self.found) if isinstance(name, str)}
        for name in sorted(names | (self.masks.named & set(dir(self.found)))):
            if not _is_name(name):
                continue
            try:
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    value = getattr(self.found, name)
            except Exception as exc:
                self.skipped.append((name, _reason(exc)))
                continue
            if any(_is_deprecation(one, name) for one in said):
                self.skipped.append((name, "deprecated"))
            elif listed is not None or self._is_own(name, value):
                yield name, value

    def _is_own(self, name: str, value: object) -> bool:
        """Without `__all__`: is it the module's, rather than imported by it?"""
        if name.startswith("_") and name not in self.masks.named:
            return False
        if isinstance(value, ModuleType):
            return value.__name__ == f"{self.name}.{name}"
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            return True
        home = getattr(value, "__module__", None)
        if not isinstance(home, str):
            return True
        top = self.name.partition(".")[0]
        return home.partition(".")[0] in {top, f"_{top}"} or home == "builtins"

    def _class(self, name: str, found: type) -> Class | None:
        members: list[Function] = []
        constants: list[Constant] = []
        whole = name in self.masks.named
        for attribute, static in sorted(_attributes(found).items()):
            path = f"{name}.{attribute}"
            if attribute == "__init__" or not (
                self.masks(attribute, path)
                or (whole and Masks("*", EXCLUDE)(attribute))
            ):
                continue
            member = _member(path, found, attribute, static)
            if isinstance(member, Function):
                members.append(member)
            elif member is not None:
                constants.append(member)
        if not self.masks(name) and not any(
            f"{name}." in word for word in self.masks.named
        ):
            return None
        constructor = None
        if self.masks("__init__", f"{name}.__init__") or whole:
            constructor = describe(name, found, "constructor")
        return Class(
            name,
            _docs(found),
            issubclass(found, BaseException),
            constructor,
            tuple(members),
            tuple(constants),
        )


def _aliases(values: dict[str, Any]) -> dict[str, str]:
    """Return the names that are second names: name -> the one that counts."""
    first: dict[int, str] = {}
    for name, value in values.items():
        if inspect.isclass(value) or inspect.isroutine(value):
            own = getattr(value, "__name__", None)
            if own == name or id(value) not in first:
                first[id(value)] = name
    return {
        name: first[id(value)]
        for name, value in values.items()
        if first.get(id(value), name) != name
    }


def _attributes(found: type) -> dict[str, Any]:
    """Return what a class has and inherits, as it is stored; nothing is bound."""
    gathered: dict[str, Any] = {}
    for cls in reversed(found.__mro__):
        if cls not in {object, BaseException}:
            gathered.update(cls.__dict__)
    return {name: it for name, it in gathered.items() if _is_name(name)}


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and not iskeyword(name)


def _member(
    path: str, owner: type, name: str, static: Any
) -> Function | Constant | None:
    member: Function | Constant | None = None
    kind = type(static).__name__
    if isinstance(static, staticmethod):
        member = describe(path, static.__func__, "staticmethod")
    elif isinstance(static, classmethod) or kind == "classmethod_descriptor":
        member = describe(path, getattr(owner, name, None), "classmethod")
    elif inspect.isclass(static):
        pass  # a class inside a class
    elif kind == "builtin_function_or_method":
        member = describe(path, static, "staticmethod")
    elif isinstance(static, (partialmethod, singledispatchmethod)):
        member = Function(path, "method", None, None, _docs(static))
    elif _is_callable(static) and hasattr(type(static), "__get__"):
        member = describe(path, static, "method", bound=True)
    elif hasattr(type(static), "__get__"):
        member = Function(path, "property", (), None, _docs(static))
    elif static is not None and not _is_callable(static):  # as __hash__ may be
        member = Constant(path, type_name(type(static)), "")
    return member


def _is_callable(value: object) -> bool:
    try:
        return callable(value)
    except Exception:  # a __class__ that raises
        return False


def describe(path: str, found: Any, kind: str, *, bound: bool = False) -> Function:
    """Describe something that can be called; bound: leave out its first parameter."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = _describe.function_info(path, found, defined=True)
    except Exception:  # a signature, docs or defaults that are somebody's code
        return Function(path, kind, None, None, "")
    parameters = info["arguments"]
    if parameters is None:
        parameters = _of_ufunc(found)
    elif bound and parameters and not parameters[0]["kind"].startswith("var_"):
        parameters = parameters[1:]
    return Function(
        path,
        kind,
        None if parameters is None else tuple(_parameter(one) for one in parameters),
        _returns(info["signature"]),
        _clean(info["docs"] or ""),
    )


def _of_ufunc(found: Any) -> list[dict[str, Any]] | None:
    """Numpy before 2.4 tells the signature of a ufunc by its numbers alone."""
    count = getattr(found, "nin", None)
    if not isinstance(count, int) or not hasattr(found, "nout"):
        return None
    absent = {"default": None, "annotation": None}
    names = [f"x{i + 1}" for i in range(count)] if count > 1 else ["x"]
    return [
        *({"name": name, "kind": "positional_only", **absent} for name in names),
        {"name": "kwargs", "kind": "var_keyword", **absent},
    ]


def _parameter(one: dict[str, Any]) -> Parameter:
    default = one["default"]
    return Parameter(
        one["name"].strip("."),  # ".0" is a comprehension's
        one["kind"],
        None if default is None else _ADDRESS.sub("", default),
        one["annotation"],
    )


def _returns(signature: str | None) -> str | None:
    if signature is None or ") -> " not in signature:
        return None
    return signature.rpartition(") -> ")[2].strip("'\"")


def _docs(found: object) -> str:
    try:
        return _clean(inspect.getdoc(found) or "")
    except Exception:
        return ""


def _clean(docs: object) -> str:
    return _ADDRESS.sub("", docs) if isinstance(docs, str) else ""


def _reason(exc: Exception) -> str:
    try:
        text = f"{type(exc).__name__}: {exc}"
    except Exception:
        return type(exc).__name__
    return _ADDRESS.sub("", text.partition("\n")[0])


def _is_deprecation(said: warnings.WarningMessage, name: str) -> bool:
    kinds = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    return issubclass(said.category, kinds) and name in str(said.message)
