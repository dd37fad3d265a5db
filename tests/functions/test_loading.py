"""Loading: the handler of a tree, in modules that no other load ever sees."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pybridge.errors import BadArgument, Undefined
from pybridge.functions import loading, pythons, sources
from tests.programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.mark.parametrize(
    ("code", "handler"),
    [
        ("class K:\n    def m(self): return 'm'\n", "K.m"),
        ("class K:\n    @staticmethod\n    def m(): return 'm'\n", "K.m"),
        ("class K:\n    @classmethod\n    def m(cls): return 'm'\n", "K.m"),
        ("class A:\n    def m(self): return 'm'\nclass K(A): ...\n", "K.m"),
        ("class K:\n    class L:\n        def m(self): return 'm'\n", "K.L.m"),
        ("class K:\n    def m(self): return 'm'\nk = K()\n", "k.m"),
        ("class K:\n    def __call__(self): return 'm'\nk = K()\n", "k"),
        ("class K(str):\n    def __new__(cls): return 'm'\n", "K"),
        ("import functools\nf = functools.partial(str, 'm')\n", "f"),
        ("f = lambda: 'm'\n", "f"),
    ],
)
def test_handler_may_be_any_callable(load: Loader, code: str, handler: str) -> None:
    """§4: methods, which the original could not, instances, classes and all else."""
    assert "m" == load(code, handler).function()


def test_methods_of_a_load_share_an_instance(load: Loader) -> None:
    """What an init method stores on `self` is there for the handler."""
    loaded = load(
        """
        class K:
            def init(self): self.x = 1
            def m(self): return self.x
        """,
        "K.m",
    )

    loaded.get("K.init")()

    assert 1 == loaded.function()


def test_class_that_needs_arguments_is_told(load: Loader) -> None:
    """A method of a class that nobody can make is refused with the cure."""
    code = "class K:\n    def __init__(self, x): ...\n    def m(self): ...\n"

    with pytest.raises(BadArgument, match="make it a staticmethod"):
        load(code, "K.m")


def test_class_whose_init_fails_says_so_itself(load: Loader) -> None:
    """An error of the user's own `__init__` is the user's error."""
    code = """
        class K:
            def __init__(self): raise LookupError("mine")
            def m(self): ...
        """

    with pytest.raises(LookupError, match="mine"):
        load(code, "K.m")


def test_names_of_the_document_are_there(load: Loader) -> None:
    """S-15: `di: Dataitem` works without an import, as the document writes it."""
    from pybridge import functions

    loaded = load(
        {
            "main.py": """
            import other
            def f(di: Dataitem, a: Artifact, m: Model, project: Project, run: Run):
                return Dataitem, other.X
            """,
            "other.py": "X = Model",
        },
        "main:f",
    )

    assert loaded.function.__annotations__["di"] is functions.Dataitem
    assert (functions.Dataitem, functions.Model) == loaded.function(*range(5))


def test_names_of_the_document_may_be_the_users(load: Loader) -> None:
    """A class `Model` of the user's own is the one that counts."""
    assert 1 == load("class Model:\n    X = 1\ndef f(): return Model.X\n").function()


@pytest.mark.parametrize(
    "code",
    [
        "from digitalhub_runtime_python import handler",
        "import digitalhub_runtime_python\nhandler = digitalhub_runtime_python.handler",
        "import digitalhub_runtime_python as d\nhandler = d.handler",
        "import importlib\n"
        "handler = importlib.import_module('digitalhub_runtime_python').handler",
    ],
)
def test_originals_names_are_ours(load: Loader, code: str) -> None:
    """S-3: code that was written for the original is loaded unmodified."""
    loaded = load(f"{code}\n@handler(outputs=['x'])\ndef f(): return 1\n")

    assert hasattr(loaded.function, "__pybridge_handler__")
    assert "digitalhub_runtime_python" not in sys.modules


