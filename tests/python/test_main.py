"""The Main API."""

# ruff: noqa: RUF043 - patterns are read as what they say

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge import context as contexts
from pybridge import main, source
from pybridge.errors import BadArgument, Undefined, Unsupported
from tests.values import SCALARS

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.context import Context
    from tests.values import Scalar

EVERY = pytest.mark.parametrize("scalar", SCALARS, ids=str)


@pytest.fixture(autouse=True)
def _at(context: Context) -> None:
    """Work in "main", which is empty."""


# ---- simple_string and execute_code -------------------------------------------------


def test_variables_outlive_calls() -> None:
    """What one call assigns, another sees."""
    main.simple_string("y = 1")

    assert "1" == main.simple_string("", "y", "str")


def test_simple_string_without_variable_is_none() -> None:
    """Nothing is asked for, nothing comes."""
    assert main.simple_string("1 + 1") is None


def test_simple_string_after_a_failure_gives_nothing() -> None:
    """A stale variable is not returned as if it were new."""
    main.execute_code("x = 'old'")

    with pytest.raises(ZeroDivisionError):
        main.simple_string("1 / 0\nx = 'new'", "x")

    assert "old" == main.get_variable("x")


def test_multi_line_function_can_be_called() -> None:
    """A definition over several lines is kept."""
    main.execute_code("def cube(number):\n    return number ** 3")
    main.execute_code("x = cube(6)")

    assert 216 == main.get_variable("x")


def test_execute_code_assigns_the_last_expression() -> None:
    """With a variable the value of the last expression is kept in it."""
    main.execute_code("import math\nr = 2\nmath.pi * r ** 2", "area")

    assert 12.566370614359172 == main.get_variable("area")


@pytest.mark.parametrize("code", ["1 / 0", "x = 2\nnope", "def f(:\n  pass"])
def test_failed_code_leaves_the_variable(code: str) -> None:
    """The variable of a call that failed is as it was."""
    main.execute_code("'old'", "v")

    with pytest.raises((ZeroDivisionError, NameError, SyntaxError)):
        main.execute_code(code, "v")

    assert "old" == main.get_variable("v")


@pytest.mark.parametrize(
    "name", ["a.b", "1a", "a b", "class", "a[0]", "é!", "a\n", "None"]
)
def test_variable_must_be_a_name(name: str) -> None:
    """Only what Python could assign to is taken."""
    with pytest.raises(BadArgument, match="not a name"):
        main.execute_code("1", name)
    with pytest.raises(BadArgument, match="not a name"):
        main.set_variable(name, 1)


def test_code_may_be_bytes() -> None:
    """UTF-8 bytes are text."""
    main.execute_code("x = 'é'".encode())  # type: ignore[arg-type]

    assert "é" == main.get_variable("x")


def test_code_that_is_not_utf8_is_refused() -> None:
    """The error tells the byte and where it is."""
    with pytest.raises(BadArgument, match="not UTF-8: byte 0xe9 at position 5"):
        main.execute_code(b"x = '\xe9'")  # type: ignore[arg-type]


def test_code_of_another_type_is_refused() -> None:
    """Numbers are no code."""
    with pytest.raises(BadArgument, match="code is of type int"):
        main.execute_code(3)  # type: ignore[arg-type]


def test_empty_code_does_nothing() -> None:
    """Nothing to do is no error; nothing to evaluate is."""
    main.execute_code("")

    with pytest.raises(BadArgument, match="expression is missing"):
        main.evaluate("")


def test_async_and_comprehension_scopes_work() -> None:
    """Names of the context are globals, also inside nested scopes."""
    main.execute_code("k = 3\ny = [k * i for i in range(3)]\nz = (lambda: k)()")

    assert ([0, 3, 6], 3) == main.evaluate("(y, z)")


