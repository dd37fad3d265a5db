"""Loading: the handler of a tree, in modules that no other load ever sees.

Each load has a package of its own, `_pybridge_function_<digest>_<number>`, below which
the modules of the tree have their names. They are in `sys.modules` as long as the load
lives: pickle, typing, dataclasses and pydantic look for a class's module there. The
modules' own `__import__` finds `import helper` in the tree first, then the originals'
names, then what is installed. Code is compiled once a process.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import itertools
import os
import re
import sys
import threading
import weakref
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, Undefined
from pybridge.functions import imports
from pybridge.functions.sources import handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import CodeType

    from pybridge.functions.sources import Tree

__all__ = ["PREFIX", "Loaded", "adopt", "load", "plain"]

PREFIX = "_pybridge_function_"  # what the modules of loaded functions begin with
_UNIQUE = re.compile(rf"\b{PREFIX}[0-9a-f]+_[0-9]+\.?")
_WORTH = 4096  # bytes of compiled code that are worth a file
_MOST = 4096  # code objects, and directory listings, that are kept

# The names that the original's documents use without importing them.
_INJECTED = ("Artifact", "Dataitem", "Model", "Project", "Run")

# What takes a module's name as its first argument: from a tree, the tree's are meant.
_NAMED: dict[str, frozenset[str]] = {
    "importlib": frozenset({"import_module"}),
    "importlib.util": frozenset({"find_spec"}),
    "importlib.resources": frozenset(
        {
            "as_file",
            "contents",
            "files",
            "is_resource",
            "open_binary",
            "open_text",
            "path",
            "read_binary",
            "read_text",
        }
    ),
    "pkgutil": frozenset({"get_data", "resolve_name"}),
}
_RELATIVE = ("find_spec", "import_module")  # these take a package besides
_NAMES = {"anchor", "name", "package"}  # the arguments that name a module

_numbers = itertools.count(1)
_codes: dict[str, CodeType] = {}
_listings: dict[str, frozenset[str]] = {}
_located: dict[tuple[str, str, str], tuple[str, str]] = {}


class Loaded:
    """A handler that is loaded, and the modules that belong to it.

    `close` takes the modules out of `sys.modules`; so does the end of this object.
    What was made from them goes on working.
    """

    def __init__(self, realm: _Realm, module: ModuleType, name: str) -> None:
        self.module = module
        self._realm = realm
        self._instances: dict[str, object] = {}
        self.name = name
        self.function: Callable[..., Any] = self.get(name, "handler")
        self._close = weakref.finalize(self, realm.leave)
        self._close.atexit = False

    @property
    def package(self) -> ModuleType:
        """The package that all modules of this load are in."""
        return self._realm.package

    def get(self, name: str, field: str = "init_function") -> Callable[..., Any]:
        """Return the callable of that name, `f` or `K.m`, from the handler's module.

        Raises:
            Undefined: there is no such name.
            BadArgument: it is not callable.

        """
        value: Any = self.module
        owner: Any = None
        walked = ""
        for part in name.split("."):
            owner, walked = value, f"{walked}.{part}".lstrip(".")
            try:
                value = getattr(value, part)
            except AttributeError:
                raise Undefined(self._absent(walked, field)) from None
        if not callable(value):
            raise BadArgument(
                f"{field} '{name}' in '{self._file()}' is "
                f"{type(value).__name__}, which is not callable; {self._callables()}"
            )
        if isinstance(owner, type) and _is_method(owner, name.rpartition(".")[2]):
            instance = self._instance(owner, name)
            value = getattr(instance, name.rpartition(".")[2])
        found: Callable[..., Any] = value
        return found

    def close(self) -> None:
        """Take the modules out of `sys.modules`; once is enough, more does no harm."""
        self._close()

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _instance(self, owner: type, name: str) -> object:
        """Return the one instance that the methods of a class are called on.

        Raises:
            BadArgument: it cannot be made without arguments.

        """
        key = name.rpartition(".")[0]
        if key not in self._instances:
            try:
                self._instances[key] = owner()
            except TypeError as exc:
                raise BadArgument(
                    f"handler '{name}' is a method, and its class cannot be made "
                    f"without arguments: {plain(str(exc))}; make it a staticmethod"
                ) from None
        return self._instances[key]

    def _absent(self, name: str, field: str) -> str:
        return handlers.absent(name, self._names(), self._file(), field)

    def _callables(self) -> str:
        names = self._names()
        return f"callable there: {', '.join(names[:10])}" if names else "nothing is"

    def _names(self) -> list[str]:
        """Return the callables that the handler's module defines itself."""
        return [
            name
            for name, value in vars(self.module).items()
            if not name.startswith("_")
            and callable(value)
            and getattr(value, "__module__", None) == self.module.__name__
        ]

    def _file(self) -> str:
        return os.path.basename(self.module.__file__ or self.name)  # noqa: PTH119