@pytest.mark.parametrize(
    "code",
    [
        "import importlib\nmodule = importlib.import_module('pkg.helper')",
        "import importlib as i\nmodule = i.import_module('.helper', 'pkg')",
        "import importlib as i\nmodule = i.import_module('.helper', package='pkg')",
        "import importlib as i\nmodule = i.import_module(name='pkg.helper')",
        "from importlib import import_module\nmodule = import_module('pkg.helper')",
        "module = __import__('pkg.helper').helper",
        "module = __import__('pkg.helper', fromlist=['X'])",
        "exec('import pkg.helper as module')",
        "import importlib.util\nassert importlib.util.find_spec('pkg.helper')\n"
        "assert importlib.util.find_spec('none') is None\nimport pkg.helper as module",
        "import pkgutil\nassert pkgutil.get_data('pkg', 'd.txt') == b'data'\n"
        "module = pkgutil.resolve_name('pkg.helper')",
        "from importlib import resources\n"
        "assert resources.files('pkg').joinpath('d.txt').read_text() == 'data'\n"
        "import pkg.helper as module",
        "from importlib.resources import files\nimport pkg.helper as module\n"
        "assert files(module.__package__).joinpath('d.txt').read_text() == 'data'",
        "import importlib, pkg.helper\nmodule = importlib.reload(pkg.helper)",
        "import pkgutil, pkg\n"
        "assert [m.name for m in pkgutil.iter_modules(pkg.__path__)] == ['helper']\n"
        "import pkg.helper as module",
    ],
)
def test_ways_to_import_find_the_tree(load: Loader, code: str) -> None:
    """All that takes a module's name takes one of the tree."""
    loaded = load(
        {
            "pkg/__init__.py": "",
            "pkg/helper.py": "X = 1",
            "pkg/d.txt": "data",
            "main.py": f"{code}\ndef f(): return module.X\n",
        },
        "main:f",
    )

    assert 1 == loaded.function()
    assert not {"pkg", "pkg.helper", "main"} & set(sys.modules)


def test_importlib_stays_what_it_is(load: Loader) -> None:
    """What is not about the tree is the real thing, and can be set as such."""
    import importlib.machinery

    loaded = load(
        """
        import importlib, importlib.util, sys, types
        import importlib.machinery as machinery
        from importlib import metadata
        def f():
            importlib.pybridge_test = 1
            importlib.invalidate_caches()
            json = importlib.import_module("json")
            return (machinery, json is sys.modules["json"],
                isinstance(importlib, types.ModuleType), importlib.__name__,
                importlib.pybridge_test)
        """
    )

    result = loaded.function()
    del importlib.pybridge_test  # type: ignore[attr-defined]

    assert (importlib.machinery, True, True, "importlib", 1) == result


def test_handlers_directory_is_searched_too(load: Loader) -> None:
    """`import helper` finds what lies beside the handler, as in a script."""
    loaded = load(
        {
            "src/jobs/main.py": "import near, top, src.jobs.near\n"
            "assert near is src.jobs.near\ndef f(): return near.X, top.X",
            "src/jobs/near.py": "X = 1",
            "top.py": "X = 2",
        },
        "src.jobs.main:f",
    )

    assert (1, 2) == loaded.function()


def test_directory_put_into_the_path_is_searched_for_this_load_alone(
    load: Loader,
) -> None:
    """`sys.path.insert(0, ...)` of a directory in the tree works; nothing is left."""
    loaded = load(
        {
            "main.py": "import sys, pathlib\n"
            "sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))\n"
            "import special\ndef f(): return special.X",
            "lib/special.py": "X = 1",
        },
        "main:f",
    )
    result = loaded.function()
    path = str(loaded.module.__file__).rpartition("/")[0]

    loaded.close()

    assert 1 == result
    assert "special" not in sys.modules
    assert not [entry for entry in sys.path if entry.startswith(path)]