def test_capture_keeps_what_is_printed() -> None:
    """Output is kept for get_status, and does not leak into the next call."""
    main.execute_code(
        "import sys\nprint('out')\nprint('err', file=sys.stderr)", capture=True
    )
    status = main.get_status()
    main.execute_code("print('again')")

    assert status is not None
    assert ("out\n", "err\n") == (status["stdout"], status["stderr"])
    assert main.get_status() is None


def test_capture_keeps_what_is_printed_before_a_failure() -> None:
    """A call that fails has printed something too."""
    with pytest.raises(ZeroDivisionError):
        main.evaluate("print('before') or 1 / 0", capture=True)
    status = main.get_status()

    assert status is not None
    assert "before\n" == status["stdout"]


# ---- evaluate -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 1", 2),
        (" 'a' * 3 ", "aaa"),
        ("[i for i in 'ab']", ["a", "b"]),
        ("...", ...),
    ],
)
def test_evaluate_gives_the_object(expression: str, value: object) -> None:
    """Without a serialization the value itself comes."""
    assert value == main.evaluate(expression)


@pytest.mark.parametrize("expression", ["x = 1", "import os", "1 +", "1; 2", "(", "\n"])
def test_evaluate_takes_expressions_only(expression: str) -> None:
    """Statements are a syntax error."""
    with pytest.raises(SyntaxError):
        main.evaluate(expression)


@EVERY
def test_evaluate_serializes(scalar: Scalar) -> None:
    """Every scalar has its str, repr, JSON and pickle form."""
    main.set_variable("v", scalar.python)

    assert scalar.text == main.evaluate("v", "str")
    assert repr(scalar.python) == main.evaluate("v", "repr")
    assert scalar.json == main.evaluate("v", "json")


@EVERY
def test_set_variable_keeps_the_object(scalar: Scalar) -> None:
    """What goes in comes out."""
    main.set_variable("v", scalar.python)

    assert main.get_variable("v") is scalar.python


@given(st.text(min_size=1, max_size=20))
def test_any_expression_gives_a_value_or_an_exception(text: str) -> None:
    """No text makes the compiler's front fail in another way."""
    try:
        main.evaluate(f"({text!r})")
    except SyntaxError:
        assert any("\ud800" <= c <= "\udfff" for c in text)
    with contextlib.suppress(SyntaxError, RecursionError, MemoryError, OverflowError):
        source.compile_expression(text)


# ---- get_variable -------------------------------------------------------------------


def test_get_variable_takes_paths() -> None:
    """Attributes, indexes and keys may follow the name."""
    main.execute_code("class A: pass\na = A()\na.b = [{'k': 7}]")

    assert 7 == main.get_variable("a.b[0]['k']")
    assert 7 == main.get_variable(' a . b [-1] ["k"]')
    assert main.get_variable("len") is len


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("nope", "'nope' is not defined in context 'main'"),
        ("nope.x.y", "'nope' is not defined in context 'main'"),
        ("a.nope", "'a.nope' is not defined in context 'main'"),
        ("a.nope.x", "'a.nope' is not defined in context 'main'"),
        ("a.b[5]", "'a.b[5]' is not defined in context 'main'"),
        ("a.b[5].c", "'a.b[5]' is not defined in context 'main'"),
        ("a.b[0]['x'].y", "'a.b[0]['x']' is not defined in context 'main'"),
        ("nope[0]", "'nope' is not defined in context 'main'"),
        ("é.x", "'é' is not defined in context 'main'"),
        ("a.é.x", "'a.é' is not defined in context 'main'"),
    ],
)
def test_undefined_names_the_first_missing_part(path: str, missing: str) -> None:
    """The error names what is missing, and the context."""
    main.execute_code("class A: pass\na = A()\na.b = [{'k': 7}]")

    with pytest.raises(Undefined) as caught:
        main.get_variable(path)

    assert missing == str(caught.value)
    assert not main.get_variable_defined(path)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_undefined_suggests_what_is_alike() -> None:
    """A slip of the pen is told apart from a thing that is not there."""
    main.execute_code("import math\nfrequency = 1")

    with pytest.raises(Undefined, match="is it 'frequency'"):
        main.get_variable("freqency")
    with pytest.raises(Undefined, match="is it 'math.sqrt'"):
        main.get_variable("math.sqr")
    with pytest.raises(Undefined, match="is it 'print'"):
        main.get_variable("prnt")


