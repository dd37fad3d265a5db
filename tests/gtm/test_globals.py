"""Globals as frames: layouts, masks, types that are guessed, edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gtm.conftest import M

SHOW = (
    'if sc set sc=$$ExecuteCode^pybridge("'
    "print(df.to_dict('list'), [str(t) for t in df.dtypes])\")"
)


def frame(m: M, data: str, arguments: str = "") -> str:
    """Set nodes, read ^g with ExecuteGlobal, and return its columns and types."""
    return m.run(f"""
{data}
set sc=$$ExecuteGlobal^pybridge("^g","df",{arguments}) write:'sc sc,!
{SHOW}
""")


def test_types_are_guessed_without_loss(m: M) -> None:
    """Integers, fractions and text are told apart; what is inexact stays text."""
    printed = frame(
        m,
        """
set ^g(1)="1^.5^a^^123456789012345678^1234567890123456789^07^1.0^9007199254740993"
set ^g(2)="-2^3^^^5^0^7^2^.5"
""",
    )

    assert (
        "{'globalKey': [1, 2], '1': [1, -2], '2': [0.5, 3.0], '3': ['a', ''], "
        "'4': [None, None], '5': [123456789012345678, 5], "
        "'6': ['1234567890123456789', '0'], '7': ['07', '7'], '8': ['1.0', '2'], "
        "'9': ['9007199254740993', '.5']} "
        "['int64', 'int64', 'float64', 'str', 'object', 'int64', 'str', 'str', 'str', "
        "'str']\n"
    ) == printed


def test_types_do_not_depend_on_where_the_odd_record_is(m: M) -> None:
    """A record beyond the first thousand changes the type of the whole column."""
    printed = m.run("""
for i=1:1:3000 set ^g(i)=i_"^"_i_"^"_i
set ^g(2500)="2500^x^.5^more"
set sc=$$ExecuteGlobal^pybridge("g","df",,,,,,,.n) write sc," ",n,!
set c="print([str(t) for t in df.dtypes], "
set c=c_"df.iloc[[0,2499,-1]].astype(str).values.tolist())"
set sc=$$ExecuteCode^pybridge(c)
""")

    assert (
        "1 3000\n['int64', 'int64', 'str', 'float64', 'str'] "
        "[['1', '1', '1', '1.0', nan], ['2500', '2500', 'x', '0.5', 'more'], "
        "['3000', '3000', '3000', '3000.0', nan]]\n"
    ) == printed


def test_mask_says_types(m: M) -> None:
    """Each letter has its type; a field without a letter is left out."""
    printed = frame(
        m,
        """
set ^g(1)="1^0^47117^3723^2026-11-22 01:02:03.5^7^7^1.50^007^a^x"
set ^g(2)="^1^2980013^0^67896,1^^^^^"
""",
        ',,,"-bdtmifnsx"',
    )

    assert (
        "{'globalKey': [1, 2], '2': [False, True], "
        "'3': [datetime.date(1970, 1, 1), datetime.date(9999, 12, 31)], "
        "'4': [datetime.time(1, 2, 3), datetime.time(0, 0)], "
        "'5': [Timestamp('2026-11-22 01:02:03.500000'), "
        "Timestamp('2026-11-22 00:00:01')], '6': [7, None], '7': [7.0, nan], "
        "'8': [Decimal('1.50'), None], '9': ['007', ''], '10': [b'a', b'']} "
        "['int64', 'bool', 'object', 'object', 'datetime64[us]', 'Int64', 'float64', "
        "'object', 'str', 'object']\n"
    ) == printed


@pytest.mark.parametrize(
    ("mask", "record", "message"),
    [
        ("d", "x", 'record 1, field 1: "x" does not fit the mask "d"'),
        ("t", "86400", 'field 1: "86400" does not fit the mask "t"'),
        ("m", "2026-02-30 00:00:00", "does not fit the mask"),
        ("+i", "a^9223372036854775808", "field 2:"),
        ("?", "a", 'the mask has "?" for field 1; known letters: +-bdtmifnsx'),
    ],
)
def test_mask_that_does_not_fit_is_an_error(
    m: M, mask: str, record: str, message: str
) -> None:
    """The error names record and field; errors="null" makes it NULL."""
    printed = m.run(f"""
set ^g(1)="{record}"
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,"{mask}") write sc,!
set sc=$$GetVariableDefined^pybridge("df",.d) write d,!
""")

    assert message in printed
    assert printed.endswith("\n0\n")


def test_bad_cells_can_be_null(m: M) -> None:
    """With errors="null" what does not fit is NULL."""
    printed = m.run(f"""
set ^g(1)="x",^g(2)=5,o("errors")="null"
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,"i",,.o)
{SHOW}
""")

    assert "{'globalKey': [1, 2], '1': [None, 5]} ['int64', 'Int64']\n" == printed


@pytest.mark.parametrize(
    ("start", "end", "keys"),
    [
        ("", "", [-2, 0, 1, 5, 20]),
        ("1", "10", [1, 5]),
        ("0", "", [0, 1, 5, 20]),
        ("2", "4", []),
        ("10", "1", []),
        ("", "-2", [-2]),
        ("21", "", []),
    ],
)
def test_range_has_both_ends(m: M, start: str, end: str, keys: list[int]) -> None:
    """Start and end are in it; nodes without a value are not."""
    printed = m.run(f"""
