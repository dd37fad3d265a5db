"""The gateway's names in M: code, functions, variables, modules, failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gtm.conftest import M


def test_first_example_of_the_gateway_works(m: M) -> None:
    """SimpleString runs code and gives a variable."""
    printed = m.run("""
set sc=$$Setup^pybridge() write sc,!
set sc=$$SimpleString^pybridge("x='HELLO'","x",,.x)
write x,!
set sc=$$Finalize^pybridge() write sc,!
set sc=$$Unload^pybridge() write sc,!
""")

    assert "1\nHELLO\n1\n1\n" == printed


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("None", ""),
        ("True", "1"),
        ("2**62", "4611686018427387904"),
        ("1/4", ".25"),
        ("-0.5", "-.5"),
        ("1e20", "100000000000000000000"),
        ("0.1+0.2", ".30000000000000004"),
        ("1e-43", "." + "0" * 42 + "1"),
        ("1e300", "1e+300"),
        ("'ü'", "ü"),
        ("b'ab'", "ab"),
        ("__import__('decimal').Decimal('-0.50')", "-.5"),
        ("__import__('decimal').Decimal('100')", "100"),
        ("__import__('datetime').date(1970,1,1)", "47117"),
        ("__import__('datetime').date(9999,12,31)", "2980013"),
        ("__import__('datetime').time(1,2,3,500000)", "3723.5"),
        ("__import__('datetime').datetime(2026,11,22,0,0,1)", "67896,1"),
    ],
)
def test_evaluate_writes_values_as_m_does(m: M, expression: str, written: str) -> None:
    """A scalar becomes what M itself would write."""
    printed = m.run(f"""
set sc=$$Evaluate^pybridge("{expression}",,.x) write sc,"|",x,!
""")

    assert f"1|{written}\n" == printed


def test_failure_is_a_status_with_the_users_line(m: M) -> None:
    """The text says type, message and line; GetStatus has the traceback, once."""
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("x = 1"_$char(10)_"x / 0") write sc,!
set sc=$$GetStatus^pybridge(.report) write sc,!
write report("line")," ",$piece(report("traceback"),$char(10),3),!
set sc=$$GetStatus^pybridge(.report) write sc," ",$data(report),!
set sc=$$Evaluate^pybridge("nothing",,.x) write sc," ",$data(x),!
""")

    assert (
        "0^ZeroDivisionError: division by zero (<pybridge:1>:2)\n"
        "0^ZeroDivisionError: division by zero\n"
        "2     x / 0\n"
        "1 0\n"
        "0^NameError: name 'nothing' is not defined (<pybridge:2>:1) 0\n"
    ) == printed


def test_exit_of_python_code_does_not_end_m(m: M) -> None:
    """SystemExit is a failure."""
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("import sys; sys.exit(3)") write $piece(sc,":"),!
""")

    assert "0^SystemExit\n" == printed


def test_function_takes_arrays_of_values(m: M) -> None:
    """Arguments are nodes, typed by their form or by a letter."""
    printed = m.run("""
set code="def f(*a,**k): return repr((a,sorted(k.items())))"
set sc=$$ExecuteCode^pybridge(code)
set p(1)=1,p(2)="1.0",p(3)=.5,p(4)="a""'b\\",p(5)="07",p(5,"type")="i"
set p(6)=0,p(6,"type")="b",p(7)="a"_$char(0),p(7,"type")="x",p(8)=47117,p(8,"type")="d"
set k("name")="Bob",k("n")=2,k("n","type")="s"
set sc=$$ExecuteFunction^pybridge("f",.p,.k,"r",,.x) write x,!
set sc=$$GetVariable^pybridge("r",,.y) write x=y,!
set p(9)="abc",p(9,"type")="i"
set sc=$$ExecuteFunction^pybridge("f",.p,,,,.x) write sc,!
""")

    assert (
        "((1, '1.0', 0.5, 'a\"\\'b\\\\', 7, False, b'a\\x00', "
        "datetime.date(1970, 1, 1)), [('n', '2'), ('name', 'Bob')])\n"
        "1\n"
        '0^"abc" is not of type "i": an integer has no fraction and fits 64 bits; '
        "the mask n is exact beyond\n"
    ) == printed


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (
            '"str.format",.p,.k,,,.x',
            "Positional: Hello World! Keyword: Alice, Bob",
        ),
        (
            '"str.format","[""{0}-{name}"",1]","{""name"":null}",,,.x',
            "1-None",
        ),
    ],
)
def test_function_takes_arrays_or_json(m: M, arguments: str, result: str) -> None:
    """Arguments may also be JSON texts."""
    printed = m.run(f"""