def test_undefined_says_what_only_wants_an_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forgetting an import is told apart from a thing that is nowhere."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(Undefined) as caught:
        main.get_variable("colorsys.hls_to_rgb")

    assert (
        "'colorsys' is not defined in context 'main'; it is a module: import it first"
        == str(caught.value)
    )
    assert "colorsys" not in sys.modules


def test_undefined_survives_hostile_names() -> None:
    """Looking for what is alike never gets in the way of the error."""
    main.execute_code("""
class A:
    def __dir__(self):
        return 1 / 0
a = A()
globals()[3] = 4
""")
    for path in ("a.nope", "nope"):
        with pytest.raises(Undefined, match=f"'{path}' is not defined in context"):
            main.get_variable(path)


def test_exceptions_of_user_code_are_not_undefined() -> None:
    """An AttributeError inside a property is that property's own."""
    main.execute_code("""
class A:
    @property
    def p(self):
        return self.missing
    def __getitem__(self, key):
        raise KeyError("inner")
a = A()
def f():
    return nope
""")
    with pytest.raises(AttributeError, match="missing"):
        main.get_variable("a.p")
    with pytest.raises(KeyError, match="inner"):
        main.get_variable("a[0]")
    with pytest.raises(NameError, match="nope") as caught:
        main.get_variable("f()")
    with pytest.raises(KeyError):
        main.get_variable("{}.pop('x')")

    assert not isinstance(caught.value, Undefined)


def test_missing_columns_are_undefined() -> None:
    """A library that looks a name up in its own code counts as not having it."""
    main.execute_code("import pandas as pd\ndf = pd.DataFrame({'a': [1]})")

    for path in ("df['nope']", "df.nope", "df['a'][7]"):
        with pytest.raises(Undefined, match="is not defined in context 'main'"):
            main.get_variable(path)
        assert not main.get_variable_defined(path)


def test_asking_whether_it_is_there_is_not_an_error() -> None:
    """As with hasattr(), what user code lacks is not there; other failures are told."""
    main.execute_code("""
class A:
    @property
    def p(self):
        return self.missing
    @property
    def q(self):
        return 1 / 0
    def __getitem__(self, key):
        raise KeyError(key)
a = A()
""")
    assert not main.get_variable_defined("a.p")
    assert not main.get_variable_defined("a['k']")
    assert main.get_variable_info("a.p")["defined"] is False
    with pytest.raises(ZeroDivisionError):
        main.get_variable_defined("a.q")


def test_get_variable_of_nonsense_is_an_error() -> None:
    """What is no expression is a syntax error, and nothing is no name."""
    with pytest.raises(SyntaxError):
        main.get_variable("a b")
    with pytest.raises(BadArgument, match="variable is missing"):
        main.get_variable("")


def test_variable_names_are_normalised_as_by_the_compiler() -> None:
    """A name in another Unicode form is the same name."""
    main.set_variable("ﬁ", 1)

    assert 1 == main.get_variable("fi")
    assert 1 == main.get_variable("ﬁ")


# ---- get_variable_info --------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "length"),
    [
        ("123", "int", None),
        ("'abc'", "str", 3),
        ("None", "NoneType", None),
        ("[1, 2]", "list", 2),
        ("b'abcd'", "bytes", 4),
        ("len", "builtin_function_or_method", None),
        ("int", "type", None),
        ("list", "type", None),
        ("__import__('decimal').Decimal(1)", "decimal.Decimal", None),
        ("__import__('pandas').DataFrame({'a': [1, 2]})", "pandas.DataFrame", 2),
        ("__import__('collections').OrderedDict()", "collections.OrderedDict", 0),
    ],
)
def test_info_tells_type_and_length(code: str, kind: str, length: int | None) -> None:
    """The type is qualified but for builtins; the length is len()."""
    main.execute_code(code, "v")

    assert {"defined": True, "type": kind, "length": length} == main.get_variable_info(
        "v"
    )
    assert kind == main.get_variable_type("v")
    assert main.get_variable_defined("v")


