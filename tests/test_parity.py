"""The original's seventeen unit tests and its range vectors, in the SQLite host.

The tests of speed are tests of what arrives: how fast it does is for the benchmarks.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from pybridge import main
from tests.sqlite.hosts import Driver, Shell, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sqlite.hosts import Host

# The longest string of the original's host.
LONGEST = 3_641_144


@pytest.fixture(scope="module", params=[Shell, Driver], ids=["shell", "apsw"])
def process(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Both hosts, each once."""
    started: Shell | Driver = request.param()
    yield started
    started.close()


@pytest.fixture
def host(process: Host) -> Host:
    """Both hosts in turn, with a new connection and a new context."""
    process.open()
    return process


def test_simple_string_keeps_the_context(host: Host) -> None:
    """TestSimpleString: nothing gives nothing; a variable outlives its call."""
    assert None is host.value("select py_exec('')")
    host.run("y = 1")

    assert 1 == host.value("select py_run('', 'y')")


@pytest.mark.parametrize("size", [32_767, 135_108, LONGEST, LONGEST + 1, 20_000_000])
def test_strings_have_no_limit_of_the_bridge(host: Host, size: int) -> None:
    """TestLimit: every length that failed once, and longer ones than the longest."""
    host.run("part = 'A' * 1000")

    assert [(size, "A" * 8)] == host.rows(
        f"select length(v), substr(v, -8) from (select py_run('v = (part * "
        f"{size // 1000 + 1})[:{size}]', 'v') as v)"
    )


def test_strings_go_in_again_and_again(host: Host) -> None:
    """TestPassSpeedIn: 295 codes of 32,767 characters, each another."""
    for i in range(295):
        host.run("str1='" + f"{i:05d}".ljust(32_759, "A") + "'")

    assert [(32_759, "00294A")] == host.rows(
        "select py_eval('len(str1)'), py_eval('str1[:6]')"
    )


def test_strings_come_out_again_and_again(host: Host) -> None:
    """TestPassSpeedOut: the longest string, many times, whole each time."""
    host.run(f"big = 'A' * {LONGEST}")

    assert [(20 * LONGEST,)] == host.rows(
        "with n(i) as (select 1 union all select i + 1 from n where i < 20)"
        " select sum(length(py_get('big', iif(i, 'str', 'repr')))) from n"
    )


def test_many_small_calls(host: Host) -> None:
    """TestSetCallSpeed: each of many calls has happened."""
    host.run("seen = 0")

    assert 20_000 == host.value(
        "with n(i) as (select 1 union all select i + 1 from n where i < 20000)"
        " select count(*) - count(py_exec('str1 = ' || i || '; seen += 1')) from n"
    )
    assert [(20_000, 20_000)] == host.rows("select py_get('seen'), py_get('str1')")


@pytest.mark.parametrize("text", ["ПРИВЕТ", "café", "ñ", "𝄞", "日本"])
def test_unicode_is_whole(host: Host, text: str) -> None:
    """TestUnicode: Cyrillic, and what the original loses, below 256 and above 65535."""
    assert text == host.value(f"select py_run({quote(f'result={text!r}')}, 'result')")


def test_streams_are_longer_than_strings(host: Host) -> None:
    """TestStreams: twice the longest string in as code, and out as it was."""
    source = "'" + "A" * LONGEST + "B" * LONGEST + "'"
    host.rows(f"select py_exec({quote(source)}, 'stream')")

    said = host.value("select py_get('stream', 'repr')")

    assert 2 * LONGEST + 2 == len(said)
    assert hashlib.sha256(source.encode()).digest() == (
        hashlib.sha256(said.encode()).digest()
    )


def test_multiline_code_defines(host: Host) -> None:
    """TestMultiline: a function of several lines, called afterwards."""
    host.run("def cube(num):\n    return num ** 3")

    assert 6**3 == host.value("select py_run('x=cube(6)', 'x')")


def test_ten_megabytes_of_code_run(host: Host) -> None:
    """TestPassSpeedInStream: one statement of 10 MiB."""
    host.run("x = '" + "A" * 10 * 1024 * 1024 + "'")

    assert 10 * 1024 * 1024 == host.eval("len(x)")


def test_a_hundred_thousand_lines_run(host: Host) -> None:
    """TestStream: many statements in one code; the last of them holds."""
    host.run("\n".join(f"x={i + 1}" for i in range(100_000)))

    assert 100_000 == host.value("select py_get('x')")


def test_variable_info(host: Host) -> None:
    """TestGetVariableInfo: undefined is no error; type and serialized length."""
    assert {"defined": False, "type": None, "length": None} == json.loads(
        host.value("select py_info('x1')")
    )
    host.rows("select py_exec('123', 'x1')")

    assert {"defined": True, "type": "int", "length": 3} == json.loads(
        host.value("select py_info('x1', 'str')")
    )


def test_module_and_its_alias(host: Host) -> None:
    """TestModules: imported or not before the call, and the alias that it has."""
    said = [
        json.loads(host.value(sql))
        for sql in (
            "select py_module_info('keyword')",
            "select py_import('keyword', 'kw')",
            "select py_import('keyword')",
        )
    ]

    assert [
        {"imported": False, "alias": None},
        {"imported": False, "alias": "kw"},
        {"imported": True, "alias": "kw"},
    ] == said
    assert "True" == host.value("select py_eval('kw.iskeyword(\"class\")', 'str')")


def test_status_is_clean_until_something_fails(host: Host) -> None:
    """TestGetStatus: nothing at first, the exception after 1/0, nothing again."""
    assert None is host.value("select py_status()")
    assert "ZeroDivisionError" in host.error("select py_exec('1/0')")

    assert "ZeroDivisionError" == host.value("select py_status() ->> 'type'")
    assert None is host.value("select py_status()")


