"""$LIST, the binary lists of IRIS: elements of every type, and bytes that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gtm.conftest import M

# Bytes of one element -> what it is.
ELEMENTS = [
    ("02 05", "-1"),
    ("03 05 80", "-128"),
    ("03 05 7F", "-129"),
    ("03 05 38", "-200"),
    ("04 05 01 00", "-65535"),
    ("06 05 00 00 00 00", "-4294967296"),
    ("02 04", "0"),
    ("03 04 FF", "255"),
    ("0A 04 FF FF FF FF FF FF FF 7F", "9223372036854775807"),
    ("04 06 FF 17", "2.3"),
    ("03 07 FF", "-.1"),
    ("04 07 FF 7F", "-12.9"),
    ("04 07 FF 00", "-25.6"),
    ("04 06 02 07", "700"),
    ("04 08 C0 3F", "1.5"),
    ("0A 08 9A 99 99 99 99 99 B9 3F", ".1"),
    ("0A 09 9A 99 99 99 99 99 B9 3F", ".1"),
    ("04 09 F8 3F", "1.5"),
    ("03 01 E9", "é"),
    ("04 02 1F 04", "П"),
    ("06 02 3D D8 00 DE", "😀"),
    ("05 21 61 62 63", "abc"),
    ("02 01", ""),
]


def record(*elements: str) -> str:
    """Return M source of the bytes of a list."""
    codes = [str(int(byte, 16)) for one in elements for byte in one.split()]
    return "$zchar(" + ",".join(codes) + ")"


def test_elements_are_what_iris_means(m: M) -> None:
    """Each element becomes its value, as text to see all of it."""
    lines = "\n".join(
        f"set ^g({i})={record(element)}" for i, (element, _) in enumerate(ELEMENTS)
    )

    printed = m.run(f"""
{lines}
set o("format")="list"
set sc=$$ExecuteGlobal^pybridge("^g","l","list",,,"s",,.o) write:'sc sc,!
set sc=$$ExecuteCode^pybridge("for k,v in l: print(v)")
""")

    assert [value for _, value in ELEMENTS] == printed.splitlines()


def test_types_of_elements_are_guessed(m: M) -> None:
    """Numbers are numbers, what is undefined or missing is NULL."""
    printed = m.run(f"""
set ^g(1)={record("03 04 07", "04 06 FF 17", "03 01 78", "01", "03 05 80")}
set ^g(2)={record("01", "02 04", "02 01")}
set o("format")="list"
set sc=$$ExecuteGlobal^pybridge("^g","l","list",,,,,.o) write sc,!
set sc=$$ExecuteCode^pybridge("print(l)")
""")

    assert (
        "1\n[(1, 7, 2.3, 'x', None, -128), (2, None, 0.0, '', None, None)]\n" == printed
    )


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (253, "255,1"),
        (254, "0,255,0,1"),
        (65534, "0,255,255,1"),
        (65535, "0,0,0,0,0,1,0,1"),
    ],
)
def test_long_elements_have_longer_heads(m: M, length: int, head: str) -> None:
    """A length that does not fit one byte takes two, or four."""
    printed = m.run(f"""
set ^g(1)=$zchar({head})_$translate($justify("",{length})," ","x"),o("format")="list"
set sc=$$ExecuteGlobal^pybridge("^g","l","list",,,,,.o) write:'sc sc,!
set sc=$$ExecuteCode^pybridge("print(len(l[0][1]), set(l[0][1]))")
""")

    assert f"{length} {{'x'}}\n" == printed


@pytest.mark.parametrize(
    "element",
    [
        "05 01 61",
        "0B 04 01 02 03 04 05 06 07 08 09",
        "0A 04 FF FF FF FF FF FF FF FF",
        "03 02 61",
        "04 02 00 D8",
        "03 0F 61",
        "00",
        "00 00 00 FF FF FF FF 01",
        "02 06",
    ],
)
def test_bytes_that_are_no_list_are_an_error(m: M, element: str) -> None:
    """An element that is cut, too long or of no known type names its record."""
    printed = m.run(f"""
set ^g(1)={record(element)},o("format")="list"
set sc=$$ExecuteGlobal^pybridge("^g","l","list",,,,,.o) write sc,!
""")

    assert printed.startswith("0^record 1, element 1: ")