def test_info_of_a_users_class_names_its_module() -> None:
    """A class of the user's is qualified by the module of its context."""
    main.execute_code("class C:\n  class D: pass\nc = C.D()")

    assert "pybridge_main.C.D" == main.get_variable_type("c")


def test_info_of_nothing_is_not_an_error() -> None:
    """What is not there is not defined."""
    nothing = {"defined": False, "type": None, "length": None}

    assert nothing == main.get_variable_info("x1")
    assert nothing == main.get_variable_info("x1.y[3]")
    with pytest.raises(Undefined):
        main.get_variable_type("x1")


def test_info_with_a_serialization_measures_that_form() -> None:
    """Asked for, the size is that of the form."""
    main.execute_code("v = [1, 2, 3]")

    assert 9 == main.get_variable_info("v", "str")["length"]
    assert 7 == main.get_variable_info("v", "json")["length"]


def test_info_does_not_serialize_unasked() -> None:
    """A value that cannot be written is described all the same."""
    main.execute_code(
        "class C:\n  def __len__(self): 1/0\n  __repr__ = __len__\nc = C()"
    )

    assert main.get_variable_info("c")["length"] is None


# ---- Calling ------------------------------------------------------------------------


def test_call_passes_arguments() -> None:
    """Positional and keyword arguments of any type."""
    main.execute_code("import math\ndef f(a, b=2, *c, d, **e): return a, b, c, d, e")

    assert (1, 2, (), 3, {}) == main.call("f", 1, d=3)
    assert (1, 5, (6,), 3, {"z": 4}) == main.call("f", 1, 5, 6, d=3, z=4)
    assert 3 == main.call("len", "abc")
    assert 2.0 == main.call("math.sqrt", 4)
    assert "A" == main.call("str.upper", "a")


def test_call_in_another_context() -> None:
    """The context is the one that is named."""
    main.execute_code("def f(): return 'other'", context="other")

    assert "other" == main.call("f", context="other")
    with pytest.raises(Undefined):
        main.call("f")


def test_call_of_what_cannot_be_called_is_refused() -> None:
    """The error names the type that it is instead."""
    main.execute_code("x = 3")

    with pytest.raises(BadArgument, match="'x' cannot be called: it is of type int"):
        main.call("x")


def test_exit_in_a_function_is_an_exception() -> None:
    """SystemExit comes out as what it is, to be made an error of the host's."""
    main.execute_code("import sys\ndef f(): sys.exit(3)")

    with pytest.raises(SystemExit):
        main.call("f")


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ("[1, 100]", None),
        ([1, 100], None),
        ((1, 100), ""),
        ("[1]", '{"b": 100}'),
        (None, '{"a": 1, "b": 100}'),
        ("", {"a": 1, "b": 100}),
        (range(1, 101, 99), None),
    ],
)
def test_execute_function_takes_json_or_objects(args: Any, kwargs: Any) -> None:
    """Arguments are JSON text, or Python's own sequence and mapping."""
    main.execute_code("import random")

    number = main.execute_function("random.randint", args, kwargs, "n")

    assert 1 <= number <= 100
    assert number == main.get_variable("n")