def load(
    tree: Tree,
    handler: str | None = None,
    namespace: Mapping[str, object] | None = None,
    named: Callable[[str, str], None] | None = None,
) -> Loaded:
    """Return a tree's handler, or another one of it, freshly loaded.

    `namespace` is what the handler's module has already when its code is run. `named`
    is told the names of the load's package and of that module before.

    Raises:
        BadArgument: the handler is not callable, or not in the tree.
        Undefined: its module has no such name.
        Exception: what the user's code raises when it is imported; a SyntaxError has
            the user's file and line.

    """
    module, name = tree.module, tree.name
    if handler is not None:
        module, name = _locate(tree, handler)
    realm = _Realm(tree.path, tree.digest, module)
    realm.start = namespace or {}
    realm.enter()
    try:
        if named is not None:
            named(realm.name, module)
        loaded = importlib.import_module(f"{realm.name}.{module}")
        return Loaded(realm, loaded, name)
    except ImportError as exc:
        _make_plain(exc)
        realm.leave()
        raise
    except BaseException:
        realm.leave()
        raise


def adopt(
    name: str,
    path: str,
    digest: str,
    module: str,
    namespace: Mapping[str, object] | None = None,
) -> None:
    """Make a load of another process here, for good."""
    number = int(name.rpartition("_")[2])
    while next(_numbers) < number:  # loads of this process have other names
        pass
    realm = _Realm(path, digest, module, name)
    realm.start = namespace or {}
    realm.enter()


def _locate(tree: Tree, handler: str) -> tuple[str, str]:
    """Return the module and name of another handler of a tree, looked for once."""
    key = (str(tree.path), tree.module, handler)
    found = _located.get(key)
    if found is None:
        what, default = tree.path.name, tree.module
        target = handlers.locate(handler, tree.path, default=default, what=what)
        found = target.module, target.name
        if len(_located) >= _MOST:
            _located.clear()
        _located[key] = found
    return found


def plain(text: str) -> str:
    """Return a text with the modules' names as the user knows them."""
    return _UNIQUE.sub("", text) if PREFIX in text else text


