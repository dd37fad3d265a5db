"""Contexts: named namespaces that outlive calls, each the dict of a module object."""

from __future__ import annotations

import sys

from pybridge import source
from pybridge.errors import BadArgument
from pybridge.status import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

__all__ = ["MAIN", "OWNED", "Context", "drop", "get", "names", "reset"]

MAIN = "main"

# Did the bridge start Python? Then the context "main" is `__main__`. Where Python ran
# before, `__main__` is somebody else's and is never touched.
OWNED = False

# What is done with a context that was just made, where there are settings; set by those
# who may know of the initializer.
BEGIN: Callable[[Context], None] | None = None

_CONTEXTS: dict[str, Context] = {}
# What was loaded before the first context: never forgotten.
_loaded: frozenset[str] = frozenset()


class Context:
    """A named namespace with the status of its last failure."""

    __slots__ = ("initialized", "module", "name", "namespace", "status")

    def __init__(self, name: str) -> None:
        self.name = name
        self.module = _module(name)
        self.namespace: dict[str, Any] = self.module.__dict__
        self.namespace.setdefault("__builtins__", sys.modules["builtins"])
        self.status = Status()
        # What initializers have done here: a key of theirs -> their report.
        self.initialized: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Say which context, not what is in it."""
        return f"<pybridge context {self.name!r}>"


def get(name: str | None = None) -> Context:
    """Return the context of that name, made on first use; none is "main"."""
    found = _CONTEXTS.get(name or MAIN)
    if found is not None:
        return found
    return _create(name or MAIN)


def names() -> list[str]:
    """Return the names of the contexts that exist, sorted."""
    return sorted(_CONTEXTS)


def reset() -> None:
    """Drop all contexts and forget the user's modules; Python goes on running.

    Extension modules and what is installed stay loaded: numpy cannot be loaded twice.
    Where the bridge did not start Python no module is forgotten: it may be the
    program's own.
    """
    contexts = list(_CONTEXTS.values())
    _CONTEXTS.clear()
    connections = sys.modules.get("pybridge.connections")
    if connections is not None:
        connections.close()
    # The library keeps namespaces of the contexts that are known. It must forget them
    # after no call can find them any more, and before they are gone.
    plane = sys.modules.get("pybridge._plane")
    if plane is not None:
        plane.forget()
    for context in contexts:
        context.status.clear()
        _clear(context)
    source.clear()
    if OWNED:
        _forget_modules()


def drop(name: str) -> None:
    """Forget one context; what was made in it, and is kept elsewhere, lives on."""
    found = _CONTEXTS.pop(name, None)
    if found is None:
        return
    plane = sys.modules.get("pybridge._plane")
    if plane is not None:
        plane.forget()
    if sys.modules.get(found.module.__name__) is found.module:
        del sys.modules[found.module.__name__]


def _create(name: str) -> Context:
    global _loaded  # noqa: PLW0603  (of the process)
    if not isinstance(name, str):
        raise BadArgument(f"the name of a context is text, not {type(name).__name__}")
    if not _loaded:
        _loaded = frozenset(sys.modules)
    # Two threads may both get here: the first one's context is the one that counts.
    made = Context(name)
    found = _CONTEXTS.setdefault(name, made)
    if found is made and BEGIN is not None and _has_settings():
        BEGIN(made)
    return found


def _has_settings() -> bool:
    """May there be an initializer? No costs two calls of stat, and no import."""
    import os

    environ = os.environ
    named = environ.get("PYBRIDGE_INITIALIZER")
    if named or environ.get("PYBRIDGE_SETTINGS"):
        return bool(named != "off")
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    for path in ("pybridge.toml", f"{home}/pybridge/pybridge.toml"):
        try:
            os.stat(path)  # noqa: PTH116 (pathlib costs more than a start)
        except OSError:
            continue
        return True
    return False


def _module(name: str) -> ModuleType:
    """Return the module of a context, in `sys.modules` so that pickle finds it."""
    if name == MAIN and OWNED:
        return sys.modules["__main__"]
    module_name = _module_name(name)
    module = sys.modules.get(module_name)
    if module is None:
        module = type(sys)(module_name)
        module = sys.modules.setdefault(module_name, module)
    return module


def _module_name(name: str) -> str:
    """Return the name of a context's module, without what is special in such names."""
    if name == MAIN:
        return "pybridge_main"
    # No two names share a module: "-" comes from here only.
    escaped = "".join(c if c.isalnum() or c == "_" else f"-{ord(c):x}-" for c in name)
    return "pybridge_context_" + escaped


def _clear(context: Context) -> None:
    """Empty a namespace but for what every module has; the dict stays the same."""
    namespace = context.namespace
    keep: dict[str, Any] = {
        key: namespace[key]
        for key in ("__builtins__", "__loader__", "__spec__", "__package__")
        if key in namespace
    }
    # The latest first: a __del__ may still need what was there before its object. And
    # again: it may add to the namespace.
    for _ in range(3):
        for key in reversed(list(namespace)):
            namespace.pop(key, None)
    if context.module is sys.modules.get("__main__"):
        namespace.update(keep, __name__="__main__", __doc__=None)
    else:
        sys.modules.pop(_module_name(context.name), None)


def _forget_modules() -> None:
    """Drop the user's modules from `sys.modules`, so that the next import reads them.

    A package of which any part is an extension, or is installed, is kept whole.
    """
    kept: set[str] = set()
    mine: set[str] = set()
    for name, module in list(sys.modules.items()):
        package = name.partition(".")[0]
        if name in _loaded or package == "pybridge" or not _is_users(module):
            kept.add(package)
        else:
            mine.add(name)
    for name in mine:
        if name.partition(".")[0] not in kept:
            sys.modules.pop(name, None)
    if mine and "importlib" in sys.modules:
        sys.modules["importlib"].invalidate_caches()


def _is_users(module: object) -> bool:
    """Was the module read from a file that is neither installed nor an extension?"""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        places = list(getattr(module, "__path__", ()))  # a namespace package
        return bool(places) and not any(_is_installed(str(place)) for place in places)
    if file.endswith((".so", ".pyd")):
        return False
    return not _is_installed(file)


def _is_installed(path: str) -> bool:
    library = str(sys.modules["os"].__file__).rpartition("/")[0] + "/"
    path += "/"
    return (
        path.startswith(library)
        or "/site-packages/" in path
        or "/dist-packages/" in path
    )