def test_module_of_the_tree_comes_before_an_installed_one(load: Loader) -> None:
    """As in a script, `colorsys.py` beside the handler is meant, and by it alone."""
    import colorsys

    loaded = load(
        {
            "main.py": "import colorsys\ndef f(): return colorsys.X",
            "colorsys.py": "X=1",
        },
        "main:f",
    )

    assert 1 == loaded.function()
    assert not hasattr(colorsys, "X")


def test_directory_of_data_hides_no_installed_module(load: Loader) -> None:
    """A directory `json` or `email` without `__init__.py` is data, not a package."""
    loaded = load(
        {
            "main.py": "import json, ours.x\ndef f(): return json.dumps(ours.x.X)",
            "json/data.txt": "",
            "ours/x.py": "X = [1]",
        },
        "main:f",
    )

    assert "[1]" == loaded.function()


def test_circular_imports_work_as_everywhere(load: Loader) -> None:
    """Modules that import each other are found half-made, as Python does it."""
    loaded = load(
        {
            "main.py": "import a\ndef f(): return a.g()",
            "a.py": "import b\ndef g(): return b.h()\nX = 1",
            "b.py": "import a\nfrom . import a as again\ndef h(): return again.X",
        },
        "main:f",
    )

    assert 1 == loaded.function()


def test_circular_import_of_a_name_is_told_in_the_users_names(load: Loader) -> None:
    """The error names the modules as the user does, with file and line."""
    files = {
        "main.py": "import a\ndef f(): ...",
        "a.py": "from b import Y\nX = 1",
        "b.py": "from a import X\nY = 1",
    }

    with pytest.raises(ImportError, match=r"'X' from partially.* module 'a'") as caught:
        load(files, "main:f")

    assert "_pybridge" not in str(caught.value)
    assert ("b.py", 1) in lines(caught.value)


def lines(exc: BaseException) -> list[tuple[str, int | None]]:
    """Return the files and lines of a traceback."""
    frames = traceback.extract_tb(exc.__traceback__)
    return [(Path(frame.filename).name, frame.lineno) for frame in frames]


def test_import_error_has_the_users_line(load: Loader) -> None:
    """§7.4: what is not installed is told as Python tells it, where it is wanted."""
    files = {"main.py": "\nimport nothing_of_that_name\ndef f(): ..."}

    with pytest.raises(ModuleNotFoundError, match="'nothing_of_that_name'") as caught:
        load(files, "main:f")

    assert ("main.py", 2) in lines(caught.value)
    assert [] == modules()


def test_missing_module_of_the_tree_is_told_by_its_own_name(load: Loader) -> None:
    """A submodule that a package does not have is named as it was written."""
    files = {"main.py": "import pkg.none\ndef f(): ...", "pkg/__init__.py": ""}

    with pytest.raises(ModuleNotFoundError) as caught:
        load(files, "main:f")

    assert ("No module named 'pkg.none'", "pkg.none") == (
        str(caught.value),
        caught.value.name,
    )


def test_syntax_error_has_the_users_file_and_line(load: Loader) -> None:
    """§7.4: the error is Python's own, with the file as the user knows it."""
    with pytest.raises(SyntaxError) as caught:
        load(
            {"main.py": "import a\ndef f(): ...", "a.py": "x = 1\ndef q(:\n"}, "main:f"
        )

    assert "a.py" == Path(str(caught.value.filename)).name
    assert (2, "def q(:\n") == (caught.value.lineno, caught.value.text)


def test_error_of_a_call_has_the_users_lines(load: Loader) -> None:
    """A traceback shows the user's source, also after the load is closed."""
    loaded = load("def g():\n    return 1 / 0  # here\ndef f():\n    return g()\n")
    loaded.close()

    with pytest.raises(ZeroDivisionError) as caught:
        loaded.function()

    shown = "".join(traceback.format_exception(caught.value))
    assert "return 1 / 0  # here" in shown
    assert ("main.py", 2) in lines(caught.value)


