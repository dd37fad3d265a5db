"""What is kept of a failure."""

from __future__ import annotations

import gc
import json
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import main, status

if TYPE_CHECKING:
    from pybridge.context import Context


def failed(code: str, context: Context) -> tuple[str, str, str, int]:
    """Run code that fails and return what is recorded of it."""
    try:
        main.execute_code(code, context=context.name)
    except BaseException as exc:
        return status.record(exc, context)
    raise AssertionError("the code did not fail")


def report(code: str, context: Context) -> dict[str, Any]:
    """Run code that fails and return its whole report, which must be JSON."""
    failed(code, context)
    taken = context.status.take()
    assert taken is not None
    assert json.loads(json.dumps(taken)) == taken
    json.dumps(taken, ensure_ascii=False).encode()
    return taken


def user_lines(text: str) -> str:
    """Drop the frames of the test itself from a traceback."""
    lines = text.splitlines(keepends=True)
    kept = []
    skip = False
    for line in lines:
        if line.startswith("  File "):
            skip = "test_status.py" in line
        elif not line.startswith("    "):
            skip = False
        if not skip:
            kept.append(line)
    return "".join(kept)


def test_record_returns_type_message_file_and_line(context: Context) -> None:
    """The four things that an error of the host has room for."""
    kind, message, file, line = failed("x = 1\n\n1 / 0", context)

    assert "ZeroDivisionError" == kind
    assert "division by zero" == message
    assert file.startswith("<pybridge:")
    assert 3 == line


def test_traceback_shows_the_users_lines_only(context: Context) -> None:
    """No frame of the bridge, and each of the user's with its text."""
    code = "def f(a):\n    return a / 0\n\nf(1)\n"

    text = user_lines(report(code, context)["traceback"])
    lines = text.splitlines()

    assert "Traceback (most recent call last):" == lines[0]
    assert lines[1].endswith("line 4, in <module>")
    assert "    f(1)" == lines[2]
    assert lines[3].endswith("line 2, in f")
    assert "    return a / 0" == lines[4]
    assert "ZeroDivisionError: division by zero" == lines[5]
    assert "pybridge/" not in text


def test_users_own_traceback_shows_their_lines(context: Context) -> None:
    """traceback.format_exc() in the user's code knows the text too."""
    code = """
import traceback
def f():
    return [][1]  # here
try:
    f()
except IndexError:
    text = traceback.format_exc()
"""
    main.execute_code(code, context="test")

    text = main.get_variable("text", context="test")

    assert "return [][1]  # here" in text
    assert "pybridge/" not in text


def test_import_error_shows_no_import_machinery(context: Context) -> None:
    """Frames of importlib say nothing to the user."""
    text = report("import nope_nope", context)["traceback"]

    assert "importlib" not in text
    assert "ModuleNotFoundError: No module named 'nope_nope'" in text


def test_line_is_the_innermost_of_the_users_own(context: Context) -> None:
    """An error inside a library points at the user's line that led there."""
    code = "import json\njson.loads('{')\n"

    kind, _, file, line = failed(code, context)

    assert "json.decoder.JSONDecodeError" == kind
    assert file.startswith("<pybridge:")
    assert 2 == line


def test_syntax_error_tells_file_line_and_place(context: Context) -> None:
    """The place is in the user's text, with a mark under the column."""
    code = "x = 1\ny = = 2\n"

    taken = report(code, context)

    assert "SyntaxError" == taken["type"]
    assert "invalid syntax" == taken["message"]
    assert 2 == taken["line"]
    assert taken["traceback"].endswith(
        "    y = = 2\n        ^\nSyntaxError: invalid syntax\n"
    )


def test_causes_are_listed_outermost_last(context: Context) -> None:
    """`raise ... from` is a cause; an error while handling one has it as context."""
    code = """
try:
    try:
        1 / 0
    except ZeroDivisionError:
        raise KeyError("k")
except KeyError as e:
    raise ValueError("v") from e
"""
    taken = report(code, context)

    assert [("cause", "KeyError"), ("context", "ZeroDivisionError")] == [
        (cause["relation"], cause["type"]) for cause in taken["causes"]
    ]
    text = taken["traceback"]
    assert text.index("ZeroDivisionError: ") < text.index("KeyError: 'k'")
    assert text.index("KeyError: 'k'") < text.index("ValueError: v")
    assert "direct cause" in text
    assert "During handling" in text


def test_suppressed_context_is_not_shown(context: Context) -> None:
    """`raise ... from None` hides what came before."""
    code = "try:\n 1 / 0\nexcept Exception:\n raise ValueError('v') from None"

    assert [] == report(code, context)["causes"]


def test_causes_in_a_circle_end(context: Context) -> None:
    """A chain that comes back to itself is shown once."""
    code = "a, b = ValueError('a'), ValueError('b')\n"
    code += "a.__cause__ = b\nb.__cause__ = a\nraise a"

    assert ["b"] == [cause["message"] for cause in report(code, context)["causes"]]


def test_very_long_chain_ends(context: Context) -> None:
    """A chain of a thousand is cut, not followed to the end of the stack."""
    code = """
e = ValueError("0")
for i in range(5000):
    f = ValueError(str(i)); f.__cause__ = e; e = f
raise e
"""
    assert 10 < len(report(code, context)["causes"]) < 100


def test_notes_are_kept(context: Context) -> None:
    """add_note() texts are in the report and in the traceback."""
    code = "e = ValueError('v')\ne.add_note('look\\nthere')\nraise e"

    taken = report(code, context)

    assert ["look\nthere"] == taken["notes"]
    assert taken["traceback"].endswith("ValueError: v\nlook\nthere\n")


