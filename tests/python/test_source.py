"""Source text: compiled once, remembered for tracebacks."""

# ruff: noqa: SLF001 - the size of a cache is its own affair, but for its test

from __future__ import annotations

import gc
import linecache
import signal
import threading
import types

import pytest

from pybridge import source
from pybridge.errors import BadArgument


@pytest.fixture(autouse=True)
def _fresh() -> None:
    source.clear()
    gc.collect()


@pytest.mark.parametrize("text", ["x = 1", "import math", "if x:\n    y = 1"])
def test_statement_given_as_an_expression_is_told_so(text: str) -> None:
    """The first mistake one makes with an expression is answered with what to do."""
    with pytest.raises(SyntaxError, match="where an expression is wanted: run it as"):
        source.compile_expression(text)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_empty_expression_is_told_so(text: str) -> None:
    """It is no riddle about syntax."""
    with pytest.raises(SyntaxError, match="the expression is empty"):
        source.compile_expression(text)


@pytest.mark.parametrize("text", ["1 +", "x = = 1"])
def test_what_is_no_code_either_is_not_called_a_statement(text: str) -> None:
    """The advice is given only where it helps."""
    with pytest.raises(SyntaxError) as caught:
        source.compile_expression(text)

    assert "statement" not in str(caught.value)


def test_expression_is_compiled_once() -> None:
    """The same text gives the same code, found in EXPRESSIONS by the text."""
    code = source.compile_expression("1 + 1")

    assert code is source.compile_expression("1 + 1")
    assert code is source.EXPRESSIONS["1 + 1"]
    assert 2 == eval(code)


def test_code_is_compiled_once() -> None:
    """The same text gives the same code."""
    assert source.compile_code("x = 1") is source.compile_code("x = 1")
    assert source.compile_value("x = 1\nx") is source.compile_value("x = 1\nx")


def test_filename_is_unique_for_each_text() -> None:
    """Two texts never share a file name."""
    one = source.compile_code("x = 1").co_filename
    two = source.compile_code("x = 2").co_filename

    assert one != two
    assert one.startswith("<pybridge:")
    assert one.endswith(">")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("  1 + 1", 2),
        ("\t1", 1),
        ("(1\n+ 1)", 2),
        ("(1\r\n+ 1)", 2),
        ("1 # comment", 1),
        ("'é' + 'ü'", "éü"),
        ("'🐍'", "🐍"),
    ],
)
def test_expression_takes_what_eval_takes(text: str, value: object) -> None:
    """Blanks before, several lines, any line ends and any characters are fine."""
    assert value == eval(source.compile_expression(text))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_work(end: str) -> None:
    """Code from other systems runs as it is, with its line numbers."""
    code = source.compile_code(end.join(["def f():", "    return 1 / 0", "y = f"]))
    namespace: dict[str, object] = {}
    exec(code, namespace)

    assert "    return 1 / 0" == source.line_of(code.co_filename, 2)
    assert callable(namespace["y"])


def test_value_of_code_is_its_last_expression() -> None:
    """All but the last statement, and the last as an expression."""
    first, last = source.compile_value("x = 2\nx * 21")
    namespace: dict[str, object] = {}
    assert first is not None
    exec(first, namespace)

    assert 42 == eval(last, namespace)


def test_value_of_one_expression_has_nothing_before() -> None:
    """A text that is an expression alone is just that."""
    first, last = source.compile_value("'text'")

    assert first is None
    assert "text" == eval(last)


@pytest.mark.parametrize("text", ["x = 1", "import os", "def f(): pass", "", "# only"])
def test_code_without_a_value_is_refused(text: str) -> None:
    """Code that does not end in an expression has no value to assign."""
    with pytest.raises(BadArgument, match="end it in an expression"):
        source.compile_value(text)


def test_future_import_holds_for_the_last_expression() -> None:
    """What a text switches on at its head holds to its end."""
    text = "from __future__ import annotations\nlambda: 1"

    _, last = source.compile_value(text)

    assert last.co_flags & 0x1000000  # annotations


