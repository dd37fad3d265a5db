"""What goes wrong in Python is an SQL error, and the next statement works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import apsw
import pytest

from tests.sqlite.hosts import Shell, SqlError, quote

if TYPE_CHECKING:
    from tests.sqlite.hosts import Driver, Host

# What raises, and what the message has of it.
RAISED = [
    ("1 / 0", "ZeroDivisionError: division by zero"),
    ("undefined_name + 1", "NameError: name 'undefined_name' is not defined"),
    ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
    ("__import__('sys').exit(3)", "SystemExit"),
    ("exit()", "SystemExit"),
    ("raiser(KeyboardInterrupt('by hand'))", "KeyboardInterrupt: by hand"),
    ("raiser(SystemExit(0))", "SystemExit"),
    ("raiser(GeneratorExit())", "GeneratorExit"),
    ("raiser(MemoryError())", "MemoryError"),
    ("raiser(StopIteration())", "StopIteration"),
    ("raiser(BaseException('base'))", "BaseException: base"),
    ("raiser(ExceptionGroup('g', [ValueError(1)]))", "ExceptionGroup: g"),
    ("deep(1)", "RecursionError: maximum recursion depth exceeded"),
    ("raiser(Mute())", "Mute"),
    ("raiser(ValueError('two\\nlines'))", "ValueError: two"),
    ("raiser(ValueError('x' * 100000))", "ValueError: xxx"),
    ("raiser(ValueError('\\ud800 lone'))", "ValueError: "),
    ("raiser(ValueError('a\\0b'))", "ValueError: a"),
    (
        "raiser(UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'bad'))",
        "UnicodeDecodeError",
    ),
    ("'\\ud800'", "surrogate"),
    ("Angry()", "Unsupported"),
    ("Liar()", ""),
]
HELPERS = """
def raiser(e):
    raise e
def deep(n):
    return deep(n + 1)
class Mute(Exception):
    def __str__(self):
        raise ValueError('no words')
    __repr__ = __str__
class Angry:
    def __del__(self):
        raise ValueError('not so')
    def __getattr__(self, name):
        raise RuntimeError(name)
class Liar(Exception):
    __str__ = __repr__ = lambda self: 5
    @property
    def __class__(self):
        raise KeyError('class')
def attempt(text):
    return eval(text)
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("expression", "says"), RAISED)
def test_exception_is_an_sql_error(host: Host, expression: str, says: str) -> None:
    """By way of each function; the type and message are there, and the host lives."""
    host.run(HELPERS)

    for call in (
        f"py_eval({quote(expression)})",
        f"py_exec({quote('v = str(' + expression + ').encode()')})",
        f"py_run({quote('v = ' + expression)}, 'v')",
        f"py_call('attempt', {quote(expression)})",
        f"py_apply('attempt', {quote(json.dumps([expression]))}, null)",
        f"py_get({quote(expression)})",
    ):
        if says == "" or ("Angry" in expression and "exec" in call):
            with pytest.raises(SqlError):
                host.rows(f"select {call}, py_eval('1/0')")
            message = says
        else:
            message = host.error(f"select {call}")
            assert message.startswith(call.partition("(")[0] + ": ")

        assert says.partition(":")[0] in message
        assert "\n" not in message
        assert 2 == host.eval("1 + 1")
    host.run("del Angry.__del__")  # the one that is left would speak at a reset


def test_error_has_type_message_file_and_line(host: Host) -> None:
    """One line: the function, the type, the message, and the place in the code."""
    message = host.error("select py_exec('a = 1\n\nb = a / 0')")

    function, kind, rest = message.split(": ")
    assert ("py_exec", "ZeroDivisionError") == (function, kind)
    assert rest.startswith("division by zero (<pybridge:")
    assert rest.endswith(", line 3)")


def test_syntax_error_has_its_line(host: Host) -> None:
    """Code that does not compile says where."""
    message = host.error("select py_exec('a = 1\nb = (')")

    assert "py_exec: SyntaxError: " in message
    assert "line 2" in message


def test_long_message_is_cut(host: Host) -> None:
    """At a whole character, with dots; the traceback of py_status has it all."""
    message = host.error("select py_exec('raise ValueError(\"é\" * 5000)')")
    status = json.loads(host.value("select py_status()"))

    assert 1200 > len(message.encode())
    assert "é..." in message
    assert "é" * 5000 in status["traceback"]


def test_error_in_the_middle_of_a_query_ends_it(host: Host) -> None:
    """The statement fails at that row; a write is taken back."""
    host.rows("create table t(a unique)")
    host.run("def f(v):\n    return 10 // (3 - v)")

    message = host.error(
        "insert into t select py_call('f', value) + value from json_each('[1, 2, 3]')"
    )

    assert "ZeroDivisionError" in message
    assert 0 == host.value("select count(*) from t")


