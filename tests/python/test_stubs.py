"""What a survey finds, and the names and comments that writers make of it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import BadArgument
from pybridge.stubs import TARGETS, Masks, filename, survey, write
from pybridge.stubs.survey import Parameter
from pybridge.stubs.words import Names, Options, call_text, legible
from tests.hard import HARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.stubs.survey import Function, Module


@pytest.fixture
def hard() -> Iterator[ModuleType]:
    """A module named hard_one with all that makes wrapping hard."""
    module = ModuleType("hard_one")
    sys.modules["hard_one"] = module
    exec(compile(HARD, "hard_one", "exec"), module.__dict__)
    yield module
    del sys.modules["hard_one"]


def found(module: Module) -> dict[str, Function]:
    """Return all that can be called, by path."""
    functions = {one.path: one for one in module.functions}
    for one in module.classes:
        functions |= {member.path: member for member in one.members}
        if one.constructor is not None:
            functions[one.path] = one.constructor
    return functions


def texts(module: Module) -> dict[str, str]:
    """Return each callable as Python code would call it."""
    return {
        path: call_text("", one).partition("(")[2]
        for path, one in found(module).items()
    }


def test_survey_finds_what_is_public(hard: ModuleType) -> None:
    """Own names and lazy ones; not the imported, the private, and inner classes."""
    module = survey("hard_one")

    assert [
        *("Nothing", "callable_default", "größe", "lazy", "many", "nothing"),
        *("plain", "printf", "wide"),
    ] == sorted(one.path for one in module.functions)
    assert ["Base", "Broken", "Derived", "Meta", "Odd", "aliased"] == [
        one.path for one in module.classes
    ]
    assert (("other", "plain"),) == module.aliases
    assert ["LIMIT"] == [one.path for one in module.constants]


def test_survey_tells_what_it_leaves_out(hard: ModuleType) -> None:
    """What warns that it is deprecated, and what cannot be had, with the reason."""
    assert (("broken", "RuntimeError: not today"), ("old", "deprecated")) == (
        survey("hard_one").skipped
    )


def test_survey_goes_by_all(hard: ModuleType) -> None:
    """With `__all__` it is the list, imported names too; what is not there is told."""
    vars(hard)["__all__"] = ["dumps", "plain", "absent"]

    module = survey("hard_one")

    assert ["dumps", "plain"] == [one.path for one in module.functions]
    assert ["absent"] == [name for name, _ in module.skipped]


def test_survey_describes_members_unread(hard: ModuleType) -> None:
    """Each kind, without self and cls, inherited ones too; no property is read."""
    members = found(survey("hard_one"))

    assert {
        "Base": ("constructor", "x, *, y=2)"),
        "Base.cached": ("property", ""),
        "Base.fixed": ("staticmethod", "x=1)"),
        "Base.hot": ("property", ""),
        "Base.inherited": ("method", ")"),
        "Base.made": ("classmethod", "x)"),
        "Derived": ("constructor", "x, *, y=2)"),
        "Derived.inherited": ("method", ")"),
        "Derived.own": ("method", "self_=1)"),
    } == {
        path: (one.kind, call_text("", one).partition("(")[2])
        for path, one in members.items()
        if path.startswith("Base")
        or path in {"Derived", "Derived.inherited", "Derived.own"}
    }
    assert ["Base.size"] == [
        one.path for one in survey("hard_one").classes[0].constants
    ]


def test_survey_keeps_each_kind_of_parameter(hard: ModuleType) -> None:
    """Positional only, either, any number, keyword only, any names; and defaults."""
    functions = texts(survey("hard_one"))

    assert "a, b=1, /, c=2, *args, d, e=None, **kwargs)" == functions["plain"]
    assert "straße)" == functions["größe"]
    assert " at 0x" not in functions["callable_default"]


@pytest.mark.parametrize(
    ("module", "path", "text"),
    [
        ("random", "randint", "a, b)"),  # a bound method
        ("math", "hypot", "...)"),  # a builtin that tells nothing
        ("math", "isclose", "a, b, *, rel_tol=1e-09, abs_tol=0.0)"),
        ("datetime", "date", "...)"),
        ("datetime", "date.today", "...)"),
        ("datetime", "date.year", ""),
        ("json", "loads", None),
        ("re", "Pattern.sub", "repl, string, count=0)"),
        ("collections", "Counter.elements", ")"),
        ("itertools", "chain.from_iterable", "iterable, /)"),
        ("pandas", "DataFrame.head", "n: 5)"),
        ("numpy", "exp", None),
        ("decimal", "Decimal.from_float", "f, /)"),
        ("enum", "Enum.name", ""),
    ],
)
def test_survey_of_known_modules(module: str, path: str, text: str | None) -> None:
    """Builtins, bound methods, descriptors and ufuncs are found as they are."""
    function = found(survey(module))[path]

    said = call_text("", function).partition("(")[2]

    assert text in {None, said, said.replace("=", ": ")}


def test_survey_of_a_ufunc_without_signature() -> None:
    """Its arguments are as many as it says, and any names."""
    import numpy

    from pybridge.stubs.survey import _of_ufunc

    class Old:
        nin, nout = numpy.add.nin, numpy.add.nout

    assert ["x1", "x2", "kwargs"] == [one["name"] for one in _of_ufunc(Old()) or ()]
    assert None is _of_ufunc(len)


def test_survey_of_nothing_is_refused() -> None:
    """The error names the module, and what came of importing it."""
    with pytest.raises(BadArgument, match="'no_such_module' cannot be imported"):
        survey("no_such_module")
    with pytest.raises(BadArgument, match="a full name is wanted"):
        survey("../x")


def test_survey_of_a_module_that_exits_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module is code, and may do anything when it is imported."""
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        BadArgument, match="'leaving' cannot be imported: SystemExit: 3"
    ):
        survey("leaving")