def test_own_future_imports_do_not_leak() -> None:
    """The bridge's own switches do not change the user's code."""
    namespace: dict[str, object] = {}
    exec(source.compile_code("def f(x: int): pass"), namespace)
    function = namespace["f"]

    assert isinstance(function, types.FunctionType)
    assert {"x": int} == function.__annotations__


def test_null_byte_is_refused_with_its_place() -> None:
    """The error tells the line and the column."""
    with pytest.raises(SyntaxError, match="null bytes") as caught:
        source.compile_code("x = 1\ny = '\0'\n")

    assert 2 == caught.value.lineno
    assert 6 == caught.value.offset


def test_lone_surrogate_is_refused_with_its_place() -> None:
    """Text that UTF-8 has not cannot be code."""
    with pytest.raises(SyntaxError, match="lone surrogate") as caught:
        source.compile_code("x = 1\ny = '\ud800'\n")

    assert 2 == caught.value.lineno


def test_syntax_error_tells_the_users_line() -> None:
    """File and line are those of the text."""
    with pytest.raises(SyntaxError) as caught:
        source.compile_code("x = 1\ny = = 2\n")

    assert 2 == caught.value.lineno
    assert str(caught.value.filename).startswith("<pybridge:")


def test_ten_megabytes_of_source_work() -> None:
    """A long text is compiled and remembered."""
    text = "x = '" + "A" * 10_000_000 + "'\ny = 1"
    namespace: dict[str, object] = {}

    exec(source.compile_code(text), namespace)

    assert 1 == namespace["y"]


def test_text_lives_as_long_as_its_code() -> None:
    """A function keeps its lines for tracebacks after the cache has let go."""
    namespace: dict[str, object] = {}
    code = source.compile_code("def f():\n    return 1\n")
    filename = code.co_filename
    exec(code, namespace)
    del code
    source.clear()
    gc.collect()

    assert "    return 1" == source.line_of(filename, 2)

    namespace.clear()
    gc.collect()

    assert source.text_of(filename) is None


def test_linecache_knows_the_text_while_it_lives() -> None:
    """The user's own tracebacks show the lines, and nothing is left behind."""
    source.share()
    code = source.compile_code("a = 1\nb = 2\n")
    filename = code.co_filename
    linecache.checkcache(filename)

    assert "b = 2\n" == linecache.getline(filename, 2)

    del code
    source.clear()
    gc.collect()

    assert filename not in linecache.cache


def test_stop_is_not_lost_while_code_goes() -> None:
    """An exception that strikes while code objects are dropped reaches the caller."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def compile_and_drop() -> None:
        for n in range(10**9):
            source.compile_code(f"def f{n}(): return {n}")
            source.clear()

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            compile_and_drop()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_cache_is_bounded_by_entries() -> None:
    """Very many different expressions do not fill the memory."""
    for i in range(5000):
        source.compile_expression(f"{i} + 1")

    assert 2100 > len(source.EXPRESSIONS)
    assert "4999 + 1" in source.EXPRESSIONS


def test_cache_is_bounded_by_characters() -> None:
    """Nor do a few very long texts."""
    for i in range(20):
        source.compile_code(f"x = {i}  # " + "A" * 5_000_000)

    assert 32 * 1024 * 1024 >= sum(map(len, source._CODES))


def test_threads_share_the_caches() -> None:
    """Compiled in many threads at once, each text has a file name of its own."""
    names: list[str] = []

    def work(number: int) -> None:
        names.extend(
            source.compile_code(f"x = {number}, {i}").co_filename for i in range(2000)
        )

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 16_000 == len(set(names))


@pytest.mark.parametrize("line", [0, -1, 3, 1000])
def test_line_that_is_not_there_is_none(line: int) -> None:
    """Asking for a wrong line is harmless."""
    code = source.compile_code("a = 1\nb = 2")

    assert source.line_of(code.co_filename, line) is None
    assert source.line_of("<pybridge:no>", 1) is None