for i=-2,0,1,5,20 set ^g(i)="v"_i
set ^g(7,1)="below"
set sc=$$ExecuteGlobal^pybridge("^g","df","list","{start}","{end}") write sc,!
set sc=$$ExecuteCode^pybridge("print([r[0] for r in df])")
""")

    assert f"1\n{keys}\n" == printed


def test_many_nodes_without_a_value_do_not_double_records(m: M) -> None:
    """A node without a value after many with one is met in the middle of the walk."""
    printed = m.run("""
for i=1:1:5000 set ^g(i)=i
kill ^g(4000) set ^g(4000,1)=1
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,,,,.n) write n,!
set sc=$$Evaluate^pybridge("int(df['1'].sum())",,.x) write x,!
""")

    assert f"4999\n{5000 * 5001 // 2 - 4000}\n" == printed


def test_no_data_is_no_rows(m: M) -> None:
    """A global that is not there gives a frame without rows."""
    printed = frame(m, "kill ^g")

    assert "{'globalKey': []} ['object']\n" == printed


def test_awkward_records_stay_whole(m: M) -> None:
    """NUL, newline, quotes and long records are data."""
    printed = m.run("""
set ^g(1)="a"_$char(0)_"b|c"_$char(10)_"d|""|"
set ^g(2)=$justify("",500000)_"|x|y|"
set o("delimiter")="|"
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,,,.o)
set sc=$$ExecuteCode^pybridge("r=df.iloc[0].tolist()[1:]")
set sc=$$ExecuteCode^pybridge("print(r, len(df['1'][1]), df['2'][1])")
""")

    assert "['a\\x00b', 'c\\nd', '\"', None] 500000 x\n" == printed


def test_levels_become_columns(m: M) -> None:
    """Several subscripts are several key columns; labels name all columns."""
    printed = m.run(f"""
set ^g("a",1)="x;;y",^g("a",2.5)="z",^g("b""c",3)=";;w",^g("d")="above"
set o("levels")=2,o("delimiter")=";;"
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,,"who,when,p,q",.o,.n) write sc,n,!
{SHOW}
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,,"who,when",.o,.n) write sc,!
""")

    assert (
        "13\n{'who': ['a', 'a', 'b\"c'], 'when': [1.0, 2.5, 3.0], "
        "'p': ['x', 'z', ''], 'q': ['y', nan, 'w']} "
        "['str', 'float64', 'str', 'str']\n"
        "0^2 labels for 4 columns: 2 of subscripts and 2 of fields that the mask "
        "keeps\n"
    ) == printed


def test_text_in_latin_1_is_an_option(m: M) -> None:
    """Bytes that are not UTF-8 are an error, or Latin-1 where that is asked for."""
    printed = m.run("""
set ^g(1)="caf"_$zchar(233)
set sc=$$ExecuteGlobal^pybridge("^g","df") write sc,!
set o("encoding")="latin-1"
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,,,.o) write sc,!
set sc=$$Evaluate^pybridge("df['1'][0] == 'caf\\xe9'",,.x) write x,!
""")

    assert printed.startswith("0^")
    assert "not UTF-8" in printed
    assert printed.endswith("\n1\n1\n")


def test_types_of_frames_are_those_of_queries(m: M) -> None:
    """List and arrow work as for a query."""
    printed = m.run("""
set ^g(1)="a^1"
set sc=$$ExecuteGlobal^pybridge("^g","l","list")
set sc=$$ExecuteGlobal^pybridge("^g","t","arrow")
set sc=$$ExecuteCode^pybridge("print(l, t.schema.names, t.num_rows)")
set sc=$$ExecuteGlobal^pybridge("^g","t","frame") write sc,!
""")

    assert printed.startswith("[(1, 'a', 1)] ['globalKey', '1', '2'] 1\n0^")
    assert "frame" in printed.splitlines()[1]


def test_fields_may_be_nodes(m: M) -> None:
    """Each subscript of a record is a column, whichever records have it."""
    printed = m.run(f"""
set ^g(1,"name")="Ada",^g(1,"born")=1815,^g(2)="not this",^g(3,"name")="Grace"
set ^g(3,"died")=1992,^g(3,"born",1)="below",o("format")="nodes"
set sc=$$ExecuteGlobal^pybridge("^g","df",,,,,,.o,.n) write sc,n,!
{SHOW}
set sc=$$ExecuteGlobal^pybridge("^g","df",,2,,"+i","id,name,died",.o,.n) write sc,n,!
{SHOW}
""")

    assert (
        "12\n{'globalKey': [1, 3], 'born': [1815, None], 'name': ['Ada', 'Grace'], "
        "'died': [None, 1992]} ['int64', 'int64', 'str', 'int64']\n"
        "11\n{'id': [3], 'name': ['Grace'], 'died': [1992]} "
        "['int64', 'str', 'int64']\n"
    ) == printed.replace("Int64", "int64")
