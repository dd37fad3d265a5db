"""The SQL functions that run code and reach values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.sqlite.hosts import Shell, quote

if TYPE_CHECKING:
    from tests.sqlite.hosts import Driver, Host

# Python expression, what SQL gets, and SQL's typeof.
DUMPED = [
    ("None", None, "null"),
    ("True", 1, "integer"),
    ("False", 0, "integer"),
    ("0", 0, "integer"),
    ("2**63 - 1", 2**63 - 1, "integer"),
    ("-2**63", -(2**63), "integer"),
    ("0.1", 0.1, "real"),
    ("5e-324", 5e-324, "real"),
    ("1e308", 1e308, "real"),
    ("float('nan')", None, "null"),
    ("''", "", "text"),
    ("'Größe \U0001f40d'", "Größe \U0001f40d", "text"),
    ("b''", b"", "blob"),
    ("b'\\x00\\xff'", b"\x00\xff", "blob"),
    ("bytearray(b'ab')", b"ab", "blob"),
    ("__import__('datetime').date(2024, 2, 29)", "2024-02-29", "text"),
    ("__import__('datetime').date(1, 1, 1)", "0001-01-01", "text"),
    ("__import__('datetime').time(1, 2, 3)", "01:02:03", "text"),
    ("__import__('datetime').time(1, 2, 3, 40)", "01:02:03.000040", "text"),
    (
        "__import__('datetime').datetime(1969, 12, 31, 23, 59, 59, 999999)",
        "1969-12-31 23:59:59.999999",
        "text",
    ),
    ("__import__('datetime').datetime(2024, 1, 2)", "2024-01-02 00:00:00", "text"),
    ("__import__('decimal').Decimal('-12.50')", "-12.50", "text"),
]


@pytest.mark.parametrize(("expression", "value", "kind"), DUMPED)
def test_eval_dumps_each_type(
    host: Host, expression: str, value: object, kind: str
) -> None:
    """Each Python type has one SQL type."""
    host.run("import datetime, decimal")

    rows = host.rows(
        f"select py_eval({quote(expression)}), typeof(py_eval({quote(expression)}))"
    )

    assert [(value, kind)] == rows


# SQL literal, and what Python gets.
LOADED = [
    ("NULL", "None"),
    ("0", "0"),
    ("9223372036854775807", "9223372036854775807"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("1.0", "1.0"),
    ("0.1", "0.1"),
    ("1e999", "inf"),
    ("''", "''"),
    ("'é\U0001f40d'", "'é\U0001f40d'"),
    ("x''", "b''"),
    ("x'00ff'", "b'\\x00\\xff'"),
    ("zeroblob(3)", "b'\\x00\\x00\\x00'"),
    ("cast(x'610062' as text)", "'a\\x00b'"),
]


@pytest.mark.parametrize(("literal", "written"), LOADED)
def test_set_loads_each_type(host: Host, literal: str, written: str) -> None:
    """Each SQL type has one Python type, and no value is changed on the way."""
    rows = host.rows(f"select py_set('v', {literal}), py_get('v', 'repr')")

    assert [(None, written)] == rows


def test_values_come_back_as_they_went(host: Host) -> None:
    """What SQL gives to Python and takes back is the same, type and all."""
    host.run("def same(v): return v")
    for literal, _ in LOADED:
        same = host.rows(
            "select py_call('same', v) is v, typeof(py_call('same', v)) = typeof(v) "
            f"from (select {literal} v)"
        )

        assert [(1, 1)] == same, literal


def test_eval_takes_a_serialization(host: Host) -> None:
    """What has no SQL type crosses in the form that is named."""
    rows = host.rows(
        """select py_eval('{"a": [1, 2]}', 'json'), py_eval('[1]', 'repr'),
        py_eval('"x"', 'repr'), py_eval('1.50', 'str'),
        typeof(py_eval('[1]', 'pickle')), typeof(py_eval('[1]', 'dill'))"""
    )

    assert [('{"a":[1,2]}', "[1]", "'x'", "1.5", "blob", "blob")] == rows


def test_eval_says_which_serializations_would_do(host: Host) -> None:
    """An object without an SQL type, and an int beyond 64 bits, are errors."""
    message = host.error("select py_eval('[1, 2]')")
    wide = host.error("select py_eval('2**63')")

    assert "py_eval: " in message
    assert "list" in message
    assert '"json"' in message
    assert "64 bits" in wide
    assert '"str"' in wide


def test_exec_runs_code_and_returns_null(host: Host) -> None:
    """Code of any number of lines runs in the context, which outlives the call."""
    rows = host.rows("select py_exec('x = 1\nfor i in range(3):\n    x += i')")

    assert [(None,)] == rows
    assert 4 == host.eval("x")


COMPARE = """
import marshal, sys, warnings
from pybridge import _plane

