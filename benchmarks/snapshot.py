"""Saving and restoring a context with a frame of 100 MB, beside fwrite and dill."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
import types
from typing import TYPE_CHECKING, Any

from benchmarks.data import BUILD
from benchmarks.harness import Bar, Case, CaseError, Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["groups"]

OURS = "pybridge `snapshot.save`"
MORE = "the same into a store that has a snapshot"
AGAIN = "the same again, nothing changed"
FWRITE = "`fwrite` of the same bytes"
DILL = "`dill.dump_module`"
RESTORE = "pybridge `snapshot.restore`"
READ = "the same, and every number summed"
DILL_LOAD = "`dill.load_module`"
DILL_READ = "`dill.load_module`, and every number summed"

MODULE = "bench_context"
FRAME = """
import collections, datetime, functools, itertools, json, math, re
import numpy as np, pandas as pd
from itertools import chain as joined
random = np.random.default_rng(2013)
df = pd.DataFrame({f"c{i}": random.random(rows) for i in range(10)}
  | {f"n{i}": random.integers(0, 10**9, rows) for i in range(3)})
del random
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
    def twice(self): return self.x * 2
point = Point(5)
def closure():
    n = 7
    return lambda v: v + n
add = closure()
"""
_KINDS: tuple[Callable[[int], object], ...] = (
    lambda i: i,
    lambda i: f"text {i}",
    lambda i: list(range(i)),
    lambda i: {str(i): [i, {"a": i / 3}]},
    lambda i: (i, b"x" * i),
)


def _code() -> str:
    values = [f"v{i} = {_KINDS[i % 5](i)!r}" for i in range(50)]
    functions = [
        f"def f{i}(a, b={i}):\n    'Add {i}.'\n    return a + b + v{5 * i} + twice(1)"
        for i in range(10)
    ]
    return "\n".join([FRAME, "def twice(x): return x * 2", *values, *functions])


def _fill(rows: int) -> Any:
    """Make the context; our save and dill's see the same objects."""
    from pybridge import context, main

    context.get("bench").namespace["rows"] = rows
    main.execute_code(_code(), context="bench")
    return context.get("bench").namespace


def _check(space: dict[str, Any], back: dict[str, Any]) -> None:
    """Raise unless everything that was saved has come back."""
    for name, value in space.items():
        if name.startswith("__"):
            continue
        if name not in back or not _same(name, value, back):
            raise CaseError(f"'{name}' came back as something else")


def _same(name: str, value: Any, back: dict[str, Any]) -> bool:
    other = back[name]
    if name == "df":
        return bool(value.equals(other))
    if name == "point":
        return type(other) is back["Point"] and bool(other.x == value.x)
    if isinstance(value, types.FunctionType):
        args = (3,) * bool(value.__code__.co_argcount)
        if name == "closure":
            return bool(other()(3) == value()(3))
        return bool(other(*args) == value(*args))
    if isinstance(value, type) and value.__module__ != "itertools":
        return bool(other(4).twice() == value(4).twice())
    return bool(other == value)