class _Realm:
    """The modules of one load: their package, their builtins, where imports look."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        digest: str,
        module: str,
        name: str | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.digest = digest
        self.name = name or f"{PREFIX}{digest[:12]}_{next(_numbers)}"
        self.injected = _injected()
        self.handlers = f"{self.name}.{module}"
        self.start: Mapping[str, object] = {}
        self.builtins = {**vars(builtins), "__import__": self._import}
        self.package = self._package()
        self._open = 0
        self._names: set[str] = set()  # of the modules that were looked for
        self._aside: dict[str, ModuleType] = {}
        self._lock = threading.RLock()
        self._tops: dict[str, str] = {}
        self._proxies: dict[str, ModuleType] = {}
        # Imports look where the tree starts, then on the way down to the handler.
        parts = module.split(".")[:-1]
        self._starts = [".".join(parts[:count]) for count in range(len(parts) + 1)]

    def enter(self) -> None:
        """Put the modules into `sys.modules`; to be left as often as entered."""
        with self._lock:
            self._open += 1
            if self._open == 1:
                _finder.realms[self.name] = self
                sys.modules[self.name] = self.package
                sys.modules.update(self._aside)
                self._aside = {}

    def leave(self) -> None:
        """Take the modules out of `sys.modules` when nobody is left who needs them."""
        with self._lock:
            self._open -= 1
            if self._open > 0:
                return
            for name in list(self._names):
                module = sys.modules.pop(name, None)
                if module is not None:
                    self._aside[name] = module
            sys.modules.pop(self.name, None)
            _finder.realms.pop(self.name, None)
            _forget_loggers(self.name, *self._names)
            _forget_paths(self.path)

    def find(self, fullname: str, path: Sequence[str]) -> ModuleSpec | None:
        """Return the spec of a module below this realm's package."""
        name = fullname.rpartition(".")[2]
        self._names.add(fullname)
        for directory in path:
            found = _look(directory, name, self.path)
            if found is None:
                continue
            kind, file = found
            if kind == "namespace":
                return _directory_spec(fullname, file)
            loader = _LOADERS[kind](fullname, file)
            if isinstance(loader, _Loader):
                loader.realm = self
            return importlib.util.spec_from_file_location(
                fullname,
                file,
                loader=loader,
                submodule_search_locations=(
                    [os.path.dirname(file)]  # noqa: PTH120
                    if kind == "package"
                    else None
                ),
            )
        return None

    def _package(self) -> ModuleType:
        """Make the package that the tree's modules are in; it is no file's."""
        package = ModuleType(self.name)
        package.__spec__ = _directory_spec(self.name, self.path)
        package.__loader__ = package.__spec__.loader
        package.__path__ = [self.path]
        package.__package__ = self.name
        return package

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what `import` does: the tree's modules first."""
        native = builtins.__import__
        if level > 0:
            with _Opened(self):
                return native(name, globals, locals, fromlist or (), level)
        top, dot, rest = name.partition(".")
        full = self._top(top)
        if full is None:
            originals = imports.resolve(name)
            if originals is not None:
                return originals if fromlist else imports.resolve(top) or originals
            return self.proxied(native(name, globals, locals, fromlist or (), level))
        with _Opened(self):
            module = native(full + dot + rest, globals, locals, fromlist or (), 0)
            return module if fromlist else sys.modules[full]

    def _translate(self, name: object) -> object:
        """Return a module's name in this realm; as it is where the tree has none."""
        if not isinstance(name, str) or name.startswith("."):
            return name
        top = re.split("[.:]", name, maxsplit=1)[0]
        full = self._top(top)
        return name if full is None else full + name[len(top) :]

    def translated(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], count: int
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return a call's arguments with the modules' names in this realm's form."""
        named = {key: self._translate(kwargs[key]) for key in _NAMES & kwargs.keys()}
        return (*map(self._translate, args[:count]), *args[count:]), {**kwargs, **named}

    def _top(self, name: str) -> str | None:
        """Return the full name of a module that the tree has; None where it has not."""
        full = self._tops.get(name)
        if full is None and name not in _NEVER:
            for start in itertools.chain(self._starts, self._paths()):
                directory = os.path.join(self.path, *start.split("."))  # noqa: PTH118
                found = _look(directory, name, self.path)
                if found is None or (
                    found[0] == "namespace" and self._is_installed(name)
                ):
                    continue
                full = ".".join(filter(None, (self.name, start, name)))
                self._tops[name] = full
                break
        return full

    def _is_installed(self, name: str) -> bool:
        """Is there a module of that name outside of the tree?"""
        if name in sys.modules:
            return True
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return False
        if spec is None:
            return False
        places = spec.submodule_search_locations or ["elsewhere"]
        inside = self.path + os.sep  # where the process lends it to others
        return not all(place.startswith(inside) for place in places)

    def _paths(self) -> Iterator[str]:
        """Give what the user's code put into `sys.path` of the tree, dotted."""
        inside = self.path + os.sep
        for entry in list(sys.path):
            if str(entry).startswith(inside):
                start = os.path.normpath(entry)[len(inside) :]
                if "." not in start:
                    yield start.replace(os.sep, ".")

    def proxied(self, module: ModuleType) -> ModuleType:
        """Return a module of importlib in a form that knows the tree."""
        name = getattr(module, "__name__", "")
        if name not in _NAMED:
            return module
        proxy = self._proxies.get(name)
        if proxy is None:
            proxy = self._proxies[name] = _Proxy(self, module)
        return proxy


