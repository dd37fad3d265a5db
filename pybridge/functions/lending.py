"""Lending: the modules of a load, for the processes that the run starts.

What is forked has them. Another Python, such as multiprocessing spawns, finds on its
path a package of the load's name, which makes the load anew: what was pickled by its
name is there under that name. It also finds the tree's modules by their own names.

Only processes that are the run's alone lend: it changes their path and environment.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Lent", "adopt", "lend"]

_VARIABLE = "PYBRIDGE_MODULES"
_PACKAGE = (
    '"""A function of a run that has started this process."""\n\n'
    "from pybridge.functions.lending import adopt\n\n"
    "adopt(__name__)\n"
)


class Lent(NamedTuple):
    """A load, as another process makes it anew."""

    name: str  # of its package
    path: str
    digest: str
    module: str  # of the handler
    start: Union[int, str, None] = None  # the saved context that it begins with


def lend(lent: Lent, folder: Path) -> None:
    """Have what this process starts find the modules of a load.

    The folder is for packages that stand for loads.
    """
    os.environ[_VARIABLE] = json.dumps(lent)
    places = _places(lent)
    # Last, as this process has the modules; multiprocessing hands its path on.
    sys.path += [str(folder), *places]
    ahead = [] if _hides_pythons_own(places) else places
    before = os.environ.get("PYTHONPATH")
    paths = [str(folder), *ahead, *filter(None, [before])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    package = folder / lent.name / "__init__.py"
    if not package.exists():
        try:
            _write(package)
        except OSError:  # on a full disk, what is forked still has the modules
            return


def adopt(name: str) -> None:
    """Make the load of that name in this process, from what its parent lends.

    Raises:
        ImportError: nobody does.

    """
    told = os.environ.get(_VARIABLE)
    lent = Lent(*json.loads(told)) if told else None
    if lent is None or lent.name != name:
        raise ImportError(f"this process is of no run that has '{name}'", name=name)
    from pybridge.functions import loading

    namespace = None
    if lent.start is not None:
        from pybridge.functions.start import saved

        namespace = saved(lent.start)
    loading.adopt(name, lent.path, lent.digest, lent.module, namespace)


def _write(package: Path) -> None:
    """Write a package that stands for a load; another process may do the same."""
    package.parent.mkdir(parents=True, exist_ok=True)
    temporary = package.with_name(f"{os.getpid()}.new")
    temporary.write_text(_PACKAGE, encoding="ascii")
    temporary.replace(package)


def _places(lent: Lent) -> list[str]:
    """Return where imports look in a tree: its start, then on the way down."""
    parts = lent.module.split(".")[:-1]
    tree = Path(lent.path)
    return [str(tree.joinpath(*parts[:count])) for count in range(len(parts) + 1)]


def _hides_pythons_own(places: Sequence[str]) -> bool:
    """Would modules of the tree take the place of Python's own, for all programs?

    The tree's own imports go by its own names, and know no such trouble.
    """
    known = getattr(sys, "stdlib_module_names", ())  # not in Python 3.9
    return not {name for place in places for name in _names(place)}.isdisjoint(known)


def _names(place: str) -> Iterator[str]:
    for path in Path(place).iterdir():
        yield path.name.partition(".")[0]
