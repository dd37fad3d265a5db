"""GT.M's UTF-8 mode: texts are characters to M, on every way in and out."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pybridge.gtm.install import install
from tests.gtm.conftest import M, execute

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def u(template: Path, tmp_path: Path) -> M:
    """Return a database of the test's own, whose programs are in UTF-8 mode."""
    for name in ("database.gld", "database.dat"):
        shutil.copy(template / name, tmp_path / name)
    return M(install(tmp_path, utf8=True))


def test_values_are_characters(u: M) -> None:
    """Text, bytes that are none, JSON, arguments, and what zpy shows."""
    printed = u.run(f"""
write $zchset,$length("Ж"),!
{execute("x='ДЛИЖЯЫ'; print('žluť')")}
set sc=$$GetVariable^pybridge("x",,.x) write x,$length(x),$zlength(x),!
set b="" for i=0:1:255 set b=b_$zchar(i)
set sc=$$SetVariable^pybridge("b",b,"x"),sc=$$GetVariable^pybridge("b","value",.y)
write b=y,!
set sc=$$Evaluate^pybridge("b == bytes(range(256))",,.x) write x,!
set sc=$$GetVariableJson^pybridge("['ü','€']",.y)
do decode^pybjson(y,.n) write n(1)_n(2),!
set sc=$$ExecuteFunctionArgs^pybridge("str.upper",,,.x,"ž") write x,!
do ^zpy("'ü'*3")
set sc=$$ExecuteCode^pybridge("raise ValueError('aü'*2000)") write $length(sc)<2048,!
""")

    assert "UTF-81\nžluť\nДЛИЖЯЫ612\n1\n1\nü€\nŽ\n'üüü'\n1\n" == printed


def test_long_texts_are_cut_between_characters(u: M) -> None:
    """Pieces of results, of code and of what is printed are texts of their own."""
    printed = u.run(f"""
{execute("s='a'+'ü'*1000000; print(('b'+'€'*400000)[::100000])")}
set sc=$$GetVariable^pybridge("s",,.x)
for i=1,2 write $length(x(i))," ",$zlength(x(i)),!
set sc=$$SetVariable^pybridge("t",.x),sc=$$Evaluate^pybridge("s == t",,.y) write y,!
{execute("print('b'+'€'*400000)")}
tstart ():serial
{execute("print('b'+'€'*400000)")}
tcommit
""")

    long = "b" + "€" * 400000
    # (1 + 2 * 524287) bytes fit, and one more character does not.
    assert f"b€€€€\n524288 1048575\n475713 951426\n1\n{long}\n{long}\n" == printed


def test_globals_are_texts(u: M) -> None:
    """Frames of globals and back, delimiters of several bytes, tables, mappings."""
    printed = u.run(f"""
set ^p("ü")="ä¦2",^p("ж")="b¦3",o("delimiter")="¦",^n(1,"ü")="ß"
set sc=$$ExecuteGlobal^pybridge("^p","df",,,,,"k,a,b",.o,.n) write sc,n,!
{execute("print(df.to_dict('list'))")}
set sc=$$WriteGlobal^pybridge("df","^w","¦",,,.n) zwrite ^w
set o("keys")="k,a" set sc=$$WriteGlobal^pybridge("df","^v","¦",,.o,.n) zwrite ^v
set o("format")="nodes",sc=$$ExecuteGlobal^pybridge("^n","df",,,,,"id,ü",.o)
{execute("print(df.to_dict('list'))")}
set ^%pybridge("table","t")="^n",^("t","format")="nodes",^("field",1)="ü"
set sc=$$ExecuteTable^pybridge("t","df",,,,"ü*") write sc,!
{
        execute('''
from pybridge.host import globals as g
p = g['^t']
p['ü'] = '€'; p['b'] = bytes([255])
with g.transaction(): p['ж'] = 'ü€'
print(dict(p.items()), g.evaluate('$length(^t("ж"))'))''')
    }
""")

    assert (
        "12\n{'k': ['ü', 'ж'], 'a': ['ä', 'b'], 'b': [2, 3]}\n"
        '^w(1)="ü¦ä¦2"\n^w(2)="ж¦b¦3"\n'
        '^v("ü","ä")=2\n^v("ж","b")=3\n'
        "{'id': [1], 'ü': ['ß']}\n1\n"
        "{'b': b'\\xff', 'ü': '€', 'ж': 'ü€'} 2\n"
    ) == printed
