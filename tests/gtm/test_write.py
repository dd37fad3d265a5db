"""Frames as globals: modes, keys, types, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gtm.conftest import M

FRAME = """
set c="import pandas as pd, datetime as dt; from decimal import Decimal as D"_$char(10)
set c=c_"df=pd.DataFrame({'i':[1,-2,3],'f':[.5,1e-3,123456789.125],'s':['a','','ü'],"
set c=c_"'b':[True,False,True],'d':[dt.date(1970,1,1),dt.date(2026,11,22),None],"
set c=c_"'t':pd.to_datetime(['2026-11-22 01:02:03.5','1999-12-31',None],"
set c=c_"format='ISO8601'),"
set c=c_"'n':[D('1.50'),D('-0.05'),D('100')]})"
set sc=$$ExecuteCode^pybridge(c) write:'sc sc,!
"""


def test_rows_are_numbered_records(m: M) -> None:
    """Each row is a record, written as M writes; NULL is empty."""
    printed = m.run(f"""{FRAME}
set sc=$$WriteGlobal^pybridge("df","^w",,,,.n) write sc,n,! zwrite ^w
""")

    assert (
        "13\n"
        '^w(1)="1^.5^a^1^47117^2026-11-22 01:02:03.5^1.5"\n'
        '^w(2)="-2^.001^^0^67896^1999-12-31 00:00:00^-.05"\n'
        '^w(3)="3^123456789.125^ü^1^^^100"\n'
    ) == printed


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("delimitr", "|", '0^option "delimitr" is unknown; known: atomic,delimiter,'),
        ("encoding", "latin1", "0^encoding: wanted utf-8 or latin-1, got latin1"),
        ("errors", "nul", "0^errors: wanted fail or null, got nul"),
    ],
)
def test_unknown_options_are_refused(m: M, name: str, value: str, words: str) -> None:
    """A slip of the pen is an error, and not the default without a word."""
    printed = m.run(f"""{FRAME}
set o("{name}")="{value}",^g(1)="a^b"
write $$ExecuteGlobal^pybridge("^g","x",,,,,,.o),!
write $$WriteGlobal^pybridge("df","^w",,,.o),! write $data(^w),!
""")

    read, written, made, *_ = printed.splitlines()
    assert read.startswith(words)
    assert read == written
    assert "0" == made


def test_one_array_of_options_serves_reading_and_writing(m: M) -> None:
    """What only the other call wants is no error."""
    printed = m.run(f"""{FRAME}
set o("keys")="i",o("delimiter")="|",o("atomic")=0,o("errors")="fail"
write $$WriteGlobal^pybridge("df","^w",,,.o),!
write $$ExecuteGlobal^pybridge("^w","x",,,,,,.o,.n),! write n,!
""")

    assert "1\n1\n3\n" == printed


@pytest.mark.parametrize(
    ("mode", "status", "count"),
    [("fail", "0", 2), ("replace", "1", 3), ("append", "1", 5), ("merge", "0", 2)],
)
def test_mode_says_what_becomes_of_what_is_there(
    m: M, mode: str, status: str, count: int
) -> None:
    """A global that is there stays, is replaced, or grows."""
    printed = m.run(f"""{FRAME}
set ^w(1)="x",^w(2)="y"
set sc=$$WriteGlobal^pybridge("df","^w","|","{mode}") write $extract(sc),!
set n=0,k="" for  set k=$order(^w(k)) quit:k=""  set n=n+1
write n,!
""")

    assert f"{status}\n{count}\n" == printed


def test_columns_become_subscripts(m: M) -> None:
    """One column, or several; text is quoted, and a NULL subscript is refused."""
    printed = m.run(f"""{FRAME}
set sc=$$ExecuteCode^pybridge("k=pd.DataFrame(dict(a=['x""y','z'],b=[1,2],v=[7,8]))")
set o("keys")="b" set sc=$$WriteGlobal^pybridge("k","^w",,"replace",.o) zwrite ^w
set o("keys")="a,b" set sc=$$WriteGlobal^pybridge("k","^w",,"replace",.o) zwrite ^w
set o("keys")="s" set sc=$$WriteGlobal^pybridge("df","^w",,"replace",.o) write sc,!
set o("keys")="q" set sc=$$WriteGlobal^pybridge("df","^w",,"replace",.o) write sc,!
""")

    assert '^w(1)="x""y^7"\n^w(2)="z^8"\n' in printed
    assert '^w("x""y",1)=7\n^w("z",2)=8\n' in printed
    assert (
        '0^row 2, column "s": the subscript is NULL or empty, which M does not allow\n'
        in printed
    )
    assert '0^the frame has no column "q" for a subscript\n' in printed


def test_timestamps_with_a_zone_say_so(m: M) -> None:
    """They are moments in UTC, and are read as text, which says it."""
    printed = m.run("""