def test_json_of_a_tuple(host: Host) -> None:
    """TestJSON: a tuple is an array."""
    host.run("list=(1,'abc')")

    assert [1, "abc"] == json.loads(host.value("select py_get('list', 'json')"))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [("[1, 100]", None), (None, '{"a": 1, "b": 100}'), ("[1]", '{"b": 100}')],
)
def test_execute_function_takes_both_kinds(
    host: Host, args: str | None, kwargs: str | None
) -> None:
    """TestExecuteFunction: positional, keyword and mixed arguments; str.format too."""
    host.run("import random")

    said = host.value(
        f"select py_apply('random.randint', {quote(args)}, {quote(kwargs)}, 'r')"
    )

    assert 1 <= said <= 100
    assert said == host.value("select py_get('r')")
    assert "Positional: Hello World! Keyword: Alice, Bob" == host.value(
        "select py_apply('str.format',"
        ' \'["Positional: {0} {1}! Keyword: {name}, {name2}", "Hello", "World"]\','
        ' \'{"name": "Alice", "name2": "Bob"}\')'
    )


def test_execute_function_args_one_by_one(host: Host) -> None:
    """TestExecuteFunctionArgs: the arguments of the call are those of the function."""
    host.run("import random")

    assert 1 <= host.value("select py_call('random.randint', 1, 100)") <= 100
    assert [
        (
            "Positional: Hello, World, Alice, Bob",
            "Positional: Hello World! Keyword: Alice, Bob",
        )
    ] == host.rows(
        "select py_call('str.format', 'Positional: {0}, {1}, {2}, {3}', 'Hello',"
        " 'World', 'Alice', 'Bob'),"
        " py_call('str.format', 'Positional: {0} {1}! Keyword: {name}, {name2}',"
        " 'Hello', 'World', py_kw('name', 'Alice'), py_kw('name2', 'Bob'))"
    )


def test_builtins_get_all_their_arguments(host: Host) -> None:
    """The original loses the first argument of a builtin, and every default."""
    host.run("def f(a, b=2, *, c=3): return a * 100 + b * 10 + c")

    assert [(5, 123, 143, 1)] == host.rows(
        "select py_call('len', 'abcde'), py_call('f', 1), py_call('f', 1, 4),"
        " py_call('isinstance', py_object('1'), py_object('int'))"
    )


def test_proxy_object_of_a_person(host: Host) -> None:
    """TestProxyObject: make, get, set, add, call, drop, and bind anew."""
    host.run(
        "class Person:\n"
        "    def __init__(self, name, age, city):\n"
        "        self.name, self.age, self.city = name, age, city\n"
        "    def getAge(self): return self.age\n"
        "    def getAgePlus(self, add): return self.age + add\n"
    )
    host.run("p1 = Person('Ed', 25, 'Test')")

    assert [("Ed", 25, 35)] == host.rows(
        "select py_attr(py_object('p1'), 'name'), py_method(py_object('p1'), 'getAge'),"
        " py_method(py_object('p1'), 'getAgePlus', 10)"
    )
    host.rows(
        "select py_setattr(py_object('p1'), 'name', 'Bob'),"
        " py_setattr(py_object('p1'), 'pet', 'Dog')"
    )
    assert [("Bob", "Dog", "Test")] == host.rows(
        "select py_eval('p1.name'), py_eval('p1.pet'), py_attr(py_object('p1'), 'city')"
    )


# ---- Ranges -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "start", "end", "got"),
    [
        (range(1, 21), 1, 10, list(range(1, 11))),
        ((1, 5, 20), 1, 20, [1, 5, 20]),
        ((), 1, 10, []),
        ((1, 5, 20), 10, 5, []),
        ((-2, 0, 3), None, None, [-2, 0, 3]),
        ((-2, 0, 3), -2, 3, [-2, 0, 3]),
    ],
)
def test_range_of_keys(
    host: Host, keys: range | tuple[int, ...], start: int, end: int, got: list[int]
) -> None:
    """Ranges that overflow, crash or stop at zero in the original."""
    host.rows("create table g (id integer primary key, v)")
    for key in keys:
        host.rows(f"insert into g values ({key}, 'x')")

    count = host.value(
        f"select py_table('g', 'rows', 'list', {quote(start)}, {quote(end)})"
    )

    assert len(got) == count
    assert got == json.loads(
        host.value("select py_eval('[r[0] for r in rows]', 'json')")
    )


# ---- What the original gets wrong ---------------------------------------------------


def test_undefined_is_an_error_and_no_stale_value_comes(host: Host) -> None:
    """The original gives an empty text, and after a failure the old value."""
    host.run("x = 1")

    assert "'nope' is not defined" in host.error("select py_get('nope')")
    assert "ZeroDivisionError" in host.error("select py_run('x = 1 / 0', 'x')")
    assert 1 == host.value("select py_get('x')")


def test_large_values_of_any_type_come_whole(host: Host) -> None:
    """The original slices a value, and has the slices of a list or dict for it."""
    host.run("d = {str(i): [i] * 10 for i in range(50_000)}")

    said = host.value("select py_get('d', 'json')")

    assert {str(i): [i] * 10 for i in range(50_000)} == json.loads(said)


def test_nothing_survives_that_was_not_made(host: Host) -> None:
    """Pickles are bytes that can be loaded, not the text of a literal."""
    host.run("v = {1: ('a', None)}")

    blob = host.value("select py_get('v', 'pickle')")

    assert isinstance(blob, bytes)
    main.set_variable("blob", blob, context="parity")
    assert {1: ("a", None)} == main.evaluate(
        "__import__('pickle').loads(blob)", context="parity"
    )