class _Opened:
    """A realm's modules in `sys.modules` for one import, also after the load's end."""

    __slots__ = ("_realm",)

    def __init__(self, realm: _Realm) -> None:
        self._realm = realm

    def __enter__(self) -> None:
        self._realm.enter()

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        self._realm.leave()
        if isinstance(exc, ImportError):
            _make_plain(exc)


class _Loader(SourceFileLoader):
    """Runs a tree's source: compiled once a process, with the names of the runtime."""

    realm: _Realm

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of the module's file."""
        code = _codes.get(self.path)
        if code is None:
            code = super().get_code(fullname)
            if len(_codes) >= _MOST:
                _codes.clear()
            if code is not None and self.path.startswith(self.realm.path):
                _codes[self.path] = code
        return code

    def get_data(self, path: str) -> bytes:
        """Return the bytes of a file; compiled code lies beside the tree."""
        return super().get_data(self._beside(path) or path)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Keep compiled code for other processes, where compiling takes its time."""
        beside = self._beside(path)
        if beside is not None and len(data) >= _WORTH:
            super().set_data(beside, data, _mode=0o600)

    def _beside(self, path: str) -> str | None:
        """Return where compiled code is kept: the tree itself is never written to."""
        trees = f"{os.sep}trees{os.sep}{self.realm.digest}{os.sep}"
        if not path.endswith(".pyc") or trees not in path:
            return None
        return path.replace(trees, trees.replace("trees", "code", 1))

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in its namespace."""
        namespace = vars(module)
        namespace.update(self.realm.injected)
        if module.__name__ == self.realm.handlers:
            namespace.update(self.realm.start)
        namespace["__builtins__"] = self.realm.builtins
        code = self.get_code(module.__name__)
        if code is not None:
            exec(code, namespace)  # noqa: S102 - this is what loading is


_LOADERS: dict[str, Callable[[str, str], Any]] = {
    "package": _Loader,
    "source": _Loader,
    "compiled": SourcelessFileLoader,
    "extension": ExtensionFileLoader,
}


class _Directory:
    """Loads a directory that has no `__init__.py`: there is nothing to run."""

    def __init__(self, path: str) -> None:
        self.path = path

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing."""

    def get_resource_reader(self, name: str) -> Any:  # noqa: ARG002 - the protocol's
        """Return what finds the files in the directory."""
        from importlib.readers import FileReader

        return FileReader(self)  # type: ignore[arg-type]


def _directory_spec(fullname: str, directory: str) -> ModuleSpec:
    """Return the spec of a package that is a directory without `__init__.py`."""
    origin = f"{directory}{os.sep}__init__.py"  # where Python 3.9 looks for resources
    loader: Any = _Directory(origin)
    spec = ModuleSpec(fullname, loader, origin=origin, is_package=True)
    spec.submodule_search_locations = [directory]
    return spec


class _Finder:
    """The entry of `sys.meta_path` that knows all open realms, and nothing else."""

    def __init__(self) -> None:
        self.realms: dict[str, _Realm] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> ModuleSpec | None:
        """Return the spec of a tree's module."""
        if not fullname.startswith(PREFIX) or path is None:
            return None
        realm = self.realms.get(fullname.partition(".")[0])
        return None if realm is None else realm.find(fullname, path)