set c="import pandas as pd; t=pd.to_datetime(['2024-07-01 00:00:00.5',None])"_$char(10)
set c=c_"df=pd.DataFrame({'t': t.tz_localize('Europe/Berlin')})"
set sc=$$ExecuteCode^pybridge(c) write:'sc sc,!
set sc=$$WriteGlobal^pybridge("df","^w") write sc,! zwrite ^w
set sc=$$DefineTable^pybridge("moments","^w","df") write sc,!
set sc=$$ExecuteTable^pybridge("moments","back") write sc,!
set sc=$$Evaluate^pybridge("str(back.t.tolist())",,.r) write r,!
""")

    assert (
        '1\n^w(1)="2024-06-30 22:00:00.5+00:00"\n^w(2)=""\n1\n1\n'
        "['2024-06-30 22:00:00.5+00:00', '']\n"
    ) == printed


def test_delimiter_inside_of_a_number_is_refused(m: M) -> None:
    """It would be two fields when it is read."""
    printed = m.run("""
set c="import pandas as pd; t=pd.to_datetime(['2024-01-02'])"_$char(10)
set c=c_"a=pd.DataFrame({'x':[-2]}); b=pd.DataFrame({'x':[1.5]})"_$char(10)
set c=c_"c=pd.DataFrame({'x':t})"
set sc=$$ExecuteCode^pybridge(c) write:'sc sc,!
set o("delimiter")="-",sc=$$WriteGlobal^pybridge("a","^w",,,.o) write sc,!
set o("delimiter")="5",sc=$$WriteGlobal^pybridge("b","^w",,,.o) write sc,!
set o("delimiter")=" 00:",sc=$$WriteGlobal^pybridge("c","^w",,,.o) write sc,!
""")

    words = 'column "x": the value has the delimiter in it; choose another one in '
    assert 3 * [f'0^row 1, {words}options("delimiter")'] == printed.splitlines()


def test_what_a_record_cannot_hold_is_refused(m: M) -> None:
    """A field with the delimiter in it, infinity, a list: each names row and column."""
    printed = m.run(f"""{FRAME}
set sc=$$ExecuteCode^pybridge("a=pd.DataFrame(dict(x=['p','q^r']))")
set sc=$$WriteGlobal^pybridge("a","^w") write sc,!
set sc=$$ExecuteCode^pybridge("a=pd.DataFrame(dict(x=[1.0,float('inf')]))")
set sc=$$WriteGlobal^pybridge("a","^v") write sc,!
set sc=$$WriteGlobal^pybridge("nothing","^u") write sc,!
""")

    assert (
        '0^row 2, column "x": the text has the delimiter in it; choose another one in '
        'options("delimiter")\n'
        '0^row 2, column "x": M has no infinity; make it NULL or text\n'
        "0^Undefined: 'nothing' is not defined in context 'main'\n"
    ) == printed.replace("pybridge.", "")


def test_atomic_write_is_all_or_nothing(m: M) -> None:
    """In one transaction a failure in the last row leaves what was there."""
    printed = m.run(f"""{FRAME}
set ^w(1)="old",^w("k")="old",o("atomic")=1
set sc=$$ExecuteCode^pybridge("a=pd.DataFrame(dict(x=['p']*50+['q^r']))")
set sc=$$WriteGlobal^pybridge("a","^w",,"replace",.o) write +sc," ",$tlevel,!
zwrite ^w
set sc=$$WriteGlobal^pybridge("df","^w",,"replace",.o) write +sc," ",$tlevel,!
write $order(^w(""),-1),!
""")

    assert '0 0\n^w(1)="old"\n^w("k")="old"\n1 0\n3\n' == printed


def test_frame_comes_back_as_it_was(m: M) -> None:
    """Written and read with a mask, a frame is the same."""
    printed = m.run(f"""{FRAME}