@pytest.mark.parametrize(
    ("include", "exclude", "kept"),
    [
        ("*", "*_*", "classA classB"),
        ("*,__init__", "_*,*_", "classA classB classA_B pack._ClassD __init__"),
        ("class?", "", "classA classB"),
        ("*,_classC", "_*", "classA classB _classC classA_B pack._ClassD"),
        ("*", "classA", "classB _classC classA_B pack._ClassD __init__"),
        ("", "", ""),
        (" classA , classB ", "", "classA classB"),
        ("[c]*", "", ""),
    ],
)
def test_masks_keep_what_is_named(include: str, exclude: str, kept: str) -> None:
    """Exact names win; the others match one of the first and none of the second."""
    names = ["classA", "classB", "_classC", "pack._ClassD", "classA_B", "__init__"]
    masks = Masks(include, exclude)

    said = {name for name in names if masks(name)}

    assert set(kept.split()) == said


def test_survey_goes_by_masks(hard: ModuleType) -> None:
    """A class that is named brings its members; a member may be named alone."""
    whole = survey("hard_one", Masks("Base", "_*"))
    member = survey("hard_one", Masks("Base.made", ""))
    private = survey("hard_one", Masks("_hidden,_LIMIT", "_*"))

    assert {"Base", "Base.made", "Base.inherited", "Base.hot"} < set(found(whole))
    assert ["Base.made"] == list(found(member))
    assert (["_hidden"], ["_LIMIT"]) == (
        [one.path for one in private.functions],
        [one.path for one in private.constants],
    )


def test_names_are_given_out_once() -> None:
    """A name that is taken gets a number, also where only its case differs."""
    names = Names(["select"], fold=True, size=8)

    taken = [
        names.take(name) for name in ("select", "a", "A", "a", "straßen", "straßens")
    ]

    assert ["select_2", "a", "A_2", "a_3", "straßen", "straß_2"] == taken


def test_legible_shows_what_hides() -> None:
    """Controls, direction marks and surrogates become escapes; letters stay."""
    assert r"a\x00b\u202ec\ud800dé\U000e0001" == legible(
        "a\0b\u202ec\ud800dé\U000e0001"
    )
    assert "a\n    b\nc" == legible("a\r\n\tb\rc")


@pytest.mark.parametrize("target", TARGETS)
def test_write_is_the_same_each_time(hard: ModuleType, target: str) -> None:
    """The text follows from the module alone, and has no address in it."""
    options = Options()

    text = write(survey("hard_one"), target, options)

    assert text == write(survey("hard_one"), target, options)
    assert " at 0x" not in text
    assert text.endswith("\n")
    assert "\0" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("target", TARGETS)
def test_write_shows_as_much_of_the_docs_as_is_asked(target: str) -> None:
    """All of them, their first paragraph, or none."""
    module = survey("textwrap", Masks("wrap"))
    full, first, none = (
        write(module, target, Options(docs=docs)) for docs in ("full", "first", "none")
    )

    assert "Reformat the single paragraph" in full
    assert "TextWrapper class" in full
    assert "Wrap a single paragraph" in first
    assert "TextWrapper class" not in first
    assert "Wrap a single paragraph" not in none


def test_write_refuses_an_unknown_target() -> None:
    """The error names the known ones."""
    with pytest.raises(BadArgument, match="choose one of: sql, m, pyi, c"):
        write(survey("math"), "java", Options())


@pytest.mark.parametrize(
    ("module", "target", "package", "name"),
    [
        ("math", "sql", None, "math.sql"),
        ("os.path", "sql", "x", "x_os_path.sql"),
        ("math", "c", None, "py_math.h"),
        ("os.path", "c", "my", "my_os_path.h"),
        ("os.path", "m", None, "pyosPath.m"),
        ("math", "m", "lib", "libmath.m"),
        ("os.path", "pyi", None, "os/path.pyi"),
        ("json", "pyi", None, "json/__init__.pyi"),
    ],
)
def test_filename_suits_the_target(
    module: str, target: str, package: str | None, name: str
) -> None:
    """As each language wants its files named; none hides one of the C library."""
    assert name == filename(survey(module), target, Options(package))


def test_parameter_without_default_is_required() -> None:
    """Any number, and any names, are not."""
    assert Parameter("a", "keyword_only", None, None).required
    assert not Parameter("a", "keyword_only", "1", None).required
    assert not Parameter("a", "var_keyword", None, None).required
