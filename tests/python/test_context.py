"""Contexts: namespaces that outlive calls."""

# ruff: noqa: SLF001 - both implementations of pickle are met

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pybridge import context as contexts
from pybridge import main
from pybridge.errors import BadArgument

ROOT = Path(__file__).parents[2]
PRISTINE = {
    "__builtins__",
    "__doc__",
    "__loader__",
    "__name__",
    "__package__",
    "__spec__",
}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    contexts.reset()


def owned(code: str, folder: Path | None = None) -> str:
    """Run code in a process that the bridge owns, outside of its namespaces."""
    harness = (
        "import sys\n"
        "sys.path.insert(0, '.')\n"
        "from pybridge import context as contexts, main\n"
        "contexts.OWNED = True\n"
        "exec(sys.argv[1], {'main': main, 'sys': sys})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", harness, textwrap.dedent(code), str(folder)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "" == done.stderr
    return done.stdout.strip()


def test_contexts_are_separate() -> None:
    """A name in one is not in another."""
    main.execute_code("x = 1", context="a")
    main.execute_code("x = 2", context="b")

    assert 1 == main.get_variable("x", context="a")
    assert 2 == main.get_variable("x", context="b")
    assert not main.get_variable_defined("x")


@pytest.mark.parametrize("name", [None, "", "main"])
def test_no_name_is_main(name: str | None) -> None:
    """None and the empty name are "main"."""
    assert contexts.get("main") is contexts.get(name)


def test_names_are_those_that_exist() -> None:
    """Contexts are listed, sorted."""
    contexts.get("b")
    contexts.get("a")

    assert ["a", "b"] == contexts.names()


def test_name_that_is_no_text_is_refused() -> None:
    """A context is named by text."""
    with pytest.raises(BadArgument, match="is text, not int"):
        contexts.get(3)  # type: ignore[arg-type]


def test_nothing_of_the_bridge_is_in_a_namespace() -> None:
    """A new namespace has what any module has, also after calls of all kinds."""
    main.execute_code("x = 1\nx", "y")
    main.evaluate("x + 1", "json")
    main.call("len", "abc")
    main.execute_function("len", '["abc"]', None, "n")
    main.get_function_info("len")
    main.import_module("json", "j")
    main.get_module_info("json")
    main.get_variable_info("x", "pickle")

    assert PRISTINE | {"x", "y", "n", "j"} == set(contexts.get().namespace)


@pytest.mark.parametrize("name", ["a", "a.b", "with space", "é", "a/b", "..", "1"])
def test_instances_of_user_classes_can_be_pickled(name: str) -> None:
    """The module of a context is found by pickle, whatever the context is called."""
    main.execute_code("class P:\n    x = 1\np = P()", context=name)

    data = main.get_variable("p", "pickle", context=name)

    assert 1 == pickle.loads(data).x
    assert 1 == pickle._loads(data).x  # type: ignore[attr-defined]


def test_names_alike_are_two_contexts() -> None:
    """No two names share a module."""
    names = ["a.b", "a_b", "a_2e_b", "a b", "ab"]

    assert len(names) == len({contexts.get(name).module.__name__ for name in names})


def test_main_of_somebody_else_is_not_touched() -> None:
    """Where Python ran before, `__main__` is not the context "main"."""
    before = dict(sys.modules["__main__"].__dict__)

    main.execute_code("x_of_the_bridge = 1")
    name = main.evaluate("__name__")
    main.finalize()

    assert "pybridge_main" == name
    assert before == sys.modules["__main__"].__dict__


def test_main_of_our_own_is_dunder_main() -> None:
    """Where the bridge started Python, "main" is `__main__`."""
    code = """
        main.execute_code("x = 1\\nname = __name__\\nclass C: pass")
        import __main__
        print(__main__.x, __main__.name, main.get_variable_type("C()"))
    """
    assert "1 __main__ __main__.C" == owned(code)


def test_reset_clears_main_of_our_own() -> None:
    """After a reset `__main__` is as at the start, and the same dict."""
    code = """
        main.execute_code("x = 1\\n__name__ = 'other'")
        space = sys.modules["__main__"].__dict__
        main.finalize()
        print(sorted(space), space["__name__"])
        main.execute_code("y = print")
        print(space["y"] is print)
    """
    names = [
        "__builtins__",
        "__doc__",
        "__loader__",
        "__name__",
        "__package__",
        "__spec__",
    ]
    assert f"{names} __main__\nTrue" == owned(code)


def test_reset_drops_contexts() -> None:
    """After a reset no variable, status or compiled code is left."""
    from pybridge import source

    main.execute_code("x = 1", context="a")
    main.evaluate("1 + 1")
    main.finalize()

    assert [] == contexts.names()
    assert {} == source.EXPRESSIONS
    assert not main.get_variable_defined("x", context="a")
    assert not [name for name in sys.modules if name.startswith("pybridge_context_b")]


def test_reset_releases_objects() -> None:
    """What only the context held is released at once."""
    code = """
log = []
class Noisy:
    def __del__(self):
        log.append(1)
x = Noisy()
"""
    main.execute_code(code)
    log = main.get_variable("log")
    main.finalize()

    assert [1] == log


def test_reset_forgets_user_modules(tmp_path: Path) -> None:
    """An edited module of the user's is read again; numpy and the library stay."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").write_text("VALUE = 1")
    (tmp_path / "mine/part.py").write_text("")
    (tmp_path / "single.py").write_text("VALUE = 1")
    code = """
        sys.path.insert(0, sys.argv[2])
        sys.dont_write_bytecode = True
        main.execute_code("import mine.part, single, numpy, json")
        numpy = sys.modules["numpy"]
        for file in ("mine/__init__.py", "single.py"):
            with open(sys.argv[2] + "/" + file, "w") as stream:
                stream.write("VALUE = 22")
        main.finalize()
        print("mine" in sys.modules, "mine.part" in sys.modules, "json" in sys.modules)
        main.execute_code("import mine.part, single, numpy")
        print(main.evaluate("(mine.VALUE, single.VALUE)"))
        print(numpy is sys.modules["numpy"])
    """
    assert "False False True\n(22, 22)\nTrue" == owned(code, tmp_path)


def test_thousand_resets_do_not_grow_the_memory() -> None:
    """Contexts, modules, code and failures are gone after each round."""
    code = """
        import gc
        from pybridge import context, source, status

        TEXT = "def f(x):\\n class A: pass\\n return [A() for _ in range(x)]"
        TEXT += "\\ny = f(100)"

        def run(n):
            for i in range(n):
                for name in ("main", "other"):
                    main.execute_code(TEXT + f" # {i}", context=name)
                    main.evaluate(f"len(y) + {i}", context=name)
                    try:
                        main.evaluate("1 / 0", context=name)
                    except ZeroDivisionError as e:
                        status.record(e, context.get(name))
                main.finalize()

        def size():
            gc.collect()
            return len(gc.get_objects()), len(source._SOURCES), len(sys.modules)

        run(100)
        one = size()
        run(1000)
        two = size()
        print(one[1:] == two[1:], abs(two[0] - one[0]) < 100)
    """
    assert "True True" == owned(code)


def test_many_threads_get_one_context() -> None:
    """A context made by many threads at once is one."""
    found: list[contexts.Context] = []
    barrier = threading.Barrier(8)

    def look() -> None:
        barrier.wait()
        found.append(contexts.get("shared"))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == len(set(map(id, found)))


def test_drop_forgets_one_context() -> None:
    """A context that is dropped is gone, what was made in it lives on."""
    at = contexts.get("dropped")
    exec("x = 5\ndef f(): return x", at.namespace)
    function = at.namespace["f"]

    contexts.drop("dropped")
    contexts.drop("dropped")

    assert "dropped" not in contexts.names()
    assert 5 == function()
    assert at.module.__name__ not in sys.modules