def test_execute_function_formats() -> None:
    """Both kinds of arguments together, with text that needs no quoting."""
    text = main.execute_function(
        "str.format",
        '["{0} {1}! {name}", "it\'s", "\\"x\\""]',
        '{"name": "é"}',
        None,
        "json",
    )

    assert '"it\'s \\"x\\"! é"' == text


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ("{}", None, "args is not a JSON array but an object"),
        ("1", None, "args is not a JSON array but of type int"),
        ("null", None, "args is not a JSON array but null"),
        ("[1", None, "args is not JSON"),
        ("[NaN]", None, "NaN is not JSON"),
        (b"[1]", None, "args is not a JSON array"),
        (5, None, "args is not a sequence"),
        (None, "[]", "kwargs is not a JSON object but an array"),
        (None, "x", "kwargs is not JSON"),
        (None, {1: 2}, "kwargs has the key 1"),
        (None, 7, "kwargs is not a JSON object"),
    ],
)
def test_execute_function_refuses_other_arguments(
    args: Any, kwargs: Any, message: str
) -> None:
    """What is no array or no object is named."""
    with pytest.raises(BadArgument, match=message):
        main.execute_function("print", args, kwargs)


def test_execute_function_leaves_the_variable_on_failure() -> None:
    """Not even a failing serialization changes the variable."""
    main.execute_code("v = 'old'")

    with pytest.raises(Unsupported):
        main.execute_function("object", None, None, "v", "json")
    with pytest.raises(ZeroDivisionError):
        main.execute_function("divmod", "[1, 0]", None, "v")

    assert "old" == main.get_variable("v")


# ---- get_function_info --------------------------------------------------------------


def test_function_info_describes_arguments() -> None:
    """Name, kind, default as repr and annotation of each argument."""
    main.execute_code(
        'def f(a, /, b: int = 2, *c: "str", d=None, **e) -> bool:\n    """Do it."""'
    )

    info = main.get_function_info("f")

    assert info["defined"] is True
    assert "function" == info["type"]
    assert "Do it." == info["docs"]
    assert "(a, /, b: int = 2, *c: 'str', d=None, **e) -> bool" == info["signature"]
    assert [
        ("a", "positional_only", None, None),
        ("b", "positional_or_keyword", "2", "int"),
        ("c", "var_positional", None, "str"),
        ("d", "keyword_only", "None", None),
        ("e", "var_keyword", None, None),
    ] == [tuple(argument.values()) for argument in info["arguments"]]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("len", ["obj"]),
        ("C", ["x", "y"]),
        ("C(1).m", ["z"]),
        ("C.m", ["self", "z"]),
        ("C(1)", ["w"]),
        ("functools.partial(C.m, z=3)", ["self", "z"]),
        ("lambda p, q=1: p", ["p", "q"]),
        ("Meta", ["k"]),
    ],
)
def test_function_info_knows_every_callable(code: str, names: list[str]) -> None:
    """Builtins, classes, methods, objects, partials and lambdas."""
    main.execute_code("""
import functools
class C:
    def __init__(self, x, y=2): pass
    def m(self, z): pass
    def __call__(self, w): pass
class M(type): pass
class Meta(metaclass=M):
    def __init__(self, k): pass
""")
    main.execute_code(code, "f")

    info = main.get_function_info("f")

    assert names == [argument["name"] for argument in info["arguments"]]


def test_function_info_without_signature() -> None:
    """Some builtins tell none."""
    info = main.get_function_info("dict")

    assert info["defined"] is True
    assert info["signature"] is None
    assert info["arguments"] is None


def test_function_info_of_nothing_and_of_no_function() -> None:
    """What is not there is not defined; what is no function is refused."""
    main.execute_code("x = 1")

    assert main.get_function_info("nope")["defined"] is False
    assert main.get_function_info("nope.x")["defined"] is False
    with pytest.raises(BadArgument, match="'x' cannot be called"):
        main.get_function_info("x")


def test_function_info_survives_hostile_defaults() -> None:
    """A default whose repr raises does not hide the rest."""
    main.execute_code("class R:\n  def __repr__(self): 1/0\ndef f(a=R()): pass")

    info = main.get_function_info("f")

    assert "<pybridge_main.R>" == info["arguments"][0]["default"]


# ---- Modules ------------------------------------------------------------------------


