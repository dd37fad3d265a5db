"""The gateway's own unit tests, in M: what they wanted of IRIS holds in GT.M.

Lengths are those of GT.M's strings, 1 MiB, beyond which a text is an array of pieces.
"""

# ruff: noqa: E501 - a line of M does not go on in the next

from __future__ import annotations

import pytest

TESTS = {
    "SimpleString": """
set sc=$$SimpleString^pybridge("",,,.x) write x<1
set sc=$$SimpleString^pybridge("y=1"),sc=$$SimpleString^pybridge("","y",,.x) write x=1
""",
    "Limit": """
set sc=$$SimpleString^pybridge("str1000='A'*1000")
for n=32767,135108,1048576 do
. set sc=$$SimpleString^pybridge("x=str1000*("_(n\\1000)_")+'A'*"_(n#1000),"x",,.x)
. write $length(x)=n
set sc=$$SimpleString^pybridge("x=x+'A'","x",,.x) write x="",$length(x(1))+$length(x(2))=1048577
""",
    "PassSpeed": """
set text=$translate($justify("",32767-7)," ","A")
for i=1:1:50 set sc=$$SimpleString^pybridge("str1='"_text_"'") quit:'sc
write sc
for i=1:1:20 set sc=$$SimpleString^pybridge("","str1*32",,.x) quit:'sc
write $length(x)=(32*32760)
""",
    "SetCallSpeed": """
for i=1:1:5000 set sc=$$SimpleString^pybridge("str1="_i) quit:'sc
set sc=$$GetVariable^pybridge("str1",,.x) write x=5000
""",
    "Unicode": """
set sc=$$SimpleString^pybridge("result='ПРИВЕТ'","result",,.x) write x="ПРИВЕТ"
""",
    "Streams": """
set code(1)="'"_$translate($justify("",1048575)," ","A"),code(2)=$translate($justify("",1048575)," ","B")_"'"
set sc=$$ExecuteCode^pybridge(.code,"stream") write sc
set sc=$$GetVariable^pybridge("stream","Repr",.x) write sc,x="",x(1)_""=code(1),x(2)=code(2)
""",
    "Multiline": """
set code="def cube(num):"_$char(10)_"    return num*num*num"
set sc=$$ExecuteCode^pybridge(code) write sc
set sc=$$SimpleString^pybridge("x=cube(6)","x",,.x) write x=(6**3)
""",
    "PassSpeedInStream": """
set code(1)="x='" for i=2:1:11 set code(i)=$translate($justify("",1048576)," ","A")
set code(12)="'",sc=$$ExecuteCode^pybridge(.code) write sc
set sc=$$Evaluate^pybridge("len(x)",,.x) write x=10485760
""",
    "Stream": """
for i=1:1:100000 set code(i)="x="_i_$char(10)
set sc=$$ExecuteCode^pybridge(.code) write sc
set sc=$$GetVariable^pybridge("x",,.x) write x=100000
""",
    "GetVariableInfo": """
set sc=$$GetVariableInfo^pybridge("x1",,.d) write sc,'d
set sc=$$ExecuteCode^pybridge("123","x1")
set sc=$$GetVariableInfo^pybridge("x1","str",.d,.t,.l) write sc,d,t="int",l=3
""",
    "Modules": """
set sc=$$GetModuleInfo^pybridge("keyword",.i) write sc,'i
set a="kw",sc=$$ImportModule^pybridge("keyword",.i,.a) write sc,'i
set a="",sc=$$ImportModule^pybridge("keyword",.i,.a) write sc,i,a="kw"
set sc=$$SimpleString^pybridge("x=kw.iskeyword('class')","x",,.x) write x="True"
""",
    "GetStatus": """
set sc=$$GetStatus^pybridge() write sc
set sc=$$SimpleString^pybridge("1/0"),sc=$$GetStatus^pybridge() write 'sc
""",
    "JSON": """
set sc=$$SimpleString^pybridge("list=(1,'abc')")
set sc=$$GetVariableJson^pybridge("list",.x) write sc,x="[1,""abc""]"
do decode^pybjson(x,.n) write n(1)=1,n(2)="abc"
""",
    "ExecuteFunction": """
set a="" set sc=$$ImportModule^pybridge("random",,.a)
set p(1)=1,p(2)=100,k("a")=1,k("b")=100,q(1)=1,l("b")=100
set sc=$$ExecuteFunction^pybridge("random.randint",.p,,,,.x) write sc,x'<1,x'>100
set sc=$$ExecuteFunction^pybridge("random.randint","[1,100]",,,,.x) write sc,x'<1,x'>100
set sc=$$ExecuteFunction^pybridge("random.randint",,.k,,,.x) write sc,x'<1,x'>100
set sc=$$ExecuteFunction^pybridge("random.randint",,"{""a"":1,""b"":100}",,,.x) write sc,x'<1,x'>100
set sc=$$ExecuteFunction^pybridge("random.randint",.q,.l,,,.x) write sc,x'<1,x'>100
kill p,k set p(1)="Positional: {0} {1}! Keyword: {name}, {name2}",p(2)="Hello",p(3)="World"
set k("name")="Alice",k("name2")="Bob"
set sc=$$ExecuteFunction^pybridge("str.format",.p,.k,,,.x)
write x="Positional: Hello World! Keyword: Alice, Bob"
""",
    "ExecuteFunctionArgs": """
set a="" set sc=$$ImportModule^pybridge("random",,.a)
set sc=$$ExecuteFunctionArgs^pybridge("random.randint",,,.x,1,100) write sc,x'<1,x'>100
set t="Positional: {0}, {1}, {2}, {3}"
set sc=$$ExecuteFunctionArgs^pybridge("str.format",,,.x,t,"Hello","World","Alice","Bob")
write x="Positional: Hello, World, Alice, Bob"
set t="Positional: {0} {1}! Keyword: {name}, {name2}"
set sc=$$ExecuteFunctionArgs^pybridge("str.format",,,.x,t,"Hello","World","**{""name"":""Alice"",""name2"":""Bob""}")
write x="Positional: Hello World! Keyword: Alice, Bob"
""",
    "ProxyObject": """
set c="class Person:"_$char(10)_" def __init__(s,name,age,city): s.name,s.age,s.city=name,age,city"_$char(10)
set c=c_" def getAge(s): return s.age"_$char(10)_" def getAgePlus(s,n): return s.age+n"
set sc=$$ExecuteCode^pybridge(c)
set p(1)="Ed",p(2)=25,p(3)="Test" set sc=$$ExecuteFunction^pybridge("Person",.p,,"p1") write sc
set sc=$$GetVariable^pybridge("p1.name",,.x) write x="Ed"
set sc=$$ExecuteCode^pybridge("p1.name='Bob'"),sc=$$GetVariable^pybridge("p1.name",,.x) write x="Bob"
set sc=$$ExecuteCode^pybridge("p1.pet='Dog'"),sc=$$GetVariable^pybridge("p1.pet",,.x) write x="Dog"
set sc=$$ExecuteFunction^pybridge("p1.getAge",,,,,.x) write x=25
set sc=$$ExecuteFunctionArgs^pybridge("p1.getAgePlus",,,.x,10) write x=35
set sc=$$GetVariableJson^pybridge("vars(p1)",.x) do decode^pybjson(x,.n) write n("city")="Test"
set sc=$$ExecuteCode^pybridge("del p1"),sc=$$GetVariableDefined^pybridge("p1",.d) write 'd
""",
    "Ranges": """
for i=1:1:20 set ^a(i)=i
set ^b(1)=1,^b(5)=5,^b(20)=20,^c(-2)=1,^c(0)=1,^c(3)=1,^c(4,1)="below"
set sc=$$ExecuteGlobal^pybridge("^a","df",,1,10,,,,.n) write sc,n=10
set sc=$$ExecuteGlobal^pybridge("^b","df",,1,10,,,,.n) write sc,n=2
set sc=$$ExecuteGlobal^pybridge("^none","df",,1,10,,,,.n) write sc,n=0
set sc=$$ExecuteGlobal^pybridge("^a","df",,10,1,,,,.n) write sc,n=0
set sc=$$ExecuteGlobal^pybridge("^c","df",,,,,,,.n) write sc,n=3
""",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, template: object) -> dict[str, str]:
    """Return what each test wrote, all in one process and each in its own context."""
    from pybridge.gtm.install import install
    from tests.gtm.conftest import M

    m = M(install(tmp_path_factory.mktemp("parity")))
    for name, text in TESTS.items():
        m.routine(name, f'new\nset sc=$$Context^pybridge("{name}")\n{text}')
    printed = m.run("\n".join(f'write "{n}:" do ^{n} write !' for n in TESTS))
    return dict(line.split(":", 1) for line in printed.splitlines())


@pytest.mark.parametrize("name", TESTS)
def test_gateways_unit_test_passes(said: dict[str, str], name: str) -> None:
    """Each of its assertions is true."""
    assert said[name]
    assert set("1") == set(said[name])