def test_exit_while_loading_leaves_nothing(load: Loader) -> None:
    """`sys.exit` in a source goes to the caller, who knows what to do with it."""
    with pytest.raises(SystemExit):
        load("import sys\nsys.exit(3)\ndef f(): ...\n")

    assert [] == modules()


def test_each_load_is_fresh(load: Loader) -> None:
    """What a run leaves in its modules is not there for the next one."""
    code = "n = []\ndef f():\n    n.append(1)\n    return len(n)\n"

    first, second = load(code).function, load(code).function

    assert [1, 2, 1] == [first(), first(), second()]


def test_classes_are_found_by_those_who_look_for_their_module(load: Loader) -> None:
    """Pickle, dataclasses, type hints, pydantic and inspect all know the module."""
    loaded = load(
        """
        from __future__ import annotations
        import dataclasses, enum, inspect, pickle, typing
        import pydantic

        @dataclasses.dataclass
        class D:
            x: int
            c: typing.ClassVar[int] = 1

        class E(enum.Enum):
            A = 1

        class P(pydantic.BaseModel):
            d: D
            e: E
            p: P | None = None

        class T(typing.NamedTuple):
            d: D

        def g(d: D) -> P: ...

        def f():
            p = P(d=D(1), e="A" and 1, p={"d": {"x": 2}, "e": 1})
            return (
                pickle.loads(pickle.dumps([D(1), E.A, T(D(2)), p])) == [
                    D(1), E.A, T(D(2)), p],
                pickle.loads(pickle.dumps(g)) is g,
                typing.get_type_hints(g) == {"d": D, "return": P},
                typing.get_type_hints(D)["x"],
                [field.name for field in dataclasses.fields(D)],
                "class D" in inspect.getsource(D),
                inspect.getmodule(f).__file__ == __file__,
            )
        """
    )

    assert (True, True, True, int, ["x"], True, True) == loaded.function()


def test_data_beside_the_code_is_found(load: Loader) -> None:
    """`__file__` is a real path, and resources are those of the tree."""
    loaded = load(
        {
            "main.py": """
            from importlib import resources
            from pathlib import Path
            def f():
                here = Path(__file__).parent
                return ((here / "data" / "d.txt").read_text(),
                    resources.files(__package__).joinpath("data/d.txt").read_text())
            """,
            "data/d.txt": "data",
        },
        "main:f",
    )

    assert ("data", "data") == loaded.function()


def test_import_after_the_end_of_the_load_still_works(load: Loader) -> None:
    """A thread that outlives its run finds its modules, and leaves none behind."""
    loaded = load(
        {
            "main.py": """
            def f():
                import late, helper
                from .pkg import deep
                return late.X, deep.X, helper is __import__("helper")
            """,
            "late.py": "from helper import X",
            "helper.py": "X = 1",
            "pkg/deep.py": "import helper\nX = helper.X + 1",
        },
        "main:f",
    )
    loaded.close()

    assert (1, 2, True) == loaded.function()
    assert [] == modules()


def test_load_that_is_dropped_is_closed(load: Loader, store: Store) -> None:
    """Who forgets to close loses nothing: the end of the object does it."""
    source = sources.check(code="def f(): return 1\n", handler="f", store=store)
    loaded = loading.load(sources.fetch(source, store=store))
    function = loaded.function

    del loaded
    gc.collect()

    assert [] == modules()
    assert 1 == function()


def test_processes_that_user_code_forks_know_its_functions(load: Loader) -> None:
    """A pool of processes gets functions by name, as pickle gives them."""
    loaded = load(
        {
            "main.py": """
            import multiprocessing, helper
            def f():
                with multiprocessing.get_context("fork").Pool(1) as pool:
                    return pool.map(helper.g, [1, 2])
            """,
            "helper.py": "def g(x): return x + 1",
        },
        "main:f",
    )

    assert [2, 3] == loaded.function()