set p(1)="Positional: {{0}} {{1}}! Keyword: {{name}}, {{name2}}"
set p(2)="Hello",p(3)="World"
set k("name")="Alice",k("name2")="Bob"
set sc=$$ExecuteFunction^pybridge({arguments}) write sc," ",x,!
""")

    assert f"1 {result}\n" == printed


def test_function_args_are_given_one_by_one(m: M) -> None:
    """A last argument that begins with two stars is keyword arguments."""
    printed = m.run("""
set t="Positional: {0} {1}! Keyword: {name}, {name2}"
set k="**{""name"":""Alice"",""name2"":""Bob""}"
set sc=$$ExecuteFunctionArgs^pybridge("str.format",,,.x,t,"Hello","World",k) write x,!
set sc=$$ExecuteFunctionArgs^pybridge("len",,,.x,"four") write x,!
set sc=$$ExecuteFunctionArgs^pybridge("list","l",,.x) write x,!
""")

    assert "Positional: Hello World! Keyword: Alice, Bob\n4\n[]\n" == printed


def test_module_is_imported_once(m: M) -> None:
    """ImportModule says whether it was there before, and its alias."""
    printed = m.run("""
set sc=$$GetModuleInfo^pybridge("keyword",.i,.a) write sc,i,a,!
set a="kw",sc=$$ImportModule^pybridge("keyword",.i,.a) write sc,i,a,!
set a="",sc=$$ImportModule^pybridge("keyword",.i,.a) write sc,i,a,!
set sc=$$Evaluate^pybridge("kw.iskeyword('class')","str",.x) write x,!
""")

    assert "10\n10kw\n11kw\nTrue\n" == printed


def test_variable_and_function_are_described(m: M) -> None:
    """Defined, type, length; documentation, signature and arguments."""
    printed = m.run("""
set sc=$$GetVariableInfo^pybridge("x1",,.d,.t,.l) write sc,d,!
set sc=$$ExecuteCode^pybridge("123","x1")
set sc=$$GetVariableInfo^pybridge("x1","str",.d,.t,.l) write sc,d,t,l,!
set sc=$$GetVariableDefined^pybridge("x1.real",.d) write d,!
set sc=$$GetVariableType^pybridge("x1",.t) write t,!
set sc=$$ExecuteCode^pybridge("def f(a,*,b=2): 'Doc.'")
set sc=$$GetFunctionInfo^pybridge("f",.d,.t,.docs,.s,.a)
write d," ",t," ",docs," ",s," ",a(1,"name")," ",a(2,"name"),a(2,"default"),!
""")

    assert "10\n11int3\n1\nint\n1 function Doc. (a, *, b=2) a b2\n" == printed


def test_json_and_pickle_come_back(m: M) -> None:
    """JSON is text, a pickle is bytes."""
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("v=(1,'a""b',None,float('nan'))")
set sc=$$GetVariableJson^pybridge("v",.x) write x,!
do decode^pybjson(x,.node) write node(1),node(2),$data(node(3)),!
set sc=$$GetVariablePickle^pybridge("v",.x) write $zascii(x,1),!
set sc=$$SetVariable^pybridge("w",x,"x")
set sc=$$Evaluate^pybridge("__import__('pickle').loads(w)[1]",,.x) write x,!
""")

    assert '[1,"a\\"b",null,null]\n1a"b1\n128\na"b\n' == printed