set sc=$$WriteGlobal^pybridge("df","^w") write sc,!
set sc=$$ExecuteGlobal^pybridge("^w","back",,,,"ifsbdmn","k,i,f,s,b,d,t,n") write sc,!
set c="pd.testing.assert_frame_equal(back.drop(columns='k'), df, check_dtype=False)"
set sc=$$ExecuteCode^pybridge(c) write sc,!
""")

    assert "1\n1\n1\n" == printed


def test_fields_become_nodes(m: M) -> None:
    """With the layout nodes each field has a node, NULL has none, empty text has."""
    printed = m.run(f"""{FRAME}
set c="a=pd.DataFrame(dict(id=[7,8],n=[1.5,None],s=['a^b','']))"
set sc=$$ExecuteCode^pybridge(c)
set sc=$$WriteGlobal^pybridge("a","^w","nodes",,,.n) write sc,n,! zwrite ^w
set o("keys")="id"
set sc=$$WriteGlobal^pybridge("a","^w","nodes","replace",.o,.n) write sc,n,! zwrite ^w
set r("format")="nodes"
set sc=$$ExecuteGlobal^pybridge("^w","df",,,,,,.r) write sc,!
set sc=$$ExecuteCode^pybridge("a.columns=['x','x','y']")
set sc=$$WriteGlobal^pybridge("a","^w","nodes","replace") write sc,! zwrite ^w(1,*)
""")

    assert (
        "12\n"
        '^w(1,"id")=7\n^w(1,"n")=1.5\n^w(1,"s")="a^b"\n'
        '^w(2,"id")=8\n^w(2,"s")=""\n'
        "12\n"
        '^w(7,"n")=1.5\n^w(7,"s")="a^b"\n^w(8,"s")=""\n'
        "1\n1\n"
        '^w(1,"x")=7\n^w(1,"x_1")=1.5\n^w(1,"y")="a^b"\n'
    ) == printed


def test_subscripts_have_the_order_that_is_asked_for(m: M) -> None:
    """Several keys come as options("keys") names them, in both layouts."""
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("import pandas as pd")
set sc=$$ExecuteCode^pybridge("a=pd.DataFrame(dict(a=['x'],b=[1],v=[7]))")
set o("keys")="b,a" set sc=$$WriteGlobal^pybridge("a","^w",,,.o) zwrite ^w
set sc=$$WriteGlobal^pybridge("a","^w","nodes","replace",.o) zwrite ^w
""")

    assert '^w(1,"x")=7\n^w(1,"x","v")=7\n' == printed


def test_what_m_refuses_is_a_status(m: M) -> None:
    """Atomic leaves what was there, and the caller's own transaction goes on."""
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("import pandas as pd")
set sc=$$ExecuteCode^pybridge("a=pd.DataFrame(dict(k=['a','b'*300],v=[1,2]))")
set o("keys")="k",o("atomic")=1,^w("old")=1
tstart ():serial set ^v=1
set sc=$$WriteGlobal^pybridge("a","^w",,"replace",.o) write $extract(sc,1,2),$tlevel,!
set ^v=2 tcommit  zwrite ^v,^w
set o("atomic")=0
set sc=$$WriteGlobal^pybridge("a","^w",,"append",.o) write $extract(sc,1,2),!
zwrite ^w
""")

    assert '0^1\n^v=2\n^w("old")=1\n0^\n^w("a")=1\n^w("old")=1\n' == printed


def test_frames_of_any_library_are_written(m: M) -> None:
    """polars, Arrow and lists of dicts; categories; no rows."""
    code = (
        "import polars as pl, pyarrow as pa, pandas as pd, datetime as dt;"
        "p=pl.DataFrame(dict(a=[1,None],b=['x','y']));"
        "t=pa.table(dict(a=[1,None],b=['x','y']));"
        "l=[dict(a=1,b='x'),dict(a=None,b='y')];"
        "c=pd.DataFrame(dict(a=pd.array([1,None],dtype='Int64'),"
        "b=pd.Categorical(['x','y'])));"
        "e=c.head(0)"
    )
    printed = m.run(f"""
set sc=$$ExecuteCode^pybridge("{code}") write:'sc sc,!
for f="p","t","l","c" do
. set sc=$$WriteGlobal^pybridge(f,"^w",,"replace",,.n)
. write f,sc,n," ",$get(^w(1))," ",$get(^w(2)),!
set sc=$$WriteGlobal^pybridge("e","^e",,,,.n) write sc,n,$data(^e),!
""")

    assert "".join(f"{name}12 1^x ^y\n" for name in "ptlc") + "100\n" == printed