_finder = _Finder()
sys.meta_path.insert(0, _finder)


class _Proxy(ModuleType):
    """A module whose functions take the tree's names of modules, and else itself."""

    def __init__(self, realm: _Realm, module: ModuleType) -> None:
        super().__init__(module.__name__, module.__doc__)
        for name in ("__spec__", "__loader__", "__package__", "__file__", "__path__"):
            if hasattr(module, name):
                vars(self)[name] = getattr(module, name)
        vars(self)["_proxied"] = (realm, module)

    def __getattr__(self, name: str) -> Any:
        realm, module = vars(self)["_proxied"]
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            return realm.proxied(value)
        if name not in _NAMED[module.__name__]:
            return value

        def named(*args: Any, **kwargs: Any) -> Any:
            if name == "import_module" and len(args) == 1:
                ours = imports.resolve(str(args[0]))
                if ours is not None:
                    return ours
            args, kwargs = realm.translated(args, kwargs, 1 + (name in _RELATIVE))
            with _Opened(realm):
                return value(*args, **kwargs)

        return named

    def __setattr__(self, name: str, value: object) -> None:
        setattr(vars(self)["_proxied"][1], name, value)


# What is Python's own whatever lies in a tree, as everywhere.
_NEVER = frozenset((*sys.builtin_module_names, "__future__", "__main__", ""))


def _look(directory: str, name: str, root: str) -> tuple[str, str] | None:
    """Return the kind and file of a module in a directory, in Python's own order."""
    names = _listing(directory, root)
    base = f"{directory}{os.sep}{name}"
    if name in names and "__init__.py" in _listing(base, root):
        return "package", f"{base}{os.sep}__init__.py"
    for suffix in EXTENSION_SUFFIXES:
        if name + suffix in names:
            return "extension", base + suffix
    if name + ".py" in names:
        return "source", f"{base}.py"
    if name + ".pyc" in names:
        return "compiled", f"{base}.pyc"
    if name in names and _listing(base, root):
        return "namespace", base
    return None


def _listing(directory: str, root: str) -> frozenset[str]:
    """Return the names in a directory; those of a tree are read once."""
    names = _listings.get(directory)
    if names is None:
        try:
            names = frozenset(os.listdir(directory))  # noqa: PTH208 - on every run's way
        except OSError:
            names = frozenset()
        if directory.startswith(root):
            if len(_listings) >= _MOST:
                _listings.clear()
            _listings[directory] = names
    return names


def _is_method(owner: type, name: str) -> bool:
    """Is this a plain method, that has to be called on an instance?"""
    for base in owner.__mro__:
        if name in vars(base):
            return isinstance(vars(base)[name], FunctionType)
    return False


def _make_plain(exc: ImportError) -> None:
    """Let an error of an import speak of modules by the names that the user knows."""
    if PREFIX in str(exc.msg):
        exc.msg = plain(exc.msg)
        exc.args = (exc.msg, *exc.args[1:])
    if isinstance(exc.name, str):
        exc.name = plain(exc.name)


def _forget_loggers(*names: str) -> None:
    """Drop the loggers named like a load's modules: the names never come back."""
    if "logging" in sys.modules:
        import logging

        known = logging.Logger.manager.loggerDict
        for name in names:
            known.pop(name, None)


def _forget_paths(path: str) -> None:
    """Take a tree's directories out of `sys.path` when no load of it is left."""
    inside = path + os.sep
    left = [entry for entry in sys.path if not f"{entry}{os.sep}".startswith(inside)]
    if len(left) < len(sys.path) and all(
        realm.path != path for realm in list(_finder.realms.values())
    ):
        sys.path[:] = left


def _injected() -> dict[str, object]:
    """Return the names that code written for the original finds in its module."""
    from pybridge import functions

    return {name: getattr(functions, name) for name in _INJECTED}