def test_long_code_and_long_values_are_pieces(m: M) -> None:
    """What does not fit in a string is an array of its pieces, both ways."""
    printed = m.run("""
set code(1)="s='"_$justify("",1000000),code(2)=$justify("",1000000)_"x"
set code(3)=$justify("",1000000)_"'"
set sc=$$ExecuteCode^pybridge(.code) write sc,!
set sc=$$GetVariable^pybridge("s",,.x) write sc," ",x
for i=1:1:3 write " ",$length(x(i))
write " ",$find(x(2),"x"),!
set sc=$$GetVariable^pybridge("'a'*1048576",,.x) write $length(x)," ",$data(x),!
set sc=$$SetVariable^pybridge("t",.code) write sc,!
set sc=$$Evaluate^pybridge("len(t)",,.x) write x,!
""")

    assert "1\n1  1048576 1048576 902849 951426\n1048576 1\n1\n3000005\n" == printed


def test_all_bytes_pass(m: M) -> None:
    """A blob of all byte values comes back as it went."""
    printed = m.run("""
set b="" for i=0:1:255 set b=b_$zchar(i)
set sc=$$SetVariable^pybridge("b",b,"x")
set sc=$$Evaluate^pybridge("b == bytes(range(256))",,.x) write x
set sc=$$GetVariable^pybridge("b","value",.y) write b=y,!
set sc=$$SetVariable^pybridge("e","")
set sc=$$Evaluate^pybridge("repr(e)",,.x) write x,!
""")

    assert "11\n''\n" == printed


def test_contexts_are_apart(m: M) -> None:
    """Context switches, and gives the name of the one before."""
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("x=1")
set sc=$$Context^pybridge("other",.before) write sc,before,!
set sc=$$Evaluate^pybridge("'x' in dir()",,.x) write x,!
set sc=$$Context^pybridge(,.before) write before,!
""")

    assert "1main\n0\nother\n" == printed


def test_deadline_stops_a_call(m: M) -> None:
    """A call that takes too long fails, and the next one works."""
    printed = m.run("""
set sc=$$Deadline^pybridge(200)
set sc=$$ExecuteCode^pybridge("while True: pass") write $piece(sc,":"),!
set sc=$$Deadline^pybridge(0)
set sc=$$Evaluate^pybridge("1+1",,.x) write x,!
""")

    assert "0^DeadlineExceeded\n2\n" == printed


def test_output_comes_in_order(m: M) -> None:
    """What Python prints and what M writes keep their order, in a transaction too."""
    printed = m.run("""
write "a",!
set sc=$$ExecuteCode^pybridge("print('b'); print('ü', end='')")
write $x,!,"d",!
tstart ():serial
set sc=$$ExecuteCode^pybridge("print('e')")
write "f",!
tcommit
""")

    assert "a\nb\nü2\nd\ne\nf\n" == printed


def test_context_is_saved_shown_and_restored(m: M) -> None:
    """SaveContext, DisplayContext and RestoreContext, as the gateway has them."""
    printed = m.run("""
set sc=$$ExecuteCode^pybridge("import math as mm"_$char(10)_"x=[1]"_$char(10)_"y='no'")
set sc=$$SaveContext^pybridge(.id,0,"x,mm",,"first") write sc,!
set sc=$$Finalize^pybridge()
set sc=$$RestoreContext^pybridge(id) write sc,!
set sc=$$Evaluate^pybridge("f'{x} {mm.pi:.2f} {""y"" in dir()}'",,.v) write v,!
set sc=$$DisplayContext^pybridge(id) write sc,!
set sc=$$RestoreContext^pybridge(999) write $piece(sc,":"),!
""")

    assert printed.startswith("1\n1\n[1] 3.14 False\nName: first\n")
    assert "math as mm" in printed
    assert printed.endswith("Functions:\n1\n0^pybridge.UnknownSnapshot\n")