def outcome(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            code = make()
        except BaseException as exc:
            place = [getattr(exc, name, None)
                     for name in ("filename", "lineno", "offset", "text", "end_offset")]
            said = type(exc).__name__, str(exc), place
        else:
            said = marshal.dumps(code)
    return said, [(str(one.message), one.filename, one.lineno) for one in caught]

def differ(text):
    return [
        text
        for expression in (True, False)
        if outcome(lambda: _plane.compile_text(text, "<t>", expression))
        != outcome(lambda: compile(text, "<t>", "eval" if expression else "exec", 0, 1))
    ]
"""

CODES = [
    *("", "1 + 1", "x = ", "x = 1\nx", "  1", "if 1:\nx", "if 1:\n  x\n y", "1/"),
    "# -*- coding: latin-1 -*-\nx = 'é日'",
    *("# coding: nothing\nx", "é = 1", "pass", "print 1", "await x", "'\\d'", "1 is 1"),
    "from __future__ import annotations\ndef f(x: y): pass",
    *("from __future__ import no", "match x:\n  case [1, *_]: pass", "return 1"),
    *("async def f(): await x", "assert (1, 'x')", "(" * 300, "1" * 5000, "lambda:"),
    *("-" * 5000 + "1", "x\r\ny\rz", "f'{x!r:>{y}}'", "\f1", "x\\\n", "def f(:"),
    *("'''a\nb", "{**a, 'b': [*c]}", "type X = int", "x: int", "global x; x = 1", "🐍"),
]


def test_code_is_what_compile_makes_of_it(host: Host) -> None:
    """The library's own way to compile gives the same code, errors and warnings."""
    host.run(COMPARE)

    for code in CODES:
        assert "[]" == host.eval(f"str(differ({code!a}))")


def test_code_that_is_compiled_is_audited() -> None:
    """Hooks of `sys.audit` hear of it as of compile()."""
    shell = Shell()  # of its own: a hook stays
    shell.open()
    shell.run(
        "import sys\nheard = []\n"
        "def hook(event, args, heard=heard):\n"
        "    if event == 'compile':\n"
        "        heard.append(args[0])\n"
        "sys.addaudithook(hook)"
    )

    value, count = shell.eval("40 + 2 + 0"), shell.eval("heard.count('40 + 2 + 0')")
    shell.close()

    assert (42, 1) == (value, count)


def test_first_results_come_without_the_types_of_ast() -> None:
    """They would take a sixth of the time that a start takes."""
    shell = Shell()
    shell.open()
    made = "any(c.__name__ == 'AST' for c in object.__subclasses__())"

    first = shell.eval(made)
    shell.run("x = 1")
    then = shell.eval(f"[{made}][0]")
    shell.run("import ast")
    at_last = shell.eval(f"({made})")
    shell.close()

    assert (0, 0, 1) == (first, then, at_last)


def test_exec_assigns_the_last_expression(host: Host) -> None:
    """With a variable, the value of the code's last expression goes there."""
    rows = host.rows("select py_exec('y = 20\ny + 1', 'z'), py_get('z')")

    assert [(None, 21)] == rows


def test_run_returns_the_variable(host: Host) -> None:
    """py_run is code and then a variable, serialized where that is asked for."""
    rows = host.rows("select py_run('a = [1]', 'a', 'json'), py_run('b = 2', 'b')")

    assert [("[1]", 2)] == rows


def test_call_passes_typed_arguments(host: Host) -> None:
    """Arguments keep their types; the function is any expression path."""
    host.run("import math\ndef kinds(*a): return ','.join(type(v).__name__ for v in a)")

    rows = host.rows(
        "select py_call('kinds', 1, 1.0, 'x', x'00', null), "
        "py_call('math.hypot', 3, 4), py_call('kinds')"
    )

    assert [("int,float,str,bytes,NoneType", 5.0, "")] == rows


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("o.gone", "Undefined: 'o.gone' is not defined"),
        ("nobody.f", "Undefined: 'nobody' is not defined"),
        ("table['k']", "Undefined: 'table['k']' is not defined"),
        ("o.prop", "AttributeError: mine"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_call_says_each_time_what_a_path_lacks(
    host: Host, path: str, wanted: str
) -> None:
    """A path fails in the same words when its code is cached as at first."""
    host.run(
        "class O:\n"
        "    @property\n"
        "    def prop(self): raise AttributeError('mine')\n"
        "o = O(); table = {}"
    )
    quoted = path.replace("'", "''")

    messages = {host.error(f"select py_call('{quoted}', 1)") for _ in range(3)}

    assert 1 == len({m.split(" (<")[0] for m in messages}), messages
    assert wanted in messages.pop()


def test_call_takes_more_arguments_than_fit_on_the_stack(host: Host) -> None:
    """Any number of arguments up to SQLite's own limit."""
    host.run("def count(*a, **k): return len(a) * 1000 + len(k)")
    many = ", ".join("1" for _ in range(100))
    named = ", ".join(f"py_kw('k{i}', {i})" for i in range(20))

    assert 100_020 == host.value(f"select py_call('count', {many}, {named})")


def test_kw_makes_a_keyword_argument(host: Host) -> None:
    """py_kw names an argument; its value keeps its type."""
    host.run("def f(a, *, b=None, c=None): return repr((a, b, c))")

    value = host.value("select py_call('f', 1, py_kw('c', x'01'), py_kw('b', 'é'))")

    assert "(1, 'é', b'\\x01')" == value


def test_kw_is_null_to_everything_else(host: Host) -> None:
    """A keyword argument cannot be taken for a value."""
    assert [("null", None)] == host.rows("select typeof(py_kw('a', 1)), py_kw('a', 1)")


def test_call_refuses_a_positional_argument_behind_a_keyword(host: Host) -> None:
    """As in Python, positional arguments come first."""
    message = host.error("select py_call('print', py_kw('end', 'x'), 2)")

    assert 'py_call: argument 2 has no name but comes after keyword "end"' == message


def test_call_refuses_a_keyword_that_comes_twice(host: Host) -> None:
    """Of two values none is the better one."""
    host.rows("select py_define('f', 'scalar', 'dict')")

    message = host.error("select py_call('dict', py_kw('a', 1), py_kw('a', 2))")

    assert 'py_call: keyword "a" came twice' == message
    assert 'f: keyword "b" came twice' == host.error(
        "select f(py_kw('b', 1), py_kw('a', 1), py_kw('b', 2))"
    )


def test_apply_takes_json(host: Host) -> None:
    """Arguments as a JSON array and a JSON object, either may be NULL."""
    rows = host.rows(
        """select py_apply('sorted', '[[3, 1, 2]]', '{"reverse": true}', null, 'json'),
        py_apply('dict', null, '{"a": null, "b": true}', 'd', 'repr'),
        py_apply('int', null, null)"""
    )

    assert [("[3,2,1]", "{'a': None, 'b': True}", 0)] == rows
    assert "{'a': None, 'b': True}" == host.eval("repr(d)")


def test_apply_with_a_variable_keeps_what_sql_cannot_hold(host: Host) -> None:
    """With a variable and no serialization the result is assigned, and is NULL."""
    rows = host.rows("select py_apply('list', '[[1, 2]]', null, 'made')")

    assert [(None,)] == rows
    assert "[1, 2]" == host.eval("repr(made)")


def test_get_follows_a_path(host: Host) -> None:
    """Any expression path; what is not there is an error, never an empty text."""
    host.run("class a: b = [{'k': 'v'}]")

    assert "v" == host.value("""select py_get('a.b[0]["k"]')""")
    assert "nothing" in host.error("select py_get('nothing')")
    assert "py_get: " in host.error("select py_get('a.c')")


def test_set_refuses_what_is_no_name(host: Host) -> None:
    """py_set binds a plain name."""
    assert "py_set: " in host.error("select py_set('a.b', 1)")
    assert "py_set: variable is missing" == host.error("select py_set(null, 1)")
    assert "py_set: variable is missing" == host.error("select py_set('', 1)")


def test_import_and_module_info_describe(host: Host) -> None:
    """py_import tells whether the context had the module before, and its alias."""
    described = [
        json.loads(host.value(f"select {call}"))
        for call in (
            "py_module_info('keyword')",
            "py_import('keyword', 'kw')",
            "py_import('keyword')",
            "py_module_info('keyword')",
        )
    ]

    assert [
        {"imported": False, "alias": None},
        {"imported": False, "alias": "kw"},
        {"imported": True, "alias": "kw"},
        {"imported": True, "alias": "kw"},
    ] == described
    assert 1 == host.eval("kw.iskeyword('class')")


def test_info_describes_a_variable(host: Host) -> None:
    """Defined, type and length; undefined is no error here."""
    host.run("v = [1, 2, 3]")

    known = json.loads(host.value("select py_info('v')"))
    unknown = json.loads(host.value("select py_info('w')"))
    sized = json.loads(host.value("select py_info('v', 'json')"))

    assert {"defined": True, "type": "list", "length": 3} == known
    assert {"defined": False, "type": None, "length": None} == unknown
    assert len("[1,2,3]") == sized["length"]


def test_function_info_describes_a_function(host: Host) -> None:
    """Signature, docs and arguments with their defaults."""
    host.run("def f(a, b: int = 2):\n    'Does.'")

    info = json.loads(host.value("select py_function_info('f')"))

    assert "Does." == info["docs"]
    assert ["a", "b"] == [argument["name"] for argument in info["arguments"]]


def test_status_is_read_once(host: Host) -> None:
    """py_status has the last failure with its traceback, and forgets it."""
    host.error("select py_exec('def f():\n    return 1/0\nf()')")

    status = json.loads(host.value("select py_status()"))

    assert "ZeroDivisionError" == status["type"]
    assert "division by zero" == status["message"]
    assert 2 == status["line"]
    assert "return 1/0" in status["traceback"]
    assert None is host.value("select py_status()")


def test_context_switches_namespaces(host: Host) -> None:
    """Each name is a namespace of its own; the name is returned."""
    first = host.value("select py_context()")
    host.run("x = 'first'")

    second = host.rows(f"select py_context({quote(first + ' 2')}), py_info('x')")
    back = host.rows(f"select py_context({quote(first)}), py_get('x')")

    assert first + " 2" == second[0][0]
    assert '"defined":false' in second[0][1]
    assert [(first, "first")] == back


def test_context_refuses_names_that_are_none(host: Host) -> None:
    """NULL, '' and more than 127 bytes are no names."""
    assert "py_context: name is missing" == host.error("select py_context(null)")
    assert "py_context: name is missing" == host.error("select py_context('')")
    assert "too long" in host.error(f"select py_context('{'x' * 128}')")


@pytest.mark.parametrize(
    ("bytes_", "wrong", "at"),
    [
        ("ff", "ff", 0),
        ("61c3", "c3", 1),
        ("c0af", "c0", 0),
        ("e09f80", "e0", 0),
        ("eda080", "ed", 0),
        ("c3a9f0808080", "f0", 2),
        ("f4908080", "f4", 0),
        ("f5808080", "f5", 0),
    ],
)
def test_names_are_utf8(host: Host, bytes_: str, wrong: str, at: int) -> None:
    """Any name in an argument, that of a context too, which Python would not find."""
    before = host.value("select py_context()")
    text = f"cast(x'{bytes_}' as text)"

    assert f"py_context: name is not UTF-8 text: byte 0x{wrong} at {at}" == host.error(
        f"select py_context({text})"
    )
    assert "py_get: variable is not UTF-8" in host.error(f"select py_get({text})")
    assert before == host.value("select py_context()")


def test_context_takes_any_name_of_utf8(host: Host) -> None:
    """Characters of one to four bytes, also the last of each length."""
    name = "a\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"

    assert name == host.value(f"select py_context({quote(name)})")


@pytest.mark.parametrize(
    "call", ["py_exec({})", "py_call('len', {})", "py_set('a', {})"]
)
def test_text_that_is_not_utf8_says_what_to_do(host: Host, call: str) -> None:
    """SQLite stores any bytes as text; Python's own message does not say what helps."""
    message = host.error("select " + call.format("cast(x'ff' as text)"))

    assert "0xff in position 0" in message
    assert "hand over other bytes as a blob" in message


def test_lone_surrogates_say_what_to_do(host: Host) -> None:
    """Where they come back; in code of the user's the message is Python's."""
    assert 'use serialization "json"' in host.error("select py_eval('\"\\ud800\"')")
    assert "serialization" not in host.error("select py_eval('\"\\ud800\".encode()')")


def test_exit_leaves_standard_input_open(shell: Shell) -> None:
    """exit() and quit() close sys.stdin before they raise; the next call may read."""
    assert "SystemExit" in shell.error("select py_exec('exit()')")

    assert 0 == shell.eval("__import__('sys').stdin.closed")
    assert "SystemExit" in shell.error("select py_exec('quit(1)')")
    assert 1 == shell.eval("__import__('sys').stdin is __import__('sys').__stdin__")


def test_contexts_belong_to_the_process(driver: Driver) -> None:
    """Two connections that name the same context share its variables."""
    name = driver.value("select py_context()")
    driver.run("shared = 41")
    driver.open()

    rows = driver.rows(f"select py_context({quote(name)}), py_eval('shared + 1')")

    assert [(name, 42)] == rows


OPTIONS = [
    ("timeout_ms", 0, "1500", 1500),
    ("capture", 0, "1", 1),
    ("capture", 0, "'on'", 1),
    ("dtype_backend", "default", "'pyarrow'", "pyarrow"),
    ("parse", 0, "'true'", 1),
    ("pages", 1, "0", 0),
]


@pytest.mark.parametrize(("name", "default", "literal", "value"), OPTIONS)
def test_option_sets_and_returns(
    host: Host, name: str, default: object, literal: str, value: object
) -> None:
    """py_option returns the value, and sets it before where one is given."""
    rows = host.rows(
        f"select py_option('{name}'), py_option('{name}', {literal}), "
        f"py_option('{name.upper()}')"
    )

    assert [(default, value, value)] == rows


REFUSED = [
    ("timeout_ms", "-1", "milliseconds"),
    ("timeout_ms", "'soon'", "milliseconds"),
    ("timeout_ms", "1.5", "milliseconds"),
    ("capture", "2", "0 or 1"),
    ("dtype_backend", "'cudf'", "'numpy_nullable'"),
    ("dtype_backend", "null", "'numpy_nullable'"),
    ("parse", "x'01'", "0 or 1"),
    ("scanned", "1", "read"),
]


@pytest.mark.parametrize(("name", "literal", "says"), REFUSED)
def test_option_refuses_a_wrong_value(
    host: Host, name: str, literal: str, says: str
) -> None:
    """A value that is none of the option's is an error, and changes nothing."""
    before = host.value(f"select py_option('{name}')")

    message = host.error(f"select py_option('{name}', {literal})")

    assert f'py_option: "{name}" takes ' in message
    assert says in message
    assert message.endswith(" came")
    assert before == host.value(f"select py_option('{name}')")


def test_option_lists_what_it_knows(host: Host) -> None:
    """An unknown name is an error with the known ones."""
    message = host.error("select py_option('color')")

    assert 'there is no option "color"' in message
    assert "timeout_ms, capture, dtype_backend, parse, pages" in message


def test_version_names_all_three(host: Host) -> None:
    """The bridge's, Python's and SQLite's version, as text."""
    version = host.value("select py_version()")
    sqlite = host.value("select sqlite_version()")

    assert version.startswith("pybridge 0.")
    assert version.endswith(f", SQLite {sqlite}")
    assert ", Python 3." in version


def test_output_stays_in_order(shell: Shell) -> None:
    """What Python prints stands between the shell's own lines where it was printed."""
    printed = shell.output(
        ".mode list\n"
        "select 'one';\n"
        "select py_exec('print(\"two\")');\n"
        "select 'three';\n"
        'select py_eval(\'print("four", end="")\');\n'
        ".mode quote"
    )

    assert ["one", "two", "", "three", "four"] == printed.split("\n")[:5]


def test_capture_keeps_output_for_status(shell: Shell) -> None:
    """With the option, output goes to py_status of the call, and nowhere else."""
    shell.rows("select py_option('capture', 1)")

    printed = shell.output("select py_exec('print(\"hidden\")');")
    status = json.loads(shell.value("select py_status()"))

    assert "hidden" not in printed
    assert "hidden\n" == status["stdout"]


def test_functions_are_for_direct_use_only(host: Host) -> None:
    """A view or trigger in somebody's file cannot run Python."""
    names = {
        row[0]
        for row in host.rows(
            "select name from pragma_function_list where name glob 'py_*'"
        )
    }
    host.rows("create view v as select py_eval('1')")
    host.rows(
        "create table t(a); create trigger r after insert on t begin "
        "select py_exec('bad = 1'); end"
    )

    assert {"py_eval", "py_exec", "py_query", "py_table", "py_collect"} <= names
    assert "unsafe use of py_eval()" in host.error("select * from v")
    assert "unsafe use of py_exec()" in host.error("insert into t values (1)")


def test_every_function_is_for_direct_use_only(driver: Driver) -> None:
    """None of them has been forgotten."""
    flags = driver.rows(
        "select name, flags from pragma_function_list where name glob 'py_*'"
    )
    direct = 0x80000

    assert [] == [name for name, flag in flags if not flag & direct]


def test_second_load_changes_nothing(host: Host) -> None:
    """Loading twice into one connection keeps what the first load has set."""
    name = host.value("select py_context()")
    host.load()

    assert name == host.value("select py_context()")