MISSING = [
    ("py_eval(null)", "py_eval: expression is missing"),
    ("py_exec(null)", "py_exec: code is missing"),
    ("py_run(null, 'a')", "py_run: code is missing"),
    ("py_call()", "py_call: function is missing"),
    ("py_call(null, 1)", "py_call: function is missing"),
    ("py_apply('', null, null)", "py_apply: function is missing"),
    ("py_get(null)", "py_get: variable is missing"),
    ("py_kw(null, 1)", "py_kw: name is missing"),
    ("py_import(null)", "py_import: module is missing"),
    ("py_info(null)", "py_info: variable is missing"),
    ("py_function_info('')", "py_function_info: function is missing"),
    ("py_module_info('')", "py_module_info: module is missing"),
    ("py_option(null)", "py_option: name is missing"),
    ("py_get('a' || char(0) || 'b')", "py_get: variable holds a NUL character"),
    ("py_get(char(0))", "py_get: variable holds a NUL character"),
    ("py_set('a' || char(0), 1)", "py_set: variable holds a NUL character"),
    ("py_call('f' || char(0))", "py_call: function holds a NUL character"),
    ("py_query('select 1' || char(0) || '2', 'q')", "py_query: sql holds a NUL"),
]


@pytest.mark.parametrize(("call", "says"), MISSING)
def test_argument_that_is_missing_or_no_name(host: Host, call: str, says: str) -> None:
    """What an argument is called stands in the message."""
    assert says in host.error(f"select {call}")


@pytest.mark.parametrize("call", ["py_eval()", "py_get(1, 2, 3)", "py_reset(1)"])
def test_wrong_number_of_arguments(host: Host, call: str) -> None:
    """SQLite itself counts them."""
    assert "wrong number of arguments" in host.error(f"select {call}")


def test_serialization_that_is_none(host: Host) -> None:
    """An unknown one lists the known ones."""
    message = host.error("select py_eval('1', 'xml')")

    assert "xml" in message
    assert "json" in message


def test_apply_refuses_what_is_no_json(host: Host) -> None:
    """Arguments are a JSON array and a JSON object."""
    for call in ("'{', null", "'{}', null", "'1', null", "null, '[1]'", "null, 'x'"):
        assert "py_apply: " in host.error(f"select py_apply('print', {call})")


def test_value_above_the_hosts_limit(driver: Driver) -> None:
    """A result that is too large is an error with both sizes, of its own kind."""
    old = driver.db.limit(apsw.SQLITE_LIMIT_LENGTH, 100_000)
    try:
        with pytest.raises(SqlError) as text:
            driver.rows("select py_eval('''é'' * 60000')")
        with pytest.raises(SqlError) as blob:
            driver.rows("select py_eval('bytes(100001)')")
        fits = driver.value("select length(py_eval('bytes(100000)'))")
    finally:
        driver.db.limit(apsw.SQLITE_LIMIT_LENGTH, old)

    assert isinstance(text.value.__cause__, apsw.TooBigError)
    assert "the result has 120000 bytes, the host takes 100000 at most" in str(
        text.value
    )
    assert "the result has 100001 bytes" in str(blob.value)
    assert 100_000 == fits


def test_value_above_the_shells_limit(shell: Shell) -> None:
    """The shell's .limit is the same limit."""
    shell.output(".limit length 50000")
    try:
        message = shell.error("select py_eval('\"x\" * 50001')")
    finally:
        shell.output(".limit length 1000000000")

    assert "py_eval: the result has 50001 bytes, the host takes 50000" in message


def test_text_argument_that_is_not_utf8(host: Host) -> None:
    """SQLite keeps any bytes as text; Python's str does not."""
    bad = "cast(x'61ff' as text)"
    host.run("def f(v): return v")

    for call in (f"py_call('f', {bad})", f"py_set('v', {bad})", f"py_eval({bad})"):
        message = host.error(f"select {call}")

        assert message.startswith(call.partition("(")[0] + ": ")
        assert "utf-8" in message.lower()


def test_failed_call_leaves_the_variable(host: Host) -> None:
    """A variable is assigned when all went well, or not at all."""
    host.run("v = 'before'\ndef fails(): raise KeyError(1)")

    for call in (
        "py_exec('1 / 0', 'v')",
        "py_exec('w = 1\nw / 0', 'v')",
        "py_apply('fails', null, null, 'v')",
        "py_apply('object', null, null, 'v', 'json')",
        "py_exec('x = 1', 'v')",
    ):
        host.error(f"select {call}")

        assert "before" == host.eval("v"), call


def test_status_has_the_chain_of_causes(host: Host) -> None:
    """What an exception was raised from is in py_status."""
    host.error(
        "select py_exec('try:\n    1 / 0\nexcept Exception as e:\n"
        "    raise KeyError(5) from e')"
    )

    status = json.loads(host.value("select py_status()"))

    assert "KeyError" == status["type"]
    assert ["ZeroDivisionError"] == [cause["type"] for cause in status["causes"]]


def test_reset_forgets_and_goes_on() -> None:
    """py_reset drops all contexts; everything works afterwards, numpy too."""
    shell = Shell()  # of its own: the contexts of others would go as well
    try:
        shell.open()
        shell.run("import numpy, pandas\nv = 1")
        for _ in range(20):
            assert None is shell.value("select py_reset()")
            assert '"defined":false' in shell.value("select py_info('v')")
            shell.run("import numpy\nv = int(numpy.arange(4).sum())")
            assert 1 == shell.value("select py_query('select 1', 'q')")
            assert 6 == shell.eval("v")
    finally:
        assert 0 == shell.close()