def _timed(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return (time.perf_counter() - begun) * 1e3


def _fwrite(folder: Path, size: int) -> Callable[[], float]:
    """Return a round of C's fwrite: one call, one new file, no sync."""
    import numpy as np

    libc = ctypes.CDLL(None)
    pointer, length = ctypes.c_void_p, ctypes.c_size_t
    libc.fopen.restype = pointer
    libc.fwrite.argtypes = (pointer, length, length, pointer)
    libc.fwrite.restype = length
    libc.fclose.argtypes = (pointer,)
    data = np.random.default_rng(1).integers(0, 255, size, np.uint8)
    path = folder / "raw"

    def write() -> None:
        file = libc.fopen(os.fsencode(path), b"wb")
        written = libc.fwrite(data.ctypes.data, 1, size, file)
        if libc.fclose(file) or written != size:
            raise CaseError("fwrite failed")

    def run() -> float:
        path.unlink(missing_ok=True)
        return _timed(write)

    return run


class _Saved:
    """A context, saved by pybridge and by dill, and compared with what comes back."""

    def __init__(self, rows: int) -> None:
        self.folder = BUILD / "snapshot"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.environ["PYBRIDGE_KEY"] = "of the benchmark"
        self.space = _fill(rows)
        self.module = sys.modules[str(self.space["__name__"])]
        self.original = dict(self.space)
        self.stores = 0
        self.kept = self.folder / "kept" / "contexts.db"
        self.check()
        files = [one for one in self.kept.parent.rglob("*") if one.is_file()]
        self.size = sum(one.stat().st_size for one in files)

    def check(self) -> None:
        """Raise unless both bring back everything."""
        skipped = self.save(self.kept).skipped
        if skipped:
            raise CaseError(f"not saved: {skipped}")
        _check(self.original, self.restore())
        self.dump()
        _check(self.original, self.load())
        self.space.update(self.original)

    def save(self, path: Path, mask: str = "*") -> Any:
        from pybridge import snapshot

        with snapshot.Store.open(path) as store:
            return snapshot.save("bench", "bench", mask, store=store)

    def save_new(self) -> float:
        for old in self.folder.glob("store*"):
            shutil.rmtree(old)
        self.stores += 1
        path = self.folder / f"store{self.stores}" / "contexts.db"
        return _timed(lambda: self.save(path))

    def save_more(self) -> float:
        """Save into a store that has something to lose, and so is synced."""
        for old in self.folder.glob("store*"):
            shutil.rmtree(old)
        self.stores += 1
        path = self.folder / f"store{self.stores}" / "contexts.db"
        self.save(path, "v*")
        return _timed(lambda: self.save(path))

    def save_again(self) -> float:
        if self.save(self.kept).bytes_written:
            raise CaseError("an unchanged frame was written again")
        return _timed(lambda: self.save(self.kept))

    def restore(self) -> Any:
        from pybridge import context, snapshot

        with snapshot.Store.open(self.kept) as store:
            snapshot.restore("bench", context="back", store=store)
        return context.get("back").namespace

    def dump(self) -> None:
        import dill

        dill.dump_module(self.folder / "dill", self.module)

    def dump_new(self) -> float:
        (self.folder / "dill").unlink(missing_ok=True)
        return _timed(self.dump)

    def load(self) -> Any:
        import dill

        return vars(dill.load_module(self.folder / "dill"))

    def fresh(self, do: Callable[[], Any], read: bool) -> float:
        """Time a restore into a context that has no frame to be dropped meanwhile."""
        from pybridge import context

        context.get("back").namespace.pop("df", None)
        self.space.pop("df", None)
        begun = time.perf_counter()
        back = do()
        if read:
            back["df"].sum().sum()
        taken = (time.perf_counter() - begun) * 1e3
        self.space.update(self.original)  # dill loads into the module it has saved
        return taken


def groups(rows: int) -> Iterable[Group]:
    """Return the groups of this file: `rows` of 13 columns, 104 MB for a million."""
    saved = _Saved(rows)
    megabytes = f"{saved.size / 1e6:.0f} MB"
    group = Group("snapshot", f"save a context with a frame of {megabytes}", "ms")
    group.cases = [
        Case(OURS, saved.save_new),
        Case(MORE, saved.save_more),
        Case(AGAIN, saved.save_again),
        Case(FWRITE, _fwrite(saved.folder, saved.size), note=megabytes),
        Case(DILL, saved.dump_new),
    ]
    group.bars = [
        Bar("save a context, fwrite of the same bytes", OURS, (FWRITE,), 1.3, False),
        Bar("save a context, dill", OURS, (DILL,), 2.5),
        Bar("save into a store that has one, fwrite", MORE, (FWRITE,), 0, False),
        Bar("save it again, the first time", AGAIN, (OURS,), 0),
    ]
    group.notes = [
        f"{rows:,} x 13 numbers, 50 variables, 12 functions, a class, 11 imports.",
        "Only SQLite syncs, its own file, and not the first snapshot of a new one.",
        "Each round writes new files. Before, all of it was restored and compared.",
    ]
    yield group
    group = Group("restore", f"restore a context with a frame of {megabytes}", "ms")
    group.cases = [
        Case(RESTORE, lambda: saved.fresh(saved.restore, False)),
        Case(READ, lambda: saved.fresh(saved.restore, True)),
        Case(DILL_LOAD, lambda: saved.fresh(saved.load, False)),
        Case(DILL_READ, lambda: saved.fresh(saved.load, True)),
    ]
    group.bars = [
        Bar("restore a context, dill", RESTORE, (DILL_LOAD,), 10),
        Bar("restore and read all of it, dill", READ, (DILL_READ,), 0),
    ]
    group.notes = ["The signature is checked; the frame is mapped, not read."]
    yield group
    shutil.rmtree(saved.folder, ignore_errors=True)
