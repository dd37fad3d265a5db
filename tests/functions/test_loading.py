"""Loading: the handler of a tree, in modules that no other load ever sees."""

from __future__ import annotations

import sys
import threading
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pybridge.errors import BadArgument, Undefined
from pybridge.functions import loading, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pybridge.functions.loading import Loaded
    from pybridge.functions.store import Store

    Loader = Callable[..., Loaded]


@pytest.fixture
def load(store: Store, tmp_path: Path) -> Iterator[Loader]:
    """A function that loads a handler from files, or from one text."""
    kept: list[Loaded] = []

    def loader(files: dict[str, str] | str, handler: str = "f") -> Loaded:
        if isinstance(files, str):
            source = sources.check(code=dedent(files), handler=handler, store=store)
        else:
            directory = tmp_path / f"source{len(kept)}"
            for name, text in files.items():
                path = directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(dedent(text), encoding="utf-8")
            source = sources.check(code_src=directory, handler=handler, store=store)
        loaded = loading.load(sources.fetch(source, store=store))
        kept.append(loaded)
        return loaded

    yield loader
    for loaded in kept:
        loaded.close()


def modules() -> list[str]:
    """Return the modules of loads that are in sys.modules."""
    return [name for name in sys.modules if name.startswith("_pybridge_function")]


def test_load_gives_the_function(load: Loader) -> None:
    """S-10: an undecorated function is found and can be called."""
    loaded = load("def f(x):\n    return x + 1\n")

    assert 3 == loaded.function(2)


def test_files_import_each_other(load: Loader) -> None:
    """Absolute siblings, relative ones, packages, names and modules are all found."""
    loaded = load(
        {
            "pkg/__init__.py": "A = 1",
            "pkg/deep/__init__.py": "from .. import A\nfrom ..other import B",
            "pkg/other.py": "B = 2",
            "helper.py": "C = 3",
            "main.py": """
                import helper
                import pkg.other as other
                import pkg.other
                from helper import C
                from pkg import deep
                from pkg.deep import A, B
                from . import helper as again
                from .pkg.other import B as b

                assert again is helper
                assert pkg.other is other

                def f():
                    import pkg.deep
                    return A, B, b, C, helper.C, pkg.deep.A
                """,
        },
        "main:f",
    )

    assert (1, 2, 2, 3, 3, 1) == loaded.function()


def test_nothing_is_left_after_close(load: Loader) -> None:
    """The modules of a load leave `sys.modules` with it."""
    loaded = load({"main.py": "import a\ndef f(): return a.X", "a.py": "X = 1"})
    during = modules()

    loaded.close()

    assert 3 == len(during)
    assert [] == modules()


def test_threads_never_see_each_other(store: Store) -> None:
    """§7.6: 4 threads load 50 times each; all get their own code and helper."""
    trees = []
    for number in range(4):
        path = store.root / f"source{number}"
        path.mkdir()
        (path / "main.py").write_text("import helper\ndef f(): return helper.N")
        (path / "helper.py").write_text(f"N = {number}")
        source = sources.check(code_src=path, handler="main:f", store=store)
        trees.append(sources.fetch(source, store=store))
    right = []

    def work(number: int) -> None:
        for _ in range(50):
            with loading.load(trees[number]) as loaded:
                right.append(loaded.function() == number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [True] * 200 == right
    assert [] == modules()


def test_handler_that_is_not_callable_is_refused_with_those_that_are(
    load: Loader,
) -> None:
    """§4: the error names the callables that there are."""
    with pytest.raises(BadArgument, match=r"int, which is not callable.*there: g"):
        load("f = 1\ndef g(): pass\n")


def test_handler_that_is_not_there_is_refused_with_the_nearest(load: Loader) -> None:
    """A name that the module turns out not to have is told with what it has."""
    with pytest.raises(Undefined, match="did you mean 'first'"):
        load("globals()\ndef first(): pass\n", "frist")