def test_group_lists_its_members(context: Context) -> None:
    """An ExceptionGroup tells what is in it."""
    code = "raise ExceptionGroup('several', [ValueError('a'), TypeError('b')])"

    taken = report(code, context)

    assert ["ValueError", "TypeError"] == [one["type"] for one in taken["exceptions"]]
    assert "TypeError: b" in taken["traceback"]


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("raise SystemExit", "SystemExit", "the code called sys.exit()"),
        ("import sys\nsys.exit(3)", "SystemExit", "the code called sys.exit(3)"),
        (
            "import sys\nsys.exit('bye')",
            "SystemExit",
            "the code called sys.exit('bye')",
        ),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "the call was interrupted"),
        ("raise MemoryError", "MemoryError", "out of memory"),
        ("raise KeyError('k')", "KeyError", "'k'"),
        ("assert 1 == 2", "AssertionError", ""),
        ("raise ValueError('a\\nb\\r\\n  c\\0d')", "ValueError", "a b c\\0d"),
        ("raise ValueError('x\\ud800y')", "ValueError", "x\\ud800y"),
        ("raise ValueError('é🐍')", "ValueError", "é🐍"),
        ("raise ValueError(1, 2)", "ValueError", "(1, 2)"),
        ("raise GeneratorExit", "GeneratorExit", ""),
        ("class E(Exception): pass\nraise E('x')", "pybridge_context_test.E", "x"),
        (
            "class E(Exception):\n def __str__(self): raise ValueError\nraise E",
            "pybridge_context_test.E",
            "<str() of the exception raised ValueError>",
        ),
        (
            "class E(Exception):\n def __str__(self): return 1\nraise E",
            "pybridge_context_test.E",
            "<str() of the exception raised TypeError>",
        ),
        (
            "class E(Exception):\n def __str__(self): return str(self)\nraise E",
            "pybridge_context_test.E",
            "<str() of the exception raised RecursionError>",
        ),
        (
            "class E(Exception):\n __notes__ = 3\nraise E('x')",
            "pybridge_context_test.E",
            "x",
        ),
    ],
)
def test_any_exception_is_recorded(
    code: str, kind: str, message: str, context: Context
) -> None:
    """Whatever an exception does, there is a type and a message of one line."""
    taken = report(code, context)

    assert (kind, message) == (taken["type"], taken["message"])


def test_str_that_exits_is_recorded(context: Context) -> None:
    """Not even SystemExit in __str__ comes out of recording."""
    code = "class E(Exception):\n def __str__(self): raise SystemExit\nraise E"

    assert failed(code, context)[0].endswith("E")


def test_long_messages_are_cut(context: Context) -> None:
    """A message of megabytes stays within bounds."""
    kind, message, _, _ = failed("raise ValueError('x' * 10_000_000)", context)

    assert "ValueError" == kind
    assert 1000 == len(message)
    assert message.endswith("...")
    assert 300_000 > len(str(context.status.take()))


def test_deep_recursion_is_summed_up(context: Context) -> None:
    """A thousand times the same line is said in three."""
    taken = report("def f(n):\n    return f(n + 1)\nf(0)", context)

    assert "RecursionError" == taken["type"]
    assert 20 > taken["traceback"].count("return f(n + 1)")
    assert "more times]" in taken["traceback"] or "more frames]" in taken["traceback"]


def test_recursion_error_can_be_recorded_deep_in_the_stack(context: Context) -> None:
    """Recording works where next to no stack is left."""
    code = """
def f():
    try:
        f()
    except RecursionError:
        1 / 0
f()
"""
    assert failed(code, context)[0] in {"ZeroDivisionError", "RecursionError"}


def test_nothing_of_the_failure_is_kept_alive(context: Context) -> None:
    """The values in the frames of a failure are released with it."""
    code = """
class Big: pass
def f(seen):
    big = Big()
    seen.append(__import__("weakref").ref(big))
    try:
        1 / 0
    except ZeroDivisionError as e:
        kept = e  # a cycle: frame -> exception -> traceback -> frame
        raise
seen = []
f(seen)
"""
    gc.disable()
    try:
        failed(code, context)
        found = main.get_variable("seen[0]", context="test")
        assert isinstance(found, weakref.ref)
        assert found() is None
    finally:
        gc.enable()


def test_take_forgets(context: Context) -> None:
    """A report is read once; without a failure there is none."""
    failed("1 / 0", context)

    assert context.status.take() is not None
    assert context.status.take() is None


def test_report_is_the_last_failure(context: Context) -> None:
    """A second failure takes the place of the first."""
    failed("1 / 0", context)
    failed("[][0]", context)
    taken = main.get_status(context="test")

    assert taken is not None
    assert "IndexError" == taken["type"]


def test_record_without_a_context_works() -> None:
    """Where not even the context is known, the four things are."""
    assert ("ValueError", "x", "", 0) == status.record(ValueError("x"), None)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "int"),
        (None, "NoneType"),
        (len, "builtin_function_or_method"),
        (int, "type"),
        (json, "module"),
        (json.JSONDecoder(), "json.decoder.JSONDecoder"),
    ],
)
def test_type_name_is_qualified_but_for_builtins(value: object, name: str) -> None:
    """Builtins are bare."""
    assert name == status.type_name(type(value))


def test_type_name_of_a_hostile_class() -> None:
    """A metaclass that raises does not stop it."""

    class Meta(type):
        def __getattribute__(cls, name: str) -> object:
            raise ValueError(name)

    class Hostile(metaclass=Meta):
        pass

    assert "Hostile" == status.type_name(Hostile)
