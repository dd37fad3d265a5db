"""Wrappers in M, called on a real GT.M."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pybridge.stubs import filename, survey, write
from pybridge.stubs.words import Options
from tests.hard import HARD

if TYPE_CHECKING:
    from tests.gtm.conftest import M

MODULES = ("datetime", "decimal", "fractions", "json", "math", "random", "re", "string")

CALLS = {
    "$$randint^pyrandom(3,3)": "3",
    "$$uniform^pyrandom(2,2)": "2",
    '$$choices^pyrandom("aa",,,3)': "['a', 'a', 'a']",
    "$$choice^pyrandom(.list)": "5",
    "$$fsum^pymath(.numbers)": ".75",
    "$$hypot^pymath(3,4)": "5",
    "$$isclose^pymath(1,1.1)": "0",
    "$$isclose^pymath(1,1.1,0.2)": "1",
    "$$isclose^pymath(1,1.1,,0.2)": "1",
    "$$gcd^pymath(12,18,27)": "3",
    "$extract($$pi^pymath,1,6)": "3.1415",
    '$$escape^pyre("a.b")': "a\\.b",
    '$$sub^pyre("a","b","aa")': "bb",
    '$$capwords^pystring("a bc")': "A Bc",
    "$$digits^pystring": "0123456789",
    '$$dumps^pyjson("a")': '"a"',
    '$$Decimal^pydecimal("d","2.25")': "d",
    '$$DecimalSqrt^pydecimal("d")': "1.5",
    '$$DecimalIsNan^pydecimal("d")': "0",
    '$$Fraction^pyfractions("half",1,2)': "half",
    '$$FractionDenominator^pyfractions("half")': "2",
    '$$date^pydatetime("day",2024,2,29)': "day",
    '$$dateYear^pydatetime("day")': "2024",
    '$$dateIsoformat^pydatetime("day")': "2024-02-29",
    "$$dateFromordinal^pydatetime(730000)": "57954",
    "$$Nothing^pyhardOne": "1",
    "$$BaseFixed^pyhardOne": "1",
    "$$BaseFixed^pyhardOne(7)": "7",
    f"$$many^pyhardOne(1,2{',' * 29}.named)": "59",
}


@pytest.fixture
def wrapped(m: M) -> M:
    """A database that has the routines of the wrapped modules."""
    for name in MODULES:
        one = survey(name)
        path = m.database.routines / filename(one, "m", Options())
        path.write_text(write(one, "m", Options()), encoding="utf-8")
    hard = sys.modules["hard_one"] = ModuleType("hard_one")
    exec(compile(HARD, "hard_one", "exec"), hard.__dict__)
    one = survey("hard_one")
    del sys.modules["hard_one"]
    (m.database.routines / "pyhardOne.m").write_text(write(one, "m", Options()))
    (m.database.routines / "hard_one.py").write_text(HARD, encoding="utf-8")
    return m


def test_routines_give_what_python_gives(wrapped: M) -> None:
    """By position and name, left out, any number, methods of a variable, properties."""
    lines = [
        'new named,list,numbers,%form set named("a59")=59',
        'set list="[5]",list("type")="j",numbers="[0.5, 0.25]",numbers("type")="j"',
    ]
    for call in CALLS:
        form = 'set %form="repr"' if "choices" in call else "kill %form"
        lines += [form, f"write {call},!"]

    printed = wrapped.run(
        "\n".join(lines), env={"PYTHONPATH": str(wrapped.database.routines)}
    )

    assert dict(zip(CALLS, printed.splitlines(), strict=True)) == CALLS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("$$hypot^pymath(3,,4)", "argument 2 is missing"),
        ('$$randint^pyrandom("a",1)', "ValueError"),
        ("$$randint^pyrandom(1)", "TypeError"),
        ("$$choice^pyrandom(.broken)", "not JSON"),
        ('$$DecimalSqrt^pydecimal("nobody")', "'nobody' is not defined"),
    ],
)
def test_routines_say_what_is_wrong(wrapped: M, call: str, message: str) -> None:
    """A failure is an error of M, and %error has the words."""
    printed = wrapped.run(
        'new broken set broken="[",broken("type")="j"\n'
        f'set $etrap="write $ecode,%error,! zhalt 0"\nwrite {call},!'
    )

    assert printed.startswith(",U-PYBRIDGE,")
    assert message in printed