def test_import_tells_what_was_before() -> None:
    """The first import finds nothing; the second finds the alias."""
    assert {"imported": False, "alias": None} == main.get_module_info("keyword")
    assert (False, "kw") == main.import_module("keyword", "kw")
    assert (True, "kw") == main.import_module("keyword")
    assert (True, "kw") == main.import_module("keyword", "kw")
    assert {"imported": True, "alias": "kw"} == main.get_module_info("keyword")
    assert main.evaluate("kw.iskeyword('class')") is True


def test_import_under_a_second_alias() -> None:
    """An alias that is asked for is made, also where there is another."""
    main.import_module("json", "j")

    assert (True, "k") == main.import_module("json", "k")
    assert main.evaluate("j is k")


def test_import_of_a_submodule() -> None:
    """`a.b` binds `a`, and is found as `a.b`, also under an alias of `a`."""
    assert (False, "xml.dom") == main.import_module("xml.dom")
    assert (True, "xml.dom") == main.import_module("xml.dom")
    main.execute_code("import os as o", context="b")
    assert {"imported": True, "alias": "o.path"} == main.get_module_info(
        "os.path", context="b"
    )
    assert (False, "d") == main.import_module("xml.dom", "d", context="c")
    assert main.evaluate("d.__name__", context="c") == "xml.dom"


@pytest.mark.parametrize(
    "code",
    ["from os import path as p", "import os.path as p", "import posixpath as p"],
)
def test_module_is_known_by_identity(code: str) -> None:
    """However it came, the name that is bound to the module is its alias."""
    main.execute_code(code)

    assert {"imported": True, "alias": "p"} == main.get_module_info("os.path")


def test_module_of_another_context_is_not_imported() -> None:
    """Being loaded is not being imported here."""
    main.import_module("json", context="a")

    assert {"imported": False, "alias": None} == main.get_module_info(
        "json", context="b"
    )


@pytest.mark.parametrize("name", [".x", "a..b", "a b", "a-b", "1a", "a."])
def test_import_of_a_wrong_name_is_refused(name: str) -> None:
    """Relative and broken names are told."""
    with pytest.raises(BadArgument, match="not the name of a module"):
        main.import_module(name)


def test_import_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing or broken module changes no name."""
    (tmp_path / "broken_mod.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(contexts.get("main").namespace)

    with pytest.raises(ModuleNotFoundError, match="nope_nope"):
        main.import_module("nope_nope", "n")
    with pytest.raises(ZeroDivisionError):
        main.import_module("broken_mod")

    assert before == set(contexts.get("main").namespace)
    assert "broken_mod" not in sys.modules


# ---- Streams ------------------------------------------------------------------------


def test_stream_goes_in_and_out() -> None:
    """A frame made of a stream gives the same rows again."""
    main.execute_code(
        "import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': list('xy')})"
    )

    rows = main.set_stream("copy", main.get_stream("df"))

    assert 2 == rows
    assert main.evaluate("df.equals(copy)") is True
    assert ["a", "b"] == main.get_schema("df").names
    assert ["b"] == main.get_stream("df", ["b"]).column_names


@pytest.mark.parametrize(
    ("type_", "options", "message"),
    [
        ("frame", None, "type 'frame' is unknown; known are dataframe, arrow"),
        (None, '{"x": 1}', "option 'x' is unknown"),
        (None, "[]", "options is not a JSON object"),
        (None, '{"dtype_backend": "fast"}', "dtype_backend 'fast' is unknown"),
    ],
)
def test_set_stream_leaves_the_variable_on_failure(
    type_: str | None, options: str | None, message: str
) -> None:
    """A type or option that is unknown is told before anything changes."""
    main.execute_code("import pandas as pd\ndf = pd.DataFrame({'a': [1]})\nv = 'old'")

    with pytest.raises(BadArgument, match=message):
        main.set_stream("v", main.get_stream("df"), type_, options)

    assert "old" == main.get_variable("v")