def test_loads_leave_no_loggers(load: Loader) -> None:
    """Loggers that are named by their module do not pile up."""
    before = set(logging.Logger.manager.loggerDict)
    loaded = load("import logging\nlog = logging.getLogger(__name__)\ndef f(): ...\n")

    loaded.close()

    assert before == set(logging.Logger.manager.loggerDict)


def test_builtins_are_pythons_own(load: Loader) -> None:
    """Nothing but `import` is changed, and that for the tree's modules only."""
    loaded = load(
        """
        import builtins
        def f():
            changed = [n for n in vars(builtins)
                       if __builtins__[n] is not getattr(builtins, n)]
            return changed, [1, *map(len, ["a"])]
        """
    )

    assert (["__import__"], [1, 1]) == loaded.function()


def test_plain_takes_our_names_out() -> None:
    """Messages that name a module name it as the user does."""
    text = "cannot import name 'x' from '_pybridge_function_00ff_12.pkg.a' (a.py)"

    assert "cannot import name 'x' from 'pkg.a' (a.py)" == loading.plain(text)


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps compiled code, as it does where it is not told otherwise."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.mark.usefixtures("writing")
def test_compiled_code_is_kept_beside_the_tree(load: Loader, store: Store) -> None:
    """Another process need not compile a long source; the tree is never written to."""
    text = "\n".join(f"def f{n}(x): return x + {n}, 'a text'" for n in range(200))
    loaded = load(text, "f7")
    name = f"main.{sys.implementation.cache_tag}.pyc"
    kept = list((store.root / "cache/sources/code").rglob("*.pyc"))
    loading._codes.clear()  # noqa: SLF001 - as in another process

    again = load(text, "f7")

    assert [name] == [path.name for path in kept]
    assert (8, "a text") == loaded.function(1) == again.function(1)
    assert ["main.py"] == [path.name for path in loaded_tree(loaded).iterdir()]


@pytest.mark.usefixtures("writing")
def test_compiled_code_that_is_damaged_is_compiled_again(
    load: Loader, store: Store
) -> None:
    """A file that is not what it should be costs time, and nothing else."""
    text = "\n".join(f"def f{n}(x): return x + {n}, 'a text'" for n in range(200))
    load(text, "f7")
    (path,) = (store.root / "cache/sources/code").rglob("*.pyc")
    path.write_bytes(b"nonsense")
    loading._codes.clear()  # noqa: SLF001 - as in another process

    assert (8, "a text") == load(text, "f7").function(1)


def loaded_tree(loaded: Loaded) -> Path:
    """Return the tree of a load."""
    return Path(str(loaded.module.__file__)).parent


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.13"])
def test_older_and_newer_pythons_load_too(version: str, tmp_path: Path) -> None:
    """S-2: sources are checked, fetched and loaded by the Python of the function."""
    if version not in pythons.installed():  # then no run can ask for it here either
        return
    program = str(pythons.interpreter(version))
    script = tmp_path / "script.py"
    script.write_text(
        dedent(
            """
            import pathlib, sys, types
            from pybridge.functions import loading, pythons, sources
            loading._injected = dict
            store = types.SimpleNamespace(root=pathlib.Path(sys.argv[1]))
            store.root.mkdir()
            code = store.root / "code"
            (code / "pkg").mkdir(parents=True)
            (code / "pkg" / "__init__.py").write_text("import helper")
            (code / "helper.py").write_text("X = 1")
            (code / "main.py").write_text(
                "import importlib, pkg\\nfrom importlib import resources\\n"
                "from .helper import X\\n"
                "def f(): return X, importlib.import_module('pkg').helper.X, "
                "resources.files('pkg').joinpath('__init__.py').is_file()")
            source = sources.check(code_src=code, handler="main:f", store=store)
            with loading.load(sources.fetch(source, store=store)) as loaded:
                print(loaded.function())
            """
        )
    )

    done = subprocess.run(
        [program, "-S", str(script), str(tmp_path / "store")],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("(1, 1, True)\n", "") == (done.stdout, done.stderr)
